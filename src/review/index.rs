//! What stands in which frames of a closed file, kept beside it, so that a search unpacks only those that may hold a hit.
//!
//! It saves work and decides nothing: every hit is a line of the file. What could hide one is an index that leaves
//! something out. So an index is used only if it is whole, of this very file as it was left, and made by who searches or by
//! root; any other is made anew.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::filter::Filter;
use super::leaf::Leaf;
use super::spread::spread;
use crate::record::chain::{Hash, start_of};
use crate::record::folder;

const FORM: &str = "sekisho index 1";
/// No index is larger.
const LARGEST: u64 = 256 * 1024 * 1024;

/// What stands in which frames of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    of: Identity,
    frames: Vec<Mark>,
    /// By the beginning of the SHA-256 of a key and a value, so that an index names nobody: the numbers of the frames.
    values: BTreeMap<String, BTreeSet<usize>>,
}

/// A file as it was left: who writes to it, replaces or moves it changes this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    bytes: u64,
    inode: u64,
    changed: (i64, i64),
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    /// Its length, packed.
    length: u64,
    /// The times of its lines, if it has any.
    times: Option<(Timestamp, Timestamp)>,
    /// Something in it is no line, and is told of by every search.
    odd: bool,
}

/// What a frame holds.
#[derive(Default)]
struct Held {
    times: Option<(Timestamp, Timestamp)>,
    odd: bool,
    values: BTreeSet<String>,
}

/// Whether an index helps to find what is asked for.
pub(super) fn helps(filter: &Filter) -> bool {
    !wanted(filter).is_empty() || filter.since.is_some() || filter.until.is_some()
}

/// The index of a compressed file: the one beside it, or a new one, which is put there. Nothing, if there is none and
/// nobody here may write it: then the file is read whole, which takes no longer than making one.
pub(super) fn of(leaf: &Leaf) -> Option<Index> {
    let identity = Identity::of(&leaf.file).ok()?;
    let path = folder::index(&leaf.path);
    if let Some(index) = Index::read(&path).filter(|index| index.is_of(&identity, leaf)) {
        return Some(index);
    }
    let folder = path.parent()?;
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).ok()?;
    let index = Index::make(identity, leaf)?;
    // A disk that is full is no reason not to search.
    let _ = index.write(&path);
    Some(index)
}

impl Index {
    /// Reads a whole file.
    fn make(of: Identity, leaf: &Leaf) -> Option<Self> {
        let frames = leaf.frames()?;
        let numbers: Vec<usize> = (0..frames.len()).collect();
        let held = spread(&numbers, |number| leaf.part(*number).map(|part| Held::of(&part)));
        let mut index = Self { of, frames: Vec::new(), values: BTreeMap::new() };
        for ((number, frame), held) in frames.iter().enumerate().zip(held) {
            // What cannot be unpacked is told of by every search.
            let held = held.unwrap_or(Held { odd: true, ..Held::default() });
            index.frames.push(Mark { length: frame.length, times: held.times, odd: held.odd });
            for value in held.values {
                index.values.entry(value).or_default().insert(number);
            }
        }
        Some(index)
    }

    /// Reads what lies beside a file, if it can be relied on.
    fn read(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let found = file.metadata().ok()?;
        let own = [0, rustix::process::geteuid().as_raw()].contains(&found.uid());
        if !own || found.mode() & 0o022 != 0 || !found.is_file() {
            return None;
        }
        let mut text = String::new();
        file.take(LARGEST).read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once('\n')?;
        let sum = head.strip_prefix(FORM)?.strip_prefix(' ').and_then(Hash::read)?;
        if Hash::of(body.as_bytes()) != sum {
            return None;
        }
        serde_json::from_str(body).ok()
    }

    /// Whether it is of this file as it is.
    fn is_of(&self, identity: &Identity, leaf: &Leaf) -> bool {
        let lengths = leaf.frames().unwrap_or_default().iter().map(|frame| frame.length);
        self.of == *identity && self.frames.iter().map(|mark| mark.length).eq(lengths)
    }

