//! One GET and its response over a connection that is there: what is asked, and how much of the
//! answer is read. Bounds: a head of 16,384 bytes and 256 fields, 5,120 bytes of the body.

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use types::{HttpProbe, ProbeOrder, ProbeOutcome};

use super::Agent;

/// Bytes of a response's head, status line and fields; the service's limit.
pub(super) const HEAD: usize = 16_384;
/// Fields of a response's head.
const FIELDS: usize = 256;
/// What a load balancer's health checks say that they are (Application Load Balancers User Guide,
/// "Health checks for your target groups").
const LOAD_BALANCER: &str = "ELB-HealthChecker/2.0";
/// Bytes of a body that are searched; the service's limit.
pub(super) const SEARCHED: usize = 5_120;

/// What a request travels on.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A response whose head is read.
pub(super) struct Answer {
    response: Response<Incoming>,
    _connection: Connection,
}

/// The task that moves the connection's bytes; it ends with the probe.
pub(super) struct Connection(pub(super) JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends the request and reads the head of what is answered. Redirects are answers like others.
pub(super) async fn respond(
    stream: Box<dyn Stream>,
    order: &ProbeOrder,
    http: &HttpProbe,
    agent: &Agent,
) -> Result<Answer, ProbeOutcome> {
    let request = request(order, http, agent)
        .map_err(|cause| ProbeOutcome::Broken(ProbeOutcome::words(&cause)))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD)
        .max_header_size(HEAD)
        .max_headers(FIELDS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|cause| failure(&cause))?;
    let connection = Connection(tokio::spawn(async move {
        if let Err(cause) = connection.await {
            tracing::trace!(%cause, "a probe's connection ended badly");
        }
    }));
    let response = sender
        .send_request(request)
        .await
        .map_err(|cause| failure(&cause))?;
    Ok(Answer {
        response,
        _connection: connection,
    })
}

impl Answer {
    /// The response's status.
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Whether the string lies wholly within the first [`SEARCHED`] bytes of the body. Nothing
    /// is read once that is known.
    pub(super) async fn contains(&mut self, string: &[u8]) -> Result<bool, ProbeOutcome> {
        let mut read: Vec<u8> = Vec::with_capacity(SEARCHED);
        let mut from = 0;
        loop {
            if holds(&read[from..], string) {
                return Ok(true);
            }
            if read.len() == SEARCHED {
                return Ok(false);
            }
            from = (read.len() + 1).saturating_sub(string.len());
            match self.response.body_mut().frame().await {
                None => return Ok(false),
                Some(Err(cause)) => return Err(failure(&cause)),
                Some(Ok(frame)) => {
                    let data = frame.data_ref().map_or(&[][..], |data| &data[..]);
                    let room = SEARCHED - read.len();
                    read.extend_from_slice(&data[..data.len().min(room)]);
                }
            }
        }
    }
}

fn holds(bytes: &[u8], string: &[u8]) -> bool {
    string.is_empty() || bytes.windows(string.len()).any(|window| window == string)
}

fn request(
    order: &ProbeOrder,
    http: &HttpProbe,
    agent: &Agent,
) -> Result<Request<Empty<Bytes>>, http::Error> {
    let agent = user_agent(order, agent);
    Request::get(target(&http.path))
        .header(HOST, HeaderValue::try_from(host(order, http))?)
        .header(USER_AGENT, HeaderValue::try_from(agent)?)
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::new())
}

/// What the request says of who makes it.
pub(super) fn user_agent(order: &ProbeOrder, agent: &Agent) -> String {
    match agent {
        Agent::HealthCheck(site) => {
            let from = site.as_ref().map(|site| format!("; from {site}"));
            let from = from.unwrap_or_default();
            format!("Causeway-Health-Check-Service (ref {}{from})", order.id)
        }
        Agent::LoadBalancer => LOAD_BALANCER.to_owned(),
    }
}

/// The Host header, as the service has it: the name, or the address where there is none, and the
/// port unless it is the protocol's own.
pub(super) fn host(order: &ProbeOrder, http: &HttpProbe) -> String {
    let port = order.endpoint.port();
    let usual = match http.tls {
        None => 80,
        Some(_) => 443,
    };
    let name = match (&order.name, order.endpoint.ip()) {
        (Some(name), _) => name.clone(),
        (None, std::net::IpAddr::V4(address)) => address.to_string(),
        (None, std::net::IpAddr::V6(address)) => format!("[{address}]"),
    };
    match port == usual {
        true => name,
        false => format!("{name}:{port}"),
    }
}

