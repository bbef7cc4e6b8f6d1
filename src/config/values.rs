//! What one value by itself must be. Each function gives the sentence for what is wrong; none repeats what may hold a secret.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use url::{Host, Url};

use super::{KeySource, Mode, UpstreamAddress};
use crate::secret::Secret;
use crate::store;
use crate::{audit, govern, record};

/// `host:port` with a numeric host, or `localhost:port`.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    local
        .map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .or_else(|| text.parse().ok())
        .ok_or_else(|| format!("{} is not an address and a port, like `127.0.0.1:8080`", shown(text)))
}

pub(super) fn upstream(text: &str) -> Result<UpstreamAddress, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') || path.ends_with('/') {
            return Err("the path of a socket is absolute, like `unix:/run/mlflow.sock`".to_owned());
        }
        return Ok(UpstreamAddress::Unix(PathBuf::from(path)));
    }
    let url = web_address(text)?;
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        return Err(
            "has a path or a query; MLflow's own prefix goes into `upstream.static_prefix`".to_owned()
        );
    }
    Ok(UpstreamAddress::Http(url))
}

/// `https`, or `http` to this host alone: whoever can change the answer can make any token.
pub(super) fn jwks_url(text: &str) -> Result<KeySource, String> {
    let url = web_address(text)?;
    let on_this_host = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() != "https" && !on_this_host {
        return Err("must be `https` (`http` only to this host)".to_owned());
    }
    Ok(KeySource::JwksUrl(url))
}

/// `/a/b`: what `mlflow server --static-prefix` takes, in characters that need no escape.
pub(super) fn static_prefix(text: &str) -> Result<String, String> {
    let plain = |segment: &str| {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !matches!(segment, "" | "." | "..") && segment.bytes().all(unreserved)
    };
    match text.strip_prefix('/') {
        Some(segments) if segments.split('/').all(plain) => Ok(text.to_owned()),
        _ => Err(format!(
            "{} is not a prefix like `/mlflow`: it begins with `/`, does not end with one, and has letters, \
             digits, `-`, `.`, `_`, `~` between them",
            shown(text)
        )),
    }
}

/// The name of a claim, or a path of names with dots between them.
pub(super) fn claim(text: &str) -> Result<String, String> {
    if text.split('.').any(|part| part.is_empty() || part.trim() != part) {
        return Err(format!("{} is not a claim or a dotted path of claims", shown(text)));
    }
    Ok(text.to_owned())
}

pub(super) fn mode(text: &str) -> Result<Mode, String> {
    match text {
        "enforce" => Ok(Mode::Enforce),
        "observe" => Ok(Mode::Observe),
        _ => Err(not_one_of(text, &["enforce", "observe"])),
    }
}

pub(super) fn rules(text: &str) -> Result<govern::Mode, String> {
    match text {
        "enforce" => Ok(govern::Mode::Enforce),
        "warn" => Ok(govern::Mode::Warn),
        "off" => Ok(govern::Mode::Off),
        _ => Err(not_one_of(text, &["enforce", "warn", "off"])),
    }
}

pub(super) fn secret(text: &str) -> Result<KeySource, String> {
    Secret::new(text).map(KeySource::Hs256).map_err(|weak| weak.to_string())
}

/// The content of a file, without one newline at its end.
pub(super) fn secret_file(text: &str) -> Result<KeySource, String> {
    let mut bytes =
        std::fs::read(Path::new(text)).map_err(|error| format!("{}: {}", shown(text), unreadable(&error)))?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Secret::new(bytes).map(KeySource::Hs256).map_err(|weak| format!("{}: {weak}", shown(text)))
}

/// A list that names something; to name nothing, one leaves the key out.
pub(super) fn names(list: Vec<String>) -> Result<Vec<String>, String> {
    if list.is_empty() {
        return Err("is an empty list; leave the key out to allow all".to_owned());
    }
    match list.iter().find(|name| name.trim() != *name || name.is_empty() || name.contains(char::is_control))
    {
        Some(name) => Err(format!(
            "{} is not a name: it is empty, or has spaces around it or control characters",
            shown(name)
        )),
        None => Ok(list),
    }
}

