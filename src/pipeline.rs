//! The way of a request, on one page: each line is a room, and what it returns is what has been proved.

mod answer;
mod aftercrash;
mod ask;
mod batch;
mod attest;
mod body;
mod changes;
mod cors;
mod databricks;
mod departures;
mod evidence;
mod files;
mod frozen;
mod heard;
mod keeping;
mod latest;
mod list;
mod ours;
mod perform;
mod promote;
mod promotions;
mod read;
mod readings;
mod remembered;
mod requests;
mod reviews;
mod rules;
mod service;
mod shown;
mod sizes;
mod transition;
mod touched;
mod trodden;
mod upload;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response, Version, header};

use crate::audit::{Arrival, Journal, Trail};
use crate::authn::Authenticator;
use crate::authz::{Authorizer, Permit};
use crate::cache::{Question, ReadCache};
use crate::clock::Clock;
use crate::digest::Digests;
use crate::drain::Drain;
use crate::facts::Facts;
use crate::govern;
use crate::ids::{RequestId, X_REQUEST_ID};
use crate::index::Index;
use crate::limit::{self, Fare, Limits, Slot};
use crate::listen::{Inbound, Outbound, Peer};
use crate::lists::{List, Lists};
use crate::operation::{Object, Permission};
use crate::ownership::{Holding, Ownership};
use crate::principal::Principal;
use crate::registry::Registry;
use crate::reject::Rejection;
use crate::route::cross_site::{self, Here, Origins};
use crate::route::message::Message;
use crate::route::table::{Answer, Form, Rule, Verb};
use crate::route::{self, Found, Operation};
use crate::stages::Stages;
use crate::store::Store;
use crate::upstream::Upstream;

pub use aftercrash::SETTLES;
pub use attest::ATTESTED_AT_ONCE;
pub use batch::create::Batches;
pub use departures::Ended;
pub use frozen::Frozen;
pub use latest::Below;
pub use readings::{Patience, Readings};
pub use reviews::Reviews;
pub use trodden::Trodden;

use batch::create::{BATCH_TAG, Batched};
use body::{Sent, take_body};
use rules::Warned;

/// Everything that a request meets.
pub struct Gate {
    /// Who is it?
    pub authn: Arc<Authenticator>,
    /// May they?
    pub authz: Authorizer,
    /// How much at once?
    pub limits: Limits,
    /// The unmodified MLflow server.
    pub mlflow: Upstream,
    /// What MLflow answered.
    pub cache: ReadCache,
    /// Reads that were answered from it before.
    pub trodden: Trodden,
    /// What MLflow's registry holds.
    pub index: Index,
    /// What MLflow knows and the request does not say.
    pub facts: Facts,
    /// Whose files are whose.
    pub ownership: Ownership,
    /// How house rules are meant.
    pub rules: govern::Mode,
    /// Registered models and versions.
    pub registry: Registry,
    /// Digests that are to be taken.
    pub digests: Digests,
    /// Files that are being read for somebody who waits.
    pub readings: Readings,
    /// Batches that are under way.
    pub batches: Batches,
    /// Where versions stand.
    pub stages: Arc<Stages>,
    /// What was found below the newest versions that MLflow names.
    pub below: Below,
    /// Whether addresses are handed out that open files without sekisho (`artifacts.presigned`).
    pub presigned: bool,
    /// What must outlive this process and is not MLflow's.
    pub store: Store,
    /// Deletions and renames that have ended and of which the store is to hear.
    pub departed: Ended,
    /// Lists of which a caller sees a part.
    pub lists: Lists,
    /// The record, as it is looked through.
    pub reviews: Reviews,
    /// How long after the start a write of an earlier process may still be on its way.
    pub settles: Duration,
    /// Where requests are told about.
    pub journal: Journal,
    /// What time it is.
    pub clock: Clock,
    /// Writes that were begun hold it up.
    pub drain: Drain,
    /// MLflow's `--static-prefix`.
    pub static_prefix: Option<String>,
    /// Other sites whose pages may call.
    pub origins: Origins,
}

type Answering = Pin<Box<dyn Future<Output = Response<Outbound>> + Send>>;

/// Who asks, and their place; else why there is none, and who asked if that is known.
type Entered = Result<(Arc<Principal>, Slot), (Option<Arc<Principal>>, Rejection)>;

/// A request that may go on: what it does, who may, and the place it takes.
struct Passed {
    slot: Slot,
    operation: Operation,
    permit: Permit,
    parts: Parts,
    stream: Option<Inbound>,
    peer: Peer,
    holding: Holding,
}

