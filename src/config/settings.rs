//! From what was configured to what each room is given.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Audit, Cache, Config, Issuer, KeySource, Mode, UpstreamAddress};
use crate::app::{self, GRACE};
use crate::listen::{Ceilings, TlsFiles};
use crate::pipeline::{Patience, SETTLES};
use crate::route::cross_site::Origins;
use crate::{authn, authz, cache, limit, listen, record, store, upstream, workers};

impl Config {
    /// Hands each room its own part.
    #[must_use]
    pub fn into_settings(self) -> app::Settings {
        let tls = self.server.tls.map(|tls| TlsFiles {
            certificate: tls.cert_file,
            key: tls.key_file,
            client_ca: tls.client_ca_file,
        });
        let address = match self.upstream.address {
            UpstreamAddress::Http(url) => upstream::Address::Http(url),
            UpstreamAddress::Unix(path) => upstream::Address::Unix(path),
        };
        let mut upstream = upstream::Settings::at(address);
        if let Some(prefix) = &self.upstream.static_prefix {
            upstream.health.insert_str(0, prefix);
        }
        app::Settings {
            listen: listener(self.server.listen, tls),
            admin: listener(self.admin_listen, None),
            authn: authn::Settings {
                issuers: self.auth.issuers.into_iter().map(issuer).collect(),
                user_claim: self.auth.user_claim,
                role_claim: self.auth.role_claim,
                model_access_claim: self.auth.model_access_claim,
            },
            authz: authz::Settings {
                require_model_access: self.auth.require_model_access,
                mode: match self.auth.mode {
                    Mode::Enforce => authz::Mode::Enforce,
                    Mode::Observe => authz::Mode::Observe,
                },
            },
            policies_dir: self.policies_dir,
            upstream,
            state: self.state,
            state_within: store::WITHIN,
            record: record_settings(&self.audit),
            reads: self.audit.reads,
            cache: cache_settings(self.cache),
            static_prefix: self.upstream.static_prefix,
            presigned: self.presigned,
            rules: self.rules,
            read_versions_at_start: true,
            patience: Patience::default(),
            settles: SETTLES,
            origins: Origins::new(self.server.cors_origins),
            limits: limit::Settings {
                requests_per_second: self.limits.requests_per_second,
                burst: self.limits.burst,
                ..limit::Settings::default()
            },
            grace: GRACE,
            workers: workers::usual(),
        }
    }
}

fn listener(addr: SocketAddr, tls: Option<TlsFiles>) -> listen::Settings {
    listen::Settings { addr, tls, ceilings: Ceilings::default() }
}

fn issuer(issuer: Issuer) -> authn::IssuerSettings {
    let Issuer { issuer, audience, key, users, roles } = issuer;
    let key = match key {
        KeySource::Hs256(secret) => authn::KeySource::Hs256(secret),
        KeySource::JwksFile(path) => authn::KeySource::JwksFile(path),
        KeySource::JwksUrl(url) => authn::KeySource::JwksUrl(url),
    };
    authn::IssuerSettings { issuer, audience, key, users, roles }
}

fn cache_settings(cache: Cache) -> cache::Settings {
    cache::Settings {
        ttl: Duration::from_secs(cache.ttl_seconds.into()),
        bytes: u64::from(cache.max_mb) * 1024 * 1024,
        stale: Duration::from_secs(cache.stale_seconds.into()),
    }
}

fn record_settings(audit: &Audit) -> record::Settings {
    let days = u64::from(audit.keep_days);
    record::Settings {
        path: audit.path.clone(),
        instance: audit.instance.clone().unwrap_or_else(record::host),
        mode: audit.mode,
        signing_key_file: audit.signing_key_file.clone(),
        rhythm: record::Rhythm {
            file_bytes: u64::from(audit.file_mb) * 1024 * 1024,
            ..record::Rhythm::default()
        },
        keep: (days > 0).then(|| Duration::from_secs(days * 24 * 60 * 60)),
    }
}
