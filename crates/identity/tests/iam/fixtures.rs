//! What the tests of roles and policies begin with: documents, and users and groups that are
//! there without having been made.

use identity::entries;
use identity::model::{Group, Policies, User};
use types::AccountId;

use crate::support::Api;

/// A policy that allows one action on everything.
pub fn allows(action: &str) -> String {
    format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":\
         \"{action}\",\"Resource\":\"*\"}}]}}"
    )
}

/// A policy of that many characters without white space.
pub fn of_size(characters: usize) -> String {
    let base = allows("a:");
    allows(&format!("a:{}", "b".repeat(characters - base.len())))
}

/// A trust policy of that principal: `"AWS":"111122223333"`.
pub fn trusts(principal: &str) -> String {
    format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":\
         {{{principal}}},\"Action\":\"sts:AssumeRole\"}}]}}"
    )
}

/// A trust policy that EC2 can use.
pub fn trusts_ec2() -> String {
    trusts("\"Service\":\"ec2.amazonaws.com\"")
}

/// Has a user be there.
pub fn user(api: &Api, path: &str, name: &str) {
    let user = User {
        name: name.to_owned(),
        id: format!("AIDA{:0<17}", name.to_uppercase()),
        path: path.to_owned(),
        created: 7,
        policies: Policies::default(),
        boundary: None,
        groups: Default::default(),
        keys: Vec::new(),
        tags: Default::default(),
    };
    let key = entries::key::<User>(AccountId::LAB, name);
    api.memory.change(|view| view.set(key, &user));
}

/// Has a group be there.
pub fn group(api: &Api, path: &str, name: &str) {
    let group = Group {
        name: name.to_owned(),
        id: format!("AGPA{}", name.to_uppercase()),
        path: path.to_owned(),
        created: 7,
        policies: Policies::default(),
    };
    let key = entries::key::<Group>(AccountId::LAB, name);
    api.memory.change(|view| view.set(key, &group));
}

/// Makes a role that EC2 can assume.
pub fn role(api: &Api, name: &str) {
    let trust = trusts_ec2();
    let parameters = [("RoleName", name), ("AssumeRolePolicyDocument", &trust)];
    api.call("CreateRole", &parameters).ok();
}

/// Makes a managed policy that allows one action, and answers its ARN.
pub fn policy(api: &Api, name: &str, action: &str) -> String {
    let document = allows(action);
    let parameters = [("PolicyName", name), ("PolicyDocument", &document)];
    api.call("CreatePolicy", &parameters).ok().one("Arn")
}

/// Undoes percent-encoding.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}
