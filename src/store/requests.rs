//! Requests for transitions, and who approved them.

mod closing;

use std::collections::HashMap;

use super::columns::{Counter, Fields, json, keyed, raise};
use super::error::StoreError;
use super::kept::{
    Approval, Approving, Asking, Closing, NewApproval, NewRequest, NewTransition, Request, RequestState,
};
use super::session::{Row, Session, Value};
use super::{Store, VersionId, stands};

pub(super) use closing::{settle, void_all};

macro_rules! requests {
    ($rest:literal) => {
        concat!(
            "SELECT number, model, model_created, version, created, from_stage, to_stage, asker, folded, comment,
            source, digest, break_glass, asked, state, closed_by, closed_comment, closed_at FROM sekisho_requests ",
            $rest
        )
    };
}

macro_rules! approvals {
    ($rest:literal) => {
        concat!(
            "SELECT request, number, approver, folded, comment, source, digest, given FROM sekisho_approvals
            WHERE request IN (SELECT number FROM sekisho_requests ",
            $rest,
            ") ORDER BY number"
        )
    };
}

/// So many requests of one version are open at most: each person has one for each stage.
pub const MOST_OPEN: i64 = 100;

/// Requests, and the approvals of the same ones.
struct Which {
    requests: &'static str,
    approvals: &'static str,
}

macro_rules! which {
    ($rest:literal) => {
        Which { requests: requests!($rest), approvals: approvals!($rest) }
    };
}

const OF_VERSION: Which = which!(
    "WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4 AND number < $5
    ORDER BY number DESC LIMIT $6"
);

const OPEN_OF_VERSION: Which = which!(
    "WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4 AND state = 'open'
    ORDER BY number DESC"
);

const HOW_MANY_OPEN: &str =
    "SELECT count(*) FROM sekisho_requests WHERE model = $1 AND model_created = $2 AND version = $3
    AND created = $4 AND state = 'open'";

const NUMBERED: Which = which!("WHERE number = $1");

const IN_STATE: Which = which!("WHERE number > $1 AND state = $3 ORDER BY number LIMIT $2");

/// Only the asker can have approved before it was done, and nobody approves their own.
const OWED: Which = which!(
    "WHERE break_glass IS NOT NULL AND state = 'done' AND number > $1 AND NOT EXISTS (SELECT 1
    FROM sekisho_approvals AS a WHERE a.request = sekisho_requests.number AND a.folded <> sekisho_requests.folded)
    ORDER BY number LIMIT $2"
);

const ASKED_ALREADY: Which = which!(
    "WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4 AND to_stage = $5 AND folded = $6
    AND state = 'open'"
);

const ASK: &str =
    "INSERT INTO sekisho_requests (model, model_created, version, created, number, from_stage, to_stage,
    asker, folded, comment, source, digest, break_glass, asked, state)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'open')";

/// A broken rule is approved when it is done.
const MAY_APPROVE: &str = "SELECT number FROM sekisho_requests WHERE number = $1
    AND (state = 'open' OR (state = 'done' AND break_glass IS NOT NULL))";

const APPROVED_ALREADY: &str = "SELECT number FROM sekisho_approvals WHERE request = $1 AND folded = $2
    ORDER BY number DESC LIMIT 1";

const APPROVE: &str =
    "INSERT INTO sekisho_approvals (number, request, approver, folded, comment, source, digest, given)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// Why an ordinary request is void.
const INSTEAD: &str = "the rules were broken for it instead";

const STANDS_FOR: &str =
    "SELECT number FROM sekisho_requests WHERE model = $1 AND model_created = $2 AND version = $3
    AND created = $4 AND number = $5 AND from_stage = $6 AND to_stage = $7 AND state = 'open'";