impl Gate {
    /// Answers one request. Whatever happens, one line tells of it.
    pub async fn answer(self: Arc<Self>, request: Request<Inbound>, peer: Peer) -> Response<Outbound> {
        let origins = self.origins.clone();
        let origin = origins.listed(request.headers()).cloned();
        let mut response = self.told(request.map(Sent::Coming), peer).await;
        origins.tell(response.headers_mut(), origin);
        response
    }

    /// Answers a part of another request as a request of its own. Boxed, because it is this very way that leads here.
    fn part(self: Arc<Self>, request: Request<Sent>, peer: Peer) -> Answering {
        Box::pin(self.told(request, peer))
    }

    async fn told(self: Arc<Self>, request: Request<Sent>, peer: Peer) -> Response<Outbound> {
        let id = RequestId::kept_or_new(request.headers().get(X_REQUEST_ID));
        let place = (&self.journal, &self.clock);
        let arrival = Arrival::new(place, id, peer.addr.ip(), request.method());
        if cross_site::is_preflight(request.method(), request.headers()) {
            return self.preflight(&request, arrival.open());
        }
        if self.is_probe(&request) {
            return self.probe(&request, arrival.open());
        }
        let entered = self.enter(request.headers(), peer).await;
        let way = entered.as_ref().ok().and_then(|(who, _)| self.way(who, &request));
        match (way, entered) {
            (Some(way), Ok((_, slot))) => self.go(&way, &request, slot, arrival),
            (_, entered) => {
                let trail = arrival.open();
                // Boxed, so that who goes the short way does not carry it.
                Box::pin(self.at_length(request, peer, entered, trail)).await
            }
        }
    }

    async fn enter(&self, headers: &HeaderMap, peer: Peer) -> Entered {
        let place = self.limits.admit().map_err(|full| (None, full.into()))?;
        let who = self.authn.identify(headers, peer.network()).await.map_err(|why| (None, why.into()))?;
        match self.limits.seat(place, &who) {
            Ok(slot) => Ok((who, slot)),
            Err(full) => Err((Some(who), full.into())),
        }
    }

    /// Counts a request against its principal's rate, if it was not yet.
    fn pay(&self, fare: &mut Option<Fare>) -> Result<(), Rejection> {
        fare.as_mut().map_or(Ok(()), |fare| Ok(self.limits.charge(fare)?))
    }

    async fn at_length(
        self: Arc<Self>,
        request: Request<Sent>,
        peer: Peer,
        entered: Entered,
        mut trail: Trail,
    ) -> Response<Outbound> {
        let head = request.method() == Method::HEAD;
        let mut graphql = None;
        let who = entered.as_ref().map_or_else(|(who, _)| who.as_ref(), |(who, _)| Some(who));
        who.iter().for_each(|who| trail.note_principal(who));
        let mut fare = who.map(|who| self.limits.fare(who));
        let walked = match entered {
            Ok(entered) => self.walk(request, peer, entered, (&mut trail, &mut graphql, &mut fare)).await,
            Err((_, rejection)) => Err(rejection),
        };
        match walked {
            Ok(passed) => self.perform(passed, trail, fare).await,
            Err(rejection) => {
                let rejection = self.pay(&mut fare).err().unwrap_or(rejection);
                let response = answer::refuse(&rejection, trail, graphql.as_deref(), head);
                if matches!(rejection, Rejection::Unauthenticated(_)) {
                    self.authn.hold_back(peer.network()).await;
                }
                response
            }
        }
    }

