//! What a name looks like, so that two names that people take for one another are not both given.
//!
//! Alike are names that differ by letters' case, by Unicode form (full width, ligatures, combining marks), by characters
//! that look the same (Cyrillic and Greek letters, `0` and `O`, `1`, `l` and `I`, `rn` and `m`: the confusables of UTS #39),
//! by characters that cannot be seen, or by blanks around them or more than one. Because `I` looks like `l` and is `i`,
//! `mail` and `mall` are alike, too: being alike must go round in a circle, and too much refused is safer than too little.
//! Not alike are names that a reader tells apart: `iris_1` and `iris_2`, `a_b`, `a-b` and `a b`, `café` and `cafe`.

use std::collections::HashMap;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection;

/// Two names look alike if, and only if, their skeletons are equal. A skeleton is its own. It is not for showing.
#[must_use]
pub fn skeleton(name: &str) -> String {
    if name.is_ascii() {
        let looks = name.chars().filter_map(|letter| PLAIN.get(letter as usize));
        return blanks_as_one(looks.flat_map(|look| look.chars()));
    }
    until_done(name)
}

/// Whether a character leaves no mark: controls, format characters, fillers.
pub(in crate::rules) fn is_unseen(letter: char) -> bool {
    matches!(letter, '\u{fff9}'..='\u{fffb}' | '\u{2800}')
        || letter.is_control()
        || confusable(letter).is_empty()
}

/// What one pass makes can be looked like in its turn (`Ⅰ` is `I` is `l`); no character needs more than this.
const MOST_PASSES: usize = 8;

static PLAIN: LazyLock<Vec<String>> = LazyLock::new(|| {
    let look = |letter: char| {
        if letter.is_whitespace() { " ".to_owned() } else { until_done(letter.encode_utf8(&mut [0; 4])) }
    };
    ('\0'..='\u{7f}').map(look).collect()
});

fn until_done(text: &str) -> String {
    let mut looks = once(text);
    for _ in 0..MOST_PASSES {
        let again = once(&looks);
        if again == looks {
            break;
        }
        looks = again;
    }
    looks
}

fn once(text: &str) -> String {
    // Unicode takes the lunate sigma for another form of `σ`, and it looks like a `c`.
    let seen = text.chars().map(|letter| if matches!(letter, 'ϲ' | 'Ϲ') { 'c' } else { letter });
    // A long name has few letters, but many of each.
    let mut known: HashMap<char, String> = HashMap::new();
    let mut looks = String::with_capacity(text.len());
    for letter in seen.nfkd() {
        looks.push_str(known.entry(letter).or_insert_with(|| of(letter)));
    }
    let mut kept = String::with_capacity(looks.len());
    for letter in looks.nfd() {
        // The dot of an `i` that was written with one more, which Turkish capitals become.
        let dotted = kept.ends_with(['l', 'j']) && letter == '\u{307}';
        if !dotted {
            kept.push(letter);
        }
    }
    blanks_as_one(kept.chars())
}

/// What one decomposed character looks like, in small letters.
fn of(letter: char) -> String {
    if letter.is_whitespace() || letter == '\u{2800}' {
        return " ".to_owned();
    }
    if is_unseen(letter) {
        return String::new();
    }
    let large: String = letter.to_uppercase().collect();
    let small = large.to_lowercase();
    if large == small {
        return confusable(letter);
    }
    let of_small = in_small(&small);
    let of_large = in_small(&large);
    // A letter looks like what either of its cases looks like.
    match (of_small == small, of_large == small) {
        (_, true) => of_small,
        (true, false) => of_large,
        (false, false) if of_small == of_large => of_small,
        (false, false) => match (of_small.is_ascii(), of_large.is_ascii()) {
            // These would make two Latin letters one: `ν` looks like `v`, `Ν` like `N`.
            (true, true) if letter.is_uppercase() => of_large,
            (true, true | false) => of_small,
            (false, true) => of_large,
            (false, false) => of_small,
        },
    }
}

fn in_small(text: &str) -> String {
    confusable_detection::skeleton(text).flat_map(char::to_lowercase).collect()
}

fn confusable(letter: char) -> String {
    let mut buffer = [0; 4];
    confusable_detection::skeleton(letter.encode_utf8(&mut buffer)).collect()
}

fn blanks_as_one(letters: impl Iterator<Item = char>) -> String {
    let mut text = String::new();
    for letter in letters {
        if letter != ' ' || !(text.is_empty() || text.ends_with(' ')) {
            text.push(letter);
        }
    }
    if text.ends_with(' ') {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests;
