//! What happened to the writer of a global cluster, in sentences: who took over and how long it
//! took, which acknowledged rows are missing and why, and whether two ever wrote at once.

use types::Span;

use super::{Report, counted, grouped, spoken};
use crate::figures::{LostOrder, Takeover, seconds};
use crate::scenario::MoveKind;

/// The takeovers.
pub(super) fn takeovers(report: &Report<'_>) -> Vec<String> {
    let takeovers = report.figures.writers.takeovers.iter();
    takeovers.map(|one| takeover(report, one)).collect()
}

fn takeover(report: &Report<'_>, one: &Takeover) -> String {
    let Takeover {
        moved,
        asked,
        first,
        ..
    } = one;
    let to = moved.to;
    let what = match moved.kind {
        MoveKind::Switchover => format!("switched over to {to} in order"),
        MoveKind::Failover {
            allow_data_loss: true,
        } => format!("failed over to {to}, with data loss allowed"),
        MoveKind::Failover {
            allow_data_loss: false,
        } => format!("failed over to {to}, with no data loss allowed"),
    };
    let cluster = report.plan.scenario.tables.get(moved.cluster);
    let name = cluster.map_or("", |cluster| cluster.name.as_str());
    let asked = *asked;
    let begun = format!(
        "{} into the run the global cluster {name} was {what}",
        spoken(seconds(asked))
    );
    let Some(first) = first else {
        return format!("{begun}; {to} never acknowledged a row after that.");
    };
    let after = spoken(seconds(Span(first.0.saturating_sub(asked.0))));
    let gap = one.last.map(|last| Span(first.0.saturating_sub(last.0)));
    let gap = gap.map_or(String::new(), |gap| {
        let gap = spoken(seconds(gap));
        format!(", and {gap} after the last that another Region acknowledged")
    });
    format!("{begun}; {to} acknowledged its first row {after} after the call{gap}.")
}

/// Which acknowledged rows are missing, and why.
pub(super) fn missing(report: &Report<'_>) -> Vec<String> {
    if !report.plan.measures_global_cluster() {
        return Vec::new();
    }
    let orders = &report.figures.orders;
    let (Some(aside), Some(lost)) = (&orders.aside, &orders.lost) else {
        return Vec::new();
    };
    let missing = aside.len() + lost.len();
    if missing == 0 || orders.acknowledged == 0 {
        return Vec::new();
    }
    let all: Vec<&LostOrder> = aside.iter().chain(lost).collect();
    let mut by: Vec<String> = all
        .iter()
        .filter_map(|row| Some(row.region?.to_string()))
        .collect();
    by.sort();
    by.dedup();
    let by = match by.is_empty() {
        true => "a Region".to_owned(),
        false => by.join(" and "),
    };
    let mut story = vec![format!(
        "{} of {} acknowledged rows {} missing from the database in the end: {by} told clients \
         that they were saved, and had not yet sent them to the Region that took over. Copies \
         between Regions are asynchronous, so what is under way when a writer dies is lost to \
         whoever takes over.",
        grouped(missing as u64),
        grouped(orders.acknowledged),
        if missing == 1 { "is" } else { "are" },
    )];
    if !aside.is_empty() {
        let those = match lost.is_empty() {
            true if missing == 1 => "It is not gone".to_owned(),
            true => "None of them is gone".to_owned(),
            false => format!("{} of them are not gone", grouped(aside.len() as u64)),
        };
        story.push(format!(
            "{those}: {by} kept its own tail aside when it came back as a reader, and \
             `causeway databases lost --sql` prints it for repair, in a lab that runs."
        ));
    }
    story
}

/// Did two ever write at once?
pub(super) fn split_brain(report: &Report<'_>) -> Option<String> {
    Some(match report.figures.writers.split_brain? {
        0 => "At no time did two Regions acknowledge rows.".to_owned(),
        rows => format!(
            "TWO WRITERS: {} acknowledged by a Region when another had taken over already.",
            counted(rows, "row was", "rows were")
        ),
    })
}
