//! Every state that an instance and its machine can be seen in, as far as a plan tells them apart.

use std::collections::BTreeMap;

use databases::model::{
    Cause, Deletion, Instance, Master, Origin, Pending, PointInTime, Power, Promotion, ResourceId,
    Snapshot, SnapshotId, SnapshotState, Source, StorageType, Tags, Verifier,
};
use databases::plan::{Home, Role};
use types::Timestamp;

/// The server of a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Server {
    None,
    /// Of an earlier generation than the one that is wanted.
    Old,
    /// Of the generation that is wanted, not answering yet.
    Starting,
    /// Of the generation that is wanted.
    Current,
}

/// A snapshot that is wanted in a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    None,
    /// With nothing of it on disk yet.
    Absent,
    Unfinished,
    Whole,
}

/// What is wrong with a server of a state that runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    None,
    /// Its source has no more of the log that it needs.
    Behind,
    /// It replays nothing until it is started anew.
    Paused,
    /// It has other settings than it is to have, which it can be told.
    Stale,
    /// It has a slot too many.
    Slot,
}

/// A state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// 0: new, 1: from a snapshot, 2: a replica.
    pub origin: u8,
    pub was_available: bool,
    pub power: Power,
    pub has_settled: bool,
    pub is_promoted: bool,
    /// 0: not, 1: it is, 2: with a last snapshot.
    pub deletion: u8,
    pub has_password: bool,
    pub home: Home,
    /// What a server on the home says it is.
    pub role: Role,
    pub server: Server,
    pub wish: Wish,
    pub trouble: Trouble,
}

/// The instance of every state.
pub const ID: &str = "db-STATE";

/// The snapshot of those that have one.
pub const SNAPSHOT: &str = "snapshot-state";

/// All of them; those that can't be are left out.
pub fn every_state() -> impl Iterator<Item = State> {
    let flags = 0..(1u32 << 5);
    flags
        .flat_map(|bits| {
            let bit = move |number: u32| bits >> number & 1 == 1;
            let homes = [
                Home::Absent,
                Home::Unfinished,
                Home::Unreadable,
                Home::Whole,
            ];
            let servers = [Server::None, Server::Old, Server::Starting, Server::Current];
            let wishes = [Wish::None, Wish::Absent, Wish::Unfinished, Wish::Whole];
            let troubles = [
                Trouble::None,
                Trouble::Behind,
                Trouble::Paused,
                Trouble::Stale,
                Trouble::Slot,
            ];
            let origins = 0..3u8;
            let origins = origins.flat_map(move |it| troubles.map(move |trouble| (it, trouble)));
            origins.flat_map(move |(origin, trouble)| {
                (0..3u8).flat_map(move |deletion| {
                    homes.into_iter().flat_map(move |home| {
                        servers.into_iter().flat_map(move |server| {
                            wishes.into_iter().map(move |wish| State {
                                origin,
                                was_available: bit(0),
                                power: if bit(1) {
                                    Power::Running
                                } else {
                                    Power::Stopped
                                },
                                has_settled: bit(2),
                                is_promoted: bit(3),
                                deletion,
                                has_password: bit(0) && bit(2) && wish == Wish::None && origin == 0,
                                home,
                                role: if bit(4) { Role::Primary } else { Role::Standby },
                                server,
                                wish,
                                trouble,
                            })
                        })
                    })
                })
            })
        })
        .filter(State::can_be)
}

impl State {
    fn can_be(&self) -> bool {
        // What was never available has never settled, wasn't stopped, promoted or snapshotted.
        let is_new = !self.was_available;
        let never = self.has_settled
            || self.power == Power::Stopped
            || self.is_promoted
            || self.wish != Wish::None
            || self.deletion == 2;
        // Only replicas are promoted, and nobody takes their snapshots.
        let is_replica = self.origin == 2;
        let odd = self.is_promoted && !is_replica || is_replica && self.wish != Wish::None;
        // A last snapshot is one that is wanted.
        let last = self.deletion == 2 && self.wish == Wish::None;
        // What is behind or paused followed, and what can be told anything runs.
        let is_standby = is_replica && self.role == Role::Standby && self.home == Home::Whole;
        let is_told = self.server == Server::Current && self.home == Home::Whole;
        let odd = odd
            || match self.trouble {
                Trouble::None => false,
                Trouble::Behind => !is_standby,
                Trouble::Paused => !is_standby || self.server != Server::Current,
                Trouble::Stale => !is_told,
                Trouble::Slot => !is_told || self.role != Role::Primary,
            };
        // A server that is current has answered what it was asked for.
        !(is_new && never || odd || last || is_replica && self.power == Power::Stopped)
    }