    async fn walk(
        &self,
        request: Request<Sent>,
        peer: Peer,
        (who, mut slot): (Arc<Principal>, Slot),
        (trail, graphql, fare): (&mut Trail, &mut Option<String>, &mut Option<Fare>),
    ) -> Result<Passed, Rejection> {
        let (parts, body) = request.into_parts();
        route::refuse_hosts(&parts.headers, &parts.uri, parts.version)?;
        route::refuse_codings(&parts.headers)?;
        let found = route::find(
            &parts.method,
            &parts.uri,
            parts.version == Version::HTTP_2,
            self.static_prefix.as_deref(),
        )?;
        trail.note_route(found.route());
        // What is answered from memory does not count (DESIGN section 2).
        let listed = found.row.reads_query() && List::of(found.row.answer).is_some();
        if !(Question::is_of(&found) || listed) || !self.cache.is_on(self.clock.steady()) {
            self.pay(fare)?;
        }
        *graphql = (found.row.answer == Answer::Graphql).then(String::new);
        let here = Here { authority: parts.uri.authority().map(Authority::as_str), tls: peer.tls };
        self.origins.refuse_others(&found, &parts.headers, here)?;
        let (body, stream) = take_body(&found, body, &mut slot).await?;
        let (mut operation, parts) = self.read_operation(found, parts, body, &mut slot).await?;
        trail.note_operation(&operation);
        if operation.found.row.rule == Rule::Presigned && !self.presigned {
            return Err(govern::Broken::Presigned.into());
        }
        if let route::Parameters::Graphql(asked) = &operation.parameters {
            *graphql = Some(asked.root.clone());
        }
        let policy = self.authz.current();
        let mut holding = Holding::Nothing;
        let permit = self.permit(policy, who, &operation, &mut holding).await?;
        trail.note_permit(&permit, operation.found.row.access);
        if let route::Parameters::Message(message) = &mut operation.parameters {
            let found = &operation.found;
            govern::tags::keep_mlflows_own(found.row.path, found.param("tag_key"), message)?;
        }
        let (mut warned, asked) = (Warned::new(), permit.demands().len());
        let permit = self.govern(permit, &mut operation, &mut holding, &mut warned).await?;
        if permit.demands().len() > asked {
            trail.note_permit(&permit, operation.found.row.access);
        }
        if let (Some(Batched(mark)), route::Parameters::Message(message)) =
            (parts.extensions.get(), &mut operation.parameters)
        {
            message.add("tags", Message::of_texts([("key", BATCH_TAG), ("value", mark)]));
        }
        trail.note_warned(warned);
        Ok(Passed { slot, operation, permit, parts, stream, peer, holding })
    }

    /// Large bodies, and those that may unpack to large ones, are read where nobody else waits for it.
    async fn read_operation(
        &self,
        found: Found,
        parts: Parts,
        body: Bytes,
        slot: &mut Slot,
    ) -> Result<(Operation, Parts), Rejection> {
        if body.len() < limit::LARGE && !parts.headers.contains_key(header::CONTENT_ENCODING) {
            let operation = route::read(found, &parts.uri, &parts.headers, body)?;
            return Ok((operation, parts));
        }
        let turn = slot.aside().turn().await?;
        let held = slot.held();
        if found.row.form == Form::Spans {
            slot.hold(limit::JSON_BODY).await?;
        }
        let read = move || (route::read(found, &parts.uri, &parts.headers, body), parts);
        let (operation, parts) = turn.run(read).await?;
        let operation = operation?;
        if let route::Parameters::Spans(unpacked) = &operation.parameters {
            slot.keep_only(held.saturating_add(unpacked.len()));
        }
        Ok((operation, parts))
    }

    /// House rules: no I/O in the rules, what they must know is found out here.
    async fn govern(
        &self,
        permit: Permit,
        operation: &mut Operation,
        holding: &mut Holding,
        warned: &mut Warned,
    ) -> Result<Permit, Rejection> {
        // An administrator could look everywhere anyway.
        let sees_all = permit.covers(Permission::Admin, &Object::Server);
        if let route::Parameters::Graphql(asked) = &operation.parameters
            && !sees_all
        {
            govern::mentions::check_variables(&asked.body)?;
        }
        let row = operation.found.row;
        let route::Parameters::Message(message) = &mut operation.parameters else { return Ok(permit) };
        if !sees_all && row.answer != Answer::RegisteredModels && row.answer != Answer::ModelVersions {
            let seen = |model: &str| permit.covers(Permission::MetadataRead, &Object::Model(model.into()));
            govern::mentions::check(row.path, message, seen)?;
        }
        govern::tags::check(row.needs, row.path, message)?;
        govern::sizes::check(row.path, message)?;
        self.stages_there_are(&operation.found, message)?;
        let found = self.has_room(row.path, message, holding).await?;
        match row.rule {
            Rule::None | Rule::Presigned | Rule::Transition => {}
            Rule::Name => {
                self.keeps_its_name(message, holding).await?;
                self.name(&permit, message, holding, warned).await?;
            }
            Rule::Alias => self.may_be_called(&permit, message, holding, warned).await?,
            Rule::NotInService => self.is_not_in_service(row.path, message, holding).await?,
            Rule::Metadata => {
                let deletes = row.verb == Verb::Delete;
                self.stays_complete(&permit, message, deletes, found, holding, warned).await?;
            }
            Rule::Source => {
                let permit = self.source(permit, message, holding).await?;
                self.numbered(message).await?;
                let permit = self.copied_tags(permit, message).await?;
                self.brings_no_evidence(message, warned)?;
                self.not_under_a_prompt(&permit, message, warned).await?;
                self.says_enough(&permit, message, warned)?;
                self.begins(&permit, message);
                return Ok(permit);
            }
        }
        Ok(permit)
    }
}
