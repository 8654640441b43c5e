//! Connections of TLS listeners: the TLS is taken off, and what is within is carried to a target
//! as it is, the next one if the first doesn't take the connection. No byte is looked at.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::framing::Length;
use super::handle::Listening;
use super::link::{Buffer, Link, Timer};
use super::relay::{Relay, RelayError};
use super::targets;
use super::thread::{Local, Standing};
use super::{Failure, StreamTarget};
use crate::dns::proxy::{Header, ROOM};
use crate::{FlowEnd, FlowEvent, FlowKey, FlowProtocol, MAX_ATTEMPTS, Target, Transport, Tried};

/// A connection may be silent for so long (Network Load Balancers: 350 s).
const IDLE: Duration = Duration::from_secs(350);

/// Tells how a connection ended, whatever ends it.
struct Told {
    local: Rc<Local>,
    token: u32,
    begun: Instant,
    to_endpoint: u64,
    to_client: u64,
    end: FlowEnd,
}

impl Drop for Told {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let event = FlowEvent::Ended {
                to_endpoint: self.to_endpoint,
                to_client: self.to_client,
                lasted: self.begun.elapsed(),
                end: self.end,
            };
            self.local.balance.note(self.token, event);
        }
    }
}

/// Carries a connection to its end.
pub(super) async fn serve(
    local: Rc<Local>,
    at: Arc<Listening>,
    standing: Rc<Standing>,
    mut link: Link,
    source: SocketAddr,
) {
    standing.idle.set(false);
    at.counters.requests.count();
    let Some((target, mut upstream)) = reach(&local, &at, source).await else {
        return;
    };
    at.counters.forwarded.count();
    let mut told = Told {
        local,
        token: target.token,
        begun: Instant::now(),
        to_endpoint: 0,
        to_client: 0,
        end: FlowEnd::Stopped,
    };
    let (mut from_client, mut from_endpoint) = (Buffer::default(), Buffer::default());
    let mut up = Relay::new(Length::UntilClosed, false);
    let mut down = Relay::new(Length::UntilClosed, false);
    let mut timer = Timer::new();
    let mut silent = Instant::now() + IDLE;
    let ended = poll_fn(|context| {
        let sent = up.poll_to_end(&mut link, &mut from_client, &mut upstream, context);
        let got = down.poll_to_end(&mut upstream, &mut from_endpoint, &mut link, context);
        match (sent, got) {
            (Poll::Ready(Err(RelayError::Sink)), _) | (_, Poll::Ready(Err(RelayError::Source))) => {
                return Poll::Ready(FlowEnd::ResetByEndpoint);
            }
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => {
                return Poll::Ready(FlowEnd::ResetByClient);
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(FlowEnd::Closed),
            _ => {}
        }
        if up.moved + down.moved != told.to_endpoint + told.to_client {
            (told.to_endpoint, told.to_client) = (up.moved, down.moved);
            silent = Instant::now() + IDLE;
        }
        timer.poll(silent, context).map(|()| FlowEnd::Idle)
    });
    told.end = ended.await;
    (told.to_endpoint, told.to_client) = (up.moved, down.moved);
}

/// A connection to the first target that takes it.
async fn reach(local: &Local, at: &Listening, source: SocketAddr) -> Option<(Target, Link)> {
    let key = FlowKey {
        to: at.bound,
        from: source,
        protocol: FlowProtocol::Tcp,
    };
    let mut tried = Tried::default();
    while tried.count() < MAX_ATTEMPTS {
        let named = local.balance.steer(&key, &tried)?;
        let target = named.target;
        let begun = Instant::now();
        let made = tokio::time::timeout(local.limits.connect, make(local, &key, &named));
        let event = match made.await.unwrap_or(Err(Failure::TimedOut)) {
            Ok(link) => {
                let after = begun.elapsed();
                local
                    .balance
                    .note(target.token, FlowEvent::Connected { after });
                return Some((target, link));
            }
            Err(Failure::TimedOut) => FlowEvent::TimedOut,
            Err(Failure::Unable) => FlowEvent::Unable,
            Err(Failure::Refused | Failure::Handshake) => FlowEvent::Refused,
        };
        at.counters.failed_attempts.count();
        local.balance.note(target.token, event);
        tried.add(target.endpoint, target.token);
    }
    None
}

/// A connection to that target on which the client's bytes can follow.
async fn make(local: &Local, key: &FlowKey, named: &StreamTarget) -> Result<Link, Failure> {
    let mut stream = targets::reach(named.target.endpoint).await?;
    if named.target.proxy_header {
        let mut room = [0; ROOM];
        let length = Header::write(key.from, key.to, Transport::Tcp, &mut room);
        let written = stream.write_all(&room[..length]).await;
        written.map_err(|_| Failure::Refused)?;
    }
    match named.tls {
        true => {
            local
                .targets
                .secure_stream(stream, named.target.endpoint)
                .await
        }
        false => Ok(Link::plain(stream)),
    }
}
