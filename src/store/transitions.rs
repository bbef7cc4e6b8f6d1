//! Transitions: what was begun, what was done, and what stood where at some time.

use jiff::Timestamp;

use super::columns::{Counter, Fields, json, key, keyed, raise};
use super::error::StoreError;
use super::kept::{Began, NewTransition, Progress, Stand, Transition};
use super::session::{Row, Session};
use super::{Store, VersionId, departures, limit, requests, stands};
use crate::stage::Stage;

macro_rules! transitions {
    ($rest:literal) => {
        concat!(
            "SELECT number, model, model_created, version, created, from_stage, to_stage, made_by, request, asked_by,
            approvals, evidence, digest, break_glass, begun, progress, ended FROM sekisho_transitions AS t ",
            $rest
        )
    };
}

const NUMBERED: &str = transitions!("WHERE number = $1");

const UNFINISHED: &str = transitions!("WHERE progress = 'begun' ORDER BY number");

const HISTORY: &str = transitions!(
    "WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4 AND progress = 'done'
    ORDER BY number DESC LIMIT $5"
);

const CAME_THERE: &str = "SELECT number FROM sekisho_transitions WHERE model = $1 AND model_created = $2
    AND version = $3 AND created = $4 AND progress = 'done' AND to_stage = $5 AND digest = $6 LIMIT 1";

/// Of each version the last transition before that time, by number: a clock that was set back changes no order.
const IN_STAGE_AT: &str = transitions!(
    "WHERE (model = $1 OR name_then = $1) AND to_stage = $2 AND progress = 'done' AND ended <= $3
    AND NOT EXISTS (SELECT 1 FROM sekisho_transitions AS later WHERE later.model = t.model
        AND later.model_created = t.model_created AND later.version = t.version AND later.created = t.created
        AND later.progress = 'done' AND later.ended <= $3 AND later.number > t.number)
    AND NOT EXISTS (SELECT 1 FROM sekisho_stands AS s WHERE s.model = t.model AND s.model_created = t.model_created
        AND s.version = t.version AND s.created = t.created AND s.gone = 1 AND s.gone_at <= $3)
    ORDER BY number"
);

/// Versions that had not been moved yet since they were taken in.
const AS_TAKEN_IN_AT: &str = "SELECT model, model_created, version, created, first_stage, first_since
    FROM sekisho_stands AS s WHERE model = $1 AND first_stage = $2 AND first_since <= $3
    AND (gone = 0 OR gone_at > $3)
    AND NOT EXISTS (SELECT 1 FROM sekisho_transitions AS t WHERE t.model = s.model
        AND t.model_created = s.model_created AND t.version = s.version AND t.created = s.created
        AND t.progress = 'done' AND t.ended <= $3)
    ORDER BY version, created";

const BEGUN: &str =
    "SELECT number FROM sekisho_transitions WHERE model = $1 AND model_created = $2 AND version = $3
    AND created = $4 AND progress = 'begun'";

const BEGIN: &str = "INSERT INTO sekisho_transitions (model, model_created, version, created, name_then, number,
    from_stage, to_stage, made_by, request, asked_by, approvals, evidence, digest, break_glass, begun, progress,
    instance) VALUES ($1, $2, $3, $4, $1, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 'begun', $16)";

const END: &str =
    "UPDATE sekisho_transitions SET progress = $2, ended = $3 WHERE number = $1 AND progress = 'begun'";

const IS_OURS: &str = "SELECT number FROM sekisho_transitions WHERE number = $1 AND instance = $2";

/// Of somebody who is there nothing is taken.
const TAKE_OVER: &str =
    "UPDATE sekisho_transitions SET instance = $2 WHERE number = $1 AND progress = 'begun'
    AND (instance IS NULL OR instance = $2 OR NOT EXISTS (SELECT 1 FROM sekisho_instances AS i
        WHERE i.id = sekisho_transitions.instance))";

const UNDO: &str = "UPDATE sekisho_transitions SET progress = 'undone', ended = $5 WHERE model = $1
    AND model_created = $2 AND version = $3 AND created = $4 AND progress = 'begun'";

