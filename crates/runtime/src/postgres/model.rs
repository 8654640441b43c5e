//! What is said to a server and what it says: plain values. No I/O, and no SQL.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use types::{ByteSize, Timestamp};
use zeroize::Zeroizing;

/// What the directory of a server holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HomeState {
    /// Nothing, or no directory.
    Absent,
    /// A making, a copy or a restore that was cut off: to be removed, and begun anew.
    Unfinished,
    /// A whole server, running or not.
    Whole {
        /// What all copies of one server share (`pg_controldata`: database system identifier).
        system_identifier: u64,
        /// It is a standby, and follows its upstream when it is started with one.
        standby: bool,
    },
    /// It was whole once, yet what says so or its control file can't be read, or is of a newer
    /// Causeway. Nothing is done to it but on its owner's word: it may hold data.
    Damaged,
}

/// A server that is made anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewServer {
    /// The master user's name, 1 to 63 bytes.
    pub master: String,
    /// What PostgreSQL keeps of its password: `SCRAM-SHA-256$4096:salt$stored:server`.
    pub verifier: String,
    /// A first database of the master user's, beside `postgres`; 1 to 63 bytes.
    pub database: Option<String>,
    /// Is it of a cluster, and has Aurora's functions in every database?
    pub aurora: bool,
}

/// The server that a standby follows, as it is reached from here.
#[derive(Clone)]
pub struct Upstream {
    /// The directory with the socket `.s.PGSQL.5432`: the link's local end, or a server's own.
    pub socket_directory: PathBuf,
    /// The slot of the upstream that keeps WAL for this standby: 1 to 63 of `a` to `z`, `0` to `9`
    /// and `_`.
    pub slot: String,
    /// The replication password of the upstream.
    pub password: Zeroizing<String>,
    /// What the standby calls itself: printable ASCII, 1 to 63 bytes.
    pub application_name: String,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("socket_directory", &self.socket_directory)
            .field("slot", &self.slot)
            .field("application_name", &self.application_name)
            .finish_non_exhaustive()
    }
}

/// How a server runs, beyond what every server here has.
#[derive(Clone, Default, Debug)]
pub struct ServerSettings {
    /// PostgreSQL's own parameters by name, as `max_connections`. What this crate sets itself, and
    /// what names a command, a library, a file or an address, is refused by name.
    pub parameters: BTreeMap<String, String>,
    /// Whom a standby follows; none, and it stands still. A primary ignores it.
    pub upstream: Option<Upstream>,
    /// What the standby calls itself on whose disk a commit of this primary must be before it is
    /// acknowledged; none, and the primary acknowledges alone. Printable ASCII, 1 to 63 bytes.
    pub synchronous: Option<String>,
}

/// How a server is to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Connections end, what is in memory is written, standbys get the rest (SIGINT).
    Fast,
    /// As a power cut; the next start recovers (SIGKILL for all of its processes).
    Immediate,
}

/// What a server is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It replays another's WAL.
    Standby,
}

/// A place in the write-ahead log, in bytes since its beginning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    /// As PostgreSQL writes it: `16/B374D848`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// It is no place in a write-ahead log.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("'{0}' is no LSN, as in 16/B374D848")]
pub struct InvalidLsn(String);

impl FromStr for Lsn {
    type Err = InvalidLsn;

    fn from_str(text: &str) -> Result<Lsn, InvalidLsn> {
        let half = |digits: &str| match digits.len() {
            // A sign would be taken by from_str_radix.
            1..=8 if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                u64::from_str_radix(digits, 16).ok()
            }
            _ => None,
        };
        let halves = text.split_once('/');
        let halves = halves.and_then(|(high, low)| Some((half(high)?, half(low)?)));
        let (high, low) = halves.ok_or_else(|| InvalidLsn(text.into()))?;
        Ok(Lsn(high << 32 | low))
    }
}

