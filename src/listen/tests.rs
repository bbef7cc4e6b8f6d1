//! A listener on a real socket, and what its peers may do to it.

mod drained;
mod framing;
mod limits;
mod secured;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::StreamExt;
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::drain::{self, Trigger};

/// Longer than anything here should take.
const SOON: Duration = Duration::from_secs(20);

/// Short, for timers that are meant to fire.
const SHORT: Duration = Duration::from_millis(100);

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(SOON, future).await.expect("it did not happen")
}

/// A listener that is serving.
struct Served {
    addr: SocketAddr,
    trigger: Trigger,
    server: JoinSet<()>,
    /// One permit for each request to `/wait` that may be answered.
    gate: Arc<Semaphore>,
    /// Told when a request to `/wait` has come.
    begun: mpsc::Receiver<()>,
    /// Told when an answer or a body that cannot end has been dropped.
    dropped: mpsc::Receiver<()>,
}

async fn served(ceilings: Ceilings) -> Served {
    served_with(None, ceilings, SOON).await
}

async fn served_with(tls: Option<TlsFiles>, ceilings: Ceilings, grace: Duration) -> Served {
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(Settings { addr, tls, ceilings }).await.unwrap();
    let addr = listener.local_addr();
    let (trigger, drain) = drain::channel(grace);
    let gate = Arc::new(Semaphore::new(0));
    let (tell_begun, begun) = mpsc::channel(64);
    let (tell_dropped, dropped) = mpsc::channel(64);
    let house = House { gate: Arc::clone(&gate), begun: tell_begun, dropped: tell_dropped };
    let mut server = JoinSet::new();
    server.spawn(listener.serve(
        move |request, peer| house.clone().answer(request, peer),
        drain,
        Arc::default(),
    ));
    Served { addr, trigger, server, gate, begun, dropped }
}

#[derive(Clone)]
struct House {
    gate: Arc<Semaphore>,
    begun: mpsc::Sender<()>,
    dropped: mpsc::Sender<()>,
}

impl House {
    async fn answer(self, request: Request<Inbound>, peer: Peer) -> Response<Outbound> {
        match request.uri().path() {
            "/echo" => match request.into_body().collect().await {
                Ok(body) => Response::new(full(body.to_bytes())),
                Err(error) => said(StatusCode::REQUEST_TIMEOUT, error.to_string()),
            },
            "/wait" => {
                let _told = Told(self.dropped);
                self.begun.send(()).await.unwrap();
                self.gate.acquire().await.unwrap().forget();
                Response::new(full("waited"))
            }
            "/slow" => {
                let first = futures_util::stream::once(async { Ok::<_, Infallible>(piece(b"slow")) });
                let last = futures_util::stream::once(async move {
                    self.gate.acquire().await.unwrap().forget();
                    Ok(piece(b"ly"))
                });
                Response::new(boxed(StreamBody::new(Box::pin(first.chain(last)))))
            }
            "/endless" => Response::new(boxed(Endless(Told(self.dropped)))),
            "/broken" => {
                let pieces = [Ok(piece(b"half")), Err("it broke")];
                Response::new(boxed(StreamBody::new(futures_util::stream::iter(pieces))))
            }
            "/refused" => said(StatusCode::UNAUTHORIZED, "no".into()),
            "/peer" => {
                let certificate = peer.client_certificate.map(|certificate| certificate.sha256);
                Response::new(full(format!("{:?} {} {certificate:?}", request.version(), peer.tls)))
            }
            _ => Response::new(full("hello")),
        }
    }
}

fn piece(bytes: &'static [u8]) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(bytes))
}

fn said(status: StatusCode, text: String) -> Response<Outbound> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    response
}

struct Told(mpsc::Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.try_send(()).unwrap();
    }
}

/// 16 KiB at a time, for as long as somebody takes them.
struct Endless(#[expect(dead_code, reason = "held for its drop")] Told);

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; 16 * 1024])))))
    }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// Sends `request` on a connection of its own and reads until it is closed.
    async fn told(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }
}

/// Everything until the connection is closed; a reset counts as closed.
async fn rest<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut all = Vec::new();
    let _closed_or_reset = soon(stream.read_to_end(&mut all)).await;
    String::from_utf8(all).unwrap()
}

const HELLO: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// One request on a connection that stays open; the answer's body is `hello`.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    stream.write_all(HELLO).await.unwrap();
    assert!(heard_until(stream, "hello").await.starts_with("HTTP/1.1 200"));
}

async fn heard_until<S: AsyncRead + Unpin>(stream: &mut S, end: &str) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(end.as_bytes()) {
        let read = soon(stream.read_buf(&mut heard)).await.unwrap();
        assert_ne!(read, 0, "closed after {:?}", String::from_utf8_lossy(&heard));
    }
    String::from_utf8(heard).unwrap()
}

type Http2 = SendRequest<Empty<Bytes>>;

/// An HTTP/2 client by prior knowledge; the task in the set ends with the connection.
async fn http2<S>(stream: S) -> (Http2, JoinSet<hyper::Result<()>>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    (client, connections)
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://x{path}")).body(Empty::new()).unwrap()
}

async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body<Error: std::fmt::Debug>,
{
    String::from_utf8(soon(response.into_body().collect()).await.unwrap().to_bytes().into()).unwrap()
}

#[tokio::test]
async fn one_port_speaks_both_versions() {
    let house = served(Ceilings::default()).await;
    let told = house.told("GET /peer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(told.ends_with("HTTP/1.1 false None"), "{told}");
    let (mut client, _connection) = http2(house.connect().await).await;
    let response = client.send_request(get("/peer")).await.unwrap();
    assert_eq!(text(response).await, "HTTP/2.0 false None");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let house = served(Ceilings::default()).await;
    let again = Settings { addr: house.addr, tls: None, ceilings: Ceilings::default() };
    let error = Listener::bind(again).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on `{}`", house.addr));
}
