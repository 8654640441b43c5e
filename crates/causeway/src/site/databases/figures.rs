//! What is told of databases: rows for `causeway databases`, alarms for a status, and figures as
//! Prometheus reads them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use databases::catalogue;
use databases::model::{Cluster, Decision, Instance};
use runtime::postgres::{Lsn, Observation};
use serde_json::{Value, json};
use types::{Environment, Span};

use super::DatabasesSite;
use super::secondaries;
use super::servers::{Look, Seen, State};

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
        // Before the other home's state is held: amid a takeover another row has them the other
        // way round, and would wait for this one.
        let standby = instance.standby.as_ref();
        let standby = standby.and_then(|standby| around.servers.find(&standby.home));
        let standby = standby.map(|standby| {
            let state = standby.state();
            (state.trouble.clone(), state.plan.next.clone())
        });
        let seen = around.servers.find(instance.home());
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
            "standby_zone": instance.standby.as_ref().map(|standby| standby.zone),
            "standby_in_step": instance.standby.as_ref().map(|standby| standby.is_in_step),
            "endpoint": format!("{}:{}", instance.address, instance.port),
            "source": instance.source.as_ref().map(|source| source.arn.to_string()),
            "cluster": instance.headship.as_ref().map(|it| it.cluster_arn.to_string()),
            "replicas": arns_of_replicas(instance),
            "failure": instance.failure,
        });
        if let Some((trouble, next)) = standby {
            row["standby_trouble"] = json!(trouble);
            row["standby_next"] = json!(next);
        }
        self.add_global(instance, seen.as_deref(), &mut row);
        if let Some(state) = state {
            self.add_state(instance, &state, &mut row);
        }
        self.add_backups(instance, &mut row);
        row["aside"] = json!(aside(&around.tails.aside(&instance.resource_id)));
        row
    }

    /// What can be restored of it.
    fn add_backups(&self, instance: &Instance, row: &mut Value) {
        let Some((archived, is_late)) = self.around.servers.archive(&instance.resource_id) else {
            return;
        };
        let window = archived.window();
        row["restorable_from"] = json!(window.map(|(earliest, _)| earliest.0));
        row["restorable_to"] = json!(window.map(|(_, latest)| latest.0));
        row["archive_bytes"] = json!(archived.bytes);
        if is_late && row["trouble"].is_null() {
            row["trouble"] = json!("the archive of its log can't be written");
        }
    }

    /// What the council's configuration says of a cluster's head.
    fn add_global(&self, instance: &Instance, seen: Option<&Seen>, row: &mut Value) {
        let Some(headship) = &instance.headship else {
            return;
        };
        let view = self.around.region.global_view();
        let found = catalogue::global_of(&*view, &headship.cluster_arn, &headship.cluster);
        let Ok(Some((_, global))) = found else { return };
        row["global_cluster"] = json!(global.identifier);
        row["epoch"] = json!(global.epoch);
        let regional = self.around.region.regional_view();
        let own = catalogue::cluster(&*regional, &headship.cluster);
        let own = own.ok().flatten().map(|(_, own)| own);
        let has_reader = |own: &Cluster| own.has_reader(&instance.resource_id);
        let is_reader = own.as_ref().is_some_and(has_reader);
        let forced = own.and_then(|own| own.forced).filter(|_| !is_reader);
        let is_writers = global.writer.as_ref() == Some(&headship.cluster_arn);
        row["is_writer"] = json!(is_writers && !is_reader);
        row["forced"] = json!(forced.map(|forced| forced.words(&headship.cluster_arn)));
        if let Some(seen) = seen {
            secondaries::add(&global, &headship.cluster_arn, seen, row);
        }
        let moving = global.moving.as_ref();
        let decision = catalogue::decision(&*view, &global.resource_id);
        let decision = decision.ok().flatten().map(|(_, decision)| decision);
        let is_own = |decision: &Decision| decision.to == headship.cluster_arn;
        row["decided"] = json!(decision.filter(is_own).map(|decision| decision.words()));
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
            let is_behind = state.standing.observed.behind.is_some();
            row["replication"] = json!(match (is_lost, is_fresh && said.receiving) {
                (true, _) => "source gone",
                _ if is_behind => "log gone",
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
            if row["standby_in_step"].as_bool() == Some(false) {
                let why = row["standby_trouble"].as_str();
                let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                return Some(format!("database {name}: its standby is out of step{why}"));
            }
            let lag = row["lag_milliseconds"].as_u64()?;
            let is_late = lag > LATE_MILLISECONDS;
            is_late.then(|| format!("database {name}: the replica is {} s behind", lag / 1000))
        });
        let secondaries = rows.iter().flat_map(secondaries::alarms);
        let forced = rows.iter().filter_map(|row| {
            let name = row["instance"].as_str().unwrap_or("?");
            Some(format!("database {name}: {}", row["forced"].as_str()?))
        });
        let aside = rows.iter().filter_map(|row| {
            let name = row["instance"].as_str().unwrap_or("?");
            Some(format!("database {name}: {}", row["aside"].as_str()?))
        });
        let alarms = forced.chain(aside).chain(alarms);
        alarms.chain(secondaries).take(MAX_ALARMS).collect()
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
        secondaries::metrics(&rows, &mut text);
        text
    }
}

/// What is said of data that were put aside, if there are any.
fn aside(places: &[PathBuf]) -> Option<String> {
    let quoted = |place: &PathBuf| crate::output::quoted(&place.to_string_lossy());
    let places: Vec<String> = places.iter().map(quoted).collect();
    let places = places.join(" ");
    (!places.is_empty()).then(|| {
        format!(
            "not all that it alone held could be listed (causeway databases lost), so its data \
             from then are kept aside; `rm -r {places}` lets go of them"
        )
    })
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
const FAMILIES: [Family; 5] = [
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
    (
        "causeway_database_archive_bytes",
        "gauge",
        "Bytes that the archive of a database's log takes on the disk.",
        "archive_bytes",
    ),
];

/// The ARNs of an instance's replicas, in order.
fn arns_of_replicas(instance: &Instance) -> BTreeSet<String> {
    let replicas = instance.replicas.values();
    replicas.map(|replica| replica.arn.to_string()).collect()
}
