//! The program as a shell sees it: what it prints, and how it ends.
#![expect(clippy::unwrap_used, reason = "a test that cannot begin must fail")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");

const FILES: [&str; 6] =
    ["model.conf", "policy.csv", "decisions.tsv", "rules.toml", "stages.toml", "metadata.schema.json"];

struct Site(TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(TempDir::new().unwrap());
        for name in FILES {
            std::fs::copy(Path::new(POLICIES).join(name), site.0.path().join(name)).unwrap();
        }
        site
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        self.command(arguments).envs(environment.iter().copied()).stdin(Stdio::null()).output().unwrap()
    }

    /// The same with something on standard input.
    fn asked(&self, arguments: &[&str], input: &str) -> Output {
        self.write("input", input);
        let input = std::fs::File::open(self.0.path().join("input")).unwrap();
        self.command(arguments).stdin(input).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let dir = self.0.path().display().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
        command
            .args(arguments)
            .env_clear()
            .env("SEKISHO_POLICIES__DIR", dir)
            .env("SEKISHO_SERVER__LISTEN", "127.0.0.1:0")
            .env("SEKISHO_ADMIN__LISTEN", "127.0.0.1:0")
            .env("SEKISHO_AUTH__HS256_SECRET", SECRET)
            .current_dir(self.0.path());
        command
    }

    #[track_caller]
    fn check(&self, arguments: &[&str], environment: &[(&str, &str)], code: i32, out: &str, err: &str) {
        let done = self.run(arguments, environment);
        let (stdout, stderr) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {stdout}{stderr}");
        assert!(stdout.contains(out), "{arguments:?} printed {stdout:?}");
        assert!(stderr.contains(err), "{arguments:?} complained {stderr:?}");
        assert!(!stderr.contains(SECRET) && !stdout.contains(SECRET));
    }
}

#[test]
fn what_cannot_be_had_stops_the_start_with_a_sentence() {
    let site = Site::new();
    let serve = &["serve"][..];
    site.check(serve, &[("SEKISHO_AUTH__HS256_SECRET", "hunter2")], 2, "", "the secret has 7 bytes");
    site.check(serve, &[("SEKISHO_POLICIES__DIR", "nowhere")], 2, "", "nowhere/policy.csv: cannot be read");
    site.check(serve, &[("SEKISHO_SERVER__LISTN", "x")], 2, "", "SEKISHO_SERVER__LISTEN");
    site.check(&["serve", "--config", "none.toml"], &[], 2, "", "none.toml: ");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    site.check(serve, &[("SEKISHO_SERVER__LISTEN", &address)], 2, "", "cannot listen on");
    site.write("policy.csv", "# nobody may do anything\n");
    site.check(serve, &[], 2, "", "policy.csv");
    let bare = Command::new(env!("CARGO_BIN_EXE_sekisho")).arg("serve").env_clear().output().unwrap();
    assert_eq!(bare.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&bare.stderr).contains("no key to verify tokens with"));
}

