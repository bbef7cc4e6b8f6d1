//! The door: TCP or TLS, HTTP/1.1 and HTTP/2, with a limit on everything that a peer can make us hold.

mod accept;
mod activity;
mod body;
mod connection;
mod io;
mod places;
mod porch;
mod sniff;
mod streams;
#[cfg(test)]
mod tests;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tokio::net::{TcpListener, TcpSocket};

pub use accept::Listener;
pub use body::{BoxError, Inbound, InboundError, Outbound, boxed, empty, full};
pub use tls::{TlsError, TlsFiles};

/// Where to listen, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address; port 0 takes any free one.
    pub addr: SocketAddr,
    /// TLS, if the listener speaks it. It then speaks nothing else.
    pub tls: Option<TlsFiles>,
    /// What a peer may use up.
    pub ceilings: Ceilings,
}

/// Every timer and ceiling of a listener. The defaults are the shipped ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceilings {
    /// From a connection's first moment, or from a head's first byte, to the end of the head.
    pub header_read: Duration,
    /// Without a request in flight, until the connection is closed.
    pub idle: Duration,
    /// Waiting for 4 KiB more of a request's body.
    pub body_stall: Duration,
    /// Waiting for the peer to take 4 KiB of a response.
    pub write_stall: Duration,
    /// The TLS handshake.
    pub handshake: Duration,
    /// Between two looks at the certificate files.
    pub certificate_poll: Duration,
    /// Bytes of a request's head, target included.
    pub max_header_bytes: usize,
    /// Header fields of a request.
    pub max_headers: usize,
    /// Bytes of all heads that are unfinished and larger than most; the connections of those beyond are closed.
    pub unfinished_heads: usize,
    /// Those of one peer.
    pub unfinished_heads_per_peer: usize,
    /// HTTP/2 connections in total; those beyond are closed at once. Each costs what fifty of HTTP/1 do.
    pub http2_connections: usize,
    /// HTTP/2 connections of one peer.
    pub http2_connections_per_peer: usize,
    /// Concurrent HTTP/2 streams of a connection.
    pub streams_per_connection: u32,
    /// Connections in total; those beyond wait in the kernel's queue.
    pub connections: usize,
    /// Connections of one peer (an IPv4 address, an IPv6 /64); those beyond are closed at once.
    pub connections_per_peer: usize,
}

impl Ceilings {
    /// Default of [`Ceilings::header_read`].
    pub const HEADER_READ: Duration = Duration::from_secs(10);
    /// Default of [`Ceilings::idle`].
    pub const IDLE: Duration = Duration::from_secs(60);
    /// Default of [`Ceilings::body_stall`].
    pub const BODY_STALL: Duration = Duration::from_secs(30);
    /// Default of [`Ceilings::write_stall`].
    pub const WRITE_STALL: Duration = Duration::from_secs(60);
    /// Default of [`Ceilings::handshake`].
    pub const HANDSHAKE: Duration = Duration::from_secs(10);
    /// Default of [`Ceilings::certificate_poll`].
    pub const CERTIFICATE_POLL: Duration = Duration::from_secs(1);
    /// Default of [`Ceilings::max_header_bytes`].
    pub const MAX_HEADER_BYTES: usize = 32 * 1024;
    /// Default of [`Ceilings::max_headers`].
    pub const MAX_HEADERS: usize = 100;
    /// Default of [`Ceilings::unfinished_heads`].
    pub const UNFINISHED_HEADS: usize = 16 * 1024 * 1024;
    /// Default of [`Ceilings::unfinished_heads_per_peer`].
    pub const UNFINISHED_HEADS_PER_PEER: usize = 4 * 1024 * 1024;
    /// Default of [`Ceilings::http2_connections`].
    pub const HTTP2_CONNECTIONS: usize = 512;
    /// Default of [`Ceilings::http2_connections_per_peer`].
    pub const HTTP2_CONNECTIONS_PER_PEER: usize = 128;
    /// Default of [`Ceilings::streams_per_connection`].
    pub const STREAMS_PER_CONNECTION: u32 = 100;
    /// Default of [`Ceilings::connections`].
    pub const CONNECTIONS: usize = 10_000;
    /// Default of [`Ceilings::connections_per_peer`].
    pub const CONNECTIONS_PER_PEER: usize = 1_000;
}

