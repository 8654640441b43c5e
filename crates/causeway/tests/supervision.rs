//! The binary as a user runs it: labs with real processes, faults, exit codes, no orphans.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test starts processes, opens sockets and waits"
)]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

const WAIT: Duration = Duration::from_secs(30);

/// A running lab of its own directory and port.
struct Lab {
    directory: tempfile::TempDir,
    port: u16,
    up: Child,
}

/// A port that is free now on every address a lab of three sites takes, below the range that
/// the kernel gives to outgoing connections.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 8_000).unwrap();
    loop {
        let port = 12_000 + (start + NEXT.fetch_add(1, Ordering::SeqCst)) % 8_000;
        let hosts = ["127.0.0.1", "127.1.1.1", "127.1.2.1", "127.1.3.1"];
        let is_free = |port: u16| {
            hosts
                .iter()
                .all(|host| TcpListener::bind((*host, port)).is_ok())
        };
        // The API and DNS, and what is 10,000 further up of each.
        if [0, 1_000, 10_000, 11_000]
            .iter()
            .all(|far| is_free(port + far))
        {
            return port;
        }
    }
}

fn causeway(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    command.current_dir(data);
    command
}

fn start(directory: &Path, port: u16) -> Child {
    let mut up = causeway(directory)
        .args(["up", "--regions", "us-east-1,eu-west-1", "--json"])
        .args(["--api-port", &port.to_string(), "--delay-scale", "0"])
        .args(["--dns-port", &(port + 1_000).to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(up.stdout.as_mut().unwrap());
    let mut banner = String::new();
    while !banner.ends_with("}\n") || serde_json::from_str::<Value>(&banner).is_err() {
        let read = stdout.read_line(&mut banner).unwrap();
        assert!(read > 0, "`up` ended: {banner}");
    }
    up
}

impl Lab {
    fn start() -> Lab {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let up = start(directory.path(), port);
        Lab {
            directory,
            port,
            up,
        }
    }

    fn output(&self, line: &str) -> Output {
        let words = line.split_whitespace();
        let output = causeway(self.directory.path()).args(words).output();
        output.unwrap()
    }

    fn run(&self, line: &str) -> String {
        let output = self.output(line);
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {text}{errors}");
        text
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{line} --json"))).unwrap()
    }

    fn site(&self, name: &str) -> Value {
        let status = self.json("status");
        let sites = status["sites"].as_array().unwrap();
        let site = sites.iter().find(|site| site["site"] == name);
        site.unwrap().clone()
    }

    fn link(&self, from: &str, to: &str) -> Value {
        let status = self.json("status");
        let links = status["links"].as_array().unwrap();
        let link = links
            .iter()
            .find(|link| link["from"] == from && link["to"] == to);
        link.cloned().unwrap_or_default()
    }

    fn processes(&self) -> Vec<u32> {
        let status = self.json("status");
        let sites = status["sites"].as_array().unwrap().iter();
        sites
            .map(|site| u32::try_from(site["process"].as_u64().unwrap()).unwrap())
            .collect()
    }

    /// A request signed (badly) for that Region; what comes back, or how it failed.
    fn request(&self, region: &str) -> Result<String, ErrorKind> {
        self.request_of("dynamodb", region)
    }

    fn request_of(&self, service: &str, region: &str) -> Result<String, ErrorKind> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        let request = format!(
            "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\
             x-amz-target: DynamoDB_20120810.ListTables\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/{region}/\
             {service}/aws4_request, SignedHeaders=host, Signature=00\r\n\r\n{{}}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        read.map(|_| answer).map_err(|cause| cause.kind())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The guard ends the rest, as the test below proves.
        self.up.kill().ok();
        self.up.wait().ok();
    }
}

fn is_alive(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // A container may have no init that reaps: dead is dead.
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < WAIT, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_lab_is_started_asked_stopped_and_found_again() {
    let mut lab = Lab::start();
    let status = lab.run("status");
    assert!(
        status.contains("us-east-1") && status.contains("running"),
        "{status}"
    );
    let variables = lab.run("env");
    assert!(variables.contains(&format!("AWS_ENDPOINT_URL=http://127.0.0.1:{}", lab.port)));
    eventually("the links are up", || {
        lab.link("us-east-1", "edge-1")["connected"] == true
            && lab.link("eu-west-1", "us-east-1")["connected"] == true
    });
    let second = lab.output("up");
    assert_eq!(second.status.code(), Some(2));
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(words.contains(&lab.up.id().to_string()), "{words}");

    let processes = lab.processes();
    assert_eq!(processes.len(), 3);
    lab.run("down");
    assert!(lab.up.wait().unwrap().success());
    assert!(!processes.iter().any(|process| is_alive(*process)));
    for command in ["down", "status", "env", "lag", "fault list", "verify"] {
        assert_eq!(lab.output(command).status.code(), Some(3), "{command}");
    }
    lab.up = start(lab.directory.path(), lab.port);
    assert_eq!(lab.run("env"), variables);
}

#[test]
fn a_signal_stops_a_lab_without_orphans() {
    let mut lab = Lab::start();
    let processes = lab.processes();
    lab.run("fault pause us-east-1");
    let signalled = Command::new("kill").arg(lab.up.id().to_string()).status();
    assert!(signalled.unwrap().success());
    assert!(lab.up.wait().unwrap().success());
    assert!(!processes.iter().any(|process| is_alive(*process)));
}

#[test]
fn the_supervisor_s_death_leaves_no_orphan_and_no_fault() {
    let mut lab = Lab::start();
    let processes = lab.processes();
    lab.run("fault pause eu-west-1");
    lab.run("fault cut us-east-1 eu-west-1");
    lab.up.kill().unwrap();
    lab.up.wait().unwrap();
    eventually("all are gone", || {
        !processes.iter().any(|process| is_alive(*process))
    });
    lab.up = start(lab.directory.path(), lab.port);
    assert_eq!(lab.json("fault list"), serde_json::json!([]));
    assert_eq!(lab.site("eu-west-1")["state"], "running");
}

#[test]
fn a_killed_region_is_down_until_its_fault_ends() {
    let lab = Lab::start();
    assert!(lab.request("eu-west-1").is_ok());
    lab.run("fault kill eu-west-1");
    assert_eq!(lab.site("eu-west-1")["state"], "killed");
    assert_eq!(lab.request("eu-west-1"), Err(ErrorKind::ConnectionReset));
    assert!(lab.request("us-east-1").is_ok(), "the other goes on");
    lab.run("fault start eu-west-1");
    assert!(lab.request("eu-west-1").is_ok());
    assert_eq!(lab.json("fault list"), serde_json::json!([]));

    lab.run("fault kill eu-west-1 --for 300ms");
    assert_eq!(lab.request("eu-west-1"), Err(ErrorKind::ConnectionReset));
    eventually("its lease ends", || lab.request("eu-west-1").is_ok());
}

#[test]
fn a_paused_region_is_silent_and_goes_on() {
    let lab = Lab::start();
    lab.run("fault pause eu-west-1");
    assert_eq!(lab.site("eu-west-1")["state"], "paused");
    assert_eq!(lab.request("eu-west-1"), Err(ErrorKind::WouldBlock));
    // What is changed meanwhile is told when it goes on.
    lab.run("fault clock eu-west-1 -2000");
    lab.run("fault resume eu-west-1");
    assert!(lab.request("eu-west-1").is_ok());
    assert_eq!(lab.output("fault resume eu-west-1").status.code(), Some(2));
}

#[test]
fn links_are_cut_delayed_and_healed() {
    let lab = Lab::start();
    let link = || lab.link("us-east-1", "eu-west-1");
    let back = || lab.link("eu-west-1", "us-east-1");
    eventually("the link is up", || link()["connected"] == true);
    lab.run("fault cut us-east-1 eu-west-1 --one-way --reset");
    assert_eq!(link()["shape"]["cut"], "reset");
    assert_eq!(back()["shape"]["cut"], Value::Null);
    eventually("the link is down", || link()["connected"] == false);
    let cut = lab.json("fault list")[0]["id"].as_u64().unwrap();
    lab.run("fault delay us-east-1 eu-west-1 40");
    lab.run("fault rate us-east-1 eu-west-1 1000000");
    lab.run(&format!("fault heal {cut}"));
    assert_eq!(link()["shape"]["delay"], 40_000);
    assert_eq!(back()["shape"]["rate"], 1_000_000);
    eventually("the link is up again", || link()["connected"] == true);
    // A Region that starts again is under the same faults.
    lab.run("fault kill us-east-1");
    lab.run("fault start us-east-1");
    assert_eq!(link()["shape"]["delay"], 40_000);
    let healed = lab.run("fault heal");
    assert_eq!(healed.lines().count(), 2, "{healed}");
    assert_eq!(link()["shape"]["delay"], 0);
    assert_eq!(back()["shape"]["rate"], Value::Null);
}

#[test]
fn wrong_use_is_told_with_exit_code_2() {
    let lab = Lab::start();
    let taken = format!("up --data other --api-port {}", lab.port);
    for (line, word) in [
        ("up --regions us-east-1,nowhere-1", "nowhere-1"),
        (&taken, "taken"),
        ("fault kill ap-southeast-1", "us-east-1, eu-west-1, edge-1"),
        ("fault cut us-east-1 us-east-1", "two sites"),
        ("fault heal 99", "fault list"),
        ("fault start us-east-1", "running"),
    ] {
        let output = lab.output(line);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{line}: {words}");
        assert!(words.contains(word), "{line}: {words}");
    }
    assert_eq!(lab.output("conflicts show nothing").status.code(), Some(2));
}

#[test]
fn a_site_that_crashes_is_told_and_can_be_started() {
    let lab = Lab::start();
    let process = lab.site("us-east-1")["process"].to_string();
    let killed = Command::new("kill").args(["-9", &process]).status();
    assert!(killed.unwrap().success());
    eventually("it is noticed", || {
        lab.site("us-east-1")["state"] == "crashed"
    });
    lab.run("fault start us-east-1");
    assert!(lab.request("us-east-1").is_ok());
}

/// Every manifest of a site's store gets a wrong byte.
fn damage(store: &Path) {
    let mut damaged = 0;
    let mut folders = vec![store.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let number = name.strip_prefix('v').map(str::parse::<u64>);
            if path.is_dir() {
                folders.push(path);
            } else if matches!(number, Some(Ok(_))) {
                let mut bytes = std::fs::read(&path).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                std::fs::write(&path, bytes).unwrap();
                damaged += 1;
            }
        }
    }
    assert!(damaged > 0, "a store has manifests");
}

#[test]
fn a_corrupt_store_is_told_with_its_file_and_what_to_do() {
    let mut lab = Lab::start();
    lab.run("down");
    lab.up.wait().unwrap();
    let store = lab.directory.path().join(".causeway/eu-west-1/store");
    let store = store.canonicalize().unwrap();
    damage(&store);
    let up = format!("up --api-port {} --delay-scale 0", lab.port);
    for _ in 0..3 {
        let output = lab.output(&up);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words}");
        let away = format!("move {} away", store.display());
        for word in ["eu-west-1 can't start: ", "/v", "is corrupt", &away] {
            assert!(words.contains(word), "{word}: {words}");
        }
    }
}

#[test]
fn a_store_of_another_site_or_without_its_parts_is_refused() {
    let mut lab = Lab::start();
    lab.run("down");
    lab.up.wait().unwrap();
    let data = lab
        .directory
        .path()
        .join(".causeway")
        .canonicalize()
        .unwrap();
    let store = |region: &str| data.join(region).join("store");
    let away = data.join("away");
    let up = format!("up --api-port {} --delay-scale 0", lab.port);
    let refused = |code: i32, words: &[&str]| {
        let output = lab.output(&up);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
    };

    std::fs::rename(store("us-east-1"), &away).unwrap();
    std::fs::rename(store("eu-west-1"), store("us-east-1")).unwrap();
    refused(2, &["is the database of eu-west-1, not of us-east-1"]);
    // eu-west-1 began anew, with nothing.
    std::fs::remove_dir_all(store("eu-west-1")).unwrap();
    std::fs::rename(store("us-east-1"), store("eu-west-1")).unwrap();
    std::fs::rename(&away, store("us-east-1")).unwrap();

    for part in ["data/lock", "data/keyspaces", "data"] {
        let part = store("us-east-1").join(part);
        std::fs::rename(&part, &away).unwrap();
        let missing = format!("{} is corrupt (it is missing)", part.display());
        refused(1, &[&missing, "Put a backup"]);
        std::fs::rename(&away, &part).unwrap();
    }
}

#[test]
fn a_service_that_is_not_built_says_so_in_its_clients_protocol() {
    let lab = Lab::start();
    let answer = lab.request_of("s3express", "us-east-1").unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    for word in [
        "application/xml",
        "<Error><Code>NotImplemented</Code>",
        "'s3express' is not built",
    ] {
        assert!(answer.contains(word), "{word}: {answer}");
    }
    let answer = lab.request_of("kinesis", "us-east-1").unwrap();
    assert!(answer.contains("#NotImplemented\""), "{answer}");
    assert!(answer.contains("'kinesis' is not built"), "{answer}");
}
