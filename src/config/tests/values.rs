//! Values that are wrong by themselves.

use super::*;

#[test]
fn wrong_values_are_told_with_line_and_key() {
    for (text, expected) in [
        ("server.listen = 1", "server.listen`: expected a string, found integer"),
        ("server.listen = ''", "server.listen`: is empty"),
        (
            "server.listen = ':80'",
            "server.listen`: `:80` is not an address and a port, like `127.0.0.1:8080`",
        ),
        (
            "admin.listen = \"a\\nb\"",
            "admin.listen`: `a\\nb` is not an address and a port, like `127.0.0.1:8080`",
        ),
        (
            "auth.require_model_access = 'no'",
            "auth.require_model_access`: expected `true` or `false`, found string",
        ),
        ("auth.mode = 'off'", "auth.mode`: `off` is not one of `enforce`, `observe`"),
        ("auth.user_claim = 'a..b'", "auth.user_claim`: `a..b` is not a claim or a dotted path of claims"),
        ("auth.users = []", "auth.users`: is an empty list; leave the key out to allow all"),
        (
            "server.cors_origins = 'https://a'",
            "server.cors_origins`: expected a list of strings, found string",
        ),
        ("server.cors_origins = ['*']", "server.cors_origins`: `*` stands for many sites; name each one"),
        (
            "server.cors_origins = ['null']",
            "server.cors_origins`: `null` stands for many sites; name each one",
        ),
        (
            "server.cors_origins = ['https://a.example', 'https://B.example:443/x']",
            "server.cors_origins`: an origin is written as the browser sends it, here `https://b.example`",
        ),
        (
            "server.cors_origins = ['https://*.example']",
            "server.cors_origins`: `https://*.example` stands for many sites; name each one",
        ),
        (
            "server.cors_origins = ['https://u:p@h']",
            "server.cors_origins`: has a user name or a password in it, which every log would show",
        ),
        ("auth.users = 'a'", "auth.users`: expected a list of strings, found string"),
        ("auth.users = ['a', 1]", "auth.users`: in the list, expected a string, found integer"),
        ("auth.roles = ['ml_*']", "auth.roles`: `ml_*` is not a role: roles are named whole, without `*`"),
        (
            "auth.roles = [' a']",
            "auth.roles`: ` a` is not a name: it is empty, or has spaces around it or control characters",
        ),
        ("auth.issuers = {}", "auth.issuers`: expected a list of tables, found table"),
        ("auth.issuers = [1]", "auth.issuers`: in the list, expected a table, found integer"),
        ("rules.mode = 'of'", "rules.mode`: `of` is not one of `enforce`, `warn`, `off`"),
        ("limits.burst = -1", "limits.burst`: expected a whole number from 0 to 4294967295, found `-1`"),
        ("limits.burst = 1.5", "limits.burst`: expected a whole number, found float"),
        ("state.url = 'mysql://u:p@h'", "state.url`: must be `sqlite://FILE` or `postgres://…`"),
        ("audit.mode = 'x'", "audit.mode`: `x` is not one of `required`, `best_effort`"),
        ("artifacts.presigned = 0", "artifacts.presigned`: expected `true` or `false`, found integer"),
    ] {
        check(&format!("\n{text}"), &[], &[&format!("s.toml:2: `{expected}")]);
    }
}

#[test]
fn wrong_web_addresses_are_told_without_being_repeated() {
    for (text, expected) in [
        ("upstream.url = 'mlflow:5000'", "upstream.url`: `mlflow` is not a scheme that is known here"),
        ("upstream.url = '127.0.0.1:5000'", "upstream.url`: is not a URL: relative URL without a base"),
        (
            "upstream.url = 'http://u:p@h'",
            "upstream.url`: has a user name or a password in it, which every log would show",
        ),
        (
            "upstream.url = 'http://h/p'",
            "upstream.url`: has a path or a query; MLflow's own prefix goes into `upstream.static_prefix`",
        ),
        ("upstream.url = 'http://h#x'", "upstream.url`: has a `#` part, which is never sent"),
        (
            "upstream.url = 'unix:mlflow.sock'",
            "upstream.url`: the path of a socket is absolute, like `unix:/run/mlflow.sock`",
        ),
        ("auth.jwks_url = 'http://id.example'", "auth.jwks_url`: must be `https` (`http` only to this host)"),
        ("auth.jwks_url = 'http://10.0.0.1'", "auth.jwks_url`: must be `https` (`http` only to this host)"),
        (
            "auth.jwks_url = 'http://localhost.evil.example'",
            "auth.jwks_url`: must be `https` (`http` only to this host)",
        ),
        ("auth.jwks_url = 'file:///k'", "auth.jwks_url`: `file` is not a scheme that is known here"),
    ] {
        check(&format!("\n{text}"), &[], &[&format!("s.toml:2: `{expected}")]);
    }
}

#[test]
fn a_static_prefix_is_made_of_plain_segments() {
    for prefix in ["mlflow", "/", "/ml/", "/a//b", "/..", "/a/./b", "/a%2fb", "/a b", "/é", "//a"] {
        let told = told(&format!("upstream.static_prefix = '{prefix}'"), &[]);
        let start = format!("s.toml:1: `upstream.static_prefix`: `{prefix}` is not a prefix");
        assert!(told.len() == 1 && told[0].starts_with(&start), "{prefix}: {told:?}");
    }
}
