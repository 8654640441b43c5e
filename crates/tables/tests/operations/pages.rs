//! `Query` and `Scan`: ranges, filters, pages, segments.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Service, service, with};

fn events() -> Service {
    let service = service();
    service.sorted("Events");
    for (id, count) in [("a", 30), ("b", 5)] {
        for at in 0..count {
            let item = json!({
                "id": {"S": id}, "seq": {"N": (at - 10).to_string()}, "odd": {"BOOL": at % 2 == 1},
            });
            service.ok("PutItem", json!({"TableName": "Events", "Item": item}));
        }
    }
    service
}

fn query(condition: &str, values: Value) -> Value {
    json!({
        "TableName": "Events",
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": values,
    })
}

fn times(answer: &Value) -> Vec<i32> {
    let items = answer["Items"].as_array().unwrap().iter();
    items
        .map(|item| item["seq"]["N"].as_str().unwrap().parse().unwrap())
        .collect()
}

/// Every page of a request, from the first on.
fn every_page(service: &Service, operation: &str, request: &Value) -> Vec<Value> {
    let mut pages = vec![service.ok(operation, request.clone())];
    while let Some(start) = pages.last().unwrap().get("LastEvaluatedKey").cloned() {
        let next = with(request.clone(), json!({"ExclusiveStartKey": start}));
        pages.push(service.ok(operation, next));
        assert!(pages.len() < 1000, "the pages never end");
    }
    pages
}

#[test]
fn sort_conditions_select_ranges_in_numeric_order() {
    let service = events();
    let all: Vec<i32> = (-10..20).collect();
    for (condition, values, expected) in [
        ("id = :a", json!({":a": {"S": "a"}}), &all[..]),
        (
            "id = :a AND seq = :x",
            json!({":a": {"S": "a"}, ":x": {"N": "3"}}),
            &[3],
        ),
        (
            "id = :a AND seq < :x",
            json!({":a": {"S": "a"}, ":x": {"N": "-8"}}),
            &[-10, -9],
        ),
        (
            "id = :a AND seq <= :x",
            json!({":a": {"S": "a"}, ":x": {"N": "-9"}}),
            &[-10, -9],
        ),
        (
            "id = :a AND seq > :x",
            json!({":a": {"S": "a"}, ":x": {"N": "17"}}),
            &[18, 19],
        ),
        (
            "id = :a AND seq >= :x",
            json!({":a": {"S": "a"}, ":x": {"N": "18"}}),
            &[18, 19],
        ),
        (
            "seq BETWEEN :x AND :y AND id = :a",
            json!({":a": {"S": "a"}, ":x": {"N": "-1"}, ":y": {"N": "1"}}),
            &[-1, 0, 1],
        ),
        ("id = :a", json!({":a": {"S": "nobody"}}), &[]),
    ] {
        let request = query(condition, values);
        let found = service.ok("Query", request.clone());
        assert_eq!(times(&found), expected, "{condition}");
        assert_eq!(found["Count"], expected.len());
        assert_eq!(found["ScannedCount"], expected.len());
        assert_eq!(found.get("LastEvaluatedKey"), None);
        let back = service.ok("Query", with(request, json!({"ScanIndexForward": false})));
        let mut back = times(&back);
        back.reverse();
        assert_eq!(back, expected, "{condition} backwards");
    }
}

#[test]
fn the_limit_comes_before_the_filter() {
    let service = events();
    let request = with(
        query("id = :a", json!({":a": {"S": "a"}, ":odd": {"BOOL": true}})),
        json!({"FilterExpression": "odd = :odd", "Limit": 5}),
    );
    let page = service.ok("Query", request.clone());
    assert_eq!(
        (&page["Count"], &page["ScannedCount"]),
        (&json!(2), &json!(5))
    );
    assert_eq!(
        page["LastEvaluatedKey"],
        json!({"id": {"S": "a"}, "seq": {"N": "-6"}})
    );
    let count = service.ok("Query", with(request, json!({"Select": "COUNT"})));
    assert_eq!(count["Count"], 2);
    assert_eq!(count.get("Items"), None);
    let exact = service.ok(
        "Query",
        with(
            query("id = :a", json!({":a": {"S": "b"}})),
            json!({"Limit": 5}),
        ),
    );
    assert!(
        exact.get("LastEvaluatedKey").is_some(),
        "as the service does at the very end"
    );
    let scan = json!({"TableName": "Events", "Limit": 3, "ReturnConsumedCapacity": "TOTAL"});
    let scan = service.ok("Scan", scan);
    assert_eq!(scan["Count"], 3);
    assert_eq!(scan["ConsumedCapacity"]["CapacityUnits"], 0.5);
}

