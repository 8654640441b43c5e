//! Bodies of answers to requests that came by HTTP/2: one of the balancer's own, or a target's that
//! passes through, with a limit on how long nothing of it may come.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Instant;

use super::Active;
use crate::balance::End;
use crate::balance::course::Course;
use crate::balance::link::Timer;

/// The body of an answer.
pub(super) enum AnswerBody {
    /// Made here.
    Whole(Full<Bytes>),
    /// A target's.
    Passing(Box<Passing>),
}

/// A target's body on its way to the client.
pub(super) struct Passing {
    incoming: Incoming,
    course: Course,
    _active: Active,
    timer: Timer,
    idle: Duration,
    since: Instant,
}

impl Passing {
    /// `idle`: how long nothing of it may come. `active` counts its request as under way.
    pub(super) fn new(
        incoming: Incoming,
        course: Course,
        active: Active,
        idle: Duration,
    ) -> Passing {
        Passing {
            incoming,
            course,
            _active: active,
            timer: Timer::new(),
            idle,
            since: Instant::now(),
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if self.incoming.is_end_stream() {
            self.course.ends(End::Done);
        } else if self.course.outcome.end == End::Stopped {
            self.course.ends(End::ClientGone);
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let passing = match self.get_mut() {
            AnswerBody::Whole(body) => {
                let polled = Pin::new(body).poll_frame(context);
                return polled
                    .map(|frame| frame.map(|frame| frame.map_err(|never| match never {})));
            }
            AnswerBody::Passing(passing) => passing,
        };
        match Pin::new(&mut passing.incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                passing.since = Instant::now();
                passing.course.outcome.sent += frame.data_ref().map_or(0, Bytes::len) as u64;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(cause))) => {
                passing.course.ends(End::TargetBroke);
                Poll::Ready(Some(Err(cause.into())))
            }
            Poll::Ready(None) => {
                passing.course.ends(End::Done);
                Poll::Ready(None)
            }
            Poll::Pending => {
                let end = passing.since + passing.idle;
                passing.timer.poll(end, context).map(|()| {
                    passing.course.ends(End::TargetSilent);
                    Some(Err("the target was silent for too long".into()))
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            AnswerBody::Whole(body) => body.is_end_stream(),
            AnswerBody::Passing(passing) => passing.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerBody::Whole(body) => body.size_hint(),
            AnswerBody::Passing(passing) => passing.incoming.size_hint(),
        }
    }
}
