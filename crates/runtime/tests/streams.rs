//! Bodies that are streamed through the server, both ways, over real sockets: what is held of
//! them, what ends them, and what their other side learns.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test plays the client: it opens sockets and waits"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame};
use runtime::{
    BodyError, FrontDoor, HttpLimits, HttpServer, Refusal, RequestBody, ResponseBody, Route,
    Service, listen,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use types::ByteSize;

const LIMITS: HttpLimits = HttpLimits {
    body: ByteSize::kib(256),
    bodies: ByteSize::kib(256),
    head: ByteSize::kib(16),
    head_wait: Duration::from_secs(5),
    body_wait: Duration::from_millis(300),
    body_stall: Duration::from_millis(300),
    answer_stall: Duration::from_millis(300),
    connections: 8,
    drain: Duration::from_millis(100),
};

const PIECE: usize = 64 * 1024;

/// Counts what it is sent and answers with the number; `/none` answers without reading, `/refused`
/// with an error; `/endless` answers without end.
#[derive(Default)]
struct Counting {
    ended: Mutex<Vec<Result<u64, BodyError>>>,
    over: Notify,
    begun: Notify,
    pieces: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
}

/// An answer without end that counts what is taken of it.
struct Endless {
    pieces: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.pieces.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'x'; PIECE])))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

fn whole(text: String) -> ResponseBody {
    let body = Full::new(Bytes::from(text));
    body.map_err(|never| match never {}).boxed_unsync()
}

impl Service for Counting {
    async fn call(&self, _client: SocketAddr, _request: Request<Bytes>) -> Response<Bytes> {
        Response::new(Bytes::from_static(b"called"))
    }

    fn streams(&self, head: &Parts) -> bool {
        head.uri.path() != "/whole"
    }

    async fn stream(
        &self,
        _client: SocketAddr,
        request: Request<RequestBody>,
    ) -> Response<ResponseBody> {
        let (head, mut body) = request.into_parts();
        match head.uri.path() {
            "/none" => return Response::new(whole("not read".to_owned())),
            "/refused" => {
                let mut response = Response::new(whole("not built".to_owned()));
                *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
                return response;
            }
            "/endless" => {
                let endless = Endless {
                    pieces: Arc::clone(&self.pieces),
                    dropped: Arc::clone(&self.dropped),
                };
                return Response::new(endless.map_err(|never| match never {}).boxed_unsync());
            }
            _ => {}
        }
        self.begun.notify_one();
        let mut count = 0;
        let ended = loop {
            match body.frame().await {
                Some(Ok(frame)) => count += frame.data_ref().map_or(0, |data| data.len() as u64),
                Some(Err(error)) => break Err(error),
                None => break Ok(count),
            }
        };
        self.ended.lock().unwrap().push(ended);
        self.over.notify_one();
        Response::new(whole(format!("{ended:?}")))
    }

    fn refuse(&self, _head: Option<&Parts>, _refusal: Refusal) -> Response<Bytes> {
        Response::new(Bytes::from_static(b"refused"))
    }
}

fn start() -> (Arc<Counting>, HttpServer) {
    let service = Arc::new(Counting::default());
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let server = HttpServer::start(listener, None, Arc::clone(&service), LIMITS).unwrap();
    (service, server)
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(Duration::from_secs(20), future).await;
    waited.expect("it happens in time")
}

