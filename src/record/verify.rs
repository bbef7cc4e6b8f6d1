//! Proving a record: that no line was changed, taken out, put in or moved, by the files and a public key alone.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::chain::{Broken, Hash, Tip};
use super::fault::{Fault, Named, Proof, Wrong};
use super::folder::{self, Form, HEAD, PUBLIC_KEY, Segment};
use super::key::{PublicKey, statement};
use super::layout::lay_out;
use super::line::{Entry, Kind, Line};
use super::read::{Lines, Piece};
use super::retain::Stub;
use super::walk::{Step, Walk};

/// The word of the line that says which key signs from now on.
pub const NEW_KEY: &str = "new_key";
/// The word of the line with which a process begins.
pub const START: &str = "start";

/// The word of the line that says that policies come into force.
pub const POLICIES: &str = "policies";

/// What to prove.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The public key; the one beside the record if nothing is said.
    pub key: Option<PublicKey>,
    /// The hashes of heads that were written down elsewhere.
    pub expected: Vec<Hash>,
}

/// Proves a whole record, or one chain if the folder is one. It may be written meanwhile.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(root: &Path, question: &Question) -> Result<Proof, Fault> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |what: Wrong| Fault { path, line: None, what }
    };
    let single = folder::segments(root).map_err(|error| at(root)(error.into()))?;
    let (chains, beside) = if single.is_empty() {
        (folder::chains(root).map_err(|error| at(root)(error.into()))?, root.to_owned())
    } else {
        (vec![root.to_owned()], root.parent().unwrap_or(root).to_owned())
    };
    if chains.is_empty() {
        return Err(at(root)(Wrong::Nothing));
    }
    let key = match &question.key {
        Some(key) => key.clone(),
        None => {
            let path = beside.join(PUBLIC_KEY);
            PublicKey::read(&path).map_err(|error| at(&path)(error.into()))?
        }
    };
    let mut proof = Proof { root: beside, ..Proof::default() };
    let (mut names, mut claims) = (BTreeMap::new(), Vec::new());
    for path in &chains {
        let reading = Reading::new(path, &key, &question.expected).prove(&mut proof)?;
        claims.extend(reading.claims.iter().map(|claim| (reading.name.clone(), claim.clone())));
        if names.insert(reading.name.clone(), path.clone()).is_some() {
            return Err(at(path)(Wrong::Twice(reading.name)));
        }
    }
    for (by, claim) in claims {
        holds(root, &names, &by, &claim, single.is_empty()).map_err(at(root))?;
    }
    let is_there = |hash: &&Hash| proof.expected.iter().any(|(found, _)| found == *hash);
    match question.expected.iter().find(|hash| !is_there(hash)) {
        Some(missing) => Err(at(root)(Wrong::Expected(*missing))),
        None => Ok(proof),
    }
}

/// What a chain says of another one: its name, and a line of it.
#[derive(Clone, Debug)]
struct Claim {
    of: String,
    seq: u64,
    hash: Hash,
}

/// Whether what one chain says of another is so.
fn holds(
    root: &Path,
    names: &BTreeMap<String, PathBuf>,
    by: &str,
    claim: &Claim,
    whole: bool,
) -> Result<(), Wrong> {
    let missing = || Wrong::Sibling { by: by.to_owned(), of: claim.of.clone(), seq: claim.seq };
    let path = match names.get(&claim.of) {
        Some(path) => path.clone(),
        None if !whole => return Ok(()),
        // It may have begun since the others were listed.
        None => folder::chains(root)?
            .into_iter()
            .find(|path| path.file_name().is_some_and(|name| name == claim.of.as_str()))
            .ok_or_else(missing)?,
    };
    let path = &path;
    let layout = lay_out(path)?;
    let closed = layout.closed.iter().find(|segment| (segment.first..=segment.last).contains(&claim.seq));
    let (segment, file) = match (closed, layout.current) {
        (Some(segment), _) => segment.open()?,
        (None, Some(current)) => (folder::current(path), current),
        (None, None) => return Err(missing()),
    };
    if segment.form == Form::Stub {
        return Ok(());
    }
    let mut lines = Lines::of(file, segment.form == Form::Compressed)?;
    let (mut line, mut walk) = (Vec::new(), None::<Walk>);
    while lines.next(&mut line)? == Piece::Whole {
        let walk = match &mut walk {
            Some(walk) => walk,
            None => match super::chain::start_of(&line) {
                Some(start) => walk.insert(Walk::from(start)),
                None => break,
            },
        };
        let _ = walk.step(&line);
        if walk.tip().seq == claim.seq {
            return if walk.tip().hash == claim.hash { Ok(()) } else { Err(missing()) };
        }
    }
    Err(missing())
}

/// One chain, being proved.
struct Reading<'q> {
    path: &'q Path,
    keys: Vec<PublicKey>,
    expected: &'q [Hash],
    found: Vec<Hash>,
    name: String,
    claims: Vec<Claim>,
    stubs: Vec<(PathBuf, Stub)>,
    /// The key that the line before announces.
    announced: Option<PublicKey>,
    /// Lines since the last head that a known key signed.
    unsigned: u64,
    proved: bool,
    copy: Option<(u64, Hash)>,
    copied: bool,
}

