//! sekisho's own API, on the listener of clients.

use super::databricks;
use super::words::*;

/// What sekisho answers by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ours {
    /// Who is signed in.
    WhoAmI,
    /// Which names of a list hold the naming rule.
    CheckNames,
    /// Which models do not hold it.
    Names,
    /// Versions by typed conditions on what they say of themselves.
    Search,
    /// One version: its files, its metadata and what it lacks.
    Version,
    /// Has a version's digest taken anew.
    TakeDigest,
    /// Opens a request for a transition.
    AskForApproval,
    /// Requests that are open.
    Approvals,
    /// One request.
    Approval,
    /// Approves one.
    Approve,
    /// Rejects one.
    Reject,
    /// Takes one back.
    Withdraw,
    /// Keeps what a test said of a version.
    Report,
    /// How a version came where it stands.
    History,
    /// Which versions stood in a stage at a time.
    StoodIn,
    /// Lines of the record.
    Review,
    /// Many versions by name and number.
    BatchGet,
    /// Registers many versions.
    BatchCreate,
    /// Forgets answers that are kept in memory.
    PurgeCache,
    /// A call of Databricks' registry that MLflow has not.
    Databricks(databricks::Call),
}

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row(GET, Own, "approvals", Message("own.Approvals"), &[on(MetadataRead, SomeModel)], Read).answers(Answer::Ours(Ours::Approvals)),
    row(POST, Own, "approvals", Message("own.AskForApproval"), &[Need::Transition], Write).answers(Answer::Ours(Ours::AskForApproval)),
    row(GET, Own, "approvals/{number}", Nothing, &[on(MetadataRead, SomeModel)], Read).answers(Answer::Ours(Ours::Approval)),
    row(POST, Own, "approvals/{number}/approve", Message("own.Comment"), &[on(StageApprove, SomeModel)], Write).answers(Answer::Ours(Ours::Approve)),
    row(POST, Own, "approvals/{number}/reject", Message("own.Comment"), &[on(StageApprove, SomeModel)], Write).answers(Answer::Ours(Ours::Reject)),
    row(POST, Own, "approvals/{number}/withdraw", Message("own.Comment"), &[on(StageTransition, SomeModel)], Write).answers(Answer::Ours(Ours::Withdraw)),
    row(GET, Own, "audit", Message("own.Review"), &[on(AuditRead, Server)], Read).answers(Answer::Ours(Ours::Review)),
    row(POST, Own, "cache:purge", Message("own.PurgeCache"), ADMIN, Write).answers(Answer::Ours(Ours::PurgeCache)),
    row(POST, Own, "model-versions:batchCreate", Message("own.BatchCreate"), &[on(ModelWrite, SomeModel)], Write).answers(Answer::Ours(Ours::BatchCreate)),
    row(POST, Own, "model-versions:batchGet", Message("own.BatchGet"), &[on(MetadataRead, SomeModel)], Read).answers(Answer::Ours(Ours::BatchGet)),
    row(GET, Own, "models/{name}/stages/{stage}", Message("own.At"), &[on(MetadataRead, Model("name"))], Read).answers(Answer::Ours(Ours::StoodIn)),
    row(GET, Own, "models/{name}/versions/{version}", Nothing, &[on(MetadataRead, Model("name"))], Read).answers(Answer::Ours(Ours::Version)),
    row(POST, Own, "models/{name}/versions/{version}/digest", Message("own.TakeDigest"), &[on(ModelWrite, Model("name"))], Write).answers(Answer::Ours(Ours::TakeDigest)),
    row(POST, Own, "models/{name}/versions/{version}/evidence", Message("own.Evidence"), &[on(EvidenceWrite, Model("name"))], Write).answers(Answer::Ours(Ours::Report)),
    row(GET, Own, "models/{name}/versions/{version}/history", Nothing, &[on(MetadataRead, Model("name"))], Read).answers(Answer::Ours(Ours::History)),
    row(GET, Own, "names", Message("own.Names"), &[on(MetadataRead, SomeModel)], Read).answers(Answer::Ours(Ours::Names)),
    row(POST, Own, "names:check", Message("own.CheckNames"), SIGNED_IN, Read).answers(Answer::Ours(Ours::CheckNames)),
    row(GET, Own, "search", Message("own.Search"), &[on(MetadataRead, SomeModel)], Read).answers(Answer::Ours(Ours::Search)),
];
