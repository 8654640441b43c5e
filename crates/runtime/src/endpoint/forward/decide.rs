//! Where a session's units go, what its reads wait for, and how the transaction at the writer and
//! the one at the session's own server stay one.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::failure::Failure;
use super::frames::{Frame, HEADER, field};
use super::session::{PLACE, Session};
use super::settings::{SETTINGS, settings};
use super::terms::{Consistency, ForwardingTerms};
use super::unit::{End, Side};
use super::waiting::{Outcome, heard};
use super::writer::{Answer, Who, Writer, query, row};

/// What its own server says of a session: its mode, how far it has replayed, how long a statement
/// may take in milliseconds, and how its transaction is isolated.
const LOOK: &str = "SELECT pg_catalog.current_setting('apg_write_forward.consistency_mode', true), \
    pg_catalog.pg_last_wal_replay_lsn(), \
    pg_catalog.date_part('epoch', pg_catalog.current_setting('statement_timeout')\
    ::pg_catalog.interval) * 1000, pg_catalog.current_setting('transaction_isolation')";

/// Between two looks how far the server has replayed: the first pause, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// What begins a transaction late at the writer: only one that is read committed is, whatever it
/// would be there by default.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// What fails, so that a transaction does.
const DOOM: &str = "SELECT 1/0";

/// The settings of a session that has lost them.
const UNSURE: &str = "?";

/// A session's transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Block {
    /// None.
    None,
    /// At its own server.
    Local {
        /// May it still be begun at the writer instead?
        can_forward: bool,
    },
    /// At the writer; one without a statement is open at its own server meanwhile.
    Forwarded {
        /// What the writer last said of it.
        status: u8,
    },
    /// It was at the writer, whose session ended while nothing was under way.
    Lost(String),
}

/// What a session has committed at the writer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wrote {
    /// Nothing yet, or all of it is here.
    Nothing,
    /// All of it up to that place of the log.
    UpTo(u64),
    /// Something, nobody knows up to where.
    Unknown,
}

impl Wrote {
    /// As a server says where its log stands.
    pub(super) fn read(text: Option<String>) -> Wrote {
        text.and_then(|text| place(&text))
            .map_or(Wrote::Unknown, Wrote::UpTo)
    }
}

/// A place of the log: `16/B374D848`.
fn place(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let part = |text| u32::from_str_radix(text, 16).ok();
    Some(u64::from(part(high)?) << 32 | u64::from(part(low)?))
}

/// What [`LOOK`] has shown.
struct Looked {
    mode: Consistency,
    replayed: Option<u64>,
    timeout: Option<Duration>,
    is_read_committed: bool,
}

/// Takes the value of an outcome, or returns from the function with its failure.
macro_rules! or_fail {
    ($outcome:expr) => {
        match $outcome {
            Ok(value) => value,
            Err(failure) => return Ok(Err(failure)),
        }
    };
}

