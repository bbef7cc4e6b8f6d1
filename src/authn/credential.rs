//! The one credential of a request: `Authorization: Bearer <token>`, or Basic with the token as the password.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::Unauthenticated;

/// The most bytes of a token.
pub const LONGEST_TOKEN: usize = 8 * 1024;

/// A token's bytes in base64 and a user name of any sensible length.
const LONGEST_BASIC: usize = (LONGEST_TOKEN + 1024) / 3 * 4;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The token that the request carries, in the alphabet of a JWT. No other header and no query is looked at.
///
/// # Errors
/// Anything but exactly one readable credential.
pub fn read(headers: &HeaderMap) -> Result<Cow<'_, str>, Unauthenticated> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let only = sent.next().ok_or(Unauthenticated::Missing)?;
    if sent.next().is_some() {
        return Err(Unauthenticated::Doubled);
    }
    let text = only.to_str().map_err(|_| Unauthenticated::Unreadable)?.trim_matches([' ', '\t']);
    if text.is_empty() {
        return Err(Unauthenticated::Empty);
    }
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim_start_matches(' ');
    let bearer = scheme.eq_ignore_ascii_case("bearer");
    if !bearer && !scheme.eq_ignore_ascii_case("basic") {
        return Err(Unauthenticated::Scheme);
    }
    if rest.contains(',') {
        return Err(Unauthenticated::Doubled);
    }
    if rest.contains([' ', '\t']) {
        return Err(Unauthenticated::Unreadable);
    }
    let token = if bearer { Cow::Borrowed(rest) } else { Cow::Owned(password(rest)?) };
    sound(&token)?;
    Ok(token)
}

/// Whether a text could be a token at all: not empty, not too long, base64url and dots.
pub(super) fn sound(token: &str) -> Result<(), Unauthenticated> {
    if token.is_empty() {
        return Err(Unauthenticated::Empty);
    }
    if token.len() > LONGEST_TOKEN {
        return Err(Unauthenticated::TooLong);
    }
    // Without a branch for each byte, of which every request has hundreds.
    let all = token.bytes().fold(true, |all, byte| all & is_plain(byte));
    if all { Ok(()) } else { Err(Unauthenticated::NotAToken) }
}

/// A byte of base64url, or a dot.
const fn is_plain(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let digit = byte.wrapping_sub(b'0') < 10;
    letter | digit | (byte == b'-') | (byte == b'_') | (byte == b'.')
}

/// What follows the first colon (RFC 7617 section 2); the user name may be anything, in any encoding.
fn password(encoded: &str) -> Result<String, Unauthenticated> {
    if encoded.is_empty() {
        return Err(Unauthenticated::Empty);
    }
    if encoded.len() > LONGEST_BASIC {
        return Err(Unauthenticated::TooLong);
    }
    let pair = BASE64.decode(encoded).map_err(|_| Unauthenticated::Unreadable)?;
    let mut halves = pair.splitn(2, |byte| *byte == b':');
    let (Some(_user), Some(password)) = (halves.next(), halves.next()) else {
        return Err(Unauthenticated::Unreadable);
    };
    String::from_utf8(password.to_vec()).map_err(|_| Unauthenticated::NotAToken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    #[track_caller]
    fn check(sent: &[&str], expected: Result<&str, Unauthenticated>) {
        let mut headers = HeaderMap::new();
        for value in sent {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(read(&headers), expected.map(Cow::Borrowed), "{sent:?}");
    }

    fn basic(pair: impl AsRef<[u8]>) -> String {
        format!("Basic {}", BASE64.encode(pair))
    }

    #[test]
    fn a_tokens_bytes_are_those_of_base64url_and_dots() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            assert_eq!(is_plain(byte), expected, "{byte}");
        }
    }

    #[test]
    fn one_credential_in_either_form_is_read() {
        check(&["Bearer a.b.c"], Ok("a.b.c"));
        check(&["bEARER   a.b-_c"], Ok("a.b-_c"));
        check(&[" Bearer a.b.c "], Ok("a.b.c"));
        check(&[&basic("alice:a.b.c")], Ok("a.b.c"));
        check(&[&basic(":a.b.c")], Ok("a.b.c"));
        check(&[&basic(b"\xff\xfe:a.b.c")], Ok("a.b.c"));
        check(&["basic dTphLmIuYw"], Ok("a.b.c"));
        check(&["Basic dTphLmIuYw=="], Ok("a.b.c"));
    }

    #[test]
    fn anything_else_has_its_own_sentence() {
        use Unauthenticated::*;
        check(&[], Err(Missing));
        check(&[""], Err(Empty));
        check(&["Bearer"], Err(Empty));
        check(&["Bearer  "], Err(Empty));
        check(&["Basic"], Err(Empty));
        check(&[&basic("alice:")], Err(Empty));
        check(&["Bearer a.b.c", "Bearer a.b.c"], Err(Doubled));
        check(&["Bearer a.b.c", ""], Err(Doubled));
        check(&["Bearer a.b.c,Bearer d.e.f"], Err(Doubled));
        check(&["Bearer a.b.c, Basic YTpi"], Err(Doubled));
        check(&["Bearer a.b.c d.e.f"], Err(Unreadable));
        check(&["Bearer\ta.b.c"], Err(Scheme));
        check(&["a.b.c"], Err(Scheme));
        check(&["Digest username=\"a\", realm=\"b\""], Err(Scheme));
        check(&["Basic ###"], Err(Unreadable));
        check(&[&basic("no colon")], Err(Unreadable));
        check(&[&basic("alice:correct horse")], Err(NotAToken));
        check(&[&basic(b"alice:\xff")], Err(NotAToken));
        check(&["Bearer a/b+c="], Err(NotAToken));
        check(&["Bearer \u{e9}"], Err(Unreadable));
    }

    #[test]
    fn the_longest_token_fits_in_both_forms_and_no_longer_one_does() {
        let longest = "a".repeat(LONGEST_TOKEN);
        check(&[&format!("Bearer {longest}")], Ok(&longest));
        check(&[&basic(format!("alice:{longest}"))], Ok(&longest));
        check(&[&format!("Bearer {longest}a")], Err(Unauthenticated::TooLong));
        check(&[&basic(format!("alice:{longest}a"))], Err(Unauthenticated::TooLong));
        check(&[&basic(format!("{longest}{longest}:a"))], Err(Unauthenticated::TooLong));
    }

    #[test]
    fn no_other_header_is_a_credential() {
        let mut headers = HeaderMap::new();
        headers.insert("proxy-authorization", HeaderValue::from_static("Bearer a.b.c"));
        headers.insert("x-authorization", HeaderValue::from_static("Bearer a.b.c"));
        headers.insert("cookie", HeaderValue::from_static("authorization=a.b.c"));
        assert_eq!(read(&headers), Err(Unauthenticated::Missing));
    }

    proptest! {
        #[test]
        fn what_is_read_is_sound(values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 0..3)) {
            let mut headers = HeaderMap::new();
            for value in values {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    headers.append(AUTHORIZATION, value);
                }
            }
            if let Ok(token) = read(&headers) {
                prop_assert_eq!(sound(&token), Ok(()));
            }
        }
    }
}
