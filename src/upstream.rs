//! The unmodified MLflow server: pooled connections, and errors that say how far a request came.

mod body;
mod connect;
mod error;
mod headers;
mod life;
#[cfg(test)]
mod tests;

use std::error::Error as _;
use std::fmt;
use std::iter::repeat_with;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;
use url::{Host, Url};

pub use body::{CallerBody, OrderBody, Reply, ReplyError};
use body::{Progress, Sending};
use connect::{Connector, Served};
pub use error::UpstreamError;
pub use headers::SaidAt;
use life::Life;

use crate::limit::Purse;
use crate::secret::without_query;
use crate::workers;

/// Where MLflow is, and how long it is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub address: Address,
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// Until the response's head, counted from the last piece of the request that MLflow took.
    pub head: Duration,
    /// Between two pieces of the response's body.
    pub body_stall: Duration,
    /// How long an unused connection is kept. Less than uvicorn's own 5 s, so that we are the one who closes.
    pub idle_in_pool: Duration,
    /// The path of MLflow's health page: `/health` below `--static-prefix`.
    pub health: String,
    /// How long [`Upstream::probe`] waits.
    pub probe: Duration,
    /// After such a silence, and as many unanswered probes, nobody waits for MLflow until it gives a sign of life.
    pub silence: Duration,
}

/// Where MLflow listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `http://host:port` or `https://host:port`, nothing more.
    Http(Url),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Settings {
    /// Default of [`Settings::connect`].
    pub const CONNECT: Duration = Duration::from_secs(3);
    /// Default of [`Settings::head`].
    pub const HEAD: Duration = Duration::from_secs(120);
    /// Default of [`Settings::body_stall`].
    pub const BODY_STALL: Duration = Duration::from_secs(120);
    /// Default of [`Settings::idle_in_pool`].
    pub const IDLE_IN_POOL: Duration = Duration::from_secs(4);
    /// Default of [`Settings::silence`].
    pub const SILENCE: Duration = Duration::from_secs(15);
    /// Default of [`Settings::probe`].
    pub const PROBE: Duration = Duration::from_secs(2);

    /// The shipped times, for an MLflow at `address`.
    #[must_use]
    pub fn at(address: Address) -> Self {
        Self {
            address,
            connect: Self::CONNECT,
            head: Self::HEAD,
            body_stall: Self::BODY_STALL,
            idle_in_pool: Self::IDLE_IN_POOL,
            health: "/health".to_owned(),
            probe: Self::PROBE,
            silence: Self::SILENCE,
        }
    }
}

/// What is to be asked of MLflow. Nothing of it is taken from a caller's request unread.
pub struct Order {
    /// The method.
    pub method: Method,
    /// Path and query in canonical form.
    pub path_and_query: String,
    /// The chosen headers; `Host`, lengths and what belongs to one connection are set here.
    pub headers: HeaderMap,
    /// The body.
    pub body: OrderBody,
    /// Whether it may be asked twice, because it changes nothing.
    pub repeatable: bool,
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = without_query(&self.path_and_query);
        f.debug_struct("Order").field("method", &self.method).field("path", &path).finish_non_exhaustive()
    }
}

/// Why an upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Only a scheme, a host and a port make an upstream.
    #[error("`{0}` is not of the form `http://host:port`, `https://host:port` or `unix:/path`")]
    NotAnOrigin(Url),
    /// TLS cannot be set up.
    #[error("cannot set up tls towards mlflow")]
    Tls(#[source] rustls::Error),
}

/// A client of one MLflow server.
#[derive(Debug)]
pub struct Upstream {
    settings: Settings,
    scheme: Scheme,
    authority: Authority,
    /// One for each worker, and one for everybody else: a connection is used by the thread that it lives on.
    pooled: Vec<Client<Connector, Sending>>,
    shared: Client<Connector, Sending>,
    /// For the second try: connections of its own, so that it cannot meet another dead one.
    fresh: Client<Connector, Sending>,
    life: Arc<Life>,
}

impl Upstream {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// The address is not an origin, or TLS cannot be set up.
    pub fn new(settings: Settings) -> Result<Self, AddressError> {
        let (scheme, authority) = origin(&settings.address)?;
        let connector = Connector::new(&settings.address, settings.connect).map_err(AddressError::Tls)?;
        let pool = || client(settings.idle_in_pool, usize::MAX, connector.clone());
        let (pooled, shared) = (repeat_with(pool).take(workers::usual()).collect(), pool());
        let fresh = client(settings.idle_in_pool, 0, connector);
        let life = Arc::new(Life::new(settings.silence));
        Ok(Self { settings, scheme, authority, pooled, shared, fresh, life })
    }