impl Store {
    /// Begins a transition, if the version stands as it was seen: `seen` is the [`Stand::change`] on which all was
    /// decided. So its files have been closed ever since, and nobody else has moved it there and back. It is this
    /// sekisho's to end.
    ///
    /// # Errors
    /// The store did not answer, or not in time, or does not know that this sekisho is there.
    pub async fn begin(&self, transition: &NewTransition, seen: i64) -> Result<Began, StoreError> {
        self.within(async {
            let mut session = self.turn().await?;
            let ours = self.heard(&mut session).await?;
            let began = begin(&mut session, transition, seen, &ours).await?;
            session.commit().await?;
            Ok(began)
        })
        .await
    }

    /// Ends a transition that was begun: the moment at which the version stands elsewhere, or does not. Where it stands
    /// now; nothing if there is no such transition, if it ended in the other way, if it is somebody else's by now, or if
    /// the version is gone. Whoever comes twice is answered the same, and changes nothing.
    ///
    /// # Errors
    /// The store did not answer, or not in time, or does not know that this sekisho is there.
    pub async fn end(&self, number: i64, how: Progress, now: Timestamp) -> Result<Option<Stand>, StoreError> {
        if how == Progress::Begun {
            return Ok(None);
        }
        self.within(async {
            let mut session = self.turn().await?;
            let ours = self.heard(&mut session).await?;
            let stand = end(&mut session, number, (how, now), &ours).await?;
            session.commit().await?;
            Ok(stand)
        })
        .await
    }

    /// Takes a transition that was begun by somebody who is gone, or has been this sekisho's all along: whether it is this
    /// sekisho's to end now.
    ///
    /// # Errors
    /// The store did not answer, or not in time, or does not know that this sekisho is there.
    pub async fn take_over(&self, number: i64) -> Result<bool, StoreError> {
        self.within(async {
            let mut session = self.turn().await?;
            let ours = self.heard(&mut session).await?;
            let taken = session.run(TAKE_OVER, &[number.into(), (&*ours).into()]).await? > 0;
            session.commit().await?;
            Ok(taken)
        })
        .await
    }

    /// The transition with this number.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn transition(&self, number: i64) -> Result<Option<Transition>, StoreError> {
        self.within(async {
            let mut session = self.read().await?;
            session.row(NUMBERED, &[number.into()]).await?.as_ref().map(read).transpose()
        })
        .await
    }

    /// Transitions that were begun and have not ended, the earliest first.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn unfinished(&self) -> Result<Vec<Transition>, StoreError> {
        self.within(async {
            let mut session = self.read().await?;
            session.rows(UNFINISHED, &[]).await?.iter().map(read).collect()
        })
        .await
    }

    /// What was done to a version, the newest first: one more than [`NEWEST`](super::NEWEST) at most.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn history(&self, id: &VersionId) -> Result<Vec<Transition>, StoreError> {
        self.within(async {
            let mut session = self.read().await?;
            let values = keyed(session.kind(), id, [limit().into()])?;
            session.rows(HISTORY, &values).await?.iter().map(read).collect()
        })
        .await
    }

    /// Whether a version came to a stage at any time, with the bytes of this digest.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn came_to(&self, id: &VersionId, stage: Stage, digest: &str) -> Result<bool, StoreError> {
        self.within(async {
            let mut session = self.read().await?;
            let values = keyed(session.kind(), id, [stage.as_str().into(), digest.into()])?;
            Ok(session.row(CAME_THERE, &values).await?.is_some())
        })
        .await
    }

    /// The versions of a model that stood in a stage at some time: the transitions by which they came there. One that
    /// stood there already when it was taken in has a transition of number 0 from that stage to itself, by nobody. The
    /// model may have another name by now; whoever shows the answer looks at the names in it.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn in_stage_at(
        &self,
        model: &str,
        stage: Stage,
        at: Timestamp,
    ) -> Result<Vec<Transition>, StoreError> {
        self.within(async {
            let mut session = self.read().await?;
            let values = [model.into(), stage.as_str().into(), at.as_microsecond().into()];
            let taken_in = session.rows(AS_TAKEN_IN_AT, &values).await?;
            let moved = session.rows(IN_STAGE_AT, &values).await?;
            taken_in.iter().map(read_taken_in).chain(moved.iter().map(read)).collect()
        })
        .await
    }
}

