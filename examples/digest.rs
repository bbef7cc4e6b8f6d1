//! Takes the digest of files that an MLflow has, and says how long it took:
//! `cargo run --release --example digest -- http://127.0.0.1:5000 run RUN_ID [PATH]` (or `model MODEL_ID [PATH]`).
#![expect(clippy::print_stdout, reason = "it prints its numbers")]
#![expect(clippy::expect_used, reason = "a measurement that cannot be made ends the program")]

use sekisho::clock::Clock;
use sekisho::digest::{self, Progress};
use sekisho::facts::{Facts, Holder};
use sekisho::ownership::Wanted;
use sekisho::upstream::{Address, Settings, Upstream};

#[tokio::main]
async fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let (url, kind, id, path) = match given.as_slice() {
        [url, kind, id] => (*url, *kind, *id, ""),
        [url, kind, id, path] => (*url, *kind, *id, *path),
        _ => ("", "", "", ""),
    };
    let holder = match kind {
        "run" => Holder::Run(id.to_owned()),
        "model" => Holder::LoggedModel(id.to_owned()),
        _ => {
            println!("usage: digest URL run|model ID [PATH]");
            std::process::exit(2);
        }
    };
    let Ok(url) = url.parse() else {
        println!("`{url}` is no address");
        std::process::exit(2);
    };
    let mlflow = Upstream::new(Settings::at(Address::Http(url))).expect("an upstream");
    let facts = Facts::new(None, std::sync::Arc::default());
    let held = facts.held(&mlflow, &holder).await.expect("an answer").expect("a run or logged model");
    let wanted = Wanted::of(holder, &held, path);
    let (clock, progress) = (Clock::system(), Progress::default());
    let started = clock.instant();
    match digest::take(&facts, &mlflow, &wanted, &progress).await {
        Ok(taken) => {
            let micros = clock.micros_since(started);
            let bytes: u64 = taken.files.iter().map(|file| file.size).sum();
            println!("{}", taken.digest);
            println!(
                "{} files, {bytes} bytes, {micros} us, {} MB/s",
                taken.files.len(),
                bytes / micros.max(1)
            );
            println!("{} KiB at most", peak_memory());
            println!("{}", digest::dependencies::tag(&taken.dependencies));
        }
        Err(error) => {
            println!("no digest: {error}");
            std::process::exit(1);
        }
    }
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.unwrap_or_default().trim().trim_end_matches(" kB").to_owned()
}
