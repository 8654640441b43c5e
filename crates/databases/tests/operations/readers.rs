//! Clusters of more than one instance, asked as clients ask, and what their rows make of plans.

use databases::model::{ForkPoint, Headship, Leading, Lsn};
use databases::plan::{
    Behind, Duty, Home, Next, Observed, Reading, Record, Removal, Role, Step, Wanted, next_step,
};
use databases::{ServerView, Serving, catalogue, serving_reader, slot};
use types::{Configuration, Environment, Now, Span};

use crate::clusters::{ALONE, HEAD, READER, SECOND, arn, pair, register, to};
use crate::support::{Api, Memory, block_on, with};

fn wanted(council: &Memory, api: &Api, name: &str) -> Wanted {
    let found = catalogue::wanted(&*api.memory_view(), &*council.view(), &api.id(name));
    found.unwrap().unwrap()
}

fn reading(council: &Memory, api: &Api) -> Reading {
    match wanted(council, api, "reader").duty {
        Duty::Read(reading) => reading,
        other => panic!("{other:?}"),
    }
}

fn record(api: &Api, name: &str, record: &Record) {
    block_on(api.service.record(&api.id(name), record)).unwrap();
}

#[test]
fn the_first_instance_of_a_cluster_is_its_head_and_others_follow_it() {
    let api = Api::new();
    api.ok("CreateDBCluster", ALONE);
    api.ok("CreateDBInstance", HEAD);
    let zones = |api: &Api| {
        let told = api.ok("DescribeDBClusters", &[]);
        told.text("DBClusters/0/MultiAZ")
    };
    assert_eq!(zones(&api), "false");
    let own = api.row("head").zone;
    let zone = crate::support::zones()
        .into_iter()
        .find(|zone| *zone != own)
        .unwrap();
    let zone = zone.to_string();
    let elsewhere = [("AvailabilityZone", zone.as_str())];
    let made = api.ok("CreateDBInstance", &with(READER, &elsewhere));
    assert_eq!(zones(&api), "true");
    assert_eq!(made.text("DBInstance/DBClusterIdentifier"), "shop");
    assert_eq!(made.text("DBInstance/PromotionTier"), "3");
    let told = api.ok("DescribeDBClusters", &[]);
    let members = "DBClusters/0/DBClusterMembers";
    let names = told.each(members, "DBInstanceIdentifier");
    assert_eq!(names, ["head", "reader"]);
    assert_eq!(told.each(members, "IsClusterWriter"), ["true", "false"]);
    assert_eq!(told.each(members, "PromotionTier"), ["1", "3"]);
    let council = Memory::default();
    let reading = reading(&council, &api);
    assert_eq!(reading.following.upstream.source, api.row("head").arn);
    let head = wanted(&council, &api, "head");
    assert_eq!(head.duty, Duty::Alone);
    assert_eq!(head.readers, [slot(&api.id("reader"))].into());
    assert!(wanted(&council, &api, "reader").readers.is_empty());
    let row = api.row("reader");
    assert!(row.master.verifier.is_none(), "it is the head's");
    // Another tier is set at once, and only of a cluster's instance.
    let tier = [("DBInstanceIdentifier", "reader"), ("PromotionTier", "0")];
    let steps = api.carry_out("reader");
    assert!(matches!(steps[0], Step::Copy(_)), "{steps:?}");
    api.carry_out("head");
    let server = api.observed(&api.id("head")).server.unwrap();
    assert_eq!(server.slots, [slot(&api.id("reader"))].into());
    let changed = api.ok("ModifyDBInstance", &tier);
    assert_eq!(changed.text("DBInstance/PromotionTier"), "0");
}

#[test]
fn a_cluster_has_sixteen_instances_at_most() {
    let api = Api::new();
    api.ok("CreateDBCluster", ALONE);
    for number in 0..16 {
        let name = format!("i{number}");
        let instance = [("DBInstanceIdentifier", name.as_str())];
        api.ok("CreateDBInstance", &with(HEAD, &instance));
    }
    let more = with(HEAD, &[("DBInstanceIdentifier", "more")]);
    assert_eq!(api.code("CreateDBInstance", &more), "InstanceQuotaExceeded");
}