impl Store {
    /// Keeps a request, if the version stands where it says and the same person does not ask for the same already.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn ask(&self, asked: &NewRequest) -> Result<Asking, StoreError> {
        self.within(async {
            let mut session = self.turn().await?;
            let asking = ask(&mut session, asked).await?;
            session.commit().await?;
            Ok(asking)
        })
        .await
    }

    /// Requests of a version with smaller numbers than `below`, the newest first.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn requests(
        &self,
        id: &VersionId,
        below: i64,
        limit: usize,
    ) -> Result<Vec<Request>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.within(async {
            let mut session = self.read().await?;
            let values = keyed(session.kind(), id, [below.into(), limit.into()])?;
            select(&mut session, &OF_VERSION, &values).await
        })
        .await
    }

    /// The open requests of a version, the newest first: [`MOST_OPEN`] at most.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn open_requests(&self, id: &VersionId) -> Result<Vec<Request>, StoreError> {
        self.within(async {
            let mut session = self.read().await?;
            let values = keyed(session.kind(), id, [])?;
            select(&mut session, &OPEN_OF_VERSION, &values).await
        })
        .await
    }

    /// The request with this number.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn request(&self, number: i64) -> Result<Option<Request>, StoreError> {
        self.within(async {
            let mut session = self.read().await?;
            Ok(select(&mut session, &NUMBERED, &[number.into()]).await?.pop())
        })
        .await
    }

    /// Requests of which this has become, with larger numbers than `after`, in their order.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn requests_in(
        &self,
        state: RequestState,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Request>, StoreError> {
        self.some(&IN_STATE, after, limit, &[state.as_str().into()]).await
    }

    /// Requests by which a rule was broken and that nobody but the asker has approved since, in the same way.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn owed(&self, after: i64, limit: usize) -> Result<Vec<Request>, StoreError> {
        self.some(&OWED, after, limit, &[]).await
    }

    async fn some(
        &self,
        which: &Which,
        after: i64,
        limit: usize,
        more: &[Value<'_>],
    ) -> Result<Vec<Request>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut values = vec![after.into(), limit.into()];
        values.extend_from_slice(more);
        self.within(async {
            let mut session = self.read().await?;
            select(&mut session, which, &values).await
        })
        .await
    }

    /// Keeps an approval. Whether it counts is not asked here. `renews` is the same person's last one, if the new one is
    /// to take its place: the former stays, for what was done by it.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn approve(
        &self,
        request: i64,
        given: &NewApproval,
        renews: Option<i64>,
    ) -> Result<Approving, StoreError> {
        self.within(async {
            let mut session = self.turn().await?;
            let approving = approve(&mut session, request, given, renews).await?;
            session.commit().await?;
            Ok(approving)
        })
        .await
    }
}

async fn count(session: &mut Session, sql: &'static str, values: &[Value<'_>]) -> Result<i64, StoreError> {
    let kind = session.kind();
    session.row(sql, values).await?.ok_or(StoreError::Unfit { kind, what: "count" })?.whole(0)
}

async fn ask(session: &mut Session, asked: &NewRequest) -> Result<Asking, StoreError> {
    let kind = session.kind();
    match stands::find(session, &asked.id).await? {
        Some(stand) if stand.gone => return Ok(Asking::Unknown),
        Some(stand) if stand.stage != asked.from => return Ok(Asking::Elsewhere(stand.stage)),
        Some(_) => {}
        None => return Ok(Asking::Unknown),
    }
    let same = [asked.to.as_str().into(), asked.folded.as_str().into()];
    let already = select(session, &ASKED_ALREADY, &keyed(kind, &asked.id, same)?).await?.pop();
    if let Some(request) = already {
        if asked.break_glass.is_none() || request.asked.break_glass.is_some() {
            return Ok(Asking::Already(request));
        }
        // What is done against the rules owes its approvals under a number of its own.
        let closing = Closing { by: String::new(), comment: INSTEAD.to_owned(), at: asked.asked };
        if !closing::close(session, request.number, RequestState::Void, &closing).await? {
            return Ok(Asking::Already(request));
        }
    }
    if count(session, HOW_MANY_OPEN, &keyed(kind, &asked.id, [])?).await? >= MOST_OPEN {
        return Ok(Asking::TooMany);
    }
    let number = raise(session, Counter::Request, 1).await?;
    let more = [
        number.into(),
        asked.from.as_str().into(),
        asked.to.as_str().into(),
        json(kind, &asked.asker, "asker")?,
        asked.folded.as_str().into(),
        asked.comment.as_str().into(),
        asked.source.as_str().into(),
        asked.digest.as_str().into(),
        asked.break_glass.as_deref().into(),
        asked.asked.as_microsecond().into(),
    ];
    session.run(ASK, &keyed(kind, &asked.id, more)?).await?;
    let kept = select(session, &NUMBERED, &[number.into()]).await?.pop();
    kept.map(Asking::Kept).ok_or(StoreError::Unfit { kind, what: "request" })
}

