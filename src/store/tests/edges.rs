//! What ends by itself, what is renewed, and what is bounded.

use super::RequestState::{Open, Void};
use super::promotions::{FIRST, approval, asked, at, comment, kept, said, taken_in, transition};
use super::*;

#[tokio::test]
async fn an_approval_is_renewed_in_place_of_the_last_alone() {
    for place in Place::all().await {
        let store = place.open().await;
        let id = version("iris", 1);
        taken_in(&store, &id).await;
        kept(&store, &asked(&id, FIRST, "ada")).await;
        let later = NewApproval { at: at(9), ..approval("BOB") };
        assert_eq!(store.approve(1, &approval("bob"), None).await.unwrap(), Approving::Kept(1));
        assert_eq!(store.approve(1, &later, None).await.unwrap(), Approving::Twice);
        assert_eq!(store.approve(1, &later, Some(7)).await.unwrap(), Approving::Twice);
        // Of two at once one does it.
        let both = tokio::join!(store.approve(1, &later, Some(1)), store.approve(1, &later, Some(1)));
        let mut both = [both.0.unwrap(), both.1.unwrap()];
        both.sort_by_key(|it| *it == Approving::Twice);
        assert_eq!(both, [Approving::Kept(2), Approving::Twice]);
        let approvals = store.request(1).await.unwrap().unwrap().approvals;
        let expected = [(1, approval("bob")), (2, later)].map(|(number, given)| Approval { number, given });
        assert_eq!(approvals, expected);
    }
}

#[tokio::test]
async fn requests_for_other_bytes_are_void_as_soon_as_there_are_others() {
    for place in Place::all().await {
        let store = place.open().await;
        let (id, other) = (version("iris", 1), version("iris", 2));
        let stand = taken_in(&store, &id).await;
        taken_in(&store, &other).await;
        kept(&store, &asked(&id, FIRST, "ada")).await;
        kept(&store, &NewRequest { digest: "d2".into(), ..asked(&id, FIRST, "bob") }).await;
        kept(&store, &NewRequest { source: "runs:/x".into(), ..asked(&id, FIRST, "eve") }).await;
        kept(&store, &NewRequest { break_glass: Some("fire".into()), ..asked(&id, FIRST, "root") }).await;
        kept(&store, &asked(&other, FIRST, "ada")).await;
        let digest = |digest: &str| KeptDigest {
            source: "models:/m-1".into(),
            digest: digest.into(),
            files: Vec::new(),
            dependencies: Vec::new(),
            taken: at(7),
        };
        let states = async || {
            let mut states = Vec::new();
            for number in 1..=5 {
                states.push(store.request(number).await.unwrap().unwrap().state);
            }
            states
        };
        store.keep_digest(&id, &digest("d1")).await.unwrap();
        assert_eq!(states().await, [Open, Void, Void, Open, Open]);
        let void = store.request(2).await.unwrap().unwrap().closed.unwrap();
        assert_eq!((void.by.as_str(), void.at), ("", at(7)));
        assert!(void.comment.contains("files are not those"), "{void:?}");
        // What is just being made was decided.
        let begun = store.begin(&transition(&id, FIRST, Some(1)), stand.change).await.unwrap();
        assert_eq!(begun, Began::Begun(1));
        store.keep_digest(&id, &digest("d3")).await.unwrap();
        assert_eq!(states().await, [Open, Void, Void, Open, Open]);
        assert_eq!(store.kept_bytes(&id).await.unwrap().as_deref(), Some("d3"));
        assert_eq!(store.kept_bytes(&other).await.unwrap(), None);
    }
}

