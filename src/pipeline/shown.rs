//! MLflow's answers with stages as the house has them.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use tracing::{debug, warn};

use crate::authz::Permit;
use crate::filter::Unreadable;
use crate::filter::stages::{self, Reader, Shown, TAG, Version};
use crate::govern::{Mode, tags};
use crate::limit::{LARGE, Slot};
use crate::listen::{Outbound, boxed, full};
use crate::reject::Rejection;
use crate::route::json::JsonError;
use crate::route::message::Message;
use crate::route::table::databricks::Call;
use crate::route::table::{Answer, Ours};
use crate::route::{Found, Misread, Operation, Parameters};
use crate::stage::Stage;
use crate::stages::Look;
use crate::upstream::{self, Reply};

use super::Gate;
use super::perform::ANSWER;
use super::promote::AUTHOR_TAG;

/// An answer in the house's words.
pub(super) struct InWords {
    pub(super) body: Bytes,
    /// Whether MLflow and the store say the same of every version in it, so that it stays as it is until one of them changes.
    pub(super) settled: bool,
}

impl Gate {
    /// Whether stages are called as the house calls them in what a row is answered with. Where there are no house rules
    /// there are no house stages.
    pub(super) fn calls_stages(&self, answer: Answer) -> bool {
        let has_any = match answer {
            Answer::Stages | Answer::Latest | Answer::RegisteredModels | Answer::ModelVersions => true,
            Answer::Ours(Ours::Databricks(call)) => matches!(call, Call::GetModel | Call::TransitionStage),
            Answer::AsIs | Answer::Mentions | Answer::Graphql | Answer::File | Answer::Ours(_) => false,
        };
        has_any && self.rules != Mode::Off
    }

    /// Refuses a question about a stage that there is not, as MLflow does. The page's own calls go to MLflow as they are.
    pub(super) fn stages_there_are(&self, found: &Found, message: &Message) -> Result<(), Misread> {
        let answer = found.row.answer;
        if answer != Answer::Latest || found.is_ajax() || !self.calls_stages(answer) {
            return Ok(());
        }
        for stage in message.texts("stages") {
            Stage::named(stage).ok_or_else(|| Misread::Stage(stage.chars().take(40).collect()))?;
        }
        Ok(())
    }

    /// The stages of which the newest versions are asked for, if an answer's stages are called as the house calls them.
    /// MLflow is asked for all of its own instead.
    pub(super) fn take_wanted(&self, operation: &mut Operation) -> Option<Vec<Stage>> {
        let answer = operation.found.row.answer;
        if !self.calls_stages(answer) {
            return None;
        }
        let mut wanted = Vec::new();
        if answer == Answer::Latest
            && !operation.found.is_ajax()
            && let Parameters::Message(message) = &mut operation.parameters
        {
            let named: Vec<Stage> = message.texts("stages").filter_map(Stage::named).collect();
            // Each once: as many as there are are all of them.
            wanted = Stage::ALL.into_iter().filter(|stage| named.contains(stage)).collect();
            message.remove("stages");
        }
        Some(if wanted.is_empty() { Stage::ALL.to_vec() } else { wanted })
    }

    /// A new version stands where every version begins, and says so and whose it is from its first moment. A prompt's does
    /// not.
    pub(super) fn begins(&self, permit: &Permit, message: &mut Message) {
        if self.rules != Mode::Off && !tags::is_prompt_source(message) {
            let tag = [("key", TAG), ("value", Stage::Development.as_str())];
            message.add("tags", Message::of_texts(tag));
            let author = [("key", AUTHOR_TAG), ("value", permit.principal().user.as_str())];
            message.add("tags", Message::of_texts(author));
        }
    }

    /// The answer to a read. Errors of MLflow's pass unchanged.
    pub(super) async fn shown(
        &self,
        response: Response<Reply>,
        operation: &Operation,
        wanted: &[Stage],
        slot: &mut Slot,
    ) -> Result<Response<Outbound>, Rejection> {
        let (mut parts, body) = response.into_parts();
        if !parts.status.is_success() {
            return Ok(Response::from_parts(parts, boxed(body)));
        }
        if parts.status != StatusCode::OK {
            // Part of an answer cannot be looked at; it was not asked for.
            return Err(Unreadable::from(JsonError::NotAnObject).into());
        }
        let body = upstream::collect_held(body, ANSWER, slot).await?;
        let body = self.in_house_words(operation, wanted, body, slot).await?.body;
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.remove(header::ETAG);
        Ok(Response::from_parts(parts, full(body)))
    }

    /// The body of a write's answer. The write is done: where MLflow cannot be asked for more, what it said is shown.
    pub(super) async fn shown_write(&self, operation: &Operation, body: Bytes, slot: &Slot) -> Bytes {
        if !self.calls_stages(operation.found.row.answer) {
            return body;
        }
        let said = self.in_house_words(operation, &Stage::ALL, body.clone(), slot).await;
        let plain = || stages::show(&body, &self.stages, reader(operation)).map(|shown| shown.body);
        said.map(|said| said.body).or_else(|_| plain()).unwrap_or_else(|_| Bytes::from_static(b"{}"))
    }

    /// An answer with each version's true stage, and with the newest version of each house stage.
    pub(super) async fn in_house_words(
        &self,
        operation: &Operation,
        wanted: &[Stage],
        body: Bytes,
        slot: &Slot,
    ) -> Result<InWords, Rejection> {
        let reader = reader(operation);
        let body = match (operation.found.row.answer, reader) {
            (Answer::Latest, Reader::Client) => self.newest_in_answer(&body, wanted).await?,
            (_, Reader::Client) => self.newest_in_models(body, slot).await?,
            (_, Reader::Page) => body,
        };
        let shown = self.translated(&body, reader, slot).await?;
        let mut learnt = false;
        for version in &shown.doubted {
            learnt |= self.settle(version).await;
        }
        let shown = if learnt { self.translated(&body, reader, slot).await? } else { shown };
        Ok(InWords { body: shown.body, settled: shown.doubted.is_empty() })
    }

    /// Large answers are read where nobody else waits for it.
    async fn translated(&self, body: &Bytes, reader: Reader, slot: &Slot) -> Result<Shown, Rejection> {
        if body.len() < LARGE {
            return Ok(stages::show(body, &self.stages, reader)?);
        }
        let (body, known) = (body.clone(), std::sync::Arc::clone(&self.stages));
        let turn = slot.aside().turn().await?;
        Ok(turn.run(move || stages::show(&body, &known, reader)).await??)
    }

    /// Where a version stands. One that the store may know by now is looked for there once.
    pub(super) async fn stage_of(&self, version: &Version) -> Stage {
        self.settle(version).await;
        self.stages.shown(&version.sight())
    }

    /// Looks into what MLflow says of a version, if it is odd; whether the store was asked.
    async fn settle(&self, version: &Version) -> bool {
        let Version { model, number, mlflows, tag, .. } = version;
        match self.stages.look_into(&version.sight(), self.clock.instant()) {
            Look::Nothing => false,
            Look::Tell(stage) => {
                warn!(model, version = number, %stage, mlflows, tag, "MLflow does not show where a version stands");
                false
            }
            Look::Ask => match self.stages.refresh(&self.store).await {
                Ok(()) => true,
                Err(error) => {
                    debug!(model, version = number, %error, "MLflow's stage of a version is believed");
                    false
                }
            },
        }
    }
}

pub(super) fn reader(operation: &Operation) -> Reader {
    if operation.found.is_ajax() { Reader::Page } else { Reader::Client }
}
