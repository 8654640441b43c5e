//! A reader takes over from the dead head of its cluster, by itself: who, when, and what the plans
//! of both make of it.

use databases::catalogue;
use databases::model::{ForkPoint, Lsn, ResourceId};
use databases::plan::{
    Candidate, ChiefSeen, Duty, Home, Life, Next, Record, Role, Step, StepKind, Stopped,
};
use types::Monotonic;

use crate::failover::{NAMED, cluster, next, row, writer_is_open};
use crate::support::Api;

/// The head, whose zone is down, as its readers see it; that one is to take over.
pub fn dead(api: &Api, first: &str) -> ChiefSeen {
    ChiefSeen {
        id: api.id("head"),
        is_zone_up: false,
        home: Home::Whole,
        runs: false,
        failed_starts: 0,
        is_primary_data: true,
        first: Some(api.id(first)),
    }
}

/// A reader sees its head so.
pub fn sees(api: &Api, name: &str, chief: &ChiefSeen) {
    let id = api.id(name);
    let mut observed = api.observed(&id);
    observed.head.chief = Some(chief.clone());
    api.observe(&id, observed);
}

/// Carries out what comes next of an instance, which is to be written down.
pub fn records(api: &Api, name: &str) -> Record {
    match api.step(&api.id(name)) {
        Some(Step::Record(record)) => record,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn who_takes_over_is_told_by_tier_then_by_what_it_has_and_never_one_that_fell_behind() {
    let mut life = Life::default();
    life.answered(Monotonic(100_000_000), Some(Lsn(1000)));
    let one = |identifier: &str, tier, received| Candidate {
        id: ResourceId(identifier.to_owned()),
        identifier: identifier.to_owned(),
        tier,
        received: Lsn(received),
    };
    let of = |home, all: &[&Candidate]| {
        let all = all.iter().map(|one| (*one).clone()).collect();
        Candidate::first(all, home, &life).map(|id| id.0)
    };
    let first = |all: &[&Candidate]| of(Home::Whole, all);
    let behind = one("a", 0, 999);
    let (less, more) = (one("b", 1, 1000), one("d", 1, 1020));
    let (same, other) = (one("c", 1, 1020), one("e", 2, 1900));
    assert_eq!(first(&[&behind]), None, "it would go back");
    assert_eq!(first(&[&behind, &other]).as_deref(), Some("e"));
    assert_eq!(first(&[&other, &less, &behind]).as_deref(), Some("b"));
    assert_eq!(first(&[&other, &less, &more, &same]).as_deref(), Some("c"));
    let last = of(Home::Absent, &[&other, &less, &more, &behind]);
    assert_eq!(last.as_deref(), Some("e"), "it may be the last copy");
}

#[test]
fn a_reader_claims_a_dead_head_s_role_and_has_it_once_no_server_of_the_head_runs() {
    let api = cluster(&[("one", "2"), ("two", "1")]);
    let chief = dead(&api, "two");
    sees(&api, "one", &chief);
    assert_eq!(next(&api, "one"), Next::Settled, "another one is to");
    sees(&api, "two", &chief);
    let head = api.id("head");
    let claims = Record::Claims {
        head: head.clone(),
        is_unstartable: false,
    };
    assert_eq!(records(&api, "two"), claims);
    assert!(row(&api).handover.unwrap().is_claimed);
    assert!(
        !writer_is_open(&api),
        "nobody is let in to the head any more"
    );
    let back = ChiefSeen {
        is_zone_up: true,
        runs: true,
        ..chief.clone()
    };
    sees(&api, "two", &back);
    assert!(matches!(next(&api, "two"), Next::WaitUntil(_)), "it runs");
    assert_eq!(row(&api).head, Some(head));
    sees(&api, "two", &chief);
    assert_eq!(records(&api, "two"), Record::Succeeds { number: 1 });
    let held = row(&api);
    assert_eq!(held.head, Some(api.id("two")));
    assert!(held.has_new_head() && held.handover.is_none());
    let refused = api.code("FailoverDBCluster", NAMED);
    assert_eq!(refused, "InvalidDBClusterStateFault", "it isn't over yet");
}

#[test]
fn a_head_that_lives_or_may_is_not_taken_over_from() {
    let api = cluster(&[("one", "1")]);
    let lives = ChiefSeen {
        is_zone_up: true,
        ..dead(&api, "one")
    };
    let cannot = |change: &dyn Fn(&mut ChiefSeen)| {
        let mut chief = lives.clone();
        change(&mut chief);
        sees(&api, "one", &chief);
        assert_eq!(next(&api, "one"), Next::Settled, "{chief:?}");
    };
    cannot(&|_| {});
    cannot(&|chief| chief.failed_starts = 1);
    cannot(&|chief| (chief.runs, chief.home) = (true, Home::Unreadable));
    cannot(&|chief| (chief.is_zone_up, chief.first) = (false, None));
    cannot(&|chief| (chief.is_zone_up, chief.id) = (false, api.id("one")));
    for (home, failed_starts) in [(Home::Absent, 0), (Home::Unreadable, 0), (Home::Whole, 2)] {
        let chief = ChiefSeen {
            home,
            failed_starts,
            ..lives.clone()
        };
        sees(&api, "one", &chief);
        let is_claimed = |next| matches!(next, Next::Step(Step::Record(Record::Claims { .. })));
        assert!(is_claimed(next(&api, "one")), "{chief:?}");
    }
}

#[test]
fn what_a_dead_head_alone_had_is_kept_before_it_is_copied_anew() {
    let api = cluster(&[("one", "1")]);
    sees(&api, "one", &dead(&api, "one"));
    records(&api, "one");
    records(&api, "one");
    let old = api.id("head");
    let mut observed = api.observed(&old);
    observed.server = None;
    observed.head.stopped = Some(Stopped {
        end: Lsn(500),
        is_clean: false,
    });
    api.observe(&old, observed.clone());
    assert!(
        matches!(next(&api, "head"), Next::WaitUntil(_)),
        "from where on?"
    );
    let one = api.id("one");
    let mut promoted = api.observed(&one);
    let point = ForkPoint {
        timeline: 2,
        lsn: Lsn(400),
    };
    let server = promoted.server.as_mut().unwrap();
    (server.role, server.settings.upstream) = (Some(Role::Primary), None);
    (server.log.timeline, server.log.fork) = (Some(2), Some(point));
    api.observe(&one, promoted);
    let steps: Vec<Step> = std::iter::from_fn(|| api.step(&one)).take(10).collect();
    let forked = Step::Record(Record::Forked { point });
    assert!(steps.contains(&forked), "{steps:#?}");
    assert!(!row(&api).has_new_head());
    let keeps = Step::KeepTail {
        base: 0,
        from: Lsn(400),
    };
    assert_eq!(next(&api, "head"), Next::Step(keeps));
    observed.head.tails.insert(0, Lsn(400));
    api.observe(&old, observed);
    let view = api.memory_view();
    let wanted = catalogue::wanted(&*view, &*api.global.view(), &old).unwrap();
    assert!(matches!(wanted.unwrap().duty, Duty::Read(_)));
    let Next::Step(step) = next(&api, "head") else {
        panic!("it waits");
    };
    assert_eq!(step.kind(), StepKind::RemoveHome);
}
