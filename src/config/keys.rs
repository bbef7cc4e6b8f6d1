//! The table of keys: parsing, suggestions, environment names and the documentation are all read from it.

use super::draft::{Draft, IssuerDraft};
use super::{KeySource, values};

/// One key of the configuration.
pub struct Key {
    /// `section.word`.
    pub name: &'static str,
    /// As one would write it into the environment variable; `None` if the key is simply not set.
    pub default: Option<&'static str>,
    /// One line for people.
    pub meaning: &'static str,
    pub(super) slot: Slot,
}

/// What a key holds, and where it goes when it has been understood.
pub(super) enum Slot {
    Text(fn(&mut Draft, &str) -> Understood),
    Texts(fn(&mut Draft, Vec<String>) -> Understood),
    Flag(fn(&mut Draft, bool)),
    Count(fn(&mut Draft, u32) -> Understood),
    /// Of the plain `auth.` keys and of each `[[auth.issuers]]`.
    IssuerText(fn(&mut IssuerDraft, &str) -> Understood),
    IssuerTexts(fn(&mut IssuerDraft, Vec<String>) -> Understood),
    Issuers,
}

/// `Err` is the sentence for what is wrong with the value.
type Understood = Result<(), String>;

/// Every key, by section.
#[must_use]
pub fn keys() -> &'static [Key] {
    KEYS
}

impl Key {
    /// The environment variable that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.replacen('.', BETWEEN, 1).to_uppercase())
    }

    /// What is written after the `=`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.slot {
            Slot::Text(_) | Slot::IssuerText(_) => "string",
            Slot::Flag(_) => "boolean",
            Slot::Texts(_) | Slot::IssuerTexts(_) => "list of strings",
            Slot::Issuers => "list of tables",
            Slot::Count(_) => "number",
        }
    }

    /// The word after the dot.
    pub(super) fn word(&self) -> &'static str {
        last_word(self.name)
    }

    /// Whether an entry of `[[auth.issuers]]` may have it.
    pub(super) fn is_of_an_issuer(&self) -> bool {
        matches!(self.slot, Slot::IssuerText(_) | Slot::IssuerTexts(_))
    }
}

/// Whether an environment variable claims to set a key. `SEKISHO_PORT_8080_TCP`, which Kubernetes makes, does not.
pub(super) fn can_set(variable: &str) -> bool {
    variable.strip_prefix(PREFIX).is_some_and(|rest| rest.contains(BETWEEN))
}

/// Whether any key begins with this section.
pub(super) fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| section(key) == name)
}

/// `; did you mean …?` for a key that is not known, or nothing where no key is near.
pub(super) fn nearest_key(unknown: &str) -> String {
    nearest(unknown, KEYS.iter().map(|key| key.name.to_owned()))
}

/// The same for a section.
pub(super) fn nearest_section(unknown: &str) -> String {
    nearest(unknown, KEYS.iter().map(|key| section(key).to_owned()))
}

/// The same for an environment variable.
pub(super) fn nearest_variable(unknown: &str) -> String {
    nearest(unknown, KEYS.iter().map(Key::variable))
}

/// The same for a key of one issuer.
pub(super) fn nearest_issuer_key(unknown: &str) -> String {
    nearest(unknown, KEYS.iter().filter(|key| key.is_of_an_issuer()).map(|key| key.word().to_owned()))
}

fn nearest(unknown: &str, known: impl Iterator<Item = String>) -> String {
    let furthest = (unknown.chars().count() / 4).max(2);
    let scored = known.map(|name| {
        let whole = strsim::osa_distance(unknown, &name);
        // The right word in the wrong section, or without any.
        let word = 1 + strsim::osa_distance(last_word(unknown), last_word(&name));
        (whole.min(word), whole, name)
    });
    match scored.filter(|(score, ..)| *score <= furthest).min() {
        Some((.., name)) => format!("; did you mean `{name}`?"),
        None => String::new(),
    }
}

fn last_word(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, word)| word)
}

fn section(key: &Key) -> &'static str {
    key.name.split_once('.').map_or(key.name, |(section, _)| section)
}

const PREFIX: &str = "SEKISHO_";
const BETWEEN: &str = "__";

const fn key(name: &'static str, default: Option<&'static str>, slot: Slot, meaning: &'static str) -> Key {
    Key { name, default, meaning, slot }
}

