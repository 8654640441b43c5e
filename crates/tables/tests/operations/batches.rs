//! `BatchGetItem` and `BatchWriteItem`.

use serde_json::{Value, json};

use crate::support::{Service, service};

fn put(id: &str) -> Value {
    json!({"PutRequest": {"Item": {"id": {"S": id}, "n": {"N": "1"}}}})
}

fn delete(id: &str) -> Value {
    json!({"DeleteRequest": {"Key": {"id": {"S": id}}}})
}

fn tables() -> Service {
    let service = service();
    service.plain("One");
    service.plain("Two");
    service
}

#[test]
fn a_batch_writes_and_reads_several_tables() {
    let service = tables();
    service.ok(
        "PutItem",
        json!({"TableName": "Two", "Item": {"id": {"S": "old"}}}),
    );
    let answer = service.ok(
        "BatchWriteItem",
        json!({
            "RequestItems": {"One": [put("a"), put("b")], "Two": [put("a"), delete("old")]},
            "ReturnConsumedCapacity": "TOTAL",
        }),
    );
    assert_eq!(answer["UnprocessedItems"], json!({}));
    assert_eq!(
        answer["ConsumedCapacity"],
        json!([
            {"TableName": "One", "CapacityUnits": 2.0},
            {"TableName": "Two", "CapacityUnits": 2.0},
        ])
    );
    let keys = |ids: &[&str]| {
        let keys = ids.iter().map(|id| json!({"id": {"S": id}}));
        keys.collect::<Vec<_>>()
    };
    let answer = service.ok(
        "BatchGetItem",
        json!({
            "RequestItems": {
                "One": {"Keys": keys(&["b", "a", "absent"]), "ProjectionExpression": "id"},
                "Two": {"Keys": keys(&["a", "old"]), "ConsistentRead": true},
            },
            "ReturnConsumedCapacity": "TOTAL",
        }),
    );
    assert_eq!(
        answer["Responses"],
        json!({
            "One": [{"id": {"S": "b"}}, {"id": {"S": "a"}}],
            "Two": [{"id": {"S": "a"}, "n": {"N": "1"}}],
        })
    );
    assert_eq!(answer["UnprocessedKeys"], json!({}));
    assert_eq!(
        answer["ConsumedCapacity"],
        json!([
            {"TableName": "One", "CapacityUnits": 1.5},
            {"TableName": "Two", "CapacityUnits": 2.0},
        ])
    );
}

#[test]
fn batches_are_judged_as_the_service_does() {
    let service = tables();
    let many = |count: usize| (0..count).map(|n| put(&n.to_string())).collect::<Vec<_>>();
    let null = "1 validation error detected: Value null at 'requestItems' failed to satisfy constraint: Member must not be null";
    for (request, message) in [
        (json!({}), null.to_owned()),
        (json!({"RequestItems": {}}), "1 validation error detected: Value '{}' at 'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1".to_owned()),
        (json!({"RequestItems": {"One": many(26)}}), "Too many items requested for the BatchWriteItem call".to_owned()),
        (json!({"RequestItems": {"One": many(13), "Two": many(13)}}), "Too many items requested for the BatchWriteItem call".to_owned()),
        (json!({"RequestItems": {"One": [put("a"), put("a")]}}), "Provided list of item keys contains duplicates".to_owned()),
        (json!({"RequestItems": {"One": [put("a"), delete("a")]}}), "Provided list of item keys contains duplicates".to_owned()),
        (json!({"RequestItems": {"One": [{"PutRequest": {"Item": {"n": {"N": "1"}}}}]}}), "One or more parameter values were invalid: Missing the key id in the item".to_owned()),
        (json!({"RequestItems": {"One": [{"DeleteRequest": {"Key": {"n": {"N": "1"}}}}]}}), "The provided key element does not match the schema".to_owned()),
    ] {
        let expected = format!("ValidationException: {message}");
        assert_eq!(service.fails("BatchWriteItem", request), expected);
    }
    service.ok("BatchWriteItem", json!({"RequestItems": {"One": many(25)}}));
    let keys = |count: usize| {
        let keys = (0..count).map(|n| json!({"id": {"S": n.to_string()}}));
        keys.collect::<Vec<_>>()
    };
    for (request, message) in [
        (json!({}), null),
        (
            json!({"RequestItems": {"One": {"Keys": keys(101)}}}),
            "1 validation error detected: Value '[...]' at 'requestItems.One.member.keys' failed to satisfy constraint: Member must have length less than or equal to 100",
        ),
        (
            json!({"RequestItems": {"One": {"Keys": keys(51)}, "Two": {"Keys": keys(50)}}}),
            "Too many items requested for the BatchGetItem call",
        ),
        (
            json!({"RequestItems": {"One": {"Keys": [{"id": {"S": "a"}}, {"id": {"S": "a"}}]}}}),
            "Provided list of item keys contains duplicates",
        ),
        (
            json!({"RequestItems": {"One": {"Keys": [{"no": {"S": "a"}}]}}}),
            "The provided key element does not match the schema",
        ),
    ] {
        let expected = format!("ValidationException: {message}");
        assert_eq!(service.fails("BatchGetItem", request), expected);
    }
    let all = service.ok(
        "BatchGetItem",
        json!({"RequestItems": {"One": {"Keys": keys(100)}}}),
    );
    assert_eq!(all["Responses"]["One"].as_array().unwrap().len(), 25);
}

#[test]
fn what_does_not_fit_comes_back_unprocessed() {
    let service = tables();
    for number in 0..50 {
        let item = json!({"id": {"S": number.to_string()}, "text": {"S": "x".repeat(400_000)}});
        service.ok("PutItem", json!({"TableName": "One", "Item": item}));
    }
    let keys = (0..50).map(|n| json!({"id": {"S": n.to_string()}}));
    let mut wanted = json!({
        "One": {
            "Keys": keys.collect::<Vec<_>>(),
            "ProjectionExpression": "#id",
            "ExpressionAttributeNames": {"#id": "id"},
        },
    });
    let mut found = Vec::new();
    let mut rounds = 0;
    while wanted != json!({}) {
        let answer = service.ok("BatchGetItem", json!({"RequestItems": wanted}));
        found.extend(answer["Responses"]["One"].as_array().unwrap().clone());
        wanted = answer["UnprocessedKeys"].clone();
        rounds += 1;
    }
    assert_eq!((found.len(), rounds), (50, 2));
    found.sort_by_key(Value::to_string);
    found.dedup();
    assert_eq!(found.len(), 50);
}
