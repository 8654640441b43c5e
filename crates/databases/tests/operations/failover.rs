//! A reader takes over from the head of its cluster, asked as clients ask, and what the plans of
//! both make of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use databases::model::{ForkPoint, Leading, Lsn, Phase};
use databases::plan::{Duty, Next, Record, Removal, Role, Step, StepKind, Stopped, next_step};
use databases::{Fence, ServerView, Serving, catalogue, keys, lease, serving_cluster};
use types::{Configuration, Environment, Now, Span};

use crate::clusters::{ALONE, HEAD, pair, to};
use crate::support::{Api, Memory, block_on, with};

pub const NAMED: &[(&str, &str)] = &[("DBClusterIdentifier", "shop")];

/// A cluster whose readers, of those names and tiers, follow.
pub fn cluster(readers: &[(&str, &str)]) -> Api {
    let api = Api::new();
    api.ok("CreateDBCluster", ALONE);
    api.ok("CreateDBInstance", HEAD);
    api.carry_out("head");
    for (name, tier) in readers {
        let more = [("DBInstanceIdentifier", *name), ("PromotionTier", *tier)];
        api.ok("CreateDBInstance", &with(HEAD, &more));
        api.carry_out(name);
    }
    api.carry_out("head");
    api
}

/// What comes next of an instance.
pub fn next(api: &Api, name: &str) -> Next {
    let id = api.id(name);
    let wanted = catalogue::wanted(&*api.memory_view(), &*api.global.view(), &id);
    next_step(
        &wanted.unwrap().unwrap(),
        &api.observed(&id),
        api.environment.now(),
    )
}

pub fn row(api: &Api) -> databases::model::Cluster {
    catalogue::clusters(&*api.memory_view())
        .unwrap()
        .remove(0)
        .1
}

/// The head stops in order, its log ending there, and says so.
fn resign(api: &Api, name: &str, end: u64) {
    let id = api.id(name);
    assert_eq!(api.step(&id).map(|step| step.kind()), Some(StepKind::Stop));
    let mut observed = api.observed(&id);
    observed.head.stopped = Some(Stopped {
        end: Lsn(end),
        is_clean: true,
    });
    api.observe(&id, observed);
    let step = api.step(&id);
    assert!(
        matches!(step, Some(Step::Record(Record::Resigned { .. }))),
        "{step:?}"
    );
}

/// A reader has replayed so far.
fn replays(api: &Api, name: &str, to: u64) {
    let id = api.id(name);
    let mut observed = api.observed(&id);
    observed.server.as_mut().unwrap().log.replayed = Some(Lsn(to));
    api.observe(&id, observed);
}

pub fn writer_is_open(api: &Api) -> bool {
    let cluster = row(api);
    let id = cluster.head.clone().unwrap();
    let view = api.memory_view();
    let (_, head) = catalogue::instance(&*view, &id).unwrap().unwrap();
    let standing = api.around.standing(&id.0);
    let global = api.global.view();
    let fence = Fence {
        view: &*global,
        lease: &lease::Lease::default(),
        now: api.environment.now().monotonic,
    };
    let serves = serving_cluster(&cluster, Some((&head, standing.as_ref())), fence);
    serves.unwrap().writer == Serving::Open
}

