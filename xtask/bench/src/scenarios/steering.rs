//! How soon names follow: a change at every edge, a failed endpoint gone from the answers, a dead
//! Region's application likewise, and an edge's own start and memory. Every edge is asked at its
//! own address from next door, about a thousand times a second, until it answers what it must.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::start::REGIONS;
use super::{GOAL_HEAD, goal, spread};
use crate::Arguments;
use crate::client::Client;
use crate::dns::endpoint::{ENDPOINT, Endpoint};
use crate::dns::names::{self, Record};
use crate::lab::Lab;
use crate::process;
use crate::report::Section;
use crate::statistics::{Spread, number};

/// Edges of the lab: one in each Region's place.
const EDGES: u32 = 3;

/// Zones when an edge's start and memory are measured.
const ZONES: usize = 100;

/// Records in each of these zones.
const RECORDS: usize = 20;

/// The zone of the names that are steered.
const ZONE: &str = "steered.example";

/// Who answers when the primary doesn't.
const SECONDARY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Between two rounds, so that the checkers' verdicts stand.
const REST: Duration = Duration::from_secs(1);

/// A lab, its zone, and where its edges answer.
struct Steered {
    lab: Lab,
    client: Client,
    zone: String,
    edges: Vec<SocketAddr>,
}

pub fn run(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::default();
    if arguments.no_lab {
        return Ok(section);
    }
    let own = std::env::current_exe()?.display().to_string();
    let app = format!("exec '{own}' {ENDPOINT}");
    let words = ["--health-interval", "200ms", "--app", &app];
    let lab = Lab::start_with(&REGIONS, EDGES, 1.0, &words)?;
    let client = lab.global()?;
    let steered = Steered {
        zone: names::create_zone(&client, ZONE)?,
        edges: lab.edges.iter().map(|(address, _)| *address).collect(),
        client,
        lab,
    };
    section.text(&format!(
        "Three Regions and an edge in the place of each, {}, with the real delays of their links; \
         endpoints probed every 200 ms by all six, three failures in a row. Milliseconds, median \
         (least to greatest).",
        REGIONS.join(", ")
    ));
    let mut goals = Vec::new();
    eprintln!("   changes");
    changes(arguments, &steered, &mut section, &mut goals)?;
    eprintln!("   a failed endpoint");
    endpoint(arguments, &steered, &mut section, &mut goals)?;
    eprintln!("   a dead Region");
    region(arguments, &steered, &mut section, &mut goals)?;
    eprintln!("   an edge");
    edge(arguments, &steered, &mut section, &mut goals)?;
    section.table(&GOAL_HEAD, &goals);
    Ok(section)
}

/// Milliseconds from one moment to another.
fn milliseconds(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1000.0
}

/// A record set again and again; when does each edge answer by the new one?
fn changes(
    arguments: &Arguments,
    steered: &Steered,
    section: &mut Section,
    goals: &mut Vec<Vec<String>>,
) -> Result<()> {
    let name = format!("change.{ZONE}");
    let rounds = arguments.rounds * 4;
    // The front door passes the request on to the first Region.
    let asked: types::Region = REGIONS[0].parse()?;
    let places = steered.lab.edges.iter();
    let delays = places.map(|(_, place)| types::one_way_delay(asked, *place).as_milliseconds());
    let delays: Vec<f64> = delays.collect();
    let (mut answered, mut over) = (Vec::new(), Vec::new());
    let mut seen: Vec<Vec<f64>> = vec![Vec::new(); delays.len()];
    for round in 0..rounds {
        let wanted = Ipv4Addr::new(192, 0, 2, u8::try_from(round % 250)?);
        let (when, (began, answer)) = names::follow(&steered.edges, &name, wanted, || {
            let began = Instant::now();
            let record = Record::simple(&name, wanted);
            names::change(&steered.client, &steered.zone, &[record])?;
            Ok((began, Instant::now()))
        })?;
        answered.push(milliseconds(began, answer));
        let mut latest = 0.0_f64;
        for ((when, delay), seen) in when.iter().zip(&delays).zip(&mut seen) {
            seen.push(milliseconds(answer, *when));
            latest = latest.max(milliseconds(answer, *when) - delay);
        }
        over.push(latest);
    }
    section.text(&format!(
        "{rounds} changes of a record, each asked for in {} and answered after {} ms; from that \
         answer until an edge answers by it:",
        asked.name(),
        Spread::of(answered.iter().copied()),
    ));
    let mut rows = Vec::new();
    for (((_, place), delay), seen) in steered.lab.edges.iter().zip(delays).zip(seen) {
        let seen = Spread::of(seen).to_string();
        rows.push(vec![place.name().to_owned(), number(delay), seen]);
    }
    let head = [
        "edge in",
        "delay of the link, ms",
        "ms after the API's answer",
    ];
    section.table(&head, &rows);
    let over = Spread::of(over);
    let asked = "200 ms + the link's delay";
    let unit = "ms past the link's delay";
    let met = over.median <= 200.0;
    goals.push(goal(
        "a change at every edge",
        asked,
        over.median,
        unit,
        met,
    ));
    section.value("change_milliseconds_past_delay", spread(over));
    section.value("change_answer_milliseconds", spread(Spread::of(answered)));
    Ok(())
}

