//! The name of one request, in answers, in the record and towards MLflow.

use std::fmt;

use http::HeaderValue;
use uuid::Uuid;

/// The header that carries a [`RequestId`] both ways.
pub const X_REQUEST_ID: http::HeaderName = http::HeaderName::from_static("x-request-id");

const LONGEST_KEPT: usize = 64;

/// A caller's own `X-Request-Id` where it is a plain token of at most 64 characters, else a new UUIDv7.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// A fresh UUIDv7 (RFC 9562 section 5.7).
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7().to_string().into_boxed_str())
    }

    /// Keeps what the caller sent if it cannot be mistaken for anything else in a log, else makes one.
    #[must_use]
    pub fn kept_or_new(sent: Option<&HeaderValue>) -> Self {
        sent.and_then(|value| value.to_str().ok())
            .filter(|text| !text.is_empty() && text.len() <= LONGEST_KEPT && text.bytes().all(is_plain))
            .map_or_else(Self::new, |text| Self(text.into()))
    }

    /// The id as a header's value.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        HeaderValue::try_from(&*self.0).unwrap_or_else(|_| HeaderValue::from_static("unwritable"))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sent: &'static str, kept: bool) {
        let id = RequestId::kept_or_new(Some(&HeaderValue::from_static(sent)));
        assert_eq!(id.as_str() == sent, kept, "{sent:?} became {id}");
    }

    #[test]
    fn only_plain_short_tokens_are_kept() {
        check("0198c0de-aaaa-7bbb-8ccc-000000000001", true);
        check("job:42.retry_1", true);
        check("", false);
        check("two words", false);
        check("a\"b", false);
        check("0123456789012345678901234567890123456789012345678901234567890123456789", false);
    }
}
