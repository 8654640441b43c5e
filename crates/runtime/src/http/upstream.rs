//! A server that is asked again and again: connections that are kept open for the next request,
//! a bound on how many there are, limits of time and size for each request. Whole answers only. It
//! follows no redirect, tries nothing again, and knows nothing of what is asked.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use types::ByteSize;

use super::tls::Trust;

/// How long a connection is kept open on which nothing is asked: less than servers wait.
const IDLE: Duration = Duration::from_secs(5);

/// What is refused to be exceeded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UpstreamLimits {
    /// Connections at once; further requests wait.
    pub connections: usize,
    /// How long a connection may take to come about, TLS included.
    pub connect: Duration,
    /// How long a request may take in all, from when it has its turn.
    pub request: Duration,
    /// The largest answer.
    pub answer: ByteSize,
}

/// Why a request has no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection came about, or one that was open was closed before the request went out.
    #[error("can't connect: {0}")]
    Unconnected(String),
    /// The connection broke with the request under way.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    /// What came is no HTTP, or too much.
    #[error("the answer can't be read: {0}")]
    Unreadable(String),
}

/// A server.
pub struct Upstream {
    host: String,
    port: u16,
    /// What `Host` says.
    authority: HeaderValue,
    trust: Option<Trust>,
    limits: UpstreamLimits,
    turns: Semaphore,
    idle: Arc<Mutex<Vec<Idle>>>,
}

/// A connection that waits for the next request.
struct Idle {
    sender: SendRequest<Pieces>,
    since: Instant,
}

/// A body of pieces, whose length is known.
struct Pieces {
    left: std::vec::IntoIter<Bytes>,
    length: u64,
}

impl Upstream {
    /// The server of that URI's host and port, called over TLS if `trust` says whom to take for it.
    /// `None`: the URI names no host.
    pub fn new(server: &Uri, trust: Option<Trust>, limits: UpstreamLimits) -> Option<Upstream> {
        let authority = server.authority()?;
        let default_port = if trust.is_some() { 443 } else { 80 };
        let host = authority.host();
        Some(Upstream {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(default_port),
            authority: HeaderValue::from_str(authority.as_str()).ok()?,
            trust,
            limits,
            turns: Semaphore::new(limits.connections),
            idle: Arc::default(),
        })
    }

