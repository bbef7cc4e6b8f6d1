//! What a message takes, refuses, and writes down again.

use super::fits::is_timestamp;
use super::*;
use proptest::prelude::*;

#[track_caller]
fn check(message: &str, body: &str, expected: Result<&str, &str>) {
    let schema = Schema::named(message).expect("a known message");
    let found = Message::of_json(schema, body.as_bytes()).map(|message| message.to_json());
    match (found.map_err(|error| error.to_string()), expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{body}"),
        (Err(found), Err(expected)) => assert!(found.contains(expected), "{body}: {found}"),
        (found, _) => panic!("{body} became {found:?}"),
    }
}

#[test]
fn what_is_sent_on_is_spelt_one_way() {
    check(
        "CreateModelVersion",
        r#"{"runId":"r","name":"m","modelId":null,"x":1}"#,
        Ok(r#"{"run_id":"r","name":"m"}"#),
    );
    check(
        "CreateModelVersion",
        r#"{"name":"m","tags":[{"key":"k","value":"v","other":1}]}"#,
        Ok(r#"{"name":"m","tags":[{"key":"k","value":"v"}]}"#),
    );
    check(
        "TransitionModelVersionStage",
        r#"{"archiveExistingVersions":true}"#,
        Ok(r#"{"archive_existing_versions":true}"#),
    );
    check(
        "LogMetric",
        r#"{"value":0.1000,"timestamp":"17","step":5.0}"#,
        Ok(r#"{"value":0.1000,"timestamp":"17","step":5.0}"#),
    );
    check("LogMetric", r#"{"value":"NaN"}"#, Ok(r#"{"value":"NaN"}"#));
    check("SearchLoggedModels", r#"{"experiment_ids":[]}"#, Ok(r#"{"experiment_ids":[]}"#));
    check("SearchRuns", r#"{"run_view_type":"ALL"}"#, Ok(r#"{"run_view_type":"ALL"}"#));
    check("SearchRuns", r#"{"run_view_type":3}"#, Ok(r#"{"run_view_type":3}"#));
    check("GetRun", r#"{"run_uuid":"a","run_id":"a"}"#, Ok(r#"{"run_uuid":"a","run_id":"a"}"#));
    check("GetRun", "", Ok("{}"));
}

#[test]
fn a_filter_has_an_end() {
    for (message, field) in [("SearchRuns", "filter"), ("SearchTracesV3", "filter")] {
        let filter = |length: usize| format!(r#"{{"{field}":"{}"}}"#, "y".repeat(length));
        check(message, &filter(LONGEST_FILTER), Ok(&filter(LONGEST_FILTER)));
        check(message, &filter(LONGEST_FILTER + 1), Err("`filter` is longer than 65536 bytes"));
    }
}

#[test]
fn what_protobuf_would_stumble_over_is_refused() {
    check("CreateModelVersion", r#"{"name":5}"#, Err("`name` must be a string"));
    check("CreateModelVersion", r#"{"run_id":"a","runId":"a"}"#, Err("`run_id` is there twice"));
    check("CreateModelVersion", r#"{"name":"a","name":"b"}"#, Err("`name` is there twice"));
    check("CreateModelVersion", r#"{"tags":{"key":"k"}}"#, Err("`tags` must be a list"));
    check("CreateModelVersion", r#"{"tags":[null]}"#, Err("`tags` must be an object"));
    check("CreateModelVersion", r#"{"tags":[{"key":["k"]}]}"#, Err("`tags.key` must be a string"));
    check("TransitionModelVersionStage", r#"{"archive_existing_versions":"true"}"#, Err("true or false"));
    check("LogMetric", r#"{"step":1.5}"#, Err("`step` must be an integer"));
    check("LogMetric", r#"{"step":9223372036854775808}"#, Err("`step` must be an integer"));
    check("LogMetric", r#"{"step":9007199254740992.0}"#, Ok(r#"{"step":9007199254740992.0}"#));
    check("LogMetric", r#"{"step":9223372036854775807.0}"#, Err("`step` must be an integer"));
    check("LogMetric", r#"{"step":"1_0"}"#, Err("`step` must be an integer"));
    check("LogMetric", r#"{"step":" 1"}"#, Err("`step` must be an integer"));
    check("LogMetric", r#"{"step":1e3}"#, Err("`step` must be an integer"));
    check("LogMetric", r#"{"value":"nan"}"#, Err("`value` must be a number"));
    check("LogMetric", r#"{"value":1e999}"#, Err("out of range"));
    check("SearchRuns", r#"{"run_view_type":"EVERYTHING"}"#, Err("one of the values"));
    check("SearchRuns", r#"{"run_view_type":7}"#, Err("one of the values"));
    check("GetRun", r#"{"run_uuid":"victim","run_id":"mine"}"#, Err("name different things"));
    check("GetRun", r#"{"runUuid":"victim","run_id":"mine"}"#, Err("name different things"));
    check(
        "SetTag",
        r#"{"run_uuid":"victim","key":"k","value":"\ud800","run_id":"mine"}"#,
        Err("not valid JSON"),
    );
    check("UpdateAssessment", r#"{"update_mask":"assessment_name"}"#, Err("a field mask"));
    check(
        "CreateAssessment",
        r#"{"assessment":{"feedback":{},"expectation":{}}}"#,
        Err("`assessment.expectation` and another of its alternatives"),
    );
    check("StartTraceV3", r#"{"trace":{"trace_info":{"request_time":"yesterday"}}}"#, Err("RFC 3339"));
    check(
        "AttachModelToGatewayEndpoint",
        r#"{"model_config":{"weight":1e39}}"#,
        Err("`model_config.weight` must be a number in range"),
    );
    check("StartTraceV3", r#"{"trace":{"trace_info":{"execution_duration":"1m"}}}"#, Err("a duration"));
    check("StartTraceV3", r#"{"trace":{"trace_info":{"tags":{"a":1}}}}"#, Err("an object of strings"));
}

#[test]
fn times_are_those_that_protobuf_reads() {
    for (text, expected) in [
        ("2024-02-29T12:00:00Z", true),
        ("2024-02-29T12:00:00.123456789-05:30", true),
        ("0001-01-01T00:00:00Z", true),
        ("0001-01-01T00:00:00+01:00", false),
        ("0000-12-31T00:00:00Z", false),
        ("2024-02-30T12:00:00Z", false),
        ("2024-02-29T12:00:60Z", false),
        ("2024-02-29T24:00:00Z", false),
        ("2024-02-29T12:00:00.1234567891Z", false),
        ("2024-02-29T12:00:00.Z", false),
        ("2024-02-29T12:00:00+05", false),
        ("2024-02-29T12:00:00+0530", false),
        ("20240229T120000.0000Z", false),
        ("2024-02-29T12:00:00", false),
        ("2024-02-29T12:00:00é", false),
    ] {
        assert_eq!(is_timestamp(text), expected, "{text}");
    }
}

#[track_caller]
fn check_query(message: &str, query: &str, expected: Result<&str, &str>) {
    let schema = Schema::named(message).expect("a known message");
    let query = Query::read(Some(query)).expect("a sound query");
    match (Message::of_query(schema, &query).map(|message| message.to_query()), expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected),
        (Err(found), Err(expected)) => assert!(found.to_string().contains(expected), "{found}"),
        (found, _) => panic!("{query:?} became {found:?}"),
    }
}

#[test]
fn a_query_is_read_as_mlflow_reads_it_or_not_at_all() {
    check_query("GetModelVersion", "name=a%20b&version=1&other=x", Ok("name=a+b&version=1"));
    check_query("GetModelVersion", "n%61me=a", Ok("name=a"));
    check_query("GetModelVersion", "Name=a", Ok(""));
    check_query("GetModelVersion", "name=a&name=b", Err("`name` is there twice"));
    check_query("GetModelVersion", "name=a;name=b", Ok("name=a%3Bname%3Db"));
    check_query(
        "GetLatestVersions",
        "name=a&stages=Staging&stages=None",
        Ok("name=a&stages=Staging&stages=None"),
    );
    check_query("SearchRegisteredModels", "max_results=1e2", Err("an integer"));
    check_query("SearchRegisteredModels", "maxResults=7", Ok(""));
    check_query("GetRun", "run_uuid=a&run_id=b", Err("name different things"));
    check_query("SearchExperiments", "view_type=ALL", Ok("view_type=ALL"));
}

proptest! {
    #[test]
    fn no_body_makes_it_panic_and_what_passes_is_stable(body in r#"\{("(name|version|tags|run_id|runId|stage)":("[a-z\\u0-9]{0,6}"|[0-9.e-]{1,6}|null|\[\]|\{\}|true),?){0,4}\}"#) {
        let schema = Schema::named("CreateModelVersion").expect("a known message");
        if let Ok(message) = Message::of_json(schema, body.as_bytes()) {
            let again = Message::of_json(schema, message.to_json().as_bytes()).expect("our own writing is read");
            prop_assert_eq!(again.to_json(), message.to_json());
        }
    }
}
