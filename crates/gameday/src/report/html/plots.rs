//! Plots as inline SVG. Shapes are stretched to the page's width; words are HTML beside them, so
//! that they stay readable on a phone.

use types::{Region, Span};

use super::escaped;
use crate::expectation::Measured;
use crate::figures::{When, seconds};
use crate::observations::Outcome;
use crate::plan::describe_work;
use crate::report::series::{self, Series, Slices};
use crate::report::{Report, share, spoken};
use crate::scenario::Load;

/// Loads that are plotted one by one.
const PLOTTED: usize = 16;

/// Stale reads that are drawn, at most, evenly picked.
const DOTS: usize = 2_000;

/// What all plots share: the run's length and the times that matter.
struct Frame {
    length: f64,
    slices: Slices,
    struck: Option<f64>,
    ended: Option<f64>,
    marks: Vec<f64>,
    moves: Vec<Moved>,
}

/// A move of a global cluster's writer, up to the first row that the new one acknowledged.
struct Moved {
    to: Region,
    asked: f64,
    first: Option<f64>,
}

pub(super) fn all(report: &Report<'_>) -> String {
    let frame = Frame::of(report);
    let series = series::of(report.plan, report.seen, frame.slices);
    let mut html = legend(report, &series);
    html += &frame.flags(report);
    html += &frame.moves();
    let loads = report.plan.scenario.loads.iter().enumerate();
    let mut loads: Vec<(usize, &Load)> = loads.collect();
    loads.sort_by_key(|(index, load)| {
        let clients = &report.figures.clients;
        (
            clients
                .iter()
                .position(|stream| stream.name == load.client.label),
            *index,
        )
    });
    let longest = longest(&series);
    for (index, load) in loads.iter().take(PLOTTED) {
        html += &row(report, *index, load, &series[*index], &frame, longest);
    }
    html += &frame.axis();
    if loads.len() > PLOTTED {
        html += &format!(
            "<p class=\"note\">{} more loads are in the tables.</p>\n",
            loads.len() - PLOTTED
        );
    }
    html += &dns(report, &frame);
    html += &stale(report, &frame);
    html
}

impl Frame {
    fn of(report: &Report<'_>) -> Frame {
        let moments = &report.figures.moments;
        let length = report.plan.scenario.measure.length;
        let time = |when: When| when.at().map(seconds);
        let noticed = [moments.detected, moments.answers_changed];
        let takeovers = report.figures.writers.takeovers.iter();
        let moves: Vec<Moved> = takeovers
            .map(|one| Moved {
                to: one.moved.to,
                asked: seconds(one.asked),
                first: one.first.map(seconds),
            })
            .collect();
        let noticed = noticed.into_iter().filter_map(time);
        Frame {
            length: seconds(length),
            slices: Slices::of(length),
            struck: time(moments.struck),
            ended: time(moments.ended),
            marks: noticed
                .chain(moves.iter().filter_map(|one| one.first))
                .collect(),
            moves,
        }
    }

    /// Where that time stands, in percent of the width.
    fn x(&self, at: f64) -> f64 {
        (at / self.length * 100.0).clamp(0.0, 100.0)
    }

    /// Begins a drawing of 100 by 100 units that is stretched to its box.
    fn svg(&self, label: &str) -> String {
        let label = escaped(label);
        let mut svg = format!(
            "<svg viewBox=\"0 0 100 100\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"{label}\">"
        );
        if let Some(struck) = self.struck {
            let from = self.x(struck);
            let to = self.ended.map_or(100.0, |ended| self.x(ended));
            let width = (to - from).max(0.1);
            svg += &format!(
                "<rect class=\"band\" x=\"{from:.3}\" y=\"0\" width=\"{width:.3}\" height=\"100\"/>"
            );
        }
        svg
    }

    /// The lines at which the fault was noticed.
    fn marks(&self) -> String {
        let lines = self.marks.iter().map(|mark| {
            let x = self.x(*mark);
            format!("<line class=\"mark\" x1=\"{x:.3}\" x2=\"{x:.3}\" y1=\"0\" y2=\"100\"/>")
        });
        lines.collect()
    }