impl Default for Ceilings {
    fn default() -> Self {
        Self {
            header_read: Self::HEADER_READ,
            idle: Self::IDLE,
            body_stall: Self::BODY_STALL,
            write_stall: Self::WRITE_STALL,
            handshake: Self::HANDSHAKE,
            certificate_poll: Self::CERTIFICATE_POLL,
            max_header_bytes: Self::MAX_HEADER_BYTES,
            max_headers: Self::MAX_HEADERS,
            unfinished_heads: Self::UNFINISHED_HEADS,
            unfinished_heads_per_peer: Self::UNFINISHED_HEADS_PER_PEER,
            http2_connections: Self::HTTP2_CONNECTIONS,
            http2_connections_per_peer: Self::HTTP2_CONNECTIONS_PER_PEER,
            streams_per_connection: Self::STREAMS_PER_CONNECTION,
            connections: Self::CONNECTIONS,
            connections_per_peer: Self::CONNECTIONS_PER_PEER,
        }
    }
}

/// Who is at the other end of a connection, as far as the connection itself shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The socket's other end; never taken from a header.
    pub addr: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The client certificate, verified against [`TlsFiles::client_ca`].
    pub client_certificate: Option<ClientCertificate>,
}

impl Peer {
    /// Whoever shares this address: an IPv4 address, or an IPv6 /64.
    #[must_use]
    pub fn network(&self) -> IpAddr {
        places::one_peer(self.addr.ip())
    }
}

/// A verified client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// SHA-256 over the certificate's DER form, as RFC 8705 section 3.1 names one.
    pub sha256: [u8; 32],
}

/// What answers requests: any `Fn(Request<Inbound>, Peer)` that returns such a future and can be cloned.
pub trait Handler: Clone + Send + Sync + 'static {
    /// One answer in the making. It is dropped when the caller hangs up.
    type Answer: Future<Output = Response<Outbound>> + Send + 'static;

    /// Answers one request.
    fn answer(&self, request: Request<Inbound>, peer: Peer) -> Self::Answer;
}

impl<F, Answer> Handler for F
where
    F: Fn(Request<Inbound>, Peer) -> Answer + Clone + Send + Sync + 'static,
    Answer: Future<Output = Response<Outbound>> + Send + 'static,
{
    type Answer = Answer;

    fn answer(&self, request: Request<Inbound>, peer: Peer) -> Answer {
        self(request, peer)
    }
}

/// Why a listener cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken, not ours, or needs a privilege.
    #[error("cannot listen on `{addr}`")]
    Address {
        /// The address that was asked for.
        addr: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The certificate, its key or the client authorities cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Listener {
    /// Takes the address and reads the certificate; serves nothing yet.
    ///
    /// # Errors
    /// The address cannot be had, or the TLS files cannot be used.
    #[expect(clippy::unused_async, reason = "it needs a runtime, which a plain function would not show")]
    pub async fn bind(settings: Settings) -> Result<Self, BindError> {
        let tls = settings.tls.map(tls::Tls::load).transpose()?.map(Arc::new);
        let addr = settings.addr;
        let unbindable = |source| BindError::Address { addr, source };
        let listener = listener(addr).map_err(unbindable)?;
        let local = listener.local_addr().map_err(unbindable)?;
        Ok(Self::new(listener, local, tls, settings.ceilings))
    }
}

/// Connections that may wait to be accepted: with the usual 1,024, a crowd that comes at once makes others wait for a second.
const BACKLOG: u32 = 4_096;

fn listener(addr: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Whether TLS files could be used as they are now, for `sekisho check`.
///
/// # Errors
/// What [`Listener::bind`] would say of them.
pub fn check_files(files: &TlsFiles) -> Result<(), TlsError> {
    tls::Tls::load(files.clone()).map(|_| ())
}