/// Sets a failover pair whose primary depends on an endpoint; waits until it answers everywhere.
fn pair(steered: &Steered, name: &str, primary: Ipv4Addr, endpoint: SocketAddr) -> Result<()> {
    let check = names::create_check(&steered.client, endpoint)?;
    let records = [
        Record {
            failover: Some("PRIMARY"),
            health_check: Some(&check),
            ..Record::simple(name, primary)
        },
        Record {
            failover: Some("SECONDARY"),
            ..Record::simple(name, SECONDARY)
        },
    ];
    names::change(&steered.client, &steered.zone, &records)?;
    everywhere(steered, name, primary)
}

fn everywhere(steered: &Steered, name: &str, wanted: Ipv4Addr) -> Result<()> {
    for edge in &steered.edges {
        names::wait_for(*edge, name, wanted)?;
    }
    std::thread::sleep(REST);
    Ok(())
}

/// An endpoint that begins to answer 500: when do all edges answer the secondary?
fn endpoint(
    arguments: &Arguments,
    steered: &Steered,
    section: &mut Section,
    goals: &mut Vec<Vec<String>>,
) -> Result<()> {
    let name = format!("endpoint.{ZONE}");
    let primary = Ipv4Addr::new(192, 0, 2, 1);
    let endpoint = Endpoint::start()?;
    pair(steered, &name, primary, endpoint.address)?;
    let (mut gone, mut back) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        let (when, ()) = names::follow(&steered.edges, &name, SECONDARY, || {
            endpoint.fail(true);
            Ok(())
        })?;
        let first = endpoint.first_failed().context("no probe has failed")?;
        gone.push(latest(&when, first));
        std::thread::sleep(REST);
        let (when, healed) = names::follow(&steered.edges, &name, primary, || {
            endpoint.fail(false);
            Ok(Instant::now())
        })?;
        back.push(latest(&when, healed));
        std::thread::sleep(REST);
    }
    let (gone, back) = (Spread::of(gone), Spread::of(back));
    section.text(&format!(
        "An endpoint that begins to fail, {} times: {gone} ms from the first probe that failed, of \
         whichever checker, until the last edge answers the secondary; {back} ms from its recovery \
         until the last answers it again.",
        arguments.rounds
    ));
    let met = gone.median <= 1500.0;
    let what = "a failed endpoint gone from all answers";
    goals.push(goal(
        what,
        "1,500 ms or less after the first failed probe",
        gone.median,
        "ms",
        met,
    ));
    section.value("endpoint_gone_milliseconds", spread(gone));
    section.value("endpoint_back_milliseconds", spread(back));
    Ok(())
}

fn latest(when: &[Instant], since: Instant) -> f64 {
    when.iter()
        .map(|when| milliseconds(since, *when))
        .fold(0.0, f64::max)
}

