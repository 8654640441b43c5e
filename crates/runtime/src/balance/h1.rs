//! A client's connection that speaks HTTP/1.x: requests are read off it one after another, and
//! each is carried out before the next is looked at. Slow, silent and malformed clients are told
//! so and let go.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::answer;
use super::course::Course;
use super::framing::Length;
use super::handle::Listening;
use super::head::{HeadError, HeadLimits, Scan, Version};
use super::link::{Buffer, Link, Timer, poll_write_all};
use super::request::{self, Refused, Request};
use super::rewrite::{self, Asked};
use super::thread::{Local, Standing};
use super::{Answer, ClientVersion, End, HttpOptions, RefusedRequest, RequestHead, Tier, TlsFacts};

/// Empty lines that may come before a request (RFC 9112, section 2.2).
const EMPTY_LINES: usize = 4;

/// What a client that isn't done sending is read on, and how long for, so that it reads its answer.
const LINGER_BYTES: usize = 256 * 1024;
const LINGER: Duration = Duration::from_secs(1);

/// A client's connection.
pub(super) struct Client {
    pub(super) local: Rc<Local>,
    pub(super) at: Arc<Listening>,
    pub(super) standing: Rc<Standing>,
    pub(super) link: Link,
    pub(super) source: SocketAddr,
    pub(super) tls: Option<TlsFacts>,
    /// What came and wasn't used yet.
    pub(super) input: Buffer,
    /// What is being written.
    pub(super) out: Vec<u8>,
    pub(super) timer: Timer,
    born: Instant,
}

/// What of a request is needed once its head was sent on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) length: Length,
    pub(super) version: Version,
    pub(super) is_head: bool,
    pub(super) keep_alive: bool,
    pub(super) expects: bool,
    pub(super) websocket: bool,
    /// Neither connection is used again.
    pub(super) ambiguous: bool,
    /// May be sent again, if a kept connection ended under it (RFC 9110, section 9.2.2).
    pub(super) idempotent: bool,
}

/// What a request is carried out by.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) plan: Plan,
    pub(super) options: &'a HttpOptions,
}

/// What becomes of a client's connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum After {
    /// The next request is waited for.
    Keep,
    /// It is closed.
    Close,
    /// It is closed once the client, which may still be sending, has read its answer.
    Linger,
}

/// Why there is no request.
enum NoHead {
    /// The connection ended, or was silent for too long, between requests.
    Over,
    Refused(Refused),
}

impl Client {
    pub(super) fn new(
        local: Rc<Local>,
        at: Arc<Listening>,
        standing: Rc<Standing>,
        link: Link,
        source: SocketAddr,
        tls: Option<TlsFacts>,
    ) -> Client {
        Client {
            local,
            at,
            standing,
            link,
            source,
            tls,
            input: Buffer::default(),
            out: Vec::new(),
            timer: Timer::new(),
            born: Instant::now(),
        }
    }

    /// Serves it to its end.
    pub(super) async fn serve(mut self) {
        let mut after = After::Keep;
        let mut options = self.at.options();
        while after == After::Keep {
            self.standing.idle.set(self.input.is_empty());
            let head = self.head(&options).await;
            self.standing.idle.set(false);
            options = self.at.options();
            after = match head {
                Ok(length) => self.request(length, &options).await,
                Err(NoHead::Over) => After::Close,
                Err(NoHead::Refused(refused)) => self.refuse(refused, None, &options).await,
            };
            self.input.shrink();
        }
        if after == After::Linger {
            self.linger().await;
        } else if self.link.is_secure() {
            let shut = self.link.shutdown();
            tokio::time::timeout(LINGER, shut).await.ok();
        }
    }

    /// Does the client's connection go on after a request?
    pub(super) fn may_go_on(&self, options: &HttpOptions) -> bool {
        !self.standing.draining.get() && self.born.elapsed() < options.keep_alive
    }

    /// Waits for a request's head; gives its length.
    async fn head(&mut self, options: &HttpOptions) -> Result<usize, NoHead> {
        let limits = &self.local.limits;
        let wait = limits.head_wait.min(options.idle);
        let limits = HeadLimits {
            first: limits.request_line.as_usize(),
            line: limits.header.as_usize(),
            whole: limits.head.as_usize(),
            fields: limits.headers,
        };
        let (mut scan, mut empty_lines) = (Scan::default(), 0);
        let now = Instant::now();
        let over = (now + options.idle).min(self.born + options.keep_alive);
        let mut begun = (!self.input.is_empty()).then_some(now);
        loop {
            match scan.end(self.input.filled(), &limits) {
                Ok(Some(2)) if empty_lines < EMPTY_LINES => {
                    self.input.consume(2);
                    (scan, empty_lines) = (Scan::default(), empty_lines + 1);
                    continue;
                }
                Ok(Some(length)) => return Ok(length),
                Ok(None) if self.input.is_full() => {
                    return Err(NoHead::Refused(HeadError::TooLong.into()));
                }
                Ok(None) => {}
                Err(error) => return Err(NoHead::Refused(error.into())),
            }
            let end = begun.map_or(over, |begun| begun + wait);
            let (input, link, timer) = (&mut self.input, &mut self.link, &mut self.timer);
            let read = poll_fn(|context| {
                if let Poll::Ready(read) = input.poll_fill(link, context) {
                    return Poll::Ready(Some(read));
                }
                timer.poll(end, context).map(|()| None)
            });
            match read.await {
                Some(Ok(count)) if count > 0 => {
                    self.standing.idle.set(false);
                    begun = begun.or_else(|| Some(Instant::now()));
                }
                None if begun.is_some() => return Err(NoHead::Refused(too_slow())),
                _ => return Err(NoHead::Over),
            }
        }
    }

