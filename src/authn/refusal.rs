//! Why a caller is a stranger: each reason with its sentence, none with any text of the token.

use std::time::Duration;

use crate::clock::in_words;

/// A 401. `Display` is the sentence for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// No `Authorization` header.
    #[error("no credential: send the token as `Authorization: Bearer`, or as the password of Basic")]
    Missing,
    /// Two headers, or a list in one.
    #[error("more than one credential was sent")]
    Doubled,
    /// A header that is not one of the two forms.
    #[error("the Authorization header cannot be read")]
    Unreadable,
    /// Digest, Negotiate and so on.
    #[error("the scheme of the Authorization header is neither Bearer nor Basic")]
    Scheme,
    /// A scheme without a token, or Basic without a password.
    #[error("the credential holds no token; with Basic, the token is the password")]
    Empty,
    /// Longer than [`super::credential::LONGEST_TOKEN`].
    #[error("token is longer than {} bytes", super::credential::LONGEST_TOKEN)]
    TooLong,
    /// Not three base64url parts of which the first two are JSON objects.
    #[error("token is not a signed JWT, or says something twice")]
    NotAToken,
    /// A header with `crit` (RFC 7515 section 4.1.11).
    #[error("token's header has critical extensions, of which none is understood")]
    Critical,
    /// A `typ` that is neither JWT nor at+jwt (RFC 8725 section 3.11).
    #[error("token's header names a type other than JWT or at+jwt")]
    Type,
    /// Not the algorithm of the key.
    #[error("token is signed with an algorithm that the configured key is not for")]
    Algorithm,
    /// A `kid` that the key set lacks.
    #[error("token is signed with a key that is not known here")]
    UnknownKey,
    /// No `kid`, and more than one key fits; or several keys of that `kid`.
    #[error("token does not say which of several keys it is signed with")]
    AmbiguousKey,
    /// The key set has never been fetched.
    #[error("keys of the identity provider are not available")]
    NoKeys,
    /// The signature is not the key's.
    #[error("token's signature does not verify")]
    Signature,
    /// An `iss` that no configured issuer has.
    #[error("token's issuer is not one that is trusted here")]
    Issuer,
    /// An `aud` without the configured audience.
    #[error("token is meant for another audience")]
    Audience,
    /// A claim that must be there.
    #[error("token has no claim `{0}`")]
    NoClaim(Box<str>),
    /// A claim of the wrong JSON type, or with a value that cannot be one.
    #[error("token's claim `{claim}` must be {expected}")]
    Claim {
        /// The claim's configured name.
        claim: Box<str>,
        /// What it must be.
        expected: &'static str,
    },
    /// `exp` lies back further than the leeway.
    #[error("token expired {} ago", in_words(*.0))]
    Expired(Duration),
    /// `nbf` lies ahead further than the leeway.
    #[error("token is not valid for another {}", in_words(*.0))]
    NotYet(Duration),
    /// `iat` lies ahead further than the leeway.
    #[error("token says it was issued {} from now", in_words(*.0))]
    IssuedLater(Duration),
    /// The issuer's `users` patterns do not cover the user.
    #[error("token's issuer may not vouch for this user")]
    NotVouchedFor,
    /// More tokens of the caller's network failed than are looked at, and this one is not known.
    #[error(
        "too many tokens from your address did not hold; one that is not known here has to wait a moment"
    )]
    TooMany,
}

impl Unauthenticated {
    /// Whether the token cannot be from any issuer as things are: what a stranger would send who guesses.
    pub(super) fn is_strange(&self) -> bool {
        match self {
            Self::NotAToken
            | Self::Critical
            | Self::Type
            | Self::Algorithm
            | Self::AmbiguousKey
            | Self::Signature
            | Self::Issuer => true,
            Self::Missing
            | Self::Doubled
            | Self::Unreadable
            | Self::Scheme
            | Self::Empty
            | Self::TooLong
            | Self::UnknownKey
            | Self::NoKeys
            | Self::Audience
            | Self::NoClaim(_)
            | Self::Claim { .. }
            | Self::Expired(_)
            | Self::NotYet(_)
            | Self::IssuedLater(_)
            | Self::NotVouchedFor
            | Self::TooMany => false,
        }
    }

    /// Whether it will be the same tomorrow, under the same keys.
    pub(super) fn lasts(&self) -> bool {
        let of_claims = matches!(
            self,
            Self::Audience | Self::NoClaim(_) | Self::Claim { .. } | Self::Expired(_) | Self::NotVouchedFor
        );
        of_claims || self.is_strange()
    }
}
