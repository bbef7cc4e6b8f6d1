//! Tokens that sekisho makes itself, for a house without an identity provider.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::claims::ClaimNames;
use super::credential::LONGEST_TOKEN;
use crate::clock::Clock;
use crate::principal::{RoleName, UserId};
use crate::secret::Secret;

/// What a new token is to say.
#[derive(Clone, Debug)]
pub struct IssueClaims {
    /// The user.
    pub user: UserId,
    /// The roles; none leaves the claim out.
    pub roles: Vec<RoleName>,
    /// Names and patterns of models; none leaves the claim out.
    pub model_access: Vec<String>,
    /// From now to `exp`, in whole seconds.
    pub ttl: Duration,
    /// `iss`, where one is configured.
    pub issuer: Option<String>,
    /// `aud`, where one is configured.
    pub audience: Option<String>,
    /// The configured names of the claims; a dotted one is written as one top-level name, which is read first.
    pub names: ClaimNames,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// It would have expired at once, or after the end of time.
    #[error("a token cannot last {} s", .0.as_secs())]
    Ttl(Duration),
    /// Two claims are configured under one name, or under one that JWT keeps for itself.
    #[error("claim `{0}` is configured twice or reserved")]
    ClaimName(String),
    /// Longer than the gate would read.
    #[error("token would have {0} bytes, and at most {LONGEST_TOKEN} are read")]
    TooLong(usize),
    /// The signing itself.
    #[error("cannot sign")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// An HS256 token with a UUIDv7 as `jti`, `iat` and `exp`.
///
/// # Errors
/// A time to live that is none, claims that collide, or too many of them.
pub fn issue(secret: &Secret, claims: &IssueClaims, clock: &Clock) -> Result<String, IssueError> {
    let now = clock.unix_seconds();
    let expiry = i64::try_from(claims.ttl.as_secs()).ok().filter(|ttl| *ttl > 0);
    let expiry = expiry.and_then(|ttl| now.checked_add(ttl)).ok_or(IssueError::Ttl(claims.ttl))?;
    let mut payload = Map::new();
    payload.insert("jti".to_owned(), Uuid::now_v7().to_string().into());
    payload.insert("iat".to_owned(), now.into());
    payload.insert("exp".to_owned(), expiry.into());
    payload.extend(claims.issuer.as_deref().map(|issuer| ("iss".to_owned(), issuer.into())));
    payload.extend(claims.audience.as_deref().map(|audience| ("aud".to_owned(), audience.into())));
    let roles = match claims.roles.as_slice() {
        [only] => only.as_str().into(),
        several => several.iter().map(RoleName::as_str).collect::<Value>(),
    };
    let models: Value = claims.model_access.iter().map(String::as_str).collect();
    for (name, value) in [
        (&claims.names.user, Some(claims.user.as_str().into())),
        (&claims.names.role, Some(roles).filter(|_| !claims.roles.is_empty())),
        (&claims.names.model_access, Some(models).filter(|_| !claims.model_access.is_empty())),
    ] {
        if let Some(value) = value
            && (payload.insert(name.clone(), value).is_some() || name == "nbf")
        {
            return Err(IssueError::ClaimName(name.clone()));
        }
    }
    let key = EncodingKey::from_secret(secret.expose());
    let token =
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &payload, &key).map_err(IssueError::Sign)?;
    if token.len() > LONGEST_TOKEN { Err(IssueError::TooLong(token.len())) } else { Ok(token) }
}
