//! Failovers without a majority of the sites, asked as clients ask: what is refused there and what
//! isn't, what is shown of it, and how it is settled once a majority is heard.

use std::sync::Arc;

use databases::automatic::Hearing;
use databases::catalogue;
use databases::lease::{self, MoveSeen, TAKEOVER_WAIT};
use databases::model::{ForkPoint, Leading, Lsn, MoveKind, Phase};
use databases::plan::{
    Duty, Home, LogSeen, Next, Observed, Record, Role, ServerSeen, Step, Wanted, next_step,
};
use types::{Configuration, ConfigurationError, Environment, Monotonic, Span};

use crate::clusters::{NAMED, arn, pair, register, row, to};
use crate::support::{Api, Memory, block_on, with};

/// Nothing is decided any more, and the second Region has noticed.
fn cut_off() -> (Arc<Memory>, [Api; 3]) {
    let (council, apis) = pair();
    tell(&apis[1], Record::Aligned { epoch: 1 });
    council.fail(Some(ConfigurationError::NoMajority));
    let there = &apis[1];
    *there.around.unheard_since.lock().unwrap() = Some(Monotonic(0));
    pass(there, databases::forced::UNHEARD);
    (council, apis)
}

fn pass(api: &Api, span: Span) {
    let clock = &api.environment.now;
    clock.fetch_add(span.0 / 1000, std::sync::atomic::Ordering::Relaxed);
}

fn tell(api: &Api, record: Record) {
    block_on(api.service.record(&api.id("head"), &record)).unwrap();
}

fn loses(arn: &str) -> Vec<(&str, &str)> {
    with(&to(arn), &[("AllowDataLoss", "true")])
}

fn wanted(council: &Memory, api: &Api) -> Wanted {
    let global = council.view();
    let found = catalogue::wanted(&*api.memory_view(), &*global, &api.id("head"));
    found.unwrap().unwrap()
}

/// A standby that runs, or the primary that it was promoted to; the move was first seen then.
fn seen(council: &Memory, api: &Api, role: Role, at: Monotonic) -> Observed {
    let wanted = wanted(council, api);
    let mut observed = Observed::nothing();
    observed.home = Home::Whole;
    observed.head.confirmed = Some(1);
    let number = wanted.duty.move_number();
    observed.head.moving = MoveSeen::next(None, number, at);
    let fork = ForkPoint {
        timeline: 2,
        lsn: Lsn(80),
    };
    observed.server = Some(ServerSeen {
        generation: wanted.instance.generation,
        role: Some(role),
        settings: Default::default(),
        awaits_restart: Default::default(),
        slots: Default::default(),
        receives: false,
        is_paused: false,
        master_set: None,
        log: LogSeen {
            fork: (role == Role::Primary).then_some(fork),
            ..LogSeen::default()
        },
    });
    observed
}

fn planned(council: &Memory, api: &Api, observed: &Observed) -> Next {
    next_step(&wanted(council, api), observed, api.environment.now())
}

fn next_record(council: &Memory, api: &Api, observed: &Observed) -> Record {
    match planned(council, api, observed) {
        Next::Step(Step::Record(record)) => record,
        next => panic!("{next:?}"),
    }
}

/// Has the second Region's head be promoted by force, by its plan.
fn forced() -> (Arc<Memory>, [Api; 3]) {
    let (council, apis) = cut_off();
    let there = &apis[1];
    there.ok("FailoverGlobalCluster", &loses(&arn(there)));
    let began = there.environment.now().monotonic;
    let observed = seen(&council, there, Role::Standby, began);
    let next = planned(&council, there, &observed);
    assert_eq!(next, Next::WaitUntil(began + TAKEOVER_WAIT));
    pass(there, TAKEOVER_WAIT);
    let record = next_record(&council, there, &observed);
    assert!(matches!(record, Record::Leading(_)), "{record:?}");
    tell(there, record);
    let next = planned(&council, there, &observed);
    assert_eq!(next, Next::Step(Step::Promote));
    let observed = seen(&council, there, Role::Primary, began);
    let record = next_record(&council, there, &observed);
    assert!(matches!(record, Record::Forced { .. }), "{record:?}");
    tell(there, record);
    (council, apis)
}

