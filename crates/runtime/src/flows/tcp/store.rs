//! What a thread moves bytes with: one buffer through which all flows copy, buffers for what slow
//! readers haven't taken, pipes. A flow that moves nothing has none of these.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use super::super::limits::{BUFFER, Budget};

/// A buffer of [`BUFFER`] bytes.
pub(super) type Buffer = Box<[u8]>;

/// Buffers and pipes that are kept though nobody uses them.
const SPARE: usize = 16;

/// What a pipe may hold, in bytes, if the system lets it (pipe(7), pipe-user-pages-soft); 64 KiB
/// otherwise.
const PIPE: usize = 256 * 1024;

/// A pipe. It is empty when it isn't held.
pub(super) struct Pipe {
    pub(super) reader: OwnedFd,
    pub(super) writer: OwnedFd,
}

/// A thread's means.
pub(super) struct Store {
    budget: Arc<Budget>,
    scratch: Buffer,
    /// A buffer's place in the budget is taken before anything is read that may have to be held.
    reserved: bool,
    spare: Vec<Buffer>,
    pipes: Vec<Pipe>,
}

impl Store {
    pub(super) fn new(budget: Arc<Budget>) -> Store {
        Store {
            budget,
            scratch: buffer(),
            reserved: false,
            spare: Vec::new(),
            pipes: Vec::new(),
        }
    }

    /// What is read into. Its contents are anything.
    pub(super) fn scratch(&mut self) -> &mut Buffer {
        &mut self.scratch
    }

    /// May the next thing that is read be held?
    pub(super) fn may_hold(&mut self) -> bool {
        self.reserved = self.reserved || self.budget.buffers.take(1);
        self.reserved
    }

    /// The scratch buffer with what is in it, after [`may_hold`](Self::may_hold) has said yes;
    /// another takes its place.
    pub(super) fn hold(&mut self) -> Buffer {
        self.reserved = false;
        let other = self.spare.pop().unwrap_or_else(buffer);
        std::mem::replace(&mut self.scratch, other)
    }

    /// A buffer that was held is no longer needed.
    pub(super) fn release(&mut self, buffer: Buffer) {
        self.budget.buffers.give(1);
        if self.spare.len() < SPARE {
            self.spare.push(buffer);
        }
    }

    /// An empty pipe; none if there are no descriptors for it.
    pub(super) fn pipe(&mut self) -> Option<Pipe> {
        if let Some(pipe) = self.pipes.pop() {
            return Some(pipe);
        }
        if !self.budget.descriptors.take(2) {
            return None;
        }
        match pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK) {
            Ok((reader, writer)) => {
                // It is of use with less, too.
                fcntl_setpipe_size(&writer, PIPE).ok();
                Some(Pipe { reader, writer })
            }
            Err(cause) => {
                self.budget.descriptors.give(2);
                tracing::debug!(%cause, "no pipe for a flow: it is copied");
                None
            }
        }
    }

    /// An empty pipe isn't needed now.
    pub(super) fn keep(&mut self, pipe: Pipe) {
        match self.pipes.len() < SPARE {
            true => self.pipes.push(pipe),
            false => self.close(pipe),
        }
    }

    /// A pipe isn't needed any more, whatever is in it.
    pub(super) fn close(&mut self, pipe: Pipe) {
        drop(pipe);
        self.budget.descriptors.give(2);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.budget.buffers.give(usize::from(self.reserved));
        self.budget.descriptors.give(2 * self.pipes.len());
    }
}

fn buffer() -> Buffer {
    vec![0; BUFFER].into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::FlowLimits;

    #[test]
    fn no_more_is_held_than_the_budget_has() {
        let limits = FlowLimits {
            buffers: 2,
            ..FlowLimits::USUAL
        };
        let budget = Arc::new(Budget::new(&limits, 4));
        let mut store = Store::new(Arc::clone(&budget));
        let mut held = Vec::new();
        for _ in 0..2 {
            assert!(store.may_hold() && store.may_hold());
            held.push(store.hold());
        }
        assert!(!store.may_hold());
        store.release(held.pop().unwrap());
        assert!(store.may_hold());
        let pipes: Vec<Pipe> = std::iter::from_fn(|| store.pipe()).collect();
        assert_eq!(pipes.len(), 2);
        pipes.into_iter().for_each(|pipe| store.keep(pipe));
        drop(store);
        assert_eq!(budget.buffers.left(), 1);
        assert_eq!(budget.descriptors.left(), 4);
    }
}
