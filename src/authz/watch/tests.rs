//! Every way in which a folder changes under a running program.

use std::fs;
use std::os::unix::fs::symlink;
use std::thread;

use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::*;
use crate::authz::{PolicyReader, engine, in_force};
use crate::clock::Clock;
use crate::record::line::{Entry, Kind};
use crate::record::{self, Mode, Record, Unrecorded};
use crate::stage::Stage;

struct Watched {
    folder: TempDir,
    reader: PolicyReader,
    standing: Standing,
    record: Record,
    ask: mpsc::Sender<()>,
    _stop: oneshot::Sender<()>,
    _task: JoinSet<()>,
    _writing: thread::JoinHandle<()>,
}

/// A record in `root/audit`, and its writer at work.
fn recorded(root: &Path, mode: Mode) -> (Record, thread::JoinHandle<()>) {
    let settings = record::Settings {
        path: root.join("audit"),
        instance: "a".to_owned(),
        mode,
        signing_key_file: root.join("audit.key"),
        rhythm: record::Rhythm::default(),
        keep: None,
    };
    let (record, writer, _) = record::open(&settings, &Clock::held_at(1_000)).unwrap();
    (record, thread::spawn(move || writer.run(|_, _| Vec::new()).unwrap()))
}

const ROWS: &str = "p, role:r, model:*, metadata_read, allow\n";

fn fill(dir: &Path, rows: &str) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("model.conf"), engine::MODEL).unwrap();
    fs::write(dir.join("policy.csv"), rows).unwrap();
    fs::write(dir.join("decisions.tsv"), "role:r\tmetadata_read\tmodel:x\tallow\n").unwrap();
    fs::write(dir.join("rules.toml"), "").unwrap();
    fs::write(dir.join("stages.toml"), "transitions = []\n").unwrap();
    fs::write(dir.join("metadata.schema.json"), "{}").unwrap();
}

impl Watched {
    /// Watches `policies` in a new folder that `prepare` has filled.
    fn over(prepare: impl FnOnce(&Path)) -> Self {
        Self::recording(Mode::Required, prepare)
    }

    fn recording(mode: Mode, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let dir = folder.path().join("policies");
        let (writer, mut reader) = in_force(PolicySet::load(&dir).unwrap());
        reader.0.mark_unchanged();
        let (ask, asked) = mpsc::channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let standing = Standing::default();
        let mut task = JoinSet::new();
        let stopped = async move { stopped.await.unwrap_or(()) };
        let (record, writing) = recorded(folder.path(), mode);
        let keeper = Keeper::new(&folder.path().join("audit"), record.clone(), Clock::held_at(1_000));
        task.spawn(watch(dir, writer, keeper, standing.clone(), stopped, asked));
        Self { folder, reader, standing, record, ask, _stop: stop, _task: task, _writing: writing }
    }

    fn plain() -> Self {
        Self::over(|root| fill(&root.join("policies"), ROWS))
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("policies")
    }

    /// The number of rows in force after the next change, which must come in time.
    async fn next(&mut self) -> usize {
        time::timeout(Duration::from_secs(2), self.reader.changed()).await.expect("2 s").unwrap().row_count()
    }

    /// The first mistake that is told, which must come in time.
    async fn complaint(&self) -> String {
        let told = async {
            let mut often = time::interval(Duration::from_millis(10));
            loop {
                often.tick().await;
                if let Some(mistakes) = self.standing.mistakes() {
                    return mistakes[0].what().to_owned();
                }
            }
        };
        time::timeout(Duration::from_secs(2), told).await.expect("2 s")
    }
}

fn rows(count: usize) -> String {
    (1..count)
        .map(|n| format!("p, role:r{n}, model:*, metadata_read, allow\n"))
        .chain([ROWS.to_owned()])
        .collect()
}

#[tokio::test]
async fn a_file_written_in_place_is_taken() {
    let mut watched = Watched::plain();
    fs::write(watched.dir().join("policy.csv"), rows(2)).unwrap();
    assert_eq!(watched.next().await, 2);
}

