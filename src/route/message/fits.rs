//! Whether one value is what protobuf's JSON mapping reads as its field's kind: `google.protobuf.json_format`, narrowed.

use base64::Engine as _;

use crate::route::json;
use crate::route::schema::Kind;

/// Whether a JSON number is one that protobuf reads as this kind without loss.
pub(super) fn number_fits(kind: Kind, written: &str) -> bool {
    match kind {
        Kind::Integer(least, most) => match written.split_once('.') {
            None => written.parse().is_ok_and(|number| (least..=most).contains(&number)),
            Some((whole, zeros)) => {
                let exact = |number: &i128| (least..=most).contains(number) && number.abs() <= EXACT;
                zeros.bytes().all(|byte| byte == b'0') && whole.parse().is_ok_and(|number| exact(&number))
            }
        },
        Kind::Enum(values) => written.parse().is_ok_and(|number| values.has_number(number)),
        Kind::Float => written.parse().is_ok_and(|number: f64| number.abs() <= f64::from(f32::MAX)),
        Kind::Double => true,
        Kind::Text
        | Kind::Bool
        | Kind::Bytes
        | Kind::Timestamp
        | Kind::Duration
        | Kind::FieldMask
        | Kind::Map
        | Kind::Any
        | Kind::Message(_) => false,
    }
}

/// Python reads a number with a point as a double, which is exact up to here; beyond, the largest integer is out of range.
const EXACT: i128 = 1 << 53;

/// Whether a string is one that protobuf's JSON mapping reads as this kind, and that nobody reads otherwise.
pub(super) fn text_fits(kind: Kind, text: &str) -> bool {
    let digits = || text.strip_prefix('-').unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit());
    match kind {
        Kind::Text => true,
        Kind::Integer(..) => !text.is_empty() && digits() && number_fits(kind, text),
        Kind::Double | Kind::Float => {
            matches!(text, "NaN" | "Infinity" | "-Infinity")
                || (serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
                    && json::in_range(text).is_ok()
                    && number_fits(kind, text))
        }
        Kind::Enum(values) => {
            values.has_name(text) || (digits() && text.parse().is_ok_and(|number| values.has_number(number)))
        }
        Kind::Bytes => base64::engine::general_purpose::STANDARD.decode(text).is_ok(),
        Kind::Timestamp => is_timestamp(text),
        Kind::Duration => is_duration(text),
        Kind::FieldMask => {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b','))
        }
        Kind::Bool | Kind::Map | Kind::Any | Kind::Message(_) => false,
    }
}

/// RFC 3339 as protobuf reads it: no leap second, no year 0, an offset with minutes, nothing before the year 1.
pub(super) fn is_timestamp(text: &str) -> bool {
    let Some((time, rest)) = text.split_at_checked(19) else { return false };
    let offset = match rest.strip_prefix('.') {
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|letter: char| letter.is_ascii_digit());
            (1..=9).contains(&(fraction.len() - offset.len())).then_some(offset)
        }
        None => Some(rest),
    };
    has_shape(time, "0000-00-00T00:00:00")
        && offset
            .is_some_and(|offset| offset == "Z" || has_shape(offset, "+00:00") || has_shape(offset, "-00:00"))
        && !time.starts_with("0000")
        && !time.ends_with("60")
        && text.parse::<jiff::Timestamp>().is_ok_and(|time| time.as_second() >= FIRST_SECOND)
}

/// 0001-01-01T00:00:00Z.
const FIRST_SECOND: i64 = -62_135_596_800;

/// Whether a text is like another one, in which `0` stands for any digit.
fn has_shape(text: &str, shape: &str) -> bool {
    let alike =
        |(found, expected): (u8, u8)| found == expected || (expected == b'0' && found.is_ascii_digit());
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(alike)
}

fn is_duration(text: &str) -> bool {
    let Some(seconds) = text.strip_suffix('s') else { return false };
    let seconds = seconds.strip_prefix('-').unwrap_or(seconds);
    let (whole, nanos) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let digits = |part: &str, most: usize| {
        !part.is_empty() && part.len() <= most && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    digits(whole, 11) && digits(nanos, 9)
}

/// What a value of this kind looks like, for a sentence.
pub(super) fn expectation(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a string",
        Kind::Bool => "true or false",
        Kind::Integer(..) => "an integer in range",
        Kind::Double | Kind::Float => "a number in range",
        Kind::Bytes => "base64",
        Kind::Timestamp => "an RFC 3339 time",
        Kind::Duration => "a duration such as \"1.5s\"",
        Kind::FieldMask => "a field mask",
        Kind::Map => "an object of strings",
        Kind::Any => "JSON",
        Kind::Enum(_) => "one of the values that MLflow knows",
        Kind::Message(_) => "an object",
    }
}