/// The majority is heard again.
fn heal(council: &Memory, api: &Api) {
    council.fail(None);
    *api.around.unheard_since.lock().unwrap() = Some(api.environment.now().monotonic);
    settle(council, api);
}

/// What was forced is settled, as far as the majority is heard now.
fn settle(council: &Memory, api: &Api) {
    let now = api.environment.now().monotonic;
    let mut hearing = Hearing::default();
    hearing.decided(now, council.view_now().revision);
    block_on(api.service.settle_forced(hearing, now)).unwrap();
}

/// The old writer's Region has its lease renewed for the `renewals`th time.
fn renew(council: &Memory, renewals: u64) {
    let edit = lease::edit("us-east-1".parse().unwrap(), renewals, renewals);
    block_on(council.propose(vec![edit])).unwrap();
}

#[test]
fn without_a_majority_only_leave_to_lose_data_goes_on_and_only_in_the_target_s_region() {
    let (_, [here, there, third]) = cut_off();
    let target = arn(&there);
    for (operation, parameters) in [
        ("SwitchoverGlobalCluster", to(&target)),
        ("FailoverGlobalCluster", to(&target)),
        ("FailoverGlobalCluster", loses(&arn(&here))),
    ] {
        let (code, text) = there.refused(operation, &parameters);
        assert_eq!(code, "InvalidGlobalClusterStateFault");
        assert!(text.contains("majority"), "{text}");
    }
    // One that hasn't noticed yet is to be asked again.
    let (code, text) = third.refused("FailoverGlobalCluster", &loses(&target));
    assert_eq!(code, "Throttling");
    assert!(text.contains("majority"), "{text}");
    *third.around.unheard_since.lock().unwrap() = Some(Monotonic(0));
    pass(&third, databases::forced::UNHEARD);
    let (code, text) = third.refused("FailoverGlobalCluster", &loses(&target));
    assert_eq!(code, "InvalidGlobalClusterStateFault");
    assert!(text.ends_with("ask in Region eu-west-1."), "{text}");
    // The writer itself writes again by its lease alone.
    *here.around.unheard_since.lock().unwrap() = Some(Monotonic(0));
    pass(&here, databases::forced::UNHEARD);
    let (code, text) = here.refused("FailoverGlobalCluster", &loses(&arn(&here)));
    assert_eq!(code, "InvalidDBClusterStateFault");
    assert!(text.contains("already"), "{text}");
}

#[test]
fn one_that_is_no_copy_or_amid_a_move_is_not_forced() {
    let (council, [_, there, third]) = cut_off();
    council.fail(None);
    third.ok("FailoverGlobalCluster", &loses(&arn(&there)));
    council.fail(Some(ConfigurationError::NoMajority));
    let code = there.code("FailoverGlobalCluster", &loses(&arn(&there)));
    assert_eq!(code, "InvalidGlobalClusterStateFault");
    council.fail(None);
    let number = row(&council).moving.unwrap().number;
    tell(
        &there,
        Record::Cancelled {
            number,
            reason: "why".to_owned(),
        },
    );
    council.fail(Some(ConfigurationError::NoMajority));
    // It was promoted for nothing, and holds what nobody knows.
    tell(&there, Record::Leading(Leading { epoch: 2, number }));
    let code = there.code("FailoverGlobalCluster", &loses(&arn(&there)));
    assert_eq!(code, "InvalidDBClusterStateFault");
    tell(&there, Record::Aligned { epoch: 1 });
    there.ok("FailoverGlobalCluster", &loses(&arn(&there)));
    let code = there.code("FailoverGlobalCluster", &loses(&arn(&there)));
    assert_eq!(code, "InvalidGlobalClusterStateFault", "it is on its way");
    // Its copy is gone before it is promoted: nothing comes of it.
    let mut observed = seen(&council, &there, Role::Standby, Monotonic(0));
    observed.home = Home::Absent;
    let record = next_record(&council, &there, &observed);
    assert!(matches!(record, Record::Unforced { .. }), "{record:?}");
    tell(&there, record);
    assert!(matches!(wanted(&council, &there).duty, Duty::Follow(_)));
    let last = there.messages("db-cluster").pop().unwrap();
    assert!(
        last.starts_with("Global failover by force is cancelled: "),
        "{last}"
    );
}

