//! Seals what a caller keeps for us: it tells nothing, cannot be changed, and is good for one purpose alone.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// No key could be made, or nothing sealed with it: the system has no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a page token cannot be made")]
pub struct KeyError;

/// Seals and opens.
#[derive(Debug)]
pub struct Seal(RandomizedNonceKey);

/// Bytes that a sealed text has beyond what is in it.
pub const AROUND: usize = NONCE_LEN + 16;

impl Seal {
    /// The key that every instance with this secret has for this purpose; without a secret, one that dies with this process.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn new(secret: Option<&Secret>, purpose: &[u8]) -> Result<Self, KeyError> {
        let mut key = Zeroizing::new([0_u8; 32]);
        match secret {
            Some(secret) => {
                let derived = Salt::new(HKDF_SHA256, b"sekisho").extract(secret.expose());
                let info = [purpose];
                let derived = derived.expand(&info, HKDF_SHA256).map_err(|Unspecified| KeyError)?;
                derived.fill(&mut *key).map_err(|Unspecified| KeyError)?;
            }
            None => rand::fill(&mut *key).map_err(|Unspecified| KeyError)?,
        }
        Ok(Self(RandomizedNonceKey::new(&AES_256_GCM, &*key).map_err(|Unspecified| KeyError)?))
    }

    /// A text that only this key opens, and only together with the same `bound`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn close(&self, mut bytes: Vec<u8>, bound: &[u8]) -> Result<String, KeyError> {
        let nonce =
            self.0.seal_in_place_append_tag(Aad::from(bound), &mut bytes).map_err(|Unspecified| KeyError)?;
        let mut whole = nonce.as_ref().to_vec();
        whole.append(&mut bytes);
        Ok(URL_SAFE_NO_PAD.encode(whole))
    }

    /// What was sealed, or nothing: whatever is wrong is not told.
    #[must_use]
    pub fn open(&self, text: &str, bound: &[u8]) -> Option<Vec<u8>> {
        let whole = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = whole.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        self.0.open_in_place(nonce, Aad::from(bound), &mut sealed).ok().map(|opened| opened.to_vec())
    }
}

/// Parts as bytes, each with its length before it, so that no two lists of parts have the same bytes.
pub fn write_parts<'p>(out: &mut Vec<u8>, parts: impl IntoIterator<Item = &'p str>) {
    for part in parts {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part.as_bytes());
    }
}