/// A server as it says it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation {
    /// What it is.
    pub role: Role,
    /// The timeline it writes (a primary) or replays (a standby).
    pub timeline: u32,
    /// What all copies of one server share.
    pub system_identifier: u64,
    /// How far its WAL is on its disk. A primary: flushed. A standby: the greater of received and
    /// replayed, which is all that would survive its promotion.
    pub written: Lsn,
    /// How far a standby has replayed.
    pub replayed: Option<Lsn>,
    /// A standby is connected to its upstream and receives.
    pub receiving: bool,
    /// A standby stands still although WAL is there: a setting of its upstream's has grown, and
    /// only a restart takes it over.
    pub paused: bool,
    /// A standby has replayed all that it has, and waits for more.
    pub starved: bool,
    /// Its last checkpoint is on the timeline it is on. Until it is, a primary that was promoted
    /// can't be what another is rewound to ([`Server::checkpoint`](super::Server::checkpoint)).
    pub checkpointed: bool,
    /// The last heartbeat that was committed (a primary) or has been replayed (a standby).
    pub heartbeat: Option<Timestamp>,
    /// Settings that wait for a restart.
    pub pending_restart: PendingRestart,
    /// Who receives WAL from here, by name.
    pub standbys: Vec<StandbySeen>,
    /// The slots for standbys, by name.
    pub slots: Vec<SlotSeen>,
    /// Where the log begins that is on its disk. A standby that has less must be copied anew. Only
    /// of a primary with a slot that nobody uses now.
    pub oldest: Option<Lsn>,
}

/// A standby as its upstream sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StandbySeen {
    /// What it calls itself.
    pub application_name: String,
    /// It receives WAL as it is written; before that it catches up.
    pub streaming: bool,
    /// How far WAL was sent to it; none before the first.
    pub sent: Option<Lsn>,
    /// How far it says it has it on disk.
    pub flushed: Option<Lsn>,
    /// How far it says it has replayed.
    pub replayed: Option<Lsn>,
}

/// A physical replication slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotSeen {
    /// Its name.
    pub name: String,
    /// A standby uses it now.
    pub active: bool,
    /// WAL is kept from here on; none before its first use and once it is lost.
    pub restart: Option<Lsn>,
    /// WAL that its standby needs is gone (`max_slot_wal_keep_size`): it must be copied anew.
    pub lost: bool,
}

/// A primary once a heartbeat of it was committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pulse {
    /// How far its WAL was on its disk then, the heartbeat included.
    pub written: Lsn,
    /// Its standbys, by the names of their slots: those that have one which has been used.
    pub followers: BTreeMap<String, FollowerPlace>,
}

/// Where a standby is, as its slot at its upstream says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowerPlace {
    /// How far it has said that it has WAL on its disk. It has at least that.
    pub flushed: Lsn,
    /// The oldest transaction that it needs, with its epoch, if it says so
    /// (`hot_standby_feedback`).
    pub feedback: Option<(u64, u32)>,
}

/// The parameters whose new values wait for a restart, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PendingRestart(pub Vec<String>);

/// Where a promoted server left the log of those it was a copy of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fork {
    /// The timeline that began there, 2 or more.
    pub timeline: u32,
    /// The end of the last record that it shares with the timeline before. A server that stayed on
    /// that one has diverged if its own log goes beyond.
    pub lsn: Lsn,
}

/// How a server that doesn't run was left, as its control file says (`pg_controldata`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ControlState {
    /// A primary that was stopped in order: all of its log is in its data.
    Stopped,
    /// A standby that was stopped in order.
    StoppedStandby,
    /// A primary that was killed, or one that runs: the next start recovers.
    Crashed,
    /// A standby that was killed, or one that runs.
    CrashedStandby,
}

/// What a server's control file says. Of one that runs it is what the last checkpoint wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ControlData {
    /// How it was left.
    pub state: ControlState,
    /// The timeline that it is on: of a promoted server also before its first checkpoint there.
    pub timeline: u32,
    /// Where its last checkpoint's record begins.
    pub checkpoint: Lsn,
    /// Where a recovery from that checkpoint begins.
    pub redo: Lsn,
    /// The end of its log, if it is a primary that was stopped in order: its last record is the
    /// checkpoint's. A standby that has replayed as far as this has all of it.
    pub end: Option<Lsn>,
}

