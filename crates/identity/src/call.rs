//! One request of a known caller: the judge that services are handed. It gathers what holds for
//! the caller and asks `policy`; what can't be read or is not known is denied.

use std::net::IpAddr;
use std::sync::Arc;

use aws::access::{Authorizer, Denied, PolicyKind, Question};
use types::{AccountId, Timestamp};

use crate::{Caller, Identity, Principal};

/// What is known of a request beside who made it and what it asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestContext {
    /// The client's address, if it came over a network.
    pub source_ip: Option<IpAddr>,
    /// Did it come over TLS?
    pub secure_transport: bool,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
    /// The header `Referer`.
    pub referer: Option<String>,
    /// The Region that was called, as `aws:RequestedRegion` has it: `us-east-1` of the global
    /// services.
    pub region: String,
    /// The wall clock.
    pub now: Timestamp,
}

/// One request of a known caller.
pub struct Call {
    identity: Arc<Identity>,
    caller: Caller,
    context: RequestContext,
}

impl Call {
    /// The request of that caller, which the same identity named.
    pub fn new(identity: Arc<Identity>, caller: Caller, context: RequestContext) -> Call {
        Call {
            identity,
            caller,
            context,
        }
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What is known of the request.
    pub fn context(&self) -> &RequestContext {
        &self.context
    }

    /// The identity that judges it.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }
}

impl Authorizer for Call {
    fn account(&self) -> AccountId {
        self.caller.account
    }

    fn arn(&self) -> &str {
        &self.caller.arn
    }

    fn region(&self) -> &str {
        &self.context.region
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), Denied> {
        let own = question.account == self.caller.account;
        if own && self.caller.principal == Principal::Root {
            return Ok(());
        }
        let (arn, action, resource) = (&self.caller.arn, &question.action, &question.resource);
        Err(Denied {
            message: format!(
                "User: {arn} is not authorized to perform: {action} on resource: {resource} \
                 because no identity-based policy allows the {action} action"
            ),
        })
    }

    fn check_policy(&self, _: PolicyKind, document: &str) -> Result<(), String> {
        let read = serde_json::from_str::<serde_json::Value>(document);
        read.map(drop).map_err(|error| error.to_string())
    }
}
