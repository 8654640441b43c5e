//! A plan as people read it before anything starts: what `causeway gameday check` prints.

use std::fmt;

use super::{Deed, Plan};
use crate::language::show_span;
use crate::scenario::{
    Accelerator, Act, App, Content, Lab, Load, Policy, Record, Scenario, StoreKind, Work,
};

impl fmt::Display for Plan {
    /// What will happen, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scenario {
            lab, title, name, ..
        } = &self.scenario;
        writeln!(f, "{title} ({name})")?;
        let regions: Vec<&str> = lab.regions.iter().map(|region| region.name()).collect();
        let app = match &lab.app {
            None => "no application".to_owned(),
            Some(App::Orders) => "the application orders".to_owned(),
            Some(App::Command(command)) => format!("the application `{command}`"),
        };
        writeln!(f, "\nDeployed:")?;
        writeln!(
            f,
            "  lab     {}; {} edge(s); {app}",
            regions.join(", "),
            lab.edges
        )?;
        for table in &self.scenario.tables {
            let regions: Vec<&str> = table.regions.iter().map(|region| region.name()).collect();
            let kind = match table.kind {
                StoreKind::Table => "table ",
                StoreKind::Buckets => "bucket",
                StoreKind::GlobalCluster => "global",
            };
            writeln!(f, "  {kind}  {} in {}", table.name, regions.join(", "))?;
        }
        for check in &self.scenario.health_checks {
            let every = show_span(lab.health_interval.unwrap_or(check.interval));
            let (name, region, path) = (&check.name, check.region, &check.path);
            writeln!(
                f,
                "  check   {name}: {region} {path} every {every} × {}",
                check.threshold
            )?;
        }
        for accelerator in &self.scenario.accelerators {
            writeln!(f, "  static  {}", describe_accelerator(accelerator, lab))?;
        }
        for record in &self.scenario.records {
            writeln!(f, "  record  {}", describe_record(record, &self.scenario))?;
        }
        self.write_run(f)
    }
}

impl Plan {
    fn write_run(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measure = &self.scenario.measure;
        writeln!(
            f,
            "\nLoad ({} requests in {}):",
            self.requests,
            show_span(measure.length)
        )?;
        for load in &self.scenario.loads {
            let Load {
                name,
                place,
                client,
                rate,
                target,
                ..
            } = load;
            let (kind, work) = (client.kind, describe_work(&load.work));
            writeln!(
                f,
                "  {name}: {rate}/s from {place} to {target}, {work}; {kind}"
            )?;
        }
        writeln!(f, "\nTimeline:")?;
        for moment in &self.timeline {
            let what = match moment.deed {
                Deed::Step(index) => {
                    let steps = &self.scenario.steps;
                    steps[index].act.describe(steps)
                }
                Deed::Scan => Act::Scan.describe(&[]),
                Deed::End => "end of the load; heal what is still broken".to_owned(),
            };
            writeln!(f, "  {:>8}  {what}", show_span(moment.at))?;
        }
        writeln!(f, "\nExpected:")?;
        for expectation in &self.scenario.expectations {
            writeln!(f, "  {}", expectation.text)?;
        }
        Ok(())
    }
}

/// What a load's requests do, for people.
pub(crate) fn describe_work(work: &Work) -> String {
    match work {
        Work::PlaceOrders => "places orders".to_owned(),
        Work::ReadOrders => "reads orders".to_owned(),
        Work::UpdateAndRead { orders } => format!("updates and reads {orders} shared orders"),
        Work::InsertRows => "inserts rows".to_owned(),
        Work::Get { path } => format!("gets {path}"),
    }
}

fn describe_accelerator(accelerator: &Accelerator, lab: &Lab) -> String {
    let Accelerator { name, groups, .. } = accelerator;
    let groups = groups.iter().map(|group| match group.dial {
        100.0 => group.region.to_string(),
        dial => format!("{} at {dial} %", group.region),
    });
    let groups: Vec<String> = groups.collect();
    let every = show_span(lab.health_interval.unwrap_or(accelerator.interval));
    let threshold = accelerator.threshold;
    format!(
        "{name}: {}, checked every {every} × {threshold}",
        groups.join(", ")
    )
}

fn describe_record(record: &Record, scenario: &Scenario) -> String {
    let policy = match &record.policy {
        Policy::Simple => "simple".to_owned(),
        Policy::Primary => "primary".to_owned(),
        Policy::Secondary => "secondary".to_owned(),
        Policy::Latency(region) => format!("latency to {region}"),
        Policy::Geolocation(location) => format!("geolocation {location}"),
        Policy::Weighted(weight) => format!("weight {weight}"),
        Policy::Multivalue => "multivalue".to_owned(),
    };
    let answers = match &record.content {
        Content::Region { region, ttl } => format!("{region}, held for {ttl}s"),
        Content::Values { values, ttl } => format!("{}, held for {ttl}s", values.join(" ")),
        Content::Alias { target, .. } => format!("alias of {target}"),
        Content::Accelerator { accelerator, .. } => {
            let accelerators = &scenario.accelerators;
            let name = accelerators.get(*accelerator).map(|it| it.name.as_str());
            format!("alias of the accelerator {}", name.unwrap_or_default())
        }
    };
    let check = record
        .health_check
        .and_then(|index| scenario.health_checks.get(index));
    let check = check.map_or(String::new(), |check| format!(", check {}", check.name));
    format!("{} {} {policy}: {answers}{check}", record.name, record.kind)
}
