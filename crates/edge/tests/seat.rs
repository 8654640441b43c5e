//! An edge in the council: its vote, its copy of the configuration, and what it refuses.

mod lab;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use council::{Change, Expected, Role};
use edge::{Edge, EdgeConfig, OpenError};
use lab::{Clock, Ports, World, lab, now, options, ports, two_regions_and_an_edge};
use link::{Admission, Lane, Plain, Service};
use store::MemoryEngine;
use types::{SiteId, Span};

#[test]
fn an_edge_votes_and_holds_the_configuration() {
    let mut lab = lab();
    lab.run(Span::seconds(4));
    let status = lab.edge.status();
    assert_eq!(status.council.voters, vec![SiteId(1), SiteId(2), SiteId(3)]);
    assert!(status.council.majority);
    assert!(
        status
            .peers
            .iter()
            .all(|peer| peer.connected && peer.bytes_sent > 0)
    );
    assert_eq!(
        lab.edge.settings().deployment(),
        Some(lab.deployment.clone())
    );
    let council = lab.edge.council().clone();
    let proposal = async move {
        let change = Change::new().put("test/x", Expected::Absent, "x");
        council.propose(change).await.expect("a majority");
        std::future::pending().await
    };
    lab.tasks.push(Box::pin(proposal));
    lab.run(Span::seconds(2));
    for settings in [lab.edge.settings(), lab.regions[0].0.settings()] {
        assert!(settings.get("test/x").is_some());
    }
}

#[test]
fn other_lanes_are_put_aside() {
    let mut lab = lab();
    lab.run(Span::seconds(1));
    let (_, ports) = &lab.regions[0];
    let port = &ports[&SiteId(3)];
    let payload = Bytes::from_static(b"a heartbeat");
    let plain = Plain::new(port.peer(), Lane::Health, Service(0), "", payload).expect("short");
    port.send(lab.now(), &Admission::open(), plain)
        .expect("connected");
    lab.run(Span::seconds(1));
    assert_eq!(lab.edge.status().put_aside, 1);
    assert_ne!(lab.edge.status().council.role, Role::Listener);
}

#[test]
fn a_region_is_no_edge() {
    let config = EdgeConfig {
        deployment: two_regions_and_an_edge(),
        site: SiteId(1),
        largest_round_trip: Span::ZERO,
        steering: options(&Arc::default()),
    };
    let environment = Arc::new(World(Arc::new(Clock(AtomicU64::new(0)))));
    let opened = now(Edge::open(
        MemoryEngine::new(),
        config,
        environment,
        Ports::new(),
    ));
    assert!(matches!(
        opened.err(),
        Some(OpenError::NotAnEdge(SiteId(1)))
    ));
}

#[test]
fn a_port_to_a_stranger_is_refused() {
    let config = EdgeConfig {
        deployment: two_regions_and_an_edge(),
        site: SiteId(3),
        largest_round_trip: Span::ZERO,
        steering: options(&Arc::default()),
    };
    let (_, mut ports) = ports(&config.deployment);
    let port = ports[0].remove(&SiteId(3)).expect("there is one");
    let stranger = [(SiteId(9), port)].into();
    let environment = Arc::new(World(Arc::new(Clock(AtomicU64::new(0)))));
    let opened = now(Edge::open(
        MemoryEngine::new(),
        config,
        environment,
        stranger,
    ));
    assert!(matches!(
        opened.err(),
        Some(OpenError::UnknownPeer(SiteId(9)))
    ));
}
