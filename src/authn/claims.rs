//! What a token claims: names by dotted path, each of one JSON type, none of them twice.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Unauthenticated, json};
use crate::principal::{ModelAccess, RoleName, UserId};

/// How far the clocks of issuer and house may differ, in seconds.
pub const LEEWAY: f64 = 30.0;

const A_NAME: &str = "a name without control characters, of 1 to 256 bytes";
const NAMES: &str = "a name or a list of names, each of 1 to 256 bytes";
const MODELS: &str = "a list of model names";
const A_TIME: &str = "a number of seconds since 1970";

/// Where the claims that matter are found: top-level names, or dotted paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// The user id's; `sub` stands in where it is missing.
    pub user: String,
    /// The role's or roles'.
    pub role: String,
    /// The list of models'.
    pub model_access: String,
}

/// A token's claims, unbelieved until its signature is verified.
#[derive(Debug)]
pub struct Claims(Map<String, Value>);

/// Reads a payload.
///
/// # Errors
/// Anything but one JSON object in which, at any depth, no name occurs twice.
pub fn read(payload: &[u8]) -> Result<Claims, Unauthenticated> {
    json::object(payload).map(Claims).map_err(|_| Unauthenticated::NotAToken)
}

impl Claims {
    /// The user id: the claim of that name, or `sub` where there is none.
    ///
    /// # Errors
    /// Both missing, or not a [`UserId`].
    pub fn user(&self, name: &str) -> Result<UserId, Unauthenticated> {
        let (name, value) = match self.find(name)? {
            Some(value) => (name, value),
            None => ("sub", self.0.get("sub").ok_or_else(|| Unauthenticated::NoClaim(name.into()))?),
        };
        value.as_str().and_then(UserId::new).ok_or_else(|| wrong(name, A_NAME))
    }

    /// The roles, in the token's order and without repeats. A text with commas or spaces in it is one name.
    ///
    /// # Errors
    /// Neither a name nor a list of names.
    pub fn roles(&self, name: &str) -> Result<Vec<RoleName>, Unauthenticated> {
        let mut roles = Vec::new();
        for text in self.texts(name, NAMES)? {
            let role = RoleName::new(text).ok_or_else(|| wrong(name, NAMES))?;
            if !roles.contains(&role) {
                roles.push(role);
            }
        }
        Ok(roles)
    }

    /// The models that the token opens; a missing claim opens none.
    ///
    /// # Errors
    /// Neither a text nor a list of texts.
    pub fn model_access(&self, name: &str) -> Result<ModelAccess, Unauthenticated> {
        self.texts(name, MODELS).map(ModelAccess::new)
    }

    /// Checks `exp`, `nbf` and `iat` against the wall clock, and returns `exp`; all in seconds since 1970.
    ///
    /// # Errors
    /// `exp` missing, any of them not a number, or the time is not within them by [`LEEWAY`].
    pub fn timely(&self, now: f64) -> Result<f64, Unauthenticated> {
        let expiry = self.time("exp")?.ok_or_else(|| Unauthenticated::NoClaim("exp".into()))?;
        if now >= expiry + LEEWAY {
            return Err(Unauthenticated::Expired(seconds(now - expiry)));
        }
        if let Some(start) = self.time("nbf")?.filter(|start| *start > now + LEEWAY) {
            return Err(Unauthenticated::NotYet(seconds(start - now)));
        }
        if let Some(issued) = self.time("iat")?.filter(|issued| *issued > now + LEEWAY) {
            return Err(Unauthenticated::IssuedLater(seconds(issued - now)));
        }
        Ok(expiry)
    }

    /// `iss`, where there is one.
    ///
    /// # Errors
    /// Not a text; a list is not one either.
    pub fn issuer(&self) -> Result<Option<&str>, Unauthenticated> {
        match self.0.get("iss") {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or_else(|| wrong("iss", "a text")),
        }
    }

    /// Whether `aud` names this audience, alone or in a list.
    ///
    /// # Errors
    /// `aud` missing, of another type, or without it.
    pub fn meant_for(&self, audience: &str) -> Result<(), Unauthenticated> {
        if !self.0.contains_key("aud") {
            return Err(Unauthenticated::NoClaim("aud".into()));
        }
        let named = texts_of(self.0.get("aud"), "aud", "a text or a list of texts")?;
        if named.contains(&audience) { Ok(()) } else { Err(Unauthenticated::Audience) }
    }

    /// `jti`, where it is a text of 1 to 128 characters.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.0.get("jti").and_then(Value::as_str).filter(|id| id.chars().count() <= 128)
    }

    fn texts(&self, name: &str, expected: &'static str) -> Result<Vec<&str>, Unauthenticated> {
        texts_of(self.find(name)?, name, expected)
    }

    fn time(&self, name: &str) -> Result<Option<f64>, Unauthenticated> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(|| wrong(name, A_TIME)),
        }
    }

    /// A top-level claim of exactly that name (identity providers use URLs as names), else the end of the path.
    fn find(&self, name: &str) -> Result<Option<&Value>, Unauthenticated> {
        if let Some(value) = self.0.get(name) {
            return Ok(Some(value));
        }
        let mut steps = name.split('.');
        let mut here = steps.next().and_then(|first| self.0.get(first));
        for step in steps {
            let Some(value) = here else { return Ok(None) };
            here = value.as_object().ok_or_else(|| wrong(name, "at the end of a path of objects"))?.get(step);
        }
        Ok(here)
    }
}

fn texts_of<'a>(
    value: Option<&'a Value>,
    name: &str,
    expected: &'static str,
) -> Result<Vec<&'a str>, Unauthenticated> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(list)) => {
            list.iter().map(|item| item.as_str().ok_or_else(|| wrong(name, expected))).collect()
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            Err(wrong(name, expected))
        }
    }
}

fn wrong(claim: &str, expected: &'static str) -> Unauthenticated {
    Unauthenticated::Claim { claim: claim.into(), expected }
}

fn seconds(span: f64) -> Duration {
    Duration::try_from_secs_f64(span).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests;
