//! PostgreSQL servers as children of this process: made, copied, started, watched, promoted,
//! stopped, rewound to another, kept as snapshots and removed. Each is a directory
//! ([`ServerHome`]).
//!
//! A server listens on no port: it has a Unix socket that only root and its own user may get to,
//! and every login is by SCRAM. It never outlives this process. Users of it are no superusers, and
//! nothing that they can do makes them one. What is to be done with a server, and when, is decided
//! elsewhere. It carries no bytes between servers, and runs no version but 15.

mod account;
mod archive;
mod aurora;
mod bootstrap;
mod change;
mod control;
mod copies;
mod copy;
mod error;
mod files;
mod home;
mod installation;
mod keeper;
mod kept_log;
mod leftovers;
mod lineage;
mod model;
mod observe;
mod rewind;
mod secrets;
mod server;
mod session;
mod settings;
mod snapshot;
mod synchronous;
mod tail;
mod text;
mod timeline;

pub use archive::{
    Archive, ArchiveSeen, Followed, SnapshotBegin, look as look_at_archive,
    remove as remove_archive, snapshot_begin,
};
pub use copies::{FetchError, SnapshotOffer, fetch};
pub use error::{PostgresError, PostgresMissing};
pub use home::ServerHome;
pub use installation::Postgres;
pub use model::{
    ControlData, ControlState, FollowerPlace, Fork, HomeState, InvalidLsn, LostTransaction, Lsn,
    NewServer, Observation, PendingRestart, Pulse, Role, ServerSettings, SlotSeen, SnapshotSize,
    StandbySeen, Stop, TableChanges, Tail, Unlisted, Upstream,
};
pub use server::Server;
pub use settings::is_settable;
pub use synchronous::waits_since;
pub use tail::LostList;