/// The path and query as they are sent: from `/`, and with what a request line can't hold
/// percent-encoded (RFC 3986, section 2.1).
pub(super) fn target(path: &str) -> String {
    let mut target = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        target.push('/');
    }
    for byte in path.bytes() {
        match byte {
            b'!' | b'$'..=b';' | b'=' | b'?'..=b'[' | b']' | b'_' | b'a'..=b'z' | b'~' => {
                target.push(char::from(byte));
            }
            other => target.push_str(&format!("%{other:02X}")),
        }
    }
    target
}

/// How an exchange that failed is reported.
pub(super) fn failure(cause: &hyper::Error) -> ProbeOutcome {
    if cause.is_parse_too_large() {
        ProbeOutcome::HeadTooLarge
    } else if cause.is_parse() {
        ProbeOutcome::NotHttp(ProbeOutcome::words(cause))
    } else {
        ProbeOutcome::Broken(ProbeOutcome::words(cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{HealthCheckId, Probe, ProbeTimeouts, Span, Tls};

    fn order(endpoint: &str, name: Option<&str>) -> ProbeOrder {
        ProbeOrder {
            id: HealthCheckId("one".to_owned()),
            endpoint: endpoint.parse().unwrap(),
            name: name.map(str::to_owned),
            probe: Probe::Tcp,
            timeouts: ProbeTimeouts {
                connect: Span::ZERO,
                response: Span::ZERO,
                body: Span::ZERO,
            },
        }
    }

    #[test]
    fn the_host_header_names_the_port_unless_it_is_the_usual_one() {
        let http = |tls: bool| HttpProbe {
            tls: tls.then_some(Tls { server_name: false }),
            path: "/".to_owned(),
            search: None,
        };
        let name = Some("app.example.com");
        for (endpoint, name, tls, expected) in [
            ("127.0.0.1:80", name, false, "app.example.com"),
            ("127.0.0.1:443", name, true, "app.example.com"),
            ("127.0.0.1:443", name, false, "app.example.com:443"),
            ("127.0.0.1:80", name, true, "app.example.com:80"),
            ("127.0.0.1:8080", name, false, "app.example.com:8080"),
            ("127.0.0.1:80", None, false, "127.0.0.1"),
            ("127.0.0.1:8443", None, true, "127.0.0.1:8443"),
            ("[::1]:80", None, false, "[::1]"),
            ("[::1]:81", None, false, "[::1]:81"),
        ] {
            assert_eq!(host(&order(endpoint, name), &http(tls)), expected);
        }
    }

    #[test]
    fn a_load_balancer_s_probe_says_so() {
        let http = HttpProbe {
            tls: None,
            path: "/".to_owned(),
            search: None,
        };
        let agent = |agent| {
            let request = request(&order("127.0.0.1:80", None), &http, agent).unwrap();
            request.headers()[USER_AGENT].to_str().unwrap().to_owned()
        };
        assert_eq!(agent(&Agent::LoadBalancer), "ELB-HealthChecker/2.0");
        assert!(agent(&Agent::HealthCheck(None)).ends_with("(ref one)"));
        let site = Some("edge-1".to_owned());
        assert!(agent(&Agent::HealthCheck(site)).ends_with("(ref one; from edge-1)"));
    }

    #[test]
    fn a_path_is_sent_so_that_any_path_can_be() {
        for (path, sent) in [
            ("", "/"),
            ("health", "/health"),
            ("/a?b=c&d=%20", "/a?b=c&d=%20"),
            ("/a b#c", "/a%20b%23c"),
            ("/ü\r\nHost: x", "/%C3%BC%0D%0AHost:%20x"),
            ("/\"<>\\^`{|}", "/%22%3C%3E%5C%5E%60%7B%7C%7D"),
        ] {
            assert_eq!(target(path), sent);
            let uri: http::Uri = sent.parse().unwrap();
            assert_eq!(uri.path_and_query().unwrap(), sent);
        }
    }
}