    /// The words over the fault's beginning and end. They stand on the outer sides, or inside
    /// where there is no room.
    fn flags(&self, report: &Report<'_>) -> String {
        let moments = &report.figures.moments;
        let (Some(struck), Some(fault)) = (self.struck, &moments.fault) else {
            return String::new();
        };
        let x = self.x(struck);
        let fault = escaped(fault);
        let mut html = String::from("<div class=\"flags\">");
        html += &format!("<span class=\"right\" style=\"left:{x:.2}%\">▼ {fault}</span>");
        if let Some(ended) = self.ended.filter(|ended| *ended < self.length) {
            let x = self.x(ended);
            // Far enough from the first words, also on a phone.
            let (side, words) = match x - self.x(struck) {
                far if far > 45.0 => ("left", "over ▼"),
                far if far > 25.0 && x < 85.0 => ("right", "▼ over"),
                _ => ("right", "▼"),
            };
            html += &format!("<span class=\"{side}\" style=\"left:{x:.2}%\">{words}</span>");
        }
        html + "</div>\n"
    }

    /// The words over the first row of each new writer of a global cluster, in a line of their own.
    fn moves(&self) -> String {
        if self.moves.is_empty() {
            return String::new();
        }
        let mut html = String::from("<div class=\"flags moves\">");
        for one in &self.moves {
            let Moved { to, asked, first } = one;
            let (at, words) = match first {
                Some(first) => (*first, format!("{to} writes")),
                None => (*asked, format!("{to} never writes")),
            };
            let x = self.x(at);
            let (side, words) = match x > 75.0 {
                true => ("left", format!("{words} ▽")),
                false => ("right", format!("▽ {words}")),
            };
            html += &format!("<span class=\"{side}\" style=\"left:{x:.2}%\">{words}</span>");
        }
        html + "</div>\n"
    }

    /// The time axis.
    fn axis(&self) -> String {
        const STEPS: [f64; 13] = [
            0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0,
        ];
        let fits = |step: &&f64| self.length / **step <= 10.0;
        let step = STEPS.iter().find(fits).copied().unwrap_or(3600.0);
        let mut html = String::from("<div class=\"axis\" aria-hidden=\"true\">");
        let count = (self.length / step).floor() as u32;
        for tick in 0..=count {
            let time = f64::from(tick) * step;
            let x = self.x(time);
            let mut class = String::new();
            if tick == 0 {
                class += "first";
            } else if x > 97.0 {
                class += "last";
            }
            if tick % 2 == 1 {
                class += " odd";
            }
            html += &format!("<span class=\"{class}\" style=\"left:{x:.2}%\">{time} s</span>");
        }
        html + "</div>\n"
    }
}

fn legend(report: &Report<'_>, series: &[Series]) -> String {
    let mut html = String::from("<div class=\"legend\">");
    for (index, class) in Outcome::CLASSES.into_iter().enumerate() {
        let seen = series.iter().flat_map(|series| &series.outcomes);
        if seen.map(|counts| counts[index]).any(|count| count > 0) {
            let words = Outcome::words(class);
            html += &format!("<span><i style=\"background:var(--{class})\"></i>{words}</span>");
        }
    }
    html += "<span><i class=\"thin\" style=\"color:var(--lat)\"></i>median latency</span>\
             <span><i style=\"background:var(--latmax)\"></i>up to the longest</span>";
    let moments = &report.figures.moments;
    if moments.struck.at().is_some() {
        html += "<span><i style=\"background:var(--band);outline:1px solid var(--line)\"></i>\
                 while the fault lasted</span>";
    }
    let noticed = moments.detected.at().or(moments.answers_changed.at());
    let takeovers = &report.figures.writers.takeovers;
    let moved = takeovers.iter().any(|one| one.first.is_some());
    let words = match (noticed.is_some(), moved) {
        (true, true) => Some("noticed; answers changed; another Region writes"),
        (true, false) => Some("noticed; answers changed"),
        (false, true) => Some("another Region writes"),
        (false, false) => None,
    };
    if let Some(words) = words {
        html += &format!(
            "<span><i class=\"thin\" style=\"border-top-style:dashed\"></i>{words}</span>"
        );
    }
    html + "</div>\n"
}

