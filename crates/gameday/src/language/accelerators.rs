//! `[[accelerator]]`: static addresses that lead to the Regions' applications, and the words by
//! which others mean one.

use types::Span;

use super::lab;
use super::load;
use super::names::{self, Context};
use super::reading::{Part, Section};
use super::value::Value;
use crate::limits;
use crate::scenario::{Accelerator, Affinity, CheckKind, EndpointGroup, Lab};

/// Reads `[[accelerator]]`.
pub(super) fn read(root: &Section<'_, '_>, lab: Option<&Lab>) -> Vec<Accelerator> {
    let mut accelerators: Vec<Accelerator> = Vec::new();
    for section in root.sections("accelerator", "an accelerator", limits::ACCELERATORS) {
        let accelerator = accelerator(&section, lab);
        section.check_unknown();
        let Some(accelerator) = accelerator else {
            root.reader.spoil(Part::Accelerators);
            continue;
        };
        if accelerators
            .iter()
            .any(|other| other.name == accelerator.name)
        {
            let message = format!("there are two accelerators `{}`", accelerator.name);
            section.reader.problem(&section.place_of("name"), message);
        }
        accelerators.push(accelerator);
    }
    if let (Some(lab), false) = (lab, accelerators.is_empty()) {
        check_lab(root, lab);
    }
    accelerators
}

/// What carries flows, and what they go to.
fn check_lab(root: &Section<'_, '_>, lab: &Lab) {
    let place = root.place_of("accelerator");
    if lab.edges == 0 {
        let message = "nobody carries an accelerator's flows: the lab has no edge";
        root.reader
            .problem_help(&place, message, "write edges = 1 in [lab]");
    }
    if lab.app.is_none() {
        let message = "an accelerator leads to applications, and the lab has none";
        root.reader
            .problem_help(&place, message, "write app = \"orders\" in [lab]");
    }
}

fn accelerator(section: &Section<'_, '_>, lab: Option<&Lab>) -> Option<Accelerator> {
    let affinities = [("none", Affinity::None), ("source_ip", Affinity::SourceIp)];
    let checks = [
        ("tcp", CheckKind::Tcp),
        ("http", CheckKind::Http),
        ("https", CheckKind::Https),
    ];
    let intervals = [("10s", Span::seconds(10)), ("30s", Span::seconds(30))];
    let name = section.required("name", "name = \"orders\"");
    let name = name.and_then(|value| load::word(&value));
    let affinity = section.get("affinity");
    let affinity = affinity.map_or(Some(Affinity::None), |value| value.choice(&affinities));
    let port = section.get("port").map(|value| value.whole((1, 65_535)));
    let check = section.get("check");
    let check = check.map_or(Some(CheckKind::Tcp), |value| value.choice(&checks));
    let path = section.get("path");
    let path = path.map_or(Some("/health".to_owned()), |value| names::path(&value));
    let threshold = section.get("threshold");
    let threshold = threshold.map_or(Some(3), |value| value.whole((1, 10)));
    let interval = section.get("interval");
    let interval = interval.map_or(Some(Span::seconds(10)), |value| value.choice(&intervals));
    let groups = groups(section, lab);
    if check == Some(CheckKind::Tcp) && section.has("path") {
        let message = "a check by `tcp` has no `path`";
        let help = "write check = \"http\", or remove it";
        section
            .reader
            .problem_help(&section.place_of("path"), message, help);
    }
    let port = match port {
        None => None,
        Some(port) => Some(u16::try_from(port?).ok()?),
    };
    Some(Accelerator {
        name: name?,
        affinity: affinity?,
        port,
        check: check?,
        path: path?,
        threshold: u8::try_from(threshold?).ok()?,
        interval: interval?,
        groups: groups?,
    })
}

/// The endpoint groups: `regions` for those with nothing of their own, or `[[accelerator.group]]`.
fn groups(section: &Section<'_, '_>, lab: Option<&Lab>) -> Option<Vec<EndpointGroup>> {
    let regions = section.get("regions");
    let listed = section.sections("group", "a group", limits::REGIONS);
    let mut groups: Vec<EndpointGroup> = Vec::new();
    if let Some(value) = regions {
        let regions = lab::distinct_regions(&value, lab);
        groups.extend(regions.into_iter().map(|region| EndpointGroup {
            region,
            dial: 100.0,
            weight: 128,
        }));
    }
    for inner in listed {
        let read = group(&inner, lab);
        inner.check_unknown();
        let read = read?;
        if groups.iter().any(|other| other.region == read.region) {
            let message = format!("{} has a group already", read.region);
            let place = inner.place_of("region");
            inner.reader.problem_help(&place, message, "one a Region");
        }
        groups.push(read);
    }
    if !groups.is_empty() {
        return Some(groups);
    }
    if !section.has("regions") {
        let help = "write regions = [\"us-east-1\", \"eu-west-1\"], or [[accelerator.group]]";
        section
            .reader
            .problem_help(section.place(), "an accelerator needs groups", help);
    }
    None
}

fn group(section: &Section<'_, '_>, lab: Option<&Lab>) -> Option<EndpointGroup> {
    let region = section.required("region", "region = \"us-east-1\"");
    let region = region.and_then(|value| lab::region_of(&value, lab?));
    let dial = section.get("dial");
    let dial = dial.map_or(Some(100.0), |value| value.decimal((0.0, 100.0)));
    let weight = section.get("weight");
    let weight = weight.map_or(Some(128), |value| value.whole((0, 255)));
    Some(EndpointGroup {
        region: region?,
        dial: dial?,
        weight: u8::try_from(weight?).ok()?,
    })
}

/// The index of the accelerator that a value names.
pub(super) fn named(value: &Value<'_, '_>, context: &Context<'_>) -> Option<usize> {
    let name = value.text()?;
    let mut all = context.accelerators.iter();
    let found = all.position(|accelerator| accelerator.name == name);
    if found.is_none() && !value.reader.is_spoilt(Part::Accelerators) {
        let names = context.accelerators.iter().map(|it| it.name.as_str());
        let message = format!("there is no accelerator `{name}`");
        value.reader.unknown(&value.place, message, name, names);
    }
    found
}
