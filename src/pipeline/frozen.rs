//! Frozen bytes: files of a version that has left `Development`, or is about to, are changed by nobody (DESIGN section 7).
//!
//! Files are closed in the state store first. Then whoever was let in before has ended, here and in every other sekisho on
//! that store. Only then the bytes are what they are.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::authz::Permit;
use crate::facts::FactError;
use crate::govern::Mode;
use crate::operation::{Object, Permission};
use crate::ownership::{Alone, PATIENCE, Reach, Registration, Wanted, within};
use crate::reject::Rejection;
use crate::stage::Stage;
use crate::stages::{Known, Stages};
use crate::store::{Kind, Stand, Store, StoreError, VersionId};

use super::Gate;
use super::heard::Heard;
use super::keeping::bury;
use super::promote::Candidate;

/// How long files are waited for that are being written, here and elsewhere.
const FREEZE: Duration = Duration::from_secs(20);

/// How long after it last read the store a sekisho may let files be changed that belong to versions: with others on that
/// store, one of them may just be closing them.
pub(super) const FRESH: Duration = Duration::from_secs(2);

/// How often it is looked whether the others have done it.
const LOOK: Duration = Duration::from_millis(100);

/// The files of one version, which nobody changes. Where the version is still in `Development` when this is dropped they
/// are opened again, unless it was kept.
#[derive(Debug)]
pub struct Frozen {
    id: VersionId,
    /// By which they were closed.
    change: i64,
    /// Whether it may be a later one.
    unsure: bool,
    opens: Option<Opens>,
}

#[derive(Debug)]
struct Opens {
    store: Store,
    stages: Arc<Stages>,
    drain: crate::drain::Drain,
    /// Of two in this process that freeze one version, the second waits.
    alone: Alone,
}

impl Frozen {
    /// They stay closed.
    pub fn keep(mut self) {
        self.opens = None;
    }

    /// The change by which they were closed, for [`Store::begin`]: another sekisho that froze them too may have opened them
    /// again.
    #[must_use]
    pub fn change(&self) -> i64 {
        self.change
    }

    /// Has everybody see that they are still needed, so that nobody opens them as files that were left. Whether they have
    /// been closed all the time; then by another change.
    ///
    /// # Errors
    /// The store did not answer.
    pub(super) async fn renew(&mut self) -> Result<bool, StoreError> {
        let Some(Opens { store, stages, .. }) = &self.opens else { return Ok(false) };
        self.unsure = true;
        let Some(stand) = store.keep_closed(&self.id, self.change).await? else { return Ok(false) };
        stages.learn(&stand);
        (self.change, self.unsure) = (stand.change, false);
        Ok(true)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let Some(Opens { store, stages, drain, alone }) = self.opens.take() else { return };
        let (id, change, unsure) = (self.id.clone(), self.change, self.unsure);
        drain.spawn(async move {
            // Who closed them since then, elsewhere, opens them.
            let theirs = match store.stands(&id).await {
                Ok(Some(stand)) => !unsure && stand.closing && stand.change != change,
                Ok(None) | Err(_) => false,
            };
            if !theirs {
                open_again(&store, &stages, &id).await;
            }
            drop(alone);
        });
    }
}

/// Opens files that nobody needs to be closed any more. If the store does not do it they are opened later
/// (`Gate::keep_stages`).
pub(super) async fn open_again(store: &Store, stages: &Stages, id: &VersionId) {
    let opened = async {
        let stand = store.open_files(id).await?;
        stand.iter().for_each(|stand| stages.learn(stand));
        if stand.is_some_and(|stand| !stand.gone) {
            return Ok(());
        }
        // The model may have another name by now.
        let same = |known: &Known| (known.model_created, known.created) == (id.model_created, id.created);
        for (model, version, known) in stages.closing() {
            if version == id.version && same(&known) {
                let id = VersionId { model: model.to_string(), ..id.clone() };
                store.open_files(&id).await?.iter().for_each(|stand| stages.learn(stand));
            }
        }
        Ok::<_, StoreError>(())
    };
    if let Err(error) = opened.await {
        warn!(model = id.model, version = id.version, %error, "the files of a version stay closed for a while");
    }
}

/// How a version's files are.
enum Bytes {
    /// They may be changed.
    Open,
    /// They may not.
    Closed(String),
    /// The version is not there any more.
    Gone,
}

