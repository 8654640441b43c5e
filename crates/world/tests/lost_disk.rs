//! A Region loses its disk: it gets its tables again, and its own earlier writes with them, and
//! what only one of the others had of those reaches the third.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use council::CouncilStatus;
use link::Cut;
use support::{
    ONE, REGION_SITES, THREE, TWO, WRITES, assert_equal, eventually, in_service, is_settled,
    make_table, now, region, replicas, write,
};
use types::{SiteId, Span};
use world::{Fault, World};

/// Seeds of the losses with a third Region cut off.
const SEEDS: u64 = 48;

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

#[test]
fn what_one_region_has_of_a_lost_disk_reaches_the_third_that_was_cut_off() {
    for seed in 1..=SEEDS {
        lose_a_disk_while_a_third_is_cut_off(seed);
    }
}

/// What differs from seed to seed.
struct Plan {
    /// It loses its disk.
    loser: SiteId,
    /// It has what the loser wrote.
    witness: SiteId,
    /// It hasn't: it is cut off from the loser.
    third: SiteId,
    /// Are the logs trimmed before, so that the peers have nothing but copies to give?
    trimmed: bool,
    /// Does the loser come back through the third, while the witness is cut off?
    through_third: bool,
    /// Does the disk go while changes are still on their way to the witness?
    midway: bool,
}

impl Plan {
    fn of(seed: u64) -> Plan {
        let at = |number: u64| REGION_SITES[(number % 3) as usize];
        let step = 1 + seed / 3 % 2;
        Plan {
            loser: at(seed),
            witness: at(seed + step),
            third: at(seed + 2 * step),
            trimmed: seed.is_multiple_of(4),
            through_third: seed.is_multiple_of(2),
            midway: seed.is_multiple_of(5),
        }
    }
}

fn lose_a_disk_while_a_third_is_cut_off(seed: u64) {
    let plan = Plan::of(seed);
    let mut world = World::new(seed, None);
    make_table(&mut world);
    write(&mut world, plan.loser, "before");
    eventually(&mut world, "everything has arrived", is_settled);
    if plan.trimmed {
        world.run(world.now() + Span::seconds(10));
    }
    cut(&mut world, plan.loser, plan.third);
    write(&mut world, plan.loser, "lost");
    if plan.midway {
        world.run(world.now() + Span::milliseconds(30 * seed));
    } else {
        eventually(&mut world, "one has it", |world| has_arrived(world, &plan));
    }
    world.inject(Fault::Crash(plan.loser));
    world.lose_disk(plan.loser);
    if plan.through_third {
        heal(&mut world, plan.loser, plan.third);
        cut(&mut world, plan.loser, plan.witness);
    }
    write(&mut world, plan.witness, "meanwhile");
    world.inject(Fault::Restart(plan.loser));
    eventually(&mut world, "the table is in service again", |world| {
        let replicas = now(region(world, plan.loser).replicas()).unwrap().replicas;
        replicas.first().is_some_and(|replica| replica.active)
    });
    write(&mut world, plan.loser, "after");
    world.heal();
    eventually(&mut world, "everything has arrived", is_at_rest);
    let items = replicas(&world)[0].replicas[0].items;
    let per_period = (WRITES - WRITES / 10) as u64;
    assert!(items > 3 * per_period, "seed {seed}: {items} items");
    if !plan.midway {
        assert_eq!(
            items,
            1 + 4 * per_period,
            "seed {seed}: nothing that one had is lost"
        );
    }
    assert_equal(&world, items);
}

#[test]
fn a_region_put_back_to_a_backup_gets_back_what_it_wrote_since() {
    for seed in 1..=6 {
        let plan = Plan::of(seed);
        let mut world = World::new(seed, None);
        make_table(&mut world);
        write(&mut world, plan.loser, "before");
        eventually(&mut world, "everything has arrived", is_settled);
        world.inject(Fault::Crash(plan.loser));
        let backup = world.backup(plan.loser);
        world.inject(Fault::Restart(plan.loser));
        eventually(&mut world, "everything has arrived", is_settled);
        cut(&mut world, plan.loser, plan.third);
        write(&mut world, plan.loser, "lost");
        eventually(&mut world, "one has it", |world| has_arrived(world, &plan));
        world.inject(Fault::Crash(plan.loser));
        world.put_back(plan.loser, backup);
        world.inject(Fault::Restart(plan.loser));
        world.heal();
        world.run(world.now() + Span::seconds(5));
        eventually(&mut world, "everything has arrived", is_at_rest);
        assert_equal(&world, 1 + 2 * (WRITES - WRITES / 10) as u64);
    }
}

fn cut(world: &mut World, one: SiteId, other: SiteId) {
    world.inject(Fault::Cut(one, other, Cut::Blackhole));
    world.inject(Fault::Cut(other, one, Cut::Reset));
}

fn heal(world: &mut World, one: SiteId, other: SiteId) {
    world.inject(Fault::Heal(one, other));
    world.inject(Fault::Heal(other, one));
}

/// Has the witness all that the loser wrote?
fn has_arrived(world: &World, plan: &Plan) -> bool {
    let (from, to) = (region(world, plan.loser), region(world, plan.witness));
    let lags = from.lag().into_iter();
    lags.filter(|lag| lag.to == to.name())
        .all(|lag| lag.backlog == Some(0))
}

/// Is nothing on its way, and nothing to be announced?
fn is_at_rest(world: &World) -> bool {
    let copying = replicas(world).into_iter().any(|region| {
        let replica = region.replicas.into_iter().next();
        replica.is_none_or(|replica| !replica.copying_to.is_empty())
    });
    is_settled(world) && in_service(world) == 3 && !copying
}
