//! Page tokens: sealed, so that they tell nothing, and good for one principal and one query alone.

use super::place::{LENGTH, Place};
use crate::seal::{self, AROUND, Seal};
use crate::secret::Secret;

pub use crate::seal::KeyError;

/// Not a token of ours for this principal and this query. It says no more than that, whatever is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`page_token` is not one that this search gave out to this principal")]
pub struct BadToken;

/// What a token is good for.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// The principal's name.
    pub user: &'a str,
    /// Which list.
    pub list: &'a str,
    /// The filter, as it was sent.
    pub filter: &'a str,
    /// The order, as it was sent.
    pub order_by: &'a [&'a str],
    /// What the filter was narrowed to, if it was.
    pub narrowed: Option<&'a str>,
}

/// Seals and opens tokens.
pub struct PageKey(Seal);

impl PageKey {
    /// The key that every instance with this secret has; without a secret, one that dies with this process.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn new(secret: Option<&Secret>) -> Result<Self, KeyError> {
        Ok(Self(Seal::new(secret, b"page tokens")?))
    }

    /// A token for a place; all are of one length.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn seal(&self, place: &Place, bound: &Bound<'_>) -> Result<String, KeyError> {
        self.0.close(place.to_bytes().to_vec(), &bound.to_bytes())
    }

    /// The place in a token that was sealed for the same.
    ///
    /// # Errors
    /// [`BadToken`].
    pub fn open(&self, token: &str, bound: &Bound<'_>) -> Result<Place, BadToken> {
        if token.len() != TOKEN {
            return Err(BadToken);
        }
        let opened = self.0.open(token, &bound.to_bytes()).ok_or(BadToken)?;
        let bytes: &[u8; LENGTH] = opened.as_slice().try_into().map_err(|_| BadToken)?;
        Ok(Place::of_bytes(bytes))
    }
}

/// The length of every token: nonce, place and tag in base64.
const TOKEN: usize = (LENGTH + AROUND) * 4 / 3 + 1;

impl Bound<'_> {
    /// Each part with its length before it, so that no two bounds have the same bytes.
    fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::new();
        let parts = [self.user, self.list, self.filter].into_iter().chain(self.order_by.iter().copied());
        seal::write_parts(&mut out, parts.chain(self.narrowed));
        out.push(u8::from(self.narrowed.is_some()));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> PageKey {
        PageKey::new(Some(&Secret::new(secret).expect("long enough"))).expect("a key")
    }

    const ONE: &str = "hunter2-hunter2-hunter2-hunter2-";
    const BOUND: Bound<'_> = Bound {
        user: "ada",
        list: "registered-models/search",
        filter: "name = 'x'",
        order_by: &["name"],
        narrowed: None,
    };

    fn place() -> Place {
        let mut place = Place::default();
        (0..20).for_each(|row: u64| place.consume(row * 977 + 1, row.is_multiple_of(3)));
        place
    }

    #[test]
    fn a_token_is_good_for_its_principal_and_query_alone() {
        let (key, place) = (key(ONE), place());
        let token = key.seal(&place, &BOUND).expect("a token");
        assert_eq!(key.open(&token, &BOUND), Ok(place));
        for other in [
            Bound { user: "eve", ..BOUND },
            Bound { list: "model-versions/search", ..BOUND },
            Bound { filter: "name = 'y'", ..BOUND },
            Bound { filter: "", ..BOUND },
            Bound { order_by: &[], ..BOUND },
            Bound { order_by: &["name", "name"], ..BOUND },
            Bound { order_by: &["name DESC"], ..BOUND },
            Bound { filter: "name = 'x'name", order_by: &[], ..BOUND },
            Bound { order_by: &[], narrowed: Some("name"), ..BOUND },
            Bound { narrowed: Some("name IN ('x')"), ..BOUND },
        ] {
            assert_eq!(key.open(&token, &other), Err(BadToken), "{other:?}");
        }
    }

    #[test]
    fn whatever_was_not_sealed_here_is_refused() {
        let key = key(ONE);
        let token = key.seal(&place(), &BOUND).expect("a token");
        let mut wrong: Vec<String> = (0..token.len()).map(|end| token.chars().take(end).collect()).collect();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            wrong.push(String::from_utf8(bytes).expect("ASCII"));
        }
        wrong.extend([
            format!("{token}A"),
            format!("{token}="),
            format!(" {token}"),
            "A".repeat(token.len()),
        ]);
        wrong.push("eyJvZmZzZXQiOiAyfQ==".to_owned());
        wrong.push("é".repeat(token.len() / 2));
        for token in wrong {
            assert_eq!(key.open(&token, &BOUND), Err(BadToken), "{token}");
        }
    }

    #[test]
    fn instances_with_one_secret_share_tokens_and_others_do_not() {
        let token = key(ONE).seal(&place(), &BOUND).expect("a token");
        assert!(key(ONE).open(&token, &BOUND).is_ok());
        assert!(key("another-secret-another-secret-1234").open(&token, &BOUND).is_err());
        let (one, two) = (PageKey::new(None).expect("a key"), PageKey::new(None).expect("a key"));
        let token = one.seal(&place(), &BOUND).expect("a token");
        assert!(one.open(&token, &BOUND).is_ok() && two.open(&token, &BOUND).is_err());
    }

    #[test]
    fn tokens_are_all_of_one_length_and_never_the_same() {
        let key = key(ONE);
        let seal = |place: &Place| key.seal(place, &BOUND).expect("a token");
        let tokens = [seal(&Place::default()), seal(&Place::default()), seal(&place())];
        assert!(tokens.iter().all(|token| token.len() == TOKEN), "{tokens:?}");
        assert_ne!(tokens[0], tokens[1]);
    }
}