#[test]
fn a_head_stays_while_others_follow_it() {
    let api = Api::new();
    api.ok("CreateDBCluster", ALONE);
    api.ok("CreateDBInstance", HEAD);
    api.ok("CreateDBInstance", READER);
    let head = [("DBInstanceIdentifier", "head")];
    let refused = api.code("DeleteDBInstance", &head);
    assert_eq!(refused, "InvalidDBClusterStateFault");
    let reader = [("DBInstanceIdentifier", "reader")];
    api.ok("DeleteDBInstance", &reader);
    // Its slot is kept until nothing is left of it.
    let council = Memory::default();
    assert_eq!(wanted(&council, &api, "head").readers.len(), 1);
    record(&api, "reader", &Record::Removed);
    assert!(wanted(&council, &api, "head").readers.is_empty());
    api.ok("DeleteDBInstance", &head);
    let more = with(HEAD, &[("DBInstanceIdentifier", "more")]);
    let refused = api.code("CreateDBInstance", &more);
    assert_eq!(refused, "InvalidDBClusterStateFault", "its head is going");
}

#[test]
fn readers_of_a_member_follow_their_own_head_and_nobody_else_knows_them() {
    let (council, [here, there, _]) = pair();
    for api in [&here, &there] {
        api.ok("CreateDBInstance", READER);
        let reading = reading(&council, api);
        assert_eq!(reading.following.upstream.source, api.row("head").arn);
        assert_eq!(reading.following.epoch, 1);
    }
    let row = crate::clusters::row(&council);
    assert_eq!(row.members.len(), 2);
    assert!(!row.has_head(&there.id("reader")));
    // Nothing is copied before the head's data are a part of the history.
    assert!(!reading(&council, &there).is_head_ready);
    record(&there, "head", &Record::Aligned { epoch: 1 });
    assert!(reading(&council, &there).is_head_ready);
    // It may be deleted while the global cluster has others, which the writer's head may not.
    let reader = [("DBInstanceIdentifier", "reader")];
    here.ok("DeleteDBInstance", &reader);
}

/// Has the second Region's head take over, as its plan does.
fn move_there(council: &Memory, there: &Api) {
    there.ok("FailoverGlobalCluster", &{
        let mut asked = to("arn:aws:rds:eu-west-1:111122223333:cluster:shop");
        asked.push(("AllowDataLoss", "true"));
        asked
    });
    let number = crate::clusters::row(council).moving.unwrap().number;
    record(there, "head", &Record::Promoting { number });
    let epoch = crate::clusters::row(council).epoch + 1;
    record(there, "head", &Record::Leading(Leading { epoch, number }));
}

/// Has it take over and lead: its history begins at that place.
fn lead_there(council: &Memory, there: &Api, at: u64) {
    move_there(council, there);
    let number = crate::clusters::row(council).moving.unwrap().number;
    let point = ForkPoint {
        timeline: 2,
        lsn: Lsn(at),
    };
    record(there, "head", &Record::Leads { number, point });
}

#[test]
fn readers_go_along_when_their_head_is_promoted_and_know_if_nothing_came_of_it() {
    let (council, [here, there, _]) = pair();
    for api in [&here, &there] {
        api.ok("CreateDBInstance", READER);
        record(api, "reader", &Record::Aligned { epoch: 1 });
    }
    record(&there, "head", &Record::Aligned { epoch: 1 });
    move_there(&council, &there);
    // Its head may be promoted by now: what it has since may be taken back.
    let leads = |api: &Api| api.row("reader").headship.unwrap().leads;
    assert!(leads(&there).is_some());
    assert!(leads(&here).is_none());
    assert!(!reading(&council, &there).is_head_ready);
    let number = crate::clusters::row(&council).moving.unwrap().number;
    let point = ForkPoint {
        timeline: 2,
        lsn: Lsn(100),
    };
    record(&there, "head", &Record::Leads { number, point });
    let after = reading(&council, &there);
    assert!(after.is_head_ready);
    assert_eq!((after.following.epoch, after.following.base), (2, 2));
    assert!(!after.following.is_unled);
    assert_eq!(after.following.timeline, 2);
    // The old writer's reader waits until its head has come back, and is judged by the fork.
    let old = reading(&council, &here);
    assert!(!old.is_head_ready);
    assert_eq!(old.following.stands_until, Some(Lsn(100)));
    record(&here, "head", &Record::Aligned { epoch: 2 });
    assert!(reading(&council, &here).is_head_ready);

    // A move back that comes to nothing.
    let mut asked = to("arn:aws:rds:us-east-1:111122223333:cluster:shop");
    asked.push(("AllowDataLoss", "true"));
    here.ok("FailoverGlobalCluster", &asked);
    let number = crate::clusters::row(&council).moving.unwrap().number;
    record(&here, "head", &Record::Promoting { number });
    record(&here, "reader", &Record::Aligned { epoch: 2 });
    record(
        &here,
        "head",
        &Record::Leading(Leading { epoch: 3, number }),
    );
    there.ok("FailoverGlobalCluster", &{
        let mut back = to("arn:aws:rds:eu-west-1:111122223333:cluster:shop");
        back.push(("AllowDataLoss", "true"));
        back
    });
    let left = reading(&council, &here);
    assert!(left.following.is_unled && !left.is_head_ready);
    record(&here, "head", &Record::Aligned { epoch: 2 });
    let left = reading(&council, &here);
    assert!(
        left.following.is_unled && left.is_head_ready,
        "it is copied anew"
    );

    // Nor does it go along with the next one for the same epoch, which comes to be.
    here.ok("FailoverGlobalCluster", &asked);
    let number = crate::clusters::row(&council).moving.unwrap().number;
    record(&here, "head", &Record::Promoting { number });
    let leading = Leading { epoch: 3, number };
    record(&here, "head", &Record::Leading(leading));
    let point = ForkPoint {
        timeline: 4,
        lsn: Lsn(120),
    };
    record(&here, "head", &Record::Leads { number, point });
    assert_eq!(crate::clusters::row(&council).epoch, 3);
    let left = reading(&council, &here);
    assert!(
        left.following.is_unled && left.is_head_ready,
        "it was promoted for another move"
    );
}

