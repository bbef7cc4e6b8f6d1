//! Typed searches equal brute force, page by page, for whoever sees all, some and none.

use std::cmp::Ordering;

use sekisho::registry::{BadQuestion, Found, SearchError};
use serde_json::{Value, json};

use super::world::{Memory, World, question, version};

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn one<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[usize::try_from(self.next(words.len() as u64)).expect("a small number")]
    }
}

const DAY: i64 = 86_400_000;
/// 2026-01-01
const NEW_YEAR: i64 = 1_767_225_600_000;

fn versions(count: usize) -> Vec<Value> {
    let mut dice = Dice(7);
    let mut numbers = std::collections::BTreeMap::<String, u64>::new();
    (0..count)
        .map(|_| {
            let name = format!("{}_{}", dice.one(&["fraud", "rec", "Übung"]), dice.next(150));
            let number = numbers.entry(name.clone()).or_default();
            *number += 1 + dice.next(2);
            let accuracy = dice.next(101);
            let metrics = match dice.next(8) {
                0 => "{'accuracy': 0.9}".to_owned(),
                1 => format!(r#"{{"accuracy": "{accuracy}"}}"#),
                2 => r#"{"recall": 1}"#.to_owned(),
                _ => format!(
                    r#"{{"accuracy": {}.{:02}, "of": ["a", {{"b": true}}]}}"#,
                    accuracy / 100,
                    accuracy % 100
                ),
            };
            let sources = dice.one(&[
                r#"["s3://x"]"#,
                r#"["s3://y", "s3://x"]"#,
                r#"["s3://xy"]"#,
                "s3://x and more",
                "[]",
            ]);
            let owner = dice.one(&["a@b.c", "A@B.C", "d@e.f"]);
            let needs = dice.one(&[
                r#"["scikit-learn==1.3.2", "numpy==2.0"]"#,
                r#"["Scikit_Learn>=1.2"]"#,
                r#"["scikit-learn==1.4.1"]"#,
                r#"["scikit-learn>=1.4"]"#,
                r#"["scikit-learn-extra==1.0"]"#,
            ]);
            let rows = dice.next(2_000).to_string();
            let all = [
                ("performance_metrics", metrics.as_str()),
                ("data_sources", sources),
                ("business_owner", owner),
                ("technical_owner", dice.one(&["team", "a@b.c"])),
                ("sekisho.dependencies", needs),
                ("rows", &rows),
                ("team.name", dice.one(&["x", "y", "café \"1\""])),
                ("sekisho.stage", dice.one(&["Canary", "Shadow", "User_Acceptance_Test", "nonsense"])),
            ];
            let tags: Vec<(&str, &str)> = all.into_iter().filter(|_| dice.next(5) > 0).collect();
            let mut row = version(&name, *number, &tags);
            row["current_stage"] = dice.one(&["None", "Staging", "Production", "Archived"]).into();
            row["creation_timestamp"] =
                (NEW_YEAR + i64::try_from(dice.next(40)).expect("small") * DAY / 4 - 5 * DAY).into();
            row
        })
        .collect()
}

fn tag<'v>(row: &'v Value, key: &str) -> Option<&'v str> {
    row["tags"].as_array()?.iter().find(|tag| tag["key"] == key)?["value"].as_str()
}

fn parsed(row: &Value, key: &str) -> Option<Value> {
    serde_json::from_str(tag(row, key)?).ok()
}

fn accuracy(row: &Value) -> Option<f64> {
    parsed(row, "performance_metrics")?["accuracy"].as_f64()
}

fn owners(row: &Value) -> Vec<String> {
    ["business_owner", "technical_owner"]
        .iter()
        .filter_map(|key| tag(row, key))
        .map(str::to_lowercase)
        .collect()
}

fn stage(row: &Value) -> &str {
    match (row["current_stage"].as_str().expect("a stage"), tag(row, "sekisho.stage")) {
        ("Staging", Some(house @ ("Canary" | "Shadow"))) => house,
        ("None", Some("User_Acceptance_Test")) => "User_Acceptance_Test",
        ("None", _) => "Development",
        (mlflows, _) => mlflows,
    }
}

