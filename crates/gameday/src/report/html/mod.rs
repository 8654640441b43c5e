//! The report as one HTML file: no script, no font, no image and nothing else from elsewhere, so
//! that it can be mailed and kept. Light and dark, on paper and on a phone. This file says what is
//! on the page and in what order; `plots` draws, `tables` lists.

mod plots;
mod style;
mod tables;

use super::Report;
use super::story::{apart_by_place, is_kept_alone, who};
use crate::expectation::{Measured, decimal};
use crate::figures::seconds;
use crate::metric::{Metric, MetricName};

pub(super) fn write(report: &Report<'_>) -> String {
    let scenario = &report.plan.scenario;
    let title = escaped(&scenario.title);
    let mut page = String::with_capacity(256 * 1024);
    page += "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
    page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
    page += "<meta name=\"color-scheme\" content=\"light dark\">\n";
    page += &format!("<title>{title}: game day</title>\n");
    page += &format!("<style>{}</style>\n</head>\n<body>\n<main>\n", style::SHEET);
    page += &head(report, &title);
    page += &section("What happened", &story(report));
    page += &section("The cost in numbers", &cards(report));
    page += &section("Over time", &plots::all(report));
    page += &section("Timeline", &tables::timeline(report));
    page += &section("Expectations", &tables::expectations(report));
    page += &section("Clients", &tables::clients(report));
    page += &tables::orders(report);
    page += &tables::conflicts(report);
    page += &section("Availability and error budget", &tables::budget(report));
    page += &tables::traffic(report);
    page += &section("This run", &tables::run(report));
    page += &section("What the words mean", WORDS);
    page += "</main>\n</body>\n</html>\n";
    page
}

fn section(title: &str, content: &str) -> String {
    format!("<section>\n<h2>{title}</h2>\n{content}</section>\n")
}

fn head(report: &Report<'_>, title: &str) -> String {
    let scenario = &report.plan.scenario;
    let all = report.outcomes.len();
    let held = report
        .outcomes
        .iter()
        .filter(|outcome| outcome.holds)
        .count();
    let (class, verdict) = match report.holds() {
        true => ("good", "Holds"),
        false => ("bad", "Does not hold"),
    };
    let description = scenario.description.as_deref().unwrap_or_default();
    format!(
        "<header>\n<p class=\"kind\">Game day · {name} · {started}</p>\n<h1>{title}</h1>\n\
         <p class=\"verdict {class}\">{verdict}: {held} of {all} expectations</p>\n\
         <p class=\"lead\">{}</p>\n</header>\n",
        prose(report, description),
        name = escaped(&scenario.name),
        started = report.seen.started,
    )
}

fn story(report: &Report<'_>) -> String {
    let mut list = String::from("<ul class=\"story\">\n");
    for sentence in report.story() {
        list += &format!("<li>{}</li>\n", prose(report, &sentence));
    }
    list + "</ul>\n"
}

