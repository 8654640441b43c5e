//! Proxies of HTTP beside ours in the same run: the same backend, the same load, one worker each on
//! the same processor, window by window in turn. What is compared is the processor time of the
//! proxy: per request on kept connections, per connection, per byte.

use anyhow::Result;
use serde_json::json;

use super::flows::{LOADS, Series, Unit, measure, windows_table};
use super::{GOAL_HEAD, goal, spread};
use crate::Arguments;
use crate::flows::backend::Backend;
use crate::flows::proxies::{Kind, Running};
use crate::report::Section;
use crate::statistics::Spread;

/// What ours may cost in processor time, to the better peer.
const GOAL: f64 = 1.2;

const KINDS: [Kind; 3] = [Kind::HaproxyHttp, Kind::NginxHttp, Kind::OursHttp];

pub fn run(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::default();
    section.text(&format!(
        "{} windows of {} s of each load on each proxy in turn, wrk and the backend (nginx) on {}. \
         Median (least to greatest) of the windows. Processor time is the proxy's, the kernel's \
         for it included.",
        arguments.rounds,
        arguments.seconds,
        match crate::dns::processors() {
            Some(_) => "a processor of their own",
            None => "the same processor",
        }
    ));
    let backend = Backend::start()?;
    let (mut proxies, mut missing) = (Vec::new(), Vec::new());
    for kind in KINDS {
        match kind.start(backend.address) {
            Ok(proxy) => proxies.push(proxy),
            Err(error) if kind == Kind::OursHttp => return Err(error),
            Err(error) => missing.push(format!("{}: {error:#}", kind.name())),
        }
    }
    let measured = measure(arguments, &proxies)?;
    windows_table(&mut section, &proxies, &measured);
    let goals = ratios(&mut section, &proxies, &measured);
    section.table(&GOAL_HEAD, &goals);
    for line in &missing {
        section.text(&format!("Not measured: {line}"));
    }
    section.value("not_measured", json!(missing));
    Ok(section)
}

/// Ours to the better peer of each load, round by round.
fn ratios(
    section: &mut Section,
    proxies: &[Running],
    measured: &[Vec<Series>],
) -> Vec<Vec<String>> {
    let (mut rows, mut goals) = (Vec::new(), Vec::new());
    let Some(ours) = proxies
        .iter()
        .position(|proxy| proxy.kind == Kind::OursHttp)
    else {
        return goals;
    };
    for (kind, by_proxy) in LOADS.iter().zip(measured) {
        let is_bytes = kind.unit == Unit::Bytes;
        let median = |series: &Series| Spread::of(series.iter().map(|window| window.cost)).median;
        let peers = (0..proxies.len()).filter(|at| *at != ours);
        let better = peers.min_by(|one, other| {
            let (one, other) = (median(&by_proxy[*one]), median(&by_proxy[*other]));
            // Of bytes for a processor's second, more is better.
            if is_bytes {
                other.total_cmp(&one)
            } else {
                one.total_cmp(&other)
            }
        });
        let Some(better) = better else {
            continue;
        };
        let pairs = by_proxy[ours].iter().zip(&by_proxy[better]);
        let cost = Spread::of(pairs.clone().map(|(ours, theirs)| ours.cost / theirs.cost));
        let rate = Spread::of(pairs.map(|(ours, theirs)| ours.rate / theirs.rate));
        rows.push(vec![
            kind.name.to_owned(),
            proxies[better].title(),
            cost.to_string(),
            rate.to_string(),
        ]);
        section.value(&format!("{}: ratio", kind.name), spread(cost));
        if kind.name == LOADS[0].name {
            let what = format!("processor, {}, to the better peer's", kind.name);
            let met = cost.median <= GOAL;
            goals.push(goal(&what, "1.2 or less", cost.median, "", met));
        }
    }
    let head = [
        "Causeway to the better peer",
        "which is",
        "processor (bulk: bytes for it)",
        "rate",
    ];
    section.table(&head, &rows);
    goals
}
