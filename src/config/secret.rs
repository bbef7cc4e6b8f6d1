//! A shared secret that does not show itself.

use std::fmt;

use zeroize::Zeroizing;

/// At least 32 bytes, not all alike; `Debug` prints `…`, and the memory is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// Why a secret is not taken. It never tells the secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakSecret {
    /// RFC 7518 section 3.2: an HS256 key has at least the 256 bits of the hash.
    #[error("the secret has {0} bytes; at least 32 are needed")]
    Short(usize),
    /// A placeholder, not a secret.
    #[error("the secret is one character repeated")]
    Repeated,
}

impl Secret {
    /// Takes the bytes as they are.
    ///
    /// # Errors
    /// When they are fewer than 32 or all alike.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, WeakSecret> {
        let bytes = Zeroizing::new(bytes.into());
        if bytes.len() < 32 {
            return Err(WeakSecret::Short(bytes.len()));
        }
        if is_one_character_repeated(&bytes) {
            return Err(WeakSecret::Repeated);
        }
        Ok(Self(bytes))
    }

    /// The bytes, for making a verifier or a signer of them.
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
    let width =
        std::str::from_utf8(bytes).ok().and_then(|text| text.chars().next()).map_or(1, char::len_utf8);
    let mut characters = bytes.chunks(width);
    let first = characters.next();
    characters.all(|character| Some(character) == first)
}
