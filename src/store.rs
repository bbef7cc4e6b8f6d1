//! The state store: digests, and what else must outlive this process and is not MLflow's.
//!
//! SQLite for one sekisho, PostgreSQL for several. Nothing that is only read from MLflow waits for it.

mod address;
mod columns;
mod comments;
mod departures;
mod digests;
mod error;
mod evidence;
mod file;
mod instances;
mod kept;
mod names;
mod news;
mod requests;
mod schema;
mod session;
mod shared;
mod stands;
mod transitions;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

pub use address::{Address, AddressMistake, Server};
pub use error::{Kind, OpenError, SchemaError, StoreError};
pub use instances::Instance;
pub use kept::{
    Approval, Approving, Asking, Began, Closing, Comment, Commenting, Evidence, NewApproval, NewEvidence,
    NewRequest, NewTransition, Origin, Person, Progress, Request, RequestState, Stand, Transition,
};
pub use news::{LONGEST as LONGEST_NEWS, News};
pub use requests::MOST_OPEN;

use file::File;
use instances::Name;
use session::Session;
use shared::Shared;

/// How long a call may take where nobody says otherwise. What keeps many files has a millisecond more for each.
pub const WITHIN: Duration = Duration::from_secs(2);

/// So many rows of a kind are told of one version at most, the newest. Nothing is decided by these.
pub const NEWEST: usize = 1_000;

/// One more, which says that there are others.
fn limit() -> i64 {
    i64::try_from(NEWEST).unwrap_or(i64::MAX).saturating_add(1)
}

/// A version of one incarnation of a model: a name or a number that is used again is another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VersionId {
    /// The model's name.
    pub model: String,
    /// When the model was created, in milliseconds as MLflow says it.
    pub model_created: i64,
    /// The version's number.
    pub version: u64,
    /// When the version was created, in milliseconds as MLflow says it.
    pub created: i64,
}

/// The digest of a version, and what it was taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptDigest {
    /// The version's `source` at that time.
    pub source: String,
    /// SHA-256 over all files, in hex.
    pub digest: String,
    /// Each file, in the order in which they were given.
    pub files: Vec<KeptFile>,
    /// Normalised requirements, in the order in which they were given.
    pub dependencies: Vec<String>,
    /// When it was taken. It is kept to the microsecond.
    pub taken: Timestamp,
}

/// One file of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFile {
    /// Below the version's source.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// In hex.
    pub sha256: String,
}

/// Whether calls can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They can.
    Ready,
    /// They fail at once, for this reason. It is tried again by itself.
    Waiting(String),
}

/// A cheap handle to the state store; clones share it, and are one sekisho on it.
#[derive(Clone)]
pub struct Store {
    database: Arc<Database>,
    name: Arc<Name>,
    within: Duration,
}

enum Database {
    File(File),
    Shared(Box<Shared>),
}

impl Standing {
    /// Whether calls can be answered.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready)
    }
}

impl Store {
    /// Opens the store and brings its tables up to date; a call may then take as long as `within`. A PostgreSQL that cannot be reached is no failure: it is
    /// waited for by [`Store::tend`].
    ///
    /// # Errors
    /// A file that cannot be used, or tables that a newer sekisho has made.
    pub async fn open(address: &Address, within: Duration) -> Result<Self, OpenError> {
        let database = match address {
            Address::Sqlite(path) => Database::File(File::open(path, within).await?),
            Address::Postgres(server) => Database::Shared(Box::new(Shared::open(server, within).await?)),
        };
        Ok(Self { database: Arc::new(database), name: Arc::default(), within })
    }

