//! What the tests stand on: a balancer whose decisions are a list of targets, and targets that
//! say what they are told to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::{
    Answer, Balance, BalanceListener, Balancer, BalancerLimits, BalancerOptions, Exchange, Failure,
    FlowEvent, FlowKey, HeaderField, HttpOptions, HttpTarget, ListenerKind, Next, Outcome,
    RefusedRequest, RequestHead, StreamTarget, Target, TargetVersion, Tried,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longer than anything here takes.
pub const WAIT: Duration = Duration::from_secs(20);

/// What a balancer decides, and what it was told.
#[derive(Default)]
pub struct Book {
    /// Where requests go, one after the other.
    pub targets: Mutex<Vec<HttpTarget>>,
    /// What a request is answered with instead.
    pub answer: Mutex<Option<Answer>>,
    /// Added to answers.
    pub added: Mutex<Vec<(String, String)>>,
    pub outcomes: Mutex<Vec<Outcome>>,
    pub failures: Mutex<Vec<Failure>>,
    pub refusals: Mutex<Vec<(u16, Option<&'static str>)>>,
    pub asked: Mutex<Vec<String>>,
    pub events: Mutex<Vec<FlowEvent>>,
}

struct Decider(Arc<Book>);

struct Way {
    book: Arc<Book>,
    at: usize,
}

impl Balance for Decider {
    fn route(&self, head: &RequestHead<'_>) -> Box<dyn Exchange> {
        let query = head
            .query
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let asked = format!("{} {} {}{query}", head.method, head.host, head.path);
        self.0.asked.lock().unwrap().push(asked);
        Box::new(Way {
            book: Arc::clone(&self.0),
            at: 0,
        })
    }

    fn refused(&self, refused: &RefusedRequest<'_>) {
        let told = (refused.status.unwrap_or(0), refused.classification.reason);
        self.0.refusals.lock().unwrap().push(told);
    }

    fn steer(&self, _: &FlowKey, tried: &Tried) -> Option<StreamTarget> {
        let targets = self.0.targets.lock().unwrap();
        targets.get(tried.count()).map(|target| StreamTarget {
            target: Target {
                endpoint: target.address,
                delay: None,
                // Whom it is sent to in the clear is told.
                proxy_header: target.tls,
                token: tried.count() as u32,
                owner: 0,
            },
            tls: target.tls,
        })
    }

    fn note(&self, _: u32, event: FlowEvent) {
        self.0.events.lock().unwrap().push(event);
    }
}

impl Exchange for Way {
    fn next(&mut self, failed: Option<Failure>) -> Next {
        self.book.failures.lock().unwrap().extend(failed);
        if let Some(answer) = self.book.answer.lock().unwrap().clone() {
            return Next::Answer(answer);
        }
        let target = self.book.targets.lock().unwrap().get(self.at).copied();
        self.at += 1;
        target.map_or_else(|| Next::Answer(Answer::of(503)), Next::Forward)
    }

    fn answered(&mut self, _: u16, _: &[HeaderField<'_>]) -> Vec<(String, String)> {
        self.book.added.lock().unwrap().clone()
    }

    fn ended(&mut self, outcome: &Outcome) {
        self.book.outcomes.lock().unwrap().push(outcome.clone());
    }
}

/// A balancer with one listener, and what it was told.
pub struct Rig {
    pub balancer: Balancer,
    pub book: Arc<Book>,
    pub address: SocketAddr,
}

pub const LIMITS: BalancerLimits = BalancerLimits {
    connect: Duration::from_millis(300),
    drain: Duration::from_millis(500),
    ..BalancerLimits::USUAL
};

impl Rig {
    pub fn new(targets: &[SocketAddr]) -> Rig {
        Rig::with(targets, HttpOptions::USUAL, LIMITS)
    }

    pub fn with(targets: &[SocketAddr], options: HttpOptions, limits: BalancerLimits) -> Rig {
        let targets: Vec<_> = targets.iter().map(|address| plain(*address)).collect();
        Rig::of(&targets, ListenerKind::Http(Arc::new(options)), limits)
    }

    pub fn of(targets: &[HttpTarget], kind: ListenerKind, limits: BalancerLimits) -> Rig {
        let book = Arc::new(Book::default());
        *book.targets.lock().unwrap() = targets.to_vec();
        let options = BalancerOptions { threads: 2, limits };
        let balancer = Balancer::start(options, Arc::new(Decider(Arc::clone(&book)))).unwrap();
        let listener = BalanceListener {
            address: "127.0.0.1:0".parse().unwrap(),
            kind,
        };
        let errors = balancer.listen(&[listener]);
        assert!(errors.is_empty(), "{errors:?}");
        let address = balancer.listeners()[0].bound;
        Rig {
            balancer,
            book,
            address,
        }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What comes back until the connection ends, after these bytes.
    pub async fn say(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        read_to_end(&mut stream).await
    }

    /// The outcomes, once there are so many.
    pub async fn outcomes(&self, count: usize) -> Vec<Outcome> {
        for _ in 0..400 {
            let outcomes = self.book.outcomes.lock().unwrap().clone();
            if outcomes.len() >= count {
                return outcomes;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no {count} outcomes were told");
    }
}

pub fn plain(address: SocketAddr) -> HttpTarget {
    HttpTarget {
        address,
        tls: false,
        version: TargetVersion::Http1,
    }
}

/// An address that refuses as long as this is there: nobody listens, and nobody else can.
pub struct Refusing {
    pub address: SocketAddr,
    _socket: socket2::Socket,
}

pub fn refusing() -> Refusing {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    Refusing {
        address: socket.local_addr().unwrap().as_socket().unwrap(),
        _socket: socket,
    }
}

pub async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(WAIT, stream.read_to_end(&mut bytes)).await;
    read.expect("the connection ends").ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What comes up to and with that text.
pub async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let byte = tokio::time::timeout(WAIT, stream.read_u8()).await;
        let byte = byte.unwrap_or_else(|_| panic!("{:?} ends with {end:?}", text(&bytes)));
        match byte {
            Ok(byte) => bytes.push(byte),
            Err(_) => panic!("{:?} ends with {end:?}", text(&bytes)),
        }
    }
    text(&bytes)
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A target that answers every request it reads with the same bytes.
pub struct Backend {
    pub address: SocketAddr,
    /// Every request, head and body, as it came.
    pub requests: Arc<Mutex<Vec<String>>>,
    /// Connections that were made.
    pub connections: Arc<Mutex<usize>>,
}

impl Backend {
    pub async fn answering(answer: impl AsRef<[u8]>) -> Backend {
        let answer = answer.as_ref().to_vec();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(0));
        let (log, count) = (Arc::clone(&requests), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                *count.lock().unwrap() += 1;
                let (answer, log) = (answer.clone(), Arc::clone(&log));
                tokio::spawn(async move {
                    while let Some(request) = read_request(&mut stream).await {
                        log.lock().unwrap().push(request);
                        if stream.write_all(&answer).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Backend {
            address,
            requests,
            connections,
        }
    }

    pub async fn usual() -> Backend {
        Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// A request as a simple server reads it; none at the connection's end.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let head = text(&bytes).to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        while !bytes.ends_with(b"\r\n0\r\n\r\n") {
            bytes.push(stream.read_u8().await.ok()?);
        }
    } else if let Some((_, length)) = head.split_once("content-length: ") {
        let length = length.split("\r\n").next()?.parse().ok()?;
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        bytes.extend_from_slice(&body);
    }
    Some(text(&bytes))
}

/// A target of one connection, which the test plays.
pub async fn played() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap(), listener)
}
