//! The whole, put together: settings, then everything bound, then serving until it is told to stop.

mod beside;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::admin::Health;
use crate::audit::{Journal, Reads};
use crate::authn::{self, Authenticator};
use crate::authz::kept::{KeepError, Keeper};
use crate::authz::watch::{Standing, watch};
use crate::authz::{self, Authorizer, PolicySet, PolicyWriter, in_force};
use crate::cache::generations::Generations;
use crate::cache::{self, ReadCache};
use crate::clock::Clock;
use crate::digest::Digests;
use crate::drain::{self, Drain, Drained, Trigger};
use crate::facts::Facts;
use crate::govern;
use crate::index::Index;
use crate::limit::{self, Limits};
use crate::listen::{self, BindError, Inbound, Listener, Peer};
use crate::lists::{Lists, token::KeyError};
use crate::mistake::Mistake;
use crate::ownership::Ownership;
use crate::pipeline::{Batches, Below, Ended, Gate, Patience, Readings, Reviews, Trodden};
use crate::ready::Ready;
use crate::record;
use crate::record::line::Line;
use crate::registry::Registry;
use crate::route::cross_site::Origins;
use crate::stages::Stages;
use crate::store::{self, OpenError, Store};
use crate::upstream::{self, AddressError, Upstream};
use crate::workers::Workers;

use beside::{follow, follow_state, keep_index, read_versions, work_beside};

/// What each room is given.
#[derive(Debug)]
pub struct Settings {
    /// The listener of clients.
    pub listen: listen::Settings,
    /// The listener of health.
    pub admin: listen::Settings,
    /// Who vouches for whom.
    pub authn: authn::Settings,
    /// How refusals are meant.
    pub authz: authz::Settings,
    /// The folder of policies.
    pub policies_dir: PathBuf,
    /// The MLflow server.
    pub upstream: upstream::Settings,
    /// The state store.
    pub state: store::Address,
    /// How long a call of the state store may take.
    pub state_within: Duration,
    /// The record.
    pub record: record::Settings,
    /// How allowed reads are told of.
    pub reads: Reads,
    /// Answers in memory.
    pub cache: cache::Settings,
    /// MLflow's `--static-prefix`.
    pub static_prefix: Option<String>,
    /// Whether addresses are handed out that open files without sekisho.
    pub presigned: bool,
    /// How house rules are meant.
    pub rules: govern::Mode,
    /// Whether the registered versions are read as soon as MLflow answers, and not only when files are first asked for.
    pub read_versions_at_start: bool,
    /// How long files are read for somebody who waits, and how many versions' at once.
    pub patience: Patience,
    /// How long after the start a write of an earlier process may still be on its way.
    pub settles: Duration,
    /// Other sites whose pages may call.
    pub origins: Origins,
    /// Requests in flight.
    pub limits: limit::Settings,
    /// How long a drain may take.
    pub grace: Duration,
    /// Threads that serve connections; without any, the caller's runtime does.
    pub workers: usize,
}

