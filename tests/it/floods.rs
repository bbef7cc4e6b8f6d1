//! Too much at once: who is told to come again, who is not, and what the lines say.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::caller::{Ask, Said, ada, root, who};
use crate::proxy::{Proxy, soon};
use crate::stub::Answer;

const GET_IRIS: &str = "/api/2.0/mlflow/registered-models/get?name=iris";
const SEARCH: &str = "/api/2.0/mlflow/registered-models/search";
const UPDATE: &str = "/api/2.0/mlflow/registered-models/update";

fn get() -> Ask {
    Ask::get(GET_IRIS)
}

#[track_caller]
fn come_again(said: &Said, seconds: &str) {
    assert_eq!(said.summary(), "429 REQUEST_LIMIT_EXCEEDED", "{}", said.text());
    assert_eq!(said.header("retry-after"), Some(seconds));
    assert_eq!(said.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_principal_that_asks_too_often_is_told_when_to_come_again() {
    let proxy = Proxy::with(|settings| {
        (settings.limits.requests_per_second, settings.limits.burst) = (1, 2);
    })
    .await;
    for _ in 0..2 {
        assert_eq!(proxy.send(get().by(&ada())).await.status, 200);
    }
    let forwarded = proxy.stub.lines().len();
    let page = Ask::post("/graphql", r#"{"operationName":"X","query":"query X { a }"}"#);
    for ask in [get(), Ask::get("/no/such/route"), Ask::get("/health"), page] {
        come_again(&proxy.send(ask.by(&ada())).await, "1");
    }
    assert_eq!(proxy.stub.lines().len(), forwarded, "it was passed on all the same");
    assert_eq!(proxy.send(get().by(&root())).await.status, 200, "one pays for another");
    assert_eq!(proxy.send(get()).await.status, 401, "strangers have no rate");
    proxy.clock.advance(1);
    assert_eq!(proxy.send(get().by(&ada())).await.status, 200);
    let lines = proxy.lines(9).await;
    assert_eq!(
        lines[2].texts(&["kind", "principal", "decision", "status", "reason"]),
        "refusal ada@company.com deny 429 you ask more often than 1 times a second; come again in 1 s"
    );
}

#[tokio::test]
async fn a_rate_of_zero_is_no_limit() {
    let proxy = Proxy::with(|settings| settings.limits.requests_per_second = 0).await;
    for _ in 0..500 {
        assert_eq!(proxy.send(Ask::get("/no/such/route").by(&ada())).await.status, 404);
    }
}

#[tokio::test]
async fn one_principal_cannot_have_every_place() {
    let proxy = Proxy::with(|settings| settings.limits.in_flight_each = 1).await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    proxy
        .stub
        .answers(move |_| Answer::Held(Arc::clone(&held), Box::new(Answer::Json(200, "{}".to_owned()))));
    let asking = async {
        assert_eq!(proxy.send(get().by(&ada())).await.status, 200);
    };
    let others = async {
        proxy.stub.until_heard(1).await;
        come_again(&proxy.send(get().by(&ada())).await, "1");
        gate.add_permits(2);
        assert_eq!(proxy.send(get().by(&root())).await.status, 200);
    };
    tokio::join!(asking, others);
}

/// A token of `user` that nobody signed.
fn forged(proxy: &Proxy, number: usize) -> String {
    let name: &'static str = Box::leak(format!("user-{number}").into_boxed_str());
    let token = who(name, "admin", &[]).token(&proxy.clock);
    let (message, _) = token.rsplit_once('.').expect("three parts");
    format!("{message}.{}", "A".repeat(43))
}

#[tokio::test]
async fn a_storm_of_forged_tokens_is_refused_unread_and_known_callers_pass() {
    let proxy = Proxy::start().await;
    assert_eq!(proxy.send(get().by(&ada())).await.status, 200);
    let ada_before = get().header("authorization", format!("Bearer {}", ada().token(&proxy.clock)));
    assert_eq!(proxy.send(ada_before.clone()).await.status, 200);
    let mut sentences = Vec::new();
    for number in 0..520 {
        let token = format!("Bearer {}", forged(&proxy, number));
        let said = proxy.send(get().header("authorization", token)).await;
        assert_eq!(said.summary(), "401 UNAUTHENTICATED");
        assert!(said.header("retry-after").is_none());
        sentences.push(said.message());
    }
    assert_eq!(sentences[499], "token's signature does not verify");
    assert!(sentences[519].starts_with("too many tokens from your address"), "{}", sentences[519]);
    assert_eq!(proxy.send(get().by(&root())).await.status, 401, "a new one waits");
    assert_eq!(proxy.send(ada_before).await.status, 200, "whoever is known does not");
    proxy.clock.advance(1);
    assert_eq!(proxy.send(get().by(&root())).await.status, 200);
    let tokens = ada().token(&proxy.clock);
    let (head, _) = tokens.split_once('.').expect("three parts");
    for line in proxy.lines(525).await {
        assert!(!line.0.contains(head), "a token in a line: {line:?}");
    }
}

#[tokio::test]
async fn large_bodies_share_a_budget_and_small_ones_do_not_wait() {
    let proxy = Proxy::with(|settings| settings.limits.memory_each = 256 * 1024).await;
    let update = |size: usize| {
        let text = format!(r#"{{"name":"iris","description":"{}"}}"#, "x".repeat(size));
        Ask::new("PATCH", UPDATE).json(text).by(&ada())
    };
    let said = proxy.send(update(400 * 1024)).await;
    come_again(&said, "1");
    assert_eq!(said.header("connection"), Some("close"), "the rest of the body is still under way");
    assert_eq!(proxy.stub.lines(), [""; 0]);
    assert_eq!(proxy.send(update(1024)).await.status, 200);
    assert_eq!(proxy.send(update(50 * 1024)).await.status, 200);
}

#[tokio::test]
async fn large_answers_share_it_too_but_never_those_of_a_write() {
    let proxy = Proxy::with(|settings| settings.limits.memory_each = 256 * 1024).await;
    let large =
        format!(r#"{{"registered_model":{{"name":"iris","description":"{}"}}}}"#, "x".repeat(1 << 20));
    proxy.stub.answers(move |_| Answer::Json(200, large.clone()));
    come_again(&proxy.send(Ask::get(SEARCH).by(&ada())).await, "1");
    let said =
        proxy.send(Ask::new("PATCH", UPDATE).json(r#"{"name":"iris","description":"x"}"#).by(&ada())).await;
    assert_eq!((said.status, said.body.len() > 1 << 20), (200, true), "the write was done");
    assert_eq!(proxy.send(get().by(&ada())).await.status, 200, "what streams costs nothing");
    let lines = proxy.lines(3).await;
    assert_eq!(lines[1].texts(&["status", "outcome"]), "200 applied");
    soon(async { while proxy.send(Ask::get(GET_IRIS).by(&ada())).await.status != 200 {} }).await;
}

#[tokio::test]
async fn a_body_of_too_many_values_is_refused() {
    let proxy = Proxy::start().await;
    let tags = vec!["{}"; 100_000].join(",");
    let bomb = format!(r#"{{"name":"iris","tags":[{tags}]}}"#);
    let said = proxy.send(Ask::post("/api/2.0/mlflow/registered-models/create", bomb).by(&root())).await;
    assert_eq!(said.summary(), "400 INVALID_PARAMETER_VALUE");
    assert_eq!(said.message(), "the body holds more than 100000 values");
}