#[test]
fn check_names_every_mistake_and_ends_with_1() {
    let site = Site::new();
    site.check(&["check"], &[], 0, "ok\n", "");
    site.write("sekisho.toml", "[server]\nlistn = 1\n[policys]\n[auth]\nmode = \"maybe\"\n");
    let said = site.run(&["check", "--config", "sekisho.toml"], &[]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    for part in ["sekisho.toml:2: ", "sekisho.toml:3: ", "sekisho.toml:5: "] {
        assert!(said.contains(part), "{said}");
    }
    site.write("decisions.tsv", "role:ml_engineer\tadmin\tserver\tallow\n");
    site.check(&["check"], &[], 1, "decisions.tsv:1: ", "");
    site.check(&["check", "--output", "json"], &[], 1, "\"ok\":false", "");
}

#[test]
fn check_tries_names_and_ends_with_1_for_a_wrong_one() {
    let site = Site::new();
    let (good, other) = ("fraud_detection_xgboost_auc_prod", "recommendation_ensemble_rmse_dev");
    let check = ["check", "--names", "names"];
    site.write("names", &format!("{good}\r\n\n{other}\n{good}"));
    site.check(&check, &[], 0, "ok\n", "");
    site.write("names", "fraud_detection_neural_network_f1_staging\n");
    let what = "fraud_detection_neural_network_f1_staging: metric: `f1` is none of accuracy, auc, rmse, f1score; \
                did you mean `f1score`?\n";
    site.check(&check, &[], 1, what, "");
    site.check(&["check", "--names", "names", "--output", "json"], &[], 1, "\"ok\":false", "");
    site.write("names", &format!("{good}\n{}\n", good.replace('a', "\u{430}")));
    site.check(&check, &[], 1, &format!(": looks like `{good}` of line 1\n"), "");
    std::fs::write(site.0.path().join("names"), b"caf\xe9\n").unwrap();
    site.check(&check, &[], 1, "names:1: is not UTF-8\n", "");
    site.check(&["check", "--names", "none"], &[], 2, "", "cannot read none");
    site.check(&["check", "--names", "-"], &[], 0, "ok\n", "");
    assert_eq!(site.asked(&["check", "--names", "-"], "iris\n").status.code(), Some(1));
    assert_eq!(site.asked(&["check", "--names", "-"], good).status.code(), Some(0));
    site.write("rules.toml", "[names]\npatterns = ['{a}']\nwords.a = ['x', 'X']\n");
    for arguments in [&check[..], &["check"]] {
        site.check(
            arguments,
            &[],
            1,
            "rules.toml:3: `names.words.a`: `x` is given, and `X` looks like it",
            "",
        );
    }
    site.write("rules.toml", "");
    site.check(&check, &[], 1, "names:1: is not UTF-8\n", "");
    std::fs::remove_file(site.0.path().join("rules.toml")).unwrap();
    site.check(&["check"], &[], 1, "rules.toml: cannot be read", "");
}

#[test]
fn check_tells_of_rules_on_stages_that_make_no_sense_or_that_nobody_can_satisfy() {
    let site = Site::new();
    let shipped = std::fs::read_to_string(Path::new(POLICIES).join("stages.toml")).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(shipped.contains(from), "{from}");
        site.write("stages.toml", &shipped.replacen(from, to, 1));
    };
    let told = |expected: &str| site.check(&["check"], &[], 1, expected, "");
    changed("to = \"Shadow\"", "to = \"Shadwo\"");
    told(": `to`: `Shadwo` is no stage; did you mean `Shadow`?\n");
    changed("from = \"Staging\"\nto = \"Shadow\"", "from = \"Staging\"\nto = \"Deprecated\"");
    told(
        "stages.toml: Shadow cannot be reached from Development; where it is not used, list it as `unused`\n",
    );
    changed("final = [\"Deprecated\"]", "final = []");
    told("stages.toml: Deprecated cannot be left; where that is meant, list it as `final`\n");
    changed("required_approvals = 2", "required_approvals = 2\napprover_roles = [\"ci\"]");
    site.check(&["check"], &[], 0, "ok\n", "");
    // Counted from 1, the `[[transitions]]` before it.
    let line = shipped.lines().position(|line| line == "from = \"Canary\"").unwrap();
    let rows = std::fs::read_to_string(Path::new(POLICIES).join("policy.csv")).unwrap();
    site.write("policy.csv", &format!("{rows}p, role:ci, model:*/stage/Production, stage_approve, deny\n"));
    told(&format!(
        "stages.toml:{line}: from Canary to Production: 2 people with the role ci must approve besides the one who asks, \
         and policy.csv gives stage_approve on Production to nobody\n"
    ));
    site.write("stages.toml", &shipped);
    site.check(&["check"], &[], 0, "ok\n", "");
    site.write("policy.csv", &rows.replace("p, role:admin, model:*, stage_transition, allow\n", ""));
    told(
        ": from Archived to Production: nobody may ask for it: policy.csv gives stage_transition on both stages of one model",
    );
    std::fs::remove_file(site.0.path().join("stages.toml")).unwrap();
    told("stages.toml: cannot be read");
    site.check(&["serve"], &[], 2, "", "stages.toml: cannot be read");
}

