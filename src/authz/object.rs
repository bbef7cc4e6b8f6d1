//! Objects as text: how policy rows and people write them, and which row's object covers which request's.

use crate::glob;
use crate::operation::Object;
use crate::stage::Stage;

/// The text was not an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an object: {why}")]
pub struct NotAnObject {
    text: String,
    why: String,
}

/// Reads an object as a person writes it: `model:iris/stage/Canary`, `experiment:7`, `server`, `model:?` for a list,
/// `experiment:?` for an experiment that cannot be told.
///
/// # Errors
/// When the text has another form, an empty name, or a stage that the house does not have.
pub fn parse_object(text: &str) -> Result<Object, NotAnObject> {
    let refuse = |why: String| NotAnObject { text: text.to_owned(), why };
    match text {
        "model:?" => return Ok(Object::SomeModel),
        "experiment:?" => return Ok(Object::EveryExperiment),
        _ => {}
    }
    let parts = Parts::of(text).map_err(refuse)?;
    let object = match parts {
        Parts::Server => Object::Server,
        Parts::Experiment(id) => Object::Experiment(id.into()),
        Parts::Model(name, None) => Object::Model(name.into()),
        Parts::Model(name, Some((Below::Stage, stage))) => Object::Stage(name.into(), stage.into()),
        Parts::Model(name, Some((Below::Alias, alias))) => Object::Alias(name.into(), alias.into()),
        Parts::Model(name, Some((Below::Tag, key))) => Object::Tag(name.into(), key.into()),
    };
    match asked_text(&object) {
        Some(_) => Ok(object),
        None => Err(refuse(format!("the stages are {}", Stage::NAMES.join(", ")))),
    }
}

/// An object as lines of the record tell it: its text, from which [`parse_object`] makes the same object again or none.
///
/// Names that MLflow does not have may hold what parts of a text are told apart by, and a model may be called `?`. Where
/// such a text would be read as another object it gets a second `:`, with which it is none.
#[must_use]
pub fn told(object: &Object) -> String {
    let text = object.to_string();
    let strange = match object {
        Object::Model(name) | Object::Experiment(name) => &**name == "?" || name.contains('/'),
        Object::Stage(name, _) | Object::Alias(name, _) | Object::Tag(name, _) => name.contains('/'),
        Object::SomeModel | Object::EveryExperiment | Object::Server => false,
    };
    if strange && parse_object(&text).is_ok_and(|read| read != *object) {
        return text.replacen(':', "::", 1);
    }
    text
}

/// What casbin is asked about; nothing for an object that MLflow cannot have, which no row covers.
///
/// Lists get words that no name can imitate: a model may be called `?`.
pub(super) fn asked_text(object: &Object) -> Option<String> {
    match object {
        Object::SomeModel => Some(SOME_MODEL.to_owned()),
        Object::EveryExperiment => Some(EVERY_EXPERIMENT.to_owned()),
        Object::Server => Some("server".to_owned()),
        Object::Experiment(id) | Object::Model(id) => sound(id).then(|| object.to_string()),
        Object::Alias(name, alias) => (sound(name) && sound(alias)).then(|| object.to_string()),
        Object::Tag(name, key) => (sound(name) && !key.is_empty()).then(|| object.to_string()),
        Object::Stage(name, stage) => {
            let stage = Stage::NAMES.iter().find(|known| known.eq_ignore_ascii_case(stage))?;
            sound(name).then(|| format!("model:{name}/stage/{stage}"))
        }
    }
}

