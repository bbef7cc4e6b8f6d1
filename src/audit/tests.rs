//! Lines: each trail makes one, or two if it is a write; whatever ends it, it is told.

use std::path::Path;
use std::thread;

use bytes::Bytes;
use futures_util::stream;
use http::Method;
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use serde_json::Value;

use super::*;
use crate::operation::{Object, Permission};
use crate::record::{self, Mode, Rhythm};

/// A record in a folder of its own, and its writer at work.
struct Desk {
    folder: tempfile::TempDir,
    journal: Option<Journal>,
    writing: thread::JoinHandle<()>,
}

impl Desk {
    fn new(reads: Reads) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = record::Settings {
            path: folder.path().join("audit"),
            instance: "a".to_owned(),
            mode: Mode::Required,
            signing_key_file: folder.path().join("audit.key"),
            rhythm: Rhythm::default(),
            keep: None,
        };
        let (written, writer, _) = record::open(&settings, &Clock::held_at(1_000)).unwrap();
        let journal = Journal::new(written, reads);
        let counted = journal.counted();
        let writing = thread::spawn(move || writer.run(counted).unwrap());
        Self { folder, journal: Some(journal), writing }
    }

    fn open(&self, method: &str) -> Trail {
        let peer = "::ffff:10.0.0.7".parse().unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let journal = self.journal.as_ref().unwrap();
        Arrival::new((journal, &Clock::held_at(1_000)), RequestId::new(), peer, &method).open()
    }

    /// All lines of requests, once nobody writes any more.
    fn lines(mut self) -> Vec<Value> {
        drop(self.journal.take());
        self.writing.join().unwrap();
        read(&self.folder.path().join("audit/a/current.jsonl"))
    }
}

fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| !["head", "system"].contains(&line["kind"].as_str().unwrap())).collect()
}

fn shown(line: &Value, keys: &[&str]) -> String {
    let shown: Vec<String> =
        keys.iter().map(|key| line.get(key).map_or("-".to_owned(), Value::to_string)).collect();
    shown.join(" ")
}

/// What becomes of one trail: the values of these keys in its only line.
async fn told(keys: &[&str], ends: impl AsyncFnOnce(Trail)) -> String {
    let desk = Desk::new(Reads::Each);
    ends(desk.open("GET")).await;
    let lines = desk.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    shown(&lines[0], keys)
}

const SHOWN: [&str; 4] = ["kind", "decision", "status", "abandoned"];

