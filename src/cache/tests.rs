//! What is known, for how long, and what a write makes of it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::*;
use crate::clock::Clock;

const VERSION: Question<'static> = Question::of_version("m", "1");

struct House {
    cache: ReadCache,
    clock: Clock,
}

fn house() -> House {
    house_of(1024 * 1024)
}

fn house_of(bytes: u64) -> House {
    let clock = Clock::held_at(1_000_000);
    let generations = Arc::new(Generations::new(clock.clone()));
    let settings = Settings { ttl: Duration::from_secs(300), bytes, stale: Duration::from_secs(60) };
    House { cache: ReadCache::new(settings, generations), clock }
}

fn answer(status: StatusCode, body: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::copy_from_slice(body.as_bytes()));
    *response.status_mut() = status;
    response
}

fn down() -> UpstreamError {
    UpstreamError::NotSent("refused".into())
}

impl House {
    async fn ask(
        &self,
        question: &Question<'_>,
        answer: Result<Response<Bytes>, UpstreamError>,
    ) -> Result<(String, From), UpstreamError> {
        let (entry, from) =
            self.cache.ask(question, || self.clock.steady(), (async { answer }, false)).await?;
        Ok((String::from_utf8(entry.body.to_vec()).unwrap(), from))
    }

    async fn fill(&self, question: &Question<'_>, body: &str) {
        self.ask(question, Ok(answer(StatusCode::OK, body))).await.unwrap();
    }

