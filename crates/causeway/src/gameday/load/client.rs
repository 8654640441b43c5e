//! One client of a load: what it believes of the name, which connections it keeps, and one
//! request from the question for the address to the answer. It tries nothing again: that is what
//! an application may do above it.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use runtime::{ClientError, LookupError};
use types::{Region, Span};

use super::answers::Answers;
use super::network::{Network, Way};

/// Idle connections that a client keeps; more are closed.
const IDLE: usize = 64;

/// Why a request failed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Trouble {
    /// No DNS server answered.
    Unanswered,
    /// The name has no address.
    NoAddress,
    /// Nothing accepted the connection.
    Refused,
    /// No connection came about for another reason.
    Unreachable,
    /// The connection ended before the answer.
    Broken,
    /// What came was no answer.
    Malformed,
    /// The database said that it failed.
    Sql,
    /// An answer that says that it failed.
    Status(StatusCode),
}

/// A client.
pub struct Client {
    place: Region,
    address: Ipv4Addr,
    keeps_connections: bool,
    /// How long a request has.
    timeout: Span,
    /// Held while the name is asked for: of the requests that need it then, one asks.
    answers: tokio::sync::Mutex<Answers>,
    idle: Mutex<Vec<Way>>,
}

impl Client {
    /// A client at an address of that place, whose requests have so long. One that keeps
    /// connections asks for the name only when it needs a new one.
    pub fn new(
        place: Region,
        address: Ipv4Addr,
        answers: Answers,
        keeps_connections: bool,
        timeout: Span,
    ) -> Client {
        Client {
            place,
            address,
            keeps_connections,
            timeout,
            answers: tokio::sync::Mutex::new(answers),
            idle: Mutex::default(),
        }
    }

    /// Sends one request, and gives the answer if it is one of success (200 to 299) or says that
    /// there is nothing (404). Whoever drops it before its end has given up, and its connection
    /// is closed.
    pub async fn send(
        &self,
        network: &Arc<Network>,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, Trouble> {
        let mut way = match self.take_idle() {
            Some(way) => way,
            None => {
                let address = self.resolve(network).await?;
                network.connect(self.place, self.address, address).await?
            }
        };
        let answer = network.exchange(&mut way, request).await?;
        if self.keeps_connections && way.is_open() {
            self.put_idle(way);
        }
        let status = answer.status();
        match status.is_success() || status == StatusCode::NOT_FOUND {
            true => Ok(answer),
            false => Err(Trouble::Status(status)),
        }
    }

    async fn resolve(&self, network: &Arc<Network>) -> Result<Ipv4Addr, Trouble> {
        let mut answers = self.answers.lock().await;
        if let Some(address) = answers.address(network.now()) {
            return Ok(address);
        }
        let resolved = network.resolve(self.address, self.timeout).await?;
        let lifetime = Span::from(resolved.lifetime);
        let taken = answers.take(network.now(), &resolved.addresses, lifetime);
        taken.ok_or(Trouble::NoAddress)
    }

    /// The one that was used last: the others may go stale.
    fn take_idle(&self) -> Option<Way> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(Way::is_open);
        idle.pop()
    }

    fn put_idle(&self, way: Way) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(way);
        }
    }
}

impl From<LookupError> for Trouble {
    fn from(cause: LookupError) -> Trouble {
        match cause {
            LookupError::Silent(_) => Trouble::Unanswered,
            LookupError::Name(_) => Trouble::NoAddress,
        }
    }
}

impl From<ClientError> for Trouble {
    fn from(cause: ClientError) -> Trouble {
        match cause {
            ClientError::Refused => Trouble::Refused,
            ClientError::Unreachable => Trouble::Unreachable,
            ClientError::Broken => Trouble::Broken,
            ClientError::Malformed => Trouble::Malformed,
        }
    }
}
