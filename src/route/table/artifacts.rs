//! Files, by whatever address (`server/artifact_router.py`, `server/handlers.py`).

use super::words::*;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row(GET, Artifacts2, "artifacts", Message("artifacts.ListArtifacts"), &[Need::Listing(TrackingRead, "path")], Read),
    row(GET, V2, "artifacts/list", Message("ListArtifacts"), &[on(TrackingRead, Run)], Read),
    row(POST, V2, "artifacts/presigned-download-url", Message("CreatePresignedDownloadUrl"), ADMIN, Write),
    row(POST, V2, "artifacts/presigned-upload-url", Message("CreatePresignedUploadUrl"), ADMIN, Write),
    row(DELETE, Artifacts2, "artifacts/{artifact_path*}", Message("DeleteArtifact"), &[Need::Tree(TrackingDelete, "artifact_path")], Write),
    row(GET, Artifacts2, "artifacts/{artifact_path*}", Message("DownloadArtifact"), &[on(TrackingRead, File("artifact_path"))], Read).answers(Answer::File).without_static_prefix(),
    row(PUT, Artifacts2, "artifacts/{artifact_path*}", Upload, &[on(TrackingWrite, File("artifact_path"))], Write).without_static_prefix(),
    row(GET, Ajax2, "get-trace-artifact", Message("form.GetTraceArtifact"), &[on(TrackingRead, Trace("request_id"))], Read).answers(Answer::File),
    row(GET, Ajax3, "get-trace-artifact", Message("form.GetTraceArtifact"), &[on(TrackingRead, Trace("request_id"))], Read).answers(Answer::File),
    row(GET, V2, "logged-models/{model_id}/artifacts/directories", Message("ListLoggedModelArtifacts"), &[on(TrackingRead, LoggedModel("model_id"))], Read),
    row(GET, Ajax2, "logged-models/{model_id}/artifacts/files", Message("form.GetLoggedModelFile"), &[on(TrackingRead, LoggedModel("model_id"))], Read).answers(Answer::File),
    row(POST, Artifacts2, "mpu/abort/{artifact_path*}", Message("AbortMultipartUpload"), ADMIN, Write),
    row(POST, Artifacts2, "mpu/complete/{artifact_path*}", Message("CompleteMultipartUpload"), ADMIN, Write),
    row(POST, Artifacts2, "mpu/create/{artifact_path*}", Message("CreateMultipartUpload"), ADMIN, Write),
    row(GET, Artifacts2, "presigned/{artifact_path*}", Message("GetPresignedDownloadUrl"), ADMIN, Read),
    row(POST, Ajax2, "upload-artifact", SmallFile("form.UploadArtifact"), &[on(TrackingWrite, Run)], Write),
    row(GET, Root, "get-artifact", Message("form.GetArtifact"), &[on(TrackingRead, Run)], Read).answers(Answer::File),
    row(GET, Root, "model-versions/get-artifact", Message("form.GetModelVersionArtifact"), &[on(ModelRead, Model("name"))], Read).answers(Answer::File),
];
