//! Requests that are done, rejected, withdrawn or void.

use jiff::Timestamp;

use super::super::columns::keyed;
use super::super::error::StoreError;
use super::super::kept::{Closing, NewTransition, RequestState};
use super::super::session::Session;
use super::super::{KeptDigest, Store, VersionId};
use super::count;

/// What is just being made is not closed.
const CLOSE: &str =
    "UPDATE sekisho_requests SET state = $2, closed_by = $3, closed_comment = $4, closed_at = $5
    WHERE number = $1 AND state = 'open'
    AND NOT EXISTS (SELECT 1 FROM sekisho_transitions WHERE request = $1 AND progress = 'begun')";

const VOID_ALL: &str =
    "UPDATE sekisho_requests SET state = 'void', closed_by = '', closed_comment = $5, closed_at = $6
    WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4 AND state = 'open'";

/// Other bytes, or from another source. What is just being made was decided on what it is, and one that broke the rules
/// was never about bytes.
const VOID_OTHER_BYTES: &str =
    "UPDATE sekisho_requests SET state = 'void', closed_by = '', closed_comment = $5, closed_at = $6
    WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4 AND state = 'open'
    AND break_glass IS NULL AND (digest <> $7 OR source <> $8)
    AND NOT EXISTS (SELECT 1 FROM sekisho_transitions AS t
        WHERE t.request = sekisho_requests.number AND t.progress = 'begun')";

const OPEN_FOR_OTHER_BYTES: &str =
    "SELECT count(*) FROM sekisho_requests WHERE model = $1 AND model_created = $2 AND version = $3
    AND created = $4 AND state = 'open' AND break_glass IS NULL AND (digest <> $5 OR source <> $6)";

const DONE: &str =
    "UPDATE sekisho_requests SET state = 'done', closed_by = $2, closed_comment = '', closed_at = $3
    WHERE number = $1 AND state = 'open'";

const VOID_FROM: &str = "UPDATE sekisho_requests SET state = 'void', closed_by = '', closed_comment = $5, closed_at = $6
    WHERE model = $1 AND model_created = $2 AND version = $3 AND created = $4 AND state = 'open' AND from_stage = $7";

impl Store {
    /// Closes an open request. `true` for exactly one caller, and for nobody while its transition is under way.
    ///
    /// # Errors
    /// The store did not answer, or not in time.
    pub async fn close_request(
        &self,
        number: i64,
        state: RequestState,
        closing: &Closing,
    ) -> Result<bool, StoreError> {
        if state == RequestState::Open {
            return Ok(false);
        }
        self.within(async {
            let mut session = self.turn().await?;
            let closed = close(&mut session, number, state, closing).await?;
            session.commit().await?;
            Ok(closed)
        })
        .await
    }

    /// A version has this digest: requests for other bytes are void. They are few, so that nobody else waits for a turn
    /// when there are none.
    pub(in super::super) async fn void_other_bytes(
        &self,
        id: &VersionId,
        kept: &KeptDigest,
    ) -> Result<(), StoreError> {
        let mut session = self.read().await?;
        let kind = session.kind();
        let (digest, source) = (kept.digest.as_str(), kept.source.as_str());
        let values = keyed(kind, id, [digest.into(), source.into()])?;
        if count(&mut session, OPEN_FOR_OTHER_BYTES, &values).await? == 0 {
            return Ok(());
        }
        drop(session);
        let mut session = self.turn().await?;
        let more = [
            "the version's files are not those for which this was asked".into(),
            kept.taken.as_microsecond().into(),
            digest.into(),
            source.into(),
        ];
        session.run(VOID_OTHER_BYTES, &keyed(kind, id, more)?).await?;
        session.commit().await
    }
}

/// Closes an open request of which no transition is under way. Whether it was one.
pub(super) async fn close(
    session: &mut Session,
    number: i64,
    state: RequestState,
    closing: &Closing,
) -> Result<bool, StoreError> {
    let Closing { by, comment, at } = closing;
    let values = [
        number.into(),
        state.as_str().into(),
        by.as_str().into(),
        comment.as_str().into(),
        at.as_microsecond().into(),
    ];
    Ok(session.run(CLOSE, &values).await? == 1)
}

/// A transition was made: its own request is done, and no other can leave the stage that it has left.
pub(in super::super) async fn settle(
    session: &mut Session,
    transition: &NewTransition,
    now: Timestamp,
) -> Result<(), StoreError> {
    if let Some(number) = transition.request {
        let by = transition.by.as_str();
        session.run(DONE, &[number.into(), by.into(), now.as_microsecond().into()]).await?;
    }
    let left = transition.from;
    let comment = format!("the version stands in {} by now", transition.to);
    let more = [comment.into(), now.as_microsecond().into(), left.as_str().into()];
    session.run(VOID_FROM, &keyed(session.kind(), &transition.id, more)?).await?;
    Ok(())
}

pub(in super::super) async fn void_all(
    session: &mut Session,
    id: &VersionId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let more = ["the version is gone".into(), now.as_microsecond().into()];
    session.run(VOID_ALL, &keyed(session.kind(), id, more)?).await?;
    Ok(())
}
