//! House rules, and the names that are held to them.

use std::path::Path;

use sekisho::rules::Rules;
use sekisho::rules::names::{plain, skeleton};

/// A name is read as it was written or refused in one line, and its look is its own.
pub fn name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let look = skeleton(text);
    assert_eq!(skeleton(&look), look, "{text:?}");
    assert_eq!(skeleton(&format!(" {text}\u{200b}")), look, "{text:?}");
    RULES.with(|rules| match rules.names.read(text) {
        Ok(reading) => assert_eq!(reading.to_string(), text),
        Err(wrong) => {
            let told = wrong.to_string();
            assert!(told.len() < 16_384 && !told.contains(char::is_control), "{told:?}");
            if let Some(nearest) = wrong.nearest() {
                assert!(rules.names.read(nearest).is_ok(), "{nearest:?} is no name");
            }
        }
    });
    assert!(!plain(text).contains(char::is_control));
}

/// Rules are refused for a reason on a line that is there; those that pass allow the name that they show.
pub fn rules(bytes: &[u8]) {
    match Rules::parse(Path::new("rules.toml"), bytes, Path::new("schema"), b"{}") {
        Ok(rules) => {
            for prefix in &rules.sources {
                assert!(prefix.ends_with('/') && !prefix.contains(".."), "{prefix:?}");
            }
            if let Some(example) = rules.names.example() {
                let reading = rules.names.read(&example).expect("an example is allowed");
                assert_eq!(reading.to_string(), example);
            }
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused without a reason");
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
            let beyond = mistakes.iter().filter_map(|mistake| mistake.line()).find(|line| *line > lines);
            assert_eq!(beyond, None, "a mistake on a line that is not there");
        }
    }
}

thread_local! {
    static RULES: Rules = {
        let shipped = include_bytes!("../../../policies/rules.toml");
        Rules::parse(Path::new("rules.toml"), shipped, Path::new("schema"), b"{}").expect("the shipped rules")
    };
}
