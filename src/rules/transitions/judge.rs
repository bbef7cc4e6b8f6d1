//! Whether a version may go now: tests and approvals held against a rule.

use std::collections::BTreeSet;
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::{Transition, folded};
use crate::stage::Stage;

/// All that is known of one version that is to go.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// Who asked for it.
    pub asker: &'a str,
    /// Who made the version, if that is known.
    pub author: Option<&'a str>,
    /// Who approved the request.
    pub approvals: &'a [Approved<'a>],
    /// What tests said of the version, in any order.
    pub evidence: &'a [Said<'a>],
    /// The digest of its bytes as they are now; empty where it has none.
    pub digest: &'a str,
    /// Where its files come from, as it is now.
    pub source: &'a str,
    /// Whether it stood where it is to go before, with this digest.
    pub was_there: bool,
    /// How long approvals count.
    pub lasts: SignedDuration,
    /// The time.
    pub now: Timestamp,
}

/// An approval, and what its giver may do now.
#[derive(Clone, Copy, Debug)]
pub struct Approved<'a> {
    /// Its number.
    pub number: i64,
    /// Who gave it.
    pub user: &'a str,
    /// All their roles, those of `g` rows included.
    pub roles: &'a [String],
    /// Whether they may approve still, under the policy and the revocations now in force.
    pub still_may: bool,
    /// When it was given.
    pub at: Timestamp,
    /// The digest of the bytes that were approved.
    pub digest: &'a str,
    /// Where they came from.
    pub source: &'a str,
}

/// What a test said.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Its number; later ones have larger numbers.
    pub number: i64,
    /// The test.
    pub test: &'a str,
    /// Whether it passed.
    pub passed: bool,
    /// The digest of the bytes that were tested.
    pub digest: &'a str,
    /// When it was said.
    pub at: Timestamp,
}

/// What a rule says to a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The numbers of the approvals that count, ascending.
    pub approvals: Vec<i64>,
    /// The numbers of what counts of the tests that are asked for, in the order of the rule.
    pub evidence: Vec<i64>,
    /// What is missing, in the order in which it can be had. The rule is met if nothing is.
    pub lacks: Vec<Lack>,
}

/// One thing that is missing. Display is a sentence without its full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// What would be approved or tested cannot be told.
    Digest,
    /// The rule is for versions that come back.
    Before(Stage),
    /// A test.
    Test {
        /// Which.
        test: String,
        /// What there is instead.
        why: Untested,
    },
    /// People who approve.
    Approvals {
        /// How many are needed.
        needed: usize,
        /// How many count.
        counted: usize,
        /// Roles of which each must have one; empty if any will do.
        roles: Vec<String>,
        /// Approvals that do not count: number, user, and why.
        others: Vec<(i64, String, Uncounted)>,
    },
}

/// Why a test is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untested {
    /// Nobody has reported it.
    Unreported,
    /// What was reported was of other bytes.
    OtherBytes,
    /// It failed, and that was said last; under this number.
    Failed(i64),
}

/// Why an approval does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncounted {
    /// Who asks does not approve.
    Asker,
    /// Who made the version does not approve it.
    Author,
    /// Nobody knows who made the version, so it may have been they.
    AuthorUnknown,
    /// The version's files came from elsewhere then.
    OtherSource,
    /// The version had other bytes then.
    OtherBytes,
    /// It is too old.
    Expired,
    /// It is of a time to come: the clock was set back, and its age cannot be told.
    Early,
    /// Its giver may not approve any more.
    LostRight,
    /// Its giver has none of the roles.
    WrongRole,
    /// The same person's other approval counts.
    Twice,
}

impl Uncounted {
    /// Whether approving again mends it.
    fn is_renewed(self) -> bool {
        match self {
            Self::OtherSource | Self::OtherBytes | Self::Expired | Self::Early => true,
            Self::Asker
            | Self::Author
            | Self::AuthorUnknown
            | Self::LostRight
            | Self::WrongRole
            | Self::Twice => false,
        }
    }
}

/// Clocks of several machines may differ so much.
const LEEWAY: SignedDuration = SignedDuration::from_secs(30);

impl Transition {
    /// Whether all that the rule asks for is there.
    #[must_use]
    pub fn judge(&self, case: &Case<'_>) -> Verdict {
        let mut lacks = Vec::new();
        let asks = self.required_approvals > 0 || !self.required_tests.is_empty() || self.returning;
        if asks && case.digest.is_empty() {
            lacks.push(Lack::Digest);
        }
        if self.returning && !case.was_there {
            lacks.push(Lack::Before(self.to));
        }
        let mut evidence = Vec::new();
        for test in &self.required_tests {
            match case.said_by(test) {
                Ok(number) => evidence.push(number),
                Err(why) => lacks.push(Lack::Test { test: test.clone(), why }),
            }
        }
        let (approvals, others) = self.counted(case);
        if approvals.len() < self.required_approvals {
            lacks.push(Lack::Approvals {
                needed: self.required_approvals,
                counted: approvals.len(),
                roles: self.approver_roles.clone(),
                others,
            });
        }
        Verdict { approvals, evidence, lacks }
    }

