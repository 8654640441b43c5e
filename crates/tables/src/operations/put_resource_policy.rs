//! `PutResourcePolicy`. The policy holds when this returns.

use aws::access::Question;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use store::Engine;

use crate::access::{Allowed, Execute, Request, Subject};
use crate::request::{Constraints, respond};
use crate::resource_policy::{ResourcePolicy, check_revision, constrain, judge_document};
use crate::{Table, Tables, TablesError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Input {
    resource_arn: Option<String>,
    policy: Option<String>,
    expected_revision_id: Option<String>,
    confirm_remove_self_resource_access: Option<bool>,
}

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        Subject {
            arn: self.resource_arn.as_deref(),
            ..Subject::default()
        }
    }
}

impl<E: Engine> Execute<E> for Input {
    async fn execute(
        self,
        tables: &Tables<E>,
        allowed: &Allowed<'_>,
    ) -> Result<Bytes, TablesError> {
        let mut constraints = Constraints::default();
        let arn = self.resource_arn.as_deref();
        let expected = self.expected_revision_id.as_deref();
        constrain(&mut constraints, arn, expected);
        constraints.present("policy", self.policy.as_ref());
        constraints.check()?;
        let arn = arn.unwrap_or_default();
        let document = self.policy.as_deref().unwrap_or_default();
        let table = tables.policy_owner(allowed, arn)?.arn(tables.config.region);
        let document = &*judge_document(allowed, document, &table)?;
        let confirmed = self.confirm_remove_self_resource_access == Some(true);
        let now = tables.wall();
        let put = |table: &Table| {
            check_revision(table, expected)?;
            if !confirmed {
                check_own_access(table, arn, document, allowed)?;
            }
            let policy = ResourcePolicy::put(document, table.policy.as_ref(), now);
            let revision = policy.revision.clone();
            Ok((Some(policy), revision))
        };
        let revision = tables.change_policy(allowed, arn, put).await?;
        Ok(respond(&json!({"RevisionId": revision})))
    }
}

/// Nobody takes from themselves by mistake what it takes to change the policy again.
fn check_own_access(
    table: &Table,
    arn: &str,
    document: &str,
    allowed: &Allowed<'_>,
) -> Result<(), TablesError> {
    let mut question = Question::new("dynamodb:PutResourcePolicy", arn, table.account);
    question.policy = Some(document);
    allowed.caller().authorize(&question).map_err(|_| {
        TablesError::invalid(
            "The policy would not allow you to change it again. If that is what you want, set \
             ConfirmRemoveSelfResourceAccess",
        )
    })
}