#[tokio::test]
async fn rules_are_taken_with_the_rest_or_not_at_all() {
    let mut watched = Watched::plain();
    let write = |watched: &Watched, rules: &str| fs::write(watched.dir().join("rules.toml"), rules).unwrap();
    let allows = |watched: &Watched, name: &str| watched.reader.current().rules().names.read(name).is_ok();
    let before = watched.reader.current().version().clone();
    assert!(allows(&watched, "iris"));
    write(&watched, "[names]\npatterns = ['{a}']\nwords.a = ['b']\n");
    watched.next().await;
    assert_ne!(*watched.reader.current().version(), before);
    assert!(!allows(&watched, "iris") && allows(&watched, "b"));
    write(&watched, "[names]\npatterns = ['{a}']\n");
    assert_eq!(watched.complaint().await, "`names.patterns`: `{a}`: there are no words for `{a}`");
    assert!(!allows(&watched, "iris") && allows(&watched, "b"));
    fs::write(watched.dir().join("policy.csv"), rows(2)).unwrap();
    write(&watched, "");
    assert_eq!(watched.next().await, 2);
    assert!(allows(&watched, "iris"));
    fs::remove_file(watched.dir().join("metadata.schema.json")).unwrap();
    assert!(watched.complaint().await.starts_with("cannot be read: "));
}

#[tokio::test]
async fn rules_on_stages_are_taken_if_the_rows_can_satisfy_them() {
    let mut watched = Watched::plain();
    let write =
        |watched: &Watched, name: &str, text: &str| fs::write(watched.dir().join(name), text).unwrap();
    let open = |watched: &Watched| {
        watched.reader.current().rules().stages.rule(Stage::Development, Stage::Staging).is_some()
    };
    let rule = "final = ['Staging']\nunused = ['Integration_Test', 'Performance_Test', 'User_Acceptance_Test', 'Canary', \
                'Production', 'Shadow', 'Archived', 'Deprecated']\n[[transitions]]\nfrom = 'Development'\nto = 'Staging'\n\
                required_approvals = 0\n";
    write(&watched, "stages.toml", rule);
    assert!(watched.complaint().await.starts_with("from Development to Staging: nobody may ask for it: "));
    assert!(!open(&watched));
    write(&watched, "policy.csv", &format!("{ROWS}p, role:r, model:*, stage_transition, allow\n"));
    assert_eq!(watched.next().await, 2);
    assert!(open(&watched) && watched.standing.mistakes().is_none());
    write(&watched, "stages.toml", "");
    assert!(watched.complaint().await.starts_with("there is no `[[transitions]]`"));
    assert!(open(&watched), "a file cut short closes nothing and opens nothing");
    write(&watched, "stages.toml", "transitions = []");
    watched.next().await;
    assert!(!open(&watched));
    fs::remove_file(watched.dir().join("stages.toml")).unwrap();
    assert!(watched.complaint().await.starts_with("cannot be read: "));
}

#[tokio::test]
async fn an_editors_rename_is_taken_again_and_again() {
    let mut watched = Watched::plain();
    for count in [2, 3, 4] {
        let swap = watched.dir().join(".policy.csv.swp");
        fs::write(&swap, rows(count)).unwrap();
        fs::rename(&swap, watched.dir().join("policy.csv")).unwrap();
        assert_eq!(watched.next().await, count);
    }
}

#[tokio::test]
async fn a_swap_of_kubernetes_symlinks_is_taken() {
    let mut watched = Watched::over(|root| {
        let dir = root.join("policies");
        fill(&dir.join("..1"), ROWS);
        symlink("..1", dir.join("..data")).unwrap();
        for name in FILES {
            symlink(Path::new("..data").join(name), dir.join(name)).unwrap();
        }
    });
    for count in [2, 3] {
        let dir = watched.dir();
        let data = format!("..{count}");
        fill(&dir.join(&data), &rows(count));
        symlink(&data, dir.join("..data_tmp")).unwrap();
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
        assert_eq!(watched.next().await, count);
    }
}

