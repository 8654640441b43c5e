//! How long a decision takes, by policies like those that people have: 10 of 20 statements each.
//! `cargo run --release --package identity --example decide`. It measures and judges nothing.
#![allow(clippy::unwrap_used, reason = "an example may panic")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use aws::access::{ConditionKeys, PolicyKind};
use identity::policy::{Attached, Inquiry, Layers, Policy, PrincipalView, Source, decide};
use types::AccountId;

const POLICIES: usize = 10;
const STATEMENTS: usize = 20;
const ROUNDS: u32 = 200_000;

/// A policy of as many statements about several services; every fifth has a condition, every
/// seventh denies something else.
fn document(number: usize) -> String {
    let services = ["s3", "dynamodb", "sqs", "iam", "ec2", "route53", "sts"];
    let mut statements = String::new();
    for index in 0..STATEMENTS {
        let service = services[(number + index) % services.len()];
        let effect = if index % 7 == 3 { "Deny" } else { "Allow" };
        let resource = match service {
            "iam" => format!("arn:aws:iam::111122223333:user/team-{number}/*"),
            _ => format!("arn:aws:{service}:*:111122223333:table/team-{number}-{index}-*"),
        };
        let condition = match index % 5 {
            0 => r#", "Condition": {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}"#,
            _ => "",
        };
        let comma = if index == 0 { "" } else { "," };
        write!(
            statements,
            r#"{comma}{{"Sid": "S{index}", "Effect": "{effect}", "Action": ["{service}:Get*",
                "{service}:PutItem", "{service}:*Describe*"], "Resource": "{resource}"{condition}}}"#
        )
        .unwrap();
    }
    format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#)
}

fn main() {
    let documents: Vec<String> = (0..POLICIES).map(document).collect();
    let start = Instant::now();
    let parse = |document: &String| Policy::parse(PolicyKind::Identity, document).unwrap();
    let policies: Vec<Policy> = documents.iter().map(parse).collect();
    let compiled = start.elapsed() / u32::try_from(POLICIES).unwrap();
    println!("compiling a policy of {STATEMENTS} statements: {compiled:?}");
    let attached: Vec<Attached<'_>> = policies
        .iter()
        .map(|policy| Attached {
            source: Source::Managed("arn:aws:iam::111122223333:policy/p"),
            policy,
        })
        .collect();
    let mut keys = ConditionKeys::default();
    for (name, value) in [
        ("aws:CurrentTime", "2026-11-28T14:30:00Z"),
        ("aws:SourceIp", "203.0.113.7"),
        ("aws:SecureTransport", "true"),
        ("aws:PrincipalArn", "arn:aws:iam::111122223333:user/alice"),
        ("aws:username", "alice"),
        ("aws:RequestedRegion", "eu-west-1"),
    ] {
        keys.set(name, vec![value.to_owned()]);
    }
    let cases = [
        (
            "allowed",
            "dynamodb:PutItem",
            "arn:aws:dynamodb:eu-west-1:111122223333:table/team-9-13-x",
        ),
        (
            "denied, no statement",
            "dynamodb:PutItem",
            "arn:aws:dynamodb:eu-west-1:111122223333:table/other",
        ),
        ("denied, other service", "rds:CreateDBCluster", "*"),
    ];
    for (name, action, resource) in cases {
        let inquiry = Inquiry {
            action,
            resource,
            account: AccountId::LAB,
            principal: PrincipalView::User {
                account: AccountId::LAB,
                arn: "arn:aws:iam::111122223333:user/alice",
                id: "AIDACKCEVSQ6C2EXAMPLE",
            },
            keys: &keys,
        };
        let layers = Layers {
            identity: &attached,
            ..Layers::default()
        };
        let effect = decide(&inquiry, &layers).effect;
        let start = Instant::now();
        for _ in 0..ROUNDS {
            black_box(decide(black_box(&inquiry), black_box(&layers)));
        }
        let each = start.elapsed() / ROUNDS;
        println!("{name}: {} ns a decision ({effect:?})", each.as_nanos());
    }
}
