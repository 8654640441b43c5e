//! What a commit consists of. A batch is applied whole or not at all, and is on disk when its
//! commit returns.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The fixed set of keyspaces. Each is an ordered map of its own; a batch may span all of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Space {
    /// Current states of items.
    Items,
    /// Index entries.
    Indexes,
    /// The change log; written by `Batch::announce` only.
    Log,
    /// Descriptors, cursors, settings.
    Meta,
    /// The conflict ledger.
    Conflicts,
    /// The council's log and state.
    Council,
    /// Versions of objects, their listings, and what is to be replicated.
    Objects,
    /// The bytes of small objects.
    Content,
}

/// A place in a Region's change log. Positions start at 1 and are given in commit order,
/// without gaps; 0 is before the first.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct LogPosition(pub u64);

/// One change of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// Sets a key's value.
    Put {
        /// In this keyspace (not `Log`).
        space: Space,
        /// The key.
        key: Bytes,
        /// The new value.
        value: Bytes,
    },
    /// Removes a key; fine if it is absent.
    Delete {
        /// In this keyspace.
        space: Space,
        /// The key.
        key: Bytes,
    },
}

/// What must hold of a key at the moment of the commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Precondition {
    /// In this keyspace.
    pub space: Space,
    /// The key.
    pub key: Bytes,
    /// The value it must have; `None`: it must be absent.
    pub value: Option<Bytes>,
}

/// An atomic, conditional commit: all writes and announcements, or nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// All must hold, judged in commit order against every earlier commit.
    pub preconditions: Vec<Precondition>,
    /// Applied in order: of two writes of one key the later stands.
    pub writes: Vec<Write>,
    /// Payloads for the change log, appended in order at the positions that follow its head.
    pub announcements: Vec<Bytes>,
    /// Does it let go of more than it puts (of a file outside the database, say)? It passes also
    /// while the disk is nearly full then.
    pub frees: bool,
}

/// The length of the longest key, in bytes: what the embedded engine's file format can hold.
pub const LONGEST_KEY: usize = u16::MAX as usize;

impl Space {
    /// Every keyspace, in the order of their codes.
    pub const ALL: [Space; 8] = [
        Space::Items,
        Space::Indexes,
        Space::Log,
        Space::Meta,
        Space::Conflicts,
        Space::Council,
        Space::Objects,
        Space::Content,
    ];

    /// The number that stands for it on disk; never given to another.
    pub const fn code(self) -> u8 {
        match self {
            Space::Items => 1,
            Space::Indexes => 2,
            Space::Log => 3,
            Space::Meta => 4,
            Space::Conflicts => 5,
            Space::Council => 6,
            Space::Objects => 7,
            Space::Content => 8,
        }
    }

    /// The keyspace that a code stands for, if it stands for one.
    pub fn from_code(code: u8) -> Option<Space> {
        Space::ALL.into_iter().find(|space| space.code() == code)
    }

    /// Its name on disk and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Space::Items => "items",
            Space::Indexes => "indexes",
            Space::Log => "log",
            Space::Meta => "meta",
            Space::Conflicts => "conflicts",
            Space::Council => "council",
            Space::Objects => "objects",
            Space::Content => "content",
        }
    }

    /// Its place in `ALL`.
    pub(crate) const fn index(self) -> usize {
        self.code() as usize - 1
    }
}

impl LogPosition {
    /// The key of that position in `Space::Log`: 8 bytes, big-endian.
    pub fn key(self) -> Bytes {
        Bytes::copy_from_slice(&self.0.to_be_bytes())
    }

    /// The position whose key that is, if it is one.
    pub fn from_key(key: &[u8]) -> Option<LogPosition> {
        key.try_into()
            .ok()
            .map(|bytes| LogPosition(u64::from_be_bytes(bytes)))
    }
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Sets a key.
    pub fn put(&mut self, space: Space, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.writes.push(Write::Put {
            space,
            key: key.into(),
            value: value.into(),
        });
    }

    /// Removes a key.
    pub fn delete(&mut self, space: Space, key: impl Into<Bytes>) {
        self.writes.push(Write::Delete {
            space,
            key: key.into(),
        });
    }

    /// Appends a payload to the change log.
    pub fn announce(&mut self, payload: impl Into<Bytes>) {
        self.announcements.push(payload.into());
    }

    /// Demands that a key has this value (`None`: is absent) at the commit.
    pub fn require(&mut self, space: Space, key: impl Into<Bytes>, value: Option<Bytes>) {
        self.preconditions.push(Precondition {
            space,
            key: key.into(),
            value,
        });
    }

    /// Adds everything of `other` after what is here.
    pub fn append(&mut self, other: Batch) {
        self.preconditions.extend(other.preconditions);
        self.writes.extend(other.writes);
        self.announcements.extend(other.announcements);
        self.frees |= other.frees;
    }

    /// Does it add data that isn't needed to free space again? Such a batch is refused while the
    /// disk is nearly full; removals, cursors and settings (`Meta`) and the council's state pass,
    /// and what `frees` more than it adds.
    pub fn adds_data(&self) -> bool {
        if self.frees {
            return false;
        }
        let grows = |write: &Write| match write {
            Write::Put { space, .. } => !matches!(space, Space::Meta | Space::Council),
            Write::Delete { .. } => false,
        };
        !self.announcements.is_empty() || self.writes.iter().any(grows)
    }

    /// Does it remove something and add no data?
    pub(crate) fn frees_space(&self) -> bool {
        let removes = |write: &Write| matches!(write, Write::Delete { .. });
        self.frees || (!self.adds_data() && self.writes.iter().any(removes))
    }

    /// The bytes of everything in it.
    pub(crate) fn bytes(&self) -> usize {
        let writes = self.writes.iter().map(|write| match write {
            Write::Put { key, value, .. } => key.len() + value.len(),
            Write::Delete { key, .. } => key.len(),
        });
        writes.sum::<usize>() + self.announcements.iter().map(Bytes::len).sum::<usize>()
    }

    /// Checks what every engine relies on; a batch that breaks it is a bug of its maker.
    ///
    /// # Panics
    /// If a key is empty or longer than `LONGEST_KEY`, or a write puts into `Space::Log`.
    pub(crate) fn assert_well_formed(&self) {
        for write in &self.writes {
            let key = match write {
                Write::Put { space, key, .. } => {
                    assert!(
                        *space != Space::Log,
                        "only `announce` writes the change log"
                    );
                    key
                }
                Write::Delete { key, .. } => key,
            };
            let length = key.len();
            assert!(
                (1..=LONGEST_KEY).contains(&length),
                "a key has 1 to {LONGEST_KEY} bytes, not {length}"
            );
        }
    }

    /// Nothing to write and nothing to announce?
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.announcements.is_empty()
    }
}