#[test]
fn the_second_page_keeps_the_far_bound() {
    let service = events();
    for forward in [true, false] {
        let values = json!({":a": {"S": "a"}, ":x": {"N": "-3"}, ":y": {"N": "4"}});
        let request = with(
            query("id = :a AND seq BETWEEN :x AND :y", values),
            json!({"Limit": 3, "ScanIndexForward": forward}),
        );
        let pages = every_page(&service, "Query", &request);
        let mut all: Vec<i32> = pages.iter().flat_map(times).collect();
        assert_eq!(all.is_sorted(), forward);
        all.sort_unstable();
        assert_eq!(all, (-3..=4).collect::<Vec<_>>());
    }
}

#[test]
fn segments_share_a_table_without_gap_or_overlap() {
    let service = service();
    service.plain("Wide");
    for number in 0..300 {
        let item = json!({"id": {"S": format!("item {number}")}});
        service.ok("PutItem", json!({"TableName": "Wide", "Item": item}));
    }
    for total in [1, 2, 3, 7, 1_000_000] {
        let mut seen = BTreeSet::new();
        let mut count = 0;
        let segments: Box<dyn Iterator<Item = u32>> = if total > 10 {
            // Too many to scan one by one: only that the ends hold.
            Box::new([0, 500_000, total - 1].into_iter())
        } else {
            Box::new(0..total)
        };
        for segment in segments {
            let request = json!({
                "TableName": "Wide", "Segment": segment, "TotalSegments": total, "Limit": 20,
            });
            for page in every_page(&service, "Scan", &request) {
                for item in page["Items"].as_array().unwrap() {
                    seen.insert(item["id"]["S"].as_str().unwrap().to_owned());
                    count += 1;
                }
            }
        }
        assert_eq!(seen.len(), count, "no item twice");
        if total <= 10 {
            assert_eq!(count, 300, "{total} segments");
        }
    }
}

#[test]
fn starting_keys_are_judged() {
    let service = events();
    let base = query(
        "id = :a AND seq > :x",
        json!({":a": {"S": "a"}, ":x": {"N": "0"}}),
    );
    for (start, message) in [
        (
            json!({"id": {"S": "a"}}),
            "The provided starting key is invalid",
        ),
        (
            json!({"id": {"S": "a"}, "seq": {"S": "1"}}),
            "The provided starting key is invalid",
        ),
        (
            json!({"id": {"S": "a"}, "seq": {"N": "1"}, "more": {"N": "1"}}),
            "The provided starting key is invalid",
        ),
        (
            json!({"id": {"S": "b"}, "seq": {"N": "1"}}),
            "The provided starting key is outside query boundaries based on provided conditions",
        ),
        (
            json!({"id": {"S": "a"}, "seq": {"N": "-5"}}),
            "The provided starting key does not match the range key predicate",
        ),
    ] {
        let request = with(base.clone(), json!({"ExclusiveStartKey": start}));
        let expected = format!("ValidationException: {message}");
        assert_eq!(service.fails("Query", request), expected);
    }
    let absent = json!({"ExclusiveStartKey": {"id": {"S": "a"}, "seq": {"N": "17.5"}}});
    assert_eq!(times(&service.ok("Query", with(base, absent))), [18, 19]);
    let scan = json!({"TableName": "Events", "ExclusiveStartKey": {"id": {"S": "a"}}});
    assert_eq!(
        service.fails("Scan", scan),
        "ValidationException: The provided starting key is invalid"
    );
}

#[test]
fn reads_are_judged_as_the_service_does() {
    let service = events();
    for (change, message) in [
        (
            json!({"Segment": 0}),
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is present",
        ),
        (
            json!({"TotalSegments": 1}),
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is present",
        ),
        (
            json!({"Segment": 2, "TotalSegments": 2}),
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 2 is not less than TotalSegments: 2",
        ),
        (
            json!({"TotalSegments": 0}),
            "1 validation error detected: Value '0' at 'totalSegments' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            json!({"Limit": 0}),
            "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            json!({"Select": "SOME"}),
            "1 validation error detected: Value 'SOME' at 'select' failed to satisfy constraint: Member must satisfy enum value set: [SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]",
        ),
        (
            json!({"Select": "SPECIFIC_ATTRIBUTES"}),
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
        ),
        (
            json!({"Select": "COUNT", "ProjectionExpression": "id"}),
            "Cannot specify the ProjectionExpression when choosing to get only the Count",
        ),
        (
            json!({"Select": "ALL_ATTRIBUTES", "ProjectionExpression": "id"}),
            "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES",
        ),
        (
            json!({"Select": "ALL_PROJECTED_ATTRIBUTES"}),
            "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
        ),
        (
            json!({"ScanFilter": {}, "FilterExpression": "odd = :x"}),
            "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {ScanFilter} Expression parameters: {FilterExpression}",
        ),
        (
            json!({"FilterExpression": "", }),
            "Invalid FilterExpression: The expression can not be empty;",
        ),
        (
            json!({"AttributesToGet": ["id"], "ProjectionExpression": "id"}),
            "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}",
        ),
    ] {
        let request = with(json!({"TableName": "Events"}), change);
        let expected = format!("ValidationException: {message}");
        assert_eq!(service.fails("Scan", request), expected);
    }
    for (change, message) in [
        (
            json!({"KeyConditionExpression": null, "ExpressionAttributeValues": null}),
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
        ),
        (
            json!({
                "KeyConditionExpression": null,
                "ExpressionAttributeValues": null,
                "KeyConditions": {
                    "id": {"ComparisonOperator": "GT", "AttributeValueList": [{"S": "a"}]},
                },
            }),
            "Query key condition not supported",
        ),
        (
            json!({"KeyConditionExpression": "seq = :a"}),
            "Query condition missed key schema element: id",
        ),
        (
            json!({"FilterExpression": "id = :a"}),
            "Filter Expression can only contain non-primary key attributes: Primary key attribute: id",
        ),
    ] {
        let request = with(query("id = :a", json!({":a": {"S": "a"}})), change);
        let expected = format!("ValidationException: {message}");
        assert_eq!(service.fails("Query", request), expected);
    }
}

