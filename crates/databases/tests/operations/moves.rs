//! Moves of a writer's role that come to nothing or go another way than was asked, clusters that
//! are made twice at once, and what is told of all that.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use databases::catalogue;
use databases::model::{ForkPoint, Leading, Lsn, Phase};
use databases::plan::{
    Home, LogSeen, Next, Observed, Record, Removal, Role, ServerSeen, Step, Stopped, is_a_copy,
    next_step,
};
use types::{Configuration, ConfigurationEdit, ConfigurationView, Environment, Proposal};

use crate::clusters::{FIRST, GLOBAL, HEAD, arn, pair, row, to};
use crate::support::{Api, Memory, block_on, owner, with};

fn tell(api: &Api, record: Record) {
    block_on(api.service.record(&api.id("head"), &record)).unwrap();
}

fn leading(number: u64) -> Record {
    Record::Leading(Leading { epoch: 2, number })
}

fn failing_over(arn: &str) -> Vec<(&str, &str)> {
    with(&to(arn), &[("AllowDataLoss", "true")])
}

#[test]
fn a_move_is_taken_back_by_naming_the_old_writer_whatever_its_phase() {
    let (council, [here, there, third]) = pair();
    let (from, target) = (arn(&here), arn(&there));
    for (kind, parameters) in [
        ("SwitchoverGlobalCluster", to(&target)),
        ("FailoverGlobalCluster", failing_over(&target)),
    ] {
        third.ok(kind, &parameters);
        assert!(row(&council).moving.is_some());
        third.ok(kind, &with(&parameters, &to(&from)));
        assert_eq!(row(&council).moving, None);
    }
    // Also when the target was promoted meanwhile: its word comes too late.
    third.ok("FailoverGlobalCluster", &failing_over(&target));
    tell(&here, Record::Fenced { number: 3 });
    tell(&there, Record::Promoting { number: 3 });
    tell(&there, leading(3));
    third.ok("SwitchoverGlobalCluster", &to(&from));
    let point = ForkPoint {
        timeline: 2,
        lsn: Lsn(7),
    };
    tell(&there, Record::Leads { number: 3, point });
    let now = row(&council);
    assert_eq!((now.epoch, now.moving, now.forks.len()), (1, None, 0));
    assert_eq!(now.writer.unwrap().to_string(), from);
    assert_eq!(
        third.code("SwitchoverGlobalCluster", &to(&from)),
        "InvalidDBClusterStateFault",
        "there is nothing to take back"
    );
}

#[test]
fn once_its_target_is_promoted_the_target_alone_can_call_a_move_off() {
    let (council, [here, there, third]) = pair();
    let (lsn, number) = (Lsn(7), 1);
    third.ok("SwitchoverGlobalCluster", &to(&arn(&there)));
    tell(&here, Record::Drained { number, lsn });
    tell(&there, Record::Promoting { number });
    let cancelled = || Record::Cancelled {
        number,
        reason: "it took too long".to_owned(),
    };
    tell(&here, cancelled());
    let phase = row(&council).moving.map(|moving| moving.phase);
    assert_eq!(phase, Some(Phase::Promoting));
    tell(&there, cancelled());
    assert_eq!(row(&council).moving, None);
}

#[test]
fn one_that_was_further_than_its_history_stands_becomes_no_writer() {
    let (council, [here, there, third]) = pair();
    third.ok("CreateDBCluster", crate::clusters::SECOND);
    third.ok("CreateDBInstance", HEAD);
    crate::clusters::register(&third, 1);
    for api in [&there, &third] {
        tell(api, Record::Aligned { epoch: 1 });
    }
    let moves = |api: &Api, number: u64, epoch: u64, lsn: u64| {
        here.ok("FailoverGlobalCluster", &failing_over(&arn(api)));
        tell(&here, Record::Fenced { number });
        tell(api, Record::Promoting { number });
        tell(api, Record::Leading(Leading { epoch, number }));
        let (timeline, lsn) = (2, Lsn(lsn));
        let point = ForkPoint { timeline, lsn };
        tell(api, Record::Leads { number, point });
    };
    moves(&there, 1, 2, 80);
    assert_eq!(row(&council).epoch, 2);
    let writer = row(&council).writer;
    here.ok("FailoverGlobalCluster", &failing_over(&arn(&third)));
    let number = 2;
    tell(&there, Record::Fenced { number });
    tell(&third, Record::Promoting { number });
    tell(&third, Record::Leading(Leading { epoch: 3, number }));
    let point = |lsn| ForkPoint {
        timeline: 2,
        lsn: Lsn(lsn),
    };
    let leads = |lsn| Record::Leads {
        number,
        point: point(lsn),
    };
    tell(&third, leads(81));
    assert_eq!((row(&council).epoch, row(&council).writer), (2, writer));
    // Its plan says so, and calls the move off.
    let mut observed = seen(&third, Home::Whole);
    observed.server = Some(primary(&third));
    observed.server.as_mut().unwrap().log.fork = Some(point(81));
    let next = planned(&council, &third, &observed);
    assert!(
        matches!(
            &next,
            Next::Step(Step::Record(Record::Cancelled { number: 2, .. }))
        ),
        "{next:?}"
    );
    observed.server.as_mut().unwrap().log.fork = Some(point(80));
    assert_eq!(
        planned(&council, &third, &observed),
        Next::Step(Step::Record(leads(80)))
    );
}

