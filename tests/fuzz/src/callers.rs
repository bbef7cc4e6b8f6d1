//! Credentials, tokens and claims: what is believed of them is what a plain reader finds in them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use sekisho::authn::claims::{self as read_claims, Claims, LEEWAY};
use sekisho::authn::{credential as headers, token as tokens};

/// Lines are values of `Authorization`. A credential that passes is the only one, in the alphabet of a token, and is the
/// same in both schemes.
pub fn credential(bytes: &[u8]) {
    let mut sent = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            sent.append(AUTHORIZATION, value);
        }
    }
    let Ok(token) = headers::read(&sent) else { return };
    assert_eq!(sent.get_all(AUTHORIZATION).iter().count(), 1);
    assert!(!token.is_empty() && token.len() <= headers::LONGEST_TOKEN);
    assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{token:?}");
    for scheme in [format!("Bearer {token}"), format!("Basic {}", STANDARD.encode(format!("ada:{token}")))] {
        let value = HeaderValue::from_str(&scheme).expect("a header's value");
        let again = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        assert_eq!(headers::read(&again).expect("our own writing is read"), token);
    }
}

/// A token as it comes, or its three parts on a line each. One that passes can be inspected, and its header says what was
/// taken from it.
pub fn token(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.splitn(3, |byte| *byte == b'\n').collect();
    let text = match lines.as_slice() {
        [header, payload, signature] => {
            [header, payload, signature].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
        }
        _ => String::from_utf8_lossy(bytes).into_owned(),
    };
    let Ok(token) = tokens::read(&text) else { return };
    let inspection = tokens::inspect(&text).expect("what passes can be inspected");
    let header = |name: &str| inspection.header.get(name);
    assert_eq!(header("alg").and_then(Value::as_str), Some(&*token.header.algorithm));
    assert_eq!(header("kid").and_then(Value::as_str), token.header.key.as_deref());
    assert!(header("crit").is_none(), "{text}");
    let parts: Vec<&str> = text.split('.').collect();
    assert_eq!(parts.len(), 3);
    agree(&token.claims, &Value::Object(inspection.claims));
}

/// Claims that pass are what a plain JSON reader reads.
pub fn claims(bytes: &[u8]) {
    let Ok(claims) = read_claims::read(bytes) else { return };
    agree(&claims, &serde_json::from_slice(bytes).expect("what passes is JSON"));
}

fn agree(claims: &Claims, plain: &Value) {
    if let Ok(user) = claims.user("user_id") {
        let plain = plain.get("user_id").or_else(|| plain.get("sub")).and_then(Value::as_str);
        assert_eq!(plain, Some(user.as_str()));
        assert!(!user.as_str().chars().any(char::is_control));
    }
    for name in ["role", "realm_access.roles"] {
        let Ok(roles) = claims.roles(name) else { continue };
        let found = plain.get(name).or_else(|| name.split('.').try_fold(plain, |at, step| at.get(step)));
        let found = listed(found);
        assert!(roles.iter().all(|role| found.contains(&role.as_str())), "{roles:?}");
        assert!(found.iter().all(|name| roles.iter().any(|role| role.as_str() == *name)), "{roles:?}");
    }
    if let Ok(models) = claims.model_access("model_access") {
        assert_eq!(models.entries().collect::<Vec<_>>(), listed(plain.get("model_access")));
    }
    if let Ok(expiry) = claims.timely(1_000_000.0) {
        assert!(expiry.is_finite() && expiry + LEEWAY > 1_000_000.0, "{expiry}");
        assert_eq!(plain.get("exp").and_then(Value::as_f64), Some(expiry));
    }
    if claims.meant_for("mlflow").is_ok() {
        assert!(listed(plain.get("aud")).contains(&"mlflow"));
    }
    if let Ok(issuer) = claims.issuer() {
        assert_eq!(issuer, plain.get("iss").and_then(Value::as_str));
    }
    assert!(claims.token_id().is_none_or(|id| Some(id) == plain.get("jti").and_then(Value::as_str)));
}

fn listed(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => Vec::new(),
    }
}