/// What of a server's log its successor never had, kept for repair.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tail {
    /// The timeline that it is of.
    pub timeline: u32,
    /// Where the successor left that timeline.
    pub begin: Lsn,
    /// The end of the last commit in it, or of what was prepared last and is undecided; `begin` if
    /// nothing was lost.
    pub end: Lsn,
    /// How many transactions are listed. Our own (heartbeats) are not.
    pub listed: u64,
    /// The list of what was committed in it, in the order of the commits: [`LostList`] reads it.
    ///
    /// [`LostList`]: super::LostList
    pub list_file: PathBuf,
    /// How long that is.
    pub list_bytes: ByteSize,
    /// What was committed beyond that, for which there was no room.
    pub unlisted: Option<Unlisted>,
    /// Bytes of the log files that are kept in `wal/`.
    pub bytes: ByteSize,
    /// The rows as the lost transactions left them: a file of `INSERT`s for psql, a section a
    /// database; none if there are no such rows.
    pub sql_file: Option<PathBuf>,
    /// Why not all rows, or no names, could be had, if that is so.
    pub unexported: Option<String>,
    /// Some of what was committed or prepared may be in the server's data alone, not in the file of
    /// rows: for want of room, since its log isn't there, or since it isn't anything that is put
    /// there. Who removes or rewinds the server loses it.
    pub is_short: bool,
}

/// Transactions that were committed and aren't listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unlisted {
    /// How many, 1 or more. Our own may be among them.
    pub count: u64,
    /// Where the record of the first's commit begins, and when that was.
    pub first: (Lsn, Timestamp),
    /// The last's.
    pub last: (Lsn, Timestamp),
}

impl Unlisted {
    /// Counts one more, which was committed later.
    pub(super) fn add(to: &mut Option<Unlisted>, lsn: Lsn, at: Timestamp) {
        let last = (lsn, at);
        match to {
            Some(unlisted) => {
                unlisted.count += 1;
                unlisted.last = last;
            }
            none => {
                *none = Some(Unlisted {
                    count: 1,
                    first: last,
                    last,
                });
            }
        }
    }
}

/// A transaction that was committed and that the successor never had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LostTransaction {
    /// Its number.
    pub xid: u32,
    /// When it was committed, by that server's clock.
    pub committed: Timestamp,
    /// Where the record of its commit begins.
    pub lsn: Lsn,
    /// It also changed what tables there are, which the file of rows doesn't repeat.
    pub changed_schema: bool,
    /// What it changed.
    pub tables: Vec<TableChanges>,
}

/// What a transaction did to one table, in rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableChanges {
    /// The database; its number where no name is known.
    pub database: String,
    /// The schema; empty where no name is known.
    pub schema: String,
    /// The table; the number of its file where no name is known, as of one that was dropped since.
    pub table: String,
    /// Rows that were put in.
    pub inserted: u64,
    /// Rows that were changed.
    pub updated: u64,
    /// Rows that were taken away. They aren't in the file of rows: the successor has them still.
    pub deleted: u64,
}

/// What a snapshot takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotSize {
    /// Bytes of its files.
    pub bytes: ByteSize,
    /// How many files.
    pub files: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lsns_are_read_as_they_are_written_and_nothing_else_is() {
        for (text, value) in [
            ("0/0", 0),
            ("16/B374D848", 0x16_B374_D848),
            ("FFFFFFFF/FFFFFFFF", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Lsn(value)));
            assert_eq!(Lsn(value).to_string(), text);
        }
        for text in [
            "",
            "1",
            "/",
            "1/",
            "/1",
            "+1/2",
            "1/100000000",
            "1/2/3",
            "g/1",
            " 1/2",
        ] {
            assert!(text.parse::<Lsn>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_upstream_never_prints_its_password() {
        let upstream = Upstream {
            socket_directory: "/run".into(),
            slot: "s".into(),
            password: Zeroizing::new("geheim".into()),
            application_name: "a".into(),
        };
        assert!(!format!("{upstream:?}").contains("geheim"));
    }
}