/// A Region that is killed with its application: when do all edges answer the secondary?
fn region(
    arguments: &Arguments,
    steered: &Steered,
    section: &mut Section,
    goals: &mut Vec<Vec<String>>,
) -> Result<()> {
    let name = format!("region.{ZONE}");
    let dying = &steered.lab.clients[1];
    let IpAddr::V4(primary) = dying.address.ip() else {
        bail!("a lab's Regions have IPv4 addresses");
    };
    let application = SocketAddr::new(dying.address.ip(), steered.lab.app_port);
    pair(steered, &name, primary, application)?;
    let (mut gone, mut back) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds.min(3) {
        let site = dying.region.name();
        let (when, asked) = names::follow(&steered.edges, &name, SECONDARY, || {
            let asked = Instant::now();
            steered
                .lab
                .command(&["fault", "kill", site, "--for", "10m"])?;
            Ok(asked)
        })?;
        gone.push(latest(&when, asked));
        std::thread::sleep(REST);
        let (when, asked) = names::follow(&steered.edges, &name, primary, || {
            let asked = Instant::now();
            steered.lab.command(&["fault", "start", site])?;
            Ok(asked)
        })?;
        back.push(latest(&when, asked));
        std::thread::sleep(REST);
    }
    let (gone, back) = (Spread::of(gone), Spread::of(back));
    section.text(&format!(
        "A Region killed with its application, {} times: {gone} ms from the command that kills it \
         (some ms before it is dead) until the last edge answers the secondary; {back} ms from the \
         command that starts it until the last answers it again.",
        arguments.rounds.min(3)
    ));
    let met = gone.median <= 1500.0;
    let what = "a dead Region gone from all answers";
    goals.push(goal(
        what,
        "1,500 ms or less, from the kill",
        gone.median,
        "ms",
        met,
    ));
    section.value("region_gone_milliseconds", spread(gone));
    section.value("region_back_milliseconds", spread(back));
    Ok(())
}

/// An edge with a hundred zones that is killed and starts again.
fn edge(
    arguments: &Arguments,
    steered: &Steered,
    section: &mut Section,
    goals: &mut Vec<Vec<String>>,
) -> Result<()> {
    let mut last = String::new();
    let address = Ipv4Addr::new(192, 0, 2, 9);
    // The zone of the steered names is one of them.
    for number in 1..ZONES {
        let zone = format!("zone-{number:03}.example");
        let id = names::create_zone(&steered.client, &zone)?;
        let records: Vec<String> = (0..RECORDS)
            .map(|host| format!("host-{host}.{zone}"))
            .collect();
        let records = records.iter().map(|name| Record::simple(name, address));
        names::change(&steered.client, &id, &records.collect::<Vec<_>>())?;
        last = format!("host-0.{zone}");
    }
    everywhere(steered, &last, address)?;
    let site = "edge-1";
    let mut ready = Vec::new();
    for _ in 0..arguments.rounds {
        steered
            .lab
            .command(&["fault", "kill", site, "--for", "10m"])?;
        let (when, ()) = names::follow(&steered.edges[..1], &last, address, || {
            steered.lab.command(&["fault", "start", site]).map(|_| ())
        })?;
        // What its age is now, less what has passed since it answered.
        let age = process::age(steered.lab.site(site)?)?;
        ready.push(age.saturating_sub(when[0].elapsed()).as_secs_f64() * 1000.0);
        std::thread::sleep(REST);
    }
    std::thread::sleep(REST * 5);
    let memory = process::memory(steered.lab.site(site)?)?;
    let ready = Spread::of(ready);
    section.text(&format!(
        "An edge with {ZONES} zones of {RECORDS} records, killed and started again {} times: \
         {ready} ms from the start of its process (known to 10 ms) until it answers for the last \
         zone.",
        arguments.rounds
    ));
    let met = ready.median <= 300.0;
    goals.push(goal(
        "an edge with 100 zones ready",
        "300 ms or less",
        ready.median,
        "ms",
        met,
    ));
    goals.push(goal(
        "an edge's memory (PSS)",
        "40 MiB or less",
        memory,
        "MiB",
        memory <= 40.0,
    ));
    section.value("edge_ready_milliseconds", spread(ready));
    section.value("edge_mebibytes", Value::from(memory));
    section.value("edge_zones", json!(ZONES));
    Ok(())
}
