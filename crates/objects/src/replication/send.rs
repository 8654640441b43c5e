//! What goes to a peer, message by message: answers first, then what is new, then contents in
//! turns; where there is no end of what is new, byte by byte in turns with contents. What isn't
//! answered in time is offered again.

use std::ops::Bound;
use std::sync::Arc;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use store::{Direction, Engine, KeyRange, Snapshot, Space};
use types::{Monotonic, SiteId, Span};

use super::message::{MAX_CONTENT, Message};
use super::offer::{Offered, Ready, WITH_OFFER};
use super::outcome::{Ended, decode_task};
use super::queue::Stretch;
use super::stream::Stream;
use super::task::{Task, TaskKind, outbox_place, outbox_row};
use super::{Outgoing, PAGE, Sending, SiteState};
use crate::{ObjectError, Objects};

/// Offers that aren't answered, at most …
const WINDOW: usize = 1024;

/// … and bytes in them.
const WINDOW_BYTES: u64 = 16 << 20;

/// Contents sent in pieces at a time, at most.
const MAX_STREAMS: usize = 8;

/// An answer is waited for so long; then the link is believed to have lost something.
const PATIENCE: Span = Span::seconds(30);

/// How often to look whether something is overdue.
const LOOK: Span = Span::seconds(5);

/// How often the outbox is read from its beginning while there is nothing to do.
const READ_ANEW: Span = Span::seconds(60);

/// Messages taken in at a time where source and destination are one Region.
const LOCAL_WORK: usize = 64;

impl Sending {
    /// A task's row is gone: so is what memory knew of it.
    pub(super) fn finished(&mut self, number: u64) {
        self.land(number);
        self.queue.finished(number);
        if self.streams.len() < MAX_STREAMS {
            self.queue.take_back();
        }
    }

    /// A task is to be tried again later.
    pub(super) fn again(&mut self, number: u64, now: Monotonic) {
        self.land(number);
        self.queue.again(number, now);
        if self.streams.len() < MAX_STREAMS {
            self.queue.take_back();
        }
    }

    fn land(&mut self, number: u64) {
        self.streams.remove(&number);
        self.wanted.remove(&number);
        if let Some(flight) = self.flights.remove(&number) {
            self.offered = self.offered.saturating_sub(flight.offered);
        }
    }

    fn has_room(&self) -> bool {
        self.queue.running() < WINDOW && self.offered < WINDOW_BYTES
    }
}

impl<E: Engine> Objects<E> {
    /// Waits for the next message to a peer. It is to be called again once that message is on its
    /// way; one that the link loses is made good by [`Objects::link_restarted`], or by time. One
    /// call at a time for a peer; a call that is dropped loses nothing but time, and what it was
    /// ending the next one ends.
    pub async fn next_message(&self, peer: SiteId) -> Outgoing {
        let Some(state) = self.replication.site(peer) else {
            return std::future::pending().await;
        };
        loop {
            let bell = state.listen();
            self.overdue(state);
            self.end_given_up(peer, state).await;
            let answer = state.sending().answers.pop_front();
            if let Some(answer) = answer {
                return outgoing(&answer, String::new(), 0);
            }
            let is_due = state.sending().ahead >= MAX_CONTENT;
            if is_due && let Some(piece) = self.next_piece(state).await {
                return piece;
            }
            if let Some(offer) = self.next_offer(peer, state).await {
                return offer;
            }
            if let Some(piece) = self.next_piece(state).await {
                return piece;
            }
            let wake = self.overdue(state);
            let alarm = self.config.environment.sleep_until(wake);
            select(bell, alarm).await;
        }
    }

    /// The link to a peer is a new one: what was under way may be lost, and starts again. Contents
    /// go on where they were.
    pub fn link_restarted(&self, peer: SiteId) {
        let Some(state) = self.replication.site(peer) else {
            return;
        };
        let mut sending = state.sending();
        sending.flights.clear();
        sending.streams.clear();
        sending.wanted.clear();
        sending.offered = 0;
        sending.queue.restart();
        drop(sending);
        state.ring();
    }

    /// Replicates to destinations in this very Region, for as long as it is polled.
    pub async fn replicate_locally(self: Arc<Self>) {
        let own = self.config.site;
        let mut work = FuturesUnordered::new();
        let mut next = Box::pin(self.next_message(own));
        loop {
            if work.len() >= LOCAL_WORK {
                work.next().await;
                continue;
            }
            if work.is_empty() {
                let message = next.await;
                next = Box::pin(self.next_message(own));
                work.push(self.clone().take_local(message));
                continue;
            }
            match select(next, work.next()).await {
                Either::Left((message, _)) => {
                    next = Box::pin(self.next_message(own));
                    work.push(self.clone().take_local(message));
                }
                Either::Right((_, rest)) => next = rest,
            }
        }
    }

