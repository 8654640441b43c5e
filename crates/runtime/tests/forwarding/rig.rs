//! A session that forwards, and all that it stands between: a client in raw messages, an endpoint
//! before a server that is the test's own, and writers that are, too, behind a true link. Servers
//! answer what the endpoint asks of them as the test has set them, and keep what they were asked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use runtime::{
    Away, Backend, Consistency, DatabaseEndpoint, EndpointDirectory, EndpointLimits,
    ForwardedStream, ForwardingTerms, VerifierAnswer, WriteForwarding,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use types::Span;
use zeroize::Zeroizing;

use crate::common::{EU, Given, Pair, US, WAIT, pair_aged};

// RFC 7677, section 3: user "user", password "pencil".
const VERIFIER: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
    WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
    wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
const SERVER_KEY: &str = "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
/// What a server adds to a nonce, and the rest of its challenge.
const CHALLENGE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const ANSWER: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

/// The code of a request to cancel.
const CANCEL: [u8; 4] = [4, 210, 22, 46];

/// What a server that is asked shows.
#[derive(Clone, Copy)]
pub struct Shows {
    /// The session's consistency mode.
    pub mode: &'static str,
    /// How transactions that begin now are isolated, and the one that is open.
    pub isolation: &'static str,
    /// Where its log stands, or how far it has replayed.
    pub place: &'static str,
    /// The session's `statement_timeout`, in milliseconds.
    pub timeout: &'static str,
    /// So many bytes has what the session has set.
    pub setting: usize,
    /// Questions that have this in them are held up.
    pub held: &'static str,
}

/// A server of the test's own.
pub struct Server {
    pub socket: PathBuf,
    shows: watch::Sender<Shows>,
    /// What sessions asked it; of requests to cancel, the key.
    asked: watch::Sender<Vec<String>>,
    /// Its sessions' key.
    key: [u8; 8],
}

impl Server {
    /// One that listens there; its sessions have a key of that byte.
    fn start(socket: PathBuf, key: u8, shows: Shows) -> Arc<Server> {
        let listener = UnixListener::bind(&socket).unwrap();
        let server = Arc::new(Server {
            socket,
            shows: watch::Sender::new(shows),
            asked: watch::Sender::new(Vec::new()),
            key: [key; 8],
        });
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = serving.clone();
                // It ends with its other side.
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        server
    }

    /// Changes what it shows.
    pub fn show(&self, change: impl FnOnce(&mut Shows)) {
        self.shows.send_modify(change);
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }

    /// How many of its questions have that in them.
    pub fn count(&self, part: &str) -> usize {
        count(&self.asked.borrow(), part)
    }

    /// Waits until so many of its questions have that in them.
    pub async fn until_asked(&self, part: &str, times: usize) {
        let mut watched = self.asked.subscribe();
        let asked = watched.wait_for(|asked| count(asked, part) >= times);
        let asked = tokio::time::timeout(WAIT, asked).await.map(|it| it.is_ok());
        assert_eq!(asked, Ok(true), "{part}, {times} times: {:?}", self.asked());
    }

    async fn serve(&self, mut stream: UnixStream) -> Option<()> {
        let packet = packet(&mut stream).await?;
        if packet.starts_with(&CANCEL) {
            self.note(format!("cancel {:?}", &packet[4..]));
            return Some(());
        }
        self.log_in(&mut stream).await?;
        let mut status = b'I';
        loop {
            let (kind, body) = message_of(&mut stream).await?;
            let sql = match kind {
                b'Q' => body.strip_suffix(b"\0")?,
                // Of the unnamed statement; nothing that carries it out is read.
                b'P' => body.strip_prefix(b"\0")?,
                _ => return None,
            };
            let sql = String::from_utf8_lossy(sql).into_owned();
            self.note(sql.clone());
            if sql.contains("long") {
                stream.write_all(&beginning()).await.ok()?;
            }
            let mut shows = self.shows.subscribe();
            let is_let = |shows: &Shows| !sql.contains(shows.held);
            let shows = *shows.wait_for(is_let).await.ok()?;
            let mut said = shows.row(&sql).unwrap_or_default();
            for statement in sql.split(';') {
                let (next, tag) = carried_out(statement, status);
                status = next;
                let is_error = tag.is_err();
                said.extend(tag.unwrap_or_else(error));
                if is_error {
                    break;
                }
            }
            said.extend(message(b'Z', &[status]));
            stream.write_all(&said).await.ok()?;
        }
    }