#[test]
fn a_token_is_printed_alone_and_holds() {
    let site = Site::new();
    let issue = ["token", "issue", "--user", "ada", "--role", "ml_engineer", "--model-access", "iris"];
    let token = String::from_utf8(site.run(&issue, &[]).stdout).unwrap();
    assert_eq!(token.trim().split('.').count(), 3, "{token}");
    assert_eq!(token.lines().count(), 1);
    site.check(&["token", "inspect", token.trim()], &[], 0, "\"user_id\":\"ada\"", "");
    let other = [("SEKISHO_AUTH__HS256_SECRET", "fedcba9876543210fedcba9876543210")];
    site.check(&["token", "inspect", token.trim()], &other, 1, "verdict", "");
    site.check(&["token", "inspect", "nonsense"], &[], 1, "verdict", "");
    let only_ci = [("SEKISHO_AUTH__ROLES", "[\"ci\"]")];
    site.check(&issue, &only_ci, 2, "", "may not vouch");
    site.check(&["token", "issue", "--user", "ada", "--ttl", "soon"], &[], 2, "", "30m");
}

#[test]
fn can_i_says_yes_or_no_and_why() {
    let site = Site::new();
    let ask = |object: &'static str| {
        [
            "policy",
            "can-i",
            "model_write",
            object,
            "--as",
            "ada",
            "--role",
            "ml_engineer",
            "--model-access",
            "iris",
        ]
    };
    site.check(&ask("model:iris"), &[], 0, "yes\npolicy.csv:", "");
    site.check(&ask("model:iris2"), &[], 1, "no\nada may not model_write model:iris2", "");
    site.check(&ask("nonsense"), &[], 2, "", "nonsense");
    site.check(&["policy", "can-i", "fly", "server", "--as", "ada"], &[], 2, "", "model_write");
}

#[test]
fn coverage_ends_with_1_for_an_unknown_route() {
    let site = Site::new();
    site.write("routes", "GET /health\nGET /api/2.0/mlflow/registered-models/get\n");
    site.check(&["routes", "--coverage", "routes"], &[], 0, "2 in both, 0 unknown", "");
    site.write("routes", "GET /api/2.0/mlflow/invented\n");
    site.check(&["routes", "--coverage", "routes"], &[], 1, "GET /api/2.0/mlflow/invented", "");
    site.check(&["routes", "--coverage", "none"], &[], 2, "", "cannot read none");
    let said = site.run(&["routes", "--output", "json"], &[]);
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&said.stdout).unwrap();
    assert!(rows.len() > 500);
    for key in ["method", "path", "permission", "object", "access"] {
        assert!(rows.iter().all(|row| row.get(key).is_some_and(serde_json::Value::is_string)), "{key}");
    }
}

#[test]
fn approval_says_what_it_lacks_and_shows_no_token() {
    let site = Site::new();
    let list = &["approval", "list"][..];
    let token = ("MLFLOW_TRACKING_TOKEN", "not-a-token-of-anybody");
    site.check(list, &[token], 2, "", "set MLFLOW_TRACKING_URI, or give --url");
    let nowhere = ("MLFLOW_TRACKING_URI", "http://127.0.0.1:9");
    site.check(list, &[nowhere], 2, "", "set MLFLOW_TRACKING_TOKEN");
    site.check(
        list,
        &[("MLFLOW_TRACKING_URI", "databricks"), token],
        2,
        "",
        "must begin with http:// or https://",
    );
    let secret = ("MLFLOW_TRACKING_URI", "http://ann:0123456789abcdef0123456789abcdef@127.0.0.1:9");
    site.check(list, &[secret, token], 2, "", "must not hold a password");
    let done = site.run(list, &[nowhere, token]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("sekisho at 127.0.0.1 cannot be asked") && !said.contains("not-a-token"), "{said}");
    let both = [nowhere, token];
    site.check(&["approval", "request", "iris", "1", "Prod"], &both, 2, "", "stages are Development, ");
    site.check(&["approval", "request", "iris", "one", "Staging"], &both, 2, "", "VERSION");
    site.check(&["approval", "request", "iris", "1", "Staging", "--break-glass"], &both, 2, "", "--comment");
    site.check(&["approval", "approve", "0"], &both, 2, "", "NUMBER");
    site.check(&["approval", "reject", "7"], &both, 2, "", "--comment");
    site.check(&["approval", "withdraw"], &both, 2, "", "NUMBER");
    let help = site.run(&["approval", "show", "--help"], &both);
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.contains("MLFLOW_TRACKING_URI") && !help.contains("not-a-token"), "{help}");
}

