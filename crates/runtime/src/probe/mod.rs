//! Probes of endpoints, as health checks order them: a TCP connection, or one GET over it. A
//! probe connects to the one address it is given and follows nothing from there. What the server
//! sends is never more than a few kilobytes of memory, and never more time than the order allows.

mod exchange;
mod http2;
mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use types::{HttpProbe, Probe, ProbeOrder, ProbeOutcome, ProbeStep, Prober, Span};

use exchange::Stream;
use http2::Call;
use tls::Handshake;

/// Probes over this machine's sockets.
pub struct SystemProber {
    probes: Semaphore,
    handshake: Handshake,
    /// Offers HTTP/2 alone.
    http2_handshake: Handshake,
    agent: Agent,
}

/// What a probe says of who makes it.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Agent {
    /// A health check, by its id, and at which site it is made.
    HealthCheck(Option<String>),
    /// A load balancer.
    LoadBalancer,
}

impl SystemProber {
    /// One for the whole process. It makes no more than so many probes at once, at least 1; more
    /// wait, and their time-outs begin when they do.
    pub fn new(probes: usize) -> SystemProber {
        SystemProber {
            probes: Semaphore::new(probes.max(1)),
            handshake: Handshake::new(&[]),
            http2_handshake: Handshake::new(&[b"h2"]),
            agent: Agent::HealthCheck(None),
        }
    }

    /// One whose probes say that a load balancer makes them, in the service's own words.
    pub fn of_load_balancers(probes: usize) -> SystemProber {
        SystemProber {
            agent: Agent::LoadBalancer,
            ..SystemProber::new(probes)
        }
    }

    /// The same, saying in its requests' `User-Agent` that they are from that site: endpoints can
    /// tell the checkers apart. A name of visible ASCII characters.
    pub fn of_site(mut self, name: impl ToString) -> SystemProber {
        self.agent = Agent::HealthCheck(Some(name.to_string()));
        self
    }

    async fn carry_out(&self, order: ProbeOrder) -> ProbeOutcome {
        let _permit = self.probes.acquire().await;
        let outcome = match &order.probe {
            Probe::Tcp => connect(&order).await.map(|_| ProbeOutcome::Connected),
            Probe::Http(http) => self.get(&order, http).await,
            Probe::Http2(http) => self.exchange(&order, http, Call::Get).await,
            Probe::Grpc(http) => self.exchange(&order, http, Call::Grpc).await,
        };
        outcome.unwrap_or_else(|failure| failure)
    }

    async fn get(
        &self,
        order: &ProbeOrder,
        http: &HttpProbe,
    ) -> Result<ProbeOutcome, ProbeOutcome> {
        let stream = connect(order).await?;
        let by = deadline(order.timeouts.response);
        let agent = &self.agent;
        let responded = async {
            match http.tls {
                None => exchange::respond(Box::new(stream), order, http, agent).await,
                Some(tls) => {
                    let secured = self.handshake.run(stream, order, tls).await?;
                    exchange::respond(Box::new(secured), order, http, agent).await
                }
            }
        };
        let mut response = timeout_at(by, responded)
            .await
            .unwrap_or(Err(ProbeOutcome::TimedOut(ProbeStep::Response)))?;
        let outcome = ProbeOutcome::Status(response.status());
        let Some(search) = http.search.as_ref().filter(|_| outcome.passed()) else {
            return Ok(outcome);
        };
        let by = deadline(order.timeouts.body);
        let found = timeout_at(by, response.contains(search.as_bytes())).await;
        match found.unwrap_or(Err(ProbeOutcome::TimedOut(ProbeStep::Body)))? {
            true => Ok(outcome),
            false => Err(ProbeOutcome::NoMatch(response.status())),
        }
    }
}

