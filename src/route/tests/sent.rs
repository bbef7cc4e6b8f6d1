//! What goes on to MLflow of a request that was understood.

use super::*;

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
