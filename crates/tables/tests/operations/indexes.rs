//! Secondary indexes: what every write does to them, and what reads see of them.

use serde_json::{Value, json};

use crate::support::{Service, service, with};

/// Orders by customer and time; found by status globally, by total locally.
fn orders() -> Service {
    let service = service();
    let attribute = |name: &str, kind: &str| json!({"AttributeName": name, "AttributeType": kind});
    let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
    service.ok(
        "CreateTable",
        json!({
            "TableName": "Orders",
            "AttributeDefinitions": [
                attribute("customer", "S"), attribute("time", "N"), attribute("status", "S"),
                attribute("amount", "N"),
            ],
            "KeySchema": [key("customer", "HASH"), key("time", "RANGE")],
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": "by-status",
                    "KeySchema": [key("status", "HASH"), key("amount", "RANGE")],
                    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["note"]},
                },
                {
                    "IndexName": "all-by-status",
                    "KeySchema": [key("status", "HASH")],
                    "Projection": {"ProjectionType": "ALL"},
                },
            ],
            "LocalSecondaryIndexes": [{
                "IndexName": "by-total",
                "KeySchema": [key("customer", "HASH"), key("amount", "RANGE")],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }],
            "BillingMode": "PAY_PER_REQUEST",
        }),
    );
    service
}

fn order(customer: &str, time: u32, status: &str, total: i32) -> Value {
    json!({
        "customer": {"S": customer}, "time": {"N": time.to_string()}, "status": {"S": status},
        "amount": {"N": total.to_string()}, "note": {"S": "n"}, "secret": {"S": "h"},
    })
}

fn put(service: &Service, item: &Value) {
    service.ok("PutItem", json!({"TableName": "Orders", "Item": item}));
}

fn by_status(status: &str) -> Value {
    json!({
        "TableName": "Orders",
        "IndexName": "by-status",
        "KeyConditionExpression": "#status = :status",
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": {":status": {"S": status}},
    })
}

