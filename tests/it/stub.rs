//! An MLflow that remembers every byte it is sent and answers what the test says.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sekisho::upstream::Address;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::proxy::soon;

/// A request as it came in; probes of `/health` are answered and not remembered.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// How many requests came before it over the same connection, probes included.
    pub(crate) nth: usize,
    /// Whether the body came to its end.
    pub(crate) whole: bool,
}

impl Heard {
    /// The one value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(found, _)| found == name);
        let first = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "`{name}` is there twice");
        first
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("a body of text")
    }

    /// Whether sekisho asks for itself: whose files, which versions.
    pub(crate) fn is_question(&self) -> bool {
        self.header("user-agent").is_some_and(|agent| agent.starts_with("sekisho/"))
    }

    /// `GET /target`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    fn length(&self) -> usize {
        self.header("content-length").map_or(0, |length| length.parse().expect("a length"))
    }
}

/// What the stub does once it has read a request.
pub(crate) enum Answer {
    /// A status and a JSON body.
    Json(u16, String),
    /// These bytes, and the connection is closed.
    Raw(String),
    /// These bytes, and the connection stays open.
    Kept(String),
    /// These bytes, and others once the gate lets them through; then the gate is closed and the connection stays open.
    Twice(String, Arc<Semaphore>, String),
    /// The connection is closed without a byte.
    Close,
    /// Nothing, until the other side hangs up.
    Silence,
    /// The answer after this gate lets one through.
    Held(Arc<Semaphore>, Box<Answer>),
}

impl Answer {
    pub(crate) fn ok(body: &Value) -> Self {
        Self::Json(200, body.to_string())
    }

    pub(crate) fn missing() -> Self {
        Self::Json(404, r#"{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"not found"}"#.to_owned())
    }
}

type Script = Box<dyn Fn(&Heard) -> Answer + Send>;

type Early = Box<dyn Fn(&Heard) -> Option<Answer> + Send>;

#[derive(Default)]
struct Log {
    /// Bytes of bodies that came on somebody's behalf.
    bytes: usize,
    heard: Vec<Heard>,
}

struct Shared {
    log: watch::Sender<Log>,
    script: Mutex<Script>,
    early: Mutex<Early>,
}

pub(crate) struct Stub {
    address: Address,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

impl Stub {
    pub(crate) async fn on_tcp() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (shared, mut serving) = (shared(), JoinSet::new());
        let each = Arc::clone(&shared);
        serving.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                // What is said is there: nothing waits for an acknowledgement that a next request brings.
                socket.set_nodelay(true).expect("a socket");
                lines.spawn(converse(socket, Arc::clone(&each)));
            }
        });
        Self { address: Address::Http(url.parse().expect("a URL")), shared, _serving: serving }
    }

    pub(crate) fn on_unix(path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        let (shared, mut serving) = (shared(), JoinSet::new());
        let each = Arc::clone(&shared);
        serving.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                lines.spawn(converse(socket, Arc::clone(&each)));
            }
        });
        Self { address: Address::Unix(path.to_owned()), shared, _serving: serving }
    }

    pub(crate) fn address(&self) -> Address {
        self.address.clone()
    }

    /// From now on requests are answered by `script`; before, with `{}`, but that there are no runs and logged models.
    pub(crate) fn answers(&self, script: impl Fn(&Heard) -> Answer + Send + 'static) {
        *self.shared.script.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(script);
    }

    /// The same for what comes on somebody's behalf; sekisho's own questions learn that nothing is there.
    pub(crate) fn answers_callers(&self, script: impl Fn(&Heard) -> Answer + Send + 'static) {
        self.answers(move |heard| if heard.is_question() { nothing_is_there(heard) } else { script(heard) });
    }

    /// Requests for which `script` has an answer get it before their body is read.
    pub(crate) fn answers_early(&self, script: impl Fn(&Heard) -> Option<Answer> + Send + 'static) {
        *self.shared.early.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(script);
    }

    /// Everything that came so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.shared.log.borrow().heard.clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.heard().iter().map(Heard::line).collect()
    }

    /// How many requests of a kind were heard, answered or not.
    pub(crate) fn begun(&self, kind: impl Fn(&Heard) -> bool) -> usize {
        self.shared.log.borrow().heard.iter().filter(|heard| kind(heard)).count()
    }

    /// What came on somebody's behalf.
    pub(crate) fn forwarded(&self) -> Vec<Heard> {
        self.heard().into_iter().filter(|heard| !heard.is_question()).collect()
    }

    /// How many bytes of bodies came on somebody's behalf.
    pub(crate) fn bytes(&self) -> usize {
        self.shared.log.borrow().bytes
    }

    /// The only request that came on somebody's behalf.
    #[track_caller]
    pub(crate) fn only(&self) -> Heard {
        let heard = self.forwarded();
        assert_eq!(heard.len(), 1, "{heard:?}");
        heard[0].clone()
    }

    /// Waits until so many requests have been read, to their end or to where they broke off.
    pub(crate) async fn until_heard(&self, count: usize) -> Vec<Heard> {
        let mut log = self.shared.log.subscribe();
        soon(log.wait_for(|log| log.heard.len() >= count)).await.expect("a stub").heard.clone()
    }

    /// Waits until so many heads and so many bytes of bodies have come.
    pub(crate) async fn until_begun(&self, bytes: usize) {
        let mut log = self.shared.log.subscribe();
        let _reached = soon(log.wait_for(|log| log.bytes >= bytes)).await;
    }
}

