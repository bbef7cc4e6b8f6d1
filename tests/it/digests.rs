//! Digests are of the files that MLflow really gives out: lists that change, names that lie and answers that break off.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sekisho::digest::listing::ListError;
use sekisho::digest::{self, Counts, DigestError, Progress, Taken};
use sekisho::facts::{Facts, Holder};
use sekisho::ownership::Wanted;
use sekisho::upstream::{Settings, Upstream};
use serde_json::json;

use crate::proxy::soon;
use crate::stub::{Answer, Heard, Stub};

const LIST: &str = "/api/2.0/mlflow/artifacts/list?run_id=r";
const STORE: &str = "/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts";
/// What the documented script says of `MLmodel`, `data/été 1.bin` and `data/x/empty`.
const DIGEST: &str = "6869d90e957afd4ce6856deb11bb56826cd947c5719237ab29a3984ac62cc076";

fn run(root: &str, path: &str) -> Wanted {
    Wanted {
        holder: Some(Holder::Run("r".into())),
        root: root.into(),
        run: None,
        name: None,
        path: path.into(),
    }
}

fn stored(path: &str) -> Wanted {
    run("mlflow-artifacts:/1/r/artifacts", path)
}

fn model_files() -> Vec<(&'static str, &'static str)> {
    vec![
        ("m/MLmodel", "flavors:\n"),
        ("m/data/été 1.bin", "\u{1}\u{2}"),
        ("m/data/x/empty", ""),
        ("other", "x"),
    ]
}

/// An MLflow with these files; `odd` may answer in its place, told how many questions of the same line came before.
async fn mlflow(
    files: &[(&'static str, &'static str)],
    odd: impl Fn(&str, usize) -> Option<Answer> + Send + 'static,
) -> Stub {
    let stub = Stub::on_tcp().await;
    let files: BTreeMap<String, String> =
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let asked: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    stub.answers(move |heard: &Heard| {
        let mut asked = asked.lock().expect("one at a time");
        let times = asked.entry(heard.target.clone()).or_default();
        *times += 1;
        odd(&heard.target, *times - 1).unwrap_or_else(|| plain(&files, &heard.target))
    });
    stub
}

fn plain(files: &BTreeMap<String, String>, target: &str) -> Answer {
    let url: url::Url = format!("http://x{target}").parse().expect("a URL");
    let value =
        |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let folder = value("path").or_else(|| value("artifact_directory_path")).unwrap_or_default();
    if url.path().ends_with("/list") || url.path().ends_with("/directories") {
        return list(files, &folder);
    }
    let decoded = percent_encoding::percent_decode_str(url.path()).decode_utf8().expect("UTF-8").into_owned();
    let path = decoded.strip_prefix(&format!("{STORE}/")).map(str::to_owned);
    let path = path.or_else(|| value("path")).or_else(|| value("artifact_file_path")).unwrap_or_default();
    files.get(&path).map_or_else(Answer::missing, |text| Answer::Json(200, text.clone()))
}

fn list(files: &BTreeMap<String, String>, folder: &str) -> Answer {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let mut entries = BTreeMap::new();
    for (path, text) in files {
        if let Some(rest) = path.strip_prefix(&prefix) {
            match rest.split_once('/') {
                Some((name, _)) => {
                    entries.insert(format!("{prefix}{name}"), json!({ "is_dir": true }));
                }
                None => {
                    entries.insert(path.clone(), json!({ "is_dir": false, "file_size": text.len() }));
                }
            }
        }
    }
    let files = entries.into_iter().map(|(path, mut entry)| {
        entry["path"] = path.into();
        entry
    });
    Answer::ok(&json!({ "root_uri": "x", "files": files.collect::<Vec<_>>() }))
}

async fn take(stub: &Stub, wanted: &Wanted) -> Result<Taken, DigestError> {
    let mlflow = Upstream::new(Settings::at(stub.address())).expect("an upstream");
    soon(digest::take(&Facts::new(None, Arc::default()), &mlflow, wanted, &Progress::default())).await
}

