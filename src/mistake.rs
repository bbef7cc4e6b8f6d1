//! One mistake in a file that a person wrote, said so that they can find it.

use std::fmt;
use std::path::{Path, PathBuf};

/// `FILE:LINE: what is wrong`, as `sekisho check` prints it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    file: PathBuf,
    line: Option<usize>,
    what: String,
}

impl Mistake {
    /// A mistake on a line, counted from 1.
    pub fn at(file: impl AsRef<Path>, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.as_ref().to_path_buf(), line: Some(line), what: what.into() }
    }

    /// A mistake of the whole file, or one that no line shows (something missing, an environment variable).
    pub fn of(file: impl AsRef<Path>, what: impl Into<String>) -> Self {
        Self { file: file.as_ref().to_path_buf(), line: None, what: what.into() }
    }

    /// What is wrong, without the place.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The line, counted from 1, where there is one.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file.display(), self.what),
            None => write!(f, "{}: {}", self.file.display(), self.what),
        }
    }
}