fn shared() -> Arc<Shared> {
    let script: Script = Box::new(nothing_is_there);
    let early: Early = Box::new(|_| None);
    Arc::new(Shared {
        log: watch::Sender::new(Log::default()),
        script: Mutex::new(script),
        early: Mutex::new(early),
    })
}

/// What an MLflow without runs, logged models and versions says.
pub(crate) fn nothing_is_there(heard: &Heard) -> Answer {
    if heard.is_question() && !heard.target.contains("/search") {
        return Answer::missing();
    }
    Answer::Json(200, "{}".to_owned())
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(socket: S, shared: Arc<Shared>) {
    let mut socket = BufReader::new(socket);
    let mut nth = 0;
    while let Some(mut heard) = head(&mut socket).await {
        heard.nth = nth;
        nth += 1;
        let answer = if heard.target.ends_with("/health") {
            Answer::Json(200, "OK".to_owned())
        } else {
            let early = (shared.early.lock().unwrap_or_else(PoisonError::into_inner))(&heard);
            let answered = early.is_some();
            if let Some(early) = early
                && !say(&mut socket, early).await
            {
                shared.log.send_modify(|log| log.heard.push(heard));
                return;
            }
            heard.whole = body(&mut socket, &mut heard, &shared.log).await.is_some();
            let whole = heard.whole;
            let answer = (shared.script.lock().unwrap_or_else(PoisonError::into_inner))(&heard);
            shared.log.send_modify(|log| log.heard.push(heard));
            if !whole {
                return;
            }
            if answered {
                continue;
            }
            answer
        };
        if !say(&mut socket, answer).await {
            return;
        }
    }
}

async fn head<S: AsyncRead + Unpin>(socket: &mut BufReader<S>) -> Option<Heard> {
    let request = line(socket).await?;
    let (method, rest) = request.split_once(' ')?;
    let target = rest.strip_suffix(" HTTP/1.1")?;
    let mut headers = Vec::new();
    loop {
        let header = line(socket).await?;
        let Some((name, value)) = header.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some(Heard {
        method: method.into(),
        target: target.into(),
        headers,
        body: Vec::new(),
        nth: 0,
        whole: false,
    })
}

async fn line<S: AsyncRead + Unpin>(socket: &mut BufReader<S>) -> Option<String> {
    let mut text = String::new();
    let read = socket.read_line(&mut text).await.ok()?;
    (read > 0).then(|| text.trim_end_matches("\r\n").to_owned())
}

async fn body<S: AsyncRead + Unpin>(
    socket: &mut BufReader<S>,
    heard: &mut Heard,
    log: &watch::Sender<Log>,
) -> Option<()> {
    if heard.header("transfer-encoding").is_none() {
        return exactly(socket, heard.length(), heard, log).await;
    }
    loop {
        let size = usize::from_str_radix(&line(socket).await?, 16).ok()?;
        exactly(socket, size, heard, log).await?;
        line(socket).await?;
        if size == 0 {
            return Some(());
        }
    }
}

async fn exactly<S: AsyncRead + Unpin>(
    socket: &mut BufReader<S>,
    mut left: usize,
    heard: &mut Heard,
    log: &watch::Sender<Log>,
) -> Option<()> {
    while left > 0 {
        let mut piece = vec![0; left.min(64 * 1024)];
        let read = socket.read(&mut piece).await.ok().filter(|read| *read > 0)?;
        heard.body.extend_from_slice(&piece[..read]);
        if !heard.is_question() {
            log.send_modify(|log| log.bytes += read);
        }
        left -= read;
    }
    Some(())
}

/// Whether the connection stays open.
async fn say<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut BufReader<S>, answer: Answer) -> bool {
    match answer {
        Answer::Json(status, body) => {
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\nserver: stub\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            socket.write_all(text.as_bytes()).await.is_ok()
        }
        Answer::Raw(text) => {
            let _closed = socket.write_all(text.as_bytes()).await;
            let _closed = socket.shutdown().await;
            false
        }
        Answer::Kept(text) => socket.write_all(text.as_bytes()).await.is_ok(),
        Answer::Twice(first, gate, second) => {
            let said = socket.write_all(first.as_bytes()).await.is_ok();
            gate.acquire().await.expect("a gate").forget();
            let said = said && socket.write_all(second.as_bytes()).await.is_ok();
            gate.close();
            said
        }
        Answer::Close => false,
        Answer::Silence => {
            let _hung_up = socket.read(&mut [0]).await;
            false
        }
        Answer::Held(gate, answer) => {
            gate.acquire().await.expect("a gate").forget();
            Box::pin(say(socket, *answer)).await
        }
    }
}
