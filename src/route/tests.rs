//! Requests as they come, and the demands that are read of them.

use super::*;
use crate::operation::{Demand, Object, Permission};
use demand::{Pending, Unknown};
use http::HeaderValue;

mod files;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(*name, HeaderValue::from_static(value));
    }
    map
}

fn classify(method: &str, target: &str, body: &str) -> Result<Operation, Misread> {
    let (none, json) = (HeaderMap::new(), headers(&[("content-type", "application/json")]));
    classify_with(method, target, body, if body.is_empty() { &none } else { &json })
}

fn classify_with(method: &str, target: &str, body: &str, headers: &HeaderMap) -> Result<Operation, Misread> {
    let uri: Uri = target.parse().expect("a URI");
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    read(find(&method, &uri, false, None)?, &uri, headers, Bytes::copy_from_slice(body.as_bytes()))
}

/// What is sent on, as `METHOD target body`.
fn sent(operation: &Operation) -> String {
    let forward = write::forward(operation, &HeaderMap::new(), None);
    let body = match forward.body {
        write::ForwardBody::Empty => String::new(),
        write::ForwardBody::Bytes(bytes) => format!(" {}", String::from_utf8_lossy(&bytes)),
        write::ForwardBody::Stream => " …".to_owned(),
    };
    format!("{} {}{body}", forward.method, forward.path_and_query)
}

#[track_caller]
fn check(method: &str, target: &str, body: &str, expected: Result<(&str, &[&str]), &str>) {
    let found = classify(method, target, body).map_err(|error| error.to_string());
    match (found, expected) {
        (Ok(operation), Ok((forwarded, demands))) => {
            assert_eq!(sent(&operation), forwarded);
            let demanded: Vec<String> = operation.demands.at_once.iter().map(ToString::to_string).collect();
            assert_eq!(demanded, demands, "{method} {target}");
        }
        (Err(error), Err(part)) => assert!(error.contains(part), "{method} {target} {body}: {error}"),
        (found, _) => panic!("{method} {target} {body} became {found:?}"),
    }
}

const V2: &str = "/api/2.0/mlflow";

