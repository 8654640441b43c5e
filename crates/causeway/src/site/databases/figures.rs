//! What is told of databases: rows for `causeway databases`, alarms for a status, and figures as
//! Prometheus reads them.

use std::collections::BTreeSet;
use std::fmt::Write;

use databases::catalogue;
use databases::model::Instance;
use runtime::postgres::{Lsn, Observation};
use serde_json::{Value, json};
use types::{Environment, Span};

use super::DatabasesSite;
use super::servers::{Look, State};

/// A look older than this says nothing of how the server is now.
const STALE: Span = Span::seconds(2);

/// A replica that is later than this is told of by an alarm.
const LATE_MILLISECONDS: u64 = 30_000;

/// Alarms that a status repeats, at most.
const MAX_ALARMS: usize = 20;

impl DatabasesSite {
    /// Every instance of the Region, with how its server is.
    pub(in crate::site) fn rows(&self) -> Vec<Value> {
        let view = self.around.region.regional_view();
        let mut rows = Vec::new();
        catalogue::visit_instances(&*view, &mut |_, instance| {
            rows.push(match instance {
                Ok(instance) => self.row(&instance),
                Err(cause) => json!({
                    "region": self.around.region.name(),
                    "status": "unreadable",
                    "trouble": cause.to_string(),
                }),
            });
        });
        rows
    }

    fn row(&self, instance: &Instance) -> Value {
        let around = &self.around;
        let view = around.region.regional_view();
        let snapshots = catalogue::snapshots(&*view).unwrap_or_default();
        let mut snapshots = snapshots.iter().map(|(_, snapshot)| snapshot);
        let seen = around.servers.find(&instance.resource_id);
        let state = seen.as_ref().map(|seen| seen.state());
        let standing = state.as_ref().map(|state| &state.standing);
        let status = databases::status(instance, standing, &mut snapshots);
        let mut row = json!({
            "region": around.region.name(),
            "account": instance.arn.account.to_string(),
            "instance": instance.arn.identifier,
            "arn": instance.arn.to_string(),
            "resource_id": instance.resource_id,
            "status": status.name(),
            "version": instance.engine_version,
            "zone": instance.zone,
            "endpoint": format!("{}:{}", instance.address, instance.port),
            "source": instance.source.as_ref().map(|source| source.arn.to_string()),
            "cluster": instance.headship.as_ref().map(|it| it.cluster_arn.to_string()),
            "replicas": arns_of_replicas(instance),
            "failure": instance.failure,
        });
        self.add_global(instance, &mut row);
        if let Some(state) = state {
            self.add_state(instance, &state, &mut row);
        }
        row
    }

    /// What the council's configuration says of a cluster's head.
    fn add_global(&self, instance: &Instance, row: &mut Value) {
        let Some(headship) = &instance.headship else {
            return;
        };
        let view = self.around.region.global_view();
        let found = catalogue::global_of(&*view, &headship.cluster_arn, &headship.cluster);
        let Ok(Some((_, global))) = found else { return };
        row["global_cluster"] = json!(global.identifier);
        row["epoch"] = json!(global.epoch);
        row["is_writer"] = json!(global.writer.as_ref() == Some(&headship.cluster_arn));
        let moving = global.moving.as_ref();
        row["moving"] = json!(moving.map(|moving| json!({
            "from": moving.from.to_string(),
            "to": moving.to.to_string(),
            "phase": moving.phase,
        })));
    }

    /// What old writers alone held, as far as it is kept in this Region.
    pub(in crate::site) fn lost(&self) -> Vec<Value> {
        self.around.tails.rows()
    }

