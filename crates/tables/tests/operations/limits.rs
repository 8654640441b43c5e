//! The limits of items, pages and tags.

use serde_json::{Value, json};

use crate::support::{service, with};

/// The greatest item in bytes.
const LARGEST: usize = 400 * 1024;

fn item(bytes: usize) -> Value {
    // "id" + "a" + "text" are 7 bytes.
    json!({"id": {"S": "a"}, "text": {"S": "x".repeat(bytes - 7)}})
}

#[test]
fn an_item_has_400_kb_at_most() {
    let service = service();
    service.plain("Orders");
    let put = |bytes| json!({"TableName": "Orders", "Item": item(bytes)});
    service.ok("PutItem", put(LARGEST));
    let refused = "ValidationException: Item size has exceeded the maximum allowed size";
    assert_eq!(service.fails("PutItem", put(LARGEST + 1)), refused);
    let batch = json!([{"PutRequest": {"Item": item(LARGEST + 1)}}]);
    let batch = json!({"RequestItems": {"Orders": batch}});
    assert_eq!(service.fails("BatchWriteItem", batch), refused);
    let update = json!({
        "TableName": "Orders",
        "Key": {"id": {"S": "a"}},
        "UpdateExpression": "SET n = :n",
        "ExpressionAttributeValues": {":n": {"N": "1"}},
    });
    assert_eq!(
        service.fails("UpdateItem", update.clone()),
        "ValidationException: Item size to update has exceeded the maximum allowed size"
    );
    let smaller = with(
        update,
        json!({"UpdateExpression": "SET #text = :n", "ExpressionAttributeNames": {"#text": "text"}}),
    );
    service.ok("UpdateItem", smaller);
}

#[test]
fn nesting_has_32_levels_at_most() {
    let service = service();
    service.plain("Orders");
    let nested = |levels: usize| {
        let mut value = json!({"S": "x"});
        for _ in 1..levels {
            value = json!({"L": [value]});
        }
        json!({"TableName": "Orders", "Item": {"id": {"S": "a"}, "l": value}})
    };
    service.ok("PutItem", nested(32));
    let refused = service.fails("PutItem", nested(33));
    assert!(
        refused.starts_with("ValidationException: Nesting Levels have exceeded"),
        "{refused}"
    );
    // Far beyond what serde follows: refused, the process alive.
    let deep = format!(
        r#"{{"TableName":"Orders","Item":{{"id":{{"S":"a"}},"l":{}{{"S":"x"}}{}}}}}"#,
        r#"{"L":["#.repeat(50_000),
        "]}".repeat(50_000)
    );
    let error = service.call_text("PutItem", &deep).unwrap_err();
    assert_eq!(error.status, 400);
}

#[test]
fn a_page_has_a_megabyte_at_most() {
    let service = service();
    service.sorted("Events");
    for at in 0..20 {
        let item = json!({
            "id": {"S": "a"}, "seq": {"N": at.to_string()}, "text": {"S": "x".repeat(100_000)},
        });
        service.ok("PutItem", json!({"TableName": "Events", "Item": item}));
    }
    for (operation, request) in [
        ("Scan", json!({"TableName": "Events"})),
        (
            "Query",
            json!({
                "TableName": "Events",
                "KeyConditionExpression": "id = :id",
                "ExpressionAttributeValues": {":id": {"S": "a"}},
            }),
        ),
    ] {
        let first = service.ok(operation, request.clone());
        assert_eq!(first["Count"], 11, "{operation}");
        let next = json!({"ExclusiveStartKey": first["LastEvaluatedKey"]});
        let second = service.ok(operation, with(request, next));
        assert_eq!(second["Count"], 9, "{operation}");
        assert_eq!(second.get("LastEvaluatedKey"), None, "{operation}");
    }
}

#[test]
fn a_table_has_50_tags_at_most() {
    let service = service();
    service.plain("Orders");
    let arn = "arn:aws:dynamodb:us-east-1:111122223333:table/Orders";
    let tags = |range: std::ops::Range<usize>| {
        let tags = range.map(|n| json!({"Key": n.to_string(), "Value": ""}));
        json!({"ResourceArn": arn, "Tags": tags.collect::<Vec<_>>()})
    };
    service.ok("TagResource", tags(0..50));
    let refused = service.fails("TagResource", tags(50..51));
    assert!(refused.starts_with("ValidationException: "), "{refused}");
}

#[test]
fn names_of_attributes_have_1_to_65535_bytes() {
    let service = service();
    service.plain("Orders");
    let named = |name: &str| {
        let nested = json!({"M": {name: {"S": "x"}}});
        let top = json!({"id": {"S": "a"}, name: {"S": "x"}});
        [top, json!({"id": {"S": "a"}, "m": nested})]
            .map(|item| json!({"TableName": "Orders", "Item": item}))
    };
    for put in named(&"n".repeat(65_535)) {
        service.ok("PutItem", put);
    }
    for (name, text) in [
        (String::new(), "Empty attribute name"),
        (
            "n".repeat(65_536),
            "Attribute name is too large, must be less than 65536 bytes",
        ),
    ] {
        for put in named(&name) {
            let expected = format!("ValidationException: {text}");
            assert_eq!(service.fails("PutItem", put), expected);
        }
    }
}

#[test]
fn an_array_is_no_structure() {
    let service = service();
    service.plain("Orders");
    for (operation, body) in [
        ("DescribeTable", json!(["Orders"])),
        ("ListTables", json!([null, 1])),
        (
            "UpdateTable",
            json!({"TableName": "Orders", "ReplicaUpdates": [[{"RegionName": "eu-west-1"}]]}),
        ),
    ] {
        assert_eq!(
            service.fails(operation, body),
            "SerializationException: Start of list found where not expected"
        );
    }
}
