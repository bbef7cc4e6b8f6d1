//! The whole proxy in process, between a caller and a stub of MLflow: real sockets, any port, no sleeps.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what a test's own scaffolding finds wrong ends the test"
)]

mod caller;
mod proxy;
mod stub;

mod draining;
mod experiments;
mod failures;
mod floods;
mod forwarded;
mod hangups;
mod lines;
mod lists;
mod observe;
mod policies;
mod refusals;
mod secured;
mod sources;
mod stages;