async fn approve(
    session: &mut Session,
    request: i64,
    given: &NewApproval,
    renews: Option<i64>,
) -> Result<Approving, StoreError> {
    if session.row(MAY_APPROVE, &[request.into()]).await?.is_none() {
        return Ok(Approving::Closed);
    }
    let same = [request.into(), given.folded.as_str().into()];
    let last = session.row(APPROVED_ALREADY, &same).await?;
    let last = last.map(|row| row.whole(0)).transpose()?;
    // Of two who renew the same one at once, one does.
    if last.is_some() && last != renews {
        return Ok(Approving::Twice);
    }
    let number = raise(session, Counter::Approval, 1).await?;
    let values = [
        number.into(),
        request.into(),
        json(session.kind(), &given.approver, "approver")?,
        given.folded.as_str().into(),
        given.comment.as_str().into(),
        given.source.as_str().into(),
        given.digest.as_str().into(),
        given.at.as_microsecond().into(),
    ];
    session.run(APPROVE, &values).await?;
    Ok(Approving::Kept(number))
}

/// Whether the transition is what its request asks for, and that is open.
pub(super) async fn stands_for(
    session: &mut Session,
    number: i64,
    transition: &NewTransition,
) -> Result<bool, StoreError> {
    let more = [number.into(), transition.from.as_str().into(), transition.to.as_str().into()];
    let values = keyed(session.kind(), &transition.id, more)?;
    Ok(session.row(STANDS_FOR, &values).await?.is_some())
}

async fn select(
    session: &mut Session,
    which: &Which,
    values: &[Value<'_>],
) -> Result<Vec<Request>, StoreError> {
    let rows = session.rows(which.requests, values).await?;
    let mut approvals: HashMap<i64, Vec<Approval>> = HashMap::new();
    for row in &session.rows(which.approvals, values).await? {
        let (request, approval) = read_approval(row)?;
        approvals.entry(request).or_default().push(approval);
    }
    let mut requests = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    for request in &mut requests {
        request.approvals = approvals.remove(&request.number).unwrap_or_default();
    }
    Ok(requests)
}

fn read(row: &Row) -> Result<Request, StoreError> {
    let mut fields = Fields::of(row);
    let number = fields.whole()?;
    let asked = NewRequest {
        id: fields.id()?,
        from: fields.stage()?,
        to: fields.stage()?,
        asker: fields.json("asker")?,
        folded: fields.text()?,
        comment: fields.text()?,
        source: fields.text()?,
        digest: fields.text()?,
        break_glass: fields.text_if_any()?,
        asked: fields.moment()?,
    };
    let state = fields.word(RequestState::named, "state of a request")?;
    let (by, comment, at) = (fields.text_if_any()?, fields.text_if_any()?, fields.moment_if_any()?);
    let closed =
        at.map(|at| Closing { by: by.unwrap_or_default(), comment: comment.unwrap_or_default(), at });
    Ok(Request { number, asked, state, closed, approvals: Vec::new() })
}

/// An approval, behind the number of its request.
fn read_approval(row: &Row) -> Result<(i64, Approval), StoreError> {
    let mut fields = Fields::of(row);
    let (request, number) = (fields.whole()?, fields.whole()?);
    let given = NewApproval {
        approver: fields.json("approver")?,
        folded: fields.text()?,
        comment: fields.text()?,
        source: fields.text()?,
        digest: fields.text()?,
        at: fields.moment()?,
    };
    Ok((request, Approval { number, given }))
}
