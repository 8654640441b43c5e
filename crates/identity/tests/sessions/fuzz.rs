//! Rubbish: forms, tokens and entries of the configuration. It is refused; nothing panics, and
//! nobody gets in.

use proptest::prelude::*;
use types::AccountId;

use crate::support::{Client, Deployment, allow, trust};

const LAB: AccountId = AccountId::LAB;
const ALICE: &str = "arn:aws:iam::111122223333:user/alice";

/// Texts that operations look at closely, and others.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("arn:aws:iam::111122223333:role/Admin".to_owned()),
        Just("arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()),
        Just(allow("s3:*")),
        Just("900".to_owned()),
        "arn:aws:iam::[0-9]{0,12}:role/[A-z/]{0,6}",
        "[a-z0-9]{2,8}",
        "-?[0-9]{1,20}",
        "\\PC{0,40}",
    ]
}

const NAMES: [&str; 14] = [
    "RoleArn",
    "RoleSessionName",
    "DurationSeconds",
    "ExternalId",
    "SourceIdentity",
    "Policy",
    "PolicyArns.member.1.arn",
    "PolicyArns.member.2.arn",
    "Tags.member.1.Key",
    "Tags.member.1.Value",
    "Tags.member.x.Key",
    "TransitiveTagKeys.member.1",
    "ProvidedContexts.member.1.ProviderArn",
    "AccessKeyId",
];

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 200,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_form_is_answered_in_sts_s_words(
        operation in prop_oneof!["AssumeRole", "GetSessionToken", "GetAccessKeyInfo", "[A-z]{1,9}"],
        given in proptest::collection::btree_map(0..NAMES.len(), text(), 0..9),
    ) {
        let deployment = Deployment::new();
        let alice = deployment.user(LAB, "alice", &[]);
        deployment.role(LAB, "Admin", &trust(ALICE, "{}"), &[]);
        let parameters: Vec<(&str, &str)> =
            given.iter().map(|(name, value)| (NAMES[*name], value.as_str())).collect();
        let answer = deployment.sts(&alice, &operation, &parameters);
        if answer.status == 200 {
            prop_assert!(deployment.caller(&answer.client()).is_ok());
        } else {
            prop_assert!((400..500).contains(&answer.status), "{answer:?}");
            prop_assert!(!answer.error().0.is_empty());
        }
    }

    #[test]
    fn no_token_that_was_not_given_out_is_taken(
        id in "ASIA[A-Z2-7]{16}|\\PC{0,24}",
        token in "[A-Za-z0-9+/]{0,400}={0,2}",
    ) {
        let deployment = Deployment::new();
        // A header can't hold other texts.
        prop_assume!(id.is_ascii() && !id.contains(['/', ',', ' ']));
        let client = Client { id, secret: "x".repeat(40), token: Some(token) };
        prop_assert!(deployment.caller(&client).is_err());
    }

    #[test]
    fn entries_that_are_rubbish_are_told_and_let_nobody_in(
        key in "(user|role|group|policy|account|access-key|alias|root-keys|x)/[0-9a-z/]{0,20}",
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let deployment = Deployment::new();
        let alice = deployment.user(LAB, "alice", &[&allow("*")]);
        let key = format!("identity/{key}");
        let known = deployment.memory.now().entries.contains_key(&key);
        prop_assume!(!known && !key.contains("account/111122223333"));
        deployment.memory.put(&key, Some([&[1], bytes.as_slice()].concat().into()));
        prop_assert_eq!(deployment.may(&alice, "s3:GetObject", "*"), Ok(()));
        prop_assert!(deployment.identity().fault_count() <= 1);
    }
}