#[test]
fn a_password_is_written_down_as_set_once_whoever_may_take_over_has_it() {
    let api = cluster(&[("one", "1")]);
    let password = with(NAMED, &[("MasterUserPassword", "battery-staple")]);
    api.ok("ModifyDBCluster", &password);
    let asked = api.row("head").master.verifier;
    let id = api.id("head");
    let mut observed = api.observed(&id);
    observed.head.readers_may_lack = true;
    api.observe(&id, observed);
    let kinds: Vec<StepKind> = api.carry_out("head").iter().map(Step::kind).collect();
    assert_eq!(kinds, [StepKind::SetMaster], "a reader may lack it");
    let sees = |master_at: Option<u64>, readers_have: Option<u64>, may_lack: bool| {
        let mut observed = api.observed(&id);
        observed.head.master_at = master_at.map(Lsn);
        observed.head.readers_have = readers_have.map(Lsn);
        observed.head.readers_may_lack = may_lack;
        api.observe(&id, observed);
        next(&api, "head")
    };
    assert_eq!(sees(Some(100), Some(99), true), Next::Settled);
    let cut_off = sees(Some(100), None, true);
    assert_eq!(cut_off, Next::Settled, "one that was cut off may take over");
    let set = Next::Step(Step::Record(Record::MasterSet { number: 1 }));
    assert_eq!(sees(Some(100), Some(100), true), set);
    let far_behind = sees(Some(100), Some(99), false);
    assert_eq!(far_behind, set, "whoever lacks it takes over from nobody");
    // What takes over before goes on with what was asked for.
    sees(Some(100), Some(99), true);
    let chief = crate::succession::dead(&api, "one");
    crate::succession::sees(&api, "one", &chief);
    for _ in 0..2 {
        api.step(&api.id("one"));
    }
    let taken = api.row("one").master;
    assert_eq!((taken.asked, taken.applied), (1, 0));
    assert_eq!(taken.verifier, asked);
}

#[test]
fn the_reader_of_the_least_tier_takes_over_with_all_that_the_head_had() {
    let api = cluster(&[("one", "2"), ("two", "1"), ("three", "9")]);
    assert!(writer_is_open(&api));
    let password = with(NAMED, &[("MasterUserPassword", "battery-staple")]);
    api.ok("ModifyDBCluster", &password);
    let verifier = api.row("head").master.verifier;
    let told = api.ok("FailoverDBCluster", NAMED);
    assert_eq!(told.text("DBCluster/Status"), "failing-over");
    assert!(!writer_is_open(&api), "sessions end before it stops");
    assert_eq!(
        api.code("FailoverDBCluster", NAMED),
        "InvalidDBClusterStateFault"
    );
    for name in ["head", "two", "three"] {
        let named = [("DBInstanceIdentifier", name)];
        let refused = api.code("DeleteDBInstance", &named);
        assert_eq!(refused, "InvalidDBClusterStateFault");
    }
    resign(&api, "head", 100);
    assert!(
        matches!(next(&api, "head"), Next::WaitUntil(_)),
        "it stays down"
    );
    replays(&api, "two", 99);
    assert!(
        !matches!(next(&api, "two"), Next::Step(_)),
        "it lacks something"
    );
    replays(&api, "one", 100);
    assert!(
        !matches!(next(&api, "one"), Next::Step(_)),
        "it isn't its turn"
    );
    replays(&api, "two", 100);
    let steps = api.carry_out("two");
    let kinds: Vec<StepKind> = steps.iter().map(Step::kind).collect();
    let first = [StepKind::Record, StepKind::Promote, StepKind::KeepSlots];
    assert_eq!(kinds[..3], first, "{steps:?}");
    assert!(writer_is_open(&api));
    let cluster = row(&api);
    assert_eq!(cluster.head, Some(api.id("two")));
    assert_eq!(cluster.readers.len(), 3);
    let taken = api.row("two").master;
    assert_eq!(
        (taken.asked, taken.applied),
        (1, 1),
        "the password went along"
    );
    assert!(verifier.is_some() && api.row("head").master.verifier.is_none());
    let told = api.ok("DescribeDBClusters", &[]);
    let members = "DBClusters/0/DBClusterMembers";
    assert_eq!(
        told.text(&format!("{members}/0/DBInstanceIdentifier")),
        "two"
    );
    assert_eq!(
        told.each(members, "IsClusterWriter"),
        ["true", "false", "false", "false"]
    );
    // The others follow it without being copied anew, and so does the old head.
    for name in ["one", "three"] {
        assert_eq!(next(&api, name), Next::Step(Step::Stop), "{name}");
        let kinds: Vec<StepKind> = api.carry_out(name).iter().map(Step::kind).collect();
        assert!(!kinds.contains(&StepKind::RemoveHome), "{kinds:?}");
        let upstream = api
            .observed(&api.id(name))
            .server
            .unwrap()
            .settings
            .upstream;
        assert_eq!(upstream.unwrap().source, api.row("two").arn);
    }
    assert_eq!(next(&api, "head"), Next::Step(Step::Follow { epoch: 1 }));
    let events = [("SourceType", "db-cluster"), ("Duration", "60")];
    let told = api.ok("DescribeEvents", &events);
    assert_eq!(told.count("Events"), 2);
}