    /// Sends a request, whose body is those pieces, and reads the whole answer. Of its URI only
    /// the path and the query count.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(
        &self,
        request: Request<Vec<Bytes>>,
    ) -> Result<Response<Bytes>, UpstreamError> {
        let wait = self.limits.request;
        let turn = tokio::time::timeout(wait, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| UpstreamError::Late(wait))?;
        let exchanged = tokio::time::timeout(wait, self.exchange(request)).await;
        exchanged.map_err(|_| UpstreamError::Late(wait))?
    }

    async fn exchange(
        &self,
        request: Request<Vec<Bytes>>,
    ) -> Result<Response<Bytes>, UpstreamError> {
        let (mut head, pieces) = request.into_parts();
        let path = head.uri.path_and_query().cloned();
        head.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
        head.headers
            .entry(HOST)
            .or_insert_with(|| self.authority.clone());
        let mut sender = self.connection().await?;
        let asked = sender.send_request(Request::from_parts(head, Pieces::new(pieces)));
        let (head, body) = asked.await.map_err(|cause| trouble(&cause))?.into_parts();
        let body = Limited::new(body, self.limits.answer.as_usize());
        let body =
            body.collect()
                .await
                .map_err(|cause| match cause.downcast_ref::<hyper::Error>() {
                    Some(cause) => trouble(cause),
                    None if cause.is::<LengthLimitError>() => {
                        UpstreamError::Unreadable(format!("more than {}", self.limits.answer))
                    }
                    None => UpstreamError::Unreadable(cause.to_string()),
                })?;
        self.keep(sender);
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    /// A connection that is open and waits, or a new one.
    async fn connection(&self) -> Result<SendRequest<Pieces>, UpstreamError> {
        while let Some(mut sender) = self.take_idle() {
            // The other end may have closed it; its own task may still be putting an answer away.
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let opened = tokio::time::timeout(self.limits.connect, self.open()).await;
        opened.map_err(|_| UpstreamError::Unconnected("it took too long".to_owned()))?
    }

    fn take_idle(&self) -> Option<SendRequest<Pieces>> {
        let mut idle = self.idle.lock().expect("nothing panics under this lock");
        idle.retain(|idle| idle.since.elapsed() < IDLE && !idle.sender.is_closed());
        idle.pop().map(|idle| idle.sender)
    }

    fn keep(&self, sender: SendRequest<Pieces>) {
        let since = Instant::now();
        let mut idle = self.idle.lock().expect("nothing panics under this lock");
        idle.push(Idle { sender, since });
    }

    async fn open(&self) -> Result<SendRequest<Pieces>, UpstreamError> {
        let unconnected = |cause: std::io::Error| UpstreamError::Unconnected(cause.to_string());
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(unconnected)?;
        stream.set_nodelay(true).map_err(unconnected)?;
        match &self.trust {
            None => handshake(stream).await,
            Some(trust) => {
                let secured = trust.secure_host(stream, &self.host).await;
                handshake(secured.map_err(unconnected)?).await
            }
        }
    }
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Pieces>, UpstreamError> {
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(|cause| trouble(&cause))?;
    tokio::spawn(async move {
        // How it ends, whoever waits for an answer learns.
        connection.await.ok();
    });
    Ok(sender)
}

fn trouble(cause: &hyper::Error) -> UpstreamError {
    let told = match std::error::Error::source(cause) {
        Some(source) => format!("{cause}: {source}"),
        None => cause.to_string(),
    };
    match cause {
        cause if cause.is_canceled() => UpstreamError::Unconnected(told),
        cause if cause.is_parse() => UpstreamError::Unreadable(told),
        _ => UpstreamError::Broken(told),
    }
}

impl Pieces {
    fn new(pieces: Vec<Bytes>) -> Pieces {
        Pieces {
            length: pieces.iter().map(|piece| piece.len() as u64).sum(),
            left: pieces.into_iter(),
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = self.left.next();
        self.length -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.length == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const LIMITS: UpstreamLimits = UpstreamLimits {
        connections: 2,
        connect: Duration::from_secs(5),
        request: Duration::from_secs(20),
        answer: ByteSize::kib(1),
    };

    async fn listening() -> (TcpListener, Uri) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/x", listener.local_addr().unwrap());
        (listener, uri.parse().unwrap())
    }

    fn request(uri: &Uri, body: &[&'static str]) -> Request<Vec<Bytes>> {
        let body = body
            .iter()
            .map(|piece| Bytes::from_static(piece.as_bytes()));
        Request::put(uri).body(body.collect()).unwrap()
    }

    /// Reads a request to the end of its body, which ends so; its head, in small letters.
    async fn heard(stream: &mut TcpStream, end: &str) -> String {
        let mut heard = Vec::new();
        while !heard.ends_with(end.as_bytes()) {
            assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0);
        }
        String::from_utf8(heard).unwrap().to_lowercase()
    }

    #[tokio::test]
    async fn a_connection_serves_the_next_request_and_one_that_was_closed_is_left() {
        let (listener, uri) = listening().await;
        let server = tokio::spawn(async move {
            for connection in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                for _ in 0..2 - connection {
                    let heard = heard(&mut stream, "onetwo").await;
                    assert!(heard.starts_with("put /x http/1.1\r\n"), "{heard}");
                    assert!(heard.contains("\r\ncontent-length: 6\r\n"), "{heard}");
                    assert!(heard.contains("\r\nhost: 127.0.0.1:"), "{heard}");
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                    stream.write_all(answer).await.unwrap();
                }
            }
        });
        let upstream = Upstream::new(&uri, None, LIMITS).unwrap();
        for attempt in 0..3 {
            let mut answer = upstream.send(request(&uri, &["one", "two"])).await;
            while let Err(UpstreamError::Unconnected(_) | UpstreamError::Broken(_)) = answer {
                // The server's close may be on its way still.
                assert_eq!(attempt, 2);
                answer = upstream.send(request(&uri, &["one", "two"])).await;
            }
            assert_eq!(answer.unwrap().body(), "ok");
        }
        server.await.unwrap();
    }

    #[tokio::test]
    async fn what_has_no_answer_is_told_by_its_kind() {
        let (listener, uri) = listening().await;
        let upstream = Upstream::new(&uri, None, LIMITS).unwrap();
        let answers: [&[u8]; 3] = [
            b"",
            b"no HTTP\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n",
        ];
        let server = tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                heard(&mut stream, "\r\n\r\nx").await;
                stream.write_all(answer).await.unwrap();
                stream.write_all(&[b' '; 2000]).await.ok();
            }
        });
        let mut told = Vec::new();
        for _ in answers {
            told.push(upstream.send(request(&uri, &["x"])).await.unwrap_err());
        }
        server.await.unwrap();
        assert!(!matches!(told[0], UpstreamError::Late(_)), "{told:?}");
        assert!(matches!(told[1], UpstreamError::Unreadable(_)), "{told:?}");
        assert!(matches!(told[2], UpstreamError::Unreadable(_)), "{told:?}");
        let nobody = upstream.send(request(&uri, &["x"])).await;
        assert!(
            matches!(nobody, Err(UpstreamError::Unconnected(_))),
            "{nobody:?}"
        );
        let (silent, uri) = listening().await;
        let limits = UpstreamLimits {
            request: Duration::from_millis(50),
            ..LIMITS
        };
        let upstream = Upstream::new(&uri, None, limits).unwrap();
        let late = upstream.send(request(&uri, &["x"])).await;
        assert_eq!(late.unwrap_err(), UpstreamError::Late(limits.request));
        drop(silent);
    }
}