#[tokio::test]
async fn a_folder_swapped_whole_is_followed() {
    let mut watched = Watched::plain();
    for count in [2, 3] {
        let fresh = watched.folder.path().join("fresh");
        fill(&fresh, &rows(count));
        fs::rename(watched.dir(), watched.folder.path().join(format!("old{count}"))).unwrap();
        fs::rename(&fresh, watched.dir()).unwrap();
        assert_eq!(watched.next().await, count);
        fs::write(watched.dir().join("policy.csv"), rows(count + 10)).unwrap();
        assert_eq!(watched.next().await, count + 10);
    }
}

#[tokio::test]
async fn a_bad_set_is_told_about_and_never_in_force() {
    let mut watched = Watched::plain();
    let before = watched.reader.current().version().clone();
    for (bad, complaint) in [
        ("", "there is no `p` row, and an empty policy is never meant"),
        (
            "p, role:r, model:*, metadata_read, DENY",
            "`DENY` is neither `allow` nor `deny`; did you mean `deny`?",
        ),
        (
            "p, role:q, model:*, metadata_read, allow",
            "role:r metadata_read model:x must be allowed, but no policy row allows it",
        ),
    ] {
        fs::write(watched.dir().join("policy.csv"), bad).unwrap();
        assert_eq!(watched.complaint().await, complaint);
        assert_eq!(*watched.reader.current().version(), before);
        fs::write(watched.dir().join("policy.csv"), ROWS).unwrap();
        assert_eq!(watched.next().await, 1);
        assert_eq!(watched.standing.mistakes(), None, "a good set clears the complaint");
    }
    fs::remove_file(watched.dir().join("model.conf")).unwrap();
    assert!(watched.complaint().await.starts_with("cannot be read: "));
}

#[tokio::test]
async fn a_signal_reads_again_even_what_has_not_changed() {
    let mut watched = Watched::plain();
    watched.ask.send(()).await.unwrap();
    assert_eq!(watched.next().await, 1);
}

#[test]
fn the_look_each_second_sees_a_change() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), ROWS);
    let before = Seen::of(folder.path());
    assert_eq!(before, Seen::of(folder.path()));
    fs::write(folder.path().join("policy.csv"), rows(2)).unwrap();
    assert_ne!(before, Seen::of(folder.path()));
}

#[tokio::test]
async fn a_link_to_the_folder_is_followed_when_it_is_turned() {
    let mut watched = Watched::over(|root| {
        fill(&root.join("release1"), ROWS);
        symlink("release1", root.join("policies")).unwrap();
    });
    for count in [2, 3] {
        let root = watched.folder.path();
        fill(&root.join(format!("release{count}")), &rows(count));
        symlink(format!("release{count}"), root.join("turned")).unwrap();
        fs::rename(root.join("turned"), watched.dir()).unwrap();
        assert_eq!(watched.next().await, count);
    }
}

#[tokio::test]
async fn only_changes_of_the_folder_wake() {
    let woken = Arc::new(Notify::new());
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("policies");
    fill(&dir, ROWS);
    let _watcher = listen(&dir, &woken).unwrap();
    fs::read(dir.join("policy.csv")).unwrap();
    fs::write(root.path().join("sekisho.db"), "busy").unwrap();
    let early = time::timeout(Duration::from_millis(200), woken.notified()).await;
    assert!(early.is_err(), "reading, or a neighbour's writing, woke the reader");
    fs::write(dir.join("policy.csv"), ROWS).unwrap();
    time::timeout(Duration::from_secs(2), woken.notified()).await.expect("writing wakes");
}

#[tokio::test]
async fn it_ends_when_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), ROWS);
    let (writer, _reader) = in_force(PolicySet::load(folder.path()).unwrap());
    let (_ask, asked) = mpsc::channel(1);
    let (record, _writing) = recorded(folder.path(), Mode::Required);
    let keeper = Keeper::new(folder.path(), record, Clock::held_at(1_000));
    let ended = watch(folder.path().into(), writer, keeper, Standing::default(), async {}, asked);
    time::timeout(Duration::from_secs(2), ended).await.expect("it was told to stop");
}

