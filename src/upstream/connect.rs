//! Connections to MLflow: TCP, TLS or a Unix socket, each under one timer.

use std::io::{self, ErrorKind, IoSlice};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Extensions, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
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
    io: Box<dyn Socket>,
    served: Served,
}

/// Whether an answer ever came over a connection: only then can it have gone stale in the pool.
#[derive(Clone, Debug, Default)]
pub(super) struct Served(Arc<AtomicBool>);

trait Socket: Read + Write + Send + Unpin {}

impl<S: Read + Write + Send + Unpin> Socket for S {}

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
            Ok(Link { io, served: Served::default() })
        })
    }
}

impl Way {
    async fn open(&mut self, uri: Uri) -> Result<Box<dyn Socket>, BoxError> {
        match self {
            Self::Tcp(connector) => Ok(Box::new(connector.call(uri).await?)),
            Self::Unix(path) => Ok(Box::new(TokioIo::new(UnixStream::connect(path.as_path()).await?))),
        }
    }
}

impl Served {
    pub(super) fn used(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the connection that is described had been used.
    pub(super) fn was_used(connection: &Connected) -> bool {
        let mut extras = Extensions::new();
        connection.get_extras(&mut extras);
        extras.get::<Self>().is_some_and(|served| served.0.load(Ordering::Relaxed))
    }
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
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