    /// Is the home of a kind that its row can't have?
    pub fn is_contradictory(&self) -> bool {
        let is_replica = self.origin == 2;
        let is_replaceable = !self.was_available || is_replica && !self.is_promoted;
        // What can't be read is whole, and can be read after a while.
        let is_there = matches!(self.home, Home::Whole | Home::Unreadable);
        let is_lost = !is_there && !is_replaceable;
        let is_odd = is_there
            && match (is_replica, self.role) {
                (true, Role::Primary) => !self.is_promoted,
                (false, Role::Standby) => true,
                _ => false,
            };
        is_lost || is_odd
    }

    /// The row of the instance.
    pub fn instance(&self) -> Instance {
        let generation = 5;
        let settled = match (self.was_available, self.has_settled) {
            (false, _) => 0,
            (true, true) => generation,
            (true, false) => generation - 1,
        };
        let snapshot = || SnapshotId(SNAPSHOT.to_owned());
        Instance {
            resource_id: ResourceId(ID.to_owned()),
            arn: crate::support::arn("shop").parse().unwrap(),
            engine_version: "15.14".to_owned(),
            class: "db.t3.micro".to_owned(),
            allocated_storage: 20,
            storage_type: StorageType::Gp2,
            created: Timestamp(0),
            zone: "us-east-1a".parse().unwrap(),
            address: [127, 48, 1, 7].into(),
            port: 5432,
            master: Master {
                username: "root".to_owned(),
                verifier: (self.has_password || !self.was_available)
                    .then(|| Verifier("V".to_owned())),
                asked: u64::from(self.has_password),
                applied: 0,
            },
            database: None,
            subnet_group: "default".to_owned(),
            security_groups: Vec::new(),
            parameter_group: "default.postgres15".to_owned(),
            parameter_group_since: 0,
            option_group: "default:postgres-15".to_owned(),
            backup_retention: 1,
            backup_window: "05:00-05:30".to_owned(),
            maintenance_window: "mon:06:00-mon:06:30".to_owned(),
            auto_minor_version_upgrade: true,
            publicly_accessible: true,
            copy_tags_to_snapshot: false,
            deletion_protection: false,
            tags: Tags::new(),
            origin: match self.origin {
                0 => Origin::New,
                1 if self.wish == Wish::None => Origin::PointInTime(PointInTime {
                    source: ResourceId("db-B".to_owned()),
                    snapshot: SnapshotId("snapshot-first".to_owned()),
                    moment: Timestamp(7),
                }),
                1 => Origin::Snapshot(SnapshotId("snapshot-first".to_owned())),
                _ => Origin::Replica,
            },
            source: (self.origin == 2).then(|| Source {
                arn: crate::support::arn_in("eu-west-1", "old").parse().unwrap(),
                resource_id: ResourceId("db-OLD".to_owned()),
                slot: "causeway_db_state".to_owned(),
                floors: BTreeMap::new(),
            }),
            promotion: self.is_promoted.then_some(Promotion {
                asked: Timestamp(0),
            }),
            replicas: BTreeMap::new(),
            power: self.power,
            generation,
            cause: Cause::Reboot,
            settled,
            pending: Pending::default(),
            deletion: (self.deletion > 0).then(|| Deletion {
                asked: Timestamp(0),
                final_snapshot: (self.deletion == 2).then(snapshot),
                keeps_backups: false,
            }),
            failure: None,
            headship: None,
            home: None,
            standby: None,
        }
    }

    /// The row of the snapshot that is wanted, if one is.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let instance = self.instance();
        (self.wish != Wish::None).then(|| Snapshot {
            id: SnapshotId(SNAPSHOT.to_owned()),
            arn: "arn:aws:rds:us-east-1:111122223333:snapshot:s"
                .parse()
                .unwrap(),
            resource_id: instance.resource_id,
            instance: instance.arn.identifier,
            instance_created: Timestamp(0),
            asked: Timestamp(0),
            taken: None,
            state: SnapshotState::Creating,
            failure: None,
            bytes: 0,
            engine_version: instance.engine_version,
            class: instance.class,
            allocated_storage: 20,
            storage_type: StorageType::Gp2,
            zone: instance.zone,
            port: 5432,
            master_username: "root".to_owned(),
            database: None,
            option_group: instance.option_group,
            parameter_group: instance.parameter_group,
            tags: Tags::new(),
            copy_of: None,
            automated: false,
        })
    }
}