#[test]
fn an_old_head_that_ended_elsewhere_than_it_said_is_copied_anew_and_never_started() {
    let api = cluster(&[("one", "1")]);
    api.ok("FailoverDBCluster", NAMED);
    resign(&api, "head", 100);
    replays(&api, "one", 100);
    api.carry_out("one");
    let id = api.id("head");
    let mut observed = api.observed(&id);
    for (end, is_clean) in [(101, true), (100, false)] {
        let end = Lsn(end);
        observed.head.stopped = Some(Stopped { end, is_clean });
        api.observe(&id, observed.clone());
        let Next::Step(Step::RemoveHome(Removal::Diverged(upstream))) = next(&api, "head") else {
            panic!("{:?}", next(&api, "head"));
        };
        assert_eq!(
            upstream.source,
            api.row("one").arn,
            "which gives leave first"
        );
    }
    // It was the head, and is again: by then it holds what a reader holds.
    observed.head.stopped = None;
    api.observe(&id, observed);
    assert!(matches!(next(&api, "head"), Next::WaitUntil(_)));
}

#[test]
fn a_handover_that_takes_too_long_is_called_off_and_the_head_goes_on() {
    let api = cluster(&[("one", "1")]);
    api.ok("FailoverDBCluster", NAMED);
    resign(&api, "head", 100);
    api.environment.now.fetch_add(60_000, Ordering::Relaxed);
    let steps = api.carry_out("head");
    assert!(
        matches!(steps[0], Step::Record(Record::Kept { .. })),
        "{steps:?}"
    );
    assert!(writer_is_open(&api));
    // Whoever comes late takes nothing.
    let number = 1;
    let id = api.id("one");
    let late = Record::Succeeds { number };
    crate::support::block_on(api.service.record(&id, &late)).unwrap();
    assert_eq!(row(&api).head, Some(api.id("head")));
    api.ok("FailoverDBCluster", NAMED);
    assert_eq!(row(&api).handover.unwrap().number, 2);
    crate::support::block_on(api.service.record(&id, &late)).unwrap();
    assert_eq!(row(&api).head, Some(api.id("head")), "it was another's");
}

#[test]
fn a_handover_is_called_off_however_the_wall_clock_is_set() {
    let api = cluster(&[("one", "1")]);
    api.ok("FailoverDBCluster", NAMED);
    resign(&api, "head", 100);
    let now = api.environment.now();
    let at = |seconds| Now {
        wall: types::Timestamp(now.wall.0 - 3_600_000),
        monotonic: now.monotonic + Span::seconds(seconds),
    };
    let id = api.id("head");
    let wanted = catalogue::wanted(&*api.memory_view(), &*api.global.view(), &id);
    let wanted = wanted.unwrap().unwrap();
    let mut observed = api.observed(&id);
    observed.head.handover = Some(lease::MoveSeen {
        number: 1,
        at: now.monotonic,
    });
    let next = next_step(&wanted, &observed, at(59));
    assert!(matches!(next, Next::WaitUntil(_)), "{next:?}");
    let next = next_step(&wanted, &observed, at(60));
    let Next::Step(Step::Record(Record::Kept { number: 1, .. })) = next else {
        panic!("{next:?}");
    };
}

