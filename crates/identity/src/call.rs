//! One request of a known caller: the judge that services are handed. It gathers what holds for
//! the caller and asks `policy`; what can't be read or is not known is denied.

use std::sync::Arc;

use aws::access::{Authorizer, Denied, PolicyKind, PolicyRefusal, Question};
use types::AccountId;

use crate::context::RequestKeys;
use crate::documents::denial;
use crate::judge::Gathered;
use crate::policy::{Attached, Inquiry, Policy, Source, decide};
use crate::session::SessionKind;
use crate::{Caller, Identity, RequestContext};

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

    /// May the caller do that to a resource with that policy, compiled? Of a denial, how the
    /// message that tells of it ends.
    pub(crate) fn judge(
        &self,
        question: &Question<'_>,
        policy: Option<&Policy>,
    ) -> Result<(), String> {
        if let Some(content) = self.caller.session()
            && content.kind != SessionKind::Role
            && is_beyond_get_session_token(&question.action)
        {
            return Err(
                "because credentials of GetSessionToken without MFA can't do it".to_owned(),
            );
        }
        let keys = RequestKeys {
            caller: Some(&self.caller),
            context: &self.context,
            question,
        };
        let resource = policy.map(|policy| Attached {
            source: Source::Resource(&question.resource),
            policy,
        });
        let gathered = Gathered::new(&self.identity, &self.caller, question.account, resource);
        let inquiry = Inquiry {
            action: &question.action,
            resource: &question.resource,
            account: question.account,
            principal: self.caller.view(),
            keys: &keys,
        };
        let layers = gathered.layers();
        let decision = decide(&inquiry, &layers);
        match decision.is_allowed() {
            true => Ok(()),
            false => Err(decision.because()),
        }
    }
}

/// Credentials of GetSessionToken can't call IAM without MFA, which isn't built, and of STS only
/// AssumeRole and GetCallerIdentity (API reference, "GetSessionToken").
fn is_beyond_get_session_token(action: &str) -> bool {
    match action.split_once(':') {
        Some((service, _)) if service.eq_ignore_ascii_case("iam") => true,
        Some((service, name)) if service.eq_ignore_ascii_case("sts") => {
            // What is asked along with AssumeRole is part of it.
            let parts = [
                "AssumeRole",
                "TagSession",
                "SetSourceIdentity",
                "GetCallerIdentity",
            ];
            !parts.iter().any(|part| part.eq_ignore_ascii_case(name))
        }
        _ => false,
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
        let kind = PolicyKind::Resource;
        let policy = question
            .policy
            .map(|text| self.identity.compiled(kind, text));
        self.judge(question, policy.as_deref()).map_err(|because| {
            let (arn, action, resource) = (&self.caller.arn, &question.action, &question.resource);
            Denied {
                message: format!(
                    "User: {arn} is not authorized to perform: {action} on resource: {resource} \
                     {because}"
                ),
            }
        })
    }

    fn bind_policy(&self, kind: PolicyKind, document: &str) -> Result<String, PolicyRefusal> {
        self.identity.bind_policy(kind, document)
    }

    fn show_policy(&self, document: &str) -> String {
        self.identity.show_policy(document)
    }
}

impl Identity {
    /// The document, compiled; one that can't be read denies everything.
    pub(crate) fn compiled(&self, kind: PolicyKind, document: &str) -> Arc<Policy> {
        match &self.directory {
            Some(directory) => directory.shared.documents.or_denial(kind, document),
            None => Policy::parse(kind, document).map_or_else(|_| denial(kind), Arc::new),
        }
    }
}
