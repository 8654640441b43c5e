//! Why a document is no policy, in IAM's words, and where in the document it shows. It repeats
//! of the document only what IAM's own texts repeat.

use std::fmt;

use serde::Serialize;

/// A place in a document: both count from 1, columns in characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Position {
    /// Where a document begins.
    pub(super) const START: Position = Position { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// The document is no policy of that kind. It prints as IAM's `MalformedPolicyDocument` does,
/// followed by the position: `Syntax errors in policy. (line 3, column 14: …)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyError {
    /// What is wrong.
    pub fault: Fault,
    /// Where it shows.
    pub position: Position,
    /// What was expected there; empty where IAM's text says it all.
    pub detail: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.fault, self.position)?;
        match self.detail.as_str() {
            "" => write!(f, ")"),
            detail => write!(f, ": {detail})"),
        }
    }
}

impl std::error::Error for PolicyError {}

/// The faults that IAM tells apart, in its words (as its API answers them, which is written down
/// in bug reports rather than in its documentation).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// No JSON, or an element that the policy grammar does not have in that place.
    #[error("Syntax errors in policy.")]
    Syntax,
    /// The grammar holds and a value doesn't.
    #[error("The policy failed legacy parsing")]
    Legacy,
    /// Two statements have one Sid.
    #[error("Statement IDs (SID) in a single policy must be unique.")]
    RepeatedSid,
    /// A Sid with other characters than A-Z, a-z and 0-9.
    #[error(
        "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the \
             regular expression [0-9A-Za-z]*"
    )]
    SidCharacters,
    /// Neither Action nor NotAction, or an empty list.
    #[error("Policy statement must contain actions.")]
    NoActions,
    /// Neither Resource nor NotResource, or an empty list.
    #[error("Policy statement must contain resources.")]
    NoResources,
    /// A principal where the principal is whoever has the policy.
    #[error("Policy document should not specify a principal.")]
    ProhibitedPrincipal,
    /// An element that this kind of policy can't have.
    #[error("Has prohibited field {0}")]
    Prohibited(&'static str),
    /// An element that this kind of policy must have.
    #[error("Missing required field {0}")]
    Missing(&'static str),
    /// An action without a service.
    #[error("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")]
    NoVendor,
    /// An action with more than one colon.
    #[error("Actions/Condition can contain only one colon.")]
    Colons,
    /// The part before an action's colon is no service's name.
    #[error("Vendor {0} is not valid")]
    Vendor(String),
    /// A trust policy speaks of more than assuming its role.
    #[error("AssumeRole policy may only specify STS AssumeRole actions.")]
    NotAssumeRole,
    /// A resource that is no ARN.
    #[error("Resource {0} must be in ARN format or \"*\".")]
    NotArn(String),
    /// A resource of a partition that there is not.
    #[error("Partition \"{partition}\" is not valid for resource \"{resource}\".")]
    Partition {
        /// The partition.
        partition: String,
        /// The whole resource.
        resource: String,
    },
    /// A resource whose service is missing or has a wildcard.
    #[error("Resource vendor must be fully qualified and cannot contain regexes.")]
    ResourceVendor,
    /// IAM is in no Region.
    #[error("IAM resource {0} cannot contain region information.")]
    IamRegion(String),
    /// A path that no resource of IAM has.
    #[error("IAM resource path must either be \"*\" or start with {IAM_PATHS}.")]
    IamPath,
    /// A principal that can't be.
    #[error("Invalid principal in policy: \"{kind}\":\"{name}\"")]
    Principal {
        /// `AWS`, `SERVICE`, `FEDERATED` or `CANONICALUSER`.
        kind: &'static str,
        /// What was given.
        name: String,
    },
    /// Whom it allows would be everybody else.
    #[error("Allow with NotPrincipal is not allowed.")]
    AllowNotPrincipal,
    /// A control policy of resources that allows or names principals.
    #[error(
        "The provided policy document does not meet the requirements of the specified \
             policy type."
    )]
    ControlPolicy,
}

/// What a resource of IAM's begins with, after the account.
pub(super) const IAM_PATHS: &str = "user/, federated-user/, role/, group/, instance-profile/, \
     mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, \
     access-report/";

/// What an error repeats of the document, at most: characters.
const MAX_SHOWN: usize = 512;

/// A text of the document as an error repeats it.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

/// Finds places in a document. Going forward from the last one asked for it reads no character
/// twice.
pub(super) struct Locator<'a> {
    document: &'a str,
    at: usize,
    position: Position,
}

impl<'a> Locator<'a> {
    pub(super) fn new(document: &'a str) -> Locator<'a> {
        Locator {
            document,
            at: 0,
            position: Position::START,
        }
    }

    /// The place of that byte; past the end it is the end.
    pub(super) fn position(&mut self, at: usize) -> Position {
        if at < self.at {
            *self = Locator::new(self.document);
        }
        let rest = &self.document[self.at..];
        for (offset, character) in rest.char_indices() {
            if self.at + offset >= at {
                self.at += offset;
                return self.position;
            }
            match character {
                '\n' => {
                    self.position.line = self.position.line.saturating_add(1);
                    self.position.column = 1;
                }
                _ => self.position.column = self.position.column.saturating_add(1),
            }
        }
        self.at = self.document.len();
        self.position
    }
}

/// A fault at a byte of the document, before its line is known.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) fault: Fault,
    pub(super) at: usize,
    pub(super) detail: String,
}

impl Flaw {
    pub(super) fn new(fault: Fault, at: usize) -> Flaw {
        Flaw {
            fault,
            at,
            detail: String::new(),
        }
    }

    pub(super) fn syntax(at: usize, detail: impl Into<String>) -> Flaw {
        Flaw {
            fault: Fault::Syntax,
            at,
            detail: detail.into(),
        }
    }

    pub(super) fn legacy(at: usize, detail: impl Into<String>) -> Flaw {
        Flaw {
            fault: Fault::Legacy,
            at,
            detail: detail.into(),
        }
    }

    pub(super) fn located(self, document: &str) -> PolicyError {
        PolicyError {
            fault: self.fault,
            position: Locator::new(document).position(self.at),
            detail: self.detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let text = "a\nbé€c\n\nd";
        let mut locator = Locator::new(text);
        let places = [
            (0, (1, 1)),
            (1, (1, 2)),
            (2, (2, 1)),
            (5, (2, 3)),
            (8, (2, 4)),
            (10, (3, 1)),
            (11, (4, 1)),
            (99, (4, 2)),
            (2, (2, 1)),
        ];
        for (at, (line, column)) in places {
            assert_eq!(locator.position(at), Position { line, column }, "{at}");
        }
    }
}
