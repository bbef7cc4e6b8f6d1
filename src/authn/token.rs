//! A token taken apart (RFC 7515 section 7.1), before anything of it is believed.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::claims::{self, Claims};
use super::{Unauthenticated, credential, json};
use crate::secret::Hidden;

/// An unverified token whose parts could be read.
pub struct Token<'a> {
    /// What its header says of algorithm and key.
    pub header: Header,
    /// Its claims, not yet believed.
    pub claims: Claims,
    /// What was signed: both parts and the dot between them.
    pub(super) message: &'a str,
    /// The signature in base64url.
    pub(super) signature: &'a str,
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("header", &self.header).field("rest", &Hidden).finish()
    }
}

/// The fields of a header that count. Embedded keys and links to keys (`jwk`, `jku`, `x5c`, `x5u`) are not looked at.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    /// `alg`, as the token spells it.
    pub algorithm: Box<str>,
    /// `kid`
    pub key: Option<Box<str>>,
}

/// What a token says of itself, for a person to look at; nothing of it is verified.
#[derive(Debug)]
pub struct Inspection {
    /// The whole header.
    pub header: Map<String, Value>,
    /// All claims.
    pub claims: Map<String, Value>,
}

/// Takes a token apart and checks the shape of its header.
///
/// # Errors
/// A text that is not three base64url parts, duplicate names, a header with `crit` or of a foreign `typ`.
pub fn read(text: &str) -> Result<Token<'_>, Unauthenticated> {
    let (header, payload, signature) = parts(text)?;
    let header = Header::read(&object(header)?)?;
    let claims = claims::read(&decode(payload)?)?;
    let message = text.get(..text.len() - signature.len() - 1).ok_or(Unauthenticated::NotAToken)?;
    Ok(Token { header, claims, message, signature })
}

/// Takes a token apart without any judgement of what its header or claims say.
///
/// # Errors
/// A text that is not a JWT.
pub fn inspect(text: &str) -> Result<Inspection, Unauthenticated> {
    let (header, payload, _) = parts(text)?;
    Ok(Inspection { header: object(header)?, claims: object(payload)? })
}

impl Header {
    fn read(fields: &Map<String, Value>) -> Result<Self, Unauthenticated> {
        if fields.contains_key("crit") {
            return Err(Unauthenticated::Critical);
        }
        let text = |name: &str| match fields.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(Unauthenticated::NotAToken),
        };
        let known = |typ: &str| typ.eq_ignore_ascii_case("jwt") || typ.eq_ignore_ascii_case("at+jwt");
        if !text("typ")?.is_none_or(known) {
            return Err(Unauthenticated::Type);
        }
        let algorithm = text("alg")?.ok_or(Unauthenticated::NotAToken)?.into();
        Ok(Self { algorithm, key: text("kid")?.map(Into::into) })
    }
}

fn parts(text: &str) -> Result<(&str, &str, &str), Unauthenticated> {
    credential::sound(text)?;
    let mut parts = text.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(payload), Some(signature), None) => Ok((header, payload, signature)),
        _ => Err(Unauthenticated::NotAToken),
    }
}

fn object(part: &str) -> Result<Map<String, Value>, Unauthenticated> {
    json::object(&decode(part)?).map_err(|_| Unauthenticated::NotAToken)
}

fn decode(part: &str) -> Result<Vec<u8>, Unauthenticated> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Unauthenticated::NotAToken)
}
