//! Pages of lists: full, in MLflow's order, and the same whatever is hidden and whatever is written meanwhile.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::caller::{Ask, Said, Who, ada, root, who};
use crate::proxy::Proxy;
use crate::stub::{Answer, Heard};

const MODELS: &str = "/api/2.0/mlflow/registered-models/search";
const VERSIONS: &str = "/api/2.0/mlflow/model-versions/search";

/// What MLflow holds; pages are cut by offset, as MLflow cuts them.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Held>>);

type Change = Box<dyn FnMut(&mut Vec<String>) + Send>;

#[derive(Default)]
struct Held {
    rows: Vec<String>,
    /// Done to the rows before each answer but the first.
    meanwhile: Option<Change>,
    asked: u64,
}

impl Shelf {
    fn of(rows: impl IntoIterator<Item = String>) -> Self {
        let shelf = Self::default();
        shelf.held().rows = rows.into_iter().collect();
        shelf
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stands_behind(&self, proxy: &Proxy) {
        let shelf = self.clone();
        proxy.stub.answers(move |heard| shelf.answer(heard));
    }

    fn answer(&self, heard: &Heard) -> Answer {
        let held = &mut *self.held();
        if let Some(meanwhile) = held.meanwhile.as_mut().filter(|_| held.asked > 0) {
            meanwhile(&mut held.rows);
        }
        held.asked += 1;
        let (path, query) = heard.target.split_once('?').expect("a query");
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let of = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let filter = of("filter").unwrap_or_default();
        if filter.contains("broken") {
            let error = json!({"error_code": "INVALID_PARAMETER_VALUE", "message": format!("no: {filter}")});
            return Answer::Json(400, error.to_string());
        }
        let named: Option<HashSet<&str>> = filter
            .strip_prefix("name IN ('")
            .and_then(|rest| rest.split_once("')"))
            .map(|(names, _)| names.split("', '").collect());
        let offset = of("page_token").map_or(0, |token| {
            let token: Value =
                serde_json::from_slice(&STANDARD.decode(token).expect("base64")).expect("JSON");
            usize::try_from(token["offset"].as_u64().expect("a number")).expect("small")
        });
        let most: usize = of("max_results").expect("always said").parse().expect("a number");
        assert!((1..=1_000).contains(&most), "{most}");
        let matching =
            held.rows.iter().filter(|row| named.as_ref().is_none_or(|named| named.contains(name_of(row))));
        let mut page: Vec<&String> = matching.skip(offset).take(most + 1).collect();
        let more = page.len() > most;
        page.truncate(most);
        let list =
            if path.ends_with("registered-models/search") { "registered_models" } else { "model_versions" };
        let mut answer = serde_json::Map::new();
        if !page.is_empty() {
            answer.insert(list.to_owned(), page.into_iter().map(|row| row_of(row)).collect());
        }
        if more {
            let token = STANDARD.encode(format!("{{\"offset\": {}}}", offset + most));
            answer.insert("next_page_token".to_owned(), token.into());
        }
        Answer::ok(&answer.into())
    }
}

/// A row is `name` or `name@version`.
fn name_of(row: &str) -> &str {
    row.split_once('@').map_or(row, |(name, _)| name)
}

fn row_of(row: &str) -> Value {
    match row.split_once('@') {
        Some((name, version)) => json!({"name": name, "version": version}),
        None => json!({"name": row}),
    }
}

/// `mine*` and nothing else, by a pattern: MLflow's question cannot be narrowed to it.
fn pat() -> Who {
    who("pat@company.com", "ml_engineer", &["mine*"])
}

fn ask(path: &str, who: &Who, pairs: &[(&str, &str)]) -> Ask {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    Ask::get(format!("{path}?{query}")).by(who)
}

/// A page's rows, and its token.
fn read(said: &Said) -> (Vec<String>, Option<String>) {
    assert_eq!(said.status, 200, "{}", said.text());
    let body = said.json();
    let rows = body.get("registered_models").or(body.get("model_versions"));
    let rows = rows.and_then(Value::as_array).into_iter().flatten();
    let text = |row: &Value, key| row.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
    let rows = rows.map(|row| match text(row, "version") {
        Some(version) => format!("{}@{version}", text(row, "name").expect("a name")),
        None => text(row, "name").expect("a name"),
    });
    (rows.collect(), text(&body, "next_page_token"))
}

/// Every row, page by page; each page but the last is full and is followed by another.
async fn walk(proxy: &Proxy, path: &str, who: &Who, size: usize) -> Vec<String> {
    let (mut rows, mut token) = (Vec::new(), None::<String>);
    let text = size.to_string();
    loop {
        let mut pairs = vec![("max_results", text.as_str())];
        pairs.extend(token.as_deref().map(|token| ("page_token", token)));
        let (page, next) = read(&proxy.send(ask(path, who, &pairs)).await);
        assert!(page.len() == size || next.is_none(), "{} of {size}, and more follow", page.len());
        assert!(!page.is_empty() || rows.is_empty(), "an empty page after others");
        rows.extend(page);
        assert!(rows.len() < 10_000, "a list without end");
        match next {
            Some(next) => token = Some(next),
            None => return rows,
        }
    }
}

fn mine(rows: &[String]) -> Vec<String> {
    rows.iter().filter(|row| row.starts_with("mine")).cloned().collect()
}

#[tokio::test]
async fn pages_are_full_and_in_mlflows_order_whatever_their_size() {
    let proxy = Proxy::start().await;
    let name =
        |at: usize| if at.is_multiple_of(13) || at % 97 < 4 { format!("mine{at}") } else { format!("x{at}") };
    let rows: Vec<String> = (0..400).map(name).collect();
    let shelf = Shelf::of(rows.clone());
    shelf.stands_behind(&proxy);
    for size in [1, 2, 7, 20, 43, 44, 45, 99, 1000] {
        assert_eq!(walk(&proxy, MODELS, &pat(), size).await, mine(&rows), "{size}");
        assert_eq!(walk(&proxy, MODELS, &root(), size.max(40)).await, rows, "{size}");
    }
    let versions: Vec<String> =
        rows.iter().flat_map(|row| (1..3).map(move |version| format!("{row}@{version}"))).collect();
    Shelf::of(versions.clone()).stands_behind(&proxy);
    for size in [1, 10, 200_000] {
        assert_eq!(walk(&proxy, &VERSIONS.replace("/api", "/ajax-api"), &pat(), size).await, mine(&versions));
    }
}

#[tokio::test]
async fn who_sees_everything_costs_one_question_and_who_is_named_is_asked_for_by_name() {
    let proxy = Proxy::start().await;
    let rows: Vec<String> =
        (0..3000).map(|at| if at == 2999 { "wine".to_owned() } else { format!("x{at}") }).collect();
    Shelf::of(rows).stands_behind(&proxy);
    let (page, _) = read(
        &proxy.send(ask(MODELS, &root(), &[("filter", "tags.a = 'b'"), ("order_by", "name DESC")])).await,
    );
    assert_eq!(page.len(), 100);
    let first = proxy.stub.only().target;
    assert_eq!(first, format!("{MODELS}?filter=tags.a+%3D+%27b%27&max_results=101&order_by=name+DESC"));
    let (page, token) = read(&proxy.send(ask(MODELS, &ada(), &[("filter", "tags.a = 'b'")])).await);
    assert_eq!((page, token), (vec!["wine".to_owned()], None));
    let heard = proxy.stub.heard();
    assert_eq!(heard.len(), 2);
    assert_eq!(
        heard[1].target,
        format!(
            "{MODELS}?filter=name+IN+%28%27iris%27%2C+%27wine%27%29+AND+tags.a+%3D+%27b%27&max_results=101"
        )
    );
}

#[tokio::test]
async fn a_walk_is_bounded_and_goes_on_from_its_token() {
    let proxy = Proxy::start().await;
    let rows: Vec<String> =
        (0..45_000).map(|at| if at == 44_990 { "mine".to_owned() } else { format!("x{at}") }).collect();
    Shelf::of(rows).stands_behind(&proxy);
    let (page, token) = read(&proxy.send(ask(MODELS, &pat(), &[])).await);
    assert!(page.is_empty() && proxy.stub.heard().len() == 20, "{page:?}");
    let token = token.expect("more");
    let (page, token) = read(&proxy.send(ask(MODELS, &pat(), &[("page_token", &token)])).await);
    assert!(page.is_empty());
    let token = token.expect("more");
    let (page, token) = read(&proxy.send(ask(MODELS, &pat(), &[("page_token", &token)])).await);
    assert_eq!((page, token), (vec!["mine".to_owned()], None));
}

#[tokio::test]
async fn nothing_of_a_page_tells_what_is_hidden() {
    let proxy = Proxy::start().await;
    let visible: Vec<String> = (0..12).map(|at| format!("mine{at}")).collect();
    let hidden = |count: usize| {
        let between = move |at: usize| (0..count).map(move |nth| format!("x{at}-{nth}"));
        let rows = visible.iter().enumerate();
        rows.flat_map(move |(at, row)| between(at).chain([row.clone()]))
            .chain((0..count).map(|nth| format!("z{nth}")))
    };
    for size in ["0", "1", "5", "11", "12", "13", "1000"] {
        let mut seen = HashSet::new();
        for count in [0, 1, 3, 150] {
            Shelf::of(hidden(count)).stands_behind(&proxy);
            let (page, token) = read(&proxy.send(ask(MODELS, &pat(), &[("max_results", size)])).await);
            seen.insert((page, token.map(|token| token.len())));
        }
        assert_eq!(seen.len(), 1, "{size}: {seen:?}");
    }
    for who in [
        who("sam@company.com", "ml_engineer", &[]),
        ada(),
        who("joe@company.com", "ml_engineer", &["nosuch*"]),
    ] {
        for count in [0, 1, 150] {
            Shelf::of(hidden(count)).stands_behind(&proxy);
            assert_eq!(proxy.send(ask(MODELS, &who, &[("max_results", "1")])).await.text(), "{}");
            let said = proxy.send(ask(MODELS, &who, &[("filter", "broken")])).await;
            assert_eq!((said.status, said.message()), (400, "no: broken".to_owned()), "{who:?}");
        }
    }
}

#[tokio::test]
async fn numbers_that_mlflow_does_not_take_never_reach_it() {
    let proxy = Proxy::start().await;
    let (none, one) = (&[][..], &["x".to_owned()][..]);
    for (path, number, fine) in [
        (MODELS, "0", true),
        (MODELS, "1000", true),
        (MODELS, "1001", false),
        (MODELS, "-1", false),
        (MODELS, "-2", false),
        (VERSIONS, "0", false),
        (VERSIONS, "-1", false),
        (VERSIONS, "200000", true),
        (VERSIONS, "200001", false),
        (VERSIONS, "9223372036854775807", false),
    ] {
        for rows in [none, one] {
            Shelf::of(rows.to_vec()).stands_behind(&proxy);
            let before = proxy.stub.heard().len();
            let said = proxy.send(ask(path, &root(), &[("max_results", number)])).await;
            let expected = if fine { "200" } else { "400 INVALID_PARAMETER_VALUE" };
            assert_eq!(said.summary(), expected, "{path} {number}");
            assert_eq!(proxy.stub.heard().len() > before, fine, "{path} {number}");
        }
    }
    for filter in ["name LIKE 'vic\\'", "name LIKE \"vic\\\""] {
        let before = proxy.stub.heard().len();
        assert_eq!(proxy.send(ask(MODELS, &pat(), &[("filter", filter)])).await.status, 400, "{filter}");
        assert_eq!(proxy.stub.heard().len(), before);
        assert_eq!(proxy.send(ask(MODELS, &root(), &[("filter", filter)])).await.status, 200, "{filter}");
    }
}

#[tokio::test]
async fn a_token_of_anybody_elses_is_no_token() {
    let proxy = Proxy::start().await;
    Shelf::of((0..50).map(|at| format!("mine{at}"))).stands_behind(&proxy);
    let query: &[(&str, &str)] = &[("max_results", "5"), ("filter", "tags.a = 'b'"), ("order_by", "name")];
    let (_, token) = read(&proxy.send(ask(MODELS, &pat(), query)).await);
    let token = token.expect("more");
    let with = |path: &str, who: &Who, pairs: &[(&str, &str)], token: &str| {
        let pairs: Vec<(&str, &str)> = pairs.iter().copied().chain([("page_token", token)]).collect();
        ask(path, who, &pairs)
    };
    let twin = MODELS.replace("/api", "/ajax-api");
    for fine in [
        with(MODELS, &pat(), query, &token),
        with(&twin, &pat(), query, &token),
        with(
            MODELS,
            &pat(),
            &[("order_by", "name"), ("max_results", "7"), ("filter", "tags.a = 'b'")],
            &token,
        ),
    ] {
        let (page, _) = read(&proxy.send(fine.clone()).await);
        assert_eq!(page.first().map(String::as_str), Some("mine5"), "{fine:?}");
    }
    let other_pat = who("pat2@company.com", "ml_engineer", &["mine*"]);
    let before = proxy.stub.heard().len();
    let mut sentences = HashSet::new();
    for wrong in [
        with(MODELS, &other_pat, query, &token),
        with(MODELS, &root(), query, &token),
        with(VERSIONS, &pat(), query, &token),
        with(MODELS, &pat(), &[("max_results", "5"), ("order_by", "name")], &token),
        with(MODELS, &pat(), &[("filter", "tags.a = 'b'")], &token),
        with(
            MODELS,
            &pat(),
            &[("filter", "tags.a = 'b'"), ("order_by", "name"), ("order_by", "name")],
            &token,
        ),
        with(MODELS, &pat(), query, &STANDARD.encode("{\"offset\": 5}")),
        with(MODELS, &root(), query, &STANDARD.encode("{\"offset\": 5}")),
        with(MODELS, &pat(), query, token.split_at(token.len() - 1).0),
        with(MODELS, &pat(), query, &format!("{token}=")),
        with(MODELS, &pat(), query, &format!("!!{}", token.split_at(2).1)),
        with(MODELS, &pat(), query, "x"),
    ] {
        let said = proxy.send(wrong.clone()).await;
        assert_eq!(said.summary(), "400 INVALID_PARAMETER_VALUE", "{wrong:?}");
        sentences.insert(said.message());
    }
    assert_eq!(sentences.len(), 1, "{sentences:?}");
    assert_eq!(proxy.stub.heard().len(), before);
    assert!(
        !String::from_utf8_lossy(
            &STANDARD.decode(format!("{token}=").replace('-', "+").replace('_', "/")).expect("base64")
        )
        .contains("offset")
    );
}

/// Random numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % most.max(1)
    }
}

