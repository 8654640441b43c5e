//! What an endpoint group is set to, but for its endpoints: read from requests that make one or
//! change one, and put over what it has. What a request leaves out stays.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use types::Region;

use crate::endpoints::{self, EndpointConfiguration};
use crate::error::AcceleratorError;
use crate::limits::{
    DEFAULT_INTERVAL, DEFAULT_THRESHOLD, FAST_INTERVAL, MAX_STRING, MAX_THRESHOLD,
};
use crate::model::{
    Accelerator, CheckProtocol, CheckSettings, Endpoint, EndpointGroup, Listener, TrafficDial,
};
use crate::ports::{self, Override};
use crate::request::{failed, length, number, one_of};
use crate::service::Service;
use crate::shapes;

/// How protocols of checks are spelled.
const PROTOCOLS: [(&str, CheckProtocol); 3] = [
    ("TCP", CheckProtocol::Tcp),
    ("HTTP", CheckProtocol::Http),
    ("HTTPS", CheckProtocol::Https),
];

/// The pattern of a check's path, as the API's model spells it.
const PATH_PATTERN: &str = "^/[-a-zA-Z0-9@:%_\\\\+.~#?&/=]*$";

/// The members that requests about a group share.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) endpoints: Option<Vec<EndpointConfiguration>>,
    pub(crate) dial: Option<f64>,
    pub(crate) port: Option<i64>,
    pub(crate) protocol: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) interval: Option<i64>,
    pub(crate) threshold: Option<i64>,
    pub(crate) overrides: Option<Vec<Override>>,
}

/// The same, by the rules.
#[derive(Serialize)]
pub(crate) struct Settings {
    endpoints: Option<Vec<Endpoint>>,
    dial: Option<TrafficDial>,
    port: Option<u16>,
    protocol: Option<CheckProtocol>,
    path: Option<String>,
    interval: Option<u8>,
    threshold: Option<u8>,
    overrides: Option<BTreeMap<u16, u16>>,
}

impl Given {
    /// Reads the members by the rules that they have alone.
    pub(crate) fn read(self, service: &Service) -> Result<Settings, AcceleratorError> {
        let port = |port| ports::port("healthCheckPort", port);
        let protocol =
            |word: String| one_of("healthCheckProtocol", word.as_str(), PROTOCOLS.as_slice());
        let threshold = |count| number("thresholdCount", count, 1, MAX_THRESHOLD);
        let endpoints = |endpoints| endpoints::read(service, endpoints);
        Ok(Settings {
            endpoints: self.endpoints.map(endpoints).transpose()?,
            dial: self.dial.map(dial).transpose()?,
            port: self.port.map(port).transpose()?,
            protocol: self.protocol.map(protocol).transpose()?,
            path: self.path.map(path).transpose()?,
            interval: self.interval.map(interval).transpose()?,
            threshold: self.threshold.map(threshold).transpose()?,
            overrides: self.overrides.map(ports::overrides).transpose()?,
        })
    }
}

impl Settings {
    /// Puts what was given over what a group has.
    pub(crate) fn apply(&self, group: &mut EndpointGroup) {
        fn put<T: Clone>(over: &mut T, given: &Option<T>) {
            if let Some(given) = given {
                over.clone_from(given);
            }
        }
        put(&mut group.endpoints, &self.endpoints);
        put(&mut group.dial, &self.dial);
        put(&mut group.check.protocol, &self.protocol);
        put(&mut group.check.interval, &self.interval);
        put(&mut group.check.threshold, &self.threshold);
        put(&mut group.overrides, &self.overrides);
        group.check.port = self.port.or(group.check.port);
        if self.path.is_some() {
            group.check.path.clone_from(&self.path);
        }
    }
}

/// How endpoints are checked if nothing is said.
pub(crate) fn default_check() -> CheckSettings {
    CheckSettings {
        protocol: CheckProtocol::Tcp,
        port: None,
        path: None,
        interval: DEFAULT_INTERVAL,
        threshold: DEFAULT_THRESHOLD,
    }
}

/// A Region by its name.
pub(crate) fn region(at: &str, name: &str) -> Result<Region, AcceleratorError> {
    length(at, name, 1, MAX_STRING)?;
    name.parse().map_err(|_| {
        AcceleratorError::invalid(format!("The Region '{name}' at '{at}' doesn't exist."))
    })
}

/// A dial, from percent; finer than a thousandth of a percent is rounded.
fn dial(percent: f64) -> Result<TrafficDial, AcceleratorError> {
    let at = "trafficDialPercentage";
    if percent.is_nan() || percent < 0.0 {
        let rule = "Member must have value greater than or equal to 0";
        return Err(failed(at, percent, rule));
    }
    if percent > 100.0 {
        let rule = "Member must have value less than or equal to 100";
        return Err(failed(at, percent, rule));
    }
    // In range as was just judged: 0 to 100,000.
    Ok(TrafficDial((percent * 1000.0).round() as u32))
}

/// A path, of the model's characters.
fn path(path: String) -> Result<String, AcceleratorError> {
    let at = "healthCheckPath";
    length(at, &path, 1, MAX_STRING)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-@:%_\\+.~#?&/=".contains(&byte);
    if !path.starts_with('/') || !path.bytes().all(allowed) {
        let rule = format!("Member must satisfy regular expression pattern: {PATH_PATTERN}");
        return Err(failed(at, path, &rule));
    }
    Ok(path)
}

/// An interval: one of two.
fn interval(seconds: i64) -> Result<u8, AcceleratorError> {
    let at = "healthCheckIntervalSeconds";
    let least = i64::from(FAST_INTERVAL);
    match number(at, seconds, least, i64::from(DEFAULT_INTERVAL))? {
        interval @ (FAST_INTERVAL | DEFAULT_INTERVAL) => Ok(interval),
        other => Err(AcceleratorError::invalid(format!(
            "The health check interval is {FAST_INTERVAL} or {DEFAULT_INTERVAL} seconds, not \
             {other}."
        ))),
    }
}

/// `EndpointGroup`.
pub(crate) fn shape(
    service: &Service,
    accelerator: &Accelerator,
    listener: &Listener,
    group: &EndpointGroup,
) -> Value {
    let protocols = PROTOCOLS.iter();
    let mut protocol = protocols.filter(|(_, protocol)| *protocol == group.check.protocol);
    let (protocol, _) = protocol.next().expect("every protocol has a word");
    let first = listener.ports.first().map(|range| range.from);
    let mut shape = json!({
        "EndpointGroupArn": shapes::group_arn(accelerator, &listener.id, &group.id),
        "EndpointGroupRegion": group.region.name(),
        "EndpointDescriptions": endpoints::describe(service, accelerator, group),
        "TrafficDialPercentage": f64::from(group.dial.0) / 1000.0,
        "HealthCheckPort": group.check.port.or(first),
        "HealthCheckProtocol": protocol,
        "HealthCheckIntervalSeconds": group.check.interval,
        "ThresholdCount": group.check.threshold,
        "PortOverrides": ports::shape_overrides(&group.overrides),
    });
    let path = group.check.path.as_deref();
    let asked = (group.check.protocol != CheckProtocol::Tcp).then_some("/");
    if let Some(path) = path.or(asked) {
        shape["HealthCheckPath"] = path.into();
    }
    shape
}
