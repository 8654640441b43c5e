//! Every bound of the council in one place. Ours unless a line says otherwise. Those that decide
//! whether a change is applied are part of the replicated state machine: they may not differ
//! between two sites, so changing one is a change of format.

use types::ByteSize;

/// The longest key of a setting, in bytes of UTF-8. Part of the state machine.
pub const MAX_KEY: usize = 512;

/// The most keys one change may touch: a batch of 1,000 records of a zone, with what is noted
/// beside them. Part of the state machine.
pub const MAX_EDITS: usize = 1_100;

/// The largest change: its keys and values, with 32 bytes for each. Such a batch with names of
/// 255 octets and long values fits. Part of the state machine.
pub const MAX_CHANGE: ByteSize = ByteSize::kib(768);

/// The most that keys and values of all settings may hold together, each setting counted with
/// `SETTING_OVERHEAD`. Part of the state machine.
pub const MAX_SETTINGS: ByteSize = ByteSize::mib(128);

/// What they might hold together in proposals of the first format: an entry of that time is
/// applied as it was then.
pub(crate) const FIRST_MAX_SETTINGS: ByteSize = ByteSize::mib(4);

/// What a setting costs beside its key and value. Part of the state machine.
pub(crate) const SETTING_OVERHEAD: usize = 32;

/// The largest message between two sites. Fits the link's largest envelope (8 MiB).
pub const MAX_MESSAGE: ByteSize = ByteSize::mib(4);

/// A part of a state holds about so much, unless a single setting is longer: the link sends
/// 16 KiB at a time, and one part is one write at its receiver.
pub(crate) const PART: ByteSize = ByteSize::kib(64);

/// The largest part: one setting (or the outcomes of one site) begins before `PART` is full, and is
/// no larger than a change, in which a setting counts for more than its bytes in a part.
pub(crate) const MAX_PART: ByteSize = ByteSize(PART.0 + MAX_CHANGE.0);

/// Parts on their way to one peer hold about so much: half of what a peer may have under way in
/// the link's control class, in the lab. A heartbeat waits for these at most.
pub(crate) const MAX_PARTS_UNDER_WAY: ByteSize = ByteSize::kib(512);

/// Parts that came before an earlier one, and wait for it: as many as can be under way.
pub(crate) const MAX_EARLY_PARTS: usize = 16;

/// Removed keys that are remembered for those who follow the changes.
pub(crate) const MAX_REMEMBERED_REMOVALS: usize = 4096;

/// Records of an earlier state removed with one write.
pub(crate) const SWEPT_AT_ONCE: usize = 4096;

/// The most proposals a site may have under way.
pub const MAX_PENDING: usize = 64;

/// Of these, so many are kept for what is lost if it waits (`CouncilDriver::propose_first`): a
/// flood of other changes leaves them free.
pub const KEPT_PLACES: usize = 4;

/// Outcomes kept per proposing site, by which a repeated proposal is known. Twice
/// `MAX_PENDING`, so a proposal isn't forgotten while its proposer still repeats it. Part of the
/// state machine.
pub(crate) const MAX_OUTCOMES: usize = 128;

/// The log is compacted when it holds more entries than this and no living peer needs them.
pub const MAX_LOG_ENTRIES: usize = 1024;

/// The log is compacted when its entries hold more than this.
pub(crate) const MAX_LOG_SIZE: ByteSize = ByteSize::mib(4);

/// What a living peer has yet to be sent (or will, once a state on its way has arrived) stays in
/// the leader's log for it, up to so many times the log's bounds.
pub(crate) const LOG_BOUNDS_FOR_PEERS: usize = 8;

/// Applied entries left in the log by a compaction (fewer if they hold more than half of
/// `MAX_LOG_SIZE`), so that a peer slightly behind is sent entries rather than everything.
pub(crate) const KEPT_LOG_ENTRIES: usize = 128;

/// What a leader lets lie in its log uncommitted; proposals beyond it wait to be repeated.
pub(crate) const MAX_UNCOMMITTED: ByteSize = ByteSize::mib(1);

/// Entries of one message hold no more than this (or are a single entry).
pub(crate) const MAX_APPEND: ByteSize = ByteSize::kib(512);

/// Messages of entries on their way to one peer.
pub(crate) const MAX_IN_FLIGHT: usize = 64;

/// Indexes and terms at or above this are rubbish: the arithmetic on them must not overflow.
pub(crate) const MAX_INDEX: u64 = 1 << 62;

/// A message's term further ahead of our own than this is rubbish: a term costs an election.
pub(crate) const MAX_TERM_LEAD: u64 = 1 << 32;

/// Messages a driver holds for its council; more are dropped, as the link may.
pub(crate) const MAX_INBOX: usize = 1024;

/// Bytes a driver holds for its council.
pub(crate) const MAX_INBOX_SIZE: ByteSize = ByteSize::mib(32);

// A part with the setting or the outcomes that overshoot fits a message; a repeated proposal is
// remembered while it can come; a message of entries fits with the entry that overshoots; the
// largest change isn't held up for being uncommitted, and several fit a driver's inbox.
const _: () = {
    let outcomes = MAX_OUTCOMES * (MAX_KEY + 32);
    assert!(PART.as_usize() + outcomes + 1024 < MAX_PART.as_usize());
    assert!(MAX_PART.0 + MAX_CHANGE.0 < MAX_MESSAGE.0);
    assert!(MAX_PARTS_UNDER_WAY.as_usize() / PART.as_usize() < MAX_EARLY_PARTS);
    assert!(2 * MAX_PENDING <= MAX_OUTCOMES);
    assert!(MAX_APPEND.0 + 2 * MAX_CHANGE.0 < MAX_MESSAGE.0);
    assert!(MAX_CHANGE.0 < MAX_UNCOMMITTED.0 && MAX_CHANGE.0 < MAX_LOG_SIZE.0);
    assert!(4 * MAX_CHANGE.0 < MAX_INBOX_SIZE.0);
    assert!(KEPT_LOG_ENTRIES < MAX_LOG_ENTRIES);
};
