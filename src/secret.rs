//! A secret that never shows itself in a log and is wiped when it is no longer needed.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// The fewest bytes of an HS256 secret: as many as its hash has (RFC 7518 section 3.2).
pub const SHORTEST: usize = 32;

/// Secret bytes. `Debug` prints `…`; there is no `Display` and no comparison.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

/// A secret of fewer than [`SHORTEST`] bytes; says how many it has, and nothing else of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("secret has {0} bytes, and at least {SHORTEST} are needed")]
pub struct WeakSecret(usize);

impl Secret {
    /// Takes the bytes over, so that this is the only copy of them.
    ///
    /// # Errors
    /// When there are fewer than [`SHORTEST`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, WeakSecret> {
        let bytes = Zeroizing::new(bytes.into());
        if bytes.len() < SHORTEST {
            return Err(WeakSecret(bytes.len()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_is_refused_and_none_is_shown() {
        assert_eq!(Secret::new("").err(), Some(WeakSecret(0)));
        let short = Secret::new("hunter2-hunter2-hunter2-hunter2").unwrap_err();
        assert_eq!(short.to_string(), "secret has 31 bytes, and at least 32 are needed");
        let secret = Secret::new("hunter2-hunter2-hunter2-hunter2-").unwrap();
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "… Some(…)");
    }
}
