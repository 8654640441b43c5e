//! What the scenario `identity` measures with: a user with as many policies as IAM lets one have,
//! a hundred thousand others, and the ways by which both come into a deployment.

pub mod bare;
pub mod loading;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::client::Client;

/// The user that is judged by many policies.
pub const JUDGED: &str = "judged";

/// Managed policies attached to it: as many as IAM attaches to a user by default (IAM User Guide,
/// "IAM and AWS STS quotas").
pub const POLICIES: usize = 10;

/// Statements of each.
pub const STATEMENTS: usize = 20;

/// The table that it may read.
pub const TABLE: &str = "Bench";

/// The Region of that table.
pub const REGION: &str = "us-east-1";

/// The document of one of those policies. None but the last statement of the last one is about
/// [`TABLE`]; the others are about the same service, so that none is passed over for that.
pub fn document(policy: usize) -> String {
    let statements: Vec<Value> = (0..STATEMENTS).map(|at| statement(policy, at)).collect();
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

fn statement(policy: usize, at: usize) -> Value {
    let table = |name: String| format!("arn:aws:dynamodb:{REGION}:*:table/{name}");
    if (policy, at) == (POLICIES - 1, STATEMENTS - 1) {
        return json!({
            "Effect": "Allow",
            "Action": ["dynamodb:GetItem", "dynamodb:BatchGetItem"],
            "Resource": table(TABLE.to_owned()),
        });
    }
    match at % 4 {
        0 => json!({
            "Effect": "Allow",
            "Action": ["dynamodb:Query", "dynamodb:Scan"],
            "Resource": table(format!("Team-{policy}-{at}-*")),
        }),
        1 => json!({
            "Effect": "Allow",
            "Action": "dynamodb:*Item",
            "Resource": table(format!("Orders-{policy}-{at}")),
            "Condition": {"StringEquals": {"aws:RequestedRegion": REGION}},
        }),
        2 => json!({
            "Effect": "Deny",
            "Action": "dynamodb:Delete*",
            "Resource": "*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }),
        _ => json!({
            "Effect": "Allow",
            "Action": ["dynamodb:GetItem", "dynamodb:PutItem"],
            "Resource": table(format!("App-{policy}-{at}-?")),
        }),
    }
}

/// The ARN of a policy of the lab's account.
pub fn policy_arn(name: &str) -> String {
    format!("arn:aws:iam::{}:policy/{name}", types::AccountId::LAB)
}

/// Makes the user with its policies through IAM's API, and a key of it.
pub fn make_judged(operator: &Client) -> Result<Client> {
    operator.form("iam", &[("Action", "CreateUser"), ("UserName", JUDGED)])?;
    for number in 0..POLICIES {
        let name = format!("bench-{number}");
        let text = document(number);
        let create = [
            ("Action", "CreatePolicy"),
            ("PolicyName", &name),
            ("PolicyDocument", &text),
        ];
        operator.form("iam", &create)?;
        let arn = policy_arn(&name);
        let attach = [
            ("Action", "AttachUserPolicy"),
            ("UserName", JUDGED),
            ("PolicyArn", &arn),
        ];
        operator.form("iam", &attach)?;
    }
    make_key(operator, JUDGED)
}

/// Makes a key of a user; gives a client with it, of the same server.
pub fn make_key(operator: &Client, user: &str) -> Result<Client> {
    let create = [("Action", "CreateAccessKey"), ("UserName", user)];
    let reply = operator.form("iam", &create)?;
    let element = |name: &str| {
        let (_, rest) = reply.split_once(&format!("<{name}>"))?;
        Some(rest.split_once("</")?.0.to_owned())
    };
    let key = element("AccessKeyId").zip(element("SecretAccessKey"));
    let (id, secret) = key.context("CreateAccessKey answers with a key")?;
    Ok(Client::new(operator.address, operator.region, &id, &secret))
}

#[cfg(test)]
mod tests {
    use aws::access::PolicyKind;
    use identity::policy::Policy;

    use super::*;

    #[test]
    fn the_policies_are_policies_and_within_iam_s_limit() {
        for number in 0..POLICIES {
            let text = document(number);
            assert!(text.len() <= 6_144, "{}", text.len());
            Policy::parse(PolicyKind::Identity, &text).unwrap();
        }
    }
}
