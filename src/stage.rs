//! The house's ten stages, and MLflow's four that they are shown as (DESIGN section 8).

use std::fmt;

/// Where a version stands. A name is read whatever the case of its letters, and `None` is `Development`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Every version begins here.
    Development,
    /// Tried together with what it works with.
    IntegrationTest,
    /// Tried under load.
    PerformanceTest,
    /// Tried by those who asked for it.
    UserAcceptanceTest,
    /// Ready to be tried in earnest.
    Staging,
    /// Serves a few.
    Canary,
    /// Serves everybody.
    Production,
    /// Answers beside the one that serves, to nobody.
    Shadow,
    /// Out of service.
    Archived,
    /// Out of service for good.
    Deprecated,
}

impl Stage {
    /// All of them, in the order of DESIGN's list.
    pub const ALL: [Self; 10] = [
        Self::Development,
        Self::IntegrationTest,
        Self::PerformanceTest,
        Self::UserAcceptanceTest,
        Self::Staging,
        Self::Canary,
        Self::Production,
        Self::Shadow,
        Self::Archived,
        Self::Deprecated,
    ];

    /// The names of all of them, in the same order.
    pub const NAMES: [&str; 10] = {
        let mut names = [""; 10];
        let (mut all, mut left) = (Self::ALL.as_slice(), names.as_mut_slice());
        while let (Some((stage, stages)), Some((name, rest))) = (all.split_first(), left.split_first_mut()) {
            *name = stage.as_str();
            all = stages;
            left = rest;
        }
        names
    };

    /// The name, as rows and answers spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "Development",
            Self::IntegrationTest => "Integration_Test",
            Self::PerformanceTest => "Performance_Test",
            Self::UserAcceptanceTest => "User_Acceptance_Test",
            Self::Staging => "Staging",
            Self::Canary => "Canary",
            Self::Production => "Production",
            Self::Shadow => "Shadow",
            Self::Archived => "Archived",
            Self::Deprecated => "Deprecated",
        }
    }

    /// The stage of that name.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("none") {
            return Some(Self::Development);
        }
        Self::ALL.into_iter().find(|stage| stage.as_str().eq_ignore_ascii_case(text))
    }

    /// MLflow's own stage, as which it is shown there: nobody who asks MLflow for Production is given a canary.
    #[must_use]
    pub const fn mlflows(self) -> &'static str {
        match self {
            Self::Development | Self::IntegrationTest | Self::PerformanceTest | Self::UserAcceptanceTest => {
                "None"
            }
            Self::Staging | Self::Canary | Self::Shadow => "Staging",
            Self::Production => "Production",
            Self::Archived | Self::Deprecated => "Archived",
        }
    }

    /// The stage of a version that is known by its tag `sekisho.stage` and MLflow's own stage alone: what the tag says
    /// where both agree, else what MLflow says.
    #[must_use]
    pub fn believed(tag: Option<&str>, mlflows: &str) -> Self {
        let own = Self::named(mlflows).unwrap_or(Self::Development);
        let tagged = tag.and_then(Self::named);
        tagged.filter(|stage| stage.mlflows() == own.mlflows()).unwrap_or(own)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_whatever_their_case_and_none_is_development() {
        for (at, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(Stage::named(stage.as_str()), Some(stage));
            assert_eq!(Stage::named(&stage.as_str().to_uppercase()), Some(stage));
            assert_eq!(Stage::NAMES.get(at), Some(&stage.as_str()));
        }
        assert_eq!(Stage::named("nOnE"), Some(Stage::Development));
        for other in ["", "Prod", "Production ", "Deleted_Internal", "Integration Test"] {
            assert_eq!(Stage::named(other), None, "{other}");
        }
    }

    #[test]
    fn a_tag_is_believed_where_mlflow_agrees() {
        for (tag, mlflows, expected) in [
            (Some("Canary"), "Staging", Stage::Canary),
            (Some("Canary"), "Production", Stage::Production),
            (Some("Production"), "Staging", Stage::Staging),
            (Some("nonsense"), "Archived", Stage::Archived),
            (Some("Deprecated"), "Archived", Stage::Deprecated),
            (Some("Performance_Test"), "None", Stage::PerformanceTest),
            (None, "None", Stage::Development),
            (None, "Staging", Stage::Staging),
        ] {
            assert_eq!(Stage::believed(tag, mlflows), expected, "{tag:?} {mlflows}");
        }
    }
}