/// Whether a row with this object, subject and effect has a say on what is asked; nothing if a text has no known form.
///
/// A name with `*` in it is matched by `role:admin` on `model:*` alone: elsewhere a row's author meant a pattern.
pub(super) fn covers(asked: &str, pattern: &str, subject: &str, allows: bool) -> Option<bool> {
    let row = Parts::of(pattern).ok()?;
    let covered = match (asked, row) {
        (SOME_MODEL, Parts::Model(name, below)) => below.is_none() && (allows || name == "*"),
        (EVERY_EXPERIMENT, Parts::Experiment(id)) => !allows || id == "*",
        (SOME_MODEL | EVERY_EXPERIMENT, Parts::Server | Parts::Model(..) | Parts::Experiment(_)) => false,
        (_, row) => match (Parts::of(asked).ok()?, row) {
            (Parts::Server, Parts::Server) => true,
            (Parts::Experiment(id), Parts::Experiment(pattern)) => glob::matches(pattern, id, Some(b'/')),
            (Parts::Model(name, below), Parts::Model(pattern, row_below)) => {
                let named = if allows && name.contains('*') {
                    pattern == "*" && subject == "role:admin"
                } else {
                    glob::matches(pattern, name, Some(b'/'))
                };
                named && row_below.is_none_or(|row_below| lies_below(below, row_below))
            }
            (Parts::Server | Parts::Experiment(_) | Parts::Model(..), _) => false,
        },
    };
    Some(covered)
}

fn lies_below(asked: Option<(Below, &str)>, (kind, pattern): (Below, &str)) -> bool {
    asked.is_some_and(|(asked_kind, part)| asked_kind == kind && glob::matches(pattern, part, Some(b'/')))
}

const SOME_MODEL: &str = "?model";
const EVERY_EXPERIMENT: &str = "?experiment";

/// An object's text, taken apart; names may be patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parts<'a> {
    Model(&'a str, Option<(Below, &'a str)>),
    Experiment(&'a str),
    Server,
}

/// What can be below a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Below {
    Stage,
    Alias,
    Tag,
}

impl<'a> Parts<'a> {
    /// Takes a text apart; the error says what is wrong with it.
    pub(super) fn of(text: &'a str) -> Result<Self, String> {
        if text == "server" {
            return Ok(Self::Server);
        }
        let Some((kind, rest)) = text.split_once(':') else { return Err(FORMS.to_owned()) };
        match kind {
            "experiment" if sound(rest) => Ok(Self::Experiment(rest)),
            "experiment" => Err("an experiment is `experiment:<id>`".to_owned()),
            "model" => Self::of_model(rest),
            _ => Err(FORMS.to_owned()),
        }
    }

    fn of_model(rest: &'a str) -> Result<Self, String> {
        let (name, below) = match rest.split_once('/') {
            None => (rest, None),
            Some((name, below)) => (name, Some(below)),
        };
        if !sound(name) {
            return Err("a model's name is not empty and holds no `:` or `/`".to_owned());
        }
        let Some(below) = below else { return Ok(Self::Model(name, None)) };
        let (kind, part) = match below.split_once('/') {
            Some(("stage", part)) if sound(part) => (Below::Stage, part),
            Some(("alias", part)) if sound(part) => (Below::Alias, part),
            Some(("tag", part)) if !part.is_empty() => (Below::Tag, part),
            _ => {
                return Err(
                    "below a model are `/stage/<Stage>`, `/alias/<alias>` and `/tag/<key>`".to_owned()
                );
            }
        };
        Ok(Self::Model(name, Some((kind, part))))
    }
}

const FORMS: &str = "objects are `model:<name>`, `model:<name>/stage/<Stage>`, `model:<name>/alias/<alias>`, \
                     `model:<name>/tag/<key>`, `experiment:<id>` and `server`";

