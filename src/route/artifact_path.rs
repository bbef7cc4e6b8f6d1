//! A path inside MLflow's artifact store, in the only spelling that means one file.
//!
//! MLflow decodes such a path up to ten times more, re-parses it as a URL each time and drops control characters
//! (`utils/uri.py` `validate_path_is_safe`), so whatever any of these steps would change is refused.

use super::target::has_escape;

/// Why a text is not such a path.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ArtifactPathError {
    /// It has an empty, `.` or `..` segment, or starts or ends with a slash.
    #[error("an artifact path has no empty or dot segments")]
    Segment,
    /// It has a character that MLflow would read a second time, or drop.
    #[error(
        "an artifact path has no percent-encoding, none of `?`, `#`, `;`, `\\` and no control characters"
    )]
    Character,
    /// A segment begins or ends with a space.
    #[error("no segment of an artifact path begins or ends with a space")]
    Space,
    /// It starts like a URI or a drive.
    #[error("an artifact path has no scheme")]
    Scheme,
}

/// Checks a decoded path.
pub fn check(path: &str) -> Result<(), ArtifactPathError> {
    if path.chars().any(|letter| letter.is_control() || is_unseen(letter) || "?#;\\".contains(letter))
        || has_escape(path)
    {
        return Err(ArtifactPathError::Character);
    }
    for segment in path.split('/') {
        if matches!(segment, "" | "." | "..") {
            return Err(ArtifactPathError::Segment);
        }
        if segment.trim() != segment {
            return Err(ArtifactPathError::Space);
        }
    }
    let first = path.split('/').next().unwrap_or_default();
    if first.contains(':') { Err(ArtifactPathError::Scheme) } else { Ok(()) }
}

/// Line and paragraph separators, and what turns the direction of text: never in a file's name on purpose.
fn is_unseen(letter: char) -> bool {
    matches!(letter, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The experiment to whose folder a checked path leads: MLflow's own layout is `<experiment>/<run>/artifacts/…` and
/// `<experiment>/models/<model>/artifacts/…`. Another first segment is nobody's.
#[must_use]
pub fn experiment(path: &str) -> Option<&str> {
    let first = path.split('/').next()?;
    let one_spelling = first == "0" || !first.starts_with('0');
    let digits = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
    (digits && one_spelling && first.len() <= 40).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_pass() {
        for (path, expected) in [
            ("1/r/artifacts/model/MLmodel", Ok(())),
            ("1/r/artifacts/été 2.png", Ok(())),
            ("a..b/c...", Ok(())),
            ("a/b:c", Ok(())),
            ("read me+1%.txt", Ok(())),
            ("", Err(ArtifactPathError::Segment)),
            ("/etc/passwd", Err(ArtifactPathError::Segment)),
            ("a//b", Err(ArtifactPathError::Segment)),
            ("a/./b", Err(ArtifactPathError::Segment)),
            ("../b", Err(ArtifactPathError::Segment)),
            ("a/..", Err(ArtifactPathError::Segment)),
            ("a/", Err(ArtifactPathError::Segment)),
            ("a/%2e%2e/b", Err(ArtifactPathError::Character)),
            ("a\\..\\b", Err(ArtifactPathError::Character)),
            ("a?b", Err(ArtifactPathError::Character)),
            ("a#b", Err(ArtifactPathError::Character)),
            ("a;", Err(ArtifactPathError::Character)),
            ("a\tb", Err(ArtifactPathError::Character)),
            ("a\0", Err(ArtifactPathError::Character)),
            ("a/\u{202e}b", Err(ArtifactPathError::Character)),
            (" a", Err(ArtifactPathError::Space)),
            ("a /b", Err(ArtifactPathError::Space)),
            ("a/\u{a0}b", Err(ArtifactPathError::Space)),
            ("file:///etc/passwd", Err(ArtifactPathError::Segment)),
            ("file:etc", Err(ArtifactPathError::Scheme)),
            ("c:/windows", Err(ArtifactPathError::Scheme)),
        ] {
            assert_eq!(check(path), expected, "{path:?}");
        }
    }

    #[test]
    fn the_first_segment_is_the_experiment() {
        for (path, expected) in [
            ("12/r/artifacts", Some("12")),
            ("x/12", None),
            ("", None),
            ("12a/b", None),
            ("0/r", Some("0")),
            ("01/r", None),
        ] {
            assert_eq!(experiment(path), expected, "{path}");
        }
    }
}
