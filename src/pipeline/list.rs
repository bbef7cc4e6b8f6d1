//! A page of a list, as far as its reader may see.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Response, StatusCode};
use parking_lot::Mutex;

use crate::authz::Permit;
use crate::index::Asker;
use crate::limit::{Fare, Slot};
use crate::lists::{Asking, List, Query, Search, Source};
use crate::operation::{Object, Permission};
use crate::reject::Rejection;
use crate::route::Operation;
use crate::route::table::Answer;
use crate::stage::Stage;
use crate::upstream::Order;

use super::Gate;

impl Gate {
    /// `order` is the request as it would go on to MLflow: its headers go with each question of the walk, which `asking` tells
    /// of. Also whether the page stays as it is until something is written.
    pub(super) async fn page(
        &self,
        operation: &Operation,
        permit: &Permit,
        (order, fare): (Order, &mut Option<Fare>),
        asking: &mut Asking,
        slot: &mut Slot,
    ) -> Result<(Response<Bytes>, bool), Rejection> {
        let list = if operation.found.row.answer == Answer::RegisteredModels {
            List::Models
        } else {
            List::Versions
        };
        let message = operation.says();
        let path =
            format!("{}{}", self.static_prefix.as_deref().unwrap_or_default(), operation.found.write_path());
        let order_by: Vec<Cow<'_, str>> =
            message.texts("order_by").map(|order| as_mlflows(list, order)).collect();
        let order_by: Vec<&str> = order_by.iter().map(AsRef::as_ref).collect();
        let seen = |model: &str| permit.covers(Permission::MetadataRead, &Object::Model(model.into()));
        let search = Search {
            list,
            query: Query {
                path: &path,
                filter: message.text("filter").unwrap_or_default(),
                order_by: &order_by,
            },
            max_results: message.text("max_results"),
            page_token: message.text("page_token"),
            user: permit.principal().user.as_str(),
            seen: &seen,
            named: permit.named_models(),
            sees_all: permit.covers(Permission::Admin, &Object::Server),
        };
        let fare = Mutex::new(fare);
        let may_ask = || fare.lock().as_mut().map_or(Ok(()), |fare| self.limits.charge(fare));
        let source = Source {
            mlflow: &self.mlflow,
            cache: &self.cache,
            index: &self.index,
            asker: Asker { facts: &self.facts, mlflow: &self.mlflow },
            clock: &self.clock,
            may_ask: &may_ask,
        };
        let page = self.lists.page(&source, &search, order.headers, asking, slot).await?;
        if page.status() != StatusCode::OK || !self.calls_stages(operation.found.row.answer) {
            return Ok((page, true));
        }
        let (parts, body) = page.into_parts();
        let said = self.in_house_words(operation, &Stage::ALL, body, slot).await?;
        Ok((Response::from_parts(parts, said.body), said.settled))
    }
}

/// Databricks calls by `version` what MLflow calls by `version_number`, and MLflow has nothing of the first name.
fn as_mlflows(list: List, order: &str) -> Cow<'_, str> {
    let rest = order.strip_prefix("version").filter(|rest| rest.is_empty() || rest.starts_with(' '));
    match (list, rest) {
        (List::Versions, Some(rest)) => format!("version_number{rest}").into(),
        (List::Versions | List::Models, _) => order.into(),
    }
}
