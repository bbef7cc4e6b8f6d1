//! Who is asking? A credential becomes a [`Principal`], or a 401 with a sentence that a person understands.

mod issue;
mod issuer;
mod json;
mod keys;
mod memory;
mod provider;
mod refusal;
mod source;
mod strangers;

pub mod claims;
pub mod credential;
pub mod token;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use http::HeaderMap;
use tokio::sync::Semaphore;
use url::Url;

pub use claims::ClaimNames;
pub use issue::{IssueClaims, IssueError, issue};
pub use keys::KeySetError;
pub use refusal::Unauthenticated;
pub use token::{Inspection, inspect};

use crate::clock::Clock;
use crate::outbound::ClientError;
use crate::principal::{Principal, TokenId};
use crate::secret::Secret;
use issuer::Issuer;
use memory::{Memory, Ticket};
use source::{Source, Version};
use strangers::{REFUSALS, Strangers, TOKENS};

/// What this room needs of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// At least one; each with its own `issuer` if there are several.
    pub issuers: Vec<IssuerSettings>,
    /// The claim of the user id, as a name or a dotted path.
    pub user_claim: String,
    /// The claim of the roles.
    pub role_claim: String,
    /// The claim of the models.
    pub model_access_claim: String,
}

impl Settings {
    /// The first secret that is shared with whoever issues tokens, and so by all instances.
    #[must_use]
    pub fn shared_secret(&self) -> Option<&Secret> {
        self.issuers.iter().find_map(|issuer| match &issuer.key {
            KeySource::Hs256(secret) => Some(secret),
            KeySource::JwksFile(_) | KeySource::JwksUrl(_) => None,
        })
    }
}

/// One issuer, and what it may vouch for.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// The `iss` that its tokens must have; none asks for none.
    pub issuer: Option<String>,
    /// The `aud` that its tokens must name; none asks for none.
    pub audience: Option<String>,
    /// What its tokens are verified with.
    pub key: KeySource,
    /// Patterns of the users that it may vouch for (`*` is any run of characters); none means any.
    pub users: Vec<String>,
    /// The roles that it may give, exactly; none means any.
    pub roles: Vec<String>,
}

/// Where an issuer's keys come from; it decides the algorithms, the token does not.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// HS256 and nothing else.
    Hs256(Secret),
    /// A JWKS file, read again within a second of a change.
    JwksFile(PathBuf),
    /// An identity provider's JWKS, fetched at first use and every 300 s.
    JwksUrl(Url),
}

