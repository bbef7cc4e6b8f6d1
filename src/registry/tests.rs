//! What a hundred thousand models take.

use super::*;

/// Bytes of memory that this process has, as Linux counts them.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

#[test]
fn a_hundred_thousand_models_are_held_in_300_mib() {
    let before = resident();
    let mut rows = Rows::default();
    let maker = rows.maker();
    for at in 0..100_000 {
        let metrics = format!(r#"{{"accuracy": 0.{at:05}, "precision": 0.91, "recall": 0.88}}"#);
        let tags = [
            ("business_owner", "somebody.with.a.name@company.com"),
            ("technical_owner", "team-fraud-detection-platform"),
            ("model_purpose", "finds card payments that their owner did not make, before they are booked"),
            ("data_sources", r#"["s3://warehouse/payments/2026", "s3://warehouse/customers"]"#),
            ("training_data_version", "2026-11-01"),
            ("feature_importance", r#"{"amount": 0.41, "country": 0.22, "hour": 0.2, "merchant": 0.17}"#),
            ("performance_metrics", &metrics),
            ("resource_requirements", r#"{"cpu": 2, "memory": "4Gi"}"#),
            ("compliance_status", "approved"),
            (
                "sekisho.dependencies",
                r#"["numpy==1.26.4","pandas==2.2.2","scikit-learn==1.4.2","xgboost==2.0.3"]"#,
            ),
        ];
        let tags: Vec<_> = tags.map(|(key, value)| serde_json::json!({ "key": key, "value": value })).into();
        let shown = serde_json::json!({ "name": format!("fraud_detection_xgboost_auc_prod_{at}"), "version": "1",
            "source": format!("mlflow-artifacts:/1/models/m-{at:032}/artifacts"), "run_id": format!("{at:032}"),
            "tags": tags });
        let shown: VersionRow = serde_json::from_value(shown).expect("a row");
        rows.insert(maker.row(shown));
    }
    let taken = resident().saturating_sub(before) / (1024 * 1024);
    assert_eq!(rows.count(), 100_000);
    assert!(taken <= 300, "{taken} MiB");
}
