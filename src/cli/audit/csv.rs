//! Lines as rows of a table (RFC 4180), for spreadsheets.

use serde_json::{Map, Value};

use crate::review::Hit;

/// A line's keys in their order (DESIGN section 10).
const KEYS: [&str; 37] = [
    "seq",
    "id",
    "time",
    "kind",
    "principal",
    "roles",
    "token",
    "access",
    "peer",
    "method",
    "route",
    "operation",
    "object",
    "demands",
    "params",
    "dropped",
    "decision",
    "reason",
    "policy",
    "rows",
    "rules",
    "approvals",
    "evidence",
    "status",
    "upstream_status",
    "before",
    "after",
    "outcome",
    "intent",
    "abandoned",
    "count",
    "micros",
    "chain",
    "key",
    "signature",
    "prev",
    "hash",
];

/// The names of the columns: the folder of the line's chain, and its keys.
pub(super) fn head() -> String {
    let names: Vec<&str> = std::iter::once("instance").chain(KEYS).collect();
    names.join(",") + "\r\n"
}

/// A line. Lists and maps are told as JSON.
pub(super) fn row(hit: &Hit) -> String {
    let fields: Map<String, Value> = serde_json::from_slice(&hit.line).unwrap_or_default();
    let said = KEYS.into_iter().map(|key| match fields.get(key) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => cell(text),
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_))) => {
            cell(&other.to_string())
        }
    });
    let cells: Vec<String> = std::iter::once(cell(&hit.chain)).chain(said).collect();
    cells.join(",") + "\r\n"
}

/// A text that no spreadsheet takes for a formula, and no reader for two cells.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    // Some countries' spreadsheets take `;` for what parts cells.
    if text.contains([',', ';', '\t', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::chain::Tip;
    use crate::record::line::{Entry, Kind};

    #[test]
    fn a_cell_is_one_cell_and_no_formula() {
        for (text, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "\"'\t=1\""),
            ("x;=1", "\"x;=1\""),
            ("\r=1", "\"'\r=1\""),
            ("=\"a\",b", "\"'=\"\"a\"\",b\""),
            ("a=b", "a=b"),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
    }

    #[test]
    fn every_key_of_a_line_has_its_column_in_the_lines_order() {
        let mut entry = Entry::new("1", jiff::Timestamp::UNIX_EPOCH, Kind::Refusal);
        let known = serde_json::from_str::<Entry>("{\"nobody's\":1}").unwrap_err().to_string();
        let known: Vec<&str> = known.split('`').skip(3).step_by(2).collect();
        let chained = ["seq", "prev", "hash"];
        let keys: Vec<&str> = KEYS.into_iter().filter(|key| !chained.contains(key)).collect();
        assert_eq!(keys, known);
        entry.principal = Some("=1+1".to_owned());
        entry.roles = vec!["ci".to_owned(), "admin".to_owned()];
        entry.count = Some(3);
        let mut line = Vec::new();
        Tip::EMPTY.clone().link(&entry, &mut line).unwrap();
        line.pop();
        let hit = Hit { chain: "here".into(), seq: 1, time: jiff::Timestamp::UNIX_EPOCH, line };
        let row = row(&hit);
        assert!(
            row.starts_with(
                "here,1,1,1970-01-01T00:00:00.000000Z,refusal,'=1+1,\"[\"\"ci\"\",\"\"admin\"\"]\",,"
            ),
            "{row}"
        );
        assert!(row.ends_with("\r\n") && head().matches(',').count() == KEYS.len());
    }
}
