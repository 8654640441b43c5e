//! A target's answer on its way to the client, by HTTP/1.1 on both sides: its head rewritten, its
//! body passed on, and what remains of the request beside it; or a tunnel, of a WebSocket.

use std::future::poll_fn;
use std::task::Poll;

use tokio::time::Instant;

use super::carry::{Heard, TOGETHER, Upload};
use super::course::Course;
use super::framing::Length;
use super::h1::{After, Client, Plan, Terms};
use super::head::Version;
use super::link::poll_write_all;
use super::relay::{Relay, RelayError};
use super::rewrite::{self, AnswerFacts};
use super::targets::Upstream;
use super::{End, HttpOptions, HttpTarget};

impl Client {
    /// Gives the client an answer whose head is so long.
    pub(super) async fn give(
        &mut self,
        course: &mut Course,
        terms: Terms<'_>,
        target: HttpTarget,
        mut upstream: Upstream,
        mut upload: Upload,
        length: usize,
    ) -> After {
        let Terms { plan, options } = terms;
        let head = &upstream.buffer.filled()[..length];
        let body_left = !upload.relay.is_read();
        let Ok((line, fields, facts)) = rewrite::read_answer(head, plan.is_head) else {
            return self
                .without_answer(course, terms, Heard::Broke, body_left)
                .await;
        };
        let added = course.answered(line.status, &fields);
        let strip = facts.length == Length::Chunked && plan.version == Version::Http10;
        let gets = if strip {
            Length::UntilClosed
        } else {
            facts.length
        };
        let keeps = plan.keep_alive
            && gets != Length::UntilClosed
            && (upload.relay.is_done() && !upload.failed)
            && self.may_go_on(options);
        let has_body = !plan.is_head && !matches!(line.status, 100..=199 | 204 | 304);
        self.out.clear();
        rewrite::answer(
            &mut self.out,
            &line,
            &fields,
            &added,
            has_body.then_some(gets),
        );
        course.answers(line.status);
        let tunnels = line.status == 101;
        self.out.extend_from_slice(match (tunnels, keeps) {
            (true, _) => b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            (_, false) => b"Connection: close\r\n\r\n",
            (_, true) => b"Connection: keep-alive\r\n\r\n",
        });
        upstream.buffer.consume(length);
        if tunnels {
            return self.tunnel(course, options, upstream).await;
        }
        let mut download = Relay::new(facts.length, strip);
        let taken = download.take(&mut upstream.buffer, &mut self.out, TOGETHER);
        if taken.is_err() {
            return self
                .without_answer(course, terms, Heard::Broke, body_left)
                .await;
        }
        let first = self.out.len() as u64 - download.moved;
        let moving = self.move_answer(options, &mut upstream, &mut upload, &mut download);
        let end = moving.await;
        course.moved(end, upload.relay.moved, first + download.moved);
        if end != End::Done {
            return After::Close;
        }
        let is_read = upload.relay.is_read();
        self.settle(plan, target, upstream, &upload, facts);
        match (keeps, is_read) {
            (true, _) => After::Keep,
            (false, true) => After::Close,
            (false, false) => After::Linger,
        }
    }

    /// Keeps the target's connection, if it can be used again.
    fn settle(
        &self,
        plan: Plan,
        target: HttpTarget,
        upstream: Upstream,
        upload: &Upload,
        facts: AnswerFacts,
    ) {
        let is_whole = upload.relay.is_done() && !upload.failed && upstream.buffer.is_empty();
        if facts.keep_alive && is_whole && !plan.ambiguous {
            self.local.targets.keep(target, upstream);
        }
    }

    /// Moves an answer to its end, what is written first before it, and the rest of the request
    /// beside it.
    async fn move_answer(
        &mut self,
        options: &HttpOptions,
        upstream: &mut Upstream,
        upload: &mut Upload,
        download: &mut Relay,
    ) -> End {
        let mut written = 0;
        upload.moved = Instant::now();
        let moved = poll_fn(|context| {
            match self.send_body(upstream, upload, context) {
                Some(Heard::ClientBroke) => return Poll::Ready(End::ClientBroke),
                Some(_) => return Poll::Ready(End::ClientGone),
                None => {}
            }
            let polled = match poll_write_all(&mut self.link, &self.out, &mut written, context) {
                Poll::Ready(Ok(())) => {
                    let (from, buffer) = (&mut upstream.link, &mut upstream.buffer);
                    download.poll(from, buffer, &mut self.link, context)
                }
                Poll::Ready(Err(_)) => return Poll::Ready(End::ClientGone),
                Poll::Pending => Poll::Pending,
            };
            match polled {
                Poll::Ready(Ok(())) => return Poll::Ready(End::Done),
                Poll::Ready(Err(RelayError::Sink)) => return Poll::Ready(End::ClientGone),
                Poll::Ready(Err(_)) => return Poll::Ready(End::TargetBroke),
                Poll::Pending => {}
            }
            upload.note(written as u64 + download.moved + upload.relay.moved);
            let silent = self.timer.poll(upload.moved + options.idle, context);
            silent.map(|()| match upstream.buffer.is_empty() {
                true => End::TargetSilent,
                false => End::ClientSilent,
            })
        });
        moved.await
    }

    /// Moves bytes either way until both sides have said all (WebSocket).
    async fn tunnel(
        &mut self,
        course: &mut Course,
        options: &HttpOptions,
        mut upstream: Upstream,
    ) -> After {
        if !self.write_out(options).await {
            course.ends(End::ClientGone);
            return After::Close;
        }
        let mut up = Relay::new(Length::UntilClosed, false);
        let mut down = Relay::new(Length::UntilClosed, false);
        let (mut end, mut seen) = (Instant::now() + options.idle, 0);
        let ended = poll_fn(|context| {
            let (link, other) = (&mut self.link, &mut upstream.link);
            let sent = up.poll_to_end(link, &mut self.input, other, context);
            let got = down.poll_to_end(other, &mut upstream.buffer, link, context);
            match (sent, got) {
                (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => {
                    return Poll::Ready(End::ClientGone);
                }
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(End::Tunnel),
                _ => {}
            }
            if up.moved + down.moved != seen {
                seen = up.moved + down.moved;
                end = Instant::now() + options.idle;
            }
            self.timer.poll(end, context).map(|()| End::ClientSilent)
        });
        let head = self.out.len() as u64;
        course.moved(ended.await, up.moved, head + down.moved);
        After::Close
    }
}
