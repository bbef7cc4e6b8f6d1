//! The whole proxy in process, between a caller and a stub of MLflow: real sockets, any port, no sleeps.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what a test's own scaffolding finds wrong ends the test"
)]

mod caller;
mod proxy;
mod stub;

mod cors;
mod crashes;
mod digests;
mod draining;
mod experiments;
mod failures;
mod files;
mod floods;
mod forwarded;
mod frames;
mod hangups;
mod lines;
mod lists;
mod misbehaving;
mod observe;
mod pages;
mod policies;
mod refusals;
mod registry;
mod rotation;
mod rules;
mod secured;
mod shown;
mod smuggling;
mod sources;
mod stages;
mod trodden;
