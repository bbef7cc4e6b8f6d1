//! The folder of policies watched: a good set takes the place of the old one in one step, a bad one never does.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{self, MissedTickBehavior};
use tracing::{error, info, warn};

use crate::authz::PolicyWriter;
use crate::authz::folder::{FILES, PolicyVersion, Sources};
use crate::authz::kept::{InForce, Keeper};
use crate::authz::policy::PolicySet;
use crate::mistake::Mistake;

/// Why the newest policies are not in force, or not kept, for `/readyz`. Cloned handles see the same.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    mistakes: Arc<ArcSwapOption<Vec<Mistake>>>,
    unkept: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Standing {
    /// The mistakes of a set that was not taken, until a good one is; nothing while the folder's own set is in force.
    #[must_use]
    pub fn mistakes(&self) -> Option<Arc<Vec<Mistake>>> {
        self.mistakes.load_full()
    }

    /// Why policies that are or were in force are not kept beside the record, if that is so.
    #[must_use]
    pub fn unkept(&self) -> Option<String> {
        self.unkept.lock().values().next().cloned()
    }

    /// Says why a set that is in force is not kept, or that it is.
    pub fn note_unkept(&self, policies: &PolicySet, why: Option<String>) {
        let version = policies.version().to_string();
        let mut unkept = self.unkept.lock();
        match why {
            Some(why) => {
                if unkept.get(&version) != Some(&why) {
                    warn!(policy = version, why, "policies are in force and not kept beside the record");
                }
                unkept.insert(version, why);
            }
            None => drop(unkept.remove(&version)),
        }
    }
}

/// Watches `dir` until `stop`, putting each good set in force within 2 s of its last change. `keeper` keeps it first; where it
/// cannot, the set is in force all the same, for it may take rights away, and writes wait until it can (`audit.mode`).
///
/// Events only wake it up early. What counts are the files' bytes, looked at again when an event comes, when a look each
/// second finds other files (their inode, length or times), and at once, whatever has changed, for each message of `reload`.
pub async fn watch(
    dir: PathBuf,
    writer: PolicyWriter,
    keeper: Keeper,
    standing: Standing,
    stop: impl Future<Output = ()>,
    mut reload: mpsc::Receiver<()>,
) {
    let woken = Arc::new(Notify::new());
    // Kept to the end: a watcher that is dropped watches nothing.
    let _watcher = listen(&dir, &woken);
    let tried = Some(writer.0.borrow().version().clone());
    let (seen, keeping) = (Seen::of(&dir), JoinSet::new());
    let mut folder = Folder { seen, tried, dir, writer, keeper, standing, kept: Kept::default(), keeping };
    let first = Arc::clone(&*folder.writer.0.borrow());
    if folder.standing.unkept().is_some() {
        folder.begin_to_keep(folder.keeper.in_force(first, true));
    } else {
        folder.kept.lock().insert(first.version().clone());
    }
    // The folder may have changed since the set in force was read from it.
    folder.read_again(Again::IfOther).await;
    let mut look = time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asks_end = false;
    tokio::pin!(stop);
    loop {
        let again = tokio::select! {
            () = &mut stop => return,
            () = woken.notified() => { settle(&woken).await; Again::IfOther }
            _ = look.tick() => if folder.looks_other() {
                settle(&woken).await;
                Again::IfOther
            } else {
                while folder.keeping.try_join_next().is_some() {}
                continue
            },
            asked = reload.recv(), if !asks_end => match asked {
                Some(()) => Again::Always,
                None => { asks_end = true; continue }
            },
        };
        folder.read_again(again).await;
    }
}

/// A change of policies does not wait longer for a disk.
const SOON: Duration = Duration::from_secs(1);
const SLOW: &str = "it takes too long";
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// An editor's save is several events; reading between two of them would find half a folder.
const QUIET_FOR: Duration = Duration::from_millis(80);
const LONGEST_UNQUIET: u32 = 5;

type Kept = Arc<Mutex<HashSet<PolicyVersion>>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    IfOther,
    Always,
}

struct Folder {
    dir: PathBuf,
    writer: PolicyWriter,
    keeper: Keeper,
    standing: Standing,
    seen: Seen,
    tried: Option<PolicyVersion>,
    /// Sets that are kept: nobody waits for one of them again.
    kept: Kept,
    /// What keeps the sets that are not kept yet, each its own.
    keeping: JoinSet<()>,
}

impl Folder {
    fn looks_other(&self) -> bool {
        Seen::of(&self.dir) != self.seen
    }

