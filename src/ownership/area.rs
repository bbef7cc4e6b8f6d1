//! Which files a version's source names, as a place among the files of one run, one logged model or one store.

use crate::facts::{Held, Holder};
use crate::govern::sources::{self, Source};

/// Files that a request or a source names: whose, and below which path. An empty path is all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whose; nobody's are files of the artifact store that are neither a run's nor a logged model's, as far as MLflow
    /// knows.
    pub holder: Option<Holder>,
    /// Where the holder's files are.
    pub root: String,
    /// The run that a logged model came from.
    pub run: Option<String>,
    /// A logged model's own name, by which its run knows it.
    pub name: Option<String>,
    /// The path below the root.
    pub path: String,
}

impl Wanted {
    /// The files of a run or logged model that MLflow knows.
    #[must_use]
    pub fn of(holder: Holder, held: &Held, path: &str) -> Self {
        let (run, name) = (held.run.clone(), held.name.clone());
        Self { holder: Some(holder), root: held.root.clone(), run, name, path: path.to_owned() }
    }

    /// Where the area of a version begins among the holder's files; nothing where it has none of them. An area that is
    /// larger than the holder's files begins at their root.
    ///
    /// `runs:/RUN/NAME` is the run's folder of that name, and where there is none, its logged model of that name
    /// (`store/artifact/runs_artifact_repo.py`).
    #[must_use]
    pub fn begins(&self, area: &Source) -> Option<String> {
        match (area, &self.holder) {
            (Source::Run(files), Some(Holder::Run(id)))
            | (Source::LoggedModel(files), Some(Holder::LoggedModel(id))) => {
                (files.id == *id).then(|| files.path.clone())
            }
            (Source::Run(files), Some(Holder::LoggedModel(_))) if self.run.as_ref() == Some(&files.id) => {
                let name = self.name.as_deref().unwrap_or_default();
                if within(name, &files.path) {
                    Some(String::new())
                } else {
                    below(&files.path, name).map(str::to_owned)
                }
            }
            (Source::Place(place), _) => sources::below_root(place, &self.root)
                .or_else(|| sources::below_root(&self.root, place).map(|_| String::new())),
            (Source::Prompt | Source::Version(_) | Source::Run(_) | Source::LoggedModel(_), _) => None,
        }
    }

    /// How an area lies to what is wanted; nothing where they have no file in common.
    #[must_use]
    pub fn zone(&self, area: &Source) -> Option<Zone> {
        let begins = self.begins(area)?;
        if within(&self.path, &begins) {
            Some(Zone { begins, of_all: true })
        } else {
            within(&begins, &self.path).then_some(Zone { begins, of_all: false })
        }
    }

    /// The address of what is wanted, as a place in a store.
    #[must_use]
    pub fn address(&self) -> String {
        let root = sources::plain(&self.root);
        if self.path.is_empty() { root } else { format!("{root}/{}", self.path) }
    }
}

/// Files that what is wanted and an area have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Where the area begins.
    pub begins: String,
    /// Whether the area has all that is wanted, or only some of it.
    pub of_all: bool,
}

/// Whether `path` is `root` or lies below it, by whole segments.
#[must_use]
pub fn within(path: &str, root: &str) -> bool {
    root.is_empty() || path == root || below(path, root).is_some()
}

fn below<'p>(path: &'p str, root: &str) -> Option<&'p str> {
    path.strip_prefix(root)?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(holder: Holder, path: &str) -> Wanted {
        Wanted {
            root: "mlflow-artifacts:/1/r/artifacts".into(),
            run: matches!(holder, Holder::LoggedModel(_)).then(|| "r".into()),
            name: matches!(holder, Holder::LoggedModel(_)).then(|| "model".into()),
            holder: Some(holder),
            path: path.into(),
        }
    }

    #[track_caller]
    fn check(wanted: &Wanted, source: &str, expected: Option<(&str, bool)>) {
        let area = sources::of_text(source).expect("a sound source");
        let found = wanted.zone(&area).map(|zone| (zone.begins, zone.of_all));
        assert_eq!(found, expected.map(|(begins, all)| (begins.to_owned(), all)), "{source} for {wanted:?}");
    }

    #[test]
    fn areas_of_a_run() {
        let file = wanted(Holder::Run("r".into()), "model/MLmodel");
        check(&file, "runs:/r/model", Some(("model", true)));
        check(&file, "runs:/r", Some(("", true)));
        check(&file, "mlflow-artifacts:/1/r/artifacts/model", Some(("model", true)));
        check(&file, "runs:/r/mode", None);
        check(&file, "runs:/r/model/MLmodel/x", Some(("model/MLmodel/x", false)));
        check(&file, "runs:/r2/model", None);
        check(&file, "models:/m-0f", None);
        let all = wanted(Holder::Run("r".into()), "");
        check(&all, "runs:/r/model", Some(("model", false)));
        check(&all, "runs:/r", Some(("", true)));
    }

    #[test]
    fn areas_of_a_logged_model() {
        let file = wanted(Holder::LoggedModel("m-0f".into()), "MLmodel");
        check(&file, "models:/m-0f", Some(("", true)));
        check(&file, "runs:/r/model", Some(("", true)));
        check(&file, "runs:/r", Some(("", true)));
        check(&file, "runs:/r/model/data", None);
        check(&file, "runs:/r/model/MLmodel", Some(("MLmodel", true)));
        check(&file, "runs:/r/model2", None);
        check(&file, "runs:/other/model", None);
        check(&file, "models:/m-0e", None);
    }

    #[test]
    fn places_are_told_by_their_address() {
        let mut file = wanted(Holder::Run("r".into()), "model/MLmodel");
        file.root = "s3://b/1/r/artifacts".into();
        check(&file, "s3://b/1/r/artifacts/model", Some(("model", true)));
        check(&file, "s3://b/1", Some(("", true)));
        check(&file, "s3://b/1/r/artifacts2", None);
        let loose = Wanted {
            holder: None,
            root: "mlflow-artifacts:/".into(),
            ..wanted(Holder::Run("r".into()), "a/b/c")
        };
        check(&loose, "mlflow-artifacts:/a/b", Some(("a/b", true)));
        check(&loose, "mlflow-artifacts:/a/bb", None);
    }
}
