//! The folder of policies as bytes: what is read, and the version that names it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;

use crate::authz::rows::POLICY_FILE;
use crate::mistake::Mistake;
use crate::rules::{RULES_FILE, SCHEMA_FILE, STAGES_FILE};

/// casbin's model.
pub(super) const MODEL_FILE: &str = "model.conf";
/// What must stay true of the rows.
pub(super) const DECISIONS_FILE: &str = "decisions.tsv";

/// The files that this room reads; others in the folder belong to others and do not change the version.
pub(super) const FILES: [&str; 6] =
    [MODEL_FILE, POLICY_FILE, DECISIONS_FILE, RULES_FILE, STAGES_FILE, SCHEMA_FILE];

/// The first 16 hexadecimal digits of SHA-256 over the names and bytes of the policy files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PolicyVersion(Arc<str>);

impl PolicyVersion {
    /// Of these files. Lengths keep a byte from moving between files unseen.
    pub(super) fn of<N: AsRef<str>, B: AsRef<[u8]>>(files: &[(N, B)]) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        for (name, bytes) in files {
            hash.update(format!("{}\0{}\0", name.as_ref(), bytes.as_ref().len()).as_bytes());
            hash.update(bytes.as_ref());
        }
        let digest = hash.finish();
        let digits: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self(digits.into())
    }

    /// Whether a text has the form of one.
    pub(super) fn is_one(text: &str) -> bool {
        text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The bytes of one folder, read once.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    pub(super) dir: PathBuf,
    pub(super) model: Vec<u8>,
    pub(super) policy: Vec<u8>,
    pub(super) decisions: Vec<u8>,
    pub(super) rules: Vec<u8>,
    pub(super) stages: Vec<u8>,
    pub(super) schema: Vec<u8>,
}

impl Sources {
    /// Reads the folder, and names every file that cannot be read.
    pub(super) fn read(dir: &Path) -> Result<Self, Vec<Mistake>> {
        let file = |name: &str| {
            let path = dir.join(name);
            std::fs::read(&path).map_err(|error| Mistake::of(&path, format!("cannot be read: {error}")))
        };
        match FILES.map(file) {
            [Ok(model), Ok(policy), Ok(decisions), Ok(rules), Ok(stages), Ok(schema)] => {
                Ok(Self { dir: dir.to_path_buf(), model, policy, decisions, rules, stages, schema })
            }
            files => Err(files.into_iter().filter_map(Result::err).collect()),
        }
    }

    /// The version of exactly these bytes.
    pub(super) fn version(&self) -> PolicyVersion {
        PolicyVersion::of(&self.files())
    }

    /// The files, in the order of [`FILES`].
    pub(super) fn files(&self) -> [(&'static str, &[u8]); FILES.len()] {
        let [model, policy, decisions, rules, stages, schema] = FILES;
        [
            (model, &self.model),
            (policy, &self.policy),
            (decisions, &self.decisions),
            (rules, &self.rules),
            (stages, &self.stages),
            (schema, &self.schema),
        ]
    }
}
