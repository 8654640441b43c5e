//! Global tables end to end, among three Regions on memory engines: `shuttle.rs` moves the
//! records and checks.

use super::message::Record;
use super::model::Random;
use super::shuttle::{NAMES, SITES, World, announcements, ready, site};
use crate::{
    Change, ConflictFilter, Import, ImportError, PlantedBug, RestoreError, SERVICE_TAG, State,
};

const T: &str = "Orders";
/// Clocks that agree: versions often tie in their times.
pub(crate) const AGREED: [u64; SITES] = [0, 0, 0];
/// The second is ahead, the third by more than the skew limit.
pub(crate) const SKEWED: [u64; SITES] = [0, 200, 600];
const COLOURS: [&str; 4] = ["red", "green", "blue", "grey"];

/// A table in the first Region, with replicas in the others, at rest.
pub(crate) fn global_table(seed: u64) -> World {
    let mut world = World::new(seed, None, SKEWED);
    world.create_table(0, T);
    for of in 1..SITES {
        world.replica(0, T, "Create", of).unwrap();
        world.settle();
    }
    world
}

fn schedule(seed: u64, planted: Option<PlantedBug>) -> Result<World, String> {
    let mut random = Random(seed);
    let offsets = [AGREED, SKEWED][random.below(2)];
    let mut world = World::new(seed, planted, offsets);
    world.create_table(0, T);
    for id in 0..random.below(6) {
        world.write(0, T, &id.to_string(), Some("old"));
    }
    // Who adds the two replicas, and when, is part of the schedule.
    let mut wanted = vec![1, 2];
    for _ in 0..60 + random.below(120) {
        if !wanted.is_empty() && random.below(8) == 0 {
            let by = random.below(SITES);
            if world.replica(by, T, "Create", wanted[0]).is_ok() {
                wanted.remove(0);
            }
        }
        step(&mut world, &mut random);
    }
    world.settle();
    for of in wanted {
        world.replica(0, T, "Create", of).unwrap();
        world.settle();
    }
    world.check_convergence(T)?;
    world.check_ledger(world.group(0, T))?;
    world.check_nothing_lost(T)?;
    for (at, here) in NAMES.iter().enumerate() {
        let others: String = (0..SITES)
            .filter(|other| *other != at)
            .map(|other| format!(" {}=ACTIVE", NAMES[other]))
            .collect();
        if world.shape(at, T) != format!("ACTIVE{others}") {
            return Err(format!("{here} describes {}", world.shape(at, T)));
        }
    }
    Ok(world)
}

pub(crate) fn step(world: &mut World, random: &mut Random) {
    let from = random.below(SITES);
    let to = (from + 1 + random.below(SITES - 1)) % SITES;
    match random.below(24) {
        0..6 => {
            let id = random.below(3).to_string();
            let colour = (random.below(4) > 0).then(|| COLOURS[random.below(4)]);
            world.write(from, T, &id, colour);
        }
        6..10 => drop(world.send(from, to)),
        10..14 => drop(world.deliver(from, to)),
        14 => world.lose(from, to),
        15 => world.repeat(from, to, random),
        16 => world.restart(from),
        17 => drop(world.background(from)),
        18 => drop(world.background(to)),
        19 | 20 => world.advance(random.below(400) as u64),
        21 => world.advance(1),
        _ => {
            // A round in which everything moves on.
            world.send(from, to);
            world.deliver(from, to);
            world.background(from);
        }
    }
}

#[test]
fn invariant_7_replicas_converge_and_the_ledger_is_exact() {
    let (mut conflicts, mut parked) = (0, 0);
    for seed in 0..60 {
        match schedule(seed, None) {
            Ok(world) => {
                conflicts += world.beaten.len();
                parked += world.parked;
            }
            Err(why) => panic!("seed {seed}: {why}"),
        }
    }
    assert!(
        conflicts > 60 && parked > 60,
        "{conflicts} conflicts, {parked} parked"
    );
}

