//! Who is asked what: resources, condition keys, accounts, resource policies.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws::access::{Authorizer, Denied, Owner, PolicyKind, PolicyRefusal, Question};
use serde_json::{Value, json};
use types::AccountId;

use crate::support::{Service, plain, service, service_of, with};

/// The condition keys that a question is asked for.
const KEYS: [&str; 7] = [
    "dynamodb:LeadingKeys",
    "dynamodb:Attributes",
    "dynamodb:Select",
    "dynamodb:ReturnValues",
    "aws:TagKeys",
    "aws:RequestTag/team",
    "aws:ResourceTag/team",
];

/// A judge that writes down what it is asked, and admits what its rule admits.
struct Clerk {
    account: AccountId,
    arn: String,
    asked: Mutex<Vec<Asked>>,
    rule: Box<dyn Fn(&Asked) -> bool + Send + Sync>,
}

#[derive(Clone, PartialEq, Debug)]
struct Asked {
    action: String,
    resource: String,
    account: String,
    region: Option<String>,
    policy: Option<String>,
    keys: Vec<(&'static str, Vec<String>)>,
}

fn other() -> AccountId {
    "444455556666".parse().unwrap()
}

fn clerk(account: AccountId, rule: impl Fn(&Asked) -> bool + Send + Sync + 'static) -> Clerk {
    Clerk {
        account,
        arn: format!("arn:aws:iam::{account}:user/alice"),
        asked: Mutex::default(),
        rule: Box::new(rule),
    }
}

impl Clerk {
    /// What was asked since the last time.
    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// Actions and resources that were asked about since the last time.
    fn told(&self) -> Vec<(String, String)> {
        let asked = self.asked().into_iter();
        asked.map(|asked| (asked.action, asked.resource)).collect()
    }
}

impl Authorizer for Clerk {
    fn account(&self) -> AccountId {
        self.account
    }

    fn arn(&self) -> &str {
        &self.arn
    }

    fn region(&self) -> &str {
        "us-east-1"
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), Denied> {
        let value = |key: &'static str| Some((key, question.values(key)?.into_owned()));
        let region = question.values("aws:RequestedRegion");
        let asked = Asked {
            action: question.action.clone().into_owned(),
            resource: question.resource.clone().into_owned(),
            account: question.account.to_string(),
            region: region.map(|region| region[0].clone()),
            policy: question.policy.map(str::to_owned),
            keys: KEYS.into_iter().filter_map(value).collect(),
        };
        let admitted = (self.rule)(&asked);
        self.asked.lock().unwrap().push(asked);
        match admitted {
            true => Ok(()),
            false => Err(Denied {
                message: "no".to_owned(),
            }),
        }
    }

    /// Names are bound by writing them in capitals, and Eve doesn't exist.
    fn bind_policy(&self, kind: PolicyKind, document: &str) -> Result<String, PolicyRefusal> {
        assert_eq!(kind, PolicyKind::Resource);
        if document.contains("eve") {
            return Err(PolicyRefusal::Principal {
                kind: "AWS".to_owned(),
                name: "eve".to_owned(),
            });
        }
        Ok(document.replace("alice", "ALICE"))
    }

