//! A table's resource policy: how it is kept, which documents are taken, and which revisions a
//! request may expect. What a document says is read by the judge alone.
//!
//! Not as on AWS: a policy holds from the moment that the request returns, so there is no time in
//! which it may not be changed again.

use aws::access::{PolicyKind, PolicyRefusal};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Batch, Engine};
use types::Timestamp;

use crate::access::Allowed;
use crate::applicable;
use crate::request::Constraints;
use crate::{Table, Tables, TablesError, limits};

/// The revision that a request expects where there is to be no policy yet.
const NO_POLICY: &str = "NO_POLICY";

/// A resource policy and which of them it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ResourcePolicy {
    /// The document's text as it was given, but for users and roles, which the judge that it was
    /// given to has bound to their unique ids.
    pub document: String,
    /// `RevisionId`: when it was put, in milliseconds since the epoch, and greater than that of the
    /// policy before.
    pub revision: String,
}

impl ResourcePolicy {
    /// A policy of that document put now in place of `before`; `before` itself if it says the
    /// same.
    pub(crate) fn put(
        document: &str,
        before: Option<&ResourcePolicy>,
        now: Timestamp,
    ) -> ResourcePolicy {
        let read = |text: &str| serde_json::from_str::<Value>(text).ok();
        if let Some(before) = before
            && read(&before.document) == read(document)
        {
            return before.clone();
        }
        let last = before.and_then(|before| before.revision.parse::<u64>().ok());
        let revision = last.map_or(now.0, |last| now.0.max(last + 1));
        ResourcePolicy {
            document: document.to_owned(),
            revision: revision.to_string(),
        }
    }
}

/// The document as it is to be stored, if it is one that the table of that ARN may have. Its size
/// is that of the text as it is given.
pub(crate) fn judge_document(
    allowed: &Allowed<'_>,
    document: &str,
    table: &str,
) -> Result<String, TablesError> {
    if document.len() > limits::RESOURCE_POLICY {
        return Err(TablesError::invalid(format!(
            "Invalid policy document: it has {} bytes, and a resource-based policy may have {}",
            document.len(),
            limits::RESOURCE_POLICY
        )));
    }
    let bound = allowed.caller().bind_policy(PolicyKind::Resource, document);
    let bound = bound.map_err(|refusal| {
        TablesError::invalid(match refusal {
            PolicyRefusal::Document(why) => format!("Invalid policy document: {why}"),
            // The service's own words, and whom they are about.
            PolicyRefusal::Principal { kind, name } => {
                format!("Invalid principal in policy document: \"{kind}\":\"{name}\"")
            }
        })
    })?;
    applicable::check(&bound, table)?;
    Ok(bound)
}

/// Is the table's policy of the revision that the request expects, if it expects one?
pub(crate) fn check_revision(table: &Table, expected: Option<&str>) -> Result<(), TablesError> {
    let Some(expected) = expected else {
        return Ok(());
    };
    let name = &table.name;
    let detail = match &table.policy {
        None if expected == NO_POLICY => return Ok(()),
        None => format!(
            "Requested update for policy with revision id {expected}, but table {name} has no \
             associated policy."
        ),
        Some(policy) if policy.revision == expected => return Ok(()),
        Some(ResourcePolicy { revision, .. }) if expected == NO_POLICY => format!(
            "Requested policy update expecting none to be present for table {name}, but a policy \
             exists with revision id {revision}."
        ),
        Some(ResourcePolicy { revision, .. }) => format!(
            "Requested update for policy with revision id {expected}, but the policy associated \
             to target table {name} has revision id {revision}."
        ),
    };
    Err(TablesError::no_policy(&detail))
}

/// `ResourceArn` and `ExpectedRevisionId`.
pub(crate) fn constrain(
    constraints: &mut Constraints,
    arn: Option<&str>,
    expected_revision: Option<&str>,
) {
    constraints.present("resourceArn", arn.as_ref());
    if let Some(arn) = arn {
        constraints.length("resourceArn", arn, arn.len(), 1, 1283);
    }
    if let Some(revision) = expected_revision {
        constraints.length("expectedRevisionId", revision, revision.len(), 1, 255);
    }
}

impl<E: Engine> Tables<E> {
    /// The table of the caller's account that an ARN names, whose policy is to be read or changed.
    pub(crate) fn policy_owner(
        &self,
        allowed: &Allowed<'_>,
        arn: &str,
    ) -> Result<std::sync::Arc<Table>, TablesError> {
        if !arn.starts_with("arn:") {
            return Err(TablesError::invalid(format!(
                "ARNs must start with 'arn:': {arn}"
            )));
        }
        let region = self.config.region;
        let here = arn.strip_prefix(&format!("arn:aws:dynamodb:{region}:"));
        let Some((_, path)) = here.and_then(|rest| rest.split_once(":table/")) else {
            return Err(TablesError::invalid(format!("Invalid resource Arn: {arn}")));
        };
        if let Some((table, label)) = path.split_once("/stream/") {
            return Err(TablesError::NotFound(format!(
                "Requested resource not found: Stream: {label} not found for Table: {table}"
            )));
        }
        let Some(name) = self.name_in_arn(arn) else {
            return Err(TablesError::invalid(format!(
                "Invalid resource arn provided, only table or stream is accepted. Provided \
                 resource arn: {arn}"
            )));
        };
        if name.account != allowed.account() {
            // The apostrophe is the service's.
            return Err(TablesError::validation(
                "This action is only supported by accounts that match the resource owner\u{2019}s \
                 account.",
            ));
        }
        let table = self.judged_table(allowed, &name);
        table.ok_or(TablesError::NoSuchTable(name.name))
    }

    /// Gives the table that an ARN names the policy that `change` makes of the one it has.
    pub(crate) async fn change_policy<T>(
        &self,
        allowed: &Allowed<'_>,
        arn: &str,
        change: impl FnOnce(&Table) -> Result<(Option<ResourcePolicy>, T), TablesError>,
    ) -> Result<T, TablesError> {
        let mut catalogue = self.catalogue.change().await;
        let table = self.policy_owner(allowed, arn)?;
        let (policy, outcome) = change(&table)?;
        if policy == table.policy {
            return Ok(outcome);
        }
        let changed = Table {
            policy,
            ..Table::clone(&table)
        };
        let mut batch = Batch::new();
        catalogue.stage(&changed, &mut batch);
        self.engine.commit(batch).await?;
        catalogue.publish(changed);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_grow_and_the_same_policy_keeps_its_own() {
        let now = Timestamp(1_795_000_000_000);
        let first = ResourcePolicy::put(r#"{"a":1,"b":2}"#, None, now);
        assert_eq!(first.revision, "1795000000000");
        let same = ResourcePolicy::put("{ \"b\":2, \"a\":1 }", Some(&first), Timestamp(now.0 + 9));
        assert_eq!(same, first);
        let other = ResourcePolicy::put("{}", Some(&first), Timestamp(now.0 - 9));
        assert_eq!(other.revision, "1795000000001");
    }
}