    fn note(&self, what: String) {
        self.asked.send_modify(|asked| asked.push(what));
    }

    /// Takes anybody's proof, and gives its own.
    async fn log_in(&self, stream: &mut UnixStream) -> Option<()> {
        let authentication = |kind: u32, text: &[u8]| {
            let body = [&kind.to_be_bytes()[..], text].concat();
            message(b'R', &body)
        };
        let mechanisms = authentication(10, b"SCRAM-SHA-256\0\0");
        stream.write_all(&mechanisms).await.ok()?;
        let (_, first) = message_of(stream).await?;
        let first = String::from_utf8(first).ok()?;
        let (_, bare) = first.split_once("n,,")?;
        let (_, nonce) = bare.split_once("r=")?;
        let challenge = format!("r={nonce}{CHALLENGE}");
        let challenged = authentication(11, challenge.as_bytes());
        stream.write_all(&challenged).await.ok()?;
        let (_, last) = message_of(stream).await?;
        let last = String::from_utf8(last).ok()?;
        let (without, _) = last.rsplit_once(",p=")?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(SERVER_KEY).ok()?);
        let signed = hmac::sign(&key, format!("{bare},{challenge},{without}").as_bytes());
        let proof = format!("v={}", STANDARD.encode(signed));
        let said = [
            authentication(12, proof.as_bytes()),
            authentication(0, b""),
            message(b'K', &self.key),
            message(b'Z', b"I"),
        ];
        stream.write_all(&said.concat()).await.ok()
    }
}

impl Shows {
    /// What a session is shown that asks for it.
    fn row(&self, sql: &str) -> Option<Vec<u8>> {
        let set = "61".repeat(self.setting);
        let row = match sql {
            _ if sql.contains("consistency_mode',") => {
                vec![self.mode, self.place, self.timeout, self.isolation]
            }
            _ if sql.contains("pg_current_wal_insert_lsn") => vec![self.place],
            _ if sql.contains("pg_settings") => vec!["application_name", &set],
            _ => return None,
        };
        Some(message(b'D', &row_of(&row)))
    }
}

/// What becomes of a statement in a transaction of that status: the status behind it, and its tag
/// or its error's code. What has `fails` in it fails.
fn carried_out(statement: &str, status: u8) -> (u8, Result<Vec<u8>, &'static str>) {
    let mut words = statement.split_whitespace();
    let word = words.next().unwrap_or_default().to_ascii_uppercase();
    let failed = if status == b'I' { b'I' } else { b'E' };
    let status = match word.as_str() {
        "COMMIT" | "ROLLBACK" if words.any(|word| word == "chain") => b'T',
        "COMMIT" | "ROLLBACK" => b'I',
        _ if status == b'E' => return (b'E', Err("25P02")),
        _ if statement.contains("fails") => return (failed, Err("23505")),
        _ if statement.contains("1/0") => return (failed, Err("22012")),
        "BEGIN" => b'T',
        _ => status,
    };
    (
        status,
        Ok(message(b'C', &[word.as_bytes(), b"\0"].concat())),
    )
}

fn error(code: &str) -> Vec<u8> {
    let fields = ["SERROR", "VERROR", &format!("C{code}"), "Mit fails", ""].map(str::to_owned);
    message(b'E', (fields.join("\0") + "\0").as_bytes())
}

fn count(asked: &[String], part: &str) -> usize {
    asked.iter().filter(|asked| asked.contains(part)).count()
}

/// Where the writes of the endpoint's sessions go.
pub struct Forwarding {
    pair: Pair,
    terms: Mutex<Option<ForwardingTerms>>,
    /// Who writes, or wrote last.
    writer: Mutex<String>,
    places: Arc<Semaphore>,
    /// How often a verifier was asked for.
    vouched: AtomicUsize,
}

impl Forwarding {
    fn stream(&self) -> Result<ForwardedStream, Away> {
        let writer = self.writer.lock().unwrap().clone();
        let opened = self.pair.us.streams.open(EU, &writer);
        let end = opened.map_err(|cause| Away {
            sqlstate: *b"08001",
            message: cause.to_string(),
        })?;
        Ok(ForwardedStream { end, place: None })
    }
}

impl WriteForwarding for Forwarding {
    fn terms(&self) -> Option<ForwardingTerms> {
        self.terms.lock().unwrap().clone()
    }

    fn is_writer(&self, writer: &str) -> bool {
        *self.writer.lock().unwrap() == writer
    }

