//! Where versions stand, and whether their files are closed.

use jiff::Timestamp;

use super::columns::{Counter, Fields, keyed, raise};
use super::error::StoreError;
use super::kept::{Origin, Stand};
use super::session::{Row, Session};
use super::{Store, VersionId, requests, transitions};
use crate::stage::Stage;

macro_rules! stands {
    ($rest:literal) => {
        concat!(
            "SELECT model, model_created, version, created, stage, since, origin, closing, gone, change
            FROM sekisho_stands ",
            $rest
        )
    };
}

const FIND: &str = stands!("WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4");

const AFTER: &str = stands!("WHERE change > $1 ORDER BY change LIMIT $2");

/// Whether files are this sekisho's to open, whose name is `$parameter`, or nobody's who is there.
macro_rules! ours {
    ($parameter:literal) => {
        concat!(
            " (closed_by IS NULL OR closed_by = ",
            $parameter,
            " OR NOT EXISTS (SELECT 1 FROM sekisho_instances AS i WHERE i.id = closed_by)) "
        )
    };
}

/// What was closed for a transition that was never begun.
const LEFT_CLOSED: &str = concat!(
    stands!("WHERE closing = 1 AND"),
    ours!("$1"),
    "AND NOT EXISTS (SELECT 1 FROM sekisho_transitions AS t WHERE t.progress = 'begun'
    AND t.model = sekisho_stands.model AND t.model_created = sekisho_stands.model_created
    AND t.version = sekisho_stands.version AND t.created = sekisho_stands.created) ORDER BY change"
);

/// One that is back stands where it stood.
const TAKE_IN: &str =
    "INSERT INTO sekisho_stands (model, model_created, version, created, stage, since, origin,
    closing, gone, first_stage, first_since, change) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $5, $6, $8)
    ON CONFLICT (model, model_created, version, created)
    DO UPDATE SET gone = 0, gone_at = NULL, change = excluded.change";

const CLOSE: &str = "UPDATE sekisho_stands SET closing = $5, change = $6, closed_by = $7
    WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4";

/// They stay closed, by somebody who is there.
const CLOSE_ON: &str = concat!(
    "UPDATE sekisho_stands SET closed_by = $5 WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4
    AND closing = 1 AND",
    ours!("$5")
);

const IS_OURS: &str = concat!(
    "SELECT change FROM sekisho_stands WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4 AND",
    ours!("$5")
);

const MOVE: &str =
    "UPDATE sekisho_stands SET stage = $5, since = $6, closing = 0, closed_by = NULL, change = $7
    WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4";

const GONE: &str =
    "UPDATE sekisho_stands SET gone = 1, gone_at = $5, closing = 0, closed_by = NULL, change = $6
    WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4";

/// Rows of one answer.
const AT_ONCE: i64 = 5_000;

