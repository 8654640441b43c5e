//! One request's way: who decides about it, and what has become of it, told at its end whatever
//! ends it.

use std::net::SocketAddr;

use tokio::time::Instant;

use super::{End, Exchange, Failure, HeaderField, Next, Outcome};

/// A request under way. When it is dropped, its [`Exchange`] is told how it ended: as stopped,
/// unless something else was noted.
pub(super) struct Course {
    exchange: Box<dyn Exchange>,
    pub(super) outcome: Outcome,
    /// Bytes of its head.
    head: u64,
    begun: Instant,
    sent: Option<Instant>,
    answered: Option<Instant>,
}

impl Course {
    pub(super) fn new(exchange: Box<dyn Exchange>, begun: Instant, received: u64) -> Course {
        Course {
            exchange,
            outcome: Outcome {
                status: 460,
                target_status: None,
                target: None,
                received,
                sent: 0,
                request_time: None,
                target_time: None,
                response_time: None,
                lasted: begun.elapsed(),
                end: End::Stopped,
            },
            head: received,
            begun,
            sent: None,
            answered: None,
        }
    }

    /// So much of its body has come.
    pub(super) fn received(&mut self, body: u64) {
        self.outcome.received = self.head + body;
    }

    /// What is to be done.
    pub(super) fn next(&mut self, failed: Option<Failure>) -> Next {
        self.exchange.next(failed)
    }

    /// It goes to that target now.
    pub(super) fn goes_to(&mut self, target: SocketAddr) {
        self.outcome.target = Some(target);
        self.outcome.target_status = None;
        (self.sent, self.answered) = (None, None);
    }

    /// The target has the head.
    pub(super) fn sent(&mut self) {
        if self.sent.is_none() {
            let now = Instant::now();
            self.sent = Some(now);
            self.outcome.request_time = Some(now - self.begun);
            self.exchange.sent();
        }
    }

    /// The target's final answer begins: what is added to it.
    pub(super) fn answered(
        &mut self,
        status: u16,
        fields: &[HeaderField<'_>],
    ) -> Vec<(String, String)> {
        let now = Instant::now();
        self.answered = Some(now);
        self.outcome.target_status = Some(status);
        self.outcome.target_time = self.sent.map(|sent| now - sent);
        self.exchange.answered(status, fields)
    }

    /// The client's answer begins.
    pub(super) fn answers(&mut self, status: u16) {
        self.outcome.status = status;
        self.outcome.response_time = self.answered.map(|answered| answered.elapsed());
    }

    /// So it ends, with so much of a body received, and so much sent.
    pub(super) fn moved(&mut self, end: End, received: u64, sent: u64) {
        self.received(received);
        self.outcome.sent = sent;
        self.ends(end);
    }

    /// How it ends, when it is dropped.
    pub(super) fn ends(&mut self, end: End) {
        self.outcome.end = end;
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        self.outcome.lasted = self.begun.elapsed();
        // A panic under way may be the exchange's own: asking it again could end the process.
        if !std::thread::panicking() {
            self.exchange.ended(&self.outcome);
        }
    }
}
