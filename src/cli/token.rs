//! `sekisho token issue | inspect`

use std::io::Read;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Subcommand;

use super::span::span;
use super::{ConfigFile, Failure, Output, print};
use crate::authn::{self, Authenticator, IssueClaims, KeySource};
use crate::clock::Clock;
use crate::principal::{Principal, RoleName, UserId};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Sign a token with the configured shared secret, and print it alone.
    Issue {
        #[command(flatten)]
        config: ConfigFile,
        /// The user id.
        #[arg(long)]
        user: String,
        /// A role; give it several times for several.
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// A model's name, `*` for any run of characters; give it several times for several.
        #[arg(long = "model-access", value_name = "NAME")]
        model_access: Vec<String>,
        /// How long it lasts, such as `30m`, `8h` or `7d`.
        #[arg(long, default_value = "8h", value_parser = span)]
        ttl: Duration,
        /// Which of the configured issuers signs it, by its `issuer`; else the first with a shared secret.
        #[arg(long)]
        issuer: Option<String>,
    },
    /// Print what a token says and whether it holds: exit 0 or 1.
    Inspect {
        #[command(flatten)]
        config: ConfigFile,
        /// The token; `-` reads it from standard input, so that no list of processes shows it.
        #[arg(default_value = "-")]
        token: String,
        /// How the answer is printed.
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
}

pub(super) fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Issue { config, user, roles, model_access, ttl, issuer } => {
            let settings = config.read_or_stop()?.into_settings().authn;
            let wanted = |settings: &&authn::IssuerSettings| match &issuer {
                Some(name) => settings.issuer.as_ref() == Some(name),
                None => matches!(settings.key, KeySource::Hs256(_)),
            };
            let signer = settings.issuers.iter().find(wanted);
            let Some(authn::IssuerSettings { issuer, audience, key: KeySource::Hs256(secret), .. }) = signer
            else {
                return Err(Failure::stop("no shared secret to sign with: set `auth.hs256_secret_file`"));
            };
            let user =
                UserId::new(&user).ok_or_else(|| anyhow!("`{}` is no user id", user.escape_debug()))?;
            let name = |role: &String| {
                RoleName::new(role).ok_or_else(|| anyhow!("`{}` is no role", role.escape_debug()))
            };
            let claims = IssueClaims {
                user,
                roles: roles.iter().map(name).collect::<Result<_, _>>()?,
                model_access,
                ttl,
                issuer: issuer.clone(),
                audience: audience.clone(),
                names: settings.claim_names(),
            };
            let token = authn::issue(secret, &claims, &Clock::system()).context("no token was made")?;
            let roles = claims.roles;
            let held = judge(settings.clone(), &token)
                .map_err(|reason| anyhow!("the gate would not take this token: {reason}"))?;
            if !roles.iter().all(|role| held.roles.contains(role)) {
                return Err(Failure::stop("the issuer may not vouch for every one of these roles (`roles`)"));
            }
            print(&format!("{token}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Inspect { config, token, output } => inspect(&config, &token, output),
    }
}

fn inspect(config: &ConfigFile, token: &str, output: Output) -> Result<ExitCode, Failure> {
    let mut read = String::new();
    let token = if token == "-" {
        std::io::stdin().take(64 * 1024).read_to_string(&mut read).context("cannot read the token")?;
        read.trim()
    } else {
        token.trim()
    };
    let settings = config.read_or_stop()?.into_settings().authn;
    let judged = judge(settings, token);
    // What is no token says nothing; the verdict tells why.
    let (header, claims) = authn::inspect(token)
        .map(|said| (serde_json::Value::Object(said.header), serde_json::Value::Object(said.claims)))
        .unwrap_or_default();
    let verdict = judged.as_ref().err().map_or("the token holds", String::as_str);
    let text = match output {
        Output::Text => format!("header  {header}\nclaims  {claims}\nverdict {verdict}\n"),
        Output::Json => {
            let holds = judged.is_ok();
            let whole =
                serde_json::json!({ "header": header, "claims": claims, "holds": holds, "verdict": verdict });
            format!("{whole}\n")
        }
    };
    print(&text)?;
    Ok(if judged.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// What the gate would say of a token.
fn judge(settings: authn::Settings, token: &str) -> Result<Arc<Principal>, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        match Authenticator::new(settings, Clock::system()) {
            Ok(authenticator) => authenticator.judge(token).await.map_err(|refusal| refusal.to_string()),
            Err(error) => Err(error.to_string()),
        }
    })
}
