//! Why a principal may or may not do something here: asked of the identity in effect, with the
//! resource policy that a table of this Region has. Nothing is carried out.

use std::collections::BTreeMap;

use aws::access::Question;
use identity::{Explain, Explained, RequestContext, owner};
use serde::{Deserialize, Serialize};
use store::Engine;
use types::AccountId;

use super::OperatorError;
use crate::region::Region;

/// What is to be explained.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Access {
    /// Who would call: an ARN, or `user/alice`, `role/Admin`, `root` of the account.
    pub principal: String,
    /// The account where the principal names none.
    pub account: AccountId,
    /// What would be done: `dynamodb:PutItem`.
    pub action: String,
    /// The ARN of what it would be done to, or `*`.
    pub resource: String,
    /// In which Region.
    pub region: types::Region,
    /// Condition keys that the request would bring, in any order; a key more than once has more
    /// values.
    pub context: Vec<(String, String)>,
}

/// The explanation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccessExplained {
    /// The decision, and what made it.
    #[serde(flatten)]
    pub explained: Explained,
    /// The Region in which it would be done.
    pub region: types::Region,
    /// What could not be taken into account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl<E: Engine> Region<E> {
    /// Explains it.
    pub(super) fn explain_access(&self, access: &Access) -> Result<AccessExplained, OperatorError> {
        let mut notes = Vec::new();
        let document = self.resource_policy(&access.resource, &mut notes);
        let account = owner(&access.resource, access.account);
        let mut question = Question::new(&access.action, &access.resource, account);
        question.policy = document.as_deref();
        let mut keys: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, value) in &access.context {
            keys.entry(name).or_default().push(value.clone());
        }
        for (name, values) in keys {
            question.keys.set(name.to_owned(), values);
        }
        let context = RequestContext {
            source_ip: None,
            secure_transport: false,
            user_agent: None,
            referer: None,
            region: access.region.name().to_owned(),
            now: self.environment.now().wall,
        };
        let asked = Explain {
            principal: &access.principal,
            account: access.account,
            question,
            context,
        };
        let explained = self.identity().explain(&asked);
        let explained = explained.map_err(|unknown| OperatorError::NoSuchPrincipal(unknown.0))?;
        Ok(AccessExplained {
            explained,
            region: access.region,
            notes,
        })
    }

    /// The resource policy of a table, by an ARN of it or of something in it.
    fn resource_policy(&self, arn: &str, notes: &mut Vec<String>) -> Option<String> {
        let rest = arn.strip_prefix("arn:aws:dynamodb:")?;
        let mut parts = rest.splitn(3, ':');
        let (region, account, name) = (parts.next()?, parts.next()?, parts.next()?);
        let name = name.strip_prefix("table/")?.split('/').next()?;
        if region != self.name.name() {
            notes.push(format!(
                "the resource policy that a table of {region} may have is not known in {}",
                self.name
            ));
            return None;
        }
        let Some(table) = self.tables.catalogue().named(account.parse().ok()?, name) else {
            notes.push(format!(
                "there is no table {name} of account {account} in {region}"
            ));
            return None;
        };
        table.policy_document().map(str::to_owned)
    }
}
