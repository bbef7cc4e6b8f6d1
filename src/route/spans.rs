//! OTLP spans (`server/otel_api.py`): whose they are is in headers, but their attributes can set a trace's tags.
//!
//! An attribute `mlflow.traceTag.<key>` of a root span becomes the trace's tag `<key>` (`store/tracking/sqlalchemy_store.py`
//! `log_spans`). The tags that say where MLflow reads a trace's data from are not the caller's to set.

use bytes::Bytes;
use http::{HeaderMap, header};

use super::Misread;
use super::json::{DEEPEST, Raw};

/// Attributes that nobody sends in good faith.
const PLACES: [&str; 3] = [
    "mlflow.traceTag.mlflow.artifactLocation",
    "mlflow.traceTag.mlflow.trace.archiveLocation",
    "mlflow.traceTag.mlflow.trace.spansLocation",
];

/// Reads spans in JSON or protobuf. In protobuf a string's bytes have one spelling; JSON is written anew, so that it has
/// one there too. What is compressed cannot be looked at.
pub(super) fn read(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Misread> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Misread::Spans("send them without `Content-Encoding`"));
    }
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let kind = match (types.next().map(http::HeaderValue::to_str), types.next()) {
        (Some(Ok(text)), None) => text.split(';').next().unwrap_or_default().trim(),
        _ => "",
    };
    let body = match kind {
        "application/json" => {
            let mut written = String::new();
            if let Some(raw) = Raw::of_body(&body)? {
                raw.rewrite(&mut written, DEEPEST)?;
            }
            Bytes::from(written)
        }
        "application/x-protobuf" => body,
        _ => return Err(Misread::Spans("their type is application/x-protobuf or application/json")),
    };
    if PLACES.iter().any(|place| body.windows(place.len()).any(|bytes| bytes == place.as_bytes())) {
        return Err(Misread::Spans("where a trace's data is, is kept by MLflow itself"));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], body: &str, expected: Result<&str, &str>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, http::HeaderValue::from_static(value));
        }
        match (read(&map, Bytes::copy_from_slice(body.as_bytes())), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{body}: {error}"),
            (found, _) => panic!("{headers:?} {body} became {found:?}"),
        }
    }

    #[test]
    fn no_attribute_says_where_a_trace_lies() {
        let (json, proto) = ("application/json", "application/x-protobuf");
        check(&[("content-type", proto)], "\n\u{1}mlflow.traceTag.mine", Ok("\n\u{1}mlflow.traceTag.mine"));
        check(&[("content-type", json)], r#"{ "a":"\u006d" }"#, Ok(r#"{"a":"m"}"#));
        for place in PLACES {
            check(&[("content-type", proto)], &format!("\n'{place}\u{12}"), Err("kept by MLflow"));
            let escaped = format!(r#"{{"key":"{}"}}"#, place.replace('m', "\\u006d"));
            check(&[("content-type", json)], &escaped, Err("kept by MLflow"));
        }
        check(&[("content-type", json)], r#"{"a":1,"a":2}"#, Err("twice"));
        check(
            &[("content-type", proto), ("content-encoding", "gzip")],
            "x",
            Err("without `Content-Encoding`"),
        );
        check(&[("content-type", "text/plain")], "x", Err("their type is"));
        check(&[("content-type", proto), ("content-type", json)], "{}", Err("their type is"));
        check(&[], "", Err("their type is"));
    }
}
