//! What the Regions hold, read as anybody would: the orders of the measured table by `Scan`, or
//! those of buckets, each Region asked at its own address; and the ledger of writes that lost,
//! from the control API.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use gameday::scenario::Table;
use gameday::{Conflict, EventKind, Order, Plan, Scan};
use serde_json::{Value, json};
use types::{Region, Timestamp};

use super::api::{Api, ApiError};
use super::aside;
use super::buckets;
use super::databases;
use super::deploy::Deployed;
use super::lab::TestLab;
use super::recorder::Recorder;
use crate::control::Command;
use crate::failure::Failure;

/// How long one Region's orders may take to be read: one that stands still answers never.
const SCAN_WAIT: Duration = Duration::from_secs(10);

/// Rows of the ledger asked for at once.
const LEDGER_PAGE: u32 = 1_000;

/// Rows of the ledger that a game day takes into account.
const LEDGER_ROWS: usize = 100_000;

/// The attribute that orders have their version in.
const VERSION: &str = "version";

/// The orders that each Region has which answers; none if the scenario measures no table. Notes
/// which Regions did not answer, but for one that is down (`outage`).
pub async fn scan(
    lab: &TestLab,
    plan: &Plan,
    made: &Deployed,
    recorder: &Recorder,
    outage: Option<Region>,
) -> Option<Scan> {
    let index = plan.scenario.measure.table?;
    let table = &plan.scenario.tables[index];
    let at = recorder.elapsed();
    if let Some(cluster) = made.clusters.get(&index) {
        let scanned = databases::scan(lab, plan, cluster, (at, outage), SCAN_WAIT).await;
        let (scan, unread) = scanned;
        for (region, why) in unread {
            note_unread(recorder, outage, region, &why);
        }
        return Some(scan);
    }
    let regions = plan.order_regions();
    let readings = regions.iter().map(|region| async move {
        let api = lab.api_of(*region);
        let reading = held(&api, plan, *region, table);
        let why = match runtime::within(SCAN_WAIT, reading).await {
            Some(Ok(held)) => return Ok((*region, held)),
            Some(Err(cause)) => cause.to_string(),
            None => format!("no whole answer within {} s", SCAN_WAIT.as_secs()),
        };
        Err((*region, why))
    });
    let mut scan = Scan {
        at,
        ..Scan::default()
    };
    for reading in join_all(readings).await {
        match reading {
            Ok((region, (orders, twice))) => {
                scan.regions.insert(region, orders);
                if let Some(twice) = twice {
                    scan.twice.insert(region, twice);
                }
            }
            Err((region, why)) => note_unread(recorder, outage, region, &why),
        }
    }
    Some(scan)
}

/// Notes that a Region could not be read, unless it is the one that is down.
fn note_unread(recorder: &Recorder, outage: Option<Region>, region: Region, why: &str) {
    if Some(region) == outage {
        tracing::debug!("{region}: {why}");
        return;
    }
    let note = format!("the orders in {region} could not be read: {why}");
    recorder.event(recorder.elapsed(), EventKind::Note(note));
}

/// The rows that old writers alone held and Regions keep aside; none if that can't be known. Notes
/// what could not be looked through.
pub async fn kept_aside(
    lab: &TestLab,
    plan: &Plan,
    recorder: &Recorder,
) -> Option<BTreeMap<Order, Region>> {
    let note = |text| recorder.event(recorder.elapsed(), EventKind::Note(text));
    match aside::kept_aside(lab, plan).await {
        Ok((aside, troubles)) => {
            troubles.into_iter().for_each(note);
            Some(aside)
        }
        Err(cause) => {
            note(format!("what Regions kept aside can't be read: {cause}"));
            None
        }
    }
}

/// The orders that a Region has, and of a bucket how many versions there are beyond one of each.
async fn held(
    api: &Api,
    plan: &Plan,
    region: Region,
    table: &Table,
) -> Result<(BTreeMap<Order, u32>, Option<u64>), ApiError> {
    match &table.key {
        Some(key) => Ok((read(api, plan, region, &table.name, key).await?, None)),
        None => {
            let held = buckets::read(api, plan, table, region).await?;
            Ok((held.orders, Some(held.twice)))
        }
    }
}

/// Why the buckets or the members of global clusters don't hold the same; nothing if they do, or
/// there are none.
pub async fn difference(lab: &TestLab, plan: &Plan, made: &Deployed) -> Option<String> {
    for cluster in made.clusters.values() {
        if let Some(why) = databases::difference(lab, cluster, SCAN_WAIT).await {
            return Some(why);
        }
    }
    for table in plan.scenario.tables.iter().filter(|t| t.is_buckets()) {
        match buckets::difference(&lab.api(), plan, table).await {
            Ok(None) => {}
            Ok(Some(why)) => return Some(why),
            Err(cause) => return Some(cause.to_string()),
        }
    }
    None
}

async fn read(
    api: &Api,
    plan: &Plan,
    region: Region,
    table: &str,
    key: &str,
) -> Result<BTreeMap<Order, u32>, ApiError> {
    let mut orders = BTreeMap::new();
    let mut input = json!({ "TableName": table, "ConsistentRead": true });
    loop {
        let page = api.dynamodb(region, "Scan", &input).await?;
        let items = page["Items"].as_array().into_iter().flatten();
        for item in items {
            let order = item[key]["S"].as_str().and_then(|id| plan.order(id));
            if let Some(order) = order {
                orders.insert(order, version(item).unwrap_or(0));
            }
        }
        match page.get("LastEvaluatedKey") {
            Some(last) if !last.is_null() => input["ExclusiveStartKey"] = last.clone(),
            _ => return Ok(orders),
        }
    }
}

fn version(item: &Value) -> Option<u32> {
    item[VERSION]["N"].as_str()?.parse().ok()
}

/// The writes that lost, as all ledgers together have them.
pub async fn conflicts(lab: &TestLab, plan: &Plan) -> Result<Vec<Conflict>, Failure> {
    let mut conflicts = Vec::new();
    let mut after = None;
    loop {
        let command = Command::Conflicts {
            table: None,
            after,
            limit: LEDGER_PAGE,
        };
        let page = lab.ask_for_value(&command).await?;
        let rows = page["conflicts"].as_array().into_iter().flatten();
        conflicts.extend(rows.filter_map(|row| conflict(plan, row)));
        let next = page["next"].as_str().map(str::parse);
        after = match next {
            Some(Ok(next)) if conflicts.len() < LEDGER_ROWS => Some(next),
            _ => return Ok(conflicts),
        };
    }
}

fn conflict(plan: &Plan, row: &Value) -> Option<Conflict> {
    let side = |name: &str| {
        let side = &row[name];
        let region = side["region"].as_str()?.parse::<Region>().ok()?;
        let time = Timestamp(side["time"].as_u64()?);
        Some(((region, time), version(&side["image"])))
    };
    let (beaten, beaten_version) = side("loser")?;
    let (winning, winning_version) = side("winner")?;
    let key = key_text(&row["key"]);
    Some(Conflict {
        table: row["table"].as_str()?.to_owned(),
        order: plan.order(&key),
        key,
        beaten_version,
        winning_version,
        beaten,
        winning,
    })
}

/// A key of one attribute is its value; of two, both, as they are written.
fn key_text(key: &Value) -> String {
    let values = key.as_object().into_iter().flatten();
    let values = values.map(|(_, value)| match value.as_object() {
        Some(typed) => typed.values().next().map_or(String::new(), plain),
        None => plain(value),
    });
    values.collect::<Vec<_>>().join(" ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
