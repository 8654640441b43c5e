//! Files of flow logs on their way from the edge that wrote them to the Region of their bucket: an
//! edge hands each to a Region that it reaches, and that one does with it what is to be done, or
//! passes it on to the bucket's own. It reads no file and knows no bucket; what isn't answered is
//! asked again by who has the file.

mod message;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use bytes::Bytes;
use event_listener::Event;
use futures_util::future::{Either, select};
use link::{Lane, Plain, PortError, Service};
use store::Engine;
use types::{SiteId, Span};

use message::Message;
pub use message::{LogOutcome, LogRequest, LogWanted, MAX_LOG_FILE};

use crate::checking::lock;
use crate::steering::Steering;

/// The tag of files of flow logs on envelopes.
pub const FLOW_LOGS: Service = Service(5);

/// How long an answer may take beyond the round trip, of a Region that has the bucket ...
const PATIENCE: Span = Span::seconds(5);

/// ... and of one that may have to ask another.
const PATIENCE_FOR_TWO: Span = Span::seconds(12);

/// Requests that wait here to be carried out, at most: with their files they take 64 MiB.
const MAX_WAITING: usize = 16;

/// Requests under way at once, at most.
const MAX_OPEN: usize = 64;

/// What a site knows of files under way.
#[derive(Default)]
pub(crate) struct FlowLogs {
    open: Mutex<BTreeMap<(SiteId, u64), Option<LogOutcome>>>,
    answered: Event,
    waiting: Mutex<VecDeque<LogAsked>>,
    arrived: Event,
}

/// A request as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogAsked {
    /// By whom.
    pub from: SiteId,
    /// By what it is answered.
    pub number: u64,
    /// It was passed on already, and isn't again.
    pub relayed: bool,
    /// The request.
    pub request: LogRequest,
}

impl<E: Engine> Steering<E> {
    /// The Regions that a request can be sent to now, the nearest first.
    pub fn log_takers(&self) -> Vec<SiteId> {
        let ports = self.ports.iter();
        let connected = ports.filter(|(site, port)| {
            self.deployment.region_of(**site).is_some() && port.is_connected(Lane::Request)
        });
        let mut takers: Vec<_> = connected
            .map(|(site, port)| (port.round_trip(), *site))
            .collect();
        takers.sort();
        takers.into_iter().map(|(_, site)| site).collect()
    }

    /// Asks that Region, and waits for what has become of it; none: nobody answered in time, or
    /// nothing could be sent. Then it may be done or not. `relayed`: another site has asked this
    /// one.
    pub async fn ask_log(
        &self,
        region: SiteId,
        relayed: bool,
        request: LogRequest,
    ) -> Option<LogOutcome> {
        // Drawn, so that an answer to a request of before a restart isn't taken for one of now.
        let number = self.environment.random();
        {
            let mut open = lock(&self.flow_logs.open);
            if open.len() >= MAX_OPEN || open.contains_key(&(region, number)) {
                return None;
            }
            open.insert((region, number), None);
        }
        let message = Message::Request {
            number,
            relayed,
            request,
        };
        let outcome = match self.send_log(region, &message) {
            true => self.await_log(region, relayed, number).await,
            false => None,
        };
        lock(&self.flow_logs.open).remove(&(region, number));
        outcome
    }

    async fn await_log(&self, region: SiteId, relayed: bool, number: u64) -> Option<LogOutcome> {
        let port = self.ports.get(&region)?;
        let round_trip = port.round_trip().unwrap_or_default();
        let patience = match relayed {
            true => PATIENCE,
            false => PATIENCE_FOR_TWO,
        };
        let now = self.environment.now().monotonic;
        let mut deadline = self.environment.sleep_until(now + round_trip + patience);
        loop {
            let answered = self.flow_logs.answered.listen();
            let outcome = lock(&self.flow_logs.open).get(&(region, number)).copied();
            if let Some(outcome) = outcome.flatten() {
                return Some(outcome);
            }
            match select(answered, deadline).await {
                Either::Left(((), rest)) => deadline = rest,
                Either::Right(_) => return None,
            }
        }
    }

    /// Takes what arrived of flow logs in the lane of requests; false if it is for another.
    pub fn receive_log(&self, from: SiteId, service: Service, payload: Bytes) -> bool {
        if service != FLOW_LOGS {
            return false;
        }
        match Message::decode(payload) {
            Ok(Message::Answer { number, outcome }) => {
                let mut open = lock(&self.flow_logs.open);
                // One that nobody waits for came too late, or was asked of another.
                if let Some(slot) = open.get_mut(&(from, number)) {
                    *slot = Some(outcome);
                    self.flow_logs.answered.notify(usize::MAX);
                }
            }
            Ok(Message::Request {
                number,
                relayed,
                request,
            }) => self.take_log(LogAsked {
                from,
                number,
                relayed,
                request,
            }),
            Err(error) => {
                tracing::warn!(site = from.0, %error, "word of flow logs was refused");
            }
        }
        true
    }

    fn take_log(&self, asked: LogAsked) {
        let is_region = self.site.name.region().is_some();
        let mut waiting = lock(&self.flow_logs.waiting);
        if !is_region || waiting.len() >= MAX_WAITING {
            drop(waiting);
            return self.answer_log(&asked, LogOutcome::Unreachable);
        }
        waiting.push_back(asked);
        drop(waiting);
        self.flow_logs.arrived.notify(usize::MAX);
    }

    /// The next request that a Region is to carry out and to [answer](Self::answer_log).
    pub async fn next_log(&self) -> LogAsked {
        loop {
            let arrived = self.flow_logs.arrived.listen();
            let next = lock(&self.flow_logs.waiting).pop_front();
            match next {
                Some(asked) => return asked,
                None => arrived.await,
            }
        }
    }

    /// Says what has become of a request. That may be lost on the way, as everything.
    pub fn answer_log(&self, asked: &LogAsked, outcome: LogOutcome) {
        let number = asked.number;
        self.send_log(asked.from, &Message::Answer { number, outcome });
    }

    fn send_log(&self, to: SiteId, message: &Message) -> bool {
        let port = self.ports.get(&to);
        let port = port.filter(|port| port.is_connected(Lane::Request));
        let (Some(port), Some(payload)) = (port, message.encode()) else {
            return false;
        };
        let now = self.environment.now().monotonic;
        let resource = match message {
            Message::Request { request, .. } => request.bucket.as_str(),
            Message::Answer { .. } => "",
        };
        let sent = Plain::new(port.peer(), Lane::Request, FLOW_LOGS, resource, payload)
            .map_err(PortError::from)
            .and_then(|plain| port.send(now, &self.admission, plain));
        if let Err(error) = &sent {
            tracing::debug!(peer = %port.peer(), %error, "word of a flow log was not sent");
        }
        sent.is_ok()
    }
}
