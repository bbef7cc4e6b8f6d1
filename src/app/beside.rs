//! What is done beside requests, until the drain.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info, warn};

use crate::clock::JumpWatch;
use crate::drain::Drain;
use crate::index::Asker;
use crate::pipeline::Gate;
use crate::ready::{Latch, Ready};
use crate::record::Standing as Recording;
use crate::record::line::{Entry, Line};
use crate::rules::names::skeleton;
use crate::store::{self, Store};

const PROBE_EVERY: Duration = Duration::from_secs(2);

/// What is done beside requests, until the drain.
pub(super) fn work_beside(gate: &Arc<Gate>, drain: &Drain, left: Vec<Line>) {
    for _ in 0..crate::pipeline::ATTESTED_AT_ONCE {
        let attesting = Arc::clone(gate);
        drain.spawn(async move { attesting.attest().await });
    }
    let mending = Arc::clone(gate);
    drain.spawn(async move { mending.mend().await });
    if !left.is_empty() {
        let (asking, left) = (Arc::clone(gate), gate.left_open(left));
        drain.spawn(async move { asking.close_intents(left).await });
    }
}

/// Keeps readiness up with MLflow's, and an eye on the wall clock.
pub(super) async fn follow(gate: Arc<Gate>, ready: Ready, drain: Drain) {
    let mut latch = Some(ready.latch("mlflow"));
    let mut jumps = JumpWatch::new(&gate.clock);
    let mut every = tokio::time::interval(PROBE_EVERY);
    loop {
        tokio::select! {
            () = drain.started() => return,
            _ = every.tick() => {}
        }
        if let Some(back) = jumps.look(&gate.clock) {
            warn!(seconds = back.as_secs(), "the wall clock was set back; tokens live longer by as much");
            let mut line = Entry::system(gate.clock.now(), "clock", "the wall clock was set back");
            line.params.insert("seconds".to_owned(), back.as_secs().into());
            gate.journal.record().tell(line);
        }
        ready.blame(
            "record",
            match gate.journal.record().standing() {
                Recording::Fine => None,
                Recording::Failing(why) => Some(why),
            },
        );
        match (gate.mlflow.probe().await, latch.take()) {
            (true, Some(_)) => info!("mlflow answers"),
            (false, None) => {
                warn!("mlflow does not answer");
                latch = Some(ready.latch("mlflow"));
            }
            (false, held) => latch = held,
            (true, None) => {}
        }
    }
}

/// Keeps `/readyz` up with the state store: not ready until it was there once. If it goes away later that is told, and
/// nothing more: most requests do without it.
pub(super) async fn follow_state(store: Store, ready: Ready, mut awaited: Option<Latch>, drain: Drain) {
    loop {
        match store.standing() {
            store::Standing::Ready => {
                awaited = None;
                ready.blame("state", None);
            }
            store::Standing::Waiting(why) => ready.blame("state", Some(why)),
        }
        tokio::select! {
            () = drain.started() => return drop(awaited),
            () = store.tend() => {}
        }
    }
}

/// Reads the registered versions once, so that nobody who asks for files waits for it.
pub(super) async fn read_versions(gate: Arc<Gate>, drain: Drain) {
    let mut every = tokio::time::interval(PROBE_EVERY);
    loop {
        tokio::select! {
            () = drain.started() => return,
            _ = every.tick() => {}
        }
        match gate.ownership.catch_up(&gate.facts, &gate.mlflow).await {
            Ok(()) => break info!(versions = gate.ownership.count(), "the registered versions are known"),
            Err(error) => debug!(%error, "the registered versions are not known yet"),
        }
    }
    if let Err(error) = gate.registry.refresh(&gate.facts, &gate.mlflow, skeleton).await {
        debug!(%error, "the registry is read when it is first asked for");
    }
}

pub(super) async fn keep_index(gate: Arc<Gate>, drain: Drain) {
    let asker = Asker { facts: &gate.facts, mlflow: &gate.mlflow };
    gate.index.keep(asker, &gate.clock, &drain).await;
}