#[test]
fn a_writer_by_force_is_shown_beside_the_council_s_and_becomes_it_once_a_majority_is_heard() {
    let (council, [here, there, _]) = forced();
    let told = there.ok("DescribeGlobalClusters", NAMED);
    let members = "GlobalClusters/0/GlobalClusterMembers";
    assert_eq!(told.each(members, "IsWriter"), ["true", "true"]);
    assert_eq!(told.text("GlobalClusters/0/Status"), "failing-over");
    let state = "GlobalClusters/0/FailoverState";
    assert_eq!(told.text(&format!("{state}/ToDbClusterArn")), arn(&there));
    assert_eq!(told.text(&format!("{state}/IsDataLossAllowed")), "true");
    let told = here.ok("DescribeGlobalClusters", NAMED);
    assert_eq!(told.each(members, "IsWriter"), ["false", "true"]);
    let told = there.messages("db-cluster");
    assert!(
        told[0].contains("DB cluster shop in Region us-east-1 may write as well"),
        "{told:?}"
    );
    assert!(
        told[1].ends_with("was promoted by force, and takes writes."),
        "{told:?}"
    );
    // It needs nothing more, whoever it keeps slots for.
    let now = there.environment.now().monotonic;
    let mut observed = seen(&council, &there, Role::Primary, now);
    let slots = wanted(&council, &there).duty.slots().cloned().unwrap();
    assert_eq!(slots.len(), 1);
    observed.server.as_mut().unwrap().slots = slots;
    let next = planned(&council, &there, &observed);
    assert!(
        !matches!(next, Next::Step(Step::Stop | Step::Promote)),
        "{next:?}"
    );

    heal(&council, &there);
    let moving = row(&council).moving.unwrap();
    assert_eq!(
        (moving.kind, moving.number, moving.phase),
        (MoveKind::Failover, 1, Phase::Fencing)
    );
    // The old writer stops first, or its lease is waited out; this one goes on meanwhile.
    let now = there.environment.now().monotonic;
    let mut observed = seen(&council, &there, Role::Primary, now);
    let next = planned(&council, &there, &observed);
    assert!(matches!(next, Next::Step(Step::KeepSlots(_))), "{next:?}");
    observed.server.as_mut().unwrap().slots =
        wanted(&council, &there).duty.slots().cloned().unwrap();
    let next = planned(&council, &there, &observed);
    assert!(
        !matches!(next, Next::Step(Step::Record(Record::Promoting { .. }))),
        "{next:?}"
    );
    tell(&here, Record::Fenced { number: 1 });
    for _ in 0..2 {
        let record = next_record(&council, &there, &observed);
        tell(&there, record);
    }
    let now = row(&council);
    assert_eq!((now.epoch, now.moving, now.forks.len()), (2, None, 1));
    assert_eq!(now.writer.unwrap().to_string(), arn(&there));
    assert!(matches!(
        wanted(&council, &there).duty,
        Duty::Lead { epoch: 2, .. }
    ));
    settle(&council, &there);
    let told = there.ok("DescribeGlobalClusters", NAMED);
    assert_eq!(told.each(members, "IsWriter"), ["true", "false"]);
    assert_eq!(told.text("GlobalClusters/0/Status"), "available");
    let last = there.messages("db-cluster").pop().unwrap();
    assert!(
        last.ends_with("this DB cluster writes for its global cluster."),
        "{last}"
    );
    register(&there, 2);
}

