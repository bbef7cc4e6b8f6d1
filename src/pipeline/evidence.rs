//! What tests say of a version: reported, kept with the bytes that were tested, and what follows from it.

use crate::audit::Trail;
use crate::authz::Permit;
use crate::govern::{Broken, Mode};
use crate::reject::Rejection;
use crate::route::demand::EVIDENCE;
use crate::route::message::Message;
use crate::route::table::{Rule, Verb};
use crate::route::{Misread, Operation};
use crate::store::NewEvidence;

use tracing::warn;

use super::promote::{Candidate, Cause, Wish};
use super::rules::Warned;
use super::{Gate, Passed};

/// The longest name of a test.
const LONGEST_TEST: usize = 100;
/// The longest link.
const LONGEST_LINK: usize = 2_000;

impl Gate {
    /// Keeps what a test said, and makes the transitions for which it was the last requirement.
    pub(super) async fn report(
        &self,
        permit: &Permit,
        candidate: &Candidate,
        test: &str,
        passed: bool,
        (link, tested): (Option<&str>, Option<&str>),
    ) -> Result<i64, Rejection> {
        if test.is_empty() || test.len() > LONGEST_TEST || test.chars().any(char::is_control) {
            return Err(Misread::Text("test", LONGEST_TEST).into());
        }
        if link.is_some_and(|link| link.len() > LONGEST_LINK || link.chars().any(char::is_control)) {
            return Err(Misread::Text("link", LONGEST_LINK).into());
        }
        let digest = self.known_digest(candidate).await?;
        let digest =
            digest.ok_or_else(|| Broken::Bytes("it has no files that could have been tested".to_owned()))?;
        if tested.is_some_and(|tested| tested != digest) {
            let what = format!("its files are not those that were tested: their digest is now {digest}");
            return Err(Broken::Bytes(what).into());
        }
        let said = NewEvidence {
            test: test.to_owned(),
            passed,
            link: link.map(str::to_owned),
            reporter: permit.principal().user.as_str().to_owned(),
            digest,
            at: self.clock.now(),
        };
        Ok(self.store.report(&candidate.id, &said).await?)
    }

    /// Makes transitions that were asked for and waited for evidence, where their rule is automatic.
    pub(super) async fn move_on(&self, permit: &Permit, candidate: &Candidate) -> Result<(), Rejection> {
        for request in self.store.open_requests(&candidate.id).await? {
            let (from, to) = (request.asked.from, request.asked.to);
            let automatic = permit.rules().stages.rule(from, to).is_some_and(|rule| rule.automatic);
            if !automatic || request.asked.break_glass.is_some() {
                continue;
            }
            let cause = Cause::Requirement(request.number);
            let wish = Wish { model: &candidate.id.model, version: candidate.id.version, to, cause };
            match self.promote(permit, &wish, &mut Warned::new()).await {
                // It goes on being read, and whatever else is asked for waits for the same files.
                Ok(_) | Err(Rejection::Broken(Broken::Bytes(_))) => return Ok(()),
                // Something else is missing still.
                Err(Rejection::Broken(_) | Rejection::Overtaken | Rejection::NoRequest(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// What follows from evidence that was set as a tag. The tag is set, whatever becomes of it.
    pub(super) async fn follow_evidence(&self, operation: &Operation, permit: &Permit) {
        let Some(message) = operation.message() else { return };
        let evidence = message.text("key").is_some_and(|key| key.starts_with(EVIDENCE));
        if operation.found.row.path != "model-versions/set-tag" || !evidence || self.rules == Mode::Off {
            return;
        }
        let (Some(model), Some(version)) = (message.text("name"), message.text("version")) else { return };
        let Ok(number) = version.parse() else { return };
        let moved = async {
            let candidate = self.candidate(model, number).await?;
            self.move_on(permit, &candidate).await
        };
        if let Err(error) = moved.await {
            warn!(model, version, error = error.detail(), "a transition that was asked for was not made");
        }
    }

    /// The digest that is kept, where nobody has changed the files since; else it is taken now.
    pub(super) async fn known_digest(&self, candidate: &Candidate) -> Result<Option<String>, Rejection> {
        let id = &candidate.id;
        let kept = self.store.digest(id).await?;
        let settled = self.digests.state(&id.model, id.version, id.created).is_none();
        match kept {
            Some(kept) if settled && kept.source == candidate.found.source => Ok(Some(kept.digest)),
            _ => self.digest_now(candidate).await,
        }
    }

    /// A version that is only to be made has no bytes yet that could have been tested: what says so in the create call
    /// would be shown and never count.
    pub(super) fn brings_no_evidence(&self, message: &Message, warned: &mut Warned) -> Result<(), Rejection> {
        let mut keys = message.messages("tags").filter_map(|tag| tag.text("key"));
        match keys.find(|key| key.starts_with(EVIDENCE)) {
            Some(key) => self.broken(Broken::EvidenceTooEarly(key.to_owned()), warned),
            None => Ok(()),
        }
    }

    /// What a write says of a test is kept when its intent is, and not before.
    pub(super) async fn keep_evidence(&self, passed: &Passed, trail: &mut Trail) -> Result<(), Rejection> {
        let row = passed.operation.found.row;
        let message = passed.operation.message().filter(|_| row.rule == Rule::Metadata);
        let Some(message) = message else { return Ok(()) };
        let mut warned = Warned::new();
        let deletes = row.verb == Verb::Delete;
        let kept = self.evidence_by_tag(&passed.permit, message, deletes, &mut warned).await;
        trail.note_warned(warned);
        kept
    }

    /// Evidence that is set or deleted as a tag: kept before MLflow shows it. To delete it is to say that nothing passed.
    async fn evidence_by_tag(
        &self,
        permit: &Permit,
        message: &Message,
        deletes: bool,
        warned: &mut Warned,
    ) -> Result<(), Rejection> {
        let (Some(model), Some(version), Some(key)) =
            (message.text("name"), message.text("version"), message.text("key"))
        else {
            return Ok(());
        };
        let Some(test) = key.strip_prefix(EVIDENCE) else { return Ok(()) };
        if self.rules == Mode::Off {
            return Ok(());
        }
        let passed = match message.text("value").unwrap_or_default() {
            _ if deletes => false,
            "passed" => true,
            "failed" => false,
            _ => return Err(Misread::Evidence.into()),
        };
        let version = version.parse().map_err(|_| Misread::Version)?;
        let candidate = self.candidate(model, version).await?;
        match self.report(permit, &candidate, test, passed, (None, None)).await {
            Err(Rejection::Broken(broken @ Broken::Bytes(_))) => self.broken(broken, warned),
            kept => kept.map(drop),
        }
    }
}
