//! What is changed in a message before it goes on.

use super::{Message, Value};

impl Message {
    /// A message of texts, by the names of the `.proto` file.
    #[must_use]
    pub fn of_texts<const N: usize>(texts: [(&'static str, &str); N]) -> Self {
        let fields = texts.into_iter().map(|(name, text)| (name, Value::Text(text.to_owned())));
        Self { fields: fields.collect(), dropped: 0 }
    }

    /// Whether both say the same, in whatever order.
    #[must_use]
    pub fn says_what(&self, other: &Self) -> bool {
        self.fields.len() == other.fields.len()
            && self.fields.iter().all(|field| other.fields.contains(field))
    }

    /// Adds a message to a list field.
    pub fn add(&mut self, name: &'static str, message: Self) {
        let added = Value::Message(message);
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, Value::List(list))) => list.push(added),
            Some((_, value)) => *value = Value::List(vec![added]),
            None => self.fields.push((name, Value::List(vec![added]))),
        }
    }

    /// Leaves a field out.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|(known, _)| *known != name);
    }

    /// Writes another string into a field that is there.
    pub fn replace_text(&mut self, name: &str, text: &str) {
        for (known, value) in &mut self.fields {
            if *known == name {
                *value = Value::Text(text.to_owned());
            }
        }
    }

    /// Leaves messages out of a list field.
    pub fn leave_out(&mut self, name: &str, unwanted: impl Fn(&Self) -> bool) {
        for (known, value) in &mut self.fields {
            if let (true, Value::List(list)) = (*known == name, value) {
                list.retain(|item| !matches!(item, Value::Message(message) if unwanted(message)));
            }
        }
    }

    /// The message in a field, to be changed.
    pub fn message_mut(&mut self, name: &str) -> Option<&mut Self> {
        self.fields.iter_mut().find_map(|(known, value)| match value {
            Value::Message(message) if *known == name => Some(message),
            Value::Message(_) | Value::Text(_) | Value::Written(_) | Value::Map(_) | Value::List(_) => None,
        })
    }

    /// Leaves a key out of a map of strings.
    pub fn leave_out_of_map(&mut self, name: &str, key: &str) {
        for (known, value) in &mut self.fields {
            if let (true, Value::Map(pairs)) = (*known == name, value) {
                pairs.retain(|(held, _)| held != key);
            }
        }
    }
}
