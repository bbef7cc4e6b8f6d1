//! MLflow's registry in memory, as its two lists show it: lists and searches are answered from here as MLflow would answer
//! them, while it is known that they would.
//!
//! What was written through here is asked for again before the next answer, as far as it was written; [`Generations`] tells
//! what that was. What was written past it is seen when everything is read again. A question that is not one of those that
//! clients are known to send is not answered, and goes to MLflow.

mod again;
mod fill;
mod filter;
mod order;
mod pages;
mod picture;
mod place;
mod rows;
mod shelf;
mod sorted;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::timeout;
use tracing::debug;

use crate::cache::Now;
use crate::cache::generations::Generations;
use crate::cache::news::News;

use again::Again;
use filter::Filter;
use order::Order;
use pages::ReadError;
use picture::{Picture, Wanted};
use rows::Hasher;

pub use pages::Asker;
pub use picture::{Found, Shown};
pub use rows::mark;

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `registered-models/search`
    Models,
    /// `model-versions/search`
    Versions,
}

/// What MLflow would be asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Which list.
    pub kind: Kind,
    /// The filter; empty is none.
    pub filter: &'a str,
    /// The order.
    pub order_by: &'a [&'a str],
    /// The only models, where the filter was narrowed to some.
    pub names: Option<&'a [&'a str]>,
}

/// So long an answer waits until what was written is asked for again.
const WITHIN: Duration = Duration::from_secs(10);
/// If more models were written, everything is read again.
const MOST_TOUCHED: usize = 500;

/// The registry.
pub struct Index {
    generations: Arc<Generations>,
    hasher: Hasher,
    picture: ArcSwapOption<Picture>,
    /// Held by whoever changes the picture.
    asking: tokio::sync::Mutex<()>,
    /// How often MLflow did not answer: who waited for somebody who asked does not ask once more.
    failures: AtomicU64,
    /// How long answers may be old; nothing where none are kept.
    ttl: Option<Duration>,
    /// It would take too much memory.
    is_off: AtomicBool,
}

impl Index {
    /// Knows nothing yet. `ttl` is how long what is not written through here may stay unseen; without it nothing is kept.
    #[must_use]
    pub fn new(ttl: Option<Duration>, generations: Arc<Generations>) -> Self {
        Self {
            generations,
            hasher: Hasher::default(),
            picture: ArcSwapOption::empty(),
            asking: tokio::sync::Mutex::default(),
            failures: AtomicU64::new(0),
            ttl,
            is_off: AtomicBool::new(false),
        }
    }

    /// What MLflow would answer from its row number `from` on, `most` rows at most, if that is known.
    pub async fn answer(
        &self,
        asker: Asker<'_>,
        question: &Question<'_>,
        (from, most): (u64, u64),
        now: Now,
    ) -> Option<Found> {
        let Question { kind, names, .. } = *question;
        let filter = Filter::read(kind, question.filter, &self.hasher)?;
        let order = Order::read(kind, question.order_by)?;
        let picture = self.current(asker, now).await?;
        let (from, most) = (usize::try_from(from).ok()?, usize::try_from(most).ok()?);
        picture.find(&Wanted { kind, filter, order, names, from, most, asked: picture.asked }).await
    }

    /// How many models and versions are known; nothing while they are not.
    #[must_use]
    pub fn counts(&self) -> Option<(usize, usize)> {
        self.picture.load().as_ref().map(|picture| picture.shelf.read().counts())
    }

    /// The registry with every write in it that has ended before this call.
    async fn current(&self, asker: Asker<'_>, now: Now) -> Option<Arc<Picture>> {
        let moment = self.generations.moment();
        let picture = self.usable(now)?;
        if picture.applied() >= moment {
            return Some(picture);
        }
        let failures = self.failures.load(Ordering::SeqCst);
        let caught_up = timeout(WITHIN, async {
            let _turn = self.asking.lock().await;
            if self.failures.load(Ordering::SeqCst) == failures {
                self.catch_up(asker, moment).await;
            }
        });
        if caught_up.await.is_err() {
            self.failures.fetch_add(1, Ordering::SeqCst);
        }
        self.usable(now).filter(|picture| picture.applied() >= moment)
    }

    /// The picture, unless it may be false or is too old.
    fn usable(&self, now: Now) -> Option<Arc<Picture>> {
        let picture = self.picture.load_full()?;
        let age = now.saturating_sub(picture.asked);
        (self.generations.is_settled(now) && age <= self.oldest(picture.took)).then_some(picture)
    }

    /// Asks again for what was written before a moment. Whoever calls holds the turn.
    async fn catch_up(&self, asker: Asker<'_>, moment: u64) {
        let Some(picture) = self.picture.load_full().filter(|picture| picture.applied() < moment) else {
            return;
        };
        match self.refresh(asker, &picture).await {
            Ok(()) => {}
            Err(ReadError::Fact(error)) => {
                debug!(%error, "what was written is not asked for again yet");
                self.failures.fetch_add(1, Ordering::SeqCst);
            }
            Err(error @ (ReadError::Moving | ReadError::TooLarge | ReadError::NoPlace)) => {
                debug!(%error, "the registry is read again");
                self.picture.store(None);
            }
        }
    }

    /// Takes into a picture what was written since.
    async fn refresh(&self, asker: Asker<'_>, picture: &Picture) -> Result<(), ReadError> {
        let News::Of(touched, moment) = self.generations.news(picture.applied()) else {
            return Err(ReadError::Moving);
        };
        let models: HashSet<&str> = touched.iter().map(|touched| &*touched.model).collect();
        if models.len() > MOST_TOUCHED {
            return Err(ReadError::Moving);
        }
        let again = Again { asker, hasher: &self.hasher, shelf: &picture.shelf };
        let steps = again.ask(touched).await?;
        if !picture.apply(steps, moment) {
            return Err(ReadError::NoPlace);
        }
        self.fits(&picture.shelf.read())?;
        if picture.texts.get().is_none() {
            self.learn(asker, picture).await?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Index").field("counts", &self.counts()).finish_non_exhaustive()
    }
}
