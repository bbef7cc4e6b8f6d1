//! casbin's traps, each met once.

use super::*;

fn row(subject: &str, object: &str, permission: &str, effect: &str) -> Vec<String> {
    [subject, object, permission, effect].map(str::to_owned).to_vec()
}

fn try_it(
    subjects: &str,
    object: &str,
    permission: &str,
    rows: Vec<Vec<String>>,
) -> Result<bool, EngineError> {
    enforce(&Arc::default(), Request { subjects, object, permission }, rows)
}

fn works() -> bool {
    try_it("role:r", "model:x", "model_read", vec![row("role:r", "model:*", "model_read", "allow")]).unwrap()
}

#[test]
fn deny_wins_whichever_comes_first_and_whoever_it_names() {
    let allow = || row("role:r", "model:*", "model_read", "allow");
    let deny = || row("user:u", "model:x", "model_read", "deny");
    for rows in [vec![allow(), deny()], vec![deny(), allow()]] {
        assert!(!try_it("user:u\u{1f}role:r", "model:x", "model_read", rows.clone()).unwrap());
        assert!(try_it("user:v\u{1f}role:r", "model:x", "model_read", rows).unwrap());
    }
}

#[test]
fn no_rows_are_an_error_and_not_a_matcher_on_empty_words() {
    assert!(matches!(try_it("", "", "", vec![]), Err(EngineError::RowsLost { given: 0, held: 0 })));
    assert!(works());
}

#[test]
fn a_row_that_casbin_drops_is_noticed() {
    let twice = || row("role:r", "model:*", "model_read", "allow");
    let answer = try_it("role:r", "model:x", "model_read", vec![twice(), twice()]);
    assert!(matches!(answer, Err(EngineError::RowsLost { given: 2, .. })), "{answer:?}");
    assert!(works(), "the enforcer of the failed question is gone");
}

#[test]
fn an_error_inside_casbin_is_an_error_here() {
    let short = vec!["role:r".to_owned(), "model:*".to_owned(), "model_read".to_owned()];
    assert!(matches!(try_it("role:r", "model:x", "model_read", vec![short]), Err(EngineError::Casbin(_))));
    let unreadable = vec![
        row("role:r", "gibberish", "model_read", "deny"),
        row("role:r", "model:*", "model_read", "allow"),
    ];
    assert!(matches!(try_it("role:r", "model:x", "model_read", unreadable), Err(EngineError::Casbin(_))));
    assert!(works());
}

#[test]
fn a_panic_inside_casbin_is_an_error_here_and_the_next_question_is_answered() {
    let mut scratch = Scratch::new().unwrap();
    scratch.enforcer.add_function("covers", OperatorFunction::Arg4(|_, _, _, _| panic!("a trap")));
    SCRATCH.set(Some(scratch));
    let answer =
        try_it("role:r", "model:x", "model_read", vec![row("role:r", "model:*", "model_read", "allow")]);
    assert!(matches!(answer, Err(EngineError::Panicked)), "{answer:?}");
    assert!(works());
}

#[test]
fn one_question_leaves_nothing_for_the_next() {
    let mut links = Links::default();
    let (user, role) = (links.number("user:u"), links.number("role:r"));
    links.follow(&[(user, role)]);
    let links = Arc::new(links);
    let rows = || vec![row("role:r", "model:*", "model_read", "allow")];
    let request = Request { subjects: "user:u", object: "model:x", permission: "model_read" };
    assert!(enforce(&links, request, rows()).unwrap());
    assert!(!enforce(&Arc::default(), request, rows()).unwrap(), "another policy's roles were kept");
    let other = vec![row("role:other", "model:*", "model_read", "allow")];
    assert!(!enforce(&links, request, other).unwrap(), "another question's rows were kept");
    assert_eq!(Arc::strong_count(&links), 1, "a thread holds on to an old policy");
}

#[test]
fn text_outside_ascii_neither_panics_nor_matches_by_halves() {
    let rows = || vec![row("role:r", "model:é*", "model_read", "allow")];
    assert!(try_it("role:r", "model:été", "model_read", rows()).unwrap());
    assert!(!try_it("role:r", "model:è", "model_read", rows()).unwrap());
}
