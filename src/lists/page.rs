//! A page while it fills, and as it is answered.

use bytes::Bytes;
use http::Response;

use super::{List, json};

/// The most bytes of rows in one page; one row goes through however long it is.
const LARGEST: usize = 16 * 1024 * 1024;

/// The rows of one page, as MLflow wrote them.
pub(super) struct Page {
    wanted: u64,
    held: u64,
    rows: Vec<u8>,
}

impl Page {
    pub(super) fn new(wanted: u64) -> Self {
        Self { wanted, held: 0, rows: Vec::new() }
    }

    /// How many more rows it takes.
    pub(super) fn missing(&self) -> u64 {
        self.wanted - self.held
    }

    /// Takes a row if it has room for it.
    pub(super) fn take(&mut self, row: &[u8]) -> bool {
        let fits = self.held == 0 || self.rows.len() + row.len() < LARGEST;
        if self.missing() == 0 || !fits {
            return false;
        }
        if self.held > 0 {
            self.rows.push(b',');
        }
        self.rows.extend_from_slice(row);
        self.held += 1;
        true
    }

    /// The answer, in the form that MLflow gives it: what is empty is not there.
    pub(super) fn answer(self, list: List, token: Option<String>) -> Response<Bytes> {
        let mut out = Vec::with_capacity(self.rows.len() + 512);
        out.push(b'{');
        if self.held > 0 {
            out.extend_from_slice(format!("\"{}\":[", list.name()).as_bytes());
            out.extend_from_slice(&self.rows);
            out.push(b']');
        }
        if let Some(token) = token {
            let comma = if self.held > 0 { "," } else { "" };
            out.extend_from_slice(format!("{comma}\"next_page_token\":\"{token}\"").as_bytes());
        }
        out.push(b'}');
        json(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_takes_what_it_has_room_for_and_never_none() {
        let mut page = Page::new(2);
        assert_eq!((page.take(b"1"), page.take(b"2"), page.take(b"3")), (true, true, false));
        let answer = page.answer(List::Models, Some("t".to_owned()));
        assert_eq!(answer.body(), r#"{"registered_models":[1,2],"next_page_token":"t"}"#);
        let mut page = Page::new(9);
        let large = "x".repeat(LARGEST);
        assert_eq!((page.take(large.as_bytes()), page.take(b"2")), (true, false));
        assert_eq!(Page::new(0).answer(List::Versions, None).body(), "{}");
        let answer = Page::new(0).answer(List::Versions, Some("t".to_owned()));
        assert_eq!(answer.body(), r#"{"next_page_token":"t"}"#);
    }
}
