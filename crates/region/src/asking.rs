//! Questions to peers over the link, and the wait for their answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use event_listener::Event;
use futures_util::future::{Either, select};
use link::{Admission, Lane, Plain, Port, Service};
use types::{Environment, SiteId, Span};

use crate::message::{Answer, Message, Question};

/// How long an answer may take beyond the round trip.
const PATIENCE: Span = Span::seconds(2);

/// Questions under way at once, at most.
const MAX_OPEN: usize = 1_024;

/// The tag of envelopes that belong to no service but to the Region itself.
pub(crate) const REGION_SERVICE: Service = Service(0);

/// Asks peers.
pub(crate) struct Asking {
    environment: Arc<dyn Environment>,
    admission: Admission,
    ports: BTreeMap<SiteId, Arc<Port>>,
    open: Mutex<Open>,
    answered: Event,
}

#[derive(Default)]
struct Open {
    next: u64,
    answers: BTreeMap<u64, Option<Answer>>,
}

/// The peer didn't answer: cut off, dead, or too busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer did not answer in time")]
pub(crate) struct NoAnswer;

impl Asking {
    pub fn new(
        environment: Arc<dyn Environment>,
        admission: Admission,
        ports: BTreeMap<SiteId, Arc<Port>>,
    ) -> Asking {
        Asking {
            environment,
            admission,
            ports,
            open: Mutex::default(),
            answered: Event::new(),
        }
    }

    /// Asks a peer and waits for its answer.
    pub async fn ask(&self, peer: SiteId, question: Question) -> Result<Answer, NoAnswer> {
        let port = self.ports.get(&peer).ok_or(NoAnswer)?;
        let number = {
            let mut open = self.open.lock().expect("nothing panics inside");
            if open.answers.len() >= MAX_OPEN {
                return Err(NoAnswer);
            }
            open.next += 1;
            let number = open.next;
            open.answers.insert(number, None);
            number
        };
        let answer = self.wait(port, number, question).await;
        self.open
            .lock()
            .expect("nothing panics inside")
            .answers
            .remove(&number);
        answer
    }

    async fn wait(&self, port: &Port, number: u64, question: Question) -> Result<Answer, NoAnswer> {
        let now = self.environment.now().monotonic;
        let round_trip = port.round_trip().unwrap_or_default();
        let payload = Message::Question { number, question }.encode();
        let plain = Plain::new(port.peer(), Lane::Request, REGION_SERVICE, "", payload);
        let plain = plain.map_err(|_| NoAnswer)?;
        port.send(now, &self.admission, plain)
            .map_err(|_| NoAnswer)?;
        let mut deadline = self.environment.sleep_until(now + round_trip + PATIENCE);
        loop {
            let answered = self.answered.listen();
            let taken = {
                let open = self.open.lock().expect("nothing panics inside");
                open.answers.get(&number).cloned().flatten()
            };
            if let Some(answer) = taken {
                return Ok(answer);
            }
            match select(answered, deadline).await {
                Either::Left(((), rest)) => deadline = rest,
                Either::Right(_) => return Err(NoAnswer),
            }
        }
    }

    /// An answer arrived. One that nobody waits for is dropped: its question timed out.
    pub fn answered(&self, number: u64, answer: Answer) {
        let mut open = self.open.lock().expect("nothing panics inside");
        if let Some(slot) = open.answers.get_mut(&number) {
            *slot = Some(answer);
            self.answered.notify(usize::MAX);
        }
    }
}