    fn open(&self) -> Result<ForwardedStream, Away> {
        let place = self.places.clone().try_acquire_owned();
        let place = place.map_err(|_| Away {
            sqlstate: *b"53300",
            message: "no place is left".to_owned(),
        })?;
        let opened = self.stream()?;
        Ok(ForwardedStream {
            place: Some(place),
            ..opened
        })
    }

    fn open_to_cancel(&self) -> Result<ForwardedStream, Away> {
        self.stream()
    }

    fn verifier<'a>(&'a self, user: &'a str) -> VerifierAnswer<'a> {
        assert_eq!(user, "user");
        self.vouched.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(Zeroizing::new(VERIFIER.to_owned())) })
    }
}

/// What stands behind the endpoint.
struct Behind {
    socket: PathBuf,
    forwarding: Arc<Forwarding>,
}

impl EndpointDirectory for Behind {
    fn backend(&self) -> Backend {
        Backend::Server {
            socket: self.socket.clone(),
        }
    }

    fn forwarding(&self) -> Option<Arc<dyn WriteForwarding>> {
        Some(self.forwarding.clone())
    }
}

/// All of it: the server that the endpoint stands before, and two writers, `one` and `other`.
pub struct Stand {
    endpoint: DatabaseEndpoint,
    forwarding: Arc<Forwarding>,
    pub own: Arc<Server>,
    pub one: Arc<Server>,
    pub other: Arc<Server>,
    _directory: TempDir,
}

impl Stand {
    /// Writes go to `one`, by so many sessions at one time.
    pub async fn new(places: usize) -> Stand {
        let directory = tempfile::tempdir().unwrap();
        let shows = Shows {
            mode: "SESSION",
            isolation: "read committed",
            place: "0/100",
            timeout: "0",
            setting: 0,
            held: "held",
        };
        let start = |name: &str, key| Server::start(directory.path().join(name), key, shows);
        let (own, one, other) = (start("own", 1), start("one", 2), start("other", 3));
        let pair = pair_aged(Span::seconds(600));
        let targets = [("one", &one), ("other", &other)];
        let targets = targets.map(|(name, server)| (name.to_owned(), server.socket.clone()));
        pair.eu.streams.serve(Arc::new(Given {
            peer: US,
            targets: BTreeMap::from(targets),
        }));
        pair.connected().await;
        let forwarding = Arc::new(Forwarding {
            pair,
            terms: Mutex::new(None),
            writer: Mutex::default(),
            places: Arc::new(Semaphore::new(places)),
            vouched: AtomicUsize::new(0),
        });
        let behind = Behind {
            socket: own.socket.clone(),
            forwarding: forwarding.clone(),
        };
        let address = "127.0.0.1:0".parse().unwrap();
        let endpoint =
            DatabaseEndpoint::listen(address, None, Arc::new(behind), EndpointLimits::STANDARD);
        let stand = Stand {
            endpoint: endpoint.unwrap(),
            forwarding,
            own,
            one,
            other,
            _directory: directory,
        };
        stand.forward_to(Some("one"));
        stand
    }

    /// From now on that one writes and writes go there, or they go nowhere.
    pub fn forward_to(&self, writer: Option<&str>) {
        if let Some(writer) = writer {
            writer.clone_into(&mut self.forwarding.writer.lock().unwrap());
        }
        let terms = writer.map(|writer| ForwardingTerms {
            writer: writer.to_owned(),
            consistency: Consistency::Session,
            connect_timeout: Some(WAIT),
            idle_session_timeout: None,
            idle_in_transaction_session_timeout: None,
        });
        *self.forwarding.terms.lock().unwrap() = terms;
    }

    /// How often the session's own server was asked for a verifier.
    pub fn vouched(&self) -> usize {
        self.forwarding.vouched.load(Ordering::SeqCst)
    }

    /// A session that has logged in.
    pub async fn session(&self) -> Client {
        let mut stream = TcpStream::connect(self.endpoint.address()).await.unwrap();
        let body = [&[0, 3, 0, 0][..], b"user\0user\0\0"].concat();
        stream.write_all(&packet_of(&body)).await.unwrap();
        let length = u32::try_from(FIRST.len()).unwrap().to_be_bytes();
        let first = [b"SCRAM-SHA-256\0", &length[..], FIRST.as_bytes()].concat();
        let mut client = Client(stream);
        client.send(b'p', &first).await;
        client.send(b'p', ANSWER.as_bytes()).await;
        let (key, _) = client.answer().await;
        assert_eq!(key, self.own.key.map(char::from).iter().collect::<String>());
        client
    }

