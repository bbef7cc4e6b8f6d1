//! `GET /sekisho/v1/audit`: lines of the record as somebody asks for them, the latest first.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tracing::{error, warn};

use crate::reject::Rejection;
use crate::review::{self, Event, Filter, Hit, Search, Settings};
use crate::route::Misread;
use crate::route::message::Message;

use super::ours::written;
use super::{Gate, Passed};

/// So many lines are given if nobody says how many.
const DEFAULT: usize = 100;
/// So many lines are given at most,
const MOST: usize = 1_000;
/// and so many bytes: a page that is full sooner has a token to go on.
const BYTES: usize = 4 * 1024 * 1024;
/// So many look through the record at once; others wait.
const AT_ONCE: usize = 2;
/// No token of ours is longer, however many instances there are.
const LONGEST_TOKEN: usize = 16 * 1024;

/// Where the record is looked through.
#[derive(Debug)]
pub struct Reviews {
    root: PathBuf,
    places: Arc<Semaphore>,
}

impl Reviews {
    /// Looks through the record in this folder.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

/// How far a caller has come: by chain, the number of the last line that was given. Nobody learns anything from it, nor by
/// changing it: it only leaves out lines that the same search gives.
type Place = BTreeMap<String, u64>;

/// A page that is asked for.
struct Asked {
    filter: Filter,
    most: usize,
    before: Place,
}

/// A page as it is found.
#[derive(Default)]
struct Page {
    lines: Vec<Box<RawValue>>,
    next: Option<Place>,
    whole: bool,
}

/// The same as it is answered: lines as they stand in the file, so that their hashes can be checked.
#[derive(Serialize)]
struct Answer {
    lines: Vec<Box<RawValue>>,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

impl Gate {
    /// Lines that are asked for, for those who may see the record.
    pub(super) async fn review(&self, passed: &Passed) -> Result<Bytes, Rejection> {
        let asked = asked(passed.operation.says())?;
        let root = self.reviews.root.clone();
        // Whoever hangs up leaves a search that goes on, and its place.
        let place = Arc::clone(&self.reviews.places).acquire_owned().await;
        let search = move || {
            let _place = place;
            page(&root, asked)
        };
        let looked = tokio::task::spawn_blocking(search).await;
        let page = match looked {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => {
                error!(%error, "the record cannot be read");
                Page::default()
            }
            Err(broke) => {
                error!(%broke, "a search through the record broke");
                Page::default()
            }
        };
        let next_page_token = page.next.map(|place| URL_SAFE_NO_PAD.encode(json!(place).to_string()));
        Ok(written(&Answer { lines: page.lines, complete: page.whole, next_page_token }))
    }
}

fn asked(message: &Message) -> Result<Asked, Misread> {
    let text = |name: &str| message.text(name).map(str::to_owned);
    let time = |name: &'static str| match message.text(name) {
        Some(text) => text.parse::<Timestamp>().map(Some).map_err(|_| Misread::Time(name)),
        None => Ok(None),
    };
    let most = match message.text("max_results") {
        Some(number) => number.parse().ok().filter(|most| (1..=MOST).contains(most)),
        None => Some(DEFAULT),
    };
    let before = match message.text("page_token") {
        Some(token) => place(token).ok_or(Misread::PageToken)?,
        None => Place::new(),
    };
    let kinds = message.texts("kind").map(|kind| {
        word(kind).ok_or(Misread::Word("kind", "read, reads, refusal, intent, outcome, system, head"))
    });
    let one_of = |name: &'static str, words: &'static str| Misread::Word(name, words);
    let filter = Filter {
        principal: text("principal"),
        operation: text("operation"),
        model: text("model"),
        object: text("object"),
        stage: text("stage"),
        decision: known(message, "decision").map_err(|()| one_of("decision", "allow, deny"))?,
        kinds: kinds.collect::<Result<_, _>>()?,
        outcome: known(message, "outcome")
            .map_err(|()| one_of("outcome", "applied, not_applied, unknown"))?,
        id: text("id"),
        since: time("since")?,
        until: time("until")?,
        words: message.text("text").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
    };
    Ok(Asked { filter, most: most.ok_or(Misread::PageSize(MOST))?, before })
}

fn known<T: DeserializeOwned>(message: &Message, name: &str) -> Result<Option<T>, ()> {
    message.text(name).map(|text| word(text).ok_or(())).transpose()
}

fn word<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(text.into()).ok()
}

