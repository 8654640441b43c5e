//! `[[global_cluster]]`, what writes to one, and the steps that move its writer.

use super::lab;
use super::load::Target;
use super::names::Context;
use super::reading::{Part, Section};
use super::steps::Placed;
use super::value::Value;
use crate::limits;
use crate::scenario::{
    Act, Client, ClientKind, Lab, Load, MoveKind, StoreKind, Table, Work, WriterMove,
};

/// The word for what inserts rows, and for the clients that do.
const WORK: &str = "insert_rows";
const CLIENT: &str = "follows_the_writer";

/// Reads `[[global_cluster]]`, and puts them behind the tables and buckets.
pub(super) fn read(
    root: &Section<'_, '_>,
    lab: Option<&Lab>,
    mut tables: Vec<Table>,
) -> Vec<Table> {
    for section in root.sections(
        "global_cluster",
        "a global cluster",
        limits::GLOBAL_CLUSTERS,
    ) {
        let name = section.required("name", "name = \"orders\"");
        let place = name.as_ref().map(|value| value.place.clone());
        let name = name.and_then(|value| identifier(&value));
        let regions = section.required("regions", "regions = [\"us-east-1\", \"eu-west-1\"]");
        let regions = regions.map(|value| lab::distinct_regions(&value, lab));
        section.check_unknown();
        let (Some(name), Some(regions)) = (name, regions) else {
            root.reader.spoil(Part::Tables);
            continue;
        };
        let twice = tables.iter().any(|table| table.name == name);
        if let (true, Some(place)) = (twice, place) {
            let message = format!("`{name}` is there already");
            let help = "give each table, bucket and global cluster a name of its own";
            section.reader.problem_help(&place, message, help);
        }
        tables.push(Table {
            name,
            kind: StoreKind::GlobalCluster,
            key: None,
            regions,
        });
    }
    tables
}

/// RDS's rule for identifiers, with room for `-ap-southeast-1-1`: 1 to 40 lowercase letters,
/// digits and `-`; a letter first, no `-` at the end nor two of them together.
fn identifier(value: &Value<'_, '_>) -> Option<String> {
    let name = value.text()?;
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins = name
        .bytes()
        .next()
        .is_some_and(|it| it.is_ascii_lowercase());
    let is_joined = !name.ends_with('-') && !name.contains("--");
    if begins && is_joined && name.len() <= 40 && name.bytes().all(is_part) {
        return Some(name.to_owned());
    }
    let help = "1 to 40 lowercase letters, digits and `-`, a letter first, no `-` at the end or \
                doubled; `-REGION` is put behind it";
    value.problem("this is no name of a global cluster", help);
    None
}

/// The index among the tables of the global cluster that a value names.
fn named(value: &Value<'_, '_>, context: &Context<'_>) -> Option<usize> {
    let name = value.text()?;
    let is_it = |table: &Table| table.is_global_cluster() && table.name == name;
    let found = context.tables.iter().position(is_it);
    if found.is_none() && !value.reader.is_spoilt(Part::Tables) {
        let all = context.tables.iter().filter(|it| it.is_global_cluster());
        let names = all.map(|it| it.name.as_str());
        let message = format!("there is no global cluster `{name}`");
        value.reader.unknown(&value.place, message, name, names);
    }
    found
}

/// Is a load meant for a global cluster, by any of its words?
pub(super) fn is_meant(
    section: &Section<'_, '_>,
    client: Option<&Client>,
    work: Option<&Work>,
) -> bool {
    section.has("global_cluster")
        || client.is_some_and(|client| client.kind == ClientKind::FollowsTheWriter)
        || work == Some(&Work::InsertRows)
}

