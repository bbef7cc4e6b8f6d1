//! `sekisho serve`

use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{ConfigFile, Failure};
use crate::app;
use crate::authz::Mode;
use crate::clock::Clock;
use crate::drain::Drained;

pub(super) fn run(config: &ConfigFile) -> Result<ExitCode, Failure> {
    let config = config.read_or_stop()?;
    if config.auth.issuers.is_empty() {
        return Err(Failure::stop(
            "no key to verify tokens with: set `auth.hs256_secret_file`, `auth.jwks_file` or `auth.jwks_url`",
        ));
    }
    tracing_subscriber::fmt()
        .json()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .init();
    let runtime = tokio::runtime::Runtime::new().context("cannot start")?;
    runtime.block_on(serve(config.into_settings()))
}

async fn serve(settings: app::Settings) -> Result<ExitCode, Failure> {
    if settings.authz.mode == Mode::Observe {
        warn!("auth.mode is observe: what policies would refuse is let through and recorded");
    }
    let bound = app::build(settings, Clock::system()).await.map_err(|error| whole(&error))?;
    info!(address = %bound.address(), admin = %bound.admin_address(), "sekisho listens");
    let (asks, reload) = mpsc::channel(1);
    let mut hangups = signal(SignalKind::hangup()).context("cannot listen for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let stop = async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = hangups.recv() => {
                    // One that waits already stands for this one too.
                    if asks.try_send(()).is_err() {
                        info!("policies are about to be read again already");
                    }
                }
            }
        }
    };
    match bound.until(stop, reload).await {
        Drained::Cleanly => info!("drained"),
        Drained::DeadlinePassed => warn!("some requests were cut at the deadline of the drain"),
    }
    Ok(ExitCode::SUCCESS)
}

fn whole(error: &app::StartError) -> Failure {
    if let app::StartError::Policies(mistakes) = error {
        return Failure::stop_all(mistakes);
    }
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    Failure::stop(said)
}
