//! Whether a request still stands: its version may have gone, moved or changed since somebody asked.

use futures_util::future::try_join_all;

use crate::govern::Broken;
use crate::reject::Rejection;
use crate::store::{Closing, Request, RequestState, VersionId};

use super::super::Gate;
use super::super::promote::Candidate;

/// So many versions are looked at once.
const AT_ONCE: usize = 8;

const OTHER_BYTES: &str = "the version's files are not those for which this was asked";

/// What is known of a version without reading its files.
struct Known {
    candidate: Option<Candidate>,
    digest: Option<String>,
}

impl Known {
    /// Why a request stands no more, if it does not.
    fn against(&self, request: &Request) -> Option<String> {
        let asked = &request.asked;
        let owed = asked.break_glass.is_some();
        let same = |candidate: &&Candidate| candidate.id == asked.id;
        let Some(candidate) = self.candidate.as_ref().filter(same) else {
            let gone = "MLflow has this version no more: it was deleted, or its model has another name";
            return Some(gone.to_owned());
        };
        if candidate.found.source != asked.source {
            return Some("the version has another source by now".to_owned());
        }
        if owed {
            return None;
        }
        if candidate.stand.stage != asked.from {
            return Some(format!("the version stands in {} by now", candidate.stand.stage));
        }
        let other = self.digest.as_ref().is_some_and(|digest| *digest != asked.digest);
        other.then(|| OTHER_BYTES.to_owned())
    }
}

impl Gate {
    async fn as_known(&self, id: &VersionId) -> Result<Known, Rejection> {
        let candidate = match self.candidate(&id.model, id.version).await {
            Err(Rejection::NoVersion(..)) => None,
            found => Some(found?),
        };
        let digest = match &candidate {
            Some(candidate) => self.store.kept_bytes(&candidate.id).await?,
            None => None,
        };
        Ok(Known { candidate, digest })
    }

    /// A request as it is: an open one of which is seen that it stands no more is void from then on. No file is read.
    pub(in super::super) async fn as_it_is(&self, request: Request) -> Result<Request, Rejection> {
        // While a rule is being broken its request is about nothing else.
        if request.state != RequestState::Open || request.asked.break_glass.is_some() {
            return Ok(request);
        }
        match self.as_known(&request.asked.id).await?.against(&request) {
            Some(why) => self.voided(&request, why).await,
            None => Ok(request),
        }
    }

    /// The same of several. Those of which MLflow cannot be asked stay as they were last seen: each is looked at again
    /// before it counts.
    pub(in super::super) async fn as_they_are(
        &self,
        mut requests: Vec<Request>,
    ) -> Result<Vec<Request>, Rejection> {
        let mut seen = Vec::with_capacity(requests.len());
        let look = async |request: Request| match self.as_it_is(request.clone()).await {
            Err(Rejection::Fact(_)) => Ok(request),
            other => other,
        };
        while !requests.is_empty() {
            let rest = requests.split_off(requests.len().min(AT_ONCE));
            seen.extend(try_join_all(requests.into_iter().map(look)).await?);
            requests = rest;
        }
        Ok(seen)
    }

    /// The version that a request is about, if it is still what it was when somebody asked. A request about other bytes, or
    /// about a version that went elsewhere, is void for good.
    pub(super) async fn still_the_same(&self, request: &Request) -> Result<Candidate, Rejection> {
        let owed = request.asked.break_glass.is_some();
        if request.state != RequestState::Open && !(owed && request.state == RequestState::Done) {
            return Err(closed(request));
        }
        let known = self.as_known(&request.asked.id).await?;
        let why = match (known.against(request), known.candidate) {
            (None, Some(candidate)) if owed => return Ok(candidate),
            (None, Some(candidate)) => match self.known_digest(&candidate).await? {
                Some(digest) if digest == request.asked.digest => return Ok(candidate),
                _ => OTHER_BYTES.to_owned(),
            },
            (Some(why), _) => why,
            (None, None) => return Err(Rejection::NoRequest(request.number)),
        };
        Err(closed(&self.voided(request, why).await?))
    }

    /// The request, void.
    async fn voided(&self, request: &Request, why: String) -> Result<Request, Rejection> {
        let closing = Closing { by: String::new(), comment: why, at: self.clock.now() };
        self.store.close_request(request.number, RequestState::Void, &closing).await?;
        self.reread(request.number).await
    }

    /// The request as it is kept now.
    pub(super) async fn reread(&self, number: i64) -> Result<Request, Rejection> {
        self.store.request(number).await?.ok_or(Rejection::NoRequest(number))
    }
}

/// That nothing can be done to a request any more.
pub(super) fn closed(request: &Request) -> Rejection {
    let number = request.number;
    let void = request.closed.as_ref().filter(|_| request.state == RequestState::Void);
    let what = match void {
        Some(closing) => {
            format!("request {number} is not open any more, it is void: {}; ask again", closing.comment)
        }
        None => format!("request {number} is not open any more"),
    };
    Broken::Stage(what).into()
}
