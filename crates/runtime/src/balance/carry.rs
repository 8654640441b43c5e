//! A request on its way to a target and its answer on the way back, by HTTP/1.1 on both sides.
//! Both directions move at once: a target may answer before it has the whole body. The next target
//! is tried as long as none has taken the connection; a kept connection that ended under a request
//! is replaced by a new one to the same target, if the request can be repeated.

use std::future::poll_fn;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::course::Course;
use super::framing::Length;
use super::h1::{After, Client, Terms};
use super::head::{self, HeadLimits, Scan, Version};
use super::link::poll_write_all;
use super::relay::{Relay, RelayError};
use super::rewrite;
use super::targets::Upstream;
use super::{Answer, End, HttpOptions, HttpTarget, Next, TargetVersion};

/// How often a request is offered, whatever its [`Exchange`](super::Exchange) says.
const MOST_ATTEMPTS: usize = 32;

/// Interim answers (1xx) before the final one.
const MOST_INTERIM: usize = 16;

/// Of a body's beginning, and of an answer's, so much is written together with its head.
pub(super) const TOGETHER: usize = 16 * 1024;

/// What a target's head may be (ELB: "the target response header exceeds 32 K").
const ANSWER_LIMITS: HeadLimits = HeadLimits {
    first: 8 * 1024,
    line: 32 * 1024,
    whole: 60 * 1024,
    fields: 256,
};

/// How a target's answer began, or didn't.
pub(super) enum Heard {
    /// Its head is so long.
    Head(usize),
    /// A kept connection ended before a byte of it came.
    Stale,
    /// The target ended the connection, or its head isn't one.
    Broke,
    Silent,
    ClientGone,
    ClientBroke,
    ClientSilent,
}

/// The request's side of an exchange.
pub(super) struct Upload {
    pub(super) relay: Relay,
    /// Of what is written first, so much was.
    written: usize,
    /// The target takes no more: what it has to say is still heard.
    pub(super) failed: bool,
    /// When something moved last.
    pub(super) moved: Instant,
    seen: u64,
}

impl Upload {
    /// Notes the time if something has moved since the last call.
    pub(super) fn note(&mut self, total: u64) {
        if total != self.seen {
            self.seen = total;
            self.moved = Instant::now();
        }
    }
}

impl Client {
    /// Carries a request out whose head, as a target gets it, waits to be written.
    pub(super) async fn carry(&mut self, course: &mut Course, terms: Terms<'_>) -> After {
        let mut relay = Relay::new(terms.plan.length, false);
        let mut failed = None;
        for _ in 0..MOST_ATTEMPTS {
            let target = match course.next(failed.take()) {
                Next::Forward(target) => target,
                Next::Answer(page) => {
                    let body_left = self.discard(&mut relay);
                    return self.answer(course, &page, terms, body_left).await;
                }
            };
            course.goes_to(target.address);
            if target.version != TargetVersion::Http1 {
                let body_left = self.discard(&mut relay);
                let page = Answer::of(464);
                return self.answer(course, &page, terms, body_left).await;
            }
            let mut kept = self.local.targets.take(&target);
            loop {
                let upstream = match kept.take() {
                    Some(upstream) => Ok(upstream),
                    None => self.local.targets.connect(&target).await,
                };
                let upstream = match upstream {
                    Ok(upstream) => upstream,
                    Err(failure) => {
                        self.at.counters.failed_attempts.count();
                        failed = Some(failure);
                        break;
                    }
                };
                // From here on the body may be used.
                let taken = relay.take(&mut self.input, &mut self.out, TOGETHER);
                if taken.is_err() {
                    return self
                        .without_answer(course, terms, Heard::ClientBroke, true)
                        .await;
                }
                let done = self.exchange(course, terms, target, upstream, &mut relay);
                if let Some(after) = done.await {
                    return after;
                }
            }
        }
        let body_left = self.discard(&mut relay);
        self.answer(course, &Answer::of(502), terms, body_left)
            .await
    }

    /// Throws away what has come of a body that nobody wants; is there more of it?
    fn discard(&mut self, relay: &mut Relay) -> bool {
        let mut unwanted = Vec::new();
        let taken = relay.take(&mut self.input, &mut unwanted, usize::MAX);
        taken.is_err() || !relay.is_read()
    }

    /// None: the connection was stale, and everything that was sent on it can be sent again.
    async fn exchange(
        &mut self,
        course: &mut Course,
        terms: Terms<'_>,
        target: HttpTarget,
        mut upstream: Upstream,
        relay: &mut Relay,
    ) -> Option<After> {
        let mut upload = Upload {
            relay: std::mem::replace(relay, Relay::new(Length::Of(0), false)),
            written: 0,
            failed: false,
            moved: Instant::now(),
            seen: 0,
        };
        let taken = upload.relay.moved;
        let mut interims = 0;
        let failed = loop {
            let heard = self.hear(course, terms, &mut upstream, &mut upload).await;
            let length = match heard {
                Heard::Head(length) => length,
                Heard::Stale
                    if terms.plan.idempotent && upload.relay.moved == taken && interims == 0 =>
                {
                    *relay = upload.relay;
                    return None;
                }
                other => break other,
            };
            let head = &upstream.buffer.filled()[..length];
            let Ok((line, fields)) = head::answer(head) else {
                break Heard::Broke;
            };
            if line.status >= 200 || (line.status == 101 && terms.plan.websocket) {
                self.at.counters.forwarded.count();
                let given = self.give(course, terms, target, upstream, upload, length);
                return Some(given.await);
            }
            interims += 1;
            if line.status == 101 || interims > MOST_INTERIM {
                break Heard::Broke;
            }
            let mut interim = Vec::new();
            let is_read = terms.plan.version == Version::Http11;
            if is_read && (line.status != 100 || terms.plan.expects) {
                rewrite::answer(&mut interim, &line, &fields, &[], None);
                interim.extend_from_slice(b"\r\n");
            }
            upstream.buffer.consume(length);
            if !self.write_interim(interim, terms.options).await {
                break Heard::ClientGone;
            }
        };
        let body_left = !upload.relay.is_read();
        Some(self.without_answer(course, terms, failed, body_left).await)
    }