#[test]
fn a_head_that_isn_t_promoted_yet_is_before_it_hands_over() {
    let api = cluster(&[("one", "1")]);
    api.ok("FailoverDBCluster", NAMED);
    let id = api.id("head");
    let mut observed = api.observed(&id);
    observed.server.as_mut().unwrap().role = Some(Role::Standby);
    api.observe(&id, observed.clone());
    assert_eq!(next(&api, "head"), Next::Step(Step::Promote));
    // What was stopped so is started for that.
    observed.server = None;
    observed.head.stopped = Some(Stopped {
        end: Lsn(100),
        is_clean: false,
    });
    api.observe(&id, observed);
    let Next::Step(Step::Start { .. }) = next(&api, "head") else {
        panic!("{:?}", next(&api, "head"));
    };
}

#[test]
fn who_can_t_take_over_is_refused() {
    let api = cluster(&[]);
    let state = "InvalidDBClusterStateFault";
    assert_eq!(
        api.code("FailoverDBCluster", NAMED),
        state,
        "there is nobody"
    );
    let reader = with(HEAD, &[("DBInstanceIdentifier", "one")]);
    api.ok("CreateDBInstance", &reader);
    assert_eq!(
        api.code("FailoverDBCluster", NAMED),
        state,
        "it is no copy yet"
    );
    api.carry_out("one");
    let id = api.id("one");
    let mut observed = api.observed(&id);
    observed.server.as_mut().unwrap().receives = false;
    api.observe(&id, observed);
    assert_eq!(
        api.code("FailoverDBCluster", NAMED),
        state,
        "it doesn't follow"
    );
    let named = with(NAMED, &[("TargetDBInstanceIdentifier", "head")]);
    assert_eq!(
        api.code("FailoverDBCluster", &named),
        "InvalidDBInstanceState"
    );
    let none = with(NAMED, &[("DBClusterIdentifier", "none")]);
    assert_eq!(
        api.code("FailoverDBCluster", &none),
        "DBClusterNotFoundFault"
    );
    assert!(row(&api).handover.is_none());
    let (_, [here, ..]) = pair();
    let (code, text) = here.refused("FailoverDBCluster", NAMED);
    assert_eq!(code, "InvalidParameterCombination");
    assert!(text.contains("global cluster"), "{text}");
}

#[test]
fn a_reader_that_has_far_to_go_is_not_chosen_since_nobody_could_write_meanwhile() {
    let api = cluster(&[("one", "0"), ("two", "1")]);
    let id = api.id("head");
    let mut observed = api.observed(&id);
    observed.server.as_mut().unwrap().log.written = Some(Lsn(1 << 30));
    api.observe(&id, observed);
    replays(&api, "one", (1 << 30) - (64 << 20) - 1);
    replays(&api, "two", (1 << 30) - (64 << 20));
    let named = with(NAMED, &[("TargetDBInstanceIdentifier", "one")]);
    let refused = api.code("FailoverDBCluster", &named);
    assert_eq!(refused, "InvalidDBClusterStateFault");
    api.ok("FailoverDBCluster", NAMED);
    assert_eq!(row(&api).handover.unwrap().to, api.id("two"));
}

#[test]
fn a_named_reader_takes_over_and_the_first_head_may_again() {
    let api = cluster(&[("one", "1"), ("two", "15")]);
    let named = with(NAMED, &[("TargetDBInstanceIdentifier", "two")]);
    api.ok("FailoverDBCluster", &named);
    resign(&api, "head", 100);
    replays(&api, "two", 100);
    api.carry_out("two");
    assert_eq!(row(&api).head, Some(api.id("two")));
    // The old head has followed by now.
    let record = Record::Aligned { epoch: 1 };
    let id = api.id("head");
    crate::support::block_on(api.service.record(&id, &record)).unwrap();
    let steps = api.carry_out("head");
    assert_eq!(steps[0].kind(), StepKind::Start, "{steps:?}");
    api.carry_out("two");
    let named = with(NAMED, &[("TargetDBInstanceIdentifier", "head")]);
    api.ok("FailoverDBCluster", &named);
    resign(&api, "two", 200);
    replays(&api, "head", 200);
    api.carry_out("head");
    assert_eq!(row(&api).head, Some(id.clone()));
    assert!(writer_is_open(&api));
    let view = api.memory_view();
    let wanted = catalogue::wanted(&*view, &*api.global.view(), &id).unwrap();
    assert_eq!(wanted.unwrap().duty, Duty::Left, "it stands on its own");
    assert_eq!(next(&api, "two"), Next::Step(Step::Follow { epoch: 2 }));
}

