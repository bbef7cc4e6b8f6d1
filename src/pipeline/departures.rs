//! What is deleted or renamed here is not promoted elsewhere meanwhile: where several sekishos share a state store, it is
//! told to all before it is looked at for the last time.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::warn;
use uuid::Uuid;

use crate::govern::Mode;
use crate::reject::Rejection;
use crate::route::Operation;
use crate::route::table::Rule;
use crate::store::Kind;

use super::Gate;

/// Who has been held up for longer between the look and the deed may have been taken for gone by the others
/// ([`heard`](super::heard)).
const AT_ONCE: Duration = Duration::from_millis(2_500);

/// Departures of this sekisho that have ended and of which the store has not heard.
#[derive(Debug, Default)]
pub struct Ended(Mutex<Vec<String>>);

/// A deletion or a rename that is on its way; when it is dropped it has ended, and [`Gate::end_departures`] tells it.
#[must_use]
pub(super) struct Departure<'g> {
    gate: &'g Gate,
    id: Option<String>,
}

impl Departure<'_> {
    /// It has ended, and the others may go on.
    pub(super) async fn end(mut self) {
        let Some(id) = self.id.take() else { return };
        if let Err(error) = self.gate.store.arrived(&id).await {
            warn!(%error, "that a deletion has ended is told later");
            self.id = Some(id);
        }
    }
}

impl Drop for Departure<'_> {
    fn drop(&mut self) {
        self.gate.departed.0.lock().extend(self.id.take());
    }
}

impl Gate {
    /// Tells everybody on the state store of a deletion or a rename, and then looks once more whether it may be. Nothing,
    /// where nobody else is, or nothing is lost.
    pub(super) async fn departs(&self, operation: &Operation) -> Result<Option<Departure<'_>>, Rejection> {
        let Some(message) = operation.message().filter(|_| self.store.kind() == Kind::Postgres) else {
            return Ok(None);
        };
        let row = operation.found.row;
        let Some(model) = message.text("name").filter(|_| self.rules != Mode::Off) else { return Ok(None) };
        let renamed = row.rule == Rule::Name && message.text("new_name").is_some_and(|name| name != model);
        if row.rule != Rule::NotInService && !renamed {
            return Ok(None);
        }
        let version = message.text("version").filter(|_| row.path == "model-versions/delete");
        let begun = Instant::now();
        let id = Uuid::new_v4().to_string();
        let departure = Departure { gate: self, id: Some(id.clone()) };
        self.store.depart(&id, model, version.and_then(|version| version.parse().ok())).await?;
        let found = match version {
            Some(version) => self.version_not_in_service(model, version).await,
            None => self.model_not_in_service(model).await,
        };
        self.as_the_mode_has_it(found)?;
        if begun.elapsed() > AT_ONCE {
            return Err(Rejection::Overtaken);
        }
        Ok(Some(departure))
    }

    /// Tells the state store of departures that ended while it did not answer.
    pub(super) async fn end_departures(&self) -> Result<(), crate::store::StoreError> {
        let ended = std::mem::take(&mut *self.departed.0.lock());
        for (told, id) in ended.iter().enumerate() {
            if let Err(error) = self.store.arrived(id).await {
                self.departed.0.lock().extend(ended.into_iter().skip(told));
                return Err(error);
            }
        }
        Ok(())
    }
}
