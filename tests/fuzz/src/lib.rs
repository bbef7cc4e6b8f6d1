//! What must hold of every parser of hostile bytes, whatever the bytes are.
//!
//! `tests/fuzz/run` tries each function under libFuzzer; `tests/hostile_parsers.rs` includes the same file and tries them
//! under proptest, where cargo-fuzz cannot be had. A function that returns is content; one that panics has found something.

mod callers;
mod digests;
mod files;
mod house;
mod houses;
mod requests;

pub use callers::{claims, credential, token};
pub use digests::{dependencies, file_list};
pub use files::{config, coverage, policy};
pub use house::{metadata, question};
pub use houses::{name, rules, stages};
pub use requests::{artifact_path, filter, graphql, json, message, page_token, path, query, source};

/// One function: what must hold of some bytes.
pub type Check = fn(&[u8]);

/// Every function by the name of its fuzz target and its folder of seeds.
pub const TARGETS: [(&str, Check); 22] = [
    ("path", path),
    ("query", query),
    ("json", json),
    ("message", message),
    ("graphql", graphql),
    ("artifact_path", artifact_path),
    ("source", source),
    ("credential", credential),
    ("token", token),
    ("claims", claims),
    ("policy", policy),
    ("config", config),
    ("coverage", coverage),
    ("filter", filter),
    ("page_token", page_token),
    ("file_list", file_list),
    ("dependencies", dependencies),
    ("metadata", metadata),
    ("question", question),
    ("name", name),
    ("rules", rules),
    ("stages", stages),
];
