//! Claims by name and by path.

#![expect(clippy::needless_pass_by_value, reason = "rows of a table hand their values over")]

use serde_json::json;

use super::*;
use proptest::prelude::*;

#[track_caller]
fn of(payload: Value) -> Claims {
    read(payload.to_string().as_bytes()).unwrap()
}

#[track_caller]
fn roles(payload: Value, path: &str, expected: Result<&[&str], Unauthenticated>) {
    let claims = of(payload);
    let found = claims.roles(path);
    let found = found.as_ref().map(|roles| roles.iter().map(RoleName::as_str).collect::<Vec<_>>());
    assert_eq!(found, expected.as_ref().map(|roles| roles.to_vec()), "{claims:?}");
}

#[test]
fn a_role_is_a_name_or_a_list_of_names() {
    let bad = Err(wrong("role", NAMES));
    roles(json!({"role": "a"}), "role", Ok(&["a"]));
    roles(json!({"role": ["b", "a", "b"]}), "role", Ok(&["b", "a"]));
    roles(json!({"role": "a,b c"}), "role", Ok(&["a,b c"]));
    roles(json!({"role": []}), "role", Ok(&[]));
    roles(json!({}), "role", Ok(&[]));
    roles(json!({"role": ""}), "role", bad.clone());
    roles(json!({"role": ["a", ""]}), "role", bad.clone());
    roles(json!({"role": ["a", 1]}), "role", bad.clone());
    roles(json!({"role": [["a"]]}), "role", bad.clone());
    roles(json!({"role": null}), "role", bad.clone());
    roles(json!({"role": {"a": true}}), "role", bad.clone());
    roles(json!({"role": 1}), "role", bad);
}

#[test]
fn a_path_is_followed_unless_a_name_is_spelt_like_it() {
    let nested = json!({"realm_access": {"roles": ["a"]}});
    roles(nested.clone(), "realm_access.roles", Ok(&["a"]));
    roles(nested, "realm_access.groups", Ok(&[]));
    roles(
        json!({"realm_access.roles": "b", "realm_access": {"roles": "a"}}),
        "realm_access.roles",
        Ok(&["b"]),
    );
    roles(json!({"https://company.com/roles": "a"}), "https://company.com/roles", Ok(&["a"]));
    roles(json!({"a": {"b": {"c": "d"}}}), "a.b.c", Ok(&["d"]));
    roles(json!({"a": {}}), "a.b.c", Ok(&[]));
    roles(json!({"a": "x"}), "a.b", Err(wrong("a.b", "at the end of a path of objects")));
    roles(json!({"a": ["x"]}), "a.0", Err(wrong("a.0", "at the end of a path of objects")));
}

#[test]
fn sub_stands_in_for_a_user_id_that_is_missing_but_not_for_a_bad_one() {
    let user = |payload| of(payload).user("user_id").map(|user| user.to_string());
    assert_eq!(user(json!({"user_id": "a", "sub": "b"})).as_deref(), Ok("a"));
    assert_eq!(user(json!({"sub": "b"})).as_deref(), Ok("b"));
    assert_eq!(user(json!({})), Err(Unauthenticated::NoClaim("user_id".into())));
    for bad in [json!(""), json!(7), json!(null), json!(["a"]), json!("a\u{0}"), json!("x".repeat(257))] {
        assert_eq!(user(json!({"user_id": bad, "sub": "b"})), Err(wrong("user_id", A_NAME)));
        assert_eq!(user(json!({"sub": bad})), Err(wrong("sub", A_NAME)));
    }
}

#[test]
fn model_access_is_a_list_and_nothing_opens_nothing() {
    let models = |payload| of(payload).model_access("model_access");
    assert_eq!(models(json!({"model_access": ["a", "b*"]})), Ok(ModelAccess::new(["a", "b*"])));
    assert_eq!(models(json!({"model_access": "a"})), Ok(ModelAccess::new(["a"])));
    assert_eq!(models(json!({"model_access": []})), Ok(ModelAccess::default()));
    assert_eq!(models(json!({})), Ok(ModelAccess::default()));
    for bad in [json!(null), json!(true), json!({"a": 1}), json!(["a", 1])] {
        assert_eq!(models(json!({"model_access": bad})), Err(wrong("model_access", MODELS)));
    }
}

proptest! {
    #[test]
    fn no_payload_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), name in ".{0,12}") {
        if let Ok(claims) = read(&bytes) {
            drop((claims.user(&name), claims.roles(&name), claims.model_access(&name), claims.timely(0.0)));
        }
    }
}
