//! Is a server there at all? One question that any would answer, by DNS or as a connection. What it
//! answers is nobody's business here.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// What stands behind the identifier in a query for the address of a name that nobody has (RFC 6761
/// section 6.4), recursion not desired: flags, one question, the name, type A, class IN.
const QUERY: &[u8] = b"\0\0\0\x01\0\0\0\0\0\0\x05alive\x07invalid\0\0\x01\0\x01";

/// The shortest reply: a header (RFC 1035 section 4.1.1).
const HEADER: usize = 12;

/// A question to a server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum AliveCheck {
    /// Does it answer a query by UDP? Any answer counts, `REFUSED` as well.
    Dns(SocketAddr),
    /// Does it take a connection?
    Tcp(SocketAddr),
}

/// It is not there, or doesn't answer.
#[derive(Debug, thiserror::Error)]
pub enum AliveError {
    /// Nobody is there, or the network says so.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Nothing came in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Late(Duration),
    /// What came is no answer.
    #[error("what came is no answer by DNS")]
    NoAnswer,
}

impl AliveCheck {
    /// Asks, and waits no longer than that. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`AliveError`].
    pub async fn ask(&self, wait: Duration) -> Result<(), AliveError> {
        let asked = async {
            match self {
                AliveCheck::Dns(address) => query(*address).await,
                AliveCheck::Tcp(address) => {
                    TcpStream::connect(address).await?;
                    Ok(())
                }
            }
        };
        let late = |_| AliveError::Late(wait);
        timeout(wait, asked).await.map_err(late)?
    }
}

async fn query(address: SocketAddr) -> Result<(), AliveError> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    // From here on nobody else's datagrams are taken, and a refusal is an error.
    socket.connect(address).await?;
    let mut id = [0; 2];
    crate::fill_random(&mut id);
    socket.send(&[&id[..], QUERY].concat()).await?;
    let mut reply = [0; 512];
    let length = socket.recv(&mut reply).await?;
    let is_reply = length >= HEADER && reply[..2] == id && reply[2] & 0x80 != 0;
    is_reply.then_some(()).ok_or(AliveError::NoAnswer)
}

impl fmt::Display for AliveCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AliveCheck::Dns(address) => write!(f, "dns:{address}"),
            AliveCheck::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

impl FromStr for AliveCheck {
    type Err = String;

    /// Reads `dns:ADDRESS:PORT` or `tcp:ADDRESS:PORT`.
    fn from_str(text: &str) -> Result<AliveCheck, String> {
        let wrong = || format!("'{text}' is no check, as in dns:192.0.2.1:53 or tcp:[::1]:443");
        let (kind, address) = text.split_once(':').ok_or_else(wrong)?;
        let address: SocketAddr = address.parse().map_err(|_| wrong())?;
        match (kind, address.port()) {
            ("dns", 1..) => Ok(AliveCheck::Dns(address)),
            ("tcp", 1..) => Ok(AliveCheck::Tcp(address)),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(20);

    #[test]
    fn checks_are_written_as_they_are_read() {
        for text in ["dns:192.0.2.1:53", "tcp:[2001:db8::1]:443"] {
            assert_eq!(text.parse::<AliveCheck>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "dns",
            "dns:192.0.2.1",
            "udp:192.0.2.1:53",
            "tcp:192.0.2.1:0",
        ] {
            assert!(text.parse::<AliveCheck>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn whoever_answers_is_there_and_nobody_else() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let check = AliveCheck::Dns(server.local_addr().unwrap());
        let answering = async {
            let mut buffer = [0; 512];
            // First what is no reply: the query itself.
            for flags in [0, 0x80] {
                let (length, from) = server.recv_from(&mut buffer).await.unwrap();
                buffer[2] |= flags;
                server.send_to(&buffer[..length], from).await.unwrap();
            }
        };
        let asking = async {
            let first = check.ask(WAIT).await;
            assert!(matches!(first, Err(AliveError::NoAnswer)), "{first:?}");
            check.ask(WAIT).await.unwrap();
        };
        tokio::join!(answering, asking);
        let silent = check.ask(Duration::from_millis(20)).await;
        assert!(matches!(silent, Err(AliveError::Late(_))), "{silent:?}");
        drop(server);
        let refused = check.ask(WAIT).await;
        assert!(matches!(refused, Err(AliveError::Io(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn a_connection_is_taken_or_isn_t() {
        let listener = tokio::net::TcpListener::bind("127.9.9.7:0").await.unwrap();
        let check = AliveCheck::Tcp(listener.local_addr().unwrap());
        check.ask(WAIT).await.unwrap();
        drop(listener);
        let refused = check.ask(WAIT).await;
        assert!(matches!(refused, Err(AliveError::Io(_))), "{refused:?}");
    }
}