/// Hidden rows come, go and move, up to `most` of them: anywhere, and in a run.
fn disturb(rows: &mut Vec<String>, dice: &mut Dice, fresh: &mut usize, most: usize) {
    for _ in 0..dice.below(most + 1) {
        let hidden = |rows: &[String], dice: &mut Dice| {
            let at: Vec<usize> = (0..rows.len()).filter(|at| !rows[*at].starts_with("mine")).collect();
            (!at.is_empty()).then(|| at[dice.below(at.len())])
        };
        match dice.below(3) {
            0 => {
                *fresh += 1;
                let at = dice.below(rows.len() + 1);
                rows.insert(at, format!("x-new{fresh}"));
            }
            1 => {
                if let Some(at) = hidden(rows, dice) {
                    rows.remove(at);
                }
            }
            _ => {
                if let Some(at) = hidden(rows, dice) {
                    let row = rows.remove(at);
                    let to = [0, rows.len(), dice.below(rows.len() + 1)][dice.below(3)];
                    rows.insert(to, row);
                }
            }
        }
    }
}

#[tokio::test]
async fn hidden_rows_that_come_and_go_meanwhile_hide_nothing_and_repeat_nothing() {
    let proxy = Proxy::start().await;
    for case in 0..120_u64 {
        let mut dice = Dice(case);
        let share = [2, 5, 20][dice.below(3)];
        let length = 20 + dice.below(300);
        let rows: Vec<String> = (0..length)
            .map(|at| if dice.below(share) == 0 { format!("mine{at}") } else { format!("x{at}") })
            .collect();
        let expected = mine(&rows);
        let size = [1, 2, 3, 7, 20][dice.below(5)];
        let shelf = Shelf::of(rows);
        let mut fresh = 0;
        shelf.held().meanwhile = Some(Box::new(move |rows| disturb(rows, &mut dice, &mut fresh, 3)));
        shelf.stands_behind(&proxy);
        assert_eq!(walk(&proxy, MODELS, &pat(), size).await, expected, "case {case}");
    }
}

