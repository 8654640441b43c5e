//! Each figure on observations that are made for it.

use gameday::{Conflict, Crossing, EventKind, Fate, Figures, Order, Outcome};
use types::{SiteName, Timestamp};

use crate::hand::{Hand, east, ms, placed, west};

#[test]
fn rto_ends_at_the_first_success_that_lasts() {
    let mut hand = Hand::new();
    //                 0123456789012345678901234567890
    hand.requests(0, "..........xxx...................");
    // Due at 13 s, known 50 ms later; the fault struck at 10 s.
    hand.is("rto_s.honours_ttl", 3.05);
    hand.is("rto_s.a", 3.05);
    hand.is("rto_s", 3.05);
}

#[test]
fn a_success_that_does_not_last_is_no_recovery() {
    let mut hand = Hand::new();
    hand.requests(0, "..........xx..x.................");
    hand.is("rto_s.honours_ttl", 5.05);
    // Two seconds after the success at 12 s nothing fails, a hair later it does.
    let mut hand = Hand::new();
    hand.requests(0, "..........xx...x................");
    hand.is("rto_s.honours_ttl", 2.05);
}

#[test]
fn who_is_only_served_when_the_fault_is_over_never_recovered() {
    let mut hand = Hand::new();
    hand.requests(0, "..........xxxxxxxxxxx...........");
    hand.is_never("rto_s.honours_ttl");
    // It succeeds before the end, but for less than counts.
    let mut hand = Hand::new();
    hand.requests(0, "..........xxxxxxxxx.............");
    hand.is_never("rto_s.honours_ttl");
    let mut hand = Hand::new();
    hand.requests(0, "..........xxxxxxxx..............");
    hand.is("rto_s.honours_ttl", 8.05);
    // One client that never recovers is the worst.
    hand.requests(1, "..........xxxxxxxxxxxxxxxxxxxxxx");
    hand.is_never("rto_s");
    hand.is_never("rto_s.pooled");
}

#[test]
fn a_request_that_the_end_of_the_fault_released_is_no_recovery() {
    // All that is due while the fault lasts hangs until it is over, and succeeds then.
    let mut hand = Hand::new();
    hand.requests(0, "..........          ............");
    for second in 10..20 {
        hand.request(0, second * 1_000, Outcome::Ok).ended = ms(20_300);
    }
    hand.is_never("rto_s.honours_ttl");
    // So does what is due after a failure, and within the time for which success must last.
    let mut hand = Hand::new();
    hand.requests(0, "..........xxx   ................");
    for second in 13..16 {
        hand.request(0, second * 1_000, Outcome::Ok).ended = ms(20_300);
    }
    hand.is("rto_s.honours_ttl", 6.05);
}

#[test]
fn a_request_that_the_end_of_the_fault_met_on_its_way_has_not_failed() {
    let mut hand = Hand::new();
    hand.requests(0, "................................");
    hand.request(0, 19_980, Outcome::Ok);
    hand.is("rto_s.honours_ttl", 0.0);
}

#[test]
fn who_failed_nothing_was_without_service_for_no_time() {
    let mut hand = Hand::new();
    hand.requests(0, "................................");
    hand.is("rto_s.honours_ttl", 0.0);
    // Failures before the fault and after its end are none of its.
    let mut hand = Hand::new();
    hand.requests(0, "...xx..................xxx......");
    hand.is("rto_s.honours_ttl", 0.0);
    hand.is("failed.honours_ttl", 5.0);
}

#[test]
fn of_a_lab_that_was_not_well_before_nothing_is_said() {
    let mut hand = Hand::new();
    hand.requests(0, "...xxx....xxx...................");
    hand.is_unknown("rto_s.honours_ttl");
    hand.is_unknown("rto_s");
    hand.is_unknown("detected_s");
    hand.is_unknown("answers_changed_s");
    hand.is("failed", 6.0);
}

#[test]
fn a_request_that_the_fault_caught_counts() {
    let mut hand = Hand::new();
    let caught = hand.request(0, 9_900, Outcome::TimedOut);
    caught.ended = ms(10_900);
    hand.requests(0, "           .....................");
    // Due at 11 s.
    hand.is("rto_s.honours_ttl", 1.05);
}

