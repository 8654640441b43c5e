//! Where a site's Region and the driver of local connections meet: one multiplexer, shared, with a
//! bell for the one who ships, one for who takes offers, and one for each stream.
//!
//! It adds no rule to the multiplexer's own. Whoever waits listens first and looks then, so that
//! no ring is missed. It names no runtime: the time comes from the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use bytes::Bytes;
use event_listener::{Event, EventListener};
use types::{Environment, Monotonic, SiteName};

use super::message::{StreamId, StreamReset};
use super::multiplexer::{Multiplexer, StreamMessage};
use super::standing::{LinkStanding, OpenStreamError, StreamCounts};
use super::stream::StreamRead;
use crate::{Admission, Lane, Plain, Port, PortError, QUEUE_BYTES, SendError, Service};

/// How much may wait in the lane's queue when a further message is made. Little, so that streams
/// take turns late, and credit never waits long behind bytes.
const QUEUED: usize = 256 << 10;

/// All streams with one peer, shared between the Region and the driver of local connections.
pub struct StreamExchange {
    peer: SiteName,
    environment: Arc<dyn Environment>,
    shared: Mutex<Shared>,
    shipper: Event,
    offers: Event,
}

struct Shared {
    multiplexer: Multiplexer,
    bells: BTreeMap<StreamId, Arc<Event>>,
}

/// One end of a stream. Dropped, the stream is reset unless both its directions have ended.
pub struct StreamEnd {
    exchange: Arc<StreamExchange>,
    id: StreamId,
    bell: Arc<Event>,
}

/// A stream that the peer opened.
#[derive(Debug)]
pub struct StreamOffer {
    /// What it wants.
    pub target: String,
    /// This end of it. Dropped, it is refused as given up; [`StreamEnd::reset`] says why.
    pub end: StreamEnd,
}

impl StreamExchange {
    /// Without streams, for a new run of the site.
    pub fn new(peer: SiteName, environment: Arc<dyn Environment>) -> StreamExchange {
        StreamExchange {
            peer,
            environment,
            shared: Mutex::new(Shared {
                multiplexer: Multiplexer::new(),
                bells: BTreeMap::new(),
            }),
            shipper: Event::new(),
            offers: Event::new(),
        }
    }

    /// The site at the other end.
    pub fn peer(&self) -> SiteName {
        self.peer
    }

    /// What has happened with its streams.
    pub fn counts(&self) -> StreamCounts {
        self.lock().multiplexer.counts()
    }

    // === The Region's side ===

    /// Takes the payload of an envelope of lane `stream` that came from the peer. The envelope is
    /// done with then: its stream's own credit bounds what is held.
    pub fn receive(&self, payload: Bytes) {
        let now = self.now();
        let received = self.change(|multiplexer| multiplexer.receive(now, payload));
        self.offers.notify(usize::MAX);
        if let Err(error) = received {
            tracing::warn!(peer = %self.peer, %error, "a message of a stream was refused");
        }
    }

    /// The link's connections may have changed. To be called before what came by a new one is
    /// given to `receive`.
    pub fn follow(&self, port: &Port) {
        let standing = LinkStanding {
            generation: port.generation(Lane::Stream.class()),
            is_connected: port.is_connected(Lane::Stream),
            round_trip: port.round_trip().unwrap_or_default(),
        };
        self.change(|multiplexer| multiplexer.follow(standing));
    }

    /// Puts what there is to say into envelopes, as the link takes it, until it is dropped.
    pub async fn ship(&self, port: &Port, admission: &Admission, service: Service) {
        loop {
            let bell = self.shipper.listen();
            self.follow(port);
            while let Some(message) = self.next_message(port) {
                self.send(port, admission, service, message).await;
            }
            let now = self.now();
            let (has_message, wake) = {
                let mut shared = self.lock();
                shared.multiplexer.advance(now);
                let multiplexer = &shared.multiplexer;
                (multiplexer.has_message(), multiplexer.next_wake())
            };
            self.change(|_| {});
            match has_message {
                true => self.until_room(port).await,
                false => self.wait(bell, wake).await,
            }
        }
    }

    fn next_message(&self, port: &Port) -> Option<StreamMessage> {
        if !port.has_room(Lane::Stream, QUEUE_BYTES - QUEUED) {
            return None;
        }
        let now = self.now();
        let mut shared = self.lock();
        let message = shared.multiplexer.next_message(now);
        shared.ring();
        message
    }

    async fn send(
        &self,
        port: &Port,
        admission: &Admission,
        service: Service,
        message: StreamMessage,
    ) {
        loop {
            let bell = port.site_bell();
            let (target, payload) = (message.target.clone(), message.payload.clone());
            let plain = Plain::new(self.peer, Lane::Stream, service, target, payload);
            let plain = plain.expect("a message is short, and so is a target");
            match port.send(self.now(), admission, plain) {
                Ok(()) => return,
                Err(PortError::Send(SendError::Full(_))) => bell.await,
                Err(error) => {
                    tracing::debug!(peer = %self.peer, %error, "a stream is over");
                    self.change(|multiplexer| multiplexer.not_sent(&message));
                    return;
                }
            }
        }
    }

