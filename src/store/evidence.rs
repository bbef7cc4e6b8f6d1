//! What tests said of versions.

use super::columns::{Counter, Fields, keyed, raise};
use super::error::StoreError;
use super::kept::{Evidence, NewEvidence};
use super::session::Row;
use super::{Store, VersionId, WITHIN};

const REPORT: &str =
    "INSERT INTO sekisho_evidence (model, model_created, version, created, number, test, passed, link,
    reporter, digest, said) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

const OF_VERSION: &str = "SELECT number, test, passed, link, reporter, digest, said FROM sekisho_evidence
    WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4 ORDER BY number DESC";

impl Store {
    /// Keeps what a test said; its number.
    ///
    /// # Errors
    /// The store did not answer, or not within [`WITHIN`].
    pub async fn report(&self, id: &VersionId, said: &NewEvidence) -> Result<i64, StoreError> {
        self.within(WITHIN, async {
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

    /// All that tests said of a version, the newest first.
    ///
    /// # Errors
    /// The store did not answer, or not within [`WITHIN`].
    pub async fn evidence(&self, id: &VersionId) -> Result<Vec<Evidence>, StoreError> {
        self.within(WITHIN, async {
            let mut session = self.read().await?;
            let values = keyed(session.kind(), id, [])?;
            session.rows(OF_VERSION, &values).await?.iter().map(read).collect()
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