#[test]
fn a_writer_by_force_that_lost_keeps_what_it_took_before_anything_else_happens() {
    let (council, [here, there, _]) = forced();
    // Taken back where it was asked for: the old writer is named.
    there.ok("FailoverGlobalCluster", &loses(&arn(&here)));
    heal(&council, &there);
    assert_eq!(row(&council).moving, None);
    let now = there.environment.now().monotonic;
    let mut observed = seen(&council, &there, Role::Primary, now);
    let next = planned(&council, &there, &observed);
    assert_eq!(next, Next::Step(Step::Stop));
    observed.server = None;
    observed.head.stopped = Some(databases::plan::Stopped {
        end: Lsn(120),
        is_clean: true,
    });
    let next = planned(&council, &there, &observed);
    let Next::Step(Step::KeepTail { base, from }) = next else {
        panic!("{next:?}");
    };
    assert!(databases::model::Forced::is_number(base) && from == Lsn(80));
    // What was kept of the epoch that it followed, or of another forced one, is no part of it.
    observed
        .head
        .tails
        .extend([(1, Lsn(7)), (base + 1, Lsn(7))]);
    assert!(matches!(
        planned(&council, &there, &observed),
        Next::Step(Step::KeepTail { .. })
    ));
    observed.head.tails.insert(base, from);
    let next = planned(&council, &there, &observed);
    assert!(matches!(next, Next::Step(Step::RemoveHome(_))), "{next:?}");
    let is_shown = || {
        let told = there.ok("DescribeGlobalClusters", NAMED);
        told.text("GlobalClusters/0/Status") == "failing-over"
    };
    settle(&council, &there);
    assert!(is_shown(), "it holds what nobody else does");
    observed.home = Home::Absent;
    tell(&there, next_record(&council, &there, &observed));
    settle(&council, &there);
    assert!(!is_shown());
    let last = there.messages("db-cluster").pop().unwrap();
    assert!(last.ends_with("is kept, and listed as lost."), "{last}");
}

#[test]
fn by_an_older_configuration_than_it_was_forced_by_it_does_nothing() {
    let (council, [_, there, _]) = forced();
    let held = council.view_now();
    let mut older = held.clone();
    older.revision -= 1;
    council.set(older);
    assert_eq!(wanted(&council, &there).duty, Duty::Await);
    settle(&council, &there);
    council.set(held);
    assert!(matches!(wanted(&council, &there).duty, Duty::Forced(_)));
}

#[test]
fn a_majority_that_is_heard_before_it_was_promoted_makes_it_a_failover_as_any_other() {
    let (council, [here, there, _]) = cut_off();
    there.ok("FailoverGlobalCluster", &loses(&arn(&there)));
    heal(&council, &there);
    assert!(matches!(wanted(&council, &there).duty, Duty::TakeOver(_)));
    tell(&here, Record::Fenced { number: 1 });
    tell(&there, Record::Promoting { number: 1 });
    tell(
        &there,
        Record::Leading(Leading {
            epoch: 2,
            number: 1,
        }),
    );
    let point = ForkPoint {
        timeline: 2,
        lsn: Lsn(80),
    };
    tell(&there, Record::Leads { number: 1, point });
    settle(&council, &there);
    let told = there.ok("DescribeGlobalClusters", NAMED);
    assert_eq!(told.text("GlobalClusters/0/Status"), "available");
    assert_eq!(row(&council).epoch, 2);
}

#[test]
fn an_old_writer_that_went_on_stays_the_writer_if_it_goes_on_still() {
    let asked = |renewals: u64, goes_on: bool| {
        let (council, [_, there, _]) = forced();
        council.fail(None);
        renew(&council, renewals);
        let now = there.environment.now().monotonic;
        let mut hearing = Hearing::default();
        hearing.decided(now, council.view_now().revision);
        let settle = |now| block_on(there.service.settle_forced(hearing, now)).unwrap();
        settle(now);
        if goes_on {
            renew(&council, renewals + 1);
            settle(now);
        }
        let is_asked = row(&council).moving.is_some();
        let is_over = !matches!(wanted(&council, &there).duty, Duty::Forced(_));
        // One that is silent since is failed over from.
        hearing.decided(now + Span::seconds(1), 1);
        hearing.decided(now + Span::seconds(2), 1);
        hearing.decided(now + Span::seconds(3), 1);
        let late = now + TAKEOVER_WAIT;
        block_on(there.service.settle_forced(hearing, late)).unwrap();
        let is_asked_late = row(&council).moving.is_some();
        (
            is_asked,
            is_over,
            is_asked_late,
            there.messages("db-cluster").pop(),
        )
    };
    let went_on = databases::forced::WENT_ON;
    let (is_asked, is_over, ..) = asked(went_on, true);
    assert!(is_asked && !is_over, "it may not have been heard before");
    let (is_asked, is_over, is_asked_late, _) = asked(went_on + 1, false);
    assert!(!is_asked && !is_over && is_asked_late);
    let (is_asked, is_over, is_asked_late, last) = asked(went_on + 1, true);
    assert!(!is_asked && is_over && !is_asked_late);
    let last = last.unwrap();
    assert!(last.contains("gives way: DB cluster shop in Region us-east-1 went on"));
}