/// A record of one chain with a line for each, in seconds from 2026-11-30.
fn record_of(folder: &Path, principals: &[&str]) -> Vec<String> {
    use sekisho::record::chain::Tip;
    use sekisho::record::line::{Decision, Entry, Kind};
    let (mut tip, mut text) = (Tip::EMPTY, Vec::new());
    for (second, principal) in principals.iter().enumerate() {
        let time = format!("2026-11-30T00:00:{second:02}Z").parse().unwrap();
        let mut entry = Entry::new(format!("id-{second}"), time, Kind::Refusal);
        entry.principal = Some((*principal).to_owned());
        entry.decision = Some(Decision::Deny);
        entry.object = Some("model:iris".to_owned());
        tip.link(&entry, &mut text).unwrap();
    }
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("current.jsonl"), &text).unwrap();
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_record_is_searched_by_what_its_lines_say() {
    let site = Site::new();
    let lines = record_of(&site.0.path().join("audit/here"), &["ann", "bob", "\u{1b}[2J", "ann"]);
    // Without `--dir` it is the configured one.
    let json = ["audit", "search", "--principal", "ann", "--output", "json"];
    let both = format!("{}\n{}\n", lines[0], lines[3]);
    assert_eq!(String::from_utf8_lossy(&site.run(&json, &[]).stdout), both);
    let search = |more: &[&str], expected: &[usize]| {
        let arguments = [&["audit", "search", "--dir", "audit", "--output", "json"], more].concat();
        let expected: String = expected.iter().map(|at| format!("{}\n", lines[*at])).collect();
        let done = site.run(&arguments, &[]);
        assert_eq!(String::from_utf8_lossy(&done.stdout), expected, "{more:?} {done:?}");
        assert_eq!((done.status.code(), done.stderr.len()), (Some(0), 0), "{done:?}");
    };
    search(&[], &[0, 1, 2, 3]);
    search(&["--reverse", "--limit", "2"], &[3, 2]);
    search(&["--since", "2026-11-30T00:00:01Z", "--until", "2026-11-30T01:00:02+01:00"], &[1]);
    search(&["--kind", "read", "--kind", "refusal", "--principal", "bob"], &[1]);
    search(&["--model", "iri"], &[]);
    search(&["--text", "ID-2 iris"], &[2]);
    let table = site.run(&["audit", "search", "--dir", "audit/here", "--id", "id-2"], &[]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("2026-11-30T00:00:02.000Z  \\u{1b}[2J  refusal  deny"), "{table}");
    let tail = site.run(&["audit", "tail", "--dir", "audit", "-n", "2", "--output", "json"], &[]);
    assert_eq!(String::from_utf8_lossy(&tail.stdout), format!("{}\n{}\n", lines[2], lines[3]));
    for (wrong, what) in [
        (&["audit", "search", "--dir", "audit", "--since", "soon"][..], "so long ago"),
        (&["audit", "search", "--dir", "audit", "--kind", "write"], "refusal"),
        (&["audit", "search", "--dir", "audit", "--config", "x"], "--dir"),
        (&["audit", "search", "--dir", "none"], "cannot read none"),
        (&["audit", "export", "--dir", "audit"], "--format"),
    ] {
        site.check(wrong, &[], 2, "", what);
    }
    std::fs::create_dir(site.0.path().join("empty")).unwrap();
    site.check(&["audit", "tail", "--dir", "empty"], &[], 1, "", "empty: there is no record");
}

#[test]
fn an_export_is_a_new_file_for_its_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new();
    let lines = record_of(&site.0.path().join("audit/here"), &["ann", "=1+1"]);
    let export = ["audit", "export", "--dir", "audit", "--format", "jsonl", "--to", "out"];
    let out = site.0.path().join("out");
    site.check(&export, &[], 0, "", "");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), format!("{}\n", lines.join("\n")));
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&out, "mine").unwrap();
    site.check(&export, &[], 2, "", "out cannot be made");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "mine");
    site.check(&["audit", "export", "--dir", "audit", "--format", "csv"], &[], 0, ",refusal,'=1+1,,", "");
}
