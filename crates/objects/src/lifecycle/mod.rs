//! Lifecycle of a bucket's objects: the rules as they are given, when what of them is due, and the
//! pass that carries out what is. Storage here is of one kind, so transitions are refused by name.

mod check;
mod due;
mod pass;
#[cfg(test)]
mod tests;

pub use pass::{LIFECYCLE_INTERVAL, LifecycleReport, LifecycleTrouble};

use due::{Due, due, is_abort_due};
pub use due::{Expiry, abort_date, expiry};

use serde::{Deserialize, Serialize};
use types::{Environment, Timestamp};

use crate::ObjectError;

/// Rules of a configuration at most (S3 User Guide, "Lifecycle configuration elements").
pub const MOST_RULES: usize = 1000;

/// A rule's ID at most, in characters (S3 API Reference, `LifecycleRule`).
pub const LONGEST_ID: usize = 255;

/// Noncurrent versions that a rule can keep at most (S3 API Reference,
/// `NoncurrentVersionExpiration`).
pub const MOST_NEWER_VERSIONS: i64 = 100;

/// A bucket's lifecycle rules, as they were given. [`LifecycleConfiguration::accept`] is the way
/// to a valid one.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LifecycleConfiguration {
    /// The rules; what any of them makes due is done.
    pub rules: Vec<LifecycleRule>,
}

/// A lifecycle rule.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LifecycleRule {
    /// Its ID; empty in what is given: S3 invents one.
    pub id: String,
    /// `Enabled`, not `Disabled`.
    pub enabled: bool,
    /// The prefix of a rule in the first form, which has no filter.
    pub prefix: Option<String>,
    /// What it is about; an empty one is about all.
    pub filter: Option<Filter>,
    /// When the current version expires.
    pub expiration: Option<Expiration>,
    /// When noncurrent versions expire.
    pub noncurrent_expiration: Option<NoncurrentExpiration>,
    /// Days after which an upload that isn't completed is aborted.
    pub abort_after_days: Option<i64>,
}

/// What a rule is about. At most one of them is given.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Keys that begin with this.
    pub prefix: Option<String>,
    /// Objects with that tag: key and value.
    pub tag: Option<(String, String)>,
    /// Objects of more bytes.
    pub greater_than: Option<i64>,
    /// Objects of fewer bytes.
    pub less_than: Option<i64>,
    /// Several of them.
    pub and: Option<And>,
}

/// Several things that must all hold; at least two are given.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct And {
    /// Keys that begin with this.
    pub prefix: Option<String>,
    /// Objects with those tags.
    pub tags: Vec<(String, String)>,
    /// Objects of more bytes.
    pub greater_than: Option<i64>,
    /// Objects of fewer bytes.
    pub less_than: Option<i64>,
}

/// When current versions expire. Exactly one of them is given.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Expiration {
    /// At that midnight.
    pub date: Option<Timestamp>,
    /// That many days after they were made.
    pub days: Option<i64>,
    /// Delete markers with no version beneath them, at once.
    pub expired_object_delete_marker: Option<bool>,
}

/// When noncurrent versions expire.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NoncurrentExpiration {
    /// That many days after they became noncurrent.
    pub days: Option<i64>,
    /// That many of the newest of them never.
    pub newer_versions: Option<i64>,
}

impl LifecycleConfiguration {
    /// The configuration as it is kept, with an ID for every rule, if S3 would take it.
    ///
    /// # Errors
    /// The first thing that S3 refuses, in its words.
    pub fn accept(
        mut self,
        environment: &dyn Environment,
    ) -> Result<LifecycleConfiguration, ObjectError> {
        check::check(&self)?;
        for rule in &mut self.rules {
            if rule.id.is_empty() {
                let (high, low) = (environment.random(), environment.random());
                rule.id = format!("{high:016x}{low:016x}");
            }
        }
        Ok(self)
    }

    /// The rules that are enabled.
    pub fn enabled(&self) -> impl Iterator<Item = &LifecycleRule> {
        self.rules.iter().filter(|rule| rule.enabled)
    }
}

/// What is answered to a rule with a transition.
pub fn transitions_not_implemented() -> ObjectError {
    ObjectError::refused_with(
        501,
        "NotImplemented",
        "Transition and NoncurrentVersionTransition are not implemented: there is one kind of \
         storage here",
    )
}

impl LifecycleRule {
    /// The prefix of the keys that it is about; empty: all.
    pub fn key_prefix(&self) -> &str {
        let filter = self.filter.as_ref();
        let and = filter.and_then(|filter| filter.and.as_ref());
        self.prefix
            .as_deref()
            .or(filter.and_then(|filter| filter.prefix.as_deref()))
            .or(and.and_then(|and| and.prefix.as_deref()))
            .unwrap_or_default()
    }

    /// The tags that it asks for.
    pub fn tags(&self) -> impl Iterator<Item = &(String, String)> {
        let filter = self.filter.as_ref();
        let and = filter.and_then(|filter| filter.and.as_ref());
        let one = filter.and_then(|filter| filter.tag.as_ref());
        one.into_iter()
            .chain(and.into_iter().flat_map(|and| &and.tags))
    }

    /// The sizes that it asks for: more than the first, less than the second, in bytes.
    pub fn sizes(&self) -> (Option<i64>, Option<i64>) {
        let Some(filter) = &self.filter else {
            return (None, None);
        };
        let and = filter.and.as_ref();
        let greater = filter.greater_than.or(and.and_then(|and| and.greater_than));
        let less = filter.less_than.or(and.and_then(|and| and.less_than));
        (greater, less)
    }

    /// Does it ask for tags or sizes, which delete markers and uploads don't have?
    pub(crate) fn asks_for_more_than_a_prefix(&self) -> bool {
        self.tags().next().is_some() || self.sizes() != (None, None)
    }
}
