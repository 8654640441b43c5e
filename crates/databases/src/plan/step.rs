//! What can be done to an instance, one at a time: steps on its home and its server, and what is to
//! be written down of what was reached. Each step is whole in itself, and does no harm if it is
//! done twice.

use std::collections::BTreeSet;

use types::{Now, Timestamp};

use super::next::{Next, Wanted, next_step};
use super::observed::Observed;
use crate::arn::InstanceArn;
use crate::model::{
    ForkPoint, Head, Leading, Lsn, Parameters, PointInTime, ResourceId, SnapshotId, Verifier,
};

/// Where a standby's write-ahead log comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upstream {
    /// The source; its Region may be this one.
    pub source: InstanceArn,
    /// The source's resource id: what a stream is asked for by.
    pub source_id: ResourceId,
    /// The slot that the source keeps for it.
    pub slot: String,
    /// How the standby names itself to the source: its own resource id.
    pub application_name: String,
}

/// What a server is started with, or told to load.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// PostgreSQL's settings, each with a value that it takes as it is.
    pub parameters: Parameters,
    /// Of a standby: whom it follows. A standby without one waits to be promoted. A home that is a
    /// primary's stays one, whatever this says.
    pub upstream: Option<Upstream>,
    /// Of a primary: the home of the standby that every commit waits for; none, and it acknowledges
    /// alone.
    pub synchronous: Option<ResourceId>,
}

/// Why a server's home is removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Removal {
    /// Its making was cut off, and it is made anew.
    Unfinished,
    /// The instance is deleted.
    Deleted,
    /// Of a cluster's head: its history isn't the writer's and can't be made a part of it. It is
    /// copied anew; what it alone held was kept before ([`Step::KeepTail`]), or never served. Not
    /// before the writer's head, which this is, gives leave to be copied: until then what is to
    /// be removed may be the last copy.
    Diverged(Upstream),
}

/// A step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Make an empty home.
    Make {
        /// The first user's name.
        master: String,
        /// Its password's verifier.
        verifier: Verifier,
        /// The database to make beside `postgres`.
        database: Option<String>,
    },
    /// Make the home a copy of the source's, to follow it.
    Copy(Upstream),
    /// Make the home of a snapshot.
    Restore(SnapshotId),
    /// Make the home of automated backups, as it was at a moment.
    RestoreTo(PointInTime),
    /// Remove the home. No server runs on it.
    RemoveHome(Removal),
    /// Start the server.
    Start {
        /// The generation that it is started for.
        generation: u64,
        /// What it is started with.
        settings: Settings,
    },
    /// Stop the server: open transactions are rolled back, what was committed is kept.
    Stop,
    /// Have the server load these settings.
    Reload(Settings),
    /// Have the standby become a primary. Before that of a cluster's head, its endpoints are closed
    /// and their sessions ended: those of a standby go on as a primary's.
    Promote,
    /// Have the server complete a checkpoint.
    Checkpoint,
    /// Have every commit of the primary wait for that standby from now on, and begin to find out
    /// from which place of the log on each did ([`PairSeen::synchronous_since`]); or have none
    /// wait.
    ///
    /// [`PairSeen::synchronous_since`]: super::PairSeen::synchronous_since
    Synchronise(Option<ResourceId>),
    /// Make a standby's home of one that was a primary's and was stopped in order, its data a part
    /// of that epoch's history. Whoever has done it has [`Record::Aligned`] of the epoch written
    /// before the next look; if it dies before, it is done once more.
    Follow {
        /// The epoch.
        epoch: u64,
    },
    /// Keep what a stopped home alone holds, from there on: its transactions, and its log. It is
    /// kept for good under the instance's resource id, the epoch and the place, and in the place
    /// of one of the same epoch that begins later: what that holds is a part of it.
    KeepTail {
        /// The epoch of whose history it is, and which the latest one left there; or the number of
        /// the forced failover ([`crate::model::Forced::is_number`]) by which it was written.
        base: u64,
        /// From where.
        from: Lsn,
    },
    /// Put a stopped home aside, whole, into the tail of that epoch that is kept of it: that tail
    /// doesn't hold all that the home alone held, and says so. Then there is no home, and it is
    /// copied anew. Not before the writer's head, which this is, gives leave to be copied.
    SetAside {
        /// The writer's head.
        upstream: Upstream,
        /// The epoch, or the number, by which the tail is kept.
        base: u64,
        /// Where the tail begins.
        from: Lsn,
    },
    /// Rewind a stopped home to where its history left the upstream's, and make a standby's of it.
    /// Whoever has done it has [`Record::Aligned`] of the epoch written before the next look; if it
    /// dies before, it is done once more.
    Rewind {
        /// The writer's head.
        upstream: Upstream,
        /// The epoch.
        epoch: u64,
    },
    /// Give up a standby that runs and that its source has no more of the log for: once that gives
    /// leave to be copied, the server is stopped and its home removed; without leave nothing is
    /// touched, and it goes on being read. It holds nothing of its own.
    Reseed(Upstream),
    /// Have exactly these slots: users can make none.
    KeepSlots(BTreeSet<String>),
    /// Set the master user's password.
    SetMaster {
        /// The user.
        master: String,
        /// Its password's verifier.
        verifier: Verifier,
        /// Which of the passwords asked for it is.
        number: u64,
    },
    /// Take a snapshot.
    TakeSnapshot(SnapshotId),
    /// Remove what is left of a snapshot whose taking was cut off.
    DiscardSnapshot(SnapshotId),
    /// Write down what was reached ([`crate::Service::record`]).
    Record(Record),
}

