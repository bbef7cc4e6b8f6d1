//! An identity provider that is slow, down, wrong or flooded, on a real socket.

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Unauthenticated as No;
use super::*;
use crate::authn::testing::*;
use crate::authn::{Authenticator, IssuerSettings};

/// A gate in front of a provider with one key `k`, and a token signed with it.
struct Scene {
    provider: IdentityProvider,
    gate: Arc<Authenticator>,
    clock: Clock,
    signer: Signer,
    token: String,
}

impl Scene {
    async fn new() -> Self {
        let signer = Signer::ed();
        let provider = IdentityProvider::with_keys(&json!([signer.jwk("k")])).await;
        let (gate, clock) = gate(vec![issuer(provider.source())]);
        let token = signer.token(Some("k"), &claims(json!({})));
        Self { provider, gate: Arc::new(gate), clock, signer, token }
    }

    async fn ask(&self) -> Result<(), No> {
        identify(&self.gate, &self.token).await.map(drop)
    }

    /// A token of the right signer under another `kid`.
    fn named(&self, kid: &str) -> String {
        self.signer.token(Some(kid), &claims(json!({})))
    }

    /// Waits for the fetches that are under way.
    async fn settle(&self) {
        let crate::authn::source::Source::Url(provider) = &self.gate.issuers[0].source else {
            panic!("the scene's keys come from a URL");
        };
        let under_way = provider.plan.lock().under_way.clone();
        if let Some(under_way) = under_way {
            under_way.cancelled().await;
        }
    }
}

async fn all_at_once(scene: &Scene, tokens: Vec<String>) -> Vec<Result<(), No>> {
    let mut callers = JoinSet::new();
    for token in tokens {
        let gate = Arc::clone(&scene.gate);
        callers.spawn(async move { identify(&gate, &token).await.map(drop) });
    }
    callers.join_all().await
}

#[tokio::test]
async fn fifty_first_callers_make_one_fetch() {
    let scene = Scene::new().await;
    assert_eq!(scene.provider.requests(), 0, "nothing is fetched before anybody asks");
    let outcomes = all_at_once(&scene, vec![scene.token.clone(); 50]).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(scene.provider.requests(), 1);
}

#[tokio::test]
async fn readiness_waits_for_the_keys_and_asks_for_them_itself() {
    let scene = Scene::new().await;
    let waiting = scene.gate.waiting_for();
    assert_eq!(waiting.as_deref(), Some(&*format!("keys of http://{}/jwks", scene.provider.address)));
    scene.settle().await;
    assert_eq!((scene.gate.waiting_for(), scene.provider.requests()), (None, 1));
}

#[tokio::test]
async fn a_flood_of_unknown_kids_makes_one_fetch_in_thirty_seconds() {
    let scene = Scene::new().await;
    scene.ask().await.unwrap();
    for (round, advance) in [(2, 0), (2, 29), (3, 1), (3, 29)] {
        scene.clock.advance(advance);
        let flood = (0..50).map(|n| scene.named(&format!("{round}-{n}"))).collect();
        let outcomes = all_at_once(&scene, flood).await;
        assert!(outcomes.iter().all(|outcome| *outcome == Err(No::UnknownKey)), "{outcomes:?}");
        assert_eq!(scene.provider.requests(), round, "after {advance} s");
        scene.ask().await.unwrap();
    }
}

#[tokio::test]
async fn a_key_that_is_new_at_the_provider_is_fetched_when_it_is_first_seen() {
    let scene = Scene::new().await;
    scene.ask().await.unwrap();
    let fresh = Signer::ec();
    scene.provider.now_answers(Answer::keys(&json!([fresh.jwk("fresh")])));
    identify(&scene.gate, &fresh.token(Some("fresh"), &claims(json!({})))).await.unwrap();
    assert_eq!(scene.ask().await, Err(No::UnknownKey), "a withdrawn key is not remembered");
    assert_eq!(scene.provider.requests(), 2);
}

