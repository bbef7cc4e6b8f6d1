//! Others' words on a terminal.

/// Others' words cannot move the cursor, begin a line of their own or turn the direction of writing.
pub(super) fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        let hidden = matches!(
            character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        );
        if character.is_control() || hidden {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}
