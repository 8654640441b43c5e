//! Bodies that pass through a server as they come: a request's, with a limit on how long nothing
//! of it may arrive, and an answer's. Neither is ever held whole. A request's body that its service
//! doesn't read to the end is read on for a while, so that its sender gets to read the answer.
//!
//! It refuses to take a connection's end for a body's: a body ends when all that was announced has
//! come, and any other end is an error.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::body;
use super::linger::LingerSwitch;

/// How long a body that nobody reads any more is read on, at most: one under way, and one that may
/// still come before a close.
pub(super) const DISCARD_WAIT: Duration = Duration::from_secs(30);

/// An answer's body as its service gives it: whole or bit by bit. An error ends the connection.
pub type ResponseBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// Why a request's body ended before its end. Once told, it is told again by every later read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BodyError {
    /// Nothing of it arrived for too long.
    #[error("nothing of the body arrived for too long")]
    TooSlow,
    /// The connection ended, or what arrived isn't framed as HTTP frames it.
    #[error("the body ended early")]
    Broken,
}

/// A request's body, read as it comes: reading it slowly slows its sender down.
pub struct RequestBody {
    /// None once it is over, or was given to be discarded.
    incoming: Option<Incoming>,
    patience: Patience,
    connected: Connected,
    /// Its sender waits for "100 Continue", which the first read sends.
    expects: bool,
    begun: bool,
    failed: Option<BodyError>,
}

impl RequestBody {
    pub(super) fn new(
        headers: &HeaderMap,
        incoming: Incoming,
        stall: Duration,
        connected: Connected,
    ) -> RequestBody {
        RequestBody {
            incoming: Some(incoming),
            patience: Patience::new(stall),
            connected,
            expects: headers.contains_key(EXPECT),
            begun: false,
            failed: None,
        }
    }

    fn fail(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.incoming = None;
        self.failed = Some(error);
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(error) = this.failed {
            return Poll::Ready(Some(Err(error)));
        }
        let Some(incoming) = this.incoming.as_mut() else {
            return Poll::Ready(None);
        };
        this.begun = true;
        match Pin::new(&mut *incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                this.patience.rest();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => this.fail(BodyError::Broken),
            Poll::Ready(None) => {
                // hyper ends a body in order when it lets go of the connection's other half.
                let is_whole = match incoming.size_hint().exact() {
                    Some(left) => left == 0,
                    None => this.connected.is_so(),
                };
                if !is_whole {
                    return this.fail(BodyError::Broken);
                }
                this.incoming = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(this.patience.poll_lost(context));
                this.fail(BodyError::TooSlow)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let is_over = |incoming: &Incoming| incoming.is_end_stream();
        self.failed.is_none() && self.incoming.as_ref().is_none_or(is_over)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.incoming {
            Some(incoming) => incoming.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl Drop for RequestBody {
    /// A close over unread bytes is a reset, which would overtake the answer: they are read on.
    /// Who waits for "100 Continue" hasn't sent them, and needn't now.
    fn drop(&mut self) {
        let Some(incoming) = self.incoming.take() else {
            return;
        };
        if incoming.is_end_stream() || (self.expects && !self.begun) {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let mut incoming = incoming;
                let discarded = body::discard(&mut incoming);
                tokio::time::timeout(DISCARD_WAIT, discarded).await.ok();
            });
        }
    }
}

/// Whether a request's sender waits for "100 Continue", and might wait for nothing.
#[derive(Clone, Copy)]
pub(super) struct Expectation {
    waits: bool,
    is_empty: bool,
}

impl Expectation {
    pub(super) fn of(headers: &HeaderMap, body: &Incoming) -> Expectation {
        Expectation {
            waits: headers.contains_key(EXPECT),
            is_empty: body.is_end_stream(),
        }
    }

    /// Where the answer may come without a "100 Continue" before it, it ends the connection: hyper
    /// says that of no empty body, and botocore, which sends the header with those too, reads the
    /// next answer on the same connection wrongly. A sender that waited long enough sends its body
    /// without one (RFC 9110, 10.1.1): the connection's close then waits for that.
    pub(super) fn settle<B>(self, response: &mut Response<B>, linger: &LingerSwitch) {
        let unread = !response.status().is_success();
        if self.waits && (self.is_empty || unread) {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
            if !self.is_empty {
                linger.throw();
            }
        }
    }
}

/// Is the connection of a request still served?
#[derive(Clone)]
pub(super) struct Connected(Arc<AtomicBool>);

/// Ends [`Connected`] when dropped: to be dropped before the connection itself.
pub(super) struct Leaving(Connected);

impl Connected {
    pub(super) fn new() -> Connected {
        Connected(Arc::new(AtomicBool::new(true)))
    }

    pub(super) fn until_dropped(&self) -> Leaving {
        Leaving(self.clone())
    }

    fn is_so(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

/// How long something may bring nothing. No timer runs while it does.
pub(super) struct Patience {
    wait: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    is_running: bool,
}

impl Patience {
    pub(super) fn new(wait: Duration) -> Patience {
        Patience {
            wait,
            timer: None,
            is_running: false,
        }
    }

    /// It brought something.
    pub(super) fn rest(&mut self) {
        self.is_running = false;
    }

    /// It brings nothing now: ready once it has brought nothing for too long.
    pub(super) fn poll_lost(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(self.wait)));
        if !self.is_running {
            timer.as_mut().reset(Instant::now() + self.wait);
            self.is_running = true;
        }
        timer.as_mut().poll(context)
    }
}

/// The body of an answer, of either kind.
pub(super) enum AnswerBody {
    Whole(Full<Bytes>),
    Streamed(ResponseBody),
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            AnswerBody::Whole(body) => Pin::new(body)
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            AnswerBody::Streamed(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            AnswerBody::Whole(body) => body.is_end_stream(),
            AnswerBody::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerBody::Whole(body) => body.size_hint(),
            AnswerBody::Streamed(body) => body.size_hint(),
        }
    }
}
