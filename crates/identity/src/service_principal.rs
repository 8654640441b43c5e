//! What a service of this house may do on its own behalf, with nobody's request behind it: what the
//! policy of the resource grants to its principal, and nothing else.

use std::sync::Arc;

use aws::access::{ConditionKeys, PolicyKind, Question};
use types::Timestamp;

use crate::Identity;
use crate::iam;
use crate::judge::attached;
use crate::policy::{Attached, Inquiry, Layers, PrincipalView, Source, decide};

impl Identity {
    /// May that service (`delivery.logs.amazonaws.com`) do that? A resource that has no policy
    /// grants services nothing, its owner's own neither.
    pub fn allows_service(
        self: &Arc<Identity>,
        service: &str,
        question: &Question<'_>,
        now: Timestamp,
    ) -> bool {
        let Some(document) = question.policy else {
            return false;
        };
        let policy = self.compiled(PolicyKind::Resource, document);
        let keys = keys(service, question, now);
        let inquiry = Inquiry {
            action: &question.action,
            resource: &question.resource,
            account: question.account,
            principal: PrincipalView::Service { name: service },
            keys: &keys,
        };
        let limits = attached(self.accounts.resource_control(question.account));
        let layers = Layers {
            resource_control: &limits,
            resource: Some(Attached {
                source: Source::Resource(&question.resource),
                policy: &policy,
            }),
            ..Layers::default()
        };
        decide(&inquiry, &layers).is_allowed()
    }
}

/// What is known of the question, and of who asks it.
fn keys(service: &str, question: &Question<'_>, now: Timestamp) -> ConditionKeys {
    let mut keys = ConditionKeys::default();
    for (name, values) in question.keys.iter() {
        keys.set(name.to_owned(), values.to_vec());
    }
    for (name, value) in [
        ("aws:PrincipalServiceName", service.to_owned()),
        ("aws:PrincipalIsAWSService", "true".to_owned()),
        ("aws:ResourceAccount", question.account.to_string()),
        ("aws:SecureTransport", "true".to_owned()),
        ("aws:CurrentTime", iam::time(now.0)),
        ("aws:EpochTime", (now.0 / 1000).to_string()),
    ] {
        keys.set(name, vec![value]);
    }
    keys
}

#[cfg(test)]
mod tests {
    use types::AccountId;
    use zeroize::Zeroizing;

    use super::*;
    use crate::{RootKey, RootKeys};

    const SERVICE: &str = "delivery.logs.amazonaws.com";

    /// As the guide has it (Global Accelerator, "Amazon S3 bucket permissions for flow logs").
    const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
        "Principal":{"Service":"delivery.logs.amazonaws.com"},"Action":"s3:PutObject",
        "Resource":"arn:aws:s3:::b/AWSLogs/111122223333/*",
        "Condition":{"StringEquals":{"s3:x-amz-acl":"bucket-owner-full-control",
        "aws:SourceAccount":"111122223333"}}}]}"#;

    fn asked(policy: Option<&str>, service: &str, key: &str, account: &str) -> bool {
        let root = RootKey::generate(&Zeroizing::new([1; 40]));
        let identity = Arc::new(Identity::new(AccountId::LAB, RootKeys::new(root)));
        let resource = format!("arn:aws:s3:::b/{key}");
        let question = Question {
            policy,
            ..Question::new("s3:PutObject", resource, AccountId::LAB)
        };
        let question = question
            .key("s3:x-amz-acl", "bucket-owner-full-control")
            .key("aws:SourceAccount", account);
        identity.allows_service(service, &question, Timestamp(0))
    }

    #[test]
    fn a_service_may_what_the_resource_s_policy_grants_it_and_nothing_else() {
        let (own, key) = ("111122223333", "AWSLogs/111122223333/a");
        assert!(asked(Some(POLICY), SERVICE, key, own));
        assert!(!asked(None, SERVICE, key, own));
        assert!(!asked(Some(POLICY), "s3.amazonaws.com", key, own));
        assert!(!asked(Some(POLICY), SERVICE, "elsewhere", own));
        assert!(!asked(Some(POLICY), SERVICE, key, "444455556666"));
        let denied = POLICY.replace("\"Allow\"", "\"Deny\"");
        assert!(!asked(Some(&denied), SERVICE, key, own));
    }

    #[test]
    fn a_statement_for_everyone_or_for_services_alone_reaches_a_service() {
        let everyone = POLICY.replace(r#"{"Service":"delivery.logs.amazonaws.com"}"#, r#""*""#);
        let with = |condition: &str| {
            let start = everyone.split("\"Condition\"").next().unwrap();
            format!("{start}\"Condition\":{condition}}}]}}")
        };
        let key = "AWSLogs/111122223333/a";
        for (condition, allowed) in [
            (r#"{"Bool":{"aws:PrincipalIsAWSService":"true"}}"#, true),
            (r#"{"Bool":{"aws:PrincipalIsAWSService":"false"}}"#, false),
            (
                r#"{"StringEquals":{"aws:PrincipalServiceName":"delivery.logs.amazonaws.com"}}"#,
                true,
            ),
        ] {
            let policy = with(condition);
            let own = "111122223333";
            assert_eq!(
                asked(Some(&policy), SERVICE, key, own),
                allowed,
                "{condition}"
            );
        }
    }
}
