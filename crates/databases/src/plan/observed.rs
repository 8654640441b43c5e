//! What whoever carries steps out has seen of an instance: its home, its server, its snapshots, and
//! the steps that failed last. Plain values; nothing here looks.

use std::collections::{BTreeMap, BTreeSet};

use types::{Monotonic, Timestamp};

use super::step::{Settings, Step, StepKind};
use super::succession::ChiefSeen;
use crate::lease::MoveSeen;
use crate::model::{ForkPoint, Lsn, SnapshotId};
use crate::silence::LeaseSeen;

/// A home on disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Home {
    /// There is none.
    Absent,
    /// One whose making, copying or restoring was cut off.
    Unfinished,
    /// One that was finished and that can't be read now: the disk or the process refuses, it is of
    /// a newer format, or it is damaged. It may hold the last copy of what it holds.
    Unreadable,
    /// One that a server can be started on.
    Whole,
}

/// What a running server is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It follows a primary.
    Standby,
}

/// A running server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerSeen {
    /// The generation of the instance that it was started for ([`Step::Start`]).
    pub generation: u64,
    /// What it says it is; `None`: it doesn't answer (yet).
    pub role: Option<Role>,
    /// The settings that it was started with or told to load last.
    pub settings: Settings,
    /// Settings that it was told and that wait for its next start.
    pub awaits_restart: BTreeSet<String>,
    /// The replication slots that it keeps.
    pub slots: BTreeSet<String>,
    /// Of a standby: does it receive?
    pub receives: bool,
    /// Of a standby: does it receive, and replay nothing? It has too little of what its source has
    /// more of since it was started.
    pub is_paused: bool,
    /// The latest password of the master user that was set on it ([`Step::SetMaster`]) since this
    /// process began.
    pub master_set: Option<u64>,
    /// How its write-ahead log stands; told of a cluster's head alone.
    pub log: LogSeen,
}

/// How a running server's write-ahead log stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogSeen {
    /// The timeline that it writes; of a standby, the one that it receives.
    pub timeline: Option<u32>,
    /// Of a primary: where it ends on its disk.
    pub written: Option<Lsn>,
    /// Of a standby: up to where it has received.
    pub received: Option<Lsn>,
    /// Of a standby: up to where it has replayed.
    pub replayed: Option<Lsn>,
    /// Of a standby: since when it has said, at every look, that it receives nothing and has
    /// replayed all that it has.
    pub starved_since: Option<Monotonic>,
    /// Of a primary that was promoted: where its timeline began.
    pub fork: Option<ForkPoint>,
    /// The timeline of its last completed checkpoint.
    pub checkpoint_timeline: Option<u32>,
}

/// A home on which no server runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stopped {
    /// Where its log ends: behind the last record, which is the checkpoint of its stop if it was
    /// stopped in order. Of one that wasn't it says nothing.
    pub end: Lsn,
    /// Was it a primary's, and stopped in order?
    pub is_clean: bool,
}

/// What is seen of a cluster's head beside what is seen of every instance.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HeadSeen {
    /// Its home, if it is whole and no server runs on it.
    pub stopped: Option<Stopped>,
    /// The tails that are kept, whole ([`Step::KeepTail`]): the epochs of whose history they are,
    /// and from where on.
    pub tails: BTreeMap<u64, Lsn>,
    /// Those of them that don't hold all that the home alone holds, which is still in its place: it
    /// is neither removed nor rewound, but put aside ([`Step::SetAside`]).
    pub short: BTreeSet<u64>,
    /// Of a member's reader: the tails that its head keeps, as [`tails`](Self::tails). What a
    /// reader holds its head held before, so whatever is in there isn't kept of the reader too.
    pub heads_tails: BTreeMap<u64, Lsn>,
    /// The revision of the council's configuration that decided something which this process asked
    /// for since it began; `None`: nothing yet. An older configuration may be an old one, by which
    /// nothing is promoted and nothing removed.
    pub confirmed: Option<u64>,
    /// The move that concerns it, and when this process first saw it.
    pub moving: Option<MoveSeen>,
    /// The lease of the Region that the move takes the role from, as this process saw it last.
    pub lease: Option<LeaseSeen>,
    /// Since when nothing was heard of the Region that the move gives the role to, while the
    /// council was ([`crate::automatic::Known::silent_since`]).
    pub silent_since: Option<Monotonic>,
    /// Of a reader of a cluster that is in no global cluster: its head.
    pub chief: Option<ChiefSeen>,
    /// Of one whose master user's password was set ([`ServerSeen::master_set`]): where its log
    /// stood when it was first looked at after that.
    pub master_at: Option<Lsn>,
    /// Up to where each of its cluster's readers that follow it has its log on disk, while such a
    /// password isn't written down as set; `None`: none follows it.
    pub readers_have: Option<Lsn>,
    /// Could one of its cluster's readers that lacks such a password take over unasked
    /// ([`Life::is_followed_by`](super::Life::is_followed_by))?
    pub readers_may_lack: bool,
    /// The handover within its cluster that it makes room for, and when this process first saw it.
    pub handover: Option<MoveSeen>,
}