#[test]
fn schedules_find_planted_bugs() {
    for bug in [PlantedBug::TieBreakDropped, PlantedBug::ConflictByTimestamp] {
        let found = (0..40).any(|seed| schedule(seed, Some(bug)).is_err());
        assert!(found, "{bug:?} was not found");
    }
}

#[test]
fn a_replica_is_created_copied_and_active() {
    let mut world = World::new(1, None, SKEWED);
    world.create_table(0, T);
    for id in 0..1200 {
        world.write(0, T, &id.to_string(), Some("red"));
    }
    world.write(0, T, "0", None);
    let answer = world.replica(0, T, "Create", 1).unwrap();
    assert_eq!(answer["TableDescription"]["TableStatus"], "UPDATING");
    assert_eq!(world.shape(0, T), "UPDATING eu-west-1=CREATING");
    assert_eq!(world.shape(1, T), "missing");
    // The table's news arrives, its items don't yet.
    while world.shape(1, T) == "missing" {
        world.send(0, 1);
        world.deliver(0, 1);
    }
    assert_eq!(world.shape(1, T), "CREATING us-east-1=ACTIVE");
    assert!(
        !world.write(1, T, "x", Some("red")),
        "a replica being filled takes no writes"
    );
    world.settle();
    assert_eq!(world.shape(0, T), "ACTIVE eu-west-1=ACTIVE");
    assert_eq!(world.shape(1, T), "ACTIVE us-east-1=ACTIVE");
    assert_eq!(world.values(1, T).len(), 1199);
    world.check_convergence(T).unwrap();
    let table = world.describe(1, T).unwrap();
    assert_eq!(table["GlobalTableVersion"], "2019.11.21");
    assert_eq!(
        table["StreamSpecification"]["StreamViewType"],
        "NEW_AND_OLD_IMAGES"
    );
    let source = world.describe(0, T).unwrap();
    assert_ne!(table["TableId"], source["TableId"]);
    assert!(table["TableArn"].as_str().unwrap().contains(NAMES[1]));
    assert_eq!(source["StreamSpecification"]["StreamEnabled"], true);
    let copies = announcements(&world.places[0].engine);
    let copies = copies
        .iter()
        .filter(|change| matches!(change, Change::Copy { .. }));
    // Of the one that was deleted before there was a replica nothing is left.
    assert_eq!(copies.count(), 1199);
}

#[test]
fn a_cut_off_replica_is_created_when_it_can_be_reached() {
    let mut world = World::new(2, None, SKEWED);
    world.create_table(0, T);
    world.write(0, T, "a", Some("red"));
    world.cut.insert((0, 1));
    world.replica(0, T, "Create", 1).unwrap();
    world.restart(0);
    world.cut.clear();
    world.cut.insert((1, 0));
    world.advance(10);
    for _ in 0..50 {
        world.background(0);
        world.send(0, 1);
        world.deliver(0, 1);
    }
    assert_eq!(world.shape(1, T), "ACTIVE us-east-1=ACTIVE");
    assert_eq!(world.shape(0, T), "UPDATING eu-west-1=CREATING");
    world.cut.clear();
    world.settle();
    assert_eq!(world.shape(0, T), "ACTIVE eu-west-1=ACTIVE");
    world.check_convergence(T).unwrap();
}

#[test]
fn a_copy_never_runs_far_ahead_of_its_replica() {
    let mut world = World::new(3, None, SKEWED);
    world.create_table(0, T);
    for id in 0..6000 {
        world.write(0, T, &id.to_string(), Some("red"));
    }
    world.replica(0, T, "Create", 1).unwrap();
    while world.background(0) == crate::CopyProgress::Worked {}
    let announced = |world: &World| {
        let changes = announcements(&world.places[0].engine);
        changes
            .iter()
            .filter(|change| matches!(change, Change::Copy { .. }))
            .count()
    };
    let ahead = announced(&world);
    assert!(
        (1000..=super::copy::COPY_WINDOW).contains(&ahead),
        "{ahead} copies are ahead"
    );
    world.settle();
    assert_eq!(announced(&world), 6000);
    assert_eq!(world.values(1, T).len(), 6000);
}

