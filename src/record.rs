//! The record: lines in files, chained and signed, of which none can be changed or taken out without being noticed
//! (DESIGN section 10).
//!
//! What a line means is not known here; `audit` writes them. `docs/record.md` says how somebody else checks them.

pub mod chain;
pub mod fault;
pub mod folder;
pub mod frames;
mod handle;
pub mod key;
pub mod layout;
pub mod ledger;
pub mod line;
mod opening;
pub mod paper;
pub mod read;
pub mod rekey;
pub mod reopen;
pub mod retain;
pub mod verify;
pub mod walk;
pub mod writer;

pub use folder::host;
pub use handle::{Mode, Place, Record, Standing, Unrecorded};
pub use ledger::Rhythm;
pub use opening::{OpenError, Settings, open};
pub use reopen::ReopenError;
pub use writer::Writer;

#[cfg(test)]
mod tests;
