//! The one who writes: a thread of its own, and one sync for all who wait for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::folder::{self, Form};
use super::handle::{LINES, Mode, Order, Shared, Unrecorded};
use super::key::Signer;
use super::ledger::Ledger;
use super::line::{Entry, Kind, Line, Outcome};
use super::retain;
use crate::clock::Clock;

/// How often what nobody waits for is synced, and a disk that failed is tried again.
const TICK: Duration = Duration::from_millis(250);

/// The word of the line that says how many could not be written.
pub const LOST: &str = "lost";

/// Somebody who waits until their line stays.
struct Waiting {
    seq: u64,
    entry: Box<Entry>,
    told: oneshot::Sender<Result<u64, Unrecorded>>,
}

/// Writes what is handed in, and signs the end.
#[derive(Debug)]
pub struct Writer {
    orders: mpsc::Receiver<Order>,
    shared: Arc<Shared>,
    ledger: Ledger,
    clock: Clock,
    signer: Arc<Signer>,
    keep: Option<Duration>,
    /// Intents without an outcome, and of which request.
    open: BTreeMap<u64, String>,
    /// Intents of writes that were not made.
    refused: Vec<(u64, Box<Entry>)>,
    /// When lines were last made to stay.
    synced: Timestamp,
    /// Held by who compresses and removes: two would write the same file.
    tidying: Arc<Mutex<()>>,
}

impl Writer {
    /// One that has written nothing yet. `left` are the intents that the chain has no outcome of.
    pub(super) fn new(
        orders: mpsc::Receiver<Order>,
        shared: Arc<Shared>,
        ledger: Ledger,
        left: &[Line],
        (clock, signer, keep): (&Clock, Arc<Signer>, Option<Duration>),
    ) -> Self {
        Self {
            orders,
            shared,
            ledger,
            clock: clock.clone(),
            signer,
            keep,
            open: left.iter().map(|line| (line.seq, line.entry.id.clone())).collect(),
            refused: Vec::new(),
            synced: clock.now(),
            tidying: Arc::default(),
        }
    }

