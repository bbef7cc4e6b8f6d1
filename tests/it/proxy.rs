//! A proxy that is serving, whoever calls it, and the lines that it writes.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::combinators::UnsyncBoxBody;
use hyper_util::rt::TokioIo;
use sekisho::app::{self, Settings};
use sekisho::audit::Reads;
use sekisho::authn::{self, IssuerSettings, KeySource};
use sekisho::authz;
use sekisho::clock::Clock;
use sekisho::drain::Drained;
use sekisho::govern::Mode;
use sekisho::listen::{self, Ceilings};
use sekisho::pipeline::{Gate, Patience};
use sekisho::route::cross_site::Origins;
use sekisho::secret::Secret;
use sekisho::stages::Stages;
use sekisho::{cache, limit, record, store, upstream};
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::caller::{Ask, Said};
use crate::stub::Stub;

/// Longer than anything here should take.
const SOON: Duration = Duration::from_secs(20);

/// The files of a folder of policies.
const POLICIES: [&str; 6] =
    ["model.conf", "policy.csv", "decisions.tsv", "rules.toml", "stages.toml", "metadata.schema.json"];

/// When everything happens, in seconds since 1970; tests move it themselves.
pub(crate) const NOW: i64 = 1_790_000_000;

/// Signs the tokens; must not be found in any line.
pub(crate) const SECRET: &str = "an it-test secret of forty bytes, or so..";

pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    timeout(SOON, future).await.expect("it did not happen")
}

pub(crate) fn secret() -> Secret {
    Secret::new(SECRET).expect("a secret")
}

/// A line of the journal.
#[derive(Clone, Debug)]
pub(crate) struct Line(pub(crate) String);

impl Line {
    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.0).expect("a line of JSON")
    }

    pub(crate) fn text(&self, key: &str) -> String {
        match self.value().get(key) {
            None => "-".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// The values of these keys, `-` where there is none.
    pub(crate) fn texts(&self, keys: &[&str]) -> String {
        keys.iter().map(|key| self.text(key)).collect::<Vec<_>>().join(" ")
    }

    /// The keys in the order in which they are written.
    pub(crate) fn keys(&self) -> Vec<String> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Vec<String>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, _)) = map.next_entry::<String, Value>()? {
                    keys.push(key);
                }
                Ok(keys)
            }
        }
        let mut reader = serde_json::Deserializer::from_str(&self.0);
        serde::Deserializer::deserialize_map(&mut reader, Keys).expect("an object")
    }
}

/// Where the lines of a proxy are.
#[derive(Clone, Debug)]
pub(crate) struct Lines(PathBuf);

impl Lines {
    /// The lines of requests that are there now: of a write its outcome.
    pub(crate) fn now(&self) -> Vec<Line> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().map(|line| Line(line.to_owned()));
        lines.filter(|line| !["head", "system", "intent"].contains(&line.text("kind").as_str())).collect()
    }
}

/// A proxy that is serving.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) stub: Stub,
    pub(crate) clock: Clock,
    pub(crate) gate: Arc<Gate>,
    pub(crate) reload: mpsc::Sender<()>,
    pub(crate) stages: Arc<Stages>,
    lines: Lines,
    stop: oneshot::Sender<()>,
    running: JoinSet<Drained>,
    folder: TempDir,
}