/// How long a drain may take: 30 s.
pub const GRACE: Duration = Duration::from_secs(30);

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Keys, issuers.
    #[error(transparent)]
    Authn(#[from] authn::StartError),
    /// Policies.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Policies(Vec<Mistake>),
    /// The upstream.
    #[error(transparent)]
    Upstream(#[from] AddressError),
    /// The state store.
    #[error(transparent)]
    State(#[from] OpenError),
    /// The record.
    #[error(transparent)]
    Record(#[from] record::OpenError),
    /// Policies that cannot be kept beside the record.
    #[error("the policies cannot be kept beside the record")]
    Kept(#[from] KeepError),
    /// The key of page tokens.
    #[error(transparent)]
    Lists(#[from] KeyError),
    /// Threads.
    #[error("cannot start the threads that serve connections")]
    Workers(#[source] io::Error),
}

/// Everything bound, nothing served yet.
pub struct Bound {
    data: (Listener, Arc<Workers>),
    admin: Listener,
    gate: Arc<Gate>,
    health: Health,
    policies: (PathBuf, PolicyWriter, Keeper, Standing),
    trigger: Trigger,
    drain: Drain,
    record: (record::Writer, Vec<Line>),
    read_versions_at_start: bool,
}

/// Builds everything and takes every address, before anything is served: a taken port fails the start.
///
/// # Errors
/// The first thing that cannot be had.
pub async fn build(settings: Settings, clock: Clock) -> Result<Bound, StartError> {
    let policies = PolicySet::load(&settings.policies_dir).map_err(StartError::Policies)?;
    info!(version = %policies.version(), rows = policies.row_count(), "policies are in force");
    let (writer, reader) = in_force(policies);
    let lists = Lists::new(settings.authn.shared_secret())?;
    let registry = Registry::new(settings.authn.shared_secret());
    let authn = Arc::new(Authenticator::new(settings.authn, clock.clone())?);
    let mlflow = Upstream::new(settings.upstream)?;
    let store = Store::open(&settings.state, settings.state_within).await?;
    info!(address = %settings.state, ready = store.standing().is_ready(), "the state store");
    let stages = Arc::new(Stages::default());
    if let Err(error) = stages.refresh(&store).await {
        debug!(%error, "where versions stand is not known yet");
    }
    let data = (Listener::bind(settings.listen).await?, workers(settings.workers)?);
    let admin = Listener::bind(settings.admin).await?;
    let (trigger, drain) = drain::channel(settings.grace);
    let (written, writing, left) = record::open(&settings.record, &clock)?;
    let keeper = Keeper::new(&settings.record.path, written.clone(), clock.clone());
    let standing = kept_first(&keeper, &reader.current())?;
    let health = Health {
        ready: Ready::default(),
        standing: standing.clone(),
        authn: Arc::clone(&authn),
        observing: settings.authz.mode == authz::Mode::Observe,
    };
    let generations = Arc::new(Generations::new(clock.clone()));
    let gate = Arc::new_cyclic(|gate| Gate {
        authn,
        authz: Authorizer::new(reader, settings.authz),
        limits: Limits::new(settings.limits, &clock),
        mlflow,
        cache: ReadCache::new(settings.cache, Arc::clone(&generations)),
        trodden: Trodden::new(settings.cache.bytes / 8),
        index: Index::new(settings.cache.lasting(), Arc::clone(&generations)),
        facts: Facts::new(settings.static_prefix.as_deref(), generations),
        ownership: Ownership::default(),
        presigned: settings.presigned,
        rules: settings.rules,
        registry,
        digests: Digests::default(),
        readings: Readings::new(settings.patience, gate.clone()),
        batches: Batches::default(),
        stages,
        below: Below::default(),
        settles: settings.settles,
        departed: Ended::default(),
        store,
        lists,
        reviews: Reviews::new(settings.record.path.clone()),
        journal: Journal::new(written, settings.reads),
        clock,
        drain: drain.clone(),
        static_prefix: settings.static_prefix,
        origins: settings.origins,
    });
    let (policies, record) = ((settings.policies_dir, writer, keeper, standing), (writing, left));
    let read_versions_at_start = settings.read_versions_at_start;
    Ok(Bound { data, admin, gate, health, policies, trigger, drain, record, read_versions_at_start })
}

fn workers(count: usize) -> Result<Arc<Workers>, StartError> {
    Workers::start(count).map(Arc::new).map_err(StartError::Workers)
}

/// The first policies are kept before anything is served.
fn kept_first(keeper: &Keeper, first: &PolicySet) -> Result<Standing, KeepError> {
    let standing = Standing::default();
    standing.note_unkept(first, keeper.begin(first)?.map(|error| error.to_string()));
    Ok(standing)
}

impl Bound {
    /// Where clients come.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.data.0.local_addr()
    }

    /// Where health is asked for.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    /// Where versions stand.
    #[must_use]
    pub fn stages(&self) -> Arc<Stages> {
        Arc::clone(&self.gate.stages)
    }

    /// What answers, for whoever has to do what no request does.
    #[must_use]
    pub fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// Serves until `stop`, then drains: what is in flight is finished, nothing new is taken. Each message of `reload`
    /// has the policies read again.
    pub async fn until(self, stop: impl Future<Output = ()>, reload: mpsc::Receiver<()>) -> Drained {
        let Self { data, admin, gate, health, policies, trigger, drain, record, read_versions_at_start } =
            self;
        let (writer, left) = record;
        let written = gate.journal.record().clone();
        let counted = gate.journal.counted();
        let lines = std::thread::spawn(move || writer.run(counted));
        let (dir, policies, keeper, standing) = policies;
        let end = drain.clone();
        let watched = drain.clone();
        drain.spawn(async move { watch(dir, policies, keeper, standing, watched.started(), reload).await });
        drain.spawn(follow(Arc::clone(&gate), health.ready.clone(), end));
        gate.read_stages().await;
        work_beside(&gate, &drain, left);
        // Not under the drain: what is in flight goes by where versions stand until it has ended.
        let (kept, shared) = (CancellationToken::new(), CancellationToken::new());
        let (keeping, ending, end) = (Arc::clone(&gate), Arc::clone(&gate), kept.clone());
        let mut staying = JoinSet::new();
        staying.spawn(async move { keeping.keep_stages(end).await });
        let sharing = share(&gate, &mut staying, shared.clone());
        let ending = staying.spawn(async move { ending.end_changes().await });
        let awaited = (!gate.store.standing().is_ready()).then(|| health.ready.latch("state"));
        drain.spawn(follow_state(gate.store.clone(), health.ready.clone(), awaited, drain.clone()));
        if read_versions_at_start {
            drain.spawn(read_versions(Arc::clone(&gate), drain.clone()));
            drain.spawn(keep_index(Arc::clone(&gate), drain.clone()));
        }
        let answer_health =
            move |request: Request<Inbound>, _: Peer| std::future::ready(health.answer(&request));
        drain.spawn(admin.serve(answer_health, drain.clone(), Arc::default()));
        // Boxed because it is large, and hyper moves it more than once.
        let answer =
            move |request: Request<Inbound>, peer: Peer| Box::pin(Arc::clone(&gate).answer(request, peer));
        let (data, workers) = data;
        drain.spawn(data.serve(answer, drain.clone(), Arc::clone(&workers)));
        stop.await;
        info!("draining");
        drop(drain);
        let drained = trigger.drain().await;
        ending.abort();
        kept.cancel();
        match drained {
            Drained::Cleanly => shared.cancel(),
            // A write is on its way that nobody here will hear the end of: others are to notice that this one is gone.
            Drained::DeadlinePassed => sharing.iter().for_each(AbortHandle::abort),
        }
        if tokio::time::timeout(Duration::from_secs(2), async {
            while staying.join_next().await.is_some() {}
        })
        .await
        .is_err()
        {
            debug!("others on the state store find out that this one is gone");
        }
        written.end();
        let joined = tokio::task::spawn_blocking(move || lines.join());
        if tokio::time::timeout(Duration::from_secs(2), joined).await.is_err() {
            warn!("the last lines of the record may not stay");
        }
        drop(workers);
        drained
    }
}

/// Tells others on the same state store of what is written here, where there may be any, until `end`.
fn share(gate: &Arc<Gate>, staying: &mut JoinSet<()>, end: CancellationToken) -> Option<AbortHandle> {
    if gate.store.kind() != store::Kind::Postgres {
        return None;
    }
    let (gate, queue) = (Arc::clone(gate), gate.cache.share());
    Some(staying.spawn(async move { gate.cache.keep_up_with_others(&gate.store, queue, end).await }))
}
