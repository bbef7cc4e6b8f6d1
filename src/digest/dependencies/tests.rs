//! Tests of what is read from requirements and environments.

use proptest::prelude::*;

use super::*;

fn texts(kind: Kind, text: &str) -> Texts {
    let mut texts = Texts::default();
    texts.keep(kind, text.as_bytes().to_vec());
    texts
}

#[track_caller]
fn check(kind: Kind, text: &str, expected: &[&str]) {
    assert_eq!(of(&texts(kind, text)), expected, "{text}");
}

#[test]
fn a_line_of_requirements() {
    for (line, expected) in [
        ("scikit-learn==1.3.2", Some("scikit-learn==1.3.2")),
        ("Scikit_Learn == 1.3.2", Some("scikit-learn==1.3.2")),
        ("zope...interface>=1,<2", Some("zope-interface<2,>=1")),
        ("torch==2.1.0+cu118", Some("torch==2.1.0+cu118")),
        ("pandas[Excel, parquet,parquet]~=2.0", Some("pandas[excel,parquet]~=2.0")),
        ("pandas[]", Some("pandas")),
        ("numpy (>=1.19, <2.0,)", Some("numpy<2.0,>=1.19")),
        ("numpy", Some("numpy")),
        ("a==1.0.0-alpha", Some("a==1.0.0a0")),
        ("a==1.*", Some("a==1.*")),
        ("a>1 ; python_version < \"3.8\"", Some("a>1; python_version < '3.8'")),
        ("a>1; no marker", Some("a>1")),
        ("a>1; os_name == \"'\"", Some("a>1")),
        (
            "a; (os_name == 'nt' or extra == 'b-') and os_name != 'x'",
            Some("a; (os_name == 'nt' or extra == 'b-') and os_name != 'x'"),
        ),
        ("a # b", Some("a")),
        ("a==1 --hash=sha256:00", Some("a==1")),
        ("a @ https://ada:secret@host/a.whl", Some("a")),
        ("a[b]@git+https://host/a", Some("a[b]")),
        ("", None),
        ("# a", None),
        ("-r other.txt", None),
        ("--index-url https://ada:secret@host", None),
        ("-e .", None),
        ("https://host/a.whl", None),
        ("git+https://host/a#egg=b", None),
        ("./a", None),
        ("/etc/passwd", None),
        ("a-", None),
        ("a- ==1", None),
        ("a[b-]", None),
        ("a[b", None),
        ("a b", None),
        ("a==", None),
        ("a==x", None),
        ("a==1 2", None),
        ("été==1", None),
        ("${HOME}==1", None),
    ] {
        assert_eq!(pip::of_line(line).as_deref(), expected, "{line}");
    }
}

#[test]
fn a_file_of_requirements() {
    check(Kind::Requirements, "b==1\r\n\na==2\nB==1.0 # again\nb==1\n", &["a==2", "b==1", "b==1.0"]);
    check(Kind::Requirements, "\u{feff}a==\\\n1 \\\n  --hash=x\nb", &["a==1", "b"]);
    check(Kind::Requirements, "# a \\\nb\nc \\", &["b", "c"]);
    check(Kind::Requirements, &format!("{}a\nb", "\\\n".repeat(10)), &["a", "b"]);
    check(Kind::Requirements, &format!("a; {}extra == 'b'\nb", "(".repeat(2_000)), &["a", "b"]);
    check(Kind::Requirements, &format!("{}\nb", "a".repeat(5_000)), &["b"]);
    check(Kind::Requirements, &format!("{}\nb", "a\\\n".repeat(5_000)), &["b"]);
}

#[test]
fn a_package_of_condas() {
    for (spec, expected) in [
        ("numpy", &["numpy"][..]),
        ("numpy=1.26", &["numpy==1.26.*"]),
        ("numpy=1.26.*", &["numpy==1.26.*"]),
        ("numpy==1.26.4", &["numpy==1.26.4"]),
        ("numpy=1.26.4=py310h8a23956_0", &["numpy==1.26.4"]),
        ("numpy==1.26.4=py310", &["numpy==1.26.4"]),
        ("numpy 1.26.4 py310", &["numpy==1.26.4"]),
        ("numpy 1.26*", &["numpy==1.26.*"]),
        ("numpy >=1.20,<2", &["numpy<2,>=1.20"]),
        ("numpy>=1.20.*", &["numpy>=1.20"]),
        ("numpy<=1.20", &["numpy<=1.20"]),
        ("numpy >= 1.20, < 2 py310", &["numpy<2,>=1.20"]),
        ("numpy!=1.20,1.*", &["numpy!=1.20,==1.*"]),
        ("numpy 1.20|1.21", &["numpy"]),
        ("numpy=1.20|=1.21", &["numpy"]),
        ("numpy=*", &["numpy"]),
        ("conda-forge::PyTorch=2.1", &["pytorch==2.1.*"]),
        ("conda-forge/linux-64::pytorch", &["pytorch"]),
        ("pytorch[version='>=2',build=cuda*]", &["pytorch"]),
        ("pip<=23.2.1", &["pip<=23.2.1"]),
        ("python=3.10.12", &[]),
        ("_libgcc_mutex=0.1", &[]),
        ("openssl=1.1.1w", &["openssl"]),
        ("https://host/numpy.tar.bz2", &[]),
    ] {
        check(Kind::Conda, &format!("dependencies:\n- \"{spec}\"\n"), expected);
    }
}

