//! Who is on the store, up to which change each has read it, and what is whose.

use super::promotions::{FIRST, at, move_on, taken_in, transition};
use super::*;

/// As others see it.
async fn seen(store: &Store) -> Vec<(i64, i64)> {
    let all = store.instances().await.unwrap();
    all.iter().map(|instance| (instance.settled, instance.beats)).collect()
}

/// Somebody finds that nothing is heard of it.
async fn buried(gone: &Store, by: &Store) {
    let all = by.instances().await.unwrap();
    let found = all.iter().find(|instance| *instance.id == *gone.name()).unwrap();
    by.bury(&found.id, found.beats).await.unwrap();
}

#[track_caller]
fn unheard<T: std::fmt::Debug>(answer: &Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::Unheard(_))), "{answer:?}");
}

#[tokio::test]
async fn who_is_heard_of_is_known_until_it_is_buried_or_leaves() {
    for place in Place::all().await {
        let one = place.open().await;
        let first = one.name();
        assert!(one.beat(5).await.unwrap());
        assert_eq!(seen(&one).await, [(5, 1)]);
        one.bury(&first, 0).await.unwrap();
        assert_eq!(seen(&one).await, [(5, 1)], "it was heard of since");
        one.bury(&first, 1).await.unwrap();
        assert_eq!(seen(&one).await, []);
        assert!(!one.beat(6).await.unwrap(), "it has to read anew");
        assert_ne!(one.name(), first, "and is somebody else");
        let two = place.open().await;
        one.leave().await.unwrap();
        assert_eq!(seen(&two).await, [(0, 0)]);
        let three = place.open().await;
        three.bury_others().await.unwrap();
        assert_eq!(three.instances().await.unwrap()[0].id, *three.name());
        assert!(three.beat(1).await.unwrap() && !two.beat(1).await.unwrap());
    }
}

#[tokio::test]
async fn a_transition_is_its_owners_until_that_one_is_gone() {
    for place in Place::all().await {
        let (one, other) = (place.open().await, place.open().await);
        let id = version("iris", 1);
        let change = taken_in(&one, &id).await.change;
        assert_eq!(one.begin(&transition(&id, FIRST, None), change).await.unwrap(), Began::Begun(1));
        assert!(!other.take_over(1).await.unwrap(), "who began it is there");
        assert_eq!(other.end(1, Progress::Done, at(5)).await.unwrap(), None);
        assert_eq!(other.end(1, Progress::Undone, at(5)).await.unwrap(), None);
        assert!(one.take_over(1).await.unwrap(), "it has been its own all along");
        buried(&one, &other).await;
        unheard(&one.end(1, Progress::Done, at(6)).await);
        unheard(&one.take_over(1).await);
        assert!(other.take_over(1).await.unwrap());
        one.beat(0).await.unwrap();
        assert_eq!(one.end(1, Progress::Done, at(6)).await.unwrap(), None, "it is the other's now");
        assert!(!one.take_over(1).await.unwrap());
        assert_eq!(one.stands(&id).await.unwrap().unwrap().stage, FIRST.0);
        let moved = other.end(1, Progress::Done, at(7)).await.unwrap().unwrap();
        assert_eq!(moved.stage, FIRST.1);
        assert_eq!(one.end(1, Progress::Done, at(8)).await.unwrap(), Some(moved), "it is told how it ended");
        assert!(!other.take_over(1).await.unwrap() && !other.take_over(2).await.unwrap());
    }
}