fn seen(api: &Api, home: Home) -> Observed {
    let mut observed = Observed::nothing();
    observed.home = home;
    observed.head.confirmed = Some(1);
    observed.head.stopped = (home == Home::Whole).then_some(Stopped {
        end: Lsn(90),
        is_clean: true,
    });
    assert!(api.row("head").headship.is_some());
    observed
}

pub fn primary(api: &Api) -> ServerSeen {
    ServerSeen {
        generation: api.row("head").generation,
        role: Some(Role::Primary),
        settings: Default::default(),
        awaits_restart: Default::default(),
        slots: Default::default(),
        receives: false,
        is_paused: false,
        master_set: None,
        log: LogSeen::default(),
    }
}

fn planned(council: &Memory, api: &Api, observed: &Observed) -> Next {
    let global = council.view();
    let wanted = catalogue::wanted(&*api.memory_view(), &*global, &api.id("head"));
    next_step(&wanted.unwrap().unwrap(), observed, api.environment.now())
}

#[test]
fn the_copy_of_one_that_was_to_lead_stays_until_nobody_can_need_it() {
    let (council, [here, there, third]) = pair();
    tell(&there, Record::Aligned { epoch: 1 });
    third.ok("FailoverGlobalCluster", &failing_over(&arn(&there)));
    tell(&there, Record::Promoting { number: 1 });
    // It can't be read for now: that says nothing of what is there.
    let next = planned(&council, &there, &seen(&there, Home::Unreadable));
    assert!(matches!(next, Next::WaitUntil(_)), "{next:?}");
    tell(&there, leading(1));
    third.ok("FailoverGlobalCluster", &failing_over(&arn(&here)));
    // Another move is under way: nothing is removed before it has arrived.
    third.ok("CreateDBCluster", crate::clusters::SECOND);
    third.ok("CreateDBInstance", HEAD);
    crate::clusters::register(&third, 1);
    third.ok("FailoverGlobalCluster", &failing_over(&arn(&third)));
    let observed = seen(&there, Home::Whole);
    let next = planned(&council, &there, &observed);
    assert!(matches!(next, Next::WaitUntil(_)), "{next:?}");
    third.ok("FailoverGlobalCluster", &failing_over(&arn(&here)));
    // Then only once the writer, which has it all, gives leave to copy it anew.
    let next = planned(&council, &there, &observed);
    let Next::Step(Step::RemoveHome(Removal::Diverged(upstream))) = next else {
        panic!("{next:?}");
    };
    assert_eq!(upstream.source, here.row("head").arn);
    // By a configuration that is older than what this process knows to be decided, nothing is.
    let mut early = observed.clone();
    early.head.confirmed = Some(1000);
    let next = planned(&council, &there, &early);
    assert!(matches!(next, Next::WaitUntil(_)), "{next:?}");
    // Where the latest history left the writer's, what it has from there on is kept first.
    third.ok("FailoverGlobalCluster", &failing_over(&arn(&third)));
    tell(&third, Record::Aligned { epoch: 1 });
    let number = row(&council).moving.unwrap().number;
    tell(&here, Record::Fenced { number });
    tell(&third, Record::Promoting { number });
    tell(&third, Record::Leading(Leading { epoch: 2, number }));
    let point = ForkPoint {
        timeline: 2,
        lsn: Lsn(80),
    };
    tell(&third, Record::Leads { number, point });
    let (base, from) = (1, Lsn(80));
    let keeps = Next::Step(Step::KeepTail { base, from });
    assert_eq!(planned(&council, &there, &observed), keeps);
    let mut kept = observed.clone();
    // One that begins later isn't all of it, and one that begins sooner is.
    kept.head.tails.insert(1, Lsn(81));
    assert_eq!(planned(&council, &there, &kept), keeps);
    kept.head.tails.insert(1, Lsn(79));
    let next = planned(&council, &there, &kept);
    let Next::Step(Step::RemoveHome(Removal::Diverged(upstream))) = &next else {
        panic!("{next:?}");
    };
    // While leave is asked for it is removed, and stands alone with what it has from then on.
    let is_next = || {
        let global = council.view();
        let wanted = catalogue::wanted(&*there.memory_view(), &*global, &there.id("head"));
        let wanted = wanted.unwrap().unwrap();
        let step = Step::RemoveHome(Removal::Diverged(upstream.clone()));
        let is_next = step.is_next(&wanted, &kept, there.environment.now());
        assert_eq!(is_next, is_a_copy(&wanted, upstream));
        is_next
    };
    assert!(is_next());
    let arn = arn(&there);
    let out = [
        ("GlobalClusterIdentifier", "world"),
        ("DbClusterIdentifier", arn.as_str()),
    ];
    there.ok("RemoveFromGlobalCluster", &out);
    assert!(!is_next());
}

