//! What was meant: each key understood by itself, then all of them together.

use std::net::{IpAddr, SocketAddr};

use super::draft::{Draft, IssuerDraft, Place};
use super::keys::{Key, Slot, keys};
use super::written::{Found, Set, Source};
use super::{Audit, Auth, Cache, Config, Issuer, Limits, Server, Tls, Upstream, issuers};
use crate::mistake::Mistake;

/// The configuration, if every key could be understood, and what is wrong.
pub(super) fn mean<'t>(source: &Source<'t>, set: &Set<'t>) -> (Option<Config>, Vec<Mistake>) {
    let mut mistakes = Vec::new();
    let mut draft = Draft::default();
    let mut plain = IssuerDraft { name: "auth".to_owned(), ..IssuerDraft::default() };
    let mut listed = Vec::new();
    for key in keys() {
        if let Some(found) = set.get(key.name) {
            if let Err(what) =
                take(key, found, &mut draft).and_then(|()| issuers::take(key, found, &mut plain))
            {
                mistakes.push(source.mistake(Some(&found.place), key.name, &what));
            }
            if matches!(key.slot, Slot::Issuers) {
                listed = issuers::listed(source, found, &mut mistakes);
            }
        } else if let Some(default) = key.default {
            let default = Found::plain(Place::Variable(key.variable()), default);
            mistakes.extend(
                take(key, &default, &mut draft).err().map(|what| source.mistake(None, key.name, &what)),
            );
        }
    }
    let issuers = issuers::together(source, plain, listed, &mut mistakes);
    let mut wrong = |key: &str, what: &str| {
        mistakes.push(source.mistake(set.get(key).map(|found| &found.place), key, what));
    };
    check_tls(set, &mut wrong);
    check_addresses(&draft, set, &mut wrong);
    check_claims(&draft, set, &mut wrong);
    (complete(draft, issuers), mistakes)
}

fn take(key: &Key, found: &Found<'_>, draft: &mut Draft) -> Result<(), String> {
    match key.slot {
        Slot::Text(put) => put(draft, found.text()?),
        Slot::Texts(put) => put(draft, found.texts()?),
        Slot::Flag(put) => {
            put(draft, found.flag()?);
            Ok(())
        }
        Slot::Count(put) => put(draft, found.count()?),
        Slot::IssuerText(_) | Slot::IssuerTexts(_) | Slot::Issuers => Ok(()),
    }
}

fn check_tls(set: &Set<'_>, wrong: &mut impl FnMut(&str, &str)) {
    const CERT: &str = "server.tls_cert_file";
    const KEY: &str = "server.tls_key_file";
    const CLIENTS: &str = "server.client_ca_file";
    match (set.contains_key(CERT), set.contains_key(KEY)) {
        (true, false) => wrong(CERT, "needs `server.tls_key_file`"),
        (false, true) => wrong(KEY, "needs `server.tls_cert_file`"),
        (false, false) if set.contains_key(CLIENTS) => {
            wrong(CLIENTS, "needs `server.tls_cert_file` and `server.tls_key_file`");
        }
        (true, true) | (false, false) => {}
    }
}

fn check_addresses(draft: &Draft, set: &Set<'_>, wrong: &mut impl FnMut(&str, &str)) {
    if let (Some(clients), Some(admin)) = (draft.listen, draft.admin_listen)
        && collide(clients, admin)
    {
        if set.contains_key("admin.listen") {
            wrong("admin.listen", &format!("{admin} is taken by `server.listen` ({clients})"));
        } else {
            wrong("server.listen", &format!("{clients} is taken by `admin.listen` ({admin})"));
        }
    }
}

/// Whether the second of two listeners could not be bound. `[::]` takes the IPv4 port as well.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let takes = |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    let (mine, theirs) = (one.ip(), other.ip());
    one.port() == other.port()
        && one.port() != 0
        && (mine == theirs || takes(mine, theirs) || takes(theirs, mine))
}

/// A claim read as two things would let a user's own name be a role.
fn check_claims(draft: &Draft, set: &Set<'_>, wrong: &mut impl FnMut(&str, &str)) {
    let claims = [
        ("auth.user_claim", &draft.user_claim),
        ("auth.role_claim", &draft.role_claim),
        ("auth.model_access_claim", &draft.model_access_claim),
    ];
    for (index, (one, path)) in claims.iter().enumerate() {
        for (other, _) in claims.iter().skip(index + 1).filter(|(_, other)| path.is_some() && path == other) {
            let (told, beside) = if set.contains_key(*other) { (other, one) } else { (one, other) };
            wrong(told, &format!("is the same claim as `{beside}`"));
        }
    }
}

/// `None` where a key could not be understood; its mistake has been told.
fn complete(draft: Draft, issuers: Vec<Issuer>) -> Option<Config> {
    let client_ca_file = draft.client_ca_file;
    let pair = draft.tls_cert_file.zip(draft.tls_key_file);
    let audit = draft.audit_path.map(|path| {
        let beside = path.with_extension("key");
        Some(Audit {
            instance: draft.audit_instance,
            mode: draft.audit_mode?,
            reads: draft.audit_reads?,
            signing_key_file: draft.audit_key.unwrap_or(beside),
            file_mb: draft.audit_file_mb?,
            keep_days: draft.audit_keep_days?,
            path,
        })
    });
    Some(Config {
        server: Server {
            listen: draft.listen?,
            tls: pair.map(|(cert_file, key_file)| Tls { cert_file, key_file, client_ca_file }),
            cors_origins: draft.cors_origins,
        },
        upstream: Upstream { address: draft.upstream?, static_prefix: draft.static_prefix },
        auth: Auth {
            issuers,
            user_claim: draft.user_claim?,
            role_claim: draft.role_claim?,
            model_access_claim: draft.model_access_claim?,
            require_model_access: draft.require_model_access?,
            mode: draft.mode?,
        },
        limits: Limits { requests_per_second: draft.requests_per_second?, burst: draft.burst? },
        policies_dir: draft.policies_dir?,
        state: draft.state?,
        audit: audit??,
        cache: Cache {
            ttl_seconds: draft.cache_ttl_seconds?,
            max_mb: draft.cache_max_mb?,
            stale_seconds: draft.cache_stale_seconds?,
        },
        presigned: draft.presigned?,
        rules: draft.rules?,
        admin_listen: draft.admin_listen?,
    })
}