static KEYS: &[Key] = &[
    key(
        "server.listen",
        Some("127.0.0.1:8080"),
        Slot::Text(|draft, text| values::address(text).map(|address| draft.listen = Some(address))),
        "where clients come",
    ),
    key(
        "server.tls_cert_file",
        None,
        Slot::Text(|draft, text| {
            draft.tls_cert_file = Some(text.into());
            Ok(())
        }),
        "PEM chain of the server; makes the listener speak TLS",
    ),
    key(
        "server.tls_key_file",
        None,
        Slot::Text(|draft, text| {
            draft.tls_key_file = Some(text.into());
            Ok(())
        }),
        "PEM private key of that certificate",
    ),
    key(
        "server.client_ca_file",
        None,
        Slot::Text(|draft, text| {
            draft.client_ca_file = Some(text.into());
            Ok(())
        }),
        "PEM authorities; clients then need a certificate of theirs",
    ),
    key(
        "server.cors_origins",
        None,
        Slot::Texts(|draft, list| values::origins(list).map(|origins| draft.cors_origins = origins)),
        "other sites whose pages may call with a Bearer token, each as its browser names it; none if not set",
    ),
    key(
        "upstream.url",
        Some("http://127.0.0.1:5000"),
        Slot::Text(|draft, text| values::upstream(text).map(|address| draft.upstream = Some(address))),
        "the unmodified MLflow server; also unix:/path/to/socket, so that nobody else on the host reaches it",
    ),
    key(
        "upstream.static_prefix",
        None,
        Slot::Text(|draft, text| {
            values::static_prefix(text).map(|prefix| draft.static_prefix = Some(prefix))
        }),
        "MLflow's --static-prefix, if it has one",
    ),
    key(
        "auth.hs256_secret",
        None,
        Slot::IssuerText(|draft, text| values::secret(text).map(|key| draft.key = Some(key))),
        "shared secret that signs tokens, at least 32 bytes",
    ),
    key(
        "auth.hs256_secret_file",
        None,
        Slot::IssuerText(|draft, text| values::secret_file(text).map(|key| draft.key = Some(key))),
        "the same, in a file",
    ),
    key(
        "auth.jwks_file",
        None,
        Slot::IssuerText(|draft, text| {
            draft.key = Some(KeySource::JwksFile(text.into()));
            Ok(())
        }),
        "RS256, ES256 or EdDSA keys of an identity provider, in a file",
    ),
    key(
        "auth.jwks_url",
        None,
        Slot::IssuerText(|draft, text| values::jwks_url(text).map(|key| draft.key = Some(key))),
        "the same, at an https address",
    ),
    key(
        "auth.issuer",
        None,
        Slot::IssuerText(|draft, text| {
            draft.issuer = Some(text.to_owned());
            Ok(())
        }),
        "what the claim iss must be",
    ),
    key(
        "auth.audience",
        None,
        Slot::IssuerText(|draft, text| {
            draft.audience = Some(text.to_owned());
            Ok(())
        }),
        "what the claim aud must name",
    ),
    key(
        "auth.users",
        None,
        Slot::IssuerTexts(|draft, list| values::names(list).map(|users| draft.users = users)),
        "patterns of the users this issuer may vouch for (* is any run of characters); all if not set",
    ),
    key(
        "auth.roles",
        None,
        Slot::IssuerTexts(|draft, list| values::roles(list).map(|roles| draft.roles = roles)),
        "the roles this issuer may vouch for; all if not set",
    ),
    key(
        "auth.issuers",
        None,
        Slot::Issuers,
        "several issuers, each with the eight keys above; no user may match two of them",
    ),
    key(
        "auth.user_claim",
        Some("user_id"),
        Slot::Text(|draft, text| values::claim(text).map(|claim| draft.user_claim = Some(claim))),
        "the claim with the user id; a dotted path is allowed",
    ),
    key(
        "auth.role_claim",
        Some("role"),
        Slot::Text(|draft, text| values::claim(text).map(|claim| draft.role_claim = Some(claim))),
        "the claim with the role or a list of roles",
    ),
    key(
        "auth.model_access_claim",
        Some("model_access"),
        Slot::Text(|draft, text| values::claim(text).map(|claim| draft.model_access_claim = Some(claim))),
        "the claim with the list of models",
    ),
    key(
        "auth.require_model_access",
        Some("true"),
        Slot::Flag(|draft, flag| draft.require_model_access = Some(flag)),
        "whether the per-model claim is needed at all",
    ),
    key(
        "auth.mode",
        Some("enforce"),
        Slot::Text(|draft, text| values::mode(text).map(|mode| draft.mode = Some(mode))),
        "enforce, or observe while moving in: what a role could be given is let through and recorded",
    ),
    key(
        "policies.dir",
        Some("policies"),
        Slot::Text(|draft, text| {
            draft.policies_dir = Some(text.into());
            Ok(())
        }),
        "the folder of the policy files",
    ),
    key(
        "rules.mode",
        Some("enforce"),
        Slot::Text(|draft, text| values::rules(text).map(|rules| draft.rules = Some(rules))),
        "house rules: enforce, warn (recorded, not refused) or off; access control is never off",
    ),
    key(
        "limits.requests_per_second",
        Some("200"),
        Slot::Count(|draft, count| {
            draft.requests_per_second = Some(count);
            Ok(())
        }),
        "per principal; 0 turns the limit off",
    ),
    key(
        "limits.burst",
        Some("400"),
        Slot::Count(|draft, count| values::at_least_one(count).map(|count| draft.burst = Some(count))),
        "how many may come at once",
    ),
    key(
        "state.url",
        Some("sqlite://sekisho.db"),
        Slot::Text(|draft, text| values::store(text).map(|address| draft.state = Some(address))),
        "the state store, which keeps digests of versions: a file, or postgres://… for several instances",
    ),
    key(
        "audit.path",
        Some("audit/"),
        Slot::Text(|draft, text| values::path(text).map(|path| draft.audit_path = Some(path))),
        "the folder of the record",
    ),
    key(
        "audit.instance",
        None,
        Slot::Text(|draft, text| values::instance(text).map(|name| draft.audit_instance = Some(name))),
        "the name of this instance's sub-folder of the record; the host's name if not set",
    ),
    key(
        "audit.mode",
        Some("required"),
        Slot::Text(|draft, text| values::audit_mode(text).map(|mode| draft.audit_mode = Some(mode))),
        "required: a write whose record cannot be made durable is refused; or best_effort",
    ),
    key(
        "audit.reads",
        Some("aggregate"),
        Slot::Text(|draft, text| values::reads(text).map(|reads| draft.audit_reads = Some(reads))),
        "allowed reads: each (a record each), aggregate (one per principal, operation, object and second) or off",
    ),
    key(
        "audit.signing_key_file",
        None,
        Slot::Text(|draft, text| values::path(text).map(|path| draft.audit_key = Some(path))),
        "the private key that signs the record, made at first start; beside the folder, as `audit.key`, if not set",
    ),
    key(
        "audit.file_mb",
        Some("64"),
        Slot::Count(|draft, count| {
            values::at_least_one(count).map(|count| draft.audit_file_mb = Some(count))
        }),
        "a file of the record is closed and compressed when it is so large, or a day old",
    ),
    key(
        "audit.keep_days",
        Some("0"),
        Slot::Count(|draft, count| {
            draft.audit_keep_days = Some(count);
            Ok(())
        }),
        "how long closed files are kept, after which a signed stub stays of each; 0 is for ever",
    ),
    key(
        "cache.ttl_seconds",
        Some("300"),
        Slot::Count(|draft, count| {
            draft.cache_ttl_seconds = Some(count);
            Ok(())
        }),
        "how long reads are kept in memory; 0 turns it off",
    ),
    key(
        "cache.max_mb",
        Some("64"),
        Slot::Count(|draft, count| {
            draft.cache_max_mb = Some(count);
            Ok(())
        }),
        "how much memory they may take; 0 turns it off",
    ),
    key(
        "cache.stale_seconds",
        Some("300"),
        Slot::Count(|draft, count| {
            draft.cache_stale_seconds = Some(count);
            Ok(())
        }),
        "how long they are served while MLflow is down",
    ),
    key(
        "artifacts.presigned",
        Some("false"),
        Slot::Flag(|draft, flag| draft.presigned = Some(flag)),
        "whether presigned URLs of artifacts are handed out",
    ),
    key(
        "admin.listen",
        Some("127.0.0.1:8081"),
        Slot::Text(|draft, text| values::address(text).map(|address| draft.admin_listen = Some(address))),
        "health alone, answered without a token",
    ),
];
