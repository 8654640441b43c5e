//! What sites tell each other: which revision an edge serves, and whom its probes find healthy.

mod lab;

use std::sync::atomic::Ordering;

use bytes::Bytes;
use council::{Change, Expected};
use lab::lab;
use lab::names::{PRIMARY, configuration, propose};
use routing::{Name, RecordKind, TestQuestion, ZoneId, keys};
use types::{HealthCheckId, SiteId, Span};

#[test]
fn a_change_is_in_sync_when_every_edge_that_lives_serves_it() {
    let mut lab = lab();
    lab.run(Span::seconds(4));
    let before = lab.edge.settings().revision();
    let is_in_sync = |lab: &lab::Lab, revision| {
        let regions = lab.steerings.iter();
        regions
            .map(|region| region.is_in_sync(revision))
            .collect::<Vec<_>>()
    };
    assert_eq!(is_in_sync(&lab, before), [true, true]);
    assert_eq!(is_in_sync(&lab, before + 1), [false, false]);
    propose(&mut lab, configuration());
    lab.run(Span::milliseconds(500));
    assert_eq!(is_in_sync(&lab, before + 1), [true, true]);
    let serving = lab.steerings[0].edges_serving();
    assert_eq!(serving.len(), 1);
    assert!(
        serving[0].is_fresh && serving[0].revision > before,
        "{serving:?}"
    );
    // What nobody serves is in sync nowhere: the edge is gone, and is the only one.
    lab.wires.clear();
    lab.run(Span::seconds(2));
    assert_eq!(is_in_sync(&lab, before), [false, false]);
}

#[test]
fn every_site_counts_the_verdicts_of_all_that_it_hears() {
    let mut lab = lab();
    lab.run(Span::seconds(4));
    lab.prober.answer.store(true, Ordering::Relaxed);
    propose(&mut lab, configuration());
    lab.run(Span::seconds(4));
    let check = HealthCheckId("check".to_owned());
    let counted = |lab: &lab::Lab| {
        let sites = lab.steerings.iter().chain([lab.edge.steering()]);
        let tallies = sites.map(|site| site.tally(&check).expect("it is configured"));
        tallies
            .map(|tally| (tally.healthy, tally.counted, tally.status))
            .collect::<Vec<_>>()
    };
    assert_eq!(counted(&lab), [(3, 3, true); 3]);
    let seen = lab.edge.steering().observations(&check);
    let sites: Vec<SiteId> = seen.iter().map(|seen| seen.site).collect();
    assert_eq!(sites, [SiteId(1), SiteId(2), SiteId(3)]);
    assert_eq!(
        seen[0].observation.status,
        "Success: TCP connection established"
    );
    lab.prober.answer.store(false, Ordering::Relaxed);
    lab.run(Span::seconds(2));
    assert_eq!(counted(&lab), [(0, 3, false); 3]);
    // Alone, each believes itself.
    lab.wires.clear();
    lab.run(Span::seconds(3));
    assert_eq!(counted(&lab), [(0, 1, false); 3]);
}

#[test]
fn a_change_that_an_edge_cannot_read_is_not_in_sync_until_it_is_mended() {
    let mut lab = lab();
    lab.run(Span::seconds(4));
    propose(&mut lab, configuration());
    lab.run(Span::milliseconds(500));
    let before = lab.edge.settings().revision();
    let zone = ZoneId::new("ZEXAMPLE").expect("a good id");
    let name = Name::parse("new.example.com").expect("a good name");
    let key = keys::records(&zone, &name, RecordKind::A);
    // As if a newer program had written it.
    let newer = Bytes::from_static(b"\x02\x00");
    propose(&mut lab, Change::new().put(&key, Expected::Absent, newer));
    lab.run(Span::milliseconds(500));
    let changed = lab.edge.settings().revision();
    assert!(changed > before);
    assert!(lab.steerings[0].is_in_sync(before));
    assert!(!lab.steerings[0].is_in_sync(changed));
    propose(&mut lab, Change::new().delete(&key, Expected::Any));
    lab.run(Span::milliseconds(500));
    assert!(lab.steerings[0].is_in_sync(changed + 1));
}

#[test]
fn what_was_heard_before_the_link_was_noticed_counts() {
    let mut lab = lab();
    // The edge's third task looks at links and at what was heard. It comes to it late, when the
    // others have long reported; none repeats everything before the tenth second.
    let late = lab.tasks.remove(2);
    lab.run(Span::seconds(4));
    lab.prober.answer.store(true, Ordering::Relaxed);
    propose(&mut lab, configuration());
    lab.run(Span::seconds(2));
    lab.tasks.push(late);
    lab.run(Span::seconds(3));
    let check = HealthCheckId("check".to_owned());
    let tally = lab.edge.steering().tally(&check).expect("it is configured");
    assert_eq!((tally.healthy, tally.counted), (3, 3));
}

#[test]
fn a_zone_is_asked_for_its_own_names_alone() {
    let mut lab = lab();
    lab.run(Span::seconds(4));
    lab.prober.answer.store(true, Ordering::Relaxed);
    propose(&mut lab, configuration());
    lab.run(Span::seconds(2));
    let asked = |zone: &str| {
        let answer = lab.edge.steering().test_answer(&TestQuestion {
            zone: ZoneId::new(zone).expect("a good id"),
            name: Name::parse("app.example.com").expect("a good name"),
            kind: RecordKind::A,
            resolver: None,
            client_subnet: None,
        });
        (answer.code, answer.values)
    };
    let primary = vec![PRIMARY.to_string()];
    assert_eq!(asked("ZEXAMPLE"), ("NOERROR".to_owned(), primary));
    assert_eq!(asked("ZOTHER"), ("REFUSED".to_owned(), Vec::new()));
}
