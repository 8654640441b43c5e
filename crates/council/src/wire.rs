//! What sites say to each other, and the gate before raft-rs. raft-rs trusts its peers: it panics
//! on indexes out of range, gaps in entries and the like. So every message is held here against
//! its sender, its type's own rules and this site's log before it gets in; nothing that fails is
//! stepped, and nothing is caught by unwinding.

use bytes::Bytes;
use protobuf::Message as _;
use raft::StateRole;
use raft::eraftpb::{EntryType, Message, MessageType};
use raft::raw_node::RawNode;
use types::SiteId;

use crate::codec::{Malformed, Reader, Writer};
use crate::limits::{MAX_CHANGE, MAX_INDEX, MAX_MESSAGE, MAX_TERM_LEAD};
use crate::log::{Log, raft_id};
use crate::state::Proposal;

/// The version of the frames. In the first a state came whole, in raft's own message.
const VERSION: u8 = 2;
const RAFT: u8 = 0;
const FORWARD: u8 = 1;
const RECOVERING: u8 = 2;
const ANSWER: u8 = 3;
const PART: u8 = 4;
const RECEIVED: u8 = 5;

/// A message, parsed but not judged.
#[derive(Debug)]
pub(crate) enum Frame {
    /// Between the raft cores.
    Raft(Message),
    /// A proposal on its way to the leader.
    Forward(Proposal),
    /// A site without memory asks what it may have promised; see `council/recovery.rs`.
    Recovering {
        /// Of the asking life.
        nonce: u64,
        /// The last index in its log.
        remembered: u64,
    },
    /// A member answers that.
    Answer(Answer),
    /// A leader sends a part of its state; see `council/sending.rs`.
    Part(Part),
    /// Its receiver says how far it has come.
    Received(Received),
}

/// Of which state a part is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sent {
    /// The term of the leader that sends it.
    pub(crate) leads: u64,
    /// The log index of the state, and that entry's term.
    pub(crate) index: u64,
    pub(crate) term: u64,
}

/// A part of a state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    pub(crate) of: Sent,
    /// Counted from 0.
    pub(crate) number: u32,
    /// See `parts`.
    pub(crate) body: Bytes,
}

/// How far a state has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Received {
    pub(crate) of: Sent,
    /// All parts before this one are on disk.
    pub(crate) next: u32,
}

/// What a member tells a site without memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    /// The question's.
    pub(crate) nonce: u64,
    /// The member's term.
    pub(crate) term: u64,
    /// Has the member never voted nor written anything?
    pub(crate) unused: bool,
    /// If it leads: the last index it has decided.
    pub(crate) decided: Option<u64>,
}

pub(crate) fn raft_frame(message: &Message) -> Bytes {
    let body = message
        .write_to_bytes()
        .expect("a proto3 message has no required field that could be missing");
    [&[VERSION, RAFT][..], &body].concat().into()
}

pub(crate) fn forward_frame(proposal: &[u8]) -> Bytes {
    let mut writer = Writer::new();
    writer.u8(VERSION).u8(FORWARD).bytes(proposal);
    writer.finish()
}

pub(crate) fn recovering_frame(nonce: u64, remembered: u64) -> Bytes {
    let mut writer = Writer::new();
    writer.u8(VERSION).u8(RECOVERING).u64(nonce).u64(remembered);
    writer.finish()
}

pub(crate) fn answer_frame(answer: &Answer) -> Bytes {
    let mut writer = Writer::new();
    writer.u8(VERSION).u8(ANSWER);
    writer.u64(answer.nonce).u64(answer.term);
    writer.u8(u8::from(answer.unused));
    writer.u8(u8::from(answer.decided.is_some()));
    writer.u64(answer.decided.unwrap_or(0));
    writer.finish()
}

pub(crate) fn part_frame(part: &Part) -> Bytes {
    let mut writer = Writer::new();
    writer.u8(VERSION).u8(PART);
    writer
        .u64(part.of.leads)
        .u64(part.of.index)
        .u64(part.of.term);
    writer.u32(part.number).bytes(&part.body);
    writer.finish()
}