    /// Which database it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match &*self.database {
            Database::File(_) => Kind::Sqlite,
            Database::Shared(_) => Kind::Postgres,
        }
    }

    /// Whether calls can be answered, as was last seen. A file always stands ready.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match &*self.database {
            Database::File(_) => Standing::Ready,
            Database::Shared(shared) => shared.standing(),
        }
    }

    /// Waits until the store is to be looked at, and looks: to be called again and again, in one place. It never ends
    /// for a file.
    pub async fn tend(&self) {
        match &*self.database {
            Database::File(_) => std::future::pending().await,
            Database::Shared(shared) => shared.tend().await,
        }
    }

    /// The digest that was kept for a version.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn digest(&self, id: &VersionId) -> Result<Option<KeptDigest>, StoreError> {
        self.within(async {
            let mut session = self.read().await?;
            digests::find(&mut session, id).await
        })
        .await
    }

    /// The digest alone, without the files that it was taken from.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn kept_bytes(&self, id: &VersionId) -> Result<Option<String>, StoreError> {
        self.within(async {
            let mut session = self.read().await?;
            digests::bytes(&mut session, id).await
        })
        .await
    }

    /// Keeps a digest, in place of the one that was kept for this version. Open requests for other bytes are void then.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn keep_digest(&self, id: &VersionId, digest: &KeptDigest) -> Result<(), StoreError> {
        let files = u64::try_from(digest.files.len()).unwrap_or(u64::MAX);
        self.within_more(Duration::from_millis(files), async {
            let mut session = self.write().await?;
            digests::keep(&mut session, id, digest).await?;
            session.commit().await?;
            self.void_other_bytes(id, digest).await
        })
        .await
    }

    /// Forgets the digest of a version.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn forget(&self, id: &VersionId) -> Result<(), StoreError> {
        self.within(async {
            let mut session = self.write().await?;
            digests::forget(&mut session, id).await?;
            session.commit().await
        })
        .await
    }

    async fn read(&self) -> Result<Session, StoreError> {
        let begun = match &*self.database {
            Database::File(file) => file.read().await,
            Database::Shared(shared) => shared.read().await,
        };
        self.begun(begun).await
    }

    async fn write(&self) -> Result<Session, StoreError> {
        let begun = match &*self.database {
            Database::File(file) => file.write().await,
            Database::Shared(shared) => shared.write().await,
        };
        self.begun(begun).await
    }

    /// A session that is the only one to change anything but digests. What it sees is what was there when its turn came,
    /// on both databases.
    async fn turn(&self) -> Result<Session, StoreError> {
        let mut session = self.write().await?;
        columns::raise(&mut session, columns::Counter::Turn, 1).await?;
        Ok(session)
    }

    /// Each session looks whether the tables are still the ones that this program knows: a newer sekisho beside this
    /// one, or a backup, may have replaced them.
    async fn begun(&self, begun: sqlx::Result<Session>) -> Result<Session, StoreError> {
        let kind = self.kind();
        let mut session = begun.map_err(|source| {
            let late = matches!(source, sqlx::Error::PoolTimedOut);
            if late { StoreError::Late(kind) } else { StoreError::Failed { kind, source } }
        })?;
        let look = match kind {
            Kind::Sqlite => schema::FOUND,
            Kind::Postgres => schema::FOUND_IN_TIME,
        };
        let found = match session.row(look, &[]).await? {
            Some(row) => row.whole(0)?,
            None => 0,
        };
        if found == schema::NEWEST { Ok(session) } else { Err(StoreError::Schema { kind, found }) }
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.within_more(Duration::ZERO, call).await
    }

    async fn within_more<T>(
        &self,
        more: Duration,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let kind = self.kind();
        if !self.standing().is_ready() {
            return Err(StoreError::Waiting(kind));
        }
        // Boxed, so that what only sometimes asks the store is not always as large as a question to it.
        let call = timeout(self.within.saturating_add(more), Box::pin(call));
        let answered = call.await.unwrap_or(Err(StoreError::Late(kind)));
        if let (Err(_), Database::Shared(shared)) = (&answered, &*self.database) {
            shared.suspect();
        }
        answered
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.kind())
    }
}

#[cfg(test)]
mod tests;
