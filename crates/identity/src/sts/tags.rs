//! The tags of a session: those that are passed, and those that it inherits from the session that
//! assumed the role (IAM User Guide, "Pass session tags in AWS STS").

use std::collections::BTreeSet;

use aws::query::Members;

use super::error::StsError;
use super::parameters::null;
use crate::iam::{check_length, constraint};
use crate::model::Tags;
use crate::session::Content;

/// The most tags that are passed (IAM User Guide, "IAM and AWS STS quotas").
const MOST: usize = 50;

/// A session's tags.
#[derive(Debug, Default)]
pub(super) struct SessionTags {
    /// Those of the request.
    pub(super) passed: Tags,
    /// The keys, as the request has them, that sessions assumed from it shall inherit.
    pub(super) transitive: Vec<String>,
    /// Those that are inherited.
    inherited: Tags,
}

impl SessionTags {
    /// The tags that a request passes, with those that are inherited from the calling session.
    pub(super) fn read(
        members: &Members<'_>,
        calling: Option<&Content>,
    ) -> Result<SessionTags, StsError> {
        let passed = passed(members)?;
        let inherited = calling.map(inherited).unwrap_or_default();
        let transitive = members.values("TransitiveTagKeys")?;
        check_count("transitiveTagKeys", transitive.len())?;
        let holds = |tags: &Tags, key: &str| tags.keys().any(|own| own.eq_ignore_ascii_case(key));
        for key in &transitive {
            if !holds(&passed, key) {
                return Err(StsError::InvalidParameter(
                    "The specified transitive tag keys must be included in the requested tags.",
                ));
            }
        }
        // What was made transitive can't be said otherwise further on.
        if passed.keys().any(|key| holds(&inherited, key)) {
            return Err(StsError::InvalidParameter(
                "One of the specified transitive tag keys can't be set because it conflicts with \
                 a transitive tag key from the calling session.",
            ));
        }
        Ok(SessionTags {
            passed,
            transitive: transitive.into_iter().map(str::to_owned).collect(),
            inherited,
        })
    }

    /// Has the session tags at all?
    pub(super) fn is_empty(&self) -> bool {
        self.passed.is_empty() && self.inherited.is_empty()
    }

    /// All of them, and the keys in lower case of those that are inherited further.
    pub(super) fn whole(self) -> (Tags, BTreeSet<String>) {
        let keys = self.transitive.iter().chain(self.inherited.keys());
        let transitive = keys.map(|key| key.to_ascii_lowercase()).collect();
        let mut tags = self.inherited;
        tags.extend(self.passed);
        (tags, transitive)
    }
}

fn inherited(calling: &Content) -> Tags {
    let tags = calling.tags.iter();
    let transitive = tags.filter(|(key, _)| calling.transitive.contains(&key.to_ascii_lowercase()));
    transitive
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn passed(members: &Members<'_>) -> Result<Tags, StsError> {
    let structures = members.structures("Tags")?;
    check_count("tags", structures.len())?;
    let (mut tags, mut known) = (Tags::new(), BTreeSet::new());
    for (index, structure) in structures.iter().enumerate() {
        let at = |part: &str| format!("tags.{}.member.{part}", index + 1);
        let key = structure.value("Key").ok_or_else(|| null(&at("key")))?;
        let value = structure.value("Value").ok_or_else(|| null(&at("value")))?;
        check(&at("key"), key, 1, 128)?;
        check(&at("value"), value, 0, 256)?;
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(StsError::InvalidParameter(
                "Tag keys that begin with aws: are reserved for system use.",
            ));
        }
        if !known.insert(key.to_ascii_lowercase()) {
            return Err(StsError::InvalidParameter(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    Ok(tags)
}

fn check_count(member: &str, count: usize) -> Result<(), StsError> {
    if count <= MOST {
        return Ok(());
    }
    let rule = format!("Member must have length less than or equal to {MOST}");
    let shown = format!("[{count} members]");
    Err(constraint(member, Some(&shown), &rule).into())
}

fn check(member: &str, text: &str, shortest: usize, longest: usize) -> Result<(), StsError> {
    check_length(member, text, shortest, longest)?;
    let allowed = |letter: char| {
        letter.is_alphanumeric()
            || (letter.is_whitespace() && !letter.is_control())
            || "_.:/=+-@".contains(letter)
    };
    if text.chars().all(allowed) {
        return Ok(());
    }
    let rule = "Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*";
    Err(constraint(member, Some(text), rule).into())
}
