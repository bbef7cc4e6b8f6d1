//! Traces and their assessments.

use super::words::*;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row(GET, V2, "get-online-trace-details", Message("GetOnlineTraceDetails"), &[on(TrackingRead, Trace("trace_id"))], Read).answers(Answer::Mentions),
    row(GET, V2, "traces", Message("SearchTraces"), &[on(TrackingRead, Experiments("experiment_ids"))], Read).answers(Answer::Mentions),
    row(POST, V2, "traces", Message("StartTrace"), &[on(TrackingWrite, Experiment("experiment_id"))], Write).answers(Answer::Mentions),
    row(POST, V3, "traces", Message("StartTraceV3"), &[on(TrackingWrite, StartedTrace)], Write).answers(Answer::Mentions),
    row(GET, V3, "traces/batchGet", Message("BatchGetTraces"), &[on(TrackingRead, Experiments("experiment_ids")), on(TrackingRead, Traces("trace_ids"))], Read).answers(Answer::Mentions),
    row(POST, V3, "traces/batchGetInfos", Message("BatchGetTraceInfos"), &[on(TrackingRead, Experiments("experiment_ids")), on(TrackingRead, Traces("trace_ids"))], Read).answers(Answer::Mentions),
    row(POST, V3, "traces/calculate-filter-correlation", Message("CalculateTraceFilterCorrelation"), &[on(TrackingRead, Experiments("experiment_ids"))], Read),
    row(POST, V2, "traces/delete-traces", Message("DeleteTraces"), &[on(TrackingDelete, Experiment("experiment_id"))], Write),
    row(POST, V3, "traces/delete-traces", Message("DeleteTracesV3"), &[on(TrackingDelete, Experiment("experiment_id"))], Write),
    row(GET, V3, "traces/get", Message("GetTrace"), &[on(TrackingRead, Trace("trace_id"))], Read).answers(Answer::Mentions),
    row(POST, V2, "traces/link-prompts", Message("LinkPromptsToTrace"), &[on(TrackingWrite, Trace("trace_id"))], Write),
    row(POST, V2, "traces/link-to-run", Message("LinkTracesToRun"), &[on(TrackingWrite, Run), on(TrackingWrite, Traces("trace_ids"))], Write),
    row(POST, V3, "traces/metrics", Message("QueryTraceMetrics"), &[on(TrackingRead, Experiments("experiment_ids"))], Read),
    row(POST, V3, "traces/search", Message("SearchTracesV3"), &[on(TrackingRead, Locations)], Read).answers(Answer::Mentions),
    row(PATCH, V2, "traces/{request_id}", Message("EndTrace"), &[on(TrackingWrite, Trace("request_id"))], Write).answers(Answer::Mentions),
    row(GET, V2, "traces/{request_id}/info", Message("GetTraceInfo"), &[on(TrackingRead, Trace("request_id"))], Read).answers(Answer::Mentions),
    row(DELETE, V2, "traces/{request_id}/tags", Message("DeleteTraceTag"), &[on(TrackingWrite, Trace("request_id"))], Write),
    row(PATCH, V2, "traces/{request_id}/tags", Message("SetTraceTag"), &[on(TrackingWrite, Trace("request_id"))], Write),
    row(GET, V3, "traces/{trace_id}", Message("GetTraceInfoV3"), &[on(TrackingRead, Trace("trace_id"))], Read).answers(Answer::Mentions),
    row(POST, V3, "traces/{trace_id}/assessments", Message("CreateAssessment"), &[on(TrackingWrite, Trace("trace_id"))], Write),
    row(DELETE, V3, "traces/{trace_id}/assessments/{assessment_id}", Message("DeleteAssessment"), &[on(TrackingDelete, Trace("trace_id"))], Write),
    row(GET, V3, "traces/{trace_id}/assessments/{assessment_id}", Message("GetAssessmentRequest"), &[on(TrackingRead, Trace("trace_id"))], Read).answers(Answer::Mentions),
    row(PATCH, V3, "traces/{trace_id}/assessments/{assessment_id}", Message("UpdateAssessment"), &[on(TrackingWrite, Trace("trace_id"))], Write),
    row(DELETE, V3, "traces/{trace_id}/tags", Message("DeleteTraceTagV3"), &[on(TrackingWrite, Trace("trace_id"))], Write),
    row(PATCH, V3, "traces/{trace_id}/tags", Message("SetTraceTagV3"), &[on(TrackingWrite, Trace("trace_id"))], Write),
    row(GET, V2, "unified-traces", Message("SearchUnifiedTraces"), &[on(TrackingRead, Experiments("experiment_ids"))], Read).answers(Answer::Mentions),
];
