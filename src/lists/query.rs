//! What is asked of MLflow's search, and how the question is narrowed to what the caller could see at all.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The longest narrowing: MLflow's server takes 64 KiB of head.
const LONGEST: usize = 8 * 1024;

/// One search of MLflow's, as the caller sent it but for its page.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The path, static prefix included.
    pub path: &'a str,
    /// The filter; empty is none.
    pub filter: &'a str,
    /// The order.
    pub order_by: &'a [&'a str],
}

impl Query<'_> {
    /// Path and query for rows from `offset` on, `most` at most.
    pub(super) fn write(&self, narrowed: Option<&str>, offset: u64, most: u64) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        match (narrowed, self.filter) {
            (None, "") => {}
            (None, filter) => {
                out.append_pair("filter", filter);
            }
            (Some(clause), "") => {
                out.append_pair("filter", clause);
            }
            (Some(clause), filter) => {
                out.append_pair("filter", &format!("{clause} AND {filter}"));
            }
        }
        out.append_pair("max_results", &most.to_string());
        for order in self.order_by {
            out.append_pair("order_by", order);
        }
        if offset > 0 {
            out.append_pair("page_token", &STANDARD.encode(format!("{{\"offset\": {offset}}}")));
        }
        format!("{}?{}", self.path, out.finish())
    }
}

/// A clause of MLflow's filters that only these models pass; nothing where the names need more than plain letters, or are
/// too many. MLflow then looks at nothing that the caller could not see, and no time is told by what is hidden.
#[must_use]
pub fn narrowing(names: &[&str]) -> Option<String> {
    let plain = |name: &&str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    let length: usize = names.iter().map(|name| name.len() + 4).sum();
    if names.is_empty() || length > LONGEST || !names.iter().all(plain) {
        return None;
    }
    Some(format!("name IN ('{}')", names.join("', '")))
}

/// Whether a pattern of the filter may end in an escape sign: PostgreSQL then fails on rows that the pattern matches so far,
/// and on no others, which would tell of rows that are hidden.
#[must_use]
pub fn may_fail_on_rows(filter: &str) -> bool {
    ["\\'", "\\\""].iter().any(|end| filter.contains(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_written_as_mlflow_reads_it() {
        let query = Query { path: "/p", filter: "name = 'ä b'", order_by: &["name DESC", ""] };
        assert_eq!(
            query.write(None, 7, 100),
            "/p?filter=name+%3D+%27%C3%A4+b%27&max_results=100&order_by=name+DESC&order_by=&page_token=eyJvZmZzZXQiOiA3fQ%3D%3D"
        );
        let bare = Query { filter: "", order_by: &[], ..query };
        assert_eq!(bare.write(None, 0, 1), "/p?max_results=1");
        assert_eq!(bare.write(Some("x"), 0, 1), "/p?filter=x&max_results=1");
        assert_eq!(Query { filter: "y", ..bare }.write(Some("x"), 0, 1), "/p?filter=x+AND+y&max_results=1");
    }

    #[test]
    fn only_plain_names_narrow() {
        assert_eq!(narrowing(&["iris", "a-b_c.d"]).as_deref(), Some("name IN ('iris', 'a-b_c.d')"));
        for names in [&[][..], &["a'b"], &["iris", "a b"], &["fraud_*"], &["é"], &[""], &["x"; 2000]] {
            assert_eq!(narrowing(names), None, "{names:?}");
        }
    }

    #[test]
    fn a_pattern_that_ends_in_an_escape_sign_is_seen() {
        for (filter, may) in [
            ("name LIKE 'vic\\'", true),
            ("name LIKE \"vic\\\"", true),
            ("name LIKE 'a\\b'", false),
            ("name = 'x'", false),
        ] {
            assert_eq!(may_fail_on_rows(filter), may, "{filter}");
        }
    }
}