    async fn take_local(self: Arc<Self>, message: Outgoing) {
        match self.receive(self.config.site, message.payload) {
            Ok(work) => work.await,
            Err(error) => tracing::error!(%error, "a message of this Region's own"),
        }
    }

    /// Starts tasks until one is to be offered.
    async fn next_offer(&self, peer: SiteId, state: &SiteState) -> Option<Outgoing> {
        loop {
            let now = self.config.environment.now().monotonic;
            let (started, unread) = {
                let mut sending = state.sending();
                if !sending.has_room() {
                    return None;
                }
                match sending.queue.start(now) {
                    Some(number) => (Some(number), None),
                    None => (None, sending.queue.unread()),
                }
            };
            let done = match (started, unread) {
                (Some(number), _) => self.start(peer, state, number).await,
                (None, Some(stretch)) => {
                    self.read_outbox(peer, state, stretch).await.map(|()| None)
                }
                (None, None) => return None,
            };
            match (done, started) {
                (Ok(Some(offer)), _) => return Some(offer),
                (Ok(None), _) => {}
                (Err(error), Some(number)) => {
                    tracing::warn!(task = number, %error, "replication waits");
                    state.sending().again(number, now);
                }
                (Err(error), None) => {
                    tracing::error!(%error, "the outbox can't be read");
                    return None;
                }
            }
        }
    }

    /// Reads a page of the outbox.
    async fn read_outbox(
        &self,
        peer: SiteId,
        state: &SiteState,
        stretch: Stretch,
    ) -> Result<(), ObjectError> {
        let range = KeyRange {
            start: Bound::Excluded(outbox_row(peer, stretch.after)),
            end: Bound::Excluded(outbox_row(peer, stretch.before)),
        };
        let snapshot = self.engine.snapshot();
        let page = snapshot.scan(Space::Objects, range, Direction::Forward, PAGE);
        let page = page.await?;
        let mut found = Vec::with_capacity(page.entries.len());
        for entry in &page.entries {
            let (_, number) = outbox_place(&entry.key).ok_or_else(super::unreadable)?;
            found.push((number, decode_task(&entry.value)?.line()));
        }
        let mut sending = state.sending();
        for (number, line) in found {
            if !sending.queue.found(&stretch, number, line) {
                return Ok(());
            }
        }
        if !page.more {
            sending.queue.read_through(&stretch);
        }
        Ok(())
    }

    /// Starts a task that has its turn; what it offers, if it does.
    async fn start(
        &self,
        peer: SiteId,
        state: &SiteState,
        number: u64,
    ) -> Result<Option<Outgoing>, ObjectError> {
        if state.sending().streams.len() >= MAX_STREAMS {
            let task = self.task(peer, number).await?;
            if task.is_some_and(|task| is_streamed(&task)) {
                state.sending().queue.set_aside(number);
                return Ok(None);
            }
        }
        match self.make_ready(peer, number).await? {
            Ready::Offer(offered) => Ok(Some(take_off(state, number, *offered))),
            Ready::End(task, ended) => {
                self.end(peer, state, number, &task, ended).await;
                Ok(None)
            }
            Ready::Gone => {
                state.sending().finished(number);
                Ok(None)
            }
        }
    }

    /// Ends a task, unless that is being done; if it can't be now, it is tried again.
    pub(super) async fn end(
        &self,
        peer: SiteId,
        state: &SiteState,
        number: u64,
        task: &Task,
        ended: Ended,
    ) {
        if !state.sending().queue.end(number) {
            return;
        }
        // What was received of it before this attempt is needless.
        if is_streamed(task) && matches!(ended, Ended::Dropped | Ended::Failed(_)) {
            state.answer(Message::Abandon { task: number });
        }
        self.bring_to_end(peer, state, number, task, ended).await;
    }

    async fn bring_to_end(
        &self,
        peer: SiteId,
        state: &SiteState,
        number: u64,
        task: &Task,
        ended: Ended,
    ) {
        let mut ending = Ending {
            state,
            number,
            task,
            ended,
            is_over: false,
        };
        let done = self.end_task(peer, number, task, ended).await;
        ending.is_over = true;
        if let Err(error) = done {
            tracing::warn!(task = number, %error, "the end of a replication waits");
            let now = self.config.environment.now().monotonic;
            state.sending().again(number, now);
            state.ring();
        }
    }

    /// Ends what calls were ending when they were dropped.
    async fn end_given_up(&self, peer: SiteId, state: &SiteState) {
        loop {
            let given_up = state.sending().given_up.pop_front();
            let Some((number, task, ended)) = given_up else {
                return;
            };
            self.bring_to_end(peer, state, number, &task, ended).await;
        }
    }

