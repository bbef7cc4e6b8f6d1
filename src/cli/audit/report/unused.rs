//! `sekisho audit report unused-rights`

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;

use super::super::super::plain::plain;
use super::super::super::{Failure, Output, print};
use super::{Of, untold, untold_in_json};
use crate::authz::PolicySet;
use crate::clock::Clock;
use crate::replay::used;

/// Rights that nobody needs: for so long, if nobody says otherwise.
const DAYS: i64 = 90;

pub(super) fn unused(of: &Of) -> Result<ExitCode, Failure> {
    let config = of.config.read_or_stop()?;
    let reads = config.audit.reads;
    let policies = PolicySet::load(&config.policies_dir).map_err(|mistakes| Failure::stop_all(&mistakes))?;
    let version = policies.version().to_string();
    let folder = of.folder()?;
    let ago = jiff::SignedDuration::from_hours(24 * DAYS);
    let since = of.since().or_else(|| Clock::system().now().checked_sub(ago).ok());
    let used = used(&folder, since, Arc::new(policies), config.into_settings().authz)
        .with_context(|| format!("cannot read {}", folder.display()))?;
    let unused: Vec<_> = used.rows.iter().filter(|(_, _, seen)| seen.is_none()).collect();
    print(&match of.output {
        Output::Text => {
            let mut text: String =
                unused.iter().map(|(place, says, _)| format!("{place}: {}\n", plain(says))).collect();
            text.push_str(&format!(
                "{} of {} rows of the policies {version} were not needed for any of {} requests that were let through\n",
                unused.len(),
                used.rows.len(),
                used.allowed,
            ));
            text.push_str(&untold(&used.gaps, since, reads));
            text
        }
        Output::Json => {
            let rows = unused.iter().map(|(place, says, _)| json!({ "row": place, "says": says }));
            let said = json!({
                "policy": version, "unused": rows.collect::<Vec<_>>(), "rows": used.rows.len(),
                "allowed": used.allowed, "gaps": untold_in_json(&used.gaps, reads),
            });
            format!("{said}\n")
        }
    })?;
    Ok(ExitCode::SUCCESS)
}
