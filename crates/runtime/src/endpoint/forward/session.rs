//! A session whose writes are forwarded: what its client asks goes to its own server or to the
//! writer, one unit after the other, and the answers go to the client as they are. Where a unit
//! goes is decided in `decide`.

use std::io;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::{Duration, Instant, sleep_until};

use super::WriteForwarding;
use super::cancels::{Cancels, Registered};
use super::decide::{Block, Wrote};
use super::failure::Failure;
use super::frames::{Frame, HEADER, message};
use super::hear::said;
use super::names::{Names, Owed};
use super::scram::Witness;
use super::terms::ForwardingTerms;
use super::unit::{End, Side, Unit};
use super::user_of;
use super::wire::Wire;
use super::writer::{LONGEST_ANSWER, Writer, query};
use crate::endpoint::EndpointDirectory;
use crate::endpoint::counters::Counters;
use crate::endpoint::relay::drain;
use crate::endpoint::server::ServerSocket;
use crate::http::tls::Connection;

/// The longest unit that is forwarded as one, and the longest message that is kept whole.
pub(super) const LONGEST: usize = 1 << 20;

/// Where a writer's log stands behind what it has committed.
pub(super) const PLACE: &str = "SELECT pg_catalog.pg_current_wal_insert_lsn()";

/// So often the session's own server is asked something while the writer is at work for the
/// session: its timeouts for those that are idle would end it.
const AWAKE: Duration = Duration::from_millis(500);

/// What a session stands between.
pub(in crate::endpoint) struct Ends<'a> {
    pub(in crate::endpoint) directory: &'a dyn EndpointDirectory,
    pub(in crate::endpoint) counters: &'a Counters,
    pub(in crate::endpoint) cancels: &'a Cancels,
}

/// What the writer's answers are to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Awaited {
    /// To the unit.
    Unit,
    /// To where its log stands.
    Place,
}

/// One session.
pub(super) struct Session<'a> {
    pub(super) ends: Ends<'a>,
    pub(super) forwarding: Arc<dyn WriteForwarding>,
    pub(super) client: Wire<Connection>,
    pub(super) local: Wire<ServerSocket>,
    pub(super) writer: Option<Writer>,
    pub(super) startup: Vec<u8>,
    pub(super) user: String,
    pub(super) witness: Witness,
    /// Rings when its client asks to cancel.
    pub(super) cancelled: Arc<Notify>,
    /// Until when what is being decided may wait, by its own server's `statement_timeout`.
    pub(super) deadline: Option<Instant>,
    registered: Option<Registered<'a>>,
    /// The status that its own server last said; 0: it hasn't begun yet.
    pub(super) status: u8,
    pub(super) block: Block,
    pub(super) unit: Unit,
    /// The side that answers a unit which is whole.
    pub(super) under_way: Option<Side>,
    pub(super) awaited: Awaited,
    /// Of Parse and Close that were sent, oldest first: were they ours?
    pub(super) parses: Owed,
    pub(super) closes: Owed,
    /// Where the pieces of a long message go; none: nowhere.
    long: Option<Side>,
    pub(super) names: Names,
    pub(super) wrote: Wrote,
    /// At which writer.
    pub(super) wrote_at: String,
    /// How the transaction ended at the writer, by the last tag that it gave.
    pub(super) ended: End,
    /// What the writer said before it ended the session.
    pub(super) last_words: Option<String>,
    /// Since when the session at the writer has had nothing to do.
    idle: Instant,
    /// Since when the session's own server has been asked nothing.
    pub(super) asked: Instant,
}

/// Moves a session's messages until either end is done.
pub(in crate::endpoint) async fn relay(
    client: Connection,
    server: ServerSocket,
    startup: Vec<u8>,
    forwarding: Arc<dyn WriteForwarding>,
    ends: Ends<'_>,
) {
    let mut session = Session {
        ends,
        forwarding,
        client: Wire::new(client, LONGEST),
        local: Wire::new(server, LONGEST_ANSWER),
        writer: None,
        user: user_of(&startup).unwrap_or_default(),
        startup,
        witness: Witness::default(),
        cancelled: Arc::new(Notify::new()),
        deadline: None,
        registered: None,
        status: 0,
        block: Block::None,
        unit: Unit::default(),
        under_way: None,
        awaited: Awaited::Unit,
        parses: Owed::default(),
        closes: Owed::default(),
        long: None,
        names: Names::default(),
        wrote: Wrote::Nothing,
        wrote_at: String::new(),
        ended: End::Commit,
        last_words: None,
        idle: Instant::now(),
        asked: Instant::now(),
    };
    match session.run().await {
        Ok(()) => drain(&mut session.client.into_inner()).await,
        Err(cause) => tracing::debug!(%cause, "a database's session that forwards broke off"),
    }
}

