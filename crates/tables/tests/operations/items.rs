//! Operations on single items.

use serde_json::{Value, json};

use crate::support::{Service, service, with};

fn put(item: Value) -> Value {
    json!({"TableName": "Orders", "Item": item})
}

fn at(key: &str) -> Value {
    json!({"TableName": "Orders", "Key": {"id": {"S": key}}})
}

fn orders() -> Service {
    let service = service();
    service.plain("Orders");
    service
}

#[test]
fn an_item_of_every_type_comes_back_as_it_was_put() {
    let service = orders();
    let item = json!({
        "id": {"S": "a"},
        "n": {"N": "-12345678901234567890.123456789012345678"},
        "b": {"B": "AAEC/w=="},
        "ss": {"SS": ["x", "y"]},
        "ns": {"NS": ["1", "2.5"]},
        "bs": {"BS": ["AA==", "AQ=="]},
        "t": {"BOOL": true},
        "z": {"NULL": true},
        "l": {"L": [{"S": ""}, {"M": {"deep": {"N": "1"}}}]},
        "m": {"M": {}},
    });
    assert_eq!(service.ok("PutItem", put(item.clone())), json!({}));
    assert_eq!(service.ok("GetItem", at("a")), json!({"Item": item}));
    assert_eq!(service.ok("GetItem", at("b")), json!({}));
    let consistent = with(at("a"), json!({"ConsistentRead": true}));
    assert_eq!(service.ok("GetItem", consistent), json!({"Item": item}));
    let arn = "arn:aws:dynamodb:us-east-1:111122223333:table/Orders";
    let by_arn = with(at("a"), json!({"TableName": arn}));
    assert_eq!(service.ok("GetItem", by_arn), json!({"Item": item}));
}

#[test]
fn puts_and_deletes_return_what_was_there() {
    let service = orders();
    let old = json!({"ReturnValues": "ALL_OLD"});
    let first = json!({"id": {"S": "a"}, "n": {"N": "1"}});
    let second = json!({"id": {"S": "a"}, "n": {"N": "2"}});
    let answer = service.ok("PutItem", with(put(first.clone()), old.clone()));
    assert_eq!(answer, json!({}));
    let answer = service.ok("PutItem", with(put(second.clone()), old.clone()));
    assert_eq!(answer, json!({"Attributes": first}));
    let answer = service.ok("DeleteItem", with(at("a"), old.clone()));
    assert_eq!(answer, json!({"Attributes": second}));
    assert_eq!(service.ok("DeleteItem", with(at("a"), old)), json!({}));
    assert_eq!(service.ok("GetItem", at("a")), json!({}));
}

