//! Requests as they come, and the demands that are read of them.

use super::*;
use crate::operation::{Demand, Object, Permission};
use demand::{Pending, Unknown};
use http::HeaderValue;

mod files;
mod needs;
mod refused;
mod sent;

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