#[test]
fn a_target_that_has_failed_calls_its_move_off_and_its_cluster_says_so() {
    let (council, [_, there, third]) = pair();
    let status = || {
        there
            .ok("DescribeDBClusters", &[])
            .text("DBClusters/0/Status")
    };
    assert_eq!(status(), "available");
    let reason = "its data directory is gone".to_owned();
    tell(&there, Record::Failed { reason });
    assert_eq!(status(), "failed");
    third.ok("FailoverGlobalCluster", &failing_over(&arn(&there)));
    assert_eq!(status(), "failing-over");
    let next = planned(&council, &there, &seen(&there, Home::Absent));
    let Next::Step(Step::Record(record)) = next else {
        panic!("{next:?}");
    };
    tell(&there, record);
    assert_eq!(
        (row(&council).moving, status()),
        (None, "failed".to_owned())
    );
    let last = there.messages("db-cluster").pop().unwrap();
    assert!(
        last.ends_with("is cancelled: the target has failed."),
        "{last}"
    );
}

#[test]
fn a_switchover_to_what_is_no_copy_stops_nobody_for_long() {
    let (council, [_, there, third]) = pair();
    tell(&there, Record::Aligned { epoch: 1 });
    third.ok("SwitchoverGlobalCluster", &to(&arn(&there)));
    for (home, is_called_off) in [(Home::Absent, true), (Home::Whole, false)] {
        let next = planned(&council, &there, &seen(&there, home));
        let cancels = matches!(&next, Next::Step(Step::Record(Record::Cancelled { .. })));
        assert_eq!(cancels, is_called_off, "{next:?}");
    }
}

#[test]
fn moves_are_told_of_where_they_are_asked_for_and_carried_out() {
    let (_, [here, there, third]) = pair();
    let number = 1;
    third.ok("SwitchoverGlobalCluster", &to(&arn(&there)));
    let lsn = Lsn(7);
    for _ in 0..2 {
        tell(&here, Record::Drained { number, lsn });
    }
    tell(&there, Record::Promoting { number });
    tell(&there, leading(number));
    let point = ForkPoint { timeline: 2, lsn };
    for _ in 0..2 {
        tell(&there, Record::Leads { number, point });
    }
    let target = "DB cluster shop in Region eu-west-1";
    let started = format!("Global switchover to {target} started.");
    assert_eq!(third.messages("db-cluster"), [started]);
    let stopped = "Old primary DB cluster shop in Region us-east-1 successfully shut down.";
    assert_eq!(here.messages("db-cluster"), [stopped]);
    assert_eq!(
        there.messages("db-cluster"),
        [
            format!("New primary {target} was successfully promoted."),
            format!("Global switchover to {target} finished.")
        ]
    );
    // One that another overrides, and that one is called off with its reason.
    let back = arn(&here);
    crate::clusters::register(&here, 2);
    third.ok("SwitchoverGlobalCluster", &to(&back));
    third.ok("FailoverGlobalCluster", &failing_over(&back));
    let reason = "why".to_owned();
    tell(&here, Record::Cancelled { number: 3, reason });
    let home = "DB cluster shop in Region us-east-1";
    assert_eq!(
        third.messages("db-cluster")[1..],
        [
            format!("Global switchover to {home} started."),
            format!("Global switchover to {home} is cancelled: another request has called it off."),
            format!("Global failover to {home} started."),
        ]
    );
    let last = here.messages("db-cluster").pop().unwrap();
    assert_eq!(
        last,
        format!("Global failover to {home} is cancelled: why.")
    );
    let of = [("SourceType", "db-cluster"), ("SourceIdentifier", "shop")];
    let told = here.ok("DescribeEvents", &of);
    assert_eq!(told.text("Events/0/EventCategories/0"), "global-failover");
    assert_eq!(told.text("Events/0/SourceArn"), back);
}

