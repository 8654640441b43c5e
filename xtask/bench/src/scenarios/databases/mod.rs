//! Databases: how soon a commit is visible in another Region, what the endpoint costs, what an idle
//! instance takes, what a promotion takes and loses, and what moves of a global cluster do, beside
//! Patroni's; each a part of one section.

mod endpoint;
mod idle;
mod moves;
mod patroni;
mod promotion;
mod visible;

use anyhow::Result;

use crate::Arguments;
use crate::databases::{self, Instance};
use crate::lab::Lab;
use crate::report::Section;

/// Where the source is, and where its replica.
const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];

/// A part: its name and what measures it.
type Part = (&'static str, fn(&Arguments, &mut Section) -> Result<()>);

const PARTS: [Part; 6] = [
    ("a commit in the other Region", visible::run),
    ("the endpoint", endpoint::run),
    ("an idle instance", idle::run),
    ("promotion", promotion::run),
    ("moves of a global cluster", moves::run),
    ("moves by Patroni", patroni::run),
];

pub fn run(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::default();
    if arguments.no_lab {
        return Ok(section);
    }
    let mut failed = Vec::new();
    let is_chosen = |name: &str| {
        arguments
            .part
            .as_ref()
            .is_none_or(|part| name.contains(part))
    };
    for (name, part) in PARTS.into_iter().filter(|(name, _)| is_chosen(name)) {
        eprintln!("   {name}");
        // What was measured before stands, also if a part fails after minutes.
        if let Err(error) = part(arguments, &mut section) {
            eprintln!("   {name}: {error:#}");
            section.text(&format!("**Not measured**, {name}: {error:#}"));
            failed.push(name);
        }
    }
    section.value("failed", serde_json::json!(failed));
    Ok(section)
}

/// A lab of both Regions, as far apart as they are, with an instance and its replica.
struct Stand {
    lab: Lab,
    source: Instance,
    replica: Instance,
}

/// The replica's name.
const REPLICA: &str = "readers";

impl Stand {
    fn start() -> Result<Stand> {
        let lab = Lab::start(&REGIONS, 1, 1.0)?;
        let (near, far) = (&lab.clients[0], &lab.clients[1]);
        let source = databases::create(&lab, near, "orders")?;
        let replica = databases::replicate(&lab, (near, "orders"), (far, REPLICA))?;
        Ok(Stand {
            lab,
            source,
            replica,
        })
    }
}

/// The link's one-way delay between both.
fn delay() -> Result<types::Span> {
    let [near, far] = REGIONS;
    Ok(types::one_way_delay(near.parse()?, far.parse()?))
}