#[test]
fn the_parameters_before_expressions_do_the_same() {
    let service = events();
    let comparison = |operator: &str, values: Value| json!({"ComparisonOperator": operator, "AttributeValueList": values});
    let request = json!({
        "TableName": "Events",
        "KeyConditions": {
            "id": comparison("EQ", json!([{"S": "a"}])),
            "seq": comparison("BETWEEN", json!([{"N": "-2"}, {"N": "5"}])),
        },
        "QueryFilter": {"odd": comparison("EQ", json!([{"BOOL": true}]))},
    });
    let found = service.ok("Query", request);
    assert_eq!(times(&found), [-1, 1, 3, 5]);
    assert_eq!(found["ScannedCount"], 8);
    let request = json!({
        "TableName": "Events",
        "ScanFilter": {
            "seq": comparison("LT", json!([{"N": "-8"}])), "odd": comparison("NULL", json!([])),
        },
        "ConditionalOperator": "OR",
        "AttributesToGet": ["seq"],
    });
    let mut found = times(&service.ok("Scan", request));
    found.sort_unstable();
    assert_eq!(found, [-10, -10, -9, -9]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Pages of any size, with any filter on the way, meet every item once and in order.
    #[test]
    fn pages_meet_every_item_once(
        keys in prop::collection::btree_set((0u8..4, -50i32..50), 0..60),
        deleted in prop::collection::btree_set((0u8..4, -50i32..50), 0..20),
        limit in 1usize..12,
        forward: bool,
    ) {
        let service = service();
        service.sorted("Events");
        let key = |(id, at): &(u8, i32)| {
            json!({"id": {"S": id.to_string()}, "seq": {"N": at.to_string()}})
        };
        for place in &keys {
            service.ok("PutItem", json!({"TableName": "Events", "Item": key(place)}));
        }
        for place in &deleted {
            service.ok("DeleteItem", json!({"TableName": "Events", "Key": key(place)}));
        }
        let left: BTreeSet<_> = keys.difference(&deleted).copied().collect();

        let request = json!({"TableName": "Events", "Limit": limit});
        let mut scanned = Vec::new();
        for page in every_page(&service, "Scan", &request) {
            prop_assert!(page["ScannedCount"].as_u64().unwrap() as usize <= limit);
            scanned.extend(page["Items"].as_array().unwrap().clone());
        }
        let expected: BTreeSet<String> = left.iter().map(|place| key(place).to_string()).collect();
        prop_assert_eq!(scanned.len(), expected.len());
        let scanned: BTreeSet<String> = scanned.iter().map(Value::to_string).collect();
        prop_assert_eq!(scanned, expected);

        for id in 0u8..4 {
            let request = with(
                query("id = :id", json!({":id": {"S": id.to_string()}})),
                json!({"Limit": limit, "ScanIndexForward": forward}),
            );
            let found = every_page(&service, "Query", &request);
            let found: Vec<i32> = found.iter().flat_map(times).collect();
            let mut expected: Vec<i32> =
                left.iter().filter(|place| place.0 == id).map(|place| place.1).collect();
            if !forward {
                expected.reverse();
            }
            prop_assert_eq!(found, expected);
        }
    }
}

#[test]
fn no_key_is_empty_so_none_is_asked_for() {
    let service = service();
    service.sorted("Lines");
    let query = |condition: &str, values: Value| {
        json!({
            "TableName": "Lines",
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": values,
        })
    };
    let (full, empty) = (json!({"S": "a"}), json!({"S": ""}));
    for (condition, values, key) in [
        ("id = :a", json!({":a": empty}), "id"),
        (
            "id = :a AND seq < :b",
            json!({":a": empty, ":b": {"N": "1"}}),
            "id",
        ),
    ] {
        assert_eq!(
            service.fails("Query", query(condition, values)),
            format!(
                "ValidationException: One or more parameter values are not valid. The \
                 AttributeValue for a key attribute cannot contain an empty string value. \
                 Key: {key}"
            )
        );
    }
    service.ok("Query", query("id = :a", json!({":a": full})));
}
