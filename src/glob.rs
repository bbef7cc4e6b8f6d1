//! `*` in a name: any run of characters, in one pass and without backtracking into exponential time.

mod overlap;

pub use overlap::overlap;

/// Whether `text` is matched whole by `pattern`, in which `*` stands for any run of characters that are not `barrier`.
/// Bytes are compared as they are: no case folding, no Unicode normalisation.
#[must_use]
pub fn matches(pattern: &str, text: &str, barrier: Option<u8>) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), text.get(t)) {
            (Some(b'*'), _) => {
                retry = Some((p + 1, t));
                p += 1;
            }
            (Some(expected), Some(found)) if expected == found => {
                p += 1;
                t += 1;
            }
            (None, None) => return true,
            _ => match retry {
                Some((after_star, from)) if text.get(from).is_some_and(|byte| Some(*byte) != barrier) => {
                    retry = Some((after_star, from + 1));
                    p = after_star;
                    t = from + 1;
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_stop_at_the_barrier() {
        for (pattern, text, expected) in [
            ("fraud_*", "fraud_xgb", true),
            ("fraud_*", "fraud", false),
            ("*", "", true),
            ("*_prod", "a_b_prod", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("model:*", "model:x/stage/Production", false),
            ("model:*/stage/Production", "model:x/stage/Production", true),
            ("model:*/stage/*", "model:x/alias/y", false),
            ("é*", "été", true),
            ("é*", "ete", false),
        ] {
            assert_eq!(matches(pattern, text, Some(b'/')), expected, "{pattern} on {text}");
        }
    }

    fn by_recursion(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                by_recursion(rest, text)
                    || text
                        .split_first()
                        .is_some_and(|(byte, after)| *byte != b'/' && by_recursion(pattern, after))
            }
            (Some((p, rest)), Some((t, after))) => p == t && by_recursion(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*/]{0,8}", text in "[ab/]{0,10}") {
            prop_assert_eq!(
                matches(&pattern, &text, Some(b'/')),
                by_recursion(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