fn totals(answer: &Value) -> Vec<String> {
    let items = answer["Items"].as_array().unwrap().iter();
    items
        .map(|item| item["amount"]["N"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn an_index_follows_every_kind_of_write() {
    let service = orders();
    for (time, total) in [(1, 30), (2, -5), (3, 30), (4, 7)] {
        put(&service, &order("a", time, "open", total));
    }
    let found = service.ok("Query", by_status("open"));
    assert_eq!(totals(&found), ["-5", "7", "30", "30"]);
    assert_eq!(
        found["Items"][0],
        json!({
            "customer": {"S": "a"}, "time": {"N": "2"}, "status": {"S": "open"},
            "amount": {"N": "-5"}, "note": {"S": "n"},
        })
    );
    // Replaced, updated, made sparse, deleted: each leaves no stale entry.
    put(&service, &order("a", 1, "shipped", 30));
    let key = |time: u32| json!({"customer": {"S": "a"}, "time": {"N": time.to_string()}});
    service.ok(
        "UpdateItem",
        json!({
            "TableName": "Orders", "Key": key(2), "UpdateExpression": "SET amount = :t",
            "ExpressionAttributeValues": {":t": {"N": "99"}},
        }),
    );
    service.ok(
        "UpdateItem",
        json!({"TableName": "Orders", "Key": key(3), "UpdateExpression": "REMOVE amount"}),
    );
    service.ok("DeleteItem", json!({"TableName": "Orders", "Key": key(4)}));
    assert_eq!(totals(&service.ok("Query", by_status("open"))), ["99"]);
    assert_eq!(totals(&service.ok("Query", by_status("shipped"))), ["30"]);
    let all = json!({"TableName": "Orders", "IndexName": "all-by-status"});
    assert_eq!(service.ok("Scan", all)["Count"], 3);
    let local = json!({"TableName": "Orders", "IndexName": "by-total"});
    assert_eq!(totals(&service.ok("Scan", local)), ["30", "99"]);
}

#[test]
fn projections_limit_what_an_index_shows() {
    let service = orders();
    put(&service, &order("a", 1, "open", 30));
    let local = json!({
        "TableName": "Orders",
        "IndexName": "by-total",
        "KeyConditionExpression": "customer = :a AND amount > :t",
        "ExpressionAttributeValues": {":a": {"S": "a"}, ":t": {"N": "0"}},
    });
    let keys = json!({"customer": {"S": "a"}, "time": {"N": "1"}, "amount": {"N": "30"}});
    assert_eq!(service.ok("Query", local.clone())["Items"], json!([keys]));
    let everything = with(local.clone(), json!({"Select": "ALL_ATTRIBUTES"}));
    let everything = service.ok("Query", everything);
    assert_eq!(everything["Items"], json!([order("a", 1, "open", 30)]));
    let fetched = with(local.clone(), json!({"ProjectionExpression": "secret"}));
    let fetched = service.ok("Query", fetched);
    assert_eq!(fetched["Items"], json!([{"secret": {"S": "h"}}]));
    let strong = with(local, json!({"ConsistentRead": true}));
    assert_eq!(service.ok("Query", strong)["Count"], 1);
    for (change, message) in [
        (
            json!({"ConsistentRead": true}),
            "Consistent reads are not supported on global secondary indexes",
        ),
        (
            json!({"Select": "ALL_ATTRIBUTES"}),
            "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index by-status because its projection type is not ALL",
        ),
        (
            json!({"ProjectionExpression": "secret"}),
            "One or more parameter values were invalid: Global secondary index by-status does not project [secret]",
        ),
        (
            json!({"IndexName": "by-nothing"}),
            "The table does not have the specified index: by-nothing",
        ),
    ] {
        let expected = format!("ValidationException: {message}");
        assert_eq!(
            service.fails("Query", with(by_status("open"), change)),
            expected
        );
    }
}

#[test]
fn index_pages_meet_every_entry_once() {
    let service = orders();
    for time in 0..40 {
        put(
            &service,
            &order("a", time, "open", i32::try_from(time / 4).unwrap()),
        );
    }
    for forward in [true, false] {
        let mut seen = Vec::new();
        let mut start = Value::Null;
        loop {
            let page = json!({"Limit": 7, "ScanIndexForward": forward, "ExclusiveStartKey": start});
            let page = service.ok("Query", with(by_status("open"), page));
            seen.extend(page["Items"].as_array().unwrap().clone());
            start = page["LastEvaluatedKey"].clone();
            if start.is_null() {
                break;
            }
            assert_eq!(start.as_object().unwrap().len(), 4);
        }
        let totals: Vec<i32> = seen
            .iter()
            .map(|item| item["amount"]["N"].as_str().unwrap().parse().unwrap())
            .collect();
        assert_eq!(totals.len(), 40);
        assert_eq!(totals.is_sorted(), forward);
        let mut times: Vec<String> = seen.iter().map(|item| item["time"].to_string()).collect();
        times.sort();
        times.dedup();
        assert_eq!(times.len(), 40);
    }
}

#[test]
fn index_keys_are_judged_as_the_service_does() {
    let service = orders();
    let base = order("a", 1, "open", 1);
    for (change, message) in [
        (
            json!({"status": {"N": "1"}}),
            "One or more parameter values were invalid: Type mismatch for Index Key status Expected: S Actual: N IndexName: by-status",
        ),
        (
            json!({"status": {"S": ""}}),
            "One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty string value. IndexName: by-status, IndexKey: status",
        ),
    ] {
        let request = json!({"TableName": "Orders", "Item": with(base.clone(), change)});
        let expected = format!("ValidationException: {message}");
        assert_eq!(service.fails("PutItem", request), expected);
    }
    put(&service, &base);
    let update = |value: Value| {
        json!({
            "TableName": "Orders",
            "Key": {"customer": {"S": "a"}, "time": {"N": "1"}},
            "UpdateExpression": "SET #s = :v",
            "ExpressionAttributeNames": {"#s": "status"},
            "ExpressionAttributeValues": {":v": value},
        })
    };
    assert_eq!(
        service.fails("UpdateItem", update(json!({"N": "1"}))),
        "ValidationException: The update expression attempted to update the secondary index key \
         to unsupported type"
    );
    let empty = service.fails("UpdateItem", update(json!({"S": ""})));
    assert!(
        empty.ends_with("cannot contain an empty string value."),
        "{empty}"
    );
    assert_eq!(service.ok("Query", by_status("open"))["Count"], 1);
}

#[test]
fn index_writes_are_counted() {
    let service = orders();
    let item = order("a", 1, "open", 1);
    let request = json!({"TableName": "Orders", "Item": item, "ReturnConsumedCapacity": "INDEXES"});
    let first = service.ok("PutItem", request.clone())["ConsumedCapacity"].clone();
    assert_eq!(
        first,
        json!({
            "TableName": "Orders",
            "CapacityUnits": 4.0,
            "Table": {"CapacityUnits": 1.0},
            "GlobalSecondaryIndexes": {
                "by-status": {"CapacityUnits": 1.0}, "all-by-status": {"CapacityUnits": 1.0},
            },
            "LocalSecondaryIndexes": {"by-total": {"CapacityUnits": 1.0}},
        })
    );
    let again = service.ok("PutItem", request)["ConsumedCapacity"].clone();
    assert_eq!(again["CapacityUnits"], 1.0, "{again}");
    let moved = with(item, json!({"status": {"S": "shipped"}}));
    let moved = json!({"TableName": "Orders", "Item": moved, "ReturnConsumedCapacity": "TOTAL"});
    let moved = service.ok("PutItem", moved)["ConsumedCapacity"].clone();
    assert_eq!(
        moved["CapacityUnits"], 5.0,
        "two units for each index it moved in: {moved}"
    );
}
