//! From a target to the probe that checks it: where to, how often, how long it may take. Plain
//! functions of the group's settings and the deployment's.

use std::net::SocketAddr;

use types::{HealthCheckId, HttpProbe, Probe, ProbeOrder, ProbeTimeouts, Span, Tls};

use crate::model::{HealthCheckProtocol, HealthCheckSettings, ProtocolVersion, TargetKey};

/// The shortest interval that a deployment can set for all checks.
pub const MINIMUM_INTERVAL: Span = Span::milliseconds(200);

/// The longest interval that a deployment can set for all checks.
pub const MAXIMUM_INTERVAL: Span = Span::seconds(300);

/// With an interval set by the deployment, a probe takes no longer than 3/2 of it, and may take
/// this: below it a healthy target under load would be taken for one that hangs.
const TIMEOUT_FLOOR: Span = Span::milliseconds(350);

/// What a deployment sets for all health checks of targets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HealthSettings {
    interval: Option<Span>,
}

/// The interval is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an interval of {0}; targets can be checked every {MINIMUM_INTERVAL} to {MAXIMUM_INTERVAL}"
)]
pub struct InvalidInterval(pub Span);

impl HealthSettings {
    /// With that interval for all checks, whatever their groups say; `None`: each group's own.
    ///
    /// # Errors
    ///
    /// The interval is out of range.
    pub fn new(interval: Option<Span>) -> Result<HealthSettings, InvalidInterval> {
        match interval {
            Some(interval) if !(MINIMUM_INTERVAL..=MAXIMUM_INTERVAL).contains(&interval) => {
                Err(InvalidInterval(interval))
            }
            interval => Ok(HealthSettings { interval }),
        }
    }

    /// From the start of one probe of a target to the start of the next.
    pub fn interval(self, check: &HealthCheckSettings) -> Span {
        self.interval
            .unwrap_or(Span::seconds(u64::from(check.interval)))
    }

    /// How long a probe may take in all.
    pub fn timeout(self, check: &HealthCheckSettings) -> Span {
        let own = Span::seconds(u64::from(check.timeout));
        self.interval.map_or(own, |interval| {
            own.min(Span(interval.0 * 3 / 2).max(TIMEOUT_FLOOR))
        })
    }
}

/// The probe of a target that takes traffic at `traffic`, by that version of HTTP.
pub(super) fn order(
    target: &TargetKey,
    (traffic, version): (SocketAddr, Option<ProtocolVersion>),
    check: &HealthCheckSettings,
    settings: HealthSettings,
) -> ProbeOrder {
    let timeout = settings.timeout(check);
    let http = |tls| {
        let http = HttpProbe {
            tls,
            path: check.path.clone().unwrap_or_else(|| "/".to_owned()),
            search: None,
        };
        match version {
            None | Some(ProtocolVersion::Http1) => Probe::Http(http),
            Some(ProtocolVersion::Http2) => Probe::Http2(http),
            Some(ProtocolVersion::Grpc) => Probe::Grpc(http),
        }
    };
    ProbeOrder {
        id: HealthCheckId(format!("{}:{}", target.id, target.port)),
        endpoint: SocketAddr::new(traffic.ip(), check.port_of(traffic.port())),
        name: None,
        probe: match check.protocol {
            HealthCheckProtocol::Tcp => Probe::Tcp,
            HealthCheckProtocol::Http => http(None),
            HealthCheckProtocol::Https => http(Some(Tls { server_name: false })),
        },
        // Each step may take all of it; the machine sees to it that they don't together.
        timeouts: ProbeTimeouts {
            connect: timeout,
            response: timeout,
            body: timeout,
        },
    }
}