#[tokio::test]
async fn the_last_word_of_each_test_is_found_among_very_many() {
    for place in Place::all().await {
        let store = place.open().await;
        let (id, other) = (version("iris", 1), version("iris", 2));
        store.report(&id, &said("unit", true)).await.unwrap();
        place
            .behind_its_back(
                "INSERT INTO sekisho_evidence SELECT 10 + n.n, e.model, e.model_created, e.version, e.created, e.test,
                0, NULL, e.reporter, 'd' || (n.n % 3), e.said FROM sekisho_evidence AS e, (WITH RECURSIVE numbers(n)
                AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 30000) SELECT n FROM numbers) AS n",
            )
            .await;
        place.behind_its_back("UPDATE sekisho_counters SET last = 100000 WHERE name = 'evidence'").await;
        let of_others = NewEvidence { digest: "other".into(), ..said("load", true) };
        store.report(&id, &of_others).await.unwrap();
        store.report(&other, &said("scan", true)).await.unwrap();
        let tests = ["unit", "load", "scan"].map(str::to_owned);
        let last = async |digest| {
            let last = store.last_said(&id, digest, &tests).await.unwrap();
            last.into_iter().map(|it| (it.number, it.said.passed)).collect::<Vec<_>>()
        };
        assert_eq!(last("d1").await, [(30_008, false), (100_001, true)]);
        assert_eq!(last("d9").await, [(30_010, false), (100_001, true)]);
        store.report(&id, &said("unit", true)).await.unwrap();
        assert_eq!(last("d1").await, [(100_003, true), (100_001, true)]);
        let newest = store.evidence(&id).await.unwrap();
        assert_eq!((newest.len(), newest[0].number), (NEWEST + 1, 100_003));
        let named = store.said(&[30_008, 100_002, 5]).await.unwrap();
        assert_eq!(named.into_iter().map(|it| it.number).collect::<Vec<_>>(), [30_008, 100_002]);
    }
}

#[tokio::test]
async fn a_version_has_room_for_so_much_and_no_more() {
    for place in Place::all().await {
        let store = place.open().await;
        let (id, other) = (version("iris", 1), version("iris", 2));
        let long = |name: &str, length: usize| Comment {
            text: "❄".repeat(length),
            ..comment(&id, name, "ada", 1)
        };
        assert_eq!(store.add_comment(&long("a", 1_048_575)).await.unwrap(), Commenting::Kept);
        assert_eq!(store.add_comment(&long("b", 2)).await.unwrap(), Commenting::NoRoom);
        assert_eq!(store.add_comment(&long("b", 1)).await.unwrap(), Commenting::Kept);
        assert_eq!(store.change_comment(&long("b", 2)).await.unwrap(), Commenting::NoRoom);
        assert_eq!(store.change_comment(&long("a", 1)).await.unwrap(), Commenting::Kept);
        place
            .behind_its_back(
                "INSERT INTO sekisho_comments SELECT 'c' || n.n, c.model, c.model_created, c.version, c.created,
                c.said_by, c.words, c.made, c.changed FROM sekisho_comments AS c, (WITH RECURSIVE numbers(n) AS
                (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 997) SELECT n FROM numbers) AS n
                WHERE c.id = 'a'",
            )
            .await;
        assert_eq!(store.add_comment(&long("y", 1)).await.unwrap(), Commenting::Kept);
        assert_eq!(store.add_comment(&long("z", 1)).await.unwrap(), Commenting::NoRoom);
        assert_eq!(store.change_comment(&long("y", 2)).await.unwrap(), Commenting::Kept);
        assert_eq!(store.comments(&id).await.unwrap().len(), NEWEST);
        assert_eq!(store.add_comment(&comment(&other, "z", "ada", 1)).await.unwrap(), Commenting::Kept);

        taken_in(&store, &id).await;
        for person in 0..MOST_OPEN {
            kept(&store, &asked(&id, FIRST, &format!("p{person}"))).await;
        }
        assert_eq!(store.ask(&asked(&id, FIRST, "one more")).await.unwrap(), Asking::TooMany);
        assert!(matches!(store.ask(&asked(&id, FIRST, "p7")).await.unwrap(), Asking::Already(_)));
    }
}
