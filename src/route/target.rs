//! The request target, read once.
//!
//! MLflow's servers decode a path before they route it, collapse leading slashes, keep bad percent-encodings and take
//! the first of several query values (`surface` facts of werkzeug and uvicorn). A target that needs any of this is refused.

use std::fmt;

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::secret::Hidden;

/// Why a target is not one that everybody reads the same way.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TargetError {
    /// Not `/path?query`.
    #[error("the request target must be a path")]
    Form,
    /// An empty, `.` or `..` segment.
    #[error("the path has an empty or a dot segment")]
    Segment,
    /// `%` that starts no encoding, or bytes that are not UTF-8.
    #[error("the {0} is not percent-encoded UTF-8")]
    Encoding(&'static str),
    /// An encoded separator, control character or second layer of encoding.
    #[error("the path has an encoded `{0}`")]
    Encoded(char),
    /// More parameters than any client sends.
    #[error("the query has more than {MOST_PAIRS} parameters")]
    TooMany,
}

const MOST_PAIRS: usize = 1_000;

/// A path's segments: as they came, and decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    segments: Vec<Segment>,
    /// Whether the path ends in a slash.
    pub trailing_slash: bool,
}

/// One segment of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The bytes between two slashes.
    pub raw: String,
    /// What they stand for.
    pub decoded: String,
}

impl Path {
    /// Reads an origin-form target's path (RFC 9112 section 3.2.1); the other forms are refused. HTTP/2 carries the
    /// authority apart, and it arrives here as if the target were absolute, so the caller says which it was.
    pub fn read(uri: &Uri, is_http2: bool) -> Result<Self, TargetError> {
        if !is_http2 && (uri.scheme().is_some() || uri.authority().is_some()) {
            return Err(TargetError::Form);
        }
        Self::of_text(uri.path())
    }

    /// Reads a path.
    pub fn of_text(path: &str) -> Result<Self, TargetError> {
        let rest = path.strip_prefix('/').ok_or(TargetError::Form)?;
        let (rest, trailing_slash) = match rest.strip_suffix('/') {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        if rest.is_empty() {
            return if trailing_slash {
                Err(TargetError::Segment)
            } else {
                Ok(Self { segments: Vec::new(), trailing_slash })
            };
        }
        let segments = rest.split('/').map(segment).collect::<Result<_, _>>()?;
        Ok(Self { segments, trailing_slash })
    }

    /// The segments, without the slashes between them.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The path below a prefix, if it lies below it.
    #[must_use]
    pub fn below(&self, prefix: &str) -> Option<Self> {
        let mut rest = self.segments.iter();
        for expected in prefix.split('/').filter(|segment| !segment.is_empty()) {
            (rest.next()?.raw == expected).then_some(())?;
        }
        Some(Self { segments: rest.cloned().collect(), trailing_slash: self.trailing_slash })
    }
}

fn segment(raw: &str) -> Result<Segment, TargetError> {
    let decoded = decode(raw, "path")?;
    if decoded.is_empty() || decoded == "." || decoded == ".." {
        return Err(TargetError::Segment);
    }
    let misread = |letter: char| matches!(letter, '/' | '\\') || letter.is_control();
    match decoded.chars().find(|letter| misread(*letter)) {
        Some(letter) => Err(TargetError::Encoded(letter)),
        None if has_escape(&decoded) => Err(TargetError::Encoded('%')),
        None => Ok(Segment { raw: raw.to_owned(), decoded }),
    }
}

/// Whether something would be left to decode: `%` before two hexadecimal digits. Any other `%` is itself.
pub(crate) fn has_escape(text: &str) -> bool {
    text.as_bytes()
        .windows(3)
        .any(|three| matches!(three, [b'%', one, two] if one.is_ascii_hexdigit() && two.is_ascii_hexdigit()))
}

/// Decodes once; what is not strictly percent-encoded UTF-8 is refused rather than kept, as werkzeug keeps it.
fn decode(raw: &str, place: &'static str) -> Result<String, TargetError> {
    let mut rest = raw.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let hex = rest.get(at + 1..at + 3).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        if !hex {
            return Err(TargetError::Encoding(place));
        }
        rest = rest.get(at + 3..).unwrap_or_default();
    }
    let decoded = percent_encoding::percent_decode_str(raw).decode_utf8();
    decoded.map(Into::into).map_err(|_| TargetError::Encoding(place))
}

/// What a path segment may hold unencoded: RFC 3986's unreserved characters, and those that clients leave as they are.
const IN_SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@').remove(b':');