async fn digest_of(odd: impl Fn(&str, usize) -> Option<Answer> + Send + 'static) -> Result<String, String> {
    let stub = mlflow(&model_files(), odd).await;
    let taken = take(&stub, &stored("m")).await;
    taken.map(|taken| taken.digest).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_digest_is_what_the_documented_script_says() {
    let stub = mlflow(&model_files(), |_, _| None).await;
    let mlflow = Upstream::new(Settings::at(stub.address())).expect("an upstream");
    let progress = Arc::new(Progress::default());
    // In a task of its own, as it is taken in the background.
    let seen = Arc::clone(&progress);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        digest::take(&Facts::new(None, Arc::default()), &mlflow, &stored("m"), &seen).await
    });
    let taken = soon(tasks.join_next()).await.expect("a task").expect("an end").expect("a digest");
    assert_eq!(taken.digest, DIGEST);
    let files: Vec<(&str, u64)> = taken.files.iter().map(|file| (&*file.path, file.size)).collect();
    assert_eq!(files, [("MLmodel", 9), ("data/x/empty", 0), ("data/été 1.bin", 2)]);
    assert_eq!(digest::of(&taken.files), DIGEST);
    assert_eq!(progress.counts(), Counts { files: 3, bytes: 11, files_done: 3, bytes_done: 11 });
}

