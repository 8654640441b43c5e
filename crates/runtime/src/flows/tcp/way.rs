//! One direction of a TCP flow: bytes read here are written there. What the reader doesn't take
//! at once is held, and nothing more is read until it is taken. Little goes by copying; much goes
//! by splice(2), which moves pages through a pipe.

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use rustix::pipe::{SpliceFlags, splice};
use std::os::fd::OwnedFd;

use super::super::limits::BUFFER;
use super::super::poll::Ready;
use super::store::{Buffer, Pipe, Store};

/// How often a direction reads and writes before others have their turn.
const TURNS: usize = 8;

/// A read of less than this is no sign of much to come.
const MUCH: usize = BUFFER / 4;

/// After so many bytes of which no read was small, a direction splices.
const STREAK: usize = 256 * 1024;

/// What is spliced at a time, at most: more than a pipe holds.
const SPLICED: usize = 1024 * 1024;

/// One end of a flow.
pub(super) struct Side {
    pub(super) socket: OwnedFd,
    /// There may be something to read.
    readable: bool,
    /// There may be room to write.
    writable: bool,
    /// Behind what there is to read comes the end, or an error.
    ending: bool,
}

/// Whose connection broke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Broken {
    /// The one that is read from.
    Source,
    /// The one that is written to.
    Sink,
}

/// One direction.
pub(super) struct Way {
    held: Held,
    /// Bytes read since the last small read.
    streak: usize,
    state: State,
    /// Bytes written.
    pub(super) moved: u64,
}

/// What was read and not yet written.
enum Held {
    Nothing,
    Buffer {
        buffer: Buffer,
        start: usize,
        end: usize,
    },
    Pipe {
        pipe: Pipe,
        length: usize,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// All was read; what is held, and then the end, are still to be passed on.
    Ending,
    Done,
}

impl Side {
    /// Whether there is anything to read isn't known, so that it is tried.
    pub(super) fn new(socket: OwnedFd) -> Side {
        Side {
            socket,
            readable: true,
            writable: true,
            ending: false,
        }
    }

    /// A connection that is being made.
    pub(super) fn asking(socket: OwnedFd) -> Side {
        Side {
            readable: false,
            writable: false,
            ..Side::new(socket)
        }
    }

    /// Learns what has become of it.
    pub(super) fn learn(&mut self, ready: Ready) {
        self.readable |= ready.readable;
        self.writable |= ready.writable;
        self.ending |= ready.ending;
    }

    /// Nothing has come to be read.
    pub(super) fn is_silent(&mut self) {
        self.readable = false;
    }

    pub(super) fn is_readable(&self) -> bool {
        self.readable
    }

    pub(super) fn is_writable(&self) -> bool {
        self.writable
    }

    /// Writes what there is room for; gives how much that was.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        loop {
            match rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(count) => {
                    self.writable = count == bytes.len();
                    return Ok(count);
                }
                Err(Errno::AGAIN) => {
                    self.writable = false;
                    return Ok(0);
                }
                Err(Errno::INTR) => {}
                Err(_) => return Err(Broken::Sink),
            }
        }
    }

    /// Reads what there is; 0 is the end, none that there is nothing now.
    pub(super) fn read(&mut self, room: &mut [u8]) -> Result<Option<usize>, Broken> {
        let count = self.receive(room, RecvFlags::empty())?;
        // A read that didn't fill its room has emptied the socket; but an end that was announced
        // is still to be read, and won't be again.
        if count.is_some_and(|count| count < room.len() && !self.ending) {
            self.readable = false;
        }
        Ok(count)
    }

    fn receive(&mut self, room: &mut [u8], flags: RecvFlags) -> Result<Option<usize>, Broken> {
        loop {
            match rustix::net::recv(&self.socket, &mut *room, flags) {
                Ok((_, count)) => return Ok(Some(count)),
                Err(Errno::AGAIN) => {
                    self.readable = false;
                    return Ok(None);
                }
                Err(Errno::INTR) => {}
                Err(_) => return Err(Broken::Source),
            }
        }
    }

    /// Tells the other side that nothing more will be written.
    pub(super) fn finish(&self) {
        // A connection that is gone has been told.
        rustix::net::shutdown(&self.socket, Shutdown::Write).ok();
    }
}

impl Way {
    pub(super) fn new() -> Way {
        Way {
            held: Held::Nothing,
            streak: 0,
            state: State::Open,
            moved: 0,
        }
    }

    /// Nothing more moves here: all is written, or can't be.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Is everything written that was read to the end, but for the end itself?
    pub(super) fn is_at_end(&self) -> bool {
        self.state == State::Ending && matches!(self.held, Held::Nothing)
    }

    /// The end, too, was passed on.
    pub(super) fn set_done(&mut self) {
        self.state = State::Done;
    }

