//! Which key verifies which token: confusion of algorithms and of keys.

use serde_json::json;

use super::Unauthenticated as No;
use super::*;
use crate::authn::testing::*;

#[tokio::test]
async fn each_kind_of_key_verifies_its_own_tokens() {
    let (rsa, ec, ed) = (Signer::rsa(), Signer::ec(), Signer::ed());
    let (gate, _file, _) = gate_of_keys(&json!([rsa.jwk("r"), ec.jwk("e"), ed.jwk("d")]));
    for (signer, kid) in [(&rsa, "r"), (&ec, "e"), (&ed, "d")] {
        identify(&gate, &signer.token(Some(kid), &claims(json!({})))).await.unwrap();
        identify(&gate, &signer.token(None, &claims(json!({})))).await.unwrap();
        for other in ["r", "e", "d"].iter().filter(|other| **other != kid) {
            let token = signer.token(Some(other), &claims(json!({})));
            assert_eq!(identify(&gate, &token).await.unwrap_err(), No::Algorithm, "{kid} as {other}");
        }
        let token = signer.token(Some("x"), &claims(json!({})));
        assert_eq!(identify(&gate, &token).await.unwrap_err(), No::UnknownKey);
    }
    let forged = Signer::ec().token(Some("e"), &claims(json!({})));
    assert_eq!(identify(&gate, &forged).await.unwrap_err(), No::Signature);
}

#[tokio::test]
async fn a_public_key_is_never_a_shared_secret() {
    let (rsa, ed) = (Signer::rsa(), Signer::ed());
    let (rsa_jwk, ed_jwk) = (rsa.jwk("r"), ed.jwk("d"));
    let (gate, file, _) = gate_of_keys(&json!([rsa_jwk, ed_jwk]));
    let text = |jwk: &Value, part: &str| jwk[part].as_str().unwrap().to_owned();
    for secret in [
        text(&rsa_jwk, "n").into_bytes(),
        URL_SAFE_NO_PAD.decode(text(&rsa_jwk, "n")).unwrap(),
        URL_SAFE_NO_PAD.decode(text(&ed_jwk, "x")).unwrap(),
        std::fs::read(file.path()).unwrap(),
        Vec::new(),
    ] {
        let forger = Signer::Hs256(secret);
        for kid in [None, Some("r"), Some("d")] {
            let token = forger.token(kid, &claims(json!({})));
            assert_eq!(identify(&gate, &token).await.unwrap_err(), No::Algorithm);
        }
        for header in [r#"{"alg":"RS256","kid":"r"}"#, r#"{"alg":"EdDSA","kid":"d"}"#] {
            let token = forger.raw(header, &claims(json!({})).to_string());
            assert_eq!(identify(&gate, &token).await.unwrap_err(), No::Signature);
        }
    }
}

#[tokio::test]
async fn a_key_that_comes_with_the_token_is_not_looked_at() {
    let (gate, _file, _) = gate_of_keys(&json!([Signer::ec().jwk("e")]));
    let forger = Signer::ec();
    let header = json!({"alg": "ES256", "kid": "e", "jwk": forger.jwk("e")}).to_string();
    let token = forger.raw(&header, &claims(json!({})).to_string());
    assert_eq!(identify(&gate, &token).await.unwrap_err(), No::Signature);
}

