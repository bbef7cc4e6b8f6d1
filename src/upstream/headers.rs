//! Headers that belong to one connection, or that tell what only we need to know.

use http::header::{
    ALT_SVC, CONNECTION, CONTENT_LENGTH, CONTENT_LOCATION, DATE, EXPECT, HOST, LOCATION, SERVER, SET_COOKIE,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// What time it was for MLflow when it answered, to the second (RFC 9110 section 6.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaidAt(pub Timestamp);

pub(super) fn said_at(headers: &HeaderMap) -> Option<SaidAt> {
    let date = headers.get(DATE)?.to_str().ok()?;
    let date = DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(SaidAt(date))
}

/// RFC 9110 section 7.6.1, and what came before it.
const OF_ONE_CONNECTION: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// A caller's cookies are never sent on, so MLflow has none to set.
const NOT_TOLD: [HeaderName; 6] =
    [SERVER, DATE, HeaderName::from_static("x-powered-by"), VIA, ALT_SVC, SET_COOKIE];

/// Which other sites' pages may read an answer is not MLflow's to say.
const CORS: &str = "access-control-";

/// What may go to MLflow; hyper adds `Host` and the length.
pub(super) fn of_request(mut headers: HeaderMap) -> HeaderMap {
    strip_hop_by_hop(&mut headers);
    for name in [HOST, CONTENT_LENGTH, EXPECT] {
        headers.remove(name);
    }
    headers
}

/// Leaves what may be told to a caller. Links to MLflow's own address become links to ours.
pub(super) fn clean_response(headers: &mut HeaderMap, scheme: &Scheme, authority: &Authority) {
    strip_hop_by_hop(headers);
    let cors: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(CORS)).cloned().collect();
    for name in cors.into_iter().chain(NOT_TOLD) {
        headers.remove(name);
    }
    let origin = format!("{scheme}://{authority}");
    for name in [LOCATION, CONTENT_LOCATION] {
        if let Some(path) = headers.get(&name).and_then(|link| path_below(&origin, link)) {
            headers.insert(name, path);
        }
    }
}

/// An answer says once and in one way how long it is. hyper would take chunks before a length, and the end of the connection
/// for the end of an answer, which may be one that broke off. `bare` answers have no body, whatever they say.
pub(super) fn has_one_length(headers: &HeaderMap, bare: bool) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (codings.next(), codings.next(), lengths.next(), lengths.next()) {
        (None, None, None, None) => bare,
        (Some(coding), None, None, None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (None, None, Some(length), None) => length.as_bytes().iter().all(u8::is_ascii_digit),
        (_, _, _, _) => false,
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    for name in named.into_iter().chain(OF_ONE_CONNECTION) {
        headers.remove(name);
    }
}

fn path_below(origin: &str, link: &HeaderValue) -> Option<HeaderValue> {
    let path = link.to_str().ok()?.strip_prefix(origin)?;
    match path.bytes().next() {
        // Two slashes would begin the name of another host (RFC 3986 section 4.2).
        Some(b'/') => HeaderValue::try_from(format!("/{}", path.trim_start_matches('/'))).ok(),
        Some(b'?' | b'#') => HeaderValue::try_from(format!("/{path}")).ok(),
        None => Some(HeaderValue::from_static("/")),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let field =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        fields.iter().map(field).collect()
    }

    #[test]
    fn what_belongs_to_one_connection_stays_there() {
        let mut answer = headers(&[
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("server", "uvicorn"),
            ("date", "today"),
            ("x-powered-by", "flask"),
            ("via", "1.1 mlflow"),
            ("alt-svc", "h3"),
            ("set-cookie", "session=1"),
            ("access-control-allow-origin", "*"),
            ("access-control-allow-credentials", "true"),
            ("access-control-of-tomorrow", "x"),
            ("etag", "\"x\""),
            ("content-length", "5"),
        ]);
        clean_response(&mut answer, &Scheme::HTTP, &Authority::from_static("10.0.0.5:5000"));
        assert_eq!(answer, headers(&[("etag", "\"x\""), ("content-length", "5")]));

        let asked = headers(&[
            ("host", "evil"),
            ("content-length", "5"),
            ("expect", "100-continue"),
            ("te", "trailers"),
            ("proxy-authorization", "Basic x"),
            ("accept", "*/*"),
        ]);
        assert_eq!(of_request(asked), headers(&[("accept", "*/*")]));
    }

    #[test]
    fn mlflows_time_is_read_from_its_answers() {
        for (text, expected) in [
            ("Tue, 24 Nov 2026 11:47:25 GMT", Some(1_795_520_845)),
            ("today", None),
            ("", None),
            ("99999", None),
        ] {
            let said = said_at(&headers(&[("date", text)])).map(|SaidAt(at)| at.as_second());
            assert_eq!(said, expected, "{text}");
        }
    }

    #[test]
    fn an_answer_says_once_how_long_it_is() {
        let (length, chunked) = (("content-length", "2"), ("transfer-encoding", "Chunked"));
        for (said, sound) in [
            (&[length][..], true),
            (&[chunked], true),
            (&[], false),
            (&[length, length], false),
            (&[("content-length", "2, 2")], false),
            (&[("content-length", "+2")], false),
            (&[length, chunked], false),
            (&[chunked, chunked], false),
            (&[("transfer-encoding", "gzip, chunked")], false),
            (&[("transfer-encoding", "xchunked")], false),
        ] {
            assert_eq!(has_one_length(&headers(said), false), sound, "{said:?}");
        }
        assert!(has_one_length(&headers(&[]), true));
        assert!(!has_one_length(&headers(&[length, length]), true));
    }

    #[track_caller]
    fn check_link(link: &str, expected: &str) {
        let mut answer = headers(&[("location", link)]);
        clean_response(&mut answer, &Scheme::HTTP, &Authority::from_static("10.0.0.5:5000"));
        assert_eq!(answer.get(LOCATION).unwrap(), expected);
    }

    #[test]
    fn links_do_not_tell_where_mlflow_is() {
        check_link("http://10.0.0.5:5000/a?b#c", "/a?b#c");
        check_link("http://10.0.0.5:5000", "/");
        check_link("http://10.0.0.5:5000?x", "/?x");
        check_link("http://10.0.0.5:5000//evil.example", "/evil.example");
        check_link("http://10.0.0.5:50001/a", "http://10.0.0.5:50001/a");
        check_link("https://bucket.example/a", "https://bucket.example/a");
        check_link("/a", "/a");
    }
}