#[test]
fn a_removed_replica_ships_its_last_writes_and_comes_back_empty_handed() {
    let mut world = global_table(4);
    world.write(0, T, "kept", Some("red"));
    world.write(2, T, "gone", Some("red"));
    world.settle();
    // Cut off from the others, the third Region writes once more, and is then removed.
    world.cut.extend([(2, 0), (2, 1)]);
    world.write(2, T, "last", Some("blue"));
    let answer = world.replica(0, T, "Delete", 2).unwrap();
    assert_eq!(answer["TableDescription"]["TableStatus"], "UPDATING");
    assert_eq!(
        world.shape(0, T),
        "UPDATING eu-west-1=ACTIVE ap-southeast-1=DELETING"
    );
    let busy = world.replica(1, T, "Create", 2).unwrap_err();
    assert!(
        busy.contains("replicas already existed") || busy.contains("ResourceInUse"),
        "{busy}"
    );
    world.settle();
    assert_eq!(world.shape(2, T), "missing");
    assert_eq!(
        world.shape(1, T),
        "ACTIVE us-east-1=ACTIVE ap-southeast-1=DELETING"
    );
    assert_eq!(world.values(0, T).get("last"), None);
    world.cut.clear();
    world.restart(2);
    world.settle();
    for at in 0..2 {
        assert_eq!(
            world.values(at, T).get("last").map(String::as_str),
            Some("blue")
        );
    }
    assert_eq!(world.shape(0, T), "ACTIVE eu-west-1=ACTIVE");
    // What is deleted meanwhile must not come back with the replica.
    world.write(1, T, "gone", None);
    world.settle();
    world.replica(1, T, "Create", 2).unwrap();
    world.settle();
    assert_eq!(
        world.shape(2, T),
        "ACTIVE us-east-1=ACTIVE eu-west-1=ACTIVE"
    );
    let values = world.values(2, T);
    assert_eq!(values.keys().collect::<Vec<_>>(), ["kept", "last"]);
    // Nor may anything that was under way to the replica it was.
    let mut random = Random(9);
    for _ in 0..200 {
        let from = random.below(SITES);
        world.repeat(from, (from + 1) % SITES, &mut random);
        world.repeat(from, (from + 2) % SITES, &mut random);
    }
    world.settle();
    world.check_convergence(T).unwrap();
    assert_eq!(
        world.values(2, T).keys().collect::<Vec<_>>(),
        ["kept", "last"]
    );
    assert_eq!(
        world.shape(2, T),
        "ACTIVE us-east-1=ACTIVE eu-west-1=ACTIVE"
    );
}

#[test]
fn a_table_deleted_in_a_member_region_leaves_the_group() {
    let mut world = global_table(5);
    world
        .execute(1, "DeleteTable", serde_json::json!({"TableName": T}))
        .unwrap();
    // It is gone once both others have its last writes.
    world.cut.insert((1, 2));
    world.settle();
    assert_eq!(world.shape(1, T), "missing");
    assert_eq!(
        world.shape(0, T),
        "ACTIVE eu-west-1=DELETING ap-southeast-1=ACTIVE"
    );
    world.cut.clear();
    world.settle();
    assert_eq!(world.shape(0, T), "ACTIVE ap-southeast-1=ACTIVE");
    world
        .execute(2, "DeleteTable", serde_json::json!({"TableName": T}))
        .unwrap();
    world.settle();
    // The last replica is gone: the table is one Region's, and shows it; its stream stays.
    let table = world.describe(0, T).unwrap();
    for key in [
        "Replicas",
        "GlobalTableVersion",
        "GlobalTableSettingsReplicationMode",
    ] {
        assert!(table.get(key).is_none(), "{key}");
    }
    assert_eq!(table["StreamSpecification"]["StreamEnabled"], true);
    let off = serde_json::json!({"TableName": T, "StreamSpecification": {"StreamEnabled": false}});
    world.execute(0, "UpdateTable", off).unwrap();
    // Its name is free elsewhere, and what is made there has nothing to do with it.
    world.create_table(1, T);
    world.write(1, T, "other", Some("red"));
    world.settle();
    assert!(world.values(0, T).is_empty());
}

