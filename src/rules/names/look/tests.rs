//! What looks alike, and what does not.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 4] = [
    "fraud_detection_neural_network_f1score_staging",
    "recommendation_xgboost_accuracy_dev",
    "demand_forecasting_ensemble_rmse_prod",
    "model_0_of_10",
];

/// Each way of disguising a name: all letters for which the table has one are replaced, and then each by itself.
const DISGUISES: [(&str, &[(&str, &str)]); 6] = [
    (
        "Cyrillic",
        &[("a", "а"), ("c", "с"), ("e", "е"), ("o", "о"), ("p", "р"), ("x", "х"), ("s", "ѕ"), ("y", "у")],
    ),
    ("Greek", &[("o", "ο"), ("a", "α"), ("v", "ν"), ("p", "ρ"), ("O", "Ο")]),
    ("digits", &[("o", "0"), ("l", "1"), ("0", "O"), ("1", "l"), ("1", "I"), ("l", "I"), ("l", "|")]),
    ("runs", &[("m", "rn"), ("rn", "m"), ("fi", "ﬁ"), ("ff", "ﬀ")]),
    (
        "unseen",
        &[("_", "_\u{200b}"), ("e", "\u{200d}e"), ("a", "\u{ad}a"), ("n", "\u{2060}n"), ("r", "r\u{fe0f}")],
    ),
    ("dashes", &[("_", "＿"), ("_", "ߺ"), ("1", "𝟏"), ("e", "𝐞"), ("n", "𝒏"), ("o", "º"), ("s", "ₛ")]),
];

fn disguised(name: &str) -> Vec<String> {
    let wide = |letter: char| {
        let code = letter as u32;
        if letter.is_ascii_graphic() { char::from_u32(code + 0xfee0).unwrap_or(letter) } else { letter }
    };
    let mut all = vec![
        name.to_uppercase(),
        name.replace("_d", "_D"),
        name.chars().map(wide).collect(),
        format!("{name} "),
        format!("\u{a0}{name}\u{3000}"),
        format!("{name}\t"),
        format!("\u{feff}{name}"),
        format!("{name}\u{200b}"),
        format!("{name}\u{2800}"),
        format!("{name}\u{3164}"),
        format!("{name}\u{202e}"),
        format!("{name}\u{e0041}"),
        format!("{name}\0"),
    ];
    for (_, table) in DISGUISES {
        for (from, to) in table.iter().filter(|(from, _)| name.contains(from)) {
            all.push(name.replace(from, to));
            all.push(name.replacen(from, to, 1));
            // A capital `ν` is no `V`.
            all.extend(
                (*to != "ν").then(|| name.to_uppercase().replace(&from.to_uppercase(), &to.to_uppercase())),
            );
        }
    }
    all
}

#[test]
fn two_hundred_disguises_are_seen_through() {
    let mut tried = HashSet::new();
    for name in NAMES {
        let look = skeleton(name);
        for disguise in disguised(name) {
            if disguise != name {
                assert_eq!(skeleton(&disguise), look, "{disguise:?} for {name:?}");
                tried.insert(disguise);
            }
        }
    }
    assert!(tried.len() >= 200, "{}", tried.len());
}

#[test]
fn pairs_that_people_take_for_one_another() {
    for (one, other) in [
        ("Iris", "lris"),
        ("AI_model", "Al_model"),
        ("mail", "mall"),
        ("Hello", "Ηello"),
        ("Bank", "Вank"),
        ("value", "νalue"),
        ("вера", "ВЕРА"),
        ("Straße", "STRASSE"),
        ("straße", "strasse"),
        ("café", "cafe\u{301}"),
        ("CAFÉ", "café"),
        ("ﬁlm", "film"),
        ("ĳs", "ijs"),
        ("İris", "iris"),
        ("ıris", "iris"),
        ("Å", "Å"),
        ("Ｋ", "K"),
        ("①", "1"),
        ("a  b", "a b"),
        ("a\u{a0}b", "a b"),
        ("modern", "modem"),
        ("½", "1⁄2"),
        ("ΣΟΦΟΣ", "σοφος"),
        ("Ꭰata", "Data"),
        ("ϲhurn", "churn"),
    ] {
        assert_eq!(skeleton(one), skeleton(other), "{one} {other}");
    }
}

