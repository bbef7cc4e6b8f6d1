//! Reads, while the caller waits: from memory where the answer is kept there, else from MLflow.

use std::sync::Arc;

use http::request::Parts;
use http::{Response, StatusCode};

use crate::audit::{Told, Trail};
use crate::authz::Permit;
use crate::cache::{From, Question, Shown};
use crate::limit::{Fare, Slot};
use crate::listen::{Outbound, boxed, full};
use crate::lists::{Asking, List, ListError};
use crate::reject::Rejection;
use crate::route::Operation;
use crate::stage::Stage;
use crate::upstream::{Order, UpstreamError};

use super::perform::ANSWER;
use super::remembered::{Read, asks_mlflow};
use super::trodden::Kept;
use super::upload::endable;
use super::{Gate, Passed, answer};

/// A longer page is put together each time.
const LONGEST_PAGE: usize = 256 * 1024;

impl Gate {
    pub(super) async fn read(
        &self,
        passed: Passed,
        mut trail: Trail,
        mut fare: Option<Fare>,
    ) -> Response<Outbound> {
        let head = passed.operation.found.head;
        let graphql = answer::root_of(&passed.operation);
        let Passed { mut slot, mut operation, permit, parts, stream, peer, .. } = passed;
        let wanted = self.take_wanted(&mut operation);
        let on = self.cache.is_on(self.clock.steady());
        let answered = if let Some(question) = Question::of(&operation).filter(|_| on) {
            let read =
                Read { question, operation: &operation, wanted: wanted.as_deref(), sent: &parts.headers };
            let id = trail.id().clone();
            let order = || {
                self.pay(&mut fare)?;
                Ok(self.order(&operation, &parts, None, peer.addr.ip(), &id))
            };
            let answered = self.remembered(&read, order, &mut trail, &mut slot).await;
            answered.map(|(response, kept)| {
                if let Some(kept) = kept.filter(|_| response.status() == StatusCode::OK) {
                    self.tread(&parts, (&permit, &trail), kept, response.headers());
                }
                response.map(full)
            })
        } else {
            let stream = stream.map(|stream| endable(stream).0);
            let mut order = self.order(&operation, &parts, stream, peer.addr.ip(), trail.id());
            answer::ask_for_the_whole(&mut order.headers, &operation);
            if List::of(operation.found.row.answer).is_some() {
                let order = (order, &mut fare);
                self.listed(&operation, (&permit, &parts), order, &mut trail, &mut slot).await
            } else if let Err(rejection) = self.pay(&mut fare) {
                Err(rejection)
            } else {
                self.asked_anew(&operation, &permit, (wanted, order), &mut trail, &mut slot).await
            }
        };
        match answered {
            Ok(response) => read_to_its_end(response, head, trail, slot),
            Err(rejection @ Rejection::OverLimit(_)) => {
                answer::refuse(&rejection, trail, graphql.as_deref(), head)
            }
            Err(rejection) => answer::fail(&rejection, trail, graphql.as_deref()),
        }
    }

    /// A page of a list, as far as the caller may see it.
    async fn listed(
        &self,
        operation: &Operation,
        (permit, parts): (&Permit, &Parts),
        order: (Order, &mut Option<Fare>),
        trail: &mut Trail,
        slot: &mut Slot,
    ) -> Result<Response<Outbound>, Rejection> {
        let mut asking = Asking { anew: asks_mlflow(&parts.headers), ..Asking::default() };
        // Before anything is looked at: what changes meanwhile has the next one look anew.
        let before = (self.cache.before_page(self.clock.steady()), self.stages.generation());
        let page = self.page(operation, permit, order, &mut asking, slot).await;
        asking.status.into_iter().for_each(|status| trail.note_upstream(status));
        let (mut page, settled) = page.map_err(|rejection| {
            if let Rejection::List(ListError::Upstream(UpstreamError::NoRoom(over))) = rejection {
                over.into()
            } else {
                rejection
            }
        })?;
        let Some(from) = asking.from.filter(|_| self.cache.is_on(self.clock.steady())) else {
            return Ok(page.map(full));
        };
        if let ((Some(mark), stages), Some(asked)) = (before, asking.asked)
            && settled
            && from == From::Memory
            && page.status() == StatusCode::OK
            && page.body().len() <= LONGEST_PAGE
        {
            let shown = Arc::new(Shown::new(page.body().clone(), stages, settled));
            let entry = Arc::new(self.cache.page(page.clone(), mark, asked));
            self.tread(parts, (permit, trail), Kept { entry, shown }, page.headers());
        }
        self.tell_source(page.headers_mut(), from, None);
        Ok(page.map(full))
    }

    /// What MLflow says now, as far as the caller may see it.
    async fn asked_anew(
        &self,
        operation: &Operation,
        permit: &Permit,
        (wanted, order): (Option<Vec<Stage>>, Order),
        trail: &mut Trail,
        slot: &mut Slot,
    ) -> Result<Response<Outbound>, Rejection> {
        let response = self.mlflow.send(order).await?;
        trail.note_upstream(response.status());
        match wanted {
            Some(wanted) => self.shown(response, operation, &wanted, slot).await,
            None => answer::filtered(response, operation, permit, ANSWER, slot).await,
        }
    }
}

/// An answer whose line is closed when it has been taken.
fn read_to_its_end(response: Response<Outbound>, head: bool, trail: Trail, slot: Slot) -> Response<Outbound> {
    let (mut parts, body) = response.into_parts();
    answer::finish(&mut parts.headers, trail.id());
    let (body, status) = (slot.until_end_of(body), parts.status);
    if head {
        trail.close(status);
        return Response::from_parts(parts, boxed(body));
    }
    Response::from_parts(parts, boxed(Told::new(body, trail, status)))
}
