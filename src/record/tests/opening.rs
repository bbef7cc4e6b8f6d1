//! What `sekisho check` says of a place, and that the start agrees.

use crate::clock::Clock;
use crate::record::{Mode, Settings, open};

use super::*;

fn settings(root: &Path) -> Settings {
    Settings {
        path: root.join("deep/audit"),
        instance: "a".to_owned(),
        mode: Mode::Required,
        signing_key_file: root.join("keys/audit.key"),
        rhythm: Rhythm::default(),
        keep: None,
    }
}

#[test]
fn what_keeps_a_record_from_being_opened_is_told_without_opening_it() {
    let check = |spoil: fn(&Settings), expected: Option<&str>| {
        let root = tempfile::tempdir().unwrap();
        let settings = settings(root.path());
        assert_eq!(settings.obstacle(), None);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "nothing is made by looking");
        drop(open(&settings, &Clock::held_at(1_000)).unwrap());
        assert_eq!(settings.obstacle(), None, "a record may be gone on with");
        spoil(&settings);
        let told = settings.obstacle();
        let shown = told.clone().unwrap_or_default();
        assert_eq!(told.is_some(), expected.is_some(), "{shown}");
        assert!(shown.contains(expected.unwrap_or_default()), "{shown}");
        assert_eq!(open(&settings, &Clock::held_at(1_000)).is_err(), expected.is_some(), "{shown}");
    };
    check(|_| {}, None);
    check(|settings| fs::remove_file(&settings.signing_key_file).unwrap(), Some("`audit.signing_key_file`"));
    check(
        |settings| fs::write(&settings.signing_key_file, "no key").unwrap(),
        Some("`audit.signing_key_file`"),
    );
    check(
        |settings| {
            let (_, text) = Signer::make().unwrap();
            fs::write(&settings.signing_key_file, text.as_str()).unwrap();
        },
        Some("`audit.signing_key_file`"),
    );
    check(
        |settings| {
            fs::remove_dir_all(&settings.path).unwrap();
            fs::write(&settings.path, "no folder").unwrap();
        },
        Some("is not a folder"),
    );
    check(|settings| fs::remove_dir_all(&settings.path).unwrap(), None);
}