/// As [`names`], where `*` would be read as a name and not as a pattern.
pub(super) fn roles(list: Vec<String>) -> Result<Vec<String>, String> {
    let list = names(list)?;
    match list.iter().find(|name| name.contains('*')) {
        Some(name) => Err(format!("{} is not a role: roles are named whole, without `*`", shown(name))),
        None => Ok(list),
    }
}

/// Origins as browsers write them: any other spelling would never be met, or would let in more than one.
pub(super) fn origins(list: Vec<String>) -> Result<Vec<String>, String> {
    for text in &list {
        if text == "null" || text.contains('*') && !text.contains('@') {
            return Err(format!("{} stands for many sites; name each one", shown(text)));
        }
        let written = web_address(text)?.origin().ascii_serialization();
        if written != *text {
            return Err(format!("an origin is written as the browser sends it, here {}", shown(&written)));
        }
    }
    Ok(list)
}

/// What a state store is reached by. The text may hold a password, so it is not repeated.
pub(super) fn store(text: &str) -> Result<store::Address, String> {
    text.parse().map_err(|mistake: store::AddressMistake| mistake.to_string())
}

pub(super) fn at_least_one(count: u32) -> Result<u32, String> {
    if count == 0 { Err("must be at least 1".to_owned()) } else { Ok(count) }
}

pub(super) fn audit_mode(text: &str) -> Result<record::Mode, String> {
    match text {
        "required" => Ok(record::Mode::Required),
        "best_effort" => Ok(record::Mode::BestEffort),
        _ => Err(not_one_of(text, &["required", "best_effort"])),
    }
}

pub(super) fn reads(text: &str) -> Result<audit::Reads, String> {
    match text {
        "each" => Ok(audit::Reads::Each),
        "aggregate" => Ok(audit::Reads::Aggregate),
        "off" => Ok(audit::Reads::Off),
        _ => Err(not_one_of(text, &["each", "aggregate", "off"])),
    }
}

/// A path, without a slash at its end.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    match text.trim_end_matches('/') {
        "" => Err("must be a path".to_owned()),
        path => Ok(path.into()),
    }
}

/// The name of a folder below the record's.
pub(super) fn instance(text: &str) -> Result<String, String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let sound = !text.is_empty() && text.len() <= 100 && !text.starts_with('.') && text.chars().all(plain);
    if sound {
        Ok(text.to_owned())
    } else {
        Err("must be letters, digits, `-`, `_` and `.`, and not begin with a dot".to_owned())
    }
}

/// Why a file cannot be read, without the system's number for it where there is a plain word.
pub(super) fn unreadable(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        "there is no such file".to_owned()
    } else if error.kind() == io::ErrorKind::InvalidData {
        "is not UTF-8".to_owned()
    } else {
        format!("cannot be read: {error}")
    }
}

/// A text from outside as part of a one-line message.
pub(super) fn shown(text: &str) -> String {
    let start: String = text.chars().take(80).map(one_line).collect();
    let more = if text.chars().nth(80).is_some() { "…" } else { "" };
    format!("`{start}{more}`")
}

fn one_line(character: char) -> String {
    match character {
        '\'' | '"' | '\\' => character.to_string(),
        _ => character.escape_debug().to_string(),
    }
}

fn web_address(text: &str) -> Result<Url, String> {
    // The text is not repeated: what looks like a wrong address may hold a password.
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{} is not a scheme that is known here", shown(url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user name or a password in it, which every log would show".to_owned());
    }
    if url.fragment().is_some() {
        return Err("has a `#` part, which is never sent".to_owned());
    }
    Ok(url)
}

fn not_one_of(text: &str, known: &[&str]) -> String {
    let listed = known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    format!("{} is not one of {listed}", shown(text))
}
