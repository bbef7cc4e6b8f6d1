//! What a model depends on, by the files that MLflow puts beside it: `requirements.txt`, else `conda.yaml`, else
//! `python_env.yaml`. Whoever logged the model wrote them: nothing in them is fetched, expanded or believed to be short.

mod conda;
mod pip;

use std::collections::BTreeSet;

/// The longest of these files that is read, in bytes.
pub const LONGEST: usize = 1024 * 1024;
/// Dependencies that are kept; those beyond by the alphabet are not.
pub const MOST: usize = 2_000;
/// The longest list that goes into a tag, in characters of its JSON. MLflow would take 100,000 (`utils/validation.py`), but
/// shows a version's tags in every list of versions.
pub const LONGEST_TAG: usize = 5_000;

/// A file that says what a model depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `requirements.txt`
    Requirements,
    /// `conda.yaml`
    Conda,
    /// `python_env.yaml`
    PythonEnv,
}

impl Kind {
    /// Which of them a path below a version's source is; only those at its top count.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "requirements.txt" => Some(Self::Requirements),
            "conda.yaml" => Some(Self::Conda),
            "python_env.yaml" => Some(Self::PythonEnv),
            _ => None,
        }
    }
}

/// The files that say so, as far as they are there and not too long.
#[derive(Debug, Default)]
pub struct Texts {
    requirements: Option<Vec<u8>>,
    conda: Option<Vec<u8>>,
    python_env: Option<Vec<u8>>,
}

impl Texts {
    /// Keeps a file's bytes.
    pub fn keep(&mut self, kind: Kind, text: Vec<u8>) {
        let place = match kind {
            Kind::Requirements => &mut self.requirements,
            Kind::Conda => &mut self.conda,
            Kind::PythonEnv => &mut self.python_env,
        };
        *place = Some(text);
    }
}

/// Dependencies as PEP 508 writes them (`scikit-learn==1.3.2`), each once, by the alphabet, from the first file that is
/// there and can be read. What is no name with versions (options, paths, addresses) is left out, and of `name @ address` the
/// address, which may hold a password.
#[must_use]
pub fn of(texts: &Texts) -> Vec<String> {
    let text = |bytes: &Option<Vec<u8>>| String::from_utf8(bytes.clone()?).ok();
    let found: Option<BTreeSet<String>> = text(&texts.requirements)
        .map(|text| pip::of_text(&text))
        .or_else(|| conda::of_conda(&text(&texts.conda)?))
        .or_else(|| conda::of_python_env(&text(&texts.python_env)?));
    found.unwrap_or_default().into_iter().take(MOST).collect()
}

/// The list as a tag's value: JSON of at most [`LONGEST_TAG`] characters, without those that come last by the alphabet where
/// it would be longer.
#[must_use]
pub fn tag(dependencies: &[String]) -> String {
    let mut tag = String::from("[");
    for dependency in dependencies {
        let written = serde_json::Value::from(dependency.as_str()).to_string();
        let comma = if tag.len() > 1 { "," } else { "" };
        if tag.len() + comma.len() + written.len() + 1 > LONGEST_TAG {
            break;
        }
        tag.push_str(comma);
        tag.push_str(&written);
    }
    tag.push(']');
    tag
}

#[cfg(test)]
mod tests;