/// The figures that everybody asks for first.
fn cards(report: &Report<'_>) -> String {
    let mut cards = String::from("<div class=\"cards\">\n");
    let loads = &report.plan.scenario.loads;
    if report.figures.moments.struck.at().is_some() {
        for stream in &report.figures.clients {
            let client = loads.iter().find(|load| load.client.label == stream.name);
            let who = client.map(|load| who(&load.client)).unwrap_or_default();
            let members = apart_by_place(report, stream);
            if members.is_empty() {
                let (value, class, what) = rto(&stream.rto);
                cards += &card(&value, class, what, &who);
            }
            for member in members {
                let (value, class, what) = rto(&member.rto);
                cards += &card(&value, class, what, &format!("{}: {who}", member.name));
            }
        }
    }
    let value = |name| report.figures.value(report.plan, &Metric::bare(name));
    if let Measured::Number(count) = value(MetricName::RpoOrders) {
        let outage = report.figures.moments.outage;
        let oldest = match value(MetricName::RpoS) {
            _ if outage.is_some_and(|outage| is_kept_alone(report, outage)) => {
                "the table is replicated to no other Region".to_owned()
            }
            Measured::Number(age) if count > 0.0 => {
                format!("the oldest {} old at the fault", super::spoken(age))
            }
            _ => "acknowledged orders in no other Region".to_owned(),
        };
        let class = if count > 0.0 { "warn" } else { "good" };
        cards += &card(&decimal(count), class, "orders missing (RPO)", &oldest);
    }
    match value(MetricName::LostForGood) {
        Measured::Number(count) => {
            let class = if count > 0.0 { "bad" } else { "good" };
            let of = format!(
                "of {} acknowledged",
                super::grouped(report.figures.orders.acknowledged)
            );
            cards += &card(&decimal(count), class, "lost for good", &of);
        }
        _ => {
            cards += &card(
                "?",
                "bad",
                "lost for good",
                "not every Region could be read",
            )
        }
    }
    let all = &report.figures.all;
    let of = format!("of {}", super::counted(all.requests, "request", "requests"));
    let class = if all.ok == all.requests {
        "good"
    } else {
        "warn"
    };
    cards += &card(&super::share(all.ok, all.requests), class, "succeeded", &of);
    let (stale, judged) = report.figures.staleness.all;
    if judged > 0 {
        let of = format!("of {}", super::counted(judged, "read", "reads"));
        let class = if stale == 0 { "good" } else { "warn" };
        cards += &card(&super::grouped(stale), class, "stale reads", &of);
    }
    let discards = report.figures.lww_discards;
    if discards > 0 {
        let text = "beaten by a concurrent one, in the ledger";
        cards += &card(&super::grouped(discards), "warn", "writes discarded", text);
    }
    cards + "</div>\n"
}

/// A time without service, how bad it is, and what it is.
fn rto(rto: &Measured) -> (String, &'static str, &'static str) {
    match rto {
        Measured::Number(0.0) => ("0 s".to_owned(), "good", "without service"),
        Measured::Number(after) => (super::spoken(*after), "warn", "until served again"),
        Measured::Never => ("never".to_owned(), "bad", "served again during the fault"),
        Measured::Unknown(_) => ("–".to_owned(), "none", "not measured"),
    }
}

fn card(value: &str, class: &str, what: &str, of: &str) -> String {
    format!(
        "<div class=\"card {class}\"><p class=\"value\">{}</p><p class=\"what\">{what}</p>\
         <p class=\"of\">{}</p></div>\n",
        escaped(value),
        escaped(of)
    )
}

/// Running text: no line ends within a Region's name or before a unit.
fn prose(report: &Report<'_>, text: &str) -> String {
    let scenario = &report.plan.scenario;
    let places = scenario.loads.iter().map(|load| load.place);
    let mut names: Vec<&str> = (scenario.lab.regions.iter().copied())
        .chain(places)
        .map(types::Region::name)
        .collect();
    names.sort();
    names.dedup();
    let mut html = escaped(&super::tied(text));
    for name in names {
        html = html.replace(name, &format!("<span class=\"nb\">{name}</span>"));
    }
    html
}

/// Text as HTML has it, in quoted attributes too.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // No other control character may stand in HTML.
            c if c.is_control() && c != '\n' && c != '\t' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// A time in seconds, as plots and tables show it.
fn at(span: types::Span) -> String {
    format!("{:.1} s", seconds(span))
}

const WORDS: &str = "<dl class=\"words\">
<dt>until served again (RTO)</dt><dd>from the fault to the first success of a client that lasted: \
every request due in the window after it succeeded too. <q>Never</q>: there was none \
before the fault ended.</dd>
<dt>missing (RPO)</dt><dd>orders that a Region had acknowledged and no surviving Region had when \
all of them were read, shortly before the fault ended; counted by id. Their age is the time from \
the acknowledgement to the fault.</dd>
<dt>lost for good</dt><dd>acknowledged writes that are in no Region in the end and in no \
ledger.</dd>
<dt>discarded</dt><dd>writes that were beaten by one made elsewhere without knowledge of them: the \
last writer wins. Each is in the conflict ledger with both versions.</dd>
<dt>stale read</dt><dd>a read that saw less than had been acknowledged to anyone before it began. \
Its age is how long what it saw had been out of date.</dd>
<dt>latency</dt><dd>from when a request was due, at the load&#39;s fixed rate, to its success: \
waiting behind slow requests counts.</dd>
</dl>
";