/// Writes a decoded segment.
pub fn write_segment(out: &mut String, segment: &str) {
    out.extend(utf8_percent_encode(segment, IN_SEGMENT));
}

/// A query's parameters in their order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.pairs().map(|(name, _)| (name, Hidden))).finish()
    }
}

impl Query {
    /// Reads a query as a form: `&` between pairs, `+` for a space. An empty one is none, as MLflow has it.
    pub fn read(query: Option<&str>) -> Result<Self, TargetError> {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let mut read = Vec::new();
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            read.push((form_decode(name)?, form_decode(value)?));
            if read.len() > MOST_PAIRS {
                return Err(TargetError::TooMany);
            }
        }
        Ok(Self(read))
    }

    /// The pairs.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A name that is there twice.
    #[must_use]
    pub fn doubled(&self) -> Option<&str> {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.windows(2).find(|pair| pair.first() == pair.last()).and_then(|pair| pair.first().copied())
    }
}

fn form_decode(text: &str) -> Result<String, TargetError> {
    decode(&text.replace('+', " "), "query")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(path: &str, expected: &Result<&[&str], TargetError>) {
        let found = Path::of_text(path);
        let decoded: Result<Vec<&str>, _> = match &found {
            Ok(path) => Ok(path.segments.iter().map(|segment| segment.decoded.as_str()).collect()),
            Err(error) => Err(error),
        };
        assert_eq!(decoded, expected.as_ref().map(|segments| segments.to_vec()), "{path}");
    }

    #[test]
    fn a_path_that_mlflow_would_normalise_is_refused() {
        check("/", &Ok(&[]));
        check("/api/2.0/mlflow", &Ok(&["api", "2.0", "mlflow"]));
        check("/a/sp%20ace/%C3%A9", &Ok(&["a", "sp ace", "é"]));
        check("/1%25.txt", &Ok(&["1%.txt"]));
        for path in ["//api/2.0", "/api//x", "/./api", "/api/../x", "/api/%2e%2e/x", "/%2e/x", "//", "/api//"]
        {
            check(path, &Err(TargetError::Segment));
        }
        check("/a%2Fb", &Err(TargetError::Encoded('/')));
        check("/a%5cb", &Err(TargetError::Encoded('\\')));
        check("/a%2541b", &Err(TargetError::Encoded('%')));
        check("/a%00", &Err(TargetError::Encoded('\0')));
        check("/a%0Ab", &Err(TargetError::Encoded('\n')));
        for path in ["/a%", "/a%4", "/a%zz", "/%ff", "/%ED%A0%80"] {
            check(path, &Err(TargetError::Encoding("path")));
        }
        for path in ["", "*", "api"] {
            check(path, &Err(TargetError::Form));
        }
    }

    #[test]
    fn only_origin_form_is_a_path() {
        let absolute: Uri = "http://evil/api".parse().expect("a URI");
        assert_eq!(Path::read(&absolute, false), Err(TargetError::Form));
        assert!(Path::read(&absolute, true).is_ok(), "HTTP/2 carries the authority apart");
        let authority: Uri = "evil:443".parse().expect("a URI");
        assert_eq!(Path::read(&authority, false), Err(TargetError::Form));
    }

    #[test]
    fn queries_are_forms() {
        let read = |text| Query::read(Some(text)).map(|query| query.0);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read("a=1&b=x+y%26z&c"), Ok(vec![pair("a", "1"), pair("b", "x y&z"), pair("c", "")]));
        assert_eq!(read("&&"), Ok(vec![]));
        assert_eq!(read("a=b=c;d=e"), Ok(vec![pair("a", "b=c;d=e")]));
        assert_eq!(read("a=%E9"), Err(TargetError::Encoding("query")));
        assert_eq!(read("a=%zz"), Err(TargetError::Encoding("query")));
        assert_eq!(read(&"a&".repeat(1_001)), Err(TargetError::TooMany));
        assert_eq!(Query::read(Some("a=1&%61=2")).expect("a query").doubled(), Some("a"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(segment in "[^/\\\\%\\p{Cc}]{1,20}") {
            prop_assume!(segment != "." && segment != "..");
            let mut path = String::from("/");
            write_segment(&mut path, &segment);
            let read = Path::of_text(&path).expect("our own writing");
            prop_assert_eq!(&read.segments[0].decoded, &segment);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}") {
            let _ = Path::of_text(&text);
            let _ = Query::read(Some(&text));
        }
    }
}
