//! One commit's answer on its way from the writer to the caller. Of no runtime: it stores the
//! waker it was polled with. It never waits by itself and never blocks a thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use crate::{CommitError, LogPosition};

/// What a commit answers.
pub(crate) type Answer = Result<LogPosition, CommitError>;

/// The writer's half. Dropped unresolved, it answers `Failed`: a caller never waits for ever.
#[derive(Debug)]
pub(crate) struct Completion {
    slot: Option<Arc<Mutex<Slot>>>,
}

/// The caller's half: a future.
#[derive(Debug)]
pub(crate) struct Completed {
    slot: Arc<Mutex<Slot>>,
}

#[derive(Debug, Default)]
struct Slot {
    answer: Option<Answer>,
    waker: Option<Waker>,
}

/// Both halves.
pub(crate) fn completion() -> (Completion, Completed) {
    let slot = Arc::new(Mutex::new(Slot::default()));
    let completion = Completion {
        slot: Some(Arc::clone(&slot)),
    };
    (completion, Completed { slot })
}

impl Completion {
    /// Gives the answer and wakes the caller. Call it with no lock held.
    pub(crate) fn resolve(mut self, answer: Answer) {
        self.answer(answer);
    }

    fn answer(&mut self, answer: Answer) {
        let Some(slot) = self.slot.take() else {
            return;
        };
        let waker = {
            let mut slot = lock(&slot);
            slot.answer = Some(answer);
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if self.slot.is_some() {
            self.answer(Err(CommitError::Failed(
                "the engine was closed before the batch was synced".to_owned(),
            )));
        }
    }
}

impl Future for Completed {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let mut slot = lock(&self.slot);
        if let Some(answer) = slot.answer.take() {
            return Poll::Ready(answer);
        }
        match &mut slot.waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => slot.waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock()
        .expect("nothing panics while it holds a completion's lock")
}
