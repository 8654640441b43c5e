//! What a cluster's servers show by SQL, as Aurora's functions do (`aurora_global_db_status()` and
//! the like). The writer's Region measures how far the others are and hands that on by the
//! writer's own log, so whoever is read shows it as of what has arrived there, with its time. Each
//! server's Region writes the file that its functions read. Nothing is asked of another Region.

use std::collections::BTreeSet;

use databases::model::{GlobalCluster, Head, Headship, Instance};
use databases::plan::{Duty, Wanted};
use databases::{catalogue, global_db_rpo, slot};
use runtime::postgres::{Observation, Role, Server};
use serde_json::{Value, json};
use types::{Monotonic, Region, Span, Timestamp};

use super::followers::Measured;
use super::keeper::Keeper;
use super::servers::{Look, Seen};

/// Between two times that a file is written, at least: what is shown is about as old.
const PAUSE: Span = Span::milliseconds(900);

/// How long a server may take to say what was handed on, or to hand it on.
const WAIT: std::time::Duration = std::time::Duration::from_secs(2);

/// What Aurora has for the session of a writer.
const WRITER_SESSION: &str = "MASTER_SESSION_ID";

/// The most that is taken of what a writer hands on, in bytes: ten secondaries need 10 KiB.
const LONGEST: usize = 64 * 1024;

/// What a server was told to show last.
#[derive(Default)]
pub(super) struct Told {
    at: Option<Monotonic>,
    facts: String,
}

/// What a writer knows of the whole global cluster.
type World = (Value, Value);

impl Keeper {
    /// Has followers watched as the instance's duty is, and the server's functions show what is
    /// known now.
    pub(super) async fn tell(&mut self, wanted: &Wanted) {
        let headship = wanted.instance.headship.as_ref();
        let global = headship.and_then(|headship| self.global(headship));
        // What is wanted may be of an older row than this.
        let is_its = |row: &&GlobalCluster| {
            let own = headship.map(|headship| &headship.cluster_arn);
            matches!(wanted.duty, Duty::Lead { .. }) && row.writer.as_ref() == own
        };
        let led = global.as_ref().filter(is_its);
        self.watch(wanted, led);
        let Some(headship) = headship else { return };
        let now = self.now().monotonic;
        let Some(server) = self.running.as_ref().map(|it| it.server.clone()) else {
            self.told = Told::default();
            return;
        };
        if self.told.at.is_some_and(|at| now - at < PAUSE) {
            return;
        }
        self.told.at = Some(now);
        let look = look_of(&self.seen);
        let is_standby = look
            .as_ref()
            .is_some_and(|it| it.observation.role == Role::Standby);
        let (clusters, instances) = match led {
            Some(global) => {
                let written = look.map(|look| look.observation.written.0);
                let measured = self.seen.followers.measured().unwrap_or_default();
                let world = world(global, written, &measured);
                if !slots_of(global).is_empty() {
                    hand_on(&server, &world).await;
                }
                world
            }
            None if is_standby && global.is_some() => handed_on(&server).await,
            None => nothing(),
        };
        let facts = json!({
            "instance": wanted.instance.arn.identifier,
            "clusters": clusters,
            "instances": instances,
            "replicas": self.replicas(&wanted.instance, headship),
        });
        let facts = facts.to_string();
        if facts == self.told.facts {
            return;
        }
        match server.show(&facts).await {
            Ok(()) => self.told.facts = facts,
            Err(cause) => {
                tracing::warn!(instance = %self.id, %cause, "what its functions show is old");
            }
        }
    }

    /// Has those who follow it watched, if it is to write for them.
    fn watch(&self, wanted: &Wanted, led: Option<&GlobalCluster>) {
        let followers = &self.seen.followers;
        match (&wanted.duty, led) {
            // Its heart beats on when it is back: nobody is less late for that.
            _ if self.running.is_none() => followers.rest(),
            (_, Some(global)) => {
                let view = self.around.region.regional_view();
                let rpo = global_db_rpo(&*view, &wanted.instance);
                let rpo = rpo.unwrap_or_else(|cause| {
                    tracing::error!(%cause, "nobody can tell whether commits are to wait");
                    followers.measured().and_then(|measured| measured.rpo)
                });
                followers.watch(&slots_of(global), rpo);
            }
            (Duty::Alone | Duty::Left | Duty::Forced(_), _) => followers.let_go(),
            // It may go on as the writer.
            (Duty::Drain(_), _) => {}
            _ => followers.forget(),
        }
    }

    /// The global cluster that its cluster is a member of, if that can be read.
    fn global(&self, headship: &Headship) -> Option<GlobalCluster> {
        let view = self.around.region.global_view();
        let found = catalogue::global_of(&*view, &headship.cluster_arn, &headship.cluster);
        found.ok().flatten().map(|(_, global)| global)
    }

