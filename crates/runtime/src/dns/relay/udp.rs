//! The relay's datagrams. Each server has one socket, whatever the number of clients: a query
//! goes to it under an identifier of the relay's own, by which its reply finds the client again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::flight::{Asked, Flight, Unanswered};
use super::{Choice, RelayLimits, bind};
use crate::dns::proxy::{Header, ROOM};
use crate::dns::{MAX_UDP_REPLY, Transport};

/// The largest datagram that is passed on; what is longer is cut, and no server reads it.
const DATAGRAM: usize = MAX_UDP_REPLY + 1;

/// Replies that servers' sockets have read and the relay hasn't looked at.
const REPLIES: usize = 1024;

/// How long reading rests after an error, so that one that lasts keeps no processor busy.
const PAUSE: Duration = Duration::from_millis(5);

/// Where a packet under way arrives.
enum To {
    Client(SocketAddr),
    Server(SocketAddr),
}

/// A datagram from a server.
struct FromServer {
    server: SocketAddr,
    packet: Vec<u8>,
}

/// A server that is talked to.
struct Server {
    socket: Arc<UdpSocket>,
    unanswered: Unanswered,
    used: Instant,
    reader: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

pub(super) struct UdpRelay {
    socket: UdpSocket,
    address: SocketAddr,
    limits: RelayLimits,
    choose: Arc<Choice>,
    servers: BTreeMap<SocketAddr, Server>,
    flight: Flight<To>,
    replies: mpsc::Sender<FromServer>,
    read: mpsc::Receiver<FromServer>,
}

impl UdpRelay {
    pub(super) fn new(
        socket: UdpSocket,
        address: SocketAddr,
        limits: RelayLimits,
        choose: Arc<Choice>,
    ) -> UdpRelay {
        let (replies, read) = mpsc::channel(REPLIES);
        UdpRelay {
            socket,
            address,
            limits,
            choose,
            servers: BTreeMap::new(),
            flight: Flight::new(limits.in_flight),
            replies,
            read,
        }
    }

    pub(super) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            let next = self.flight.next();
            tokio::select! {
                _ = stopping.changed() => return,
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, client)) => self.query(client, &buffer[..length]),
                    Err(cause) => {
                        tracing::debug!(%cause, "the relay received no datagram");
                        sleep(PAUSE).await;
                    }
                },
                Some(reply) = self.read.recv() => self.reply(reply),
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
            self.deliver().await;
        }
    }

    /// A client's datagram leaves for its server.
    fn query(&mut self, client: SocketAddr, datagram: &[u8]) {
        let Some(target) = (self.choose)(client) else {
            return;
        };
        let Some((identifier, rest)) = datagram.split_first_chunk::<2>() else {
            return;
        };
        let now = Instant::now();
        let limits = self.limits;
        let Some(server) = self.server(target.address, now) else {
            return;
        };
        let asked = Asked {
            client,
            identifier: *identifier,
            delay: target.one_way_delay,
        };
        let wait = limits.answer + target.one_way_delay;
        let given = server.unanswered.ask(now, asked, limits.unanswered, wait);
        let mut room = [0; ROOM];
        let header = Header::write(client, self.address, Transport::Udp, &mut room);
        let packet = [&room[..header], &given.to_be_bytes(), rest].concat();
        let to = To::Server(target.address);
        self.flight.leave(now + target.one_way_delay, to, packet);
    }

    /// A server's datagram leaves for the client whose query it answers.
    fn reply(&mut self, FromServer { server, mut packet }: FromServer) {
        let Some(identifier) = packet.first_chunk_mut::<2>() else {
            return;
        };
        let server = self.servers.get_mut(&server);
        let given = u16::from_be_bytes(*identifier);
        let now = Instant::now();
        let Some(asked) = server.and_then(|server| server.unanswered.answered(now, given)) else {
            return;
        };
        *identifier = asked.identifier;
        let arrival = now + asked.delay;
        self.flight.leave(arrival, To::Client(asked.client), packet);
    }

    /// Hands over what has arrived. A datagram that the network doesn't take is lost, as
    /// datagrams are.
    async fn deliver(&mut self) {
        let now = Instant::now();
        while let Some((to, packet)) = self.flight.arrived(now) {
            let sent = match to {
                To::Client(client) => self.socket.send_to(&packet, client).await,
                To::Server(address) => match self.servers.get(&address) {
                    Some(server) => server.socket.send(&packet).await,
                    None => continue,
                },
            };
            if let Err(cause) = sent {
                tracing::debug!(%cause, "the relay lost a datagram");
            }
        }
    }

    /// The server at that address, with a socket; none if none can be opened.
    fn server(&mut self, address: SocketAddr, now: Instant) -> Option<&mut Server> {
        if !self.servers.contains_key(&address) {
            if self.servers.len() >= self.limits.servers.max(1) {
                let unused = self.servers.iter().min_by_key(|(_, server)| server.used);
                let unused = unused.map(|(address, _)| *address)?;
                self.servers.remove(&unused);
            }
            match self.open(address, now) {
                Ok(server) => self.servers.insert(address, server),
                Err(cause) => {
                    tracing::warn!(%cause, server = %address, "the relay has no socket for it");
                    return None;
                }
            };
        }
        let server = self.servers.get_mut(&address)?;
        server.used = now;
        Some(server)
    }

    fn open(&self, address: SocketAddr, now: Instant) -> std::io::Result<Server> {
        let socket = bind(SocketAddr::new(self.address.ip(), 0))?;
        socket2::SockRef::from(&socket).connect(&address.into())?;
        let socket = Arc::new(socket);
        let reader = read(Arc::clone(&socket), address, self.replies.clone());
        Ok(Server {
            socket,
            unanswered: Unanswered::default(),
            used: now,
            reader: tokio::spawn(reader).abort_handle(),
        })
    }
}

/// Reads a server's datagrams until aborted. One too many at a time is lost, as datagrams are.
async fn read(socket: Arc<UdpSocket>, server: SocketAddr, replies: mpsc::Sender<FromServer>) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        // A server that isn't there shows as an error here. It may come back.
        let Ok(length) = socket.recv(&mut buffer).await else {
            sleep(PAUSE).await;
            continue;
        };
        let packet = buffer[..length].to_vec();
        if let Err(mpsc::error::TrySendError::Closed(_)) =
            replies.try_send(FromServer { server, packet })
        {
            return;
        }
    }
}