fn record(api: &Api, name: &str, record: &Record) {
    block_on(api.service.record(&api.id(name), record)).unwrap();
}

/// A global cluster whose second member has a reader, all of it in line.
fn member() -> (Arc<Memory>, [Api; 3]) {
    let (council, apis) = pair();
    let [here, there, _] = &apis;
    there.ok(
        "CreateDBInstance",
        &with(HEAD, &[("DBInstanceIdentifier", "one")]),
    );
    here.carry_out("head");
    for name in ["head", "one"] {
        there.carry_out(name);
        record(there, name, &Record::Aligned { epoch: 1 });
        let id = there.id(name);
        let mut observed = there.observed(&id);
        observed.server.as_mut().unwrap().receives = true;
        observed.head.confirmed = Some(1);
        there.observe(&id, observed);
    }
    (council, apis)
}

#[test]
fn a_member_that_only_follows_has_a_reader_for_its_head_and_nobody_stops_for_that() {
    let (council, [here, there, _]) = member();
    let (code, text) = here.refused("FailoverDBCluster", NAMED);
    assert_eq!(code, "InvalidParameterCombination", "it writes");
    assert!(
        text.contains("primary cluster of a global cluster"),
        "{text}"
    );
    let told = there.ok("FailoverDBCluster", NAMED);
    assert_eq!(told.text("DBCluster/Status"), "failing-over");
    let (old, new) = (there.id("head"), there.id("one"));
    let arn = row(&there).arn;
    let known = || {
        let row = crate::clusters::row(&council);
        row.member(&arn).unwrap().head.clone().unwrap()
    };
    let Some(Step::Record(Record::Names { head })) = there.step(&old) else {
        panic!("{:?}", next(&there, "head"));
    };
    assert_eq!((known(), head.epoch), (head, 1));
    assert_eq!(known().resource_id, new);
    // By now nothing is said of what the old head has, whenever it was proposed.
    here.ok("SwitchoverGlobalCluster", &to(&arn.to_string()));
    let moving = || crate::clusters::row(&council).moving.unwrap();
    let (number, lsn) = (moving().number, Lsn(7));
    record(&here, "head", &Record::Drained { number, lsn });
    record(&there, "head", &Record::Promoting { number });
    assert_eq!(moving().phase, Phase::Drained { lsn });
    assert_eq!(
        there.step(&old),
        Some(Step::Record(Record::Yields { number: 1 }))
    );
    let cluster = row(&there);
    assert_eq!((cluster.head, cluster.handover), (Some(new.clone()), None));
    assert_eq!(cluster.readers, [old.clone()].into());
    let wanted = |id| {
        let found = catalogue::wanted(&*there.memory_view(), &*council.view(), id);
        found.unwrap().unwrap().duty
    };
    let Duty::TakeOver(takeover) = wanted(&new) else {
        panic!("{:?}", wanted(&new));
    };
    assert_eq!(takeover.following.upstream.source, here.row("head").arn);
    assert!(matches!(wanted(&old), Duty::Read(_)));
    let leads = there.row("head").headship.unwrap().leads;
    assert_eq!(leads, Some(Leading::NOTHING), "it may have received more");
    let events = [("SourceType", "db-cluster"), ("Duration", "60")];
    let told = there.ok("DescribeEvents", &events);
    let messages = told.each("Events", "Message");
    let completed = "Completed failover to DB instance: one";
    assert!(messages.iter().any(|it| it == completed), "{messages:?}");
}