fn row(
    report: &Report<'_>,
    index: usize,
    load: &Load,
    series: &Series,
    frame: &Frame,
    longest: f64,
) -> String {
    let stream = &report.figures.loads[index];
    let served = share(stream.ok, stream.requests);
    let rto = match &stream.rto {
        Measured::Number(0.0) => "noticed nothing; ".to_owned(),
        Measured::Number(after) => format!("served again after {}; ", spoken(*after)),
        Measured::Never => "never served again during the fault; ".to_owned(),
        Measured::Unknown(_) => String::new(),
    };
    let work = describe_work(&load.work);
    let name = escaped(&load.name);
    let label = escaped(&load.client.label);
    let mut html = format!(
        "<div class=\"row\"><p class=\"name\"><b>{name}</b><span class=\"soft\">{label}, from {}, \
         {}, {}/s</span><span class=\"end\">{rto}{served} succeeded</span></p>\n",
        load.place,
        escaped(&work),
        load.rate
    );
    let label = format!("Outcomes of {} over time: {served} succeeded", load.name);
    html += "<div class=\"plot strip\">";
    html += &frame.svg(&label);
    html += &stacks(series, frame.slices);
    html += &frame.marks();
    html += "</svg></div>\n<div class=\"plot lat\">";
    let median = stream
        .latency
        .p50
        .map_or("none".to_owned(), |p50| format!("{p50:.0} ms"));
    html += &frame.svg(&format!(
        "Latency of {} over time: median {median}",
        load.name
    ));
    html += &latency(series, frame.slices, longest);
    html += &frame.marks();
    html += "</svg>";
    html += &decades(longest);
    html + "</div></div>\n"
}

/// Stacked bars of shares: what succeeded at the bottom, failures on top. One path for each class.
fn stacks(series: &Series, slices: Slices) -> String {
    let width = 100.0 / slices.count as f64;
    let mut svg = String::new();
    for (index, class) in Outcome::CLASSES.into_iter().enumerate() {
        let mut path = String::new();
        for (slice, counts) in series.outcomes.iter().enumerate() {
            if counts[index] == 0 {
                continue;
            }
            let below: u32 = counts[..index].iter().sum();
            let all: u32 = counts.iter().sum();
            let y = |count: u32| 100.0 - f64::from(count) / f64::from(all) * 100.0;
            let (bottom, top) = (y(below), y(below + counts[index]));
            let x = slice as f64 * width;
            // A hair wider than its slice, so that no gap shows between neighbours.
            let wide = width * 1.02;
            path += &format!("M{x:.2} {bottom:.1}V{top:.1}h{wide:.3}V{bottom:.1}z");
        }
        if !path.is_empty() {
            svg += &format!("<path fill=\"var(--{class})\" d=\"{path}\"/>");
        }
    }
    svg
}

/// The longest latency in the plots, as a power of ten of milliseconds.
fn longest(series: &[Series]) -> f64 {
    let all = series.iter().flat_map(|series| &series.latency).flatten();
    let longest = all.map(|(_, longest)| *longest).fold(10.0, f64::max);
    longest.log10().ceil().clamp(1.0, 6.0)
}

/// Where a latency stands on a logarithmic scale from 1 ms up.
fn height(milliseconds: f64, decades: f64) -> f64 {
    100.0 - milliseconds.max(1.0).log10() / decades * 94.0
}