impl<'q> Reading<'q> {
    fn new(path: &'q Path, key: &PublicKey, expected: &'q [Hash]) -> Self {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self {
            path,
            keys: vec![key.clone()],
            expected,
            found: Vec::new(),
            name,
            claims: Vec::new(),
            stubs: Vec::new(),
            announced: None,
            unsigned: 0,
            proved: false,
            copy: None,
            copied: true,
        }
    }

    fn prove(mut self, proof: &mut Proof) -> Result<Self, Fault> {
        let folder = self.path;
        let fault = |what: Wrong| Fault { path: folder.to_owned(), line: None, what };
        self.read_copy();
        let layout = lay_out(folder).map_err(|error| fault(error.into()))?;
        let mut tip = Tip::EMPTY;
        for segment in &layout.closed {
            let (segment, file) = segment.open().map_err(|error| in_file(segment, None, error.into()))?;
            tip = match segment.form {
                Form::Stub => {
                    self.stub(&segment, tip, proof).map_err(|what| in_file(&segment, None, what))?
                }
                Form::Compressed | Form::Plain | Form::Current => self.file(&segment, file, tip, proof)?,
            };
        }
        if let Some(file) = layout.current {
            tip = self.file(&folder::current(folder), file, tip, proof)?;
        }
        // Where all that had heads is gone, the stubs are what the key has signed.
        if !self.proved && self.stubs.is_empty() && tip.seq > 0 {
            let name = self.keys.first().map(PublicKey::name).unwrap_or_default();
            return Err(fault(Wrong::Unsigned(name)));
        }
        let proved = |stub: &Stub| self.keys.iter().any(|key| stub.is_proved_by(key));
        if let Some((path, _)) = self.stubs.iter().find(|(_, stub)| !proved(stub)) {
            let what = Wrong::Stub("is not signed with the key");
            return Err(Fault { path: path.clone(), line: None, what });
        }
        if let (Some((seq, _)), false) = (self.copy, self.copied) {
            return Err(Fault { path: folder.join(HEAD), line: None, what: Wrong::HeadCopy(seq) });
        }
        proof.expected.extend(self.found.iter().map(|hash| (*hash, self.name.clone())));
        proof.chains.push((self.name.clone(), tip, self.unsigned));
        Ok(self)
    }

    /// The copy of the last head, which whoever cuts the end may have forgotten.
    fn read_copy(&mut self) {
        let text = fs::read(self.path.join(HEAD)).unwrap_or_default();
        let line = serde_json::from_slice::<Line>(text.trim_ascii()).ok();
        self.copy = line.and_then(|line| Some((line.seq, Hash::read(&line.hash)?)));
        self.copied = self.copy.is_none();
    }

    fn stub(&mut self, segment: &Segment, tip: Tip, proof: &mut Proof) -> Result<Tip, Wrong> {
        let stub = Stub::read(&segment.path)?;
        if (stub.first, stub.last) != (segment.first, segment.last) || stub.last < stub.first {
            return Err(Wrong::Stub("is of other lines than its name says"));
        }
        if tip.seq.checked_add(1) != Some(stub.first) || stub.last == u64::MAX {
            return Err(Wrong::Gap(tip.seq.saturating_add(1), stub.first.saturating_sub(1)));
        }
        if stub.prev != tip.hash.to_string() {
            return Err(Wrong::Stub("does not follow the lines before it"));
        }
        self.is_of_this_chain(&stub.chain, proof.removed == 0 && tip.seq == 0)?;
        // The key that signs may have been changed since: it is known at the end.
        self.stubs.push((segment.path.clone(), stub.clone()));
        proof.removed += stub.last - tip.seq;
        self.copied |= self.copy.is_some_and(|(seq, _)| seq <= stub.last);
        stub.tip().ok_or(Wrong::Stub("has no hash"))
    }

    fn is_of_this_chain(&mut self, chain: &str, first: bool) -> Result<(), Wrong> {
        if self.name == chain {
            return Ok(());
        }
        if first && !self.proved {
            // A copy may lie in a folder of another name.
            chain.clone_into(&mut self.name);
            return Ok(());
        }
        Err(Wrong::OtherChain(chain.to_owned(), self.name.clone()))
    }

