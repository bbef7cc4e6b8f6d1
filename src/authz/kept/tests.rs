//! Kept sets: made once, with the modes of what is nobody else's; what was changed is found, and nothing outside is read.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::authz::tests::policies;
use crate::record;

const ROWS: &str = "p, role:r, model:*, metadata_read, allow";

type Change = fn(&Path);

/// A folder of a record, and who keeps policies in it.
struct Desk {
    root: tempfile::TempDir,
    keeper: Keeper,
    _writer: record::Writer,
}

impl Desk {
    fn new(mode: Mode) -> Self {
        let root = tempfile::tempdir().unwrap();
        let settings = record::Settings {
            path: root.path().to_owned(),
            instance: "a".to_owned(),
            mode,
            signing_key_file: root.path().join("audit.key"),
            rhythm: record::Rhythm::default(),
            keep: None,
        };
        let clock = Clock::held_at(1_000);
        let (record, writer, _) = record::open(&settings, &clock).unwrap();
        Self { keeper: Keeper::new(root.path(), record, clock), root, _writer: writer }
    }

    fn place(&self, version: &str) -> PathBuf {
        self.root.path().join("policies").join(version)
    }

    /// What is found of a set that line 7 of `a` names.
    fn found(&self, version: &str, files: &[(&str, &str)]) -> String {
        let files = files.iter().map(|(name, hash)| ((*name).to_owned(), (*hash).to_owned())).collect();
        let named = Named { by: ("a".to_owned(), 7), files };
        match check(self.root.path(), &BTreeMap::from([(version.to_owned(), named)])) {
            Ok(notes) => notes.join("; "),
            Err(fault) => fault.what.to_string(),
        }
    }
}

#[test]
fn a_set_is_kept_once_with_its_own_bytes_and_for_its_owner_alone() {
    let desk = Desk::new(Mode::Required);
    let set = policies(ROWS);
    assert!(desk.keeper.begin(&set).unwrap().is_none());
    let place = desk.place(set.version().as_str());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&place), mode(&place.join("policy.csv"))), (0o700, 0o600));
    for (name, bytes) in set.sources().files() {
        assert_eq!(fs::read(place.join(name)).unwrap(), bytes, "{name}");
    }
    let before = fs::metadata(place.join("policy.csv")).unwrap().modified().unwrap();
    assert!(desk.keeper.begin(&set).unwrap().is_none());
    assert_eq!(fs::metadata(place.join("policy.csv")).unwrap().modified().unwrap(), before);
    desk.keeper.begin(&policies(&format!("{ROWS}\np, role:s, model:*, metadata_read, allow"))).unwrap();
    assert_eq!(fs::read_dir(desk.root.path().join("policies")).unwrap().count(), 2, "and nothing half made");
    assert_eq!(desk.found(set.version().as_str(), &[]), "");
}

#[test]
fn what_cannot_be_kept_stops_the_start_only_where_it_must_be() {
    for (mode, stops) in [(Mode::Required, true), (Mode::BestEffort, false)] {
        let desk = Desk::new(mode);
        fs::write(desk.root.path().join("policies"), "").unwrap();
        match desk.keeper.begin(&policies(ROWS)) {
            Err(KeepError::File { .. }) => assert!(stops),
            other => assert!(!stops && matches!(other, Ok(Some(KeepError::File { .. }))), "{other:?}"),
        }
    }
}

#[test]
fn a_kept_set_that_was_changed_is_found() {
    let set = policies(ROWS);
    let version = set.version().as_str();
    let fault = |what: &str| {
        format!("the policies {version}, which line 7 of `a` names, are kept with other bytes: {what}")
    };
    let changes: [(&str, Change); 4] = [
        ("they are ", |place| {
            fs::write(place.join("policy.csv"), "p, role:r, model:*, admin, allow").unwrap()
        }),
        ("policy.csv: No such file", |place| fs::remove_file(place.join("policy.csv")).unwrap()),
        ("rules.toml: it is no plain file", |place| {
            fs::remove_file(place.join("rules.toml")).unwrap();
            symlink("stages.toml", place.join("rules.toml")).unwrap();
        }),
        ("model.conf: it is no plain file", |place| {
            let elsewhere = place.with_extension("elsewhere");
            fs::rename(place, &elsewhere).unwrap();
            symlink(elsewhere, place).unwrap();
        }),
    ];
    for (what, change) in changes {
        let desk = Desk::new(Mode::Required);
        desk.keeper.begin(&set).unwrap();
        change(&desk.place(version));
        assert!(desk.found(version, &[]).starts_with(&fault(what)), "{}", desk.found(version, &[]));
        let again = desk.keeper.begin(&set);
        assert!(matches!(again, Err(KeepError::Differs(_))), "it is not taken for the set: {again:?}");
    }
    let desk = Desk::new(Mode::Required);
    desk.keeper.begin(&set).unwrap();
    assert_eq!(
        desk.found(version, &[("policy.csv", &"0".repeat(64))]),
        fault("policy.csv has another SHA-256")
    );
    assert_eq!(desk.found(version, &[("policy.csv", &Hash::of(ROWS.as_bytes()).to_string())]), "");
}

#[test]
fn what_a_line_names_is_looked_for_nowhere_else() {
    let desk = Desk::new(Mode::Required);
    let set = policies(ROWS);
    desk.keeper.begin(&set).unwrap();
    // Were it read, it would be a fault.
    fs::create_dir(desk.root.path().join("x")).unwrap();
    for name in ["../x", "", ".", "..", "/etc", "a/../../x", "0123456789ABCDEF", "0123456789abcdef/", "a\nb"]
    {
        assert_eq!(desk.found(name, &[]), format!("no names of policies: `{}`", name.escape_debug()));
    }
    assert_eq!(
        desk.found("0123456789abcdef", &[]),
        "policies that lines name and that are not kept here: 0123456789abcdef"
    );
}
