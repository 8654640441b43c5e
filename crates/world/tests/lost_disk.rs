//! A Region loses its disk when the others no longer have in their logs what it lost: it gets its
//! tables again, and its own earlier writes with them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use council::CouncilStatus;
use support::{
    ONE, REGION_SITES, THREE, TWO, WRITES, assert_equal, eventually, in_service, is_settled,
    make_table, region, write,
};
use types::Span;
use world::{Fault, World};

#[test]
fn a_region_that_lost_its_disk_gets_its_tables_back_from_trimmed_logs() {
    for seed in 1..=3 {
        lose_a_disk(seed);
    }
}

fn lose_a_disk(seed: u64) {
    let mut world = World::new(seed, None);
    make_table(&mut world);
    for site in REGION_SITES {
        write(&mut world, site, "before");
    }
    eventually(&mut world, "everything has arrived", is_settled);
    eventually(&mut world, "the logs are trimmed", |world| {
        let regions = world.regions();
        regions
            .iter()
            .all(|region| region.status().log_length < WRITES as u64)
    });
    let per_region = (WRITES - WRITES / 10) as u64;
    assert_equal(&world, 1 + 3 * per_region);

    world.inject(Fault::Crash(TWO));
    world.lose_disk(TWO);
    for site in [ONE, THREE] {
        write(&mut world, site, "meanwhile");
    }
    world.inject(Fault::Restart(TWO));
    eventually(&mut world, "the table is in service again", |world| {
        in_service(world) == 3
    });
    write(&mut world, TWO, "after");
    eventually(&mut world, "everything has arrived", is_settled);
    assert_equal(&world, 1 + 6 * per_region);
    // Its place in the council it gets from the next leader only: this one still believes that it
    // has the log.
    let leader = region(&world, ONE).council().status().leader.unwrap();
    world.inject(Fault::Crash(leader));
    world.run(world.now() + Span::seconds(30));
    world.inject(Fault::Restart(leader));
    eventually(&mut world, "the council is whole", |world| {
        let councils = REGION_SITES.map(|site| region(world, site).council().status());
        let same = |c: &CouncilStatus| (c.leader, c.revision, c.commit);
        councils
            .iter()
            .all(|c| c.majority && same(c) == same(&councils[0]))
    });
}
