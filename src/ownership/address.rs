//! From a request's address of files to the run or logged model that has them.

use crate::facts::{FactError, Facts, Holder};
use crate::govern::sources::{is_id, is_logged_model, plain};
use crate::route::artifact_path;
use crate::route::demand::Address;
use crate::upstream::Upstream;

use super::area::Wanted;

/// Where files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Among those of a run or logged model, of an experiment; nothing where the experiment cannot be told.
    Held(Wanted, Option<String>),
    /// In a trace's folder, or where MLflow puts nothing by itself.
    Loose(Wanted, Option<String>),
    /// Above any run: an experiment's whole folder, or the store's root.
    Above,
    /// In all runs and logged models of an experiment.
    Experiment(String),
    /// With a run or logged model that MLflow does not have.
    Nowhere,
}

impl Place {
    /// Finds the place of an address.
    ///
    /// # Errors
    /// MLflow could not be asked, or not understood.
    pub async fn find(facts: &Facts, mlflow: &Upstream, address: &Address) -> Result<Self, FactError> {
        let (holder, path) = match address {
            Address::Store(path) => return in_store(facts, mlflow, path).await,
            Address::Run(id, path) => (Holder::Run(id.clone()), path),
            Address::LoggedModel(id, path) => (Holder::LoggedModel(id.clone()), path),
            Address::Experiment(id) => return Ok(Self::Experiment(id.clone())),
        };
        Ok(match facts.held(mlflow, &holder).await? {
            Some(held) => Self::Held(Wanted::of(holder, &held, path), Some(held.experiment.clone())),
            None => Self::Nowhere,
        })
    }
}

/// MLflow's layout is `…/RUN/artifacts/…` and `…/models/MODEL/artifacts/…`; that files are really there, only the run or
/// model itself says.
async fn in_store(facts: &Facts, mlflow: &Upstream, path: &str) -> Result<Place, FactError> {
    let Some(laid) = layout(path) else { return Ok(loose(path)) };
    let root = format!("mlflow-artifacts:/{}", laid.root);
    let experiment = || artifact_path::experiment(path).map(str::to_owned);
    match facts.held(mlflow, &laid.holder).await? {
        Some(held) if plain(&held.root) == root => {
            Ok(Place::Held(Wanted::of(laid.holder, &held, laid.below), Some(held.experiment.clone())))
        }
        None if !laid.by_folder => {
            let (holder, path) = (Some(laid.holder), laid.below.to_owned());
            Ok(Place::Held(Wanted { holder, root, run: None, name: None, path }, experiment()))
        }
        Some(_) | None => Ok(loose(path)),
    }
}

fn loose(path: &str) -> Place {
    let wanted = Wanted {
        holder: None,
        root: "mlflow-artifacts:/".to_owned(),
        run: None,
        name: None,
        path: path.to_owned(),
    };
    let experiment = artifact_path::experiment(path).map(str::to_owned);
    match path.split('/').collect::<Vec<_>>().as_slice() {
        [] | [_] | [_, "models" | "traces"] => Place::Above,
        _ => Place::Loose(wanted, experiment),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Laid<'p> {
    holder: Holder,
    root: String,
    below: &'p str,
    /// The path is the folder around `artifacts`.
    by_folder: bool,
}

fn layout(path: &str) -> Option<Laid<'_>> {
    let segments: Vec<&str> = path.split('/').collect();
    let holder = |upto: &[&str]| match upto {
        [.., "traces", _] | [.., "models" | "traces"] => None,
        [_, .., "models", id] if is_logged_model(id) => Some(Holder::LoggedModel((*id).to_owned())),
        [_, .., id] if is_id(id) => Some(Holder::Run((*id).to_owned())),
        _ => None,
    };
    let mut ends = 0;
    for (at, segment) in segments.iter().enumerate() {
        ends += segment.len();
        if *segment == "artifacts"
            && let Some(holder) = segments.get(..at).and_then(holder)
        {
            let (root, below) = path.split_at_checked(ends)?;
            let below = below.strip_prefix('/').unwrap_or_default();
            return Some(Laid { holder, root: root.to_owned(), below, by_folder: false });
        }
        ends += 1;
    }
    let holder = holder(&segments)?;
    Some(Laid { holder, root: format!("{path}/artifacts"), below: "", by_folder: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mlflows_layout_names_the_holder() {
        let run = |id: &str| Holder::Run(id.into());
        let model = |id: &str| Holder::LoggedModel(id.into());
        for (path, expected) in [
            ("1/r/artifacts/model/MLmodel", Some((run("r"), "1/r/artifacts", "model/MLmodel", false))),
            ("1/r/artifacts", Some((run("r"), "1/r/artifacts", "", false))),
            ("1/r", Some((run("r"), "1/r/artifacts", "", true))),
            ("1/r/artifacts/artifacts/x", Some((run("r"), "1/r/artifacts", "artifacts/x", false))),
            ("a/b/r/artifacts/x", Some((run("r"), "a/b/r/artifacts", "x", false))),
            ("1/models/m-0f/artifacts/x", Some((model("m-0f"), "1/models/m-0f/artifacts", "x", false))),
            ("1/models/m-0f", Some((model("m-0f"), "1/models/m-0f/artifacts", "", true))),
            ("1/traces/tr-0/artifacts/traces.json", None),
            ("1", None),
            ("artifacts/x", Some((run("x"), "artifacts/x/artifacts", "", true))),
            ("artifacts/x.txt", None),
            ("1/été/artifacts/x.txt", None),
        ] {
            let found = layout(path).map(|laid| (laid.holder, laid.root, laid.below, laid.by_folder));
            let expected =
                expected.map(|(holder, root, below, folder)| (holder, root.to_owned(), below, folder));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn what_lies_above_runs_is_told() {
        for (path, above) in [
            ("", true),
            ("1", true),
            ("1/models", true),
            ("1/traces", true),
            ("1/x", false),
            ("a/b/c", false),
        ] {
            assert_eq!(loose(path) == Place::Above, above, "{path}");
        }
    }
}