#[test]
fn a_configuration_from_before_the_majority_was_heard_settles_nothing() {
    let (council, [_, there, _]) = forced();
    council.fail(None);
    let now = there.environment.now().monotonic;
    let mut hearing = Hearing::default();
    hearing.decided(now, council.view_now().revision + 1);
    block_on(there.service.settle_forced(hearing, now)).unwrap();
    assert_eq!(row(&council).moving, None);
    block_on(there.service.settle_forced(Hearing::default(), now)).unwrap();
    assert_eq!(row(&council).moving, None);
}

#[test]
fn naming_the_old_writer_takes_it_back_also_once_the_majority_is_heard() {
    let (council, [here, there, _]) = forced();
    council.fail(None);
    *there.around.unheard_since.lock().unwrap() = Some(there.environment.now().monotonic);
    there.ok("FailoverGlobalCluster", &loses(&arn(&here)));
    assert!(matches!(wanted(&council, &there).duty, Duty::Follow(_)));
    settle(&council, &there);
    assert_eq!(row(&council).moving, None);
}

#[test]
fn the_head_of_a_writer_by_force_is_not_deleted_unless_it_has_failed() {
    let (council, [_, there, _]) = forced();
    council.fail(None);
    let delete = [
        ("DBInstanceIdentifier", "head"),
        ("SkipFinalSnapshot", "true"),
    ];
    let (code, text) = there.refused("DeleteDBInstance", &delete);
    assert_eq!(code, "InvalidDBClusterStateFault");
    assert!(text.contains("made a writer by force"), "{text}");
    assert!(matches!(wanted(&council, &there).duty, Duty::Forced(_)));
    let reason = "why".to_owned();
    tell(&there, Record::Failed { reason });
    there.ok("DeleteDBInstance", &delete);
    settle(&council, &there);
    assert_eq!(row(&council).moving, None, "nobody would take over");
}

#[test]
fn one_that_was_served_and_whose_data_are_gone_has_failed_and_nothing_takes_their_place() {
    let (council, [_, there, _]) = forced();
    let now = there.environment.now().monotonic;
    let mut observed = seen(&council, &there, Role::Primary, now);
    observed.home = Home::Absent;
    let next = planned(&council, &there, &observed);
    assert_eq!(next, Next::Step(Step::Stop));
    observed.server = None;
    let record = next_record(&council, &there, &observed);
    assert!(matches!(record, Record::Failed { .. }), "{record:?}");
    tell(&there, record);
    assert_eq!(planned(&council, &there, &observed), Next::Settled);
    heal(&council, &there);
    assert_eq!(row(&council).moving, None);
    let last = there.messages("db-cluster").pop().unwrap();
    assert!(
        last.contains("gives way: its DB instance has failed"),
        "{last}"
    );
    // What its readers have may be all there is: nothing of it is made anew unasked.
    assert_eq!(planned(&council, &there, &observed), Next::Settled);
}

#[test]
fn amid_a_promotion_by_force_a_look_without_its_home_fails_nothing_and_a_majority_is_heeded() {
    let (council, [here, there, _]) = cut_off();
    there.ok("FailoverGlobalCluster", &loses(&arn(&there)));
    let began = there.environment.now().monotonic;
    let mut observed = seen(&council, &there, Role::Standby, began);
    pass(&there, TAKEOVER_WAIT);
    tell(&there, next_record(&council, &there, &observed));
    observed.home = Home::Unreadable;
    let next = planned(&council, &there, &observed);
    assert_eq!(next, Next::Step(Step::Promote));
    // Before it is: the old writer is waited for.
    observed.home = Home::Whole;
    heal(&council, &there);
    let now = there.environment.now().monotonic;
    let observed = seen(&council, &there, Role::Standby, now);
    let next = planned(&council, &there, &observed);
    assert_eq!(next, Next::WaitUntil(now + TAKEOVER_WAIT));
    tell(&here, Record::Fenced { number: 1 });
    let next = planned(&council, &there, &observed);
    assert_eq!(next, Next::Step(Step::Promote));
}