/// A council that decides nothing at once.
struct Slow(Arc<Memory>);

impl Configuration for Slow {
    fn view(&self) -> Arc<dyn ConfigurationView> {
        self.0.view()
    }

    fn propose(&self, edits: Vec<ConfigurationEdit>) -> Proposal<'_> {
        Box::pin(async move {
            let mut was_asked = false;
            let once = poll_fn(|_| match std::mem::replace(&mut was_asked, true) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            });
            once.await;
            self.0.propose(edits).await
        })
    }
}

/// Asks for all of that at once, each with its operation; their status codes, by turns.
fn at_once<const N: usize>(api: &Api, asked: [(&str, Vec<(&str, &str)>); N]) -> [u16; N] {
    let caller = owner();
    let requests = asked.map(|(operation, parameters)| {
        let mut form = format!("Action={operation}&Version=2014-10-31");
        for (name, value) in parameters {
            form.push_str(&format!("&{name}={value}"));
        }
        let request = http::Request::post("/")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(())
            .unwrap();
        (request.into_parts().0, Bytes::from(form))
    });
    type Call<'a> = Pin<Box<dyn Future<Output = http::Response<Bytes>> + 'a>>;
    let mut calls = requests
        .each_ref()
        .map(|(parts, body)| -> Option<Call<'_>> {
            Some(Box::pin(api.service.execute(&caller, parts, body, "ID")))
        });
    let mut statuses = [0; N];
    for _ in 0..100 {
        for (slot, status) in calls.iter_mut().zip(&mut statuses) {
            let Some(call) = slot else { continue };
            let looked = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(answer) = looked {
                *status = answer.status().as_u16();
                *slot = None;
            }
        }
    }
    statuses
}

#[test]
fn a_reader_that_is_asked_for_while_its_head_is_deleted_leaves_no_head_without_its_epoch() {
    let council = Arc::<Memory>::default();
    Api::beside("eu-west-1", council.clone()).ok("CreateGlobalCluster", GLOBAL);
    let api = Api::beside("us-east-1", Arc::new(Slow(council.clone())));
    assert_eq!(at_once(&api, [("CreateDBCluster", FIRST.to_vec())]), [200]);
    api.ok("CreateDBInstance", HEAD);
    let id = api.id("head");
    let head = databases::model::Head {
        arn: api.row("head").arn,
        resource_id: id.clone(),
        class: "db.t3.micro".to_owned(),
        floors: Default::default(),
        epoch: 1,
        writer_address: None,
    };
    let record = Record::Head(head);
    let mut registered = pin!(api.service.record(&id, &record));
    for _ in 0..9 {
        let _ = registered
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        if row(&council).has_head(&id) {
            break;
        }
    }
    assert!(row(&council).has_head(&id));
    let reader = with(HEAD, &[("DBInstanceIdentifier", "reader")]);
    let deleted = vec![
        ("DBInstanceIdentifier", "head"),
        ("SkipFinalSnapshot", "true"),
    ];
    let statuses = at_once(
        &api,
        [("DeleteDBInstance", deleted), ("CreateDBInstance", reader)],
    );
    // The one that came first is carried out whole.
    assert_eq!(statuses, [200, 400]);
    assert!(api.row("head").deletion.is_some() && !api.has("reader"));
    assert!(!row(&council).has_head(&id));
}

