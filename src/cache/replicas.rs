//! Several sekishos before one MLflow tell each other what they have written, over the state store they share.
//!
//! Each tells each second that it is there, and hears itself: PostgreSQL gives notifications in the order in which they were
//! told, so whoever has heard its own has heard all that was told before. Who has not heard its own for 3 s passes the cache
//! by, until it hears it again and has forgotten everything. One that falls silent without a word may have written something
//! of which nobody heard: the others forget everything, and once more when such a write must have ended.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::store::{LONGEST_NEWS, News, Store, StoreError};

use super::ReadCache;
use super::generations::UNSETTLED;

/// How often each tells that it is there.
const BEAT: Duration = Duration::from_secs(1);
/// After such a silence nothing is sure.
pub(super) const SILENCE: Duration = Duration::from_secs(3);
/// Before a lost connection is made anew.
const PAUSE: Duration = Duration::from_millis(250);
/// Writes of which nobody was told yet. If there are more, everything is forgotten instead.
const QUEUE: usize = 1_024;
/// So many are told together.
const TOGETHER: usize = 100;

/// What is to be told to others.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) models: Vec<Box<str>>,
    /// Nobody knows whether it was done, or will be.
    pub(super) unsettled: bool,
    /// Everything is to be forgotten.
    pub(super) flush: bool,
    /// Who waits until the others were told.
    pub(super) done: Option<oneshot::Sender<()>>,
}

/// The way to the others.
pub(super) type Telling = mpsc::Sender<Told>;

/// A notification.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    from: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changed: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unsettled: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    flush: bool,
    /// It ends, and has told everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    bye: bool,
}

/// What is to be told, as it comes.
#[derive(Debug)]
pub struct Queue(mpsc::Receiver<Told>);

/// The others, and when each was heard last.
#[derive(Debug, Default)]
struct Peers {
    heard: HashMap<String, Instant>,
    /// When everything is to be forgotten once more.
    again: Vec<Instant>,
}

impl ReadCache {
    /// From now on others are told of writes, and nothing is served until they are heard.
    #[must_use]
    pub fn share(&self) -> Queue {
        let (telling, queue) = mpsc::channel(QUEUE);
        self.generations.share(telling);
        Queue(queue)
    }

    /// Tells others and hears them until `end`; then takes its leave.
    pub async fn keep_up_with_others(&self, store: &Store, queue: Queue, end: CancellationToken) {
        let name = uuid::Uuid::new_v4().to_string();
        let Queue(mut queue) = queue;
        let mut fine = false;
        let mut peers = Peers::default();
        while !end.is_cancelled() {
            let talked = self.talk((store, &name), &mut queue, &end, (&mut fine, &mut peers)).await;
            if std::mem::take(&mut fine) && !end.is_cancelled() {
                let why = talked.err().map_or("nothing is heard".to_owned(), |error| error.to_string());
                warn!(why, "other sekishos are not heard: reads pass the cache by");
            }
            tokio::select! {
                () = end.cancelled() => {}
                () = sleep(PAUSE) => {}
            }
        }
        let bye = Note { from: name, bye: true, ..Note::default() };
        if store.tell_others(&bye.write()).await.is_err() {
            info!("the others find out that this one is gone");
        }
    }

    /// Until the connection is lost, or nothing is heard.
    async fn talk(
        &self,
        (store, name): (&Store, &str),
        queue: &mut mpsc::Receiver<Told>,
        end: &CancellationToken,
        (fine, peers): (&mut bool, &mut Peers),
    ) -> Result<(), StoreError> {
        let Some(news) = store.news().await? else { return Ok(()) };
        // What was written while nobody could be told.
        let came = Note { from: name.to_owned(), flush: true, ..Note::default() };
        store.tell_others(&came.write()).await?;
        *fine = true;
        tokio::select! {
            () = end.cancelled() => Ok(()),
            () = self.hear(news, name, peers) => Ok(()),
            told = self.tell(store, name, queue) => told,
        }
    }

