//! Reading requests: JSON into an operation's input, the service's constraint validator, and
//! table names (or ARNs) into tables.
//!
//! The validator words each failed constraint as the service's does and lists up to ten of them
//! in one error.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::Engine;
use types::AccountId;

use crate::access::Allowed;
use crate::{Phase, Table, TableName, Tables, TablesError, limits, serialization_message};

/// Failed constraints that one error lists.
const MOST_LISTED: usize = 10;

/// The pattern of names of tables and indexes, as the service's model spells it.
const NAME_PATTERN: &str = "[a-zA-Z0-9_.-]+";

/// Reads a body.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, TablesError> {
    aws::json::read(body).map_err(|error| {
        TablesError::Serialization(serialization_message(&error).unwrap_or_default())
    })
}

/// Writes a response.
pub(crate) fn respond<T: Serialize>(response: &T) -> Bytes {
    let mut bytes = Vec::with_capacity(256);
    serde_json::to_writer(&mut bytes, response).expect("responses have string keys only");
    Bytes::from(bytes)
}

/// Collects the constraints that a request fails.
#[derive(Default)]
pub(crate) struct Constraints {
    failures: Vec<String>,
}

impl Constraints {
    /// The member at this place of the request must be there.
    pub(crate) fn present<T>(&mut self, at: &str, value: Option<&T>) {
        if value.is_none() {
            self.fail_null(at);
        }
    }

    /// It must be one of these words, if it is there.
    pub(crate) fn one_of(&mut self, at: &str, value: Option<&str>, words: &[&str]) {
        if let Some(value) = value.filter(|value| !words.contains(value)) {
            let words = words.join(", ");
            self.fail(
                at,
                value,
                &format!("Member must satisfy enum value set: [{words}]"),
            );
        }
    }

    /// It must be within this range, if it is there.
    pub(crate) fn range(&mut self, at: &str, value: Option<i64>, least: i64, most: i64) {
        let Some(value) = value else { return };
        if value < least {
            let rule = format!("Member must have value greater than or equal to {least}");
            self.fail(at, value, &rule);
        } else if value > most {
            let rule = format!("Member must have value less than or equal to {most}");
            self.fail(at, value, &rule);
        }
    }

    /// What is shown must have a length within this range.
    pub(crate) fn length(
        &mut self,
        at: &str,
        shown: impl Display,
        length: usize,
        least: usize,
        most: usize,
    ) {
        if length < least {
            let rule = format!("Member must have length greater than or equal to {least}");
            self.fail(at, shown, &rule);
        } else if length > most {
            let rule = format!("Member must have length less than or equal to {most}");
            self.fail(at, shown, &rule);
        }
    }

    /// It must be the name of a table or an index.
    pub(crate) fn name(&mut self, at: &str, value: Option<&str>) {
        let Some(value) = value else {
            return self.fail_null(at);
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if value.is_empty() || !value.bytes().all(allowed) {
            let rule = format!("Member must satisfy regular expression pattern: {NAME_PATTERN}");
            self.fail(at, value, &rule);
        }
        let (least, most) = (*limits::NAME.start(), *limits::NAME.end());
        self.length(at, value, value.chars().count(), least, most);
    }

    /// It must be the name of a table, or an ARN.
    pub(crate) fn table(&mut self, value: Option<&str>) {
        match value {
            Some(arn) if arn.starts_with("arn:") => {
                self.length("tableName", arn, arn.len(), 1, 1024);
            }
            name => self.name("tableName", name),
        }
    }

    /// Any other rule, by the service's words for it.
    pub(crate) fn fail(&mut self, at: &str, value: impl Display, rule: &str) {
        self.failures.push(format!(
            "Value '{value}' at '{at}' failed to satisfy constraint: {rule}"
        ));
    }

    fn fail_null(&mut self, at: &str) {
        self.failures.push(format!(
            "Value null at '{at}' failed to satisfy constraint: Member must not be null"
        ));
    }

    /// The error that lists what failed, if anything did.
    pub(crate) fn check(mut self) -> Result<(), TablesError> {
        self.failures.truncate(MOST_LISTED);
        let count = self.failures.len();
        if count == 0 {
            return Ok(());
        }
        let plural = if count == 1 { "" } else { "s" };
        let list = self.failures.join("; ");
        Err(TablesError::Validation(format!(
            "{count} validation error{plural} detected: {list}"
        )))
    }
}

impl<E: Engine> Tables<E> {
    /// The table that a data operation names, which the caller was asked about: it must be in
    /// service.
    pub(crate) fn data_table(
        &self,
        allowed: &Allowed<'_>,
        name: Option<&str>,
    ) -> Result<Arc<Table>, TablesError> {
        let name = self.table_name(allowed.account(), name.unwrap_or_default());
        let table = allowed.table(&name).cloned();
        table
            .filter(|table| table.phase == Phase::Active)
            .ok_or(TablesError::NoSuchResource)
    }