pub(crate) fn received_frame(received: &Received) -> Bytes {
    let mut writer = Writer::new();
    let of = received.of;
    writer.u8(VERSION).u8(RECEIVED);
    writer.u64(of.leads).u64(of.index).u64(of.term);
    writer.u32(received.next);
    writer.finish()
}

pub(crate) fn parse(bytes: &[u8]) -> Result<Frame, &'static str> {
    if bytes.len() > MAX_MESSAGE.as_usize() {
        return Err("it is too large");
    }
    let mut reader = Reader::new(bytes);
    let head = (|| Ok((reader.u8()?, reader.u8()?)))();
    match head {
        Ok((VERSION, RAFT)) => Message::parse_from_bytes(reader.rest())
            .map(Frame::Raft)
            .map_err(|_| "it is no raft message"),
        Ok((VERSION, FORWARD)) => {
            parse_forward(&mut reader).map_err(|Malformed| "it is no proposal")
        }
        Ok((VERSION, RECOVERING)) => {
            parse_recovering(&mut reader).map_err(|Malformed| "it is no question")
        }
        Ok((VERSION, ANSWER)) => parse_answer(&mut reader).map_err(|Malformed| "it is no answer"),
        Ok((VERSION, PART)) => parse_part(&mut reader).map_err(|Malformed| "it is no part"),
        Ok((VERSION, RECEIVED)) => {
            parse_received(&mut reader).map_err(|Malformed| "it is no receipt")
        }
        Ok((VERSION, _)) => Err("its kind is unknown"),
        Ok((..VERSION, _)) => Err("an older Causeway sent it: start that site with this version"),
        Ok(_) => Err("a newer Causeway sent it: start this site with that version"),
        Err(Malformed) => Err("it is too short"),
    }
}

fn parse_forward(reader: &mut Reader<'_>) -> Result<Frame, Malformed> {
    let proposal = reader.bytes()?;
    reader.end()?;
    if proposal.len() > 2 * MAX_CHANGE.as_usize() {
        return Err(Malformed);
    }
    let proposal = Proposal::decode(proposal)?;
    proposal.change.check().map_err(|_| Malformed)?;
    Ok(Frame::Forward(proposal))
}

fn parse_recovering(reader: &mut Reader<'_>) -> Result<Frame, Malformed> {
    let (nonce, remembered) = (reader.u64()?, reader.u64()?);
    reader.end()?;
    Ok(Frame::Recovering { nonce, remembered })
}

fn parse_answer(reader: &mut Reader<'_>) -> Result<Frame, Malformed> {
    let (nonce, term) = (reader.u64()?, reader.u64()?);
    let (unused, decided, index) = (reader.u8()?, reader.u8()?, reader.u64()?);
    reader.end()?;
    if unused > 1 || decided > 1 {
        return Err(Malformed);
    }
    Ok(Frame::Answer(Answer {
        nonce,
        term,
        unused: unused == 1,
        decided: (decided == 1).then_some(index),
    }))
}

fn parse_sent(reader: &mut Reader<'_>) -> Result<Sent, Malformed> {
    Ok(Sent {
        leads: reader.u64()?,
        index: reader.u64()?,
        term: reader.u64()?,
    })
}

fn parse_part(reader: &mut Reader<'_>) -> Result<Frame, Malformed> {
    let (of, number) = (parse_sent(reader)?, reader.u32()?);
    let body = Bytes::copy_from_slice(reader.bytes()?);
    reader.end()?;
    Ok(Frame::Part(Part { of, number, body }))
}

fn parse_received(reader: &mut Reader<'_>) -> Result<Frame, Malformed> {
    let (of, next) = (parse_sent(reader)?, reader.u32()?);
    reader.end()?;
    Ok(Frame::Received(Received { of, next }))
}