#[test]
fn a_reader_that_missed_a_move_doesn_t_go_along_with_the_next_one() {
    let (council, [here, there, _]) = pair();
    here.ok("CreateDBInstance", READER);
    record(&here, "reader", &Record::Aligned { epoch: 1 });
    record(&there, "head", &Record::Aligned { epoch: 1 });
    let second = [("DBInstanceIdentifier", "second")];
    here.ok("CreateDBInstance", &with(READER, &second));
    record(&here, "second", &Record::Aligned { epoch: 1 });
    lead_there(&council, &there, 90);
    // The old head comes back with one of its readers; the other one's zone is away.
    record(&here, "head", &Record::Aligned { epoch: 2 });
    record(&here, "second", &Record::Aligned { epoch: 2 });
    let mut asked = to("arn:aws:rds:us-east-1:111122223333:cluster:shop");
    asked.push(("AllowDataLoss", "true"));
    here.ok("FailoverGlobalCluster", &asked);
    let number = crate::clusters::row(&council).moving.unwrap().number;
    record(&here, "head", &Record::Promoting { number });
    let leading = Leading { epoch: 3, number };
    let missed = headship(&here, "reader");
    for told in ["once", "twice"] {
        record(&here, "head", &Record::Leading(leading));
        assert_eq!(headship(&here, "reader"), missed, "{told}");
        let went_along = headship(&here, "second");
        assert_eq!((went_along.epoch, went_along.leads), (2, Some(leading)));
    }
    let point = ForkPoint {
        timeline: 3,
        lsn: Lsn(95),
    };
    record(&here, "head", &Record::Leads { number, point });
    // It is judged by where the move that it missed left what it holds.
    let reading = reading(&council, &here);
    assert_eq!(reading.following.base, 1);
    assert_eq!(reading.following.stands_until, Some(Lsn(90)));
}

/// What is seen of a reader whose server says that it has got as far as that.
fn seen_at(council: &Memory, api: &Api, place: u64) -> Observed {
    let mut server = crate::moves::primary(api);
    server.role = Some(Role::Standby);
    server.generation = api.row("reader").generation;
    server.settings.upstream = Some(reading(council, api).following.upstream);
    server.log.replayed = Some(Lsn(place));
    let mut observed = Observed::nothing();
    (observed.home, observed.server) = (Home::Whole, Some(server));
    observed.head.confirmed = Some(1);
    observed
}

/// The step that comes next of a reader; a record is written down.
fn step(council: &Memory, api: &Api, observed: &Observed) -> Step {
    let next = next_step(
        &wanted(council, api, "reader"),
        observed,
        api.environment.now(),
    );
    let Next::Step(step) = next else {
        panic!("{next:?}");
    };
    if let Step::Record(told) = &step {
        record(api, "reader", told);
    }
    step
}

