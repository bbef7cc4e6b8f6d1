//! Stands, evidence and comments, one after the other; and what other tests keep, too.

use super::*;

/// Microseconds, as they are kept.
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_microsecond(1_790_000_000_000_001 + second * 1_000_000).unwrap()
}

pub(super) fn person(user: &str) -> Person {
    Person {
        user: user.to_owned(),
        roles: vec!["ml_engineer".into(), "a \"quoted\" ❄".into()],
        models: vec![format!("{user}-*")],
    }
}

pub(super) fn asked(id: &VersionId, (from, to): (Stage, Stage), user: &str) -> NewRequest {
    NewRequest {
        id: id.clone(),
        from,
        to,
        asker: person(user),
        folded: user.to_lowercase(),
        comment: "bitte, '❄' --".into(),
        source: "models:/m-1".into(),
        digest: "d1".into(),
        break_glass: None,
        asked: at(1),
    }
}

pub(super) fn approval(user: &str) -> NewApproval {
    NewApproval {
        approver: person(user),
        folded: user.to_lowercase(),
        comment: String::new(),
        source: "models:/m-1".into(),
        digest: "d1".into(),
        at: at(2),
    }
}

pub(super) fn transition(id: &VersionId, (from, to): (Stage, Stage), request: Option<i64>) -> NewTransition {
    NewTransition {
        id: id.clone(),
        from,
        to,
        by: "Bob".into(),
        request,
        asked_by: "ada".into(),
        approvals: vec![(7, "bob".into()), (9, "eve, \"x\"".into())],
        evidence: vec![(3, "unit_test".into())],
        digest: "d1".into(),
        break_glass: Some("fire".into()),
        begun: at(3),
    }
}

pub(super) fn said(test: &str, passed: bool) -> NewEvidence {
    NewEvidence {
        test: test.into(),
        passed,
        link: passed.then(|| "https://ci.example.com/1".into()),
        reporter: "ci".into(),
        digest: "d1".into(),
        at: at(4),
    }
}

pub(super) fn comment(id: &VersionId, name: &str, user: &str, made: i64) -> Comment {
    let on = id.clone();
    Comment {
        id: name.into(),
        on,
        user: user.into(),
        text: "hm".into(),
        created: at(made),
        changed: at(made),
    }
}

/// A version that stands in `Development`.
pub(super) async fn taken_in(store: &Store, id: &VersionId) -> Stand {
    store.take_in(id, Stage::Development, Origin::Registered, at(0)).await.unwrap()
}

pub(super) async fn kept(store: &Store, request: &NewRequest) -> Request {
    match store.ask(request).await.unwrap() {
        Asking::Kept(request) => request,
        other @ (Asking::Already(_) | Asking::Elsewhere(_) | Asking::Unknown | Asking::TooMany) => {
            panic!("{other:?}")
        }
    }
}

/// Makes a transition; where the version stands then.
pub(super) async fn move_on(store: &Store, id: &VersionId, stages: (Stage, Stage), now: i64) -> Stand {
    let seen = store.stands(id).await.unwrap().unwrap().change;
    let Began::Begun(number) = store.begin(&transition(id, stages, None), seen).await.unwrap() else {
        panic!("not begun")
    };
    store.end(number, Progress::Done, at(now)).await.unwrap().unwrap()
}

pub(super) const FIRST: (Stage, Stage) = (Stage::Development, Stage::IntegrationTest);
pub(super) const SECOND: (Stage, Stage) = (Stage::IntegrationTest, Stage::PerformanceTest);

#[tokio::test]
async fn a_version_is_taken_in_once() {
    for place in Place::all().await {
        let store = place.open().await;
        let id = version("iris", 3);
        assert_eq!(store.stands(&id).await.unwrap(), None);
        let first = store.take_in(&id, Stage::Canary, Origin::Imported, at(0)).await.unwrap();
        let expected = Stand {
            id: id.clone(),
            stage: Stage::Canary,
            since: at(0),
            origin: Origin::Imported,
            closing: false,
            gone: false,
            change: first.change,
        };
        assert_eq!(first, expected);
        let again = store.take_in(&id, Stage::Production, Origin::Registered, at(1)).await.unwrap();
        assert_eq!(again, expected);
        assert_eq!(place.open().await.stands(&id).await.unwrap(), Some(expected));
        for other in
            [VersionId { created: 2_001, ..id.clone() }, VersionId { model_created: 9, ..id.clone() }]
        {
            assert_eq!(store.stands(&other).await.unwrap(), None, "{other:?}");
        }
    }
}

#[tokio::test]
async fn what_has_changed_is_read_in_its_order_and_once() {
    for place in Place::all().await {
        let store = place.open().await;
        let (one, two) = (version("iris", 1), version("iris", 2));
        let mut stands = vec![taken_in(&store, &one).await, taken_in(&store, &two).await];
        assert_eq!(store.stands_after(0).await.unwrap(), stands);
        let moved = move_on(&store, &one, FIRST, 1).await;
        stands = vec![stands[1].clone(), moved.clone()];
        assert_eq!(store.stands_after(0).await.unwrap(), stands);
        assert_eq!(store.stands_after(stands[0].change).await.unwrap(), stands[1..]);
        let gone = store.gone(&two, at(2)).await.unwrap().unwrap();
        assert!(gone.gone);
        assert_eq!(store.stands_after(moved.change).await.unwrap(), std::slice::from_ref(&gone));
        assert_eq!(store.gone(&two, at(3)).await.unwrap(), Some(gone.clone()), "it is gone once");
        assert_eq!(store.stands_after(gone.change).await.unwrap(), []);
        // It comes back where it stood, not where a tag says.
        let back = store.take_in(&two, Stage::Production, Origin::Imported, at(4)).await.unwrap();
        assert_eq!((back.stage, back.gone), (Stage::Development, false));
        assert_eq!(store.stands_after(gone.change).await.unwrap(), [back]);
    }
}

