//! Connections to targets for requests that came by HTTP/2, by hyper: of HTTP/1.1, which carry one
//! request at a time, and of HTTP/2, which many share. Each thread has its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;

use super::{Here, WINDOW};
use crate::balance::thread::Local;
use crate::balance::{Failure, HttpTarget, TargetVersion};

/// Connections to targets that nothing used are kept for so long.
const KEPT: Duration = Duration::from_secs(55);

/// A connection to a target, by hyper.
pub(super) enum Sender {
    Http1(http1::SendRequest<Incoming>),
    Http2(http2::SendRequest<Incoming>),
}

/// Connections of HTTP/1.1 to a target that were used, and when.
type Kept = Vec<(http1::SendRequest<Incoming>, Instant)>;

/// A thread's connections to targets for requests of HTTP/2.
pub(in crate::balance) struct Http2Targets {
    http1: RefCell<BTreeMap<HttpTarget, Kept>>,
    http2: RefCell<BTreeMap<HttpTarget, http2::SendRequest<Incoming>>>,
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
        self.http2
            .borrow_mut()
            .retain(|_, sender| !sender.is_closed());
    }

    fn kept(&self, target: &HttpTarget) -> Option<Sender> {
        if target.version != TargetVersion::Http1 {
            let kept = self.http2.borrow();
            let sender = kept.get(target).filter(|sender| !sender.is_closed());
            return sender.cloned().map(Sender::Http2);
        }
        let mut kept = self.http1.borrow_mut();
        let kept = kept.get_mut(target)?;
        kept.retain(|(sender, used)| !sender.is_closed() && used.elapsed() < KEPT);
        let at = kept.iter().rposition(|(sender, _)| sender.is_ready())?;
        Some(Sender::Http1(kept.swap_remove(at).0))
    }

    /// A connection, and whether it was used before.
    pub(super) async fn sender(
        &self,
        local: &Local,
        target: &HttpTarget,
    ) -> Result<(Sender, bool), Failure> {
        if let Some(sender) = self.kept(target) {
            return Ok((sender, true));
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
        tokio::task::spawn_local(async move { drop(connection.await) });
        self.http2.borrow_mut().insert(*target, sender.clone());
        Ok((Sender::Http2(sender), false))
    }
}

impl Sender {
    /// The answer. An error without a request: it may have reached the target.
    pub(super) async fn send(
        self,
        request: Request<Incoming>,
        targets: &Http2Targets,
        target: HttpTarget,
    ) -> Result<Response<Incoming>, Option<Request<Incoming>>> {
        match self {
            Sender::Http1(mut sender) => {
                let sent = sender.try_send_request(request).await;
                let response = sent.map_err(|mut error| error.take_message())?;
                let mut kept = targets.http1.borrow_mut();
                let kept = kept.entry(target).or_default();
                if kept.len() < targets.most {
                    kept.push((sender, Instant::now()));
                }
                Ok(response)
            }
            Sender::Http2(mut sender) => {
                let sent = sender.try_send_request(request).await;
                sent.map_err(|mut error| error.take_message())
            }
        }
    }
}