#[test]
fn a_region_that_has_the_name_already_refuses() {
    let mut world = World::new(6, None, SKEWED);
    world.create_table(0, T);
    world.create_table(1, T);
    world.write(1, T, "own", Some("red"));
    world.replica(0, T, "Create", 1).unwrap();
    world.settle();
    assert_eq!(world.shape(0, T), "ACTIVE");
    assert_eq!(world.shape(1, T), "ACTIVE");
    assert_eq!(world.values(1, T).len(), 1);
    assert!(world.values(0, T).is_empty());
    // Once the name is free it works, and replays of the first attempt don't spoil it.
    world
        .execute(1, "DeleteTable", serde_json::json!({"TableName": T}))
        .unwrap();
    world.replica(0, T, "Create", 1).unwrap();
    let mut random = Random(1);
    for _ in 0..20 {
        world.repeat(0, 1, &mut random);
        world.repeat(1, 0, &mut random);
    }
    world.settle();
    assert_eq!(world.shape(1, T), "ACTIVE us-east-1=ACTIVE");
    assert!(world.values(1, T).is_empty());
}

#[test]
fn a_region_that_lost_its_data_is_filled_again() {
    let mut world = global_table(15);
    world.write(0, T, "a", Some("red"));
    world.write(1, T, "b", Some("blue"));
    world.write(2, T, "c", Some("grey"));
    world.settle();
    let values = world.values(0, T);
    world.wipe(2);
    assert_eq!(world.shape(2, T), "missing");
    world.settle();
    assert_eq!(
        world.shape(2, T),
        "ACTIVE us-east-1=ACTIVE eu-west-1=ACTIVE"
    );
    assert_eq!(
        world.shape(0, T),
        "ACTIVE eu-west-1=ACTIVE ap-southeast-1=ACTIVE"
    );
    assert_eq!(world.values(2, T), values);
    assert!(world.write(2, T, "c", Some("green")));
    world.settle();
    world.check_convergence(T).unwrap();
    assert_eq!(world.values(0, T)["c"], "green");
}

