//! How a target group's targets are checked, read from requests.

use aws::query::Members;

use crate::error::BalancerError;
use crate::model::{
    HealthCheckPort, HealthCheckProtocol, HealthCheckSettings, LoadBalancerKind, Matcher, Protocol,
    ProtocolVersion,
};
use crate::request::{failed, flag, length, number, shown, word};

/// The path of gRPC's checks if none is said.
const GRPC_PATH: &str = "/AWS.ALB/healthcheck";

/// What a group without any settings of its own has.
pub(crate) fn defaults(
    protocol: Protocol,
    version: Option<ProtocolVersion>,
    checked_by: HealthCheckProtocol,
) -> HealthCheckSettings {
    let is_grpc = version == Some(ProtocolVersion::Grpc);
    let by_request = checked_by != HealthCheckProtocol::Tcp;
    let path = if is_grpc { GRPC_PATH } else { "/" };
    let codes = match (protocol.kind(), is_grpc) {
        (_, true) => "12",
        (LoadBalancerKind::Application, _) => "200",
        (LoadBalancerKind::Network, _) => "200-399",
    };
    let codes = Matcher::ranges(codes).expect("the defaults are ranges");
    let matcher = match is_grpc {
        true => Matcher::Grpc(codes),
        false => Matcher::Http(codes),
    };
    // Of network load balancers' groups 6 s of HTTP checks, 10 s of all else; of others 5 s.
    let timeout = match (protocol.kind(), checked_by) {
        (LoadBalancerKind::Application, _) => 5,
        (LoadBalancerKind::Network, HealthCheckProtocol::Http) => 6,
        (LoadBalancerKind::Network, _) => 10,
    };
    HealthCheckSettings {
        enabled: true,
        protocol: checked_by,
        port: HealthCheckPort::Traffic,
        path: by_request.then(|| path.to_owned()),
        interval: 30,
        timeout,
        healthy_threshold: 5,
        unhealthy_threshold: 2,
        matcher: by_request.then_some(matcher),
    }
}

/// By what a request asks targets to be checked, if it says so.
pub(crate) fn protocol(
    members: &Members<'_>,
    of: Protocol,
) -> Result<Option<HealthCheckProtocol>, BalancerError> {
    let (all, spelled) = (HealthCheckProtocol::ALL, HealthCheckProtocol::name);
    let found = word(members, "HealthCheckProtocol", all, spelled, &[])?;
    let is_application = of.kind() == LoadBalancerKind::Application;
    if found == Some(HealthCheckProtocol::Tcp) && is_application {
        let text = format!(
            "Health check protocol 'TCP' is not supported for target groups with protocol '{of}'"
        );
        return Err(BalancerError::configuration(text));
    }
    Ok(found)
}

/// Changes settings as a request says, and checks the whole.
pub(crate) fn apply(
    members: &Members<'_>,
    of: Protocol,
    version: Option<ProtocolVersion>,
    settings: &mut HealthCheckSettings,
) -> Result<(), BalancerError> {
    if flag(members, "HealthCheckEnabled")? == Some(false) {
        let text = "Health check enabled must be true for target groups with target type \
                    'instance' or 'ip'";
        return Err(BalancerError::configuration(text));
    }
    if let Some(text) = members.value("HealthCheckPort") {
        settings.port = port(text)?;
    }
    let small = |name, least, most| number(members, name, least, most);
    if let Some(seconds) = small("HealthCheckIntervalSeconds", 5, 300)? {
        settings.interval = u16::try_from(seconds).unwrap_or(u16::MAX);
    }
    if let Some(seconds) = small("HealthCheckTimeoutSeconds", 2, 120)? {
        settings.timeout = u16::try_from(seconds).unwrap_or(u16::MAX);
    }
    if let Some(count) = small("HealthyThresholdCount", 2, 10)? {
        settings.healthy_threshold = u8::try_from(count).unwrap_or(u8::MAX);
    }
    if let Some(count) = small("UnhealthyThresholdCount", 2, 10)? {
        settings.unhealthy_threshold = u8::try_from(count).unwrap_or(u8::MAX);
    }
    let by_request = settings.protocol != HealthCheckProtocol::Tcp;
    if let Some(path) = members
        .value("HealthCheckPath")
        .filter(|path| !path.is_empty())
    {
        if !by_request {
            let text = "Health check path is not supported for TCP health checks";
            return Err(BalancerError::configuration(text));
        }
        check_path(path)?;
        settings.path = Some(path.to_owned());
    }
    if let Some(matcher) = matcher(members, of, version)? {
        if !by_request {
            let text = "Matcher is not supported for TCP health checks";
            return Err(BalancerError::configuration(text));
        }
        settings.matcher = Some(matcher);
    }
    if settings.timeout >= settings.interval {
        let text = format!(
            "Health check timeout '{}' must be smaller than the interval '{}'",
            settings.timeout, settings.interval
        );
        return Err(BalancerError::invalid(text));
    }
    Ok(())
}

fn port(text: &str) -> Result<HealthCheckPort, BalancerError> {
    if text == "traffic-port" {
        return Ok(HealthCheckPort::Traffic);
    }
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = plain.then(|| text.parse::<u16>().ok()).flatten();
    let port = port.filter(|port| *port > 0);
    port.map(HealthCheckPort::Fixed).ok_or_else(|| {
        let text = shown(text);
        BalancerError::invalid(format!(
            "Health check port '{text}' must be either 'traffic-port' or from 1 to 65535"
        ))
    })
}

fn check_path(path: &str) -> Result<(), BalancerError> {
    length("HealthCheckPath", path, 1, 1024)?;
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        let text = format!(
            "Health check path '{}' must begin with a '/' character, and have no other than \
             printable ASCII characters",
            shown(path)
        );
        return Err(BalancerError::invalid(text));
    }
    Ok(())
}

/// The codes that a request says are successes.
fn matcher(
    members: &Members<'_>,
    of: Protocol,
    version: Option<ProtocolVersion>,
) -> Result<Option<Matcher>, BalancerError> {
    let Some(config) = members.structure("Matcher") else {
        return Ok(None);
    };
    let is_grpc = version == Some(ProtocolVersion::Grpc);
    let (name, other) = match is_grpc {
        true => ("GrpcCode", "HttpCode"),
        false => ("HttpCode", "GrpcCode"),
    };
    if config.value(other).is_some_and(|text| !text.is_empty()) {
        let text = format!("Matcher must have a {name}, and no {other}, for this protocol version");
        return Err(BalancerError::configuration(text));
    }
    let Some(text) = config.value(name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let (least, most) = match (is_grpc, of.kind()) {
        (true, _) => (0, 99),
        (_, LoadBalancerKind::Application) => (200, 499),
        (_, LoadBalancerKind::Network) => (200, 599),
    };
    let ranges = Matcher::ranges(text)
        .ok()
        .filter(|ranges| ranges.len() <= 32);
    let ranges = ranges.filter(|ranges| {
        ranges
            .iter()
            .all(|range| range.first >= least && range.last <= most)
    });
    let ranges = ranges.ok_or_else(|| {
        let rule = format!("Member must be codes or ranges of codes from {least} to {most}");
        failed("matcher", text, &rule)
    })?;
    Ok(Some(match is_grpc {
        true => Matcher::Grpc(ranges),
        false => Matcher::Http(ranges),
    }))
}
