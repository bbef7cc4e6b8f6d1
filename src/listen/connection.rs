//! One connection, from the handshake to its last words.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::select;
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::activity::Activity;
use super::body::{BoxError, Departing, Inbound, Outbound, empty};
use super::io::Timed;
use super::places::Places;
use super::porch::Porch;
use super::sniff::{Protocol, sniff};
use super::streams::{Flow, Streams};
use super::tls::Tls;
use super::{Ceilings, Handler, Peer};
use crate::drain::Drain;

/// What a peer has, once told to leave, while nothing of its is in flight.
const LAST_WORDS: Duration = Duration::from_secs(2);

const PING_EVERY: Duration = Duration::from_secs(20);
const PING_ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// Resets that a peer may have pending, and that it may provoke (CVE-2023-44487, CVE-2025-8671).
const PENDING_RESETS: usize = 20;
const PROVOKED_RESETS: usize = 64;

/// Bytes of a connection's buffer, which a head must fit into, and of a stream's.
const BUFFER: usize = 40 * 1024;
const STREAM_BUFFER: usize = 32 * 1024;

/// Bytes that an HTTP/2 peer may send on a stream, and on a connection, before they are taken (RFC 9113 section 6.9).
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// Without a request for this long, a connection gives its buffers back.
const REST_AFTER: Duration = Duration::from_millis(250);

/// What all connections of a listener share.
#[derive(Debug)]
pub(super) struct Door<H> {
    handler: H,
    tls: Option<Arc<Tls>>,
    ceilings: Ceilings,
    porch: Porch,
    http2: Places,
}

impl<H> Door<H> {
    pub(super) fn new(handler: H, tls: Option<Arc<Tls>>, ceilings: Ceilings) -> Self {
        let porch = Porch::new(ceilings.unfinished_heads, ceilings.unfinished_heads_per_peer);
        let http2 = Places::new(ceilings.http2_connections, ceilings.http2_connections_per_peer);
        Self { handler, tls, ceilings, porch, http2 }
    }
}

/// Serves one connection to its end.
pub(super) async fn run<H: Handler>(stream: TcpStream, addr: SocketAddr, door: &Door<H>, drain: &Drain) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(peer = %addr, %error, "cannot switch off Nagle's algorithm");
    }
    // Boxed where one is much larger than the other: a task is as large as the largest of its states.
    match &door.tls {
        None => {
            let peer = Peer { addr, tls: false, client_certificate: None };
            speak(stream, peer, None, door, drain).await;
        }
        Some(tls) => Box::pin(shake(tls, stream, addr, door, drain)).await,
    }
}

async fn shake<H: Handler>(tls: &Tls, stream: TcpStream, addr: SocketAddr, door: &Door<H>, drain: &Drain) {
    let shaken = select! {
        shaken = timeout(door.ceilings.handshake, tls.accept(stream)) => shaken,
        () = drain.started() => return,
    };
    match shaken {
        Ok(Ok(secured)) => {
            let client_certificate = secured.client_certificate;
            let peer = Peer { addr, tls: true, client_certificate };
            speak(secured.stream, peer, Some(secured.agreed), door, drain).await;
        }
        Ok(Err(error)) => debug!(peer = %addr, %error, "the handshake failed"),
        Err(_) => debug!(peer = %addr, "the handshake took too long"),
    }
}

/// `agreed` is what ALPN settled. Prior knowledge is for plaintext alone (RFC 9113 section 3.3).
async fn speak<S, H>(mut socket: S, peer: Peer, agreed: Option<Protocol>, door: &Door<H>, drain: &Drain)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Handler,
{
    let until = Instant::now() + door.ceilings.header_read;
    let sniffed = timeout(door.ceilings.header_read, sniff(&mut socket, drain)).await;
    let (protocol, first) = match sniffed {
        Ok(Ok(Some(sniffed))) => sniffed,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => return debug!(peer = %peer.addr, %error, "the connection broke"),
        Err(_) => return debug!(peer = %peer.addr, "closed a connection that said nothing"),
    };
    if agreed.is_some_and(|agreed| agreed != protocol) {
        return debug!(peer = %peer.addr, ?agreed, "the peer does not speak what was agreed");
    }
    let ended = match protocol {
        Protocol::Http1 => http1(socket, first, peer, until, (door, drain)).await,
        Protocol::Http2 => match door.http2.at_once(peer.addr.ip()) {
            Some(_place) => Box::pin(http2(socket, first, peer, door, drain)).await.map_err(BoxError::from),
            None => Err("the peer, or all together, have as many HTTP/2 connections as there may be".into()),
        },
    };
    if let Err(error) = ended {
        debug!(peer = %peer.addr, error = &*error as &dyn std::error::Error, "the connection ended");
    }
}

