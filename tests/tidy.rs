//! The habits of the source tree that no lint can hold: each check is a function from a file's text to its faults.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "what a test's own scaffolding finds wrong ends the test"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms in the order in which a request meets them; a room imports only from the lines above its own.
const ROOMS: &[&[&str]] = &[
    &["clock", "glob", "stage"],
    &["ids", "mistake", "operation", "principal", "secret"],
    &["seal", "share", "stall", "drain", "ready", "outbound", "record", "workers"],
    &["review"],
    &["listen"],
    &["limit"],
    &["authn"],
    &["route"],
    &["rules", "store"],
    &["authz"],
    &["govern", "stages", "upstream"],
    &["cache"],
    &["facts", "filter"],
    &["index"],
    &["lists", "ownership", "registry"],
    &["aftermath", "digest"],
    &["audit"],
    &["replay", "reject"],
    &["pipeline"],
    &["admin"],
    &["app"],
    &["config"],
    &["cli"],
    &["main", "lib"],
];

/// Dependencies that decide, parse what is hostile or hold the process together, and the rooms that may name them.
const OWNERS: &[(&str, &[&str])] = &[
    ("casbin", &["authz"]),
    ("jsonwebtoken", &["authn"]),
    ("rustls", &["listen", "outbound", "upstream"]),
    ("tokio_rustls", &["listen", "outbound", "upstream"]),
    ("hyper_rustls", &["listen", "outbound", "upstream"]),
    ("governor", &["limit"]),
    ("notify", &["authz"]),
    ("graphql_parser", &["route"]),
    ("jsonschema", &["rules"]),
    ("unicode_normalization", &["rules"]),
    ("unicode_security", &["rules"]),
    ("sqlx", &["store"]),
    ("serde_saphyr", &["digest"]),
    ("pep508_rs", &["digest"]),
    ("pep440_rs", &["digest", "registry"]),
    ("zstd", &["record"]),
    ("clap", &["cli"]),
    ("anyhow", &["cli", "main"]),
];

/// What casbin offers and nobody here may take: a switch that allows everything, a cache that compares hashes alone,
/// matchers that cross segments or panic, and a reload in place.
const CASBIN_TRAPS: [&str; 4] = ["enable_enforce", "CachedEnforcer", "keyMatch", "load_policy("];

const SUPPRESSIONS: [&str; 6] = ["#[allow", "#![allow", "#[ignore]", "todo!(", "unimplemented!(", "dbg!("];

const NO_NAMES: [&str; 6] = ["utils", "helpers", "common", "misc", "manager", "types"];

const LONGEST: usize = 400;

/// A file of the tree, its path relative to the repository.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// `authz` for `src/authz.rs` and for everything below `src/authz/`.
    fn room(&self) -> String {
        let below = self.path.strip_prefix("src").expect("a file of src");
        let first = below.iter().next().expect("a name");
        first.to_string_lossy().trim_end_matches(".rs").to_owned()
    }

    /// The lines that ship: items under `#[cfg(test)]` are left out.
    fn shipped(&self) -> Vec<&str> {
        let (mut kept, mut lines) = (Vec::new(), self.text.lines());
        while let Some(line) = lines.next() {
            if line.trim() != "#[cfg(test)]" {
                kept.push(line);
                continue;
            }
            let indent = line.len() - line.trim_start().len();
            let ends = |line: &str| line.len() - line.trim_start().len() == indent && line.trim() == "}";
            let one_line = lines.next().is_some_and(|item| item.trim_end().ends_with(';'));
            if !one_line {
                lines.by_ref().find(|line| ends(line));
            }
        }
        kept
    }

    /// The shipped lines without comments.
    fn code(&self) -> String {
        let code = self.shipped().into_iter().filter(|line| !line.trim_start().starts_with("//"));
        code.collect::<Vec<_>>().join("\n")
    }

    /// The names of modules that are declared for tests alone.
    fn test_modules(&self) -> Vec<&str> {
        let lines: Vec<&str> = self.text.lines().map(str::trim).collect();
        let declared = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]");
        declared.filter_map(|pair| pair[1].rsplit_once("mod ")?.1.strip_suffix(';')).collect()
    }
}

