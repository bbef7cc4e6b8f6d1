//! Where a version's files are with MLflow: by which of its addresses they are listed and read.

use crate::facts::{Facts, Holder, query};
use crate::govern::sources::plain;
use crate::ownership::Wanted;
use crate::route::artifact_path;
use crate::route::target::write_segment;
use crate::upstream::Upstream;

use super::DigestError;
use super::listing::{ListError, check_path};

/// The place of a version's files.
pub(super) struct Shelf<'a> {
    pub(super) facts: &'a Facts,
    pub(super) mlflow: &'a Upstream,
    /// Whose they are; nobody's are listed by their place in MLflow's own store.
    holder: Option<&'a Holder>,
    /// The root's path in MLflow's own store, where it is there: these files are given out by the faster of its servers
    /// (`server/artifact_router.py`).
    stored: Option<String>,
    /// The source's path below the root.
    pub(super) source: &'a str,
}

/// How many files are read at once from MLflow's own store, and how many by way of their run or logged model. The second way
/// is read by a thread of its own each, and buffered by MLflow where it is faster than its reader
/// (`starlette/middleware/wsgi.py`).
const AT_ONCE: [usize; 2] = [8, 4];

impl<'a> Shelf<'a> {
    pub(super) fn new(
        facts: &'a Facts,
        mlflow: &'a Upstream,
        wanted: &'a Wanted,
    ) -> Result<Self, DigestError> {
        let root = plain(&wanted.root);
        let stored = root.strip_prefix("mlflow-artifacts:").map(|path| path.trim_matches('/'));
        // One that MLflow would read a second time there is reached by way of the run or logged model.
        let stored = stored.filter(|path| path.is_empty() || artifact_path::check(path).is_ok());
        let holder = wanted.holder.as_ref();
        // All that the store has is no version's.
        if holder.is_none() && (stored.is_none() || wanted.path.is_empty()) {
            return Err(DigestError::NotReachable);
        }
        if !wanted.path.is_empty() {
            check_path(&wanted.path)?;
        }
        Ok(Self { facts, mlflow, holder, stored: stored.map(str::to_owned), source: &wanted.path })
    }

    pub(super) fn at_once(&self) -> usize {
        let [stored, held] = AT_ONCE;
        if self.stored.is_some() { stored } else { held }
    }

    /// The address of the list of a folder below the root, and the path that MLflow writes before the names in it.
    pub(super) fn list_of<'f>(&self, folder: &'f str) -> (String, &'f str) {
        match self.holder {
            Some(Holder::Run(id)) => {
                let pairs = [("run_id", id.as_str()), ("path", folder)];
                (query("/api/2.0/mlflow/artifacts/list", named(&pairs)), folder)
            }
            Some(Holder::LoggedModel(id)) => {
                let path = format!("{}/directories", logged_model("/api/2.0/", id));
                (query(&path, named(&[("artifact_directory_path", folder)])), folder)
            }
            None => {
                let path = join(self.stored.as_deref().unwrap_or_default(), folder);
                (query("/api/2.0/mlflow-artifacts/artifacts", named(&[("path", &path)])), "")
            }
        }
    }

    /// The address of a file below the root.
    pub(super) fn file(&self, path: &str) -> Result<String, ListError> {
        check_path(path)?;
        Ok(match (&self.stored, self.holder) {
            (Some(root), _) => {
                let mut address = String::from("/api/2.0/mlflow-artifacts/artifacts");
                for segment in join(root, path).split('/') {
                    address.push('/');
                    write_segment(&mut address, segment);
                }
                address
            }
            (None, Some(Holder::LoggedModel(id))) => {
                let files = format!("{}/files", logged_model("/ajax-api/2.0/", id));
                query(&files, &[("artifact_file_path", path)])
            }
            (None, Some(Holder::Run(id))) => query("/get-artifact", &[("run_id", id), ("path", path)]),
            (None, None) => return Err(ListError::Unservable(path.to_owned())),
        })
    }
}

/// Without the last pair where it names the root: MLflow takes no empty path for it everywhere.
fn named<'p>(pairs: &'p [(&'p str, &'p str)]) -> &'p [(&'p str, &'p str)] {
    match pairs {
        [before @ .., (_, "")] => before,
        all => all,
    }
}

fn logged_model(api: &str, id: &str) -> String {
    let mut path = format!("{api}mlflow/logged-models/");
    write_segment(&mut path, id);
    path.push_str("/artifacts");
    path
}

/// A path below a folder; either may be empty.
pub(super) fn join(folder: &str, path: &str) -> String {
    match (folder, path) {
        ("", path) => path.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, path) => format!("{folder}/{path}"),
    }
}