    /// Writes until it is told to end, or every [`Record`](super::Record) is gone. `counted` is asked for lines of what was counted, a last time at the end.
    /// Blocks; give it a thread.
    ///
    /// # Errors
    /// The thread cannot wait.
    pub fn run(mut self, mut counted: impl FnMut(Timestamp, bool) -> Vec<Entry>) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        runtime.block_on(async move {
            let mut orders = Vec::new();
            loop {
                let got = timeout(TICK, self.orders.recv_many(&mut orders, LINES)).await;
                let ended = got == Ok(0) || orders.iter().any(|order| matches!(order, Order::End));
                let waiting = self.take(orders.drain(..));
                for entry in counted(self.clock.now(), ended) {
                    self.put(&entry);
                }
                if ended {
                    self.put(&Entry::system(self.clock.now(), "stop", "sekisho ends"));
                }
                self.keep_up(waiting, ended);
                if ended {
                    break;
                }
            }
        });
        Ok(())
    }

    /// Puts lines down in their order. Gives those that wait until theirs stays.
    fn take(&mut self, orders: impl Iterator<Item = Order>) -> Vec<Waiting> {
        let mut waiting = Vec::new();
        let failing = self.shared.failing.lock().clone();
        for order in orders {
            match (order, &failing) {
                // Nobody waits any more, so nothing is added for it.
                (Order::Keep(_, told), Some(why)) => {
                    let _ = told.send(Err(Unrecorded::Failing(why.clone())));
                }
                (Order::Keep(entry, told), None) => match self.add(&entry) {
                    Some(seq) => waiting.push(Waiting { seq, entry, told }),
                    None => {
                        let _ = told.send(Err(Unrecorded::Failing("a line cannot be written".to_owned())));
                    }
                },
                (Order::Tell(entry), _) => self.put(&entry),
                (Order::End, _) => {}
            }
        }
        waiting
    }

    /// Puts down a line that nobody waits for. While nothing can be written only what became of writes is kept: there are
    /// no more of these than writes are under way. Where writes do not wait for the record nothing is.
    fn put(&mut self, entry: &Entry) {
        let droppable = is_droppable(entry.kind) || self.shared.mode == Mode::BestEffort;
        if droppable && self.shared.failing.lock().is_some() {
            self.shared.lost.count(entry);
        } else {
            self.add(entry);
        }
    }

    /// Syncs what somebody waits for, or what has waited long enough, and does what is due.
    fn keep_up(&mut self, waiting: Vec<Waiting>, ended: bool) {
        let now = self.clock.now();
        let failing = self.shared.failing.lock().is_some();
        let due = ended || failing || now.duration_since(self.synced).unsigned_abs() >= TICK;
        if !failing {
            self.tell_of_lost(now);
            let sealed = if ended { self.ledger.seal(now) } else { self.ledger.seal_if_due(now) };
            if let Err(error) = sealed {
                error!(%error, "a head could not be written");
            }
        }
        let synced = if waiting.is_empty() && !due { self.ledger.write() } else { self.ledger.sync() };
        let synced = synced.and_then(|()| self.turn(now));
        match synced {
            Ok(()) => {
                if due || !waiting.is_empty() {
                    self.synced = now;
                }
                if let Some(why) = self.shared.failing.lock().take() {
                    info!(why, "the record is written again");
                }
                for Waiting { seq, entry, told } in waiting {
                    if told.send(Ok(seq)).is_err() {
                        self.refused.push((seq, entry));
                    }
                }
                self.tell_of_refused(now);
            }
            Err(error) => {
                let why = error.to_string();
                if self.shared.failing.lock().replace(why.clone()).is_none() {
                    error!(why, "the record cannot be written");
                }
                for Waiting { seq, entry, told } in waiting {
                    let _ = told.send(Err(Unrecorded::Failing(why.clone())));
                    self.refused.push((seq, entry));
                }
            }
        }
    }

    /// Adds a line, and remembers which writes have no outcome yet.
    fn add(&mut self, entry: &Entry) -> Option<u64> {
        match self.ledger.add(entry) {
            Ok(seq) => {
                match entry.kind {
                    Kind::Intent => {
                        self.open.insert(seq, entry.id.clone());
                    }
                    Kind::Outcome => {
                        let same = |(_, id): &(&u64, &String)| **id == entry.id;
                        let intent =
                            entry.intent.or_else(|| self.open.iter().rfind(same).map(|(seq, _)| *seq));
                        self.open.remove(&intent.unwrap_or_default());
                    }
                    Kind::Read | Kind::Reads | Kind::Refusal | Kind::System | Kind::Head => {}
                }
                Some(seq)
            }
            Err(error) => {
                error!(%error, id = entry.id, "a line cannot be written");
                self.shared.lost.count(entry);
                None
            }
        }
    }

    fn tell_of_lost(&mut self, now: Timestamp) {
        let Some((reads, refusals, others)) = self.shared.lost.take() else { return };
        let mut line = Entry::system(now, LOST, "so many lines could not be written before this one");
        line.count = Some(reads.saturating_add(refusals).saturating_add(others));
        for (key, count) in [("reads", reads), ("refusals", refusals), ("others", others)] {
            line.params.insert(key.to_owned(), count.into());
        }
        self.add(&line);
    }

    /// Intents of writes that were refused because nobody knew whether they stay: they do now.
    fn tell_of_refused(&mut self, now: Timestamp) {
        for (seq, intent) in std::mem::take(&mut self.refused) {
            if intent.kind != Kind::Intent {
                continue;
            }
            let mut line = Entry::new(intent.id.clone(), now, Kind::Outcome);
            line.principal.clone_from(&intent.principal);
            line.operation.clone_from(&intent.operation);
            line.object.clone_from(&intent.object);
            line.outcome = Some(Outcome::NotApplied);
            line.intent = Some(seq);
            line.reason = Some("it was refused, for its intent could not be made to stay in time".to_owned());
            self.add(&line);
        }
    }

    /// Closes a full file. It is compressed, and old ones are removed, beside all this.
    fn turn(&mut self, now: Timestamp) -> std::io::Result<()> {
        let open: Vec<u64> = self.open.keys().copied().collect();
        if self.ledger.turn_if_due(now, &open)?.is_some() {
            self.tidy_up(now);
        }
        Ok(())
    }

    fn tidy_up(&self, now: Timestamp) {
        let (path, chain) = (self.ledger.path().to_owned(), self.ledger.name().to_owned());
        let (signer, keep, tidying) = (Arc::clone(&self.signer), self.keep, Arc::clone(&self.tidying));
        let tidied = std::thread::Builder::new().name("record-tidy".to_owned()).spawn(move || {
            let _alone = tidying.lock();
            if let Err(error) = tidy(&path, &chain, &signer, keep, now) {
                warn!(%error, "a closed file of the record could not be compressed or removed; it will be tried again");
            }
        });
        if let Err(error) = tidied {
            warn!(%error, "closed files of the record cannot be compressed");
        }
    }
}

fn tidy(
    path: &Path,
    chain: &str,
    signer: &Signer,
    keep: Option<Duration>,
    now: Timestamp,
) -> std::io::Result<()> {
    for segment in folder::segments(path)?.iter().filter(|segment| segment.form == Form::Plain) {
        retain::compress(segment)?;
    }
    if let Some(keep) = keep {
        for stub in retain::remove_old(path, chain, signer, keep, now)? {
            info!(first = stub.first, last = stub.last, "an old file of the record is removed");
        }
    }
    Ok(())
}

fn is_droppable(kind: Kind) -> bool {
    match kind {
        Kind::Read | Kind::Reads | Kind::Refusal => true,
        Kind::Intent | Kind::Outcome | Kind::System | Kind::Head => false,
    }
}
