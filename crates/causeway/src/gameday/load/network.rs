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
    /// The static addresses of the lab's accelerators.
    pub statics: Vec<Ipv4Addr>,
    /// Where the edges are that hold those.
    pub edges: Vec<Region>,
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
        let (first, delay) = self.delays(from, to);
        self.wait(first).await;
        let connection = ClientConnection::open(source, SocketAddr::new(IpAddr::V4(to), self.port));
        let connection = connection.await;
        self.wait(first).await;
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

    /// One way from a place to an address: while the connection is made, and after that. A Region's
    /// own address is at the Region. A static one is at the nearest edge, which delays by itself
    /// what it carries, but not the handshake. None to an address that is nobody's.
    fn delays(&self, from: Region, to: Ipv4Addr) -> (Span, Span) {
        let way = |place: &Region| self.geography.one_way_delay(from, *place);
        if let Some(place) = self.places.get(&to) {
            return (way(place), way(place));
        }
        let nearest = self.edges.iter().map(way).min();
        let nearest = nearest.filter(|_| self.statics.contains(&to));
        (nearest.unwrap_or(Span::ZERO), Span::ZERO)
    }

    /// One way from a place to a Region.
    pub fn way(&self, from: Region, to: Region) -> Span {
        self.geography.one_way_delay(from, to)
    }

    /// Takes so long.
    pub async fn wait(&self, delay: Span) {
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
    fn a_static_address_is_as_far_as_the_nearest_edge_until_it_is_connected() {
        let [virginia, ireland, ohio] =
            ["us-east-1", "eu-west-1", "us-east-2"].map(|name| name.parse().unwrap());
        let region = Ipv4Addr::new(127, 1, 2, 1);
        let fixed = Ipv4Addr::new(127, 80, 0, 1);
        let geography = Geography { scale: 1.0 };
        let network = Network {
            dns: "127.0.0.1:53".parse().unwrap(),
            name: "orders".to_owned(),
            port: 8080,
            places: [(region, ireland)].into(),
            statics: vec![fixed],
            edges: vec![ireland, virginia],
            geography,
            environment: Arc::new(SystemEnvironment::new()),
        };
        let far = geography.one_way_delay(ohio, ireland);
        let near = geography.one_way_delay(ohio, virginia);
        assert!(near < far && near > Span::ZERO);
        assert_eq!(network.delays(ohio, region), (far, far));
        assert_eq!(network.delays(ohio, fixed), (near, Span::ZERO));
        let nobody = Ipv4Addr::new(127, 0, 0, 1);
        assert_eq!(network.delays(ohio, nobody), (Span::ZERO, Span::ZERO));
    }

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
