//! An MLflow that a test plays by hand, on a real socket.

mod answers;
mod failures;
mod streaming;

use std::time::Duration;

use http::header::{CONTENT_LENGTH, LOCATION};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;

/// Longer than anything here should take.
const SOON: Duration = Duration::from_secs(20);

/// Short, for timers that are meant to fire.
const SHORT: Duration = Duration::from_millis(100);

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(SOON, future).await.expect("it did not happen")
}

struct Played {
    listener: TcpListener,
    upstream: Upstream,
}

async fn played() -> Played {
    played_with(|_| ()).await
}

async fn played_with(change: impl FnOnce(&mut Settings)) -> Played {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut settings = Settings::at(Address::Http(url.parse().unwrap()));
    change(&mut settings);
    Played { listener, upstream: Upstream::new(settings).unwrap() }
}

impl Played {
    async fn accept(&self) -> Line<TcpStream> {
        Line(soon(self.listener.accept()).await.unwrap().0)
    }

    /// Sends `order`, with MLflow answering it on a new connection.
    async fn exchange(&self, order: Order, answer: &str) -> (Line<TcpStream>, Response<Reply>) {
        let answering = async {
            let mut line = self.accept().await;
            line.head().await;
            line.say(answer).await;
            line
        };
        let (line, answered) = tokio::join!(answering, soon(self.upstream.send(order)));
        (line, answered.unwrap())
    }

    async fn nobody_else_comes(&self) {
        assert!(timeout(SHORT, self.listener.accept()).await.is_err(), "it was asked again");
    }
}

/// MLflow's end of a connection.
struct Line<S>(S);

impl<S: AsyncReadExt + AsyncWriteExt + Unpin> Line<S> {
    /// A request's head, lower case.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon(self.0.read_u8()).await.expect("closed in the middle of a head"));
        }
        String::from_utf8(head).unwrap().to_ascii_lowercase()
    }

    async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _closed_or_reset = soon(self.0.read_to_end(&mut rest)).await;
        rest
    }
}

fn order(method: Method, body: OrderBody) -> Order {
    let repeatable = method == Method::GET || method == Method::HEAD;
    Order { method, path_and_query: "/x?y=1".to_owned(), headers: HeaderMap::new(), body, repeatable }
}

fn get() -> Order {
    order(Method::GET, OrderBody::Empty)
}

fn post() -> Order {
    order(Method::POST, OrderBody::Bytes(Bytes::from_static(b"{}")))
}

async fn text(response: Response<Reply>) -> String {
    String::from_utf8(collect(response.into_body(), 1024).await.unwrap().into()).unwrap()
}
