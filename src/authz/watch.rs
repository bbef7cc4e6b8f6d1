//! The folder of policies watched: a good set takes the place of the old one in one step, a bad one never does.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, mpsc};
use tokio::time::{self, MissedTickBehavior};
use tracing::{error, info, warn};

use crate::authz::PolicyWriter;
use crate::authz::folder::{FILES, PolicyVersion, Sources};
use crate::authz::kept::{InForce, KeepError, Keeper};
use crate::authz::policy::PolicySet;
use crate::mistake::Mistake;

/// Why the newest policies are not in force, or not kept, for `/readyz`. Cloned handles see the same.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    mistakes: Arc<ArcSwapOption<Vec<Mistake>>>,
    unkept: Arc<ArcSwapOption<String>>,
}

impl Standing {
    /// The mistakes of a set that was not taken, until a good one is; nothing while the folder's own set is in force.
    #[must_use]
    pub fn mistakes(&self) -> Option<Arc<Vec<Mistake>>> {
        self.mistakes.load_full()
    }

    /// Why the set in force is not kept beside the record, if it is not.
    #[must_use]
    pub fn unkept(&self) -> Option<Arc<String>> {
        self.unkept.load_full()
    }

    /// Says why the set in force is not kept, or that it is.
    pub fn note_unkept(&self, why: Option<&KeepError>) {
        let known = self.unkept();
        let told = why.map(ToString::to_string);
        if let Some(why) = why.filter(|_| known.as_deref() != told.as_ref()) {
            warn!(
                error = why as &dyn std::error::Error,
                "policies are in force and not kept beside the record"
            );
        }
        self.unkept.store(told.map(Arc::new));
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
    let first = InForce { policies: Arc::clone(&*writer.0.borrow()), told: true };
    let unkept = standing.unkept().map(|_| first).into_iter().collect();
    let mut folder = Folder { seen: Seen::of(&dir), tried, dir, writer, keeper, standing, unkept };
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
                folder.keep_up().await;
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

/// So many sets that were in force are still to be kept at most.
const UNKEPT: usize = 16;
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// An editor's save is several events; reading between two of them would find half a folder.
const QUIET_FOR: Duration = Duration::from_millis(80);
const LONGEST_UNQUIET: u32 = 5;

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
    /// What is or was in force and is not kept yet, the earliest first.
    unkept: Vec<InForce>,
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
        let mut set = InForce { policies: Arc::new(policies), told: false };
        let kept = self.keeper.keep_up(&mut set).await;
        if let Err(error) = &kept {
            // Before anybody decides by it.
            self.keeper.withhold(Some(error));
            self.standing.note_unkept(Some(error));
        }
        info!(policy = %set.policies.version(), rows = set.policies.row_count(), "policies are in force");
        self.writer.put_in_force(Arc::clone(&set.policies));
        self.standing.mistakes.store(None);
        if kept.is_err() {
            self.unkept.truncate(UNKEPT - 1);
            self.unkept.push(set);
        }
    }

    fn refuse(&self, mistakes: Vec<Mistake>) {
        let known = self.standing.mistakes().is_some_and(|known| *known == mistakes);
        for mistake in mistakes.iter().filter(|_| !known) {
            error!(%mistake, "policies not taken; the old ones stay in force");
        }
        self.standing.mistakes.store(Some(Arc::new(mistakes)));
    }

    /// Tries again to keep what is in force all the same.
    async fn keep_up(&mut self) {
        while let Some(set) = self.unkept.first_mut() {
            if let Err(error) = self.keeper.keep_up(set).await {
                self.keeper.withhold(Some(&error));
                return self.standing.note_unkept(Some(&error));
            }
            info!(policy = %set.policies.version(), "policies are kept beside the record now");
            self.unkept.remove(0);
            if self.unkept.is_empty() {
                self.keeper.withhold(None);
                self.standing.note_unkept(None);
            }
        }
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
