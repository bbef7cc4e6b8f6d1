//! Aliases as gates: one that serves like a stage is given to a version that stands there, or may (`[[gates]]`).

use crate::authz::Permit;
use crate::govern::{Broken, Mode};
use crate::ownership::Holding;
use crate::reject::Rejection;
use crate::route::Misread;
use crate::route::message::Message;
use crate::stage::Stage;

use super::super::Gate;
use super::super::rules::Warned;
use super::{Cause, Wish};

impl Gate {
    /// Whether a version may have an alias. It stays where it stands until the alias is given.
    pub(in super::super) async fn may_be_called(
        &self,
        permit: &Permit,
        message: &Message,
        holding: &mut Holding,
        warned: &mut Warned,
    ) -> Result<(), Rejection> {
        let (Some(model), Some(version), Some(alias)) =
            (message.text("name"), message.text("version"), message.text("alias"))
        else {
            return Ok(());
        };
        let Some(to) = permit.rules().stages.gate(alias).filter(|_| self.rules != Mode::Off) else {
            return Ok(());
        };
        let version: u64 = version.parse().map_err(|_| Misread::Version)?;
        *holding = Holding::Alone(self.alone_with(model, &version.to_string()).await);
        let candidate = self.settled(model, version).await?;
        if candidate.stand.stage == to {
            return Ok(());
        }
        let wish = Wish { model, version, to, cause: Cause::Caller };
        self.weigh(permit, &candidate, &wish, None, warned).await?;
        if candidate.stand.stage == Stage::Development && !candidate.is_free_of_stages(permit) {
            let what = format!(
                "{model}/{version} stands in Development, where its files may still change: have it go to {to} first"
            );
            self.broken(Broken::Stage(what), warned)?;
        }
        Ok(())
    }
}
