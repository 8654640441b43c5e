//! `[[load]]` and `[measure]`: who asks for what, how often, for how long, and what is measured.

use types::Span;

use super::accelerators;
use super::global;
use super::lab;
use super::names::{self, Context, Placed};
use super::reading::{Part, Section, meant};
use super::span;
use super::steps::Placed as PlacedStep;
use super::value::Value;
use crate::limits;
use crate::plan::SHARED;
use crate::scenario::{Act, Client, ClientKind, Load, Measure, Step, Table, Work};

/// `[measure]` as far as it can be read before the steps.
pub(super) struct Draft {
    /// How long the load runs.
    pub(super) length: Option<Span>,
    sustained: Span,
    look_every: Span,
    deploy_within: Span,
    converge_within: Span,
}

/// Reads the spans of `[measure]`.
pub(super) fn measure(section: &Section<'_, '_>) -> Draft {
    let span = |key, range, otherwise| {
        let given = section.get(key).and_then(|value| value.span(range));
        given.unwrap_or(otherwise)
    };
    let length = section.required("length", "length = \"60s\"");
    Draft {
        length: length.and_then(|value| value.span(limits::LENGTH)),
        sustained: span("sustained", limits::SUSTAINED, Span::seconds(3)),
        look_every: span("look_every", limits::LOOK, Span::milliseconds(100)),
        deploy_within: span("deploy_within", limits::WAIT, Span::seconds(60)),
        converge_within: span("converge_within", limits::WAIT, Span::seconds(60)),
    }
}

/// Reads the rest of `[measure]`, which refers to tables and steps.
pub(super) fn finish_measure(
    section: &Section<'_, '_>,
    draft: Draft,
    (tables, loads): (&[Table], &[Load]),
    steps: &[PlacedStep],
) -> Option<Measure> {
    let table = section.get("table");
    let table = match &table {
        None => global::written(loads).or((!tables.is_empty()).then_some(0)),
        Some(value) => {
            let name = value.text().unwrap_or_default();
            let found = tables.iter().position(|table| table.name == name);
            if found.is_none() && !section.reader.is_spoilt(Part::Tables) {
                let names = tables.iter().map(|table| table.name.as_str());
                let message = format!("there is no table, bucket or global cluster `{name}`");
                section.reader.unknown(&value.place, message, name, names);
            }
            found
        }
    };
    let fault = section.get("fault");
    let fault = match &fault {
        None => steps.iter().position(|(step, _)| is_fault(step)),
        Some(value) => named_fault(section, value, steps),
    };
    global::check_measured(section, table, tables, loads);
    section.check_unknown();
    let measure = Measure {
        length: draft.length?,
        sustained: draft.sustained,
        look_every: draft.look_every,
        deploy_within: draft.deploy_within,
        converge_within: draft.converge_within,
        fault,
        table,
    };
    if let Some(index) = fault
        && !section.reader.is_spoilt(Part::Steps)
    {
        check_sustained(section, &measure, index, steps);
    }
    Some(measure)
}

fn is_fault(step: &Step) -> bool {
    matches!(step.act, Act::Fault { .. })
}

fn named_fault(
    section: &Section<'_, '_>,
    value: &Value<'_, '_>,
    steps: &[PlacedStep],
) -> Option<usize> {
    let name = value.text()?;
    let faults = steps.iter().filter(|(step, _)| is_fault(step));
    let names: Vec<&str> = faults
        .filter_map(|(step, _)| step.name.as_deref())
        .collect();
    if section.reader.is_spoilt(Part::Steps) {
        return None;
    }
    if !names.contains(&name) {
        let message = format!("no step that breaks something is named `{name}`");
        section.reader.unknown(&value.place, message, name, names);
        return None;
    }
    steps
        .iter()
        .position(|(step, _)| step.name.as_deref() == Some(name))
}

