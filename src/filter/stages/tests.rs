//! Stages in answers: only what is to be another is another, and every other byte stays.

use jiff::Timestamp;

use super::*;
use crate::stage::Stage;
use crate::store::{Origin, Stand, VersionId};

fn stages(known: &[(u64, Stage)]) -> Stages {
    let stages = Stages::default();
    for (version, stage) in known {
        let id = VersionId { model: "m".into(), model_created: 1, version: *version, created: 10 };
        let (since, origin) = (Timestamp::UNIX_EPOCH, Origin::Registered);
        stages.learn(&Stand { id, stage: *stage, since, origin, closing: false, gone: false, change: 1 });
    }
    stages
}

fn row(number: u64, stage: &str, tag: &str) -> String {
    format!(
        r#"{{ "name": "m", "version":"{number}", "x": 1.50, "creation_timestamp": 10, "current_stage" : "{stage}", "tags":[{{"key":"a","value":"current_stage"}}, {{"value":"{tag}","key":"sekisho.stage"}}] }}"#
    )
}

#[track_caller]
fn check(known: &[(u64, Stage)], body: &str, reader: Reader, expected: &str) -> usize {
    let shown = show(&Bytes::copy_from_slice(body.as_bytes()), &stages(known), reader).expect("an answer");
    assert_eq!(std::str::from_utf8(&shown.body).expect("text"), expected);
    shown.doubted.len()
}

#[test]
fn only_the_stage_and_its_tag_are_written_over() {
    for (known, mlflows, tag, client, page) in [
        (None, "None", "Development", "Development", "None"),
        (None, "Staging", "Canary", "Canary", "Staging"),
        (Some(Stage::Canary), "Staging", "Canary", "Canary", "Staging"),
        (Some(Stage::Canary), "Production", "Canary", "Canary", "Staging"),
        (Some(Stage::Canary), "Production", "Production", "Canary", "Staging"),
        (Some(Stage::Production), "Archived", "Canary", "Production", "Production"),
    ] {
        let known: Vec<_> = known.map(|stage| (1, stage)).into_iter().collect();
        let shown = Stage::named(client).expect("a stage");
        for wrapped in [
            "#",
            r#"{ "model_version" : # }"#,
            r#"{"registered_models":[ {"name":"m","latest_versions":[#]} ] , "t":"é" }"#,
        ] {
            let whole = |stage: &str, tag: &str| wrapped.replace('#', &row(1, stage, tag));
            let body = whole(mlflows, tag);
            let odd = usize::from(shown.mlflows() != mlflows || shown.as_str() != tag);
            assert_eq!(check(&known, &body, Reader::Client, &whole(client, client)), odd, "{body}");
            assert_eq!(check(&known, &body, Reader::Page, &whole(page, client)), odd, "{body}");
        }
    }
}

#[test]
fn what_is_no_version_keeps_its_bytes() {
    for body in [
        "{}",
        "<html>",
        "",
        r#"{"message":"current_stage: None"}"#,
        r#"{"model_version":{"current_stage":"None"}}"#,
        r#"{"model_version":{"name":"m","current_stage":5}}"#,
        r#"{"name":"m","current_stage":"Production","version":"1"}"#,
    ] {
        assert_eq!(check(&[], body, Reader::Client, body), 0, "{body}");
    }
    assert!(show(&Bytes::from_static(b"current_stage"), &stages(&[]), Reader::Client).is_err());
}

#[test]
fn a_version_of_the_same_number_that_was_made_later_is_another() {
    let later = row(1, "None", "Development").replace(": 10", ": 11");
    let expected = later.replace("\"None\"", "\"Development\"");
    check(&[(1, Stage::Production)], &later, Reader::Client, &expected);
}

#[test]
fn versions_inside_models_are_replaced_and_the_rest_stays() {
    let list = |rows: &[String]| rows.join(" ,");
    let body = |first: &[String], second: &str| {
        Bytes::from(format!(
            r#"{{ "registered_models" : [ {{"latest_versions": [ {} ], "name":"m"}}, {{"name":"n"}}, {{"latest_versions":[{second}]}} ], "next_page_token":"t" }}"#,
            list(first)
        ))
    };
    let (one, two) = (row(1, "None", "a"), row(2, "Staging", "b"));
    let before = body(&[one.clone(), two.clone()], "");
    let mut all = latest(&before).expect("models");
    assert_eq!(all.iter().map(|latest| latest.rows.len()).collect::<Vec<_>>(), [2, 0]);
    let all_of = |rows: &[Row]| {
        rows.iter().map(|row| (row.version.number, row.version.mlflows.clone())).collect::<Vec<_>>()
    };
    assert_eq!(all_of(&all[0].rows), [(1, "None".to_owned()), (2, "Staging".to_owned())]);
    all[0].rows.remove(0);
    let after = with_latest(&before, &all).expect("models");
    let expected = format!(
        r#"{{ "registered_models" : [ {{"latest_versions": [{two}], "name":"m"}}, {{"name":"n"}}, {{"latest_versions":[]}} ], "next_page_token":"t" }}"#
    );
    assert_eq!(after, expected);
    let one_model =
        Bytes::from(format!(r#"{{"registered_model":{{"name":"m","latest_versions":[{one}]}}}}"#));
    assert_eq!(latest(&one_model).expect("a model").len(), 1);
    assert_eq!(latest(&Bytes::from_static(b"{}")).expect("no model").len(), 0);
}

#[test]
fn a_list_of_versions_is_read_and_written() {
    let two = format!(r#"{{ "model_versions": [ {}, {} ] }}"#, row(1, "None", "a"), row(2, "None", "b"));
    let rows = versions(two.as_bytes()).expect("versions");
    let expected = format!(r#"{{"model_versions":[{},{}]}}"#, row(1, "None", "a"), row(2, "None", "b"));
    assert_eq!(answer_of(&rows).expect("an answer"), expected);
    assert_eq!(answer_of(&[]).expect("an answer"), "{}");
    assert!(versions(b"{}").expect("none").is_empty() && versions(b"[]").is_err());
    let one = format!(r#"{{"model_version":{}}}"#, row(3, "None", "a"));
    assert_eq!(version(one.as_bytes()).expect("one").map(|row| row.version.number), Some(3));
}