#[tokio::test]
async fn more_changes_than_one_answer_holds_are_all_read() {
    for place in Place::all().await {
        let store = place.open().await;
        place
            .behind_its_back(
                "INSERT INTO sekisho_stands SELECT 'm', 1, n, 1, 'Canary', 5, 'imported', 0, 0, NULL, 'Canary', 5, n, NULL
                FROM (WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 12001)
                SELECT n FROM numbers) AS all_of_them",
            )
            .await;
        let changes: Vec<i64> =
            store.stands_after(1).await.unwrap().into_iter().map(|stand| stand.change).collect();
        assert_eq!(changes, (2..=12_001).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn files_stay_closed_under_one_change_until_they_are_opened() {
    for place in Place::all().await {
        let store = place.open().await;
        let id = version("iris", 1);
        assert_eq!(store.open_files(&id).await.unwrap(), None);
        let closed = store.close_files(&id, at(0)).await.unwrap();
        assert!(closed.closing && closed.stage == Stage::Development);
        assert_eq!(store.close_files(&id, at(1)).await.unwrap(), closed);
        assert_eq!(store.left_closed().await.unwrap(), std::slice::from_ref(&closed));
        let opened = store.open_files(&id).await.unwrap().unwrap();
        assert!(!opened.closing && opened.change > closed.change);
        assert_eq!(store.open_files(&id).await.unwrap(), Some(opened));
        assert_eq!(store.left_closed().await.unwrap(), []);

        // Who was told of the first closing cannot rely on a later one.
        assert_eq!(store.keep_closed(&id, closed.change).await.unwrap(), None, "they were open in between");
        let again = store.close_files(&id, at(2)).await.unwrap();
        assert_eq!(store.keep_closed(&id, closed.change).await.unwrap(), None, "they were open in between");
        let kept = store.keep_closed(&id, again.change).await.unwrap().unwrap();
        assert!(kept.closing && kept.change > again.change, "others see that nobody left them");
        assert_eq!(store.stands(&id).await.unwrap().as_ref(), Some(&kept));
        assert_eq!(
            store.keep_closed(&id, again.change).await.unwrap(),
            None,
            "somebody else keeps them closed"
        );
        let again = kept;
        let new = transition(&id, FIRST, None);
        assert_eq!(store.begin(&new, closed.change).await.unwrap(), Began::Changed);
        let Began::Begun(number) = store.begin(&new, again.change).await.unwrap() else {
            panic!("not begun")
        };
        assert_eq!(store.open_files(&id).await.unwrap(), Some(again.clone()), "a transition is under way");
        assert_eq!(store.left_closed().await.unwrap(), [], "it is no leftover");
        assert_eq!(store.end(number, Progress::Undone, at(3)).await.unwrap(), Some(again));
        assert!(!store.open_files(&id).await.unwrap().unwrap().closing);

        store.close_files(&id, at(4)).await.unwrap();
        let moved = move_on(&store, &id, FIRST, 5).await;
        assert!(!moved.closing, "it is frozen by its stage");
        assert_eq!(
            store.keep_closed(&id, moved.change).await.unwrap(),
            None,
            "it is closed for no promotion"
        );
        assert_eq!(store.close_files(&id, at(6)).await.unwrap(), moved);
        assert_eq!(store.open_files(&id).await.unwrap(), Some(moved));
    }
}

#[tokio::test]
async fn evidence_is_numbered_and_the_newest_comes_first() {
    for place in Place::all().await {
        let store = place.open().await;
        let (id, other) = (version("iris", 1), version("iris", 2));
        assert_eq!(store.evidence(&id).await.unwrap(), []);
        let all = [said("unit_test", true), said("unit_test", false), said("❄", true)];
        for (number, said) in (1..).zip(&all) {
            assert_eq!(store.report(&id, said).await.unwrap(), number);
        }
        assert_eq!(store.report(&other, &all[0]).await.unwrap(), 4);
        let expected = [3, 2, 1].into_iter().zip(all.into_iter().rev());
        let expected: Vec<_> = expected.map(|(number, said)| Evidence { number, said }).collect();
        assert_eq!(store.evidence(&id).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_comment_is_its_authors_alone() {
    for place in Place::all().await {
        let store = place.open().await;
        let id = version("iris", 1);
        let (first, second) = (comment(&id, "b", "ada", 1), comment(&id, "a", "bob", 2));
        for comment in [&second, &first, &comment(&version("iris", 2), "c", "ada", 0)] {
            assert_eq!(store.add_comment(comment).await.unwrap(), Commenting::Kept);
        }
        assert!(store.add_comment(&first).await.is_err());
        assert_eq!(store.comments(&id).await.unwrap(), [first.clone(), second.clone()]);
        let changed = Comment { text: "oh ❄".into(), changed: at(3), ..first };
        for other in
            [Comment { user: "bob".into(), ..changed.clone() }, Comment { id: "x".into(), ..changed.clone() }]
        {
            assert_eq!(store.change_comment(&other).await.unwrap(), Commenting::Gone);
        }
        assert_eq!(store.change_comment(&changed).await.unwrap(), Commenting::Kept);
        assert_eq!(store.comment("b").await.unwrap(), Some(changed));
        assert!(!store.delete_comment("b", "bob").await.unwrap());
        assert!(store.delete_comment("b", "ada").await.unwrap());
        assert!(!store.delete_comment("b", "ada").await.unwrap());
        assert_eq!(store.comment("b").await.unwrap(), None);
        assert_eq!(store.comments(&id).await.unwrap(), [second]);
    }
}
