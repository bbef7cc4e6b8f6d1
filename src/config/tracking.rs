//! What MLflow's own client reads from the environment: where its server is, and a token for it.

use zeroize::Zeroizing;

/// Where a user's MLflow client goes, and with which token.
pub struct Tracking {
    /// `MLFLOW_TRACKING_URI`.
    pub uri: Option<String>,
    /// `MLFLOW_TRACKING_PASSWORD` where there is a `MLFLOW_TRACKING_USERNAME`, as the client prefers it; else
    /// `MLFLOW_TRACKING_TOKEN`.
    pub token: Option<Zeroizing<String>>,
}

/// The variables of this process.
#[must_use]
pub fn tracking() -> Tracking {
    of(|name| std::env::var(name).ok())
}

fn of(variable: impl Fn(&str) -> Option<String>) -> Tracking {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let password = set("MLFLOW_TRACKING_USERNAME").and_then(|_| set("MLFLOW_TRACKING_PASSWORD"));
    let token = password.or_else(|| set("MLFLOW_TRACKING_TOKEN"));
    Tracking { uri: set("MLFLOW_TRACKING_URI"), token: token.map(Zeroizing::new) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_the_one_that_the_client_would_send() {
        for (set, expected) in [
            (&[("TOKEN", "t")][..], Some("t")),
            (&[("TOKEN", "t"), ("USERNAME", "u"), ("PASSWORD", "p")], Some("p")),
            (&[("TOKEN", "t"), ("PASSWORD", "p")], Some("t")),
            (&[("TOKEN", "t"), ("USERNAME", "u")], Some("t")),
            (&[("TOKEN", "")], None),
        ] {
            let read = of(|name| {
                let found = set.iter().find(|(key, _)| name.strip_prefix("MLFLOW_TRACKING_") == Some(key));
                found.map(|(_, value)| (*value).to_owned())
            });
            assert_eq!(read.token.as_ref().map(|token| token.as_str()), expected, "{set:?}");
        }
    }
}
