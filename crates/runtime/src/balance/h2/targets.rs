//! Connections to targets for requests that came by HTTP/2, by hyper: of HTTP/1.1, which carry one
//! request at a time, and of HTTP/2, which many share. Each thread has its own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;

use super::moving::Sending;
use super::{Here, WINDOW};
use crate::balance::thread::Local;
use crate::balance::{Failure, HttpTarget, TargetVersion};

/// Connections to targets that nothing used are kept for so long.
const KEPT: Duration = Duration::from_secs(55);

/// Requests at a time on a connection of HTTP/2 to a target; what targets allow at least (RFC 9113,
/// section 6.5.2).
const STREAMS: usize = 100;

/// A target's answer, and its place on a connection of HTTP/2.
pub(super) type Answered = (Response<Incoming>, Option<Occupied>);

/// A connection of HTTP/2 to a target.
pub(super) struct Carrier {
    sender: http2::SendRequest<Sending>,
    /// Requests on it, and how many the target allows.
    streams: Cell<usize>,
    most: Rc<Cell<usize>>,
    used: Cell<Instant>,
    /// It gets no further requests.
    is_left: Cell<bool>,
}

impl Carrier {
    /// It gets no further requests.
    pub(super) fn leave(&self) {
        self.is_left.set(true);
    }

    fn is_usable(&self) -> bool {
        !self.is_left.get() && !self.sender.is_closed()
    }

    fn has_room(&self) -> bool {
        let most = self.most.get().clamp(1, STREAMS);
        self.is_usable() && self.streams.get() < most
    }
}

/// A request's place on a connection.
pub(super) struct Occupied(Rc<Carrier>);

impl Occupied {
    fn new(carrier: &Rc<Carrier>) -> Occupied {
        carrier.streams.set(carrier.streams.get() + 1);
        Occupied(Rc::clone(carrier))
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get() - 1);
        self.0.used.set(Instant::now());
    }
}

/// A connection to a target, by hyper.
pub(super) enum Sender {
    Http1(http1::SendRequest<Sending>),
    Http2(Occupied),
}

/// Connections of HTTP/1.1 to a target that were used, and when.
type Kept = Vec<(http1::SendRequest<Sending>, Instant)>;

/// A thread's connections to targets for requests of HTTP/2.
pub(in crate::balance) struct Http2Targets {
    http1: RefCell<BTreeMap<HttpTarget, Kept>>,
    http2: RefCell<BTreeMap<HttpTarget, Vec<Rc<Carrier>>>>,
    most: usize,
}

impl Http2Targets {
    pub(in crate::balance) fn new(most: usize) -> Http2Targets {
        Http2Targets {
            http1: RefCell::default(),
            http2: RefCell::default(),
            most,
        }
    }

    /// Lets go of connections that ended, or weren't used for long.
    pub(in crate::balance) fn sweep(&self) {
        self.http1.borrow_mut().retain(|_, kept| {
            kept.retain(|(sender, used)| !sender.is_closed() && used.elapsed() < KEPT);
            !kept.is_empty()
        });
        self.http2.borrow_mut().retain(|_, carriers| {
            carriers.retain(|carrier| {
                let is_used = carrier.streams.get() > 0 || carrier.used.get().elapsed() < KEPT;
                carrier.is_usable() && is_used
            });
            !carriers.is_empty()
        });
    }

    fn kept(&self, target: &HttpTarget) -> Option<Sender> {
        if target.version != TargetVersion::Http1 {
            let carriers = self.http2.borrow();
            let mut carriers = carriers.get(target)?.iter();
            let carrier = carriers.find(|carrier| carrier.has_room());
            return carrier.map(|carrier| Sender::Http2(Occupied::new(carrier)));
        }
        let mut kept = self.http1.borrow_mut();
        let kept = kept.get_mut(target)?;
        kept.retain(|(sender, used)| !sender.is_closed() && used.elapsed() < KEPT);
        let at = kept.iter().rposition(|(sender, _)| sender.is_ready())?;
        Some(Sender::Http1(kept.swap_remove(at).0))
    }

    /// A connection, and whether it was used before; `anew`: one that wasn't.
    pub(super) async fn sender(
        &self,
        local: &Local,
        target: &HttpTarget,
        anew: bool,
    ) -> Result<(Sender, bool), Failure> {
        let kept = || self.kept(target).map(|sender| (sender, true));
        if let Some(kept) = (!anew).then(kept).flatten() {
            return Ok(kept);
        }
        let upstream = local.targets.connect(target).await?;
        let stream = TokioIo::new(upstream.link);
        if target.version == TargetVersion::Http1 {
            let made = http1::handshake(stream).await;
            let (sender, connection) = made.map_err(|_| Failure::Handshake)?;
            tokio::task::spawn_local(async move { drop(connection.await) });
            return Ok((Sender::Http1(sender), false));
        }
        let made = http2::Builder::new(Here)
            .timer(TokioTimer::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(16 * WINDOW)
            .handshake(stream)
            .await;
        let (sender, connection) = made.map_err(|_| Failure::Handshake)?;
        let most = Rc::new(Cell::new(STREAMS));
        let allowed = Rc::clone(&most);
        tokio::task::spawn_local(async move {
            let mut connection = std::pin::pin!(connection);
            let ended = poll_fn(|context| {
                let polled = connection.as_mut().poll(context);
                if polled.is_pending() {
                    allowed.set(connection.current_max_send_streams());
                }
                polled
            });
            drop(ended.await);
        });
        let carrier = Rc::new(Carrier {
            sender,
            streams: Cell::new(0),
            most,
            used: Cell::new(Instant::now()),
            is_left: Cell::new(false),
        });
        let sender = Sender::Http2(Occupied::new(&carrier));
        let mut carriers = self.http2.borrow_mut();
        let carriers = carriers.entry(*target).or_default();
        // Requests that came together each made one: one of these is enough for the next.
        let is_needed = !carriers.iter().any(|carrier| carrier.has_room());
        if is_needed && carriers.len() < self.most {
            carriers.push(carrier);
        }
        Ok((sender, false))
    }
}

impl Sender {
    /// Its connection, if others use it too.
    pub(super) fn carrier(&self) -> Option<Rc<Carrier>> {
        match self {
            Sender::Http1(_) => None,
            Sender::Http2(occupied) => Some(Rc::clone(&occupied.0)),
        }
    }

    /// The answer. An error without a request: it may have reached the target.
    pub(super) async fn send(
        self,
        request: Request<Sending>,
        targets: &Http2Targets,
        target: HttpTarget,
    ) -> Result<Answered, Option<Request<Sending>>> {
        match self {
            Sender::Http1(mut sender) => {
                let sent = sender.try_send_request(request).await;
                let response = sent.map_err(|mut error| error.take_message())?;
                let mut kept = targets.http1.borrow_mut();
                let kept = kept.entry(target).or_default();
                if kept.len() < targets.most {
                    kept.push((sender, Instant::now()));
                }
                Ok((response, None))
            }
            Sender::Http2(occupied) => {
                let mut sender = occupied.0.sender.clone();
                let sent = sender.try_send_request(request).await;
                let response = sent.map_err(|mut error| error.take_message())?;
                Ok((response, Some(occupied)))
            }
        }
    }
}
