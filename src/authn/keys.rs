//! Keys that tokens are verified with. Each is for one algorithm, which the key decides and never the token.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::Value;

use super::token::{Header, Token};
use super::{Unauthenticated, json};
use crate::secret::Secret;

/// Moduli that are accepted, in bits (NIST SP 800-131A; the upper end is what aws-lc verifies).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The keys of one issuer at one moment.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Arc<Key>>);

/// One key and the one algorithm that it is for.
#[derive(Debug)]
pub(super) struct Key {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// Why a document is not a key set.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// Not JSON, a name twice, or no list `keys` (RFC 7517 section 5).
    #[error("not a JSON Web Key Set")]
    NotAKeySet,
    /// Nothing in it that a signature could be verified with.
    #[error(
        "no usable key among {0}: RSA of at least 2048 bits, P-256, P-384 and Ed25519 keys for signatures are"
    )]
    NoUsableKey(usize),
}

impl KeySet {
    /// The one key of an HS256 secret.
    pub(super) fn of_secret(secret: &Secret) -> Self {
        let key = DecodingKey::from_secret(secret.expose());
        Self(vec![Arc::new(Key { id: None, algorithm: Algorithm::HS256, key })])
    }

    /// The usable keys of a JWKS document; others (symmetric, for encryption, weak, unknown) are passed over.
    pub(super) fn of_jwks(document: &[u8]) -> Result<Self, KeySetError> {
        let mut document = json::object(document).map_err(|_| KeySetError::NotAKeySet)?;
        let Some(Value::Array(written)) = document.remove("keys") else {
            return Err(KeySetError::NotAKeySet);
        };
        let count = written.len();
        let usable: Vec<_> = written.into_iter().filter_map(Key::of_jwk).map(Arc::new).collect();
        if usable.is_empty() { Err(KeySetError::NoUsableKey(count)) } else { Ok(Self(usable)) }
    }

    /// The only key that the header can mean.
    pub(super) fn find(&self, header: &Header) -> Result<Arc<Key>, Unauthenticated> {
        let algorithm = header.algorithm.parse::<Algorithm>().map_err(|_| Unauthenticated::Algorithm)?;
        let named = |key: &&Arc<Key>| {
            header.key.is_none() || key.algorithm == Algorithm::HS256 || key.id == header.key
        };
        if !self.0.iter().any(|key| named(&key)) {
            return Err(Unauthenticated::UnknownKey);
        }
        let mut fitting = self.0.iter().filter(named).filter(|key| key.algorithm == algorithm);
        match (fitting.next(), fitting.next()) {
            (None, _) => Err(Unauthenticated::Algorithm),
            (Some(only), None) => Ok(Arc::clone(only)),
            (Some(_), Some(_)) => Err(Unauthenticated::AmbiguousKey),
        }
    }
}

impl Key {
    /// Whether the token's signature is this key's.
    pub(super) fn verify(&self, token: &Token<'_>) -> Result<(), Unauthenticated> {
        let verified = jsonwebtoken::crypto::verify(
            token.signature,
            token.message.as_bytes(),
            &self.key,
            self.algorithm,
        );
        if verified == Ok(true) { Ok(()) } else { Err(Unauthenticated::Signature) }
    }

    fn of_jwk(written: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(written).ok()?;
        let signs = jwk.common.public_key_use.as_ref().is_none_or(|use_| *use_ == PublicKeyUse::Signature);
        let operations = jwk.common.key_operations.as_ref();
        if !signs || !operations.is_none_or(|all| all.contains(&KeyOperations::Verify)) {
            return None;
        }
        let natural = natural_algorithm(&jwk.algorithm)?;
        let algorithm = match jwk.common.key_algorithm {
            None => natural,
            Some(named) => Algorithm::try_from(named).ok().filter(|named| {
                *named == natural || (natural == Algorithm::RS256 && named.family() == AlgorithmFamily::Rsa)
            })?,
        };
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { id: jwk.common.key_id.map(Into::into), algorithm, key })
    }
}

/// The algorithm of a key that does not name one itself, if its kind and size are acceptable at all.
fn natural_algorithm(parameters: &AlgorithmParameters) -> Option<Algorithm> {
    match parameters {
        AlgorithmParameters::RSA(rsa) => RSA_BITS.contains(&bits(&rsa.n)?).then_some(Algorithm::RS256),
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            (bytes(&ec.x)? == 32 && bytes(&ec.y)? == 32).then_some(Algorithm::ES256)
        }
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => {
            (bytes(&ec.x)? == 48 && bytes(&ec.y)? == 48).then_some(Algorithm::ES384)
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (bytes(&pair.x)? == 32).then_some(Algorithm::EdDSA)
        }
        AlgorithmParameters::EllipticCurve(_)
        | AlgorithmParameters::OctetKeyPair(_)
        | AlgorithmParameters::OctetKey(_)
        | AlgorithmParameters::Other(_)
        | _ => None,
    }
}

fn bytes(encoded: &str) -> Option<usize> {
    URL_SAFE_NO_PAD.decode(encoded).ok().map(|raw| raw.len())
}

fn bits(encoded: &str) -> Option<usize> {
    let raw = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let significant = raw.iter().position(|byte| *byte != 0)?;
    let first = *raw.get(significant)?;
    Some((raw.len() - significant) * 8 - usize::try_from(first.leading_zeros()).ok()?)
}

#[cfg(test)]
mod tests;
