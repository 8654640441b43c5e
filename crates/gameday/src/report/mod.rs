//! The report of a game day, in four forms: for a terminal, as JSON, as JUnit XML, and as one HTML
//! file that needs nothing else. All say the same; what they say is computed once, here.

mod html;
mod json;
mod junit;
mod series;
mod story;
mod terminal;
mod timeline;
mod writers;

use crate::expectation::Outcome;
use crate::figures::Figures;
use crate::metric::{LANES, LEVELS, Metric, MetricName};
use crate::observations::Observations;
use crate::plan::Plan;

/// The version of the JSON report. A member may be added without a new one; none is renamed,
/// removed or given another meaning.
pub const JSON_FORMAT: u32 = 1;

/// The report of a game day.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    plan: &'a Plan,
    seen: &'a Observations,
    /// What the game day amounts to.
    pub figures: Figures,
    /// What came of each expectation, in the order of the scenario.
    pub outcomes: Vec<Outcome>,
}

impl<'a> Report<'a> {
    /// Computes the report.
    pub fn of(plan: &'a Plan, seen: &'a Observations) -> Report<'a> {
        let figures = Figures::of(plan, seen);
        let outcomes = figures.judge(plan);
        Report {
            plan,
            seen,
            figures,
            outcomes,
        }
    }

    /// Do all expectations hold, and was every step carried out?
    pub fn holds(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.holds) && self.failed_steps().is_empty()
    }

    /// The steps that could not be carried out: what, and why.
    pub fn failed_steps(&self) -> Vec<String> {
        let steps = &self.plan.scenario.steps;
        let events = self.seen.events.iter();
        events
            .filter_map(|event| match &event.kind {
                crate::EventKind::StepFailed(index, why) => {
                    let what = steps.get(*index).map(|step| step.act.describe(steps));
                    Some(format!("{}: {why}", what.unwrap_or_default()))
                }
                _ => None,
            })
            .collect()
    }

    /// What happened, in sentences for someone who never saw the project.
    pub fn story(&self) -> Vec<String> {
        story::tell(self)
    }

    /// For a terminal: what happened, the figures, the expectations.
    pub fn text(&self) -> String {
        terminal::write(self)
    }

    /// As JSON, format [`JSON_FORMAT`]: `docs/gamedays.md` documents its members.
    pub fn json(&self) -> serde_json::Value {
        json::write(self)
    }

    /// As JUnit XML: each expectation is a test case.
    pub fn junit(&self) -> String {
        junit::write(self)
    }

    /// As one HTML file.
    pub fn html(&self) -> String {
        html::write(self)
    }

    /// What is counted by id: one, and several.
    fn things(&self) -> (&'static str, &'static str) {
        match self.plan.measures_global_cluster() {
            true => ("row", "rows"),
            false => ("order", "orders"),
        }
    }

    /// Every metric that the scenario can be asked for.
    fn metrics(&self) -> Vec<Metric> {
        let scenario = &self.plan.scenario;
        let figures = &self.figures;
        let names = figures.clients.iter().chain(&figures.loads);
        let names: Vec<&str> = names.map(|stream| stream.name.as_str()).collect();
        let loads: Vec<&str> = scenario
            .loads
            .iter()
            .map(|load| load.name.as_str())
            .collect();
        let regions: Vec<&str> = scenario
            .lab
            .regions
            .iter()
            .map(|region| region.name())
            .collect();
        let steps = figures.writers.takeovers.iter();
        let takeovers = steps.filter_map(|it| scenario.steps[it.step].name.as_deref());
        let takeovers: Vec<&str> = takeovers.collect();
        let quantiles = ["p50", "p99", "max"];
        let mut metrics = Vec::new();
        for name in MetricName::all() {
            let mut add = |words: &[&str]| metrics.push(Metric::of(name, words.iter().copied()));
            match name {
                MetricName::TakeoverS => takeovers.iter().for_each(|step| add(&[step])),
                MetricName::MissingAt => regions.iter().for_each(|region| add(&[region])),
                MetricName::OrdersAt | MetricName::ServedBy | MetricName::AnsweredPercent => {
                    for load in &loads {
                        regions.iter().for_each(|region| add(&[load, region]));
                    }
                }
                MetricName::StaleAgeMs => quantiles.iter().for_each(|quantile| add(&[quantile])),
                MetricName::LatencyMs => {
                    quantiles.iter().for_each(|quantile| add(&[quantile]));
                    for name in &names {
                        quantiles.iter().for_each(|quantile| add(&[name, quantile]));
                    }
                }
                MetricName::BudgetPercent => LEVELS.iter().for_each(|level| add(&[level])),
                MetricName::LinkBytes => {
                    add(&[]);
                    LANES.iter().for_each(|lane| add(&[lane]));
                }
                MetricName::RtoS
                | MetricName::StaleReads
                | MetricName::StalePercent
                | MetricName::AvailabilityPercent
                | MetricName::Requests
                | MetricName::Failed => {
                    add(&[]);
                    names.iter().for_each(|name| add(&[name]));
                }
                _ => add(&[]),
            }
        }
        metrics
    }
}

/// A count with commas: `6,600`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A count and what is counted: `1 order`, `3 orders`.
fn counted(number: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        grouped(number),
        if number == 1 { one } else { many }
    )
}

/// Seconds as people say them: `0.75 s`, `6 s`, `1 min 20 s`.
fn spoken(seconds: f64) -> String {
    if seconds < 0.0995 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    let tenths = (seconds * 10.0).round();
    if tenths < 100.0 && tenths % 10.0 != 0.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match (whole / 60, whole % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

/// The text with units tied to their numbers, so that no line ends between them.
fn tied(text: &str) -> String {
    let mut tied = text.to_owned();
    for unit in ["s", "ms", "min", "%"] {
        for end in [" ", ".", ",", ";", ":", ")"] {
            tied = tied.replace(&format!(" {unit}{end}"), &format!("{TIE}{unit}{end}"));
        }
    }
    tied
}

/// A space at which no line ends.
const TIE: char = '\u{a0}';

/// A share in percent that never rounds to 100 what isn't all.
fn share(part: u64, whole: u64) -> String {
    if part == whole {
        return "100 %".to_owned();
    }
    let percent = part as f64 / whole.max(1) as f64 * 100.0;
    match percent {
        percent if percent > 99.99 => "more than 99.99 %".to_owned(),
        percent if percent > 99.0 => format!("{:.2} %", (percent * 100.0).floor() / 100.0),
        percent => format!("{percent:.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_as_people_say_them() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "order", "orders"), "1 order");
        assert_eq!(spoken(0.041), "41 ms");
        assert_eq!(spoken(0.75), "0.8 s");
        assert_eq!(spoken(9.96), "10 s");
        assert_eq!(spoken(4.001), "4 s");
        assert_eq!(spoken(60.2), "1 min");
        assert_eq!(spoken(80.0), "1 min 20 s");
        assert_eq!(share(999_999, 1_000_000), "more than 99.99 %");
        assert_eq!(share(9_995, 10_000), "99.95 %");
        assert_eq!(share(1, 3), "33.3 %");
    }
}