async fn begin(
    session: &mut Session,
    transition: &NewTransition,
    seen: i64,
    ours: &str,
) -> Result<Began, StoreError> {
    let found = stands::find(session, &transition.id).await?;
    let Some(stand) = found.filter(|stand| !stand.gone) else { return Ok(Began::Unknown) };
    if is_begun(session, &transition.id).await?
        || departures::is_departing(session, &transition.id.model, transition.id.version).await?
    {
        return Ok(Began::Underway);
    }
    if stand.stage != transition.from {
        return Ok(Began::Elsewhere(stand.stage));
    }
    if stand.change != seen {
        return Ok(Began::Changed);
    }
    if let Some(request) = transition.request
        && !requests::stands_for(session, request, transition).await?
    {
        return Ok(Began::Closed);
    }
    let number = raise(session, Counter::Transition, 1).await?;
    insert(session, number, transition, ours).await?;
    Ok(Began::Begun(number))
}

async fn insert(
    session: &mut Session,
    number: i64,
    transition: &NewTransition,
    ours: &str,
) -> Result<(), StoreError> {
    let kind = session.kind();
    let more = [
        number.into(),
        transition.from.as_str().into(),
        transition.to.as_str().into(),
        transition.by.as_str().into(),
        transition.request.into(),
        transition.asked_by.as_str().into(),
        json(kind, &transition.approvals, "approvals")?,
        json(kind, &transition.evidence, "evidence")?,
        transition.digest.as_str().into(),
        transition.break_glass.as_deref().into(),
        transition.begun.as_microsecond().into(),
        ours.into(),
    ];
    session.run(BEGIN, &keyed(kind, &transition.id, more)?).await?;
    Ok(())
}

async fn end(
    session: &mut Session,
    number: i64,
    (how, now): (Progress, Timestamp),
    ours: &str,
) -> Result<Option<Stand>, StoreError> {
    let Some(row) = session.row(NUMBERED, &[number.into()]).await? else { return Ok(None) };
    let Transition { what, progress, .. } = read(&row)?;
    let found = stands::find(session, &what.id).await?.filter(|stand| !stand.gone);
    if progress == how {
        return Ok(found);
    }
    let Some(stand) = found.filter(|_| progress == Progress::Begun) else { return Ok(None) };
    if session.row(IS_OURS, &[number.into(), ours.into()]).await?.is_none() {
        return Ok(None);
    }
    let values = [number.into(), written(how).into(), now.as_microsecond().into()];
    session.run(END, &values).await?;
    if how == Progress::Undone {
        return Ok(Some(stand));
    }
    requests::settle(session, &what, now).await?;
    stands::moved(session, stand, what.to, now).await.map(Some)
}

/// Whether a transition of a version is under way.
pub(super) async fn is_begun(session: &mut Session, id: &VersionId) -> Result<bool, StoreError> {
    Ok(session.row(BEGUN, &key(session.kind(), id)?).await?.is_some())
}

/// Ends what is under way.
pub(super) async fn undo(session: &mut Session, id: &VersionId, now: Timestamp) -> Result<(), StoreError> {
    let more = [now.as_microsecond().into()];
    session.run(UNDO, &keyed(session.kind(), id, more)?).await?;
    Ok(())
}

fn read(row: &Row) -> Result<Transition, StoreError> {
    let mut fields = Fields::of(row);
    let number = fields.whole()?;
    let what = NewTransition {
        id: fields.id()?,
        from: fields.stage()?,
        to: fields.stage()?,
        by: fields.text()?,
        request: fields.whole_if_any()?,
        asked_by: fields.text()?,
        approvals: fields.json("approvals")?,
        evidence: fields.json("evidence")?,
        digest: fields.text()?,
        break_glass: fields.text_if_any()?,
        begun: fields.moment()?,
    };
    let progress = fields.word(progress, "progress")?;
    Ok(Transition { number, what, progress, ended: fields.moment_if_any()? })
}

fn read_taken_in(row: &Row) -> Result<Transition, StoreError> {
    let mut fields = Fields::of(row);
    let (id, stage, since) = (fields.id()?, fields.stage()?, fields.moment()?);
    let what = NewTransition {
        id,
        from: stage,
        to: stage,
        by: String::new(),
        request: None,
        asked_by: String::new(),
        approvals: Vec::new(),
        evidence: Vec::new(),
        digest: String::new(),
        break_glass: None,
        begun: since,
    };
    Ok(Transition { number: 0, what, progress: Progress::Done, ended: Some(since) })
}

fn written(progress: Progress) -> &'static str {
    match progress {
        Progress::Begun => "begun",
        Progress::Done => "done",
        Progress::Undone => "undone",
    }
}

fn progress(text: &str) -> Option<Progress> {
    use Progress::{Begun, Done, Undone};
    [Begun, Done, Undone].into_iter().find(|progress| written(*progress) == text)
}