#[test]
fn of_two_clusters_of_one_name_made_at_once_one_is_made_and_stays_a_member() {
    let council = Arc::<Memory>::default();
    Api::beside("eu-west-1", council.clone()).ok("CreateGlobalCluster", GLOBAL);
    let api = Api::beside("us-east-1", Arc::new(Slow(council.clone())));
    let asked = || ("CreateDBCluster", FIRST.to_vec());
    let statuses = at_once(&api, [asked(), asked()]);
    assert_eq!(statuses, [200, 400]);
    let view = api.memory_view();
    let made = catalogue::clusters(&*view).unwrap();
    let members = row(&council).members;
    assert_eq!((made.len(), members.len()), (1, 1));
    let member = members.values().next().unwrap();
    assert_eq!(member.resource_id, made[0].1.resource_id);
    assert!(row(&council).writer.is_some());
}

#[test]
fn a_switchover_to_one_that_does_not_follow_yet_stops_nobody() {
    let (council, [here, there, third]) = pair();
    let target = arn(&there);
    let refused = |api: &Api| {
        let (code, text) = api.refused("SwitchoverGlobalCluster", &to(&target));
        assert_eq!(code, "InvalidDBClusterStateFault");
        assert_eq!(row(&council).moving, None);
        text
    };
    // Of another epoch than the writer's, or copied anew.
    crate::clusters::register(&there, 0);
    assert!(refused(&third).contains("doesn't follow"));
    let without_leave = to(&target);
    let code = third.code("FailoverGlobalCluster", &without_leave);
    assert_eq!(code, "InvalidDBClusterStateFault");
    crate::clusters::register(&there, 1);
    // Its own Region sees that it receives nothing, and the writer's how late it is.
    let mut observed = seen(&there, Home::Whole);
    let id = there.id("head");
    there.observe(&id, observed.clone());
    assert!(refused(&there).contains("receives nothing"));
    observed.server = Some(ServerSeen {
        role: Some(Role::Standby),
        receives: true,
        ..primary(&there)
    });
    there.observe(&id, observed);
    let slot = databases::slot(&id);
    let late = types::Span::seconds(31);
    here.around.lags.lock().unwrap().insert(slot.clone(), late);
    assert!(refused(&here).contains("behind"));
    let late = types::Span::seconds(30);
    here.around.lags.lock().unwrap().insert(slot, late);
    for api in [&here, &there, &third] {
        api.ok("SwitchoverGlobalCluster", &to(&target));
        third.ok("SwitchoverGlobalCluster", &to(&arn(&here)));
    }
    // A failover goes to whom it is asked to go.
    crate::clusters::register(&there, 0);
    third.ok("FailoverGlobalCluster", &failing_over(&target));
}

#[test]
fn no_head_starts_anew_while_the_role_comes_to_its_cluster_or_goes_from_it() {
    let (council, [here, there, third]) = pair();
    for api in [&here, &there] {
        let mut observed = Observed::nothing();
        observed.head.confirmed = Some(1);
        api.observe(&api.id("head"), observed);
        api.carry_out("head");
        assert_eq!(api.status("head"), "available", "{}", api.region);
    }
    let named = [("DBInstanceIdentifier", "head")];
    let class = [("DBInstanceClass", "db.t3.small")];
    let at_once = with(&with(&named, &class), &[("ApplyImmediately", "true")]);
    let later = with(&named, &class);
    third.ok("SwitchoverGlobalCluster", &to(&arn(&there)));
    for api in [&here, &there] {
        for (operation, parameters) in [
            ("RebootDBInstance", named.to_vec()),
            ("ModifyDBInstance", at_once.clone()),
        ] {
            let before = api.row("head");
            let (code, text) = api.refused(operation, &parameters);
            assert_eq!(
                code, "InvalidDBInstanceState",
                "{operation} in {}",
                api.region
            );
            assert!(text.contains("global cluster world"), "{text}");
            assert_eq!(api.row("head"), before);
        }
        // What waits for the window starts nothing.
        api.ok("ModifyDBInstance", &later);
    }
    third.ok("SwitchoverGlobalCluster", &to(&arn(&here)));
    assert_eq!(row(&council).moving, None);
    for api in [&here, &there] {
        api.ok("RebootDBInstance", &named);
    }
}
