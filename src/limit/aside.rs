//! Large work, done one at a time and on a thread of its own, away from those that serve everybody.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::setpriority_process;
use rustix::thread::gettid;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use tracing::error;

use super::OverLimit;

/// From here on a body is large: reading it takes longer than a millisecond.
pub const LARGE: usize = 128 * 1024;

/// Linux counts a thread's own.
const NICE: i32 = 10;

const WAIT: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce() + Send>;

/// The one place where it is done. That there is one bounds its memory, which may be many times the body's; that it is always
/// the same thread keeps the allocator from holding on to as much for each of many.
#[derive(Clone, Debug)]
pub struct Aside {
    turns: Arc<Semaphore>,
    thread: mpsc::SyncSender<Work>,
}

/// One's turn to use it.
#[derive(Debug)]
pub struct Turn {
    permit: OwnedSemaphorePermit,
    thread: mpsc::SyncSender<Work>,
}

impl Aside {
    /// The thread ends with the last of this one's clones.
    pub(super) fn new() -> Self {
        let (thread, works) = mpsc::sync_channel::<Work>(1);
        let run = move || {
            // Small requests come first on a machine that has too much to do; without the right to say so it is as it was.
            let _ = setpriority_process(Some(gettid()), NICE);
            while let Ok(work) = works.recv() {
                if catch_unwind(AssertUnwindSafe(work)).is_err() {
                    error!("large work broke");
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("large".to_owned()).spawn(run) {
            error!(%error, "no thread for large work: large bodies are refused");
        }
        Self { turns: Arc::new(Semaphore::new(1)), thread }
    }

    /// Waits its turn.
    ///
    /// # Errors
    /// It does not come in time.
    pub async fn turn(&self) -> Result<Turn, OverLimit> {
        let turn = timeout(WAIT, Arc::clone(&self.turns).acquire_owned()).await;
        let permit = turn.ok().and_then(Result::ok).ok_or(OverLimit::Large)?;
        Ok(Turn { permit, thread: self.thread.clone() })
    }
}

impl Turn {
    /// Does `work`, which goes on if nobody waits for it any more.
    ///
    /// # Errors
    /// It broke, or there is no thread.
    pub async fn run<T, W>(self, work: W) -> Result<T, OverLimit>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let Self { permit, thread } = self;
        let (tell, told) = oneshot::channel();
        let work = Box::new(move || {
            let done = work();
            drop(permit);
            // Whoever hung up is not told.
            drop(tell.send(done));
        });
        thread.try_send(work).map_err(|_| OverLimit::Large)?;
        told.await.map_err(|_| OverLimit::Large)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_even_if_the_first_one_hung_up() {
        let aside = Aside::new();
        let (go_on, held) = mpsc::channel::<()>();
        let (told, begun) = mpsc::channel();
        let first = aside.turn().await.unwrap().run(move || {
            told.send(()).unwrap();
            held.recv().unwrap();
        });
        assert!(timeout(Duration::from_millis(50), first).await.is_err());
        begun.recv().unwrap();
        assert_eq!(aside.turns.available_permits(), 0, "whoever hangs up makes room for the next");
        go_on.send(()).unwrap();
        assert_eq!(aside.turn().await.unwrap().run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn work_that_breaks_is_not_the_end_of_it() {
        let aside = Aside::new();
        let broken = aside.turn().await.unwrap().run(|| panic!("it breaks")).await;
        assert_eq!(broken, Err(OverLimit::Large));
        assert_eq!(aside.turn().await.unwrap().run(|| 7).await, Ok(7));
    }
}
