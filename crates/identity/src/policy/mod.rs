//! The policy engine: IAM's JSON documents are read, checked and compiled once, and then decide
//! about any number of inquiries. Nothing here does I/O, reads a clock or knows an account's
//! users; a document with a fault allows nothing, since there is no policy of it.
//!
//! Sources, all of the IAM User Guide: "IAM JSON policy element reference", "Policy evaluation
//! logic". Where that leaves a choice, what is denied wins: a variable without a value matches
//! nothing, and never helps an Allow.

mod binding;
mod condition;
mod decide;
mod document;
mod elements;
mod error;
mod explain;
mod glob;
mod json;
mod pattern;
mod principal;
mod request;
mod statement;
mod value;

use std::collections::BTreeSet;

use aws::access::PolicyKind;

pub use decide::{Attached, Deciding, Decision, Effect, Layer, Layers, Source, decide};
pub use document::{MAX_DOCUMENT, MAX_STATEMENTS, MAX_VALUES};
pub use error::{Fault, PolicyError, Position};
pub use explain::{Considered, Explanation, WhyNot, explain};
pub use request::{Inquiry, KeySource, PrincipalView, Values};

pub(crate) use binding::rename_principals;
pub(crate) use principal::is_unique_id;

use condition::Condition;
use pattern::Pattern;
use statement::Statement;

/// A policy document, compiled. It is immutable and can be shared.
#[derive(Debug)]
pub struct Policy {
    kind: PolicyKind,
    /// The bits of the services that its statements are about: whether it has a say at all.
    services: u64,
    statements: Box<[Statement]>,
}

impl Policy {
    /// Compiles a document of that kind.
    ///
    /// # Errors
    ///
    /// [`PolicyError`]: the first fault, in IAM's words, with its line and column.
    pub fn parse(kind: PolicyKind, document: &str) -> Result<Policy, PolicyError> {
        let statements = document::read(kind, document).map_err(|flaw| flaw.located(document))?;
        Ok(Policy::new(kind, statements))
    }

    fn new(kind: PolicyKind, statements: Vec<Statement>) -> Policy {
        let services = statements
            .iter()
            .map(|statement| statement.actions.services());
        Policy {
            kind,
            services: services.fold(0, |all, services| all | services),
            statements: statements.into(),
        }
    }

    /// What stands in for a document that can't be read any more: it denies everything to
    /// everybody, in whatever layer it is.
    pub fn unreadable(kind: PolicyKind) -> Policy {
        let everything = || vec![Pattern::Everything];
        let denial = Statement {
            sid: None,
            allows: false,
            principals: None,
            actions: statement::Actions::new(everything(), u64::MAX, false),
            resources: None,
            conditions: Box::default(),
            extent: (Position::START, Position::START),
        };
        Policy::new(kind, vec![denial])
    }

    /// What the policy is for.
    pub fn kind(&self) -> PolicyKind {
        self.kind
    }

    /// Does it name principals? Of an organisation's policies those of resources do, those of
    /// services don't.
    pub fn names_principals(&self) -> bool {
        let mut statements = self.statements.iter();
        statements.any(|statement| statement.principals.is_some())
    }

    /// The condition keys that its conditions and variables name, each once (without regard to
    /// case), in the case in which it stands first in the order of the alphabet.
    pub fn context_keys(&self) -> Vec<&str> {
        let mut keys = BTreeSet::new();
        for statement in &self.statements {
            keys.extend(statement.conditions.iter().flat_map(Condition::keys));
            let resources = statement.resources.iter();
            let patterns = resources.flat_map(|resources| &resources.patterns);
            keys.extend(patterns.flat_map(Pattern::variables));
        }
        let mut known = BTreeSet::new();
        keys.retain(|key| known.insert(key.to_ascii_lowercase()));
        keys.into_iter().collect()
    }
}

/// A document's size as IAM's quotas count it: its characters without white space (IAM User
/// Guide, "IAM and AWS STS quotas").
pub fn size(document: &str) -> usize {
    let characters = document.chars();
    characters
        .filter(|character| !character.is_whitespace())
        .count()
}

#[cfg(test)]
mod tests;
