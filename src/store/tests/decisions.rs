//! Requests, approvals and transitions, one after the other.

use super::RequestState::{Done, Open, Void};
use super::promotions::{FIRST, SECOND, approval, asked, at, kept, move_on, person, taken_in, transition};
use super::*;

#[tokio::test]
async fn a_request_is_kept_with_its_approvals_until_it_is_closed() {
    for place in Place::all().await {
        let store = place.open().await;
        let id = version("iris", 1);
        let new = NewRequest { break_glass: Some("fire".into()), ..asked(&id, FIRST, "Ada") };
        assert_eq!(store.ask(&new).await.unwrap(), Asking::Unknown);
        taken_in(&store, &id).await;
        let elsewhere = store.ask(&asked(&id, SECOND, "Ada")).await.unwrap();
        assert_eq!(elsewhere, Asking::Elsewhere(Stage::Development));

        let request = kept(&store, &new).await;
        let expected = Request {
            number: 1,
            asked: new.clone(),
            state: RequestState::Open,
            closed: None,
            approvals: Vec::new(),
        };
        assert_eq!(request, expected);
        let other_letters = NewRequest { asker: person("ADA"), ..new.clone() };
        assert_eq!(store.ask(&other_letters).await.unwrap(), Asking::Already(expected.clone()));
        let other_target = (Stage::Development, Stage::Archived);
        assert_eq!(kept(&store, &asked(&id, other_target, "Ada")).await.number, 2);
        assert_eq!(kept(&store, &asked(&id, FIRST, "eve")).await.number, 3);

        assert_eq!(store.approve(1, &approval("bob"), None).await.unwrap(), Approving::Kept(1));
        assert_eq!(store.approve(1, &approval("BOB"), None).await.unwrap(), Approving::Twice);
        assert_eq!(store.approve(3, &approval("BOB"), None).await.unwrap(), Approving::Kept(2));
        assert_eq!(store.approve(1, &approval("eve"), None).await.unwrap(), Approving::Kept(3));
        assert_eq!(store.approve(99, &approval("eve"), None).await.unwrap(), Approving::Closed);
        let approvals =
            [(1, "bob"), (3, "eve")].map(|(number, user)| Approval { number, given: approval(user) });
        let expected = Request { approvals: approvals.to_vec(), ..expected };
        assert_eq!(place.open().await.request(1).await.unwrap(), Some(expected.clone()));
        let numbers = |all: Vec<Request>| all.into_iter().map(|it| it.number).collect::<Vec<_>>();
        assert_eq!(numbers(store.requests(&id, i64::MAX, 9).await.unwrap()), [3, 2, 1]);
        assert_eq!(numbers(store.requests(&id, 3, 1).await.unwrap()), [2]);
        assert_eq!(numbers(store.open_requests(&id).await.unwrap()), [3, 2, 1]);
        assert_eq!(store.requests_in(Open, 0, 1).await.unwrap(), std::slice::from_ref(&expected));
        assert_eq!(numbers(store.requests_in(Open, 1, 9).await.unwrap()), [2, 3]);

        let closing = Closing { by: "bob".into(), comment: "no".into(), at: at(5) };
        assert!(!store.close_request(1, RequestState::Open, &closing).await.unwrap());
        assert!(store.close_request(1, RequestState::Rejected, &closing).await.unwrap());
        assert!(!store.close_request(1, RequestState::Withdrawn, &closing).await.unwrap());
        assert_eq!(store.approve(1, &approval("zoe"), None).await.unwrap(), Approving::Closed);
        let closed = Request { state: RequestState::Rejected, closed: Some(closing), ..expected };
        assert_eq!(store.request(1).await.unwrap(), Some(closed));
        assert_eq!(numbers(store.requests_in(Open, 0, 9).await.unwrap()), [2, 3]);
        assert_eq!(kept(&store, &new).await.number, 4, "the same may be asked for again");
        assert_eq!(store.request(99).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_transition_that_is_done_moves_the_version_and_settles_requests() {
    for place in Place::all().await {
        let store = place.open().await;
        let (id, bystander) = (version("iris", 1), version("iris", 2));
        let seen = taken_in(&store, &id).await.change;
        taken_in(&store, &bystander).await;
        for (id, stages, user) in [
            (&id, FIRST, "ada"),
            (&id, FIRST, "eve"),
            (&id, (Stage::Development, Stage::Archived), "ada"),
            (&bystander, FIRST, "ada"),
        ] {
            kept(&store, &asked(id, stages, user)).await;
        }
        let new = transition(&id, FIRST, Some(1));
        let beside = transition(&id, FIRST, Some(4));
        assert_eq!(store.begin(&beside, seen).await.unwrap(), Began::Closed, "of another version");
        let other_target = transition(&id, (Stage::Development, Stage::Canary), Some(1));
        assert_eq!(store.begin(&other_target, seen).await.unwrap(), Began::Closed, "for another stage");
        assert_eq!(
            store.begin(&transition(&version("x", 1), FIRST, None), seen).await.unwrap(),
            Began::Unknown
        );
        assert_eq!(store.begin(&new, seen).await.unwrap(), Began::Begun(1));
        assert_eq!(store.begin(&new, seen).await.unwrap(), Began::Underway);
        let begun = Transition { number: 1, what: new.clone(), progress: Progress::Begun, ended: None };
        assert_eq!(place.open().await.unfinished().await.unwrap(), [begun]);
        assert_eq!(store.stands(&id).await.unwrap().unwrap().stage, Stage::Development);
        assert_eq!(store.history(&id).await.unwrap(), []);
        let closing = Closing { by: "zoe".into(), comment: String::new(), at: at(5) };
        assert!(!store.close_request(1, RequestState::Rejected, &closing).await.unwrap(), "it is being made");

        assert_eq!(store.end(1, Progress::Begun, at(6)).await.unwrap(), None);
        let moved = store.end(1, Progress::Done, at(6)).await.unwrap().unwrap();
        assert_eq!((moved.stage, moved.since, moved.closing), (Stage::IntegrationTest, at(6), false));
        assert_eq!(store.stands(&id).await.unwrap(), Some(moved.clone()));
        assert_eq!(store.end(1, Progress::Done, at(7)).await.unwrap(), Some(moved.clone()));
        assert_eq!(store.end(1, Progress::Undone, at(7)).await.unwrap(), None);
        assert_eq!(store.end(99, Progress::Done, at(7)).await.unwrap(), None);
        let done = Transition { number: 1, what: new, progress: Progress::Done, ended: Some(at(6)) };
        assert_eq!(store.history(&id).await.unwrap(), std::slice::from_ref(&done));
        assert_eq!(store.transition(1).await.unwrap(), Some(done));
        assert_eq!(store.unfinished().await.unwrap(), []);

        let mut states = Vec::new();
        for number in 1..=4 {
            states.push(store.request(number).await.unwrap().unwrap().state);
        }
        assert_eq!(states, [Done, Void, Void, Open]);
        let closed = store.request(1).await.unwrap().unwrap().closed.unwrap();
        assert_eq!((closed.by.as_str(), closed.at), ("Bob", at(6)));
        let voided = store.request(2).await.unwrap().unwrap().closed.unwrap();
        assert_eq!(voided.comment, "the version stands in Integration_Test by now");
        let stale = store.begin(&transition(&id, FIRST, None), moved.change).await.unwrap();
        assert_eq!(stale, Began::Elsewhere(Stage::IntegrationTest));
    }
}

#[tokio::test]
async fn a_transition_that_is_undone_leaves_everything_as_it_was() {
    for place in Place::all().await {
        let store = place.open().await;
        let id = version("iris", 1);
        let stand = taken_in(&store, &id).await;
        let request = kept(&store, &asked(&id, FIRST, "ada")).await;
        let new = transition(&id, FIRST, Some(1));
        assert_eq!(store.begin(&new, stand.change).await.unwrap(), Began::Begun(1));
        assert_eq!(store.end(1, Progress::Undone, at(5)).await.unwrap(), Some(stand.clone()));
        assert_eq!(store.end(1, Progress::Done, at(6)).await.unwrap(), None);
        assert_eq!(store.end(1, Progress::Undone, at(6)).await.unwrap(), Some(stand.clone()));
        assert_eq!(store.request(1).await.unwrap(), Some(request));
        assert_eq!(store.history(&id).await.unwrap(), []);
        assert_eq!(store.begin(&new, stand.change).await.unwrap(), Began::Begun(2));
    }
}

#[tokio::test]
async fn a_version_that_is_gone_can_be_moved_no_more_and_its_history_stays() {
    for place in Place::all().await {
        let store = place.open().await;
        let id = version("iris", 1);
        taken_in(&store, &id).await;
        let stand = move_on(&store, &id, FIRST, 1).await;
        let request = kept(&store, &asked(&id, SECOND, "ada")).await;
        let next = transition(&id, SECOND, Some(request.number));
        assert_eq!(store.begin(&next, stand.change).await.unwrap(), Began::Begun(2));
        let gone = store.gone(&id, at(2)).await.unwrap().unwrap();
        assert!(gone.change > stand.change);
        assert_eq!(store.stands(&id).await.unwrap(), None);
        assert_eq!(store.end(2, Progress::Done, at(3)).await.unwrap(), None);
        assert_eq!(store.unfinished().await.unwrap(), []);
        let request = store.request(request.number).await.unwrap().unwrap();
        assert_eq!(request.state, RequestState::Void);
        assert_eq!(store.ask(&asked(&id, SECOND, "ada")).await.unwrap(), Asking::Unknown);
        assert_eq!(store.begin(&next, gone.change).await.unwrap(), Began::Unknown);
        assert_eq!(store.close_files(&id, at(4)).await.unwrap(), gone);
        assert_eq!(store.open_files(&id).await.unwrap(), Some(gone));
        assert_eq!(store.history(&id).await.unwrap().len(), 1);
        assert_eq!(store.gone(&version("nobody", 1), at(5)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_broken_rule_is_approved_afterwards_by_another() {
    for place in Place::all().await {
        let store = place.open().await;
        let id = version("iris", 1);
        let stand = taken_in(&store, &id).await;
        let broken = NewRequest { break_glass: Some("fire".into()), ..asked(&id, FIRST, "ada") };
        kept(&store, &broken).await;
        kept(&store, &asked(&id, FIRST, "eve")).await;
        assert_eq!(store.owed(0, 9).await.unwrap(), [], "it is not done yet");
        let begun = store.begin(&transition(&id, FIRST, Some(1)), stand.change).await.unwrap();
        assert_eq!(begun, Began::Begun(1));
        store.end(1, Progress::Done, at(5)).await.unwrap().unwrap();
        assert_eq!(store.approve(2, &approval("zoe"), None).await.unwrap(), Approving::Closed);
        assert_eq!(store.approve(1, &approval("Ada"), None).await.unwrap(), Approving::Kept(1));
        let owed: Vec<_> = store.owed(0, 9).await.unwrap().into_iter().map(|it| it.number).collect();
        assert_eq!(owed, [1], "nobody approves their own");
        assert_eq!(store.owed(1, 9).await.unwrap(), []);
        assert_eq!(store.approve(1, &approval("zoe"), None).await.unwrap(), Approving::Kept(2));
        assert_eq!(store.owed(0, 9).await.unwrap(), []);
    }
}