    async fn hear(&self, mut news: News, name: &str, peers: &mut Peers) {
        while let Ok(Some(text)) = tokio::time::timeout(SILENCE, news.next()).await {
            let now = Instant::now();
            match serde_json::from_str::<Note>(&text) {
                Ok(note) if note.from == name => {
                    self.generations.heard_others();
                    if peers.look(now) {
                        self.generations.flush();
                    }
                }
                Ok(note) => self.heed(note, peers, now),
                // A newer one may say more than this one understands.
                Err(_) => self.generations.flush(),
            }
        }
    }

    fn heed(&self, note: Note, peers: &mut Peers, now: Instant) {
        if note.bye {
            peers.heard.remove(&note.from);
            return;
        }
        if note.flush {
            self.generations.flush();
        }
        if !note.changed.is_empty() {
            self.generations.changed_elsewhere(note.changed.iter().map(String::as_str), note.unsettled);
        }
        peers.heard.insert(note.from, now);
    }

    async fn tell(
        &self,
        store: &Store,
        name: &str,
        queue: &mut mpsc::Receiver<Told>,
    ) -> Result<(), StoreError> {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = Vec::new();
        loop {
            let note = tokio::select! {
                _ = beat.tick() => Note { from: name.to_owned(), ..Note::default() },
                count = queue.recv_many(&mut waiting, TOGETHER), if !queue.is_closed() => {
                    if count == 0 {
                        continue;
                    }
                    Note::of(name, &waiting)
                }
            };
            let note = Note { flush: note.flush || self.generations.owes_flush(), ..note };
            store.tell_others(&note.write()).await?;
            for done in waiting.drain(..).filter_map(|told: Told| told.done) {
                // Whoever waited may have gone.
                let _ = done.send(());
            }
        }
    }
}

impl Note {
    fn of(name: &str, told: &[Told]) -> Self {
        let changed = told.iter().flat_map(|told| told.models.iter().map(|model| model.to_string()));
        let any = |is: fn(&Told) -> bool| told.iter().any(is);
        Self {
            from: name.to_owned(),
            changed: changed.collect(),
            unsettled: any(|told| told.unsettled),
            flush: any(|told| told.flush),
            bye: false,
        }
    }

    /// As text; where that would be too long, everything is to be forgotten.
    fn write(&self) -> String {
        let written = serde_json::to_string(self).unwrap_or_default();
        if !written.is_empty() && written.len() <= LONGEST_NEWS {
            return written;
        }
        let all = Self { from: self.from.clone(), flush: true, ..Self::default() };
        serde_json::to_string(&all).unwrap_or_default()
    }
}

impl Peers {
    /// Whether everything is to be forgotten, because one of them has fallen silent.
    fn look(&mut self, now: Instant) -> bool {
        let known = self.heard.len();
        self.heard.retain(|_, heard| now.saturating_duration_since(*heard) <= SILENCE);
        let due = self.again.len();
        self.again.retain(|at| *at > now);
        let mut forget = self.again.len() < due;
        if self.heard.len() < known {
            self.again.push(now + UNSETTLED);
            forget = true;
        }
        forget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_told_as_everything() {
        for (models, whole) in [(1, true), (60, true), (100, false)] {
            let told = Told { models: vec!["m".repeat(100).into(); models], ..Told::default() };
            let written = Note::of("a", &[told]).write();
            assert!(written.len() <= LONGEST_NEWS);
            let read: Note = serde_json::from_str(&written).unwrap();
            assert_eq!((read.changed.len() == models, read.flush), (whole, !whole), "{models}");
        }
    }

    #[test]
    fn who_falls_silent_has_everything_forgotten_twice() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut peers = Peers::default();
        peers.heard.insert("b".to_owned(), start);
        let looks = [(1, false), (3, false), (4, true), (5, false), (63, false), (64, true), (65, false)];
        for (second, expected) in looks {
            assert_eq!(peers.look(at(second)), expected, "{second}");
        }
    }
}
