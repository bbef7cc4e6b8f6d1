//! Reads, while the caller waits: from memory where the answer is kept there, else from MLflow.

use http::Response;

use crate::audit::{Told, Trail};
use crate::authz::Permit;
use crate::cache::Question;
use crate::limit::Slot;
use crate::listen::{Outbound, boxed, full};
use crate::lists::{Asking, List};
use crate::reject::Rejection;
use crate::route::Operation;
use crate::stage::Stage;
use crate::upstream::Order;

use super::perform::ANSWER;
use super::remembered::{Read, asks_mlflow};
use super::upload::endable;
use super::{Gate, Passed, answer};

impl Gate {
    pub(super) async fn read(&self, passed: Passed, mut trail: Trail) -> Response<Outbound> {
        let head = passed.operation.found.head;
        let graphql = answer::root_of(&passed.operation);
        let Passed { mut slot, mut operation, permit, parts, stream, peer, .. } = passed;
        let wanted = self.take_wanted(&mut operation);
        let question = Question::of(&operation).filter(|_| self.cache.is_on(self.clock.steady()));
        let answered = if let Some(question) = question {
            let read =
                Read { question, operation: &operation, wanted: wanted.as_deref(), sent: &parts.headers };
            let id = trail.id().clone();
            let order = || self.order(&operation, &parts, None, peer.addr.ip(), &id);
            let answered = self.remembered(&read, order, &mut trail, &mut slot).await;
            answered.map(|response| response.map(full))
        } else {
            let stream = stream.map(|stream| endable(stream).0);
            let mut order = self.order(&operation, &parts, stream, peer.addr.ip(), trail.id());
            answer::ask_for_the_whole(&mut order.headers, &operation);
            if List::of(operation.found.row.answer).is_some() {
                let asking = Asking { anew: asks_mlflow(&parts.headers), ..Asking::default() };
                self.listed(&operation, &permit, order, asking, &mut trail, &mut slot).await
            } else {
                self.asked_anew(&operation, &permit, wanted, order, &mut trail, &mut slot).await
            }
        };
        match answered {
            Ok(response) => {
                let (mut parts, body) = response.into_parts();
                answer::finish(&mut parts.headers, trail.id());
                if head {
                    trail.close(parts.status);
                    return Response::from_parts(parts, boxed(slot.until_end_of(body)));
                }
                let status = parts.status;
                Response::from_parts(parts, boxed(Told::new(slot.until_end_of(body), trail, status)))
            }
            Err(rejection) => answer::fail(&rejection, trail, graphql.as_deref()),
        }
    }

    /// A page of a list, as far as the caller may see it.
    async fn listed(
        &self,
        operation: &Operation,
        permit: &Permit,
        order: Order,
        mut asking: Asking,
        trail: &mut Trail,
        slot: &mut Slot,
    ) -> Result<Response<Outbound>, Rejection> {
        let page = self.page(operation, permit, order, &mut asking, slot).await;
        asking.status.into_iter().for_each(|status| trail.note_upstream(status));
        let mut page = page?;
        if let Some(from) = asking.from.filter(|_| self.cache.is_on(self.clock.steady())) {
            self.tell_source(page.headers_mut(), from, None);
        }
        Ok(page.map(full))
    }

    /// What MLflow says now, as far as the caller may see it.
    async fn asked_anew(
        &self,
        operation: &Operation,
        permit: &Permit,
        wanted: Option<Vec<Stage>>,
        order: Order,
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
