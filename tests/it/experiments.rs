//! Rows for single experiments: only then is MLflow asked where a run belongs, and once.

use serde_json::json;

use crate::caller::{Ask, Who, ada, who};
use crate::proxy::Proxy;
use crate::stub::Answer;

const SEVEN: &str =
    "p, role:seven, experiment:7, tracking_read, allow\np, role:seven, experiment:7, tracking_write, allow";

fn sam() -> Who {
    who("sam@company.com", "seven", &[])
}

fn history(run: &str) -> Ask {
    Ask::get(format!("/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=auc"))
}

fn lookups(proxy: &Proxy) -> usize {
    proxy.stub.lines().iter().filter(|line| line.contains("/runs/get?")).count()
}

async fn with_runs(rows: &str) -> Proxy {
    let proxy = Proxy::with_rows(rows).await;
    proxy.stub.answers(|heard| {
        if !heard.target.contains("/runs/get?") {
            return Answer::Json(200, "{}".to_owned());
        }
        let experiment = match heard.target.split(['=', '&']).nth(1) {
            Some("ours") => "7",
            Some("theirs") => "8",
            _ => return Answer::missing(),
        };
        Answer::ok(&json!({"run": {"info": {"experiment_id": experiment, "artifact_uri": "s3://x"}}}))
    });
    proxy
}

#[tokio::test]
async fn a_run_is_its_experiments() {
    let proxy = with_runs(SEVEN).await;
    let refused = "sam@company.com may not tracking_read experiment:?: no policy row allows it";
    for (run, allowed) in
        [("ours", true), ("theirs", false), ("nowhere", false), ("ours", true), ("theirs", false)]
    {
        let said = proxy.send(history(run).by(&sam())).await;
        match allowed {
            true => assert_eq!(said.status, 200, "{run}: {}", said.text()),
            // Which runs there are, and where, is not for Sam to know.
            false => assert_eq!((said.status, said.message()), (403, refused.to_owned()), "{run}"),
        }
    }
    let objects: Vec<_> = proxy.lines(5).await.iter().map(|line| line.text("object")).collect();
    assert_eq!(
        objects,
        ["experiment:7", "experiment:8", "experiment:?", "experiment:7", "experiment:8"],
        "an auditor is told"
    );
    assert_eq!(lookups(&proxy), 3, "what is known is not asked for again");
    let write = |run: &str| {
        Ask::post("/api/2.0/mlflow/runs/set-tag", format!(r#"{{"run_id":"{run}","key":"k","value":"v"}}"#))
    };
    assert_eq!(proxy.send(write("ours").by(&sam())).await.status, 200);
    assert_eq!(proxy.send(write("theirs").by(&sam())).await.status, 403);
    assert_eq!(proxy.send(history("theirs").by(&ada())).await.status, 200, "who may read every experiment");
    let both = |first: &str, second: &str| {
        let runs = format!("run_ids={first}&run_ids={second}&metric_key=auc");
        Ask::get(format!("/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?{runs}")).by(&sam())
    };
    assert_eq!(proxy.send(both("ours", "ours")).await.status, 200);
    assert_eq!(proxy.send(both("ours", "theirs")).await.status, 403);
}

#[tokio::test]
async fn an_experiment_that_the_request_names_needs_no_question() {
    let proxy = with_runs(SEVEN).await;
    let search =
        |ids: &str| Ask::post("/api/2.0/mlflow/runs/search", format!(r#"{{"experiment_ids":{ids}}}"#));
    for (ids, status) in [(r#"["7"]"#, 200), (r#"["8"]"#, 403), (r#"["7","8"]"#, 403), ("[]", 403)] {
        assert_eq!(proxy.send(search(ids).by(&sam())).await.status, status, "{ids}");
    }
    assert_eq!(lookups(&proxy), 0);
    let file = |path: &str| Ask::get(format!("/api/2.0/mlflow-artifacts/artifacts/{path}"));
    for (path, status) in [("7/r/artifacts/x", 200), ("8/r/artifacts/x", 403), ("77/r/artifacts/x", 403)] {
        assert_eq!(proxy.send(file(path).by(&sam())).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn without_such_rows_nothing_is_asked() {
    let proxy = with_runs("").await;
    for run in ["ours", "theirs", "nowhere"] {
        assert_eq!(proxy.send(history(run).by(&ada())).await.status, 200);
    }
    assert_eq!(proxy.stub.heard().len(), 3);
    assert_eq!(proxy.send(history("ours").by(&sam())).await.status, 403);
    assert_eq!(proxy.stub.heard().len(), 3);
}
