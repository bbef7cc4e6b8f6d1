//! Holds the table against a list of routes that was taken from an installed MLflow.

use std::collections::BTreeSet;

use super::table::rows;

/// How the table and an installed MLflow differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Routes that MLflow serves and the table does not have: `METHOD PATH`.
    pub unknown: BTreeSet<String>,
    /// Rows that this MLflow does not serve.
    pub absent: BTreeSet<String>,
    /// How many routes both have.
    pub shared: usize,
}

/// A line that is not `METHOD PATH`: its number, from 1.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {0} is not `METHOD PATH`")]
pub struct CoverageError(pub usize);

/// Compares. Parameters may be written `{name}`, `{name:path}`, `{name*}`, `<name>` or `<path:name>`; blank lines and lines
/// that start with `#` are passed over; HEAD and OPTIONS go with every GET and are no routes of their own.
pub fn compare(list: &str) -> Result<Coverage, CoverageError> {
    let mut served = BTreeSet::new();
    for (index, line) in list.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (method, path) = line.split_once([' ', '\t']).ok_or(CoverageError(index + 1))?;
        let path = path.trim();
        if !path.starts_with('/') || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(CoverageError(index + 1));
        }
        if !matches!(method, "HEAD" | "OPTIONS") {
            served.insert((format!("{method} {}", shape(path)), format!("{method} {path}")));
        }
    }
    let known: BTreeSet<String> =
        rows().flat_map(|row| row.paths().map(|path| format!("{} {path}", row.verb.as_str()))).collect();
    let shapes: BTreeSet<String> = known.iter().map(|line| shape(line)).collect();
    let served_shapes: BTreeSet<&str> = served.iter().map(|(shape, _)| shape.as_str()).collect();
    Ok(Coverage {
        unknown: served
            .iter()
            .filter(|(shape, _)| !shapes.contains(shape))
            .map(|(_, line)| line.clone())
            .collect(),
        absent: known.iter().filter(|line| !served_shapes.contains(shape(line).as_str())).cloned().collect(),
        shared: served_shapes.iter().filter(|shape| shapes.contains(**shape)).count(),
    })
}

/// A path with its parameters' names taken out, and how many segments they may have: lists are written either way.
fn shape(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        let (open, close) = match segment.as_bytes().first() {
            Some(b'<') => ('<', '>'),
            Some(b'{') => ('{', '}'),
            _ => return segment.to_owned(),
        };
        let suffix = segment.trim_start_matches(open).split_once(close).map_or("", |(_, suffix)| suffix);
        format!("{{}}{suffix}")
    });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_route_is_named_and_an_absent_row_is_listed() {
        let list = "# from MLflow\nGET /api/2.0/mlflow/registered-models/get\nHEAD /x\n\
            GET /static-files/<path:path>\nPATCH /api/2.0/mlflow/logged-models/<model_id>\n\
            GET /api/3.0/mlflow/mcp-servers/{name:path}/versions\nGET /api/2.0/mlflow/invented\n";
        let coverage = compare(list).expect("a sound list");
        assert_eq!(coverage.unknown, BTreeSet::from(["GET /api/2.0/mlflow/invented".to_owned()]));
        assert_eq!(coverage.shared, 4);
        assert!(coverage.absent.contains("POST /graphql"));
        assert!(!coverage.absent.contains("GET /api/2.0/mlflow/registered-models/get"));
    }

    #[test]
    fn a_line_that_is_no_route_is_an_error() {
        for list in ["GET", "get /x", "GET x", "\n\nnonsense here"] {
            assert!(compare(list).is_err(), "{list:?}");
        }
    }
}
