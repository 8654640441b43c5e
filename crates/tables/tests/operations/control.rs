//! Operations on tables: made, described, listed, changed, tagged, deleted; and the shape of the
//! service as a whole.

use serde_json::{Value, json};
use tables::Tables;

use crate::support::{plain, service, service_on, sorted, with};

#[test]
fn a_created_table_is_described() {
    let service = service();
    let created = service.ok("CreateTable", sorted("Orders"));
    assert_eq!(created["TableDescription"]["TableStatus"], "CREATING");
    let described = service.ok("DescribeTable", json!({"TableName": "Orders"}));
    let table = &described["Table"];
    assert_eq!(table["TableStatus"], "ACTIVE");
    assert_eq!(table["TableName"], "Orders");
    let arn = "arn:aws:dynamodb:us-east-1:111122223333:table/Orders";
    assert_eq!(table["TableArn"], arn);
    assert_eq!(
        table["BillingModeSummary"]["BillingMode"],
        "PAY_PER_REQUEST"
    );
    assert_eq!(table["KeySchema"], sorted("Orders")["KeySchema"]);
    assert_eq!(
        table["AttributeDefinitions"],
        sorted("Orders")["AttributeDefinitions"]
    );
    assert_eq!(table["TableId"].as_str().unwrap().len(), 36);
    assert_eq!(table["DeletionProtectionEnabled"], false);
    for absent in ["Replicas", "GlobalTableVersion", "StreamSpecification"] {
        assert_eq!(table.get(absent), None, "{absent}");
    }
    let by_arn = service.ok("DescribeTable", json!({"TableName": arn}));
    assert_eq!(by_arn, described);
}

