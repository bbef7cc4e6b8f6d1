//! The configuration as people write it: each row is a text, an environment, and what must come of them.

mod sample;
mod secrets;
mod values;

use super::*;
use proptest::prelude::*;

const GOOD: &str = "0123456789abcdef0123456789abcdef";

fn environment_of(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn told(text: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    match read_texts(Path::new("s.toml"), text, &environment_of(pairs)) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

fn taken(text: &str, pairs: &[(&str, &str)]) -> Config {
    read_texts(Path::new("s.toml"), text, &environment_of(pairs))
        .unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

#[track_caller]
fn check(text: &str, pairs: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(told(text, pairs), expected, "{text} {pairs:?}");
}

#[test]
fn with_nothing_at_all_the_defaults_hold() {
    let config = read(None, []).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert!(config.server.tls.is_none());
    assert!(
        matches!(&config.upstream.address, UpstreamAddress::Http(url) if url.as_str() == "http://127.0.0.1:5000/")
    );
    assert_eq!(config.upstream.static_prefix, None);
    assert!(config.auth.issuers.is_empty());
    assert_eq!(config.auth.user_claim, "user_id");
    assert_eq!(config.auth.role_claim, "role");
    assert_eq!(config.auth.model_access_claim, "model_access");
    assert!(config.auth.require_model_access);
    assert_eq!(config.auth.mode, Mode::Enforce);
    assert_eq!(config.policies_dir, Path::new("policies"));
    assert_eq!(config.admin_listen.to_string(), "127.0.0.1:8081");
    assert_eq!(config.state.to_string(), "sqlite://sekisho.db");
}

#[test]
fn every_key_of_the_file_is_obeyed() {
    let config = taken(
        r#"
        server.listen = "[::]:9443"
        server.tls_cert_file = "c"
        server.tls_key_file = "k"
        server.client_ca_file = "a"
        server.cors_origins = ["https://p.example", "http://localhost:3000"]
        upstream = { url = "unix:/run/mlflow.sock", static_prefix = "/ml/flow" }
        policies.dir = "p"
        artifacts.presigned = true
        cache = { ttl_seconds = 0, max_mb = 3, stale_seconds = 4 }
        rules.mode = "warn"
        state.url = "postgres://ada:hunter2@db/s"
        admin.listen = "localhost:0"
        [auth]
        issuer = "i"
        audience = "m"
        jwks_url = "http://[::1]:9/keys"
        users = ["*@a.com", "bob"]
        roles = ["ci"]
        user_claim = "u"
        role_claim = "realm_access.roles"
        model_access_claim = "m"
        require_model_access = false
        mode = "observe"
        [limits]
        requests_per_second = 0
        burst = 9
        [audit]
        path = "r/"
        instance = "one"
        mode = "best_effort"
        reads = "off"
        file_mb = 7
        keep_days = 8
        "#,
        &[],
    );
    assert_eq!(
        format!("{config:?}").replace('"', ""),
        "Config { server: Server { listen: [::]:9443, tls: Some(Tls { cert_file: c, key_file: k, \
         client_ca_file: Some(a) }), cors_origins: [https://p.example, http://localhost:3000] }, upstream: \
         Upstream { address: Unix(/run/mlflow.sock), static_prefix: Some(/ml/flow) }, auth: Auth { issuers: [Issuer { issuer: Some(i), audience: Some(m), key: \
         JwksUrl(Url { scheme: http, cannot_be_a_base: false, username: , password: None, host: \
         Some(Ipv6(::1)), port: Some(9), path: /keys, query: None, fragment: None }), users: [*@a.com, bob], \
         roles: [ci] }], user_claim: u, role_claim: realm_access.roles, model_access_claim: m, \
         require_model_access: false, mode: Observe }, limits: Limits { requests_per_second: 0, burst: 9 }, \
         policies_dir: p, state: postgres://db:5432/s, audit: Audit { path: r, instance: Some(one), mode: \
         BestEffort, reads: Off, signing_key_file: r.key, file_mb: 7, keep_days: 8 }, cache: Cache { ttl_seconds: 0, max_mb: 3, stale_seconds: 4 }, \
         presigned: true, rules: Warn, admin_listen: 127.0.0.1:0 }"
    );
}

#[test]
fn unknown_keys_are_told_with_the_nearest_known_one() {
    for (text, expected) in [
        ("server.listn = 1", "s.toml:1: unknown key `server.listn`; did you mean `server.listen`?"),
        ("[server]\n\nlistn = 1", "s.toml:3: unknown key `server.listn`; did you mean `server.listen`?"),
        ("\n[sever]\nlisten = 1", "s.toml:2: unknown section `sever`; did you mean `server`?"),
        ("listen = 1", "s.toml:1: unknown key `listen`; did you mean `admin.listen`?"),
        (
            "[server]\nhs256_secret = 1",
            "s.toml:2: unknown key `server.hs256_secret`; did you mean `auth.hs256_secret`?",
        ),
        (
            "cache.ttl_second = 1",
            "s.toml:1: unknown key `cache.ttl_second`; did you mean `cache.ttl_seconds`?",
        ),
        ("server.frobnicate = 1", "s.toml:1: unknown key `server.frobnicate`"),
        ("[entirely.else]", "s.toml:1: unknown section `entirely`"),
        ("'server.listen' = 1", "s.toml:1: unknown key `'server.listen'`; did you mean `server.listen`?"),
        ("\"a\\nb\" = 1", "s.toml:1: unknown key `a\\nb`"),
        ("server = 1", "s.toml:1: `server` is a section, written `[server]`"),
    ] {
        check(text, &[], &[expected]);
    }
}

#[test]
fn keys_that_need_or_exclude_each_other() {
    for (text, expected) in [
        ("server.tls_cert_file = 'c'", "`server.tls_cert_file`: needs `server.tls_key_file`"),
        ("server.tls_key_file = 'k'", "`server.tls_key_file`: needs `server.tls_cert_file`"),
        (
            "server.client_ca_file = 'a'",
            "`server.client_ca_file`: needs `server.tls_cert_file` and `server.tls_key_file`",
        ),
        (
            "admin.listen = 'localhost:8080'",
            "`admin.listen`: 127.0.0.1:8080 is taken by `server.listen` (127.0.0.1:8080)",
        ),
        (
            "server.listen = '0.0.0.0:8081'",
            "`server.listen`: 0.0.0.0:8081 is taken by `admin.listen` (127.0.0.1:8081)",
        ),
        (
            "server.listen = '[::]:8081'",
            "`server.listen`: [::]:8081 is taken by `admin.listen` (127.0.0.1:8081)",
        ),
        ("auth.role_claim = 'user_id'", "`auth.role_claim`: is the same claim as `auth.user_claim`"),
        ("auth.user_claim = 'role'", "`auth.user_claim`: is the same claim as `auth.role_claim`"),
        (
            "auth = { jwks_file = 'a', jwks_url = 'https://b' }",
            "`auth`: has more than one key: give only one of `jwks_file`, `jwks_url`",
        ),
    ] {
        check(text, &[], &[&format!("s.toml:1: {expected}")]);
    }
    check("server.listen = 'localhost:0'\nadmin.listen = 'localhost:0'", &[], &[]);
    check("server.listen = '[::1]:8081'", &[], &[]);
    check("server.listen = '[::1]:1'\nadmin.listen = '0.0.0.0:1'", &[], &[]);
}

#[test]
fn several_issuers_are_kept_apart() {
    let list = |rest: &str| {
        format!(
            "[[auth.issuers]]\nissuer = 'a'\nusers = ['*@a.com']\njwks_file = 'a'\n[[auth.issuers]]\n{rest}"
        )
    };
    let config = taken(&list("issuer = 'b'\nusers = ['*@b.com']\njwks_file = 'b'"), &[]);
    assert_eq!(config.auth.issuers.len(), 2);
    for (rest, expected) in [
        ("issuer = 'b'\njwks_file = 'b'", "needs `users`, as there are several"),
        ("users = ['b']\njwks_file = 'b'", "needs `issuer`, as there are several"),
        (
            "issuer = 'b'\nusers = ['b']",
            "has no key: give one of `hs256_secret`, `hs256_secret_file`, `jwks_file`, `jwks_url`",
        ),
        ("issuer = 'a'\nusers = ['b']\njwks_file = 'b'", "has the same `issuer` `a` as `auth.issuers[0]`"),
        (
            "issuer = 'b'\nusers = ['x', 'bob@*']\njwks_file = 'b'",
            "`users` `bob@*` overlaps `*@a.com` of `auth.issuers[0]`",
        ),
    ] {
        check(&list(rest), &[], &[&format!("s.toml:5: `auth.issuers[1]`: {expected}")]);
    }
    check(
        &list("isuer = 'b'\nmode = 1\nusers = ['b']\njwks_file = 2"),
        &[],
        &[
            "s.toml:5: `auth.issuers[1]`: needs `issuer`, as there are several",
            "s.toml:6: `auth.issuers[1]`: an issuer has no `isuer`; did you mean `issuer`?",
            "s.toml:7: `auth.issuers[1]`: an issuer has no `mode`",
            "s.toml:9: `auth.issuers[1].jwks_file`: expected a string, found integer",
        ],
    );
}

#[test]
fn the_plain_issuer_is_the_first_of_several() {
    let list = "[[auth.issuers]]\nissuer = 'b'\nusers = ['b']\njwks_file = 'b'";
    let plain = "auth.issuer = 'a'\nauth.jwks_file = 'a'\nauth.users = ['a']\n";
    let by_variable = [("SEKISHO_AUTH__ISSUERS", "[{ issuer = 'b', users = ['b'], jwks_file = 'b' }]")];
    let config = taken(plain, &by_variable);
    let names: Vec<_> = config.auth.issuers.iter().map(|issuer| issuer.issuer.as_deref()).collect();
    assert_eq!(names, [Some("a"), Some("b")]);
    check(
        &format!("auth.audience = 'x'\n{list}"),
        &[],
        &[
            "s.toml:1: `auth`: has no key: give one of `hs256_secret`, `hs256_secret_file`, `jwks_file`, `jwks_url`",
            "s.toml:1: `auth`: needs `issuer`, as there are several",
            "s.toml:1: `auth`: needs `users`, as there are several",
        ],
    );
    check("auth.audience = 'x'", &[], &[]);
}

#[test]
fn two_issuers_do_not_share_a_secret() {
    let issuer = |name: &str, secret: &str| {
        format!("[[auth.issuers]]\nissuer = '{name}'\nusers = ['{name}']\nhs256_secret = '{secret}'\n")
    };
    check(&format!("{}{}", issuer("a", GOOD), issuer("b", &GOOD.replace('0', "z"))), &[], &[]);
    check(
        &format!("{}{}", issuer("a", GOOD), issuer("b", GOOD)),
        &[],
        &[
            "s.toml:5: `auth.issuers[1]`: has the same secret as `auth.issuers[0]`: each could sign for the other",
        ],
    );
}

#[test]
fn the_environment_overrides_the_file() {
    let file =
        "server.listen = 'nonsense'\nauth.require_model_access = true\nlimits.burst = 1\nauth.users = ['a']";
    let config = taken(
        file,
        &[
            ("SEKISHO_SERVER__LISTEN", "10.0.0.1:1"),
            ("SEKISHO_AUTH__REQUIRE_MODEL_ACCESS", "false"),
            ("SEKISHO_LIMITS__BURST", "7"),
            ("SEKISHO_AUTH__USERS", r#"["b*"]"#),
            ("SEKISHO_AUTH__HS256_SECRET", GOOD),
            ("SEKISHO_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("SEKISHO_LOG", "debug"),
            ("OTHER__LISTEN", "x"),
        ],
    );
    assert_eq!(config.server.listen.to_string(), "10.0.0.1:1");
    assert!(!config.auth.require_model_access);
    assert_eq!(config.auth.issuers[0].users, ["b*"]);
    assert!(
        matches!(&config.auth.issuers[0].key, KeySource::Hs256(secret) if secret.expose() == GOOD.as_bytes())
    );
    for (variable, value, expected) in [
        ("SEKISHO_SERVER__LISTN", "x", "sets no key that is known; did you mean `SEKISHO_SERVER__LISTEN`?"),
        ("SEKISHO_X__Y", "x", "sets no key that is known"),
        ("SEKISHO_SERVER__LISTEN", "", "is empty"),
        ("SEKISHO_SERVER__LISTEN", "\u{fffd}", "is not UTF-8"),
        ("SEKISHO_LIMITS__BURST", "0", "must be at least 1"),
        ("SEKISHO_LIMITS__BURST", "many", "expected a whole number from 0 to 4294967295, found `many`"),
        ("SEKISHO_AUTH__REQUIRE_MODEL_ACCESS", "yes", "expected `true` or `false`, found `yes`"),
        (
            "SEKISHO_AUTH__USERS",
            "bob",
            "is not a TOML value: string values must be quoted, expected literal string",
        ),
        (
            "SEKISHO_AUTH__ISSUERS",
            "[{ jwks_fil = 'x', jwks_file = 'y' }]",
            "`auth.issuers[0]`: an issuer has no `jwks_fil`; did you mean `jwks_file`?",
        ),
    ] {
        check("", &[(variable, value)], &[&format!("environment: {variable}: {expected}")]);
    }
}

#[test]
fn every_mistake_is_told_at_once_and_in_order() {
    check(
        "server.listn = 1\n[admin]\nlisten = 5\n[cache]\nttl_seconds = true\n[server]\nlisten = 'x'\n",
        &[("SEKISHO_AUTH__MODE", "x")],
        &[
            "environment: SEKISHO_AUTH__MODE: `x` is not one of `enforce`, `observe`",
            "s.toml:1: unknown key `server.listn`; did you mean `server.listen`?",
            "s.toml:3: `admin.listen`: expected a string, found integer",
            "s.toml:5: `cache.ttl_seconds`: expected a whole number, found boolean",
            "s.toml:6: `server` is given twice",
            "s.toml:7: `server.listen`: `x` is not an address and a port, like `127.0.0.1:8080`",
        ],
    );
}

#[test]
fn duplicates_are_all_told_and_bad_syntax_once() {
    check(
        "[auth]\nmode = 'enforce'\nmode = 'observe'\nissuer = 'a'\nissuer = 'b'",
        &[],
        &["s.toml:3: `mode` is given twice", "s.toml:5: `issuer` is given twice"],
    );
    check(
        "[auth]\nmode = enforce\n[[[\nx",
        &[],
        &["s.toml:2: is not TOML: string values must be quoted, expected literal string"],
    );
    check("\n\n[server", &[], &["s.toml:3: is not TOML: unclosed table, expected `]`"]);
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, binary) = (folder.path().join("none.toml"), folder.path().join("binary.toml"));
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    for (file, expected) in [(&missing, "there is no such file"), (&binary, "is not UTF-8")] {
        let mistakes = read(Some(file), []).unwrap_err();
        assert_eq!(mistakes, [Mistake::of(file, expected)]);
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,80}", value in ".{0,40}") {
        for key in keys() {
            let name = key.name;
            let _ = told(&format!("{text}\n{name} = {value}"), &[(&key.variable(), &text)]);
            let _ = told(&format!("{name} = {value:?}"), &[]);
        }
    }

    #[test]
    fn no_list_of_issuers_panics(words in "(\\[|\\]|\\{|\\}|users|issuer|=|,|'a'|'\\*'|1|\n){0,20}") {
        let _ = told(&format!("auth.issuers = {words}"), &[("SEKISHO_AUTH__ISSUERS", &words)]);
        let _ = told(&format!("[[auth.issuers]]\n{words}"), &[]);
    }
}
