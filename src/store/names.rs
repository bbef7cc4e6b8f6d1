//! A model has a new name, and what is kept of it goes along.

use super::columns::{Counter, raise};
use super::error::StoreError;
use super::session::{Session, Value};
use super::{Store, digests};

/// Somebody may know a version under its new name already. What they took in is not believed, but what was done since
/// is newer than anything under the old name. `$outer` is a table that has the version.
macro_rules! moved_since {
    ($outer:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM sekisho_transitions AS since WHERE since.model = $3
            AND since.model_created = $2 AND since.version = ",
            $outer,
            ".version AND since.created = ",
            $outer,
            ".created)"
        )
    };
}

const STANDING: &str =
    "SELECT count(*) FROM sekisho_stands WHERE model = $1 AND model_created = $2 AND gone = 0";

const STAND_THERE: &str = concat!(
    "INSERT INTO sekisho_stands (model, model_created, version, created, stage, since, origin, closing, closed_by, gone,
    gone_at, first_stage, first_since, change)
    SELECT $3, o.model_created, o.version, o.created, o.stage, o.since, o.origin, o.closing, o.closed_by, 0, NULL, o.first_stage,
    o.first_since, $4 + row_number() OVER (ORDER BY o.version, o.created)
    FROM sekisho_stands AS o WHERE o.model = $1 AND o.model_created = $2 AND o.gone = 0 AND NOT ",
    moved_since!("o"),
    " ON CONFLICT (model, model_created, version, created) DO UPDATE SET stage = excluded.stage,
    since = excluded.since, origin = excluded.origin, closing = excluded.closing, closed_by = excluded.closed_by, gone = 0, gone_at = NULL,
    first_stage = excluded.first_stage, first_since = excluded.first_since, change = excluded.change"
);

const STAND_HERE_NO_MORE: &str = "UPDATE sekisho_stands SET gone = 1, gone_at = NULL, closing = 0,
    change = $3 + o.place FROM (SELECT version, created, row_number() OVER (ORDER BY version, created) AS place
        FROM sekisho_stands WHERE model = $1 AND model_created = $2 AND gone = 0) AS o
    WHERE sekisho_stands.model = $1 AND sekisho_stands.model_created = $2 AND sekisho_stands.version = o.version
    AND sekisho_stands.created = o.created";

const UNDO_OVERTAKEN: &str = concat!(
    "UPDATE sekisho_transitions SET progress = 'undone', ended = begun
    WHERE model = $1 AND model_created = $2 AND progress = 'begun' AND ",
    moved_since!("sekisho_transitions")
);

/// What was approved was approved under the old name (DESIGN section 8), so it is asked for again. A transition that was
/// begun for a request is ended, and its request with it, unless the same was asked for under the new name.
const VOID: &str = "UPDATE sekisho_requests SET state = 'void', closed_by = '', closed_at = asked,
    closed_comment = 'the model has another name now'
    WHERE model = $1 AND model_created = $2 AND state = 'open' AND (NOT EXISTS (SELECT 1 FROM sekisho_transitions AS t
        WHERE t.request = sekisho_requests.number AND t.progress = 'begun')
    OR EXISTS (SELECT 1 FROM sekisho_requests AS n
        WHERE n.model = $3 AND n.model_created = $2 AND n.version = sekisho_requests.version
        AND n.created = sekisho_requests.created AND n.to_stage = sekisho_requests.to_stage
        AND n.folded = sekisho_requests.folded AND n.state = 'open'))";

const RENAME: [&str; 4] = [
    "UPDATE sekisho_requests SET model = $3 WHERE model = $1 AND model_created = $2",
    "UPDATE sekisho_evidence SET model = $3 WHERE model = $1 AND model_created = $2",
    "UPDATE sekisho_transitions SET model = $3 WHERE model = $1 AND model_created = $2",
    "UPDATE sekisho_comments SET model = $3 WHERE model = $1 AND model_created = $2",
];

/// Digests wait for no turn, since one may be of very many files: one that is being kept under the new name is seen when
/// it is there.
const TRIES: u32 = 5;

impl Store {
    /// A model has a new name. What was kept of it is found under the new one alone.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn renamed(&self, model: &str, model_created: i64, new_name: &str) -> Result<(), StoreError> {
        if model == new_name {
            return Ok(());
        }
        let mut left = TRIES;
        loop {
            let done = self.within(self.rename(model, model_created, new_name)).await;
            left = left.saturating_sub(1);
            match done {
                Err(error) if error.is_taken() && left > 0 => {}
                Ok(()) | Err(_) => return done,
            }
        }
    }

    async fn rename(&self, model: &str, model_created: i64, new_name: &str) -> Result<(), StoreError> {
        let mut session = self.turn().await?;
        digests::rename(&mut session, model, model_created, new_name).await?;
        let values = [model.into(), model_created.into(), new_name.into()];
        stands(&mut session, &values).await?;
        session.run(UNDO_OVERTAKEN, &values).await?;
        session.run(VOID, &values).await?;
        for sql in RENAME {
            session.run(sql, &values).await?;
        }
        session.commit().await
    }
}

/// Whoever reads by changes meets a version under the new name before it is gone under the old one.
async fn stands(session: &mut Session, values: &[Value<'_>; 3]) -> Result<(), StoreError> {
    let [model, model_created, _] = values;
    let kind = session.kind();
    let standing = session.row(STANDING, &[model.clone(), model_created.clone()]).await?;
    let standing = standing.ok_or(StoreError::Unfit { kind, what: "count" })?.whole(0)?;
    if standing == 0 {
        return Ok(());
    }
    let last = raise(session, Counter::Change, standing.saturating_mul(2)).await?;
    let middle = last.saturating_sub(standing);
    let mut there = values.to_vec();
    there.push(middle.saturating_sub(standing).into());
    session.run(STAND_THERE, &there).await?;
    session.run(STAND_HERE_NO_MORE, &[model.clone(), model_created.clone(), middle.into()]).await?;
    Ok(())
}
