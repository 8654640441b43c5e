//! A name that a Region's own table has is refused to a replica, also when the connection that
//! carries the question breaks: a replica added by mistake would wait there for ever.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::{Arc, Mutex};

use serde_json::json;
use support::{ONE, TWO, call, client, eventually};
use types::Span;
use world::{Fault, REGIONS, TABLE, World};

const SEEDS: u64 = 40;

#[test]
fn a_name_that_is_taken_is_refused_while_connections_break() {
    for seed in 0..SEEDS {
        let answer = add_where_the_name_is_taken(seed);
        assert_eq!(answer, Err("ValidationException".to_owned()), "seed {seed}");
    }
}

/// Asks for the replica, and breaks connections while the question and its answer cross.
fn add_where_the_name_is_taken(seed: u64) -> Result<(), String> {
    let mut world = World::new(seed, None);
    eventually(&mut world, "the links are up", |world| {
        let lags = world.regions().into_iter().flat_map(|region| region.lag());
        lags.into_iter().all(|lag| lag.connected)
    });
    for site in [ONE, TWO] {
        let table = json!({
            "TableName": TABLE, "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        });
        call(&mut world, site, vec![("CreateTable", table)]);
    }
    let answered = Arc::new(Mutex::new(None));
    let (client, slot) = (client(&world, ONE), answered.clone());
    world.spawn(ONE, async move {
        let create = json!({
            "TableName": TABLE, "ReplicaUpdates": [{"Create": {"RegionName": REGIONS[1]}}],
        });
        let answer = client.call("UpdateTable", create).await;
        *slot.lock().unwrap() = Some(answer.map(|_| ()));
    });
    // The question is under way, and a connection of each class is broken.
    world.run(world.now() + Span::milliseconds(1 + seed));
    for _ in 0..3 {
        world.inject(Fault::Break(ONE, TWO));
    }
    eventually(&mut world, "the request is answered", |_| {
        answered.lock().unwrap().is_some()
    });
    answered.lock().unwrap().take().unwrap()
}