    /// The instances of its cluster.
    fn replicas(&self, own: &Instance, headship: &Headship) -> Value {
        let view = self.around.region.regional_view();
        let mut rows = Vec::new();
        catalogue::visit_instances(&*view, &mut |_, instance| {
            let Ok(instance) = instance else { return };
            let is_its = |other: &Headship| other.cluster == headship.cluster;
            if !instance.headship.as_ref().is_some_and(is_its) {
                return;
            }
            let seen = self.around.servers.find(&instance.resource_id);
            let look = seen.as_ref().and_then(|seen| look_of(seen));
            let is_own = instance.resource_id == own.resource_id;
            rows.push(replica(&instance, look.as_ref(), is_own));
        });
        Value::Array(rows)
    }
}

fn look_of(seen: &Seen) -> Option<Look> {
    seen.state().look.clone()
}

fn nothing() -> World {
    (json!([]), json!([]))
}

async fn hand_on(server: &Server, (clusters, instances): &World) {
    let facts = json!({ "clusters": clusters, "instances": instances }).to_string();
    match runtime::within(WAIT, server.hand_on(&facts)).await {
        Some(Ok(())) => {}
        Some(Err(cause)) => tracing::debug!(%cause, "what a writer knows isn't handed on"),
        None => tracing::debug!("a writer takes too long to hand on what it knows"),
    }
}

async fn handed_on(server: &Server) -> World {
    let asked = runtime::within(WAIT, server.handed_on()).await;
    let found = asked.and_then(|answer| answer.ok().flatten());
    found.and_then(|facts| read(&facts)).unwrap_or_else(nothing)
}

/// What a writer handed on, if that is what it is.
fn read(facts: &str) -> Option<World> {
    if facts.len() > LONGEST {
        return None;
    }
    let facts: Value = serde_json::from_str(facts).ok()?;
    let list = |name: &str| facts[name].is_array().then(|| facts[name].clone());
    Some((list("clusters")?, list("instances")?))
}

/// The slots that the writer keeps for the secondaries' heads. One that is being copied is none
/// yet, wherever its slot stands.
fn slots_of(global: &GlobalCluster) -> BTreeSet<String> {
    let others = global.members.values();
    let others = others.filter(|member| global.writer.as_ref() != Some(&member.arn));
    let heads = others.filter_map(|member| member.head.as_ref());
    let copied = heads.filter(|head| head.epoch > 0);
    copied.map(|head| slot(&head.resource_id)).collect()
}

/// The rows of the clusters and of the instances of a global cluster, the writer's first.
fn world(global: &GlobalCluster, written: Option<u64>, measured: &Measured) -> World {
    let (mut clusters, mut instances) = (Vec::new(), Vec::new());
    for member in global.members.values() {
        let Some(head) = &member.head else { continue };
        if global.writer.as_ref() == Some(&member.arn) {
            clusters.insert(0, writing_cluster(member.arn.region, written));
            instances.insert(0, writing_instance(head, written));
            continue;
        }
        let lag = measured.lags.get(&slot(&head.resource_id));
        let place = lag.and_then(|lag| lag.place);
        let flushed = place.map(|place| place.flushed.0);
        let late = lag.map(|lag| lag.rpo.0 / 1000);
        let (epoch, xmin) = place.and_then(|it| it.feedback).unwrap_or_default();
        clusters.push(json!({
            "aws_region": member.arn.region,
            "highest_lsn_written": flushed,
            // A heartbeat is both the last commit and the last that was written.
            "durability_lag_in_msec": late,
            "rpo_lag_in_msec": late,
            "last_lag_calculation_time": measured.at.map(instant),
            "feedback_epoch": epoch,
            "feedback_xmin": xmin,
        }));
        instances.push(json!({
            "server_id": head.arn.identifier,
            "session_id": head.resource_id,
            "aws_region": member.arn.region,
            "durable_lsn": flushed,
            "highest_lsn_rcvd": flushed,
            "feedback_epoch": epoch,
            "feedback_xmin": xmin,
            "visibility_lag_in_msec": late,
        }));
    }
    (Value::Array(clusters), Value::Array(instances))
}

fn writing_cluster(region: Region, written: Option<u64>) -> Value {
    json!({
        "aws_region": region,
        "highest_lsn_written": written,
        "durability_lag_in_msec": -1,
        "rpo_lag_in_msec": -1,
        "last_lag_calculation_time": instant(Timestamp(0)),
        "feedback_epoch": 0,
        "feedback_xmin": 0,
    })
}

fn writing_instance(head: &Head, written: Option<u64>) -> Value {
    json!({
        "server_id": head.arn.identifier,
        "session_id": WRITER_SESSION,
        "aws_region": head.arn.region,
        "durable_lsn": written,
    })
}

/// The row of an instance in its cluster, by what was seen of it last.
fn replica(instance: &Instance, look: Option<&Look>, is_own: bool) -> Value {
    let said = look.map(|look| &look.observation);
    let is_writer = said.is_some_and(|said| said.role == Role::Primary);
    let reader = said.filter(|_| !is_writer);
    let replayed = |said: &Observation| said.replayed.map_or(said.written.0, |lsn| lsn.0);
    let late = look.filter(|_| !is_writer).and_then(|look| {
        let heartbeat = look.observation.heartbeat?;
        Some(look.wall.0.saturating_sub(heartbeat.0))
    });
    json!({
        "server_id": instance.arn.identifier,
        "session_id": match is_writer {
            true => WRITER_SESSION,
            false => &instance.resource_id.0,
        },
        "durable_lsn": said.map(replayed),
        "highest_lsn_rcvd": reader.map(|said| said.written.0),
        "current_read_lsn": said.map(replayed),
        // Since Aurora PostgreSQL 13.9 none is told of the instance that is asked.
        "last_update_timestamp": look.filter(|_| !is_own).map(|look| instant(look.wall)),
        "replica_lag_in_msec": late,
    })
}