    /// The next piece of a content, each stream in its turn.
    async fn next_piece(&self, state: &SiteState) -> Option<Outgoing> {
        loop {
            let mut stream = state.sending().next_stream()?;
            let (number, resource) = (stream.task, stream.destination.to_string());
            let next = stream.next(self).await;
            let now = self.config.environment.now().monotonic;
            let mut sending = state.sending();
            match next {
                Ok(Some(message)) => {
                    sending.queue.heard(number, now);
                    sending.put_back(stream);
                    let piece = outgoing(&message, resource, 0);
                    sending.ahead = sending.ahead.saturating_sub(piece.payload.len());
                    return Some(piece);
                }
                Ok(None) => sending.put_back(stream),
                // What was deleted meanwhile is found so when it is tried again.
                Err(error) => {
                    tracing::warn!(task = number, %error, "replication waits");
                    sending.again(number, now);
                }
            }
        }
    }

    /// Has what is overdue tried again, every [`LOOK`] however much there is to do, and says when
    /// there may be more to do.
    fn overdue(&self, state: &SiteState) -> Monotonic {
        let now = self.config.environment.now().monotonic;
        let mut sending = state.sending();
        let (look, wakes_at) = (sending.look, sending.queue.wakes_at());
        if now < look {
            return wakes_at.map_or(look, |at| at.min(look));
        }
        sending.look = now + LOOK;
        if now.0 > PATIENCE.0 {
            for number in sending.queue.silent(Monotonic(now.0 - PATIENCE.0)) {
                tracing::debug!(task = number, "nothing is heard: it is offered again");
                sending.again(number, now);
            }
        }
        if sending.queue.is_idle() && now - sending.read_anew >= READ_ANEW {
            sending.read_anew = now;
            sending.queue.read_anew();
        }
        let look = sending.look;
        sending.queue.wakes_at().map_or(look, |at| at.min(look))
    }
}

/// An end that is being committed. Dropped before it is over, it is left to the next call: it may
/// have been committed or not.
struct Ending<'a> {
    state: &'a SiteState,
    number: u64,
    task: &'a Task,
    ended: Ended,
    is_over: bool,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let given_up = (self.number, self.task.clone(), self.ended);
            self.state.sending().given_up.push_back(given_up);
            self.state.ring();
        }
    }
}

impl Sending {
    /// Takes out the stream whose turn it is; it stays known as one.
    fn next_stream(&mut self) -> Option<Stream> {
        let after = self.turn;
        let flowing = |(number, slot): (&u64, &Option<Stream>)| {
            let stream = slot.as_ref()?;
            stream.is_flowing().then_some(*number)
        };
        let number = self
            .streams
            .range(after + 1..)
            .find_map(flowing)
            .or_else(|| self.streams.range(..=after).find_map(flowing))?;
        self.turn = number;
        self.streams.get_mut(&number)?.take()
    }

    /// Puts a stream back, unless its task has ended meanwhile; where the receiver wants it by
    /// now is found in `wanted`.
    fn put_back(&mut self, mut stream: Stream) {
        let number = stream.task;
        if let Some((index, offset)) = self.wanted.remove(&number) {
            stream.seek(index, offset);
        }
        if let Some(slot) = self.streams.get_mut(&number)
            && slot.is_none()
        {
            *slot = Some(stream);
        }
    }

    /// The receiver of a task wants what follows there.
    pub(super) fn want(&mut self, number: u64, index: u32, offset: u64, now: Monotonic) {
        self.queue.heard(number, now);
        match self.streams.get_mut(&number) {
            Some(Some(stream)) => stream.seek(index, offset),
            Some(None) => {
                self.wanted.insert(number, (index, offset));
            }
            None => {}
        }
    }
}

/// Is that task's content sent in pieces? (It may be small and made of parts: then it is too, and
/// takes its chance.)
fn is_streamed(task: &Task) -> bool {
    task.kind != TaskKind::Amendment && task.bytes > WITH_OFFER
}

fn take_off(state: &SiteState, number: u64, offered: Offered) -> Outgoing {
    let resource = offered.flight.task.destination.to_string();
    let outgoing = outgoing(&offered.message, resource, 1);
    let mut sending = state.sending();
    sending.land(number);
    sending.ahead = (sending.ahead + outgoing.payload.len()).min(2 * MAX_CONTENT);
    sending.offered += offered.flight.offered;
    sending.flights.insert(number, offered.flight);
    if let Some(stream) = offered.stream {
        sending.streams.insert(number, Some(stream));
    }
    outgoing
}

fn outgoing(message: &Message, resource: String, records: u32) -> Outgoing {
    Outgoing {
        payload: message.encode(),
        resource,
        records,
    }
}
