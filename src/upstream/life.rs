//! Whether MLflow gives any sign of life. Where it gives none for long, nobody waits for it any more with all that they
//! hold; its first sign ends that.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

/// So many questions after its health must stay unanswered, one after the other.
const MISSES: u32 = 3;

/// When MLflow was last seen to do anything.
#[derive(Debug)]
pub(super) struct Life {
    silence: Duration,
    begun: Instant,
    /// Milliseconds since then.
    seen: AtomicU64,
    missed: AtomicU32,
    gone: AtomicBool,
}

impl Life {
    /// After such a silence it may be taken for gone.
    pub(super) fn new(silence: Duration) -> Self {
        let (seen, missed) = (AtomicU64::new(0), AtomicU32::new(0));
        Self { silence, begun: Instant::now(), seen, missed, gone: AtomicBool::new(false) }
    }

    /// It answered, took a piece of a request or gave one of an answer.
    pub(super) fn sign(&self) {
        self.seen.store(self.millis(), Ordering::Relaxed);
        if self.missed.load(Ordering::Relaxed) > 0 {
            self.missed.store(0, Ordering::Relaxed);
        }
        if self.gone.load(Ordering::Relaxed) && self.gone.swap(false, Ordering::Relaxed) {
            info!("mlflow gives a sign of life: requests go to it again");
        }
    }

    /// It was asked how it is, and did not say.
    pub(super) fn missed(&self) {
        let missed = self.missed.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let silent = Duration::from_millis(self.millis().saturating_sub(self.seen.load(Ordering::Relaxed)));
        if missed >= MISSES && silent >= self.silence && !self.gone.swap(true, Ordering::Relaxed) {
            warn!(
                seconds = silent.as_secs(),
                "mlflow gives no sign of life: nobody waits for it until it does"
            );
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn both_a_silence_and_questions_without_an_answer_are_needed() {
        let life = Life::new(Duration::from_secs(15));
        (0..9).for_each(|_| life.missed());
        assert!(!life.is_gone(), "a moment was enough");
        advance(Duration::from_secs(15)).await;
        life.sign();
        advance(Duration::from_secs(14)).await;
        (0..9).for_each(|_| life.missed());
        assert!(!life.is_gone(), "it was seen at work");
        life.sign();
        advance(Duration::from_secs(60)).await;
        life.missed();
        life.missed();
        assert!(!life.is_gone(), "a quiet minute and two slow answers were enough");
        life.missed();
        assert!(life.is_gone());
        life.sign();
        assert!(!life.is_gone());
    }
}