    /// Sends the request and waits for the head of an answer.
    async fn hear(
        &mut self,
        course: &mut Course,
        terms: Terms<'_>,
        upstream: &mut Upstream,
        upload: &mut Upload,
    ) -> Heard {
        let mut scan = Scan::default();
        let heard = poll_fn(|context| {
            if let Some(heard) = self.send(course, upstream, upload, context) {
                return Poll::Ready(heard);
            }
            loop {
                match scan.end(upstream.buffer.filled(), &ANSWER_LIMITS) {
                    Ok(Some(length)) => return Poll::Ready(Heard::Head(length)),
                    Ok(None) => {}
                    Err(_) => return Poll::Ready(Heard::Broke),
                }
                match upstream.buffer.poll_fill(&mut upstream.link, context) {
                    Poll::Ready(Ok(count)) if count > 0 => {}
                    Poll::Ready(_) => {
                        let is_stale = upstream.reused && upstream.buffer.is_empty();
                        return Poll::Ready(if is_stale { Heard::Stale } else { Heard::Broke });
                    }
                    Poll::Pending => break,
                }
            }
            let total = upload.written as u64 + upload.relay.moved;
            upload.note(total + upstream.buffer.filled().len() as u64);
            let silent = self.timer.poll(upload.moved + terms.options.idle, context);
            silent.map(|()| match upload.relay.is_read() || upload.failed {
                true => Heard::Silent,
                false => Heard::ClientSilent,
            })
        });
        let heard = heard.await;
        course.received(upload.relay.moved);
        heard
    }

    /// Moves the request on, and sees whether its client is still there.
    fn send(
        &mut self,
        course: &mut Course,
        upstream: &mut Upstream,
        upload: &mut Upload,
        context: &mut Context<'_>,
    ) -> Option<Heard> {
        if !upload.failed {
            let link = &mut upstream.link;
            match poll_write_all(link, &self.out, &mut upload.written, context) {
                Poll::Ready(Ok(())) => {
                    course.sent();
                    if let Some(heard) = self.send_body(upstream, upload, context) {
                        return Some(heard);
                    }
                }
                Poll::Ready(Err(_)) => upload.failed = true,
                Poll::Pending => {}
            }
        }
        if !upload.relay.is_read() || self.input.is_full() {
            return None;
        }
        match self.input.poll_fill(&mut self.link, context) {
            Poll::Ready(Ok(count)) if count > 0 => {
                // What comes now is the next request: it is looked at when its turn comes, and
                // the end of the connection is seen then, at the latest.
                context.waker().wake_by_ref();
                None
            }
            Poll::Ready(_) => Some(Heard::ClientGone),
            Poll::Pending => None,
        }
    }

    pub(super) fn send_body(
        &mut self,
        upstream: &mut Upstream,
        upload: &mut Upload,
        context: &mut Context<'_>,
    ) -> Option<Heard> {
        if upload.relay.is_done() {
            return None;
        }
        let relay = &mut upload.relay;
        let (from, buffer, to) = (&mut self.link, &mut self.input, &mut upstream.link);
        match relay.poll(from, buffer, to, context) {
            Poll::Ready(Err(RelayError::Source)) => Some(Heard::ClientGone),
            Poll::Ready(Err(RelayError::Broken)) => Some(Heard::ClientBroke),
            Poll::Ready(Err(RelayError::Sink)) => {
                upload.failed = true;
                None
            }
            Poll::Ready(Ok(())) | Poll::Pending => None,
        }
    }

    /// What a client is told when its request got no answer.
    pub(super) async fn without_answer(
        &mut self,
        course: &mut Course,
        terms: Terms<'_>,
        heard: Heard,
        body_left: bool,
    ) -> After {
        let (status, end) = match heard {
            Heard::Head(_) | Heard::Stale | Heard::Broke => (502, End::TargetBroke),
            Heard::Silent => (504, End::TargetSilent),
            Heard::ClientBroke => (400, End::ClientBroke),
            Heard::ClientSilent => (408, End::ClientSilent),
            Heard::ClientGone => {
                course.ends(End::ClientGone);
                return After::Close;
            }
        };
        let after = self
            .answer(course, &Answer::of(status), terms, body_left)
            .await;
        if course.outcome.end == End::Done {
            course.ends(end);
        }
        after
    }

    async fn write_interim(&mut self, interim: Vec<u8>, options: &HttpOptions) -> bool {
        if interim.is_empty() {
            return true;
        }
        // What is written first is needed as long as the request could be sent again.
        let before = std::mem::replace(&mut self.out, interim);
        let written = self.write_out(options).await;
        self.out = before;
        written
    }
}