    /// What a client is told that writes, once there is a place for it.
    pub async fn written(&self, client: &mut Client) -> (String, char) {
        let writing = async {
            loop {
                let answer = client.told("insert into rows values (1)").await;
                if answer.0 != "53300" {
                    return answer;
                }
            }
        };
        tokio::time::timeout(WAIT, writing).await.expect("in time")
    }

    /// Asks to cancel what the sessions have under way.
    pub async fn cancel(&self) {
        let mut stream = TcpStream::connect(self.endpoint.address()).await.unwrap();
        let request = packet_of(&[&CANCEL[..], &self.own.key].concat());
        stream.write_all(&request).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(WAIT, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "a request to cancel isn't closed");
    }
}

/// A session's client.
pub struct Client(TcpStream);

impl Client {
    async fn send(&mut self, kind: u8, body: &[u8]) {
        self.0.write_all(&message(kind, body)).await.unwrap();
    }

    /// Asks by the simple protocol.
    pub async fn ask(&mut self, sql: &str) {
        self.send(b'Q', &[sql.as_bytes(), b"\0"].concat()).await;
    }

    /// Has a statement prepared and carried out with a parameter of so many bytes, which may take
    /// as long as those are taken.
    pub async fn ask_at_length(&mut self, sql: &str, count: usize) {
        let prepared = [b"\0", sql.as_bytes(), b"\0\0\0"].concat();
        self.send(b'P', &prepared).await;
        let length = u32::try_from(count).unwrap().to_be_bytes();
        let bound = [b"\0\0\0\0\0\x01", &length[..], &vec![b'x'; count], b"\0\0"].concat();
        self.send(b'B', &bound).await;
    }

    /// What is said last before the next may be asked: a tag, an error's code, or a key; and the
    /// transaction's status.
    pub async fn answer(&mut self) -> (String, char) {
        let mut last = String::new();
        loop {
            let next = tokio::time::timeout(WAIT, message_of(&mut self.0)).await;
            let (kind, body) = next.expect("in time").expect("the session goes on");
            match kind {
                b'Z' => return (last, char::from(body[0])),
                b'E' => {
                    let mut fields = body.split(|byte| *byte == 0);
                    let code = fields.find(|field| field.first() == Some(&b'C'));
                    last = String::from_utf8_lossy(&code.unwrap()[1..]).into_owned();
                }
                b'C' | b'K' => {
                    let text = body.strip_suffix(b"\0").unwrap_or(&body);
                    last = String::from_utf8_lossy(text).into_owned();
                }
                _ => {}
            }
        }
    }

    /// Hears the next bytes, as many as there are.
    pub async fn heard(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let read = tokio::time::timeout(WAIT, self.0.read_exact(&mut bytes)).await;
        read.expect("in time").expect("the session goes on");
        bytes
    }

    /// Hears all that comes until its session is closed.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(WAIT, self.0.read_to_end(&mut rest)).await;
        read.expect("in time").ok();
        rest
    }

    /// Asks, and hears the answer.
    pub async fn told(&mut self, sql: &str) -> (String, char) {
        self.ask(sql).await;
        self.answer().await
    }
}

fn packet_of(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&length.to_be_bytes()[..], body].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &packet_of(body)].concat()
}

/// The beginning of a row that is longer than is kept whole anywhere.
fn beginning() -> Vec<u8> {
    let header = [b'D', 0, 2, 0, 0];
    [&header[..], &[b'x'; 40_000]].concat()
}

fn row_of(columns: &[&str]) -> Vec<u8> {
    let mut body = u16::try_from(columns.len()).unwrap().to_be_bytes().to_vec();
    for column in columns {
        body.extend(u32::try_from(column.len()).unwrap().to_be_bytes());
        body.extend(column.as_bytes());
    }
    body
}

/// The body of the packet that comes next; `None`: none does.
async fn packet(from: &mut (impl AsyncReadExt + Unpin)) -> Option<Vec<u8>> {
    let length = from.read_u32().await.ok()?;
    let mut body = vec![0; usize::try_from(length).ok()?.checked_sub(4)?];
    from.read_exact(&mut body).await.ok()?;
    Some(body)
}

/// The message that comes next.
async fn message_of(from: &mut (impl AsyncReadExt + Unpin)) -> Option<(u8, Vec<u8>)> {
    let kind = from.read_u8().await.ok()?;
    Some((kind, packet(from).await?))
}
