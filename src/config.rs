//! The configuration: one file and the environment, read into a [`Config`], or every mistake in them at once.
//!
//! One table ([`keys`]) says which keys there are. `written` finds them in TOML and in the environment, `draft` takes
//! each by itself, and `meant` looks at them together.

mod draft;
mod issuers;
mod keys;
mod meant;
mod settings;
mod tracking;
mod values;
mod written;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeTable;
use url::Url;
use zeroize::Zeroizing;

use crate::mistake::Mistake;
use crate::secret::Secret;
use crate::{audit, govern, record, store};

pub use keys::{Key, keys};
pub use tracking::{Tracking, tracking};

/// Everything that an operator can set. Each room is given its own part.
#[derive(Debug)]
pub struct Config {
    /// Where clients come.
    pub server: Server,
    /// The MLflow server behind.
    pub upstream: Upstream,
    /// Whose tokens are believed.
    pub auth: Auth,
    /// How often one may ask.
    pub limits: Limits,
    /// The folder of policy files; a relative path counts from the working directory.
    pub policies_dir: PathBuf,
    /// Where the state store is.
    pub state: store::Address,
    /// The record.
    pub audit: Audit,
    /// Answers in memory.
    pub cache: Cache,
    /// Whether addresses are handed out that open files without sekisho.
    pub presigned: bool,
    /// How house rules are meant.
    pub rules: govern::Mode,
    /// Health and metrics.
    pub admin_listen: SocketAddr,
}

/// What is kept of MLflow's answers.
#[derive(Clone, Copy, Debug)]
pub struct Cache {
    /// How long one is served; 0 is off.
    pub ttl_seconds: u32,
    /// How much memory they may take; 0 is off.
    pub max_mb: u32,
    /// How long they are served while MLflow is down.
    pub stale_seconds: u32,
}

/// The record, and how it is kept.
#[derive(Debug)]
pub struct Audit {
    /// Its folder.
    pub path: PathBuf,
    /// The name of this instance's sub-folder; the host's if nothing is said.
    pub instance: Option<String>,
    /// What happens to a write that cannot be recorded.
    pub mode: record::Mode,
    /// How allowed reads are told of.
    pub reads: audit::Reads,
    /// The private key that signs it.
    pub signing_key_file: PathBuf,
    /// A file is closed when it is so large, in MiB.
    pub file_mb: u32,
    /// How long closed files are kept; 0 is for ever.
    pub keep_days: u32,
}

/// The listener of clients.
#[derive(Debug)]
pub struct Server {
    /// Address and port; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Without it the listener speaks plain HTTP.
    pub tls: Option<Tls>,
    /// Origins of other sites whose pages may call, as a browser writes them.
    pub cors_origins: Vec<String>,
}

/// Files of a TLS listener. They are read, and read again when they change, by the listener.
#[derive(Debug)]
pub struct Tls {
    /// PEM, the chain beginning with the server's own certificate.
    pub cert_file: PathBuf,
    /// PEM, the private key of that certificate.
    pub key_file: PathBuf,
    /// PEM, the authorities whose client certificates are accepted; without it none is asked for.
    pub client_ca_file: Option<PathBuf>,
}

/// The MLflow server behind.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens.
    pub address: UpstreamAddress,
    /// MLflow's `--static-prefix`: begins with `/`, does not end with one.
    pub static_prefix: Option<String>,
}

/// Where MLflow listens.
#[derive(Debug)]
pub enum UpstreamAddress {
    /// An `http` or `https` address with a host, and without path, query, fragment and credentials.
    Http(Url),
    /// The absolute path of a Unix socket.
    Unix(PathBuf),
}

/// Whose tokens are believed, and how their claims are called.
#[derive(Debug)]
pub struct Auth {
    /// The issuer of the plain `auth.` keys first, if it has a key, then those of `[[auth.issuers]]`. May be empty.
    pub issuers: Vec<Issuer>,
    /// The dotted path of the claim with the user id.
    pub user_claim: String,
    /// The dotted path of the claim with the role or roles.
    pub role_claim: String,
    /// The dotted path of the claim with the model names.
    pub model_access_claim: String,
    /// Whether the per-model claim is needed at all.
    pub require_model_access: bool,
    /// Whether refusals are made or only recorded.
    pub mode: Mode,
}

/// How often a principal may ask.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In the long run; 0 is no limit.
    pub requests_per_second: u32,
    /// At once.
    pub burst: u32,
}

/// Whether refusals are made or only recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What is refused is refused.
    Enforce,
    /// For moving in: what a role could be given is let through, and the refusal is recorded.
    Observe,
}

/// One maker of tokens. With several, each has an `issuer` of its own, and no user matches the `users` of two.
#[derive(Debug)]
pub struct Issuer {
    /// What `iss` must be; `None` leaves the claim unchecked.
    pub issuer: Option<String>,
    /// What `aud` must name; `None` leaves the claim unchecked.
    pub audience: Option<String>,
    /// What its signatures are checked with.
    pub key: KeySource,
    /// Patterns of the user ids it may vouch for (`*` is any run of characters). Empty: any user.
    pub users: Vec<String>,
    /// The roles it may vouch for. Empty: any role.
    pub roles: Vec<String>,
}

/// What a token's signature is checked with.
#[derive(Debug)]
pub enum KeySource {
    /// A shared secret.
    Hs256(Secret),
    /// A JWKS document on disk.
    JwksFile(PathBuf),
    /// A JWKS document of an identity provider: `https`, or `http` on this host.
    JwksUrl(Url),
}

/// Reads a file, if one is given, and the `SEKISHO_<SECTION>__<KEY>` variables, which override it.
///
/// # Errors
/// Every mistake at once, sorted by file and line. Having no key to verify tokens with is not one of them.
pub fn read(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, Vec<Mistake>> {
    let text = match file.map(text_of).transpose() {
        Ok(text) => text.unwrap_or_default(),
        Err(mistake) => return Err(vec![mistake]),
    };
    let environment: Vec<_> = environment.into_iter().collect();
    read_texts(file.unwrap_or(Path::new("sekisho.toml")), &text, &environment)
}

/// The variables of this process that can set a key. A value that is not UTF-8 carries U+FFFD, which [`read`] refuses.
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    let ours = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        let name = name.into_string().ok().filter(|name| keys::can_set(name))?;
        Some((name, value.to_string_lossy().into_owned()))
    };
    std::env::vars_os().filter_map(ours).collect()
}

fn read_texts(file: &Path, text: &str, environment: &[(String, String)]) -> Result<Config, Vec<Mistake>> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut mistakes = written::syntax_mistakes(file, text, &errors);
    if written::is_readable(&errors) {
        let source = written::Source { file, text };
        let set = written::find(&source, tree.get_ref(), environment, &mut mistakes);
        let (config, more) = meant::mean(&source, &set);
        mistakes.extend(more);
        if let Some(config) = config.filter(|_| mistakes.is_empty()) {
            return Ok(config);
        }
    }
    mistakes.sort();
    mistakes.dedup();
    Err(mistakes)
}

fn text_of(file: &Path) -> Result<Zeroizing<String>, Mistake> {
    let text = std::fs::read_to_string(file).map(Zeroizing::new);
    text.map_err(|error| Mistake::of(file, values::unreadable(&error)))
}

#[cfg(test)]
mod tests;
