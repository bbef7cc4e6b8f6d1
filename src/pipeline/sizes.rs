//! How much a model or version may say of itself. Lists carry all of it, and one row that is too large to be read would keep
//! everybody from knowing whose files are whose.

use std::collections::BTreeMap;

use crate::facts::Version;
use crate::govern::Broken;
use crate::govern::sizes::{self, MOST_TAGS};
use crate::ownership::Holding;
use crate::reject::Rejection;
use crate::route::message::Message;

use super::Gate;

impl Gate {
    /// A tag that is set has room among the others of its model or version; gives the version, if it is one's. Two at once do
    /// not both take the last of it.
    pub(super) async fn has_room(
        &self,
        path: &str,
        message: &Message,
        holding: &mut Holding,
    ) -> Result<Option<Version>, Rejection> {
        let Some(model) = message.text("name") else { return Ok(None) };
        match (path, message.text("version")) {
            ("model-versions/set-tag", Some(version)) => {
                let found = self.held_version(model, version, holding).await?;
                if let Some(found) = &found {
                    beside(&found.tags, message)?;
                }
                Ok(found)
            }
            ("registered-models/set-tag", _) => {
                *holding = Holding::Alone(self.alone_with(model, "").await);
                let tags = self.facts.model_tags(&self.mlflow, model).await?;
                tags.map_or(Ok(()), |tags| beside(&tags, message))?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }
}

/// Whether a tag has room beside those that are there.
fn beside(tags: &BTreeMap<String, String>, message: &Message) -> Result<(), Broken> {
    let [key, value] = ["key", "value"].map(|field| message.text(field).unwrap_or_default());
    let others = tags.iter().filter(|(known, _)| *known != key);
    let size: usize = others.map(|(key, value)| key.len() + value.len()).sum();
    if size + key.len() + value.len() > MOST_TAGS { Err(Broken::TooMuch(sizes::TAGS)) } else { Ok(()) }
}