impl Session<'_> {
    async fn run(&mut self) -> io::Result<()> {
        loop {
            while self.takes() {
                let Some(frame) = next(self.client.frames.next())? else {
                    break;
                };
                if !self.take(frame).await? {
                    return Ok(());
                }
            }
            let has_room = !self.client.frames.is_full();
            let idle_until = self.idle_until();
            let is_at_work = self.unit.side == Some(Side::Writer);
            let awake_until = self.asked + AWAKE;
            tokio::select! {
                count = self.client.read(), if has_room => {
                    let count = count?;
                    self.ends.counters.to_server.add(count as u64);
                    if count == 0 {
                        return Ok(());
                    }
                }
                count = self.local.read() => {
                    let ended = count? == 0;
                    self.pass_local().await?;
                    if ended {
                        return Ok(());
                    }
                }
                said = said(self.writer.as_ref()) => self.hear(said).await?,
                () = self.cancelled.notified() => self.cancel_at_writer(),
                () = sleep_until(awake_until), if is_at_work => self.stay_awake().await?,
                () = sleep_until(idle_until.unwrap_or_else(Instant::now)),
                    if idle_until.is_some() => self.leave_writer("it was idle for too long"),
            }
        }
    }

    /// So much came of the client.
    ///
    /// # Errors
    /// There is no more.
    fn came(&self, count: usize) -> io::Result<()> {
        self.ends.counters.to_server.add(count as u64);
        match count {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Is the client's next message to be taken?
    fn takes(&self) -> bool {
        self.under_way.is_none() || self.long.is_some()
    }

    /// Takes a message; false: it was the last.
    async fn take(&mut self, frame: Frame) -> io::Result<bool> {
        let kind = match &frame {
            Frame::More(bytes) => {
                if let Some(side) = self.long {
                    self.send(side, bytes).await?;
                }
                if !self.client.frames.is_amid() {
                    self.long = None;
                }
                return Ok(true);
            }
            Frame::First(bytes) | Frame::Whole(bytes) => bytes[0],
        };
        let is_long = matches!(frame, Frame::First(_));
        let bytes = match frame {
            Frame::Whole(bytes) | Frame::First(bytes) | Frame::More(bytes) => bytes,
        };
        match kind {
            b'X' => {
                self.local.write(&bytes).await?;
                return Ok(false);
            }
            _ if self.unit.is_over => {
                if kind == b'S' {
                    self.ready().await?;
                }
            }
            b'Q' | b'F' | b'P' | b'B' | b'D' | b'E' | b'C' | b'H' | b'S' if self.status != 0 => {
                self.unit.take(bytes, is_long, &mut self.names);
                let is_due = self.unit.is_whole || kind == b'H' || is_long;
                if is_due || self.unit.held() > LONGEST || self.unit.side.is_some() {
                    self.dispatch(is_long).await?;
                }
            }
            _ => {
                if kind == b'p' && self.status == 0 {
                    self.witness.client(&bytes[HEADER..]);
                }
                self.local.write(&bytes).await?;
                if is_long {
                    self.long = Some(Side::Local);
                }
            }
        }
        Ok(true)
    }

    /// Sends what was taken to where it is to go, which is decided now if it hasn't been.
    async fn dispatch(&mut self, is_long: bool) -> io::Result<()> {
        let side = match self.unit.side {
            Some(Side::Writer) if self.strays() => {
                self.long = None;
                self.break_writer()?;
                return self.refuse(&Failure::strayed()).await;
            }
            Some(side) => side,
            None => match self.decide().await? {
                Ok(side) => side,
                Err(failure) => {
                    self.long = None;
                    return self.refuse(&failure).await;
                }
            },
        };
        self.unit.side = Some(side);
        if is_long {
            self.long = Some(side);
        }
        for bytes in self.unit.messages() {
            // It may have ended while that was sent.
            if self.unit.side != Some(side) {
                break;
            }
            for injected in self.names.before(side, &bytes).into_iter().flatten() {
                self.expect(&injected, true)?;
                self.send(side, &injected).await?;
            }
            self.expect(&bytes, false)?;
            self.send(side, &bytes).await?;
        }
        if self.unit.is_whole && self.unit.side == Some(side) {
            self.under_way = Some(side);
            self.awaited = Awaited::Unit;
            let in_block = matches!(self.block, Block::Forwarded { .. });
            if side == Side::Writer && self.unit.shape.commits(in_block) {
                self.send(side, &query(PLACE)).await?;
            }
        }
        Ok(())
    }

    /// Has a unit that is the writer's already something in it that is not to be carried out there:
    /// BEGIN, say, of a transaction that this session wouldn't know of?
    fn strays(&self) -> bool {
        self.unit.shape.strays(match self.block {
            Block::Forwarded { status } => Some(status),
            _ => None,
        })
    }

    fn expect(&mut self, bytes: &[u8], is_ours: bool) -> io::Result<()> {
        match bytes[0] {
            b'P' => self.parses.push(is_ours),
            b'C' => self.closes.push(is_ours),
            b'Q' => {
                if let Some(side) = self.unit.side {
                    self.names.lose_unnamed(side);
                }
            }
            _ => {}
        }
        match self.parses.is_too_much() || self.closes.is_too_much() {
            true => Err(io::ErrorKind::QuotaExceeded.into()),
            false => Ok(()),
        }
    }

    /// Sends to a side, and hears what it says meanwhile.
    async fn send(&mut self, side: Side, mut bytes: &[u8]) -> io::Result<()> {
        match side {
            Side::Local => {
                while !bytes.is_empty() {
                    match self.local.write_or_read(bytes).await? {
                        0 => self.pass_local().await?,
                        count => bytes = &bytes[count..],
                    }
                }
            }
            Side::Writer => {
                let Some(end) = self.writer.as_ref().map(|writer| writer.end.clone()) else {
                    return Ok(());
                };
                let mut sending = std::pin::pin!(end.write(bytes));
                loop {
                    let has_room = !self.client.frames.is_full();
                    tokio::select! {
                        biased;
                        // If it is over, reading tells.
                        _ = &mut sending => break,
                        said = said(self.writer.as_ref()) => {
                            self.hear(said).await?;
                            if self.writer.is_none() {
                                break;
                            }
                        }
                        () = self.cancelled.notified() => self.cancel_at_writer(),
                        count = self.client.read(), if has_room => self.came(count?)?,
                    }
                }
            }
        }
        Ok(())
    }

    /// Passes on what its own server says.
    pub(super) async fn pass_local(&mut self) -> io::Result<()> {
        let mut out = Vec::new();
        while let Some(frame) = next(self.local.frames.next())? {
            if let Frame::Whole(bytes) = &frame {
                let body = &bytes[HEADER..];
                match bytes[0] {
                    b'R' => self.witness.server(body),
                    b'K' => self.register(body),
                    b'1' if self.parses.pop() => continue,
                    b'3' if self.closes.pop() => continue,
                    b'E' => self.names.doubt(Side::Local),
                    b'Z' => {
                        self.status = body.first().copied().unwrap_or(b'E');
                        self.finish_local().await;
                    }
                    _ => {}
                }
            }
            out.extend_from_slice(frame.bytes());
        }
        self.deliver(&out).await
    }

    fn register(&mut self, body: &[u8]) {
        if let Ok(key) = body.try_into() {
            self.registered = None;
            let cancels = self.ends.cancels;
            self.registered = Some(cancels.register(key, self.cancelled.clone()));
        }
    }

    /// The session's own server has carried out the unit that it was given.
    async fn finish_local(&mut self) {
        if self.under_way == Some(Side::Local) {
            self.settle_local().await;
            self.next_unit();
        }
    }

    pub(super) fn next_unit(&mut self) {
        self.under_way = None;
        self.awaited = Awaited::Unit;
        self.unit = Unit::default();
        self.parses.clear();
        self.closes.clear();
        self.names.begin();
        self.idle = Instant::now();
    }

    /// Until when the session at the writer may be idle, if it is.
    fn idle_until(&self) -> Option<Instant> {
        if self.writer.is_none() || self.under_way.is_some() || self.unit.side.is_some() {
            return None;
        }
        let terms: ForwardingTerms = self.forwarding.terms()?;
        let wait = match self.block {
            Block::Forwarded { .. } => terms.idle_in_transaction_session_timeout,
            _ => terms.idle_session_timeout,
        };
        // What is too far away isn't reached.
        self.idle.checked_add(wait?)
    }

    /// Tells the client why the unit came to nothing; what is left of it is passed over.
    pub(super) async fn refuse(&mut self, failure: &Failure) -> io::Result<()> {
        self.doom().await?;
        self.names.doubt(Side::Writer);
        self.unit.messages();
        self.under_way = None;
        self.deliver(&failure.response()).await?;
        match self.unit.is_whole {
            true => self.ready().await,
            false => {
                self.unit.is_over = true;
                Ok(())
            }
        }
    }

    /// Tells the client that the next unit may come.
    async fn ready(&mut self) -> io::Result<()> {
        self.next_unit();
        let ready = message(b'Z', &[&[self.status]]);
        self.deliver(&ready).await
    }

    /// Has the client hear something, if and when it may.
    pub(super) async fn deliver(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if let Some(gate) = self.ends.directory.gate() {
            gate.opened().await;
        }
        if !self.ends.directory.may_answer() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.ends.counters.to_clients.add(bytes.len() as u64);
        self.client.write(bytes).await
    }
}

fn next<T>(read: Result<T, super::frames::Malformed>) -> io::Result<T> {
    read.map_err(|_| io::ErrorKind::InvalidData.into())
}
