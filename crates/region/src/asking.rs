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
    /// What is asked now: of whom, by which number, and the answer once it is there.
    open: Mutex<BTreeMap<(SiteId, u64), Option<Answer>>>,
    answered: Event,
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
        // Drawn, so that an answer to a question of before a restart, which the link may still
        // repeat, isn't taken for one to a question of now.
        let number = self.environment.random();
        {
            let mut open = self.open.lock().expect("nothing panics inside");
            if open.len() >= MAX_OPEN || open.contains_key(&(peer, number)) {
                return Err(NoAnswer);
            }
            open.insert((peer, number), None);
        }
        let answer = self.wait(peer, port, number, question).await;
        self.open
            .lock()
            .expect("nothing panics inside")
            .remove(&(peer, number));
        answer
    }

    async fn wait(
        &self,
        peer: SiteId,
        port: &Port,
        number: u64,
        question: Question,
    ) -> Result<Answer, NoAnswer> {
        let payload = Message::Question { number, question }.encode();
        let mut asked = None;
        let begun = self.environment.now().monotonic;
        let mut until = begun + RECONNECTING;
        loop {
            let answered = self.answered.listen();
            let changed = port.site_bell();
            if let Some(answer) = self.taken(peer, number) {
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

    fn taken(&self, peer: SiteId, number: u64) -> Option<Answer> {
        let open = self.open.lock().expect("nothing panics inside");
        open.get(&(peer, number)).cloned().flatten()
    }

    /// That peer answered. What nobody waits for is dropped: its question timed out, or was asked
    /// of another.
    pub fn answered(&self, peer: SiteId, number: u64, answer: Answer) {
        let mut open = self.open.lock().expect("nothing panics inside");
        if let Some(slot) = open.get_mut(&(peer, number)) {
            *slot = Some(answer);
            self.answered.notify(usize::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use types::{Monotonic, Now, Sleep};

    use super::*;

    /// Where no time passes.
    struct Still;

    impl Environment for Still {
        fn now(&self) -> Now {
            Now::default()
        }

        fn random(&self) -> u64 {
            7
        }

        fn sleep_until(&self, _: Monotonic) -> Sleep {
            Box::pin(std::future::pending())
        }
    }

    #[test]
    fn an_answer_is_taken_only_from_the_peer_that_was_asked() {
        let asking = Asking::new(Arc::new(Still), Admission::open(), BTreeMap::new());
        let (asked, other) = (SiteId(2), SiteId(3));
        asking.open.lock().unwrap().insert((asked, 7), None);
        asking.answered(other, 7, Answer::Bucket(None));
        assert_eq!(asking.taken(asked, 7), None);
        asking.answered(asked, 8, Answer::Bucket(None));
        assert_eq!(asking.taken(asked, 7), None);
        asking.answered(asked, 7, Answer::Bucket(None));
        assert_eq!(asking.taken(asked, 7), Some(Answer::Bucket(None)));
    }
}
