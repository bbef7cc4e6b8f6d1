//! What tests said of versions.

use super::columns::{Counter, Fields, keyed, raise};
use super::error::StoreError;
use super::kept::{Evidence, NewEvidence};
use super::session::Row;
use super::{Store, VersionId, limit};

const REPORT: &str =
    "INSERT INTO sekisho_evidence (model, model_created, version, created, number, test, passed, link,
    reporter, digest, said) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

macro_rules! evidence {
    ($rest:literal) => {
        concat!("SELECT number, test, passed, link, reporter, digest, said FROM sekisho_evidence ", $rest)
    };
}

const OF_VERSION: &str = evidence!(
    "WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4 ORDER BY number DESC LIMIT $5"
);

const NUMBERED: &str = evidence!("WHERE number = $1");

const LAST_OF_BYTES: &str = evidence!(
    "WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4 AND test = $5 AND digest = $6
    ORDER BY number DESC LIMIT 1"
);

const LAST_OF_ANY: &str = evidence!(
    "WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4 AND test = $5
    ORDER BY number DESC LIMIT 1"
);

impl Store {
    /// Keeps what a test said; its number.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn report(&self, id: &VersionId, said: &NewEvidence) -> Result<i64, StoreError> {
        self.within(async {
            let mut session = self.turn().await?;
            let number = raise(&mut session, Counter::Evidence, 1).await?;
            let more = [
                number.into(),
                said.test.as_str().into(),
                i64::from(said.passed).into(),
                said.link.as_deref().into(),
                said.reporter.as_str().into(),
                said.digest.as_str().into(),
                said.at.as_microsecond().into(),
            ];
            let values = keyed(session.kind(), id, more)?;
            session.run(REPORT, &values).await?;
            session.commit().await?;
            Ok(number)
        })
        .await
    }

    /// What tests said of a version, the newest first: one more than [`NEWEST`](super::NEWEST) at most.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn evidence(&self, id: &VersionId) -> Result<Vec<Evidence>, StoreError> {
        self.within(async {
            let mut session = self.read().await?;
            let values = keyed(session.kind(), id, [limit().into()])?;
            session.rows(OF_VERSION, &values).await?.iter().map(read).collect()
        })
        .await
    }

    /// What was kept under these numbers, in their order.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn said(&self, numbers: &[i64]) -> Result<Vec<Evidence>, StoreError> {
        self.within(async {
            let mut session = self.read().await?;
            let mut found = Vec::with_capacity(numbers.len());
            for number in numbers {
                let row = session.row(NUMBERED, &[(*number).into()]).await?;
                found.extend(row.as_ref().map(read).transpose()?);
            }
            Ok(found)
        })
        .await
    }

    /// What each of these tests said last of the bytes of this digest; of one that said nothing of them, what it said last
    /// of any others. So much decides, however much was ever said.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn last_said(
        &self,
        id: &VersionId,
        digest: &str,
        tests: &[String],
    ) -> Result<Vec<Evidence>, StoreError> {
        self.within(async {
            let mut session = self.read().await?;
            let kind = session.kind();
            let mut last = Vec::with_capacity(tests.len());
            for test in tests {
                let of_bytes = keyed(kind, id, [test.as_str().into(), digest.into()])?;
                let row = match session.row(LAST_OF_BYTES, &of_bytes).await? {
                    Some(row) => Some(row),
                    None => session.row(LAST_OF_ANY, &keyed(kind, id, [test.as_str().into()])?).await?,
                };
                last.extend(row.as_ref().map(read).transpose()?);
            }
            Ok(last)
        })
        .await
    }
}

fn read(row: &Row) -> Result<Evidence, StoreError> {
    let mut fields = Fields::of(row);
    let number = fields.whole()?;
    let said = NewEvidence {
        test: fields.text()?,
        passed: fields.flag()?,
        link: fields.text_if_any()?,
        reporter: fields.text()?,
        digest: fields.text()?,
        at: fields.moment()?,
    };
    Ok(Evidence { number, said })
}