/// What was reached: written into the instance's row, for nobody could observe it again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// The generation is reached.
    Settled {
        /// Which.
        generation: u64,
    },
    /// The replica is a primary now.
    Promoted,
    /// The server has the master user's password.
    MasterSet {
        /// Which of those asked for.
        number: u64,
    },
    /// A snapshot is whole.
    SnapshotTaken {
        /// Which.
        id: SnapshotId,
        /// Its size.
        bytes: u64,
        /// When it was whole.
        taken: Timestamp,
    },
    /// A snapshot can't be taken. If it was to be the last before a deletion, nothing is deleted.
    SnapshotFailed {
        /// Which.
        id: SnapshotId,
        /// Why.
        reason: String,
    },
    /// What waited for the maintenance window is in force now.
    PendingApplied,
    /// Nothing is left of the instance: its row goes.
    Removed,
    /// The instance can't be.
    Failed {
        /// Why.
        reason: String,
    },
    /// Of a head, in its own row: its data are a part of that epoch's history, and hold nothing of
    /// their own.
    Aligned {
        /// The epoch.
        epoch: u64,
    },
    /// Of a head, in its own row: it is to be promoted now.
    Leading(Leading),
    /// Of a head that follows, in its own row: it may hold what isn't of the latest history, all of
    /// it an old writer's. It is rewound.
    Diverged,
    /// Of a reader, in its own row: it may hold what isn't of the latest history and nobody else
    /// has kept. That is kept, and the reader is copied anew.
    Beyond {
        /// The epoch of whose history it is.
        base: u64,
    },
    /// Of a head, in the council's row: this is what the others are to know of it.
    Head(Head),
    /// Of the old writer's head, in the council's row: it is stopped in order.
    Drained {
        /// The move.
        number: u64,
        /// Where its log ends.
        lsn: Lsn,
    },
    /// Of the old writer's head, in the council's row: it is stopped.
    Fenced {
        /// The move.
        number: u64,
    },
    /// Of the new writer's head, in the council's row: the old one serves nobody, and it has all
    /// that it waits for.
    Promoting {
        /// The move.
        number: u64,
    },
    /// Of the new writer's head, in the council's row: it is promoted, and writes from now on.
    Leads {
        /// The move.
        number: u64,
        /// Where its history begins.
        point: ForkPoint,
    },
    /// Of the writer's head, in the council's row: it has completed a checkpoint since it was
    /// promoted.
    Checkpointed {
        /// The epoch.
        epoch: u64,
    },
    /// Of a head that hands over, in its cluster's row: it is stopped in order.
    Resigned {
        /// The handover.
        number: u64,
        /// Where its log ends.
        lsn: Lsn,
    },
    /// Of a reader whose head is dead, in its cluster's row: it is to take over.
    Claims {
        /// The head.
        head: ResourceId,
        /// Is it dead since its server couldn't be started?
        is_unstartable: bool,
    },
    /// Of the reader that takes over, in its cluster's rows: it has all of the head's log, or the
    /// head is dead, and is the head from here on.
    Succeeds {
        /// The handover.
        number: u64,
    },
    /// Of a head that took over from a dead one, in its cluster's row: its history begins there.
    Forked {
        /// Where.
        point: ForkPoint,
    },
    /// Of the head of a member that doesn't write and that is to hand over, in the council's row:
    /// this reader is the member's head.
    Names {
        /// What the others are to know of the reader.
        head: Head,
    },
    /// Of such a head, in its cluster's rows: the reader is the head from here on, as the council's
    /// row says.
    Yields {
        /// The handover.
        number: u64,
    },
    /// Of a head that was to hand over, in its cluster's row: nothing comes of it, and it goes on.
    Kept {
        /// The handover.
        number: u64,
        /// Why.
        reason: String,
    },
    /// The standby of that home has every commit that was acknowledged, and each waits for it.
    InStep {
        /// The standby's home.
        standby: ResourceId,
    },
    /// The standby of that home is out of step: commits need not wait for it any more.
    OutOfStep {
        /// The standby's home.
        standby: ResourceId,
    },
    /// The standby of that home, which is in step, is the primary from now on.
    TakeOver {
        /// The standby's home.
        standby: ResourceId,
    },
    /// What took over is promoted.
    TookOver,
    /// Nothing is left of the standby of that home, which was to be removed.
    Parted {
        /// The standby's home.
        standby: ResourceId,
    },
    /// Of a head that takes over by force, in its own row: it is promoted, and may be served from
    /// now on.
    Forced {
        /// The number of the forced failover.
        number: u64,
        /// Where its history begins.
        point: ForkPoint,
    },
    /// Of a head that was to take over by force, in its cluster's row: nothing comes of it.
    Unforced {
        /// The number of the forced failover.
        number: u64,
        /// Why.
        reason: String,
    },
    /// In the council's row: the move is called off, and the old writer goes on.
    Cancelled {
        /// The move.
        number: u64,
        /// Why.
        reason: String,
    },
}