#[test]
fn pairs_that_a_reader_tells_apart() {
    for (one, other) in [
        ("iris_1", "iris_2"),
        ("iris_10", "iris_11"),
        ("a_b", "a-b"),
        ("a_b", "a b"),
        ("a_b", "ab"),
        ("a b", "ab"),
        ("café", "cafe"),
        ("naïve", "naive"),
        ("vat", "nat"),
        ("u", "y"),
        ("n", "h"),
        ("b", "d"),
        ("s", "5"),
        ("x", "×y"),
        ("v1", "v2"),
        ("дом", "том"),
        ("東京", "京都"),
        ("कि", "कु"),
        ("bán", "bàn"),
        ("fraud_detection_xgboost_auc_dev", "fraud_detection_xgboost_auc_prod"),
    ] {
        assert_ne!(skeleton(one), skeleton(other), "{one} {other}");
    }
}

/// Letters of different classes stay different: what is refused too much is `i` for `l` alone.
#[test]
fn the_latin_alphabet_falls_into_few_classes() {
    let classes: HashSet<String> =
        ('a'..='z').chain('0'..='9').map(|letter| skeleton(&letter.to_string())).collect();
    assert_eq!(classes.len(), 36 - "il1".len() + 1 - "o0".len() + 1, "{classes:?}");
}

/// The letters whose two cases look like two Latin letters, which would become one.
const TORN: &str = "ΝνΥυϬϭƼƽՅյ";

/// Characters that Unicode takes for a form of one thing, and that look like another.
const TWO_FACED: &str = "\u{b4}\u{b8}\u{17f}\u{2dc}\u{2dd}\u{384}\u{1c84}\u{1dba}\u{1fbd}\u{1fbf}\u{1fc0}\u{1ffd}\u{1ffe}\u{fb05}\u{fe30}\u{fe31}\u{fe3f}\u{fe58}\u{1ee64}";

#[test]
fn over_all_characters() {
    let many = ('\0'..'\u{3400}')
        .chain('\u{a000}'..'\u{ac00}')
        .chain('\u{e000}'..='\u{1ffff}')
        .chain('\u{e0000}'..'\u{e1000}');
    let warang = '\u{118a0}'..='\u{118df}';
    for letter in many.filter(|letter| *letter != '\u{307}') {
        let text = letter.to_string();
        let look = skeleton(&text);
        assert_eq!(skeleton(&look), look, "{letter:?} is not done after one skeleton");
        if skeleton(&text.to_uppercase()) != skeleton(&text.to_lowercase()) {
            let torn = text.nfd().next().is_some_and(|base| TORN.contains(base) || warang.contains(&base));
            assert!(torn, "{letter:?} looks other in its other case");
        }
        let like = confusable(letter);
        if like.is_ascii() && skeleton(&like) != look && !letter.is_whitespace() {
            assert!(TWO_FACED.contains(letter), "{letter:?} U+{:x} looks like {like}", u32::from(letter));
        }
    }
}

#[test]
fn a_megabyte_is_looked_at() {
    for text in [
        "a".repeat(1 << 20),
        "é".repeat(1 << 19),
        "Вν".repeat(1 << 18),
        "ﷺ".repeat(1 << 18),
        "a\u{301}".repeat(1 << 18),
    ] {
        assert!(!skeleton(&text).is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_skeleton_is_its_own(name in "(?s).{0,20}|[a-zA-Z0-9 _.-]{0,20}|[а-яА-Яα-ωΑ-Ω\u{300}-\u{36f}ilI1 ]{0,12}") {
        let look = skeleton(&name);
        prop_assert_eq!(skeleton(&look), look);
    }

    /// The short way for plain names and the long way say the same.
    #[test]
    fn plain_names_are_looked_at_as_others(name in "[ -~\t]{0,24}") {
        prop_assert_eq!(skeleton(&format!("{name}\u{200b}")), skeleton(&name));
    }

    #[test]
    fn forms_of_one_text_look_alike(name in "\\PC{0,12}") {
        let look = skeleton(&name);
        prop_assert_eq!(skeleton(&name.nfc().collect::<String>()), &*look);
        let lunate = name.contains(['ϲ', 'Ϲ']);
        prop_assert!(lunate || skeleton(&name.nfkc().collect::<String>()) == look);
        prop_assert_eq!(skeleton(&name.nfd().collect::<String>()), &*look);
        prop_assert_eq!(skeleton(&format!(" {name} ")), look);
    }
}
