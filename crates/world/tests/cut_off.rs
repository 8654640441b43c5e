//! Invariant 4: a Region needs nobody to start, serve and take writes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use link::Cut;
use support::{REGION_SITES, TWO, WRITES, assert_equal, eventually, is_settled, make_table, write};
use world::{Fault, World};

#[test]
fn invariant_4_a_region_cut_off_from_everyone_starts_serves_and_takes_writes() {
    let mut world = World::new(4, None);
    make_table(&mut world);
    for other in world.sites().into_iter().filter(|site| *site != TWO) {
        world.inject(Fault::Cut(TWO, other, Cut::Blackhole));
        world.inject(Fault::Cut(other, TWO, Cut::Reset));
    }
    world.inject(Fault::Crash(TWO));
    world.inject(Fault::Restart(TWO));
    // Every write is acknowledged, or `write` fails; tables too can be made.
    write(&mut world, TWO, "alone");
    let table = serde_json::json!({
        "TableName": "Alone", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    });
    support::call(&mut world, TWO, vec![("CreateTable", table)]);
    for site in REGION_SITES {
        let councils = support::region(&world, site).council().status();
        assert_eq!(councils.majority, site != TWO, "{site:?}");
    }
    world.heal();
    eventually(&mut world, "everything has arrived", is_settled);
    assert_equal(&world, 1 + (WRITES - WRITES / 10) as u64);
}
