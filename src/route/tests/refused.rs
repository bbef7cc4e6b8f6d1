//! What two readers could read differently.

use super::*;

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
