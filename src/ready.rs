//! Readiness: nobody computes it, everybody who is not ready holds a named latch.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// What `/readyz` tells: which latches are held, and what is to blame for old news still being in force.
#[derive(Clone, Debug, Default)]
pub struct Ready(Arc<Mutex<Told>>);

/// Something is not ready while this lives.
#[derive(Debug)]
#[must_use = "dropping the latch says that its task is ready"]
pub struct Latch {
    ready: Ready,
    name: String,
}

#[derive(Debug, Default)]
struct Told {
    held: BTreeMap<String, usize>,
    blamed: BTreeMap<&'static str, String>,
}

impl Ready {
    /// Not ready for `name` until the latch is dropped. A name may be held more than once.
    pub fn latch(&self, name: impl Into<String>) -> Latch {
        let name = name.into();
        *self.0.lock().held.entry(name.clone()).or_default() += 1;
        Latch { ready: self.clone(), name }
    }

    /// Whether no latch is held.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.lock().held.is_empty()
    }

    /// The names that are still waited for, sorted, each once.
    #[must_use]
    pub fn waiting(&self) -> Vec<String> {
        self.0.lock().held.keys().cloned().collect()
    }

    /// Why the newest `what` (a policy set, a key set) was not taken, or what most can do without is away; `None` when
    /// all is well. This is shown and does not make anything unready.
    pub fn blame(&self, what: &'static str, reason: Option<String>) {
        let blamed = &mut self.0.lock().blamed;
        match reason {
            Some(reason) => blamed.insert(what, reason),
            None => blamed.remove(what),
        };
    }

    /// What was not taken, and why, sorted.
    #[must_use]
    pub fn blamed(&self) -> Vec<(&'static str, String)> {
        self.0.lock().blamed.iter().map(|(what, reason)| (*what, reason.clone())).collect()
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        let held = &mut self.ready.0.lock().held;
        if let Some(count) = held.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_the_absence_of_latches() {
        let ready = Ready::default();
        assert!(ready.is_ready());
        let upstream = ready.latch("upstream");
        let first = ready.latch("keys of `idp`");
        let second = ready.latch("keys of `idp`");
        assert_eq!(ready.waiting(), ["keys of `idp`", "upstream"]);
        drop(first);
        assert_eq!(ready.waiting(), ["keys of `idp`", "upstream"], "one of two is still held");
        drop((second, upstream));
        assert!(ready.is_ready() && ready.waiting().is_empty());
    }

    #[test]
    fn blame_is_shown_and_does_not_make_anything_unready() {
        let ready = Ready::default();
        ready.blame("policies", Some("policy.csv:14: unknown effect `Deny`".into()));
        assert!(ready.is_ready());
        assert_eq!(ready.blamed(), [("policies", "policy.csv:14: unknown effect `Deny`".to_owned())]);
        ready.blame("policies", None);
        assert!(ready.blamed().is_empty());
    }
}