#[tokio::test]
async fn a_great_many_rows_that_come_or_go_at_once_hide_nothing_and_repeat_nothing() {
    let proxy = Proxy::start().await;
    let rows = || (0..6_000).map(|at| if at % 500 == 499 { format!("mine{at}") } else { format!("x{at}") });
    for (name, change) in [
        ("gone", Box::new(|rows: &mut Vec<String>| rows.retain(|row| row.starts_with("mine"))) as Change),
        (
            "gone before",
            Box::new(|rows: &mut Vec<String>| {
                let end = rows.len() / 2;
                let mut at = 0;
                rows.retain(|row| {
                    at += 1;
                    at > end || row.starts_with("mine")
                });
            }),
        ),
        (
            "come",
            Box::new({
                let mut times = 0;
                move |rows: &mut Vec<String>| {
                    times += 1;
                    if times == 1 {
                        rows.splice(0..0, (0..2_500).map(|at| format!("x-new{at}")));
                    }
                }
            }),
        ),
    ] {
        let rows: Vec<String> = rows().collect();
        let shelf = Shelf::of(rows.clone());
        shelf.stands_behind(&proxy);
        let (first, token) = read(&proxy.send(ask(MODELS, &pat(), &[("max_results", "5")])).await);
        let token = token.expect("more");
        shelf.held().meanwhile = Some(change);
        let (second, _) =
            read(&proxy.send(ask(MODELS, &pat(), &[("max_results", "1000"), ("page_token", &token)])).await);
        assert_eq!([first, second].concat(), mine(&rows), "{name}");
    }
}