#[test]
fn without_requests_or_fault_there_is_no_rto() {
    let mut hand = Hand::new();
    hand.requests(0, "........");
    hand.is_unknown("rto_s.honours_ttl");
    hand.is_unknown("rto_s.pooled");
    let mut hand = Hand::without_fault();
    hand.requests(0, "..........xx....................");
    hand.is_unknown("rto_s.honours_ttl");
    hand.is_unknown("detected_s");
    hand.is_unknown("answers_changed_s");
    // A fault that could not be made is none.
    let mut hand = Hand::new();
    hand.seen
        .events
        .retain(|event| event.kind != EventKind::Step(0));
    hand.seen
        .event(ms(10_000), EventKind::StepFailed(0, "no".to_owned()));
    hand.requests(0, "..........xx....................");
    hand.is_unknown("rto_s.honours_ttl");
}

#[test]
fn order_of_requests_does_not_matter() {
    let mut hand = Hand::new();
    hand.requests(0, "..........xxx...................");
    hand.requests(3, "..........xxxx..................");
    let before = Figures::of(&hand.plan, &hand.seen);
    hand.seen.requests.reverse();
    let after = Figures::of(&hand.plan, &hand.seen);
    assert_eq!(before.clients, after.clients);
    assert_eq!(before.all, after.all);
}

#[test]
fn detection_is_the_first_verdict_after_the_fault() {
    let verdict = |check: &str, healthy| EventKind::Verdict {
        check: check.to_owned(),
        healthy,
    };
    let mut hand = Hand::new();
    hand.is_never("detected_s");
    // A flap before the fault, and another check's verdict.
    hand.seen.event(ms(5_000), verdict("primary", false));
    hand.seen.event(ms(6_000), verdict("primary", true));
    hand.seen.event(ms(10_200), verdict("other", false));
    hand.is_never("detected_s");
    hand.seen.event(ms(10_750), verdict("primary", false));
    hand.is("detected_s", 0.75);
    hand.plan.scenario.health_checks.clear();
    hand.is_unknown("detected_s");
}

#[test]
fn answers_have_changed_when_the_last_place_has() {
    let mut hand = Hand::new();
    hand.is_unknown("answers_changed_s");
    hand.answer(east(), 0, &[east()]);
    hand.answer(west(), 0, &[west()]);
    hand.is_never("answers_changed_s");
    hand.answer(east(), 10_800, &[west()]);
    hand.is("answers_changed_s", 0.8);
    let place = "eu-central-1".parse().expect("a Region");
    hand.answer(place, 0, &[east(), west()]);
    hand.is_never("answers_changed_s");
    hand.answer(place, 11_500, &[]);
    hand.is("answers_changed_s", 1.5);
}

#[test]
fn answers_that_change_after_the_end_did_not_change() {
    let mut hand = Hand::new();
    hand.answer(east(), 0, &[east()]);
    hand.answer(east(), 21_000, &[west()]);
    hand.is_never("answers_changed_s");
}

#[test]
fn answers_are_shares_of_the_time() {
    let mut hand = Hand::new();
    hand.is_unknown("answered_percent.a.us-east-1");
    hand.answer(east(), 0, &[east()]);
    hand.is("answered_percent.a.us-east-1", 100.0);
    hand.is("answered_percent.a.eu-west-1", 0.0);
    hand.answer(east(), 12_000, &[west()]);
    // Repeated answers are kept once.
    hand.answer(east(), 13_000, &[west()]);
    hand.answer(east(), 27_000, &[east()]);
    hand.is("answered_percent.a.us-east-1", 50.0);
    hand.is("answered_percent.a.eu-west-1", 50.0);
    assert_eq!(hand.seen.answers.len(), 3);
    hand.answer(west(), 0, &[]);
    hand.is("answered_percent.b.us-east-1", 0.0);
}

