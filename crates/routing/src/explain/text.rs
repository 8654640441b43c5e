//! An explanation as lines for people.

use super::{Considered, Explanation, Step};

impl Explanation {
    /// The explanation, a line a step, indented under what it belongs to.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{} {}", self.name, self.kind), self.client_line()];
        match &self.zone {
            Some(zone) => lines.push(format!("zone {} ({})", zone.name, zone.id)),
            None => lines.push("no zone here has that name".to_owned()),
        }
        lines.extend(self.steps.iter().map(line));
        lines.push(self.rcode.to_owned());
        for record in &self.answer {
            let (ttl, kind) = (record.ttl, record.kind);
            lines.push(format!("  {} {ttl} {kind} {}", record.name, record.value));
        }
        lines
    }

    fn client_line(&self) -> String {
        let client = &self.client;
        let mut line = format!("client {}", client.address);
        if client.by_subnet {
            line.push_str(" (told by its resolver)");
        }
        match (client.found, client.anchor) {
            ("unknown", Some(anchor)) => {
                line.push_str(&format!(": place unknown, taken to be at {anchor}"));
            }
            ("unknown", None) => line.push_str(": place unknown"),
            (found, anchor) => {
                line.push_str(&format!(", by {found}:"));
                let anchor = anchor.map(|anchor| format!("at {anchor}"));
                let parts = [
                    anchor,
                    client.subdivision.clone(),
                    client.country.clone(),
                    client.continent.map(str::to_owned),
                ];
                for part in parts.into_iter().flatten() {
                    line.push(' ');
                    line.push_str(&part);
                }
            }
        }
        line
    }
}

fn line(step: &Step) -> String {
    match step {
        Step::Lookup { name, found } => match *found {
            "name" => format!("{name} exists"),
            "wildcard" => format!("{name} doesn't exist; a wildcard stands for it"),
            "delegation" => format!("{name} is delegated to other servers"),
            _ => format!("{name} doesn't exist"),
        },
        Step::Group { name, kind, policy } => format!("  {name} {kind}: {policy} routing"),
        Step::Considered(considered) => considered_line(considered),
        Step::LastResort => "    none is healthy: all count as healthy".to_owned(),
        Step::ZeroWeights => "    only record sets of weight 0 are healthy".to_owned(),
        Step::Chosen { identifier, alias } => {
            let mut line = "    chosen".to_owned();
            if let Some(identifier) = identifier {
                line.push_str(&format!(": {identifier}"));
            }
            if let Some(alias) = alias {
                line.push_str(&format!(", an alias of {alias}"));
            }
            line
        }
        Step::NoMatch => "    no record set is for the client's place".to_owned(),
        Step::DeadEnd => "    the alias leads nowhere".to_owned(),
    }
}

fn considered_line(considered: &Considered) -> String {
    let mut line = "    ".to_owned();
    let identifier = considered.identifier.as_deref().unwrap_or("the record set");
    line.push_str(identifier);
    if let Some(by) = &considered.by {
        line.push_str(&format!(" ({by}"));
        if let Some(round_trip) = considered.round_trip_ms {
            line.push_str(&format!(", {round_trip} ms"));
        }
        line.push(')');
    }
    line.push_str(if considered.healthy {
        ": healthy"
    } else {
        ": unhealthy"
    });
    if let Some((check, healthy)) = &considered.check {
        let healthy = if *healthy { "healthy" } else { "unhealthy" };
        line.push_str(&format!(", health check {check} is {healthy}"));
    }
    match (&considered.alias, considered.evaluates_target) {
        (Some(alias), true) => line.push_str(&format!(", as its target {alias} is looked at")),
        (Some(_), false) => line.push_str(", its target isn't looked at"),
        _ => {}
    }
    line
}
