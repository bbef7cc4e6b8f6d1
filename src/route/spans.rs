//! OTLP spans (`server/otel_api.py`): whose they are is in headers, but their attributes can set a trace's tags.
//!
//! An attribute `mlflow.traceTag.<key>` of a root span becomes the trace's tag `<key>` (`store/tracking/sqlalchemy_store.py`
//! `log_spans`). The tags that say where MLflow reads a trace's data from are not the caller's to set.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{GzDecoder, ZlibDecoder};
use http::{HeaderMap, header};

use super::Misread;
use super::json::{DEEPEST, Raw};

/// Attributes that nobody sends in good faith.
const PLACES: [&str; 3] = [
    "mlflow.traceTag.mlflow.artifactLocation",
    "mlflow.traceTag.mlflow.trace.archiveLocation",
    "mlflow.traceTag.mlflow.trace.spansLocation",
];

/// The most that compressed spans may unpack to: as much as they might be unpacked.
const UNPACKED: u64 = 10 * 1024 * 1024;

/// Reads spans in JSON or protobuf, unpacked. In protobuf a string's bytes have one spelling; JSON is written anew, so that
/// it has one there too.
pub(super) fn read(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Misread> {
    let body = unpacked(headers, body)?;
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

/// MLflow unpacks without a limit (`tracing/utils/otlp.py`); here there is one, and what goes on is unpacked.
fn unpacked(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Misread> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter().map(http::HeaderValue::as_bytes);
    let mut out = Vec::new();
    let read = match (encodings.next(), encodings.next()) {
        (None | Some(b"identity"), None) => return Ok(body),
        (Some(b"gzip"), None) => GzDecoder::new(&*body).take(UNPACKED + 1).read_to_end(&mut out),
        (Some(b"deflate"), None) => ZlibDecoder::new(&*body).take(UNPACKED + 1).read_to_end(&mut out),
        _ => return Err(Misread::Spans("their `Content-Encoding` is gzip, deflate or none")),
    };
    match read {
        Ok(length) if length as u64 <= UNPACKED => Ok(out.into()),
        Ok(_) => Err(Misread::Spans("they unpack to more than 10 MiB")),
        Err(_) => Err(Misread::Spans("they cannot be unpacked")),
    }
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

    fn packed(body: &[u8]) -> (Bytes, Bytes) {
        let level = flate2::Compression::best();
        let (mut gzip, mut zlib) = (Vec::new(), Vec::new());
        flate2::read::GzEncoder::new(body, level).read_to_end(&mut gzip).expect("memory");
        flate2::read::ZlibEncoder::new(body, level).read_to_end(&mut zlib).expect("memory");
        (gzip.into(), zlib.into())
    }

    #[test]
    fn what_is_packed_is_looked_at_and_has_a_limit() {
        let headers = |encoding: &'static str| {
            let mut map = HeaderMap::new();
            map.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/x-protobuf"));
            map.insert(header::CONTENT_ENCODING, http::HeaderValue::from_static(encoding));
            map
        };
        let bomb = vec![0; 10 * 1024 * 1024 + 1];
        for (body, expected) in [(&b"mine"[..], true), (PLACES[0].as_bytes(), false), (&bomb, false)] {
            let (gzip, zlib) = packed(body);
            for (encoding, packed) in [("gzip", gzip), ("deflate", zlib)] {
                let found = read(&headers(encoding), packed);
                assert_eq!(
                    found.as_deref().ok(),
                    expected.then_some(body),
                    "{encoding} of {} bytes",
                    body.len()
                );
            }
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
        check(&[("content-type", proto), ("content-encoding", "gzip")], "x", Err("cannot be unpacked"));
        check(&[("content-type", proto), ("content-encoding", "br")], "x", Err("gzip, deflate or none"));
        check(&[("content-type", "text/plain")], "x", Err("their type is"));
        check(&[("content-type", proto), ("content-type", json)], "{}", Err("their type is"));
        check(&[], "", Err("their type is"));
    }
}