fn sound(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', ':'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_person_can_write_every_object_and_no_other() {
        for text in [
            "model:iris",
            "model:iris/stage/Canary",
            "model:iris/alias/champion",
            "model:iris/tag/a/b:c",
            "experiment:7",
            "server",
            "model:?",
            "experiment:?",
        ] {
            assert_eq!(parse_object(text).map(|object| object.to_string()).as_deref(), Ok(text));
        }
        for text in [
            "",
            "*",
            "iris",
            "models:iris",
            "model:",
            "model:a:b",
            "model:a/b",
            "model:a/stage/",
            "model:a/stage/Prod",
        ] {
            assert!(parse_object(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn a_model_covers_what_is_below_it_and_a_star_stays_in_its_segment() {
        for (asked, pattern, expected) in [
            ("model:x", "model:x", true),
            ("model:x/stage/Canary", "model:x", true),
            ("model:x", "model:x/stage/Canary", false),
            ("model:x/stage/Canary", "model:*/stage/*", true),
            ("model:x/alias/Canary", "model:*/stage/*", false),
            ("model:x/tag/a/b", "model:*/tag/*", false),
            ("model:x/tag/a/b", "model:*/tag/*/*", true),
            ("model:xy", "model:x", false),
            ("experiment:1", "experiment:*", true),
            ("experiment:11", "experiment:1", false),
            ("experiment:1", "model:*", false),
            ("server", "server", true),
            ("server", "model:*", false),
            ("model:?", "model:*", true),
            ("model:?", "model:x", false),
        ] {
            assert_eq!(covers(asked, pattern, "role:r", true), Some(expected), "{pattern} on {asked}");
        }
    }

    #[test]
    fn a_name_that_is_no_name_is_never_asked_about() {
        for object in [
            Object::Model("".into()),
            Object::Model("x/stage/Production".into()),
            Object::Model("a:b".into()),
            Object::Stage("x".into(), "None".into()),
            Object::Alias("x".into(), "a/b".into()),
            Object::Experiment("".into()),
        ] {
            assert_eq!(asked_text(&object), None, "{object}");
        }
        let stage = Object::Stage("x".into(), "production".into());
        assert_eq!(asked_text(&stage).as_deref(), Some("model:x/stage/Production"));
        assert_ne!(asked_text(&Object::Model("?".into())), asked_text(&Object::SomeModel));
    }

    #[test]
    fn what_could_be_read_as_another_object_is_told_as_none() {
        for (object, text) in [
            (Object::Model("?".into()), "model::?"),
            (Object::Experiment("?".into()), "experiment::?"),
            (Object::Model("a/stage/Canary".into()), "model::a/stage/Canary"),
            (Object::Model("a/tag/k".into()), "model::a/tag/k"),
            (Object::Alias("a/tag/b".into(), "c".into()), "model::a/tag/b/alias/c"),
            (Object::Model("a/b".into()), "model:a/b"),
            (Object::Model("iris".into()), "model:iris"),
            (Object::SomeModel, "model:?"),
        ] {
            assert_eq!(told(&object), text);
        }
    }

    fn any_object() -> impl Strategy<Value = Object> {
        // Short words of the letters that matter meet each other often.
        let name = || "[a?*:/ é\"]{0,3}|a/(stage|alias|tag)/(Canary|a)".prop_map(Box::<str>::from);
        let stage = || proptest::sample::select(Stage::NAMES.to_vec()).prop_map(Box::<str>::from);
        prop_oneof![
            name().prop_map(Object::Model),
            (name(), prop_oneof![stage(), name()]).prop_map(|(name, stage)| Object::Stage(name, stage)),
            (name(), name()).prop_map(|(name, alias)| Object::Alias(name, alias)),
            (name(), name()).prop_map(|(name, key)| Object::Tag(name, key)),
            name().prop_map(Object::Experiment),
            Just(Object::SomeModel),
            Just(Object::EveryExperiment),
            Just(Object::Server),
        ]
    }

    proptest! {
        #[test]
        fn telling_and_reading_are_inverse(object in any_object()) {
            let read = parse_object(&told(&object));
            match read {
                Ok(read) => prop_assert_eq!(read, object),
                // Only what is no object anyway, or has a list's name, cannot be read.
                Err(_) => {
                    let named_like_a_list = matches!(&object, Object::Model(name) | Object::Experiment(name) if &**name == "?");
                    prop_assert!(asked_text(&object).is_none() || named_like_a_list, "{}", object);
                }
            }
        }
    }
}