#[tokio::test]
async fn each_place_has_its_addresses() {
    let logged = Wanted { holder: Some(Holder::LoggedModel("m-0f".into())), ..run("/srv/m-0f", "m") };
    let model = "/mlflow/logged-models/m-0f/artifacts";
    let loose = Wanted { holder: None, ..run("mlflow-artifacts:/", "1/r/artifacts/m") };
    for (wanted, listed, read) in [
        (stored("m"), format!("{LIST}&path=m"), format!("{STORE}/m/data/%C3%A9t%C3%A9%201.bin")),
        (
            run("mlflow-artifacts://host:5000/1/r/artifacts", "m"),
            format!("{LIST}&path=m"),
            format!("{STORE}/m/MLmodel"),
        ),
        (
            run("file:///srv/r", "m"),
            format!("{LIST}&path=m"),
            "/get-artifact?run_id=r&path=m%2FMLmodel".to_owned(),
        ),
        (
            run("mlflow-artifacts:/1/%41/artifacts", "m"),
            format!("{LIST}&path=m"),
            "/get-artifact?run_id=r&path=m%2FMLmodel".to_owned(),
        ),
        (
            logged,
            format!("/api/2.0{model}/directories?artifact_directory_path=m"),
            format!("/ajax-api/2.0{model}/files?artifact_file_path=m%2FMLmodel"),
        ),
        (
            loose,
            "/api/2.0/mlflow-artifacts/artifacts?path=1%2Fr%2Fartifacts%2Fm".to_owned(),
            format!("{STORE}/m/MLmodel"),
        ),
    ] {
        let bare = wanted.holder.is_none();
        let stub = mlflow(&model_files(), move |target, _| {
            let of_store = bare && target.contains("artifacts?path=");
            of_store.then(|| Answer::Json(200, r#"{"files":[{"path":"MLmodel","file_size":"9"}]}"#.into()))
        })
        .await;
        let taken = take(&stub, &wanted).await.expect("a digest");
        assert!(bare || taken.digest == DIGEST, "{wanted:?}");
        let asked = stub.lines();
        for line in [listed, read] {
            assert!(asked.contains(&format!("GET {line}")), "{line} is not among {asked:?}");
        }
        assert!(stub.heard().iter().all(Heard::is_question));
    }
}

#[tokio::test]
async fn a_source_that_is_a_file_goes_by_its_name() {
    let stub = mlflow(&[("m/model.pkl", "x"), ("m/other", "y")], |_, _| None).await;
    let taken = take(&stub, &stored("m/model.pkl")).await.expect("a digest");
    let paths: Vec<&str> = taken.files.iter().map(|file| &*file.path).collect();
    assert_eq!(paths, ["model.pkl"]);
    let stub = mlflow(&[("model.pkl", "x")], |_, _| None).await;
    assert_eq!(take(&stub, &stored("model.pkl")).await.expect("a digest").digest, taken.digest);
}

#[tokio::test]
async fn what_changes_while_it_is_read_is_read_again() {
    let changing = "the files change while they are read";
    let more = || Answer::Json(200, r#"{"files":[{"path":"m/data/x/new","file_size":0}]}"#.into());
    let deep = format!("{LIST}&path=m%2Fdata%2Fx");
    let file = format!("{STORE}/m/MLmodel");
    let cases = [
        ("a file comes", &deep, more as fn() -> Answer),
        ("a file is gone", &file, Answer::missing),
        ("it is a folder now", &file, || Answer::Json(400, "{}".into())),
        ("it is shorter", &file, || Answer::Json(200, "flavors:".into())),
        ("it is longer", &file, || Answer::Json(200, "flavors:\n\n".into())),
    ];
    let tried = cases.map(async |(what, line, odd)| {
        // A list is odd the second time, which is after the reading.
        let (at, first) = (line.clone(), usize::from(line.starts_with(LIST)));
        let once = move |target: &str, times| (target == at && times == first).then(odd);
        let at = line.clone();
        let always = move |target: &str, times: usize| (target == at && times % 2 >= first).then(odd);
        let (once, always) = tokio::join!(digest_of(once), digest_of(always));
        assert_eq!(once.as_deref(), Ok(DIGEST), "{what}");
        assert_eq!(always, Err(changing.to_owned()), "{what}, each time");
    });
    futures_util::future::join_all(tried).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    let broken = || Answer::Raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nflav".into());
    let chunk =
        || Answer::Raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nflavors:\n\r\n".into());
    let unasked = || Answer::Raw("HTTP/1.1 200 OK\r\n\r\nflavors:\n".into());
    let busy = || Answer::Json(500, "{}".into());
    let (file, top) = (format!("{STORE}/m/MLmodel"), format!("{LIST}&path=m"));
    let cases = [
        (&file, broken as fn() -> Answer, "a file could not be read from mlflow"),
        (&file, chunk, "a file could not be read from mlflow"),
        (&file, unasked, "a file could not be read from mlflow"),
        (&file, busy, "mlflow answered 500 Internal Server Error instead of a file"),
        (&top, broken, "mlflow's answer broke off"),
        (&top, busy, "mlflow answered 500 Internal Server Error to a question of ours"),
    ];
    let tried = cases.map(async |(line, odd, error)| {
        let (at, also) = (line.clone(), line.clone());
        let passing = digest_of(move |target, times| (target == at && times < 2).then(odd));
        let lasting = digest_of(move |target, _| (target == also).then(odd));
        let (passing, lasting) = tokio::join!(passing, lasting);
        assert_eq!(passing.as_deref(), Ok(DIGEST), "{line}");
        assert_eq!(lasting, Err(error.to_owned()), "{line}");
    });
    futures_util::future::join_all(tried).await;
}

#[tokio::test]
async fn a_list_that_lies_ends_the_reading() {
    let twice = r#"{"path":"m/a"},{"path":"m/a"}"#;
    for (entries, expected) in [
        (r#"{"path":"m/../x"}"#, ListError::Foreign("m/../x".into())),
        (r#"{"path":"m/.."}"#, ListError::Foreign("m/..".into())),
        (r#"{"path":"/etc/passwd"}"#, ListError::Foreign("/etc/passwd".into())),
        (r#"{"path":"x/a"}"#, ListError::Foreign("x/a".into())),
        (r#"{"path":"m"}"#, ListError::Foreign("m".into())),
        (r#"{"path":"m/"}"#, ListError::Foreign("m/".into())),
        (r#"{"path":"m2"}"#, ListError::Foreign("m2".into())),
        (r#"{"path":"m/a/b"}"#, ListError::Foreign("m/a/b".into())),
        ("{\"path\":\"m/a\\u0000b\"}", ListError::Foreign("m/a\0b".into())),
        ("{\"path\":\"m/a\\tb\"}", ListError::Unservable("m/a\tb".into())),
        (r#"{"path":"m/a%2e"}"#, ListError::Unservable("m/a%2e".into())),
        (r#"{"path":"m/a#b","is_dir":true}"#, ListError::Unservable("m/a#b".into())),
        (twice, ListError::Twice("a".into())),
    ] {
        let answer = format!("{{\"files\":[{entries}]}}");
        let top = format!("{LIST}&path=m");
        let stub =
            mlflow(&[], move |target, _| (target == top).then(|| Answer::Json(200, answer.clone()))).await;
        match take(&stub, &stored("m")).await {
            Err(DigestError::List(found)) => assert_eq!(found, expected),
            other => panic!("{entries}: {other:?}"),
        }
        assert_eq!(stub.lines(), [format!("GET {LIST}&path=m")], "nothing of such a list is asked for");
    }
}

#[tokio::test]
async fn what_cannot_be_digested_says_why() {
    let error =
        async |stub: Stub, wanted: Wanted| take(&stub, &wanted).await.expect_err("no digest").to_string();
    let empty = || mlflow(&[("other", "x")], |_, _| None);
    let unowned = Wanted { holder: None, ..run("s3://bucket", "m") };
    assert_eq!(error(empty().await, unowned).await, "the files lie where mlflow cannot list them");
    let everything = Wanted { holder: None, ..run("mlflow-artifacts:/", "") };
    assert_eq!(error(empty().await, everything).await, "the files lie where mlflow cannot list them");
    assert_eq!(error(empty().await, stored("m")).await, "there are no files");
    let gone = mlflow(&[], |_, _| Some(Answer::missing())).await;
    let nowhere = "mlflow does not have the run or logged model that has the files";
    assert_eq!(error(gone, stored("m")).await, nowhere);
    let nonsense = mlflow(&[], |_, _| Some(Answer::Json(200, "[]".into()))).await;
    assert!(error(nonsense, stored("m")).await.starts_with("mlflow's list of files could not be read"));
    let part =
        mlflow(&[], |_, _| Some(Answer::Json(200, r#"{"files":[],"next_page_token":"x"}"#.into()))).await;
    assert_eq!(error(part, stored("m")).await, "mlflow lists a part of the files");
    let endless = mlflow(&[], |target, _| {
        let folder = target.rsplit_once("path=").map_or("", |(_, path)| path).replace("%2F", "/");
        Some(Answer::ok(&json!({ "files": [{ "path": format!("{folder}/d"), "is_dir": true }] })))
    })
    .await;
    assert_eq!(error(endless, stored("m")).await, "there are more than 64 folders in each other");
}

#[tokio::test]
async fn dependencies_are_those_of_the_bytes_that_were_hashed() {
    let files = [
        ("m/requirements.txt", "Scikit_Learn==1.3.2\n-r x\nnumpy<2\n"),
        ("m/conda.yaml", "dependencies: [pandas]"),
        ("m/code/requirements.txt", "scipy"),
    ];
    let stub = mlflow(&files, |_, _| None).await;
    let taken = take(&stub, &stored("m")).await.expect("a digest");
    assert_eq!(taken.dependencies, ["numpy<2", "scikit-learn==1.3.2"]);
    let asked = stub.lines().into_iter().filter(|line| line.contains(STORE)).count();
    assert_eq!(asked, files.len(), "a file was read more than once");
    let stub = mlflow(&files[1..], |_, _| None).await;
    assert_eq!(take(&stub, &stored("m")).await.expect("a digest").dependencies, ["pandas"]);
    let long: &'static str = "#".repeat(digest::dependencies::LONGEST + 1).leak();
    let stub = mlflow(&[("m/requirements.txt", long), files[1]], |_, _| None).await;
    assert_eq!(take(&stub, &stored("m")).await.expect("a digest").dependencies, ["pandas"]);
}