#[test]
fn two_members_that_add_the_same_region_at_once_agree() {
    for seed in 0..15 {
        let mut random = Random(seed);
        let mut world = World::new(seed, None, SKEWED);
        world.create_table(0, T);
        world.replica(0, T, "Create", 1).unwrap();
        world.settle();
        world.cut.extend([(0, 1), (1, 0)]);
        world.write(0, T, "a", Some("red"));
        world.write(1, T, "b", Some("red"));
        world.replica(0, T, "Create", 2).unwrap();
        world.replica(1, T, "Create", 2).unwrap();
        for count in 0..60 {
            if count == 30 {
                world.cut.clear();
            }
            step(&mut world, &mut random);
        }
        world.settle();
        world
            .check_convergence(T)
            .unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        assert_eq!(
            world.shape(2, T),
            "ACTIVE us-east-1=ACTIVE eu-west-1=ACTIVE"
        );
        assert_eq!(
            world.shape(0, T),
            "ACTIVE eu-west-1=ACTIVE ap-southeast-1=ACTIVE"
        );
        world
            .check_ledger(world.group(0, T))
            .unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
}

#[test]
fn a_conflict_is_listed_shown_and_restored() {
    let mut world = global_table(7);
    world.write(0, T, "a", Some("red"));
    world.write(1, T, "a", Some("blue"));
    world.settle();
    // The second Region's clock is ahead: its write won everywhere.
    for at in 0..SITES {
        assert_eq!(world.values(at, T)["a"], "blue");
    }
    // Whoever met both states first has it: the winner tells the others what it has seen.
    let rows_at = |world: &World, at: usize| {
        let tables = &world.places[at].tables;
        ready(tables.conflicts(&ConflictFilter::default(), None, 10))
            .unwrap()
            .conflicts
    };
    let at = (0..SITES)
        .find(|at| !rows_at(&world, *at).is_empty())
        .unwrap();
    let rows = rows_at(&world, at);
    let [row] = &rows[..] else {
        panic!("one conflict: {rows:?}");
    };
    let tables = &world.places[at].tables;
    let shown = ready(tables.conflict(row.id)).unwrap().unwrap();
    assert_eq!(shown, *row);
    let deployment = &tables.config.deployment;
    let json = shown.to_json(deployment);
    assert_eq!(json["kind"], "put/put");
    assert_eq!(json["key"]["id"]["S"], "a");
    assert_eq!(json["loser"]["image"]["colour"]["S"], "red");
    assert_eq!(json["loser"]["region"], NAMES[0]);
    assert_eq!(json["winner"]["region"], NAMES[1]);
    let restored = ready(tables.restore_conflict(row.id)).unwrap();
    assert_eq!(restored.version.map(|version| version.site), Some(site(at)));
    world.settle();
    for at in 0..SITES {
        assert_eq!(world.values(at, T)["a"], "red");
        assert!(rows_at(&world, at).iter().all(|other| other.id == row.id));
    }
    let unknown = "00000000000000000000000000000000".parse().unwrap();
    let error = ready(world.places[0].tables.restore_conflict(unknown)).unwrap_err();
    assert!(matches!(error, RestoreError::NoSuchConflict(_)));
}

#[test]
fn a_state_overwritten_at_its_origin_before_it_was_shipped_is_no_conflict() {
    let mut world = global_table(8);
    world.cut.extend([(0, 1), (1, 0)]);
    world.write(0, T, "a", Some("red"));
    world.write(0, T, "a", Some("green"));
    world.write(1, T, "a", Some("blue"));
    world.cut.clear();
    world.settle();
    let page = ready(
        world.places[1]
            .tables
            .conflicts(&ConflictFilter::default(), None, 10),
    );
    let conflicts = page.unwrap().conflicts;
    assert_eq!(conflicts.len(), 1);
    world.check_ledger(world.group(0, T)).unwrap();
}

#[test]
fn a_peer_that_sends_rubbish_gets_an_error_and_changes_nothing() {
    let mut world = global_table(9);
    world.write(0, T, "a", Some("red"));
    world.settle();
    let before = world.items(1, T);
    let (key, state) = before.iter().next().unwrap();
    let record = |key: &[u8], state: &State, copy| {
        let record = Record::Item {
            group: world.group(1, T),
            key: bytes::Bytes::copy_from_slice(key),
            state: state.clone(),
            copy,
        };
        record.encode()
    };
    let good = record(key, state, false);
    let tables = &world.places[1].tables;
    let import = |from, records: &[bytes::Bytes]| match ready(tables.import(from, records)) {
        Ok(Import::Ready(import)) => Ok(import.batch.is_empty()),
        Ok(Import::Parked { .. }) => panic!("nothing is from the future"),
        Err(error) => Err(error),
    };
    // Its own record is a duplicate; another site's is refused unless it is a copy.
    assert_eq!(import(site(0), std::slice::from_ref(&good)), Ok(true));
    let foreign = import(site(2), std::slice::from_ref(&good));
    assert!(matches!(foreign, Err(ImportError::Foreign { stamped, .. }) if stamped == site(0)));
    assert_eq!(import(site(2), &[record(key, state, true)]), Ok(true));
    for rubbish in [
        &b""[..],
        b"\x01",
        b"\x09\x01",
        b"\x01\x04{}",
        b"\x01\x01short",
    ] {
        let rubbish = bytes::Bytes::from_static(rubbish);
        let error = import(site(0), &[good.clone(), rubbish]).unwrap_err();
        assert!(
            matches!(error, ImportError::Record { index: 1, .. }),
            "{error}"
        );
    }
    let mut other = key.to_vec();
    let last = other.len() - 3;
    other[last] ^= 1;
    let error = import(site(0), &[record(&other, state, false)]).unwrap_err();
    assert!(
        matches!(error, ImportError::Contradiction { .. }),
        "{error}"
    );
    assert_eq!(world.items(1, T), before);
}

#[test]
fn records_of_unknown_tables_are_dropped_and_counted() {
    let mut world = global_table(10);
    world.write(0, T, "a", Some("red"));
    world.settle();
    let (key, state) = world.items(0, T).into_iter().next().unwrap();
    let record = Record::Item {
        group: super::group::GroupId(1),
        key,
        state,
        copy: false,
    };
    let tables = &world.places[1].tables;
    match ready(tables.import(site(0), &[record.encode()])).unwrap() {
        Import::Ready(import) => {
            assert!(import.batch.is_empty());
            assert_eq!(tables.imported(import.guard).dropped, 1);
        }
        Import::Parked { .. } => panic!("nothing is from the future"),
    }
    assert_eq!(tables.imports().dropped, 1);
}

#[test]
fn update_table_words_its_errors_as_the_service_does() {
    let world = global_table(11);
    let update = |at: usize, body: serde_json::Value| {
        let mut request = serde_json::json!({"TableName": T});
        request
            .as_object_mut()
            .unwrap()
            .extend(body.as_object().unwrap().clone());
        world.execute(at, "UpdateTable", request).unwrap_err()
    };
    let replicas = |updates: serde_json::Value| serde_json::json!({"ReplicaUpdates": updates});
    let create = |region: &str| serde_json::json!({"Create": {"RegionName": region}});
    let delete = |region: &str| serde_json::json!({"Delete": {"RegionName": region}});
    let cases = [
        (
            replicas(serde_json::json!([create("us-east-1")])),
            "Cannot add or delete the local region through ReplicaUpdates. Use CreateTable, \
             DeleteTable, or UpdateTable as required.",
        ),
        (
            replicas(serde_json::json!([create("eu-west-1")])),
            "Failed to create a the new replica of table with name: ‘Orders’ because one or more \
             replicas already existed as tables.",
        ),
        (
            replicas(serde_json::json!([create("mars-1")])),
            "Region mars-1 is not supported. The latest version of global tables are only \
             supported in the following regions: [ap-southeast-1, eu-west-1, us-east-1]",
        ),
        (
            replicas(serde_json::json!([{}])),
            "There are no actions specified in the Replica Update Action of the request.",
        ),
        (
            replicas(serde_json::json!([{"Update": {"RegionName": "eu-west-1"}}])),
            "There are no actions specified in the Replica Update Action of the request.",
        ),
        (
            replicas(serde_json::json!([
                delete("eu-west-1"),
                delete("ap-southeast-1")
            ])),
            "Update table operation with more than one create or delete replica actions not \
             allowed",
        ),
        (
            replicas(serde_json::json!([{"Create": {"RegionName": "eu-west-1"},
                "Delete": {"RegionName": "eu-west-1"}}])),
            "Update table operation with more than one type of replica actions not allowed.",
        ),
        (
            serde_json::json!({"ReplicaUpdates": [delete("eu-west-1")],
                "DeletionProtectionEnabled": true}),
            "Requests that modify replicas or witnesses must not also modify other fields",
        ),
        (
            serde_json::json!({"ReplicaUpdates": [create("eu-west-1")],
                "MultiRegionConsistency": "STRONG"}),
            "MultiRegionConsistency parameter is unsupported on existing global table",
        ),
        (
            serde_json::json!({"ReplicaUpdates": [create("eu-west-1")],
                "GlobalTableWitnessUpdates": [create("eu-west-1")]}),
            "MultiRegionConsistency must be set as STRONG when GlobalTableWitnessUpdates \
             parameter is present.",
        ),
    ];
    for (body, message) in cases {
        assert_eq!(
            update(0, body.clone()),
            format!("ValidationException: {message}"),
            "{body}"
        );
    }
    let not_built = update(
        0,
        replicas(serde_json::json!([{"Disassociate":
        {"RegionName": "us-east-1"}}])),
    );
    assert!(
        not_built.contains("Disassociate of a replica is not built yet"),
        "{not_built}"
    );
}

#[test]
fn update_table_judges_a_table_of_one_region() {
    let world = World::new(12, None, SKEWED);
    world.create_table(0, T);
    let error = world.replica(0, T, "Delete", 1).unwrap_err();
    assert_eq!(
        error,
        "ValidationException: Update global table operation failed because one or more replicas \
         were not part of the global table. Please retry the request without these replicas: \
         [eu-west-1]."
    );
    let strong = |updates: serde_json::Value| {
        let body = serde_json::json!({"TableName": T, "MultiRegionConsistency": "STRONG",
            "ReplicaUpdates": updates});
        world.execute(0, "UpdateTable", body).unwrap_err()
    };
    let one = serde_json::json!([{"Create": {"RegionName": "eu-west-1"}}]);
    assert_eq!(
        strong(one),
        "ValidationException: Unsupported replica count for global tables with \
         MultiRegionConsistency set to STRONG."
    );
    let two = serde_json::json!([{"Create": {"RegionName": "eu-west-1"}},
        {"Create": {"RegionName": "ap-southeast-1"}}]);
    assert!(strong(two).contains("MultiRegionConsistency STRONG is not built yet"));
    // Nothing of this changed the table, and an announced record knows its service.
    assert_eq!(world.shape(0, T), "ACTIVE");
    assert_eq!(SERVICE_TAG, 1);
}

/// Capacity mode and storage class as a Region describes them.
fn settings(world: &World, at: usize) -> (String, u64, String) {
    let table = world.describe(at, T).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("none").to_owned();
    (
        text(&table["BillingModeSummary"]["BillingMode"]),
        table["ProvisionedThroughput"]["WriteCapacityUnits"]
            .as_u64()
            .unwrap(),
        text(&table["TableClassSummary"]["TableClass"]),
    )
}

fn update(world: &World, at: usize, change: serde_json::Value) {
    let mut body = serde_json::json!({"TableName": T});
    body.as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    world.execute(at, "UpdateTable", body).unwrap();
}

fn provisioned(units: u64) -> serde_json::Value {
    serde_json::json!({"BillingMode": "PROVISIONED", "ProvisionedThroughput":
        {"ReadCapacityUnits": 5, "WriteCapacityUnits": units}})
}

#[test]
fn a_change_of_settings_reaches_every_replica_and_one_cut_off_after_the_heal() {
    let mut world = global_table(16);
    world.cut.extend([(1, 2), (0, 2)]);
    update(&world, 1, provisioned(7));
    update(
        &world,
        1,
        serde_json::json!({"DeletionProtectionEnabled": true}),
    );
    world.settle();
    let before = ("PAY_PER_REQUEST".to_owned(), 0, "none".to_owned());
    let after = ("none".to_owned(), 7, "none".to_owned());
    assert_eq!(settings(&world, 0), after);
    assert_eq!(settings(&world, 2), before);
    world.cut.clear();
    world.settle();
    assert_eq!(settings(&world, 2), after);
    // What a Region keeps to itself stays there.
    for (at, protected) in [false, true, false].into_iter().enumerate() {
        let table = world.describe(at, T).unwrap();
        assert_eq!(table["DeletionProtectionEnabled"], protected);
    }
    // A Region that lost its data, and one that joins, get what there is now.
    world.wipe(2);
    world.settle();
    assert_eq!(settings(&world, 2), after);
    update(
        &world,
        2,
        serde_json::json!({"BillingMode": "PAY_PER_REQUEST"}),
    );
    update(
        &world,
        2,
        serde_json::json!({"TableClass": "STANDARD_INFREQUENT_ACCESS"}),
    );
    world.settle();
    let last = (
        "PAY_PER_REQUEST".to_owned(),
        0,
        "STANDARD_INFREQUENT_ACCESS".to_owned(),
    );
    for at in 0..SITES {
        assert_eq!(settings(&world, at), last);
    }
    // Nothing goes round.
    let log = announcements(&world.places[0].engine).len();
    world.settle();
    assert_eq!(announcements(&world.places[0].engine).len(), log);
}

#[test]
fn of_concurrent_changes_of_a_setting_the_later_wins_in_every_replica() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let mut world = global_table(seed);
        world
            .cut
            .extend([(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)]);
        for units in 1..=6 {
            let at = random.below(SITES);
            match random.below(3) {
                0 => update(&world, at, serde_json::json!({"TableClass": "STANDARD"})),
                1 => update(
                    &world,
                    at,
                    serde_json::json!({"TableClass": "STANDARD_INFREQUENT_ACCESS"}),
                ),
                _ => update(&world, at, provisioned(units)),
            }
            world.advance(random.below(3) as u64);
        }
        let stamps = |world: &World| {
            let places = world.places.iter();
            let tables = places.map(|place| {
                place
                    .tables
                    .catalogue()
                    .named(types::AccountId::LAB, T)
                    .unwrap()
            });
            let tables: Vec<_> = tables.map(|t| (t.settings, t.billing, t.class)).collect();
            tables
        };
        let told = stamps(&world);
        world.cut.clear();
        world.settle();
        let (billing, class) = (
            told.iter()
                .max_by_key(|(stamps, ..)| stamps.billing)
                .unwrap()
                .1,
            told.iter()
                .max_by_key(|(stamps, ..)| stamps.class)
                .unwrap()
                .2,
        );
        for (_, has, classed) in stamps(&world) {
            assert_eq!((has, classed), (billing, class), "seed {seed}");
        }
    }
}

