//! Whether some text is matched by two patterns at once.

/// Whether any text at all is matched whole by both patterns, `*` being any run of characters (as
/// [`crate::glob::matches`] without a barrier reads it). Time grows with the product of the lengths.
#[must_use]
pub fn overlap(one: &str, other: &str) -> bool {
    // Backwards through the product of the two patterns: `row[j]` says whether the rest of `one` that has been walked
    // shares a text with `other[j..]`, the empty rest being the last.
    let other = other.as_bytes();
    let mut row: Vec<bool> = (0..=other.len()).map(|at| other.iter().skip(at).all(is_star)).collect();
    for byte in one.as_bytes().iter().rev() {
        row = with_one_more(*byte, other, &row);
    }
    row.first().copied().unwrap_or(false)
}

fn with_one_more(byte: u8, other: &[u8], shorter: &[bool]) -> Vec<bool> {
    let shares_without = |at: usize| shorter.get(at).copied().unwrap_or(false);
    let mut shares = is_star(&byte) && shares_without(other.len());
    let mut row = vec![shares];
    for (at, theirs) in other.iter().enumerate().rev() {
        // Beside a star either side may move on: the star ends there, or it takes the other's next byte.
        shares = if is_star(&byte) || is_star(theirs) {
            shares_without(at) || shares
        } else {
            byte == *theirs && shares_without(at + 1)
        };
        row.push(shares);
    }
    row.reverse();
    row
}

fn is_star(byte: &u8) -> bool {
    *byte == b'*'
}

#[cfg(test)]
mod tests {
    use super::super::matches;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_patterns_share_a_text_or_do_not() {
        for (one, other, expected) in [
            ("*", "", true),
            ("", "", true),
            ("a", "", false),
            ("*@a.com", "bob@*", true),
            ("*@a.com", "*@b.com", false),
            ("*@a.com", "*@b.a.com", false),
            ("*a.com", "*@b.a.com", true),
            ("alice", "alice", true),
            ("alice", "Alice", false),
            ("svc-*", "*-svc", true),
            ("a*b", "b*a", false),
            ("ab*", "a*b*c", true),
            ("*é", "é*", true),
            ("*é", "*è", false),
        ] {
            assert_eq!(overlap(one, other), expected, "{one} and {other}");
            assert_eq!(overlap(other, one), expected, "{other} and {one}");
        }
    }

    fn texts(alphabet: &[char], longest: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut last = all.clone();
        for _ in 0..longest {
            last = last.iter().flat_map(|text| alphabet.iter().map(move |c| format!("{text}{c}"))).collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    proptest! {
        /// A shortest shared text has at most one byte for each literal of the two patterns.
        #[test]
        fn agrees_with_trying_every_text(one in "[ab*]{0,4}", other in "[ab*]{0,4}") {
            let shared = texts(&['a', 'b'], 8)
                .iter()
                .any(|text| matches(&one, text, None) && matches(&other, text, None));
            prop_assert_eq!(overlap(&one, &other), shared);
        }
    }
}