    async fn read_again(&mut self, again: Again) {
        // Taken before reading: what changes meanwhile is found by the next look.
        self.seen = Seen::of(&self.dir);
        let (dir, tried) = (self.dir.clone(), self.tried.clone());
        let build = move || match Sources::read(&dir) {
            Ok(sources) if again == Again::IfOther && Some(sources.version()) == tried => None,
            Ok(sources) => Some((Some(sources.version()), PolicySet::build(sources))),
            Err(mistakes) => Some((None, Err(mistakes))),
        };
        match tokio::task::spawn_blocking(build).await {
            Ok(None) => {}
            Ok(Some((version, built))) => {
                self.tried = version;
                match built {
                    Ok(policies) => self.take(policies).await,
                    Err(mistakes) => self.refuse(mistakes),
                }
            }
            Err(failure) => {
                error!(%failure, "reading the policies broke off; the old ones stay in force");
            }
        }
    }

    async fn take(&mut self, policies: PolicySet) {
        let policies = Arc::new(policies);
        let is_kept = self.kept.lock().contains(policies.version());
        if !is_kept && self.writer.0.borrow().version() == policies.version() {
            // It is in force, and being kept.
            return self.standing.mistakes.store(None);
        }
        if !is_kept {
            // Before anybody decides by it.
            self.keeper.withhold(&policies, Some(SLOW.to_owned()));
        }
        let tried = self.begin_to_keep(self.keeper.in_force(Arc::clone(&policies), false));
        if time::timeout(SOON, tried).await.is_err() {
            warn!(policy = %policies.version(), "policies are in force and not kept beside the record yet");
        }
        info!(policy = %policies.version(), rows = policies.row_count(), "policies are in force");
        self.writer.put_in_force(policies);
        self.standing.mistakes.store(None);
    }

    /// Keeps a set, however long that takes. What is given ends when it was tried once.
    fn begin_to_keep(&mut self, set: InForce) -> oneshot::Receiver<()> {
        let (tried, first) = oneshot::channel();
        let (keeper, standing, kept) = (self.keeper.clone(), self.standing.clone(), Arc::clone(&self.kept));
        self.keeping.spawn(keep(keeper, standing, kept, set, tried));
        first
    }

    fn refuse(&self, mistakes: Vec<Mistake>) {
        let known = self.standing.mistakes().is_some_and(|known| *known == mistakes);
        for mistake in mistakes.iter().filter(|_| !known) {
            error!(%mistake, "policies not taken; the old ones stay in force");
        }
        self.standing.mistakes.store(Some(Arc::new(mistakes)));
    }
}

/// Keeps a set, and tries again each second until it is kept.
async fn keep(keeper: Keeper, standing: Standing, kept: Kept, mut set: InForce, tried: oneshot::Sender<()>) {
    let mut tried = Some(tried);
    loop {
        let policies = Arc::clone(&set.policies);
        let mut trying = std::pin::pin!(keeper.keep_up(&mut set));
        let tried_once = match time::timeout(SOON, &mut trying).await {
            Ok(tried_once) => tried_once,
            Err(_) => {
                standing.note_unkept(&policies, Some(SLOW.to_owned()));
                trying.await
            }
        };
        let why = tried_once.err().map(|error| error.to_string());
        {
            let mut kept = kept.lock();
            if why.is_none() {
                kept.insert(policies.version().clone());
            }
            // Another job may have kept the same set: what failed here is a line at most.
            keeper.withhold(&policies, why.clone().filter(|_| !kept.contains(policies.version())));
        }
        standing.note_unkept(&policies, why.clone());
        drop(tried.take());
        if why.is_none() {
            return;
        }
        time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until nothing has happened for a moment, but not for ever.
async fn settle(woken: &Notify) {
    for _ in 0..LONGEST_UNQUIET {
        if time::timeout(QUIET_FOR, woken.notified()).await.is_err() {
            return;
        }
    }
}

/// Watches the folder. Where that fails, and where the folder itself is swapped, looking has to do: watching what it lies
/// in costs two wake-ups for each write to a neighbour, such as the file that our own lines of requests go to.
fn listen(dir: &Path, woken: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let woken = Arc::clone(woken);
    let on_event = move |event: notify::Result<notify::Event>| {
        if event.as_ref().map_or(true, matters) {
            woken.notify_one();
        }
    };
    notify::recommended_watcher(on_event)
        .and_then(|mut watcher| {
            watcher.watch(dir, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        })
        .inspect_err(|error| warn!(%error, "cannot watch the policies; looking once a second instead"))
        .ok()
}

/// Reading makes events too, and answering those would never end.
fn matters(event: &notify::Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}

/// Which files there were, without reading them. Symlinks are followed, so a swapped link shows another inode.
#[derive(Debug, PartialEq, Eq)]
struct Seen([Option<[i64; 7]>; FILES.len()]);

impl Seen {
    fn of(dir: &Path) -> Self {
        let number = |unsigned: u64| unsigned.cast_signed();
        Self(FILES.map(|name| {
            let found = std::fs::metadata(dir.join(name)).ok()?;
            Some([
                number(found.dev()),
                number(found.ino()),
                number(found.len()),
                found.mtime(),
                found.mtime_nsec(),
                found.ctime(),
                found.ctime_nsec(),
            ])
        }))
    }
}

#[cfg(test)]
mod tests;