#[test]
fn what_is_deleted_may_be_named_in_the_query_alone() {
    let (path, asked) = (format!("{V2}/model-versions/delete"), "?name=m&version=3");
    let done = Ok((
        "DELETE /api/2.0/mlflow/model-versions/delete {\"name\":\"m\",\"version\":\"3\"}",
        &["model_delete model:m"][..],
    ));
    for (query, body) in [
        (asked, ""),
        (asked, "{}"),
        ("", r#"{"name":"m","version":"3"}"#),
        (asked, r#"{"version":"3","name":"m"}"#),
        ("?name=m&version=3&other=1", ""),
    ] {
        check("DELETE", &format!("{path}{query}"), body, done);
    }
    for (query, body, part) in [
        (asked, r#"{"name":"other","version":"3"}"#, "different things"),
        (asked, r#"{"name":"m"}"#, "different things"),
        ("?name=m", r#"{"name":"m","version":"3"}"#, "different things"),
        ("?name=m&name=other&version=3", "", "twice"),
        ("?version=3", "", "`name`"),
        ("?name=m&version=03", "", "whole number"),
    ] {
        check("DELETE", &format!("{path}{query}"), body, Err(part));
    }
    let set = format!("{V2}/registered-models/set-tag");
    check("POST", &format!("{set}?name=m&key=k"), "", Err("belongs into the JSON body"));
}

#[test]
fn calls_of_databricks_are_read_like_mlflows_own() {
    let list = format!("{V2}/registered-models/list");
    let search = "GET /api/2.0/mlflow/registered-models/search?max_results=5";
    check("GET", &format!("{list}?max_results=5&filter=x"), "", Ok((search, &["metadata_read model:?"])));
    let approve = format!("{V2}/transition-requests/approve");
    let demanded = classify("POST", &approve, r#"{"name":"m","version":"3","stage":"Staging"}"#)
        .map(|read| read.demands);
    let demand = |permission, object| Demand::new(permission, object);
    assert_eq!(
        demanded.map(|demands| demands.at_once),
        Ok(vec![
            demand(Permission::MetadataRead, Object::Model("m".into())),
            demand(Permission::StageApprove, Object::SomeModel),
        ])
    );
    for version in ["03", "-1", "x", "1.0", ""] {
        let body = format!(r#"{{"name":"m","version":"{version}","stage":"Staging"}}"#);
        assert!(classify("POST", &approve, &body).is_err(), "{version}");
    }
    for comment in ["\\u0000", &"x".repeat(65_536)] {
        let body = format!(r#"{{"name":"m","version":"3","comment":"{comment}"}}"#);
        let found =
            classify("POST", &format!("{V2}/comments/create"), &body).map_err(|error| error.to_string());
        assert!(found.is_err_and(|error| error.contains("`comment`")), "{comment}");
    }
}

#[test]
fn a_request_is_sent_on_as_it_was_understood() {
    check(
        "GET",
        "/ajax-api/2.0/mlflow/model-versions/get?version=3&n%61me=a%20b&x=1",
        "",
        Ok(("GET /ajax-api/2.0/mlflow/model-versions/get?version=3&name=a+b", &["metadata_read model:a b"])),
    );
    check(
        "POST",
        &format!("{V2}/registered-models/rename?unknown=1"),
        r#"{ "newName":"b", "n\u0061me":"a", "junk": {"x":1} }"#,
        Ok((
            r#"POST /api/2.0/mlflow/registered-models/rename {"new_name":"b","name":"a"}"#,
            &["model_write model:a", "model_write model:b"],
        )),
    );
    check(
        "POST",
        &format!("{V2}/model-versions/create"),
        r#"{"name":"m","source":"runs:/r/x","tags":[{"key":"k","value":"v"},{"key":"evidence.unit_test","value":"passed"}]}"#,
        Ok((
            r#"POST /api/2.0/mlflow/model-versions/create {"name":"m","source":"runs:/r/x","tags":[{"key":"k","value":"v"},{"key":"evidence.unit_test","value":"passed"}]}"#,
            &[
                "model_write model:m",
                "metadata_write model:m/tag/k",
                "evidence_write model:m/tag/evidence.unit_test",
            ],
        )),
    );
    check(
        "DELETE",
        &format!("{V2}/registered-models/alias"),
        r#"{"name":"m","alias":"champion"}"#,
        Ok((
            r#"DELETE /api/2.0/mlflow/registered-models/alias {"name":"m","alias":"champion"}"#,
            &["model_deploy model:m/alias/champion"],
        )),
    );
    check(
        "GET",
        "/api/2.0/mlflow/registered-models/search",
        "",
        Ok(("GET /api/2.0/mlflow/registered-models/search", &["metadata_read model:?"])),
    );
    check(
        "PUT",
        "/api/2.0/mlflow-artifacts/artifacts/7/r/artifacts/a%20b",
        "",
        Ok(("PUT /api/2.0/mlflow-artifacts/artifacts/7/r/artifacts/a%20b …", &[])),
    );
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let create = format!("{V2}/model-versions/create");
    check("POST", &create, r#"{"name":"a","name":"victim"}"#, Err("twice"));
    check("POST", &create, r#""{\"name\":\"victim\"}""#, Err("must be a JSON object"));
    check("POST", &create, r#"{"source":"x"}"#, Err("missing value for required parameter `name`"));
    check("POST", &create, r#"{"name":""}"#, Err("`name`"));
    check("POST", &create, r#"{"name":"a/b"}"#, Err("Invalid model name 'a/b'"));
    check("POST", &create, "{\"name\":\"a\\u0000\"}", Err("no model name"));
    check(
        "POST",
        &format!("{create}?name=victim"),
        r#"{"name":"mine"}"#,
        Err("`name` belongs into the JSON body"),
    );
    check("GET", &format!("{V2}/model-versions/get?name=a&version=01"), "", Err("`version`"));
    check("GET", &format!("{V2}/model-versions/get?name=a&version=%2B1"), "", Err("`version`"));
    check("GET", &format!("{V2}/model-versions/get?name=a&version=%D9%A1"), "", Err("`version`"));
    check("GET", &format!("{V2}/model-versions/get?name=a&name=b&version=1"), "", Err("twice"));
    check("GET", &format!("{V2}/registered-models/get?name=%E9"), "", Err("percent-encoded"));
    check(
        "PATCH",
        &format!("{V2}/logged-models/m-mine"),
        r#"{"model_id":"m-victim","status":"LOGGED_MODEL_READY"}"#,
        Err("`model_id` name different"),
    );
    check(
        "PATCH",
        &format!("{V2}/logged-models/m-mine"),
        r#"{"modelId":"m-victim","status":2}"#,
        Err("`model_id` name different"),
    );
    check("GET", "/get-artifact?run_uuid=victim&run_id=mine&path=x", "", Err("name different things"));
    check("GET", "/get-artifact?run_id=r&path=a/%252e%252e/b", "", Err("`path`"));
    check("GET", "/model-versions/get-artifact?name=a&version=1&path=/etc/passwd", "", Err("`path`"));
    check("DELETE", "/api/2.0/mlflow-artifacts/artifacts/1/%2e%2e/2", "", Err("dot segment"));
    check("GET", "/api/2.0/mlflow-artifacts/artifacts/./workspaces/a", "", Err("dot segment"));
    check("POST", "/ajax-api/3.0/jobs/?a=1&a=2", "{}", Err("`a` is twice"));
}

#[test]
fn a_body_that_is_not_declared_as_json_is_none() {
    let target = "/api/2.0/mlflow/registered-models/update";
    for (types, sound) in [
        (&[("content-type", "application/json")][..], true),
        (&[("content-type", "application/json; charset=utf-8")], true),
        (&[("content-type", "application/json; charset=utf-16")], false),
        (&[("content-type", "application/x-www-form-urlencoded")], false),
        (&[("content-type", "text/plain")], false),
        (&[("content-type", "application/json"), ("content-type", "text/plain")], false),
        (&[], false),
    ] {
        let found = classify_with("PATCH", target, r#"{"name":"a"}"#, &headers(types));
        assert_eq!(found.is_ok(), sound, "{types:?}");
    }
    assert!(
        classify_with(
            "DELETE",
            "/api/2.0/mlflow/registered-models/delete",
            r#"{"name":"a"}"#,
            &HeaderMap::new()
        )
        .is_ok()
    );
}

#[test]
fn workspaces_are_refused_and_an_empty_header_is_not_one() {
    let target = "/api/2.0/mlflow/registered-models/get?name=a";
    for (value, sound) in [("", true), (" ", true), ("team-a", false)] {
        assert_eq!(
            classify_with("GET", target, "", &headers(&[("x-mlflow-workspace", value)])).is_ok(),
            sound
        );
    }
}

#[test]
fn a_transition_needs_both_stages_and_those_it_archives() {
    let target = format!("{V2}/model-versions/transition-stage");
    let operation = classify(
        "POST",
        &target,
        r#"{"name":"m","version":"2","stage":"production","archiveExistingVersions":true}"#,
    )
    .expect("a sound request");
    let stage =
        |stage: &str| Demand::new(Permission::StageTransition, Object::Stage("m".into(), stage.into()));
    assert_eq!(operation.demands.at_once, [stage("Production"), stage("Archived")]);
    let unknown = Unknown::StageLeft("m".into(), "2".into());
    assert_eq!(operation.demands.pending, [Pending { permission: Permission::StageTransition, unknown }]);
    check("POST", &target, r#"{"name":"m","version":"2"}"#, Err("`stage`"));
}

#[test]
fn tracking_rows_ask_for_the_experiment_they_do_not_name() {
    let operation = classify(
        "POST",
        &format!("{V2}/runs/set-tag"),
        r#"{"run_id":"r","run_uuid":"r","key":"k","value":"v"}"#,
    )
    .expect("a sound request");
    assert!(operation.demands.at_once.is_empty());
    assert_eq!(
        operation.demands.pending,
        [Pending { permission: Permission::TrackingWrite, unknown: Unknown::Run("r".into()) }]
    );
    check(
        "POST",
        &format!("{V2}/runs/search"),
        "{}",
        Ok(("POST /api/2.0/mlflow/runs/search {}", &["tracking_read experiment:?"])),
    );
    check(
        "POST",
        &format!("{V2}/runs/search"),
        r#"{"experiment_ids":["1","2"]}"#,
        Ok((
            r#"POST /api/2.0/mlflow/runs/search {"experiment_ids":["1","2"]}"#,
            &["tracking_read experiment:1", "tracking_read experiment:2"],
        )),
    );
    let with_type = |pairs: &[(&'static str, &'static str)]| {
        headers(&[&[("content-type", "application/x-protobuf")], pairs].concat())
    };
    let spans = |pairs: &[_]| {
        classify_with("POST", "/v1/traces", "…", &with_type(pairs)).map(|operation| operation.demands.at_once)
    };
    let demanded = Demand::new(Permission::TrackingWrite, Object::Experiment("7".into()));
    assert_eq!(spans(&[("x-mlflow-experiment-id", "7")]), Ok(vec![demanded]));
    assert!(spans(&[]).is_err());
    let linked = [("x-mlflow-experiment-id", "7"), ("x-mlflow-run-id", "r")];
    let pending = |pairs: &[_]| {
        classify_with("POST", "/v1/traces", "…", &with_type(pairs)).map(|operation| operation.demands.pending)
    };
    let of_run = Pending { permission: Permission::TrackingWrite, unknown: Unknown::Run("r".into()) };
    assert_eq!(pending(&linked), Ok(vec![of_run]));
    assert_eq!(
        pending(&[linked[0], linked[1], linked[1]]),
        Err(Misread::Header("x-mlflow-run-id")),
        "MLflow would read the first"
    );
    assert!(spans(&[("x-mlflow-experiment-id", "7"), ("x-mlflow-experiment-id", "8")]).is_err());
}

#[test]
fn logged_models_inside_a_list_count() {
    for (path, list, permission) in [
        ("runs/log-batch", "metrics", Permission::TrackingWrite),
        ("runs/log-inputs", "models", Permission::TrackingRead),
        ("runs/outputs", "models", Permission::TrackingWrite),
    ] {
        let body = format!(r#"{{"run_id":"r","{list}":[{{"model_id":"m-1"}},{{"model_id":"m-1"}},{{}}]}}"#);
        let operation = classify("POST", &format!("{V2}/{path}"), &body).expect("a sound request");
        let run = Pending { permission: Permission::TrackingWrite, unknown: Unknown::Run("r".into()) };
        let model = Pending { permission, unknown: Unknown::LoggedModel("m-1".into()) };
        assert_eq!(operation.demands.pending, [run, model], "{path}");
    }
}

#[test]
fn where_an_experiment_keeps_its_files_is_the_admins_choice() {
    let path = format!("{V2}/experiments/create");
    for (location, demands) in [
        ("", &["tracking_write experiment:?"][..]),
        (r#","artifactLocation":"""#, &["tracking_write experiment:?"]),
        (r#","artifactLocation":"http://inside/""#, &["tracking_write experiment:?", "admin server"]),
    ] {
        let operation =
            classify("POST", &path, &format!(r#"{{"name":"e"{location}}}"#)).expect("a sound request");
        let demanded: Vec<String> = operation.demands.at_once.iter().map(ToString::to_string).collect();
        assert_eq!(demanded, demands, "{location}");
    }
}

#[test]
fn a_request_names_only_so_many_objects() {
    let body = |count: usize| {
        let ids: Vec<String> = (0..count).map(|id| format!("\"{id}\"")).collect();
        format!(r#"{{"experiment_ids":[{}]}}"#, ids.join(","))
    };
    let path = format!("{V2}/runs/search");
    assert!(classify("POST", &path, &body(10_000)).is_ok());
    assert_eq!(classify("POST", &path, &body(10_001)).err(), Some(Misread::TooManyObjects(10_000)));
    let same = format!(r#"{{"experiment_ids":[{}"1"]}}"#, "\"1\",".repeat(90_000));
    assert_eq!(classify("POST", &path, &same).expect("one object").demands.at_once.len(), 1);
}

#[test]
fn only_chosen_headers_go_on_and_the_peer_is_ours() {
    let sent = headers(&[
        ("authorization", "Bearer x"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x_forwarded_for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("origin", "http://evil"),
        ("x-mlflow-authorization", "y"),
        ("user-agent", "mlflow-python-client/3.17.2"),
        ("range", "bytes=0-1"),
        ("accept-encoding", "gzip"),
        ("x-mlflow-experiment-id", "7"),
    ]);
    let operation = classify("GET", "/health", "").expect("a sound request");
    let forward = write::forward(&operation, &sent, None);
    let chosen = write::headers(&operation, &forward, &sent, "10.1.2.3".parse().expect("an address"));
    let mut names: Vec<&str> = chosen.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["range", "user-agent", "x-forwarded-for"]);
    assert_eq!(chosen["x-forwarded-for"], "10.1.2.3");
}

#[test]
fn a_static_prefix_is_put_before_what_flask_serves() {
    let uri: Uri = "/pfx/api/2.0/mlflow/registered-models/get?name=a".parse().expect("a URI");
    for (target, expected) in [
        (
            "/pfx/api/2.0/mlflow/registered-models/get?name=a",
            "/pfx/api/2.0/mlflow/registered-models/get?name=a",
        ),
        ("/api/2.0/mlflow/registered-models/get?name=a", "/pfx/api/2.0/mlflow/registered-models/get?name=a"),
        ("/pfx/api/2.0/mlflow-artifacts/artifacts/1/r/x", "/api/2.0/mlflow-artifacts/artifacts/1/r/x"),
    ] {
        let uri: Uri = target.parse().expect("a URI");
        let found = find(&Method::GET, &uri, false, Some("/pfx")).expect("a row");
        let operation = read(found, &uri, &HeaderMap::new(), Bytes::new()).expect("a sound request");
        assert_eq!(write::forward(&operation, &HeaderMap::new(), Some("/pfx")).path_and_query, expected);
    }
    assert!(find(&Method::GET, &uri, false, None).is_err());
}

#[test]
fn where_files_are_to_lie_on_mlflows_host_is_the_admins_to_say() {
    let create = format!("{V2}/experiments/create");
    check(
        "POST",
        &create,
        r#"{"name":"e"}"#,
        Ok((r#"POST /api/2.0/mlflow/experiments/create {"name":"e"}"#, &["tracking_write experiment:?"])),
    );
    check(
        "POST",
        &create,
        r#"{"name":"e","artifactLocation":"/etc"}"#,
        Ok((
            r#"POST /api/2.0/mlflow/experiments/create {"name":"e","artifact_location":"/etc"}"#,
            &["tracking_write experiment:?", "admin server"],
        )),
    );
}

#[test]
fn what_lies_inside_lists_is_asked_for_too() {
    let body = r#"{"run_id":"r","metrics":[{"key":"k","value":1,"timestamp":1,"model_id":"m-1"},{"key":"k","value":1,"timestamp":1,"run_id":"s"}]}"#;
    let operation = classify("POST", &format!("{V2}/runs/log-batch"), body).expect("a sound request");
    let unknown: Vec<&Unknown> = operation.demands.pending.iter().map(|pending| &pending.unknown).collect();
    assert_eq!(
        unknown,
        [&Unknown::Run("r".into()), &Unknown::Run("s".into()), &Unknown::LoggedModel("m-1".into())]
    );
}

#[test]
fn a_request_names_its_host_once() {
    for (sent, target, version, sound) in [
        (&[("host", "a")][..], "/", Version::HTTP_11, true),
        (&[], "/", Version::HTTP_11, false),
        (&[("host", "a"), ("host", "a")], "/", Version::HTTP_11, false),
        (&[], "http://a/", Version::HTTP_2, true),
        (&[("host", "a")], "http://a/", Version::HTTP_2, true),
        (&[("host", "b")], "http://a/", Version::HTTP_2, false),
        (&[("host", "a"), ("host", "b")], "/", Version::HTTP_2, false),
        (&[], "/", Version::HTTP_10, true),
    ] {
        let uri: Uri = target.parse().expect("a URI");
        assert_eq!(
            refuse_hosts(&headers(sent), &uri, version).is_ok(),
            sound,
            "{sent:?} {target} {version:?}"
        );
    }
}

#[test]
fn a_path_that_is_told_about_holds_no_token() {
    let told = |target: &str| {
        let uri: Uri = target.parse().expect("a URI");
        find(&Method::GET, &uri, false, None).expect_err("no row").to_string()
    };
    assert_eq!(
        told("/api/2.0/mlflow/nothing/0123456789abcdef0123456789abcdef?token=hunter2"),
        "no such endpoint: GET /api/2.0/mlflow/nothing/0123456789abcdef0123456789abcdef"
    );
    let signature = "k".repeat(43);
    assert_eq!(told(&format!("/x/{signature}/y")), "no such endpoint: GET /x/…/y");
    assert_eq!(told(&format!("/eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.{signature}")), "no such endpoint: GET /…");
}

#[test]
fn a_debug_shows_names_and_no_values() {
    let secret = "hunter2";
    for (method, target, body) in [
        (
            "POST",
            format!("{V2}/webhooks"),
            format!(r#"{{"name":"h","url":"https://{secret}","secret":"{secret}"}}"#),
        ),
        ("GET", format!("{V2}/registered-models/search?filter={secret}"), String::new()),
        (
            "POST",
            format!("{V2}/users/create?x={secret}"),
            format!(r#"{{"username":"u","password":"{secret}"}}"#),
        ),
        ("POST", format!("{V2}/runs/set-tag"), format!(r#"{{"run_id":"r","key":"k","value":"{secret}"}}"#)),
    ] {
        let operation = classify(method, &target, &body).expect("a sound request");
        let forward = write::forward(&operation, &HeaderMap::new(), None);
        let told = format!("{:?} {:?} {forward:?}", operation, operation.parameters);
        assert!(!told.contains(secret), "{told}");
        assert!(told.contains('…') || told.contains("filter"), "{told}");
    }
    let asked = graphql::Asked { root: "mlflowGetRun".into(), body: secret.into() };
    assert_eq!(format!("{asked:?}"), "Asked { root: \"mlflowGetRun\", body: … }");
}

#[test]
fn an_experiments_number_has_one_spelling() {
    for (id, known) in [
        ("1", true),
        ("0", true),
        ("120", true),
        ("exp-1", true),
        ("d41d8cd98f00b204", true),
        ("01", false),
        ("00", false),
        ("0_1", false),
        ("1_0", false),
        ("-1", false),
        ("_1", false),
        ("", false),
        ("+1", false),
        (" 1", false),
    ] {
        let object = demand::experiment(id);
        assert_eq!(object != Object::EveryExperiment, known, "{id}");
    }
}