/// The global cluster that a load writes to; its words must all be those of such a load.
pub(super) fn target(
    section: &Section<'_, '_>,
    context: &Context<'_>,
    client: Option<&Client>,
    work: Option<&Work>,
) -> Option<Target> {
    let value = section.required("global_cluster", "global_cluster = \"orders\"");
    let reader = section.reader;
    let before = reader.count();
    for word in ["target", "accelerator"] {
        if section.has(word) {
            section.get(word);
            let message = format!("a load of `{WORK}` has no `{word}`");
            let help = "it goes to the endpoint of the cluster that is the writer";
            reader.problem_help(&section.place_of(word), message, help);
        }
    }
    if work.is_some_and(|work| *work != Work::InsertRows) {
        let message = format!("only `{WORK}` goes to a global cluster");
        let help = format!("write does = \"{WORK}\"");
        reader.problem_help(&section.place_of("does"), message, help);
    }
    if client.is_some_and(|client| client.kind != ClientKind::FollowsTheWriter) {
        let message = "clients of this kind can't find the writer of a global cluster";
        let help = format!("write client = \"{CLIENT}\"");
        reader.problem_help(&section.place_of("client"), message, help);
    }
    let index = named(&value?, context)?;
    // What doesn't fit is no load, whose other words would make no sense either.
    (reader.count() == before).then(|| Target {
        name: context.tables[index].name.clone(),
        global_cluster: Some(index),
        ..Target::default()
    })
}

/// Reads `failover_global_cluster`.
pub(super) fn failover(section: &Section<'_, '_>, context: &Context<'_>) -> Option<Act> {
    let allow = section.get("allow_data_loss");
    let allow = allow.map_or(Some(false), |value| value.flag());
    let (cluster, to) = whose(section, context)?;
    Some(Act::MoveWriter(WriterMove {
        cluster,
        to,
        kind: MoveKind::Failover {
            allow_data_loss: allow?,
        },
    }))
}

/// Reads `switchover_global_cluster`.
pub(super) fn switchover(section: &Section<'_, '_>, context: &Context<'_>) -> Option<Act> {
    let (cluster, to) = whose(section, context)?;
    Some(Act::MoveWriter(WriterMove {
        cluster,
        to,
        kind: MoveKind::Switchover,
    }))
}

/// Which global cluster gets another writer, and which.
fn whose(section: &Section<'_, '_>, context: &Context<'_>) -> Option<(usize, types::Region)> {
    let cluster = section.required("global_cluster", "global_cluster = \"orders\"");
    let cluster = cluster.and_then(|value| named(&value, context));
    let to = section.required("to", "to = \"eu-west-1\"");
    let to = to.and_then(|value| lab::region_of(&value, context.lab?));
    let (cluster, to) = (cluster?, to?);
    let table = &context.tables[cluster];
    if !table.regions.contains(&to) {
        let message = format!("the global cluster {} has no cluster in {to}", table.name);
        section.reader.problem(&section.place_of("to"), message);
        return None;
    }
    Some((cluster, to))
}

/// The writer can only be moved to where it is not, by what earlier steps do if they succeed.
pub(super) fn check_moves(section: &Section<'_, '_>, steps: &[Placed], tables: &[Table]) {
    for (index, (step, place)) in steps.iter().enumerate() {
        let Act::MoveWriter(moved) = &step.act else {
            continue;
        };
        let earlier = steps[..index].iter().rev();
        let last = earlier.filter_map(|(step, _)| match &step.act {
            Act::MoveWriter(last) if last.cluster == moved.cluster => Some(last.to),
            _ => None,
        });
        let table = tables.get(moved.cluster);
        let first = table.and_then(|table| table.regions.first().copied());
        if last.chain(first).next() == Some(moved.to) {
            let message = format!("{} is the writer by then already", moved.to);
            section.reader.problem(place, message);
        }
    }
}

/// The global cluster that loads write rows to.
pub(super) fn written(loads: &[Load]) -> Option<usize> {
    loads.iter().find_map(|load| load.global_cluster)
}

/// One store is measured, so all loads that write must write to it.
pub(super) fn check_measured(
    section: &Section<'_, '_>,
    measured: Option<usize>,
    tables: &[Table],
    loads: &[Load],
) {
    let Some((index, table)) = measured.and_then(|index| Some((index, tables.get(index)?))) else {
        return;
    };
    let is_astray = |load: &&Load| match (&load.work, load.global_cluster) {
        (Work::Get { .. }, _) => false,
        (_, Some(cluster)) => cluster != index,
        (_, None) => table.is_global_cluster(),
    };
    if let Some(load) = loads.iter().find(is_astray) {
        let message = format!(
            "the load `{}` doesn't work on what is measured, `{}`",
            load.name, table.name
        );
        let help = "a game day measures one table, bucket or global cluster";
        section.reader.problem_help(section.place(), message, help);
    }
}
