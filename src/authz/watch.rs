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
use tracing::{debug, error, info, warn};

use crate::authz::PolicyWriter;
use crate::authz::folder::{FILES, PolicyVersion, Sources};
use crate::authz::policy::PolicySet;
use crate::mistake::Mistake;

/// Why the newest policies are not in force, for `/readyz`. Cloned handles see the same.
#[derive(Clone, Debug, Default)]
pub struct Standing(Arc<ArcSwapOption<Vec<Mistake>>>);

impl Standing {
    /// The mistakes of a set that was not taken, until a good one is; nothing while the folder's own set is in force.
    #[must_use]
    pub fn mistakes(&self) -> Option<Arc<Vec<Mistake>>> {
        self.0.load_full()
    }
}

/// Watches `dir` until `stop`, putting each good set in force within 2 s of its last change.
///
/// Events only wake it up early. What counts are the files' bytes, looked at again when an event comes, when a look each
/// second finds other files (their inode, length or times), and at once, whatever has changed, for each message of `reload`.
pub async fn watch(
    dir: PathBuf,
    writer: PolicyWriter,
    standing: Standing,
    stop: impl Future<Output = ()>,
    mut reload: mpsc::Receiver<()>,
) {
    let woken = Arc::new(Notify::new());
    let mut folder =
        Folder { seen: Seen::of(&dir), tried: None, watcher: listen(&woken), dir, writer, standing };
    folder.tried = Some(folder.writer.0.borrow().version().clone());
    folder.follow_paths();
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
            _ = look.tick() => if folder.looks_other() { settle(&woken).await; Again::IfOther } else { continue },
            asked = reload.recv(), if !asks_end => match asked {
                Some(()) => Again::Always,
                None => { asks_end = true; continue }
            },
        };
        folder.read_again(again).await;
    }
}

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
    standing: Standing,
    seen: Seen,
    tried: Option<PolicyVersion>,
    watcher: Option<RecommendedWatcher>,
}

impl Folder {
    fn looks_other(&self) -> bool {
        Seen::of(&self.dir) != self.seen
    }

    async fn read_again(&mut self, again: Again) {
        // Taken before reading: what changes meanwhile is found by the next look.
        let seen = Seen::of(&self.dir);
        if seen.folder != self.seen.folder {
            self.follow_paths();
        }
        self.seen = seen;
        let (dir, tried) = (self.dir.clone(), self.tried.clone());
        let build = move || match Sources::read(&dir) {
            Ok(sources) if again == Again::IfOther && Some(sources.version()) == tried => None,
            Ok(sources) => Some((Some(sources.version()), PolicySet::build(&sources))),
            Err(mistakes) => Some((None, Err(mistakes))),
        };
        match tokio::task::spawn_blocking(build).await {
            Ok(None) => {}
            Ok(Some((version, built))) => {
                self.tried = version;
                self.judge(built);
            }
            Err(failure) => {
                error!(%failure, "reading the policies broke off; the old ones stay in force");
            }
        }
    }

    fn judge(&self, built: Result<PolicySet, Vec<Mistake>>) {
        match built {
            Ok(policies) => {
                info!(policy = %policies.version(), rows = policies.row_count(), "policies are in force");
                self.writer.put_in_force(policies);
                self.standing.0.store(None);
            }
            Err(mistakes) => {
                let known = self.standing.mistakes().is_some_and(|known| *known == mistakes);
                for mistake in mistakes.iter().filter(|_| !known) {
                    error!(%mistake, "policies not taken; the old ones stay in force");
                }
                self.standing.0.store(Some(Arc::new(mistakes)));
            }
        }
    }

    /// Watches the folder and what it lies in: a folder can be swapped whole, and then its watch sees only the old one.
    fn follow_paths(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let parent =
            self.dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        for path in [self.dir.as_path(), parent] {
            if let Err(error) = watcher.unwatch(path) {
                debug!(%error, path = %path.display(), "was not watched before");
            }
            if let Err(error) = watcher.watch(path, RecursiveMode::NonRecursive) {
                warn!(%error, path = %path.display(), "cannot watch; looking once a second instead");
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

fn listen(woken: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let woken = Arc::clone(woken);
    let on_event = move |event: notify::Result<notify::Event>| {
        // Reading makes events too; answering those would never end.
        let only_read = event.as_ref().is_ok_and(|event| match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
            EventKind::Access(_) => true,
            EventKind::Any
            | EventKind::Create(_)
            | EventKind::Modify(_)
            | EventKind::Remove(_)
            | EventKind::Other => false,
        });
        if !only_read {
            woken.notify_one();
        }
    };
    notify::recommended_watcher(on_event)
        .inspect_err(|error| warn!(%error, "cannot watch the policies; looking once a second instead"))
        .ok()
}

/// Which files there were, without reading them. Symlinks are followed, so a swapped link shows another inode.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    folder: Option<[i64; 2]>,
    files: [Option<[i64; 7]>; FILES.len()],
}

impl Seen {
    fn of(dir: &Path) -> Self {
        let number = |unsigned: u64| unsigned.cast_signed();
        let folder = std::fs::metadata(dir).ok().map(|found| [number(found.dev()), number(found.ino())]);
        let files = FILES.map(|name| {
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
        });
        Self { folder, files }
    }
}

#[cfg(test)]
mod tests;
