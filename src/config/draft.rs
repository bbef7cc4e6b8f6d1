//! A configuration in the making: each key by itself has been understood, or is missing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::{KeySource, Mode, UpstreamAddress};
use crate::{audit, govern, record, store};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A line of the file, counted from 1.
    Line(usize),
    /// An environment variable.
    Variable(String),
}

#[derive(Default)]
pub(super) struct Draft {
    pub(super) listen: Option<SocketAddr>,
    pub(super) tls_cert_file: Option<PathBuf>,
    pub(super) tls_key_file: Option<PathBuf>,
    pub(super) client_ca_file: Option<PathBuf>,
    pub(super) cors_origins: Vec<String>,
    pub(super) upstream: Option<UpstreamAddress>,
    pub(super) static_prefix: Option<String>,
    pub(super) user_claim: Option<String>,
    pub(super) role_claim: Option<String>,
    pub(super) model_access_claim: Option<String>,
    pub(super) require_model_access: Option<bool>,
    pub(super) mode: Option<Mode>,
    pub(super) cache_ttl_seconds: Option<u32>,
    pub(super) cache_max_mb: Option<u32>,
    pub(super) cache_stale_seconds: Option<u32>,
    pub(super) presigned: Option<bool>,
    pub(super) rules: Option<govern::Mode>,
    pub(super) requests_per_second: Option<u32>,
    pub(super) burst: Option<u32>,
    pub(super) policies_dir: Option<PathBuf>,
    pub(super) state: Option<store::Address>,
    pub(super) audit_path: Option<PathBuf>,
    pub(super) audit_instance: Option<String>,
    pub(super) audit_mode: Option<record::Mode>,
    pub(super) audit_reads: Option<audit::Reads>,
    pub(super) audit_key: Option<PathBuf>,
    pub(super) audit_file_mb: Option<u32>,
    pub(super) audit_keep_days: Option<u32>,
    pub(super) admin_listen: Option<SocketAddr>,
}

/// One issuer, of the plain `auth.` keys or of the list.
#[derive(Default)]
pub(super) struct IssuerDraft {
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) key: Option<KeySource>,
    pub(super) users: Vec<String>,
    pub(super) roles: Vec<String>,
    /// How a person finds it: `auth` or `auth.issuers[0]`.
    pub(super) name: String,
    /// Where it begins; `None` for the plain `auth.` keys.
    pub(super) place: Option<Place>,
    /// Where each of its keys (by the word after the last dot) was written, right or wrong.
    pub(super) places: BTreeMap<&'static str, Place>,
}
