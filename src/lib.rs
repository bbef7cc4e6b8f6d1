//! sekisho: a checkpoint in front of an unmodified MLflow server.
//!
//! Modules are listed in the order in which a request meets them; a module uses only those above it.

pub mod clock;
pub mod glob;
pub mod ids;
pub mod mistake;
pub mod operation;
pub mod principal;
pub mod secret;
pub mod stage;
pub mod seal;
pub mod share;
pub mod stall;
pub mod drain;
pub mod ready;
pub mod outbound;
pub mod record;
pub mod workers;
pub mod review;
pub mod listen;
pub mod limit;
pub mod authn;
pub mod route;
pub mod rules;
pub mod store;
pub mod authz;
pub mod govern;
pub mod stages;
pub mod upstream;
pub mod cache;
pub mod facts;
pub mod ownership;
pub mod registry;
pub mod aftermath;
pub mod digest;
pub mod filter;
pub mod index;
pub mod lists;
pub mod audit;
pub mod replay;
pub mod reject;
pub mod pipeline;
pub mod admin;
pub mod app;
pub mod config;
pub mod cli;