/// The names of the sets that are kept.
fn sets(watched: &Watched) -> Vec<String> {
    let kept = fs::read_dir(watched.folder.path().join("audit/policies")).into_iter().flatten();
    let mut names: Vec<String> =
        kept.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The policies that lines say came into force.
fn told(watched: &Watched) -> Vec<String> {
    let text = fs::read_to_string(watched.folder.path().join("audit/a/current.jsonl")).unwrap();
    // The last one may be half written.
    let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let lines = lines.filter(|line| line["operation"] == "policies");
    lines.map(|line| line["params"]["policy"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_is_in_force_is_kept_and_told_of_before_it_is() {
    let mut watched = Watched::plain();
    for count in [2, 3] {
        fs::write(watched.dir().join("policy.csv"), rows(count)).unwrap();
        assert_eq!(watched.next().await, count);
        let version = watched.reader.current().version().to_string();
        assert_eq!(sets(&watched).len(), count - 1, "one for each set, and nothing half made");
        assert!(sets(&watched).contains(&version));
        assert_eq!(told(&watched).last(), Some(&version));
        let kept = watched.folder.path().join("audit/policies").join(&version);
        assert_eq!(fs::read_to_string(kept.join("policy.csv")).unwrap(), rows(count));
    }
}

#[tokio::test]
async fn what_cannot_be_kept_is_in_force_all_the_same_and_writes_wait_for_it() {
    for mode in [Mode::Required, Mode::BestEffort] {
        let mut watched = Watched::recording(mode, |root| {
            fill(&root.join("policies"), ROWS);
            fs::create_dir(root.join("audit")).unwrap();
            // Nobody makes a folder there, not even root.
            fs::write(root.join("audit/policies"), "").unwrap();
        });
        let mut versions = Vec::new();
        for count in [2, 3] {
            fs::write(watched.dir().join("policy.csv"), rows(count)).unwrap();
            assert_eq!(watched.next().await, count);
            versions.push(watched.reader.current().version().to_string());
        }
        assert!(watched.standing.unkept().is_some() && watched.standing.mistakes().is_none());
        let intent = |policy: &String| {
            let mut intent = Entry::new("1", Clock::held_at(1_000).now(), Kind::Intent);
            intent.policy = Some(policy.clone());
            intent
        };
        for version in &versions {
            let kept = watched.record.keep(intent(version)).await;
            assert_eq!(matches!(kept, Err(Unrecorded::Policies(_))), mode == Mode::Required, "{kept:?}");
        }
        fs::remove_file(watched.folder.path().join("audit/policies")).unwrap();
        until(|| watched.standing.unkept().is_none()).await;
        for version in &versions {
            assert!(watched.record.keep(intent(version)).await.is_ok());
        }
        let kept = sets(&watched);
        assert!(
            versions.iter().all(|version| kept.contains(version)),
            "also those that are not in force any more"
        );
        until(|| versions.iter().all(|version| told(&watched).contains(version))).await;
    }
}

#[tokio::test]
async fn who_is_decided_by_a_set_that_was_kept_does_not_wait_when_it_is_read_again() {
    let mut watched = Watched::plain();
    fs::write(watched.dir().join("policy.csv"), rows(2)).unwrap();
    assert_eq!(watched.next().await, 2);
    let version = watched.reader.current().version().to_string();
    until(|| sets(&watched).contains(&version)).await;
    let kept = watched.folder.path().join("audit/policies");
    fs::remove_dir_all(&kept).unwrap();
    fs::write(&kept, "").unwrap();
    watched.ask.send(()).await.unwrap();
    until(|| watched.standing.unkept().is_some()).await;
    let mut intent = Entry::new("1", Clock::held_at(1_000).now(), Kind::Intent);
    intent.policy = Some(version);
    assert!(watched.record.keep(intent).await.is_ok());
}

async fn until(holds: impl Fn() -> bool) {
    let held = async {
        let mut often = time::interval(Duration::from_millis(10));
        while !holds() {
            often.tick().await;
        }
    };
    time::timeout(Duration::from_secs(4), held).await.expect("4 s");
}
