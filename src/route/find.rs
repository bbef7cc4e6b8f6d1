//! From a method and a path to a row of the table, by whole segments.

use std::collections::HashMap;
use std::sync::LazyLock;

use http::Method;

use super::table::{Form, Row, Verb, rows};
use super::target::{Path, Segment, write_segment};

/// A row, the prefix that was asked for, and what stood where the row has parameters.
#[derive(Clone, Debug)]
pub struct Found {
    /// The row.
    pub row: &'static Row,
    /// `HEAD` of a row that answers it.
    pub head: bool,
    prefix: &'static str,
    params: Vec<(&'static str, String)>,
}

impl Found {
    /// A path parameter's decoded text; several segments are joined by `/`.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_str())
    }

    /// All path parameters.
    pub fn params(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.params.iter().map(|(name, text)| (*name, text.as_str()))
    }

    /// Whether the web page's own prefix was used.
    #[must_use]
    pub fn is_ajax(&self) -> bool {
        self.prefix.starts_with("/ajax-api")
    }

    /// The route as the table has it, for records.
    #[must_use]
    pub fn route(&self) -> String {
        format!("{}/{}", self.prefix, self.row.path)
    }

    /// The path, written anew from the table and the decoded parameters.
    #[must_use]
    pub fn write_path(&self) -> String {
        let mut out = String::from(self.prefix);
        for part in self.row.mlflows.unwrap_or(self.row.path).split('/') {
            out.push('/');
            match Part::of(part) {
                Part::Literal(text) => out.push_str(text),
                Part::One(name, suffix) => {
                    write_segment(&mut out, self.param(name).unwrap_or_default());
                    out.push_str(suffix);
                }
                Part::Many(name) => {
                    for (index, segment) in self.param(name).unwrap_or_default().split('/').enumerate() {
                        if index > 0 {
                            out.push('/');
                        }
                        write_segment(&mut out, segment);
                    }
                }
            }
        }
        out
    }
}

/// The row for a request, or none. A literal segment goes before a parameter, as in werkzeug's router.
#[must_use]
pub(super) fn find(method: &Method, path: &Path) -> Option<Found> {
    let head = *method == Method::HEAD;
    let verb = if head { Verb::Get } else { Verb::of(method)? };
    let mut raw = String::new();
    for segment in path.segments() {
        raw.push('/');
        raw.push_str(&segment.raw);
    }
    if path.trailing_slash || raw.is_empty() {
        raw.push('/');
    }
    let index = &*INDEX;
    let literal =
        index.literal.get(&(verb, raw)).map(|&(row, prefix)| Found { row, head, prefix, params: Vec::new() });
    let found = match literal {
        Some(found) => Some(found),
        None if path.trailing_slash => None,
        None => index
            .patterns
            .iter()
            .filter(|pattern| pattern.row.verb == verb)
            .find_map(|pattern| pattern.matches(path, head)),
    };
    found.filter(|found| !head || found.row.form == Form::Nothing)
}

struct Index {
    literal: HashMap<(Verb, String), (&'static Row, &'static str)>,
    patterns: Vec<Pattern>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index { literal: HashMap::new(), patterns: Vec::new() };
    for row in rows() {
        for prefix in row.base.prefixes() {
            if row.path.contains('{') {
                index.patterns.push(Pattern::new(row, prefix));
            } else {
                index.literal.insert((row.verb, format!("{prefix}/{}", row.path)), (row, prefix));
            }
        }
    }
    index.patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.weight()));
    index
});

struct Pattern {
    row: &'static Row,
    prefix: &'static str,
    parts: Vec<Part>,
}

#[derive(Clone, Copy)]
enum Part {
    Literal(&'static str),
    One(&'static str, &'static str),
    Many(&'static str),
}

impl Part {
    fn of(text: &'static str) -> Self {
        let Some((name, suffix)) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
            return Self::Literal(text);
        };
        match name.strip_suffix('*') {
            Some(name) => Self::Many(name),
            None => Self::One(name, suffix),
        }
    }
}

impl Pattern {
    fn new(row: &'static Row, prefix: &'static str) -> Self {
        let prefixed = prefix.split('/').filter(|part| !part.is_empty()).map(Part::Literal);
        Self { row, prefix, parts: prefixed.chain(row.path.split('/').map(Part::of)).collect() }
    }

    /// More literals first, then fewer open ends.
    fn weight(&self) -> (usize, usize) {
        let literals = self.parts.iter().filter(|part| matches!(part, Part::Literal(_))).count();
        let many = self.parts.iter().filter(|part| matches!(part, Part::Many(_))).count();
        (literals, usize::MAX - many)
    }