#[tokio::test]
async fn the_algorithm_that_a_key_names_is_the_only_one() {
    let rsa = Signer::rsa();
    let mut jwk = rsa.jwk("r");
    jwk["alg"] = "PS256".into();
    let (gate, _file, _) = gate_of_keys(&json!([jwk]));
    let payload = claims(json!({})).to_string();
    identify(&gate, &rsa.raw(r#"{"alg":"PS256","kid":"r"}"#, &payload)).await.unwrap();
    let token = rsa.raw(r#"{"alg":"RS256","kid":"r"}"#, &payload);
    assert_eq!(identify(&gate, &token).await.unwrap_err(), No::Algorithm);
}

#[tokio::test]
async fn without_a_kid_only_one_key_may_fit() {
    let (one, two) = (Signer::ec(), Signer::ec());
    let (gate, _file, _) = gate_of_keys(&json!([one.jwk("1"), two.jwk("2"), Signer::ed().jwk("3")]));
    let refused = identify(&gate, &one.token(None, &claims(json!({})))).await.unwrap_err();
    assert_eq!(refused, No::AmbiguousKey);
    identify(&gate, &two.token(Some("2"), &claims(json!({})))).await.unwrap();
    let (gate, _file, _) = self::gate_of_keys(&json!([one.jwk("same"), two.jwk("same")]));
    let refused = identify(&gate, &one.token(Some("same"), &claims(json!({})))).await.unwrap_err();
    assert_eq!(refused, No::AmbiguousKey);
}

fn usable(jwk: &Value) -> bool {
    KeySet::of_jwks(json!({"keys": [jwk]}).to_string().as_bytes()).is_ok()
}

#[track_caller]
fn with(signer: &Signer, name: &str, value: Value, expected: bool) {
    let mut jwk = signer.jwk("k");
    jwk[name] = value;
    assert_eq!(usable(&jwk), expected, "{jwk}");
}

#[test]
fn only_strong_public_keys_for_signatures_are_usable() {
    let (rsa, ec, ed) = (Signer::rsa(), Signer::ec(), Signer::ed());
    assert!(
        !usable(&Signer::hs256().jwk("k")),
        "a symmetric key would verify what anybody who reads it signs"
    );
    for key in [&rsa, &ec, &ed] {
        with(key, "use", json!("sig"), true);
        with(key, "use", json!("enc"), false);
        with(key, "use", json!("other"), false);
        with(key, "key_ops", json!(["verify"]), true);
        with(key, "key_ops", json!(["encrypt", "wrapKey"]), false);
        with(key, "alg", json!("HS256"), false);
        with(key, "alg", json!("RSA-OAEP"), false);
        with(key, "alg", json!("none"), false);
        with(key, "kty", json!("oct"), false);
        with(key, "kid", json!(7), false);
    }
    with(&rsa, "n", json!(b64([255; 128])), false);
    with(&rsa, "n", json!(b64([&[0, 0][..], &[255; 254]].concat())), false);
    with(&rsa, "n", json!(b64([&[1][..], &[255; 255]].concat())), false);
    with(&rsa, "n", json!(b64([255; 1025])), false);
    with(&rsa, "n", json!(""), false);
    with(&rsa, "alg", json!("RS512"), true);
    with(&rsa, "alg", json!("PS384"), true);
    with(&rsa, "alg", json!("ES256"), false);
    with(&ec, "alg", json!("ES256"), true);
    with(&ec, "alg", json!("ES384"), false);
    with(&ec, "crv", json!("P-384"), false);
    with(&ec, "crv", json!("secp256k1"), false);
    with(&ec, "x", json!(b64([1; 31])), false);
    with(&ed, "alg", json!("EdDSA"), true);
    with(&ed, "crv", json!("X25519"), false);
    with(&ed, "x", json!(b64([1; 33])), false);
}

#[test]
fn keys_that_cannot_be_used_do_not_spoil_the_others() {
    let mut encrypting = Signer::rsa().jwk("enc");
    encrypting["use"] = "enc".into();
    let set =
        json!({"keys": [{"kty": "future"}, 7, encrypting, Signer::hs256().jwk("o"), Signer::ed().jwk("d")]});
    assert_eq!(KeySet::of_jwks(set.to_string().as_bytes()).unwrap().0.len(), 1);
    let none = KeySet::of_jwks(br#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#).unwrap_err();
    assert!(matches!(none, KeySetError::NoUsableKey(1)), "{none}");
    for bad in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "<html>"] {
        let refused = KeySet::of_jwks(bad.as_bytes()).unwrap_err();
        assert!(matches!(refused, KeySetError::NotAKeySet), "{bad}: {refused}");
    }
}

#[tokio::test]
async fn a_key_file_is_read_again_when_it_changes_and_a_broken_one_is_not_taken() {
    let (old, new) = (Signer::ec(), Signer::ec());
    let (gate, file, clock) = gate_of_keys(&json!([old.jwk("old")]));
    let (old_token, new_token) =
        (old.token(Some("old"), &claims(json!({}))), new.token(Some("new"), &claims(json!({}))));
    identify(&gate, &old_token).await.unwrap();
    std::fs::write(file.path(), json!({"keys": [new.jwk("new")]}).to_string()).unwrap();
    identify(&gate, &old_token).await.expect("the file is looked at once a second");
    clock.advance(1);
    assert_eq!(identify(&gate, &old_token).await.unwrap_err(), No::UnknownKey, "remembered no longer");
    identify(&gate, &new_token).await.unwrap();
    for broken in ["{", r#"{"keys":[]}"#] {
        std::fs::write(file.path(), broken).unwrap();
        clock.advance(1);
        identify(&gate, &new_token).await.unwrap();
    }
    std::fs::remove_file(file.path()).unwrap();
    clock.advance(1);
    identify(&gate, &new_token).await.unwrap();
    std::fs::write(file.path(), json!({"keys": [old.jwk("old")]}).to_string()).unwrap();
    clock.advance(-100);
    identify(&gate, &old_token).await.expect("a clock that was set back does not stop the looking");
}

#[test]
fn a_start_without_keys_fails_and_names_the_file() {
    let missing = settings(vec![issuer(crate::authn::KeySource::JwksFile("/nonexistent/jwks.json".into()))]);
    let error = try_gate(missing).err().unwrap();
    assert_eq!(error.to_string(), "cannot read keys from `/nonexistent/jwks.json`");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#).unwrap();
    let weak = settings(vec![issuer(crate::authn::KeySource::JwksFile(file.path().into()))]);
    assert!(matches!(try_gate(weak), Err(crate::authn::StartError::BadKeys { .. })));
}
