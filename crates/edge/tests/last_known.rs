//! Invariant 9: an edge answers from what it last knew, from the first packet after a restart,
//! with nobody else there.

mod lab;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use council::{Change, CouncilError, Expected};
use edge::{Edge, EdgeConfig};
use lab::names::{PRIMARY, SECONDARY, ask, configuration, propose};
use lab::{Clock, Lab, World, lab, now, options, ports, two_regions_and_an_edge};
use store::MemoryEngine;
use types::{HealthCheckId, SiteId, Span};

/// The edge that finds that disk after a restart, with a way to nobody.
fn alone(engine: &MemoryEngine, lab: &Lab, at: u64) -> Arc<Edge<MemoryEngine>> {
    let deployment = two_regions_and_an_edge();
    let (_, mut ports) = ports(&deployment);
    let config = EdgeConfig {
        deployment,
        site: SiteId(3),
        largest_round_trip: Span::ZERO,
        steering: options(&lab.prober),
    };
    let environment = Arc::new(World(Arc::new(Clock(AtomicU64::new(at)))));
    let ports = ports.pop().expect("the edge's");
    now(Edge::open(engine.clone(), config, environment, ports)).expect("an edge")
}

#[test]
fn invariant_9_dns_answers_from_its_last_known_state_from_the_first_packet_after_a_restart() {
    let mut lab = lab();
    lab.run(Span::seconds(4));
    assert_eq!(ask(&lab.edge), (5, None), "nothing is configured: refused");
    propose(&mut lab, configuration());
    lab.prober.answer.store(true, Ordering::Relaxed);
    lab.run(Span::seconds(3));
    assert_eq!(ask(&lab.edge), (0, Some(PRIMARY)));
    let healthy = alone(&lab.engine, &lab, 60_000_000);
    assert_eq!(ask(&healthy), (0, Some(PRIMARY)));

    lab.prober.answer.store(false, Ordering::Relaxed);
    lab.run(Span::seconds(2));
    assert_eq!(ask(&lab.edge), (0, Some(SECONDARY)));
    // None of its tasks has run, and nobody is to be heard: configuration and health are what its
    // own disk has.
    let edge = alone(&lab.engine, &lab, 120_000_000);
    assert_eq!(ask(&edge), (0, Some(SECONDARY)));
    let status = edge.status();
    assert!(!status.council.majority);
    assert_eq!(status.steering.zones, 1);
    assert_eq!(
        status.steering.health,
        [(HealthCheckId("check".to_owned()), false)]
    );
}

#[test]
fn a_change_without_a_majority_is_refused_and_answers_go_on() {
    let mut lab = lab();
    lab.run(Span::seconds(4));
    propose(&mut lab, configuration());
    lab.prober.answer.store(true, Ordering::Relaxed);
    lab.run(Span::seconds(3));
    // The others are gone: their links are cut and their tasks stand still.
    lab.wires.clear();
    lab.tasks.truncate(lab.edge_tasks);
    lab.run(Span::seconds(10));
    assert_eq!(ask(&lab.edge), (0, Some(PRIMARY)));
    let (council, told) = (lab.edge.council().clone(), Arc::new(AtomicBool::new(false)));
    let tell = told.clone();
    lab.tasks.push(Box::pin(async move {
        let change = Change::new().put("test/x", Expected::Absent, "x");
        let refused = council.propose(change).await;
        assert_eq!(refused, Err(CouncilError::NoMajority));
        tell.store(true, Ordering::Relaxed);
        std::future::pending().await
    }));
    lab.prober.answer.store(false, Ordering::Relaxed);
    lab.run(Span::seconds(3));
    assert!(told.load(Ordering::Relaxed));
    // Its own probes count on.
    assert_eq!(ask(&lab.edge), (0, Some(SECONDARY)));
}

#[test]
fn a_deleted_check_is_healthy_at_an_edge_that_ran_on_and_at_one_that_was_restarted() {
    let mut lab = lab();
    lab.run(Span::seconds(4));
    propose(&mut lab, configuration());
    lab.run(Span::seconds(3));
    assert_eq!(ask(&lab.edge), (0, Some(SECONDARY)));
    let key = routing::keys::check(&HealthCheckId("check".to_owned()));
    propose(&mut lab, Change::new().delete(&key, Expected::Any));
    lab.run(Span::milliseconds(500));
    assert_eq!(ask(&lab.edge), (0, Some(PRIMARY)));
    let restarted = alone(&lab.engine, &lab, 60_000_000);
    assert_eq!(ask(&restarted), (0, Some(PRIMARY)));
}
