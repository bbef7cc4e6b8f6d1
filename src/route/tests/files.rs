//! Files, by whatever address a request names them.

use super::super::demand::{Address, Pending, Unknown};
use super::super::table::Deed;
use super::classify;
use crate::operation::Permission::{self, TrackingDelete, TrackingRead, TrackingWrite};

#[track_caller]
fn names_files(method: &str, target: &str, body: &str, permission: Permission, address: Address, deed: Deed) {
    let operation = classify(method, target, body).expect(target);
    let unknown = Unknown::Files(address, deed);
    assert_eq!(operation.demands.pending, [Pending { permission, unknown }], "{target}");
    assert_eq!(operation.demands.at_once, [], "{target}");
}

const STORE: &str = "/api/2.0/mlflow-artifacts";
const PAGE: &str = "/ajax-api/2.0/mlflow";

#[test]
fn files_of_the_store_are_named_by_their_path() {
    for (method, target, body, permission, path, deed) in [
        ("GET", "/artifacts", "", TrackingRead, "", Deed::List),
        ("GET", "/artifacts?path=", "", TrackingRead, "", Deed::List),
        ("GET", "/artifacts?path=1/r", "", TrackingRead, "1/r", Deed::List),
        ("GET", "/artifacts/1/r/x%20y", "", TrackingRead, "1/r/x y", Deed::Read),
        ("PUT", "/artifacts/1/r/x", "", TrackingWrite, "1/r/x", Deed::Write),
        ("DELETE", "/artifacts/1", "", TrackingDelete, "1", Deed::Delete),
        ("GET", "/presigned/1/r/x", "", TrackingRead, "1/r/x", Deed::Read),
        ("POST", "/mpu/create/1/r", r#"{"path":"deep/down/x"}"#, TrackingWrite, "1/r/x", Deed::Write),
    ] {
        let address = Address::Store(path.into());
        names_files(method, &format!("{STORE}{target}"), body, permission, address, deed);
    }
}

#[test]
fn files_of_a_run_or_logged_model_are_named_with_it() {
    let run = |path: &str| Address::Run("r".into(), path.into());
    let model = |path: &str| Address::LoggedModel("m-0f".into(), path.into());
    let files = format!("{PAGE}/logged-models/m-0f/artifacts");
    for (method, target, body, permission, address, deed) in [
        ("GET", &*format!("{PAGE}/artifacts/list?run_id=r"), "", TrackingRead, run(""), Deed::List),
        ("GET", &format!("{PAGE}/artifacts/list?run_uuid=r&path=a"), "", TrackingRead, run("a"), Deed::List),
        ("GET", "/get-artifact?run_id=r&run_uuid=r&path=a/b", "", TrackingRead, run("a/b"), Deed::Read),
        (
            "POST",
            &format!("{PAGE}/upload-artifact?run_uuid=r&path=a"),
            "",
            TrackingWrite,
            run("a"),
            Deed::Write,
        ),
        ("GET", &format!("{files}/files?artifact_file_path=a"), "", TrackingRead, model("a"), Deed::Read),
        (
            "GET",
            &format!("{files}/directories?artifact_directory_path=a"),
            "",
            TrackingRead,
            model("a"),
            Deed::List,
        ),
        ("GET", &format!("{files}/directories"), "", TrackingRead, model(""), Deed::List),
        (
            "POST",
            &format!("{PAGE}/artifacts/presigned-download-url"),
            r#"{"run_id":"r","path":"a"}"#,
            TrackingRead,
            run("a"),
            Deed::Read,
        ),
        (
            "POST",
            &format!("{PAGE}/artifacts/presigned-upload-url"),
            r#"{"model_id":"m-0f","path":"a"}"#,
            TrackingWrite,
            model("a"),
            Deed::Write,
        ),
        ("POST", &format!("{PAGE}/runs/delete"), r#"{"run_id":"r"}"#, TrackingDelete, run(""), Deed::Retire),
        ("DELETE", &format!("{PAGE}/logged-models/m-0f"), "", TrackingDelete, model(""), Deed::Retire),
    ] {
        names_files(method, target, body, permission, address, deed);
    }
}

#[test]
fn files_that_are_not_named_in_one_way_are_refused() {
    for (method, target, body) in [
        ("GET", format!("{PAGE}/artifacts/list?path=a"), ""),
        ("GET", "/get-artifact?path=a".to_owned(), ""),
        (
            "POST",
            format!("{PAGE}/artifacts/presigned-upload-url"),
            r#"{"run_id":"r","model_id":"m-0f","path":"a"}"#,
        ),
        ("POST", format!("{STORE}/mpu/create/1/r/artifacts"), r#"{"path":"a/../b"}"#),
        ("POST", format!("{STORE}/mpu/create/1/r/artifacts"), "{}"),
        ("POST", format!("{PAGE}/runs/delete"), "{}"),
    ] {
        assert!(classify(method, &target, body).is_err(), "{target} {body}");
    }
}
