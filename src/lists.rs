//! The two lists of which a caller sees a part, with full pages: `registered-models/search` and `model-versions/search`.
//!
//! MLflow's pages are walked until as many rows are found as were asked for, and one more, which tells whether there is a next
//! page. Nothing of an answer depends on rows that are hidden, but for the bound of one walk.

mod page;
pub mod place;
pub mod query;
mod rows;
pub mod token;
mod walk;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::cache::{From, Now, ReadCache, Sort};
use crate::clock::Clock;
use crate::index::{Asker, Index, Kind};
use crate::limit::{OverLimit, Slot};
use crate::route::table::Answer;
use crate::secret::Secret;
use crate::upstream::{Upstream, UpstreamError};

use page::Page;
use place::Place;
pub use query::Query;
use token::{BadToken, Bound, KeyError, PageKey};
use walk::{Ended, Walk};

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// `registered-models/search`
    Models,
    /// `model-versions/search`
    Versions,
}

/// Why a page cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The token.
    #[error(transparent)]
    Token(#[from] BadToken),
    /// MLflow takes no such number, or what it does with it would tell how many rows there are.
    #[error(
        "Invalid value for request parameter max_results. It must be from {least} to {most}, but got {got}"
    )]
    MaxResults {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
        /// What was sent.
        got: String,
    },
    /// See [`query::may_fail_on_rows`].
    #[error("`filter`: a quoted value may not end in a backslash")]
    Escape,
    /// MLflow could not be asked.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// MLflow answered with this status, which is neither a page nor an error.
    #[error("mlflow answered {0} to a search")]
    Status(StatusCode),
    /// MLflow's answer is not what its route answers with.
    #[error("MLflow's answer could not be read")]
    Unreadable(#[source] serde_json::Error),
    /// No token could be sealed.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// What one caller asks for, and what they may see.
pub struct Search<'a> {
    /// Which list.
    pub list: List,
    /// The question, as MLflow will be asked.
    pub query: Query<'a>,
    /// How many rows, if that was said.
    pub max_results: Option<&'a str>,
    /// Where to go on, if that was said.
    pub page_token: Option<&'a str>,
    /// Who asks: a token is good for them alone.
    pub user: &'a str,
    /// Whether rows of a registered model may be seen.
    pub seen: &'a (dyn Fn(&str) -> bool + Sync),
    /// The only models of which any may be seen, where they are known by name.
    pub named: Option<Vec<&'a str>>,
    /// Whether the caller could look anywhere anyway.
    pub sees_all: bool,
}

/// Where MLflow's pages come from.
pub struct Source<'a> {
    /// MLflow.
    pub mlflow: &'a Upstream,
    /// What it answered before.
    pub cache: &'a ReadCache,
    /// What is known of all of it.
    pub index: &'a Index,
    /// How the index asks.
    pub asker: Asker<'a>,
    /// What time it is.
    pub clock: &'a Clock,
    /// To be called before MLflow is asked: whether the caller may have it asked.
    pub may_ask: &'a (dyn Fn() -> Result<(), OverLimit> + Sync),
}

/// How MLflow is asked, and what became of it.
#[derive(Debug, Default)]
pub struct Asking {
    /// Whether it is to be asked now, whatever is known.
    pub anew: bool,
    /// The status of its last answer.
    pub status: Option<StatusCode>,
    /// Where its answers came from, all together.
    pub from: Option<From>,
    /// When MLflow was asked for the oldest of them.
    pub asked: Option<Now>,
}

/// Gives out pages.
pub struct Lists(PageKey);

impl List {
    /// The list that an answer holds.
    #[must_use]
    pub fn of(answer: Answer) -> Option<Self> {
        match answer {
            Answer::RegisteredModels => Some(Self::Models),
            Answer::ModelVersions => Some(Self::Versions),
            Answer::AsIs
            | Answer::Stages
            | Answer::Latest
            | Answer::Mentions
            | Answer::Graphql
            | Answer::File
            | Answer::Ours(_) => None,
        }
    }

    const fn sort(self) -> Sort {
        match self {
            Self::Models => Sort::Models,
            Self::Versions => Sort::Versions,
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Models => Kind::Models,
            Self::Versions => Kind::Versions,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Models => "registered_models",
            Self::Versions => "model_versions",
        }
    }

    /// How many rows are asked for; limits and defaults as MLflow has them (`server/handlers.py`, `protos/`).
    fn wanted(self, max_results: Option<&str>) -> Result<u64, ListError> {
        let (least, most, default) = match self {
            Self::Models => (0, 1_000, 100),
            Self::Versions => (1, 200_000, 200_000),
        };
        let Some(got) = max_results else { return Ok(default) };
        let number = got.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| ListError::MaxResults { least, most, got: got.chars().take(40).collect() })
    }
}

impl Lists {
    /// Tokens are the same for every instance with this secret.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn new(secret: Option<&Secret>) -> Result<Self, KeyError> {
        Ok(Self(PageKey::new(secret)?))
    }

    /// One page, or MLflow's own error. `headers` go with each question to MLflow; `asking` tells what became of them.
    ///
    /// # Errors
    /// [`ListError`].
    pub async fn page(
        &self,
        source: &Source<'_>,
        search: &Search<'_>,
        headers: HeaderMap,
        asking: &mut Asking,
        slot: &mut Slot,
    ) -> Result<Response<Bytes>, ListError> {
        let wanted = search.list.wanted(search.max_results)?;
        if !search.sees_all && query::may_fail_on_rows(search.query.filter) {
            return Err(ListError::Escape);
        }
        let nothing = search.named.as_ref().is_some_and(Vec::is_empty);
        let narrowed = search.named.as_deref().and_then(query::narrowing);
        let (place, mut narrowed) = self.begin(search, narrowed)?;
        let mut walk = Walk::new(source, search, headers, place, asking, slot);
        if nothing {
            return match walk.ask(None).await? {
                Ended::Answer(response) => Ok(response),
                Ended::Page(..) => Ok(Page::new(0).answer(search.list, None)),
            };
        }
        loop {
            match walk.run(wanted, narrowed.as_deref()).await? {
                // What MLflow says of the caller's own filter, not of ours.
                Ended::Answer(_) if narrowed.is_some() && search.page_token.is_none() => {
                    narrowed = None;
                    walk.begin_anew();
                }
                Ended::Answer(response) => return Ok(response),
                Ended::Page(page, more) => {
                    let bound = search.bound(narrowed.as_deref());
                    let token = more.then(|| self.0.seal(walk.place(), &bound)).transpose()?;
                    return Ok(page.answer(search.list, token));
                }
            }
        }
    }

    /// Where to begin, and what the walk that began there was narrowed to.
    fn begin(
        &self,
        search: &Search<'_>,
        narrowed: Option<String>,
    ) -> Result<(Place, Option<String>), BadToken> {
        let Some(token) = search.page_token else { return Ok((Place::default(), narrowed)) };
        if let Some(narrowed) = narrowed
            && let Ok(place) = self.0.open(token, &search.bound(Some(&narrowed)))
        {
            return Ok((place, Some(narrowed)));
        }
        Ok((self.0.open(token, &search.bound(None))?, None))
    }
}

impl<'a> Search<'a> {
    fn bound(&self, narrowed: Option<&'a str>) -> Bound<'a> {
        let Query { filter, order_by, .. } = self.query;
        let list = self.list.name();
        Bound { user: self.user, list, filter, order_by, narrowed }
    }
}

/// An answer of ours in place of MLflow's.
fn json(body: Vec<u8>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