#[test]
fn the_files_that_mlflow_writes() {
    let conda = "channels:\n- conda-forge\ndependencies:\n- python=3.10.12\n- pip<=23.2.1\n- pip:\n  - mlflow==3.17.2\n  - \
                 -r more.txt\n  - scikit-learn==1.3.2\n- 7\n- {other: [a]}\nname: mlflow-env\n";
    check(Kind::Conda, conda, &["mlflow==3.17.2", "pip<=23.2.1", "scikit-learn==1.3.2"]);
    let env =
        "python: 3.10.12\nbuild_dependencies:\n- pip==23\ndependencies:\n- -r requirements.txt\n- Flask==3\n";
    check(Kind::PythonEnv, env, &["flask==3"]);
    for nothing in ["dependencies:\n", "name: x\n", "dependencies: []\n", "dependencies:\n- pip:\n"] {
        check(Kind::Conda, nothing, &[]);
        check(Kind::PythonEnv, nothing, &[]);
    }
}

#[test]
fn the_first_file_that_can_be_read_counts() {
    let files = |requirements: Option<&[u8]>, conda: Option<&str>, env: Option<&str>| {
        let mut texts = Texts::default();
        for (kind, text) in [
            (Kind::Requirements, requirements),
            (Kind::Conda, conda.map(str::as_bytes)),
            (Kind::PythonEnv, env.map(str::as_bytes)),
        ] {
            if let Some(text) = text {
                texts.keep(kind, text.to_vec());
            }
        }
        of(&texts)
    };
    let (conda, env) = (Some("dependencies: [b]"), Some("dependencies: [c]"));
    assert_eq!(files(Some(b"a"), conda, env), ["a"]);
    assert_eq!(files(Some(b""), conda, env), [""; 0]);
    assert_eq!(files(Some(b"\xff"), conda, env), ["b"]);
    assert_eq!(files(None, Some("dependencies: 7"), env), ["c"]);
    assert_eq!(files(None, Some("}"), None), [""; 0]);
    assert_eq!(files(None, None, None), [""; 0]);
}

#[test]
fn yaml_that_would_grow_is_none() {
    let anchors: String = (1..12)
        .map(|at| format!("a{at}: &a{at} [{}]\n", vec![format!("*a{}", at - 1); 10].join(",")))
        .collect();
    let bomb = format!("a0: &a0 [x]\n{anchors}dependencies: [numpy]\n");
    check(Kind::Conda, &bomb, &[]);
    check(Kind::Conda, &format!("dependencies: {}{}", "[".repeat(10_000), "]".repeat(10_000)), &[]);
    check(Kind::Conda, &format!("dependencies: [{}]", "a,".repeat(200_000)), &[]);
    check(Kind::Conda, "x: &a numpy\ndependencies: [*a]", &["numpy"]);
}

#[test]
fn a_tag_is_cut_between_dependencies() {
    let many: Vec<String> = (0..1_000).map(|at| format!("package-{at:04}==1.{at}")).collect();
    let tag = tag(&many);
    assert!(tag.len() <= LONGEST_TAG && tag.len() > LONGEST_TAG - 30, "{}", tag.len());
    let read: Vec<String> = serde_json::from_str(&tag).expect("JSON");
    assert_eq!(read, many[..read.len()]);
    assert_eq!(super::tag(&[]), "[]");
    assert_eq!(super::tag(&["a\"b".to_owned()]), r#"["a\"b"]"#);
    let lines: String = (0..MOST + 10).map(|at| format!("p{at}\n")).collect();
    assert_eq!(of(&texts(Kind::Requirements, &lines)).len(), MOST);
}

proptest! {
    /// What is found is found again in itself, and nothing makes the parsers panic.
    #[test]
    fn reading_again_changes_nothing(text in r#"([a-z]{1,3}[-_.\[\];@=<>~!,*'" 0-9a-z()#+\\\n:{}&-]{0,20}){0,6}"#) {
        let yaml = format!("dependencies: [{text}]");
        for (kind, text) in [
            (Kind::Requirements, &text), (Kind::Conda, &text), (Kind::Conda, &yaml), (Kind::PythonEnv, &yaml),
        ] {
            let found = of(&texts(kind, text));
            prop_assert_eq!(of(&texts(Kind::Requirements, &found.join("\n"))), found);
        }
    }
}
