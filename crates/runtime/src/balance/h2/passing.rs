//! Bodies of answers to requests that came by HTTP/2: one of the balancer's own, or a target's that
//! passes through, with a limit on how long nothing of it may come.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::moving::Active;
use super::targets::Occupied;
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
    active: Active,
    _occupied: Option<Occupied>,
    timer: Timer,
    idle: Duration,
}

impl Passing {
    /// `idle`: how long nothing may move. `active` counts its request as under way, `occupied`
    /// counts it at the target.
    pub(super) fn new(
        incoming: Incoming,
        course: Course,
        active: Active,
        occupied: Option<Occupied>,
        idle: Duration,
    ) -> Passing {
        active.moved.note();
        Passing {
            incoming,
            course,
            active,
            _occupied: occupied,
            timer: Timer::new(),
            idle,
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if self.course.outcome.end != End::Stopped {
            return;
        }
        // What was read last may wait for the client, which took nothing for so long that its
        // connection was ended.
        let is_given_up = self.active.is_given_up();
        self.course
            .ends(match (is_given_up, self.incoming.is_end_stream()) {
                (true, _) => End::ClientSilent,
                (false, true) => End::Done,
                (false, false) => End::ClientGone,
            });
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
                passing.active.moved.note();
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
                let end = passing.active.moved.end(passing.idle);
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