    /// The approvals that count, one of each person, and why each other does not.
    fn counted(&self, case: &Case<'_>) -> (Vec<i64>, Vec<(i64, String, Uncounted)>) {
        let mut given: Vec<&Approved<'_>> = case.approvals.iter().collect();
        given.sort_by_key(|approval| approval.number);
        let (mut counted, mut others, mut people) = (Vec::new(), Vec::new(), BTreeSet::new());
        for approval in given {
            let why = self.against(case, approval);
            match why.or_else(|| (!people.insert(folded(approval.user))).then_some(Uncounted::Twice)) {
                None => counted.push(approval.number),
                Some(why) => others.push((approval.number, approval.user.to_owned(), why)),
            }
        }
        // Who has approved again needs not be told of what it took the place of.
        others.retain(|(_, user, why)| !why.is_renewed() || !people.contains(&folded(user)));
        (counted, others)
    }

    /// Why an approval does not count, looked at alone.
    fn against(&self, case: &Case<'_>, approval: &Approved<'_>) -> Option<Uncounted> {
        let same = |person: &str| folded(person) == folded(approval.user);
        let age = case.now.duration_since(approval.at);
        let has_role = |role: &String| approval.roles.contains(role);
        let author = match case.author {
            _ if self.author_may_approve => None,
            None => Some(Uncounted::AuthorUnknown),
            Some(author) => same(author).then_some(Uncounted::Author),
        };
        if same(case.asker) {
            Some(Uncounted::Asker)
        } else if author.is_some() {
            author
        } else if approval.source != case.source {
            Some(Uncounted::OtherSource)
        } else if approval.digest != case.digest || case.digest.is_empty() {
            Some(Uncounted::OtherBytes)
        } else if age >= case.lasts {
            Some(Uncounted::Expired)
        } else if age < -LEEWAY {
            Some(Uncounted::Early)
        } else if !approval.still_may {
            Some(Uncounted::LostRight)
        } else if !self.approver_roles.is_empty() && !self.approver_roles.iter().any(has_role) {
            Some(Uncounted::WrongRole)
        } else {
            None
        }
    }
}

impl Case<'_> {
    /// What a test said last of these bytes, if it passed.
    fn said_by(&self, test: &str) -> Result<i64, Untested> {
        let mut said = self.evidence.iter().filter(|said| said.test == test).peekable();
        let any = said.peek().is_some();
        let of_these = said.filter(|said| said.digest == self.digest && !self.digest.is_empty());
        match of_these.max_by_key(|said| (said.number, !said.passed)) {
            Some(last) if last.passed => Ok(last.number),
            Some(last) => Err(Untested::Failed(last.number)),
            None if any => Err(Untested::OtherBytes),
            None => Err(Untested::Unreported),
        }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest => f.write_str(
                "the version has no digest yet, and what is approved or tested must be known by its bytes",
            ),
            Self::Before(stage) => write!(
                f,
                "only a version that stood in {stage} before, with the bytes that it has now, may come back to it"
            ),
            Self::Test { test, why } => write!(f, "the test `{test}` {why}"),
            Self::Approvals { needed, counted, roles, others } => {
                let (plural, verb) = if *needed == 1 { ("", "is") } else { ("s", "are") };
                write!(f, "{needed} approval{plural} {verb} needed")?;
                if !roles.is_empty() {
                    write!(f, " of people with the role {}", roles.join(" or "))?;
                }
                match counted {
                    0 => f.write_str(" and none counts")?,
                    1 => f.write_str(" and 1 counts")?,
                    more => write!(f, " and {more} count")?,
                }
                for (place, (number, user, why)) in others.iter().enumerate() {
                    write!(
                        f,
                        "{}that of {user} (number {number}) {why}",
                        if place > 0 { ", " } else { ": " }
                    )?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Untested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreported => f.write_str("has not been reported as passed"),
            Self::OtherBytes => f.write_str("was reported for other bytes than the version has now"),
            Self::Failed(number) => write!(f, "failed when it was last reported (number {number})"),
        }
    }
}

impl fmt::Display for Uncounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asker => "does not count, for nobody approves what they asked for",
            Self::Author => "does not count, for the version is of their own making",
            Self::AuthorUnknown => {
                "does not count, for nobody knows who made the version, and it may have been they"
            }
            Self::OtherSource => "was given when the version had another source",
            Self::OtherBytes => "was given for other bytes than the version has now",
            Self::Expired => "has expired",
            Self::Early => "was given at a time that has not come yet by this clock",
            Self::LostRight => "does not count, for they may not approve it any more",
            Self::WrongRole => "does not count, for they have no such role",
            Self::Twice => "is the same person's once more",
        })
    }
}
