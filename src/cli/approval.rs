//! `sekisho approval request | list | show | approve | reject | withdraw`

mod call;
mod shown;

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{Failure, Output, print};
use crate::stage::Stage;
use call::{Reached, Server};

/// So many pages of a list are asked for: each says where the next one begins.
const PAGES: usize = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Ask for a transition. Who may approve it sees the request; with the last approval it is made.
    Request {
        /// The model's name.
        model: String,
        /// The version's number.
        #[arg(id = "number_of_version", value_name = "VERSION")]
        version: u64,
        /// Where it is to go; the case of letters does not matter.
        #[arg(value_parser = stage)]
        stage: Stage,
        /// Why, for those who approve.
        #[arg(long, default_value = "")]
        comment: String,
        /// Make the transition at once, against the rules of stages: for administrators, with a comment, and for the record.
        #[arg(long, requires = "comment")]
        break_glass: bool,
        #[command(flatten)]
        server: Server,
    },
    /// List the requests that wait for somebody, or those of which something else has become, the earliest first.
    List {
        /// What has become of them: open, done, rejected, withdrawn or void. Void ones say why.
        #[arg(long, default_value = "open", value_parser = ["open", "done", "rejected", "withdrawn", "void"])]
        state: String,
        /// Those of this model alone.
        #[arg(long)]
        model: Option<String>,
        #[command(flatten)]
        server: Server,
    },
    /// Show one request: what would go where, who asked and why, who approved, and what is still missing.
    Show {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        server: Server,
    },
    /// Approve a request. The transition is made if nothing else is missing.
    Approve {
        #[command(flatten)]
        which: Which,
        /// What you say to it.
        #[arg(long)]
        comment: Option<String>,
        #[command(flatten)]
        server: Server,
    },
    /// Reject a request.
    Reject {
        #[command(flatten)]
        which: Which,
        /// Why.
        #[arg(long)]
        comment: String,
        #[command(flatten)]
        server: Server,
    },
    /// Take back a request of your own.
    Withdraw {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        server: Server,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The request's number.
    #[arg(value_parser = clap::value_parser!(i64).range(1..))]
    number: i64,
}

pub(super) fn run(command: &Command) -> Result<ExitCode, Failure> {
    let server = match command {
        Command::Request { server, .. }
        | Command::List { server, .. }
        | Command::Show { server, .. }
        | Command::Approve { server, .. }
        | Command::Reject { server, .. }
        | Command::Withdraw { server, .. } => server,
    };
    let reached = server.reach()?;
    let decide = |which: &Which, verb: &str, comment: Option<&str>| {
        let body = comment.map_or_else(|| json!({}), |comment| json!({ "comment": comment }));
        reached.post(&["approvals", &which.number.to_string(), verb], &body)
    };
    let said = match command {
        Command::Request { model, version, stage, comment, break_glass, .. } => {
            let mut body = json!({
                "name": model, "version": version.to_string(), "stage": stage.as_str(), "comment": comment,
            });
            if let (true, Some(body)) = (*break_glass, body.as_object_mut()) {
                body.insert("break_glass".to_owned(), true.into());
            }
            reached.post(&["approvals"], &body)
        }
        Command::List { model, state, .. } => {
            return list(&reached, [("name", model.as_deref()), ("state", Some(state))], server.output);
        }
        Command::Show { which, .. } => reached.get(&["approvals", &which.number.to_string()], &[]),
        Command::Approve { which, comment, .. } => decide(which, "approve", comment.as_deref()),
        Command::Reject { which, comment, .. } => decide(which, "reject", Some(comment)),
        Command::Withdraw { which, .. } => decide(which, "withdraw", None),
    }?;
    let request = said.get("request").cloned().unwrap_or(Value::Null);
    print(&match server.output {
        Output::Json => format!("{request}\n"),
        Output::Text => shown::request(&call::understood(request)?),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn list(
    reached: &Reached,
    [model, state]: [(&str, Option<&str>); 2],
    output: Output,
) -> Result<ExitCode, Failure> {
    let mut requests: Vec<Value> = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..PAGES {
        let asked = [model, state, ("after", after.as_deref())];
        let asked: Vec<(&str, &str)> =
            asked.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        let mut page = reached.get(&["approvals"], &asked)?;
        if let Some(Value::Array(listed)) = page.get_mut("requests").map(Value::take) {
            requests.extend(listed);
        }
        after = page.get("next_after").and_then(Value::as_str).map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    if after.is_some() {
        return Err(Failure::stop("there are more requests than can be listed; name a model with --model"));
    }
    print(&match output {
        Output::Json => format!("{}\n", Value::Array(requests)),
        Output::Text => {
            let read: Vec<shown::Request> =
                requests.into_iter().map(call::understood).collect::<Result<_, _>>()?;
            shown::table(&read)
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn stage(text: &str) -> Result<Stage, String> {
    Stage::named(text).ok_or_else(|| format!("stages are {}", Stage::NAMES.join(", ")))
}