impl Gate {
    /// Closes a version's files everywhere, and waits until whoever was changing them has ended.
    ///
    /// # Errors
    /// There is no such version, the state store or MLflow does not answer, or the files are written for too long.
    pub async fn freeze(&self, model: &str, version: u64, created: i64) -> Result<Frozen, Rejection> {
        let id = self.version_id(model, version, created).await?;
        let id = id.ok_or_else(|| Rejection::NoVersion(model.to_owned(), version))?;
        if !self.stages_are_read() {
            return Err(StoreError::Waiting(self.store.kind()).into());
        }
        let alone = self.ownership.doors.have_alone(&[&door(&id)], PATIENCE).await;
        let (store, stages, drain) = (self.store.clone(), Arc::clone(&self.stages), self.drain.clone());
        // Before they are closed: whatever happens from here on, they are opened again.
        let opens = Some(Opens { store, stages, drain, alone });
        let mut frozen = Frozen { id, change: 0, unsure: true, opens };
        let stand = self.store.close_files(&frozen.id, self.clock.now()).await?;
        if stand.gone {
            return Err(Rejection::NoVersion(model.to_owned(), version));
        }
        (frozen.change, frozen.unsure) = (stand.change, false);
        self.stages.learn(&stand);
        self.ownership.catch_up(&self.facts, &self.mlflow).await?;
        let its =
            |registration: &Registration| &*registration.model == model && registration.version == version;
        let in_the_way = |reach: &Reach| self.reaches(reach, its);
        let still = || Rejection::StillWritten(model.to_owned(), version);
        if !self.ownership.underway.clear(in_the_way, PATIENCE, FREEZE).await {
            return Err(still());
        }
        if self.store.kind() == Kind::Postgres && !everywhere(&self.store, stand.change).await? {
            return Err(still());
        }
        Ok(frozen)
    }

    /// Whether what was read of the store is recent enough to let files be changed that belong to versions.
    pub(super) fn stages_are_read(&self) -> bool {
        self.stages.is_seen(match self.store.kind() {
            Kind::Sqlite => None,
            Kind::Postgres => Some(FRESH),
        })
    }

    /// A version as it is since it was frozen, just now. Who froze it at the same time elsewhere may have opened it before
    /// that was noticed here, or closed it after others were let in: from here on that voids what is known of the files.
    pub(super) async fn now_closed(
        &self,
        before: &Candidate,
        frozen: &mut Frozen,
    ) -> Result<Candidate, Rejection> {
        let candidate = self.candidate(&before.id.model, before.id.version).await?;
        let Stand { stage, closing, change, .. } = candidate.stand;
        if candidate.id != before.id || stage != before.stand.stage || !closing {
            return Err(Rejection::Overtaken);
        }
        if change != frozen.change && !everywhere(&self.store, change).await? {
            return Err(Rejection::StillWritten(candidate.id.model, candidate.id.version));
        }
        frozen.change = change;
        Ok(candidate)
    }

    /// The version as it is, if its files have been closed ever since [`Gate::now_closed`].
    pub(super) async fn still_closed(
        &self,
        before: &Candidate,
        frozen: &Frozen,
    ) -> Result<Option<Candidate>, Rejection> {
        let candidate = self.candidate(&before.id.model, before.id.version).await?;
        let Stand { stage, closing, change, .. } = candidate.stand;
        let same = candidate.id == before.id && candidate.found.source == before.found.source;
        let closed = stage == Stage::Development && closing && change == frozen.change;
        Ok((same && closed).then_some(candidate))
    }

    /// Whether a change can touch a version's files, of those versions that are meant.
    pub(super) fn reaches(&self, reach: &Reach, meant: impl Fn(&Registration) -> bool) -> bool {
        match reach {
            Reach::Anything => true,
            Reach::Files(wanted) => {
                self.ownership.known(wanted).iter().any(|overlap| meant(&overlap.registration))
            }
        }
    }

    /// Whether the state store has it that nobody changes a version's files.
    pub(super) fn is_frozen(&self, registration: &Registration) -> bool {
        let Registration { model, version, created, .. } = registration;
        self.stages.of(model, *version, *created).is_some_and(Known::is_frozen)
    }

    /// Refuses where files that are to be changed are some version's that has left `Development`. MLflow was asked what is
    /// new before.
    pub(super) async fn none_is_frozen(&self, permit: &Permit, wanted: &[Wanted]) -> Result<(), Rejection> {
        if self.rules == Mode::Off {
            return Ok(());
        }
        let found = self.all_are_open(permit, wanted).await;
        self.as_the_mode_has_it(found)
    }

    /// What is refused where rules are enforced is told where they only warn.
    pub(super) fn as_the_mode_has_it(&self, found: Result<(), Rejection>) -> Result<(), Rejection> {
        match found {
            Err(rejection @ (Rejection::Frozen(_) | Rejection::InProduction(..)))
                if self.rules == Mode::Warn =>
            {
                warn!(would_be_refused = rejection.detail(), "a house rule is not enforced");
                Ok(())
            }
            found => found,
        }
    }

