//! Walking along a chain: each line follows the one before, but for one that a crash tore and that the next one tells of.

use serde_json::Value;

use super::chain::{Broken, Hash, Tip, follow};
use super::line::{Kind, Line};

/// The word of the line that closes a torn one.
pub const TORN: &str = "torn";

/// Bytes that are no whole line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// How many.
    pub bytes: usize,
    /// Their SHA-256.
    pub hash: Hash,
}

impl Torn {
    /// These.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len(), hash: Hash::of(bytes) }
    }

    /// Whether a line tells of them.
    #[must_use]
    pub fn is_told_of(&self, line: &[u8]) -> bool {
        let Ok(line) = serde_json::from_slice::<Line>(line) else { return false };
        let said = |key: &str| line.entry.params.get(key);
        line.entry.kind == Kind::System
            && line.entry.operation.as_deref() == Some(TORN)
            && said("bytes").and_then(Value::as_u64) == u64::try_from(self.bytes).ok()
            && said("sha256").and_then(Value::as_str) == Some(&self.hash.to_string())
    }
}

/// A walk along the lines of one chain.
#[derive(Debug)]
pub struct Walk {
    tip: Tip,
    doubted: Option<(Torn, Broken)>,
}

/// What a line turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next line.
    Follows,
    /// Torn, if the next line says so.
    Doubtful,
    /// The next line, which says that the one before it was torn.
    Tells,
}

impl Walk {
    /// From here on.
    #[must_use]
    pub fn from(tip: Tip) -> Self {
        Self { tip, doubted: None }
    }

    /// Where it has come to.
    #[must_use]
    pub fn tip(&self) -> Tip {
        self.tip
    }

    /// Goes on to a line, without its line feed.
    ///
    /// # Errors
    /// The line before this one is none, and this one does not say why.
    pub fn step(&mut self, line: &[u8]) -> Result<Step, Broken> {
        let Some((torn, why)) = self.doubted.take() else {
            return match follow(&mut self.tip, line) {
                Ok(()) => Ok(Step::Follows),
                Err(why) => {
                    self.doubted = Some((Torn::of(line), why));
                    Ok(Step::Doubtful)
                }
            };
        };
        follow(&mut self.tip, line).map_err(|_| why)?;
        if torn.is_told_of(line) { Ok(Step::Tells) } else { Err(why) }
    }

    /// Ends the walk.
    ///
    /// # Errors
    /// The last line is none.
    pub fn end(self) -> Result<Tip, Broken> {
        match self.doubted {
            Some((_, why)) => Err(why),
            None => Ok(self.tip),
        }
    }
}