#[tokio::test]
async fn a_trail_that_nobody_closes_is_told_as_abandoned() {
    assert_eq!(told(&SHOWN, async |trail| drop(trail)).await, r#""refusal" "deny" - true"#);
    let closed = told(&SHOWN, async |trail| trail.close(StatusCode::FORBIDDEN)).await;
    assert_eq!(closed, r#""refusal" "deny" 403 -"#);
}

#[tokio::test]
async fn a_line_ends_with_its_answers_body() {
    let ok = StatusCode::OK;
    let shown = ["status", "abandoned"];
    let pieces = |last: Result<&'static str, &'static str>| {
        let frame = |text: &'static str| Frame::data(Bytes::from_static(text.as_bytes()));
        StreamBody::new(stream::iter([Ok(frame("half")), last.map(frame)]))
    };
    for (ending, expected) in [("read", "200 -"), ("half read", "200 true"), ("unread", "200 true")] {
        let line = told(&shown, async |trail| {
            let mut body = Told::new(pieces(Ok("whole")), trail, ok);
            match ending {
                "read" => drop(body.collect().await.unwrap()),
                "half read" => drop(body.frame().await),
                _ => drop(body),
            }
        });
        assert_eq!(line.await, expected, "{ending}");
    }
    let broken = told(&shown, async |trail| {
        let whole = Told::new(pieces(Err("it broke")), trail, ok).collect().await;
        assert_eq!(whole.unwrap_err(), "it broke");
    });
    assert_eq!(broken.await, "200 true", "a body that broke is no whole answer");
    let sized = told(&shown, async |trail| {
        // hyper does not ask a body of known length for its end.
        let mut body = Told::new(Full::new(Bytes::from_static(b"all")), trail, ok);
        drop(body.frame().await);
    });
    assert_eq!(sized.await, "200 -");
    let empty = told(&shown, async |trail| drop(Told::new(Empty::<Bytes>::new(), trail, ok)));
    assert_eq!(empty.await, "200 -");
}

#[tokio::test]
async fn a_line_is_bounded_whatever_was_asked_for() {
    let line = told(&["operation", "object", "demands"], async |mut trail| {
        let demand = |key: usize| {
            Demand::new(Permission::MetadataWrite, Object::Tag("m".into(), key.to_string().into()))
        };
        trail.note_demands(&(0..500).map(demand).collect::<Vec<_>>());
        trail.note_refusal("why ".repeat(10_000));
        trail.close(StatusCode::OK);
    });
    let line = line.await;
    assert!(
        line.starts_with(r#""metadata_write" "model:m/tag/0" ["metadata_write model:m/tag/1","#),
        "{line}"
    );
    assert_eq!(line.matches("model:m/tag/").count(), 21);
    assert_eq!(told(&["peer"], async |trail| drop(trail)).await, r#""10.0.0.7""#);
    let reason = told(&["reason"], async |mut trail| trail.note_refusal("é".repeat(40_000))).await;
    assert!(reason.len() < 10_000);
}

#[tokio::test]
async fn a_method_is_shortened() {
    let method = told(&["method"], async |trail| drop(trail)).await;
    assert_eq!(method, r#""GET""#);
    let desk = Desk::new(Reads::Each);
    drop(desk.open("LONGER-THAN-ANY-METHOD"));
    assert_eq!(shown(&desk.lines()[0], &["method"]), r#""LONGER-THAN-ANY-""#);
}

#[tokio::test]
async fn a_write_has_two_lines_and_the_first_stays_before_anything_is_done() {
    let desk = Desk::new(Reads::Aggregate);
    let mut trail = desk.open("POST");
    trail.note_failure("begun".to_owned());
    trail.intend().await.unwrap();
    let lines = read(&desk.folder.path().join("audit/a/current.jsonl"));
    assert_eq!(shown(lines.last().unwrap(), &["seq", "kind"]), r#"3 "intent""#);
    trail.note_outcome(Outcome::Applied);
    trail.close(StatusCode::OK);
    let lines = desk.lines();
    let keys = ["kind", "intent", "outcome", "status"];
    assert_eq!(shown(&lines[1], &keys), r#""outcome" 3 "applied" 200"#);
    assert_eq!(lines[0].get("id"), lines[1].get("id"));
}

#[tokio::test]
async fn a_write_of_which_nobody_says_what_became_is_unknown() {
    for (refused, expected) in [(false, r#""unknown" true"#), (true, r#""not_applied" true"#)] {
        let desk = Desk::new(Reads::Aggregate);
        let mut trail = desk.open("POST");
        trail.intend().await.unwrap();
        if refused {
            trail.note_refusal("no".to_owned());
        }
        drop(trail);
        assert_eq!(shown(&desk.lines()[1], &["outcome", "abandoned"]), expected);
    }
}

#[tokio::test]
async fn reads_are_counted_by_principal_operation_and_object() {
    let desk = Desk::new(Reads::Aggregate);
    for (object, status) in [("a", 200), ("a", 200), ("b", 200), ("a", 404), ("a", 503)] {
        let mut trail = desk.open("GET");
        trail.note_open("");
        trail.note(|entry| (entry.object, entry.reason) = (Some(object.to_owned()), None));
        trail.close(StatusCode::from_u16(status).unwrap());
    }
    let mut told: Vec<String> =
        desk.lines().iter().map(|line| shown(line, &["kind", "object", "status", "count"])).collect();
    told.sort();
    let expected =
        [r#""read" "a" 503 -"#, r#""reads" "a" 200 2"#, r#""reads" "a" 404 1"#, r#""reads" "b" 200 1"#];
    assert_eq!(told, expected, "what went wrong is told by itself");
}

#[tokio::test]
async fn reads_may_be_told_of_each_or_not_at_all() {
    for (reads, count) in [(Reads::Each, 3), (Reads::Off, 0)] {
        let desk = Desk::new(reads);
        for _ in 0..3 {
            let mut trail = desk.open("GET");
            trail.note(|entry| (entry.kind, entry.decision) = (Kind::Read, Some(Decision::Allow)));
            trail.close(StatusCode::OK);
        }
        assert_eq!(desk.lines().len(), count, "{reads:?}");
    }
}