#[test]
fn a_reader_that_has_what_its_head_never_kept_keeps_it_before_it_is_copied_anew() {
    let (council, [here, there, _]) = pair();
    here.ok("CreateDBInstance", READER);
    record(&here, "reader", &Record::Aligned { epoch: 1 });
    record(&there, "head", &Record::Aligned { epoch: 1 });
    lead_there(&council, &there, 90);
    // The old head is back in line, by a rewind or since its disk was lost.
    record(&here, "head", &Record::Aligned { epoch: 2 });
    let mut observed = seen_at(&council, &here, 100);
    observed.head.heads_tails.insert(1, Lsn(90));
    let upstream = reading(&council, &here).following.upstream;
    let reseed = Step::Reseed(upstream.clone());
    assert_eq!(step(&council, &here, &observed), reseed, "its head kept it");
    observed.head.heads_tails.insert(1, Lsn(91));
    let beyond = Step::Record(Record::Beyond { base: 1 });
    assert_eq!(step(&council, &here, &observed), beyond);
    assert_eq!(step(&council, &here, &observed), Step::Stop);
    observed.server = None;
    let (base, from) = (1, Lsn(90));
    let keeps = Step::KeepTail { base, from };
    assert_eq!(step(&council, &here, &observed), keeps);
    observed.head.tails.insert(base, from);
    let removed = Step::RemoveHome(Removal::Diverged(upstream));
    assert_eq!(step(&council, &here, &observed), removed);
}

#[test]
fn a_reader_that_went_along_with_its_head_keeps_what_it_has_of_that_epoch() {
    let (council, [here, there, _]) = pair();
    there.ok("CreateDBInstance", READER);
    for name in ["head", "reader"] {
        record(&there, name, &Record::Aligned { epoch: 1 });
    }
    move_there(&council, &there);
    let number = crate::clusters::row(&council).moving.unwrap().number;
    let point = |timeline, place| ForkPoint {
        timeline,
        lsn: Lsn(place),
    };
    let leads = |number, point| Record::Leads { number, point };
    record(&there, "head", &leads(number, point(2, 90)));
    record(&here, "head", &Record::Aligned { epoch: 2 });
    let mut asked = to("arn:aws:rds:us-east-1:111122223333:cluster:shop");
    asked.push(("AllowDataLoss", "true"));
    here.ok("FailoverGlobalCluster", &asked);
    let number = crate::clusters::row(&council).moving.unwrap().number;
    record(&there, "head", &Record::Fenced { number });
    record(&here, "head", &Record::Promoting { number });
    record(
        &here,
        "head",
        &Record::Leading(Leading { epoch: 3, number }),
    );
    record(&here, "head", &leads(number, point(3, 95)));
    record(&there, "head", &Record::Aligned { epoch: 3 });
    assert_eq!(headship(&there, "reader").epoch, 1);
    let mut observed = seen_at(&council, &there, 100);
    observed.server.as_mut().unwrap().log.timeline = Some(2);
    let beyond = Step::Record(Record::Beyond { base: 2 });
    assert_eq!(step(&council, &there, &observed), beyond);
    let row = headship(&there, "reader");
    assert_eq!((row.epoch, row.leads), (2, Some(Leading::BEYOND)));
    observed.server = None;
    let (base, from) = (2, Lsn(95));
    let keeps = Step::KeepTail { base, from };
    assert_eq!(step(&council, &there, &observed), keeps);
}

fn headship(api: &Api, name: &str) -> Headship {
    api.row(name).headship.unwrap()
}

#[test]
fn a_reader_whose_head_has_no_more_of_its_log_is_copied_anew() {
    let api = Api::new();
    api.ok("CreateDBCluster", ALONE);
    api.ok("CreateDBInstance", HEAD);
    api.ok("CreateDBInstance", READER);
    api.carry_out("head");
    api.carry_out("reader");
    let council = Memory::default();
    let mut observed = api.observed(&api.id("reader"));
    observed.server.as_mut().unwrap().receives = false;
    let now = api.environment.now();
    let seen = |since| Behind {
        since,
        reseeds: 0,
        last: None,
    };
    let of_now = wanted(&council, &api, "reader");
    assert_eq!(next_step(&of_now, &observed, now), Next::Settled);
    // Its head must have said so for a while.
    observed.behind = Some(seen(now.monotonic));
    let waits = next_step(&of_now, &observed, now);
    assert_eq!(waits, Next::WaitUntil(now.monotonic + Span::seconds(5)));
    let later = Now {
        monotonic: now.monotonic + Span::seconds(5),
        ..now
    };
    let next = next_step(&of_now, &observed, later);
    assert!(matches!(next, Next::Step(Step::Reseed(_))), "{next:?}");
    // While its head isn't in line itself, or it is to take over, it stays as it is.
    for change in [
        (|reading| reading.is_head_ready = false) as fn(&mut Reading),
        |reading| reading.takes = Some((1, Lsn(u64::MAX))),
        |reading| reading.following.is_moving = true,
        |reading| reading.is_member = true,
    ] {
        let mut other = of_now.clone();
        let Duty::Read(reading) = &mut other.duty else {
            panic!("{other:?}")
        };
        change(reading);
        let next = next_step(&other, &observed, later);
        assert!(!matches!(next, Next::Step(Step::Reseed(_))), "{next:?}");
    }
}

