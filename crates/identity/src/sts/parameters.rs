//! The parameters of STS's operations and what the model allows them. The texts of refusals are
//! those of IAM's.

use aws::query::Members;

use super::error::StsError;
use crate::iam::{check_length, constraint};

/// A text parameter: its name in the model, how many characters it has, and which beside letters,
/// digits and `_`.
pub(super) struct Word {
    pub(super) name: &'static str,
    pub(super) shortest: usize,
    pub(super) longest: usize,
    /// `None`: any.
    pub(super) others: Option<&'static str>,
}

/// `roleSessionNameType`.
pub(super) const ROLE_SESSION_NAME: Word = word("RoleSessionName", 2, 64, "+=,.@-");
/// `sourceIdentityType`.
pub(super) const SOURCE_IDENTITY: Word = word("SourceIdentity", 2, 64, "+=,.@-");
/// `externalIdType`.
pub(super) const EXTERNAL_ID: Word = word("ExternalId", 2, 1224, "+=,.@:/-");
/// `accessKeyIdType`.
pub(super) const ACCESS_KEY_ID: Word = word("AccessKeyId", 16, 128, "");
/// `arnType`.
pub(super) const ROLE_ARN: Word = Word {
    name: "RoleArn",
    shortest: 20,
    longest: 2048,
    others: None,
};

const fn word(name: &'static str, shortest: usize, longest: usize, others: &'static str) -> Word {
    Word {
        name,
        shortest,
        longest,
        others: Some(others),
    }
}

impl Word {
    /// Its value, if it is given.
    pub(super) fn optional<'f>(&self, members: &Members<'f>) -> Result<Option<&'f str>, StsError> {
        let Some(value) = members.value(self.name) else {
            return Ok(None);
        };
        let member = member(self.name);
        check_length(&member, value, self.shortest, self.longest)?;
        let Some(others) = self.others else {
            return Ok(Some(value));
        };
        let allowed = |letter: char| {
            letter.is_ascii_alphanumeric() || letter == '_' || others.contains(letter)
        };
        if !value.chars().all(allowed) {
            let pattern = others.replace('/', "\\/");
            let rule = format!("Member must satisfy regular expression pattern: [\\w{pattern}]*");
            return Err(constraint(&member, Some(value), &rule).into());
        }
        Ok(Some(value))
    }

    /// Its value, which must be given.
    pub(super) fn required<'f>(&self, members: &Members<'f>) -> Result<&'f str, StsError> {
        let value = self.optional(members)?;
        value.ok_or_else(|| null(&member(self.name)))
    }
}

/// A member that must be there and isn't.
pub(super) fn null(member: &str) -> StsError {
    constraint(member, None, "Member must not be null").into()
}

/// `DurationSeconds`, if it is given.
pub(super) fn duration(
    members: &Members<'_>,
    shortest: u32,
    longest: u32,
) -> Result<Option<u32>, StsError> {
    let Some(text) = members.value("DurationSeconds") else {
        return Ok(None);
    };
    let refuse = |rule: &str| Err(constraint("durationSeconds", Some(text), rule).into());
    match text.parse::<i64>() {
        Ok(seconds) if seconds < i64::from(shortest) => refuse(&format!(
            "Member must have value greater than or equal to {shortest}"
        )),
        Ok(seconds) if seconds > i64::from(longest) => refuse(&format!(
            "Member must have value less than or equal to {longest}"
        )),
        Ok(seconds) => Ok(u32::try_from(seconds).ok()),
        Err(_) => refuse("Member must be a number"),
    }
}

/// Multi-factor authentication and contexts of trusted providers aren't built: whoever asks for
/// them is told so, rather than given a session without them.
pub(super) fn refuse_not_built(members: &Members<'_>) -> Result<(), StsError> {
    for name in ["SerialNumber", "TokenCode"] {
        if members.value(name).is_some() {
            return Err(StsError::NotBuilt("Multi-factor authentication"));
        }
    }
    if !members.structures("ProvidedContexts")?.is_empty() {
        return Err(StsError::NotBuilt("ProvidedContexts"));
    }
    Ok(())
}

/// As errors name a parameter: `roleSessionName`.
fn member(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}
