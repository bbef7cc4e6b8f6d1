//! Threads that serve connections, one for each core, each with a runtime of its own.
//!
//! A connection stays with the thread that took it: its requests, their answers and the connections to MLflow that they use
//! wake nobody on another core.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

thread_local! {
    static HERE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The threads; they end with this, whatever they are doing. Without any, connections are served where they are accepted.
#[derive(Debug, Default)]
pub struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// One for each connection, and one more.
    seats: Arc<()>,
    /// Dropped, it ends the thread.
    _end: oneshot::Sender<Infallible>,
}

/// Which of all workers this thread is, counted from zero; nothing on other threads.
#[must_use]
pub fn here() -> Option<usize> {
    HERE.get()
}

/// One for each core that may be used.
#[must_use]
pub fn usual() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

impl Workers {
    /// Starts so many threads.
    ///
    /// # Errors
    /// The system gives no more threads or files.
    pub fn start(count: usize) -> io::Result<Self> {
        (0..count).map(Worker::start).collect::<Result<_, _>>().map(Self)
    }

    /// Where the next connection goes, to the worker that has fewest, and what counts it there until it is dropped.
    #[must_use]
    pub fn place(&self) -> Option<(Handle, Arc<()>)> {
        let worker = self.0.iter().min_by_key(|worker| Arc::strong_count(&worker.seats))?;
        Some((worker.runtime.clone(), Arc::clone(&worker.seats)))
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<Infallible>();
        thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            HERE.set(Some(number));
            // It is never told, only dropped.
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, seats: Arc::default(), _end: end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_go_where_there_are_fewest() {
        assert!(Workers::start(0).unwrap().place().is_none());
        let workers = Workers::start(2).unwrap();
        let mut seats = Vec::new();
        for expected in [0, 1, 0, 1] {
            let (handle, seat) = workers.place().unwrap();
            assert_eq!(handle.spawn(async { here() }).await.unwrap(), Some(expected));
            seats.push(seat);
        }
        drop(seats.remove(1));
        assert_eq!(workers.place().unwrap().0.spawn(async { here() }).await.unwrap(), Some(1));
        assert_eq!(here(), None);
    }

    #[tokio::test]
    async fn what_runs_on_one_ends_with_it() {
        let workers = Workers::start(1).unwrap();
        let endless = workers.place().unwrap().0.spawn(std::future::pending::<()>());
        drop(workers);
        assert!(endless.await.unwrap_err().is_cancelled());
    }
}