fn latency(series: &Series, slices: Slices, decades: f64) -> String {
    let mut svg = String::new();
    for decade in 1..decades as u32 {
        let y = height(10f64.powi(decade as i32), decades);
        svg += &format!("<line class=\"grid\" x1=\"0\" x2=\"100\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
    }
    let width = 100.0 / slices.count as f64;
    let (mut line, mut area) = (String::new(), String::new());
    let mut is_open = false;
    for (slice, latency) in series.latency.iter().enumerate() {
        let Some((median, longest)) = latency else {
            is_open = false;
            continue;
        };
        let x = slice as f64 * width;
        let (low, high) = (height(*median, decades), height(*longest, decades));
        let wide = width * 1.02;
        area += &format!("M{x:.2} {low:.1}V{high:.1}h{wide:.3}V{low:.1}z");
        let verb = if is_open { 'L' } else { 'M' };
        line += &format!("{verb}{x:.2} {low:.1}h{width:.3}");
        is_open = true;
    }
    svg + &format!("<path class=\"area\" d=\"{area}\"/><path class=\"line\" d=\"{line}\"/>")
}

/// The words beside the grid of a latency plot.
fn decades(decades: f64) -> String {
    let mut html = String::new();
    for decade in 1..decades as u32 {
        let y = height(10f64.powi(decade as i32), decades);
        let label = match decade {
            1 => "10 ms",
            2 => "100 ms",
            3 => "1 s",
            4 => "10 s",
            _ => "100 s",
        };
        html += &format!("<span class=\"y\" style=\"top:{y:.1}%\">{label}</span>");
    }
    html
}

/// What the DNS answered at each place.
fn dns(report: &Report<'_>, frame: &Frame) -> String {
    if report.seen.answers.is_empty() {
        return String::new();
    }
    let regions = &report.plan.scenario.lab.regions;
    let mut html = String::from("<h3>What the DNS answered, by place</h3>\n<div class=\"legend\">");
    for (index, region) in regions.iter().enumerate() {
        html += &format!("<span><i style=\"background:var(--r{index})\"></i>{region}</span>");
    }
    if report
        .seen
        .answers
        .iter()
        .any(|answer| answer.regions.len() != 1)
    {
        html += "<span><i style=\"background:var(--none)\"></i>no address, or several</span>";
    }
    html += "</div>\n";
    for look in report.plan.looks.iter().take(PLOTTED) {
        let answers = report
            .seen
            .answers
            .iter()
            .filter(|answer| answer.look == *look);
        let answers: Vec<(f64, &[Region])> = answers
            .map(|answer| (seconds(answer.at), answer.regions.as_slice()))
            .collect();
        let words: Vec<String> = answers
            .iter()
            .map(|(at, regions)| format!("{at:.1} s: {}", named(regions)))
            .collect();
        html += &format!(
            "<div class=\"row tight\"><p class=\"name\"><b>{}</b><span class=\"soft\">{}</span></p>\
             <div class=\"plot dns\">",
            look.place,
            escaped(&look.name)
        );
        html += &frame.svg(&format!("Answers at {}: {}", look.place, words.join(", ")));
        for (index, (from, named)) in answers.iter().enumerate() {
            let to = answers.get(index + 1).map_or(frame.length, |(at, _)| *at);
            let (from, to) = (frame.x(*from), frame.x(to));
            let colour = match named {
                [region] => regions.iter().position(|known| known == region),
                _ => None,
            };
            let colour = colour.map_or("none".to_owned(), |index| format!("r{index}"));
            html += &format!(
                "<rect fill=\"var(--{colour})\" x=\"{from:.3}\" y=\"0\" width=\"{:.3}\" \
                 height=\"100\"/>",
                to - from
            );
        }
        html += "</svg></div></div>\n";
    }
    html + &frame.axis()
}

fn named(regions: &[Region]) -> String {
    match regions {
        [] => "no address".to_owned(),
        regions => regions
            .iter()
            .map(|region| region.name())
            .collect::<Vec<_>>()
            .join(" and "),
    }
}

/// Stale reads: when they were begun, and how old what they saw was.
fn stale(report: &Report<'_>, frame: &Frame) -> String {
    let reads = &report.figures.staleness.reads;
    if reads.is_empty() {
        return String::new();
    }
    let ages = reads.iter().map(|read| seconds(read.age) * 1000.0);
    let decades_shown = ages.fold(10.0, f64::max).log10().ceil().clamp(1.0, 6.0);
    let step = reads.len().div_ceil(DOTS);
    let mut path = String::new();
    for read in reads.iter().step_by(step) {
        let x = frame.x(seconds(read.began));
        let y = height(seconds(read.age) * 1000.0, decades_shown);
        path += &format!("M{x:.2} {y:.1}h0");
    }
    let count = super::super::counted(reads.len() as u64, "stale read", "stale reads");
    let oldest = reads
        .iter()
        .map(|read| read.age)
        .max()
        .unwrap_or(Span::ZERO);
    let mut html = format!(
        "<h3>Stale reads: how long what they saw had been out of date</h3>\n\
         <p class=\"note\">{count}, at most {} out of date.</p>\n<div class=\"plot dots\">",
        spoken(seconds(oldest))
    );
    html += &frame.svg(&format!("{count} over time by age"));
    for decade in 1..decades_shown as u32 {
        let y = height(10f64.powi(decade as i32), decades_shown);
        html += &format!("<line class=\"grid\" x1=\"0\" x2=\"100\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
    }
    html += &format!("<path class=\"dot\" d=\"{path}\"/></svg>");
    html += &decades(decades_shown);
    html += "</div>\n";
    html + &frame.axis()
}
