//! Whether one value is what protobuf's JSON mapping reads as its field's kind, and nobody reads otherwise.

use base64::Engine as _;

use crate::route::json;
use crate::route::schema::Kind;

pub(super) fn number_fits(kind: Kind, written: &str) -> bool {
    match kind {
        Kind::Integer(least, most) => {
            let whole = written.split_once('.').map_or(written, |(whole, zeros)| {
                if zeros.bytes().all(|byte| byte == b'0') { whole } else { written }
            });
            whole.parse().is_ok_and(|number: i128| (least..=most).contains(&number))
        }
        Kind::Enum(values) => written.parse().is_ok_and(|number| values.has_number(number)),
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

/// Whether a string is one that protobuf's JSON mapping reads as this kind, and that nobody reads otherwise.
pub(super) fn text_fits(kind: Kind, text: &str) -> bool {
    let digits = || text.strip_prefix('-').unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit());
    match kind {
        Kind::Text => true,
        Kind::Integer(..) => !text.is_empty() && digits() && number_fits(kind, text),
        Kind::Double => {
            matches!(text, "NaN" | "Infinity" | "-Infinity")
                || (serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
                    && json::in_range(text).is_ok())
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

fn is_timestamp(text: &str) -> bool {
    let shape = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b'T' | b'Z' | b'+'));
    shape && text.len() >= 20 && text.len() <= 35 && text.parse::<jiff::Timestamp>().is_ok()
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

pub(super) fn expectation(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a string",
        Kind::Bool => "true or false",
        Kind::Integer(..) => "an integer in range",
        Kind::Double => "a number",
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
