//! A TCP flow: a client's connection, and the one to its endpoint. The flow decides what becomes
//! of it; sockets of new attempts and everything outside are its owner's business.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::counters::Counters;
use super::super::records::Recording;
use super::super::{FlowEnd, FlowKey, Target, Tried};
use super::delay::{Lines, Looks, Room};
use super::store::Store;
use super::way::{Broken, Side, Way};

/// A flow.
pub(super) struct Flow {
    pub(super) key: FlowKey,
    pub(super) client: Side,
    /// The connection to the endpoint that is asked, or that has taken it.
    pub(super) upstream: Side,
    pub(super) counters: Arc<Counters>,
    /// When it came.
    pub(super) came: Instant,
    pub(super) stage: Stage,
}

/// How far a flow is.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all flows are open, and most of their life: a box would only be one more"
)]
pub(super) enum Stage {
    /// An endpoint was asked and hasn't answered.
    Connecting(Box<Connecting>),
    /// It is there.
    Open(Open),
}

/// An attempt to reach an endpoint.
pub(super) struct Connecting {
    pub(super) target: Target,
    pub(super) since: Instant,
    /// Until then there is no other attempt ...
    pub(super) deadline: Instant,
    /// ... and, if there is no other endpoint, none after it.
    pub(super) is_last: bool,
    /// The attempts before it.
    pub(super) tried: Tried,
}

/// A flow at its endpoint.
pub(super) struct Open {
    up: Way,
    down: Way,
    /// Whose connection couldn't be written to any more, and the bytes that the other direction
    /// had moved by then.
    broken: Option<(FlowEnd, u64)>,
    /// What moves its bytes instead, if they arrive later.
    lines: Option<Box<Lines>>,
    pub(super) target: Target,
    /// What is kept of it if it is recorded.
    pub(super) recording: Option<Box<Recording>>,
    /// When it came there.
    pub(super) since: Instant,
    /// When a byte was moved last.
    active: Instant,
}

/// What a flow moves its bytes with.
pub(super) struct Means {
    pub(super) store: Store,
    pub(super) room: Room,
}

/// What a flow wants next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// To be told when something happens.
    Wait,
    /// To go on when others have had their turn.
    Again,
    /// To be ended.
    End(FlowEnd),
}

impl Open {
    pub(super) fn new(target: &Target, now: Instant) -> Open {
        let delay = target.delay.filter(|delay| *delay > Duration::ZERO);
        Open {
            up: Way::new(),
            down: Way::new(),
            broken: None,
            lines: delay.map(|delay| Box::new(Lines::new(delay))),
            target: *target,
            recording: None,
            since: now,
            active: now,
        }
    }

    /// How long no byte was moved.
    pub(super) fn silent_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.active)
    }

    /// Bytes moved to the endpoint and to the client.
    pub(super) fn moved(&self) -> (u64, u64) {
        match &self.lines {
            None => (self.up.moved, self.down.moved),
            Some(lines) => (lines.up.moved, lines.down.moved),
        }
    }

    /// Moves what can be moved; says what is wanted, and when it must be called again at the
    /// latest.
    pub(super) fn advance(
        &mut self,
        (client, upstream): (&mut Side, &mut Side),
        counters: &Counters,
        means: &mut Means,
        now: Instant,
    ) -> (Next, [Looks; 2]) {
        let before = self.moved();
        let (next, looks) = match self.lines {
            None => (self.pump(client, upstream, means), [[None; 2]; 2]),
            Some(_) => self.pump_later(client, upstream, means, now),
        };
        let after = self.moved();
        if before != after {
            self.active = now;
            counters.to_endpoint.add(after.0 - before.0);
            counters.to_client.add(after.1 - before.1);
        }
        (next, looks)
    }

    fn pump(&mut self, client: &mut Side, upstream: &mut Side, means: &mut Means) -> Next {
        let Open {
            up, down, broken, ..
        } = self;
        let store = &mut means.store;
        let mut more = false;
        match up.pump(client, upstream, store) {
            Ok(again) => more |= again,
            Err(Broken::Source) => return Next::End(FlowEnd::ResetByClient),
            // The endpoint takes nothing more, but what it has said is still to be passed on.
            Err(Broken::Sink) => {
                up.abandon(store);
                broken.get_or_insert((FlowEnd::ResetByEndpoint, down.moved));
            }
        }
        match down.pump(upstream, client, store) {
            Ok(again) => more |= again,
            Err(Broken::Source) => return Next::End(FlowEnd::ResetByEndpoint),
            Err(Broken::Sink) => {
                down.abandon(store);
                broken.get_or_insert((FlowEnd::ResetByClient, up.moved));
            }
        }
        // The last end that is passed on is the closing of both.
        for _ in 0..2 {
            if up.is_at_end() {
                if !down.is_done() {
                    upstream.finish();
                }
                up.set_done();
            }
            if down.is_at_end() {
                if !up.is_done() {
                    client.finish();
                }
                down.set_done();
            }
        }
        match (up.is_done() && down.is_done(), more) {
            (true, _) => Next::End(self.closed()),
            (false, true) => Next::Again,
            (false, false) => Next::Wait,
        }
    }

    /// How it ended, when nothing more moves. A broken connection breaks the other, unless that
    /// still had something to be told: breaking it could take that back.
    fn closed(&self) -> FlowEnd {
        let said_more = |end: FlowEnd, before: u64| match end {
            FlowEnd::ResetByEndpoint => self.down.moved > before,
            _ => self.up.moved > before,
        };
        match self.broken {
            Some((end, before)) if !said_more(end, before) => end,
            _ => FlowEnd::Closed,
        }
    }

    fn pump_later(
        &mut self,
        client: &mut Side,
        upstream: &mut Side,
        means: &mut Means,
        now: Instant,
    ) -> (Next, [Looks; 2]) {
        let mut looks = [[None; 2]; 2];
        let Some(lines) = &mut self.lines else {
            return (Next::Wait, looks);
        };
        let Means { store, room } = means;
        let at = (now, lines.delay);
        match lines.up.pump((client, upstream), at, (room, store)) {
            Ok(again) => looks[0] = again,
            Err(Broken::Source) => return (Next::End(FlowEnd::ResetByClient), looks),
            Err(Broken::Sink) => lines.up.abandon(room),
        }
        match lines.down.pump((upstream, client), at, (room, store)) {
            Ok(again) => looks[1] = again,
            Err(Broken::Source) => return (Next::End(FlowEnd::ResetByEndpoint), looks),
            Err(Broken::Sink) => lines.down.abandon(room),
        }
        let next = match lines.up.is_done() && lines.down.is_done() {
            true => Next::End(FlowEnd::Closed),
            false => Next::Wait,
        };
        (next, looks)
    }

    /// Gives back what it holds.
    pub(super) fn abandon(&mut self, means: &mut Means) {
        self.up.abandon(&mut means.store);
        self.down.abandon(&mut means.store);
        if let Some(lines) = &mut self.lines {
            lines.abandon(&mut means.room);
        }
    }
}
