//! Databricks' registry API on top of the house's own: `databricks-sdk` speaks it, and MLflow has none of it.
//!
//! Nothing is decided here in another way than by sekisho's own addresses; only names and forms are Databricks'.

mod comments;
mod models;
mod probe;
mod requests;

use bytes::Bytes;
use jiff::Timestamp;

use crate::reject::Rejection;
use crate::route::Misread;
use crate::route::message::Message;
use crate::route::table::databricks::Call;
use crate::store::VersionId;

use super::rules::Warned;
use super::{Gate, Passed};

const WEBHOOKS: &str =
    "registry webhooks are not served here; MLflow's own webhooks tell an administrator of changes";
const PERMISSIONS: &str = "permissions are not kept by id here: they are rows of the policy's file";

impl Gate {
    /// Answers a call.
    pub(super) async fn databricks(
        &self,
        call: Call,
        passed: &Passed,
        warned: &mut Warned,
    ) -> Result<Bytes, Rejection> {
        let message = passed.operation.says();
        match call {
            Call::CreateRequest => self.create_request(&passed.permit, message, warned).await,
            Call::ListRequests => self.list_requests(&passed.permit, message).await,
            Call::ApproveRequest => self.approve_requests(&passed.permit, message, warned).await,
            Call::RejectRequest => self.reject_requests(&passed.permit, message).await,
            Call::DeleteRequest => self.delete_request(&passed.permit, message).await,
            Call::TransitionStage => self.transition_for_databricks(passed, message, warned).await,
            Call::GetModel => self.model_for_databricks(passed, message).await,
            Call::CreateComment => self.create_comment(&passed.permit, message).await,
            Call::UpdateComment => self.update_comment(&passed.permit, message).await,
            Call::DeleteComment => self.delete_comment(&passed.permit, message).await,
            Call::Webhooks => Err(Rejection::Off(WEBHOOKS)),
            Call::Permissions => Err(Rejection::Off(PERMISSIONS)),
        }
    }

    /// The version that is named, as it is now.
    async fn named_version(&self, message: &Message) -> Result<VersionId, Rejection> {
        let (model, version) = named(message)?;
        let missing = || Rejection::NoVersion(model.to_owned(), version);
        let found = self.facts.version(&self.mlflow, model, &version.to_string()).await?;
        let found = found.ok_or_else(missing)?;
        self.version_id(model, version, found.created).await?.ok_or_else(missing)
    }
}

fn named(message: &Message) -> Result<(&str, u64), Misread> {
    let version = needed(message, "version")?.parse().map_err(|_| Misread::Version)?;
    Ok((needed(message, "name")?, version))
}

fn needed<'m>(message: &'m Message, field: &'static str) -> Result<&'m str, Misread> {
    message.text(field).ok_or(Misread::Missing(field))
}

/// A time as Databricks writes it.
fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}
