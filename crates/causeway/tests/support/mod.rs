//! A lab of its own for a test, driven through the binary as a user would, and a small signing
//! client for its Regions.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::zombie_processes,
    reason = "tests are outside"
)]

pub mod s3;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use aws::signature::{Rules, Target, sign};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use identity::{Purpose, RootKey, Sealer, parse_credentials};
use serde_json::Value;
use types::{Region, Timestamp};
use zeroize::Zeroizing;

/// How long anything may take before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running `causeway up`; stopped and removed when dropped.
pub struct Lab {
    folder: tempfile::TempDir,
    pub port: u16,
    pub dns_port: u16,
    arguments: Vec<String>,
    /// What is set in the environment of `causeway up` and of every command.
    environment: Vec<(&'static str, String)>,
    process: Option<Child>,
}

impl Lab {
    pub fn start(arguments: &[&str]) -> Lab {
        Lab::start_in(Vec::new(), arguments)
    }

    /// Starts one with these variables set.
    pub fn start_in(environment: Vec<(&'static str, String)>, arguments: &[&str]) -> Lab {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut lab = Lab {
            folder,
            port: free_port(),
            dns_port: free_port(),
            arguments,
            environment,
            process: None,
        };
        lab.up();
        lab
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts the lab (again) and waits until every site serves.
    pub fn up(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("up.log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
        command
            .args(["up", "--api-port", &self.port.to_string()])
            .args(["--dns-port", &self.dns_port.to_string(), "--data"])
            .arg(self.data());
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.process = Some(command.spawn().unwrap());
        let log = self.folder.path().join("up.log");
        eventually("the lab is ready", || {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            let text = || std::fs::read_to_string(&log).unwrap();
            assert!(ended.is_none(), "causeway up ended: {ended:?}\n{}", text());
            self.causeway(&["status"]).status.success()
        });
    }

    /// The arguments of the next start.
    pub fn set_arguments(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
    }

    /// What `up` has printed.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("up.log")).unwrap()
    }

    /// The supervisor's process number.
    pub fn supervisor(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// Kills the supervisor as `kill -9` does.
    pub fn kill_supervisor(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Stops the lab as Ctrl-C does.
    pub fn down(&mut self) {
        let output = self.causeway(&["down"]);
        assert!(output.status.success(), "{output:?}");
        let mut process = self.process.take().unwrap();
        eventually("the supervisor has ended", || {
            process.try_wait().unwrap().is_some()
        });
    }

    /// Runs a `causeway` command on this lab.
    pub fn causeway(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
        command
            .args(words)
            .arg("--data")
            .arg(self.data())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap()
    }

    /// Runs a command that must succeed.
    pub fn must(&self, words: &[&str]) {
        let output = self.causeway(words);
        assert!(output.status.success(), "causeway {words:?}: {output:?}");
    }

    /// Runs a command and reads the JSON that it prints.
    pub fn json(&self, words: &[&str]) -> Value {
        let output = self.causeway(&[words, &["--json"]].concat());
        assert!(output.status.success(), "causeway {words:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The lab's root key.
    pub fn key(&self) -> RootKey {
        let text = std::fs::read_to_string(self.data().join("credentials")).unwrap();
        let sealed = text.lines().find_map(|line| line.strip_prefix("sealed = "));
        let sealed = STANDARD.decode(sealed.unwrap()).unwrap();
        let digits = std::fs::read_to_string(self.data().with_extension("key")).unwrap();
        let mut key = Zeroizing::new([0; 32]);
        for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        }
        let clear = Sealer::new(&key).open(Purpose::Credentials, "credentials", &sealed);
        parse_credentials(std::str::from_utf8(&clear.unwrap()).unwrap()).unwrap()
    }

    /// A client of a Region, through the lab's front door.
    pub fn client(&self, region: &str) -> Client {
        Client {
            region: region.parse().unwrap(),
            port: self.port,
            key: self.key(),
            stream: None,
        }
    }

    /// Processes of this lab that are alive: those that name its folder.
    pub fn processes(&self) -> Vec<String> {
        let folder = self.folder.path().to_string_lossy().into_owned();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            if command.contains(&folder) {
                found.push(command);
            }
        }
        found
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = Command::new("kill")
                .arg(process.id().to_string())
                .stderr(Stdio::null())
                .status();
            let _ = process.wait();
        }
    }
}

/// Makes a table whose items have an `id`.
pub fn create_table(client: &mut Client, name: &str) {
    let request = serde_json::json!({
        "TableName": name, "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    });
    client.must("CreateTable", &request);
}

/// Adds a replica to a table and waits until it serves.
pub fn add_replica(client: &mut Client, name: &str, region: &str) {
    let update = serde_json::json!({
        "TableName": name, "ReplicaUpdates": [{"Create": {"RegionName": region}}],
    });
    client.must("UpdateTable", &update);
    eventually("the replica is active", || {
        let table = client.must("DescribeTable", &serde_json::json!({"TableName": name}));
        let replicas = table["Table"]["Replicas"].as_array().cloned();
        let mut replicas = replicas.unwrap_or_default().into_iter();
        replicas.any(|row| row["RegionName"] == region && row["ReplicaStatus"] == "ACTIVE")
    });
}

/// How far a lab's second port (of links, of the DNS relay) is from the one it is given.
const PORT_DISTANCE: u16 = 10_000;

/// A port that is free, with the one that a lab takes beside it. Each is given once in a process,
/// and none is of those that the kernel gives to whoever asks for any (32,768 and above): a test
/// or a connection beside this one could get it before the lab does.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let is_free = |port: u16| {
        let address = ("127.0.0.1", port);
        TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
    };
    loop {
        let number = std::process::id().wrapping_mul(101) + GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(10_240 + number % 9_000).unwrap();
        if is_free(port) && is_free(port + PORT_DISTANCE) {
            return port;
        }
    }
}

/// Waits until something holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "still not so: {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// The wall clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    Timestamp(u64::try_from(since.as_millis()).unwrap())
}

/// A client that signs, one connection.
pub struct Client {
    region: Region,
    port: u16,
    key: RootKey,
    stream: Option<BufReader<TcpStream>>,
}

/// An answer: status and JSON.
pub type Answer = (u16, Value);

impl Client {
    /// Calls an operation. An error means that no answer came.
    pub fn call(&mut self, operation: &str, body: &Value) -> std::io::Result<Answer> {
        let answer = self.attempt(operation, &body.to_string());
        if answer.is_err() {
            self.stream = None;
        }
        answer
    }