/// A client can only recover within an outage that lasts longer than what counts as recovery.
fn check_sustained(
    section: &Section<'_, '_>,
    measure: &Measure,
    index: usize,
    steps: &[PlacedStep],
) {
    let all: Vec<Step> = steps.iter().map(|(step, _)| step.clone()).collect();
    let end = crate::plan::end_of_fault(&all, index, measure.length);
    let lasts = Span(end.0.saturating_sub(all[index].at.0));
    if lasts <= measure.sustained {
        let message = format!(
            "the fault lasts {}, and a client has recovered when it succeeds for {}",
            span::show(lasts),
            span::show(measure.sustained)
        );
        let place = section.place_of("sustained");
        let help = "make the fault longer, or `sustained` shorter";
        section.reader.problem_help(&place, message, help);
    }
}

/// Reads `[[load]]`.
pub(super) fn loads(
    root: &Section<'_, '_>,
    context: &Context<'_>,
    records: &[Placed],
    length: Option<Span>,
) -> Vec<Load> {
    let mut loads: Vec<Load> = Vec::new();
    for section in root.sections("load", "a load", limits::LOADS) {
        let load = load(&section, context, records, length);
        section.check_unknown();
        let Some(load) = load else {
            root.reader.spoil(Part::Loads);
            continue;
        };
        check_names(&section, &load, &loads);
        loads.push(load);
    }
    let requests: f64 = loads.iter().map(requests_of).sum();
    if requests > limits::REQUESTS as f64 {
        let message = format!("the loads make {requests:.0} requests");
        let help = format!(
            "{} are allowed: lower a `rate` or the length",
            limits::REQUESTS
        );
        root.reader
            .problem_help(&root.place_of("load"), message, help);
    }
    loads
}

fn requests_of(load: &Load) -> f64 {
    load.rate * (load.until.0.saturating_sub(load.from.0)) as f64 / 1_000_000.0
}

fn check_names(section: &Section<'_, '_>, load: &Load, earlier: &[Load]) {
    let reader = section.reader;
    if load.name == SHARED {
        let message = format!("`{SHARED}` can't name a load: orders that loads share have it");
        reader.problem(&section.place_of("name"), message);
    }
    if earlier.iter().any(|other| other.name == load.name) {
        let message = format!("there are two loads `{}`", load.name);
        reader.problem(&section.place_of("name"), message);
    }
    let clients = earlier
        .iter()
        .map(|other| &other.client)
        .chain([&load.client]);
    for client in clients {
        if client.label == load.name {
            let message = format!("`{}` is a kind of client, and can't name a load", load.name);
            reader.problem(&section.place_of("name"), message);
            break;
        }
    }
    if earlier.iter().any(|other| other.name == load.client.label) {
        let message = format!(
            "a load is named `{}` like this kind of client",
            load.client.label
        );
        reader.problem(&section.place_of("client"), message);
    }
    let differs = |other: &&Load| {
        other.client.label == load.client.label && other.client.kind != load.client.kind
    };
    if earlier.iter().any(|other| differs(&other)) {
        let message = "two loads hold answers for different spans under one name";
        let help = "write client = \"holds_60s\", so that each span has its own";
        reader.problem_help(&section.place_of("client"), message, help);
    }
}