    /// The table that a control operation names: it must be there now.
    pub(crate) fn control_table(
        &self,
        allowed: &Allowed<'_>,
        name: &str,
    ) -> Result<Arc<Table>, TablesError> {
        let name = self.table_name(allowed.account(), name);
        let table = self.judged_table(allowed, &name);
        table.ok_or(TablesError::NoSuchTable(name.name))
    }

    /// The table of that name as it is now, if it is the very one that the caller was asked
    /// about. Another that was made under the name since has a policy and tags of its own, by
    /// which nobody was judged: then it is as if there were none.
    ///
    /// Who changes it calls this with the right to change the catalogue in hand.
    pub(crate) fn judged_table(
        &self,
        allowed: &Allowed<'_>,
        name: &TableName,
    ) -> Option<Arc<Table>> {
        let judged = allowed.table(name)?;
        let live = self.catalogue.named(name.account, &name.name);
        live.filter(|live| live.id == judged.id)
    }

    /// Which table an account's request names: by an ARN of this Region anybody's, by a name one
    /// of its own. An ARN of anything else is a name that no table has.
    pub(crate) fn table_name(&self, account: AccountId, name_or_arn: &str) -> TableName {
        self.name_in_arn(name_or_arn)
            .unwrap_or_else(|| TableName::new(account, name_or_arn))
    }

    /// The table that an ARN names, if it is one of this Region.
    pub(crate) fn name_in_arn(&self, arn: &str) -> Option<TableName> {
        let rest = arn
            .strip_prefix("arn:aws:dynamodb:")?
            .strip_prefix(self.config.region.name())?
            .strip_prefix(':')?;
        let (account, name) = rest.split_once(":table/")?;
        let name = TableName::new(account.parse().ok()?, name);
        (!name.name.contains('/')).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_and_several_are_worded_as_the_service_does() {
        let mut constraints = Constraints::default();
        constraints.table(Some("x"));
        assert_eq!(
            constraints.check().unwrap_err().to_string(),
            "1 validation error detected: Value 'x' at 'tableName' failed to satisfy \
             constraint: Member must have length greater than or equal to 3"
        );
        let mut constraints = Constraints::default();
        constraints.table(None);
        constraints.one_of("returnValues", Some("OLD"), &["ALL_NEW", "NONE"]);
        constraints.range("limit", Some(0), 1, i64::MAX);
        assert_eq!(
            constraints.check().unwrap_err().to_string(),
            "3 validation errors detected: Value null at 'tableName' failed to satisfy \
             constraint: Member must not be null; Value 'OLD' at 'returnValues' failed to \
             satisfy constraint: Member must satisfy enum value set: [ALL_NEW, NONE]; Value '0' \
             at 'limit' failed to satisfy constraint: Member must have value greater than or \
             equal to 1"
        );
    }

    #[test]
    fn names_have_a_pattern_and_a_length() {
        for (name, rule) in [
            (
                "a$cd",
                "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
            ),
            (
                &"a".repeat(256),
                "Member must have length less than or equal to 255",
            ),
        ] {
            let mut constraints = Constraints::default();
            constraints.table(Some(name));
            let error = constraints.check().unwrap_err().to_string();
            assert!(error.ends_with(rule), "{error}");
        }
        let mut constraints = Constraints::default();
        constraints.table(Some(&"a".repeat(255)));
        constraints.table(Some("arn:aws:dynamodb:us-east-1:111122223333:table/T"));
        assert_eq!(constraints.check(), Ok(()));
    }
}
