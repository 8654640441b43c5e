//! Questions to peers over the link, and the wait for their answers. A question only reads, so it
//! is asked again when the connection that carried it is lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use event_listener::Event;
use futures_util::future::{Either, select};
use link::{Admission, Class, Lane, Plain, Port, Service};
use types::{Environment, SiteId, Span};

use crate::message::{Answer, Message, Question};

/// How long an answer may take beyond the round trip: a Region whose disk or processor is busy
/// takes its time, and to go on without its answer is worse than to wait.
const PATIENCE: Span = Span::seconds(5);

/// How long a peer that lives takes at most to be connected again: a dial each
/// [`link::MAXIMUM_BACKOFF`], and its handshake. One that isn't by then is away.
const RECONNECTING: Span = Span::seconds(1);

/// How long a question may take in all, however often it is asked again.
const LONGEST: Span = Span::seconds(12);

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
        let payload = Message::Question { number, question }.encode();
        let mut asked = None;
        let begun = self.environment.now().monotonic;
        let mut until = begun + RECONNECTING;
        loop {
            let answered = self.answered.listen();
            let changed = port.site_bell();
            if let Some(answer) = self.taken(number) {
                return Ok(answer);
            }
            let now = self.environment.now().monotonic;
            let connection = self.connection(port);
            if connection.is_some() && connection != asked {
                let plain = Plain::new(
                    port.peer(),
                    Lane::Request,
                    REGION_SERVICE,
                    "",
                    payload.clone(),
                );
                let plain = plain.map_err(|_| NoAnswer)?;
                port.send(now, &self.admission, plain)
                    .map_err(|_| NoAnswer)?;
                until = now + port.round_trip().unwrap_or_default() + PATIENCE;
            } else if connection.is_none() && asked.is_some() {
                until = until.min(now + RECONNECTING);
            }
            asked = connection;
            let news = select(answered, changed);
            match select(
                news,
                self.environment.sleep_until(until.min(begun + LONGEST)),
            )
            .await
            {
                Either::Left(_) => {}
                Either::Right(_) => return Err(NoAnswer),
            }
        }
    }

    /// The connection that carries questions now: it is another one when its generation is.
    fn connection(&self, port: &Port) -> Option<u64> {
        let generation = port.generation(Class::Data);
        port.is_connected(Lane::Request).then_some(generation)
    }

    fn taken(&self, number: u64) -> Option<Answer> {
        let open = self.open.lock().expect("nothing panics inside");
        open.answers.get(&number).cloned().flatten()
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