/// The first names after each `root::`, groups in braces taken apart.
fn named_after(code: &str, root: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(root) {
        if code[..at].ends_with(|before: char| is_word(before) || before == ':' || before == '$') {
            continue;
        }
        let rest = &code[at + root.len()..];
        match rest.strip_prefix('{') {
            None => found.push(word(rest)),
            Some(group) => {
                let mut depth = 0_i32;
                let mut item = String::new();
                for letter in group.chars() {
                    match letter {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => found.push(word(std::mem::take(&mut item).trim())),
                        _ if depth == 0 => item.push(letter),
                        _ => {}
                    }
                }
                found.push(word(item.trim()));
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn word(text: &str) -> String {
    text.chars().take_while(|letter| is_word(*letter)).collect()
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

fn imports_ahead(source: &Source) -> Vec<String> {
    let rank = |room: &str| ROOMS.iter().position(|rooms| rooms.contains(&room));
    let room = source.room();
    let Some(own) = rank(&room) else { return vec![format!("`{room}` is no room that the order knows")] };
    let used = named_after(&source.code(), "crate::");
    let ahead = used.iter().filter(|used| **used != room && rank(used).is_none_or(|rank| rank >= own));
    ahead.map(|used| format!("`{room}` imports `{used}`, which does not lie before it")).collect()
}

fn strangers(source: &Source) -> Vec<String> {
    let (room, code) = (source.room(), source.code());
    let mut faults = Vec::new();
    for (name, owners) in OWNERS {
        let used = !named_after(&code, &format!("{name}::")).is_empty()
            || [format!("use {name};"), format!("use {name} as")].iter().any(|text| code.contains(text));
        if used && !owners.contains(&room.as_str()) {
            faults.push(format!("`{name}` is for {owners:?} alone"));
        }
    }
    if room != "config" && named_after(&code, "std::").iter().any(|name| name == "env") {
        faults.push("the environment is read in `config` alone".to_owned());
    }
    faults
}

fn traps(text: &str) -> Vec<String> {
    let found = CASBIN_TRAPS.into_iter().filter(|trap| text.contains(trap));
    found.map(|trap| format!("casbin's `{trap}` must not be used")).collect()
}

fn shape(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    if !source.text.starts_with("//! ") {
        faults.push("the first line does not say what the file is for".to_owned());
    }
    let lines = source.shipped().len();
    if lines > LONGEST {
        faults.push(format!("{lines} lines are shipped, and {LONGEST} are the most"));
    }
    let stem = source.path.file_stem().expect("a file has a name").to_string_lossy();
    if NO_NAMES.contains(&&*stem) || stem == "mod" {
        faults.push(format!("`{stem}` names no room"));
    }
    faults
}

fn suppressions(source: &Source) -> Vec<String> {
    let code = source.text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let found = code.flat_map(|line| SUPPRESSIONS.into_iter().filter(|word| line.contains(word)));
    found.map(|word| format!("`{word}` hides something")).collect()
}

/// Every Rust file below `dir`, but for what runs of the tests have put into hidden folders.
fn tree(dir: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut files) = (vec![root.join(dir)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder that can be read") {
            let path = entry.expect("an entry").path();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if hidden {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a file that can be read");
                files.push(Source { path: path.strip_prefix(root).expect("below the root").into(), text });
            }
        }
    }
    files
}

/// The files of `src` that ship: neither declared for tests nor below such a file.
fn shipped_tree() -> Vec<Source> {
    let mut files = tree("src");
    let only_tests: Vec<PathBuf> = files
        .iter()
        .flat_map(|file| {
            let home = match file.path.file_stem().expect("a name").to_str() {
                Some("lib" | "main") => PathBuf::from("src"),
                _ => file.path.with_extension(""),
            };
            file.test_modules().into_iter().map(move |name| home.join(name)).collect::<Vec<_>>()
        })
        .collect();
    files.retain(|file| !only_tests.iter().any(|tests| file.path.with_extension("").starts_with(tests)));
    files
}

#[track_caller]
fn none(faults: Vec<(PathBuf, Vec<String>)>) {
    let told: Vec<String> = faults
        .into_iter()
        .flat_map(|(path, faults)| {
            faults.into_iter().map(move |fault| format!("{}: {fault}", path.display()))
        })
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

#[track_caller]
fn hold(files: &[Source], check: impl Fn(&Source) -> Vec<String>) {
    assert!(files.len() > 20, "only {} files were found", files.len());
    none(files.iter().map(|file| (file.path.clone(), check(file))).collect());
}

#[test]
fn imports_look_back_along_the_path() {
    hold(&shipped_tree(), imports_ahead);
}

#[test]
fn every_risky_dependency_has_one_owner() {
    hold(&shipped_tree(), strangers);
}

#[test]
fn what_casbin_should_not_have_is_not_used() {
    hold(&shipped_tree(), |file| traps(&file.code()));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let model = fs::read_to_string(root.join("policies/model.conf")).expect("a model");
    assert_eq!(traps(&model), [""; 0]);
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    hold(&shipped_tree(), shape);
    let tests: Vec<Source> = tree("src").into_iter().chain(tree("tests")).collect();
    hold(&tests, |file| shape(file).into_iter().filter(|fault| !fault.contains("are shipped")).collect());
}

#[test]
fn nothing_is_hushed_up() {
    let all = tree("src").into_iter().chain(tree("tests"));
    let all: Vec<Source> = all.filter(|file| !file.path.ends_with("tests/tidy.rs")).collect();
    hold(&all, suppressions);
}

#[track_caller]
fn faults_of(check: impl Fn(&Source) -> Vec<String>, path: &str, text: &str, expected: usize) {
    let found = check(&Source::new(path, text));
    assert_eq!(found.len(), expected, "{path}: {text}\n{found:?}");
}

#[test]
fn an_import_that_looks_ahead_is_found() {
    let check = |path, text, expected| faults_of(imports_ahead, path, text, expected);
    check("src/route.rs", "use crate::operation::Access;", 0);
    check("src/route/find.rs", "use crate::route::table;", 0);
    check("src/route.rs", "use crate::authz::Permit;", 1);
    check("src/route/find.rs", "fn x() { crate::pipeline::x() }", 1);
    check("src/route.rs", "use crate::{operation::{Access, Demand},\n authz::Permit, cli};", 2);
    check("src/ids.rs", "use crate::secret::Secret;", 1);
    check("src/ids.rs", "use crate::nowhere::X;", 1);
    check("src/cellar.rs", "", 1);
    check("src/route.rs", "// use crate::authz::Permit;\n#[cfg(test)]\nuse crate::authz::Permit;", 0);
    check("src/route.rs", "#[cfg(test)]\nmod tests {\n    use crate::cli;\n}\nuse crate::cli;", 1);
}

#[test]
fn a_dependency_in_another_room_is_found() {
    let check = |path, text, expected| faults_of(strangers, path, text, expected);
    check("src/authz/engine.rs", "use casbin::Enforcer;", 0);
    check("src/route.rs", "use casbin::Enforcer;", 1);
    check("src/route.rs", "use casbin;", 1);
    check("src/route.rs", "fn x(e: anyhow::Error, r: rustls::Error) {}", 2);
    check("src/route.rs", "use tokio_rustls::TlsConnector;", 1);
    check("src/route.rs", "fn x() { crate::authz::notify::x() }", 0);
    check("src/config.rs", "fn x() { std::env::vars() }", 0);
    check("src/cli.rs", "fn x() { std::env::vars() }", 1);
    check("src/cli.rs", "use std::{env, fs};", 1);
    check("src/cli.rs", "const V: &str = env!(\"CARGO_PKG_VERSION\");", 0);
}

#[test]
fn a_shapeless_file_is_found() {
    let check = |path, text: &str, expected| faults_of(shape, path, text, expected);
    check("src/ids.rs", "//! Names.", 0);
    check("src/ids.rs", "use x;", 1);
    check("src/ids/utils.rs", "//! Names.", 1);
    check("src/ids/mod.rs", "//! Names.", 1);
    check("src/ids.rs", &format!("//! Names.{}", "\nx".repeat(LONGEST - 1)), 0);
    check("src/ids.rs", &format!("//! Names.{}", "\nx".repeat(LONGEST)), 1);
    check("src/ids.rs", "", 1);
    let tested = format!("//! Names.\n#[cfg(test)]\nmod tests {{{}\n}}", "\n    x".repeat(LONGEST));
    check("src/ids.rs", &tested, 0);
}

#[test]
fn what_hides_something_is_found() {
    let check = |text, expected| faults_of(suppressions, "src/ids.rs", text, expected);
    check("#[expect(dead_code, reason = \"x\")]\n#[ignore = \"needs a printer\"]", 0);
    check("#[allow(dead_code)]", 1);
    check("#[ignore]", 1);
    check("fn x() { todo!() }\nfn y() { dbg!(1) }", 2);
    assert_eq!(
        traps("e.enable_enforce(false); e.load_policy().await"),
        ["casbin's `enable_enforce` must not be used", "casbin's `load_policy(` must not be used"]
    );
    assert_eq!(traps("load_policy_line(x)"), [""; 0]);
}
