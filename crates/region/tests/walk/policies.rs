//! What policies say of tables and zones, through the front door: resource policies, two accounts,
//! and the condition keys that the services supply.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use region::OperatorQuestion;
use serde_json::{Value, json as value};

use crate::lab::{Answer, Key, Lab, Signed};
use crate::requests::{json, new_table, rest};

const TABLE: &str = "arn:aws:dynamodb:us-east-1:111122223333:table/Walk";
const THEIRS: &str = "arn:aws:dynamodb:us-east-1:444455556666:table/Walk";

fn statement(statement: &Value) -> String {
    value!({"Version": "2012-10-17", "Statement": statement}).to_string()
}

fn call(lab: &Lab, key: &Key, operation: &str, body: Value) -> Answer {
    lab.send(&json(operation, body), &Signed::By(key))
}

/// The code of what a caller asks for; empty if it was done.
fn code(lab: &Lab, key: &Key, operation: &str, body: Value) -> String {
    call(lab, key, operation, body).code()
}

fn get(table: &str, id: &str) -> Value {
    value!({"TableName": table, "Key": {"id": {"S": id}}})
}

fn put(table: &str, id: &str) -> Value {
    value!({"TableName": table, "Item": {"id": {"S": id}, "data": {"S": "x"}}})
}

/// A second account, by its root.
fn second(lab: &Lab) -> Key {
    let make = OperatorQuestion::CreateAccount {
        account: Some("444455556666".parse().unwrap()),
    };
    let made = lab.drive(lab.region().operate(&make)).unwrap();
    let text = |member: &str| made[member].as_str().unwrap().to_owned();
    lab.settle();
    Key::new(text("access_key_id"), text("secret_access_key"))
}

const DENIED: &str = "AccessDeniedException";

#[test]
fn another_accounts_table_takes_the_word_of_both() {
    let lab = Lab::new();
    let theirs = second(&lab);
    assert_eq!(code(&lab, &theirs, "CreateTable", new_table("Walk")), "");
    assert_eq!(code(&lab, &theirs, "PutItem", put("Walk", "a")), "");
    let reads = value!({"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "*"});
    let guest = lab.user("guest", Some(&statement(&reads)));
    let nobody = lab.user("nobody", None);
    // Neither by its name, under which the guest's own account has none, nor by its ARN.
    let own = code(&lab, &guest, "GetItem", get("Walk", "a"));
    assert_eq!(own, "ResourceNotFoundException");
    let refused = call(&lab, &guest, "GetItem", get(THEIRS, "a"));
    assert_eq!(refused.code(), DENIED);
    let because = "because no resource-based policy allows the dynamodb:GetItem action";
    assert!(refused.message().contains(because), "{refused:?}");
    let policy = statement(&value!({
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam::111122223333:user/guest",
            "arn:aws:iam::111122223333:user/nobody"]},
        "Action": ["dynamodb:GetItem", "dynamodb:PutItem"],
        "Resource": THEIRS,
    }));
    let allow = value!({"ResourceArn": THEIRS, "Policy": policy});
    assert_eq!(code(&lab, &theirs, "PutResourcePolicy", allow), "");
    let read = call(&lab, &guest, "GetItem", get(THEIRS, "a"));
    assert!(read.text.contains(r#""data":{"S":"x"}"#), "{read:?}");
    // The owner's word alone is not enough, nor is the caller's.
    assert_eq!(code(&lab, &guest, "PutItem", put(THEIRS, "b")), DENIED);
    assert_eq!(code(&lab, &nobody, "GetItem", get(THEIRS, "a")), DENIED);
    let gone = value!({"ResourceArn": THEIRS});
    assert_eq!(code(&lab, &theirs, "DeleteResourcePolicy", gone), "");
    assert_eq!(code(&lab, &guest, "GetItem", get(THEIRS, "a")), DENIED);
}

#[test]
fn a_resource_policy_alone_allows_and_denies_in_its_own_account() {
    let lab = Lab::new();
    lab.ok(&json("CreateTable", new_table("Walk")));
    let nobody = lab.user("nobody", None);
    let all = value!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    let admin = lab.user("admin", Some(&statement(&all)));
    assert_eq!(code(&lab, &nobody, "GetItem", get("Walk", "a")), DENIED);
    let user = |name: &str| value!({"AWS": format!("arn:aws:iam::111122223333:user/{name}")});
    let policy = statement(&value!([
        {"Effect": "Allow", "Principal": user("nobody"), "Action": "dynamodb:GetItem",
            "Resource": TABLE},
        {"Effect": "Deny", "Principal": user("admin"), "Action": "dynamodb:PutItem",
            "Resource": TABLE},
    ]));
    let allow = value!({"ResourceArn": TABLE, "Policy": policy});
    assert_eq!(code(&lab, &admin, "PutResourcePolicy", allow), "");
    assert_eq!(code(&lab, &nobody, "GetItem", get("Walk", "a")), "");
    assert_eq!(code(&lab, &nobody, "PutItem", put("Walk", "a")), DENIED);
    let refused = call(&lab, &admin, "PutItem", put("Walk", "a"));
    assert_eq!(refused.code(), DENIED);
    let because = "with an explicit deny in a resource-based policy";
    assert!(refused.message().contains(because), "{refused:?}");
    let bad = value!({"ResourceArn": TABLE, "Policy": statement(&all)});
    let bad = call(&lab, &admin, "PutResourcePolicy", bad);
    assert_eq!(bad.code(), "ValidationException", "it names no principal");
    assert!(bad.message().contains("Invalid policy document"), "{bad:?}");
}

#[test]
fn users_are_kept_to_their_own_items_and_attributes() {
    let lab = Lab::new();
    lab.ok(&json("CreateTable", new_table("Walk")));
    let own = value!({
        "Effect": "Allow",
        "Action": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query",
            "dynamodb:BatchGetItem", "dynamodb:BatchWriteItem"],
        "Resource": TABLE,
        "Condition": {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["${aws:username}"]}},
    });
    let alice = lab.user("alice", Some(&statement(&own)));
    let asks = |operation: &str, body: Value| code(&lab, &alice, operation, body);
    assert_eq!(asks("PutItem", put("Walk", "alice")), "");
    assert_eq!(asks("PutItem", put("Walk", "bob")), DENIED);
    assert_eq!(asks("GetItem", get("Walk", "bob")), DENIED);
    let query = |id: &str| {
        value!({"TableName": "Walk", "KeyConditionExpression": "id = :id",
            "ExpressionAttributeValues": {":id": {"S": id}}})
    };
    assert_eq!(asks("Query", query("alice")), "");
    assert_eq!(asks("Query", query("bob")), DENIED);
    let keys = |ids: &[&str]| {
        let keys: Vec<Value> = ids.iter().map(|id| value!({"id": {"S": id}})).collect();
        value!({"RequestItems": {"Walk": {"Keys": keys}}})
    };
    assert_eq!(asks("BatchGetItem", keys(&["alice"])), "");
    assert_eq!(asks("BatchGetItem", keys(&["alice", "bob"])), DENIED);

    let some = value!({
        "Effect": "Allow",
        "Action": "dynamodb:GetItem",
        "Resource": TABLE,
        "Condition": {
            "ForAllValues:StringEquals": {"dynamodb:Attributes": ["id", "name"]},
            "StringEqualsIfExists": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES"},
        },
    });
    lab.allow("alice", &statement(&some));
    let project = |projection: &str| {
        let mut request = get("Walk", "alice");
        request["ProjectionExpression"] = value!(projection);
        request["ExpressionAttributeNames"] = value!({"#n": "name"});
        request
    };
    assert_eq!(asks("GetItem", project("#n")), "");
    assert_eq!(asks("GetItem", project("#n, salary")), DENIED);
    assert_eq!(asks("GetItem", get("Walk", "alice")), DENIED);
}

