//! Cases held against rules: told one by one, and against a slow reading of the same words.

use super::*;

const NOW: i64 = 1_790_000_000;
const LASTS: SignedDuration = SignedDuration::from_hours(14 * 24);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).unwrap()
}

fn rule(approvals: usize, tests: &[&str]) -> Transition {
    Transition {
        from: Canary,
        to: Production,
        required_approvals: approvals,
        required_tests: tests.iter().map(ToString::to_string).collect(),
        automatic: false,
        approver_roles: Vec::new(),
        author_may_approve: true,
        returning: false,
    }
}

fn case<'a>(approvals: &'a [Approved<'a>], evidence: &'a [Said<'a>]) -> Case<'a> {
    Case {
        asker: "ada",
        author: Some("eve"),
        approvals,
        evidence,
        digest: "d1",
        source: "s1",
        was_there: false,
        lasts: LASTS,
        now: at(0),
    }
}

const GOOD: Approved<'static> = Approved {
    number: 1,
    user: "bob",
    roles: &[],
    still_may: true,
    at: Timestamp::constant(NOW, 0),
    digest: "d1",
    source: "s1",
};

const PASSED: Said<'static> =
    Said { number: 1, test: "t", passed: true, digest: "d1", at: Timestamp::constant(NOW, 0) };

fn lacks(rule: &Transition, case: &Case<'_>) -> Vec<String> {
    rule.judge(case).lacks.iter().map(ToString::to_string).collect()
}

/// Whether one approval is enough for the rule; else why it does not count.
#[track_caller]
fn counts(rule: &Transition, case: &Case<'_>, approval: Approved<'_>, why: Option<&str>) {
    let approvals = [approval];
    let verdict = rule.judge(&Case { approvals: &approvals, ..*case });
    let Some(why) = why else {
        assert_eq!(verdict, Verdict { approvals: vec![1], evidence: vec![], lacks: vec![] });
        return;
    };
    let told = verdict.lacks.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(verdict.approvals.is_empty() && told.len() == 1 && told[0].contains(why), "{told:?} {why}");
}

#[test]
fn an_approval_counts_or_it_is_said_why_not() {
    const DAYS: i64 = 14 * 24 * 3600;
    let plain = rule(1, &[]);
    for (approval, why) in [
        (GOOD, None),
        (
            Approved { user: "ADA", ..GOOD },
            Some("ADA (number 1) does not count, for nobody approves what they asked for"),
        ),
        (Approved { user: "eve", ..GOOD }, None),
        (Approved { source: "s2", ..GOOD }, Some("was given when the version had another source")),
        (Approved { digest: "d2", ..GOOD }, Some("was given for other bytes than the version has now")),
        (Approved { at: at(-DAYS), ..GOOD }, Some("has expired")),
        (Approved { at: at(1 - DAYS), ..GOOD }, None),
        (Approved { at: at(30), ..GOOD }, None),
        (Approved { at: at(31), ..GOOD }, Some("was given at a time that has not come yet by this clock")),
        (Approved { still_may: false, ..GOOD }, Some("for they may not approve it any more")),
    ] {
        counts(&plain, &case(&[], &[]), approval, why);
    }
}

#[test]
fn a_rule_may_leave_out_the_author_and_ask_for_roles() {
    let plain = rule(1, &[]);
    let no_author = Transition { author_may_approve: false, ..rule(1, &[]) };
    let unknown = Case { author: None, ..case(&[], &[]) };
    counts(&plain, &unknown, GOOD, None);
    counts(&no_author, &case(&[], &[]), GOOD, None);
    let own = Some("for the version is of their own making");
    counts(&no_author, &case(&[], &[]), Approved { user: " Ｅve", ..GOOD }, own);
    let nobody_knows = Some("for nobody knows who made the version, and it may have been they");
    counts(&no_author, &unknown, GOOD, nobody_knows);
    let product = ["product".to_owned()];
    let with_roles = Transition { approver_roles: vec!["product".into(), "risk".into()], ..rule(1, &[]) };
    counts(&with_roles, &case(&[], &[]), GOOD, Some("for they have no such role"));
    counts(&with_roles, &case(&[], &[]), Approved { roles: &product, ..GOOD }, None);
}

#[test]
fn so_many_people_are_needed_and_one_in_other_letters_is_one() {
    let approvals = [
        Approved { number: 3, user: "BOB", ..GOOD },
        Approved { number: 2, user: "bob", still_may: false, ..GOOD },
        Approved { number: 5, user: "bob\u{200b}", ..GOOD },
        Approved { number: 4, user: "carol", digest: "d2", ..GOOD },
    ];
    let two = Transition { approver_roles: Vec::new(), ..rule(2, &[]) };
    assert_eq!(
        lacks(&two, &case(&approvals, &[])),
        [
            "2 approvals are needed and 1 counts: that of bob (number 2) does not count, for they may not approve it any more, \
          that of carol (number 4) was given for other bytes than the version has now, \
          that of bob\u{200b} (number 5) is the same person's once more"
        ]
    );
    let verdict = rule(1, &[]).judge(&case(&approvals, &[]));
    assert_eq!((verdict.approvals, verdict.lacks), (vec![3], vec![]));
    let one = Transition { approver_roles: vec!["a".into(), "b".into()], ..rule(1, &[]) };
    assert_eq!(
        lacks(&one, &case(&[], &[])),
        ["1 approval is needed of people with the role a or b and none counts"]
    );
}

#[test]
fn the_last_word_of_a_test_on_these_bytes_counts() {
    let said = |number: i64, test: &'static str, passed: bool, digest: &'static str| Said {
        number,
        test,
        passed,
        digest,
        ..PASSED
    };
    for (evidence, why) in [
        (vec![], Some("has not been reported as passed")),
        (vec![said(1, "t", true, "d1")], None),
        (vec![said(1, "T", true, "d1")], Some("has not been reported as passed")),
        (vec![said(1, "t", true, "d2")], Some("was reported for other bytes than the version has now")),
        (
            vec![said(2, "t", false, "d1"), said(1, "t", true, "d1")],
            Some("failed when it was last reported (number 2)"),
        ),
        (vec![said(3, "t", true, "d1"), said(2, "t", false, "d1")], None),
        (vec![said(1, "t", true, "d1"), said(2, "t", false, "d2")], None),
        (
            vec![said(1, "t", false, "d1"), said(2, "t", true, "d2")],
            Some("failed when it was last reported (number 1)"),
        ),
    ] {
        let verdict = rule(0, &["t"]).judge(&case(&[], &evidence));
        let told: Vec<String> = verdict.lacks.iter().map(ToString::to_string).collect();
        match why {
            None => assert!(told.is_empty() && verdict.evidence.len() == 1, "{told:?}"),
            Some(why) => assert_eq!(told, [format!("the test `t` {why}")]),
        }
    }
}

#[test]
fn what_is_missing_is_told_in_the_order_in_which_it_can_be_had() {
    let rule = Transition { returning: true, ..rule(2, &["b", "a"]) };
    let nothing = Case { digest: "", ..case(&[], &[]) };
    let told = lacks(&rule, &nothing);
    let begins = [
        "the version has no digest yet",
        "only a version that stood in Production before",
        "the test `b`",
        "the test `a`",
        "2 approvals",
    ];
    assert!(
        told.len() == 5 && told.iter().zip(begins).all(|(told, begin)| told.starts_with(begin)),
        "{told:?}"
    );
    // Without a digest nothing is for these bytes.
    let (approvals, evidence) =
        ([Approved { digest: "", ..GOOD }], [Said { digest: "", test: "a", ..PASSED }]);
    let verdict = rule.judge(&Case { approvals: &approvals, evidence: &evidence, ..nothing });
    assert!(
        verdict.approvals.is_empty() && verdict.evidence.is_empty() && verdict.lacks.len() == 5,
        "{verdict:?}"
    );
}

#[test]
fn what_asks_for_nothing_needs_nothing() {
    let stages = shipped();
    let bare = Case { digest: "", source: "", author: None, ..case(&[], &[]) };
    for (from, to) in [
        (Development, Archived),
        (Production, Archived),
        (Production, Staging),
        (Canary, Staging),
        (Archived, Deprecated),
    ] {
        assert!(stages.rule(from, to).unwrap().judge(&bare).lacks.is_empty(), "{from} {to}");
    }
    let back = stages.rule(Archived, Production).unwrap();
    let approvals = [GOOD];
    let there = Case { was_there: true, ..case(&approvals, &[]) };
    assert!(back.judge(&there).lacks.is_empty());
    assert_eq!(back.judge(&Case { was_there: false, ..there }).lacks, [Lack::Before(Production)]);
}

/// What a case is made of, in few words, so that chance finds what matters.
#[derive(Clone, Debug)]
struct Drawn {
    rule: Transition,
    asker: &'static str,
    author: Option<&'static str>,
    digest: &'static str,
    was_there: bool,
    approvals: Vec<Given>,
    evidence: Vec<(&'static str, bool, &'static str)>,
}

/// User, roles, whether they still may, age in seconds, digest and source.
type Given = (&'static str, Vec<String>, bool, i64, &'static str, &'static str);

/// Two spellings of three people.
const PEOPLE: [&str; 6] = ["ada", "ADA", "bob", "Bob", "eve", "ｅve"];

fn drawn() -> impl Strategy<Value = Drawn> {
    let person = || prop::sample::select(PEOPLE.to_vec());
    let role = || prop::sample::select(vec!["x", "y"]).prop_map(str::to_owned);
    let digest = || prop::sample::select(vec!["d1", "d1", "d1", "d2", ""]);
    let test = || prop::sample::select(vec!["t", "u"]);
    let age = || prop::sample::select(vec![0, 0, 1, -30, -31, 14 * 86_400 - 1, 14 * 86_400]);
    let source = || prop::sample::select(vec!["s1", "s1", "s2"]);
    let rule = (
        0_usize..4,
        prop::collection::btree_set(test(), 0..3),
        prop::collection::vec(role(), 0..2),
        any::<bool>(),
        prop::bool::weighted(0.2),
    );
    let rule = rule.prop_map(|(approvals, tests, roles, author, returning)| Transition {
        approver_roles: roles,
        author_may_approve: author,
        returning,
        ..super::cases::rule(approvals, &tests.into_iter().collect::<Vec<_>>())
    });
    let approval =
        (person(), prop::collection::vec(role(), 0..3), prop::bool::weighted(0.8), age(), digest(), source());
    (
        rule,
        person(),
        prop::option::of(person()),
        digest(),
        any::<bool>(),
        prop::collection::vec(approval, 0..6),
        prop::collection::vec((test(), prop::bool::weighted(0.7), digest()), 0..6),
    )
        .prop_map(|(rule, asker, author, digest, was_there, approvals, evidence)| Drawn {
            rule,
            asker,
            author,
            digest,
            was_there,
            approvals,
            evidence,
        })
}

/// Which of three people it is.
fn person(spelling: &str) -> usize {
    PEOPLE.iter().position(|known| *known == spelling).unwrap() / 2
}

/// Whether all is met, by going through people and tests one after the other.
fn slowly(drawn: &Drawn) -> bool {
    let Drawn { rule, asker, author, digest, was_there, approvals, evidence } = drawn;
    let mut people = 0;
    for who in 0..3 {
        let mut counts = false;
        for (user, roles, still_may, age, of, source) in approvals {
            let mut good = person(user) == who && *still_may && of == digest && *source == "s1";
            good &= (-30..14 * 86_400).contains(age);
            good &= person(asker) != who;
            good &=
                rule.approver_roles.is_empty() || roles.iter().any(|role| rule.approver_roles.contains(role));
            if !rule.author_may_approve {
                good &= author.is_some_and(|author| person(author) != who);
            }
            counts |= good;
        }
        people += usize::from(counts);
    }
    let mut met = people >= rule.required_approvals;
    for test in &rule.required_tests {
        let mut last = false;
        for (name, passed, of) in evidence {
            if name == test && of == digest {
                last = *passed;
            }
        }
        met &= last;
    }
    met &= !rule.returning || *was_there;
    let asks = rule.required_approvals > 0 || !rule.required_tests.is_empty() || rule.returning;
    met && (!asks || !digest.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn judging_is_what_going_through_all_of_it_finds(drawn in drawn(), turned in any::<bool>()) {
        let mut approvals: Vec<Approved<'_>> = (1..)
            .zip(&drawn.approvals)
            .map(|(number, (user, roles, still_may, age, digest, source))| {
                Approved { number, user, roles, still_may: *still_may, at: at(-age), digest, source }
            })
            .collect();
        let mut evidence: Vec<Said<'_>> = (1..)
            .zip(&drawn.evidence)
            .map(|(number, (test, passed, digest))| Said { number, test, passed: *passed, digest, at: at(0) })
            .collect();
        if turned {
            approvals.reverse();
            evidence.reverse();
        }
        let case = Case {
            asker: drawn.asker,
            author: drawn.author,
            digest: drawn.digest,
            was_there: drawn.was_there,
            ..case(&approvals, &evidence)
        };
        let verdict = drawn.rule.judge(&case);
        prop_assert_eq!(verdict.lacks.is_empty(), slowly(&drawn), "{:?}", verdict);
        prop_assert!(verdict.approvals.is_sorted());
        if verdict.lacks.is_empty() {
            prop_assert!(verdict.approvals.len() >= drawn.rule.required_approvals);
            prop_assert_eq!(verdict.evidence.len(), drawn.rule.required_tests.len());
        }
        prop_assert!(verdict.lacks.iter().all(|lack| !lack.to_string().contains('\n')));
    }
}
