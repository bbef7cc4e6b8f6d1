//! The web page: its document, static files and start-up calls, GraphQL, and MLflow's own addresses without a prefix.

use super::words::*;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row(GET, Root, "", Nothing, SIGNED_IN, Read),
    row(POST, Root, "ajax-api/2.0mlflow/experiments/search-datasets", Message("SearchDatasets"), &[on(TrackingRead, Experiments("experiment_ids"))], Read),
    row(POST, Root, "api/2.0mlflow/experiments/search-datasets", Message("SearchDatasets"), &[on(TrackingRead, Experiments("experiment_ids"))], Read),
    row(GET, Root, "build/{filename*}", Nothing, SIGNED_IN, Read).without_static_prefix(),
    row(GET, Root, "graphql", Graphql, &[Need::Graphql], Read).answers(Answer::Graphql),
    row(POST, Root, "graphql", Graphql, &[Need::Graphql], Read).answers(Answer::Graphql),
    row(GET, Root, "health", Nothing, SIGNED_IN, Read),
    row(GET, Root, "static-files/{path*}", Nothing, SIGNED_IN, Read),
    row(POST, Root, "v1/traces", Spans, &[on(TrackingWrite, SpansHeader)], Write),
    row(GET, Root, "version", Nothing, SIGNED_IN, Read),
    row(GET, V3, "server-info", Nothing, SIGNED_IN, Read),
    row(GET, Ajax3, "ui-telemetry", Nothing, SIGNED_IN, Read),
    row(GET, V2, "users/current", Nothing, SIGNED_IN, Read).answers(Answer::Ours(Ours::WhoAmI)),
];
