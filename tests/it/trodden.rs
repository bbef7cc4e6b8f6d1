//! Reads that come again: answered in short, and decided, limited and told of as at length.

use std::time::Duration;

use sekisho::app::Settings;
use sekisho::audit::Reads;
use sekisho::cache;
use serde_json::{Value, json};

use crate::caller::{Ask, Said, Who, ada, root, who};
use crate::proxy::{Proxy, soon};
use crate::stub::Answer;

const GET: &str = "/api/2.0/mlflow/registered-models/get?name=iris";

fn kept(settings: &mut Settings) {
    settings.cache =
        cache::Settings { ttl: Duration::from_secs(300), bytes: 1 << 20, stale: Duration::from_secs(300) };
}

async fn house(change: impl FnOnce(&mut Settings)) -> Proxy {
    let proxy = Proxy::with(|settings| {
        kept(settings);
        change(settings);
    })
    .await;
    proxy.stub.answers_callers(|_| Answer::ok(&json!({"registered_model": {"name": "iris"}})));
    proxy
}

/// Always with the very same token.
struct Caller<'p> {
    proxy: &'p Proxy,
    token: String,
}

impl<'p> Caller<'p> {
    fn new(proxy: &'p Proxy, who: &Who) -> Self {
        Self { proxy, token: who.token(&proxy.clock) }
    }

    fn ask(&self, target: &str) -> Ask {
        Ask::get(target).header("authorization", format!("Bearer {}", self.token))
    }

    async fn get(&self, target: &str) -> Said {
        self.proxy.send(self.ask(target)).await
    }

    /// Until the next one goes the short way: MLflow is asked, then memory, and then it is known.
    async fn tread(&self, target: &str) {
        for _ in 0..3 {
            assert_eq!(self.get(target).await.status, 200);
        }
        assert!(self.proxy.gate.trodden.count() > 0);
    }
}

/// What two lines of like reads may differ in.
const ITS_OWN: [&str; 6] = ["seq", "id", "time", "micros", "prev", "hash"];

#[tokio::test]
async fn the_short_way_gives_and_tells_what_the_long_one_does() {
    let proxy = house(|_| ()).await;
    let caller = Caller::new(&proxy, &ada());
    let mut said = Vec::new();
    for _ in 0..4 {
        said.push(caller.get(GET).await);
    }
    assert_eq!(proxy.gate.trodden.count(), 1);
    assert_eq!(proxy.stub.forwarded().len(), 1);
    let shown = |said: &Said| {
        let mut headers = said.headers.clone();
        let id = headers.remove("x-request-id").expect("an id");
        (said.status, said.text().to_owned(), headers, id)
    };
    let (long, short) = (shown(&said[1]), shown(&said[3]));
    assert_eq!((long.0, &long.1, &long.2), (short.0, &short.1, &short.2));
    assert_ne!(long.3, short.3);
    let (_, lines) = proxy.stop().await;
    let told: Vec<Value> = lines
        .iter()
        .map(|line| {
            let mut value = line.value();
            ITS_OWN.iter().for_each(|key| drop(value.as_object_mut().expect("an object").remove(*key)));
            value
        })
        .collect();
    assert_eq!((&told[1], lines[1].keys()), (&told[3], lines[3].keys()));
    assert_eq!(lines[3].text("id"), short.3.to_str().expect("text"));
    assert_eq!(lines.len(), 4);
}

#[tokio::test]
async fn reads_of_both_ways_are_counted_together() {
    let proxy = house(|settings| settings.reads = Reads::Aggregate).await;
    let caller = Caller::new(&proxy, &ada());
    for _ in 0..5 {
        assert_eq!(caller.get(GET).await.status, 200);
    }
    let etag = caller.get(GET).await.header("etag").expect("a tag").to_owned();
    let same = proxy.send(caller.ask(GET).header("if-none-match", etag)).await;
    assert_eq!((same.status, same.text()), (304, ""));
    let (_, lines) = proxy.stop().await;
    let mut counted: Vec<String> =
        lines.iter().map(|line| line.texts(&["kind", "status", "count"])).collect();
    counted.sort();
    assert_eq!(counted, ["reads 200 6", "reads 304 1"]);
}

#[tokio::test]
async fn whatever_differs_goes_the_whole_way() {
    let proxy = house(|_| ()).await;
    let caller = Caller::new(&proxy, &ada());
    caller.tread(GET).await;
    let asked = |ask: Ask| async { proxy.send(ask).await.status };
    assert_eq!(asked(caller.ask(GET).header("x-mlflow-workspace", "other")).await, 400);
    assert_eq!(asked(caller.ask(GET).body("{}")).await, 400);
    assert_eq!(asked(caller.ask(GET).header("authorization", "Bearer x")).await, 401);
    assert_eq!(asked(Ask::get(GET)).await, 401);
    for other in ["Host: b", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked"] {
        let token = &caller.token;
        let raw = format!(
            "GET {GET} HTTP/1.1\r\nHost: a\r\n{other}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
        );
        assert!(proxy.raw(&raw).await.starts_with("HTTP/1.1 400"), "{other}");
    }
    let before = proxy.stub.forwarded().len();
    assert_eq!(asked(caller.ask(GET).header("cache-control", "no-cache")).await, 200);
    assert_eq!(proxy.stub.forwarded().len(), before + 1);
    let sam = Caller::new(&proxy, &who("sam@company.com", "ml_engineer", &["wine"]));
    assert_eq!(sam.get(GET).await.status, 403);
    // What holds for one spelling holds for no other.
    assert_eq!(caller.get(&format!("{GET}&name=wine")).await.status, 400);
}

