//! `causeway status`: the lab at a glance.

use std::time::Duration;

use serde_json::Value;
use types::ByteSize;

use super::{ask, fault, read};
use crate::cli::Status;
use crate::control::{Command, LinkReport, SiteReport, StatusReport};
use crate::duration;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::supervisor::EntryReport;

/// Prints it.
pub fn status(command: &Status) -> Result<(), Failure> {
    let query = &command.query;
    if command.operations {
        let answer = ask(&query.lab, &Command::Operations)?;
        return match query.json {
            true => output::print_json(&answer),
            false => output::print(operations(&answer)),
        };
    }
    let answer = ask(&query.lab, &Command::Status)?;
    if query.json {
        return output::print_json(&answer);
    }
    let report: StatusReport = read(answer)?;
    output::print(render(&report))
}

fn render(report: &StatusReport) -> String {
    let running = duration::show(Duration::from_millis(report.running_milliseconds));
    let mut text = format!(
        "{} for {running}, data in {}, delays x {}{}\n\n{}",
        report.endpoint,
        report.data,
        report.delay_scale,
        report
            .dns
            .map_or_else(String::new, |dns| format!(", DNS on {dns}")),
        sites(report)
    );
    text.push_str(&format!("\n{}", identities(&report.sites)));
    text.push_str(&format!("\n{}", objects(&report.sites)));
    if report.dns.is_some() {
        text.push_str(&format!("\n{}", names(&report.sites)));
    }
    let with_flows = |site: &&SiteReport| site.detail["accelerators"]["accelerators"] != 0;
    if report
        .sites
        .iter()
        .filter(|site| site.dns.is_some())
        .any(|site| with_flows(&site))
    {
        text.push_str(&format!("\n{}", flows(&report.sites)));
    }
    if report.sites.iter().any(has_balancers) {
        text.push_str(&format!("\n{}", balancers(&report.sites)));
    }
    if report.sites.iter().any(|site| !site.apps.is_empty()) {
        text.push_str(&format!("\n{}", apps(&report.sites)));
    }
    for line in report.entry.iter().flat_map(EntryReport::lines) {
        text.push_str(&format!("entry: {line}\n"));
    }
    if !report.links.is_empty() {
        text.push_str(&format!("\n{}", links(&report.links)));
    }
    if !report.faults.is_empty() {
        text.push_str(&format!("\n{}", fault::table(&report.faults)));
    }
    for site in &report.sites {
        for alarm in site.note.clone().into_iter().chain(alarms(site)) {
            text.push_str(&format!("\n{}: {alarm}", site.site));
        }
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn sites(report: &StatusReport) -> Table {
    let scheme = report.endpoint.split(':').next().unwrap_or("http");
    let mut table = Table::new([
        "SITE",
        "STATE",
        "FOR",
        "ADDRESS",
        "PROCESS",
        "MEMORY",
        "CLOCK",
        "COUNCIL",
        "CERTIFICATE UNTIL",
    ]);
    for site in &report.sites {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let span = |milliseconds| duration::show(Duration::from_millis(milliseconds));
        let clock = match site.clock_offset_milliseconds {
            0 => "right".to_owned(),
            offset => format!("{offset:+} ms"),
        };
        let role = site.detail["council"]["role"].as_str();
        let until = site.certificate.as_ref().map(|certificate| {
            let mut until = certificate.valid_until.to_string();
            until.truncate("2026-11-24".len());
            until
        });
        table.row([
            site.site.to_string(),
            site.state.clone(),
            or_dash(site.running_milliseconds.map(span)),
            or_dash(address(site, scheme)),
            or_dash(site.process.map(|process| process.to_string())),
            or_dash(site.memory_bytes.map(|bytes| ByteSize(bytes).to_string())),
            clock,
            or_dash(role.map(str::to_owned)),
            or_dash(until),
        ]);
    }
    table
}

fn address(site: &SiteReport, scheme: &str) -> Option<String> {
    let api = site.api.map(|api| format!("{scheme}://{api}"));
    api.or_else(|| site.dns.map(|dns| dns.to_string()))
}

/// Who may call, as each Region judges it.
fn identities(sites: &[SiteReport]) -> Table {
    let mut table = Table::new([
        "IDENTITY",
        "REVISION",
        "STATE",
        "ACCOUNTS",
        "USERS",
        "ROLES",
        "UNREADABLE",
    ]);
    for site in sites.iter().filter(|site| site.site.region().is_some()) {
        let identity = &site.detail["identity"];
        let number = |value: &Value| value.as_u64().map_or("-".to_owned(), |n| n.to_string());
        let principals = &identity["principals"];
        table.row([
            site.site.to_string(),
            number(&identity["revision"]),
            identity_state(identity),
            number(&principals["accounts"]),
            number(&principals["users"]),
            number(&principals["roles"]),
            number(&identity["unreadable"]),
        ]);
    }
    table
}

/// How new it is: `current`, or for how long no majority has been heard.
fn identity_state(identity: &Value) -> String {
    if identity.is_null() {
        return "-".to_owned();
    }
    let Some(age) = identity["age_milliseconds"].as_u64() else {
        return "current".to_owned();
    };
    let age = duration::show(Duration::from_millis(age));
    let more = if identity["older"] == true {
        "more than "
    } else {
        ""
    };
    format!("of {more}{age} ago")
}

/// Each Region's buckets, and what of them is on its way to others; `causeway lag` has it by rule.
fn objects(sites: &[SiteReport]) -> Table {
    let mut table = Table::new(["OBJECTS", "BUCKETS", "PENDING", "BYTES", "OLDEST", "FAILED"]);
    for site in sites.iter().filter(|site| site.site.region().is_some()) {
        let objects = &site.detail["objects"];
        let number = |value: &Value| value.as_u64().map_or("-".to_owned(), |n| n.to_string());
        let oldest = objects["oldest_milliseconds"].as_u64();
        let oldest = oldest.map(|age| duration::show(Duration::from_millis(age)));
        table.row([
            site.site.to_string(),
            number(&objects["buckets"]),
            number(&objects["pending_operations"]),
            number(&objects["pending_bytes"]),
            oldest.unwrap_or_else(|| "-".to_owned()),
            number(&objects["failed_operations"]),
        ]);
    }
    table
}

/// The edges' DNS: what they answer from, and what they have answered.
fn names(sites: &[SiteReport]) -> Table {
    let mut table = Table::new([
        "DNS",
        "ZONES",
        "RECORD SETS",
        "REVISION",
        "CHECKS",
        "UNHEALTHY",
        "QUERIES",
        "ANSWERS",
    ]);
    for site in sites.iter().filter(|site| site.dns.is_some()) {
        let (dns, routing) = (&site.detail["dns"], &site.detail["routing"]);
        let number = |value: &Value| value.as_u64().map_or("-".to_owned(), |n| n.to_string());
        let checks = routing["health"].as_array();
        let unhealthy = checks.map(|checks| {
            let unhealthy = checks.iter().filter(|check| check["healthy"] == false);
            unhealthy.count().to_string()
        });
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.row([
            site.site.to_string(),
            number(&routing["zones"]),
            number(&routing["records"]),
            number(&routing["revision"]),
            or_dash(checks.map(|checks| checks.len().to_string())),
            or_dash(unhealthy),
            number(&dns["queries"]),
            number(&dns["answers"]),
        ]);
    }
    table
}

/// The edges' accelerators: what they steer by, and what they carry; `causeway flows` has it by
/// listener and by endpoint.
fn flows(sites: &[SiteReport]) -> Table {
    let mut table = Table::new([
        "FLOWS",
        "ACCELERATORS",
        "LISTENERS",
        "REVISION",
        "HEALTHY",
        "UNHEALTHY",
        "OPEN",
        "CAME",
        "UNSERVED",
    ]);
    for site in sites.iter().filter(|site| site.dns.is_some()) {
        let (known, flows) = (&site.detail["accelerators"], &site.detail["flows"]);
        let number = |value: &Value| value.as_u64().map_or("-".to_owned(), |n| n.to_string());
        table.row([
            site.site.to_string(),
            number(&known["accelerators"]),
            number(&known["listeners"]),
            number(&known["revision"]),
            number(&known["endpoints"]["healthy"]),
            number(&known["endpoints"]["unhealthy"]),
            number(&flows["open"]),
            number(&flows["flows"]),
            number(&flows["unserved"]),
        ]);
    }
    table
}

/// The Regions' load balancers; `causeway balancers` has them by listener and by target.
fn balancers(sites: &[SiteReport]) -> Table {
    let mut table = Table::new([
        "BALANCERS",
        "NUMBER",
        "LISTENERS",
        "REVISION",
        "GROUPS",
        "HEALTHY TARGETS",
        "OTHERS",
    ]);
    for site in sites.iter().filter(|site| has_balancers(site)) {
        let known = &site.detail["balancers"];
        let number = |name: &str| {
            known[name]
                .as_u64()
                .map_or("-".to_owned(), |n| n.to_string())
        };
        table.row([
            site.site.to_string(),
            number("balancers"),
            number("listeners"),
            number("revision"),
            number("groups"),
            number("healthy"),
            number("others"),
        ]);
    }
    table
}

fn has_balancers(site: &SiteReport) -> bool {
    site.detail["balancers"]["balancers"]
        .as_u64()
        .is_some_and(|count| count > 0)
}

fn apps(sites: &[SiteReport]) -> Table {
    let mut table = Table::new([
        "APPLICATION",
        "ADDRESS",
        "STATE",
        "FOR",
        "PROCESS",
        "RESTARTS",
        "LAST END",
    ]);
    for app in sites.iter().flat_map(|site| &site.apps) {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let span = |milliseconds| duration::show(Duration::from_millis(milliseconds));
        table.row([
            app.zone.to_string(),
            app.address.to_string(),
            app.state.clone(),
            or_dash(app.running_milliseconds.map(span)),
            or_dash(app.process.map(|process| process.to_string())),
            app.restarts.to_string(),
            or_dash(app.last_end.clone()),
        ]);
    }
    table
}

fn links(links: &[LinkReport]) -> Table {
    let mut table = Table::new([
        "FROM",
        "TO",
        "LINK",
        "DELAY",
        "ROUND TRIP",
        "SENT",
        "OVERHEAD",
    ]);
    for LinkReport { state, link } in links {
        let rate = link.shape.rate.map_or_else(String::new, |rate| {
            format!(" at {}/s", ByteSize(rate.get()))
        });
        let round_trip = link.round_trip_milliseconds;
        let sent: u64 = link
            .crossings
            .iter()
            .map(|crossing| crossing.framed_bytes)
            .sum();
        table.row([
            link.from.to_string(),
            link.to.to_string(),
            format!("{state}{rate}"),
            link.shape.delay.to_string(),
            round_trip.map_or_else(|| "-".to_owned(), |span| format!("{span:.1} ms")),
            ByteSize(sent).to_string(),
            ByteSize(link.overhead_bytes).to_string(),
        ]);
    }
    table
}

/// Why a site needs looking at: what the supervisor knows, and the `alarms` it reports itself.
fn alarms(site: &SiteReport) -> Vec<String> {
    let own = site.detail.get("alarms").and_then(Value::as_array);
    let own = own.into_iter().flatten();
    let own = own.map(|alarm| {
        alarm
            .as_str()
            .map_or_else(|| alarm.to_string(), str::to_owned)
    });
    let reason = site.reason.clone();
    let zones: Vec<String> = site.zones_down.iter().map(ToString::to_string).collect();
    let zones = (!zones.is_empty()).then(|| format!("killed: {}", zones.join(", ")));
    let crashed = (site.state == "crashed").then(|| {
        let name = site.site;
        format!("`causeway fault start {name}` starts it again; its log says why it ended")
    });
    reason
        .into_iter()
        .chain(zones)
        .chain(crashed)
        .chain(own)
        .collect()
}

fn operations(answer: &Value) -> Table {
    let columns = [
        ("SERVICE", "service"),
        ("BUILT", "built"),
        ("NOT BUILT YET", "not_built"),
    ];
    let rows = answer.as_array().cloned().unwrap_or_default();
    Table::of_rows(&columns, &rows)
}
