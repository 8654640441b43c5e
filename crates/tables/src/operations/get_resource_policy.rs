//! `GetResourcePolicy`.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use store::Engine;

use crate::access::{Allowed, Execute, Request, Subject};
use crate::request::{Constraints, respond};
use crate::resource_policy::constrain;
use crate::{Tables, TablesError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Input {
    resource_arn: Option<String>,
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
        constrain(&mut constraints, self.resource_arn.as_deref(), None);
        constraints.check()?;
        let arn = self.resource_arn.unwrap_or_default();
        let table = tables.policy_owner(allowed, &arn)?;
        let policy = table.policy.as_ref();
        let policy = policy.ok_or_else(|| TablesError::no_policy(&arn))?;
        Ok(respond(&json!({
            "Policy": allowed.caller().show_policy(&policy.document),
            "RevisionId": policy.revision,
        })))
    }
}