#[tokio::test]
async fn rights_that_are_taken_away_end_it() {
    let proxy = house(|_| ()).await;
    let caller = Caller::new(&proxy, &ada());
    caller.tread(GET).await;
    proxy.put_rows("p, user:ada@company.com, model:*, metadata_read, deny");
    soon(async { while caller.get(GET).await.status != 403 {} }).await;
    proxy.put_rows("");
    soon(async { while caller.get(GET).await.status != 200 {} }).await;
    proxy.clock.advance(4_000);
    assert_eq!(caller.get(GET).await.status, 401, "the token is over");
}

#[tokio::test]
async fn what_was_written_or_is_old_is_asked_for_again() {
    let proxy = house(|_| ()).await;
    let caller = Caller::new(&proxy, &ada());
    caller.tread(GET).await;
    proxy.stub.answers_callers(|_| {
        Answer::ok(&json!({"registered_model": {"name": "iris", "description": "new"}}))
    });
    assert!(!caller.get(GET).await.text().contains("new"));
    let body = r#"{"name":"iris","key":"k","value":"v"}"#;
    let write = Ask::post("/api/2.0/mlflow/registered-models/set-tag", body).by(&ada());
    assert_eq!(proxy.send(write).await.status, 200);
    assert!(caller.get(GET).await.text().contains("new"));
    proxy.stub.answers_callers(|_| {
        Answer::ok(&json!({"registered_model": {"name": "iris", "description": "newer"}}))
    });
    caller.tread(GET).await;
    proxy.clock.advance(299);
    assert!(!caller.get(GET).await.text().contains("newer"));
    proxy.clock.advance(1);
    assert!(caller.get(GET).await.text().contains("newer"));
}

#[tokio::test]
async fn what_mlflow_registers_by_itself_has_everything_asked_for_again() {
    let proxy = house(|_| ()).await;
    let caller = Caller::new(&proxy, &ada());
    for call in ["generate", "delete"] {
        caller.tread(GET).await;
        let before = proxy.stub.forwarded().len();
        let demo = Ask::post(format!("/ajax-api/3.0/mlflow/demo/{call}"), "{}").by(&root());
        assert_eq!(proxy.send(demo).await.status, 200);
        assert_eq!(caller.get(GET).await.header("x-sekisho-cache"), Some("MISS"), "{call}");
        assert_eq!(proxy.stub.forwarded().len(), before + 2);
    }
}

#[tokio::test]
async fn what_is_in_memory_does_not_count_against_a_rate() {
    let proxy = house(|settings| (settings.limits.requests_per_second, settings.limits.burst) = (1, 3)).await;
    let caller = Caller::new(&proxy, &ada());
    for _ in 0..20 {
        assert_eq!(caller.get(GET).await.status, 200);
    }
    // Neither where the target is another each time.
    for number in 0..20 {
        assert_eq!(caller.get(&format!("{GET}&unknown={number}")).await.status, 200);
    }
    let statuses = [
        caller.get("/api/2.0/mlflow/registered-models/get?name=wine").await.status,
        // What is refused counts like any other.
        caller.get("/api/2.0/mlflow/registered-models/get?name=other").await.status,
        caller.get("/api/2.0/mlflow/registered-models/get?name=other").await.status,
        proxy.send(caller.ask(GET).header("cache-control", "no-cache")).await.status,
    ];
    assert_eq!(statuses, [200, 403, 429, 429]);
    assert_eq!(caller.get(GET).await.status, 200);
    let (_, lines) = proxy.stop().await;
    let last: Vec<String> =
        lines.iter().rev().take(3).map(|line| line.texts(&["kind", "decision", "status"])).collect();
    assert_eq!(last, ["read allow 200", "refusal deny 429", "refusal deny 429"]);
}

#[tokio::test]
async fn pages_of_lists_come_again_until_something_is_written() {
    let proxy = house(|settings| (settings.limits.requests_per_second, settings.limits.burst) = (1, 4)).await;
    let row = |name: &str| json!({"registered_models": [{"name": name}]});
    proxy.stub.answers_callers(move |_| Answer::ok(&row("iris")));
    let list = "/api/2.0/mlflow/registered-models/search?max_results=10";
    let caller = Caller::new(&proxy, &ada());
    let mut said = Vec::new();
    for _ in 0..9 {
        said.push(caller.get(list).await);
    }
    assert_eq!(proxy.gate.trodden.count(), 1);
    assert!(said.iter().all(|one| one.status == 200 && one.body == said[0].body));
    assert_eq!((said[7].header("x-sekisho-cache"), said[7].header("age")), (Some("HIT"), None));
    assert_eq!(said[7].header("etag"), None);
    let sam = Caller::new(&proxy, &who("sam@company.com", "ml_engineer", &["wine"]));
    assert_eq!(sam.get(list).await.text(), "{}");
    // Of another model, and it is another list all the same.
    proxy.stub.answers_callers(move |_| Answer::ok(&row("wine")));
    assert!(caller.get(list).await.text().contains("iris"));
    let body = r#"{"name":"wine","key":"k","value":"v"}"#;
    let write = Ask::post("/api/2.0/mlflow/registered-models/set-tag", body).by(&ada());
    assert_eq!(proxy.send(write).await.status, 200);
    assert!(caller.get(list).await.text().contains("wine"));
    assert_eq!(proxy.send(caller.ask(list).header("cache-control", "no-cache")).await.status, 200);
    let over = proxy.send(caller.ask(list).header("cache-control", "no-cache")).await;
    assert_eq!((over.status, over.header("retry-after")), (429, Some("1")));
}
