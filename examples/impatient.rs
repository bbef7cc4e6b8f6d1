//! sekisho as it is, but that calls wait a second for files to be read, and what was read is there for six seconds more:
//! for tests of what outlasts a call. `impatient serve --config FILE`
#![expect(clippy::expect_used, reason = "a server that cannot be started ends the program")]

use std::path::Path;
use std::time::Duration;

use sekisho::clock::Clock;
use sekisho::pipeline::Patience;
use sekisho::{app, config};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() {
    let file = std::env::args().next_back().expect("a file");
    let config = config::read(Some(Path::new(&file)), config::environment()).expect("a configuration");
    let mut settings = config.into_settings();
    settings.patience = Patience {
        wait: Duration::from_secs(1),
        kept: Duration::from_secs(6),
        renewed: Duration::from_millis(200),
        ..Patience::default()
    };
    let bound = app::build(settings, Clock::system()).await.expect("a server");
    let (_asks, reload) = mpsc::channel(1);
    let mut terminate = signal(SignalKind::terminate()).expect("a signal");
    let stop = async move {
        let _told = terminate.recv().await;
    };
    let _drained = bound.until(stop, reload).await;
}
