//! Where the state store is: the path of a SQLite file, or a PostgreSQL server with its password out of sight.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustix::fs::{Access, access};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use url::Url;

/// `sqlite://FILE` or `postgres://…`, understood. Neither `Debug` nor `Display` shows a password.
#[derive(Clone)]
pub enum Address {
    /// A file of this machine; a relative path counts from the working directory.
    Sqlite(PathBuf),
    /// A server that several instances share.
    Postgres(Server),
}

/// A PostgreSQL server, and how to log in there.
#[derive(Clone)]
pub struct Server(Arc<PgConnectOptions>);

/// Why a text is no address. The text may hold a password, so it is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressMistake {
    /// Another scheme, or nothing after it.
    #[error("must be `sqlite://FILE` or `postgres://…`")]
    Scheme,
    /// What SQLite would read as a setting of its own.
    #[error("has more than the path of a file after `sqlite://`: no `?`, `#` and `:memory:`")]
    File,
    /// Not a URL.
    #[error("is not a URL: {0}")]
    Url(url::ParseError),
    /// An unescaped letter in the password moves everything after it.
    #[error(
        "has a `/`, `@` or `#` too many; in a user name or password these are written `%2F`, `%40` and `%23`"
    )]
    Unescaped,
    /// sqlx would log it with its value, and go on without.
    #[error("has a parameter that is not known here; known are {}", KNOWN.join(", "))]
    Parameter,
    /// A known parameter with a value that is not.
    #[error("has a parameter with a value that cannot be used")]
    Value,
}

/// What may stand after the `?`.
const KNOWN: [&str; 9] =
    ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "user", "application_name", "options"];

impl FromStr for Address {
    type Err = AddressMistake;

    fn from_str(text: &str) -> Result<Self, AddressMistake> {
        if let Some(path) = text.strip_prefix("sqlite://") {
            return file(path).map(Self::Sqlite);
        }
        let is_postgres = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
        if is_postgres { server(text).map(Self::Postgres) } else { Err(AddressMistake::Scheme) }
    }
}

fn file(path: &str) -> Result<PathBuf, AddressMistake> {
    if path.is_empty() || path.ends_with('/') {
        return Err(AddressMistake::Scheme);
    }
    if path.contains(['?', '#', '\0']) || path.starts_with(":memory:") {
        return Err(AddressMistake::File);
    }
    Ok(PathBuf::from(path))
}

fn server(text: &str) -> Result<Server, AddressMistake> {
    let url = Url::parse(text).map_err(AddressMistake::Url)?;
    let database = url.path().strip_prefix('/').unwrap_or_default();
    if database.contains(['/', '@']) || url.fragment().is_some() {
        return Err(AddressMistake::Unescaped);
    }
    if url.query_pairs().any(|(name, _)| !KNOWN.contains(&name.as_ref())) {
        return Err(AddressMistake::Parameter);
    }
    let options = PgConnectOptions::from_str(text).map_err(|_may_repeat_it| AddressMistake::Value)?;
    let named = options.get_application_name().is_some();
    let options = if named { options } else { options.application_name("sekisho") };
    Ok(Server(Arc::new(options.disable_statement_logging())))
}

impl Address {
    /// What keeps a store from being here, as far as it can be seen without making anything: a folder that is missing
    /// or cannot be written.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        let Self::Sqlite(path) = self else { return None };
        let folder = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            Some(_) | None => Path::new("."),
        };
        let shown = folder.display();
        if !folder.exists() {
            return Some(format!("`{shown}` is missing; the state store would be made there"));
        }
        if !folder.is_dir() {
            return Some(format!("`{shown}` is not a folder; the state store would be made there"));
        }
        let all = Access::READ_OK | Access::WRITE_OK;
        // SQLite makes further files beside its own.
        if let Err(error) = access(folder, all | Access::EXEC_OK) {
            return Some(format!("`{shown}` cannot be written, which the state store must: {error}"));
        }
        let there = path.exists();
        let error = access(path, all).err().filter(|_| there)?;
        Some(format!("`{}` cannot be written, which the state store must: {error}", path.display()))
    }
}

impl Server {
    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(Server(options)) => {
                let database = options.get_database().unwrap_or_else(|| options.get_username());
                match options.get_socket() {
                    Some(socket) => write!(f, "postgres://{}/{database}", socket.display()),
                    None => write!(f, "postgres://{}:{}/{database}", options.get_host(), options.get_port()),
                }
            }
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
