//! A world with one global table in all Regions, and what tests do to it and look at.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use region::{Region, Replicas};
use serde_json::{Value, json};
use types::{SiteId, Span};
use world::{Client, REGIONS, SlowEngine, TABLE, World};

pub const ONE: SiteId = SiteId(1);
pub const TWO: SiteId = SiteId(2);
pub const THREE: SiteId = SiteId(3);
pub const REGION_SITES: [SiteId; 3] = [ONE, TWO, THREE];

/// Writes of each Region in each period: several times what the log keeps at least.
pub const WRITES: usize = 200;

/// Virtual time in which anything must have happened.
pub const PATIENCE: Span = Span::seconds(120);

pub fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

pub fn region(world: &World, site: SiteId) -> Arc<Region<SlowEngine>> {
    let regions = world.regions();
    let found = regions.into_iter().find(|r| world.site_of(r) == site);
    found.expect("the Region is up")
}

pub fn client(world: &World, site: SiteId) -> Client {
    Client {
        region: region(world, site),
        environment: world.environment(site),
        key: world.key().clone(),
    }
}

/// Runs until the condition holds.
pub fn eventually(world: &mut World, what: &str, condition: impl Fn(&World) -> bool) {
    let end = world.now() + PATIENCE;
    while !condition(world) {
        let lags: Vec<_> = world.regions().iter().map(|r| r.lag()).collect();
        assert!(world.now() < end, "not in time: {what}; {lags:#?}");
        world.run(world.now() + Span::milliseconds(250));
    }
}

/// Calls one operation after the other at a Region.
pub fn call(world: &mut World, site: SiteId, calls: Vec<(&'static str, Value)>) {
    let client = client(world, site);
    let done = Arc::new(Mutex::new(None));
    let outcome = done.clone();
    world.spawn(site, async move {
        for (operation, body) in calls {
            let answer = client.call(operation, body).await;
            if let Err(code) = answer {
                *outcome.lock().unwrap() = Some(Err(format!("{operation}: {code}")));
                return;
            }
        }
        *outcome.lock().unwrap() = Some(Ok(()));
    });
    let finished = done.clone();
    eventually(world, "the calls are answered", |_| {
        finished.lock().unwrap().is_some()
    });
    done.lock().unwrap().take().unwrap().unwrap();
}

/// Puts and deletes in one Region, of items of its own and of one that all write.
pub fn write(world: &mut World, site: SiteId, period: &str) {
    let put = |id: String| json!({"TableName": TABLE, "Item": {"id": {"S": id}, "by": {"N": site.0.to_string()}}});
    let mut calls = vec![("PutItem", put("shared".to_owned()))];
    for number in 0..WRITES {
        let id = format!("{period}-{}-{number}", site.0);
        calls.push(("PutItem", put(id.clone())));
        if number % 10 == 0 {
            let key = json!({"TableName": TABLE, "Key": {"id": {"S": id}}});
            calls.push(("DeleteItem", key));
        }
    }
    call(world, site, calls);
}

pub fn make_table(world: &mut World) {
    let table = json!({
        "TableName": TABLE, "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    });
    eventually(world, "the links are up", |world| {
        let regions = world.regions();
        regions
            .iter()
            .flat_map(|region| region.lag())
            .all(|lag| lag.connected)
    });
    call(world, ONE, vec![("CreateTable", table)]);
    for (count, name) in REGIONS[1..].iter().enumerate() {
        let update = json!({
            "TableName": TABLE, "ReplicaUpdates": [{"Create": {"RegionName": name}}],
        });
        call(world, ONE, vec![("UpdateTable", update)]);
        eventually(world, "the replica is in service", |world| {
            in_service(world) == count + 2
        });
    }
}

pub fn replicas(world: &World) -> Vec<Replicas> {
    let regions = world.regions();
    regions.iter().map(|r| now(r.replicas()).unwrap()).collect()
}

/// Regions that have the table in service, as each of them says of all.
pub fn in_service(world: &World) -> usize {
    let counts = replicas(world).into_iter().map(|region| {
        let replica = region.replicas.first().filter(|replica| replica.active);
        replica.map_or(0, |replica| 1 + replica.others.len())
    });
    let counts: Vec<usize> = counts.filter(|count| *count > 0).collect();
    let greatest = counts.iter().max().copied().unwrap_or(0);
    if counts.iter().filter(|count| **count == greatest).count() == greatest {
        greatest
    } else {
        0
    }
}

pub fn is_settled(world: &World) -> bool {
    let regions = world.regions();
    let lags = regions.iter().flat_map(|region| region.lag());
    regions.len() == 3 && lags.into_iter().all(|lag| lag.backlog == Some(0))
}

pub fn assert_equal(world: &World, items: u64) {
    let held: Vec<_> = replicas(world)
        .into_iter()
        .map(|region| region.replicas.into_iter().next().unwrap())
        .map(|replica| (replica.items, replica.tombstones, replica.digest))
        .collect();
    assert_eq!(held[0].0, items);
    assert!(held.iter().all(|one| *one == held[0]), "{held:#?}");
}