    async fn all_are_open(&self, permit: &Permit, wanted: &[Wanted]) -> Result<(), Rejection> {
        for wanted in wanted {
            for _ in 0..ROUNDS {
                let mut gone = false;
                for overlap in self.ownership.known(wanted) {
                    match self.bytes_of(&overlap.registration).await? {
                        Bytes::Open => {}
                        Bytes::Closed(stage) => {
                            return Err(told(permit, &overlap.registration, &stage));
                        }
                        Bytes::Gone => gone = true,
                    }
                }
                if !gone {
                    break;
                }
                // It may have another name now.
                self.ownership.catch_up(&self.facts, &self.mlflow).await?;
            }
        }
        Ok(())
    }

    /// The same for a whole folder of the artifact store, whatever lies in it.
    pub(super) async fn none_is_frozen_below(&self, permit: &Permit, folder: &str) -> Result<(), Rejection> {
        if self.rules == Mode::Off {
            return Ok(());
        }
        let found = self.all_are_open_below(permit, folder).await;
        self.as_the_mode_has_it(found)
    }

    async fn all_are_open_below(&self, permit: &Permit, folder: &str) -> Result<(), Rejection> {
        self.ownership.catch_up(&self.facts, &self.mlflow).await?;
        for registration in self.ownership.all() {
            let stage = match self.bytes_of(&registration).await? {
                Bytes::Closed(stage) => stage,
                Bytes::Open | Bytes::Gone => continue,
            };
            for place in self.ownership.places_of(&self.facts, &self.mlflow, &registration).await? {
                if within(&place.address(), folder) || within(folder, &place.address()) {
                    return Err(told(permit, &registration, &stage));
                }
            }
        }
        Ok(())
    }

    async fn bytes_of(&self, registration: &Registration) -> Result<Bytes, Rejection> {
        let Registration { model, version, created, .. } = registration;
        let known = self.stages.of(model, *version, *created);
        if let Some(known) = known.filter(|known| known.is_frozen()) {
            let stands = self.ownership.stands(&self.facts, &self.mlflow, registration, Duration::ZERO);
            let stage = known.stage.to_string();
            return Ok(if stands.await? { Bytes::Closed(stage) } else { Bytes::Gone });
        }
        if !self.stages_are_read() {
            return Err(StoreError::Waiting(self.store.kind()).into());
        }
        if known.is_some() {
            return Ok(Bytes::Open);
        }
        let number = version.to_string();
        let found = self.facts.version(&self.mlflow, model, &number).await?;
        let Some(found) = found.filter(|found| found.created == *created) else {
            let stands = self.ownership.stands(&self.facts, &self.mlflow, registration, Duration::ZERO);
            return if stands.await? { Err(FactError::Unsettled.into()) } else { Ok(Bytes::Gone) };
        };
        let stage = Stage::believed(found.tags.get(STAGE_TAG).map(String::as_str), &found.stage);
        Ok(if stage == Stage::Development { Bytes::Open } else { Bytes::Closed(stage.to_string()) })
    }
}

/// Waits until every sekisho on the store has read this change and has ended what was in its way.
async fn everywhere(store: &Store, change: i64) -> Result<bool, StoreError> {
    let end = Instant::now() + FREEZE;
    let mut heard = Heard::default();
    loop {
        let all = store.instances().await?;
        if all.iter().all(|instance| instance.settled >= change) {
            return Ok(true);
        }
        bury(store, heard.look(Instant::now(), &all)).await?;
        if Instant::now() >= end {
            return Ok(false);
        }
        sleep(LOOK).await;
    }
}

fn told(permit: &Permit, registration: &Registration, stage: &str) -> Rejection {
    let model = &registration.model;
    let seen = permit.covers(Permission::MetadataRead, &Object::Model((&**model).into()));
    Rejection::Frozen(seen.then(|| format!("version {} of {model} ({stage})", registration.version)))
}

/// Behind it somebody takes back what a version in `Development` says of itself.
pub(super) fn words(model: &str, version: u64) -> String {
    format!("words of version {version} of {model}")
}

/// Behind it somebody keeps the files of a version closed.
pub(super) fn door(id: &VersionId) -> String {
    format!("files of version {} of {}", id.version, id.model)
}

/// So often versions may turn out to be gone while one request is decided.
const ROUNDS: usize = 32;

/// The tag that mirrors a version's stage.
const STAGE_TAG: &str = "sekisho.stage";
