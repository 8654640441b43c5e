//! What is asked of clusters whose head is dead, by the name of the instance that is to write, and
//! what becomes of a claim when the Region's process begins anew.

use databases::model::Lsn;
use databases::plan::{
    ChiefSeen, FailureKind, Home, Next, Record, Removal, Step, StepFailure, StepKind, Stopped,
};
use types::Monotonic;

use crate::failover::{NAMED, cluster, next, row, writer_is_open};
use crate::succession::{dead, records, sees};
use crate::support::{Api, with};

/// The head is back, its data whole, and nothing is remembered of what failed.
fn begins_anew(api: &Api, name: &str) {
    let id = api.id(name);
    let mut observed = api.observed(&id);
    observed.server = None;
    observed.failures.clear();
    observed.head.stopped = Some(Stopped {
        end: Lsn(500),
        is_clean: false,
    });
    api.observe(&id, observed);
}

fn named(target: &str) -> Vec<(&str, &str)> {
    with(NAMED, &[("TargetDBInstanceIdentifier", target)])
}

/// A head whose data are whole, and whose server doesn't start.
fn unstartable(api: &Api) -> ChiefSeen {
    ChiefSeen {
        is_zone_up: true,
        failed_starts: 2,
        ..dead(api, "one")
    }
}

#[test]
fn a_claim_from_a_head_that_can_t_start_outlives_what_is_remembered_of_its_failures() {
    let api = cluster(&[("one", "1")]);
    sees(&api, "one", &unstartable(&api));
    let claims = Record::Claims {
        head: api.id("head"),
        is_unstartable: true,
    };
    assert_eq!(records(&api, "one"), claims);
    begins_anew(&api, "head");
    assert!(matches!(next(&api, "head"), Next::WaitUntil(_)), "it waits");
    let forgotten = ChiefSeen {
        failed_starts: 0,
        first: None,
        ..unstartable(&api)
    };
    sees(&api, "one", &forgotten);
    assert_eq!(records(&api, "one"), Record::Succeeds { number: 1 });
    // One that was dead with its zone is back as soon as that is.
    let api = cluster(&[("one", "1")]);
    sees(&api, "one", &dead(&api, "one"));
    records(&api, "one");
    begins_anew(&api, "head");
    assert!(matches!(records(&api, "head"), Record::Kept { .. }));
}

#[test]
fn a_head_whose_server_runs_after_all_goes_on_whatever_was_claimed() {
    let api = cluster(&[("one", "1")]);
    sees(&api, "one", &unstartable(&api));
    records(&api, "one");
    let head = api.id("head");
    let mut observed = api.observed(&head);
    let step = Step::Start {
        generation: 1,
        settings: Default::default(),
    };
    let failure = StepFailure {
        step,
        attempts: 2,
        at: Monotonic(0),
        kind: FailureKind::Other,
        reason: "why".to_owned(),
    };
    observed.failures.insert(StepKind::Start, failure);
    api.observe(&head, observed);
    assert!(matches!(records(&api, "head"), Record::Kept { .. }));
    assert!(writer_is_open(&api));
}

#[test]
fn a_reader_that_is_named_takes_over_from_a_dead_head_of_which_nothing_is_known() {
    let api = cluster(&[("one", "1"), ("two", "2")]);
    let state = "InvalidDBInstanceState";
    let unknown = ChiefSeen {
        first: None,
        ..dead(&api, "one")
    };
    let head = api.id("head");
    let mut observed = api.observed(&head);
    observed.server = None;
    api.observe(&head, observed);
    for name in ["one", "two"] {
        sees(&api, name, &unknown);
        assert_eq!(next(&api, name), Next::Settled, "it may lack anything");
    }
    assert_eq!(api.code("FailoverDBCluster", NAMED), state, "none is named");
    let lives = ChiefSeen {
        is_zone_up: true,
        ..unknown.clone()
    };
    sees(&api, "two", &lives);
    let refused = api.code("FailoverDBCluster", &named("two"));
    assert_eq!(refused, state, "the head may be back at any moment");
    sees(&api, "two", &unknown);
    api.ok("FailoverDBCluster", &named("two"));
    let handover = row(&api).handover.unwrap();
    assert!(handover.is_claimed && !handover.is_unstartable);
    // Another order, or a reader that followed to the end, may come before it is carried out.
    api.ok("FailoverDBCluster", &named("one"));
    assert_eq!(row(&api).handover.unwrap().to, api.id("one"));
    api.ok("FailoverDBCluster", &named("two"));
    assert_eq!(records(&api, "two"), Record::Succeeds { number: 3 });
    assert_eq!(row(&api).head, Some(api.id("two")));
    assert!(row(&api).has_new_head());
}