#[test]
fn rpo_is_what_no_survivor_had() {
    let mut hand = Hand::new();
    hand.acknowledged(placed(1), 1, 9_000, east());
    hand.acknowledged(placed(2), 1, 9_800, east());
    hand.acknowledged(placed(3), 1, 9_950, east());
    // On its way when the Region died, and one that the survivor took itself.
    hand.acknowledged(placed(4), 1, 10_010, east());
    hand.acknowledged(placed(5), 1, 12_000, west());
    // Acknowledged after the reading: nobody can say.
    hand.acknowledged(placed(6), 1, 19_500, west());
    hand.is_unknown("rpo_orders");
    hand.is_unknown("rpo_s");
    hand.is_unknown("came_back");
    let west_has = Hand::held(&[(placed(1), 1), (placed(5), 1)]);
    // What the dead Region would show counts for nothing.
    let east_has = Hand::held(&[(placed(2), 1)]);
    hand.scan(19_000, &[(west(), west_has), (east(), east_has)]);
    hand.is("rpo_orders", 3.0);
    hand.is("rpo_s", 0.2);
    hand.is("missing_at.eu-west-1", 3.0);
    hand.is_unknown("came_back");
    let all = Hand::held(&[1, 2, 4, 5, 6].map(|number| (placed(number), 1)));
    hand.last_scan(&[(east(), all.clone()), (west(), all)]);
    hand.is("came_back", 2.0);
    hand.is("lost_for_good", 1.0);
    let figures = Figures::of(&hand.plan, &hand.seen);
    let missing = figures.orders.missing.expect("there was a reading");
    let listed: Vec<_> = missing
        .iter()
        .map(|order| (order.id.as_str(), order.fate))
        .collect();
    assert_eq!(
        listed,
        [
            ("a-000002", Fate::CameBack),
            ("a-000003", Fate::Lost),
            ("a-000004", Fate::CameBack)
        ]
    );
    assert_eq!(missing[0].age, ms(200));
    assert_eq!(missing[2].age, ms(0));
    let lost = figures.orders.lost.expect("every Region was read");
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].id, "a-000003");
}

#[test]
fn what_is_lost_is_only_known_when_every_region_was_read() {
    let mut hand = Hand::new();
    hand.acknowledged(placed(1), 1, 9_000, east());
    hand.is_unknown("lost_for_good");
    hand.last_scan(&[(west(), Hand::held(&[]))]);
    hand.is_unknown("lost_for_good");
    hand.is_unknown("orders_at.a.us-east-1");
    hand.is("orders_at.a.eu-west-1", 0.0);
    hand.last_scan(&[
        (west(), Hand::held(&[])),
        (east(), Hand::held(&[(placed(1), 1)])),
    ]);
    hand.is("lost_for_good", 0.0);
    hand.is("orders_at.a.us-east-1", 1.0);
}

#[test]
fn what_never_arrived_and_what_arrived_twice_is_told() {
    let mut hand = Hand::new();
    for number in 1..4 {
        hand.acknowledged(placed(number), 1, 9_000, east());
    }
    hand.is_unknown("never_arrived.eu-west-1");
    hand.is_unknown("applied_twice");
    let all = Hand::held(&[1, 2, 3].map(|number| (placed(number), 1)));
    hand.last_scan(&[(east(), all), (west(), Hand::held(&[(placed(2), 1)]))]);
    hand.is("never_arrived.us-east-1", 0.0);
    hand.is("never_arrived.eu-west-1", 2.0);
    // It was a table.
    hand.is_unknown("applied_twice");
    let scan = hand.seen.last_scan.as_mut().expect("just made");
    scan.twice = [(east(), 0), (west(), 3)].into();
    hand.is("applied_twice", 3.0);
}

#[test]
fn what_a_survivor_has_that_was_not_read_is_not_missing() {
    let mut hand = Hand::new();
    hand.acknowledged(placed(0), 1, 5_000, east());
    // Nobody was read, or the Region alone that was down.
    for read in [&[][..], &[(east(), Hand::held(&[]))]] {
        hand.scan(19_000, read);
        for metric in ["rpo_orders", "rpo_s", "came_back", "missing_at.eu-west-1"] {
            hand.is_unknown(metric);
        }
    }
    hand.scan(19_000, &[(west(), Hand::held(&[]))]);
    hand.is("rpo_orders", 1.0);
    // While no Region is down, each must be read.
    hand.plan.scenario.measure.fault = None;
    hand.is_unknown("rpo_orders");
}

