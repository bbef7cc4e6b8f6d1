//! casbin, the one that decides: handed a request and the few rows that can matter, on this thread's own enforcer.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use casbin::function_map::OperatorFunction;
use casbin::rhai::{Dynamic, ImmutableString};
use casbin::{CoreApi, DefaultModel, Enforcer, MatchingFn, RoleManager};
use futures_util::FutureExt;
use parking_lot::RwLock;

use crate::authz::links::Links;
use crate::authz::object::covers;

/// The one model that the program is built for, as shipped.
pub(super) const MODEL: &str = include_str!("../../policies/model.conf");

/// One question to casbin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) subjects: &'a str,
    pub(super) object: &'a str,
    pub(super) permission: &'a str,
}

/// casbin could not decide; whoever asks refuses.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    #[error("casbin panicked")]
    Panicked,
    #[error("casbin holds {held} of {given} rows")]
    RowsLost { given: usize, held: usize },
    #[error("casbin waits for something although nothing here takes time")]
    Waits,
    #[error("casbin failed")]
    Casbin(#[from] casbin::Error),
}

/// Whether casbin allows the request under these rows (`p` fields, in the order of their file).
///
/// An enforcer that failed or panicked is thrown away: nobody knows what it holds.
pub(super) fn enforce(
    links: &Arc<Links>,
    request: Request<'_>,
    rows: Vec<Vec<String>>,
) -> Result<bool, EngineError> {
    let kept = SCRATCH.with_borrow_mut(Option::take);
    let (scratch, allowed) = catch_unwind(AssertUnwindSafe(|| {
        let mut scratch = kept.map_or_else(Scratch::new, Ok)?;
        let allowed = scratch.enforce(links, request, rows)?;
        Ok::<_, EngineError>((scratch, allowed))
    }))
    .map_err(|_| EngineError::Panicked)??;
    SCRATCH.set(Some(scratch));
    Ok(allowed)
}

thread_local! {
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

struct Scratch {
    enforcer: Enforcer,
    roles: Arc<RwLock<Held>>,
}

impl Scratch {
    fn new() -> Result<Self, EngineError> {
        // Neither call does I/O with a text and without an adapter; `Enforcer::new` would read a policy, which clears the model.
        let model = DefaultModel::from_str(MODEL).now_or_never().ok_or(EngineError::Waits)??;
        let mut enforcer = Enforcer::new_raw(model, ()).now_or_never().ok_or(EngineError::Waits)??;
        let roles = Arc::new(RwLock::new(Held::default()));
        enforcer.enable_auto_build_role_links(false);
        enforcer.set_role_manager(Arc::clone(&roles) as Arc<RwLock<dyn RoleManager>>)?;
        enforcer.add_function("covers", OperatorFunction::Arg4(covers_in_casbin));
        Ok(Self { enforcer, roles })
    }

    fn enforce(
        &mut self,
        links: &Arc<Links>,
        request: Request<'_>,
        rows: Vec<Vec<String>>,
    ) -> Result<bool, EngineError> {
        let given = rows.len();
        let model = self.enforcer.get_mut_model();
        model.clear_policy();
        model.add_policies("p", "p", rows);
        let held =
            model.get_model().get("p").and_then(|sections| sections.get("p")).map_or(0, |p| p.policy.len());
        // Without rows casbin would try the matcher on empty strings.
        if held != given || held == 0 {
            return Err(EngineError::RowsLost { given, held });
        }
        self.roles.write().0 = Some(Arc::clone(links));
        let asked: Vec<ImmutableString> =
            vec![request.subjects.into(), request.object.into(), request.permission.into()];
        let allowed = self.enforcer.enforce(asked)?;
        self.roles.write().0 = None;
        Ok(allowed)
    }
}

fn covers_in_casbin(asked: Dynamic, pattern: Dynamic, subject: Dynamic, effect: Dynamic) -> Dynamic {
    let texts = (
        asked.into_immutable_string(),
        pattern.into_immutable_string(),
        subject.into_immutable_string(),
        effect.into_immutable_string(),
    );
    let (Ok(asked), Ok(pattern), Ok(subject), Ok(effect)) = texts else { return Dynamic::UNIT };
    // `()` is not a truth value: the matcher then fails, and a failure refuses.
    covers(&asked, &pattern, &subject, effect == "allow").map_or(Dynamic::UNIT, Dynamic::from)
}

/// Roles as casbin asks for them. Links are followed when a set is built, never through casbin.
#[derive(Default)]
struct Held(Option<Arc<Links>>);

impl RoleManager for Held {
    fn has_link(&self, name1: &str, name2: &str, _domain: Option<&str>) -> bool {
        self.0.as_ref().is_some_and(|links| links.holds(name1, name2))
    }

    fn clear(&mut self) {
        self.0 = None;
    }

    fn add_link(&mut self, _name1: &str, _name2: &str, _domain: Option<&str>) {}

    fn matching_fn(&mut self, _role: Option<MatchingFn>, _domain: Option<MatchingFn>) {}

    fn delete_link(&mut self, _name1: &str, _name2: &str, _domain: Option<&str>) -> casbin::Result<()> {
        Ok(())
    }

    fn get_roles(&self, _name: &str, _domain: Option<&str>) -> Vec<String> {
        Vec::new()
    }

    fn get_users(&self, _name: &str, _domain: Option<&str>) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests;