    /// Gives up what couldn't be written.
    pub(super) fn abandon(&mut self, store: &mut Store) {
        match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Nothing => {}
            Held::Buffer { buffer, .. } => store.release(buffer),
            Held::Pipe { pipe, .. } => store.close(pipe),
        }
        self.state = State::Done;
    }

    /// Moves what can be moved now, but for the end; gives whether there may be more.
    pub(super) fn pump(
        &mut self,
        from: &mut Side,
        to: &mut Side,
        store: &mut Store,
    ) -> Result<bool, Broken> {
        for _ in 0..TURNS {
            if !self.flush(to, store)? || self.state != State::Open {
                return Ok(false);
            }
            if !from.readable || !to.writable {
                return Ok(false);
            }
            match self.streak >= STREAK {
                true => self.splice(from, store)?,
                false => self.copy(from, to, store)?,
            }
        }
        self.flush(to, store)?;
        Ok(self.state == State::Open && from.readable && to.writable)
    }

    /// Writes what is held; gives whether all was written.
    fn flush(&mut self, to: &mut Side, store: &mut Store) -> Result<bool, Broken> {
        let moved = &mut self.moved;
        match &mut self.held {
            Held::Nothing => return Ok(true),
            Held::Buffer { buffer, start, end } => {
                if to.writable {
                    let written = to.write(&buffer[*start..*end])?;
                    *start += written;
                    *moved += written as u64;
                }
                if start < end {
                    return Ok(false);
                }
            }
            Held::Pipe { pipe, length } => {
                while *length > 0 && to.writable {
                    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
                    match splice(&pipe.reader, None, &to.socket, None, *length, flags) {
                        Ok(written) => {
                            *length -= written;
                            *moved += written as u64;
                        }
                        Err(Errno::AGAIN) => to.writable = false,
                        Err(Errno::INTR) => {}
                        Err(_) => return Err(Broken::Sink),
                    }
                }
                if *length > 0 {
                    return Ok(false);
                }
            }
        }
        match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Nothing => {}
            Held::Buffer { buffer, .. } => store.release(buffer),
            Held::Pipe { pipe, .. } => store.keep(pipe),
        }
        Ok(true)
    }

    fn copy(&mut self, from: &mut Side, to: &mut Side, store: &mut Store) -> Result<(), Broken> {
        if !store.may_hold() {
            return self.pass(from, to, store);
        }
        match from.read(store.scratch())? {
            None => {}
            Some(0) => self.end(from),
            Some(count) => {
                self.measure(count);
                let written = to.write(&store.scratch()[..count])?;
                self.moved += written as u64;
                if written < count {
                    self.held = Held::Buffer {
                        buffer: store.hold(),
                        start: written,
                        end: count,
                    };
                }
            }
        }
        Ok(())
    }

    /// Copies without ever having to hold anything: only what was written is taken from the
    /// source.
    fn pass(&mut self, from: &mut Side, to: &mut Side, store: &mut Store) -> Result<(), Broken> {
        let scratch = store.scratch();
        match from.receive(scratch, RecvFlags::PEEK)? {
            None => {}
            Some(0) => self.end(from),
            Some(count) => {
                self.measure(count);
                let written = to.write(&scratch[..count])?;
                self.moved += written as u64;
                if written > 0 {
                    // TCP throws away what is asked for so (tcp(7), MSG_TRUNC).
                    from.receive(&mut scratch[..written], RecvFlags::TRUNC)?;
                }
                if written == count && count < BUFFER && !from.ending {
                    from.readable = false;
                }
            }
        }
        Ok(())
    }

    fn splice(&mut self, from: &mut Side, store: &mut Store) -> Result<(), Broken> {
        let Some(pipe) = store.pipe() else {
            // There is none to be had now: look again when as much has been copied.
            self.streak = 0;
            return Ok(());
        };
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match splice(&from.socket, None, &pipe.writer, None, SPLICED, flags) {
            Ok(0) => self.end(from),
            Ok(length) => {
                self.measure(length);
                self.held = Held::Pipe { pipe, length };
                return Ok(());
            }
            // The pipe was empty, so that it can only be the source that has nothing.
            Err(Errno::AGAIN) => from.readable = false,
            Err(Errno::INTR) => {}
            // This kind of socket can't: copy.
            Err(Errno::INVAL | Errno::NOSYS) => self.streak = 0,
            Err(_) => {
                store.keep(pipe);
                return Err(Broken::Source);
            }
        }
        store.keep(pipe);
        Ok(())
    }

    fn end(&mut self, from: &mut Side) {
        from.readable = false;
        self.state = State::Ending;
    }

    fn measure(&mut self, count: usize) {
        self.streak = match count >= MUCH {
            true => self.streak.saturating_add(count),
            false => 0,
        };
    }
}
