//! What is kept of promotions: where versions stand, who asked for what and who approved it, what tests said, what was done.

use jiff::Timestamp;

use super::VersionId;
use crate::stage::Stage;

/// Somebody, as their token was when they did it: what they may do is decided again later.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Person {
    /// The user id.
    pub user: String,
    /// The roles of the token.
    pub roles: Vec<String>,
    /// The token's `model_access`.
    pub models: Vec<String>,
}

/// How the store came to know a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was in `Development` when it was first asked for.
    Registered,
    /// It stood elsewhere already, and what MLflow said of it was taken over.
    Imported,
}

/// Where a version stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// Which version.
    pub id: VersionId,
    /// Its stage.
    pub stage: Stage,
    /// Since when.
    pub since: Timestamp,
    /// How it is known.
    pub origin: Origin,
    /// Whether its files are closed though it stands in `Development`: it is about to leave it.
    pub closing: bool,
    /// Whether MLflow has it no more. What was done to it stays.
    pub gone: bool,
    /// Raised with every change of any stand, by which replicas read what is new.
    pub change: i64,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// Nothing yet.
    Open,
    /// The transition was made.
    Done,
    /// Somebody rejected it.
    Rejected,
    /// Who asked took it back.
    Withdrawn,
    /// The version stands elsewhere by now, has other bytes, or is gone.
    Void,
}

impl RequestState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Open, Self::Done, Self::Rejected, Self::Withdrawn, Self::Void];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Void => "void",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A request for a transition that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRequest {
    /// Which version.
    pub id: VersionId,
    /// Where it stands.
    pub from: Stage,
    /// Where it is to go.
    pub to: Stage,
    /// Who asks.
    pub asker: Person,
    /// Who is the same person as the asker has the same text here (case folded, NFKC).
    pub folded: String,
    /// What they say.
    pub comment: String,
    /// The version's source.
    pub source: String,
    /// The version's digest, in hex.
    pub digest: String,
    /// Whether the stages' rule is to be broken, and why.
    pub break_glass: Option<String>,
    /// When.
    pub asked: Timestamp,
}

/// A request for a transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number, which no other has.
    pub number: i64,
    /// What was asked for.
    pub asked: NewRequest,
    /// What became of it.
    pub state: RequestState,
    /// Who closed it, when, and what they said.
    pub closed: Option<Closing>,
    /// Who approved it, the earliest first.
    pub approvals: Vec<Approval>,
}

/// What became of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asking {
    /// It is kept.
    Kept(Request),
    /// The same person asks for the same already.
    Already(Request),
    /// The version stands elsewhere.
    Elsewhere(Stage),
    /// The store was never told of the version, or MLflow has it no more.
    Unknown,
    /// As many requests of this version are open as can be.
    TooMany,
}

/// The end of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// By whom; empty where sekisho did it.
    pub by: String,
    /// What they said.
    pub comment: String,
    /// When.
    pub at: Timestamp,
}

/// An approval that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApproval {
    /// Who.
    pub approver: Person,
    /// Who is the same person has the same text here: of one person one approval counts.
    pub folded: String,
    /// What they say.
    pub comment: String,
    /// The version's source at that time.
    pub source: String,
    /// The version's digest at that time, in hex.
    pub digest: String,
    /// When.
    pub at: Timestamp,
}

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Its number, which no other has.
    pub number: i64,
    /// What was approved.
    pub given: NewApproval,
}

/// What became of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approving {
    /// It is kept under this number.
    Kept(i64),
    /// The same person has approved this request before, and this does not take the place of that.
    Twice,
    /// The request is open no more, or there is none. One whose rule was broken can be approved when it is done.
    Closed,
}

/// What a test said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvidence {
    /// The test's name.
    pub test: String,
    /// Whether it passed.
    pub passed: bool,
    /// Where more is said.
    pub link: Option<String>,
    /// Who says so.
    pub reporter: String,
    /// The digest of the bytes that were tested, in hex.
    pub digest: String,
    /// When it was said.
    pub at: Timestamp,
}

/// What a test said, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Its number, which no other has.
    pub number: i64,
    /// What was said.
    pub said: NewEvidence,
}

/// A transition that is about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTransition {
    /// Which version.
    pub id: VersionId,
    /// Where it stands. If it does not, nothing is begun.
    pub from: Stage,
    /// Where it goes.
    pub to: Stage,
    /// Who makes it; empty where sekisho does by itself.
    pub by: String,
    /// The request that it is for. It is done with the transition.
    pub request: Option<i64>,
    /// Who asked, where somebody else approved.
    pub asked_by: String,
    /// Approvals that it rests on: number and user.
    pub approvals: Vec<(i64, String)>,
    /// Evidence that it rests on: number and test.
    pub evidence: Vec<(i64, String)>,
    /// The version's digest, in hex; empty where none was needed.
    pub digest: String,
    /// Why a rule was broken, if it was.
    pub break_glass: Option<String>,
    /// When it was begun.
    pub begun: Timestamp,
}

/// How far a transition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It may or may not have been written to MLflow; the version stands where it stood.
    Begun,
    /// The version stands where it was to go.
    Done,
    /// It was not made.
    Undone,
}

/// A transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Its number, which no other has. Later ones have larger numbers.
    pub number: i64,
    /// What was to be done.
    pub what: NewTransition,
    /// How far it is.
    pub progress: Progress,
    /// When it was done or undone.
    pub ended: Option<Timestamp>,
}

/// Whether a transition could be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    /// It is under this number, and nobody else begins one of this version before it has ended.
    Begun(i64),
    /// The version stands elsewhere.
    Elsewhere(Stage),
    /// It stands there, and is not as it was seen: its files were open in between, say. It takes another look.
    Changed,
    /// Another transition of it is under way, or it is about to be deleted or renamed.
    Underway,
    /// The request was closed meanwhile, or is for something else.
    Closed,
    /// The store was never told of the version, or MLflow has it no more.
    Unknown,
}

/// A comment on a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Its id: a UUID without dashes.
    pub id: String,
    /// On which version.
    pub on: VersionId,
    /// Whose.
    pub user: String,
    /// What they say.
    pub text: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub changed: Timestamp,
}

/// What became of a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commenting {
    /// It is kept.
    Kept,
    /// Too much is said of its version already.
    NoRoom,
    /// There is none of this id and user to be changed.
    Gone,
}
