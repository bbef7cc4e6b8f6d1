//! Files, by whatever address (`server/artifact_router.py`, `server/handlers.py`).

use super::words::*;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row(GET, Artifacts2, "artifacts", Message("artifacts.ListArtifacts"), &[files(TrackingRead, Where::Store("path"), Deed::List)], Read),
    row(GET, V2, "artifacts/list", Message("ListArtifacts"), &[files(TrackingRead, Where::Run("path"), Deed::List)], Read),
    row(POST, V2, "artifacts/presigned-download-url", Message("CreatePresignedDownloadUrl"), &[files(TrackingRead, Where::Run("path"), Deed::Read)], Read).ruled(Rule::Presigned),
    row(POST, V2, "artifacts/presigned-upload-url", Message("CreatePresignedUploadUrl"), &[files(TrackingWrite, Where::Either("path"), Deed::Write)], Write).ruled(Rule::Presigned),
    row(DELETE, Artifacts2, "artifacts/{artifact_path*}", Message("DeleteArtifact"), &[files(TrackingDelete, Where::Store("artifact_path"), Deed::Delete)], Write),
    row(GET, Artifacts2, "artifacts/{artifact_path*}", Message("DownloadArtifact"), &[files(TrackingRead, Where::Store("artifact_path"), Deed::Read)], Read).answers(Answer::File).without_static_prefix(),
    row(PUT, Artifacts2, "artifacts/{artifact_path*}", Upload, &[files(TrackingWrite, Where::Store("artifact_path"), Deed::Write)], Write).without_static_prefix(),
    row(GET, Ajax2, "get-trace-artifact", Message("form.GetTraceArtifact"), &[on(TrackingRead, Trace("request_id"))], Read).answers(Answer::File),
    row(GET, Ajax3, "get-trace-artifact", Message("form.GetTraceArtifact"), &[on(TrackingRead, Trace("request_id"))], Read).answers(Answer::File),
    row(GET, V2, "logged-models/{model_id}/artifacts/directories", Message("ListLoggedModelArtifacts"), &[files(TrackingRead, Where::LoggedModel("artifact_directory_path"), Deed::List)], Read),
    row(GET, Ajax2, "logged-models/{model_id}/artifacts/files", Message("form.GetLoggedModelFile"), &[files(TrackingRead, Where::LoggedModel("artifact_file_path"), Deed::Read)], Read).answers(Answer::File),
    row(POST, Artifacts2, "mpu/abort/{artifact_path*}", Message("AbortMultipartUpload"), &[files(TrackingWrite, Where::Part("artifact_path", "path"), Deed::Write)], Write).ruled(Rule::Presigned),
    row(POST, Artifacts2, "mpu/complete/{artifact_path*}", Message("CompleteMultipartUpload"), &[files(TrackingWrite, Where::Part("artifact_path", "path"), Deed::Write)], Write).ruled(Rule::Presigned),
    row(POST, Artifacts2, "mpu/create/{artifact_path*}", Message("CreateMultipartUpload"), &[files(TrackingWrite, Where::Part("artifact_path", "path"), Deed::Write)], Write).ruled(Rule::Presigned),
    row(GET, Artifacts2, "presigned/{artifact_path*}", Message("GetPresignedDownloadUrl"), &[files(TrackingRead, Where::Store("artifact_path"), Deed::Read)], Read).ruled(Rule::Presigned),
    row(POST, Ajax2, "upload-artifact", SmallFile("form.UploadArtifact"), &[files(TrackingWrite, Where::Run("path"), Deed::Write)], Write),
    row(GET, Root, "get-artifact", Message("form.GetArtifact"), &[files(TrackingRead, Where::Run("path"), Deed::Read)], Read).answers(Answer::File),
    row(GET, Root, "model-versions/get-artifact", Message("form.GetModelVersionArtifact"), &[on(ModelRead, Model("name"))], Read).answers(Answer::File),
];
