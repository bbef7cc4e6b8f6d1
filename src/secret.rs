//! A secret that never shows itself in a log and is wiped when it is no longer needed.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// The fewest bytes of an HS256 secret: as many as its hash has (RFC 7518 section 3.2).
pub const SHORTEST: usize = 32;

/// Secret bytes. `Debug` prints `…`; there is no `Display` and no comparison.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

/// Stands in a `Debug` for what may hold a caller's or MLflow's secret: parameters, bodies, signatures.
pub struct Hidden;

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A request target as far as a `Debug` may show it: without its query.
#[must_use]
pub fn without_query(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// Why a secret is not taken; tells nothing of it but its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakSecret {
    /// Fewer than [`SHORTEST`] bytes.
    #[error("the secret has {0} bytes; at least {SHORTEST} are needed")]
    Short(usize),
    /// A placeholder, not a secret.
    #[error("the secret is one character repeated")]
    Repeated,
}

impl Secret {
    /// Takes the bytes over, so that this is the only copy of them.
    ///
    /// # Errors
    /// When there are fewer than [`SHORTEST`], or all are alike.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, WeakSecret> {
        let bytes = Zeroizing::new(bytes.into());
        if bytes.len() < SHORTEST {
            return Err(WeakSecret::Short(bytes.len()));
        }
        if is_one_character_repeated(&bytes) {
            return Err(WeakSecret::Repeated);
        }
        Ok(Self(Arc::new(bytes)))
    }

    /// The bytes themselves, for the one who signs or verifies with them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

fn is_one_character_repeated(bytes: &[u8]) -> bool {
    let first = std::str::from_utf8(bytes).ok().and_then(|text| text.chars().next());
    let mut characters = bytes.chunks(first.map_or(1, char::len_utf8));
    let first = characters.next();
    characters.all(|character| Some(character) == first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_is_refused_and_none_is_shown() {
        assert_eq!(Secret::new("").err(), Some(WeakSecret::Short(0)));
        let short = Secret::new("hunter2-hunter2-hunter2-hunter2").unwrap_err();
        assert_eq!(short.to_string(), "the secret has 31 bytes; at least 32 are needed");
        assert_eq!(Secret::new("é".repeat(40)).err(), Some(WeakSecret::Repeated));
        let secret = Secret::new("hunter2-hunter2-hunter2-hunter2-").unwrap();
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "… Some(…)");
    }
}
