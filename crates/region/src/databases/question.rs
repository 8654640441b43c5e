//! What Regions ask each other about databases, and its bytes: JSON behind a message's number. A
//! peer is authenticated but not trusted to be well-formed: what is too long or isn't wholly
//! understood is refused. A replication password crosses here, sealed by the link; it is never
//! printed.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use databases::model::{Farewell, Lsn, ResourceId, Snapshot};
use databases::{AttachRefusal, AttachRequest, CopyRequest, InstanceArn, SourceFacts};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The longest question or answer, in bytes: names and settings, one text of an error, and a
/// snapshot's fifty tags, each of whose characters may take six.
pub(crate) const MAX_BYTES: usize = 160 * 1024;

/// What is asked of a source's Region.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case", deny_unknown_fields)]
pub enum DatabaseQuestion {
    /// Take that replica.
    Attach {
        /// The request.
        request: AttachRequest,
    },
    /// That replica is none any more.
    Detach {
        /// Which.
        farewell: Farewell,
    },
    /// How far has that head of a global cluster's member received its writer's log?
    Received {
        /// It.
        head: ResourceId,
    },
    /// How does that replica, which was taken, log in to its source?
    Leave {
        /// The request.
        request: LeaveRequest,
    },
    /// May that snapshot be copied, and what is it?
    Copy {
        /// The request.
        request: CopyRequest,
    },
}

/// A replica asks for what its server needs to follow its source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaveRequest {
    /// The source.
    pub source: InstanceArn,
    /// Its resource id, as the replica was told it.
    pub source_id: ResourceId,
    /// The replica's resource id.
    pub replica_id: ResourceId,
}

/// What a replica's server logs in with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leave {
    /// The password of the source's replication user.
    pub password: ReplicationPassword,
    /// The source's version of PostgreSQL: `15.14`.
    pub engine_version: String,
    /// Where the log begins that the source still has, if it is known: a replica that has less must
    /// be copied anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_log: Option<Lsn>,
}

/// Why there is no leave.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "why", content = "text", rename_all = "snake_case")]
pub enum LeaveRefusal {
    /// There is no such source any more, or it keeps nothing for this replica.
    #[error("{0}")]
    Gone(String),
    /// The source has no server yet.
    #[error("{0}")]
    NotReady(String),
}

/// What is answered, each to the question of its name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case", deny_unknown_fields)]
pub enum DatabaseAnswer {
    /// What the replica takes over.
    Attach {
        /// It.
        answer: Result<SourceFacts, AttachRefusal>,
    },
    /// It is so.
    Detach {
        /// Or why not.
        answer: Result<(), AttachRefusal>,
    },
    /// How far it has.
    Received {
        /// Up to there; none: it is no standby that runs, or not known to the peer.
        received: Option<Lsn>,
    },
    /// What to log in with.
    Leave {
        /// It.
        answer: Result<Leave, LeaveRefusal>,
    },
    /// What the copy takes over.
    Copy {
        /// It.
        answer: Result<Box<Snapshot>, AttachRefusal>,
    },
}

/// The password of a server's replication user. It is never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct ReplicationPassword(pub Zeroizing<String>);

impl fmt::Debug for ReplicationPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplicationPassword(..)")
    }
}

impl From<String> for ReplicationPassword {
    fn from(text: String) -> ReplicationPassword {
        ReplicationPassword(Zeroizing::new(text))
    }
}

impl From<ReplicationPassword> for String {
    fn from(password: ReplicationPassword) -> String {
        password.0.to_string()
    }
}

/// Writes a question or an answer.
pub(crate) fn put<T: Serialize>(value: &T, out: &mut BytesMut) {
    let json = serde_json::to_vec(value);
    let json = Zeroizing::new(json.expect("names and texts have a JSON form"));
    out.put_slice(&json);
}

/// Reads one: all that is left; `None`: it is none.
pub(crate) fn take<T: DeserializeOwned>(bytes: &mut Bytes) -> Option<T> {
    let json = bytes.split_to(bytes.len());
    match json.len() <= MAX_BYTES {
        true => serde_json::from_slice(&json).ok(),
        false => None,
    }
}
