//! Where deletions leave tombstones, and where nothing.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use aws::access::Owner;
use serde_json::{Value, json};
use store::{Direction, Engine, KeyRange, MemoryEngine, SimulatedDisk, Snapshot, Space};
use types::AccountId;

use super::shuttle::{NAMES, World, announcements, open, ready};
use super::tests::AGREED;
use crate::{Change, Content, decode_state};

const T: &str = "Orders";

fn keyed(id: &str) -> Value {
    json!({"TableName": T, "Key": {"id": {"S": id}}})
}

/// What is stored: items, tombstones and index entries.
fn stored(engine: &MemoryEngine) -> (usize, usize, usize) {
    let scan = |space| {
        let snapshot = engine.snapshot();
        ready(snapshot.scan(space, KeyRange::all(), Direction::Forward, 1000)).unwrap()
    };
    let states = scan(Space::Items).entries;
    let is_item = |value: &[u8]| {
        let state = decode_state(value).unwrap();
        matches!(state.content, Content::Item(_))
    };
    let items = states.iter().filter(|entry| is_item(&entry.value)).count();
    (
        items,
        states.len() - items,
        scan(Space::Indexes).entries.len(),
    )
}

#[test]
fn a_table_that_never_had_a_replica_keeps_no_tombstone() {
    let mut world = World::new(1, None, AGREED);
    world.create_table(0, T);
    for id in ["a", "b", "c", "d"] {
        world.write(0, T, id, Some("red"));
    }
    let engine = world.places[0].engine.clone();
    assert_eq!(stored(&engine), (4, 0, 4));
    let mut conditional = keyed("a");
    conditional["ConditionExpression"] = json!("colour = :colour");
    conditional["ExpressionAttributeValues"] = json!({":colour": {"S": "blue"}});
    world
        .execute(0, "DeleteItem", conditional.clone())
        .unwrap_err();
    assert_eq!(stored(&engine), (4, 0, 4));
    conditional["ExpressionAttributeValues"] = json!({":colour": {"S": "red"}});
    conditional["ReturnValues"] = json!("ALL_OLD");
    let answer = world.execute(0, "DeleteItem", conditional).unwrap();
    assert_eq!(answer["Attributes"]["colour"]["S"], "red");
    let batch = json!({"RequestItems": {T: [
        {"DeleteRequest": {"Key": {"id": {"S": "b"}}}},
        {"PutRequest": {"Item": {"id": {"S": "e"}}}},
    ]}});
    world.execute(0, "BatchWriteItem", batch).unwrap();
    assert_eq!(stored(&engine), (3, 0, 2));
    // It frees space, so that it goes on when nothing else does.
    engine.fail_with_full_disk(true);
    world.execute(0, "DeleteItem", keyed("e")).unwrap();
    let put = json!({"TableName": T, "Item": {"id": {"S": "f"}}});
    assert!(world.execute(0, "PutItem", put).is_err());
    engine.fail_with_full_disk(false);
    world.write(0, T, "a", Some("grey"));
    assert_eq!(stored(&engine), (3, 0, 3));
    // With a replica, tombstones are kept; also when the last one has gone.
    world.replica(0, T, "Create", 1).unwrap();
    world.write(0, T, "a", None);
    world.settle();
    world.check_convergence(T).unwrap();
    assert_eq!(stored(&engine), (2, 1, 2));
    assert_eq!(stored(&world.places[1].engine), (2, 1, 2));
    world.replica(0, T, "Delete", 1).unwrap();
    world.settle();
    world.write(0, T, "c", None);
    assert_eq!(stored(&engine), (1, 2, 1));
}

#[test]
fn an_announced_item_that_is_gone_is_not_shipped() {
    let mut world = World::new(2, None, AGREED);
    world.create_table(0, T);
    world.write(0, T, "a", Some("red"));
    world.write(0, T, "b", Some("red"));
    world.write(0, T, "a", None);
    let announced = announcements(&world.places[0].engine);
    assert!(announced.iter().all(|c| matches!(c, Change::Item { .. })));
    assert_eq!(announced.len(), 2);
    world.replica(0, T, "Create", 1).unwrap();
    world.settle();
    world.check_convergence(T).unwrap();
    assert_eq!(world.values(1, T).into_keys().collect::<Vec<_>>(), ["b"]);
    // The clock goes on as ever: a later write of the item is a later one.
    world.write(1, T, "a", Some("blue"));
    world.write(0, T, "a", Some("green"));
    world.settle();
    world.check_convergence(T).unwrap();
    world.check_ledger(world.group(0, T)).unwrap();
}

fn poll<T>(future: &mut Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

fn finish<T>(engine: &MemoryEngine, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = poll(&mut future) {
            return output;
        }
        engine.sync();
    }
}

#[test]
fn the_first_replica_waits_for_deletions_that_know_of_none() {
    let clock = World::new(3, None, AGREED).clock;
    let engine = MemoryEngine::simulated(SimulatedDisk::new()).unwrap();
    let tables = open(0, &engine, &clock, None);
    let owner = Owner::new(AccountId::LAB, NAMES[0]);
    let body = |value: Value| serde_json::to_vec(&value).unwrap();
    let table = body(json!({"TableName": T, "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}));
    finish(&engine, tables.execute(&owner, "CreateTable", &table)).unwrap();
    for id in ["a", "b"] {
        let put = body(json!({"TableName": T, "Item": {"id": {"S": id}}}));
        finish(&engine, tables.execute(&owner, "PutItem", &put)).unwrap();
    }
    let is_global = || {
        let log = announcements(&engine);
        log.iter()
            .any(|change| matches!(change, Change::Table { .. }))
    };
    // A deletion is on its way to the disk when the replica is asked for.
    let (a, b) = (body(keyed("a")), body(keyed("b")));
    let mut first = pin!(tables.execute(&owner, "DeleteItem", &a));
    assert!(poll(&mut first).is_pending());
    let create = body(json!({"TableName": T,
        "ReplicaUpdates": [{"Create": {"RegionName": "eu-west-1"}}]}));
    let mut create = pin!(tables.execute(&owner, "UpdateTable", &create));
    assert!(poll(&mut create).is_pending());
    // One that begins meanwhile leaves a tombstone.
    let mut second = pin!(tables.execute(&owner, "DeleteItem", &b));
    assert!(poll(&mut second).is_pending());
    engine.sync();
    assert_eq!(stored(&engine), (0, 1, 0));
    // The first is on the disk and hasn't ended: it holds its item's lock.
    assert!(poll(&mut create).is_pending());
    engine.sync();
    assert!(!is_global(), "it comes after that deletion");
    assert!(poll(&mut first).is_ready() && poll(&mut second).is_ready());
    assert!(poll(&mut create).is_pending());
    engine.sync();
    assert!(is_global());
    assert!(poll(&mut create).is_ready());
    assert_eq!(stored(&engine), (0, 1, 0));
}

#[test]
fn a_replica_that_could_not_be_added_leaves_a_table_as_it_was() {
    let mut world = World::new(4, None, AGREED);
    world.create_table(0, T);
    world.write(0, T, "a", Some("red"));
    let engine = world.places[0].engine.clone();
    engine.fail_with_full_disk(true);
    world.replica(0, T, "Create", 1).unwrap_err();
    engine.fail_with_full_disk(false);
    world.write(0, T, "a", None);
    assert_eq!(stored(&engine), (0, 0, 0));
}