    fn show_policy(&self, document: &str) -> String {
        document.replace("ALICE", "renamed")
    }
}

fn call(service: &Service, caller: &dyn Authorizer, operation: &str, body: Value) -> String {
    match service.call_as(caller, operation, &body.to_string()) {
        Ok(answer) => answer.to_string(),
        Err(error) => format!("{}: {}", error.code, error.message),
    }
}

/// The keys of the only question that a request asks.
fn keys(service: &Service, operation: &str, body: Value) -> Vec<(&'static str, Vec<String>)> {
    let clerk = clerk(AccountId::LAB, |_| true);
    call(service, &clerk, operation, body);
    let mut asked = clerk.asked();
    assert_eq!(asked.len(), 1, "{operation}");
    asked.remove(0).keys
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

const T: &str = "arn:aws:dynamodb:us-east-1:111122223333:table/Orders";

#[test]
fn each_kind_of_request_names_what_it_is_about() {
    let service = service();
    service.sorted("Orders");
    let clerk = clerk(AccountId::LAB, |_| true);
    for (operation, body, resource) in [
        ("ListTables", json!({}), "*"),
        ("DescribeEndpoints", json!({}), "*"),
        ("DescribeTable", json!({"TableName": "Orders"}), T),
        ("DescribeTable", json!({"TableName": T}), T),
        (
            "Query",
            json!({"TableName": "Orders", "IndexName": "by-day"}),
            "arn:aws:dynamodb:us-east-1:111122223333:table/Orders/index/by-day",
        ),
        ("ListTagsOfResource", json!({"ResourceArn": T}), T),
        (
            "GetItem",
            json!({"TableName": "arn:aws:dynamodb:eu-west-1:444455556666:table/Orders"}),
            "arn:aws:dynamodb:eu-west-1:444455556666:table/Orders",
        ),
        (
            "DescribeGlobalTable",
            json!({"GlobalTableName": "Orders"}),
            "arn:aws:dynamodb::111122223333:global-table/Orders",
        ),
        (
            "DescribeTable",
            json!({}),
            "arn:aws:dynamodb:us-east-1:111122223333:table/",
        ),
    ] {
        call(&service, &clerk, operation, body);
        let action = format!("dynamodb:{operation}");
        assert_eq!(clerk.told(), [(action, resource.to_owned())]);
    }
}

#[test]
fn a_batch_asks_once_for_each_of_its_tables() {
    let service = service();
    service.plain("Orders");
    service.plain("Users");
    let items = |id: &str| json!([{"PutRequest": {"Item": {"id": {"S": id}, "n": {"N": "1"}}}}]);
    let body = json!({"RequestItems": {"Orders": items("o"), "Users": items("u")}});
    let half = clerk(AccountId::LAB, |asked| asked.resource.ends_with("/Orders"));
    assert_eq!(
        call(&service, &half, "BatchWriteItem", body.clone()),
        "AccessDeniedException: no"
    );
    let asked = half.asked();
    let leading = asked.iter().map(|asked| asked.keys[0].clone());
    let leading: Vec<_> = leading.collect();
    assert_eq!(
        leading,
        [(KEYS[0], texts(&["o"])), (KEYS[0], texts(&["u"])),]
    );
    // Nothing was written, not even to the table that it may write to.
    let scan = service.ok("Scan", json!({"TableName": "Orders"}));
    assert_eq!(scan["Count"], 0);
    let all = clerk(AccountId::LAB, |_| true);
    call(&service, &all, "BatchWriteItem", body);
    assert_eq!(all.asked().len(), 2);
    let keys =
        json!({"Keys": [{"id": {"S": "o"}}, {"id": {"S": "p"}}], "ProjectionExpression": "n"});
    call(
        &service,
        &all,
        "BatchGetItem",
        json!({"RequestItems": {"Orders": keys}}),
    );
    let asked = all.asked();
    assert_eq!(asked[0].keys[0], (KEYS[0], texts(&["o", "p"])));
    assert_eq!(asked[0].keys[1], (KEYS[1], texts(&["id", "n"])));
    assert_eq!(asked[0].keys[2], (KEYS[2], texts(&["SPECIFIC_ATTRIBUTES"])));
}

#[test]
fn leading_keys_attributes_and_what_is_returned_are_condition_keys() {
    let service = service();
    service.sorted("Orders");
    let put = json!({"TableName": "Orders", "ReturnValues": "ALL_OLD",
        "Item": {"id": {"S": "o"}, "seq": {"N": "1"}, "note": {"S": "x"}},
        "ConditionExpression": "attribute_not_exists(#s.deep)",
        "ExpressionAttributeNames": {"#s": "state"}});
    assert_eq!(
        keys(&service, "PutItem", put),
        [
            (KEYS[0], texts(&["o"])),
            (KEYS[1], texts(&["id", "note", "seq", "state"])),
            (KEYS[3], texts(&["ALL_OLD"])),
        ]
    );
    let update = json!({"TableName": "Orders", "Key": {"id": {"S": "o"}, "seq": {"N": "1"}},
        "UpdateExpression": "SET a = b"});
    assert_eq!(
        keys(&service, "UpdateItem", update),
        [
            (KEYS[0], texts(&["o"])),
            (KEYS[1], texts(&["a", "b", "id", "seq"])),
            (KEYS[3], texts(&["NONE"])),
        ]
    );
    let get = json!({"TableName": "Orders", "Key": {"id": {"S": "o"}, "seq": {"N": "1"}}});
    assert_eq!(
        keys(&service, "GetItem", get),
        [
            (KEYS[0], texts(&["o"])),
            (KEYS[1], texts(&["id", "seq"])),
            (KEYS[2], texts(&["ALL_ATTRIBUTES"])),
        ]
    );
    let query = json!({"TableName": "Orders", "Select": "COUNT",
        "KeyConditionExpression": "id = :o AND seq > :n", "FilterExpression": "note = :o",
        "ExpressionAttributeValues": {":o": {"S": "o"}, ":n": {"N": "1"}}});
    assert_eq!(
        keys(&service, "Query", query),
        [
            (KEYS[0], texts(&["o"])),
            (KEYS[1], texts(&["id", "note", "seq"])),
            (KEYS[2], texts(&["COUNT"])),
        ]
    );
    let legacy = json!({"TableName": "Orders", "AttributesToGet": ["note"],
        "KeyConditions": {"id": {"ComparisonOperator": "EQ",
            "AttributeValueList": [{"S": "o"}]}}});
    assert_eq!(
        keys(&service, "Query", legacy),
        [
            (KEYS[0], texts(&["o"])),
            (KEYS[1], texts(&["id", "note"])),
            (KEYS[2], texts(&["SPECIFIC_ATTRIBUTES"])),
        ]
    );
    let scan = json!({"TableName": "Orders", "ProjectionExpression": "note"});
    assert_eq!(
        keys(&service, "Scan", scan),
        [
            (KEYS[1], texts(&["note"])),
            (KEYS[2], texts(&["SPECIFIC_ATTRIBUTES"])),
        ]
    );
}

#[test]
fn an_item_that_a_failed_condition_shows_counts_as_returned() {
    let service = service();
    service.plain("Orders");
    let id = json!({"id": {"S": "o"}});
    for (operation, what) in [
        ("PutItem", "Item"),
        ("UpdateItem", "Key"),
        ("DeleteItem", "Key"),
    ] {
        for (returned, on_failure, counts) in [
            (None, None, &["NONE"][..]),
            (None, Some("NONE"), &["NONE"]),
            (Some("ALL_OLD"), Some("NONE"), &["ALL_OLD"]),
            (None, Some("ALL_OLD"), &["ALL_OLD"]),
            (Some("NONE"), Some("ALL_OLD"), &["ALL_OLD"]),
            (Some("ALL_OLD"), Some("ALL_OLD"), &["ALL_OLD"]),
            (
                Some("UPDATED_NEW"),
                Some("ALL_OLD"),
                &["UPDATED_NEW", "ALL_OLD"],
            ),
        ] {
            let body = json!({"TableName": "Orders", what: id, "ReturnValues": returned,
                "ReturnValuesOnConditionCheckFailure": on_failure,
                "ConditionExpression": "attribute_not_exists(id)"});
            let (key, values) = keys(&service, operation, body).pop().unwrap();
            assert_eq!((key, values), (KEYS[3], texts(counts)), "{operation}");
        }
    }
}

#[test]
fn one_tag_of_a_name_is_judged_and_kept() {
    let service = service();
    let tag = |key: &str, value: &str| json!({"Key": key, "Value": value});
    let refused = |key: &str| {
        format!(
            "ValidationException: One or more parameter values were invalid: Duplicate tag key: \
             {key}. The keys of tags are told apart without regard to case"
        )
    };
    for twice in [tag("Team", "red"), tag("team", "red")] {
        let key = twice["Key"].as_str().unwrap();
        let tags = json!([tag("Team", "blue"), twice]);
        let table = with(plain("Orders"), json!({"Tags": tags}));
        assert_eq!(service.fails("CreateTable", table), refused(key));
        assert_eq!(
            service.ok("ListTables", json!({})),
            json!({"TableNames": []})
        );
    }
    let table = with(plain("Orders"), json!({"Tags": [tag("Team", "blue")]}));
    service.ok("CreateTable", table);
    let tagged = |tags: Value| json!({"ResourceArn": T, "Tags": tags});
    for (tags, key) in [
        (json!([tag("a", "1"), tag("a", "2")]), "a"),
        (json!([tag("a", "1"), tag("A", "2")]), "A"),
        (json!([tag("a", "1"), tag("TEAM", "red")]), "TEAM"),
    ] {
        assert_eq!(service.fails("TagResource", tagged(tags)), refused(key));
    }
    // The same key, and one whose other spelling is gone, are taken.
    service.ok("TagResource", tagged(json!([tag("Team", "green")])));
    let untag = json!({"ResourceArn": T, "TagKeys": ["Team"]});
    service.ok("UntagResource", untag);
    service.ok("TagResource", tagged(json!([tag("team", "red")])));
    assert_eq!(
        service.ok("ListTagsOfResource", json!({"ResourceArn": T})),
        json!({"Tags": [tag("team", "red")]})
    );
}

#[test]
fn what_is_done_is_done_to_the_table_that_was_judged_or_to_none() {
    let name = json!({"TableName": "Orders"});
    let arn = json!({"ResourceArn": T});
    let replica = json!([{"Create": {"RegionName": "eu-west-1"}}]);
    let tag = json!([{"Key": "team", "Value": "red"}]);
    for (operation, body) in [
        ("DeleteTable", name.clone()),
        ("DescribeTable", name.clone()),
        ("DescribeTimeToLive", name.clone()),
        ("DescribeContinuousBackups", name.clone()),
        (
            "UpdateTable",
            with(name.clone(), json!({"DeletionProtectionEnabled": true})),
        ),
        (
            "UpdateTable",
            with(name, json!({"ReplicaUpdates": replica})),
        ),
        ("TagResource", with(arn.clone(), json!({"Tags": tag}))),
        (
            "UntagResource",
            with(arn.clone(), json!({"TagKeys": ["team"]})),
        ),
        ("ListTagsOfResource", arn.clone()),
        (
            "PutResourcePolicy",
            with(arn.clone(), json!({"Policy": "{}"})),
        ),
        ("GetResourcePolicy", arn.clone()),
        ("DeleteResourcePolicy", arn.clone()),
    ] {
        let service = Arc::new(service_of(&["us-east-1", "eu-west-1"]));
        service.plain("Orders");
        // Another table has the name before the caller is told that it may.
        let (owner, swapped) = (service.clone(), AtomicBool::new(false));
        let caller = clerk(AccountId::LAB, move |_| {
            if !swapped.swap(true, Ordering::Relaxed) {
                owner.ok("DeleteTable", json!({"TableName": "Orders"}));
                let other = json!({"Tags": [{"Key": "team", "Value": "blue"}],
                    "ResourcePolicy": r#"{"deny": "all"}"#});
                owner.ok("CreateTable", with(plain("Orders"), other));
            }
            true
        });
        let answer = call(&service, &caller, operation, body);
        let gone = match operation {
            "DescribeContinuousBackups" => "TableNotFoundException: ",
            _ => "ResourceNotFoundException: ",
        };
        assert!(answer.starts_with(gone), "{operation}: {answer}");
        let other = service.ok("DescribeTable", json!({"TableName": "Orders"}));
        assert_eq!(other["Table"]["DeletionProtectionEnabled"], json!(false));
        assert_eq!(other["Table"]["Replicas"], Value::Null);
        assert_eq!(
            service.ok("ListTagsOfResource", arn.clone()),
            json!({"Tags": [{"Key": "team", "Value": "blue"}]})
        );
        assert_eq!(
            service.ok("GetResourcePolicy", arn.clone())["Policy"],
            json!(r#"{"deny": "all"}"#)
        );
    }
}

#[test]
fn tags_are_condition_keys_and_ask_for_an_action_of_their_own() {
    let service = service();
    let clerk = clerk(AccountId::LAB, |_| true);
    let tags = json!([{"Key": "Team", "Value": "blue"}]);
    let table = with(
        plain("Orders"),
        json!({"Tags": tags, "ResourcePolicy": "{}"}),
    );
    call(&service, &clerk, "CreateTable", table);
    let asked = clerk.asked();
    let actions: Vec<&str> = asked.iter().map(|asked| asked.action.as_str()).collect();
    let expected = ["CreateTable", "TagResource", "PutResourcePolicy"];
    assert_eq!(actions, expected.map(|name| format!("dynamodb:{name}")));
    let given = [
        ("aws:TagKeys", texts(&["Team"])),
        ("aws:RequestTag/team", texts(&["blue"])),
    ];
    assert!(
        asked
            .iter()
            .all(|asked| asked.resource == T && asked.keys == given)
    );
    let tagged = keys(&service, "DescribeTable", json!({"TableName": "Orders"}));
    assert_eq!(tagged, [("aws:ResourceTag/team", texts(&["blue"]))]);
    let untag = json!({"ResourceArn": T, "TagKeys": ["Team"]});
    let untagged = keys(&service, "UntagResource", untag);
    assert_eq!(untagged[0], ("aws:TagKeys", texts(&["Team"])));
}

#[test]
fn a_replica_is_asked_about_by_its_arn_and_in_the_region_that_was_called() {
    let service = service_of(&["us-east-1", "eu-west-1"]);
    service.plain("Orders");
    let update = |action: &str| {
        json!({"TableName": "Orders",
            "ReplicaUpdates": [{action: {"RegionName": "eu-west-1"}}]})
    };
    let there = "arn:aws:dynamodb:eu-west-1:111122223333:table/Orders";
    let clerk = clerk(AccountId::LAB, |asked| {
        asked.action != "dynamodb:CreateTableReplica"
    });
    let refused = call(&service, &clerk, "UpdateTable", update("Create"));
    assert_eq!(refused, "AccessDeniedException: no");
    let asked = clerk.asked();
    assert_eq!(
        (asked[0].resource.as_str(), asked[0].region.as_deref()),
        (T, None)
    );
    let last = asked.last().unwrap();
    assert_eq!(last.action, "dynamodb:CreateTableReplica");
    // The judge's own `aws:RequestedRegion` holds.
    assert_eq!(
        (last.resource.as_str(), last.region.as_deref()),
        (there, None)
    );

    let all = self::clerk(AccountId::LAB, |_| true);
    call(&service, &all, "UpdateTable", update("Create"));
    assert_eq!(all.asked().len(), 10);
    call(&service, &all, "UpdateTable", update("Delete"));
    let expected = ["UpdateTable", "DeleteTable", "DeleteTableReplica"];
    let actions: Vec<String> = all.told().into_iter().map(|(action, _)| action).collect();
    assert_eq!(actions, expected.map(|name| format!("dynamodb:{name}")));
}

#[test]
fn a_refusal_comes_after_what_cannot_be_read_and_before_what_is_wrong() {
    let service = service();
    let nobody = clerk(AccountId::LAB, |_| false);
    let code = |operation: &str, body: &str| {
        let error = service.call_as(&nobody, operation, body).unwrap_err();
        error.code.to_owned()
    };
    assert_eq!(code("Nothing", "{}"), "UnknownOperationException");
    assert_eq!(code("GetItem", "{"), "SerializationException");
    assert_eq!(
        code("GetItem", r#"{"TableName": 5}"#),
        "SerializationException"
    );
    assert_eq!(code("GetItem", "{}"), "AccessDeniedException");
    assert_eq!(
        code("DescribeTable", r#"{"TableName": "none"}"#),
        "AccessDeniedException"
    );
    assert_eq!(
        code("CreateTable", r#"{"TableName": "x"}"#),
        "AccessDeniedException"
    );
}

#[test]
fn accounts_have_tables_of_the_same_name_and_see_their_own() {
    let service = service();
    let (first, second) = (
        Owner::new(AccountId::LAB, "us-east-1"),
        Owner::new(other(), "us-east-1"),
    );
    for owner in [&first, &second] {
        let table = call(&service, owner, "CreateTable", plain("Orders"));
        let arn = format!(
            "arn:aws:dynamodb:us-east-1:{}:table/Orders",
            owner.account()
        );
        assert!(table.contains(&arn), "{table}");
    }
    call(&service, &second, "CreateTable", plain("Secret"));
    let put = json!({"TableName": "Orders", "Item": {"id": {"S": "o"}}});
    call(&service, &second, "PutItem", put);
    let names = |owner| call(&service, owner, "ListTables", json!({}));
    assert_eq!(names(&first), r#"{"TableNames":["Orders"]}"#);
    assert_eq!(names(&second), r#"{"TableNames":["Orders","Secret"]}"#);
    let scan = call(&service, &first, "Scan", json!({"TableName": "Orders"}));
    assert!(scan.contains(r#""Count":0"#), "{scan}");
    let hidden = call(
        &service,
        &first,
        "DescribeTable",
        json!({"TableName": "Secret"}),
    );
    assert!(hidden.starts_with("ResourceNotFoundException"), "{hidden}");
    // By its ARN it is another account's, whether it is there or not.
    for name in ["Secret", "Nothing"] {
        let arn = format!("arn:aws:dynamodb:us-east-1:444455556666:table/{name}");
        let refused = call(&service, &first, "DescribeTable", json!({"TableName": arn}));
        assert!(refused.starts_with("AccessDeniedException"), "{refused}");
    }
    // The tables are there after a restart, each with its owner.
    let again = crate::support::service_on(service.engine.clone());
    let names = |owner| call(&again, owner, "ListTables", json!({}));
    assert_eq!(names(&second), r#"{"TableNames":["Orders","Secret"]}"#);
    assert_eq!(
        call(
            &again,
            &second,
            "DeleteTable",
            json!({"TableName": "Secret"})
        )
        .get(..1),
        Some("{")
    );
    assert_eq!(names(&second), r#"{"TableNames":["Orders"]}"#);
}

#[test]
fn another_accounts_table_is_used_by_its_arn_if_both_sides_say_so() {
    let service = service();
    let owner = Owner::new(other(), "us-east-1");
    call(&service, &owner, "CreateTable", plain("Orders"));
    let arn = "arn:aws:dynamodb:us-east-1:444455556666:table/Orders";
    let guest = clerk(AccountId::LAB, |asked| asked.policy.is_some());
    let put = json!({"TableName": arn, "Item": {"id": {"S": "o"}}});
    let refused = call(&service, &guest, "PutItem", put.clone());
    assert_eq!(refused, "AccessDeniedException: no");
    assert_eq!(guest.asked()[0].account, "444455556666");
    let policy = json!({"ResourceArn": arn, "Policy": r#"{"the": "policy"}"#});
    call(&service, &owner, "PutResourcePolicy", policy.clone());
    assert_eq!(call(&service, &guest, "PutItem", put), "{}");
    assert_eq!(
        guest.asked()[0].policy.as_deref(),
        Some(r#"{"the": "policy"}"#)
    );
    // It is the owner's table that was written to, and the policy stays the owner's.
    let scan = call(&service, &owner, "Scan", json!({"TableName": "Orders"}));
    assert!(scan.contains(r#""Count":1"#), "{scan}");
    let refused = call(&service, &guest, "PutResourcePolicy", policy);
    assert!(refused.starts_with("ValidationException: This action is only supported"));
}

#[test]
fn a_resource_policy_is_put_read_and_taken_away_by_revision() {
    let service = service();
    service.plain("Orders");
    let policy = |change: Value| with(json!({"ResourceArn": T, "Policy": "{}"}), change);
    let none = "PolicyNotFoundException: Resource-based policy not found for the provided \
                ResourceArn: ";
    assert_eq!(
        service.fails("GetResourcePolicy", json!({"ResourceArn": T})),
        format!("{none}{T}")
    );
    assert_eq!(
        service.ok("DeleteResourcePolicy", json!({"ResourceArn": T})),
        json!({})
    );
    assert_eq!(
        service.fails(
            "PutResourcePolicy",
            policy(json!({"ExpectedRevisionId": "7"}))
        ),
        format!(
            "{none}Requested update for policy with revision id 7, but table Orders has no \
             associated policy."
        )
    );
    let expecting_none = policy(json!({"ExpectedRevisionId": "NO_POLICY"}));
    let first = service.ok("PutResourcePolicy", expecting_none.clone());
    let first = first["RevisionId"].as_str().unwrap();
    assert_eq!(
        service.fails("PutResourcePolicy", expecting_none),
        format!(
            "{none}Requested policy update expecting none to be present for table Orders, but a \
             policy exists with revision id {first}."
        )
    );
    let changed = policy(json!({"Policy": "{\"a\": 1}", "ExpectedRevisionId": first}));
    let second = service.ok("PutResourcePolicy", changed);
    let second = second["RevisionId"].as_str().unwrap();
    assert!(second > first);
    assert_eq!(
        service.ok("GetResourcePolicy", json!({"ResourceArn": T})),
        json!({"Policy": "{\"a\": 1}", "RevisionId": second})
    );
    let stale = json!({"ResourceArn": T, "ExpectedRevisionId": first});
    assert_eq!(
        service.fails("DeleteResourcePolicy", stale),
        format!(
            "{none}Requested update for policy with revision id {first}, but the policy \
             associated to target table Orders has revision id {second}."
        )
    );
    let current = json!({"ResourceArn": T, "ExpectedRevisionId": second});
    assert_eq!(
        service.ok("DeleteResourcePolicy", current),
        json!({"RevisionId": second})
    );
    assert!(
        service
            .fails("GetResourcePolicy", json!({"ResourceArn": T}))
            .starts_with(none)
    );
}

#[test]
fn a_resource_policy_is_stored_as_the_judge_binds_it_and_shown_as_it_says() {
    let service = service();
    let clerk = clerk(AccountId::LAB, |_| true);
    let call = |operation: &str, body| call(&service, &clerk, operation, body);
    // As it is given it has the most bytes that there may be.
    let policy = |name: &str| format!("{{\"n\":\"{name}\"}}");
    let longest = format!("{}{}", policy("alice"), " ".repeat(20 * 1024 - 13));
    let made = with(plain("Orders"), json!({"ResourcePolicy": longest}));
    assert!(call("CreateTable", made).contains("CREATING"));
    clerk.asked();
    call(
        "GetItem",
        json!({"TableName": "Orders", "Key": {"p": {"S": "a"}}}),
    );
    let held = clerk.asked().remove(0).policy.unwrap();
    assert_eq!(held.trim(), policy("ALICE"));
    let put = json!({"ResourceArn": T, "Policy": policy("bob+alice")});
    assert!(call("PutResourcePolicy", put).contains("RevisionId"));
    let shown = call("GetResourcePolicy", json!({"ResourceArn": T}));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["Policy"], policy("bob+renamed"));
    let refused = "ValidationException: One or more parameter values were invalid: Invalid \
                   principal in policy document: \"AWS\":\"eve\"";
    let put = json!({"ResourceArn": T, "Policy": policy("eve")});
    assert_eq!(call("PutResourcePolicy", put), refused);
    let made = with(plain("New"), json!({"ResourcePolicy": policy("eve")}));
    assert_eq!(call("CreateTable", made), refused);
    // The same one is no change, so it keeps its revision.
    let put = json!({"ResourceArn": T, "Policy": policy("bob+alice")});
    let again = call("PutResourcePolicy", put);
    assert!(
        again.contains(shown["RevisionId"].as_str().unwrap()),
        "{again}"
    );
}

#[test]
fn a_resource_policy_says_nothing_that_can_t_apply() {
    let service = service();
    service.plain("Orders");
    let refused = |action: &str, resource: &str| {
        let statement = json!({"Effect": "Deny", "Principal": "*", "Action": ["dynamodb:Scan", action],
            "Resource": resource});
        let policy = json!({"Version": "2012-10-17", "Statement": statement}).to_string();
        let put = json!({"ResourceArn": T, "Policy": policy});
        let made = with(
            plain("New"),
            json!({"ResourcePolicy": policy.replace("Orders", "New")}),
        );
        let refused = service.fails("PutResourcePolicy", put);
        assert_eq!(
            service.fails("CreateTable", made),
            refused.replace("Orders", "New")
        );
        refused
    };
    let invalid = "ValidationException: One or more parameter values were invalid: Invalid policy \
                   document: The following";
    assert_eq!(
        refused("s3:GetObject", T),
        format!("{invalid} action names are invalid: \"s3:GetObject\"")
    );
    for resource in [format!("{T}Archive"), "arn:aws:s3:::bucket".to_owned()] {
        assert_eq!(
            refused("dynamodb:GetItem", &resource),
            format!("{invalid} resources are invalid: \"{resource}\"")
        );
    }
}

#[test]
fn a_policy_that_is_none_too_long_or_of_nothing_is_refused() {
    let service = service();
    service.plain("Orders");
    let refused = |arn: &str, policy: &str| {
        let body = json!({"ResourceArn": arn, "Policy": policy});
        service.fails("PutResourcePolicy", body)
    };
    let invalid = "ValidationException: One or more parameter values were invalid: ";
    assert!(refused(T, "{").starts_with(&format!("{invalid}Invalid policy document: EOF")));
    let long = format!("{{}}{}", " ".repeat(20 * 1024 - 1));
    assert!(refused(T, &long).contains("20481 bytes"));
    assert_eq!(
        refused("Orders", "{}"),
        format!("{invalid}ARNs must start with 'arn:': Orders")
    );
    let elsewhere = T.replace("us-east-1", "eu-west-1");
    assert_eq!(
        refused(&elsewhere, "{}"),
        format!("{invalid}Invalid resource Arn: {elsewhere}")
    );
    assert!(refused(&format!("{T}/index/x"), "{}").contains("only table or stream is accepted"));
    assert!(refused(&format!("{T}_"), "{}").starts_with("ResourceNotFoundException"));
    let bad = with(plain("New"), json!({"ResourcePolicy": "{"}));
    assert!(
        service
            .fails("CreateTable", bad)
            .contains("Invalid policy document")
    );
    assert!(
        service
            .fails("DescribeTable", json!({"TableName": "New"}))
            .contains("not found")
    );
}

#[test]
fn nobody_locks_themselves_out_by_mistake_and_the_root_gets_in_again() {
    let service = service();
    service.plain("Orders");
    let denies = |asked: &Asked| asked.policy.as_deref() != Some(r#"{"deny":"all"}"#);
    let alice = clerk(AccountId::LAB, denies);
    let put = json!({"ResourceArn": T, "Policy": r#"{"deny":"all"}"#});
    let refused = call(&service, &alice, "PutResourcePolicy", put.clone());
    assert!(
        refused.contains("ConfirmRemoveSelfResourceAccess"),
        "{refused}"
    );
    let sure = with(put, json!({"ConfirmRemoveSelfResourceAccess": true}));
    assert!(call(&service, &alice, "PutResourcePolicy", sure).contains("RevisionId"));
    let delete = json!({"ResourceArn": T});
    let denied = "AccessDeniedException: no";
    assert_eq!(
        call(&service, &alice, "DeleteResourcePolicy", delete.clone()),
        denied
    );
    let mut root = clerk(AccountId::LAB, denies);
    root.arn = "arn:aws:iam::111122223333:root".to_owned();
    assert_eq!(
        call(&service, &root, "DescribeTable", json!({"TableName": T})),
        denied
    );
    assert!(call(&service, &root, "DeleteResourcePolicy", delete).contains("RevisionId"));
}