impl Store {
    /// Where a version stands; nothing if it was never taken in, or MLflow has it no more.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn stands(&self, id: &VersionId) -> Result<Option<Stand>, StoreError> {
        self.within(async {
            let mut session = self.read().await?;
            Ok(find(&mut session, id).await?.filter(|stand| !stand.gone))
        })
        .await
    }

    /// Takes a version in; if it was taken in before, nothing changes. Where it stands.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn take_in(
        &self,
        id: &VersionId,
        stage: Stage,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Stand, StoreError> {
        if let Some(stand) = self.stands(id).await? {
            return Ok(stand);
        }
        self.within(async {
            let mut session = self.turn().await?;
            let stand = taken_in(&mut session, id, stage, origin, now).await?;
            session.commit().await?;
            Ok(stand)
        })
        .await
    }

    /// Every stand that was changed after change `after`, the earliest change first; versions that are gone too. A model
    /// with a new name has its versions under that one, and then under the old one as gone.
    ///
    /// # Errors
    /// The store did not answer, or not in time for some thousands.
    pub async fn stands_after(&self, after: i64) -> Result<Vec<Stand>, StoreError> {
        let mut all: Vec<Stand> = Vec::new();
        loop {
            let last = all.last().map_or(after, |stand| stand.change);
            let more = self.within(self.some_after(last)).await?;
            if more.is_empty() {
                return Ok(all);
            }
            all.extend(more);
        }
    }

    async fn some_after(&self, after: i64) -> Result<Vec<Stand>, StoreError> {
        let mut session = self.read().await?;
        session.rows(AFTER, &[after.into(), AT_ONCE.into()]).await?.iter().map(read).collect()
    }

    /// Closes the files of a version that stands in `Development`, which it is taken to do if it was never taken in. The
    /// `change` of the answer is the same for as long as they stay closed: [`Store::begin`] asks for it. Nothing is done
    /// to one that stands elsewhere or is gone. They are this sekisho's to open then, unless somebody else who is there has
    /// closed them before.
    ///
    /// # Errors
    /// The store did not answer, or not in time, or does not know that this sekisho is there.
    pub async fn close_files(&self, id: &VersionId, now: Timestamp) -> Result<Stand, StoreError> {
        self.within(async {
            let mut session = self.turn().await?;
            let ours = self.heard(&mut session).await?;
            let found = find(&mut session, id).await?;
            let mut stand = match found {
                Some(stand) => stand,
                None => taken_in(&mut session, id, Stage::Development, Origin::Registered, now).await?,
            };
            if stand.stage == Stage::Development && !stand.gone && !stand.closing {
                stand = set_closing(&mut session, stand, Some(&*ours)).await?;
            } else {
                session.run(CLOSE_ON, &keyed(session.kind(), id, [(&*ours).into()])?).await?;
            }
            session.commit().await?;
            Ok(stand)
        })
        .await
    }

    /// Files that were closed by change `seen` stay closed, by this sekisho. The stand with its new `change`; nothing if they were opened in between, or are closed for no
    /// version in `Development` any more.
    ///
    /// # Errors
    /// The store did not answer, or not in time, or does not know that this sekisho is there.
    pub async fn keep_closed(&self, id: &VersionId, seen: i64) -> Result<Option<Stand>, StoreError> {
        self.within(async {
            let mut session = self.turn().await?;
            let ours = self.heard(&mut session).await?;
            let found = find(&mut session, id).await?;
            let still = |stand: &Stand| {
                stand.change == seen && stand.closing && !stand.gone && stand.stage == Stage::Development
            };
            let Some(stand) = found.filter(still) else { return Ok(None) };
            let stand = set_closing(&mut session, stand, Some(&*ours)).await?;
            session.commit().await?;
            Ok(Some(stand))
        })
        .await
    }

    /// Opens the files of a version again, if it stands in `Development` and no transition of it is under way, and if they
    /// are this sekisho's to open or nobody's who is there. Whoever else has closed them too is told by [`Store::begin`].
    /// Where the version stands, if it was ever taken in.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn open_files(&self, id: &VersionId) -> Result<Option<Stand>, StoreError> {
        self.within(async {
            let mut session = self.turn().await?;
            let Some(mut stand) = find(&mut session, id).await? else { return Ok(None) };
            let me = self.name();
            let values = keyed(session.kind(), id, [(&*me).into()])?;
            let ours = session.row(IS_OURS, &values).await?.is_some();
            if stand.closing && ours && !transitions::is_begun(&mut session, id).await? {
                stand = set_closing(&mut session, stand, None).await?;
            }
            session.commit().await?;
            Ok(Some(stand))
        })
        .await
    }

    /// Versions whose files are closed though no transition of them is under way: this sekisho is just preparing it, or who
    /// did so is no more.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn left_closed(&self) -> Result<Vec<Stand>, StoreError> {
        self.within(async {
            let mut session = self.read().await?;
            session.rows(LEFT_CLOSED, &[(&*self.name()).into()]).await?.iter().map(read).collect()
        })
        .await
    }

    /// MLflow has a version no more: nobody's request of it is open, no transition of it is under way; what was done
    /// stays. Its last stand, if it was ever taken in.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn gone(&self, id: &VersionId, now: Timestamp) -> Result<Option<Stand>, StoreError> {
        self.within(async {
            let mut session = self.turn().await?;
            requests::void_all(&mut session, id, now).await?;
            transitions::undo(&mut session, id, now).await?;
            let mut found = find(&mut session, id).await?;
            if let Some(stand) = found.as_mut().filter(|stand| !stand.gone) {
                stand.change = raise(&mut session, Counter::Change, 1).await?;
                (stand.gone, stand.closing) = (true, false);
                let more = [now.as_microsecond().into(), stand.change.into()];
                let values = keyed(session.kind(), id, more)?;
                session.run(GONE, &values).await?;
            }
            session.commit().await?;
            Ok(found)
        })
        .await
    }
}

pub(super) async fn find(session: &mut Session, id: &VersionId) -> Result<Option<Stand>, StoreError> {
    let row = session.row(FIND, &keyed(session.kind(), id, [])?).await?;
    row.as_ref().map(read).transpose()
}

/// A version is in another stage.
pub(super) async fn moved(
    session: &mut Session,
    stand: Stand,
    to: Stage,
    now: Timestamp,
) -> Result<Stand, StoreError> {
    let change = raise(session, Counter::Change, 1).await?;
    let more = [to.as_str().into(), now.as_microsecond().into(), change.into()];
    session.run(MOVE, &keyed(session.kind(), &stand.id, more)?).await?;
    Ok(Stand { stage: to, since: now, closing: false, change, ..stand })
}

async fn taken_in(
    session: &mut Session,
    id: &VersionId,
    stage: Stage,
    origin: Origin,
    now: Timestamp,
) -> Result<Stand, StoreError> {
    let kind = session.kind();
    if let Some(stand) = find(session, id).await?.filter(|stand| !stand.gone) {
        return Ok(stand);
    }
    let change = raise(session, Counter::Change, 1).await?;
    let more = [stage.as_str().into(), now.as_microsecond().into(), written(origin).into(), change.into()];
    session.run(TAKE_IN, &keyed(kind, id, more)?).await?;
    find(session, id).await?.ok_or(StoreError::Unfit { kind, what: "stand" })
}

async fn set_closing(session: &mut Session, stand: Stand, by: Option<&str>) -> Result<Stand, StoreError> {
    let change = raise(session, Counter::Change, 1).await?;
    let closing = by.is_some();
    let more = [i64::from(closing).into(), change.into(), by.into()];
    session.run(CLOSE, &keyed(session.kind(), &stand.id, more)?).await?;
    Ok(Stand { closing, change, ..stand })
}

fn read(row: &Row) -> Result<Stand, StoreError> {
    let mut fields = Fields::of(row);
    Ok(Stand {
        id: fields.id()?,
        stage: fields.stage()?,
        since: fields.moment()?,
        origin: fields.word(origin, "origin")?,
        closing: fields.flag()?,
        gone: fields.flag()?,
        change: fields.whole()?,
    })
}

fn written(origin: Origin) -> &'static str {
    match origin {
        Origin::Registered => "registered",
        Origin::Imported => "imported",
    }
}

fn origin(text: &str) -> Option<Origin> {
    match text {
        "registered" => Some(Origin::Registered),
        "imported" => Some(Origin::Imported),
        _ => None,
    }
}