async fn until(holds: impl Fn() -> bool) {
    in_time(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

async fn begin(server: &HttpServer, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4096];
    let count = in_time(stream.read(&mut bytes)).await.unwrap();
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

impl Counting {
    async fn ended(&self) -> Result<u64, BodyError> {
        in_time(self.over.notified()).await;
        *self.ended.lock().unwrap().last().unwrap()
    }
}

#[tokio::test]
async fn a_body_beyond_every_limit_passes_through_and_its_connection_goes_on() {
    let (_, server) = start();
    let pieces = 64;
    let length = pieces * PIECE;
    let head = format!("PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    let mut stream = begin(&server, &head).await;
    for _ in 0..pieces {
        stream.write_all(&vec![b'y'; PIECE]).await.unwrap();
    }
    let text = answer(&mut stream).await;
    assert!(text.ends_with(&format!("Ok({length})")), "{text}");
    let next = b"PUT /whole HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx";
    stream.write_all(next).await.unwrap();
    let text = answer(&mut stream).await;
    assert!(text.ends_with("called"), "{text}");
}

#[tokio::test]
async fn who_waits_to_send_and_is_not_told_to_is_told_that_the_connection_ends() {
    let (_, server) = start();
    let closes = |answer: String| answer.to_ascii_lowercase().contains("connection: close");
    let head = |path: &str, length: usize, expect: &str| {
        format!("PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{expect}\r\n")
    };
    let expect = "expect: 100-continue\r\n";
    for path in ["/", "/whole"] {
        let mut stream = begin(&server, &head(path, 0, expect)).await;
        assert!(closes(answer(&mut stream).await), "{path}");
        let mut stream = begin(&server, &head(path, 0, "")).await;
        assert!(!closes(answer(&mut stream).await), "{path}");
    }
}

/// A front door with everything behind it.
struct Door(SocketAddr);

impl Service for Door {
    async fn call(&self, _client: SocketAddr, _request: Request<Bytes>) -> Response<Bytes> {
        Response::new(Bytes::from_static(b"here"))
    }

    fn refuse(&self, _head: Option<&Parts>, _refusal: Refusal) -> Response<Bytes> {
        Response::new(Bytes::from_static(b"refused"))
    }
}

impl FrontDoor for Door {
    async fn route(&self, _client: SocketAddr, _head: &Parts) -> Route {
        Route::To(self.0)
    }

    fn vouch(&self, _client: SocketAddr, _headers: &mut HeaderMap) {}
}

/// Refused by its head, while its sender waits no longer to be told to send: it reads the refusal,
/// however late its body comes.
#[tokio::test]
async fn who_waits_to_send_and_sends_anyway_reads_the_refusal() {
    let (_, server) = start();
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let door = Door(server.address());
    let door = HttpServer::open_door(listener, None, Arc::new(door), LIMITS).unwrap();
    let body = vec![b'x'; 1 << 20];
    let length = body.len();
    let head = format!(
        "PUT /refused HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n\
         content-length: {length}\r\n\r\n"
    );
    for (address, pause) in [server.address(), door.address()]
        .into_iter()
        .flat_map(|address| [0, 20, 200].map(|pause| (address, pause)))
    {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        for part in body.chunks(PIECE) {
            stream.write_all(part).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let text = text.trim_start_matches("HTTP/1.1 100 Continue\r\n\r\n");
        assert!(text.starts_with("HTTP/1.1 501 "), "{text}");
        assert!(text.ends_with("not built"), "{text}");
    }
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up_and_its_sender_is_answered() {
    let (service, server) = start();
    let head = "PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc";
    let mut stream = begin(&server, head).await;
    assert_eq!(service.ended().await, Err(BodyError::TooSlow));
    let text = answer(&mut stream).await;
    assert!(text.ends_with("Err(TooSlow)"), "{text}");
}

#[tokio::test]
async fn a_sender_that_leaves_is_no_end_of_its_body() {
    let lengths = ["content-length: 10", "transfer-encoding: chunked"];
    for (length, sent) in lengths.into_iter().zip(["abc", "3\r\nabc\r\n"]) {
        let (service, server) = start();
        let head = format!("PUT / HTTP/1.1\r\nhost: x\r\n{length}\r\n\r\n{sent}");
        let stream = begin(&server, &head).await;
        in_time(service.begun.notified()).await;
        drop(stream);
        assert_eq!(service.ended().await, Err(BodyError::Broken), "{length}");
    }
}

#[tokio::test]
async fn a_server_that_ends_is_no_end_of_a_body() {
    for length in ["content-length: 10", "transfer-encoding: chunked"] {
        let (service, server) = start();
        let head = format!("PUT / HTTP/1.1\r\nhost: x\r\n{length}\r\n\r\n");
        let _stream = begin(&server, &head).await;
        in_time(service.begun.notified()).await;
        drop(server);
        assert_eq!(service.ended().await, Err(BodyError::Broken), "{length}");
    }
}

#[tokio::test]
async fn an_answer_before_the_body_reaches_its_sender() {
    let (_, server) = start();
    let length = 128 * PIECE;
    let head = format!("PUT /none HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    let mut stream = begin(&server, &head).await;
    for _ in 0..128 {
        stream.write_all(&vec![b'y'; PIECE]).await.unwrap();
    }
    let text = answer(&mut stream).await;
    assert!(text.ends_with("not read"), "{text}");
}

#[tokio::test]
async fn an_answer_stops_when_its_client_leaves() {
    let (service, server) = start();
    let mut stream = begin(&server, "GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut bytes = vec![0; PIECE];
    stream.read_exact(&mut bytes).await.unwrap();
    drop(stream);
    until(|| service.dropped.load(Ordering::SeqCst) == 1).await;
    until(|| server.connections() == 0).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_little_and_not_for_long() {
    let (service, server) = start();
    let _stream = begin(&server, "GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
    until(|| service.dropped.load(Ordering::SeqCst) == 1).await;
    until(|| server.connections() == 0).await;
    // What the sockets' buffers take (a few MiB), and no more.
    let taken = service.pieces.load(Ordering::SeqCst) * PIECE;
    assert!(taken < 64 << 20, "{taken}");
}
