//! The report as JSON. Times are seconds from the start of the load unless a name says otherwise;
//! what never happened is `"never"`, what could not be measured is null.

use serde_json::{Map, Value, json};

use super::{JSON_FORMAT, Report, terminal, timeline};
use crate::figures::moments::When;
use crate::figures::{LostOrder, Stream, seconds};
use crate::limits;
use crate::observations::Conflict;

pub(super) fn write(report: &Report<'_>) -> Value {
    let figures = &report.figures;
    let mut metrics = Map::new();
    for metric in report.metrics() {
        let value = figures.value(report.plan, &metric);
        metrics.insert(metric.to_string(), json!(value));
    }
    let streams = |streams: &[Stream]| -> Vec<Value> { streams.iter().map(stream).collect() };
    let entries = timeline::of(report).into_iter();
    let entries = entries
        .map(|entry| json!({"at_s": entry.at, "kind": entry.kind.word(), "text": entry.text}));
    let outcomes = report.outcomes.iter().map(|outcome| {
        json!({
            "text": outcome.expectation.text,
            "metric": outcome.expectation.metric,
            "comparison": outcome.expectation.comparison,
            "bound": outcome.expectation.bound,
            "measured": outcome.measured,
            "holds": outcome.holds,
            "line": outcome.expectation.line,
        })
    });
    json!({
        "report": "causeway-gameday",
        "format": JSON_FORMAT,
        "holds": report.holds(),
        "story": report.story(),
        "failed_steps": report.failed_steps(),
        "scenario": scenario(report),
        "run": run(report),
        "moments": moments(report),
        "expectations": outcomes.collect::<Vec<_>>(),
        "metrics": metrics,
        "clients": streams(&figures.clients),
        "loads": streams(&figures.loads),
        "all": stream(&figures.all),
        "missing_orders": figures.orders.missing.as_deref().map(orders),
        "lost_orders": figures.orders.lost.as_deref().map(orders),
        "kept_aside": figures.orders.aside.as_deref().map(orders),
        "takeovers": takeovers(report),
        "conflicts": conflicts(report),
        "crossings": figures.traffic.crossings,
        "timeline": entries.collect::<Vec<_>>(),
    })
}

fn scenario(report: &Report<'_>) -> Value {
    let scenario = &report.plan.scenario;
    let variables = scenario.variables.iter();
    let variables: Map<String, Value> = variables
        .map(|(name, value)| (name.clone(), Value::String(value.clone())))
        .collect();
    json!({
        "name": scenario.name,
        "title": scenario.title,
        "description": scenario.description,
        "seed": scenario.seed,
        "digest": scenario.digest,
        "variables": variables,
        "length_s": seconds(scenario.measure.length),
        "sustained_s": seconds(scenario.measure.sustained),
    })
}

fn run(report: &Report<'_>) -> Value {
    let lab = &report.plan.scenario.lab;
    let delays = report.plan.delays().into_iter().map(
        |(from, to, delay)| json!({"from": from, "to": to, "one_way_ms": delay.as_milliseconds()}),
    );
    json!({
        "version": report.seen.version,
        "started": report.seen.started.to_string(),
        "started_unix_ms": report.seen.started.0,
        "ready_after_s": seconds(report.seen.ready_after),
        "ended_s": seconds(report.seen.ended),
        "regions": lab.regions,
        "edges": lab.edges,
        "delay_scale": lab.delay_scale,
        "delays": delays.collect::<Vec<_>>(),
    })
}

fn moments(report: &Report<'_>) -> Value {
    let moments = &report.figures.moments;
    let when = |when: When| match when {
        When::At(at) => json!(seconds(at)),
        When::Never => json!("never"),
        When::Unknown(_) => Value::Null,
    };
    json!({
        "fault": moments.fault,
        "outage": moments.outage,
        "unserved": moments.unserved,
        "struck_s": when(moments.struck),
        "detected_s": when(moments.detected),
        "answers_changed_s": when(moments.answers_changed),
        "ended_s": when(moments.ended),
        "load_ended_s": when(moments.load_ended),
        "drained_s": when(moments.drained),
        "converged_s": when(moments.converged),
    })
}

fn stream(stream: &Stream) -> Value {
    let served = stream.served.iter();
    let served: Map<String, Value> = served
        .map(|(region, count)| (region.to_string(), json!(count)))
        .collect();
    json!({
        "name": stream.name,
        "requests": stream.requests,
        "ok": stream.ok,
        "outcomes": stream.outcomes,
        "availability_percent": stream.availability(),
        "rto_s": stream.rto,
        "first_failure_s": stream.first_failure.map(seconds),
        "last_failure_s": stream.last_failure.map(seconds),
        "latency_ms": {
            "p50": stream.latency.p50,
            "p99": stream.latency.p99,
            "max": stream.latency.max,
        },
        "served": served,
    })
}

fn orders(list: &[LostOrder]) -> Value {
    let listed = list.iter().take(limits::LISTED_ORDERS).map(|order| {
        json!({
            "id": order.id,
            "version": order.version,
            "acknowledged_s": seconds(order.acknowledged),
            "region": order.region,
            "age_s": seconds(order.age),
            "fate": terminal::fate(order.fate),
        })
    });
    json!({"count": list.len(), "listed": listed.collect::<Vec<_>>()})
}

fn takeovers(report: &Report<'_>) -> Vec<Value> {
    let steps = &report.plan.scenario.steps;
    let takeovers = report.figures.writers.takeovers.iter().map(|one| {
        json!({
            "step": steps.get(one.step).and_then(|step| step.name.as_deref()),
            "what": steps.get(one.step).map(|step| step.act.describe(steps)),
            "to": one.moved.to,
            "asked_s": seconds(one.asked),
            "last_elsewhere_s": one.last.map(seconds),
            "first_there_s": one.first.map_or(json!("never"), |first| json!(seconds(first))),
        })
    });
    takeovers.collect()
}

fn conflicts(report: &Report<'_>) -> Value {
    let rows = &report.seen.conflicts;
    let side = |side: &(types::Region, types::Timestamp), version: Option<u32>| json!({"region": side.0, "written": side.1.seconds(), "version": version});
    let listed = rows
        .iter()
        .take(limits::LISTED_ORDERS)
        .map(|row: &Conflict| {
            json!({
                "table": row.table,
                "key": row.key,
                "beaten": side(&row.beaten, row.beaten_version),
                "winning": side(&row.winning, row.winning_version),
            })
        });
    json!({"count": rows.len(), "listed": listed.collect::<Vec<_>>()})
}
