//! Large work, done one at a time and away from the threads that serve everybody.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::OverLimit;

/// From here on a body is large: reading it takes longer than a millisecond.
pub const LARGE: usize = 128 * 1024;

const WAIT: Duration = Duration::from_secs(10);

/// The one place where it is done. That there is one bounds its memory, which may be many times the body's.
#[derive(Clone, Debug)]
pub struct Aside(Arc<Semaphore>);

impl Default for Aside {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// One's turn to use it.
#[derive(Debug)]
pub struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Aside {
    /// Waits its turn.
    ///
    /// # Errors
    /// It does not come in time.
    pub async fn turn(&self) -> Result<Turn, OverLimit> {
        let turn = timeout(WAIT, Arc::clone(&self.0).acquire_owned()).await;
        turn.ok().and_then(Result::ok).map(|permit| Turn { _permit: permit }).ok_or(OverLimit::Large)
    }
}

impl Turn {
    /// Does `work`, which goes on if nobody waits for it any more.
    ///
    /// # Errors
    /// The program ends.
    pub async fn run<T, W>(self, work: W) -> Result<T, OverLimit>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let done = spawn_blocking(move || {
            let done = work();
            drop(self);
            done
        });
        match done.await {
            Ok(done) => Ok(done),
            Err(broken) if broken.is_panic() => resume_unwind(broken.into_panic()),
            Err(_) => Err(OverLimit::Large),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn one_at_a_time_even_if_the_first_one_hung_up() {
        let aside = Aside::default();
        let (go_on, held) = mpsc::channel::<()>();
        let (told, begun) = mpsc::channel();
        let first = aside.turn().await.unwrap().run(move || {
            told.send(()).unwrap();
            held.recv().unwrap();
        });
        assert!(timeout(Duration::from_millis(50), first).await.is_err());
        begun.recv().unwrap();
        assert_eq!(aside.0.available_permits(), 0, "whoever hangs up makes room for the next");
        go_on.send(()).unwrap();
        assert_eq!(aside.turn().await.unwrap().run(|| 7).await, Ok(7));
    }
}