#[tokio::test]
async fn keys_serve_on_while_the_provider_is_down_and_nobody_with_a_known_key_waits() {
    let scene = Scene::new().await;
    scene.ask().await.unwrap();
    scene.provider.now_answers(Answer::Never);
    scene.clock.advance(300);
    scene.ask().await.unwrap();
    scene.clock.advance(300);
    scene.ask().await.unwrap();
    let scene = Scene::new().await;
    scene.ask().await.unwrap();
    for (answer, requests) in [
        (Answer::Status(503, Bytes::new()), 2),
        (Answer::Body("<html>".into()), 3),
        (Answer::Body(r#"{"keys":[]}"#.into()), 4),
        (Answer::Body(vec![b' '; LONGEST_JWKS + 1].into()), 5),
    ] {
        scene.provider.now_answers(answer);
        scene.clock.advance(300);
        scene.ask().await.unwrap();
        scene.settle().await;
        scene.ask().await.unwrap();
        assert_eq!(scene.provider.requests(), requests);
    }
    scene.clock.advance(29);
    scene.ask().await.unwrap();
    scene.settle().await;
    assert_eq!(scene.provider.requests(), 5, "a failed refresh is not repeated at once");
}

#[tokio::test]
async fn keys_are_refreshed_every_five_minutes_and_the_memory_follows_a_change() {
    let scene = Scene::new().await;
    scene.ask().await.unwrap();
    scene.clock.advance(299);
    scene.ask().await.unwrap();
    scene.settle().await;
    assert_eq!(scene.provider.requests(), 1);
    scene.provider.now_answers(Answer::keys(&json!([Signer::ed().jwk("other")])));
    scene.clock.advance(1);
    scene.ask().await.unwrap();
    scene.settle().await;
    assert_eq!(scene.provider.requests(), 2);
    assert_eq!(scene.ask().await, Err(No::UnknownKey));
}

#[tokio::test]
async fn a_first_fetch_that_fails_is_tried_again_after_a_second() {
    let scene = Scene::new().await;
    let keys: Value = json!([scene.signer.jwk("k")]);
    let elsewhere = IdentityProvider::with_keys(&keys).await;
    let redirect = Answer::Redirect(format!("http://{}/jwks", elsewhere.address));
    let oversize = format!("{}{}", " ".repeat(LONGEST_JWKS), json!({"keys": keys}));
    let failing = Answer::Status(500, json!({"keys": keys}).to_string().into());
    for (answer, requests) in [(failing, 1), (redirect, 2), (Answer::Body(oversize.into()), 3)] {
        scene.provider.now_answers(answer);
        let outcomes = all_at_once(&scene, vec![scene.token.clone(); 20]).await;
        assert!(outcomes.iter().all(|outcome| *outcome == Err(No::NoKeys)), "{outcomes:?}");
        assert_eq!(scene.ask().await, Err(No::NoKeys));
        assert_eq!(scene.provider.requests(), requests);
        assert!(scene.gate.waiting_for().is_some());
        scene.clock.advance(1);
    }
    assert_eq!(elsewhere.requests(), 0, "redirects are not followed");
    scene.provider.now_answers(Answer::keys(&keys));
    scene.ask().await.unwrap();
}

#[tokio::test]
async fn an_answer_that_never_comes_is_waited_for_no_longer_than_asked() {
    let provider = IdentityProvider::serving(Answer::Never).await;
    let uri = format!("http://{}/", provider.address).parse().unwrap();
    let deadline = Duration::from_millis(20);
    let outcome = Client::new().unwrap().get_json(uri, LONGEST_JWKS, deadline).await;
    assert!(matches!(outcome, Err(FetchError::Late(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_take_the_fetch_along() {
    let scene = Scene::new().await;
    assert_eq!(scene.ask().now_or_never(), None);
    scene.ask().await.unwrap();
    assert_eq!(scene.provider.requests(), 1);
}

#[tokio::test]
async fn a_provider_that_is_down_does_not_stop_another_issuer() {
    let scene = Scene::new().await;
    scene.provider.now_answers(Answer::Never);
    let named = |name: &str, users: &str, key| IssuerSettings {
        issuer: Some(name.into()),
        users: vec![users.into()],
        ..issuer(key)
    };
    let (gate, _) = gate(vec![
        named("down", "*@down", scene.provider.source()),
        named("house", "*@company.com", secret()),
    ]);
    identify(&gate, &Signer::hs256().token(None, &claims(json!({"iss": "house"})))).await.unwrap();
    assert!(gate.waiting_for().is_some());
}