#[test]
fn a_write_that_failed_may_be_missing() {
    let mut hand = Hand::new();
    let request = hand.request(0, 9_000, Outcome::TimedOut);
    request.order = Some(placed(9));
    request.version = 1;
    hand.last_scan(&[(west(), Hand::held(&[])), (east(), Hand::held(&[]))]);
    hand.is("lost_for_good", 0.0);
}

fn conflict(order: Order, beaten: u32, winning: u32) -> Conflict {
    Conflict {
        table: "Orders".to_owned(),
        key: "id".to_owned(),
        order: Some(order),
        beaten_version: Some(beaten),
        winning_version: Some(winning),
        beaten: (east(), Timestamp(0)),
        winning: (west(), Timestamp(1)),
    }
}

#[test]
fn shared_orders_are_judged_by_version() {
    let order = Order::Shared(0);
    let mut hand = Hand::new();
    hand.acknowledged(order, 1, 5_000, east());
    hand.acknowledged(order, 2, 9_000, east());
    hand.acknowledged(order, 3, 12_000, west());
    hand.scan(11_000, &[(west(), Hand::held(&[(order, 1)]))]);
    hand.is("rpo_orders", 1.0);
    hand.is("rpo_s", 1.0);
    let has = |version| {
        [
            (east(), Hand::held(&[(order, version)])),
            (west(), Hand::held(&[(order, version)])),
        ]
    };
    hand.last_scan(&has(3));
    hand.is("lost_for_good", 0.0);
    hand.last_scan(&has(2));
    hand.is("lost_for_good", 1.0);
    // The third lost to the second, and the ledger has it.
    hand.seen.conflicts.push(conflict(order, 3, 2));
    hand.is("lost_for_good", 0.0);
    hand.is("lww_discards", 1.0);
    // The second lost instead: at the survivor it was missing, and never came back.
    hand.seen.conflicts[0] = conflict(order, 2, 3);
    hand.last_scan(&has(3));
    hand.is("rpo_orders", 1.0);
    hand.is("came_back", 0.0);
    let missing = Figures::of(&hand.plan, &hand.seen).orders.missing;
    assert_eq!(
        missing.expect("there was a reading")[0].fate,
        Fate::Discarded
    );
}

#[test]
fn writes_that_overlap_may_have_happened_in_either_order() {
    let order = Order::Shared(0);
    let mut hand = Hand::new();
    hand.acknowledged(order, 1, 5_000, east());
    hand.acknowledged(order, 2, 5_020, east());
    let has = |version| {
        [
            (east(), Hand::held(&[(order, version)])),
            (west(), Hand::held(&[(order, version)])),
        ]
    };
    for version in [1, 2] {
        hand.last_scan(&has(version));
        hand.scan(9_000, &[(west(), Hand::held(&[(order, version)]))]);
        hand.is("lost_for_good", 0.0);
        hand.is("rpo_orders", 0.0);
        hand.is("missing_at.eu-west-1", 0.0);
    }
    hand.last_scan(&has(0));
    hand.is("lost_for_good", 1.0);
    hand.read(order, 1, 6_000);
    hand.read(order, 2, 6_000);
    hand.is("stale_reads", 0.0);
    // A write that failed may happen yet, after all others.
    let failed = hand.request(3, 1_000, Outcome::TimedOut);
    failed.verb = gameday::Verb::Update;
    failed.order = Some(order);
    failed.version = 9;
    hand.last_scan(&has(9));
    hand.is("lost_for_good", 0.0);
    hand.read(order, 9, 8_000);
    hand.is("stale_reads", 0.0);
    hand.read(order, 0, 8_000);
    hand.is("stale_reads", 1.0);
    hand.is("stale_age_ms.max", 3_000.0);
}

