//! The key that signs the record: Ed25519, made at the first start, and the public half that lies beside the record.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::chain::{Hash, Tip};

/// The DER of a `SubjectPublicKeyInfo` of Ed25519 up to the key's own 32 bytes (RFC 8410 section 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("{}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It holds something else.
    #[error("{}: it holds no Ed25519 key in PEM", .0.display())]
    Form(PathBuf),
    /// Everybody may read it.
    #[error("{}: everybody may read the private key; `chmod 600` it", .0.display())]
    Open(PathBuf),
    /// There is a record that was signed with a key, and the key is gone.
    #[error("{}: the record in {} was signed with a key that is not here; put it back, or move the record away", .key.display(), .record.display())]
    Gone {
        /// Where it should be.
        key: PathBuf,
        /// What it signed.
        record: PathBuf,
    },
    /// The private key is not the one of the public key beside the record.
    #[error("{}: it is not the private key of {}; name that one, or move the record away", .key.display(), .public.display())]
    Another {
        /// The private key.
        key: PathBuf,
        /// The public one.
        public: PathBuf,
    },
    /// The system has no randomness.
    #[error("no key could be made")]
    NotMade,
}

/// Signs heads.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.public.name())
    }
}

/// Proves heads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl Signer {
    /// A new key, and the text of its file.
    ///
    /// # Errors
    /// [`KeyError::NotMade`].
    pub fn make() -> Result<(Self, Zeroizing<String>), KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NotMade)?;
        let der = pair.to_pkcs8v1().map_err(|_| KeyError::NotMade)?;
        let text = Zeroizing::new(pem("PRIVATE KEY", der.as_ref()));
        let public = PublicKey::of(&pair).ok_or(KeyError::NotMade)?;
        Ok((Self { pair, public }, text))
    }

    /// The key in a file, which not everybody may read.
    ///
    /// # Errors
    /// It cannot be read, everybody may read it, or it holds something else.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let failed = |error| KeyError::File { path: path.to_owned(), error };
        let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).map_err(failed)?.permissions());
        // Orchestrators hand secrets out by group (Kubernetes' `fsGroup`, systemd's credentials).
        if mode & 0o007 != 0 {
            return Err(KeyError::Open(path.to_owned()));
        }
        let form = || KeyError::Form(path.to_owned());
        let der = Zeroizing::new(unpem("PRIVATE KEY", &text).ok_or_else(form)?);
        let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| form())?;
        let public = PublicKey::of(&pair).ok_or_else(form)?;
        Ok(Self { pair, public })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs what [`statement`] says, in base64.
    #[must_use]
    pub fn sign(&self, statement: &str) -> String {
        STANDARD.encode(self.pair.sign(statement.as_bytes()))
    }
}

impl PublicKey {
    fn of(pair: &Ed25519KeyPair) -> Option<Self> {
        pair.public_key().as_ref().try_into().ok().map(Self)
    }

    /// The key in a file, in PEM.
    ///
    /// # Errors
    /// It cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text =
            fs::read_to_string(path).map_err(|error| KeyError::File { path: path.to_owned(), error })?;
        Self::of_pem(&text).ok_or_else(|| KeyError::Form(path.to_owned()))
    }

    /// The key in a text, in PEM.
    #[must_use]
    pub fn of_pem(text: &str) -> Option<Self> {
        unpem("PUBLIC KEY", text)?.strip_prefix(&SPKI)?.try_into().ok().map(Self)
    }

    /// The text of its file.
    #[must_use]
    pub fn pem(&self) -> String {
        pem("PUBLIC KEY", &[SPKI.as_slice(), &self.0].concat())
    }

    /// What it is called in heads: the first 16 digits of the SHA-256 of its DER.
    #[must_use]
    pub fn name(&self) -> String {
        let hash = Hash::of(&[SPKI.as_slice(), &self.0].concat()).to_string();
        hash.chars().take(16).collect()
    }

    /// Whether its owner signed a statement.
    #[must_use]
    pub fn proves(&self, statement: &str, signature: &str) -> bool {
        let Ok(signature) = STANDARD.decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, &self.0).verify(statement.as_bytes(), &signature).is_ok()
    }
}

/// What a head says and its signature proves: where the chain had come to.
#[must_use]
pub fn statement(chain: &str, before: &Tip, time: &str) -> String {
    format!("sekisho head\n{chain}\n{}\n{}\n{time}\n", before.seq, before.hash)
}

/// Writes a file that was not there, whole and durable, for its owner's eyes where it is secret.
///
/// # Errors
/// It is there already, or cannot be written.
pub fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), KeyError> {
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    written().map_err(|error| KeyError::File { path: path.to_owned(), error })
}

fn pem(label: &str, der: &[u8]) -> String {
    // An Ed25519 key is shorter than one line of 64 characters can hold only in its public form.
    let body = STANDARD.encode(der);
    let lines: Vec<&str> =
        (0..body.len()).step_by(64).filter_map(|at| body.get(at..body.len().min(at + 64))).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn unpem(label: &str, text: &str) -> Option<Vec<u8>> {
    let body = text.trim().strip_prefix(&format!("-----BEGIN {label}-----"))?;
    let body = body.strip_suffix(&format!("-----END {label}-----"))?;
    let joined: String = body.split_whitespace().collect();
    STANDARD.decode(joined).ok()
}
