//! The health checks that endpoints need: one for each endpoint, port and settings, however many
//! groups share it. They are handed to the deployment's checkers; nothing is probed here. A load
//! balancer has none of its own: its Region's word counts, and the checks of its nodes, which are
//! the site's to make, whatever an endpoint group is set to (API reference, "EndpointGroup").

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use sha2::{Digest, Sha256};
use types::{ConfigurationView, HealthCheck, HealthCheckId, HttpProbe, Probe, Span, Tls};

use crate::codec;
use crate::keys;
use crate::model::{Accelerator, CheckProtocol, EndpointGroup, EndpointTarget, Listener};

/// What the ids of accelerators' health checks begin with; those of Route 53 never do.
pub const PREFIX: &str = "accelerator/";

/// Health checks of all accelerators together, at most. The endpoints beyond them stay
/// `INITIAL`. The deployment's checkers carry out 2,000; Route 53's are to have room too.
pub const MAX_CHECKS: usize = 1_500;

/// Seconds between two checks, at least (`HealthCheckIntervalSeconds`: 10 or 30).
const SHORTEST_INTERVAL: u8 = 10;

/// Hexadecimal digits after [`PREFIX`]: 128 bits, so that nobody finds two checks with one id.
const DIGITS: usize = 32;

/// Is that check an accelerator's?
pub fn is_accelerators(check: &HealthCheckId) -> bool {
    check.0.starts_with(PREFIX)
}

/// The health checks of all accelerators, disabled ones included (so that their endpoints' states
/// are known when they are enabled), each once, at most [`MAX_CHECKS`]. Rows that can't be read
/// have none; the snapshot says so.
pub fn health_checks(view: &dyn ConfigurationView) -> Vec<HealthCheck> {
    let mut known = BTreeSet::new();
    let mut checks = Vec::new();
    let mut left_out = 0;
    view.visit(keys::ACCELERATORS, &mut |_, _, value| {
        let Ok(accelerator) = codec::decode(value) else {
            return;
        };
        for check in of_accelerator(&accelerator) {
            if known.contains(&check.id) {
                continue;
            }
            if checks.len() == MAX_CHECKS {
                left_out += 1;
                continue;
            }
            known.insert(check.id.clone());
            checks.push(check);
        }
    });
    if left_out > 0 {
        let limit = MAX_CHECKS;
        tracing::error!(
            left_out,
            limit,
            "accelerators have more endpoints than are checked"
        );
    }
    checks
}

/// The health checks of one accelerator, some perhaps more than once.
pub fn of_accelerator(accelerator: &Accelerator) -> impl Iterator<Item = HealthCheck> + '_ {
    let listeners = accelerator.listeners.iter();
    let groups = listeners.flat_map(|listener| {
        let groups = listener.groups.iter();
        groups.map(move |group| (listener, group))
    });
    groups.flat_map(|(listener, group)| {
        let endpoints = group.endpoints.iter();
        endpoints.filter_map(move |endpoint| match endpoint.target {
            EndpointTarget::Address(address) => Some(check(listener, group, address)),
            EndpointTarget::Balancer(_) => None,
        })
    })
}

/// What says on the board how that load balancer is. No checker knows it.
pub fn balancer_id(arn: &str) -> HealthCheckId {
    HealthCheckId(format!("balancer/{arn}"))
}

/// What says on the board how that node of a load balancer is.
pub fn node_id(arn: &str, node: IpAddr) -> HealthCheckId {
    HealthCheckId(format!("balancer/{arn}/{node}"))
}

/// The id of the health check of that endpoint of a listener's group. Equal endpoints with equal
/// ports and settings have one; a load balancer has its own wherever it stands.
pub fn check_id(
    listener: &Listener,
    group: &EndpointGroup,
    target: &EndpointTarget,
) -> HealthCheckId {
    match target {
        EndpointTarget::Address(address) => id_of_address(listener, group, *address),
        EndpointTarget::Balancer(arn) => balancer_id(arn),
    }
}

fn id_of_address(listener: &Listener, group: &EndpointGroup, address: IpAddr) -> HealthCheckId {
    let settings = &group.check;
    let protocol = match settings.protocol {
        CheckProtocol::Tcp => "tcp",
        CheckProtocol::Http => "http",
        CheckProtocol::Https => "https",
    };
    let path = match settings.protocol {
        CheckProtocol::Tcp => "",
        CheckProtocol::Http | CheckProtocol::Https => path(group),
    };
    let endpoint = endpoint(listener, group, address);
    let (interval, threshold) = (settings.interval, settings.threshold);
    // The path stands last: whatever is in it, no two checks have one text.
    let text = format!("{endpoint} {protocol} {interval} {threshold} {path}");
    let mut id = String::from(PREFIX);
    for byte in &Sha256::digest(text.as_bytes())[..DIGITS / 2] {
        id.push_str(&format!("{byte:02x}"));
    }
    HealthCheckId(id)
}

/// The path that is asked for.
fn path(group: &EndpointGroup) -> &str {
    group.check.path.as_deref().unwrap_or("/")
}

/// Where the endpoint is checked: at the group's health-check port, or the listener's first.
/// Overrides of ports don't change it.
fn endpoint(listener: &Listener, group: &EndpointGroup, address: IpAddr) -> SocketAddr {
    let first = listener.ports.first().map_or(0, |range| range.from);
    SocketAddr::new(address, group.check.port.unwrap_or(first))
}

/// Its health check. Endpoints of UDP listeners are checked by TCP too, unless by HTTP: the
/// service's own rule.
fn check(listener: &Listener, group: &EndpointGroup, address: IpAddr) -> HealthCheck {
    let settings = &group.check;
    let http = |tls| {
        Probe::Http(HttpProbe {
            tls,
            path: path(group).to_owned(),
            search: None,
        })
    };
    let probe = match settings.protocol {
        CheckProtocol::Tcp => Probe::Tcp,
        CheckProtocol::Http => http(None),
        CheckProtocol::Https => http(Some(Tls { server_name: false })),
    };
    let endpoint = endpoint(listener, group, address);
    HealthCheck {
        id: id_of_address(listener, group, address),
        probe,
        address: Some(endpoint.ip()),
        name: None,
        port: endpoint.port(),
        // Whatever stands there: nobody is probed without a pause.
        interval: Span::seconds(u64::from(settings.interval.max(SHORTEST_INTERVAL))),
        threshold: settings.threshold.max(1),
        inverted: false,
        disabled: false,
    }
}