#[test]
fn a_read_is_stale_if_something_newer_was_acknowledged_before() {
    let order = Order::Shared(0);
    let mut hand = Hand::new();
    hand.is_unknown("stale_reads");
    hand.is_unknown("stale_age_ms.p50");
    hand.read(order, 0, 500);
    hand.is_unknown("stale_reads");
    hand.acknowledged(order, 1, 1_000, east());
    hand.read(order, 1, 1_500);
    hand.is("stale_reads", 0.0);
    hand.is("stale_age_ms.max", 0.0);
    hand.acknowledged(order, 2, 2_000, east());
    hand.acknowledged(order, 3, 3_000, east());
    // Began before the acknowledgement: it may see either.
    hand.read(order, 1, 1_999);
    hand.read(order, 1, 2_400);
    hand.read(order, 1, 3_400);
    hand.read(order, 2, 3_400);
    hand.read(order, 3, 3_400);
    hand.read(placed(7), 0, 3_400);
    hand.is("stale_reads", 3.0);
    hand.is("stale_percent", 50.0);
    hand.is("stale_reads.never_resolves_again", 3.0);
    hand.is("stale_reads.c", 3.0);
    hand.is_unknown("stale_reads.a");
    // 400 ms since version 2, 1,400 ms since version 2, 400 ms since version 3.
    hand.is("stale_age_ms.p50", 400.0);
    hand.is("stale_age_ms.max", 1_400.0);
    // Version 3 lost to version 2: who saw 2 saw the newest.
    hand.seen.conflicts.push(conflict(order, 3, 2));
    hand.is("stale_reads", 2.0);
}

#[test]
fn availability_latency_and_budget() {
    let mut hand = Hand::without_fault();
    hand.is_unknown("availability_percent");
    hand.is_unknown("latency_ms.p50");
    for number in 0..99 {
        let request = hand.request(0, number * 100, Outcome::Ok);
        request.ended = ms(number * 100 + number + 1);
    }
    hand.request(1, 0, Outcome::Status(503));
    hand.is("availability_percent", 99.0);
    hand.is("availability_percent.honours_ttl", 100.0);
    hand.is("availability_percent.b", 0.0);
    hand.is("requests", 100.0);
    hand.is("failed", 1.0);
    hand.is("latency_ms.p50", 50.0);
    hand.is("latency_ms.p99", 99.0);
    hand.is("latency_ms.honours_ttl.max", 99.0);
    hand.is_unknown("latency_ms.pooled.p50");
    // One of a hundred of half a minute, of the 43.2 minutes that 99.9 % allows a month.
    hand.is("budget_percent.99.9", 0.005 / 43.2 * 100.0);
    hand.is("budget_percent.99.99", 0.005 / 4.32 * 100.0);
    hand.is("served_by.a.us-east-1", 99.0);
    hand.is("served_by.a.eu-west-1", 0.0);
}

#[test]
fn drained_and_converged() {
    let mut hand = Hand::new();
    hand.is_never("drained_s");
    hand.is_unknown("converged_s");
    hand.seen.event(ms(8_000), EventKind::Drained);
    hand.is_never("drained_s");
    hand.seen.event(ms(22_500), EventKind::Drained);
    hand.is("drained_s", 2.5);
    hand.seen
        .event(ms(90_000), EventKind::NotConverged("Orders".to_owned()));
    hand.is_never("converged_s");
    hand.seen.event(ms(31_250), EventKind::Converged);
    hand.is("converged_s", 1.25);
}

#[test]
fn bytes_are_summed_by_lane() {
    let mut hand = Hand::new();
    hand.is("link_bytes", 0.0);
    let crossing = |from, to, lane: &str, bytes| Crossing {
        from: SiteName::Region(from),
        to: SiteName::Region(to),
        lane: lane.to_owned(),
        bytes,
    };
    hand.seen.crossings = vec![
        crossing(east(), west(), "changes", 1_000),
        crossing(west(), east(), "changes", 200),
        crossing(east(), west(), "changes", 30),
        crossing(east(), west(), "health", 4),
        crossing(east(), west(), "objects", 0),
    ];
    hand.is("link_bytes", 1_234.0);
    hand.is("link_bytes.changes", 1_230.0);
    hand.is("link_bytes.objects", 0.0);
    let traffic = Figures::of(&hand.plan, &hand.seen).traffic;
    assert_eq!(traffic.crossings.len(), 3);
    assert_eq!(traffic.lanes[0], ("changes".to_owned(), 1_230));
}

#[test]
fn requests_of_no_load_are_counted_and_break_nothing() {
    let mut hand = Hand::new();
    hand.request(99, 1_000, Outcome::Garbled);
    hand.is("requests", 1.0);
    hand.is("requests.a", 0.0);
    let report = gameday::Report::of(&hand.plan, &hand.seen);
    assert!(report.html().contains("answer not understood"));
}