/// What kind of step it is, without what it carries: as logs and `causeway databases` name it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum StepKind {
    /// [`Step::Make`].
    Make,
    /// [`Step::Copy`].
    Copy,
    /// [`Step::Restore`].
    Restore,
    /// [`Step::RestoreTo`].
    RestoreTo,
    /// [`Step::RemoveHome`].
    RemoveHome,
    /// [`Step::Start`].
    Start,
    /// [`Step::Stop`].
    Stop,
    /// [`Step::Reload`].
    Reload,
    /// [`Step::Promote`].
    Promote,
    /// [`Step::Checkpoint`].
    Checkpoint,
    /// [`Step::Synchronise`].
    Synchronise,
    /// [`Step::Follow`].
    Follow,
    /// [`Step::KeepTail`].
    KeepTail,
    /// [`Step::SetAside`].
    SetAside,
    /// [`Step::Rewind`].
    Rewind,
    /// [`Step::Reseed`].
    Reseed,
    /// [`Step::KeepSlots`].
    KeepSlots,
    /// [`Step::SetMaster`].
    SetMaster,
    /// [`Step::TakeSnapshot`].
    TakeSnapshot,
    /// [`Step::DiscardSnapshot`].
    DiscardSnapshot,
    /// [`Step::Record`].
    Record,
}

impl Step {
    /// Is it still what comes next of what was seen? What it waited for may have taken a while, and
    /// what is wanted be something else by now: whoever removes anything asks before that.
    pub fn is_next(&self, wanted: &Wanted, observed: &Observed, now: Now) -> bool {
        matches!(next_step(wanted, observed, now), Next::Step(next) if next == *self)
    }

    /// What kind of step it is.
    pub fn kind(&self) -> StepKind {
        match self {
            Step::Make { .. } => StepKind::Make,
            Step::Copy(_) => StepKind::Copy,
            Step::Restore(_) => StepKind::Restore,
            Step::RestoreTo(_) => StepKind::RestoreTo,
            Step::RemoveHome(_) => StepKind::RemoveHome,
            Step::Start { .. } => StepKind::Start,
            Step::Stop => StepKind::Stop,
            Step::Reload(_) => StepKind::Reload,
            Step::Promote => StepKind::Promote,
            Step::Checkpoint => StepKind::Checkpoint,
            Step::Synchronise(_) => StepKind::Synchronise,
            Step::Follow { .. } => StepKind::Follow,
            Step::KeepTail { .. } => StepKind::KeepTail,
            Step::SetAside { .. } => StepKind::SetAside,
            Step::Rewind { .. } => StepKind::Rewind,
            Step::Reseed(_) => StepKind::Reseed,
            Step::KeepSlots(_) => StepKind::KeepSlots,
            Step::SetMaster { .. } => StepKind::SetMaster,
            Step::TakeSnapshot(_) => StepKind::TakeSnapshot,
            Step::DiscardSnapshot(_) => StepKind::DiscardSnapshot,
            Step::Record(_) => StepKind::Record,
        }
    }
}