#[test]
fn a_member_s_handover_is_called_off_when_its_global_cluster_moves() {
    let (council, [here, there, _]) = member();
    there.ok("FailoverDBCluster", NAMED);
    let arn = row(&there).arn.to_string();
    here.ok("SwitchoverGlobalCluster", &to(&arn));
    let (code, _) = there.refused("FailoverDBCluster", NAMED);
    assert_eq!(code, "InvalidDBClusterStateFault");
    let old = there.id("head");
    let step = there.step(&old);
    let Some(Step::Record(Record::Kept { number: 1, .. })) = step else {
        panic!("{step:?}");
    };
    assert!(row(&there).handover.is_none());
    // One that is the writer by now doesn't hand over either.
    here.ok("SwitchoverGlobalCluster", &to(&crate::clusters::arn(&here)));
    there.ok("FailoverDBCluster", NAMED);
    let mut view = council.view_now();
    let (key, mut global) = {
        let row = crate::clusters::row(&council);
        (keys::global_cluster(row.account, &row.identifier), row)
    };
    global.writer = Some(row(&there).arn);
    view.revision += 1;
    view.entries
        .insert(key, (view.revision, databases::encode(&global)));
    council.set(view);
    let wanted = catalogue::wanted(&*there.memory_view(), &*council.view(), &old);
    let duty = wanted.unwrap().unwrap().duty;
    assert!(matches!(duty, Duty::CallOff(_)), "{duty:?}");
    let step = there.step(&old);
    let Some(Step::Record(Record::Kept { .. })) = step else {
        panic!("{step:?}");
    };
}

#[test]
fn who_yielded_and_had_more_has_it_kept_before_it_is_copied_anew() {
    let (council, [here, there, _]) = member();
    there.ok("FailoverDBCluster", NAMED);
    let old = there.id("head");
    there.step(&old);
    there.step(&old);
    // The new head takes over with less than the old one had.
    let arn = row(&there).arn.to_string();
    let mut asked = to(&arn);
    asked.push(("AllowDataLoss", "true"));
    there.ok("FailoverGlobalCluster", &asked);
    record(&here, "head", &Record::Fenced { number: 1 });
    record(&there, "one", &Record::Promoting { number: 1 });
    let leading = Leading {
        epoch: 2,
        number: 1,
    };
    record(&there, "one", &Record::Leading(leading));
    let point = ForkPoint {
        timeline: 2,
        lsn: Lsn(100),
    };
    record(&there, "one", &Record::Leads { number: 1, point });
    assert_eq!(crate::clusters::row(&council).epoch, 2);
    let mut observed = there.observed(&old);
    observed.head.confirmed = Some(1);
    observed.server.as_mut().unwrap().receives = false;
    let wanted = |api: &Api| {
        let found = catalogue::wanted(&*api.memory_view(), &*council.view(), &old);
        found.unwrap().unwrap()
    };
    let Duty::Read(reading) = wanted(&there).duty else {
        panic!("{:?}", wanted(&there).duty);
    };
    let server = observed.server.as_mut().unwrap();
    server.settings.upstream = Some(reading.following.upstream);
    server.log.replayed = Some(Lsn(101));
    let step = |observed: &_| match next_step(&wanted(&there), observed, there.environment.now()) {
        Next::Step(Step::Record(told)) => {
            record(&there, "head", &told);
            Step::Record(told)
        }
        Next::Step(step) => step,
        next => panic!("{next:?}"),
    };
    let beyond = Record::Beyond { base: 1 };
    assert_eq!(step(&observed), Step::Record(beyond));
    assert_eq!(step(&observed), Step::Stop);
    observed.server = None;
    let from = Lsn(100);
    assert_eq!(step(&observed), Step::KeepTail { base: 1, from });
    observed.head.tails.insert(1, from);
    let Step::RemoveHome(Removal::Diverged(upstream)) = step(&observed) else {
        panic!("it is copied anew");
    };
    assert_eq!(upstream.source, there.row("one").arn);
}