    fn add_state(&self, instance: &Instance, state: &State, row: &mut Value) {
        row["connections"] = json!(state.connections);
        let doing = state
            .standing
            .doing
            .map(|kind| format!("{kind:?}").to_lowercase());
        row["doing"] = json!(doing);
        row["trouble"] = json!(state.trouble.clone().or_else(|| instance.failure.clone()));
        row["duty"] = json!(state.plan.duty);
        row["next"] = json!(state.plan.next);
        let is_follower = state.plan.follows.is_some() || instance.source.is_some();
        if let Some(follows) = &state.plan.follows {
            row["source"] = json!(follows);
        }
        let Some(look) = &state.look else {
            if is_follower {
                row["replication"] = json!("stopped");
            }
            return;
        };
        let said = &look.observation;
        row["role"] = json!(role(said));
        row["timeline"] = json!(said.timeline);
        row["written"] = json!(said.written.to_string());
        if is_follower {
            let now = self.around.environment.now();
            let is_fresh = now.monotonic - look.at < STALE;
            let is_lost = state.standing.source_gone;
            row["replication"] = json!(match (is_lost, is_fresh && said.receiving) {
                (true, _) => "source gone",
                (false, true) => "streaming",
                (false, false) => "broken",
            });
            row["received"] = json!(said.written.to_string());
            row["replayed"] = json!(said.replayed.map(|lsn| lsn.to_string()));
            let behind = said
                .replayed
                .map(|Lsn(lsn)| said.written.0.saturating_sub(lsn));
            row["bytes_to_replay"] = json!(behind);
            row["lag_milliseconds"] = json!(self.lag(look));
        }
        if let Some(lost) = said.slots.iter().find(|slot| slot.lost) {
            let trouble = format!("WAL that a replica needs is gone (slot {})", lost.name);
            row["trouble"] = json!(trouble);
        }
    }

    /// How old the newest heartbeat is that was replayed, in milliseconds. It is of the source's
    /// wall clock.
    fn lag(&self, look: &Look) -> Option<u64> {
        let now = self.around.environment.now();
        let heartbeat = look.observation.heartbeat?;
        // A server that says nothing has replayed nothing since.
        let until = match now.monotonic - look.at < STALE {
            true => look.wall,
            false => now.wall,
        };
        Some(until.0.saturating_sub(heartbeat.0))
    }

    /// What somebody should look at.
    pub(in crate::site) fn alarms(&self) -> Vec<String> {
        let rows = self.rows();
        let alarms = rows.iter().filter_map(|row| {
            let name = row["instance"].as_str().unwrap_or("?");
            if let Some(trouble) = row["trouble"].as_str() {
                return Some(format!("database {name}: {trouble}"));
            }
            let lag = row["lag_milliseconds"].as_u64()?;
            let is_late = lag > LATE_MILLISECONDS;
            is_late.then(|| format!("database {name}: the replica is {} s behind", lag / 1000))
        });
        alarms.take(MAX_ALARMS).collect()
    }

    /// Figures of the Region's databases.
    pub(in crate::site) fn metrics(&self) -> String {
        let rows = self.rows();
        let mut text = String::new();
        for (name, kind, help, field) in FAMILIES {
            if rows.iter().all(|row| row[field].is_null()) {
                continue;
            }
            let head = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            head.expect("a text takes all");
            for row in rows.iter().filter(|row| !row[field].is_null()) {
                let value = match &row[field] {
                    Value::String(status) => u64::from(status == "available"),
                    value => value.as_u64().unwrap_or(0),
                };
                let word = |field: &str| row[field].as_str().unwrap_or("").to_owned();
                let line = writeln!(
                    text,
                    "{name}{{region=\"{}\",account=\"{}\",instance=\"{}\"}} {value}",
                    word("region"),
                    word("account"),
                    word("instance"),
                );
                line.expect("a text takes all");
            }
        }
        text
    }
}

fn role(said: &Observation) -> &'static str {
    match said.role {
        runtime::postgres::Role::Primary => "primary",
        runtime::postgres::Role::Standby => "standby",
    }
}

/// A family of figures: its name, its kind, what it is, and the field of a row.
type Family = (&'static str, &'static str, &'static str, &'static str);

/// What is told of each instance.
const FAMILIES: [Family; 4] = [
    (
        "causeway_database_available",
        "gauge",
        "Is the database instance available?",
        "status",
    ),
    (
        "causeway_database_connections",
        "gauge",
        "Sessions through a database's endpoint.",
        "connections",
    ),
    (
        "causeway_database_replica_lag_milliseconds",
        "gauge",
        "Age of the newest heartbeat of its source that a replica has replayed.",
        "lag_milliseconds",
    ),
    (
        "causeway_database_replica_bytes_to_replay",
        "gauge",
        "Bytes of WAL that a replica has and hasn't replayed yet.",
        "bytes_to_replay",
    ),
];

/// The ARNs of an instance's replicas, in order.
fn arns_of_replicas(instance: &Instance) -> BTreeSet<String> {
    let replicas = instance.replicas.values();
    replicas.map(|replica| replica.arn.to_string()).collect()
}
