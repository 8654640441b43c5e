//! A request that isn't signed, for the few services that take one (S3): judged by the policy of
//! the resource alone. It lets pass what that grants to everyone, and nothing else.

use std::sync::Arc;

use aws::access::{Authorizer, Denied, PolicyKind, PolicyRefusal, Question};
use types::AccountId;

use crate::context::RequestKeys;
use crate::judge::attached;
use crate::policy::{Attached, Inquiry, Layers, PrincipalView, Source, decide};
use crate::{Identity, RequestContext};

/// The judge of one request that nobody signed.
pub struct Anonymous {
    identity: Arc<Identity>,
    context: RequestContext,
}

impl Anonymous {
    /// The judge of that request. That it really has no signature is its maker's to know: one that
    /// has one that doesn't hold is refused, and never taken for this.
    pub fn new(identity: Arc<Identity>, context: RequestContext) -> Anonymous {
        Anonymous { identity, context }
    }
}

impl Authorizer for Anonymous {
    /// [`AccountId::ANONYMOUS`], which owns nothing.
    fn account(&self) -> AccountId {
        AccountId::ANONYMOUS
    }

    fn arn(&self) -> &str {
        "anonymous"
    }

    fn region(&self) -> &str {
        &self.context.region
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), Denied> {
        let policy = question
            .policy
            .map(|text| self.identity.compiled(PolicyKind::Resource, text));
        let resource = policy.as_deref().map(|policy| Attached {
            source: Source::Resource(&question.resource),
            policy,
        });
        let keys = RequestKeys {
            caller: None,
            context: &self.context,
            question,
        };
        let inquiry = Inquiry {
            action: &question.action,
            resource: &question.resource,
            account: question.account,
            principal: PrincipalView::Anonymous,
            keys: &keys,
        };
        let limits = attached(self.identity.accounts.resource_control(question.account));
        let layers = Layers {
            resource_control: &limits,
            resource,
            ..Layers::default()
        };
        match decide(&inquiry, &layers).is_allowed() {
            true => Ok(()),
            // S3 tells whom it doesn't know nothing more.
            false => Err(Denied {
                message: "Access Denied".to_owned(),
            }),
        }
    }

    fn bind_policy(&self, kind: PolicyKind, document: &str) -> Result<String, PolicyRefusal> {
        self.identity.bind_policy(kind, document)
    }

    fn show_policy(&self, document: &str) -> String {
        self.identity.show_policy(document)
    }
}

#[cfg(test)]
mod tests {
    use types::Timestamp;
    use zeroize::Zeroizing;

    use super::*;
    use crate::{RootKey, RootKeys};

    fn asked(policy: Option<&str>, account: AccountId) -> Result<(), Denied> {
        let key = RootKey::generate(&Zeroizing::new([1; 40]));
        let identity = Arc::new(Identity::new(AccountId::LAB, RootKeys::new(key)));
        let context = RequestContext {
            source_ip: Some("192.0.2.7".parse().unwrap()),
            secure_transport: false,
            user_agent: None,
            referer: None,
            region: "us-east-1".to_owned(),
            now: Timestamp(0),
        };
        let anonymous = Anonymous::new(identity, context);
        anonymous.authorize(&Question {
            policy,
            ..Question::new("s3:GetObject", "arn:aws:s3:::b/k", account)
        })
    }

    fn statement(rest: &str) -> String {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Action":"s3:GetObject",
               "Resource":"arn:aws:s3:::b/*",{rest}}}]}}"#
        )
    }

    #[test]
    fn only_what_everyone_is_granted_passes() {
        let account = AccountId::LAB;
        let everyone = statement(r#""Effect":"Allow","Principal":"*""#);
        assert!(asked(Some(&everyone), account).is_ok());
        assert!(asked(None, account).is_err());
        assert!(asked(None, AccountId::ANONYMOUS).is_err());
        assert!(asked(Some("{"), account).is_err());
        for refused in [
            r#""Effect":"Allow","Principal":{"AWS":"111122223333"}"#,
            r#""Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"}"#,
            r#""Effect":"Deny","Principal":"*""#,
            r#""Effect":"Allow","Principal":"*",
               "Condition":{"Bool":{"aws:SecureTransport":"true"}}"#,
            r#""Effect":"Allow","Principal":"*",
               "Condition":{"IpAddress":{"aws:SourceIp":"198.51.100.0/24"}}"#,
            r#""Effect":"Allow","Principal":"*",
               "Condition":{"StringEquals":{"aws:PrincipalAccount":"111122223333"}}"#,
        ] {
            assert!(
                asked(Some(&statement(refused)), account).is_err(),
                "{refused}"
            );
        }
        let from_there = statement(
            r#""Effect":"Allow","Principal":{"AWS":"*"},
               "Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#,
        );
        assert!(asked(Some(&from_there), account).is_ok());
    }
}
