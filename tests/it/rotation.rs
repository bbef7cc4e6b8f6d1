//! The record's files while requests come: closed, compressed, removed for their age, and proved at any time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use sekisho::record::folder::{self, Form};
use sekisho::record::line::Line;
use sekisho::record::read::{Lines, Piece};
use sekisho::record::verify::{Question, verify};

use crate::caller::{Ask, ada};
use crate::proxy::{Proxy, soon};
use crate::stub::Answer;

const HOUR: i64 = 3_600;

fn set_tag(number: u64) -> Ask {
    let body = format!(r#"{{"name":"iris","version":"1","key":"k{number}","value":"a value"}}"#);
    Ask::post("/api/2.0/mlflow/model-versions/set-tag", body)
}

/// The tags whose intent stands in files that are there.
fn told(chain: &std::path::Path) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    for segment in folder::segments(chain).expect("a folder") {
        if segment.form == Form::Stub {
            continue;
        }
        let (mut lines, mut line) = (Lines::open(&segment).expect("a file"), Vec::new());
        while lines.next(&mut line).expect("a file") == Piece::Whole {
            let line: Line = serde_json::from_slice(&line).expect("a line");
            told.extend(line.entry.params.get("key").and_then(|key| key.as_str()).map(str::to_owned));
        }
    }
    told
}

#[tokio::test]
async fn files_are_closed_compressed_and_removed_beside_the_work() {
    let mut place = PathBuf::new();
    let proxy = Proxy::with(|settings| {
        settings.record.rhythm.file_bytes = 8_000;
        settings.record.keep = Some(Duration::from_secs(6 * 3_600));
        place.clone_from(&settings.record.path);
    })
    .await;
    proxy.stub.answers_callers(|_| Answer::Json(200, "{}".to_owned()));
    let who = ada();
    for number in 0..60 {
        assert_eq!(proxy.send(set_tag(number).by(&who)).await.status, 200);
        proxy.clock.advance(HOUR / 4);
        if number % 10 == 0 {
            verify(&place, &Question::default()).expect("it holds while it is written");
        }
    }
    let chain = place.join("a");
    let forms = |form: Form| {
        let segments = folder::segments(&chain).expect("a folder");
        segments.iter().filter(|segment| segment.form == form).count()
    };
    // Who tidies up does so in its own time.
    soon(async {
        while forms(Form::Stub) == 0 || forms(Form::Plain) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let (mut running, _stub, _lines, _folder) = proxy.begin_stop();
    soon(running.join_next()).await.expect("an end").expect("no panic");
    let proof = verify(&place, &Question::default()).expect("it holds");
    let (_, tip, unsigned) = proof.chains.first().expect("a chain");
    assert_eq!((proof.lines + proof.removed, *unsigned), (tip.seq, 0));
    assert!(forms(Form::Stub) > 2 && forms(Form::Compressed) > 2, "{:?}", folder::segments(&chain));
    let told = told(&chain);
    // Six hours, in quarters, and what shares files with them.
    assert!((36..60).all(|number| told.contains(&format!("k{number}"))) && !told.contains("k0"), "{told:?}");
}
