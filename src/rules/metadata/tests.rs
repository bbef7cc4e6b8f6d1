//! What the shipped schema and others make of tags.

use super::*;

const SHIPPED: &[u8] = include_bytes!("../../../policies/metadata.schema.json");

fn shipped() -> Metadata {
    Metadata::parse(SHIPPED).expect("a sound schema")
}

fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn complete() -> BTreeMap<String, String> {
    tags(&[
        ("business_owner", "ada@company.com"),
        ("technical_owner", "team scoring"),
        ("model_purpose", "finds fraud"),
        ("data_sources", r#"["s3://bucket/payments"]"#),
        ("training_data_version", "2026-11"),
        ("feature_importance", r#"{"amount": 0.6}"#),
        ("performance_metrics", r#"{"accuracy": 0.91, "precision": 1, "recall": 0.88, "auc": "n/a"}"#),
        ("resource_requirements", r#"{"memory": "2Gi"}"#),
        ("compliance_status", "approved"),
    ])
}

/// What is said of one tag of an otherwise complete version.
#[track_caller]
fn check(key: &str, value: &str, expected: Option<&str>) {
    let mut tags = complete();
    tags.insert(key.to_owned(), value.to_owned());
    let lacks = shipped().lacks(&tags);
    let told = lacks
        .iter()
        .map(|lack| (lack.key.as_str(), lack.what.split("; expected").next().unwrap_or_default()));
    assert_eq!(told.collect::<Vec<_>>(), expected.map(|what| (key, what)).into_iter().collect::<Vec<_>>());
}

#[test]
fn a_complete_version_lacks_nothing_whatever_else_it_carries() {
    assert_eq!(shipped().lacks(&complete()), []);
    check("anything", "{'else': 1}", None);
    check("sekisho.stage", "Canary", None);
}

#[test]
fn everything_that_is_missing_is_named_in_the_schemas_order() {
    let lacks = shipped().lacks(&BTreeMap::new());
    let keys: Vec<&str> = lacks.iter().map(|lack| lack.key.as_str()).collect();
    let expected = [
        "business_owner",
        "technical_owner",
        "model_purpose",
        "data_sources",
        "training_data_version",
        "feature_importance",
        "performance_metrics",
        "resource_requirements",
        "compliance_status",
    ];
    assert_eq!(keys, expected);
    assert_eq!(shipped().keys().collect::<Vec<_>>(), expected);
    assert_eq!(
        lacks[0].to_string(),
        "business_owner: is missing; expected the email address of the person who answers for what the model is used for"
    );
}

#[test]
fn each_tag_is_held_to_what_was_asked_for() {
    for (key, value, what) in [
        ("business_owner", "bob", r#""bob" is not an email address"#),
        ("business_owner", "Bob <bob@company.com>", r#""Bob <bob@company.com>" is not an email address"#),
        ("business_owner", "", r#""" is not an email address"#),
        ("technical_owner", "", "is empty"),
        ("data_sources", r#"["s3://a", 7, ""]"#, r#"`1`: 7 is not of type "string", `2`: is empty"#),
        ("data_sources", "[]", "[] has less than 1 item"),
        ("data_sources", r#""s3://a""#, r#""s3://a" is not of type "array""#),
        ("feature_importance", r#"{"age": "much"}"#, r#"`age`: "much" is not of type "number""#),
        ("performance_metrics", r#"{"accuracy": 0.9}"#, "`precision` is missing, `recall` is missing"),
        (
            "performance_metrics",
            r#"{"accuracy": "0.9", "precision": true, "recall": null}"#,
            r#"`accuracy`: "0.9" is not of type "number", `precision`: true is not of type "number", `recall`: null is not of type "number""#,
        ),
        ("resource_requirements", " ", "is empty"),
    ] {
        check(key, value, Some(what));
    }
}

#[test]
fn what_is_not_json_is_not_guessed_at() {
    let hint = "send json.dumps(value)";
    for (value, hinted, why) in [
        ("{'accuracy': 0.9}", true, "key must be a string"),
        (r#"{"accuracy": nan}"#, true, "expected ident"),
        ("(1, 2)", true, "expected value"),
        ("None", true, "expected value"),
        (r#"{"accuracy": 0.9,}"#, false, "key must be a string"),
        (r#"{"accuracy": 0.9, "accuracy": 0.1}"#, false, "twice"),
        (r#"{"accuracy": 1e999}"#, false, "out of range"),
        ("0.9 0.9", false, "trailing characters"),
        (&format!("{}{}", "[".repeat(20_000), "]".repeat(20_000)), false, "deeper"),
    ] {
        let mut tags = complete();
        tags.insert("performance_metrics".to_owned(), value.to_owned());
        let lacks = shipped().lacks(&tags);
        assert_eq!(lacks.len(), 1, "{lacks:?}");
        let what = &lacks[0].what;
        assert!(what.contains("is not JSON") && what.contains(why), "{what}");
        assert_eq!(what.contains(hint), hinted, "{what}");
        assert!(what.len() < 700, "{what}");
    }
}

#[test]
fn values_are_shortened_in_what_is_told() {
    let long = "é".repeat(90_000);
    let mut tags = complete();
    tags.insert("business_owner".to_owned(), long.clone());
    tags.insert("performance_metrics".to_owned(), format!(r#"{{"accuracy": "{long}"}}"#));
    tags.insert(
        "feature_importance".to_owned(),
        format!(r#"{{{}}}"#, (0..5_000).map(|at| format!(r#""{at}":"x""#)).collect::<Vec<_>>().join(",")),
    );
    let lacks = shipped().lacks(&tags);
    assert_eq!(lacks.len(), 3);
    for lack in lacks {
        assert!(lack.what.len() < 1_500, "{}", lack.what.len());
    }
    assert_eq!(
        shipped()
            .lacks(&{
                let mut tags = complete();
                tags.insert("model_purpose".to_owned(), "x".repeat(LONGEST + 1));
                tags
            })
            .len(),
        1
    );
}

#[test]
fn a_schema_that_cannot_be_used_is_refused_with_the_place() {
    for (schema, expected) in [
        ("", "must be a JSON object"),
        ("[]", "must be a JSON object"),
        ("{", "EOF"),
        (r#"{"type": "object", "type": "object"}"#, "twice"),
        (r#"{"type": "array"}"#, "/type: "),
        (r#"{"properties": {"a": {"type": "text"}}}"#, "/properties/a/type: "),
        (r#"{"properties": []}"#, "/properties: "),
        (r#"{"properties": {"a": {"pattern": "("}}}"#, "/properties/a/pattern"),
        (r#"{"properties": {"a": {"pattern": "(?=x)"}}}"#, "/properties/a/pattern"),
        (r#"{"properties": {"a": {"pattern": "(x{999}){999}"}}}"#, "/properties/a/pattern"),
        (r#"{"properties": {"a": {"format": "e-mail"}}}"#, "e-mail"),
        (r#"{"properties": {"a": {"$ref": "https://example.com/a.json"}}}"#, "example.com"),
        (r#"{"properties": {"a": {"$ref": "file:///etc/passwd"}}}"#, "/etc/passwd"),
        (r##"{"properties": {"a": {"$ref": "#/$defs/b"}}}"##, "/$defs/b"),
    ] {
        let mistake = Metadata::parse(schema.as_bytes()).expect_err(schema);
        assert!(mistake.contains(expected), "{schema}: {mistake}");
    }
}

#[test]
fn patterns_take_no_more_time_than_what_they_read() {
    let schema = r#"{"properties": {"a": {"pattern": "^(a+)+$"}}}"#;
    let metadata = Metadata::parse(schema.as_bytes()).expect("a sound schema");
    let value = format!("{}!", "a".repeat(100_000));
    assert_eq!(metadata.lacks(&tags(&[("a", &value)])).len(), 1);
}

#[test]
fn a_schema_reaches_other_tags_only_where_it_says_so() {
    let parse = |schema: &str| Metadata::parse(schema.as_bytes()).expect("a sound schema");
    let own = r##"{"properties": {"a": {"type": ["integer", "null"]}, "b": {"$ref": "#/$defs/list"}},
        "$defs": {"list": {"type": "array"}}, "additionalProperties": true}"##;
    let metadata = parse(own);
    assert!(metadata.concerns("a") && metadata.concerns("b") && !metadata.concerns("c"));
    assert_eq!(metadata.lacks(&tags(&[("a", "7"), ("b", "[]"), ("c", "x")])), []);
    let lacks = metadata.lacks(&tags(&[("a", "7.5"), ("b", "x")]));
    assert_eq!(lacks.iter().map(|lack| lack.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);

    let closed = parse(r#"{"properties": {"a": {}}, "additionalProperties": false}"#);
    assert!(closed.concerns("c") && !closed.concerns("sekisho.stage") && !closed.concerns("model_hash"));
    let lacks = closed.lacks(&tags(&[("a", "x"), ("c", "x"), ("evidence.unit_test", "passed")]));
    assert_eq!(
        lacks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["c: is no tag that the schema allows"]
    );

    let names = parse(r#"{"propertyNames": {"pattern": "^[a-z]+$"}}"#);
    assert_eq!(names.lacks(&tags(&[("Bad", "x"), ("good", "x")]))[0].key, "Bad");
    let either = parse(r#"{"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}"#);
    assert_eq!(either.lacks(&tags(&[]))[0].key, "tags");
    assert_eq!(either.lacks(&tags(&[("b", "x")])), []);
    let depends = parse(r#"{"dependentRequired": {"a": ["b"]}}"#);
    assert_eq!(depends.lacks(&tags(&[("a", "x")]))[0].key, "b");
}