/// A cluster of three whose head, dead, was succeeded by the first reader; that isn't promoted yet.
fn succeeded() -> Api {
    let api = cluster(&[("one", "1"), ("two", "2")]);
    sees(&api, "one", &dead(&api, "one"));
    records(&api, "one");
    records(&api, "one");
    assert!(row(&api).has_new_head());
    begins_anew(&api, "head");
    api
}

/// The new head, whose home is as given, and which doesn't run.
fn lost(api: &Api, home: Home) -> ChiefSeen {
    ChiefSeen {
        id: api.id("one"),
        is_zone_up: true,
        home,
        runs: false,
        failed_starts: 0,
        is_primary_data: false,
        first: None,
    }
}

#[test]
fn a_dead_head_has_its_role_back_when_its_successor_s_data_are_lost_before_that_wrote() {
    let api = succeeded();
    let before = api.row("two").headship;
    let one = api.id("one");
    let mut gone = api.observed(&one);
    (gone.home, gone.server, gone.head.chief) = (Home::Absent, None, None);
    api.observe(&one, gone);
    let Record::Failed { reason } = records(&api, "one") else {
        panic!("it isn't failed");
    };
    assert!(!reason.contains("global cluster"), "{reason}");
    sees(&api, "head", &lost(&api, Home::Absent));
    assert!(matches!(next(&api, "head"), Next::WaitUntil(_)), "unasked");
    api.ok("FailoverDBCluster", &named("head"));
    let number = row(&api).handover.unwrap().number;
    assert_eq!(records(&api, "head"), Record::Succeeds { number });
    let held = row(&api);
    assert_eq!(held.head, Some(api.id("head")));
    assert!(held.handover.is_none() && held.handed.is_none() && held.deposed.is_empty());
    assert_eq!(held.readers, [one, api.id("two")].into());
    let kinds: Vec<StepKind> = api.carry_out("head").iter().map(Step::kind).collect();
    assert_eq!(kinds[0], StepKind::Start, "{kinds:?}");
    assert!(writer_is_open(&api));
    // The other reader is in line as it was, and the one whose data are lost is copied anew.
    assert_ne!(api.row("two").headship, before, "it was to go along");
    for name in ["one", "two"] {
        let headship = api.row(name).headship.unwrap();
        assert_eq!((headship.epoch, headship.leads), (0, None), "{name}");
        let kinds: Vec<StepKind> = api.carry_out(name).iter().map(Step::kind).collect();
        assert!(!kinds.contains(&StepKind::RemoveHome), "{name}: {kinds:?}");
        assert_eq!(kinds.contains(&StepKind::Copy), name == "one", "{kinds:?}");
    }
}

#[test]
fn a_dead_head_is_not_given_back_what_its_successor_may_have_written() {
    let api = succeeded();
    let refused = |chief: &ChiefSeen| {
        sees(&api, "head", chief);
        let code = api.code("FailoverDBCluster", &named("head"));
        assert_eq!(code, "InvalidDBClusterStateFault", "{chief:?}");
    };
    let copy = lost(&api, Home::Whole);
    refused(&ChiefSeen {
        is_primary_data: true,
        ..copy.clone()
    });
    refused(&ChiefSeen {
        runs: true,
        ..copy.clone()
    });
    refused(&ChiefSeen {
        is_zone_up: false,
        ..copy.clone()
    });
    refused(&lost(&api, Home::Unreadable));
    sees(&api, "two", &copy);
    let code = api.code("FailoverDBCluster", &named("two"));
    assert_eq!(code, "InvalidDBClusterStateFault", "it never was the head");
    // It was asked for, and the other runs after all: that goes on.
    sees(&api, "head", &copy);
    api.ok("FailoverDBCluster", &named("head"));
    let runs = ChiefSeen { runs: true, ..copy };
    sees(&api, "head", &runs);
    assert!(matches!(next(&api, "head"), Next::WaitUntil(_)));
    assert!(matches!(
        next(&api, "one"),
        Next::Step(Step::Record(Record::Kept { .. }) | Step::Promote)
    ));
    let diverged = |next| matches!(next, Next::Step(Step::RemoveHome(Removal::Diverged(_))));
    assert!(!diverged(next(&api, "head")), "what it holds stays");
}