/// May this message be stepped at this site now? Says why not.
pub(crate) fn admit(
    message: &Message,
    from: SiteId,
    site: SiteId,
    node: &RawNode<Log>,
) -> Result<(), &'static str> {
    if message.from != raft_id(from) {
        return Err("it speaks for another site");
    }
    if message.to != raft_id(site) {
        return Err("it is for another site");
    }
    let bounded = [
        message.index,
        message.log_term,
        message.commit,
        message.commit_term,
        message.reject_hint,
    ];
    if bounded.iter().any(|number| *number >= MAX_INDEX) {
        return Err("an index or term is out of range");
    }
    let own_term = node.raft.term;
    if message.term == 0 || message.term > own_term.saturating_add(MAX_TERM_LEAD).min(MAX_INDEX) {
        return Err("its term is out of range");
    }
    let unused = message.request_snapshot != 0
        || message.priority != 0
        || message.deprecated_priority != 0
        || !message.context.is_empty();
    if unused {
        return Err("it sets a field that isn't in use");
    }
    let kind = message.get_msg_type();
    if kind != MessageType::MsgAppend && !message.entries.is_empty() {
        return Err("it carries entries it should not");
    }
    if kind != MessageType::MsgSnapshot && message.has_snapshot() {
        return Err("it carries a snapshot it should not");
    }
    match kind {
        MessageType::MsgAppend => admit_append(message),
        MessageType::MsgHeartbeat => admit_heartbeat(message, node),
        MessageType::MsgAppendResponse => admit_append_response(message, node),
        MessageType::MsgHeartbeatResponse
        | MessageType::MsgRequestVote
        | MessageType::MsgRequestPreVote => Ok(()),
        MessageType::MsgRequestVoteResponse | MessageType::MsgRequestPreVoteResponse => {
            admit_vote(node)
        }
        _ => Err("its type doesn't travel between sites"),
    }
}

/// Does only a voter send such a message?
pub(crate) fn is_voters(kind: MessageType) -> bool {
    !matches!(
        kind,
        MessageType::MsgAppendResponse | MessageType::MsgHeartbeatResponse
    )
}

fn admit_append(message: &Message) -> Result<(), &'static str> {
    if (message.index == 0) != (message.log_term == 0) || message.log_term > message.term {
        return Err("its log position makes no sense");
    }
    let (mut index, mut term) = (message.index, message.log_term.max(1));
    for entry in &message.entries {
        index += 1;
        if entry.index != index || entry.term < term || entry.term > message.term {
            return Err("its entries are out of order");
        }
        term = entry.term;
        if entry.get_entry_type() != EntryType::EntryNormal || !entry.context.is_empty() {
            return Err("it changes the members, which isn't built");
        }
        if !entry.data.is_empty() && Proposal::decode(&entry.data).is_err() {
            return Err("an entry is no proposal");
        }
    }
    Ok(())
}

fn admit_heartbeat(message: &Message, node: &RawNode<Log>) -> Result<(), &'static str> {
    if message.commit > node.raft.raft_log.last_index() {
        return Err("it commits what this site does not have");
    }
    Ok(())
}

/// May a state of that place be put into this site's log now? Says why not.
pub(crate) fn admit_state(of: Sent, node: &RawNode<Log>) -> Result<(), &'static str> {
    let in_range = |number: u64| (1..MAX_INDEX).contains(&number);
    if !in_range(of.index) || !in_range(of.term) || of.term > of.leads {
        return Err("its state's position makes no sense");
    }
    let log = &node.raft.raft_log;
    if of.index == log.committed && !log.match_term(of.index, of.term) {
        return Err("its state contradicts what is committed");
    }
    Ok(())
}

fn admit_append_response(message: &Message, node: &RawNode<Log>) -> Result<(), &'static str> {
    let leads = node.raft.state == StateRole::Leader && node.raft.term == message.term;
    let last = node.raft.raft_log.last_index();
    if leads && (message.index > last || message.reject_hint > last) {
        return Err("it acknowledges what this leader never wrote");
    }
    Ok(())
}

/// A vote makes a leader, whose log must be on disk; a candidate's is, so a vote that comes while
/// something is unwritten was not asked for.
fn admit_vote(node: &RawNode<Log>) -> Result<(), &'static str> {
    let log = &node.raft.raft_log;
    let unwritten = !log.unstable_entries().is_empty()
        || log.unstable_snapshot().is_some()
        || log.persisted != log.last_index();
    if unwritten {
        return Err("nobody asked for its vote");
    }
    Ok(())
}
