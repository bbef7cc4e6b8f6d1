//! Writes a long record to search in, to prove and to decide again: `cargo run --release --example long_record FOLDER LINES`.
//!
//! Lines look like those of a busy house over ninety days. 300 people and 2,000 models take turns; `rare@example.com` and
//! `rare_model` come once in 100,000 lines.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use sekisho::record::chain::Tip;
use sekisho::record::folder::{self, CURRENT, Form, PUBLIC_KEY, Segment};
use sekisho::record::key::{Signer, statement};
use sekisho::record::line::{Decision, Entry, Kind, Outcome};
use sekisho::record::retain;

/// As `audit.file_mb` is by default.
const FILE: usize = 64 * 1024 * 1024;
const CHAIN: &str = "here";
/// A head after so many lines.
const HEAD: u64 = 1_000;
const END: &str = "2026-11-30T00:00:00Z";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let root = PathBuf::from(arguments.next().ok_or("long_record FOLDER LINES")?);
    let folder = root.join(CHAIN);
    let lines: u64 = arguments.next().ok_or("long_record FOLDER LINES")?.parse()?;
    fs::create_dir_all(&folder)?;
    let (signer, _) = Signer::make()?;
    fs::write(root.join(PUBLIC_KEY), signer.public().pem())?;
    let begin = END.parse::<Timestamp>()? - SignedDuration::from_hours(90 * 24);
    let step = SignedDuration::from_hours(90 * 24).as_micros() / i128::from(lines.max(1));
    let (mut tip, mut text, mut first) = (Tip::EMPTY, Vec::new(), 1);
    for number in 0..lines {
        let after = i64::try_from(step * i128::from(number))?;
        let time = begin + SignedDuration::from_micros(after);
        tip.link(&entry(number, time), &mut text)?;
        if number % HEAD == HEAD - 1 || number + 1 == lines {
            let head = head(&signer, &tip, time);
            tip.link(&head, &mut text)?;
        }
        if text.len() >= FILE {
            close(&folder, &text, first, tip.seq)?;
            text.clear();
            first = tip.seq + 1;
        }
    }
    fs::File::create(folder.join(CURRENT))?.write_all(&text)?;
    Ok(())
}

fn close(folder: &Path, text: &[u8], first: u64, last: u64) -> std::io::Result<()> {
    let path = folder.join(folder::closed(first, last));
    fs::write(&path, text)?;
    retain::compress(&Segment { path, first, last, form: Form::Plain })
}

fn head(signer: &Signer, tip: &Tip, time: Timestamp) -> Entry {
    let mut head = Entry::new(format!("head-{}", tip.seq), time, Kind::Head);
    head.count = Some(HEAD);
    head.chain = Some(CHAIN.to_owned());
    head.key = Some(signer.public().name());
    head.signature = Some(signer.sign(&statement(CHAIN, tip, &head.time)));
    head
}

/// Numbers that look like chance, and are the same each time.
fn chance(number: u64, salt: u64) -> u64 {
    let mixed =
        (number ^ (salt << 32)).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33
}

fn entry(number: u64, time: Timestamp) -> Entry {
    let rare = number % 100_000 == 77_777;
    let (who, model) = (chance(number / 2, 1) % 300, chance(number / 2, 2) % 2_000);
    let of =
        |what: &str, number: u64| if rare { format!("rare{what}") } else { format!("number_{number}{what}") };
    let kind = match number % 10 {
        0..4 => Kind::Reads,
        4..6 => Kind::Refusal,
        even if even % 2 == 0 => Kind::Intent,
        _ => Kind::Outcome,
    };
    let (high, low, random) = (number >> 16, number & 0xffff, chance(number / 2, 3));
    let id = format!("0193{high:04x}-{low:04x}-7{who:03x}-8{model:03x}-{random:012x}");
    let mut entry = Entry::new(id, time, kind);
    entry.principal = Some(of("@example.com", who));
    entry.roles = vec!["ml_engineer".to_owned()];
    entry.access = vec!["*".to_owned()];
    entry.object = Some(format!("model:{}", of("_model", model)));
    let operation = match number % 4 {
        0 => "metadata_read",
        1 => "model_write",
        2 => "model_deploy",
        _ => "metadata_write",
    };
    entry.operation = Some(operation.to_owned());
    entry.policy = Some("5f1c8d0b6c0e4b0f9b7d5a3c1e2f4a6b".to_owned());
    entry.rows = vec!["policy.csv:23".to_owned()];
    entry.status = Some(if kind == Kind::Refusal { 403 } else { 200 });
    entry.decision = Some(if kind == Kind::Refusal { Decision::Deny } else { Decision::Allow });
    if kind == Kind::Reads {
        entry.count = Some(1 + who % 7);
        return entry;
    }
    entry.token = Some(format!("{:016x}", chance(who, 4)));
    entry.peer = Some(std::net::Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(who).unwrap_or(0)).into());
    entry.method = Some("POST".to_owned());
    entry.route = Some("/api/2.0/mlflow/model-versions/set-tag".to_owned());
    if kind == Kind::Refusal {
        let (who, object) = (of("@example.com", who), of("_model", model));
        entry.reason = Some(format!("{who} may not {operation} model:{object}: no policy row allows it"));
    }
    if kind == Kind::Intent {
        let said = [
            ("name", of("_model", model)),
            ("version", (who % 9).to_string()),
            ("key", "owner".to_owned()),
            ("value", of("@example.com", who)),
        ];
        entry.params.extend(said.map(|(key, value)| (key.to_owned(), value.into())));
    }
    if kind == Kind::Outcome {
        (entry.outcome, entry.intent, entry.upstream_status) =
            (Some(Outcome::Applied), Some(number), Some(200));
    }
    entry.micros = Some(800 + chance(number, 5) % 9_000);
    entry
}
