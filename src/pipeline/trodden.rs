//! Reads that were answered from memory before: who sends the very same again is answered without being read anew.
//!
//! Whether it is the same is told by the principal as it was verified, and by the target as it was sent. Limits are kept,
//! tokens are looked at and the record is written as for every request; the policies, what MLflow said and where versions
//! stand must be those of the first answer. Whatever differs goes the whole way.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::Full;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

use crate::audit::{Arrival, Known, Told, Trail};
use crate::authz::{Permit, PolicySet};
use crate::cache::{Entry, From, Shown};
use crate::ids::X_REQUEST_ID;
use crate::limit::Slot;
use crate::listen::{Outbound, boxed};
use crate::principal::Principal;
use crate::route;

use super::remembered::{asks_mlflow, has_it};
use super::{Gate, Sent, answer};

/// What a way takes beside the target: the line of its record, its answer's headers. The answer itself is the cache's, but
/// may be kept by this when the cache has let go of it.
const OVERHEAD: usize = 3 * 1024;

/// Headers that every answer has its own of.
const EACH_ITS_OWN: [HeaderName; 2] = [X_REQUEST_ID, header::AGE];

/// An answer from memory, as it is kept there.
pub(super) struct Kept {
    pub(super) entry: Arc<Entry>,
    pub(super) shown: Arc<Shown>,
}

/// Ways that were gone before.
#[derive(Debug)]
pub struct Trodden(Option<Cache<Key, Arc<Way>, Weight>>);

/// From a request to its answer.
#[derive(Debug)]
pub(super) struct Way {
    /// Kept, so that nobody else is where it is in memory.
    who: Arc<Principal>,
    policy: Arc<PolicySet>,
    entry: Arc<Entry>,
    shown: Arc<Shown>,
    known: Arc<Known>,
    headers: HeaderMap,
    /// Whether the answer says how old it is: a list is put together of what is.
    tells_age: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Key {
    who: usize,
    http2: bool,
    target: Box<str>,
}

/// The same, of a request that has come.
struct Asked<'r> {
    who: usize,
    http2: bool,
    target: &'r str,
}

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Key, Arc<Way>> for Weight {
    fn weight(&self, key: &Key, way: &Arc<Way>) -> u64 {
        (key.target.len() + way.shown.body.len()).saturating_add(OVERHEAD) as u64
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.who, self.http2, &*self.target).hash(state);
    }
}

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.who, self.http2, self.target).hash(state);
    }
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.who == key.who && self.http2 == key.http2 && *self.target == *key.target
    }
}

impl<'r> Asked<'r> {
    /// Nothing of what only the whole way can read.
    fn of(who: &Arc<Principal>, method: &Method, uri: &'r Uri, version: Version) -> Option<Self> {
        let http2 = version == Version::HTTP_2;
        let plain = *method == Method::GET
            && uri.authority().is_some() == http2
            && (http2 || version == Version::HTTP_11);
        let target = uri.path_and_query().filter(|_| plain)?.as_str();
        Some(Self { who: Arc::as_ptr(who).addr(), http2, target })
    }
}

impl Trodden {
    /// None yet, and never more than take so many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let about = usize::try_from(bytes / OVERHEAD as u64).unwrap_or(usize::MAX);
        Self((about > 0).then(|| Cache::with_weighter(about, bytes, Weight)))
    }

    /// How many are known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(0, Cache::len)
    }
}

impl Gate {
    /// The answer to a read that was answered from memory will do for the next one like it.
    pub(super) fn tread(
        &self,
        parts: &Parts,
        (permit, trail): (&Permit, &Trail),
        kept: Kept,
        headers: &HeaderMap,
    ) {
        let Some(ways) = &self.trodden.0 else { return };
        let (who, policy) = permit.held();
        let Some(Asked { who: place, http2, target }) =
            Asked::of(who, &parts.method, &parts.uri, parts.version)
        else {
            return;
        };
        let Some(known) = trail.known() else { return };
        let mut headers = headers.clone();
        let tells_age = headers.contains_key(header::AGE);
        for each in EACH_ITS_OWN {
            headers.remove(each);
        }
        let (who, policy, known) = (Arc::clone(who), Arc::clone(policy), Arc::new(known));
        let Kept { entry, shown } = kept;
        let way = Way { who, policy, entry, shown, known, headers, tells_age };
        ways.insert(Key { who: place, http2, target: target.into() }, Arc::new(way));
    }

    /// The answer at the end of a way.
    pub(super) fn go(
        &self,
        way: &Way,
        request: &Request<Sent>,
        slot: Slot,
        arrival: Arrival<'_>,
    ) -> Response<Outbound> {
        let unchanged = way.headers.get(header::ETAG).is_some_and(|etag| has_it(request.headers(), etag));
        let mut response = Response::new(Bytes::new());
        *response.headers_mut() = way.headers.clone();
        if unchanged {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().remove(header::CONTENT_TYPE);
        } else {
            *response.body_mut() = way.shown.body.clone();
        }
        let age = way.tells_age.then(|| way.entry.age(self.clock.steady()));
        self.tell_source(response.headers_mut(), From::Memory, age);
        let brief = arrival.brief(&way.known, unchanged);
        answer::finish(response.headers_mut(), brief.id());
        response.map(|body| boxed(Told::brief(slot.until_end_of(Full::new(body)), brief)))
    }

    /// The way of a request, if it may be gone once more.
    pub(super) fn way(&self, who: &Arc<Principal>, request: &Request<Sent>) -> Option<Arc<Way>> {
        let headers = request.headers();
        let asked = Asked::of(who, request.method(), request.uri(), request.version())?;
        let way = self.trodden.0.as_ref()?.get(&asked)?;
        let now = self.clock.steady();
        let may = Arc::ptr_eq(&way.who, who)
            && Arc::ptr_eq(&way.policy, &self.authz.current())
            && way.shown.made_with == self.stages.generation()
            && self.cache.still_holds(&way.entry, now)
            && request.body().is_nothing()
            && !asks_mlflow(headers)
            && route::refuse_hosts(headers, request.uri(), request.version()).is_ok()
            && route::refuse_codings(headers).is_ok()
            && route::refuse_workspace(headers).is_ok();
        may.then_some(way)
    }
}