    /// Puts it beside its file, whole or not at all.
    fn write(&self, path: &Path) -> io::Result<()> {
        let body = serde_json::to_string(self)?;
        let mut made = path.as_os_str().to_owned();
        made.push(format!(".{}.new", std::process::id()));
        let made = Path::new(&made);
        let _ = fs::remove_file(made);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(made)?;
        let written = writeln!(file, "{FORM} {}", Hash::of(body.as_bytes()))
            .and_then(|()| file.write_all(body.as_bytes()))
            .and_then(|()| fs::rename(made, path));
        written.inspect_err(|_| {
            let _ = fs::remove_file(made);
        })
    }

    /// The frames that may hold what is asked for.
    pub(super) fn frames_for(&self, filter: &Filter) -> BTreeSet<usize> {
        let wanted = wanted(filter);
        let none = BTreeSet::new();
        let holds = |number: usize, values: &[String]| {
            values.iter().any(|value| self.values.get(value).unwrap_or(&none).contains(&number))
        };
        let worth = |(number, mark): &(usize, &Mark)| {
            let in_time = mark.times.is_some_and(|(first, last)| {
                filter.since.is_none_or(|since| last >= since)
                    && filter.until.is_none_or(|until| first < until)
            });
            mark.odd || (in_time && wanted.iter().all(|values| holds(*number, values)))
        };
        self.frames.iter().enumerate().filter(worth).map(|(number, _)| number).collect()
    }
}

impl Identity {
    fn of(file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self { bytes: found.len(), inode: found.ino(), changed: (found.ctime(), found.ctime_nsec()) })
    }
}

impl Held {
    fn of(part: &[u8]) -> Self {
        let mut held = Self::default();
        // Most lines say what others have said: the hash is taken once.
        let mut seen: HashMap<&'static str, HashSet<String>> = HashMap::new();
        let mut note = |key: &'static str, value: &str| {
            let values = seen.entry(key).or_default();
            if !values.contains(value) {
                values.insert(value.to_owned());
            }
        };
        for line in part.split_inclusive(|byte| *byte == b'\n') {
            let whole = line.strip_suffix(b"\n").filter(|line| start_of(line).is_some());
            let facts = whole.and_then(Facts::read);
            let Some((facts, time)) = facts.and_then(|facts| facts.moment().map(|time| (facts, time))) else {
                held.odd = true;
                continue;
            };
            let (first, last) = held.times.unwrap_or((time, time));
            held.times = Some((first.min(time), last.max(time)));
            for (key, value) in [("principal", facts.principal()), ("operation", facts.operation())] {
                if let Some(value) = value {
                    note(key, value);
                }
            }
            facts.objects().filter_map(model_of).for_each(|model| note("model", model));
            note("kind", word(&facts.kind).as_str());
            if let Some(decision) = &facts.decision {
                note("decision", word(decision).as_str());
            }
        }
        let all = seen.iter().flat_map(|(key, values)| values.iter().map(|value| hidden(key, value)));
        held.values = all.collect();
        held
    }
}

/// The values that a line must have: one of each.
fn wanted(filter: &Filter) -> Vec<Vec<String>> {
    let one =
        |key: &str, value: &Option<String>| value.iter().map(|value| hidden(key, value)).collect::<Vec<_>>();
    let decision = filter.decision.iter().map(|decision| hidden("decision", &word(decision))).collect();
    let kinds = filter.kinds.iter().map(|kind| hidden("kind", &word(kind))).collect();
    // What lies below a model is found by the model.
    let model = filter.model.as_ref().map(|name| name.split('/').next().unwrap_or_default().to_owned());
    let all = [
        one("principal", &filter.principal),
        one("operation", &filter.operation),
        one("model", &model),
        decision,
        kinds,
    ];
    all.into_iter().filter(|values: &Vec<String>| !values.is_empty()).collect()
}

fn model_of(object: &str) -> Option<&str> {
    object.strip_prefix("model:")?.split('/').next()
}

fn word(word: &impl Serialize) -> String {
    serde_json::to_string(word).unwrap_or_default()
}

fn hidden(key: &str, value: &str) -> String {
    let mut sum = Hash::of(format!("{key}\0{value}").as_bytes()).to_string();
    sum.truncate(16);
    sum
}
