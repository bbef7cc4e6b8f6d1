//! How long a description, and how large all tags in one request may be.

use crate::route::message::Message;

use super::Broken;

/// Bytes of all tags of one model or version, keys and values.
pub const MOST_TAGS: usize = 1024 * 1024;
/// Bytes of a description.
const LONGEST_DESCRIPTION: usize = 256 * 1024;

/// What is told of each.
pub const TAGS: &str = "the tags of one model or version take at most 1 MiB together";
const DESCRIPTION: &str = "a description has at most 256 KiB";

/// Checks what a request of the registry would write.
///
/// # Errors
/// [`Broken::TooMuch`].
pub fn check(path: &str, message: &Message) -> Result<(), Broken> {
    if !path.starts_with("model-versions/") && !path.starts_with("registered-models/") {
        return Ok(());
    }
    if message.text("description").is_some_and(|text| text.len() > LONGEST_DESCRIPTION) {
        return Err(Broken::TooMuch(DESCRIPTION));
    }
    let length = |tag: &Message, field| tag.text(field).map_or(0, str::len);
    let tags = message.messages("tags").map(|tag| length(tag, "key") + length(tag, "value"));
    if tags.sum::<usize>() > MOST_TAGS { Err(Broken::TooMuch(TAGS)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::schema::Schema;

    #[test]
    fn what_lists_carry_has_an_end() {
        let check = |name, path, body: String| {
            let schema = Schema::named(name).expect("a known message");
            check(path, &Message::of_json(schema, body.as_bytes()).expect("a sound body"))
        };
        let described = |length| format!(r#"{{"name":"m","description":"{}"}}"#, "x".repeat(length));
        let path = "registered-models/update";
        assert_eq!(check("UpdateRegisteredModel", path, described(LONGEST_DESCRIPTION)), Ok(()));
        let long = check("UpdateRegisteredModel", path, described(LONGEST_DESCRIPTION + 1));
        assert_eq!(long, Err(Broken::TooMuch(DESCRIPTION)));
        let tag = format!(r#"{{"key":"k","value":"{}"}}"#, "x".repeat(MOST_TAGS / 2));
        let tags = |count| {
            format!(r#"{{"name":"m","source":"runs:/r/m","tags":[{}]}}"#, vec![tag.as_str(); count].join(","))
        };
        assert_eq!(check("CreateModelVersion", "model-versions/create", tags(1)), Ok(()));
        assert_eq!(check("CreateModelVersion", "model-versions/create", tags(2)), Err(Broken::TooMuch(TAGS)));
    }
}