/// A time of the wall clock, with its milliseconds.
fn instant(time: Timestamp) -> String {
    let text = time.to_string();
    format!("{}.{:03}Z", text.trim_end_matches('Z'), time.0 % 1000)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use databases::lag::{Lag, Place};
    use databases::model::{ClusterId, GlobalClusterId, Lsn, Member, ResourceId};
    use types::AccountId;

    use super::*;

    const ACCOUNT: &str = "111122223333";

    fn member(region: &str, id: &str) -> (String, Member) {
        let arn = format!("arn:aws:rds:{region}:{ACCOUNT}:cluster:orders");
        let head = Head {
            arn: format!("arn:aws:rds:{region}:{ACCOUNT}:db:orders-{id}")
                .parse()
                .unwrap(),
            resource_id: ResourceId(format!("db-{id}")),
            class: "db.r6g.large".to_owned(),
            floors: BTreeMap::new(),
            epoch: 1,
            writer_address: None,
        };
        let member = Member {
            arn: arn.parse().unwrap(),
            resource_id: ClusterId(format!("cluster-{id}")),
            head: Some(head),
            write_forwarding: false,
        };
        (arn, member)
    }

    /// Virginia writes, Ireland and Sydney follow.
    fn global() -> GlobalCluster {
        let writer = member("us-east-1", "A");
        let account: AccountId = ACCOUNT.parse().unwrap();
        GlobalCluster {
            resource_id: GlobalClusterId("cluster-1".to_owned()),
            account,
            identifier: "world".to_owned(),
            engine_version: "15.14".to_owned(),
            database: None,
            deletion_protection: false,
            tags: BTreeMap::new(),
            created: Timestamp(0),
            master_username: None,
            writer: Some(writer.1.arn.clone()),
            members: BTreeMap::from([
                writer,
                member("eu-west-1", "B"),
                member("ap-southeast-2", "C"),
            ]),
            epoch: 1,
            moves: 0,
            moving: None,
            forks: Vec::new(),
        }
    }

    #[test]
    fn the_writer_is_first_and_each_secondary_as_late_as_it_was_measured() {
        let slots = ["causeway_db_b", "causeway_db_c"].map(str::to_owned);
        assert_eq!(slots_of(&global()), slots.into());
        let near = Lag {
            place: Some(Place {
                flushed: Lsn(90),
                feedback: Some((2, 700)),
            }),
            rpo: Span::milliseconds(100),
        };
        let measured = Measured {
            lags: BTreeMap::from([("causeway_db_b".to_owned(), near)]),
            at: Some(Timestamp(1_764_417_600_042)),
            rpo: None,
        };
        let (clusters, instances) = world(&global(), Some(100), &measured);
        let regions = ["us-east-1", "ap-southeast-2", "eu-west-1"];
        let told = |of: &Value| {
            let rows = of.as_array().unwrap().iter();
            rows.map(|row| row["aws_region"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(told(&clusters), regions);
        assert_eq!(told(&instances), regions);
        let [writer, unknown, near] = [&clusters[0], &clusters[1], &clusters[2]];
        assert_eq!(writer["rpo_lag_in_msec"], -1);
        assert_eq!(writer["highest_lsn_written"], 100);
        assert_eq!(
            writer["last_lag_calculation_time"],
            "1970-01-01T00:00:00.000Z"
        );
        assert_eq!(near["rpo_lag_in_msec"], 100);
        assert_eq!(near["highest_lsn_written"], 90);
        assert_eq!(near["feedback_epoch"], 2);
        assert_eq!(near["feedback_xmin"], 700);
        assert_eq!(
            near["last_lag_calculation_time"],
            "2025-11-29T12:00:00.042Z"
        );
        assert!(unknown["rpo_lag_in_msec"].is_null());
        assert_eq!(instances[0]["session_id"], WRITER_SESSION);
        assert_eq!(instances[2]["server_id"], "orders-b");
    }

    #[test]
    fn what_was_handed_on_is_read_back_and_nothing_else_is() {
        let told = world(&global(), None, &Measured::default());
        let facts = json!({ "clusters": told.0, "instances": told.1 }).to_string();
        assert!(facts.is_ascii() && facts.len() < LONGEST);
        assert_eq!(read(&facts), Some(told));
        let long = format!(
            "{{\"clusters\":[],\"instances\":[]}}{}",
            " ".repeat(LONGEST)
        );
        for odd in [
            "",
            "[]",
            "{\"clusters\":[]}",
            "{\"clusters\":1,\"instances\":[]}",
            &long,
        ] {
            assert_eq!(read(odd), None);
        }
    }
}
