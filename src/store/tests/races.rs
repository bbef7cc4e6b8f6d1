//! Two sekishos at the same moment: the database decides.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::promotions::{
    FIRST, SECOND, approval, asked, at, comment, kept, move_on, said, taken_in, transition,
};
use super::*;

/// As many at once as there are; what each was answered.
async fn all_at_once<T: Send + 'static>(calls: Vec<impl Future<Output = T> + Send + 'static>) -> Vec<T> {
    let mut running = JoinSet::new();
    for call in calls {
        running.spawn(call);
    }
    running.join_all().await
}

/// Two sekishos on one store, in turns.
async fn two(place: &Place) -> impl Fn(usize) -> Store + use<> {
    let stores = [place.open().await, place.open().await];
    move |number| stores[number % 2].clone()
}

const ROUNDS: u64 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_begin_one_does() {
    for place in Place::all().await {
        let store = two(&place).await;
        for round in 0..ROUNDS {
            let id = version("iris", round);
            let seen = taken_in(&store(0), &id).await.change;
            let call = |caller| {
                let (store, new) = (store(caller), transition(&id, FIRST, None));
                async move { store.begin(&new, seen).await.unwrap() }
            };
            let began = all_at_once((0..10).map(call).collect()).await;
            let begun = began.iter().filter(|began| matches!(began, Began::Begun(_))).count();
            let underway = began.iter().filter(|began| **began == Began::Underway).count();
            assert_eq!((begun, underway), (1, 9), "{began:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_last_approvals_exactly_one_makes_the_transition() {
    for place in Place::all().await {
        let store = two(&place).await;
        for round in 0..ROUNDS {
            let id = version("iris", round);
            let seen = taken_in(&store(0), &id).await.change;
            let request = kept(&store(0), &asked(&id, FIRST, "ada")).await.number;
            let call = |caller: usize| {
                let (store, id) = (store(caller), id.clone());
                async move {
                    let given = approval(&format!("user-{caller}"));
                    let Approving::Kept(_) = store.approve(request, &given, None).await.unwrap() else {
                        return false;
                    };
                    let began = store.begin(&transition(&id, FIRST, Some(request)), seen).await.unwrap();
                    let Began::Begun(number) = began else { return false };
                    let moved = store.end(number, Progress::Done, at(9)).await.unwrap();
                    moved.is_some_and(|stand| stand.stage == Stage::IntegrationTest)
                }
            };
            let made = all_at_once((0..8).map(call).collect()).await;
            assert_eq!(made.iter().filter(|made| **made).count(), 1, "{made:?}");
            assert_eq!(store(1).history(&id).await.unwrap().len(), 1);
            let request = store(1).request(request).await.unwrap().unwrap();
            assert_eq!(request.state, RequestState::Done);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_asks_once_and_approves_once() {
    for place in Place::all().await {
        let store = two(&place).await;
        for round in 0..ROUNDS {
            let id = version("iris", round);
            taken_in(&store(0), &id).await;
            let call = |caller| {
                let (store, new) = (store(caller), asked(&id, FIRST, "ada"));
                async move { store.ask(&new).await.unwrap() }
            };
            let answers = all_at_once((0..8).map(call).collect()).await;
            let kept: Vec<_> = answers
                .iter()
                .filter_map(|answer| match answer {
                    Asking::Kept(request) => Some(request.number),
                    Asking::Already(_) | Asking::Elsewhere(_) | Asking::Unknown | Asking::TooMany => None,
                })
                .collect();
            let [number] = kept[..] else { panic!("{answers:?}") };
            let call = |caller| {
                let store = store(caller);
                async move { store.approve(number, &approval("bob"), None).await.unwrap() }
            };
            let answers = all_at_once((0..8).map(call).collect()).await;
            let twice = answers.iter().filter(|answer| **answer == Approving::Twice).count();
            assert_eq!(twice, 7, "{answers:?}");
            assert_eq!(store(1).request(number).await.unwrap().unwrap().approvals.len(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_close_a_request_one_does_and_no_approval_comes_after() {
    for place in Place::all().await {
        let store = two(&place).await;
        for round in 0..ROUNDS {
            let id = version("iris", round);
            taken_in(&store(0), &id).await;
            let request = kept(&store(0), &asked(&id, FIRST, "ada")).await.number;
            let call = |caller: usize| {
                let store = store(caller);
                async move {
                    let user = format!("user-{caller}");
                    if caller.is_multiple_of(3) {
                        let closing = Closing { by: user, comment: String::new(), at: at(7) };
                        return store.close_request(request, RequestState::Rejected, &closing).await.unwrap();
                    }
                    store.approve(request, &approval(&user), None).await.unwrap();
                    // What is kept was kept while it was open.
                    false
                }
            };
            let closed = all_at_once((0..9).map(call).collect()).await;
            assert_eq!(closed.iter().filter(|closed| **closed).count(), 1, "{closed:?}");
            let found = store(1).request(request).await.unwrap().unwrap();
            let late = store(0).approve(request, &approval("late"), None).await.unwrap();
            assert_eq!((found.state, late), (RequestState::Rejected, Approving::Closed));
            assert_eq!(store(0).request(request).await.unwrap().unwrap(), found);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_beside_a_begin_loses_or_prevents_it() {
    for place in Place::all().await {
        let store = two(&place).await;
        for round in 0..ROUNDS * 2 {
            let id = version("iris", round);
            let seen = taken_in(&store(0), &id).await.change;
            let request = kept(&store(0), &asked(&id, FIRST, "ada")).await.number;
            let new = transition(&id, FIRST, Some(request));
            let closing = Closing { by: "bob".into(), comment: "no".into(), at: at(7) };
            let (one, other) = (store(0), store(1));
            let (began, rejected) = tokio::join!(
                one.begin(&new, seen),
                other.close_request(request, RequestState::Rejected, &closing)
            );
            let (began, rejected) = (began.unwrap(), rejected.unwrap());
            assert_eq!(began == Began::Closed, rejected, "{began:?}");
            if let Began::Begun(number) = began {
                one.end(number, Progress::Done, at(8)).await.unwrap().unwrap();
                let state = other.request(request).await.unwrap().unwrap().state;
                assert_eq!(state, RequestState::Done);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_taken_in_by_one_and_begun_by_whoever_saw_that() {
    for place in Place::all().await {
        let store = two(&place).await;
        for round in 0..ROUNDS {
            let id = version("iris", round);
            let call = |caller: usize| {
                let (store, id) = (store(caller), id.clone());
                async move {
                    let stage = if caller.is_multiple_of(2) { Stage::Canary } else { Stage::Development };
                    let stand = store.take_in(&id, stage, Origin::Imported, at(0)).await.unwrap();
                    let new = transition(&id, (stage, Stage::Archived), None);
                    (stand.clone(), stage, store.begin(&new, stand.change).await.unwrap())
                }
            };
            let all = all_at_once((0..8).map(call).collect()).await;
            let stands: Vec<_> = all.iter().map(|(stand, _, _)| stand).collect();
            assert!(stands.windows(2).all(|pair| pair[0] == pair[1]), "{stands:?}");
            let begun: Vec<_> = all.iter().filter(|(_, _, began)| matches!(began, Began::Begun(_))).collect();
            assert_eq!(begun.len(), 1, "{all:?}");
            assert!(begun.iter().all(|(stand, stage, _)| stand.stage == *stage), "{begun:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_beside_an_end_leaves_no_version_that_is_both() {
    for place in Place::all().await {
        let store = two(&place).await;
        for round in 0..ROUNDS * 2 {
            let id = version("iris", round);
            let seen = taken_in(&store(0), &id).await.change;
            let Began::Begun(number) = store(0).begin(&transition(&id, FIRST, None), seen).await.unwrap()
            else {
                panic!("not begun")
            };
            let (one, other) = (store(0), store(1));
            let (ended, gone) = tokio::join!(one.end(number, Progress::Done, at(8)), other.gone(&id, at(9)));
            let (ended, gone) = (ended.unwrap(), gone.unwrap().unwrap());
            let history = one.history(&id).await.unwrap().len();
            assert_eq!(history, usize::from(ended.is_some()));
            let stage = if ended.is_some() { Stage::IntegrationTest } else { Stage::Development };
            assert_eq!((gone.stage, gone.gone), (stage, true));
            assert_eq!((one.stands(&id).await.unwrap(), one.unfinished().await.unwrap()), (None, Vec::new()));
        }
    }
}

/// Whoever reads by changes while others write sees no gap that is filled later.
#[tokio::test(flavor = "multi_thread")]
async fn no_change_becomes_visible_after_a_later_one() {
    for place in Place::all().await {
        let store = two(&place).await;
        let mut writers = JoinSet::new();
        for writer in 0..6_u64 {
            let store = store(usize::try_from(writer).unwrap());
            writers.spawn(async move {
                for number in 0..8 {
                    let id = version(&format!("m{writer}"), number);
                    taken_in(&store, &id).await;
                    move_on(&store, &id, FIRST, 1).await;
                    store.close_files(&version(&format!("m{writer}"), 99), at(1)).await.unwrap();
                    store.open_files(&version(&format!("m{writer}"), 99)).await.unwrap();
                }
            });
        }
        let (mut read, mut known) = (0, std::collections::HashMap::new());
        loop {
            let done = writers.is_empty();
            for stand in store(0).stands_after(read).await.unwrap() {
                assert!(stand.change > read);
                read = stand.change;
                known.insert(stand.id.clone(), stand);
            }
            if done {
                break;
            }
            while let Some(done) = writers.try_join_next() {
                done.unwrap();
            }
        }
        let all = store(1).stands_after(0).await.unwrap();
        assert_eq!(all.len(), 6 * 9);
        for stand in all {
            assert_eq!(known.get(&stand.id), Some(&stand));
        }
    }
}

#[tokio::test]
async fn one_that_is_stopped_in_the_middle_holds_up_others_for_seconds_alone() {
    let Some(place) = Place::database().await else { return };
    let (stopped, other) = (place.open().await, place.open().await);
    let id = version("iris", 1);
    let mut held = stopped.turn().await.unwrap();
    let began = Instant::now();
    assert!(other.report(&id, &said("unit_test", true)).await.is_err());
    assert!(other.evidence(&id).await.unwrap().is_empty(), "who reads does not wait");
    assert!(began.elapsed() < Duration::from_millis(2_900), "{:?}", began.elapsed());
    while other.report(&id, &said("unit_test", true)).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(15));
    }
    assert!(stands::find(&mut held, &id).await.is_err(), "what it had begun is nothing");
    assert!(held.commit().await.is_err());
    stopped.report(&id, &said("unit_test", true)).await.unwrap();
}

/// Nothing waits for what waits for it, and no number is given twice.
#[tokio::test(flavor = "multi_thread")]
async fn everything_at_once_ends_and_numbers_are_given_once() {
    for place in Place::all().await {
        let store = two(&place).await;
        let id = version("old", 1);
        taken_in(&store(0), &id).await;
        move_on(&store(0), &id, FIRST, 1).await;
        let call = |caller: usize| {
            let store = store(caller);
            async move {
                let id = version(if caller.is_multiple_of(2) { "old" } else { "new" }, 1);
                store.keep_digest(&id, &digest("a", 3)).await.unwrap();
                store.renamed("old", 1_000, "new").await.unwrap();
                store.ask(&asked(&id, SECOND, &format!("user-{caller}"))).await.unwrap();
                let number = store.report(&id, &said("unit_test", true)).await.unwrap();
                store.add_comment(&comment(&id, &format!("c{caller}"), "ada", 1)).await.unwrap();
                store.renamed("new", 1_000, "old").await.unwrap();
                store.close_files(&id, at(3)).await.unwrap();
                store.open_files(&id).await.unwrap();
                number
            }
        };
        let numbers = all_at_once((0..8).map(call).collect()).await;
        assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), 8, "{numbers:?}");
        store(0).renamed("new", 1_000, "old").await.unwrap();
        let stand = store(1).stands(&id).await.unwrap().unwrap();
        assert_eq!(stand.stage, Stage::IntegrationTest);
        assert_eq!(store(1).evidence(&id).await.unwrap().len(), 8);
        assert_eq!(store(1).comments(&id).await.unwrap().len(), 8);
    }
}
