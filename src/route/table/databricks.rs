//! Databricks' registry API, as far as MLflow has none of it: the calls of `databricks-sdk`'s `ModelRegistryAPI`.

use super::words::*;

/// A call that sekisho answers by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Opens a request for a transition.
    CreateRequest,
    /// The open requests of a version.
    ListRequests,
    /// Approves those for a stage.
    ApproveRequest,
    /// Rejects those for a stage.
    RejectRequest,
    /// Takes back the one of a creator.
    DeleteRequest,
    /// Makes a transition.
    TransitionStage,
    /// One model, and what the caller may do to it.
    GetModel,
    /// Keeps a comment on a version.
    CreateComment,
    /// Changes it.
    UpdateComment,
    /// Deletes it.
    DeleteComment,
    /// Webhooks of the registry, which are off here.
    Webhooks,
    /// Permissions by id, which are off here: policies are files.
    Permissions,
}

const fn call(call: Call) -> Answer {
    Answer::Ours(Ours::Databricks(call))
}

/// To see the model, and to have some stage's transitions to decide; on which stage is looked at when the request is found.
const DECIDES: &[Need] = &[on(MetadataRead, Model("name")), on(StageApprove, SomeModel)];

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row(POST, Api2, "comments/create", Message("databricks.CreateComment"), &[on(MetadataRead, Model("name")), Need::SignedIn], Write).answers(call(Call::CreateComment)),
    row(DELETE, Api2, "comments/delete", Message("databricks.DeleteComment"), &[on(MetadataRead, SomeModel), Need::SignedIn], Write).answers(call(Call::DeleteComment)).or_in_query(),
    row(PATCH, Api2, "comments/update", Message("databricks.UpdateComment"), &[on(MetadataRead, SomeModel), Need::SignedIn], Write).answers(call(Call::UpdateComment)),
    row(POST, Api2, "databricks/model-versions/transition-stage", Message("databricks.Transition"), &[Need::Transition], Write).answers(call(Call::TransitionStage)),
    row(GET, Api2, "databricks/registered-models/get", Message("databricks.GetModel"), &[on(MetadataRead, Model("name"))], Read).answers(call(Call::GetModel)),
    row(GET, Api2, "registered-models/list", Message("databricks.ListModels"), &[on(MetadataRead, SomeModel)], Read).answers(Answer::RegisteredModels).called("registered-models/search"),
    row(POST, Api2, "registry-webhooks/create", Message("databricks.Nothing"), SIGNED_IN, Write).answers(call(Call::Webhooks)),
    row(DELETE, Api2, "registry-webhooks/delete", Message("databricks.Nothing"), SIGNED_IN, Write).answers(call(Call::Webhooks)),
    row(GET, Api2, "registry-webhooks/list", Message("databricks.Nothing"), SIGNED_IN, Read).answers(call(Call::Webhooks)),
    row(POST, Api2, "registry-webhooks/test", Message("databricks.Nothing"), SIGNED_IN, Write).answers(call(Call::Webhooks)),
    row(PATCH, Api2, "registry-webhooks/update", Message("databricks.Nothing"), SIGNED_IN, Write).answers(call(Call::Webhooks)),
    row(POST, Api2, "transition-requests/approve", Message("databricks.Transition"), DECIDES, Write).answers(call(Call::ApproveRequest)),
    row(POST, Api2, "transition-requests/create", Message("databricks.CreateRequest"), &[Need::Transition], Write).answers(call(Call::CreateRequest)),
    row(DELETE, Api2, "transition-requests/delete", Message("databricks.DeleteRequest"), &[on(MetadataRead, Model("name")), on(StageTransition, SomeModel)], Write).answers(call(Call::DeleteRequest)).or_in_query(),
    row(GET, Api2, "transition-requests/list", Message("databricks.ListRequests"), &[on(MetadataRead, Model("name"))], Read).answers(call(Call::ListRequests)),
    row(POST, Api2, "transition-requests/reject", Message("databricks.CreateRequest"), DECIDES, Write).answers(call(Call::RejectRequest)),
    row(GET, Root, "api/2.0/permissions/registered-models/{id}", Nothing, SIGNED_IN, Read).answers(call(Call::Permissions)),
    row(PATCH, Root, "api/2.0/permissions/registered-models/{id}", Message("databricks.Nothing"), SIGNED_IN, Write).answers(call(Call::Permissions)),
    row(PUT, Root, "api/2.0/permissions/registered-models/{id}", Message("databricks.Nothing"), SIGNED_IN, Write).answers(call(Call::Permissions)),
    row(GET, Root, "api/2.0/permissions/registered-models/{id}/permissionLevels", Nothing, SIGNED_IN, Read).answers(call(Call::Permissions)),
];