fn load(
    section: &Section<'_, '_>,
    context: &Context<'_>,
    records: &[Placed],
    length: Option<Span>,
) -> Option<Load> {
    let name = section.required("name", "name = \"buyers\"");
    let name = name.and_then(|value| word(&value));
    let place = section.required("place", "place = \"eu-west-1\"");
    let place = place.and_then(|value| lab::region(&value));
    let client = client(section);
    let rate = section.required("rate", "rate = 20 (requests a second)");
    let rate = rate.and_then(|value| value.decimal(limits::RATE));
    let work = work(section);
    let is_of_rows = global::is_meant(section, client.as_ref(), work.as_ref());
    let target = match is_of_rows {
        true => global::target(section, context, client.as_ref(), work.as_ref()),
        false => target(section, context, records, client.as_ref()),
    };
    let timeout = section.get("timeout");
    let timeout = timeout.map_or(Some(Span::seconds(1)), |value| value.span(limits::TIMEOUT));
    let whole = (Span::ZERO, limits::LENGTH.1);
    let from = section
        .get("from")
        .map_or(Some(Span::ZERO), |value| value.span(whole));
    let until = section
        .get("until")
        .map_or(length, |value| value.span(whole));
    let lab_is_known = !section.reader.is_spoilt(Part::Lab);
    if !is_of_rows && lab_is_known && context.lab.is_some_and(|lab| lab.app.is_none()) {
        let message = "a load needs an application";
        section
            .reader
            .problem_help(section.place(), message, "write app = \"orders\" in [lab]");
    }
    let (from, until) = (from?, until?);
    if from >= until {
        let place = section.place_of(if section.has("from") { "from" } else { "until" });
        section
            .reader
            .problem(&place, "the load ends before it begins");
    }
    if length.is_some_and(|length| until > length) {
        let message = "the load goes on after the end of the measurement";
        section.reader.problem(&section.place_of("until"), message);
    }
    let target = target?;
    Some(Load {
        name: name?,
        place: place?,
        client: client?,
        rate: rate?,
        work: work?,
        target: target.name,
        accelerator: target.accelerator,
        global_cluster: target.global_cluster,
        timeout: timeout?,
        from,
        until,
    })
}

/// A name of a load or step: 1 to 40 letters, digits, `-` and `_`, so that it can be part of an
/// order's id and of an expectation.
pub(super) fn word(value: &Value<'_, '_>) -> Option<String> {
    let text = value.text()?;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if (1..=40).contains(&text.len()) && text.bytes().all(is_part) {
        return Some(text.to_owned());
    }
    value.problem(
        "this can't be a name here",
        "1 to 40 letters, digits, `-` and `_`",
    );
    None
}

fn client(section: &Section<'_, '_>) -> Option<Client> {
    let value = section.required("client", "client = \"honours_ttl\"");
    let hold = section.get("hold");
    let span = hold.as_ref().map(|value| value.span(limits::HOLD));
    let value = value?;
    let label = value.text()?.to_owned();
    let named = label.strip_prefix("holds_").map(span::parse);
    let kind = match (label.as_str(), named) {
        ("honours_ttl", _) => ClientKind::HonoursTtl,
        ("never_resolves_again", _) => ClientKind::NeverResolvesAgain,
        ("pooled", _) => ClientKind::Pooled,
        ("accelerator", _) => ClientKind::Accelerator,
        ("accelerator_pooled", _) => ClientKind::AcceleratorPooled,
        ("follows_the_writer", _) => ClientKind::FollowsTheWriter,
        ("holds", _) => match span {
            None => {
                value.problem("`holds` needs a span", "write hold = \"60s\" below it");
                return None;
            }
            Some(span) => ClientKind::Holds(span?),
        },
        (_, Some(Ok(microseconds))) => {
            let named = u64::try_from(microseconds).ok().map(Span);
            let (least, most) = limits::HOLD;
            match named.filter(|span| (least..=most).contains(span)) {
                Some(span) => ClientKind::Holds(span),
                None => {
                    let (least, most) = (span::show(least), span::show(most));
                    let help = format!("from {least} to {most}");
                    value.problem(format!("`{label}` is no span to hold an answer"), help);
                    return None;
                }
            }
        }
        _ => {
            let allowed = [
                "honours_ttl",
                "holds",
                "holds_60s",
                "never_resolves_again",
                "pooled",
                "accelerator",
                "accelerator_pooled",
                "follows_the_writer",
            ];
            let message = format!("there is no kind of client `{label}`");
            section
                .reader
                .unknown(&value.place, message, &label, allowed);
            return None;
        }
    };
    if let (Some(hold), false) = (&hold, label == "holds") {
        hold.problem(
            format!("`{label}` takes no `hold`"),
            "write client = \"holds\", or remove it",
        );
    }
    Some(Client { label, kind })
}