    /// Sends an order and waits for the head of the answer. Redirects are answers like any other.
    ///
    /// A repeatable order whose connection turns out to be dead is sent once more on a new one; so is one of which a
    /// connection took nothing, because MLflow had spoken there unasked.
    ///
    /// Nothing is sent to an MLflow that gives no sign of life.
    ///
    /// # Errors
    /// See [`UpstreamError`]; [`UpstreamError::NotSent`] only where that is certain.
    pub async fn send(&self, order: Order) -> Result<Response<Reply>, UpstreamError> {
        if self.life.is_gone() {
            return Err(UpstreamError::NotSent("it gives no sign of life".into()));
        }
        self.send_anyway(order).await
    }

    async fn send_anyway(&self, order: Order) -> Result<Response<Reply>, UpstreamError> {
        let Order { method, path_and_query, headers, body, repeatable } = order;
        let uri = self.uri(&path_and_query)?;
        let empty_write = body.is_empty() && [Method::POST, Method::PUT, Method::PATCH].contains(&method);
        let request = |headers: HeaderMap| {
            let mut request = Request::new(());
            *request.method_mut() = method.clone();
            *request.uri_mut() = uri.clone();
            *request.headers_mut() = headers::of_request(headers);
            if empty_write {
                // RFC 9110 section 8.6; hyper leaves it out.
                request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            request
        };
        let spare = body.again().map(|body| (headers.clone(), body));
        let failed = match self.once(self.pool(), request(headers), body).await {
            Ok(answered) => return Ok(answered),
            Err(failed) => failed,
        };
        let again = match failed.on {
            Connection::Refused => true,
            Connection::Used => repeatable && matches!(failed.error, UpstreamError::Unanswered(_)),
            Connection::New => false,
        };
        match spare.filter(|_| again) {
            Some((headers, body)) => {
                self.once(&self.fresh, request(headers), body).await.map_err(|failed| failed.error)
            }
            None => Err(failed.error),
        }
    }

    /// Whether MLflow says that it is well.
    pub async fn probe(&self) -> bool {
        let order = Order {
            method: Method::GET,
            path_and_query: self.settings.health.clone(),
            headers: HeaderMap::new(),
            body: OrderBody::Empty,
            repeatable: true,
        };
        let answered = timeout(self.settings.probe, self.send_anyway(order)).await;
        if !matches!(answered, Ok(Ok(_))) {
            self.life.missed();
        }
        matches!(answered, Ok(Ok(response)) if response.status() == StatusCode::OK)
    }

    fn pool(&self) -> &Client<Connector, Sending> {
        workers::here().and_then(|worker| self.pooled.get(worker)).unwrap_or(&self.shared)
    }

    fn uri(&self, path_and_query: &str) -> Result<Uri, UpstreamError> {
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        uri.path_and_query(path_and_query).build().map_err(|error| UpstreamError::Unwritable(error.into()))
    }

    async fn once(
        &self,
        client: &Client<Connector, Sending>,
        request: Request<()>,
        body: OrderBody,
    ) -> Result<Response<Reply>, Failed> {
        let head = request.method() == Method::HEAD;
        let (body, progress) = Sending::new(body, Arc::clone(&self.life));
        let sent = client.request(request.map(|()| body));
        let answered = progress.or_stalled(self.settings.head, sent).await;
        let response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(Failed::by(error, &progress)),
            Err(stalled) => return Err(Failed::new(UpstreamError::Unanswered(stalled.into()))),
        };
        self.life.sign();
        if response.status().is_informational() {
            let source = format!("mlflow answered {}, which was not asked for", response.status());
            return Err(Failed::new(UpstreamError::Unanswered(source.into())));
        }
        let bare = head || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if !headers::has_one_length(response.headers(), bare) {
            let source = "mlflow's answer does not say in one way how long it is";
            return Err(Failed::new(UpstreamError::Unanswered(source.into())));
        }
        if let Some(connection) = response.extensions().get::<Served>() {
            connection.used();
            if response.status().is_server_error() {
                connection.spent();
            }
        }
        let (mut parts, body) = response.into_parts();
        parts.extensions = http::Extensions::new();
        if let Some(at) = headers::said_at(&parts.headers) {
            parts.extensions.insert(at);
        }
        headers::clean_response(&mut parts.headers, &self.scheme, &self.authority);
        let reply = Reply::begun(body, self.settings.body_stall, Arc::clone(&self.life)).await;
        let reply = reply.map_err(|error| Failed::new(UpstreamError::CutShort(error)))?;
        Ok(Response::from_parts(parts, reply))
    }
}

