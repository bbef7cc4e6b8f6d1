//! Secrets are taken whole, refused when weak, and never shown.

use super::*;

#[test]
fn a_weak_secret_is_refused_without_being_shown() {
    let short = GOOD.split_at(31).0;
    let alike = "x".repeat(64);
    let two_bytes_alike = "é".repeat(32);
    for (secret, expected) in [
        (short, "the secret has 31 bytes; at least 32 are needed"),
        (&alike, "the secret is one character repeated"),
        (&two_bytes_alike, "the secret is one character repeated"),
    ] {
        check(
            &format!("auth.hs256_secret = '{secret}'"),
            &[],
            &[&format!("s.toml:1: `auth.hs256_secret`: {expected}")],
        );
        check(
            "",
            &[("SEKISHO_AUTH__HS256_SECRET", secret)],
            &[&format!("environment: SEKISHO_AUTH__HS256_SECRET: {expected}")],
        );
    }
}

#[test]
fn no_mistake_quotes_what_may_be_a_secret() {
    let secret = "hunter2";
    for text in [
        format!("auth.hs256_secret = '{secret}'"),
        format!("auth.hs256_secret = \"{secret}"),
        format!("auth.hs256_secret = {secret}"),
        format!("auth.hs256_secret = ['{secret}']"),
        format!("auth.issuers = [{{ hs256_secret = '{secret}' }}]"),
        format!("auth.issuers = ['{secret}']"),
        format!("state.url = 'mysql://u:{secret}@h'"),
        format!("state.url = 'postgres://u:{secret}@h:port/d'"),
        format!("state.url = 'postgres://u@h/d?password={secret}'"),
        format!("upstream.url = 'http://u:{secret}@h'"),
        format!("upstream.url = 'http://u:{secret}@h:port'"),
        format!("auth.jwks_url = 'https://{secret}@h'"),
    ] {
        let mistakes = told(&text, &[]);
        assert!(!mistakes.is_empty(), "{text}");
        assert!(!mistakes.join("\n").contains(secret), "{mistakes:?}");
    }
    let broken = format!("[{{ hs256_secret = '{secret} }}]");
    let mistakes = told("", &[("SEKISHO_AUTH__ISSUERS", &broken)]);
    assert!(mistakes.len() == 1 && !mistakes[0].contains(secret), "{mistakes:?}");
}

#[test]
fn a_configuration_does_not_show_its_secrets() {
    let config = taken(
        &format!("[[auth.issuers]]\nissuer = 'b'\nusers = ['b']\nhs256_secret = '{GOOD}'"),
        &[
            ("SEKISHO_AUTH__HS256_SECRET", &GOOD.replace('0', "z")),
            ("SEKISHO_AUTH__USERS", "['a']"),
            ("SEKISHO_AUTH__ISSUER", "a"),
        ],
    );
    let shown = format!("{config:#?}");
    assert_eq!(shown.matches('…').count(), 2);
    assert!(!shown.contains("123456789abcdef"), "{shown}");
}

#[test]
fn a_secret_file_loses_one_newline_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let text = format!("auth.hs256_secret_file = '{}'", file.display());
    for (content, expected) in [
        (GOOD.to_owned(), GOOD.to_owned()),
        (format!("{GOOD}\n"), GOOD.to_owned()),
        (format!("{GOOD}\r\n"), GOOD.to_owned()),
        (format!("{GOOD}\n\n"), format!("{GOOD}\n")),
        (format!(" {GOOD} "), format!(" {GOOD} ")),
    ] {
        std::fs::write(&file, content).unwrap();
        let config = taken(&text, &[]);
        let KeySource::Hs256(secret) = &config.auth.issuers[0].key else { panic!("{config:?}") };
        assert_eq!(secret.expose(), expected.as_bytes());
    }
    std::fs::write(&file, format!("{}\n", GOOD.split_at(31).0)).unwrap();
    let shown = file.display();
    let short = format!(
        "s.toml:1: `auth.hs256_secret_file`: `{shown}`: the secret has 31 bytes; at least 32 are needed"
    );
    check(&text, &[], &[&short]);
    check(
        &format!("{text}\nauth.hs256_secret = '{GOOD}'"),
        &[],
        &[
            "s.toml:2: `auth`: has more than one key: give only one of `hs256_secret`, `hs256_secret_file`",
            &short,
        ]
        .into_iter()
        .rev()
        .collect::<Vec<_>>(),
    );
    std::fs::remove_file(&file).unwrap();
    let missing = format!("s.toml:1: `auth.hs256_secret_file`: `{shown}`: there is no such file");
    check(&text, &[], &[&missing]);
    // An override takes the place of a file that is not there.
    let other = folder.path().join("other");
    std::fs::write(&other, GOOD).unwrap();
    check(&text, &[("SEKISHO_AUTH__HS256_SECRET_FILE", &other.display().to_string())], &[]);
}