/// The slot that a primary keeps for its standby.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MateSlot {
    /// There is none, or nothing is known of it.
    None,
    /// The log is kept from where the standby was last.
    Kept,
    /// What the standby needs is gone: it is copied anew.
    Lost,
}

/// An instance's other home, in another zone, as this process sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MateSeen {
    /// Is its zone up? If not, its server has ended, and none is started.
    pub is_zone_up: bool,
    /// The home.
    pub home: Home,
    /// Does a server run on it, or is one being started?
    pub runs: bool,
    /// How often in a row its server couldn't be started for a reason that its own home has.
    pub failed_starts: u32,
    /// Is it a primary's, that is to say, not made to follow?
    pub is_primary_data: bool,
    /// Has its server completed a checkpoint on its own timeline?
    pub is_checkpointed: bool,
    /// The slot that its server keeps for this home.
    pub slot: MateSlot,
}

/// What is seen of a home beside that if the instance has two.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PairSeen {
    /// The other one; `None`: nobody has looked at it yet.
    pub mate: Option<MateSeen>,
    /// Is this home a primary's, that is to say, not made to follow?
    pub is_primary_data: bool,
    /// Has its server completed a checkpoint on its own timeline?
    pub is_checkpointed: bool,
    /// Of a primary that is to wait for its standby: the place in its log up to which commits may
    /// have been acknowledged alone. `None`: that isn't known yet.
    pub synchronous_since: Option<Lsn>,
    /// Is that being found out?
    pub is_proving: bool,
    /// Of a primary: where its log ends.
    pub written: Option<Lsn>,
    /// Of a primary: up to where its standby has its log on disk; `None`: it doesn't receive.
    pub flushed: Option<Lsn>,
    /// Of a primary: when its standby last had what the primary had at the look before; before it
    /// first had, when the primary was first looked at.
    pub even_at: Option<Monotonic>,
}

/// A standby that runs and that its source has no more of the log for: what it needs next was
/// removed there, or was never there, since its source failed over to a standby that had less. It
/// is read as it is, and receives nothing more until it is copied anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Behind {
    /// Since when its source has said so, without it having received anything.
    pub since: Monotonic,
    /// How often it was given up to be copied anew ([`Step::Reseed`]), lately.
    pub reseeds: u32,
    /// When last.
    pub last: Option<Monotonic>,
}

/// A snapshot on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SnapshotSeen {
    /// Its taking was cut off.
    Unfinished,
    /// It is whole.
    Whole {
        /// Its size.
        bytes: u64,
        /// When it was whole.
        taken: Timestamp,
    },
}

/// Why a step failed, as far as what comes next depends on it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FailureKind {
    /// The source, or its Region, can't be reached, or isn't ready yet.
    Source,
    /// The source says that it is gone, or keeps nothing for this replica.
    SourceGone,
    /// The disk is full.
    DiskFull,
    /// The server refuses its settings.
    Settings,
    /// What is on disk can't be used.
    Damaged,
    /// Anything else.
    Other,
}

/// A step that failed. A server that ended by itself within a minute of its start counts as a
/// [`Step::Start`] that failed: else one that can't live would be started forever.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepFailure {
    /// The step.
    pub step: Step,
    /// How often it has failed in a row; 1 at least.
    pub attempts: u32,
    /// When it failed last.
    pub at: Monotonic,
    /// Why.
    pub kind: FailureKind,
    /// Why, in words that a user reads. No secret.
    pub reason: String,
}

/// All that was seen of an instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observed {
    /// Its home.
    pub home: Home,
    /// Its server, if one runs.
    pub server: Option<ServerSeen>,
    /// Those of its snapshots of which something is on disk.
    pub snapshots: BTreeMap<SnapshotId, SnapshotSeen>,
    /// The last failure of each kind of step, until a step of that kind succeeds. Of a start that
    /// succeeded it counts on should its server end by itself within a minute.
    pub failures: BTreeMap<StepKind, StepFailure>,
    /// What is seen beside that of a cluster's head.
    pub head: HeadSeen,
    /// What is seen beside that of an instance that has two homes.
    pub pair: PairSeen,
    /// Of a standby that runs: its source has no more of what it needs.
    pub behind: Option<Behind>,
    /// Is there no room left to speak of on the disk that its home is on?
    pub is_full: bool,
}

impl Observed {
    /// Nothing is there.
    pub fn nothing() -> Observed {
        Observed {
            home: Home::Absent,
            server: None,
            snapshots: BTreeMap::new(),
            failures: BTreeMap::new(),
            head: HeadSeen::default(),
            pair: PairSeen::default(),
            behind: None,
            is_full: false,
        }
    }
}
