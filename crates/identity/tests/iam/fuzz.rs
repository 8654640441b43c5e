//! Requests that nobody would send: whatever a form says, the answer is one of IAM's, nothing
//! panics, and what is refused changed nothing.

use aws::access::Owner;
use identity::Service;
use proptest::prelude::*;
use types::AccountId;

use crate::support::Api;

/// A policy, which most parameters can't be.
const ALLOWS: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;

/// Parameters of all kinds: of the model, near it, and of nothing.
fn parameter() -> impl Strategy<Value = (String, String)> {
    let names = prop_oneof![
        4 => "(UserName|GroupName|RoleName|PolicyName|NewUserName|NewGroupName|Path|PathPrefix)",
        2 => "(Marker|MaxItems|AccessKeyId|Status|AccountAlias|AllUsers|PolicyArn|NewPath)",
        2 => "(Tags|TagKeys)(\\.member(\\.[0-3](\\.(Key|Value))?)?)?",
        2 => "(PolicyDocument|AssumeRolePolicyDocument|VersionId|PermissionsBoundary|Description)",
        2 => "(PolicySourceArn|CallerArn|ResourcePolicy|ResourceOwner|AWSServiceName|DeletionTaskId)",
        2 => "(ActionNames|ResourceArns|PolicyInputList|Filter)\\.member\\.[12]",
        1 => "ContextEntries\\.member\\.1(\\.(ContextKey(Name|Type|Values\\.member\\.1)))?",
        1 => "\\PC{1,12}",
    ];
    let values = prop_oneof![
        4 => "[a-c]",
        2 => "(/|/a/|Active|Inactive|true|1|100)",
        1 => "arn:aws:iam::(aws|111122223333):(user|role|group|policy)/[a-c]{1,3}",
        2 => Just(ALLOWS.to_owned()),
        1 => "(s3:Get|string|User|v[0-3]|replication\\.dynamodb\\.amazonaws\\.com|arn:aws:s3:::b)",
        1 => "\\PC{0,80}",
    ];
    (names, values)
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 64,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_request_has_an_answer(
        requests in proptest::collection::vec(
            (0..176usize, proptest::collection::vec(parameter(), 0..6)),
            1..40,
        ),
    ) {
        let api = Api::new();
        let owner = Owner::new(AccountId::LAB, "us-east-1");
        let names: Vec<&str> = Service::iam_operations().map(|(name, _)| name).collect();
        for (operation, parameters) in requests {
            let mut form = format!("Action={}&Version=2010-05-08", names[operation]);
            for (name, value) in parameters {
                form.push_str(&format!("&{}={}", encode(&name), encode(&value)));
            }
            let before = api.memory.view_now();
            let answer = api.send(&owner, &form);
            if answer.status >= 400 {
                let (code, message) = answer.error();
                prop_assert!(!code.is_empty() && !message.is_empty(), "{form}");
                prop_assert_ne!(code, "InternalFailure");
                prop_assert_eq!(api.memory.view_now(), before, "{}", form);
            }
        }
    }

    #[test]
    fn every_text_has_an_answer(text in "\\PC{0,120}") {
        let api = Api::new();
        let owner = Owner::new(AccountId::LAB, "us-east-1");
        for form in [text.clone(), format!("Version=2010-05-08&Action={text}")] {
            let answer = api.send(&owner, &form);
            prop_assert!((200..500).contains(&answer.status), "{}", form);
        }
    }
}