    fn matches(&self, path: &Path, head: bool) -> Option<Found> {
        let mut params = Vec::new();
        matches(&self.parts, path.segments(), &mut params).then(|| {
            params.reverse();
            Found { row: self.row, head, prefix: self.prefix, params }
        })
    }
}

fn matches(parts: &[Part], segments: &[Segment], params: &mut Vec<(&'static str, String)>) -> bool {
    let Some((part, parts)) = parts.split_first() else { return segments.is_empty() };
    let Some((segment, rest)) = segments.split_first() else { return false };
    match part {
        Part::Literal(text) => segment.raw == *text && matches(parts, rest, params),
        Part::One(name, suffix) => {
            let Some(value) = segment.decoded.strip_suffix(suffix).filter(|value| !value.is_empty()) else {
                return false;
            };
            let fits = matches(parts, rest, params);
            if fits {
                params.push((name, value.to_owned()));
            }
            fits
        }
        Part::Many(name) => (1..=segments.len()).rev().any(|count| {
            let (taken, rest) = segments.split_at(count);
            let fits = matches(parts, rest, params);
            if fits {
                let texts: Vec<&str> = taken.iter().map(|segment| segment.decoded.as_str()).collect();
                params.push((name, texts.join("/")));
            }
            fits
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, path: &str, expected: Option<(&str, &[(&str, &str)])>) {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let found = Path::of_text(path).ok().and_then(|path| find(&method, &path));
        let seen = found.as_ref().map(|found| (found.route(), found.params().collect::<Vec<_>>()));
        assert_eq!(
            seen,
            expected.map(|(route, params)| (route.to_owned(), params.to_vec())),
            "{method} {path}"
        );
        if let Some(found) = found {
            assert_eq!(found.write_path(), path);
        }
    }

    #[test]
    fn rows_are_found_by_whole_segments() {
        check("GET", "/", Some(("/", &[])));
        check(
            "GET",
            "/api/2.0/mlflow/registered-models/get",
            Some(("/api/2.0/mlflow/registered-models/get", &[])),
        );
        check(
            "GET",
            "/ajax-api/2.0/mlflow/registered-models/get",
            Some(("/ajax-api/2.0/mlflow/registered-models/get", &[])),
        );
        check("POST", "/ajax-api/3.0/jobs/", Some(("/ajax-api/3.0/jobs/", &[])));
        check("GET", "/ajax-api/3.0/jobs/7", Some(("/ajax-api/3.0/jobs/{job_id}", &[("job_id", "7")])));
        check(
            "PUT",
            "/api/2.0/mlflow-artifacts/artifacts/1/run/artifacts/a%20b.txt",
            Some((
                "/api/2.0/mlflow-artifacts/artifacts/{artifact_path*}",
                &[("artifact_path", "1/run/artifacts/a b.txt")],
            )),
        );
        check("GET", "/api/3.0/mlflow/traces/get", Some(("/api/3.0/mlflow/traces/get", &[])));
        check(
            "GET",
            "/api/3.0/mlflow/traces/tr-1",
            Some(("/api/3.0/mlflow/traces/{trace_id}", &[("trace_id", "tr-1")])),
        );
        check(
            "GET",
            "/api/3.0/mlflow/mcp-servers/io.x/y/versions/1",
            Some((
                "/api/3.0/mlflow/mcp-servers/{name*}/versions/{version*}",
                &[("name", "io.x/y"), ("version", "1")],
            )),
        );
        check(
            "POST",
            "/gateway/gemini/v1beta/models/e:generateContent",
            Some((
                "/gateway/gemini/v1beta/models/{endpoint_name}:generateContent",
                &[("endpoint_name", "e")],
            )),
        );
    }

    #[test]
    fn what_no_row_describes_is_not_found() {
        for (method, path) in [
            ("get", "/api/2.0/mlflow/registered-models/get"),
            ("HEAD", "/api/2.0/mlflow/registered-models/get"),
            ("OPTIONS", "/api/2.0/mlflow/registered-models/get"),
            ("POST", "/api/2.0/mlflow/registered-models/search"),
            ("GET", "/api/2.0/mlflow/registered-models/get/"),
            ("GET", "/API/2.0/mlflow/registered-models/get"),
            ("GET", "/%61pi/2.0/mlflow/registered-models/get"),
            ("GET", "/api/2%2E0/mlflow/registered-models/get"),
            ("GET", "/api/2.0/mlflow/registered-models/get%20"),
            ("GET", "/api/2.0/mlflow/registered-models/get;x=1"),
            ("GET", "/api/4.0/mlflow/registered-models/get"),
            ("GET", "/registered-models/get"),
            ("GET", "/api/3.0/mlflow/jobs/7"),
            ("GET", "/api/2.0/mlflow-artifacts/artifacts/"),
            ("DELETE", "/api/2.0/mlflow-artifacts/artifacts"),
        ] {
            check(method, path, None);
        }
        assert!(
            find(&Method::HEAD, &Path::of_text("/health").expect("a path")).is_some_and(|found| found.head)
        );
    }
}