fn number(row: &Value) -> u64 {
    row["version"].as_str().expect("a number").parse().expect("a number")
}

fn name(row: &Value) -> &str {
    row["name"].as_str().expect("a name")
}

fn created(row: &Value) -> i64 {
    row["creation_timestamp"].as_i64().expect("a time")
}

type Brute = fn(&Value) -> bool;

const CONDITIONS: [(&[&str], Brute); 24] = [
    (&[], |_| true),
    (&["performance_metrics.accuracy >= 0.9"], |row| accuracy(row).is_some_and(|is| is >= 0.9)),
    (&["performance_metrics.accuracy < 0.5", "stage = Production"], |row| {
        accuracy(row).is_some_and(|is| is < 0.5) && stage(row) == "Production"
    }),
    (&["performance_metrics.accuracy != 0.9"], |row| {
        accuracy(row).is_some_and(|is| is.total_cmp(&0.9).is_ne())
    }),
    (&[r#"performance_metrics.accuracy = "50""#], |row| {
        parsed(row, "performance_metrics").is_some_and(|metrics| metrics["accuracy"] == "50")
    }),
    (&["performance_metrics.of.1.b = true"], |row| {
        parsed(row, "performance_metrics").is_some_and(|metrics| metrics["of"][1]["b"] == true)
    }),
    (&[r#"performance_metrics.of contains a"#], |row| {
        parsed(row, "performance_metrics").is_some_and(|metrics| metrics["of"][0] == "a")
    }),
    (&[r#"data_sources contains "s3://x""#], |row| {
        tag(row, "data_sources").is_some_and(|text| text.contains("\"s3://x\"") || text.starts_with("s3://x"))
    }),
    (&["stage = canary"], |row| stage(row) == "Canary"),
    (&["stage = None"], |row| stage(row) == "Development"),
    (&["stage != archived"], |row| stage(row) != "Archived"),
    (&[r#"owner = "a@b.c""#], |row| owners(row).contains(&"a@b.c".to_owned())),
    (&[r#"owner != "a@b.c""#], |row| !owners(row).is_empty() && !owners(row).contains(&"a@b.c".to_owned())),
    (&[r#"name like "fraud_*""#], |row| name(row).starts_with("fraud_")),
    (&["name = 'Übung_7'"], |row| name(row) == "Übung_7"),
    (&["name like *_1*", "version > 3"], |row| name(row).contains("_1") && number(row) > 3),
    (&["version <= 2"], |row| number(row) <= 2),
    (&["created > 2026-01-01"], |row| created(row) > NEW_YEAR),
    (&["created >= 2026-01-01T00:00:00Z", "created < 2026-01-02T01:00:00+01:00"], |row| {
        (NEW_YEAR..NEW_YEAR + DAY).contains(&created(row))
    }),
    (&["rows >= 1000"], |row| tag(row, "rows").is_some_and(|text| text.len() == 4)),
    (&[r#"tag.team.name = "café \"1\"""#], |row| {
        tag(row, "team.name").is_some_and(|text| text.starts_with("café"))
    }),
    (&["tag.team.name != x"], |row| tag(row, "team.name").is_some_and(|text| text != "x")),
    (&[r#"dependencies has "scikit-learn < 1.4""#, "stage = Production"], |row| {
        let needs = tag(row, "sekisho.dependencies").unwrap_or_default();
        stage(row) == "Production" && (needs.contains("==1.3.2") || needs.contains("Scikit_Learn>=1.2"))
    }),
    (&["absent != 1"], |_| false),
];

type Order = fn(&Value, &Value) -> Ordering;

fn ranked<R: PartialOrd>(one: Option<R>, other: Option<R>, descending: bool) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) => {
            let order = one.partial_cmp(&other).expect("numbers");
            if descending { order.reverse() } else { order }
        }
        (one, other) => other.is_some().cmp(&one.is_some()),
    }
}

const ORDERS: [(&str, Order); 7] = [
    ("", |_, _| Ordering::Equal),
    ("name desc", |one, other| name(other).cmp(name(one))),
    ("version desc", |one, other| number(other).cmp(&number(one))),
    ("created", |one, other| created(one).cmp(&created(other))),
    ("rows desc", |one, other| {
        let rows = |row| tag(row, "rows").map(|text| text.parse::<f64>().expect("a number"));
        ranked(rows(one), rows(other), true)
    }),
    ("tag.team.name ASC", |one, other| ranked(tag(one, "team.name"), tag(other, "team.name"), false)),
    ("performance_metrics.of.0 desc", |one, other| {
        let first =
            |row| parsed(row, "performance_metrics").map(|of| of["of"][0].is_string()).filter(|is| *is);
        ranked(first(one), first(other), true)
    }),
];

type Seen = fn(&str) -> bool;

const PRINCIPALS: [(&str, Seen); 3] =
    [("all", |_| true), ("some", |name| name.len() == 8 || name.starts_with("Üb")), ("none", |_| false)];

async fn check(
    memory: &Memory,
    all: &[Value],
    conditions: (&[&str], Brute),
    order: (&str, Order),
    most: usize,
) {
    for (who, seen) in PRINCIPALS {
        let mut expected: Vec<&Value> =
            all.iter().filter(|row| seen(name(row)) && conditions.1(row)).collect();
        expected.sort_by(|one, other| {
            order.1(one, other).then_with(|| (name(one), number(one)).cmp(&(name(other), number(other))))
        });
        let shown = |row: &Found| format!("{}/{}/{}", row.name, row.version, row.stage);
        let expected: Vec<String> =
            expected.iter().map(|row| format!("{}/{}/{}", name(row), number(row), stage(row))).collect();
        let mut found: Vec<String> = Vec::new();
        let mut token = Value::Null;
        loop {
            let mut asked = json!({ "where": conditions.0, "order_by": order.0, "max_results": most });
            if token.is_string() {
                asked["page_token"] = token;
            }
            let page = memory.search(&asked, who, &seen).await.expect("an answer");
            found.extend(page.model_versions.iter().map(shown));
            let Some(next) = page.next_page_token else { break };
            assert_eq!(page.model_versions.len(), most, "a page that is not the last is full");
            token = next.into();
        }
        assert_eq!(found.len(), expected.len(), "{who} {:?} {}", conditions.0, order.0);
        assert!(found == expected, "{who} {:?} {}", conditions.0, order.0);
    }
}

#[tokio::test]
async fn typed_searches_equal_brute_force() {
    let all = versions(5_000);
    let memory = Memory::of(World { models: Vec::new(), versions: all.clone() }).await;
    for conditions in CONDITIONS {
        check(&memory, &all, conditions, ORDERS[0], 333).await;
    }
    for order in ORDERS {
        check(&memory, &all, CONDITIONS[1], order, 100).await;
        check(&memory, &all, CONDITIONS[0], order, 1_000).await;
    }
    check(&memory, &all, CONDITIONS[2], ORDERS[0], 1).await;
    for conditions in CONDITIONS.iter().filter(|(conditions, _)| *conditions != ["absent != 1"]) {
        assert!(all.iter().any(conditions.1), "{:?} finds nothing at all", conditions.0);
        assert!(
            conditions.0.is_empty() || !all.iter().all(conditions.1),
            "{:?} finds everything",
            conditions.0
        );
    }
}

#[tokio::test]
async fn what_is_hidden_is_not_even_looked_at() {
    let memory = Memory::of(World { models: Vec::new(), versions: versions(200) }).await;
    let page =
        memory.search(&json!({ "where": ["version > 0"] }), "ada", &|_| false).await.expect("an answer");
    assert_eq!(serde_json::to_string(&page).expect("JSON"), r#"{"model_versions":[]}"#);
}

#[tokio::test]
async fn an_answer_has_these_fields() {
    let mut row = version("a", 3, &[("k", "v")]);
    row["run_id"] = Value::Null;
    let memory = Memory::of(World { models: Vec::new(), versions: vec![row, version("b", 1, &[])] }).await;
    let page = memory.search(&json!({ "max_results": 1 }), "ada", &|_| true).await.expect("an answer");
    let said = serde_json::to_value(&page).expect("JSON");
    assert_eq!(
        said["model_versions"],
        json!([{ "name": "a", "version": "3", "stage": "Development", "tags": { "k": "v" }, "run_id": null,
            "source": "runs:/r/model", "creation_timestamp": 1_000 }])
    );
    assert!(said["next_page_token"].is_string());
}

#[tokio::test]
async fn a_token_is_good_for_its_principal_and_question_alone() {
    let memory = Memory::of(World { models: Vec::new(), versions: versions(200) }).await;
    let asked = |conditions: &[&str], order: &str, token: &str| json!({ "where": conditions, "order_by": order, "max_results": 5, "page_token": token });
    let first =
        memory.search(&asked(&["version > 0"], "created", ""), "ada", &|_| true).await.expect("an answer");
    let token = first.next_page_token.expect("more");
    assert!(memory.search(&asked(&["version > 0"], "created", &token), "ada", &|_| true).await.is_ok());
    for (user, conditions, order, token) in [
        ("eve", &["version > 0"][..], "created", token.as_str()),
        ("ada", &["version > 1"], "created", &token),
        ("ada", &["version > 0", "version > 0"], "created", &token),
        ("ada", &[], "created", &token),
        ("ada", &["version > 0"], "created desc", &token),
        ("ada", &["version > 0"], "created", token.get(1..).unwrap_or_default()),
        ("ada", &["version > 0"], "created", "eyJvZmZzZXQiOiAyfQ=="),
    ] {
        let refused = memory.search(&asked(conditions, order, token), user, &|_| true).await;
        assert!(matches!(refused, Err(SearchError::Question(BadQuestion::Token))), "{user} {conditions:?}");
    }
}

#[test]
fn a_question_that_cannot_be_read_is_pointed_at() {
    let wrong = |asked: &Value| question(asked).expect_err("it is wrong");
    for (condition, at, what) in [
        ("", 1, "a name was expected"),
        ("performance_metrics.accuracy", 29, "one of"),
        ("performance_metrics. > 1", 21, "a name was expected"),
        ("performance_metrics.accuracy >", 31, "a value was expected"),
        ("a ~ 1", 3, "one of"),
        ("a = \"x", 5, "not closed"),
        ("é = 1 and b = 2", 7, "one `where` is one condition"),
        ("stage = Nowhere", 9, "Development, Integration_Test"),
        ("stage > Canary", 7, "`stage` takes one of = !="),
        ("version > three", 11, "a version's number"),
        ("created = 2026-01-01", 9, "`created` takes one of"),
        ("created > yesterday", 11, "a day such as"),
        ("dependencies = numpy", 14, "`dependencies` takes one of has"),
        ("dependencies has \"numpy < x\"", 18, "releases such as"),
        ("data_sources has x", 14, "`has` is for `dependencies` alone"),
    ] {
        let text = wrong(&json!({ "where": [condition] })).to_string();
        let place = format!("at character {at} of: {condition}");
        assert!(text.starts_with("`where`: ") && text.contains(what) && text.ends_with(&place), "{text}");
    }
    let text = wrong(&json!({ "order_by": "name sideways" })).to_string();
    assert!(text.starts_with("`order_by`: ") && text.contains("at character 6"), "{text}");
    for most in [0, 1_001, -1] {
        assert_eq!(wrong(&json!({ "max_results": most })), BadQuestion::MaxResults);
    }
    assert_eq!(wrong(&json!({ "where": vec!["version > 1"; 21] })), BadQuestion::TooMuch);
    assert_eq!(wrong(&json!({ "where": [format!("a = {}", "x".repeat(1_000))] })), BadQuestion::TooMuch);
}
