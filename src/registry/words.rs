//! A condition in its parts: `performance_metrics.accuracy >= 0.9`.

/// A condition as it was written.
#[derive(Debug, PartialEq)]
pub(super) struct Written {
    /// The names on the left, between dots.
    pub(super) path: Vec<String>,
    /// How the two sides are compared.
    pub(super) how: How,
    /// The right side.
    pub(super) value: Literal,
    /// Where the operator and the value begin, in characters.
    pub(super) at: [usize; 2],
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// A pattern in which `*` stands for any run of characters.
    Like,
    /// A list has it, a text has it as a part.
    Contains,
    /// A list of requirements has it.
    Has,
}

/// What something is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    /// In quotes, or a plain word.
    Text(String),
    /// A number without quotes.
    Number(f64),
    /// `true` or `false` without quotes.
    Bool(bool),
}

/// What was expected, and the character at which it was.
pub(super) type Wrong = (usize, String);

const HOW: [(&str, How); 9] = [
    ("!=", How::NotEqual),
    ("<=", How::LessOrEqual),
    (">=", How::GreaterOrEqual),
    ("=", How::Equal),
    ("<", How::Less),
    (">", How::Greater),
    ("like", How::Like),
    ("contains", How::Contains),
    ("has", How::Has),
];

/// So many names lie between the dots of a path.
const DEEPEST: usize = 16;

impl How {
    pub(super) fn as_str(self) -> &'static str {
        HOW.iter().find(|(_, how)| *how == self).map_or("", |(written, _)| written)
    }

    /// Whether an order of two values is what is asked for.
    pub(super) fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Like | Self::Contains | Self::Has => false,
        }
    }
}

/// Takes a condition apart.
pub(super) fn read(text: &str) -> Result<Written, Wrong> {
    let mut rest = Rest { text, at: 0 };
    rest.blanks();
    let path = rest.path()?;
    rest.blanks();
    let operator = rest.at;
    let how = rest.how()?;
    rest.blanks();
    let at = [operator, rest.at];
    let value = rest.value()?;
    rest.blanks();
    if !rest.text.is_empty() {
        return Err((
            rest.at,
            "the end was expected: a value with blanks needs quotes, and one `where` is one condition"
                .to_owned(),
        ));
    }
    Ok(Written { path, how, value, at })
}

/// Reads a path alone, such as one to order by; what follows it is left.
pub(super) fn read_path(text: &str) -> Result<(Vec<String>, &str), Wrong> {
    let mut rest = Rest { text, at: 0 };
    rest.blanks();
    let path = rest.path()?;
    Ok((path, rest.text.trim()))
}

/// What is not yet read, and how many characters were.
struct Rest<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Rest<'t> {
    fn first(&self) -> Option<char> {
        self.text.chars().next()
    }

    fn skip(&mut self) -> Option<char> {
        let mut letters = self.text.chars();
        let letter = letters.next()?;
        (self.text, self.at) = (letters.as_str(), self.at + 1);
        Some(letter)
    }

    fn run(&mut self, of: impl Fn(char) -> bool) -> &'t str {
        let end = self.text.find(|letter| !of(letter)).unwrap_or(self.text.len());
        let (run, rest) = self.text.split_at_checked(end).unwrap_or((self.text, ""));
        (self.text, self.at) = (rest, self.at + run.chars().count());
        run
    }

    fn blanks(&mut self) {
        self.run(char::is_whitespace);
    }

    fn path(&mut self) -> Result<Vec<String>, Wrong> {
        let mut path = Vec::new();
        loop {
            let at = self.at;
            let name = match self.first() {
                Some('`') => self.quoted()?,
                _ => self
                    .run(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '/'))
                    .to_owned(),
            };
            if name.is_empty() {
                return Err((
                    at,
                    "a name was expected (one with other signs in it needs backticks)".to_owned(),
                ));
            }
            path.push(name);
            if path.len() > DEEPEST {
                return Err((at, format!("more than {DEEPEST} names between dots")));
            }
            if self.first() != Some('.') {
                return Ok(path);
            }
            self.skip();
        }
    }

    fn how(&mut self) -> Result<How, Wrong> {
        let at = self.at;
        let word = match self.first() {
            Some(letter) if letter.is_alphabetic() => self.run(char::is_alphabetic),
            _ => self.run(|letter| matches!(letter, '=' | '!' | '<' | '>' | '~')),
        };
        let word = if word == "==" { "=" } else { word };
        let found = HOW.iter().find(|(written, _)| written.eq_ignore_ascii_case(word));
        found.map(|(_, how)| *how).ok_or_else(|| {
            let all: Vec<&str> = HOW.iter().map(|(written, _)| *written).collect();
            (at, format!("one of {} was expected", all.join(" ")))
        })
    }

    fn value(&mut self) -> Result<Literal, Wrong> {
        if let Some('"' | '\'') = self.first() {
            return self.quoted().map(Literal::Text);
        }
        let at = self.at;
        let word = self.run(|letter| !letter.is_whitespace() && !matches!(letter, '"' | '\'' | '`'));
        let number = word.parse::<f64>().ok().filter(|number| number.is_finite());
        match (word, number) {
            ("", _) => Err((at, "a value was expected".to_owned())),
            ("true", _) => Ok(Literal::Bool(true)),
            ("false", _) => Ok(Literal::Bool(false)),
            (_, Some(number)) => Ok(Literal::Number(number)),
            (word, None) => Ok(Literal::Text(word.to_owned())),
        }
    }

    /// What lies between two quotes of a kind; a backslash takes the next character as it is.
    fn quoted(&mut self) -> Result<String, Wrong> {
        let from = self.at;
        let quote = self.skip();
        let mut out = String::new();
        loop {
            match self.skip() {
                None => return Err((from, "this quote is not closed".to_owned())),
                letter if letter == quote => return Ok(out),
                Some('\\') => match self.skip() {
                    Some(letter) => out.push(letter),
                    None => return Err((from, "this quote is not closed".to_owned())),
                },
                Some(letter) => out.push(letter),
            }
        }
    }
}