    fn file(&mut self, segment: &Segment, file: File, tip: Tip, proof: &mut Proof) -> Result<Tip, Fault> {
        let at = |line: u64, what: Wrong| in_file(segment, Some(line), what);
        if segment.form != Form::Current && segment.first != tip.seq + 1 {
            let gap = Wrong::Gap(tip.seq + 1, segment.first.saturating_sub(1));
            return Err(in_file(segment, None, gap));
        }
        let lines = Lines::of(file, segment.form == Form::Compressed);
        let mut lines = lines.map_err(|error| in_file(segment, None, error.into()))?;
        let (mut line, mut walk) = (Vec::new(), Walk::from(tip));
        loop {
            let piece = lines.next(&mut line).map_err(|error| at(lines.number() + 1, error.into()))?;
            let number = lines.number();
            match piece {
                Piece::End => break,
                Piece::Cut if segment.form == Form::Current => {
                    proof.notes.push(format!(
                        "{}: its last line is torn ({} bytes)",
                        segment.path.display(),
                        line.len()
                    ));
                    break;
                }
                Piece::Cut => return Err(at(number, Wrong::Cut)),
                Piece::Whole => {}
            }
            let before = walk.tip();
            // What does not follow is found out by the line after it.
            match walk.step(&line).map_err(|why| at(number.saturating_sub(1), why.into()))? {
                Step::Doubtful => continue,
                Step::Tells => proof.torn += 1,
                Step::Follows => {}
            }
            proof.lines += 1;
            self.line(&line, before, walk.tip(), proof).map_err(|what| at(number, what))?;
        }
        let tip = walk.end().map_err(|why| at(lines.number(), why.into()))?;
        if segment.form != Form::Current && tip.seq != segment.last {
            return Err(in_file(segment, None, Wrong::Name(segment.last, tip.seq)));
        }
        Ok(tip)
    }

    fn line(&mut self, line: &[u8], before: Tip, tip: Tip, proof: &mut Proof) -> Result<(), Wrong> {
        self.unsigned += 1;
        // Whoever announces a key has the old one sign at once: a line that somebody put in is followed by others.
        let announced = self.announced.take();
        self.found.extend(self.expected.contains(&tip.hash).then_some(tip.hash));
        self.copied |= self.copy == Some((tip.seq, tip.hash));
        let holds = |needle: &[u8]| memchr::memmem::find(line, needle).is_some();
        if holds(b"\"policy\":\"") {
            self.names(line, tip.seq, proof);
        }
        if !holds(b"\"kind\":\"head\"") && !holds(b"\"kind\":\"system\"") {
            return Ok(());
        }
        let read: Line = serde_json::from_slice(line).map_err(|_| Broken::Form)?;
        match read.entry.kind {
            Kind::Head => self.head(&read.entry, before, announced, proof),
            Kind::System => {
                self.system(&read.entry, tip.seq, proof);
                Ok(())
            }
            Kind::Read | Kind::Reads | Kind::Refusal | Kind::Intent | Kind::Outcome => Ok(()),
        }
    }

    fn head(
        &mut self,
        head: &Entry,
        before: Tip,
        announced: Option<PublicKey>,
        proof: &mut Proof,
    ) -> Result<(), Wrong> {
        let chain = head.chain.as_deref().unwrap_or_default();
        self.is_of_this_chain(chain, proof.heads == 0 || !self.proved)?;
        let (key, signature) =
            (head.key.as_deref().unwrap_or_default(), head.signature.as_deref().unwrap_or_default());
        let said = statement(chain, &before, &head.time);
        // One of an older key is proved by the hash that a later head signs, if there is one.
        let Some(known) = self.keys.iter().find(|known| known.name() == key) else { return Ok(()) };
        if !known.proves(&said, signature) {
            return Err(Wrong::Signature);
        }
        (self.unsigned, self.proved) = (0, true);
        self.keys.extend(announced);
        proof.heads += 1;
        Ok(())
    }

    /// Which policies a line names.
    fn names(&self, line: &[u8], seq: u64, proof: &mut Proof) {
        let Ok(Names { policy: Some(policy) }) = serde_json::from_slice(line) else { return };
        if !proof.policies.contains_key(&*policy) {
            let named = Named { by: (self.name.clone(), seq), files: BTreeMap::new() };
            proof.policies.insert(policy.into_owned(), named);
        }
    }

    fn system(&mut self, entry: &Entry, seq: u64, proof: &mut Proof) {
        let said = |key: &str| entry.params.get(key);
        match entry.operation.as_deref() {
            Some(NEW_KEY) => {
                self.announced = said("public_key").and_then(Value::as_str).and_then(PublicKey::of_pem);
            }
            Some(START) => {
                let siblings = said("chains").and_then(Value::as_object);
                self.claims.extend(siblings.into_iter().flatten().filter_map(|(of, tip)| {
                    let seq = tip.get("seq").and_then(Value::as_u64)?;
                    let hash = tip.get("hash").and_then(Value::as_str).and_then(Hash::read)?;
                    Some(Claim { of: of.clone(), seq, hash })
                }));
            }
            Some(POLICIES) => {
                let Some(policy) = said("policy").and_then(Value::as_str) else { return };
                let by = || Named { by: (self.name.clone(), seq), files: BTreeMap::new() };
                let named = proof.policies.entry(policy.to_owned()).or_insert_with(by);
                let files = said("files").and_then(Value::as_object).into_iter().flatten();
                let hash = |(name, hash): (&String, &Value)| Some((name.clone(), hash.as_str()?.to_owned()));
                named.files.extend(files.filter_map(hash));
            }
            Some(_) | None => {}
        }
    }
}

/// As much of a line as is looked at.
#[derive(Deserialize)]
struct Names<'l> {
    #[serde(borrow, default)]
    policy: Option<Cow<'l, str>>,
}

fn in_file(segment: &Segment, line: Option<u64>, what: Wrong) -> Fault {
    Fault { path: segment.path.clone(), line, what }
}
