//! Replicas of tables of several accounts: each account's are its own in every Region.

use aws::access::Owner;
use serde_json::{Value, json};
use types::AccountId;

use super::shuttle::{NAMES, SITES, World, ready, site};
use super::tests::AGREED;
use crate::{ConflictFilter, TableName};

const T: &str = "Orders";

fn other() -> AccountId {
    "444455556666".parse().unwrap()
}

impl World {
    /// What that account's owner asks for.
    fn owner_calls(
        &self,
        account: AccountId,
        at: usize,
        operation: &str,
        body: Value,
    ) -> Result<Value, String> {
        let owner = Owner::new(account, NAMES[at]);
        let body = serde_json::to_vec(&body).unwrap();
        ready(self.places[at].tables.execute(&owner, operation, &body))
            .map(|answer| serde_json::from_slice(&answer).unwrap_or_default())
            .map_err(|error| format!("{}: {}", error.code, error.message))
    }

    fn put(&self, account: AccountId, at: usize, id: &str, colour: &str) {
        let item = json!({"id": {"S": id}, "colour": {"S": colour}});
        let put = json!({"TableName": T, "Item": item});
        self.owner_calls(account, at, "PutItem", put).unwrap();
    }

    fn colour(&self, account: AccountId, at: usize, id: &str) -> Option<String> {
        let key = json!({"TableName": T, "Key": {"id": {"S": id}}});
        let found = self.owner_calls(account, at, "GetItem", key).unwrap();
        found["Item"]["colour"]["S"].as_str().map(str::to_owned)
    }
}

/// The other account's table in the first Region with a replica in the second, where the first
/// account has a table of that name already.
fn two_owners() -> World {
    let mut world = World::new(40, None, AGREED);
    world.create_table(1, T);
    let table = json!({
        "TableName": T,
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    });
    world.owner_calls(other(), 0, "CreateTable", table).unwrap();
    let create = json!({"TableName": T, "ReplicaUpdates": [{"Create": {"RegionName": NAMES[1]}}]});
    world
        .owner_calls(other(), 0, "UpdateTable", create)
        .unwrap();
    world.settle();
    world
}

#[test]
fn a_replica_belongs_to_the_account_of_its_table() {
    let mut world = two_owners();
    let described = json!({"TableName": T});
    let table = world.owner_calls(other(), 1, "DescribeTable", described.clone());
    let arn = format!("arn:aws:dynamodb:{}:{}:table/{T}", NAMES[1], other());
    assert_eq!(table.unwrap()["Table"]["TableArn"], json!(arn));
    let own = world.owner_calls(AccountId::LAB, 1, "DescribeTable", described);
    assert!(own.unwrap()["Table"].get("Replicas").is_none());
    world.put(other(), 0, "a", "red");
    world.settle();
    assert_eq!(world.colour(other(), 1, "a").as_deref(), Some("red"));
    assert_eq!(world.colour(AccountId::LAB, 1, "a"), None);
    // After a restart as well.
    world.restart(1);
    world.put(other(), 1, "a", "blue");
    world.settle();
    assert_eq!(world.colour(other(), 0, "a").as_deref(), Some("blue"));
    let probed = world.places[1].tables.probe_replica("444455556666:Orders");
    assert!(probed.unwrap().group.is_some());
    let probed = world.places[1].tables.probe_replica(T);
    assert!(probed.unwrap().group.is_none());
}

#[test]
fn a_conflict_says_whose_table_it_is_of_and_is_restored_there() {
    let mut world = two_owners();
    world.put(other(), 0, "a", "red");
    world.put(other(), 1, "a", "blue");
    world.settle();
    let found = (0..SITES).find_map(|at| {
        let filter = |table: &str| ConflictFilter {
            table: Some(table.to_owned()),
            ..ConflictFilter::default()
        };
        let tables = &world.places[at].tables;
        let rows = |table: &str| {
            let page = ready(tables.conflicts(&filter(table), None, 10)).unwrap();
            page.conflicts
        };
        assert!(rows(T).is_empty(), "the first account's had no conflict");
        Some((at, rows("444455556666:Orders").pop()?))
    });
    let (at, row) = found.expect("one of them was beaten");
    assert_eq!(row.table, TableName::new(other(), T));
    let tables = &world.places[at].tables;
    let shown = row.to_json(&tables.config.deployment);
    assert_eq!(shown["table"], "444455556666:Orders");
    let restored = ready(tables.restore_conflict(row.id)).unwrap();
    assert_eq!(restored.table, "444455556666:Orders");
    assert_eq!(restored.version.map(|version| version.site), Some(site(at)));
    assert_eq!(world.colour(AccountId::LAB, 1, "a"), None);
}