fn work(section: &Section<'_, '_>) -> Option<Work> {
    #[derive(Clone, Copy)]
    enum Word {
        Place,
        Read,
        Update,
        Insert,
        Get,
    }
    let words = [
        ("place_orders", Word::Place),
        ("read_orders", Word::Read),
        ("update_and_read", Word::Update),
        ("insert_rows", Word::Insert),
        ("get", Word::Get),
    ];
    let does = section.required("does", "does = \"place_orders\"");
    let orders = section.get("orders");
    let path = section.get("path");
    let word = does?.choice(&words)?;
    if let (Some(value), false) = (&orders, matches!(word, Word::Update)) {
        value.problem("only `update_and_read` has `orders`", "remove it");
    }
    if let (Some(value), false) = (&path, matches!(word, Word::Get)) {
        value.problem("only `get` has a `path`", "remove it");
    }
    Some(match word {
        Word::Place => Work::PlaceOrders,
        Word::Read => Work::ReadOrders,
        Word::Insert => Work::InsertRows,
        Word::Update => {
            let orders = orders.map_or(Some(20), |value| value.whole(limits::SHARED_ORDERS));
            Work::UpdateAndRead {
                orders: u32::try_from(orders?).ok()?,
            }
        }
        Word::Get => {
            let path = path.map_or(Some("/".to_owned()), |value| names::path(&value));
            Work::Get { path: path? }
        }
    })
}

/// What a load goes to.
#[derive(Default)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) accelerator: Option<usize>,
    pub(super) global_cluster: Option<usize>,
}

/// What a load goes to: a name of the DNS, or an accelerator by its addresses.
fn target(
    section: &Section<'_, '_>,
    context: &Context<'_>,
    records: &[Placed],
    client: Option<&Client>,
) -> Option<Target> {
    let accelerator = section.get("accelerator");
    let goes_by_address = client.map(|client| client.kind.is_accelerator());
    if let Some(value) = &accelerator {
        if section.has("target") {
            section.get("target");
            let help = "leave out `target`, or `accelerator`";
            value.problem("a load goes to one thing", help);
            return None;
        }
        if goes_by_address == Some(false) {
            let help = "write client = \"accelerator\" or \"accelerator_pooled\", or \
                        `target` with the name of an alias to it";
            value.problem("clients of this kind ask the DNS", help);
            return None;
        }
        let index = accelerators::named(value, context)?;
        return Some(Target {
            name: context.accelerators[index].name.clone(),
            accelerator: Some(index),
            ..Target::default()
        });
    }
    if goes_by_address == Some(true) {
        section.get("target");
        let message = "clients of this kind go to an accelerator's addresses";
        let help = "write accelerator = \"…\" in place of `target`";
        section
            .reader
            .problem_help(&section.place_of("client"), message, help);
        return None;
    }
    let target = section.required("target", "target = \"app.example.com\"");
    let target = target.and_then(|value| target_of(&value, context, records));
    Some(Target {
        name: target?,
        ..Target::default()
    })
}

/// A name that an A record (a wildcard, perhaps) answers.
fn target_of(value: &Value<'_, '_>, context: &Context<'_>, records: &[Placed]) -> Option<String> {
    let (name, _) = names::in_zone(value, context)?;
    if name.starts_with('*') {
        value.problem("a load asks for one name", "write a name without `*`");
        return None;
    }
    let wildcard = |record: &str| {
        record
            .strip_prefix('*')
            .is_some_and(|suffix| name.ends_with(suffix))
    };
    let addresses = records.iter().filter(|(record, _)| record.kind == "A");
    let names: Vec<&str> = addresses.map(|(record, _)| record.name.as_str()).collect();
    if names
        .iter()
        .any(|record| *record == name || wildcard(record))
    {
        return Some(name);
    }
    if value.reader.is_spoilt(Part::Records) {
        return None;
    }
    let mut distinct = names.clone();
    distinct.dedup();
    let message = format!("no record of type A has the name `{name}`");
    value.problem(message, meant(&name, &distinct));
    None
}
