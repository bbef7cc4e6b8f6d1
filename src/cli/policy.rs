//! `sekisho policy can-i | replay`

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use clap::Subcommand;

use super::{ConfigFile, Failure, Output, print};
use crate::authz::{Authorizer, PolicySet, in_force, parse_object};
use crate::operation::{Demand, Permission};
use crate::principal::{ModelAccess, Principal, RoleName, TokenId, UserId};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Whether somebody may do something, and why: prints `yes` or `no`, exit 0 or 1.
    CanI {
        #[command(flatten)]
        config: ConfigFile,
        /// A permission, such as `model_write`.
        #[arg(value_name = "VERB")]
        permission: String,
        /// An object, such as `model:iris/stage/Production`.
        object: String,
        /// The user id.
        #[arg(long = "as", value_name = "USER")]
        user: String,
        /// A role of the token; give it several times for several.
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// What the token's `model_access` has, `*` for any run of characters; give it several times for several.
        #[arg(long = "model-access", value_name = "NAME")]
        model_access: Vec<String>,
        /// How the answer is printed.
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Decide again what the record tells of, under other policies, and list what differs: who would lose and gain what.
    /// Exits 0 if nothing differs, 1 if something does.
    Replay(super::replay::Arguments),
}

pub(super) fn run(command: Command) -> Result<ExitCode, Failure> {
    let (config, permission, object, user, roles, model_access, output) = match command {
        Command::Replay(arguments) => return super::replay::run(arguments),
        Command::CanI { config, permission, object, user, roles, model_access, output } => {
            (config, permission, object, user, roles, model_access, output)
        }
    };
    let config = config.read_or_stop()?;
    let policies = PolicySet::load(&config.policies_dir).map_err(|mistakes| Failure::stop_all(&mistakes))?;
    let permission = Permission::from_word(&permission).ok_or_else(|| {
        let known: Vec<&str> = Permission::ALL.into_iter().map(Permission::as_str).collect();
        anyhow!("`{permission}` is no permission; they are {}", known.join(", "))
    })?;
    let object = parse_object(&object).map_err(|error| anyhow!("{error}"))?;
    let role =
        |name: &String| RoleName::new(name).ok_or_else(|| anyhow!("`{}` is no role", name.escape_debug()));
    let principal = Principal {
        user: UserId::new(&user).ok_or_else(|| anyhow!("`{}` is no user id", user.escape_debug()))?,
        roles: roles.iter().map(role).collect::<Result<_, _>>()?,
        models: ModelAccess::new(model_access),
        token: TokenId::new("can-i").ok_or_else(|| anyhow!("no token id"))?,
    };
    let (_writer, reader) = in_force(policies);
    let authorizer = Authorizer::new(reader, config.into_settings().authz);
    let demand = Demand::new(permission, object);
    let (yes, reason) = match authorizer.decide(authorizer.current(), Arc::new(principal), vec![demand]) {
        Ok(permit) => match permit.observed() {
            Some(denied) => (true, format!("only because auth.mode is observe: {denied}")),
            None => {
                let rows: Vec<String> = permit.rows().iter().map(ToString::to_string).collect();
                (true, format!("{} allows it", rows.join(", ")))
            }
        },
        Err(denied) => (false, denied.to_string()),
    };
    let word = if yes { "yes" } else { "no" };
    print(&match output {
        Output::Text => format!("{word}\n{reason}\n"),
        Output::Json => format!("{}\n", serde_json::json!({ "allowed": yes, "reason": reason })),
    })?;
    Ok(if yes { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