#[test]
fn a_certificates_client_may_write_its_challenges_alone() {
    let lab = Lab::new();
    let name = "<Name>example.com</Name><CallerReference>walk</CallerReference>";
    let path = "/2013-04-01/hostedzone";
    let zone = lab.ok(&rest("CreateHostedZone", "POST", path, name));
    let zone = zone.element("Id");
    let zone = zone.rsplit('/').next().unwrap();
    let challenge = value!({
        "Effect": "Allow",
        "Action": "route53:ChangeResourceRecordSets",
        "Resource": format!("arn:aws:route53:::hostedzone/{zone}"),
        "Condition": {"ForAllValues:StringEquals": {
            "route53:ChangeResourceRecordSetsNormalizedRecordNames":
                ["_acme-challenge.example.com"],
            "route53:ChangeResourceRecordSetsRecordTypes": ["TXT"],
            "route53:ChangeResourceRecordSetsActions": ["UPSERT", "DELETE"],
        }},
    });
    let client = lab.user("client", Some(&statement(&challenge)));
    let change = |action: &str, name: &str, kind: &str, data: &str| {
        let changes = format!(
            "<ChangeBatch><Changes><Change><Action>{action}</Action><ResourceRecordSet><Name>{name}\
             </Name><Type>{kind}</Type><TTL>60</TTL><ResourceRecords><ResourceRecord><Value>{data}\
             </Value></ResourceRecord></ResourceRecords></ResourceRecordSet></Change></Changes>\
             </ChangeBatch>"
        );
        let path = format!("/2013-04-01/hostedzone/{zone}/rrset/");
        let ask = rest("ChangeResourceRecordSets", "POST", &path, &changes);
        lab.send(&ask, &Signed::By(&client)).code()
    };
    let (own, text) = ("_ACME-challenge.example.com.", "\"token\"");
    assert_eq!(change("UPSERT", own, "TXT", text), "");
    assert_eq!(change("CREATE", own, "TXT", text), "AccessDenied");
    assert_eq!(
        change("UPSERT", "www.example.com", "TXT", text),
        "AccessDenied"
    );
    assert_eq!(change("UPSERT", own, "A", "192.0.2.1"), "AccessDenied");
}
