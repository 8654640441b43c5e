//! The HTTP server and the front door over real sockets: limits, resets, drains.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test plays the client: it opens sockets and waits"
)]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use runtime::{FrontDoor, HttpLimits, HttpServer, Refusal, Route, Service, listen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use types::ByteSize;

const LIMITS: HttpLimits = HttpLimits {
    body: ByteSize::kib(256),
    bodies: ByteSize::mib(1),
    head: ByteSize::kib(16),
    head_wait: Duration::from_millis(300),
    body_wait: Duration::from_millis(300),
    body_stall: Duration::from_millis(200),
    answer_stall: Duration::from_secs(5),
    connections: 8,
    drain: Duration::from_secs(5),
};

/// Answers with the body it got; `/slow` takes its time; `/client` is answered with the client that
/// the door names.
#[derive(Default)]
struct Echo {
    ended: AtomicUsize,
}

impl Service for Echo {
    async fn call(&self, _client: SocketAddr, request: Request<Bytes>) -> Response<Bytes> {
        if request.uri().path() == "/slow" {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.ended.fetch_add(1, Ordering::SeqCst);
        if request.uri().path() == "/client" {
            let told = request.headers().get_all("x-client").iter();
            return Response::new(told.flat_map(|told| told.as_bytes().to_vec()).collect());
        }
        Response::new(request.into_body())
    }

    fn refuse(&self, _head: Option<&Parts>, refusal: Refusal) -> Response<Bytes> {
        let status = match refusal {
            Refusal::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Refusal::BodyBroken => StatusCode::BAD_REQUEST,
            Refusal::TooManyConnections(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = Response::new(Bytes::from_static(b"refused"));
        *response.status_mut() = status;
        response
    }
}

fn start(service: &Arc<Echo>) -> HttpServer {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    HttpServer::start(listener, None, Arc::clone(service), LIMITS).unwrap()
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Sends the bytes and reads until the server closes or `wait` is over.
async fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> String {
    stream.write_all(bytes).await.unwrap();
    read_some(stream).await
}

async fn read_some(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 64 * 1024];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut buffer));
    let count = read.await.expect("an answer in time").unwrap();
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let server = start(&Arc::default());
    let mut stream = connect(server.address()).await;
    for _ in 0..3 {
        let request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello";
        let answer = exchange(&mut stream, request).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_its_sender_reads_the_answer() {
    let server = start(&Arc::default());
    let body = vec![b'x'; 1024 * 1024];
    let mut request = format!(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    let answer = exchange(&mut connect(server.address()).await, &request).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    let mut chunked = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..10 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&body[..0x10000]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let answer = exchange(&mut connect(server.address()).await, &chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_body_of_the_limit_arrives_whole() {
    let server = start(&Arc::default());
    let body = vec![b'y'; LIMITS.body.as_usize()];
    let mut stream = connect(server.address()).await;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    assert!(answer.ends_with(&body));
}

#[tokio::test]
async fn a_slow_body_and_a_slow_head_end_in_time() {
    let server = start(&Arc::default());
    let mut stream = connect(server.address()).await;
    let request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhe";
    let answer = exchange(&mut stream, request).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");

    let mut stream = connect(server.address()).await;
    let answer = exchange(&mut stream, b"POST / HTTP/1.1\r\nhos").await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn who_announces_much_and_sends_little_holds_nobody_up() {
    let patient = HttpLimits {
        body_wait: Duration::from_secs(60),
        body_stall: Duration::from_secs(60),
        ..LIMITS
    };
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let server = HttpServer::start(listener, None, Arc::<Echo>::default(), patient).unwrap();
    let head =
        |length: usize| format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    // Together they announce more than all bodies may take.
    let mut idle = Vec::new();
    for _ in 0..6 {
        let mut stream = connect(server.address()).await;
        stream.write_all(head(250_000).as_bytes()).await.unwrap();
        stream.write_all(&[b'x'; 30_000]).await.unwrap();
        idle.push(stream);
    }
    let mut request = head(250_000).into_bytes();
    request.extend_from_slice(&vec![b'y'; 250_000]);
    let answer = exchange(&mut connect(server.address()).await, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn an_oversized_head_is_refused() {
    let server = start(&Arc::default());
    let mut stream = connect(server.address()).await;
    let request = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(20_000));
    let answer = exchange(&mut stream, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");

    let mut stream = connect(server.address()).await;
    let headers: String = (0..150).map(|n| format!("h{n}: v\r\n")).collect();
    let request = format!("GET / HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    let answer = exchange(&mut stream, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_connection_too_many_is_told_so() {
    let server = start(&Arc::default());
    let mut open = Vec::new();
    for _ in 0..LIMITS.connections {
        let mut stream = connect(server.address()).await;
        exchange(&mut stream, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        open.push(stream);
    }
    let mut stream = connect(server.address()).await;
    let answer = read_some(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nrefused"), "{answer}");
}

#[tokio::test]
async fn a_stop_lets_open_requests_end() {
    let service = Arc::new(Echo::default());
    let server = start(&service);
    let address = server.address();
    let mut busy = connect(address).await;
    let mut idle = connect(address).await;
    exchange(&mut idle, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.stop().await;
    let answer = read_some(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(read_some(&mut idle).await, "");
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_request_runs_to_its_end_when_its_client_goes_away() {
    let service = Arc::new(Echo::default());
    let server = start(&service);
    let mut stream = connect(server.address()).await;
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(stream);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(service.ended.load(Ordering::SeqCst), 1);
}

// === The front door ===

struct Door {
    site: SocketAddr,
    here: Echo,
}

impl Service for Door {
    async fn call(&self, client: SocketAddr, request: Request<Bytes>) -> Response<Bytes> {
        self.here.call(client, request).await
    }

    fn refuse(&self, head: Option<&Parts>, refusal: Refusal) -> Response<Bytes> {
        self.here.refuse(head, refusal)
    }
}

impl FrontDoor for Door {
    async fn route(&self, _client: SocketAddr, head: &Parts) -> Route {
        match head.uri.path() {
            "/here" => Route::Here,
            "/nowhere" => Route::Reset,
            _ => Route::To(self.site),
        }
    }

    fn vouch(&self, client: SocketAddr, headers: &mut HeaderMap) {
        headers.insert("x-client", client.ip().to_string().parse().unwrap());
    }
}

fn open_door(site: SocketAddr) -> HttpServer {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let here = Echo::default();
    HttpServer::open_door(listener, None, Arc::new(Door { site, here }), LIMITS).unwrap()
}

#[tokio::test]
async fn the_door_passes_requests_on_and_keeps_connections() {
    let service = Arc::new(Echo::default());
    let site = start(&service);
    let door = open_door(site.address());
    let mut stream = connect(door.address()).await;
    for path in ["/a", "/slow", "/here", "/b"] {
        let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello");
        let answer = exchange(&mut stream, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    }
    assert_eq!(service.ended.load(Ordering::SeqCst), 3);
    assert_eq!(site.connections(), 1);
}

#[tokio::test]
async fn the_door_says_who_the_client_is_whatever_the_client_says() {
    let site = start(&Arc::default());
    let door = open_door(site.address());
    let mut stream = connect(door.address()).await;
    let request = b"GET /client HTTP/1.1\r\nhost: x\r\nx-client: 192.0.2.1\r\n\r\n";
    let answer = exchange(&mut stream, request).await;
    assert!(answer.ends_with("\r\n\r\n127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn an_answer_before_its_request_s_body_holds_nobody_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = open_door(listener.local_addr().unwrap());
    // A site that answers every head at once, and waits for what follows it.
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let answer = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno";
                read_some(&mut stream).await;
                stream.write_all(answer).await.unwrap();
                stream.read(&mut [0; 64]).await
            });
        }
    });
    let mut stalled = connect(door.address()).await;
    let head = b"PUT /k HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n";
    let answer = exchange(&mut stalled, head).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let mut other = connect(door.address()).await;
    let answer = exchange(&mut other, b"GET /k HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[tokio::test]
async fn a_request_for_a_dead_site_is_reset() {
    let site = start(&Arc::default());
    let address = site.address();
    let door = open_door(address);
    let mut stream = connect(door.address()).await;
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    assert!(exchange(&mut stream, request).await.contains("200"));
    site.stop().await;
    for path in ["/", "/nowhere"] {
        let mut stream = connect(door.address()).await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let error = stream.read(&mut [0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    // Back on its address, it is reached again through the same door.
    let service = Arc::new(Echo::default());
    let _site = HttpServer::start(listen(address).unwrap(), None, service, LIMITS).unwrap();
    let mut stream = connect(door.address()).await;
    assert!(exchange(&mut stream, request).await.contains("200"));
}

#[tokio::test]
async fn a_request_that_was_sent_is_never_sent_again() {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let door = open_door(listener.local_addr().unwrap());
    let received = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&received);
    // A site that answers its first request and dies on every later one, having read it.
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            while stream.read(&mut buffer).await.unwrap() > 0 {
                if counted.fetch_add(1, Ordering::SeqCst) > 0 {
                    break;
                }
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(answer).await.unwrap();
            }
        }
    });
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut stream = connect(door.address()).await;
    assert!(exchange(&mut stream, request).await.contains("200"));
    stream.write_all(request).await.unwrap();
    let error = stream.read(&mut [0; 64]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(received.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_site_that_dies_amid_its_answer_resets_the_client() {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let door = open_door(listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await.unwrap();
        let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
        stream.write_all(half).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    });
    let mut stream = connect(door.address()).await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn one_request_over_its_own_connection() {
    let server = start(&Arc::default());
    let ask = |address| {
        let request = Request::post("/x").body(Bytes::from_static(b"hello"));
        runtime::request(address, request.unwrap(), Duration::from_secs(5))
    };
    assert_eq!(ask(server.address()).await.unwrap().body(), "hello");
    let address = server.address();
    server.stop().await;
    let error = ask(address).await.unwrap_err();
    assert!(
        matches!(error, runtime::RequestError::Refused(_)),
        "{error}"
    );
}
