//! Files, by whatever address (`server/artifact_router.py`, `server/handlers.py`).

use super::words::*;

/// What is done to files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// Their bytes are read.
    Read,
    /// A folder's names and sizes are read.
    List,
    /// They are written.
    Write,
    /// They are deleted, whole folders too.
    Delete,
    /// The experiment, run or logged model that they lie in is deleted: the files stay, and are not found any more.
    Retire,
    /// The run that they lie in is brought back. Who may is decided elsewhere; files that are closed stay where they are.
    Restore,
}

impl Deed {
    /// Whether the files are others after it, or elsewhere.
    #[must_use]
    pub const fn changes(self) -> bool {
        !matches!(self, Self::Read | Self::List)
    }
}

/// Where the address of files is read. A field that is left out is an empty path: all files there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// The artifact path in a field.
    Store(&'static str),
    /// The folder in the first field, and the last segment of the path in the second (`artifact_router.py`
    /// `_get_multipart_artifact_path` and its kin).
    Part(&'static str, &'static str),
    /// The path in a field, among the files of the run in `run_id` or `run_uuid`.
    Run(&'static str),
    /// The path in a field, among the files of the logged model in `model_id`.
    LoggedModel(&'static str),
    /// The path in a field, among the files of the logged model or run that is named.
    Either(&'static str),
    /// All files of the run.
    WholeRun,
    /// All files of the logged model.
    WholeModel,
    /// All files of all runs and logged models of the experiment in a field.
    Experiment(&'static str),
}

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