#[tokio::test]
async fn who_comes_back_is_not_who_it_was() {
    for place in Place::all().await {
        let (one, other) = (place.open().await, place.open().await);
        let id = version("iris", 1);
        let change = taken_in(&one, &id).await.change;
        assert_eq!(one.begin(&transition(&id, FIRST, None), change).await.unwrap(), Began::Begun(1));
        buried(&one, &other).await;
        one.beat(0).await.unwrap();
        assert_eq!(one.end(1, Progress::Done, at(6)).await.unwrap(), None, "another began it");
        assert!(one.take_over(1).await.unwrap(), "who is gone, like for anybody else");
        assert!(one.end(1, Progress::Done, at(7)).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn who_is_not_heard_of_begins_nothing() {
    for place in Place::all().await {
        let (one, other) = (place.open().await, place.open().await);
        let id = version("iris", 1);
        taken_in(&one, &id).await;
        let new = transition(&id, FIRST, None);
        for never in [false, true] {
            let change = other.stands(&id).await.unwrap().unwrap().change;
            let silent = if never { Store::open(&place.address, LONG).await.unwrap() } else { one.clone() };
            if !never {
                buried(&one, &other).await;
            }
            unheard(&silent.begin(&new, change).await);
            unheard(&silent.close_files(&id, at(1)).await);
            assert_eq!(other.stands(&id).await.unwrap().unwrap().change, change, "nothing is done");
            silent.beat(0).await.unwrap();
            let closed = silent.close_files(&id, at(1)).await.unwrap();
            assert!(closed.closing && !silent.open_files(&id).await.unwrap().unwrap().closing);
        }
        move_on(&one, &id, FIRST, 9).await;
    }
}

#[tokio::test]
async fn closed_files_are_opened_by_others_when_who_closed_them_is_gone() {
    for place in Place::all().await {
        let (one, other) = (place.open().await, place.open().await);
        let id = version("iris", 1);
        let closed = one.close_files(&id, at(0)).await.unwrap();
        assert_eq!(one.left_closed().await.unwrap(), std::slice::from_ref(&closed));
        assert_eq!(other.left_closed().await.unwrap(), []);
        assert_eq!(other.open_files(&id).await.unwrap(), Some(closed.clone()), "who closed them is there");
        // Who closes them, too, does not own them.
        assert_eq!(other.close_files(&id, at(1)).await.unwrap(), closed);
        assert_eq!(other.open_files(&id).await.unwrap(), Some(closed.clone()));
        buried(&one, &other).await;
        assert_eq!(other.left_closed().await.unwrap(), std::slice::from_ref(&closed));
        // They were closed all the time, so what was read of them meanwhile holds.
        assert_eq!(other.close_files(&id, at(2)).await.unwrap(), closed);
        one.beat(0).await.unwrap();
        assert_eq!(one.left_closed().await.unwrap(), []);
        assert_eq!(one.open_files(&id).await.unwrap(), Some(closed), "they are the other's now");
        assert!(!other.open_files(&id).await.unwrap().unwrap().closing);
    }
}

#[tokio::test]
async fn a_new_name_of_the_model_takes_the_owner_along() {
    for place in Place::all().await {
        let (one, other) = (place.open().await, place.open().await);
        let (id, renamed) = (version("old", 1), version("new", 1));
        one.close_files(&id, at(0)).await.unwrap();
        other.renamed("old", id.model_created, "new").await.unwrap();
        assert!(other.open_files(&renamed).await.unwrap().unwrap().closing, "who closed them is there");
        assert_eq!(other.left_closed().await.unwrap(), []);
        let change = one.stands(&renamed).await.unwrap().unwrap().change;
        assert_eq!(one.begin(&transition(&renamed, FIRST, None), change).await.unwrap(), Began::Begun(1));
        other.renamed("new", id.model_created, "newer").await.unwrap();
        assert!(!other.take_over(1).await.unwrap());
        assert_eq!(one.end(1, Progress::Done, at(5)).await.unwrap().unwrap().id.model, "newer");
    }
}

/// Whoever closes or begins, and whoever buries at the same moment: nobody ends what another has taken over.
#[tokio::test(flavor = "multi_thread")]
async fn of_an_owner_and_who_takes_over_one_ends_it() {
    for place in Place::all().await {
        let (one, other) = (place.open().await, place.open().await);
        for round in 0..6 {
            one.beat(0).await.unwrap();
            let id = version("iris", round);
            let change = taken_in(&one, &id).await.change;
            let Began::Begun(number) = one.begin(&transition(&id, FIRST, None), change).await.unwrap() else {
                panic!("not begun")
            };
            let ended =
                async { one.end(number, Progress::Done, at(8)).await.is_ok_and(|stand| stand.is_some()) };
            let taken = async {
                buried(&one, &other).await;
                other.take_over(number).await.unwrap()
            };
            let (ended, taken) = tokio::join!(ended, taken);
            assert_ne!(ended, taken, "round {round}");
            let stands = other.stands(&id).await.unwrap().unwrap().stage;
            assert_eq!(stands, if ended { FIRST.1 } else { FIRST.0 });
        }
    }
}

#[tokio::test]
async fn what_is_about_to_be_deleted_begins_nothing() {
    for place in Place::all().await {
        let (one, other) = (place.open().await, place.open().await);
        let id = version("iris", 2);
        let change = taken_in(&one, &id).await.change;
        let begin = async || one.begin(&transition(&id, FIRST, None), change).await.unwrap();
        for (model, version) in [("iris", Some(2)), ("iris", None)] {
            other.depart("a", model, version).await.unwrap();
            assert_eq!(begin().await, Began::Underway, "{model} {version:?}");
            other.arrived("a").await.unwrap();
        }
        // Whoever sent it is gone; who is back is somebody else.
        other.depart("b", "iris", Some(2)).await.unwrap();
        buried(&other, &one).await;
        unheard(&other.depart("c", "iris", Some(2)).await);
        other.beat(0).await.unwrap();
        for (id, model, version) in
            [("d", "iris", Some(3)), ("e", "iri", None), ("f", "iris", Some(u64::MAX))]
        {
            other.depart(id, model, version).await.unwrap();
        }
        assert_eq!(begin().await, Began::Begun(1));
    }
}
