//! Requests that a browser makes for a page: whose page it is, and what another site's page may do. Closed by default.

use http::{HeaderMap, HeaderValue, Method, header};

use super::{Found, Misread, shortened, table};

/// Where a request came, for telling our own pages from others.
#[derive(Clone, Copy, Debug)]
pub struct Here<'r> {
    /// The authority of the target, where HTTP/2 has it; a `Host` goes before it.
    pub authority: Option<&'r str>,
    /// Whether the connection itself is TLS. Without it a proxy before us may have ended one.
    pub tls: bool,
}

/// The origins of other sites whose pages may call, exactly as a browser writes them.
#[derive(Clone, Debug, Default)]
pub struct Origins(Vec<HeaderValue>);

/// Whether a browser asks what it may ask: no credential comes with it, and none of MLflow's routes is meant.
#[must_use]
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

impl Origins {
    /// What the configuration names.
    pub fn new(named: impl IntoIterator<Item = String>) -> Self {
        Self(named.into_iter().filter_map(|origin| HeaderValue::try_from(origin).ok()).collect())
    }

    /// The origin of a request, if it has one and it is named.
    #[must_use]
    pub fn listed<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        only(headers, &header::ORIGIN).filter(|origin| self.0.contains(origin))
    }

    /// The answer's headers for a preflight of a named origin.
    ///
    /// # Errors
    /// The origin is not named.
    pub fn preflight(&self, asked: &HeaderMap) -> Result<HeaderMap, Misread> {
        if self.listed(asked).is_none() {
            let origin = only(asked, &header::ORIGIN).and_then(|origin| origin.to_str().ok());
            // An origin has neither; whatever has is not to be repeated.
            let origin = origin.filter(|origin| !origin.contains(['@', '?']));
            return Err(Misread::Preflight(shortened(origin.unwrap_or("…"))));
        }
        Ok(HeaderMap::from_iter([
            (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE")),
            (
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static("authorization, content-type, x-request-id"),
            ),
            (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600")),
        ]))
    }

    /// Lets the page of a named origin read this answer, and keeps caches from giving it to another's.
    pub fn tell(&self, answer: &mut HeaderMap, origin: Option<HeaderValue>) {
        if self.0.is_empty() {
            return;
        }
        answer.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
    }

    /// MLflow's own guard against other sites' pages (`server/fastapi_security.py`) looks at `Origin`, which is not sent
    /// on, so it is looked at here. A request without both headers comes from no browser; the Python client sends neither.
    ///
    /// A named origin needs a Bearer token: Basic is what a browser adds by itself, whichever page asks.
    ///
    /// # Errors
    /// It could change something, and comes from a page of another site.
    pub fn refuse_others(&self, found: &Found, headers: &HeaderMap, here: Here<'_>) -> Result<(), Misread> {
        if found.row.verb == table::Verb::Get || (self.listed(headers).is_some() && has_bearer(headers)) {
            return Ok(());
        }
        let mut sites = headers.get_all("sec-fetch-site").iter();
        let own_site = sites.all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
        let own_origin = match headers.get(header::ORIGIN) {
            None => true,
            Some(_) => only(headers, &header::ORIGIN).is_some_and(|origin| is_ours(origin, headers, here)),
        };
        if own_site && own_origin { Ok(()) } else { Err(Misread::CrossSite) }
    }
}

/// Behind TLS a page that came without is not ours: whoever sits on the wire can write one.
fn is_ours(origin: &HeaderValue, headers: &HeaderMap, here: Here<'_>) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).or(here.authority);
    let Some((scheme, name)) = origin.to_str().ok().and_then(|text| text.split_once("://")) else {
        return false;
    };
    let sound = scheme == "https" || (scheme == "http" && !here.tls);
    sound && host == Some(name)
}

fn has_bearer(headers: &HeaderMap) -> bool {
    let scheme = only(headers, &header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim_start_matches([' ', '\t']).split(' ').next());
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"))
}

fn only<'h>(headers: &'h HeaderMap, name: &http::HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn found(method: &Method, target: &str) -> Found {
        find(method, &target.parse().expect("a URI"), false, None).expect("a row")
    }

    const PLAIN: Here<'static> = Here { authority: None, tls: false };

    #[test]
    fn a_page_of_another_site_changes_nothing() {
        let write = found(&Method::POST, "/ajax-api/2.0/mlflow/runs/create");
        let read = found(&Method::GET, "/api/2.0/mlflow/registered-models/search");
        let none = Origins::default();
        for (sent, sound) in [
            (&[][..], true),
            (&[("host", "a:1"), ("origin", "http://a:1"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "a:1"), ("origin", "https://a:1")], true),
            (&[("host", "a:1"), ("origin", "http://a:1"), ("sec-fetch-site", "none")], true),
            (&[("host", "a:1"), ("origin", "http://evil")], false),
            (&[("host", "a:1"), ("origin", "http://a:1.evil")], false),
            (&[("host", "a:1"), ("origin", "http://A:1")], false),
            (&[("host", "a"), ("origin", "http://a:80")], false),
            (&[("host", "a:1"), ("origin", "ftp://a:1")], false),
            (&[("host", "a:1"), ("origin", "http://x@a:1")], false),
            (&[("host", "a:1"), ("origin", "null")], false),
            (&[("host", "a:1"), ("origin", "")], false),
            (&[("host", "a:1"), ("origin", "http://a:1"), ("origin", "http://evil")], false),
            (&[("host", "a:1"), ("origin", "http://a:1"), ("origin", "http://a:1")], false),
            (&[("host", "a:1"), ("origin", "http://a:1, http://a:1")], false),
            (&[("host", "a:1"), ("sec-fetch-site", "cross-site")], false),
            (&[("host", "a:1"), ("sec-fetch-site", "same-site")], false),
            (&[("host", "a:1"), ("sec-fetch-site", "Same-Origin")], false),
            (&[("host", "a:1"), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false),
            (&[("origin", "http://a:1")], false),
        ] {
            assert_eq!(none.refuse_others(&write, &headers(sent), PLAIN).is_ok(), sound, "{sent:?}");
            assert!(none.refuse_others(&read, &headers(sent), PLAIN).is_ok(), "{sent:?}");
        }
        let origin = headers(&[("origin", "https://a")]);
        let here = Here { authority: Some("a"), tls: false };
        assert!(none.refuse_others(&write, &origin, here).is_ok(), "HTTP/2 names its host apart");
    }

    #[test]
    fn behind_tls_a_page_that_came_without_is_not_ours() {
        let write = found(&Method::POST, "/ajax-api/2.0/mlflow/runs/create");
        let here = Here { authority: None, tls: true };
        for (origin, sound) in [("https://a", true), ("http://a", false)] {
            let sent = headers(&[("host", "a"), ("origin", origin)]);
            assert_eq!(Origins::default().refuse_others(&write, &sent, here).is_ok(), sound, "{origin}");
        }
    }

    #[test]
    fn a_named_origin_may_write_with_a_token_that_its_page_holds() {
        let write = found(&Method::POST, "/ajax-api/2.0/mlflow/runs/create");
        let named = Origins::new(["https://portal.example".to_owned()]);
        let page = ("origin", "https://portal.example");
        let site = ("sec-fetch-site", "cross-site");
        let bearer = ("authorization", "bEARER a.b.c");
        for (sent, sound) in [
            (&[page, site, bearer][..], true),
            (&[page, bearer], true),
            (&[page, site, ("authorization", "Basic YTph")], false),
            (&[page, site, ("authorization", "Bearerx a.b.c")], false),
            (&[page, site], false),
            (&[page, page, bearer], false),
            (&[page, bearer, ("authorization", "Basic YTph")], false),
            (&[site, bearer], false),
            (&[("origin", "https://portal.example:443"), bearer], false),
            (&[("origin", "https://portal.example.evil"), bearer], false),
            (&[("origin", "http://portal.example"), bearer], false),
            (&[("origin", "HTTPS://portal.example"), bearer], false),
        ] {
            assert_eq!(named.refuse_others(&write, &headers(sent), PLAIN).is_ok(), sound, "{sent:?}");
        }
    }

    #[test]
    fn no_get_changes_anything() {
        for row in table::rows().filter(|row| row.verb == table::Verb::Get) {
            assert_eq!(row.access, crate::operation::Access::Read, "GET {}", row.path);
        }
    }
}