impl SystemProber {
    /// By HTTP/2, where nothing is searched for.
    async fn exchange(
        &self,
        order: &ProbeOrder,
        http: &HttpProbe,
        call: Call,
    ) -> Result<ProbeOutcome, ProbeOutcome> {
        let stream = connect(order).await?;
        let by = deadline(order.timeouts.response);
        let answered = async {
            let stream: Box<dyn Stream> = match http.tls {
                None => Box::new(stream),
                Some(tls) => Box::new(self.http2_handshake.run(stream, order, tls).await?),
            };
            http2::answer(stream, order, http, (call, &self.agent)).await
        };
        let answered = timeout_at(by, answered).await;
        answered.unwrap_or(Err(ProbeOutcome::TimedOut(ProbeStep::Response)))
    }
}

impl Prober for SystemProber {
    fn probe(&self, order: ProbeOrder) -> Pin<Box<dyn Future<Output = ProbeOutcome> + Send + '_>> {
        Box::pin(self.carry_out(order))
    }
}

fn deadline(span: Span) -> Instant {
    // No order waits for years; should one, a day is as good.
    const DAY: Duration = Duration::from_secs(86_400);
    Instant::now() + Duration::from(span).min(DAY)
}

/// A connection to the order's endpoint.
async fn connect(order: &ProbeOrder) -> Result<TcpStream, ProbeOutcome> {
    match timeout_at(deadline(order.timeouts.connect), open(order.endpoint)).await {
        Ok(connected) => connected,
        Err(_) => Err(ProbeOutcome::TimedOut(ProbeStep::Connect)),
    }
}

async fn open(endpoint: SocketAddr) -> Result<TcpStream, ProbeOutcome> {
    let stream = TcpStream::connect(endpoint)
        .await
        .map_err(|cause| failure(&cause))?;
    if is_itself(&stream) {
        return Err(ProbeOutcome::Refused);
    }
    stream.set_nodelay(true).map_err(|cause| failure(&cause))?;
    Ok(stream)
}

/// Where nobody listens on a local port of the range that clients are given theirs from, Linux
/// may give a client that very port, and it is connected to itself (TCP's simultaneous open, RFC
/// 9293, section 3.5): nobody is there.
fn is_itself(stream: &TcpStream) -> bool {
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(local), Ok(peer)) => local == peer,
        _ => false,
    }
}

/// What the system says when it is this process or machine that has no more of something.
const OWN_FAULTS: [i32; 3] = [
    rustix::io::Errno::MFILE.raw_os_error(),
    rustix::io::Errno::NFILE.raw_os_error(),
    rustix::io::Errno::NOBUFS.raw_os_error(),
];

fn own_fault(cause: &io::Error) -> ProbeOutcome {
    ProbeOutcome::NotMade(ProbeOutcome::words(cause))
}

/// How a connection that failed is reported.
fn failure(cause: &io::Error) -> ProbeOutcome {
    match cause.kind() {
        io::ErrorKind::ConnectionRefused => ProbeOutcome::Refused,
        io::ErrorKind::TimedOut => ProbeOutcome::TimedOut(ProbeStep::Connect),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory => own_fault(cause),
        _ if cause
            .raw_os_error()
            .is_some_and(|code| OWN_FAULTS.contains(&code)) =>
        {
            own_fault(cause)
        }
        _ => ProbeOutcome::Broken(ProbeOutcome::words(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpSocket};

    #[tokio::test]
    async fn a_connection_with_itself_is_none() {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .bind("127.0.0.1:0".parse().expect("an address"))
            .expect("a free port");
        let own = socket.local_addr().expect("it is bound");
        let stream = socket.connect(own).await.expect("it meets itself");
        assert!(is_itself(&stream));
        drop(stream);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let other = listener.local_addr().expect("it is bound");
        let stream = open(other).await.expect("somebody listens");
        assert!(!is_itself(&stream));
    }

    #[test]
    fn a_checker_without_files_says_nothing_of_the_endpoint() {
        let of = |errno: rustix::io::Errno| {
            failure(&io::Error::from_raw_os_error(errno.raw_os_error())).finding()
        };
        for own in [rustix::io::Errno::MFILE, rustix::io::Errno::ADDRNOTAVAIL] {
            assert_eq!(of(own), None);
        }
        for other in [
            rustix::io::Errno::CONNREFUSED,
            rustix::io::Errno::HOSTUNREACH,
        ] {
            assert_eq!(of(other), Some(false));
        }
    }
}
