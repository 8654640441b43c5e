//! May the caller? Between a request that was read and the operation that carries it out stands
//! [`judge`]: it asks about everything that the request is about, and only it makes the
//! [`Allowed`] without which no operation runs. It has no policies; the judge it is handed has.

use std::sync::Arc;

use aws::access::{Access, Authorizer, Question};
use serde::de::DeserializeOwned;
use store::Engine;
use types::AccountId;

use crate::condition_keys::{ConditionKey, RequestKeys};
use crate::{Table, TableName, Tables, TablesError};

/// What a row's action is done to, given what its request names. `Judged` rows have one each.
pub(crate) type Resources<E> = fn(&Tables<E>, &dyn Authorizer, &Subject<'_>) -> Vec<Target>;

/// A request's body, read.
pub(crate) trait Request: DeserializeOwned + Send + Sync {
    /// What it names, as far as its caller is judged by that.
    fn subject(&self) -> Subject<'_>;

    /// Its values of a condition key, of the part that is about one table; `None` if it has no
    /// such key. Asked only when a policy names the key.
    fn values(&self, _key: &ConditionKey<'_>, _about: About<'_>) -> Option<Vec<String>> {
        None
    }
}

/// What carries a request out.
pub(crate) trait Execute<E: Engine>: Request {
    /// Carries it out, for a caller that may.
    fn execute(
        self,
        tables: &Tables<E>,
        allowed: &Allowed<'_>,
    ) -> impl Future<Output = Result<bytes::Bytes, TablesError>> + Send;
}

/// What a request names. Names are as they come: missing, of nothing, or ARNs.
#[derive(Default)]
pub(crate) struct Subject<'a> {
    /// `TableName`.
    pub(crate) table: Option<&'a str>,
    /// `IndexName`.
    pub(crate) index: Option<&'a str>,
    /// The tables of a batch.
    pub(crate) tables: Vec<&'a str>,
    /// `ResourceArn` and its like.
    pub(crate) arn: Option<&'a str>,
    /// `GlobalTableName`.
    pub(crate) global_table: Option<&'a str>,
    /// The Regions where a replica is to be made, by their names.
    pub(crate) joining: Vec<&'a str>,
    /// The Regions where one is to be deleted.
    pub(crate) leaving: Vec<&'a str>,
    /// Is a table to be made with tags?
    pub(crate) tags: bool,
    /// Is a table to be made with a resource policy?
    pub(crate) policy: bool,
}

/// One thing that a caller must be allowed.
pub(crate) struct Target {
    /// Another action than the row's.
    pub(crate) action: Option<&'static str>,
    /// The ARN of what it is done to.
    pub(crate) resource: String,
    /// Whose it is.
    pub(crate) account: AccountId,
    /// As which of its parts the request names it.
    pub(crate) part: Option<usize>,
    /// The table, if it is one of this Region that is there.
    pub(crate) table: Option<Arc<Table>>,
    /// Whatever its resource policy says.
    pub(crate) despite_policy: bool,
}

/// The part of a request that a question is about.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    /// Which of [`Subject::tables`].
    pub(crate) part: Option<usize>,
    /// The table, if it is there.
    pub(crate) table: Option<&'a Table>,
}

/// The caller was allowed what a request asks for. Nothing but [`judge`] makes one.
pub(crate) struct Allowed<'a> {
    caller: &'a dyn Authorizer,
    /// The tables that were asked about, as they were then.
    tables: Vec<Arc<Table>>,
}

impl<'a> Allowed<'a> {
    /// Who calls.
    pub(crate) fn caller(&self) -> &'a dyn Authorizer {
        self.caller
    }

    /// The caller's account.
    pub(crate) fn account(&self) -> AccountId {
        self.caller.account()
    }

    /// The table of that name as it was when the caller was allowed to use it, if it was there.
    pub(crate) fn table(&self, name: &TableName) -> Option<&Arc<Table>> {
        let mut tables = self.tables.iter();
        tables.find(|table| table.name == name.name && table.account == name.account)
    }
}

/// Asks whether the caller may do all that the request asks for.
pub(crate) fn judge<'a, E: Engine, R: Request>(
    tables: &Tables<E>,
    caller: &'a dyn Authorizer,
    access: &Access<Resources<E>>,
    request: &R,
) -> Result<Allowed<'a>, TablesError> {
    let mut allowed = Allowed {
        caller,
        tables: Vec::new(),
    };
    let Access::Judged { action, resources } = access else {
        return Ok(allowed);
    };
    let targets = resources(tables, caller, &request.subject());
    assert!(
        !targets.is_empty(),
        "every kind of resource names something"
    );
    for target in targets {
        let about = About {
            part: target.part,
            table: target.table.as_deref(),
        };
        let keys = RequestKeys::new(request, about);
        let action = target.action.unwrap_or(action);
        let mut question = Question::new(action, target.resource.as_str(), target.account);
        question.lazy = Some(&keys);
        if !target.despite_policy {
            question.policy = about.table.and_then(Table::policy_document);
        }
        caller.authorize(&question).map_err(TablesError::Denied)?;
        allowed.tables.extend(target.table);
    }
    Ok(allowed)
}