    /// Waits until the lane may have room, or the link has changed.
    async fn until_room(&self, port: &Port) {
        let bell = port.site_bell();
        let has_room = port.has_room(Lane::Stream, QUEUE_BYTES - QUEUED);
        if !has_room && port.is_connected(Lane::Stream) {
            bell.await;
        }
    }

    async fn wait(&self, bell: EventListener, wake: Option<Monotonic>) {
        let Some(wake) = wake else {
            bell.await;
            return;
        };
        let (mut bell, mut sleep) = (Box::pin(bell), self.environment.sleep_until(wake));
        poll_fn(|context| {
            let rung = bell.as_mut().poll(context).is_ready();
            let is_due = Pin::new(&mut sleep).poll(context).is_ready();
            match rung || is_due {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    // === The driver's side ===

    /// Opens a stream to what the peer calls so.
    ///
    /// # Errors
    /// As [`Multiplexer::open`].
    pub fn open(self: &Arc<Self>, target: &str) -> Result<StreamEnd, OpenStreamError> {
        let now = self.now();
        let end = {
            let mut shared = self.lock();
            let draw = || self.environment.random();
            let id = shared.multiplexer.open(now, target, draw)?;
            self.end(&mut shared, id)
        };
        self.shipper.notify(usize::MAX);
        Ok(end)
    }

    /// The next stream that the peer opens.
    pub async fn next_offer(self: &Arc<Self>) -> StreamOffer {
        loop {
            let bell = self.offers.listen();
            {
                let mut shared = self.lock();
                if let Some((id, target)) = shared.multiplexer.next_offer() {
                    let end = self.end(&mut shared, id);
                    return StreamOffer { target, end };
                }
            }
            bell.await;
        }
    }

    fn end(self: &Arc<Self>, shared: &mut Shared, id: StreamId) -> StreamEnd {
        let bell = Arc::new(Event::new());
        shared.bells.insert(id, Arc::clone(&bell));
        StreamEnd {
            exchange: Arc::clone(self),
            id,
            bell,
        }
    }

    /// Does something with the streams, and rings for whom it concerns.
    fn change<T>(&self, step: impl FnOnce(&mut Multiplexer) -> T) -> T {
        let mut shared = self.lock();
        let done = step(&mut shared.multiplexer);
        shared.ring();
        let has_message = shared.multiplexer.has_message();
        drop(shared);
        if has_message {
            self.shipper.notify(usize::MAX);
        }
        done
    }

    fn now(&self) -> Monotonic {
        self.environment.now().monotonic
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("nothing panics inside")
    }
}

impl Shared {
    fn ring(&mut self) {
        for id in self.multiplexer.take_touched() {
            if let Some(bell) = self.bells.get(&id) {
                bell.notify(usize::MAX);
            }
        }
    }
}

impl StreamEnd {
    /// Writes all of the bytes, as there is room for them.
    ///
    /// # Errors
    /// The stream is over: what the peer has got of the bytes isn't known.
    pub async fn write(&self, mut bytes: &[u8]) -> Result<(), StreamReset> {
        while !bytes.is_empty() {
            let bell = self.bell.listen();
            let write = |multiplexer: &mut Multiplexer| multiplexer.write(self.id, bytes);
            match self.exchange.change(write)? {
                0 => bell.await,
                count => bytes = &bytes[count..],
            }
        }
        Ok(())
    }

    /// Ends this direction behind what was written. Nothing can be written after it.
    pub fn finish(&self) {
        let finish = |multiplexer: &mut Multiplexer| multiplexer.finish(self.id);
        self.exchange.change(finish);
    }

    /// The bytes that come next; `None`: the peer has ended its direction.
    ///
    /// # Errors
    /// The stream is over, and all that came of it was read.
    pub async fn read(&self) -> Result<Option<Bytes>, StreamReset> {
        loop {
            let bell = self.bell.listen();
            let read = |multiplexer: &mut Multiplexer| multiplexer.read(self.id);
            match self.exchange.change(read)? {
                StreamRead::Bytes(bytes) => return Ok(Some(bytes)),
                StreamRead::End => return Ok(None),
                StreamRead::Nothing => bell.await,
            }
        }
    }

    /// Gives the stream up: the peer is told why.
    pub fn reset(&self, reason: StreamReset) {
        let reset = |multiplexer: &mut Multiplexer| multiplexer.reset(self.id, reason);
        self.exchange.change(reset);
    }

    /// Ends when the stream is over before its ends, with the reason.
    pub async fn until_reset(&self) -> StreamReset {
        loop {
            let bell = self.bell.listen();
            if let Some(reason) = self.exchange.lock().multiplexer.reset_of(self.id) {
                return reason;
            }
            bell.await;
        }
    }
}

impl Drop for StreamEnd {
    fn drop(&mut self) {
        self.exchange.lock().bells.remove(&self.id);
        let release = |multiplexer: &mut Multiplexer| multiplexer.release(self.id);
        self.exchange.change(release);
    }
}

impl fmt::Debug for StreamExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamExchange(with {})", self.peer)
    }
}

impl fmt::Debug for StreamEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamEnd({} with {})", self.id, self.exchange.peer)
    }
}