    /// Calls an operation that must succeed.
    pub fn must(&mut self, operation: &str, body: &Value) -> Value {
        let (status, answer) = self.call(operation, body).unwrap();
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    fn attempt(&mut self, operation: &str, body: &str) -> std::io::Result<Answer> {
        let host = format!("127.0.0.1:{}", self.port);
        let request = http::Request::post(format!("http://{host}/"))
            .header("host", &host)
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header("content-type", "application/x-amz-json-1.0")
            .header("content-length", body.len())
            .body(())
            .unwrap();
        let (mut parts, ()) = request.into_parts();
        let target = Target {
            service: "dynamodb",
            region: self.region,
            rules: Rules::JSON,
        };
        sign(
            &mut parts,
            body.as_bytes(),
            &self.key.credentials(),
            &target,
            now(),
        )
        .unwrap();
        let mut text = "POST / HTTP/1.1\r\n".to_owned();
        for (name, value) in &parts.headers {
            text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        if self.stream.is_none() {
            let stream = TcpStream::connect(&host)?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.set_nodelay(true)?;
            self.stream = Some(BufReader::new(stream));
        }
        let stream = self.stream.as_mut().unwrap();
        stream.get_mut().write_all(text.as_bytes())?;
        read_answer(stream)
    }
}

fn read_answer(stream: &mut BufReader<TcpStream>) -> std::io::Result<Answer> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let ended = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(ended)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((
        status,
        serde_json::from_slice(&body).map_err(std::io::Error::other)?,
    ))
}