#[test]
fn create_table_is_judged_as_the_service_does() {
    let service = service();
    service.plain("Taken");
    let id = json!({"AttributeName": "id", "AttributeType": "S"});
    let other = json!({"AttributeName": "b", "AttributeType": "N"});
    let hash = json!({"AttributeName": "id", "KeyType": "HASH"});
    let index = |keys: Value, projection: Value| json!([{"IndexName": "by-b", "KeySchema": keys, "Projection": projection}]);
    let by_b = json!([{"AttributeName": "b", "KeyType": "HASH"}]);
    let all = json!({"ProjectionType": "ALL"});
    for (change, message) in [
        (
            json!({"TableName": "ab"}),
            "1 validation error detected: Value 'ab' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3",
        ),
        (
            json!({"TableName": "a;b"}),
            "1 validation error detected: Value 'a;b' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        ),
        (
            json!({"TableName": ""}),
            "2 validation errors detected: Value '' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value '' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3",
        ),
        (
            json!({"TableName": null}),
            "1 validation error detected: Value null at 'tableName' failed to satisfy constraint: Member must not be null",
        ),
        (
            json!({"KeySchema": null}),
            "1 validation error detected: Value null at 'keySchema' failed to satisfy constraint: Member must not be null",
        ),
        (
            json!({"BillingMode": "FREE"}),
            "1 validation error detected: Value 'FREE' at 'billingMode' failed to satisfy constraint: Member must satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]",
        ),
        (
            json!({"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "SS"}]}),
            "1 validation error detected: Value 'SS' at 'attributeDefinitions.1.member.attributeType' failed to satisfy constraint: Member must satisfy enum value set: [B, N, S]",
        ),
        (
            json!({"BillingMode": null}),
            "One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        ),
        (
            json!({"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}),
            "One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        ),
        (
            json!({"BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 1}}),
            "1 validation error detected: Value '0' at 'provisionedThroughput.readCapacityUnits' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            json!({"BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": 1_000_000_000_001_u64, "WriteCapacityUnits": 1}}),
            "Given value 1000000000001 for ReadCapacityUnits is out of bounds",
        ),
        (
            json!({"KeySchema": [{"AttributeName": "id", "KeyType": "RANGE"}]}),
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
        ),
        (
            json!({"KeySchema": [hash, {"AttributeName": "b", "KeyType": "HASH"}]}),
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
        ),
        (
            json!({"KeySchema": [hash, {"AttributeName": "id", "KeyType": "RANGE"}]}),
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ),
        (
            json!({"AttributeDefinitions": [other]}),
            "One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [id], AttributeDefinitions: [b]",
        ),
        (
            json!({"AttributeDefinitions": [id, other]}),
            "One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions",
        ),
        (
            json!({"AttributeDefinitions": [id, id]}),
            "One or more parameter values were invalid: Duplicate AttributeName in AttributeDefinitions: id",
        ),
        (
            json!({"AttributeDefinitions": [id, other, {"AttributeName": "c", "AttributeType": "B"}], "GlobalSecondaryIndexes": index(by_b.clone(), all.clone())}),
            "One or more parameter values were invalid: Some AttributeDefinitions are not used. AttributeDefinitions: [id, b, c], keys used: [id, b]",
        ),
        (
            json!({"GlobalSecondaryIndexes": index(by_b.clone(), all.clone())}),
            "One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [b], AttributeDefinitions: [id]",
        ),
        (
            json!({"GlobalSecondaryIndexes": []}),
            "One or more parameter values were invalid: List of GlobalSecondaryIndexes is empty",
        ),
        (
            json!({"LocalSecondaryIndexes": []}),
            "One or more parameter values were invalid: List of LocalSecondaryIndexes is empty",
        ),
        (
            json!({"LocalSecondaryIndexes": index(by_b.clone(), all.clone())}),
            "One or more parameter values were invalid: Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
        ),
        (
            json!({"AttributeDefinitions": [id, other], "GlobalSecondaryIndexes": index(by_b.clone(), json!({}))}),
            "One or more parameter values were invalid: Unknown ProjectionType: null",
        ),
        (
            json!({"AttributeDefinitions": [id, other], "GlobalSecondaryIndexes": index(by_b.clone(), json!({"ProjectionType": "ALL", "NonKeyAttributes": ["x"]}))}),
            "One or more parameter values were invalid: ProjectionType is ALL, but NonKeyAttributes is specified",
        ),
        (
            json!({"AttributeDefinitions": [id, other], "GlobalSecondaryIndexes": index(by_b.clone(), json!({"ProjectionType": "INCLUDE"}))}),
            "One or more parameter values were invalid: ProjectionType is INCLUDE, but NonKeyAttributes is not specified",
        ),
        (
            json!({"AttributeDefinitions": [id, other], "GlobalSecondaryIndexes": [index(by_b.clone(), all.clone())[0], index(by_b.clone(), all.clone())[0]]}),
            "One or more parameter values were invalid: Duplicate index name: by-b",
        ),
        (
            json!({"StreamSpecification": {"StreamEnabled": true}}),
            "One or more parameter values were invalid: Stream was enabled, but the stream view type was not specified",
        ),
        (
            json!({"SSESpecification": {"Enabled": true}}),
            "SSESpecification with Enabled is not built yet in Causeway",
        ),
        (
            json!({"Tags": [{"Key": "", "Value": "v"}]}),
            "1 validation error detected: Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
    ] {
        let request = with(plain("Orders"), change);
        let expected = format!("ValidationException: {message}");
        assert_eq!(service.fails("CreateTable", request), expected);
    }
    assert_eq!(
        service.fails("CreateTable", plain("Taken")),
        "ResourceInUseException: Table already exists: Taken"
    );
    let five = json!([{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "c", "KeyType": "RANGE"}]);
    let local = with(
        sorted("Orders"),
        json!({
            "AttributeDefinitions": [id, {"AttributeName": "seq", "AttributeType": "N"}, {"AttributeName": "c", "AttributeType": "S"}],
            "LocalSecondaryIndexes": index(five, all.clone()),
        }),
    );
    service.ok("CreateTable", local.clone());
    let elsewhere = json!([{"AttributeName": "seq", "KeyType": "HASH"}, {"AttributeName": "c", "KeyType": "RANGE"}]);
    let wrong = with(
        local,
        json!({"TableName": "Wrong", "LocalSecondaryIndexes": index(elsewhere, all)}),
    );
    assert_eq!(
        service.fails("CreateTable", wrong),
        "ValidationException: One or more parameter values were invalid: Index KeySchema does \
         not have the same leading hash key as table KeySchema for index: by-b. index hash key: \
         seq, table hash key: id"
    );
}

#[test]
fn tables_are_listed_in_pages() {
    let service = service();
    for number in 0..7 {
        service.plain(&format!("table-{number}"));
    }
    let mut names = Vec::new();
    let mut request = json!({"Limit": 3});
    loop {
        let page = service.ok("ListTables", request);
        names.extend(page["TableNames"].as_array().unwrap().clone());
        let Some(last) = page.get("LastEvaluatedTableName") else {
            break;
        };
        request = json!({"Limit": 3, "ExclusiveStartTableName": last});
    }
    let expected: Vec<Value> = (0..7).map(|n| json!(format!("table-{n}"))).collect();
    assert_eq!(names, expected);
    assert_eq!(
        service.fails("ListTables", json!({"Limit": 101})),
        "ValidationException: 1 validation error detected: Value '101' at 'limit' failed to \
         satisfy constraint: Member must have value less than or equal to 100"
    );
}

#[test]
fn an_absent_table_is_named() {
    let service = service();
    let control =
        "ResourceNotFoundException: Requested resource not found: Table: Nowhere not found";
    for operation in ["DescribeTable", "DeleteTable", "DescribeTimeToLive"] {
        let request = json!({"TableName": "Nowhere"});
        assert_eq!(service.fails(operation, request), control, "{operation}");
    }
    let update = json!({"TableName": "Nowhere", "BillingMode": "PAY_PER_REQUEST"});
    assert_eq!(service.fails("UpdateTable", update), control);
    let data = "ResourceNotFoundException: Requested resource not found";
    for (operation, request) in [
        (
            "PutItem",
            json!({"TableName": "Nowhere", "Item": {"id": {"S": "a"}}}),
        ),
        (
            "GetItem",
            json!({"TableName": "Nowhere", "Key": {"id": {"S": "a"}}}),
        ),
        (
            "DeleteItem",
            json!({"TableName": "Nowhere", "Key": {"id": {"S": "a"}}}),
        ),
        (
            "UpdateItem",
            json!({"TableName": "Nowhere", "Key": {"id": {"S": "a"}}}),
        ),
        ("Scan", json!({"TableName": "Nowhere"})),
        (
            "GetItem",
            json!({"TableName": "arn:aws:dynamodb:eu-west-1:111122223333:table/Nowhere", "Key": {"id": {"S": "a"}}}),
        ),
        (
            "BatchGetItem",
            json!({"RequestItems": {"Nowhere": {"Keys": [{"id": {"S": "a"}}]}}}),
        ),
        (
            "BatchWriteItem",
            json!({"RequestItems": {"Nowhere": [{"DeleteRequest": {"Key": {"id": {"S": "a"}}}}]}}),
        ),
    ] {
        assert_eq!(service.fails(operation, request), data, "{operation}");
    }
}

#[test]
fn a_name_used_again_inherits_nothing() {
    let service = service();
    let indexed = with(
        sorted("Orders"),
        json!({
            "GlobalSecondaryIndexes": [{
                "IndexName": "by-seq",
                "KeySchema": [{"AttributeName": "seq", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }],
            "Tags": [{"Key": "team", "Value": "a"}],
        }),
    );
    service.ok("CreateTable", indexed.clone());
    for at in 0..200 {
        let item = json!({"id": {"S": "a"}, "seq": {"N": at.to_string()}});
        service.ok("PutItem", json!({"TableName": "Orders", "Item": item}));
    }
    let before = service.ok("DescribeTable", json!({"TableName": "Orders"}));
    let deleted = service.ok("DeleteTable", json!({"TableName": "Orders"}));
    assert_eq!(deleted["TableDescription"]["TableStatus"], "DELETING");
    service.ok("CreateTable", with(indexed, json!({"Tags": null})));
    let after = service.ok("DescribeTable", json!({"TableName": "Orders"}));
    assert_ne!(before["Table"]["TableId"], after["Table"]["TableId"]);
    let arn = after["Table"]["TableArn"].clone();
    let tags = service.ok("ListTagsOfResource", json!({"ResourceArn": arn}));
    assert_eq!(tags, json!({"Tags": []}));
    let empty = |service: &crate::support::Service| {
        let scanned = service.ok("Scan", json!({"TableName": "Orders"}));
        assert_eq!(scanned["ScannedCount"], 0);
        let request = json!({"TableName": "Orders", "IndexName": "by-seq"});
        assert_eq!(service.ok("Scan", request)["ScannedCount"], 0);
    };
    empty(&service);
    let item = json!({"id": {"S": "new"}, "seq": {"N": "1"}});
    service.ok("PutItem", json!({"TableName": "Orders", "Item": item}));
    service.purge();
    let scanned = service.ok("Scan", json!({"TableName": "Orders"}));
    assert_eq!(scanned["Items"], json!([item]));
    // What was purged is gone from the database too, and the rest is found again.
    let engine = service.engine.clone();
    let again = service_on(engine);
    let scanned = again.ok(
        "Scan",
        json!({"TableName": "Orders", "IndexName": "by-seq"}),
    );
    assert_eq!(scanned["Items"], json!([item]));
    assert_eq!(again.tables.catalogue().all().len(), 1);
}

#[test]
fn a_restart_goes_on_with_numbers_and_versions() {
    let service = service();
    service.plain("first");
    let put = json!({"TableName": "first", "Item": {"id": {"S": "a"}}});
    service.ok("PutItem", put.clone());
    service.ok("DeleteTable", json!({"TableName": "first"}));
    service.purge();
    let again = service_on(service.engine.clone());
    again.plain("first");
    let table = again
        .tables
        .catalogue()
        .named(types::AccountId::LAB, "first")
        .unwrap();
    assert_eq!(table.id.0, 2);
    again.ok("PutItem", put);
}

#[test]
fn deletion_protection_holds_until_it_is_lifted() {
    let service = service();
    let request = with(plain("Orders"), json!({"DeletionProtectionEnabled": true}));
    service.ok("CreateTable", request);
    assert_eq!(
        service.fails("DeleteTable", json!({"TableName": "Orders"})),
        "ValidationException: Resource cannot be deleted as it is currently protected against \
         deletion. Disable deletion protection first. Resource: \
         arn:aws:dynamodb:us-east-1:111122223333:table/Orders"
    );
    let lift = json!({"TableName": "Orders", "DeletionProtectionEnabled": false});
    let lifted = service.ok("UpdateTable", lift);
    assert_eq!(lifted["TableDescription"]["TableStatus"], "UPDATING");
    service.ok("DeleteTable", json!({"TableName": "Orders"}));
}

#[test]
fn settings_are_updated_and_described() {
    let service = service();
    service.plain("Orders");
    let update = |change: Value| with(json!({"TableName": "Orders"}), change);
    let units = json!({"ReadCapacityUnits": 5, "WriteCapacityUnits": 6});
    for (change, message) in [
        (
            json!({}),
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, SSESpecification, ReplicaUpdates, DeletionProtectionEnabled or TableClass is required",
        ),
        (
            json!({"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}),
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, SSESpecification, ReplicaUpdates, DeletionProtectionEnabled or TableClass is required",
        ),
        (
            json!({"BillingMode": "PROVISIONED"}),
            "One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        ),
        (
            json!({"ProvisionedThroughput": units}),
            "One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        ),
        (
            json!({"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "abc"}}]}),
            "GlobalSecondaryIndexUpdates is not built yet in Causeway",
        ),
        (
            json!({"StreamSpecification": {"StreamEnabled": false}}),
            "Table has no stream to disable: TableName: Orders",
        ),
        (
            json!({"ReplicaUpdates": []}),
            "1 validation error detected: Value '[]' at 'replicaUpdates' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
    ] {
        let expected = format!("ValidationException: {message}");
        assert_eq!(service.fails("UpdateTable", update(change)), expected);
    }
    service.ok(
        "UpdateTable",
        update(json!({
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": units,
            "TableClass": "STANDARD_INFREQUENT_ACCESS",
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "KEYS_ONLY"},
        })),
    );
    let table = service.ok("DescribeTable", json!({"TableName": "Orders"}))["Table"].clone();
    assert_eq!(table["TableStatus"], "ACTIVE");
    assert_eq!(table["ProvisionedThroughput"]["WriteCapacityUnits"], 6);
    assert_eq!(table.get("BillingModeSummary"), None);
    assert_eq!(
        table["TableClassSummary"],
        json!({"TableClass": "STANDARD_INFREQUENT_ACCESS"})
    );
    let label = table["LatestStreamLabel"].as_str().unwrap();
    let stream = table["LatestStreamArn"].as_str().unwrap();
    assert!(stream.ends_with(&format!("table/Orders/stream/{label}")));
    assert!(
        service
            .fails(
                "UpdateTable",
                update(json!({"ProvisionedThroughput": units}))
            )
            .starts_with("ValidationException: The provisioned throughput for the table will not")
    );
}

#[test]
fn items_are_counted_in_the_background() {
    let service = service();
    service.ok(
        "CreateTable",
        with(
            sorted("Orders"),
            json!({"GlobalSecondaryIndexes": [{
                "IndexName": "by-seq",
                "KeySchema": [{"AttributeName": "seq", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }]}),
        ),
    );
    service.plain("Other");
    for number in 0..150 {
        let item = json!({"id": {"S": "a"}, "seq": {"N": number.to_string()}, "x": {"S": "12"}});
        service.ok("PutItem", json!({"TableName": "Orders", "Item": item}));
    }
    for number in 0..50 {
        let key = json!({"id": {"S": "a"}, "seq": {"N": number.to_string()}});
        service.ok("DeleteItem", json!({"TableName": "Orders", "Key": key}));
    }
    service.ok(
        "PutItem",
        json!({"TableName": "Other", "Item": {"id": {"S": "a"}}}),
    );
    let counts = || {
        let table = service.ok("DescribeTable", json!({"TableName": "Orders"}))["Table"].clone();
        let index = table["GlobalSecondaryIndexes"][0].clone();
        (
            table["ItemCount"].clone(),
            table["TableSizeBytes"].as_u64().unwrap(),
            index,
        )
    };
    assert_eq!(counts().0, 0, "not counted yet");
    for round in 0..2 {
        service.measure();
        let (items, bytes, index) = counts();
        assert_eq!(items, 100, "round {round}");
        assert!(bytes > 100 * 10, "{bytes}");
        assert_eq!(index["ItemCount"], 100);
        assert_eq!(index["IndexSizeBytes"].as_u64().unwrap(), bytes - 100 * 3);
        let other = service.ok("DescribeTable", json!({"TableName": "Other"}));
        assert_eq!(other["Table"]["ItemCount"], 1);
    }
}

#[test]
fn tags_are_kept() {
    let service = service();
    service.plain("Orders");
    let arn = "arn:aws:dynamodb:us-east-1:111122223333:table/Orders";
    let tags: Vec<Value> = (0..12)
        .map(|n| json!({"Key": format!("k{n:02}"), "Value": "v"}))
        .collect();
    let added = service.ok("TagResource", json!({"ResourceArn": arn, "Tags": tags}));
    assert_eq!(added, Value::Null);
    let removed = json!({"ResourceArn": arn, "TagKeys": ["k00"]});
    service.ok("UntagResource", removed);
    let first = service.ok("ListTagsOfResource", json!({"ResourceArn": arn}));
    assert_eq!(first["Tags"].as_array().unwrap().len(), 10);
    let rest = json!({"ResourceArn": arn, "NextToken": first["NextToken"]});
    let rest = service.ok("ListTagsOfResource", rest);
    assert_eq!(rest, json!({"Tags": [{"Key": "k11", "Value": "v"}]}));
    let absent = "arn:aws:dynamodb:us-east-1:111122223333:table/Nowhere";
    assert_eq!(
        service.fails("ListTagsOfResource", json!({"ResourceArn": absent})),
        format!(
            "ResourceNotFoundException: Requested resource not found: ResourcArn: {absent} not found"
        )
    );
}

#[test]
fn small_descriptions_are_honest() {
    let service = service();
    service.plain("Orders");
    let name = json!({"TableName": "Orders"});
    assert_eq!(
        service.ok("DescribeTimeToLive", name.clone()),
        json!({"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}})
    );
    let backups = service.ok("DescribeContinuousBackups", name);
    let backups = &backups["ContinuousBackupsDescription"];
    assert_eq!(
        backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"],
        "DISABLED"
    );
    assert_eq!(
        service.fails("DescribeContinuousBackups", json!({"TableName": "Nowhere"})),
        "TableNotFoundException: Table not found: Nowhere"
    );
    let recovery = |enabled: bool| {
        json!({
            "TableName": "Orders",
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": enabled},
        })
    };
    let off = service.ok("UpdateContinuousBackups", recovery(false));
    assert_eq!(&off["ContinuousBackupsDescription"], backups);
    assert_eq!(
        service.fails("UpdateContinuousBackups", recovery(true)),
        "ValidationException: PointInTimeRecoverySpecification with PointInTimeRecoveryEnabled is \
         not built yet in Causeway"
    );
    assert_eq!(
        service.fails("UpdateContinuousBackups", json!({"TableName": "Orders"})),
        "ValidationException: 1 validation error detected: Value null at \
         'pointInTimeRecoverySpecification' failed to satisfy constraint: Member must not be null"
    );
    let endpoints = service.ok("DescribeEndpoints", json!({}));
    assert_eq!(endpoints["Endpoints"][0]["CachePeriodInMinutes"], 1440);
}

#[test]
fn every_operation_of_the_model_is_built_or_says_that_it_is_not() {
    let service = service();
    let all: Vec<(&str, bool)> = Tables::<store::MemoryEngine>::operations().collect();
    assert_eq!(all.len(), 57);
    assert!(all.is_sorted());
    for (name, built) in all {
        let answer = service.call(name, json!({}));
        let unbuilt = match &answer {
            Err(error) if error.code == "NotImplemented" => {
                assert_eq!(*error, aws::json::not_built(name));
                true
            }
            _ => false,
        };
        assert_eq!(built, !unbuilt, "{name}");
    }
    assert_eq!(
        service.fails("MakeCoffee", json!({})),
        "UnknownOperationException: The operation MakeCoffee is not one of DynamoDB's"
    );
}

#[test]
fn bodies_that_are_not_requests_are_refused() {
    let service = service();
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{\"TableName\": 1}",
        "{\"TableName\":\"a\"",
    ] {
        let error = service.call_text("DescribeTable", body).unwrap_err();
        assert_eq!(error.code, "SerializationException", "{body}");
        assert_eq!(error.status, 400);
    }
}
