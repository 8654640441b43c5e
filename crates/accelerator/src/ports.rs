//! The rules of ports (Developer Guide, "Listeners for standard accelerators" and "Override
//! listener ports for restricted ports or connection collisions"): what one listener, or one
//! group, may ask for beside all others of its accelerator.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::AcceleratorError;
use crate::limits::{MAX_OVERRIDES, MAX_PORT_RANGES};
use crate::model::{Accelerator, Listener, PortRange};
use crate::request::{count, number, required};

/// The greatest port.
const MAX_PORT: i64 = 65_535;

/// A `PortRange` as it comes.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Range {
    from_port: Option<i64>,
    to_port: Option<i64>,
}

/// A `PortOverride` as it comes.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Override {
    listener_port: Option<i64>,
    endpoint_port: Option<i64>,
}

/// One port.
pub(crate) fn port(at: &str, value: i64) -> Result<u16, AcceleratorError> {
    number(at, value, 1, MAX_PORT)
}

/// A listener's port ranges, in the order in which they came: the first port is where endpoints
/// are checked if nothing else is said.
pub(crate) fn ranges(ranges: Vec<Range>) -> Result<Vec<PortRange>, AcceleratorError> {
    let shown = format!("{} port ranges", ranges.len());
    count("portRanges", shown, ranges.len(), 1, MAX_PORT_RANGES)?;
    let mut read: Vec<PortRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        let from = required("portRanges.member.fromPort", range.from_port)?;
        let to = required("portRanges.member.toPort", range.to_port)?;
        let numbers = |value: i64| {
            let port = u16::try_from(value).ok().filter(|port| *port > 0);
            port.ok_or_else(|| {
                refused(format!(
                    "{value} is not a valid port: ports are 1 to 65535."
                ))
            })
        };
        let range = PortRange {
            from: numbers(from)?,
            to: numbers(to)?,
        };
        if range.from > range.to {
            return Err(refused(format!(
                "The port range {} ends before it begins.",
                shown_range(range)
            )));
        }
        if let Some(other) = read.iter().find(|other| other.overlaps(range)) {
            let (one, other) = (shown_range(range), shown_range(*other));
            return Err(refused(format!(
                "The port ranges {other} and {one} overlap."
            )));
        }
        read.push(range);
    }
    Ok(read)
}

/// A group's port overrides: from the listener's port to the endpoints'.
pub(crate) fn overrides(overrides: Vec<Override>) -> Result<BTreeMap<u16, u16>, AcceleratorError> {
    let shown = format!("{} port overrides", overrides.len());
    count("portOverrides", shown, overrides.len(), 0, MAX_OVERRIDES)?;
    let mut read = BTreeMap::new();
    for one in overrides {
        let from = required("portOverrides.member.listenerPort", one.listener_port)?;
        let to = required("portOverrides.member.endpointPort", one.endpoint_port)?;
        let from = port("portOverrides.member.listenerPort", from)?;
        let to = port("portOverrides.member.endpointPort", to)?;
        if read.insert(from, to).is_some() {
            return Err(AcceleratorError::invalid(format!(
                "There is more than one port override of the listener port {from}."
            )));
        }
    }
    Ok(read)
}

/// Do a listener's ports go with those of the accelerator's others, and with all overrides?
pub(crate) fn check_listener(
    accelerator: &Accelerator,
    listener: &Listener,
) -> Result<(), AcceleratorError> {
    let others = accelerator.listeners.iter();
    for other in others.filter(|other| other.id != listener.id) {
        if other.protocol != listener.protocol {
            continue;
        }
        for range in &listener.ports {
            if let Some(taken) = other.ports.iter().find(|taken| taken.overlaps(*range)) {
                let (range, taken) = (shown_range(*range), shown_range(*taken));
                return Err(refused(format!(
                    "The port range {range} overlaps {taken}, which another listener of this \
                     accelerator has for the same protocol."
                )));
            }
        }
    }
    for group in &listener.groups {
        let stray = group.overrides.keys();
        let mut stray = stray.filter(|port| !contains(&listener.ports, **port));
        if let Some(port) = stray.next() {
            return Err(refused(format!(
                "An endpoint group of this listener overrides its port {port}, which is in none \
                 of these port ranges."
            )));
        }
    }
    for group in accelerator.groups().chain(&listener.groups) {
        let mut taken = group.overrides.values();
        if let Some(port) = taken.find(|port| contains(&listener.ports, **port)) {
            return Err(refused(format!(
                "An endpoint group of this accelerator overrides a port with {port}, which is in \
                 one of these port ranges."
            )));
        }
    }
    Ok(())
}

/// Do a group's overrides go with the accelerator's listeners, of which `ports` are its own
/// listener's, and with the overrides of its other groups?
pub(crate) fn check_overrides(
    accelerator: &Accelerator,
    ports: &[PortRange],
    overrides: &BTreeMap<u16, u16>,
) -> Result<(), AcceleratorError> {
    let all = accelerator.groups().flat_map(|group| &group.overrides);
    // A port of endpoints belongs to one port of listeners, in all groups of an accelerator.
    let mut sources: BTreeMap<u16, u16> = all.map(|(from, to)| (*to, *from)).collect();
    for (from, to) in overrides {
        if !contains(ports, *from) {
            return Err(AcceleratorError::invalid(format!(
                "The port override of {from} is of no port of the listener."
            )));
        }
        let mut listeners = accelerator.listeners.iter();
        if listeners.any(|listener| contains(&listener.ports, *to)) {
            return Err(AcceleratorError::invalid(format!(
                "The endpoint port {to} of a port override is in a port range of a listener of \
                 this accelerator."
            )));
        }
        match sources.insert(*to, *from) {
            Some(other) if other != *from => {
                return Err(AcceleratorError::invalid(format!(
                    "The endpoint port {to} is that of two port overrides of this accelerator: \
                     of the listener ports {other} and {from}."
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// `PortRanges`.
pub(crate) fn shape_ranges(ranges: &[PortRange]) -> Value {
    let ranges = ranges.iter();
    ranges
        .map(|range| json!({"FromPort": range.from, "ToPort": range.to}))
        .collect()
}

/// `PortOverrides`.
pub(crate) fn shape_overrides(overrides: &BTreeMap<u16, u16>) -> Value {
    let overrides = overrides.iter();
    overrides
        .map(|(from, to)| json!({"ListenerPort": from, "EndpointPort": to}))
        .collect()
}

fn contains(ranges: &[PortRange], port: u16) -> bool {
    ranges.iter().any(|range| range.contains(port))
}

fn shown_range(range: PortRange) -> String {
    match range.from == range.to {
        true => range.from.to_string(),
        false => format!("{}-{}", range.from, range.to),
    }
}

fn refused(text: String) -> AcceleratorError {
    AcceleratorError::PortRange(text)
}
