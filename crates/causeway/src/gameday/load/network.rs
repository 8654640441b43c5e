//! The way from a client's place to the Regions' applications: sockets at the places' addresses,
//! and the delay of geography, which loopback has not. A connection costs a round trip before its
//! first byte, each request and each answer one way; what the kernel refuses is heard of a round
//! trip later as well. DNS isn't delayed here: the lab's relay does that.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use runtime::{ClientConnection, ClientError, Lookup, LookupError, Resolved, SystemEnvironment};
use types::{Environment, Geography, Monotonic, Region, Span};

/// How long one question to the resolver waits before it is asked again.
const LOOKUP_WAIT: Duration = Duration::from_secs(2);

/// How often it is asked at least: the first may be refused at once.
const LOOKUP_ATTEMPTS: u32 = 2;

/// What there is between the clients and the applications.
pub struct Network {
    /// Where names are asked for.
    pub dns: SocketAddr,
    /// The name of the application.
    pub name: String,
    /// The port of the application, the same in every Region.
    pub port: u16,
    /// The place of each Region's own address.
    pub places: BTreeMap<Ipv4Addr, Region>,
    /// The delays.
    pub geography: Geography,
    /// The clock.
    pub environment: Arc<SystemEnvironment>,
}

impl Network {
    /// Now.
    pub fn now(&self) -> Monotonic {
        self.environment.now().monotonic
    }

    /// The application as requests name it.
    pub fn host(&self) -> String {
        format!("{}:{}", self.name, self.port)
    }

    /// Asks for the name's addresses from that client's address, again and again for as long as
    /// whoever asks has: silence gives no error within that time.
    pub async fn resolve(&self, source: Ipv4Addr, within: Span) -> Result<Resolved, LookupError> {
        let lookup = Lookup {
            source,
            server: self.dns,
            name: self.name.clone(),
            wait: LOOKUP_WAIT,
            attempts: attempts(within),
        };
        lookup.ask().await
    }

    /// Connects a client to an application.
    pub async fn connect(
        &self,
        from: Region,
        source: Ipv4Addr,
        to: Ipv4Addr,
    ) -> Result<Way, ClientError> {
        let delay = self.delay(from, to);
        self.wait(delay).await;
        let connection = ClientConnection::open(source, SocketAddr::new(IpAddr::V4(to), self.port));
        let connection = connection.await;
        self.wait(delay).await;
        Ok(Way {
            connection: connection?,
            delay,
        })
    }

    /// Sends a request and gives its answer, each after its delay.
    pub async fn exchange(
        &self,
        way: &mut Way,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, ClientError> {
        self.wait(way.delay).await;
        let answer = way.connection.send(request).await;
        self.wait(way.delay).await;
        answer
    }

    /// One way from a place to a Region's own address; none to an address that isn't one's.
    fn delay(&self, from: Region, to: Ipv4Addr) -> Span {
        let place = self.places.get(&to);
        place.map_or(Span::ZERO, |place| {
            self.geography.one_way_delay(from, *place)
        })
    }

    async fn wait(&self, delay: Span) {
        if delay > Span::ZERO {
            self.environment.sleep_until(self.now() + delay).await;
        }
    }
}

/// How often a silent resolver is asked: the last attempt would end after that time.
fn attempts(within: Span) -> u32 {
    let whole = Duration::from(within).as_secs() / LOOKUP_WAIT.as_secs();
    u32::try_from(whole).map_or(u32::MAX, |whole| LOOKUP_ATTEMPTS.max(whole + 1))
}

/// A connection with its delay.
pub struct Way {
    connection: ClientConnection,
    delay: Span,
}

impl Way {
    /// Can it carry another request?
    pub fn is_open(&self) -> bool {
        self.connection.is_open()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_resolver_is_asked_until_the_request_s_own_end() {
        for milliseconds in [1, 1_000, 3_999, 4_000, 5_000, 60_000] {
            let within = Duration::from_millis(milliseconds);
            assert!(
                LOOKUP_WAIT * attempts(within.into()) > within,
                "{milliseconds}"
            );
        }
        assert_eq!(attempts(Span::seconds(1)), 2);
    }
}