#[test]
fn keys_are_judged_as_the_service_does() {
    let service = orders();
    service.sorted("Events");
    let long = |bytes: usize| "x".repeat(bytes);
    let event = |item: Value| json!({"TableName": "Events", "Item": item});
    for (request, message) in [
        (
            put(json!({"a": {"S": "a"}})),
            "One or more parameter values were invalid: Missing the key id in the item",
        ),
        (
            put(json!({"id": {"N": "1"}})),
            "One or more parameter values were invalid: Type mismatch for key id expected: S actual: N",
        ),
        (
            put(json!({"id": {"S": ""}})),
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: id",
        ),
        (
            put(json!({"id": {"S": long(2049)}})),
            "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes",
        ),
        (
            event(json!({"id": {"S": "a"}})),
            "One or more parameter values were invalid: Missing the key seq in the item",
        ),
        (
            event(json!({"id": {"S": "a"}, "seq": {"S": "1"}})),
            "One or more parameter values were invalid: Type mismatch for key seq expected: N actual: S",
        ),
        (
            put(json!({"id": {"S": "a"}, "n": {"N": "one"}})),
            "The parameter cannot be converted to a numeric value: one",
        ),
        (
            put(json!({"id": {"S": "a"}, "n": {}})),
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        ),
        (
            json!({"TableName": "Orders"}),
            "1 validation error detected: Value null at 'item' failed to satisfy constraint: Member must not be null",
        ),
        (
            json!({"TableName": "x"}),
            "2 validation errors detected: Value 'x' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3; Value null at 'item' failed to satisfy constraint: Member must not be null",
        ),
        (
            with(
                put(json!({"id": {"S": "a"}})),
                json!({"ReturnValues": "ALL_NEW"}),
            ),
            "ReturnValues can only be ALL_OLD or NONE",
        ),
        (
            with(
                put(json!({"id": {"S": "a"}})),
                json!({"ReturnValues": "OLD"}),
            ),
            "1 validation error detected: Value 'OLD' at 'returnValues' failed to satisfy constraint: Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]",
        ),
        (
            with(
                put(json!({"id": {"S": "a"}})),
                json!({"ReturnConsumedCapacity": "ALL"}),
            ),
            "1 validation error detected: Value 'ALL' at 'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]",
        ),
        (
            with(
                put(json!({"id": {"S": "a"}})),
                json!({"ConditionalOperator": "OR"}),
            ),
            "ConditionalOperator cannot be used without Filter or Expected",
        ),
        (
            with(
                put(json!({"id": {"S": "a"}})),
                json!({"ConditionalOperator": "OR", "Expected": {"a": {"Exists": false}}}),
            ),
            "ConditionalOperator can only be used when Filter or Expected has two or more elements",
        ),
        (
            with(
                put(json!({"id": {"S": "a"}})),
                json!({"ConditionalOperator": "XOR"}),
            ),
            "1 validation error detected: Value 'XOR' at 'conditionalOperator' failed to satisfy constraint: Member must satisfy enum value set: [OR, AND]",
        ),
        (
            with(
                put(json!({"id": {"S": "a"}})),
                json!({"Expected": {}, "ConditionExpression": "attribute_exists(id)"}),
            ),
            "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}",
        ),
        (
            with(
                put(json!({"id": {"S": "a"}})),
                json!({"ExpressionAttributeNames": {"#a": "a"}}),
            ),
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            with(
                put(json!({"id": {"S": "a"}})),
                json!({"ExpressionAttributeValues": {":a": {"S": "a"}}}),
            ),
            "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null",
        ),
        (
            with(
                put(json!({"id": {"S": "a"}})),
                json!({"ConditionExpression": "attribute_exists(id)", "ExpressionAttributeNames": {"#a": "a"}}),
            ),
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a}",
        ),
        (
            with(
                put(json!({"id": {"S": "a"}})),
                json!({"ConditionExpression": ""}),
            ),
            "Invalid ConditionExpression: The expression can not be empty;",
        ),
    ] {
        let expected = format!("ValidationException: {message}");
        assert_eq!(service.fails("PutItem", request), expected);
    }
    let schema = "ValidationException: The provided key element does not match the schema";
    for key in [
        json!({}),
        json!({"other": {"S": "a"}}),
        json!({"id": {"N": "1"}}),
        json!({"id": {"S": "a"}, "more": {"S": "a"}}),
    ] {
        for operation in ["GetItem", "DeleteItem", "UpdateItem"] {
            let request = json!({"TableName": "Orders", "Key": key});
            assert_eq!(
                service.fails(operation, request),
                schema,
                "{operation} {key}"
            );
        }
    }
    let empty = service.fails("GetItem", at(""));
    assert!(
        empty.ends_with("cannot contain an empty string value. Key: id"),
        "{empty}"
    );
    let wide = json!({"id": {"S": long(2048)}, "seq": {"N": "1"}});
    service.ok("PutItem", event(wide));
}

#[test]
fn sort_keys_have_their_own_limit() {
    let service = service();
    service.ok(
        "CreateTable",
        json!({
            "TableName": "Texts",
            "AttributeDefinitions": [
                {"AttributeName": "id", "AttributeType": "B"},
                {"AttributeName": "s", "AttributeType": "S"},
            ],
            "KeySchema": [
                {"AttributeName": "id", "KeyType": "HASH"},
                {"AttributeName": "s", "KeyType": "RANGE"},
            ],
            "BillingMode": "PAY_PER_REQUEST",
        }),
    );
    let item = |bytes: usize| {
        let item = json!({"id": {"B": "AAEC"}, "s": {"S": "x".repeat(bytes)}});
        json!({"TableName": "Texts", "Item": item})
    };
    service.ok("PutItem", item(1024));
    assert_eq!(
        service.fails("PutItem", item(1025)),
        "ValidationException: One or more parameter values were invalid: Aggregated size of all \
         range keys has exceeded the size limit of 1024 bytes"
    );
    let empty = json!({"id": {"B": ""}, "s": {"S": "a"}});
    assert_eq!(
        service.fails("PutItem", json!({"TableName": "Texts", "Item": empty})),
        "ValidationException: One or more parameter values are not valid. The AttributeValue for \
         a key attribute cannot contain an empty binary value. Key: id"
    );
}

