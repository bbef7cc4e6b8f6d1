//! Lines: each trail makes one, however it ends, and a place in the journal is had before the work.

use std::io;
use std::sync::mpsc;

use bytes::Bytes;
use futures_util::stream;
use http::Method;
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use serde_json::Value;

use super::*;
use crate::operation::{Object, Permission};

/// What is written, a write each.
struct Paper(mpsc::Sender<Vec<u8>>);

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn open(journal: &Journal, method: &str) -> Result<Trail, JournalError> {
    let peer = "::ffff:10.0.0.7".parse().unwrap();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    Trail::open(journal, &Clock::held_at(1_000), RequestId::new(), peer, &method).await
}

/// What becomes of one trail: the values of these keys in its only line.
async fn told(keys: &[&str], ends: impl AsyncFnOnce(Trail)) -> String {
    let (journal, writer) = Journal::new();
    ends(open(&journal, "GET").await.unwrap()).await;
    drop(journal);
    let (paper, written) = mpsc::channel();
    std::thread::spawn(move || writer.run(Paper(paper))).join().unwrap();
    let lines: Vec<u8> = written.try_iter().flatten().collect();
    let text = std::str::from_utf8(&lines).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let line: Value = serde_json::from_str(text).unwrap();
    keys.iter()
        .map(|key| line.get(key).map_or("-".to_owned(), Value::to_string))
        .collect::<Vec<_>>()
        .join(" ")
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
        trail.close(StatusCode::OK);
    });
    let line = line.await;
    assert!(
        line.starts_with(r#""metadata_write" "model:m/tag/0" ["metadata_write model:m/tag/1","#),
        "{line}"
    );
    assert_eq!(line.matches("model:m/tag/").count(), 21);
    assert_eq!(told(&["peer"], async |trail| drop(trail)).await, r#""10.0.0.7""#);
}

#[tokio::test]
async fn a_method_is_shortened() {
    let (journal, _writer) = Journal::new();
    let trail = open(&journal, "LONGER-THAN-ANY-METHOD").await.unwrap();
    assert_eq!(trail.line.method, "LONGER-THAN-ANY-");
}

#[tokio::test]
async fn without_a_writer_nothing_is_begun() {
    let (journal, writer) = Journal::new();
    drop(writer);
    assert_eq!(open(&journal, "GET").await.err(), Some(JournalError::Gone));
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_place_is_not_begun_and_one_with_a_place_is_told() {
    let (journal, writer) = Journal::new();
    let mut trails = Vec::new();
    let refused = loop {
        match open(&journal, "GET").await {
            Ok(trail) => trails.push(trail),
            Err(error) => break error,
        }
        assert!(trails.len() < 100_000, "the journal has no bound");
    };
    assert_eq!(refused, JournalError::Full);
    let count = trails.len();
    for trail in trails {
        trail.close(StatusCode::OK);
    }
    drop(journal);
    let (paper, written) = mpsc::channel();
    std::thread::spawn(move || writer.run(Paper(paper))).join().unwrap();
    let lines = written.try_iter().flatten().filter(|byte| *byte == b'\n').count();
    assert_eq!(lines, count);
}

#[tokio::test]
async fn what_cannot_be_written_holds_nobody_up() {
    struct Torn;
    impl io::Write for Torn {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (journal, writer) = Journal::new();
    let running = std::thread::spawn(move || writer.run(Torn));
    for _ in 0..10_000 {
        open(&journal, "GET").await.unwrap().close(StatusCode::OK);
    }
    drop(journal);
    running.join().unwrap();
}