    fn known(&self, question: &Question<'_>) -> Option<String> {
        let entry = self.cache.get(question, self.clock.steady())?;
        Some(String::from_utf8(entry.body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn what_was_asked_is_known_for_its_time() {
    let house = house();
    assert_eq!(house.known(&VERSION), None);
    house.fill(&VERSION, "one").await;
    for (after, expected) in [(0, Some("one")), (299, Some("one")), (1, None)] {
        house.clock.advance(after);
        assert_eq!(house.known(&VERSION).as_deref(), expected, "{after}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_known_for_a_short_time_and_errors_never() {
    let absent = r#"{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}"#;
    for (status, body, kept) in [
        (StatusCode::NOT_FOUND, absent, true),
        (StatusCode::NOT_FOUND, "<html>", false),
        (StatusCode::NOT_FOUND, r#"{"error_code": "ENDPOINT_NOT_FOUND"}"#, false),
        (StatusCode::BAD_REQUEST, r#"{"error_code": "INVALID_PARAMETER_VALUE"}"#, false),
        (StatusCode::BAD_REQUEST, r#"{"error_code": "BAD_REQUEST"}"#, false),
        (StatusCode::FORBIDDEN, absent, false),
        (StatusCode::INTERNAL_SERVER_ERROR, "", false),
        (StatusCode::NO_CONTENT, "", false),
    ] {
        let house = house();
        house.ask(&VERSION, Ok(answer(status, body))).await.unwrap();
        assert_eq!(house.known(&VERSION).is_some(), kept, "{status} {body}");
        house.clock.advance(5);
        assert_eq!(house.known(&VERSION), None, "{status} {body}");
    }
}

#[tokio::test]
async fn an_alias_that_is_not_there_is_an_invalid_parameter() {
    let mut alias = VERSION;
    alias.sort = Sort::Alias;
    for (code, kept) in [("INVALID_PARAMETER_VALUE", true), ("BAD_REQUEST", false)] {
        let house = house();
        let body = format!(r#"{{"error_code":"{code}"}}"#);
        house.ask(&alias, Ok(answer(StatusCode::BAD_REQUEST, &body))).await.unwrap();
        assert_eq!(house.known(&alias).is_some(), kept, "{code}");
    }
}

#[tokio::test]
async fn a_write_of_a_model_ends_what_was_known_of_it_and_of_lists_alone() {
    let house = house();
    let other = Question::of_version("o", "1");
    let page = Question::of_page(Sort::Versions, "filter=");
    for question in [&VERSION, &other, &page] {
        house.fill(question, "one").await;
    }
    let change = house.cache.change(["M"]);
    assert_eq!(house.known(&VERSION), None, "while it is written, in whatever case its name is");
    assert_eq!(house.known(&page), None);
    house.fill(&VERSION, "either").await;
    assert_eq!(house.known(&VERSION), None, "nobody keeps what MLflow says meanwhile");
    drop(change);
    assert_eq!(house.known(&VERSION), None);
    assert_eq!(house.known(&other).as_deref(), Some("one"));
    house.fill(&VERSION, "two").await;
    assert_eq!(house.known(&VERSION).as_deref(), Some("two"));
}

#[tokio::test]
async fn a_read_that_overlapped_a_write_is_never_known_after_it() {
    let house = house();
    for (begins, ends) in [(true, true), (true, false), (false, true)] {
        let mut change = (!begins).then(|| house.cache.change(["m"]));
        let asking = async {
            if begins {
                change = Some(house.cache.change(["m"]));
            }
            if ends {
                drop(change.take());
            }
            Ok(answer(StatusCode::OK, "old"))
        };
        let asked = house.cache.ask(&VERSION, || house.clock.steady(), (asking, false)).await;
        assert!(asked.is_ok());
        drop(change);
        assert_eq!(house.known(&VERSION), None, "begins {begins}, ends {ends}");
    }
}

#[tokio::test]
async fn a_write_that_was_never_sent_changes_nothing() {
    let house = house();
    house.fill(&VERSION, "one").await;
    let change = house.cache.change(["m"]);
    assert_eq!(house.known(&VERSION), None);
    change.was_not_sent();
    drop(change);
    assert_eq!(house.known(&VERSION).as_deref(), Some("one"));
}

#[tokio::test]
async fn a_write_of_which_nobody_knows_keeps_its_model_out_for_a_while() {
    let house = house();
    house.cache.change(["m"]).is_unsettled();
    for (after, expected) in [(0, None), (59, None), (1, Some("new"))] {
        house.clock.advance(after);
        house.fill(&VERSION, "new").await;
        assert_eq!(house.known(&VERSION).as_deref(), expected, "{after}");
    }
}

#[tokio::test]
async fn without_mlflow_the_last_answer_is_given_for_a_time_and_never_one_from_before_a_write() {
    let house = house();
    house.fill(&VERSION, "one").await;
    house.clock.advance(300);
    for bad in
        [Err(down()), Ok(answer(StatusCode::BAD_GATEWAY, "nginx")), Err(UpstreamError::Unanswered("".into()))]
    {
        assert_eq!(house.ask(&VERSION, bad).await.unwrap(), ("one".to_owned(), From::Stale));
    }
    assert_eq!(house.known(&VERSION), None, "whoever asks still asks MLflow first");
    house.clock.advance(60);
    assert!(house.ask(&VERSION, Err(down())).await.is_err(), "too old");
    house.fill(&VERSION, "two").await;
    drop(house.cache.change(["m"]));
    assert!(house.ask(&VERSION, Err(down())).await.is_err(), "from before a write");
    let (said, from) = house.ask(&VERSION, Ok(answer(StatusCode::BAD_GATEWAY, "nginx"))).await.unwrap();
    assert_eq!((said.as_str(), from), ("nginx", From::Mlflow));
}

#[tokio::test]
async fn nothing_is_known_after_a_purge() {
    let house = house();
    house.fill(&VERSION, "one").await;
    let asking = async {
        house.cache.purge().await;
        Ok(answer(StatusCode::OK, "from before"))
    };
    assert!(
        house
            .cache
            .ask(&Question::of_version("o", "2"), || house.clock.steady(), (asking, false))
            .await
            .is_ok()
    );
    assert_eq!((house.known(&VERSION), house.known(&Question::of_version("o", "2"))), (None, None));
}

#[tokio::test]
async fn equal_questions_in_flight_are_asked_once() {
    let house = Arc::new(house());
    let (asked, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let ask = |fails: bool| {
        let (house, asked, go) = (Arc::clone(&house), Arc::clone(&asked), Arc::clone(&go));
        async move {
            let asking = async {
                asked.fetch_add(1, Ordering::SeqCst);
                go.notified().await;
                if fails { Err(down()) } else { Ok(answer(StatusCode::OK, "one")) }
            };
            house
                .cache
                .ask(&VERSION, || house.clock.steady(), (asking, false))
                .await
                .map(|(entry, _)| entry.body.clone())
        }
    };
    for fails in [true, false] {
        asked.store(0, Ordering::SeqCst);
        let mut all: JoinSet<_> = std::iter::repeat_with(|| ask(fails)).take(50).collect();
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // All of them have asked or wait by now: there is one thread.
        tokio::task::yield_now().await;
        go.notify_one();
        let mut answers = BTreeSet::new();
        while let Some(said) = all.join_next().await {
            answers.insert(said.unwrap().ok());
        }
        let expected = (!fails).then(|| Bytes::from_static(b"one"));
        assert_eq!(answers.into_iter().collect::<Vec<_>>(), [expected]);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
    assert_eq!(house.cache.flights.waiting(), 0);
}

#[tokio::test]
async fn who_waits_asks_when_the_one_who_asked_goes() {
    let house = Arc::new(house());
    let hung = Arc::clone(&house);
    let (mut first, mut second) = (JoinSet::new(), JoinSet::new());
    first.spawn(async move {
        let never = std::future::pending();
        hung.cache.ask(&VERSION, || hung.clock.steady(), (never, false)).await.is_ok()
    });
    tokio::task::yield_now().await;
    let waiting = Arc::clone(&house);
    second.spawn(async move { waiting.ask(&VERSION, Ok(answer(StatusCode::OK, "one"))).await });
    tokio::task::yield_now().await;
    assert!(second.try_join_next().is_none());
    first.shutdown().await;
    let said = second.join_next().await.unwrap().unwrap();
    assert_eq!(said.unwrap(), ("one".to_owned(), From::Mlflow));
    assert_eq!(house.cache.flights.waiting(), 0);
}

#[tokio::test]
async fn who_comes_after_a_write_does_not_wait_for_what_was_asked_before_it() {
    let house = Arc::new(house());
    let (go, early) = (Arc::new(Notify::new()), Arc::clone(&house));
    let going = Arc::clone(&go);
    let mut first = JoinSet::new();
    first.spawn(async move {
        let asking = async {
            going.notified().await;
            Ok(answer(StatusCode::OK, "old"))
        };
        early
            .cache
            .ask(&VERSION, || early.clock.steady(), (asking, false))
            .await
            .map(|(entry, _)| entry.body.clone())
    });
    tokio::task::yield_now().await;
    drop(house.cache.change(["m"]));
    let (said, _) = house.ask(&VERSION, Ok(answer(StatusCode::OK, "new"))).await.unwrap();
    assert_eq!(said, "new");
    go.notify_one();
    let said = first.join_next().await.unwrap().unwrap();
    assert_eq!(said.unwrap(), "old", "it was there before the write");
    assert_eq!(house.known(&VERSION).as_deref(), Some("new"));
}

#[tokio::test]
async fn no_more_is_kept_than_there_is_room_for() {
    let house = house_of(100_000);
    for number in 0..1_000 {
        let version = number.to_string();
        house.fill(&Question::of_version("m", &version), &"x".repeat(2_000)).await;
    }
    let (kept, bytes) = house.cache.size();
    assert!((1..=20).contains(&kept) && bytes <= 100_000, "{kept} {bytes}");
    house.fill(&VERSION, &"x".repeat(200_000)).await;
    assert!(house.cache.size().1 <= 100_000);
    assert!(!house_of(0).cache.is_on(Duration::ZERO));
}

#[test]
fn what_was_made_of_an_answer_is_kept_until_a_version_stands_elsewhere() {
    let entry =
        Entry::new(Sort::Version, answer(StatusCode::OK, "raw"), (None, Duration::ZERO), Duration::ZERO);
    let shown = Arc::new(Shown::new(Bytes::from_static(b"made"), 7, true));
    entry.keep_shown(0, &shown);
    for (reader, made_with, expected) in [(0, 7, true), (0, 8, false), (1, 7, false)] {
        assert_eq!(entry.shown(reader, made_with).is_some(), expected, "{reader} {made_with}");
    }
    assert_ne!(shown.etag, Shown::new(Bytes::from_static(b"other"), 7, true).etag);
}

#[tokio::test]
async fn whoever_has_no_room_for_an_answer_keeps_it_from_nobody() {
    let house = Arc::new(house());
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let poor = {
        let (house, begun, go) = (Arc::clone(&house), Arc::clone(&begun), Arc::clone(&go));
        async move {
            let asking = async {
                begun.notify_one();
                go.notified().await;
                Err(UpstreamError::NoRoom(crate::limit::OverLimit::Large))
            };
            house.cache.ask(&VERSION, || house.clock.steady(), (asking, false)).await.is_err()
        }
    };
    let mut asking = JoinSet::new();
    asking.spawn(poor);
    begun.notified().await;
    let follower = Arc::clone(&house);
    asking.spawn(async move {
        let asked = follower.ask(&VERSION, Ok(answer(StatusCode::OK, "mine"))).await;
        asked.is_ok_and(|(said, from)| (said.as_str(), from) == ("mine", From::Mlflow))
    });
    tokio::task::yield_now().await;
    go.notify_one();
    assert_eq!(asking.join_all().await, [true, true]);
}

#[tokio::test]
async fn who_asks_anew_does_not_take_what_was_asked_before() {
    let house = house();
    let inner = async {
        let asking = async { Ok(answer(StatusCode::OK, "new")) };
        house.cache.ask(&VERSION, || house.clock.steady(), (asking, true)).await
    };
    let outer = async {
        let said = inner.await?.0;
        assert_eq!(&said.body[..], b"new");
        Ok(answer(StatusCode::OK, "old"))
    };
    assert!(house.cache.ask(&VERSION, || house.clock.steady(), (outer, false)).await.is_ok());
}

#[tokio::test]
async fn a_write_of_nobody_knows_what_has_everything_forgotten() {
    let house = house();
    house.fill(&VERSION, "one").await;
    let change = house.cache.change_of_any();
    house.fill(&Question::of_version("o", "1"), "meanwhile").await;
    change.end().await;
    for question in [&VERSION, &Question::of_version("o", "1")] {
        assert_eq!(house.known(question), None);
    }
}

#[tokio::test]
async fn only_what_is_missing_is_kept_as_missing() {
    let absent = r#"{"error_code":"RESOURCE_DOES_NOT_EXIST","message":""}"#;
    let invalid = r#"{"error_code":"INVALID_PARAMETER_VALUE","message":""}"#;
    let house = house();
    house.fill(&VERSION, "one").await;
    house.ask(&VERSION, Ok(answer(StatusCode::BAD_REQUEST, invalid))).await.unwrap();
    assert_eq!(house.known(&VERSION).as_deref(), Some("one"), "an error took the place of what holds");
    house.ask(&VERSION, Ok(answer(StatusCode::NOT_FOUND, absent))).await.unwrap();
    assert_eq!(house.known(&VERSION).as_deref(), Some(absent));
}