#[test]
fn a_failed_condition_changes_nothing_and_shows_the_item_if_asked() {
    let service = orders();
    let item = json!({"id": {"S": "a"}, "n": {"N": "1"}});
    let new = json!({"ConditionExpression": "attribute_not_exists(id)"});
    service.ok("PutItem", with(put(item.clone()), new.clone()));
    for operation in ["PutItem", "UpdateItem", "DeleteItem"] {
        let base = match operation {
            "PutItem" => put(json!({"id": {"S": "a"}})),
            "UpdateItem" => with(at("a"), json!({"UpdateExpression": "REMOVE n"})),
            _ => at("a"),
        };
        let request = with(base, new.clone());
        let error = service.call(operation, request.clone()).unwrap_err();
        assert_eq!(error.code, "ConditionalCheckFailedException");
        assert_eq!(error.message, "The conditional request failed");
        assert_eq!(error.status, 400);
        assert!(error.members.is_empty());
        let shown = json!({"ReturnValuesOnConditionCheckFailure": "ALL_OLD"});
        let error = service.call(operation, with(request, shown)).unwrap_err();
        assert_eq!(error.members["Item"], item, "{operation}");
    }
    assert_eq!(service.ok("GetItem", at("a")), json!({"Item": item}));
    let absent = with(
        at("b"),
        json!({"ConditionExpression": "attribute_exists(id)"}),
    );
    let error = service.call("DeleteItem", absent).unwrap_err();
    assert_eq!(error.code, "ConditionalCheckFailedException");
}

#[test]
fn updates_return_what_is_asked_for() {
    let service = orders();
    let update = |values: &str, returned: &str| {
        json!({
            "TableName": "Orders",
            "Key": {"id": {"S": "a"}},
            "UpdateExpression": "SET n = if_not_exists(n, :zero) + :one, kept = :zero",
            "ExpressionAttributeValues": {":zero": {"N": values}, ":one": {"N": "1"}},
            "ReturnValues": returned,
        })
    };
    let after = |n: &str| json!({"id": {"S": "a"}, "n": {"N": n}, "kept": {"N": "0"}});
    let answer = service.ok("UpdateItem", update("0", "ALL_NEW"));
    assert_eq!(answer, json!({"Attributes": after("1")}));
    let answer = service.ok("UpdateItem", update("0", "ALL_OLD"));
    assert_eq!(answer, json!({"Attributes": after("1")}));
    let answer = service.ok("UpdateItem", update("0", "UPDATED_NEW"));
    let touched = |n: &str| json!({"Attributes": {"n": {"N": n}, "kept": {"N": "0"}}});
    assert_eq!(answer, touched("3"));
    let answer = service.ok("UpdateItem", update("0", "UPDATED_OLD"));
    assert_eq!(answer, touched("3"));
    assert_eq!(service.ok("UpdateItem", update("0", "NONE")), json!({}));
    let removed = with(
        at("a"),
        json!({"UpdateExpression": "REMOVE n", "ReturnValues": "UPDATED_NEW"}),
    );
    assert_eq!(service.ok("UpdateItem", removed), json!({}));
    let bare = with(at("new"), json!({"ReturnValues": "ALL_NEW"}));
    let answer = service.ok("UpdateItem", bare);
    assert_eq!(answer, json!({"Attributes": {"id": {"S": "new"}}}));
    let old = with(at("newer"), json!({"ReturnValues": "ALL_OLD"}));
    assert_eq!(service.ok("UpdateItem", old), json!({}));
}

#[test]
fn an_update_leaves_the_key_alone() {
    let service = orders();
    let request = with(
        at("a"),
        json!({"UpdateExpression": "SET id = :v", "ExpressionAttributeValues": {":v": {"S": "b"}}}),
    );
    assert_eq!(
        service.fails("UpdateItem", request),
        "ValidationException: One or more parameter values were invalid: Cannot update attribute \
         id. This attribute is part of the key"
    );
    let both = with(
        at("a"),
        json!({"UpdateExpression": "REMOVE n", "AttributeUpdates": {}}),
    );
    assert_eq!(
        service.fails("UpdateItem", both),
        "ValidationException: Can not use both expression and non-expression parameters in the \
         same request: Non-expression parameters: {AttributeUpdates} Expression parameters: \
         {UpdateExpression}"
    );
}

#[test]
fn projections_show_what_is_asked_for() {
    let service = orders();
    service.ok(
        "PutItem",
        put(json!({"id": {"S": "a"}, "m": {"M": {"x": {"N": "1"}, "y": {"N": "2"}}}, "z": {"S": "z"}})),
    );
    let request = with(
        at("a"),
        json!({"ProjectionExpression": "#m.x, absent", "ExpressionAttributeNames": {"#m": "m"}}),
    );
    let answer = service.ok("GetItem", request);
    assert_eq!(answer, json!({"Item": {"m": {"M": {"x": {"N": "1"}}}}}));
    let old = with(at("a"), json!({"AttributesToGet": ["z", "absent"]}));
    assert_eq!(
        service.ok("GetItem", old),
        json!({"Item": {"z": {"S": "z"}}})
    );
    let nothing = with(at("a"), json!({"ProjectionExpression": "absent"}));
    assert_eq!(service.ok("GetItem", nothing), json!({"Item": {}}));
}

