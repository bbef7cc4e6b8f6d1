//! Whoever calls the proxy: a token, a request and the answer to it.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use sekisho::authn::{self, ClaimNames, IssueClaims};
use sekisho::clock::Clock;
use sekisho::principal::{RoleName, UserId};
use serde_json::Value;

use crate::proxy::{secret, soon};

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    user: &'static str,
    roles: Vec<&'static str>,
    models: Vec<&'static str>,
}

pub(crate) fn who(user: &'static str, role: &'static str, models: &[&'static str]) -> Who {
    Who { user, roles: vec![role], models: models.to_vec() }
}

/// An engineer with two models.
pub(crate) fn ada() -> Who {
    who("ada@company.com", "ml_engineer", &["iris", "wine"])
}

/// An administrator.
pub(crate) fn root() -> Who {
    who("root@company.com", "admin", &[])
}

impl Who {
    pub(crate) fn token(&self, clock: &Clock) -> String {
        let claims = IssueClaims {
            user: UserId::new(self.user).expect("a user"),
            roles: self.roles.iter().filter_map(|role| RoleName::new(role)).collect(),
            model_access: self.models.iter().map(ToString::to_string).collect(),
            ttl: Duration::from_hours(1),
            issuer: None,
            audience: None,
            names: ClaimNames {
                user: "user_id".into(),
                role: "role".into(),
                model_access: "model_access".into(),
            },
        };
        authn::issue(&secret(), &claims, clock).expect("a token")
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: &'static str,
    target: String,
    who: Option<Who>,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    chunked: bool,
}

impl Ask {
    pub(crate) fn new(method: &'static str, target: impl Into<String>) -> Self {
        let target = target.into();
        Self { method, target, who: None, headers: Vec::new(), body: Vec::new(), chunked: false }
    }

    pub(crate) fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn post(target: impl Into<String>, json: impl Into<String>) -> Self {
        Self::new("POST", target).json(json)
    }

    pub(crate) fn by(mut self, who: &Who) -> Self {
        self.who = Some(who.clone());
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn json(self, text: impl Into<String>) -> Self {
        self.header("content-type", "application/json").body(text.into())
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the body in pieces without saying how long it is.
    pub(crate) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    pub(crate) fn request(&self, clock: &Clock) -> Request<UnsyncBoxBody<Bytes, io::Error>> {
        let mut request = Request::builder().method(self.method).uri(&self.target);
        let token = self.who.as_ref().map(|who| format!("Bearer {}", who.token(clock)));
        for (name, value) in token
            .iter()
            .map(|token| ("authorization", token))
            .chain(self.headers.iter().map(|(name, value)| (*name, value)))
        {
            request = request.header(name, value);
        }
        let whole = Bytes::from(self.body.clone());
        let body = if self.chunked {
            let pieces: Vec<_> = whole.chunks(7).map(Bytes::copy_from_slice).collect();
            let pieces = pieces.into_iter().map(|piece| Ok::<_, io::Error>(Frame::data(piece)));
            StreamBody::new(stream::iter(pieces).boxed()).boxed_unsync()
        } else {
            Full::new(whole).map_err(|never| match never {}).boxed_unsync()
        };
        request.body(body).expect("a request")
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the body broke off.
    pub(crate) broken: bool,
}

impl Said {
    pub(crate) async fn of(response: http::Response<hyper::body::Incoming>) -> Self {
        let (parts, mut incoming) = response.into_parts();
        let (mut body, mut broken) = (Vec::new(), false);
        while let Some(frame) = soon(incoming.frame()).await {
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) => body.extend_from_slice(&data),
                Ok(Err(_)) => {}
                Err(_) => {
                    broken = true;
                    break;
                }
            }
        }
        Self { status: parts.status.as_u16(), headers: parts.headers, body: body.into(), broken }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    /// `403 PERMISSION_DENIED`, or the status alone.
    pub(crate) fn summary(&self) -> String {
        match serde_json::from_slice::<Value>(&self.body).ok().and_then(|body| text_of(&body, "error_code")) {
            Some(code) => format!("{} {code}", self.status),
            None => self.status.to_string(),
        }
    }

    pub(crate) fn message(&self) -> String {
        text_of(&self.json(), "message").expect("a message")
    }
}

fn text_of(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(ToOwned::to_owned)
}
