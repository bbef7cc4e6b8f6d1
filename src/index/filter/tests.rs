//! Which filters are read, and as what.

use super::*;

fn read(text: &str) -> Option<String> {
    let hasher = Hasher::default();
    let filter = Filter::read(Kind::Versions, text, &hasher)?;
    let likes =
        filter.likes.iter().map(|like| format!("{}{}", if like.any_case { "i" } else { "" }, like.pattern));
    let known = [hasher.tag("k", "v"), hasher.tag("a.b", "v"), hasher.tag("k é", "v"), hasher.run("v")];
    let key = |key: &u64| known.iter().position(|known| known == key).map_or("?".into(), |at| at.to_string());
    Some(format!(
        "{}{} {} {}",
        if filter.prompts { "prompts " } else { "" },
        filter.names.join(","),
        likes.collect::<Vec<_>>().join(","),
        filter.keys.iter().map(key).collect::<Vec<_>>().join(","),
    ))
}

#[test]
fn what_clients_send_is_read() {
    for (text, expected) in [
        ("", "  "),
        ("name = 'x'", "x  "),
        ("name=\"x y\"", "x y  "),
        ("name  =  'é%'", "é%  "),
        ("name LIKE '%a_%'", " %a_% "),
        ("name iLike 'A'  and  tags.k = 'v'", " iA 0"),
        ("tags.a.b = \"v\"", "  1"),
        ("tag.`k é` = 'v' AND run_id = 'v'", "  2,3"),
        ("tags.`mlflow.prompt.is_prompt` = 'true' AND name = 'x'", "prompts x  "),
        ("name='x' AND tags.mlflow.prompt.is_prompt='true'", "prompts x  "),
        ("tag.`mlflow.prompt.is_prompt` != 'true'", "  "),
        ("tags.`mlflow.prompt.is_prompt` = 'false' AND tags.k='v'", "  0"),
        ("name = 'x' AND name = 'y'", "x,y  "),
    ] {
        assert_eq!(read(text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn whatever_else_there_is_goes_to_mlflow() {
    for text in [
        " ",
        "name",
        "name = x",
        "name = 'x",
        "name = 'x''y'",
        "name = 'x\\'",
        "name = 'it\"s'",
        "name = 'x' OR name = 'y'",
        "name = 'x' AND ",
        "name = 'x'AND run_id = 'v'",
        "name = 'x';",
        "name != 'x'",
        "name IN ('x')",
        "NAME = 'x'",
        "nameLIKE 'x'",
        "name LIKE 'é'",
        "name LIKE 'a\\_'",
        "tags.k != 'v'",
        "tags.k LIKE 'v'",
        "tags.k = ''",
        "tags.k-x = 'v'",
        "tags.from = 'v'",
        "tags.a.Values = 'v'",
        "tags.1k = 'v'",
        "tags.'k' = 'v'",
        "tags.`` = 'v'",
        "run_id = ''",
        "run_id LIKE 'v'",
        "version_number = 1",
        "source_path = 's'",
        "tags.`mlflow.prompt.is_prompt` = 'True'",
        "tags.`mlflow.prompt.is_prompt` != 'false'",
        "tags.`mlflow.prompt.is_prompt` = 'true' AND tags.`mlflow.prompt.is_prompt` = 'true'",
        "(name = 'x')",
        "name = 'x\t'",
        "\nname = 'x'",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
    let hasher = Hasher::default();
    assert_eq!(Filter::read(Kind::Models, "run_id = 'v'", &hasher), None);
}

#[test]
fn patterns_match_as_in_sql() {
    for (pattern, name, plain, any_case) in [
        ("a%", "abc", true, true),
        ("%c", "abc", true, true),
        ("%b%", "abc", true, true),
        ("a_c", "abc", true, true),
        ("A_C", "abc", false, true),
        ("a_c", "aéc", true, true),
        ("%", "", true, true),
        ("", "", true, true),
        ("", "a", false, false),
        ("_", "", false, false),
        ("%a%a%", "banana", true, true),
        ("%nan_", "banana", true, true),
        ("%ana", "banana", true, true),
        ("b%n", "banana", false, false),
        ("%A%X", "banana", false, false),
        ("a%%c", "ac", true, true),
    ] {
        let matches = |any_case| Like::new(pattern, any_case).is_some_and(|like| like.matches(name));
        assert_eq!((matches(false), matches(true)), (plain, any_case), "{pattern} {name}");
    }
}
