//! Requests that sekisho makes by itself, to anything but MLflow: pooled, bounded in size and in time, no redirects.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const IDLE_FOR: Duration = Duration::from_secs(30);
const IDLE_PER_HOST: usize = 2;

/// A pooled HTTP and HTTPS client. Cloning it shares the pool.
#[derive(Clone, Debug)]
pub struct Client(legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// No root certificates that a TLS client could trust.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a TLS client")]
pub struct ClientError(#[source] rustls::Error);

/// Why a fetch gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL could not be written as a request.
    #[error("cannot make a request")]
    Request(#[source] http::Error),
    /// No connection, or one that broke before the answer's head.
    #[error("no answer")]
    NoAnswer(#[source] legacy::Error),
    /// Any status but 200; redirects are not followed.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// More bytes than were allowed.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// The connection broke within the body.
    #[error("the answer broke off")]
    BrokeOff,
    /// Not done in time.
    #[error("not done within {} s", .0.as_secs())]
    Late(Duration),
}

impl Client {
    /// Trusts the machine's root certificates, or Mozilla's where the machine has none (an empty container).
    ///
    /// # Errors
    /// When the TLS provider cannot be set up.
    pub fn new() -> Result<Self, ClientError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_WITHIN));
        tcp.set_nodelay(true);
        let tls = match HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(aws_lc_rs::default_provider())
        {
            Ok(native) => native,
            Err(_none_on_this_machine) => HttpsConnectorBuilder::new()
                .with_provider_and_webpki_roots(aws_lc_rs::default_provider())
                .map_err(ClientError)?,
        };
        let pool = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .build(tls.https_or_http().enable_http1().wrap_connector(tcp));
        Ok(Self(pool))
    }

    /// Makes any request, and gives the answer whatever its status is: at most `longest` bytes, within `deadline`.
    ///
    /// # Errors
    /// A longer body, a broken connection, no time left.
    pub async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        longest: usize,
        deadline: Duration,
    ) -> Result<(StatusCode, Bytes), FetchError> {
        let exchanged = async {
            let answer = self.0.request(request).await.map_err(FetchError::NoAnswer)?;
            Ok((answer.status(), whole(answer.into_body(), longest).await?))
        };
        tokio::time::timeout(deadline, exchanged).await.map_err(|_| FetchError::Late(deadline))?
    }

    /// Gets a JSON document of at most `longest` bytes within `deadline`, connecting included.
    ///
    /// # Errors
    /// Any status but 200, a longer body, a broken connection, no time left.
    pub async fn get_json(&self, uri: Uri, longest: usize, deadline: Duration) -> Result<Bytes, FetchError> {
        tokio::time::timeout(deadline, self.get(uri, longest))
            .await
            .map_err(|_| FetchError::Late(deadline))?
    }

    async fn get(&self, uri: Uri, longest: usize) -> Result<Bytes, FetchError> {
        let request = Request::get(uri)
            .header(header::ACCEPT, "application/json")
            .body(Full::default())
            .map_err(FetchError::Request)?;
        let answer = self.0.request(request).await.map_err(FetchError::NoAnswer)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        whole(answer.into_body(), longest).await
    }
}

async fn whole(body: Incoming, longest: usize) -> Result<Bytes, FetchError> {
    match Limited::new(body, longest).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(FetchError::TooLong(longest)),
        Err(_) => Err(FetchError::BrokeOff),
    }
}