#[test]
fn a_member_without_an_instance_is_described_and_never_a_target() {
    let (_, [here, there, third]) = pair();
    third.ok("CreateDBCluster", SECOND);
    let told = here.ok("DescribeGlobalClusters", &[]);
    let members = "GlobalClusters/0/GlobalClusterMembers";
    let words = told.each(members, "SynchronizationStatus");
    assert_eq!(words.len(), 3);
    assert_eq!(words[0], "pending-resync", "ap-southeast-2 has no data");
    let target = arn(&third);
    for (operation, loses) in [
        ("SwitchoverGlobalCluster", false),
        ("FailoverGlobalCluster", true),
    ] {
        let mut asked = to(&target);
        asked.extend(loses.then_some(("AllowDataLoss", "true")));
        let refused = there.code(operation, &asked);
        assert_eq!(refused, "InvalidDBClusterStateFault", "{operation}");
    }
    let told = third.ok("DescribeDBClusters", &[]);
    assert_eq!(told.text("DBClusters/0/Status"), "available");
    // It gets its instance later, and loses it again.
    third.ok("CreateDBInstance", HEAD);
    register(&third, 1);
    third.ok("SwitchoverGlobalCluster", &to(&target));
    here.ok("SwitchoverGlobalCluster", &to(&arn(&here)));
    third.ok("DeleteDBInstance", &[("DBInstanceIdentifier", "head")]);
    let refused = there.code("SwitchoverGlobalCluster", &to(&target));
    assert_eq!(refused, "InvalidDBClusterStateFault");
}

#[test]
fn a_reader_serves_whatever_becomes_of_the_writer_and_never_as_a_primary() {
    let (_, [here, ..]) = pair();
    here.ok("CreateDBInstance", READER);
    record(&here, "head", &Record::Aligned { epoch: 1 });
    here.carry_out("reader");
    let id = here.id("reader");
    let mut standing = here.around.standing(&id.0).unwrap();
    let row = here.row("reader");
    assert_eq!(serving_reader(&row, Some(&standing)), Serving::Open);
    standing.observed.server.as_mut().unwrap().role = Some(Role::Primary);
    assert_ne!(serving_reader(&row, Some(&standing)), Serving::Open);
}

#[test]
fn an_instance_takes_changes_though_its_window_and_its_cluster_s_overlap() {
    let api = Api::new();
    // Whatever window its instance is drawn overlaps it.
    let long = [
        ("DBClusterIdentifier", "shop"),
        ("Engine", "aurora-postgresql"),
        ("MasterUsername", "clerk"),
        ("MasterUserPassword", "correct-horse"),
        ("PreferredBackupWindow", "00:00-23:59"),
        ("PreferredMaintenanceWindow", "mon:23:50-tue:00:20"),
    ];
    let (code, _) = api.refused("CreateDBCluster", &long);
    assert_eq!(
        code, "InvalidParameterCombination",
        "half an hour is left nowhere"
    );
    let made = with(&long, &[("PreferredBackupWindow", "00:20-23:50")]);
    api.ok("CreateDBCluster", &made);
    api.ok("CreateDBInstance", crate::clusters::HEAD);
    api.carry_out("head");
    let named = [("DBInstanceIdentifier", "head")];
    api.ok("ModifyDBInstance", &with(&named, &[("PromotionTier", "3")]));
    let window = [("PreferredMaintenanceWindow", "mon:01:00-mon:02:00")];
    let (code, _) = api.refused("ModifyDBInstance", &with(&named, &window));
    assert_eq!(code, "InvalidParameterCombination");
}