#[test]
fn everything_can_be_driven_by_any_executor() {
    fn sendable<T: Send>(_: T) {}
    let world = World::new(13, None, AGREED);
    let (tables, engine) = (&world.places[0].tables, &world.places[0].engine);
    let snapshot = store::Engine::snapshot(engine);
    let acknowledged = |_| store::LogPosition(0);
    sendable(tables.import(site(1), &[]));
    sendable(tables.export(&snapshot, site(1), b""));
    sendable(tables.copy_step(&acknowledged));
    sendable(tables.restore_conflict(crate::ConflictId([0; 16])));
}

#[test]
fn the_dead_version_of_global_tables_is_answered_as_the_service_does() {
    let world = World::new(14, None, AGREED);
    let named = serde_json::json!({"GlobalTableName": "Orders"});
    let gone = "Global table with name: 'Orders' does not exist.";
    let not_found = format!("GlobalTableNotFoundException: {gone}");
    for operation in [
        "DescribeGlobalTableSettings",
        "UpdateGlobalTable",
        "UpdateGlobalTableSettings",
    ] {
        assert_eq!(
            world.execute(0, operation, named.clone()),
            Err(not_found.clone())
        );
    }
    assert_eq!(
        world.execute(0, "DescribeGlobalTable", named.clone()),
        Err(format!(
            "GlobalTableNotFoundException: Global table not found: {gone}"
        ))
    );
    let refused = world.execute(0, "CreateGlobalTable", named).unwrap_err();
    assert!(
        refused.starts_with("ValidationException: One or more parameter"),
        "{refused}"
    );
    let list = world.execute(0, "ListGlobalTables", serde_json::json!({}));
    assert_eq!(list, Ok(serde_json::json!({"GlobalTables": []})));
}