impl Session<'_> {
    /// Where the unit goes that was taken, once all is so that it can.
    pub(super) async fn decide(&mut self) -> Outcome<Side> {
        self.deadline = None;
        let shape = self.unit.judged();
        let concerns = shape.writes || shape.waits();
        match self.block.clone() {
            Block::Forwarded { status } => self.decide_at_writer(status).await,
            Block::Lost(why) => {
                self.doom().await?;
                Ok(Err(Failure::lost(&why)))
            }
            // What sets a mode is judged by none.
            Block::Local { .. } | Block::None if !concerns => Ok(Ok(Side::Local)),
            Block::Local { can_forward } if self.status == b'T' => {
                let looked = or_fail!(self.look_first().await?);
                let shape = self.unit.judged();
                let is_write = shape.is_write() || shape.writes && shape.fits();
                let begins = shape.begin.is_some() || !looked.is_read_committed;
                let goes = can_forward && looked.mode != Consistency::Off && is_write && !begins;
                match self.forwarding.terms().filter(|_| goes) {
                    Some(terms) => self.begin_at_writer(&terms).await,
                    // It sees what it saw as it began, and that waited.
                    None if !looked.is_read_committed => Ok(Ok(Side::Local)),
                    None => self.stay(looked).await,
                }
            }
            Block::None if self.status == b'I' => {
                let shape = self.unit.judged();
                let is_write = shape.is_write();
                let begins = shape.begin.is_some();
                let looked = or_fail!(self.look_first().await?);
                let terms = self.forwarding.terms();
                match terms.filter(|_| looked.mode != Consistency::Off && is_write) {
                    Some(_) if begins && !looked.is_read_committed => Ok(Ok(Side::Local)),
                    Some(terms) => {
                        or_fail!(self.reach(&terms).await?);
                        if begins {
                            or_fail!(self.ask("BEGIN").await?);
                            self.block = Block::Forwarded { status: b'T' };
                        }
                        Ok(Ok(Side::Writer))
                    }
                    None => self.stay(looked).await,
                }
            }
            Block::Local { .. } | Block::None => Ok(Ok(Side::Local)),
        }
    }

    /// The unit is the session's own server's, once that has replayed what it is to see.
    async fn stay(&mut self, looked: Looked) -> Outcome<Side> {
        if self.unit.judged().waits() {
            or_fail!(self.wait(looked).await?);
        }
        Ok(Ok(Side::Local))
    }

    /// Of a unit within a transaction that is the writer's.
    async fn decide_at_writer(&mut self, status: u8) -> Outcome<Side> {
        let shape = self.unit.judged();
        if shape.is_empty() {
            return Ok(Ok(Side::Writer));
        }
        let is_open = status == b'T';
        if is_open && shape.only_sets() {
            return Ok(Ok(Side::Local));
        }
        if is_open && shape.fits() && shape.begin.is_none() {
            or_fail!(self.bring_settings().await?);
            return Ok(Ok(Side::Writer));
        }
        // It ends what has failed, or comes to nothing in it. What would be set, committed or begun
        // behind that end the session wouldn't know of.
        if !is_open && !shape.goes_on() {
            return Ok(Ok(Side::Writer));
        }
        let what = shape.other.clone().unwrap_or_else(|| "SET".to_owned());
        let message = format!("cannot execute {what} in a transaction that forwards writes");
        Ok(Err(Failure::new(b"25006", message)))
    }

    /// Has the session's transaction go on at the writer, where it hasn't begun yet.
    async fn begin_at_writer(&mut self, terms: &ForwardingTerms) -> Outcome<Side> {
        or_fail!(self.reach(terms).await?);
        match self.ask_writer(BEGIN).await? {
            Ok(Answer { status: b'T', .. }) => {
                self.block = Block::Forwarded { status: b'T' };
                Ok(Ok(Side::Writer))
            }
            Ok(_) => {
                self.drop_writer();
                Ok(Err(Failure::unreachable("it begins no transaction")))
            }
            Err(failure) => {
                self.drop_writer();
                Ok(Err(failure))
            }
        }
    }

    /// Asks the writer, between two units. Its session is given up if it doesn't answer.
    async fn ask_writer(&mut self, sql: &str) -> Outcome<Answer> {
        let Some(writer) = &mut self.writer else {
            return Ok(Err(Failure::unreachable("it ended the session")));
        };
        let asking = writer.ask(sql);
        let answer = heard(asking, &mut self.client, &self.cancelled, self.deadline).await?;
        if self.writer.as_ref().is_some_and(|writer| writer.owes) {
            self.drop_writer();
        }
        Ok(answer)
    }

    /// Sees to it that there is a session at the writer, of the settings of this one.
    async fn reach(&mut self, terms: &ForwardingTerms) -> Outcome<()> {
        self.know(terms);
        if self.writer.is_none() {
            let who = Who {
                startup: &self.startup,
                user: &self.user,
                witness: &self.witness,
            };
            let opening = Writer::open(&*self.forwarding, terms, who);
            let opened = heard(opening, &mut self.client, &self.cancelled, self.deadline);
            self.writer = Some(or_fail!(opened.await?));
        }
        self.bring_settings().await
    }

    /// If another writes by now, a place in its predecessor's log says nothing, nor does a session
    /// there.
    fn know(&mut self, terms: &ForwardingTerms) {
        if self.wrote_at != terms.writer {
            self.drop_writer();
            if self.wrote != Wrote::Nothing {
                self.wrote = Wrote::Unknown;
            }
            self.wrote_at.clone_from(&terms.writer);
        }
    }

    async fn bring_settings(&mut self) -> Outcome<()> {
        let question = format!("{SETTINGS}{}", self.names.customs.question());
        let answer = or_fail!(self.ask(&question).await?);
        let settings = settings(&answer.rows);
        let is_set = |writer: &Writer| writer.settings == settings;
        if self.writer.as_ref().is_some_and(is_set) {
            return Ok(Ok(()));
        }
        if self.deadline.is_none() {
            // Within a transaction the session's own server wasn't asked how long it may take.
            or_fail!(self.look_first().await?);
        }
        self.names.lose_unnamed(Side::Writer);
        // Whatever it has if that fails, a statement of this session isn't to run by it.
        self.leave_unsure();
        let reset = format!("RESET ROLE; RESET ALL{settings}");
        or_fail!(self.ask_writer(&reset).await?);
        if let Some(writer) = &mut self.writer {
            writer.settings = settings;
        }
        Ok(Ok(()))
    }

    fn leave_unsure(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.settings = UNSURE.to_owned();
        }
    }

    /// Asks the session's own server, between two units.
    async fn ask(&mut self, sql: &str) -> Outcome<Answer> {
        self.names.lose_unnamed(Side::Local);
        self.local.write(&query(sql)).await?;
        let mut rows = Vec::new();
        let mut failure = None;
        loop {
            let frame = self.local.frames.next();
            let frame = frame.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            let Some(frame) = frame else {
                match self.local.read().await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    _ => continue,
                }
            };
            let bytes = match frame {
                Frame::Whole(bytes) => bytes,
                Frame::First(bytes) if bytes[0] == b'D' => {
                    failure = Some(Failure::too_long());
                    continue;
                }
                Frame::First(_) | Frame::More(_) => continue,
            };
            let body = &bytes[HEADER..];
            match bytes[0] {
                b'D' => rows.push(row(body)),
                b'E' if field(body, b'V').is_some_and(|it| it != "ERROR") => {
                    // It ends the session, and says why.
                    self.deliver(&bytes).await?;
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                b'E' => failure = Some(Failure::said(body)),
                b'Z' => {
                    self.status = body.first().copied().unwrap_or(b'E');
                    let status = self.status;
                    return Ok(failure.map_or(Ok(Answer { rows, status }), Err));
                }
                b'S' | b'A' => self.deliver(&bytes).await?,
                _ => {}
            }
        }
    }

    /// Has the session's own server see that the session isn't idle.
    pub(super) async fn stay_awake(&mut self) -> io::Result<()> {
        self.asked = Instant::now();
        // What it has to say of its own accord mustn't come amid a message of the writer.
        let is_amid = |writer: &Writer| writer.frames.is_amid();
        if self.writer.as_ref().is_some_and(is_amid) {
            return Ok(());
        }
        if let Err(failure) = self.ask("SELECT 1").await? {
            tracing::debug!(?failure, "a session's own server wasn't kept awake");
        }
        Ok(())
    }

    /// As [`Session::look`] does, at a unit that has just come: its time runs from then on.
    async fn look_first(&mut self) -> Outcome<Looked> {
        let began = Instant::now();
        let looked = or_fail!(self.look().await?);
        // What is too far away isn't reached.
        self.deadline = looked.timeout.and_then(|wait| began.checked_add(wait));
        Ok(Ok(looked))
    }

    async fn look(&mut self) -> Outcome<Looked> {
        let mut answer = or_fail!(self.ask(LOOK).await?);
        let mut row = answer.rows.pop().unwrap_or_default().into_iter();
        let mut next = || row.next().flatten();
        let (mode, replayed, wait, isolation) = (next(), next(), next(), next());
        let mode = mode.filter(|mode| !mode.is_empty());
        let read = match &mode {
            None => self.forwarding.terms().map(|terms| terms.consistency),
            Some(mode) => match Consistency::of_name(mode) {
                Some(read) => Some(read),
                None => {
                    let name = super::terms::MODE;
                    let message = format!("invalid value for parameter \"{name}\": \"{mode}\"");
                    return Ok(Err(Failure::new(b"22023", message)));
                }
            },
        };
        let wait = wait.and_then(|wait| wait.parse::<f64>().ok());
        Ok(Ok(Looked {
            mode: read.unwrap_or(Consistency::Off),
            replayed: replayed.and_then(|text| place(&text)),
            timeout: wait
                .filter(|wait| *wait > 0.0)
                .and_then(|wait| Duration::try_from_secs_f64(wait / 1000.0).ok()),
            is_read_committed: isolation.as_deref() == Some("read committed"),
        }))
    }

    /// Waits until its own server has replayed what its reads are to see.
    async fn wait(&mut self, looked: Looked) -> Outcome<()> {
        if let Some(terms) = self.forwarding.terms() {
            self.know(&terms);
        }
        let Some(mut until) = or_fail!(self.until(looked.mode).await?) else {
            return Ok(Ok(()));
        };
        let (mut pause, mut replayed) = (FIRST_PAUSE, looked.replayed);
        while replayed.is_some_and(|place| place < until) {
            let pausing = async {
                sleep(pause).await;
                Ok(())
            };
            let paused = heard(pausing, &mut self.client, &self.cancelled, self.deadline);
            or_fail!(paused.await?);
            pause = (pause * 2).min(LONGEST_PAUSE);
            replayed = or_fail!(self.look().await?).replayed;
            match self.forwarding.terms() {
                None => return Ok(Ok(())),
                Some(terms) if terms.writer == self.wrote_at => {}
                // That place was in a log which isn't followed any more.
                Some(terms) => {
                    self.know(&terms);
                    match or_fail!(self.until(looked.mode).await?) {
                        Some(place) => until = place,
                        None => return Ok(Ok(())),
                    }
                }
            }
        }
        self.wrote = Wrote::Nothing;
        Ok(Ok(()))
    }

    /// Up to where a read is to wait; `None`: it needn't.
    async fn until(&mut self, mode: Consistency) -> Outcome<Option<u64>> {
        match (mode, self.wrote) {
            (Consistency::Off | Consistency::Eventual, _)
            | (Consistency::Session, Wrote::Nothing) => Ok(Ok(None)),
            (Consistency::Session, Wrote::UpTo(place)) => Ok(Ok(Some(place))),
            (Consistency::Session, Wrote::Unknown) | (Consistency::Global, _) => {
                self.place_of_writer().await
            }
        }
    }

    /// Where the writer's log stands now; `None`: nobody forwards to it any more.
    async fn place_of_writer(&mut self) -> Outcome<Option<u64>> {
        let Some(terms) = self.forwarding.terms() else {
            return Ok(Ok(None));
        };
        or_fail!(self.reach(&terms).await?);
        self.names.lose_unnamed(Side::Writer);
        match self.ask_writer(PLACE).await? {
            Ok(mut answer) => match Wrote::read(answer.rows.pop().and_then(|mut it| it.pop()?)) {
                Wrote::UpTo(place) => Ok(Ok(Some(place))),
                _ => Ok(Err(Failure::unreachable(
                    "it doesn't say where its log stands",
                ))),
            },
            Err(failure) => {
                self.drop_writer();
                Ok(Err(failure))
            }
        }
    }

    /// The session's own server has carried out a unit.
    pub(super) async fn settle_local(&mut self) {
        let spoils = self.unit.shape.other.is_some() || self.unit.keeps_portal;
        self.block = match (&self.block, self.status) {
            (_, b'I') => Block::None,
            (Block::None, b'T') => Block::Local {
                can_forward: self.unit.shape.begin == Some(true) && !spoils,
            },
            (Block::Local { can_forward }, b'T') => Block::Local {
                can_forward: *can_forward && !spoils,
            },
            (Block::Forwarded { .. }, b'E') => {
                // The one at the writer is not to be committed.
                self.drop_writer();
                Block::Local { can_forward: false }
            }
            (Block::None, _) => Block::Local { can_forward: false },
            (block, _) => (*block).clone(),
        };
    }

    /// The writer has carried out a unit: the status that the client is told.
    pub(super) async fn settle_writer(&mut self, status: u8, ended: End) -> io::Result<u8> {
        if let Block::Forwarded { .. } = self.block {
            match status {
                b'I' => {
                    let sql = match ended {
                        End::Commit => "COMMIT",
                        End::Rollback => "ROLLBACK",
                    };
                    // What it has set is as the transaction ended; nothing else was done here.
                    if let Err(failure) = self.ask(sql).await? {
                        tracing::debug!(?failure, "a session's own transaction didn't end well");
                    }
                    self.leave_unsure();
                    self.block = Block::None;
                }
                status => self.block = Block::Forwarded { status },
            }
        }
        Ok(status)
    }

    /// Has the session's transaction, if there is one, come to nothing, wherever it is.
    pub(super) async fn doom(&mut self) -> io::Result<()> {
        if let Block::Forwarded { .. } = self.block {
            self.drop_writer();
        }
        if self.status == b'T' {
            // It fails, as it is to.
            self.ask(DOOM).await?.err();
        }
        self.block = match self.status {
            b'I' => Block::None,
            _ => Block::Local { can_forward: false },
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_the_log_are_read() {
        assert_eq!(place("16/B374D848"), Some(0x16_b374_d848));
        assert_eq!(place("0/0"), Some(0));
        for text in ["", "1", "x/1", "1/2/3", "1/123456789"] {
            assert_eq!(place(text), None, "{text}");
            assert_eq!(Wrote::read(Some(text.to_owned())), Wrote::Unknown);
        }
    }
}
