//! The report as one HTML file: no script, no font, no image and nothing else from elsewhere, so
//! that it can be mailed and kept. Light and dark, on paper and on a phone. This file says what is
//! on the page and in what order; `plots` draws, `tables` lists.

mod cards;
mod plots;
mod style;
mod tables;

use super::Report;
use crate::figures::seconds;

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
    page += &section("The cost in numbers", &cards::all(report));
    page += &section("Over time", &plots::all(report));
    page += &section("Timeline", &tables::timeline(report));
    page += &section("Expectations", &tables::expectations(report));
    page += &section("Clients", &tables::clients(report));
    page += &tables::takeovers(report);
    page += &tables::orders(report);
    page += &tables::conflicts(report);
    page += &section("Availability and error budget", &tables::budget(report));
    page += &tables::traffic(report);
    page += &section("This run", &tables::run(report));
    page += &section("What the words mean", &words(report));
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

/// The glossary; of a global cluster, with the words that only its reports have.
fn words(report: &Report<'_>) -> String {
    match report.plan.measures_global_cluster() {
        true => format!("<dl class=\"words\">\n{ROWS}{WORDS}"),
        false => format!("<dl class=\"words\">\n{WORDS}"),
    }
}

const ROWS: &str = "<dt>global cluster</dt><dd>one PostgreSQL database with a server in each of \
several Regions. One of them takes writes and sends them to the others, which are read.</dd>
<dt>row</dt><dd>one transaction of a client: it inserts one row with a number of its own, and \
counts as acknowledged when the database has said that it is committed.</dd>
<dt>failed over, switched over</dt><dd>another Region&#39;s server becomes the writer: at once, \
without what had not reached it; or in order, when it has everything.</dd>
<dt>kept aside</dt><dd>what an old writer had and nobody else. It is put into a file before that \
server follows the new writer.</dd>
<dt>timeline</dt><dd>which writer in turn: PostgreSQL counts it up with each promotion.</dd>
";

const WORDS: &str = "\
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
<dt>stale read</dt><dd>a read that saw something older than what had been acknowledged before \
it began. Its age is how long what it saw had been out of date.</dd>
<dt>latency</dt><dd>from when a request was due, at the load&#39;s fixed rate, to its success: \
waiting behind slow requests counts.</dd>
</dl>
";