#[test]
fn capacity_is_counted_by_the_documented_rules() {
    let service = orders();
    let total = json!({"ReturnConsumedCapacity": "TOTAL"});
    let units = |response: &Value| {
        response["ConsumedCapacity"]["CapacityUnits"]
            .as_f64()
            .unwrap()
    };
    let large = json!({"id": {"S": "a"}, "text": {"S": "x".repeat(4500)}});
    let answer = service.ok("PutItem", with(put(large), total.clone()));
    assert_eq!(units(&answer), 5.0);
    assert_eq!(answer["ConsumedCapacity"]["TableName"], "Orders");
    let answer = service.ok("GetItem", with(at("a"), total.clone()));
    assert_eq!(units(&answer), 1.0);
    let strong = json!({"ConsistentRead": true, "ReturnConsumedCapacity": "INDEXES"});
    let answer = service.ok("GetItem", with(at("a"), strong));
    assert_eq!(units(&answer), 2.0);
    assert_eq!(answer["ConsumedCapacity"]["Table"]["CapacityUnits"], 2.0);
    let answer = service.ok("GetItem", with(at("absent"), total.clone()));
    assert_eq!(units(&answer), 0.5);
    let answer = service.ok(
        "PutItem",
        with(put(json!({"id": {"S": "a"}})), total.clone()),
    );
    assert_eq!(units(&answer), 5.0, "the larger of before and after");
    let answer = service.ok("DeleteItem", with(at("absent"), total));
    assert_eq!(units(&answer), 1.0);
}

#[test]
fn concurrent_adds_are_all_counted() {
    const THREADS: usize = 8;
    const ADDS: usize = 200;
    let service = orders();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ADDS {
                    let request = with(
                        at("counter"),
                        json!({
                            "UpdateExpression": "ADD n :one",
                            "ExpressionAttributeValues": {":one": {"N": "1"}},
                        }),
                    );
                    service.ok("UpdateItem", request);
                }
            });
        }
    });
    let item = service.ok("GetItem", at("counter"));
    assert_eq!(item["Item"]["n"]["N"], (THREADS * ADDS).to_string());
}

#[test]
fn of_concurrent_first_puts_one_wins() {
    let service = orders();
    let won: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let service = &service;
                scope.spawn(move || {
                    let item = json!({"id": {"S": "a"}, "by": {"N": number.to_string()}});
                    let new = json!({"ConditionExpression": "attribute_not_exists(id)"});
                    usize::from(service.call("PutItem", with(put(item), new)).is_ok())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(won, 1);
}

#[test]
fn the_parameters_before_expressions_do_the_same() {
    let service = orders();
    let item = json!({"id": {"S": "a"}, "n": {"N": "1"}, "s": {"SS": ["x"]}});
    let absent = json!({"Expected": {"id": {"Exists": false}}});
    service.ok("PutItem", with(put(item.clone()), absent.clone()));
    let failed = service.fails("PutItem", with(put(item), absent));
    assert!(
        failed.starts_with("ConditionalCheckFailedException"),
        "{failed}"
    );
    let update = json!({
        "AttributeUpdates": {
            "n": {"Action": "ADD", "Value": {"N": "2"}},
            "s": {"Action": "DELETE", "Value": {"SS": ["x"]}},
            "t": {"Value": {"S": "put"}},
        },
        "Expected": {
            "n": {"ComparisonOperator": "GT", "AttributeValueList": [{"N": "5"}]},
            "s": {"ComparisonOperator": "NOT_NULL"},
        },
        "ReturnValues": "ALL_NEW",
    });
    let failed = service.fails("UpdateItem", with(at("a"), update.clone()));
    assert!(
        failed.starts_with("ConditionalCheckFailedException"),
        "{failed}"
    );
    let either = with(update, json!({"ConditionalOperator": "OR"}));
    assert_eq!(
        service.ok("UpdateItem", with(at("a"), either)),
        json!({"Attributes": {"id": {"S": "a"}, "n": {"N": "3"}, "t": {"S": "put"}}})
    );
    let key = json!({"AttributeUpdates": {"id": {"Value": {"S": "b"}}}});
    let refused = service.fails("UpdateItem", with(at("a"), key));
    assert!(refused.ends_with("Cannot update attribute id. This attribute is part of the key"));
    let delete = json!({"Expected": {"n": {"Value": {"N": "3"}}}, "ReturnValues": "ALL_OLD"});
    let deleted = service.ok("DeleteItem", with(at("a"), delete));
    assert_eq!(deleted["Attributes"]["t"], json!({"S": "put"}));
}

#[test]
fn an_attribute_is_asked_for_once() {
    let service = orders();
    let twice = with(at("a"), json!({"AttributesToGet": ["n", "m", "n"]}));
    assert_eq!(
        service.fails("GetItem", twice),
        "ValidationException: One or more parameter values were invalid: Duplicate value in \
         attribute name: n"
    );
}
