//! A table gets its first replica while its items come and go: before it, a deletion leaves
//! nothing, and from it on a tombstone, and the replica must not keep what was deleted in between.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::json;
use support::{ONE, assert_equal, call, client, eventually, in_service, is_settled, replicas};
use types::Span;
use world::{REGIONS, TABLE, World};

const SEEDS: u64 = 20;

/// Who writes at once, each of a few items.
const WRITERS: u64 = 6;

#[test]
fn a_replica_that_is_added_while_items_are_deleted_holds_the_same() {
    let tombstones: u64 = (0..SEEDS).map(add_while_items_come_and_go).sum();
    assert!(tombstones > SEEDS, "items were deleted afterwards too");
}

/// Says how many tombstones there are in the end.
fn add_while_items_come_and_go(seed: u64) -> u64 {
    let mut world = World::new(seed, None);
    eventually(&mut world, "the links are up", |world| {
        let lags = world.regions().into_iter().flat_map(|region| region.lag());
        lags.into_iter().all(|lag| lag.connected)
    });
    let table = json!({
        "TableName": TABLE, "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    });
    call(&mut world, ONE, vec![("CreateTable", table)]);
    let end = world.now() + Span::seconds(4);
    for writer in 0..WRITERS {
        let client = client(&world, ONE);
        world.spawn(ONE, async move {
            for count in 0.. {
                if client.environment.now().monotonic >= end {
                    return;
                }
                let id = json!({"id": {"S": format!("{writer}-{}", count % 3)}});
                let (operation, name) = match (count / 3 + writer) % 2 {
                    0 => ("PutItem", "Item"),
                    _ => ("DeleteItem", "Key"),
                };
                let request = json!({"TableName": TABLE, name: id});
                client.call(operation, request).await.unwrap();
            }
        });
    }
    world.run(world.now() + Span::milliseconds(500 + 7 * seed));
    for (count, region) in REGIONS[1..].iter().enumerate() {
        let create = json!({
            "TableName": TABLE, "ReplicaUpdates": [{"Create": {"RegionName": region}}],
        });
        call(&mut world, ONE, vec![("UpdateTable", create)]);
        eventually(&mut world, "the replica is in service", |world| {
            in_service(world) == count + 2
        });
    }
    world.run(end + Span::seconds(1));
    eventually(&mut world, "everything has arrived", is_settled);
    let held = &replicas(&world)[0].replicas[0];
    assert_equal(&world, held.items);
    held.tombstones
}
