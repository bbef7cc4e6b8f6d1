//! What stands for what is not told: a keyed hash for what may be secret, a digest for what is large.

use aws_lc_rs::{hmac, rand};
use serde_json::{Value, json};

use crate::record::chain::Hash;

/// A longer value is told by its SHA-256 (DESIGN section 10).
const LONGEST: usize = 1024;
/// The shortest word that is weighed; shorter ones are guessed soon, whoever keeps them.
const SHORTEST: usize = 12;

/// Tells secrets apart without telling them. Its key dies with the process.
pub(super) struct Shroud(Option<hmac::Key>);

impl std::fmt::Debug for Shroud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Default for Shroud {
    fn default() -> Self {
        Self(hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).ok())
    }
}

impl Shroud {
    /// What stands for a secret.
    pub(super) fn over(&self, secret: &str) -> String {
        // Without randomness all look alike.
        let Some(key) = &self.0 else { return "keyed:".to_owned() };
        let tag = hmac::sign(key, secret.as_bytes());
        let hex: String = tag.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("keyed:{hex}")
    }

    /// A text for people: as it is, unless it is large or holds what looks like a secret.
    pub(super) fn text(&self, text: &str) -> Value {
        if text.split(|letter| !is_of_a_word(letter)).any(looks_secret) {
            self.over(text).into()
        } else if text.len() > LONGEST {
            digest(text.as_bytes())
        } else {
            text.into()
        }
    }

    /// An address without what lets somebody in: no user, query or fragment (RFC 3986 section 3).
    pub(super) fn address(&self, address: &str) -> Value {
        let bare = address.split(['?', '#']).next().unwrap_or_default();
        let bare = match bare.split_once("://") {
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let host = authority.rsplit('@').next().unwrap_or_default();
                format!("{scheme}://{host}{path}")
            }
            None => bare.to_owned(),
        };
        if bare.len() == address.len() {
            return self.text(address);
        }
        json!({ "address": self.text(&bare), "whole": self.over(address) })
    }
}

/// What stands for bytes that are not told.
pub(super) fn digest(bytes: &[u8]) -> Value {
    json!({ "bytes": bytes.len(), "sha256": Hash::of(bytes).to_string() })
}

fn is_of_a_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-_+=.~".contains(letter)
}

/// Whether a word is more like a key than like anything that has a meaning: its kinds of letters (small, capital, digit)
/// change more often than in a name. Hashes in hex and UUIDs are no secrets here: they name runs, models and files.
fn looks_secret(word: &str) -> bool {
    let parts = word.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|part| !is_hex(part));
    let kinds: Vec<u8> = parts.flat_map(str::bytes).map(kind).collect();
    let changes = kinds.windows(2).filter(|two| two.first() != two.last()).count();
    kinds.len() >= SHORTEST && changes * 5 >= kinds.len() * 2
}

fn is_hex(part: &str) -> bool {
    let of = |hex: fn(u8) -> bool| part.bytes().all(hex);
    of(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        || of(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'))
}

fn kind(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => 0,
        b'A'..=b'Z' => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_key_is_not_told() {
        for secret in [
            "s3cr3t-Zk3vQ9xT1mYp0aLr8Bd2",
            "s3://bucket/a7Tq2LmX9vR4kPz8Wd1N/x",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "the password is Zk3vQ9xT1mYp0aLr8Bd2, tell nobody",
            "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
        ] {
            let told = Shroud::default().text(secret).to_string();
            assert!(told.starts_with("\"keyed:"), "{secret}: {told}");
        }
    }

    #[test]
    fn one_secret_looks_alike_and_nobody_can_try_out_what_it_was() {
        let shroud = Shroud::default();
        assert_eq!(shroud.over("a"), shroud.over("a"));
        assert_ne!(shroud.over("a"), shroud.over("b"));
        assert_ne!(shroud.over("a"), Shroud::default().over("a"));
    }

    #[test]
    fn what_has_a_meaning_is_told_as_it_is() {
        for text in [
            "recommendation_ensemble_auc_prod",
            "fraud_detection_neural_network_f1score_staging",
            "XGBoostClassifierV2 of 2026-11-23T19:29:41.123456Z",
            "d0a1b2c3d4e5f60718293a4b5c6d7e8f",
            "m-0d1f6b3c2a4e4f0f8a6f8f3a5d2b7c9e",
            "6b1f6a4e-0d3c-7c55-8d3b-5b7a1f2e9c00",
            r#"{"accuracy": 0.91, "precision": 0.9, "recall": 0.88}"#,
            "mlflow-artifacts:/1/0d1f6b3c2a4e4f0f8a6f8f3a5d2b7c9e/artifacts/model",
            "ann@example.com",
        ] {
            assert_eq!(Shroud::default().text(text), Value::from(text));
        }
        let long = "word ".repeat(300);
        assert_eq!(Shroud::default().text(&long)["bytes"], 1_500);
    }

    #[test]
    fn an_address_is_told_without_what_lets_in() {
        for (address, expected) in [
            ("runs:/abc/model", "runs:/abc/model"),
            ("s3://bucket/a/model", "s3://bucket/a/model"),
            ("https://u:p@bucket.example/a?X-Amz-Signature=1#f", "https://bucket.example/a"),
            ("https://u:p@x", "https://x"),
            ("dbfs:/a?b", "dbfs:/a"),
        ] {
            let told = Shroud::default().address(address);
            let shown = told.get("address").unwrap_or(&told);
            assert_eq!(shown, expected, "{address}");
            assert_eq!(
                address == expected,
                told.is_string(),
                "what was cut off can be told apart: {address}"
            );
        }
    }
}
