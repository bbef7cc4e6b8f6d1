//! What a request asks for: which permission, on which object.

use super::*;

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
