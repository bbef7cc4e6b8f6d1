//! Connections to MLflow: TCP, TLS or a Unix socket, each under one timer, and none used on which MLflow spoke unasked.

use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Extensions, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tower_service::Service;

use super::Address;
use crate::listen::BoxError;

/// Makes connections.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    way: Way,
    within: Duration,
}

#[derive(Clone, Debug)]
enum Way {
    Tcp(HttpsConnector<HttpConnector>),
    Unix(Arc<PathBuf>),
}

/// One connection.
pub(super) struct Link {
    io: Io,
    served: Served,
    /// Whether MLflow spoke last: what is written next begins a request, or goes on with one that is answered early.
    heard: bool,
}

enum Io {
    Tcp(Box<MaybeHttpsStream<TokioIo<TcpStream>>>),
    Unix(TokioIo<UnixStream>),
}

/// What a connection went through.
#[derive(Clone, Debug, Default)]
pub(super) struct Served(Arc<History>);

#[derive(Debug, Default)]
struct History {
    /// Whether an answer ever came over it: only then can it have gone stale in the pool.
    used: AtomicBool,
    /// Whether a request was kept from it, whole.
    refused: AtomicBool,
    /// Whether MLflow may be about to close it.
    spent: AtomicBool,
}

impl Connector {
    pub(super) fn new(address: &Address, within: Duration) -> Result<Self, rustls::Error> {
        let way = match address {
            Address::Unix(path) => Way::Unix(Arc::new(path.clone())),
            Address::Http(_) => Way::Tcp(tcp()?),
        };
        Ok(Self { way, within })
    }
}

fn tcp() -> Result<HttpsConnector<HttpConnector>, rustls::Error> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    let builder = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())?;
    Ok(builder.https_or_http().enable_http1().wrap_connector(http))
}

impl Service<Uri> for Connector {
    type Response = Link;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Link, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (mut way, within) = (self.way.clone(), self.within);
        Box::pin(async move {
            let io =
                timeout(within, way.open(uri)).await.map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
            Ok(Link { io, served: Served::default(), heard: false })
        })
    }
}

impl Way {
    async fn open(&mut self, uri: Uri) -> Result<Io, BoxError> {
        match self {
            Self::Tcp(connector) => Ok(Io::Tcp(Box::new(connector.call(uri).await?))),
            Self::Unix(path) => Ok(Io::Unix(TokioIo::new(UnixStream::connect(path.as_path()).await?))),
        }
    }
}

impl Served {
    pub(super) fn used(&self) {
        self.0.used.store(true, Ordering::Relaxed);
    }

    /// No other request goes over it: after an error of its own uvicorn closes a connection, and does not say so before.
    pub(super) fn spent(&self) {
        self.0.spent.store(true, Ordering::Relaxed);
    }

    /// Whether the connection that is described had been used, and whether it took none of its last request.
    pub(super) fn history(connection: &Connected) -> (bool, bool) {
        let mut extras = Extensions::new();
        connection.get_extras(&mut extras);
        extras.get::<Self>().map_or((false, false), |served| {
            (served.0.used.load(Ordering::Relaxed), served.0.refused.load(Ordering::Relaxed))
        })
    }
}

impl Io {
    /// Whether bytes wait to be read, or the end does. Records of TLS may be its own business.
    fn has_something_to_say(&self) -> bool {
        let mut one = [MaybeUninit::uninit()];
        let peeked = match self {
            Self::Unix(stream) => SockRef::from(stream.inner()).peek(&mut one),
            Self::Tcp(stream) => match &**stream {
                MaybeHttpsStream::Http(stream) => SockRef::from(stream.inner()).peek(&mut one),
                MaybeHttpsStream::Https(_) => return false,
            },
        };
        !peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

impl Io {
    /// uvicorn sends head and body of a small answer apart, and the second waits until the first is acknowledged; the kernel
    /// would take 40 ms for that on a connection that has been used.
    #[cfg(target_os = "linux")]
    fn acknowledge_at_once(&self) {
        if let Self::Tcp(stream) = self
            && let MaybeHttpsStream::Http(stream) = &**stream
            && let Err(error) = SockRef::from(stream.inner()).set_tcp_quickack(true)
        {
            tracing::trace!(%error, "acknowledgements may be late");
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn acknowledge_at_once(&self) {}
}

impl Link {
    /// What MLflow said before it was asked would be taken for the answer to this request, which may be another caller's.
    /// hyper looks too, but sees only what the runtime has told it; here the kernel is asked.
    fn refuse_what_was_not_asked(&mut self, bytes: &[u8]) -> io::Result<()> {
        let spent = || self.served.0.spent.load(Ordering::Relaxed) || self.io.has_something_to_say();
        if std::mem::take(&mut self.heard) && begins_a_request(bytes) && spent() {
            self.served.0.refused.store(true, Ordering::Relaxed);
            return Err(io::Error::new(ErrorKind::ConnectionAborted, "mlflow spoke before it was asked"));
        }
        Ok(())
    }
}

/// The methods that orders have, and a path.
fn begins_a_request(bytes: &[u8]) -> bool {
    [&b"GET /"[..], b"HEAD /", b"POST /", b"PUT /", b"PATCH /", b"DELETE /"]
        .iter()
        .any(|start| bytes.starts_with(start))
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.served.clone())
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Io::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        self.heard |= read.is_ready();
        if read.is_ready() {
            self.io.acknowledge_at_once();
        }
        read
    }
}

impl Write for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.refuse_what_was_not_asked(buf)?;
        match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Io::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs.iter().find(|buf| !buf.is_empty());
        self.refuse_what_was_not_asked(first.map_or(&[], |buf| buf))?;
        match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Io::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Tcp(stream) => stream.is_write_vectored(),
            Io::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Io::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