/// Why authentication cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing to verify tokens with.
    #[error("no key to verify tokens with is configured")]
    NoIssuer,
    /// A claim without a name.
    #[error("the name of a claim is empty")]
    EmptyClaimName,
    /// One of several issuers, counted from 1, that no token could be told to be of.
    #[error("issuer {0} of several has no `issuer`")]
    UnnamedIssuer(usize),
    /// Two issuers of one name.
    #[error("issuer `{0}` is configured twice")]
    SameIssuer(String),
    /// Two issuers could vouch for the same user.
    #[error("users `{0}` of one issuer overlap with `{1}` of another")]
    OverlappingUsers(String, String),
    /// A JWKS file that cannot be read.
    #[error("cannot read keys from `{}`", path.display())]
    ReadKeys {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A JWKS file that is none, or without a usable key.
    #[error("cannot use the keys in `{}`", path.display())]
    BadKeys {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeySetError,
    },
    /// A JWKS URL (its host is named) that is not http or https, or carries a password.
    #[error("the JWKS URL of host `{0}` must be http or https and hold no user and password")]
    KeysUrl(String),
    /// The machine's random source failed.
    #[error("the machine gives no random bytes")]
    NoRandomness,
    /// No client to fetch keys with.
    #[error("cannot fetch keys")]
    Client(#[from] ClientError),
}

/// Turns credentials into principals. Needs a tokio runtime; to be shared in an `Arc`.
pub struct Authenticator {
    issuers: Vec<Issuer>,
    names: ClaimNames,
    clock: Clock,
    version: Version,
    memory: Memory,
    failed: Strangers,
    refused: Strangers,
    held_back: Semaphore,
    token_names: hmac::Key,
}

/// How long the 401 of a flood is held back, and of how many requests.
const HELD_BACK: Duration = Duration::from_millis(500);
const MOST_HELD_BACK: usize = 1_000;

/// Chooses the cryptography of the JWT library, which would otherwise panic if a second one were ever linked in.
/// To be called first thing in `main`; calling it again does nothing.
pub fn install_crypto() {
    // An `Err` says that one is installed already, which is what was wanted.
    if jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default().is_err() {
        tracing::trace!("the JWT library's cryptography was chosen before");
    }
}

impl Settings {
    /// Every mistake that shows without reading a file or asking anybody.
    #[must_use]
    pub fn mistakes(&self) -> Vec<StartError> {
        issuer::mistakes(self)
    }

    /// The names of the claims.
    #[must_use]
    pub fn claim_names(&self) -> ClaimNames {
        ClaimNames {
            user: self.user_claim.clone(),
            role: self.role_claim.clone(),
            model_access: self.model_access_claim.clone(),
        }
    }
}

impl Authenticator {
    /// Reads JWKS files now; JWKS URLs are fetched at first use.
    ///
    /// # Errors
    /// The first of [`Settings::mistakes`], or a JWKS file that is unreadable or has no usable key.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, StartError> {
        if let Some(mistake) = settings.mistakes().into_iter().next() {
            return Err(mistake);
        }
        let version = Version::default();
        let names = settings.claim_names();
        let open = |written: IssuerSettings| {
            let IssuerSettings { issuer: name, audience, key, users, roles } = written;
            let source = Source::open(key, &clock, &version)?;
            Ok(Issuer { name, audience, source, users, roles })
        };
        let issuers = settings.issuers.into_iter().map(open).collect::<Result<_, StartError>>()?;
        let token_names = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let token_names = token_names.map_err(|_| StartError::NoRandomness)?;
        Ok(Self {
            issuers,
            names,
            version,
            memory: Memory::new(),
            failed: Strangers::new(clock.clone(), TOKENS),
            refused: Strangers::new(clock.clone(), REFUSALS),
            held_back: Semaphore::new(MOST_HELD_BACK),
            clock,
            token_names,
        })
    }

    /// The caller of a request with these headers, which came from the network `from`.
    ///
    /// # Errors
    /// Whatever is not exactly one credential with a token that holds in every respect. Where too many tokens of a
    /// network did not hold, only one that held before is looked at.
    pub async fn identify(
        &self,
        headers: &HeaderMap,
        from: IpAddr,
    ) -> Result<Arc<Principal>, Unauthenticated> {
        let token = credential::read(headers)?;
        for issuer in &self.issuers {
            issuer.source.tend().await;
        }
        let ticket = Ticket::new(&token, self.version.now());
        if let Some(principal) = self.memory.recall(&ticket, self.now()) {
            return Ok(principal);
        }
        if let Some(why) = self.memory.recall_refusal(&ticket, self.now()) {
            return Err(why);
        }
        if !self.failed.is_forgiven(from) && !self.memory.is_familiar(&ticket) {
            return Err(Unauthenticated::TooMany);
        }
        match self.verify(&token).await {
            Ok((principal, expiry)) => {
                self.memory.keep(ticket, &principal, self.now(), expiry);
                Ok(principal)
            }
            Err(why) => {
                if why.is_strange() {
                    self.failed.note(from);
                }
                if why.lasts() {
                    self.memory.keep_refusal(ticket, &why, self.now());
                }
                Err(why)
            }
        }
    }

    /// To be waited for before a network is told that it was refused: ends at once, unless it was refused so often that it
    /// does little else.
    pub async fn hold_back(&self, from: IpAddr) {
        self.refused.note(from);
        if !self.refused.is_forgiven(from)
            && let Ok(_place) = self.held_back.try_acquire()
        {
            tokio::time::sleep(HELD_BACK).await;
        }
    }

    /// The principal of a bare token, verified anew: for `sekisho token inspect`.
    ///
    /// # Errors
    /// As [`Authenticator::identify`].
    pub async fn judge(&self, token: &str) -> Result<Arc<Principal>, Unauthenticated> {
        self.verify(token).await.map(|(principal, _)| principal)
    }

    /// What readiness waits for: the keys of a provider that has not been reached yet. Asking begins to fetch them.
    pub fn waiting_for(&self) -> Option<String> {
        self.issuers.iter().find_map(|issuer| issuer.source.waiting_for())
    }

    async fn verify(&self, text: &str) -> Result<(Arc<Principal>, f64), Unauthenticated> {
        let token = token::read(text)?;
        let issuer = Issuer::of(&self.issuers, token.claims.issuer()?)?;
        issuer.source.find(&token.header).await?.verify(&token)?;
        let expiry = token.claims.timely(self.now())?;
        if let Some(audience) = &issuer.audience {
            token.claims.meant_for(audience)?;
        }
        let user = token.claims.user(&self.names.user)?;
        issuer.vouches_for(&user)?;
        let mut roles = token.claims.roles(&self.names.role)?;
        roles.retain(|role| issuer.may_give(role));
        let models = token.claims.model_access(&self.names.model_access)?;
        let token = self.name_of(&token, text)?;
        Ok((Arc::new(Principal { user, roles, models, token }), expiry))
    }

    fn name_of(&self, token: &token::Token<'_>, text: &str) -> Result<TokenId, Unauthenticated> {
        if let Some(id) = token.claims.token_id().and_then(TokenId::new) {
            return Ok(id);
        }
        let tag = hmac::sign(&self.token_names, text.as_bytes());
        let hex: String = tag.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        TokenId::new(&hex).ok_or(Unauthenticated::NotAToken)
    }

    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit 53 bits for 280,000 years")]
    fn now(&self) -> f64 {
        self.clock.now().as_millisecond() as f64 / 1000.0
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