fn place(token: &str) -> Option<Place> {
    let bytes = (token.len() <= LONGEST_TOKEN).then(|| URL_SAFE_NO_PAD.decode(token).ok())??;
    serde_json::from_slice(&bytes).ok()
}

/// Looks through the record, which blocks.
fn page(root: &std::path::Path, asked: Asked) -> std::io::Result<Page> {
    let Asked { filter, most, mut before } = asked;
    let mut page = Page { whole: true, ..Page::default() };
    let settings = Settings { reverse: true, indexes: true };
    let mut bytes = 0;
    for event in Search::begin(&review::chains(root)?, filter, settings).before(&before) {
        let Hit { chain, seq, line, .. } = match event {
            Event::Hit(hit) => hit,
            Event::Note(note) => {
                page.whole &= !note.leaves_out();
                if note.leaves_out() {
                    warn!(%note, "a part of the record cannot be read");
                }
                continue;
            }
        };
        if page.lines.len() >= most || bytes + line.len() > BYTES && !page.lines.is_empty() {
            page.next = Some(before);
            break;
        }
        // A hit was read as a line before.
        let Ok(raw) = serde_json::from_slice::<Box<RawValue>>(&line) else { continue };
        bytes += line.len();
        before.insert(chain.to_string(), seq);
        page.lines.push(raw);
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Two chains whose lines' times lie between each other's.
    fn record() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (chain, first) in [("a", 0), ("b", 1)] {
            fs::create_dir(root.path().join(chain)).unwrap();
            let line = |seq: u64| {
                format!(
                    "{{\"seq\":{seq},\"id\":\"{chain}{seq}\",\"time\":\"2026-11-30T09:00:{:02}.000000Z\",\"kind\":\"refusal\",\
                     \"prev\":\"{}\",\"hash\":\"{}\"}}\n",
                    2 * seq + first,
                    "0".repeat(64),
                    "0".repeat(64),
                )
            };
            let lines: String = (1..=7).map(line).collect();
            fs::write(root.path().join(chain).join("current.jsonl"), lines).unwrap();
        }
        root
    }

    #[test]
    fn pages_together_are_everything_once_and_the_latest_first() {
        let root = record();
        for most in [1, 2, 3, 5, 14, 100] {
            let (mut ids, mut before) = (Vec::new(), Place::new());
            loop {
                let asked = Asked { filter: Filter::default(), most, before };
                let page = page(root.path(), asked).unwrap();
                assert!(page.whole && page.lines.len() <= most);
                let id = |line: &RawValue| {
                    let line: serde_json::Value = serde_json::from_str(line.get()).unwrap();
                    line["id"].as_str().unwrap().to_owned()
                };
                ids.extend(page.lines.iter().map(|line| id(line)));
                let Some(next) = page.next else { break };
                let token = URL_SAFE_NO_PAD.encode(json!(next).to_string());
                before = place(&token).unwrap();
            }
            let expected: Vec<String> =
                (1..=7).rev().flat_map(|seq| [format!("b{seq}"), format!("a{seq}")]).collect();
            assert_eq!(ids, expected, "{most}");
        }
    }

    #[test]
    fn what_is_no_token_is_none() {
        for token in ["", "!", "e30", "eyJhIjoxfQ", "eyJhIjotMX0", "eyJhIjoieCJ9", "W10"] {
            assert_eq!(place(token).is_some(), ["e30", "eyJhIjoxfQ"].contains(&token), "{token}");
        }
        assert_eq!(place(&"e".repeat(LONGEST_TOKEN + 1)), None);
    }
}
