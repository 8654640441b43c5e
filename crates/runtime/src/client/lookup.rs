//! Asking a DNS server for the addresses of a name: by UDP, again when nothing comes, by TCP
//! when the answer is truncated (RFC 7766). Every attempt has a port and an id of its own, so an
//! answer to an earlier one is not taken for the later one's.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use super::connect;
use super::message::{self, Reply, Resolved};

/// The largest answer by UDP without EDNS is 512 octets; what is larger is cut off, and no answer.
const DATAGRAM: usize = 4096;

/// How long an attempt lasts at least that the kernel refuses: nobody listens there.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// A question for the addresses of a name.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The address it is asked from.
    pub source: Ipv4Addr,
    /// The server.
    pub server: SocketAddr,
    /// The name, with or without its last dot.
    pub name: String,
    /// How long one attempt waits for its answer.
    pub wait: Duration,
    /// How many attempts there are, at least one.
    pub attempts: u32,
}

/// Why a name has no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LookupError {
    /// The name can't stand in a packet.
    #[error("'{0}' is no domain name")]
    Name(String),
    /// No attempt was answered.
    #[error("no answer from {0}")]
    Silent(SocketAddr),
}

impl Lookup {
    /// Asks.
    pub async fn ask(&self) -> Result<Resolved, LookupError> {
        for _ in 0..self.attempts.max(1) {
            let question = message::question(random_id(), &self.name);
            let question = question.ok_or_else(|| LookupError::Name(self.name.clone()))?;
            let attempt = tokio::time::timeout(self.wait, self.attempt(&question));
            match attempt.await {
                Ok(Ok(resolved)) => return Ok(resolved),
                Ok(Err(_)) => tokio::time::sleep(self.wait.min(REFUSED_PAUSE)).await,
                Err(_) => {}
            }
        }
        Err(LookupError::Silent(self.server))
    }

    async fn attempt(&self, question: &[u8]) -> io::Result<Resolved> {
        match self.by_datagram(question).await? {
            Reply::Whole(resolved) => Ok(resolved),
            Reply::Truncated => self.by_stream(question).await,
        }
    }

    async fn by_datagram(&self, question: &[u8]) -> io::Result<Reply> {
        let socket = UdpSocket::bind(SocketAddr::new(self.source.into(), 0)).await?;
        socket.connect(self.server).await?;
        socket.send(question).await?;
        let mut packet = [0; DATAGRAM];
        loop {
            let length = socket.recv(&mut packet).await?;
            if let Some(reply) = message::read(question, &packet[..length]) {
                return Ok(reply);
            }
        }
    }

    async fn by_stream(&self, question: &[u8]) -> io::Result<Resolved> {
        let mut stream = connect(self.source, self.server).await?;
        let length = u16::try_from(question.len()).expect("a question is at most 271 octets");
        stream.write_all(&length.to_be_bytes()).await?;
        stream.write_all(question).await?;
        let length = stream.read_u16().await?;
        let mut packet = vec![0; usize::from(length)];
        stream.read_exact(&mut packet).await?;
        match message::read(question, &packet) {
            Some(Reply::Whole(resolved)) => Ok(resolved),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

fn random_id() -> u16 {
    let mut bytes = [0; 2];
    crate::fill_random(&mut bytes);
    u16::from_ne_bytes(bytes)
}
