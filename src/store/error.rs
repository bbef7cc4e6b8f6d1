//! Why the state store could not be opened or asked. `Display` names the kind of store and nothing of its address.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// Why sekisho does not start with this store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be made or opened.
    #[error("the state store `{}` cannot be made or opened", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is there, and SQLite does not take it.
    #[error("the state store `{}` cannot be used", .path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: SchemaError,
    },
    /// The server answers, and what it holds is not for this program.
    #[error("the state store (PostgreSQL) cannot be used")]
    Foreign(#[source] SchemaError),
}

/// Why the tables are not, and cannot be made, what this program needs.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Somebody newer was here.
    #[error(
        "its schema has version {found}, and this sekisho knows versions up to {known}; it takes a newer sekisho, or \
         a backup from before"
    )]
    Newer {
        /// The version that is there.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// A version was applied with another text.
    #[error(
        "version {0} of its schema is not the one that this sekisho has; the two were not built from one release"
    )]
    Different(i64),
    /// Anything else that the database says.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Why a call was not answered. Nothing is known to have been changed; [`StoreError::Late`] may have been.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is not there at the moment, and is tried again by itself.
    #[error("the state store ({0}) cannot be used at the moment")]
    Waiting(Kind),
    /// No answer within the time that a call has.
    #[error("the state store ({0}) did not answer in time")]
    Late(Kind),
    /// The tables are of another version, since this process started.
    #[error("the state store ({kind}) has version {found} of its schema, and this sekisho has another")]
    Schema {
        /// Which.
        kind: Kind,
        /// The version that is there.
        found: i64,
    },
    /// Nobody else on the store knows of this sekisho: it has just come, or was taken for gone.
    #[error(
        "the state store ({0}) has not heard of this sekisho for a while; look what came of this before you repeat it"
    )]
    Unheard(Kind),
    /// The database refused, or the connection broke.
    #[error("the state store ({kind}) failed")]
    Failed {
        /// Which.
        kind: Kind,
        /// Why.
        source: sqlx::Error,
    },
    /// A value that cannot be written there, or that nobody could have written.
    #[error("the state store ({kind}) cannot hold this {what}")]
    Unfit {
        /// Which.
        kind: Kind,
        /// What it is about.
        what: &'static str,
    },
}

impl StoreError {
    /// Whether somebody else has just written what this was to write.
    pub(super) fn is_taken(&self) -> bool {
        let database = match self {
            Self::Failed { source, .. } => source.as_database_error(),
            Self::Waiting(_)
            | Self::Late(_)
            | Self::Schema { .. }
            | Self::Unheard(_)
            | Self::Unfit { .. } => None,
        };
        database.is_some_and(sqlx::error::DatabaseError::is_unique_violation)
    }

    /// With every cause, for the line of a request and the log.
    #[must_use]
    pub fn detail(&self) -> String {
        let mut said = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            said = format!("{said}: {error}");
            cause = error.source();
        }
        said
    }
}