/// On the porch until a head is there, with hyper while there is work, and back again.
async fn http1<S, H>(
    mut socket: S,
    mut first: Bytes,
    peer: Peer,
    mut until: Instant,
    (door, drain): (&Door<H>, &Drain),
) -> Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Handler,
{
    loop {
        let waited = (peer.network(), until);
        let head = door.porch.head(&mut socket, first, waited, &door.ceilings, drain).await?;
        let Some(head) = head else { return Ok(()) };
        match Box::pin(work(socket, head, peer, door, drain)).await? {
            Some(rest) => (socket, first) = rest,
            None => return Ok(()),
        }
        until = Instant::now() + door.ceilings.idle.saturating_sub(REST_AFTER);
    }
}

/// Serves requests until the connection ends, or rests: then the socket is given back, and what was read and not used.
async fn work<S, H>(
    socket: S,
    head: Bytes,
    peer: Peer,
    door: &Door<H>,
    drain: &Drain,
) -> hyper::Result<Option<(S, Bytes)>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Handler,
{
    let ceilings = &door.ceilings;
    let activity = Activity::new();
    let timed =
        Timed::new(socket, head, Arc::clone(&activity), Some(ceilings.header_read), ceilings.write_stall);
    // hyper's own timer cannot tell a slow head from an idle connection: it gets the longer of the two times, and
    // `Timed` looks after the head.
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ceilings.idle.max(ceilings.header_read))
        .max_headers(ceilings.max_headers)
        .max_header_size(ceilings.max_header_bytes)
        .max_buf_size(BUFFER.max(ceilings.max_header_bytes))
        .serve_connection(TokioIo::new(timed), service(door, peer, &activity));
    loop {
        select! {
            biased;
            ended = &mut connection => return ended.map(|()| None),
            () = drain.started() => break,
            () = activity.idle_for(REST_AFTER.min(ceilings.idle)), if !activity.left_unread() => {}
        }
        if activity.is_at_rest() {
            let parts = connection.into_parts();
            let (socket, unheard) = parts.io.into_inner().into_parts();
            return Ok(Some((socket, [parts.read_buf, unheard].concat().into())));
        }
    }
    until_done(connection, &activity, ceilings.idle, drain).await.map(|()| None)
}

async fn http2<S, H>(socket: S, first: Bytes, peer: Peer, door: &Door<H>, drain: &Drain) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Handler,
{
    let ceilings = &door.ceilings;
    let activity = Activity::new();
    let streams = Streams::new(ceilings.write_stall);
    let timed = Timed::new(socket, first, Arc::clone(&activity), None, ceilings.write_stall);
    let connection = http2::Builder::new(streams.clone())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWERED_WITHIN)
        .max_header_list_size(u32::try_from(ceilings.max_header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(ceilings.streams_per_connection)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(PROVOKED_RESETS)
        .max_send_buf_size(STREAM_BUFFER)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .serve_connection(TokioIo::new(timed), service(door, peer, &activity));
    let ended = until_done(connection, &activity, ceilings.idle, drain).await;
    streams.gone().await;
    ended
}

async fn until_done<C>(
    connection: C,
    activity: &Activity,
    idle: Duration,
    drain: &Drain,
) -> Result<(), C::Error>
where
    C: GracefulConnection,
{
    let mut connection = pin!(connection);
    select! {
        biased;
        ended = connection.as_mut() => return ended,
        () = drain.started() => {}
        () = activity.idle_for(idle) => {}
    }
    connection.as_mut().graceful_shutdown();
    select! {
        biased;
        ended = connection => ended,
        () = activity.idle_for(LAST_WORDS) => Ok(()),
    }
}

fn service<H: Handler>(
    door: &Door<H>,
    peer: Peer,
    activity: &Arc<Activity>,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Response<Departing>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Departing>, Infallible>> + Send + use<H>,
> + use<H> {
    let (handler, activity) = (door.handler.clone(), Arc::clone(activity));
    let (max_headers, body_stall) = (door.ceilings.max_headers, door.ceilings.body_stall);
    service_fn(move |request: Request<Incoming>| {
        let mut in_flight = activity.begin();
        let request = request.map(|body| Inbound::new(body, body_stall, Arc::clone(&activity)));
        // HTTP/2 counts bytes only.
        let few = request.headers().len() <= max_headers;
        let answer = few.then(|| handler.answer(request, peer));
        async move {
            let response = match answer {
                Some(answer) => answer.await,
                None => too_many_headers(),
            };
            in_flight.answer();
            let flow = Flow::of_this_stream();
            Ok(response.map(|body| Departing::new(body, in_flight, flow)))
        }
    })
}

fn too_many_headers() -> Response<Outbound> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    response
}
