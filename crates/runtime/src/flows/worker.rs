//! A thread of flows: waits for events and timers, gives each to whom it concerns, and does what
//! it is told in between. A panic costs its flows, not the thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::FlowProtocol;
use super::counters::ThreadCounters;
use super::handle::{Command, Listening, Mailbox, Shared};
use super::limits::FlowLimits;
use super::poll::{Events, Name, Poll};
use super::steering::Steering;
use super::tcp::Tcp;
use super::udp::{self, Udp};

/// Silent flows are looked for so many times in the time after which they end ...
const SWEEPS: u32 = 16;

/// ... and so many times in a window of a recorded flow ...
const SWEEPS_OF_A_WINDOW: u32 = 8;

/// ... but no more often than this ...
const SHORTEST_SWEEP: Duration = Duration::from_millis(5);

/// ... and no less often than this.
const LONGEST_SWEEP: Duration = Duration::from_secs(5);

/// How long a thread rests when it can't wait for events.
const PAUSE: Duration = Duration::from_millis(20);

/// What surrounds flows while something is done with them.
pub(super) struct Context<'a> {
    pub(super) poll: &'a Poll,
    pub(super) steering: &'a Steering,
    pub(super) counters: &'a ThreadCounters,
    /// Which thread it is.
    pub(super) thread: usize,
    pub(super) now: Instant,
    /// How long it is until flows are swept the next time.
    pub(super) sweep: Duration,
    /// How long a window of a recorded flow is, at most.
    pub(super) window: Duration,
}

/// A thread that can run.
pub(super) struct Worker {
    shared: Arc<Shared>,
    thread: usize,
    steering: Steering,
    counters: Arc<ThreadCounters>,
    poll: Poll,
}

/// Everything that a panic costs.
struct State {
    tcp: Tcp,
    udp: Udp,
    swept: Instant,
    stopping: bool,
}

/// Readies a thread: what can fail, fails here.
pub(super) fn prepare(shared: Arc<Shared>, thread: usize) -> std::io::Result<Worker> {
    let counters = Arc::clone(&shared.mailboxes[thread].counters);
    let poll = Poll::new()?;
    shared.mailboxes[thread].waker.watch(&poll)?;
    Ok(Worker {
        steering: Steering::new(Arc::clone(&shared.steer), Arc::clone(&counters)),
        counters,
        shared,
        thread,
        poll,
    })
}

impl Worker {
    /// Runs until it is told to stop.
    pub(super) fn run(self) {
        let mut events = Events::new();
        loop {
            let mut state = self.state();
            let served = catch_unwind(AssertUnwindSafe(|| {
                while !state.stopping {
                    self.turn(&mut events, &mut state);
                }
            }));
            let ended = catch_unwind(AssertUnwindSafe(|| state.stop(&self.context())));
            if served.is_ok() {
                return;
            }
            self.counters.lost.add(1);
            let (thread, ended) = (self.thread, ended.is_ok());
            tracing::error!(thread, ended, "a panic ended the flows of a thread");
        }
    }

    fn state(&self) -> State {
        let limits = self.shared.options.limits;
        let mut state = State {
            tcp: Tcp::new(limits, Arc::clone(&self.shared.budget)),
            udp: Udp::new(limits, Arc::clone(&self.shared.budget)),
            swept: Instant::now(),
            stopping: false,
        };
        for listening in self.shared.open() {
            state.listen(listening, &self.context());
        }
        // All of a client's datagrams must come to one thread.
        if let Some(relayed) = &self.shared.relayed
            && self.thread == udp::BEHIND
            && let Err(cause) = self.poll.datagrams(relayed, Name::Relayed)
        {
            tracing::error!(%cause, "datagrams that are relayed here can't be waited for");
        }
        state
    }

    fn context(&self) -> Context<'_> {
        Context {
            poll: &self.poll,
            steering: &self.steering,
            counters: &self.counters,
            thread: self.thread,
            now: Instant::now(),
            sweep: sweep_after(&self.shared.options.limits),
            window: self.shared.options.limits.window,
        }
    }

    fn turn(&self, events: &mut Events, state: &mut State) {
        let limits = self.shared.options.limits;
        let count = match self.poll.wait(events, state.wait(&limits)) {
            Ok(count) => count,
            Err(cause) => {
                tracing::error!(%cause, "flows can't be waited for: trying again");
                std::thread::sleep(PAUSE);
                0
            }
        };
        let context = self.context();
        for index in 0..count {
            let (name, ready) = events.get(index);
            match name {
                Name::Wake => {
                    let mailbox = &self.shared.mailboxes[self.thread];
                    mailbox.waker.clear();
                    state.obey(mailbox, &context);
                }
                Name::TcpListener(number) => state.tcp.accept(number, &context),
                Name::Client(number) => state.tcp.client(number, ready, &context),
                Name::Upstream(number) => state.tcp.upstream(number, ready, &context),
                Name::UdpListener(number) => state.udp.client_datagrams(number, &context),
                Name::UdpUpstream(number) => state.udp.endpoint_datagrams(number, &context),
                Name::Relayed => {
                    if let Some(relayed) = &self.shared.relayed {
                        state.udp.relayed_datagrams(relayed, &context);
                    }
                }
                Name::Member(_) | Name::Returned(_) => {}
            }
        }
        state.tcp.turn(&context);
        state.udp.turn(&context);
        if context.now.saturating_duration_since(state.swept) >= sweep_after(&limits) {
            state.swept = context.now;
            state.tcp.sweep(&context);
            state.udp.sweep(&context);
        }
    }
}

impl State {
    fn listen(&mut self, at: Arc<Listening>, context: &Context<'_>) {
        match at.protocol {
            FlowProtocol::Tcp => self.tcp.listen(at, context.poll),
            FlowProtocol::Udp => self.udp.listen(at, context),
        }
    }

    fn obey(&mut self, mailbox: &Mailbox, context: &Context<'_>) {
        for command in mailbox.take() {
            match command {
                Command::Listen(at) => self.listen(at, context),
                Command::Close(number, _done) => {
                    self.tcp.close(number, context);
                    self.udp.close(number, context);
                }
                Command::Adopt { socket, from, at } => self.tcp.adopt(socket, from, &at, context),
                Command::Stop => self.stopping = true,
            }
        }
    }

    /// How long the thread may wait.
    fn wait(&self, limits: &FlowLimits) -> Option<Duration> {
        let now = Instant::now();
        let next = self.swept + sweep_after(limits);
        let sweep = !(self.tcp.is_empty() && self.udp.is_empty());
        let sweep = sweep.then(|| next.saturating_duration_since(now));
        let waits = [sweep, self.tcp.wait(now), self.udp.wait(now)];
        waits.into_iter().flatten().min()
    }

    fn stop(&mut self, context: &Context<'_>) {
        self.tcp.stop(context);
        self.udp.stop(context);
    }
}

/// How long after each other silent flows are looked for.
fn sweep_after(limits: &FlowLimits) -> Duration {
    let shorter = limits.tcp_idle.min(limits.udp_idle) / SWEEPS;
    let shorter = shorter.min(limits.window / SWEEPS_OF_A_WINDOW);
    shorter.clamp(SHORTEST_SWEEP, LONGEST_SWEEP)
}