/// Reads an answer's body of at most `ceiling` bytes.
///
/// # Errors
/// It is larger, breaks off or stalls.
pub async fn collect(mut body: Reply, ceiling: usize) -> Result<Bytes, UpstreamError> {
    let mut whole = BytesMut::new();
    while let Some(data) = next_within(&mut body, ceiling - whole.len(), ceiling).await? {
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// The same, and a purse pays for the memory: twice, because what is kept of it is written beside it.
///
/// # Errors
/// As [`collect`], or it finds no room.
pub async fn collect_held(
    mut body: Reply,
    ceiling: usize,
    purse: &mut impl AsMut<Purse>,
) -> Result<Bytes, UpstreamError> {
    let mut whole = BytesMut::new();
    while let Some(data) = next_within(&mut body, ceiling - whole.len(), ceiling).await? {
        purse.as_mut().hold(data.len().saturating_mul(2)).await?;
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

async fn next_within(body: &mut Reply, left: usize, ceiling: usize) -> Result<Option<Bytes>, UpstreamError> {
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(UpstreamError::CutShort)?.into_data() else { continue };
        return if data.len() > left {
            Err(UpstreamError::ResponseTooLarge { ceiling })
        } else {
            Ok(Some(data))
        };
    }
    Ok(None)
}

struct Failed {
    error: UpstreamError,
    on: Connection,
}

/// What kind of connection a request failed on.
#[derive(Clone, Copy, Debug)]
enum Connection {
    New,
    Used,
    /// It took nothing of the request.
    Refused,
}

impl Failed {
    fn new(error: UpstreamError) -> Self {
        Self { error, on: Connection::New }
    }

    fn by(error: legacy::Error, progress: &Progress) -> Self {
        let on = match error.connect_info().map(Served::history) {
            Some((_, true)) => Connection::Refused,
            Some((true, false)) => Connection::Used,
            Some((false, false)) | None => Connection::New,
        };
        let error = if matches!(on, Connection::Refused) {
            UpstreamError::NotSent(error.into())
        } else if let Some(broke) = progress.caller_broke() {
            UpstreamError::CallerBroke(broke)
        } else if error.is_connect() || never_began(&error) {
            UpstreamError::NotSent(error.into())
        } else {
            UpstreamError::Unanswered(error.into())
        };
        Self { error, on }
    }
}

/// hyper says "canceled" of a request that it gives back whole, because its connection was gone before the first byte.
fn never_began(error: &legacy::Error) -> bool {
    error
        .source()
        .and_then(|cause| cause.downcast_ref::<hyper::Error>())
        .is_some_and(hyper::Error::is_canceled)
}

/// Bytes of a connection's buffer each way: a caller who does not read leaves MLflow waiting, not us holding.
const BUFFER: usize = 32 * 1024;

fn client(idle: Duration, most_idle: usize, connector: Connector) -> Client<Connector, Sending> {
    Client::builder(TokioExecutor::new())
        .http1_max_buf_size(BUFFER)
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(idle)
        .pool_max_idle_per_host(most_idle)
        .build(connector)
}

fn origin(address: &Address) -> Result<(Scheme, Authority), AddressError> {
    let url = match address {
        // MLflow answers only hosts that it knows; this one it always does.
        Address::Unix(_) => return Ok((Scheme::HTTP, Authority::from_static("localhost"))),
        Address::Http(url) => url,
    };
    let scheme = match url.scheme() {
        "http" => Scheme::HTTP,
        "https" => Scheme::HTTPS,
        _ => return Err(AddressError::NotAnOrigin(url.clone())),
    };
    let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    let authority =
        url.host().filter(|_| bare && url.path() == "/" && url.fragment().is_none()).map(|host| {
            let host: Host<String> = host.to_owned();
            url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"))
        });
    let authority = authority.and_then(|text| Authority::try_from(text).ok());
    authority.map(|authority| (scheme, authority)).ok_or_else(|| AddressError::NotAnOrigin(url.clone()))
}