    /// Carries out the request whose head has that length.
    async fn request(&mut self, length: usize, options: &HttpOptions) -> After {
        let begun = Instant::now();
        self.at.counters.requests.count();
        let head = &self.input.filled()[..length];
        let request = match request::read(head, options.desync) {
            Ok(request) if rewrite::forwarded_too_often(&request.fields) => {
                let refused = Refused {
                    status: 463,
                    classification: request.classification,
                };
                let line = first_line(head).to_owned();
                return self.refuse(refused, Some(&line), options).await;
            }
            Ok(request) => request,
            Err(refused) => {
                let line = first_line(head).to_owned();
                return self.refuse(refused, Some(&line), options).await;
            }
        };
        let trace_id = self.local.traces.borrow_mut().trace(&request.fields);
        let exchange = self.local.balance.route(&RequestHead {
            listener: self.at.bound,
            source: self.source,
            version: match request.line.version {
                Version::Http10 => ClientVersion::Http10,
                Version::Http11 => ClientVersion::Http11,
            },
            method: request.line.method,
            host: request.host,
            path: request.path,
            query: request.query,
            headers: &request.fields,
            tls: self.tls.as_ref(),
            trace_id: &trace_id,
            classification: request.classification,
        });
        let asked = Asked {
            source: self.source,
            listener: self.at.bound,
            tls: self.tls.as_ref(),
        };
        self.out.clear();
        rewrite::request(&mut self.out, &request, &trace_id, &asked, options);
        let plan = plan(&request);
        self.input.consume(length);
        let mut course = Course::new(exchange, begun, length as u64);
        self.carry(&mut course, Terms { plan, options }).await
    }

    /// Refuses what is no request that could be routed.
    async fn refuse(
        &mut self,
        refused: Refused,
        line: Option<&str>,
        options: &HttpOptions,
    ) -> After {
        self.at.counters.refused.count();
        self.local.balance.refused(&RefusedRequest {
            listener: self.at.bound,
            source: self.source,
            status: Some(refused.status),
            line,
            classification: refused.classification,
            tls: self.tls.as_ref(),
        });
        self.out.clear();
        let page = Answer::of(refused.status);
        answer::write(&mut self.out, &page, options.server_header, true, false);
        match self.write_out(options).await {
            true => After::Linger,
            false => After::Close,
        }
    }

    /// Answers a request here. `body_left`: what of its body wasn't read yet comes next.
    pub(super) async fn answer(
        &mut self,
        course: &mut Course,
        page: &Answer,
        terms: Terms<'_>,
        body_left: bool,
    ) -> After {
        let Terms { plan, options } = terms;
        let keeps = plan.keep_alive && !body_left && self.may_go_on(options);
        self.out.clear();
        answer::write(
            &mut self.out,
            page,
            options.server_header,
            !keeps,
            plan.is_head,
        );
        course.answers(page.status);
        let written = self.write_out(options).await;
        if !written {
            course.ends(End::ClientGone);
            return After::Close;
        }
        course.outcome.sent = self.out.len() as u64;
        course.ends(End::Done);
        match (keeps, body_left) {
            (true, _) => After::Keep,
            (false, true) => After::Linger,
            (false, false) => After::Close,
        }
    }

    /// Writes what is to be written; false if the client doesn't take it.
    pub(super) async fn write_out(&mut self, options: &HttpOptions) -> bool {
        let (mut at, mut seen) = (0, 0);
        let mut end = Instant::now() + options.idle;
        let (link, out, timer) = (&mut self.link, &self.out, &mut self.timer);
        let written = poll_fn(|context| {
            if let Poll::Ready(written) = poll_write_all(link, out, &mut at, context) {
                return Poll::Ready(written.is_ok());
            }
            if at > seen {
                seen = at;
                end = Instant::now() + options.idle;
            }
            timer.poll(end, context).map(|()| false)
        });
        written.await
    }

    /// A close over unread bytes is a reset, which would overtake the answer: they are read.
    async fn linger(&mut self) {
        let end = Instant::now() + LINGER;
        let shut = tokio::time::timeout(LINGER, self.link.shutdown()).await;
        if !matches!(shut, Ok(Ok(()))) {
            return;
        }
        let mut left = LINGER_BYTES;
        while left > 0 {
            let count = self.input.filled().len();
            self.input.consume(count);
            let (input, link, timer) = (&mut self.input, &mut self.link, &mut self.timer);
            let read = poll_fn(|context| match input.poll_fill(link, context) {
                Poll::Ready(read) => Poll::Ready(read.unwrap_or(0)),
                Poll::Pending => timer.poll(end, context).map(|()| 0),
            });
            match read.await {
                0 => return,
                count => left = left.saturating_sub(count),
            }
        }
    }
}

fn too_slow() -> Refused {
    Refused {
        status: 408,
        classification: super::Classification::COMPLIANT,
    }
}

fn first_line(head: &[u8]) -> &str {
    let end = head
        .iter()
        .position(|byte| *byte < b' ')
        .unwrap_or(head.len());
    std::str::from_utf8(&head[..end]).unwrap_or("")
}

fn plan(request: &Request<'_>) -> Plan {
    Plan {
        length: request.length,
        version: request.line.version,
        is_head: request.line.method == "HEAD",
        keep_alive: request.keep_alive,
        expects: request.expects,
        websocket: request.websocket,
        ambiguous: request.classification.tier >= Tier::Ambiguous,
        idempotent: matches!(
            request.line.method,
            "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE"
        ),
    }
}
