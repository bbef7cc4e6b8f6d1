//! Another key signs, and whoever has any of them proves everything; nobody else's does.

use super::*;
use crate::clock::Clock;
use crate::record::key::{KeyError, PublicKey};
use crate::record::rekey::{RekeyError, Rekeyed, rekey};
use crate::record::verify::NEW_KEY;

impl House {
    fn key(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn rekeyed(&self, old: &str, new: &str) -> Result<Rekeyed, RekeyError> {
        rekey(self.path(), &self.key(old), &self.key(new), &Clock::held_at(NOW + 100))
    }

    /// Goes on with this key.
    fn go_on(&self, key: &str) {
        let own = folder::take(self.path(), "a").unwrap();
        let signer = Arc::new(Signer::read(&self.key(key)).unwrap());
        let (mut ledger, _) = Ledger::open(own, signer, Rhythm::default(), at(200)).unwrap();
        ledger.add(&entry(200)).unwrap();
        ledger.seal(at(200)).unwrap();
        ledger.sync().unwrap();
    }

    fn proved_by(&self, key: &PublicKey) -> Result<Proof, String> {
        let question = Question { key: Some(key.clone()), expected: Vec::new() };
        verify(self.path(), &question).map_err(|fault| fault.to_string())
    }

    /// Some files, of which the first are removed, and a chain that nobody goes on with.
    fn of_many_files() -> Self {
        let house = Self::new();
        house.written(40);
        let path = house.path().join("a");
        let some = folder::segments(&path).unwrap();
        let kept = some.get(3).unwrap().path.clone();
        let text = fs::read_to_string(&kept).unwrap();
        fs::write(&kept, "").unwrap();
        // Removal ends at what cannot be read.
        retain::remove_old(&path, "a", &house.signer, Duration::ZERO, at(90_000)).unwrap();
        fs::write(&kept, text).unwrap();
        let own = folder::take(house.path(), "gone").unwrap();
        let (mut gone, _) = Ledger::open(own, Arc::clone(&house.signer), Rhythm::default(), at(0)).unwrap();
        gone.add(&entry(1)).unwrap();
        gone.seal(at(1)).unwrap();
        gone.sync().unwrap();
        house
    }

    fn stubs(&self) -> Vec<PathBuf> {
        let segments = folder::segments(&self.path().join("a")).unwrap();
        segments.into_iter().filter(|one| one.form == folder::Form::Stub).map(|one| one.path).collect()
    }
}

fn public(signer: &Signer) -> PublicKey {
    signer.public().clone()
}

#[test]
fn whoever_has_one_of_the_keys_proves_everything() {
    let house = House::of_many_files();
    assert_eq!(house.stubs().len(), 3);
    let mut keys = vec![public(&house.signer)];
    for (old, new) in [(KEY, "2.key"), ("2.key", "3.key")] {
        let done = house.rekeyed(old, new).unwrap();
        assert_eq!(done.chains, ["a", "gone"]);
        let signer = Signer::read(&house.key(new)).unwrap();
        assert_eq!(done.key, signer.public().name());
        keys.push(public(&signer));
        for key in &keys {
            let proof = house.proved_by(key).unwrap();
            assert!(proof.chains.iter().all(|(_, _, unsigned)| *unsigned == 0), "{proof:?}");
        }
        house.go_on(new);
        let proofs: Vec<Proof> = keys.iter().map(|key| house.proved_by(key).unwrap()).collect();
        assert!(proofs.iter().all(|proof| proof.lines == proofs[0].lines && proof.removed > 0), "{proofs:?}");
        assert_eq!(house.rekeyed(old, new).unwrap().chains, [""; 0], "it is done already");
    }
}

#[test]
fn a_change_that_was_cut_off_is_made_again() {
    let house = House::of_many_files();
    let old = public(&house.signer);
    let (new, text) = Signer::make().unwrap();
    fs::write(house.key("2.key"), text.as_str()).unwrap();
    fs::set_permissions(house.key("2.key"), PermissionsExt::from_mode(0o600)).unwrap();
    let open = || house.open(Rhythm::default()).0;
    // Each step that a crash leaves done.
    open().announce(new.public(), at(100)).unwrap();
    house.proved_by(&old).unwrap();
    let first = house.stubs().remove(0);
    let signed = retain::Stub::read(&first).unwrap().signed(&new);
    fs::write(&first, serde_json::to_vec(&signed).unwrap()).unwrap();
    house.proved_by(&old).unwrap();
    open().go_on_with(Arc::new(Signer::read(&house.key("2.key")).unwrap()), at(100)).unwrap();
    house.proved_by(&old).unwrap();
    // It is started with the old key meanwhile.
    house.go_on(KEY);
    house.proved_by(&old).unwrap();
    assert_eq!(house.rekeyed(KEY, "2.key").unwrap().chains, ["a", "gone"]);
    for key in [&old, new.public()] {
        assert!(house.proved_by(key).is_ok());
    }
}

#[test]
fn nothing_is_changed_while_somebody_writes_or_with_another_key() {
    let house = House::of_many_files();
    let before = house.verified().unwrap();
    let (writing, _) = house.open(Rhythm::default());
    assert!(matches!(house.rekeyed(KEY, "2.key"), Err(RekeyError::Busy(_))));
    drop(writing);
    let (_, text) = Signer::make().unwrap();
    fs::write(house.key("other.key"), text.as_str()).unwrap();
    fs::set_permissions(house.key("other.key"), PermissionsExt::from_mode(0o600)).unwrap();
    assert!(matches!(house.rekeyed("other.key", "2.key"), Err(RekeyError::Key(KeyError::Another { .. }))));
    assert!(!house.key("2.key").exists());
    assert_eq!(house.verified().unwrap(), before);
    let empty = House::new();
    assert!(matches!(empty.rekeyed(KEY, "2.key"), Err(RekeyError::NoRecord(_))));
    assert!(!empty.key("2.key").exists());
}

#[test]
fn nobody_announces_themselves() {
    let house = House::of_many_files();
    let old = public(&house.signer);
    let (thief, _) = Signer::make().unwrap();
    let own = folder::take(house.path(), "a").unwrap();
    let thief = Arc::new(thief);
    let (mut ledger, _) = Ledger::open(own, Arc::clone(&thief), Rhythm::default(), at(100)).unwrap();
    ledger.announce(thief.public(), at(100)).unwrap();
    drop(ledger);
    let unsigned = || house.proved_by(&old).unwrap().chains.first().unwrap().2;
    assert_eq!(unsigned(), 2, "what the thief signed is not signed");
    // Nor is it good because the chain goes on under the real key.
    for announced_last in [false, true] {
        if announced_last {
            let own = folder::take(house.path(), "a").unwrap();
            let (mut ledger, _) = Ledger::open(own, Arc::clone(&thief), Rhythm::default(), at(100)).unwrap();
            let mut note = Entry::system(at(100), NEW_KEY, "another key signs from now on");
            note.params.insert("public_key".to_owned(), thief.public().pem().into());
            ledger.add(&note).unwrap();
            ledger.sync().unwrap();
        }
        house.go_on(KEY);
        assert_eq!(unsigned(), 0);
        let own = folder::take(house.path(), "a").unwrap();
        let (mut ledger, _) = Ledger::open(own, Arc::clone(&thief), Rhythm::default(), at(300)).unwrap();
        ledger.seal(at(300)).unwrap();
        ledger.sync().unwrap();
        assert_eq!(unsigned(), 1, "{announced_last}");
    }
    let stub = house.stubs().remove(0);
    let signed = retain::Stub::read(&stub).unwrap().signed(&thief);
    fs::write(&stub, serde_json::to_vec(&signed).unwrap()).unwrap();
    assert!(house.proved_by(&old).unwrap_err().contains("is not signed with the key"));
    assert!(matches!(house.rekeyed(KEY, "2.key"), Err(RekeyError::Stub(path)) if path == stub));
}