impl Proxy {
    /// With the shipped policies and settings.
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::before(Stub::on_tcp().await, "", change).await
    }

    /// With these rows after the shipped ones.
    pub(crate) async fn with_rows(rows: &str) -> Self {
        Self::before(Stub::on_tcp().await, rows, |_| ()).await
    }

    pub(crate) async fn before(stub: Stub, rows: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let policies = folder.path().join("policies");
        std::fs::create_dir(&policies).expect("a folder");
        for name in POLICIES {
            std::fs::copy(shipped(name), policies.join(name)).expect("a copy");
        }
        let state = format!("sqlite://{}", folder.path().join("sekisho.db").display());
        let mut settings = settings(policies, stub.address(), state.parse().expect("an address"));
        let lines = Lines(settings.record.path.join("a/current.jsonl"));
        change(&mut settings);
        let clock = Clock::held_at(NOW);
        let written = lines_with(&settings.policies_dir, rows);
        std::fs::write(settings.policies_dir.join("policy.csv"), written).expect("policies");
        let bound = app::build(settings, clock.clone()).await.expect("a proxy");
        let stages = bound.stages();
        let (address, admin, gate) = (bound.address(), bound.admin_address(), bound.gate());
        let (stop, stopped) = oneshot::channel::<()>();
        let (reload, reloads) = mpsc::channel(1);
        let mut running = JoinSet::new();
        let stopped = async {
            let _told_or_dropped = stopped.await;
        };
        running.spawn(bound.until(stopped, reloads));
        Self { address, admin, stub, clock, gate, reload, stages, lines, stop, running, folder }
    }

    pub(crate) fn policies(&self) -> PathBuf {
        self.folder.path().join("policies")
    }

    /// Puts a new `policy.csv` in its place, whole: the shipped rows and these.
    pub(crate) fn put_rows(&self, rows: &str) {
        let new = self.folder.path().join("new.csv");
        std::fs::write(&new, lines_with(&shipped(""), rows)).expect("new policies");
        std::fs::rename(new, self.policies().join("policy.csv")).expect("a rename");
    }

    pub(crate) async fn send(&self, ask: Ask) -> Said {
        send_to(self.address, ask.request(&self.clock)).await
    }

    /// Says these bytes and reads until the connection is closed.
    pub(crate) async fn raw(&self, said: &str) -> String {
        let mut socket = TcpStream::connect(self.address).await.expect("a connection");
        socket.write_all(said.as_bytes()).await.expect("a taker");
        let mut heard = Vec::new();
        soon(socket.read_to_end(&mut heard)).await.expect("an end");
        String::from_utf8(heard).expect("text")
    }

    pub(crate) async fn readyz(&self) -> Value {
        let request = Ask::get("/readyz").request(&self.clock);
        send_to(self.admin, request).await.json()
    }

    /// Waits until there are so many lines.
    pub(crate) async fn lines(&self, count: usize) -> Vec<Line> {
        let come = async {
            loop {
                let lines = self.lines.now();
                if lines.len() >= count {
                    break lines;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        soon(come).await
    }

    pub(crate) async fn line(&self) -> Line {
        let lines = self.lines(1).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0].clone()
    }

    /// Ends it; every line that there will ever be.
    pub(crate) async fn stop(self) -> (Drained, Vec<Line>) {
        let Self { stop, mut running, lines, folder: _folder, .. } = self;
        stop.send(()).expect("a proxy that runs");
        let drained = soon(running.join_next()).await.expect("an end").expect("no panic");
        (drained, lines.now())
    }

    /// Begins the drain without waiting for its end.
    pub(crate) fn begin_stop(self) -> (JoinSet<Drained>, Stub, Lines, TempDir) {
        self.stop.send(()).expect("a proxy that runs");
        (self.running, self.stub, self.lines, self.folder)
    }
}

pub(crate) async fn send_to(address: SocketAddr, request: Request<UnsyncBoxBody<Bytes, io::Error>>) -> Said {
    answered(address, request).await.expect("an answer")
}

/// The answer, if it came as far as its body.
pub(crate) async fn answered(
    address: SocketAddr,
    request: Request<UnsyncBoxBody<Bytes, io::Error>>,
) -> hyper::Result<Said> {
    let socket = soon(TcpStream::connect(address)).await.expect("a connection");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.expect("a handshake");
    let mut connected = JoinSet::new();
    connected.spawn(connection);
    let mut request = request;
    request.headers_mut().entry("host").or_insert(http::HeaderValue::from_static("sekisho.test"));
    Ok(Said::of(soon(sender.send_request(request)).await?).await)
}

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies").join(name)
}

fn lines_with(dir: &Path, rows: &str) -> String {
    let shipped = std::fs::read_to_string(dir.join("policy.csv")).expect("policies");
    format!("{shipped}\n{rows}\n")
}

fn settings(policies_dir: PathBuf, address: upstream::Address, state: store::Address) -> Settings {
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = || listen::Settings { addr, tls: None, ceilings: Ceilings::default() };
    let issuer = IssuerSettings {
        issuer: None,
        audience: None,
        key: KeySource::Hs256(secret()),
        users: Vec::new(),
        roles: Vec::new(),
    };
    Settings {
        listen: listener(),
        admin: listener(),
        authn: authn::Settings {
            issuers: vec![issuer],
            user_claim: "user_id".into(),
            role_claim: "role".into(),
            model_access_claim: "model_access".into(),
        },
        authz: authz::Settings { require_model_access: true, mode: authz::Mode::Enforce },
        record: record::Settings {
            path: policies_dir.with_file_name("audit"),
            instance: "a".to_owned(),
            mode: record::Mode::Required,
            signing_key_file: policies_dir.with_file_name("audit.key"),
            rhythm: record::Rhythm::default(),
            keep: None,
        },
        reads: Reads::Each,
        policies_dir,
        upstream: upstream::Settings::at(address),
        state,
        // A disk that stands still for seconds, as those of shared machines do, is not what is tried here.
        state_within: Duration::from_secs(60),
        static_prefix: None,
        // Off: what a test's stub says next is what the next reader is to hear.
        cache: cache::Settings { ttl: Duration::ZERO, bytes: 0, stale: Duration::ZERO },
        presigned: false,
        // What they call their models is nobody's business.
        rules: Mode::Off,
        read_versions_at_start: false,
        patience: Patience::default(),
        settles: Duration::ZERO,
        origins: Origins::default(),
        // Tests ask faster than people do.
        limits: limit::Settings { requests_per_second: 0, ..limit::Settings::default() },
        grace: Duration::from_secs(15),
        workers: 2,
    }
}