/// What MLflow's page token in a target says.
fn offset_of(target: &str) -> usize {
    let (_, query) = target.split_once('?').expect("a query");
    let token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "page_token");
    let Some((_, token)) = token else { return 0 };
    let json = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &*token).expect("base64");
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    json["offset"].as_u64().and_then(|offset| offset.try_into().ok()).expect("a number")
}

#[tokio::test]
async fn an_error_on_the_way_is_mlflows_own_and_a_large_answer_is_asked_for_in_parts() {
    let proxy = Proxy::start().await;
    let shelf = Shelf::of((0..3_000).map(|at| format!("x{at}")));
    let behind = shelf.clone();
    proxy.stub.answers(move |heard| {
        if heard.target.contains("page_token") {
            Answer::Json(500, "{\"error_code\":\"INTERNAL_ERROR\"}".to_owned())
        } else {
            behind.answer(heard)
        }
    });
    let said = proxy.send(ask(MODELS, &pat(), &[])).await;
    assert_eq!(said.summary(), "500 INTERNAL_ERROR");
    let wide = "x".repeat(400 * 1024);
    proxy.stub.answers(move |heard| {
        let most: usize = heard
            .target
            .split_once("max_results=")
            .and_then(|(_, rest)| rest.split('&').next()?.parse().ok())
            .expect("a number");
        let row = |at: usize| format!("{{\"name\":\"mine{at}\",\"description\":\"{wide}\"}}");
        let from = offset_of(&heard.target);
        let rows: Vec<String> = (from..from + most.min(200)).map(row).collect();
        Answer::Json(200, format!("{{\"registered_models\":[{}],\"next_page_token\":\"t\"}}", rows.join(",")))
    });
    let said = proxy.send(ask(MODELS, &pat(), &[("max_results", "200")])).await;
    assert_eq!((said.status, said.body.len() / 1024 / 1024), (200, 15), "{}", said.body.len());
}
