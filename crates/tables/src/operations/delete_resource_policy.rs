//! `DeleteResourcePolicy`. Deleting where there is none is no error, unless a revision is expected.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use store::Engine;

use crate::access::{Allowed, Execute, Request, Subject};
use crate::request::{Constraints, respond};
use crate::resource_policy::{check_revision, constrain};
use crate::{Table, Tables, TablesError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Input {
    resource_arn: Option<String>,
    expected_revision_id: Option<String>,
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
        constraints.check()?;
        let delete = |table: &Table| {
            check_revision(table, expected)?;
            let revision = table.policy.as_ref().map(|policy| policy.revision.clone());
            Ok((None, revision))
        };
        let arn = arn.unwrap_or_default();
        let revision = tables.change_policy(allowed, arn, delete).await?;
        Ok(respond(&match revision {
            Some(revision) => json!({"RevisionId": revision}),
            None => json!({}),
        }))
    }
}
