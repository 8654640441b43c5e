//! `up --app`: the application of each Region, in two zones, which lives and dies with them.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test starts processes, waits and may panic"
)]

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Lab, eventually, free_port};

const VIRGINIA: &str = "us-east-1a";
const IRELAND: &str = "eu-west-1a";
const OTHER_IRELAND: &str = "eu-west-1b";

/// An application that notes its environment and starts a child of its own.
fn command(notes: &Path) -> String {
    format!(
        "cd '{}' && env > \"$AWS_AVAILABILITY_ZONE.env\" && \
         {{ sleep 1000 & echo $! > \"$AWS_AVAILABILITY_ZONE.child\"; wait; }}",
        notes.display()
    )
}

fn start(notes: &Path) -> Lab {
    Lab::start(&[
        "--regions",
        "us-east-1,eu-west-1",
        "--delay-scale",
        "0",
        "--app",
        &command(notes),
        "--app-port",
        &free_port().to_string(),
    ])
}

/// The instance in that zone; null if there is none.
fn app(lab: &Lab, zone: &str) -> Value {
    let status = lab.json(&["status"]);
    let sites = status["sites"].as_array().unwrap();
    let mut apps = sites
        .iter()
        .flat_map(|site| site["apps"].as_array().unwrap());
    apps.find(|app| app["zone"] == zone)
        .cloned()
        .unwrap_or_default()
}

/// The process of the instance in that zone, and its child, once both run.
fn processes(lab: &Lab, notes: &Path, zone: &str) -> [u64; 2] {
    let mut found = [0; 2];
    eventually("the application runs", || {
        let leader = app(lab, zone)["process"].as_u64();
        let text = std::fs::read_to_string(notes.join(format!("{zone}.child")));
        let child = text.ok().and_then(|text| text.trim().parse().ok());
        let (Some(leader), Some(child)) = (leader, child) else {
            return false;
        };
        found = [leader, child];
        found.iter().all(|process| state(*process).is_some())
    });
    found
}

/// How the kernel says a process is: `S`, `T` (stopped), …; none if there is none.
fn state(process: u64) -> Option<char> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, after) = text.rsplit_once(") ")?;
    after.chars().next().filter(|state| *state != 'Z')
}

fn are_gone(processes: [u64; 2]) {
    eventually("the application and its child are gone", || {
        processes.iter().all(|process| state(*process).is_none())
    });
}

fn kill(process: u64) {
    let mut command = Command::new("kill");
    let status = command.args(["-9", &process.to_string()]).status();
    assert!(status.unwrap().success());
}

#[test]
fn an_application_is_told_where_it_is_and_started_again() {
    let notes = tempfile::tempdir().unwrap();
    let lab = start(notes.path());
    let first = processes(&lab, notes.path(), IRELAND);
    let environment = std::fs::read_to_string(notes.path().join("eu-west-1a.env")).unwrap();
    let endpoint = format!("AWS_ENDPOINT_URL=http://127.0.0.1:{}", lab.port);
    let key = lab.key();
    for line in [
        "HOST=127.1.2.11",
        "AWS_AVAILABILITY_ZONE=eu-west-1a",
        "AWS_REGION=eu-west-1",
        "AWS_DEFAULT_REGION=eu-west-1",
        &endpoint,
        &format!("AWS_ACCESS_KEY_ID={}", key.access_key_id()),
        &format!("AWS_SECRET_ACCESS_KEY={}", key.secret().expose()),
    ] {
        assert!(environment.lines().any(|found| found == line), "{line}");
    }
    assert!(environment.lines().any(|line| line.starts_with("PORT=")));
    assert_eq!(app(&lab, IRELAND)["restarts"], 0);
    kill(first[0]);
    are_gone(first);
    eventually("it was started again", || {
        let app = app(&lab, IRELAND);
        app["restarts"] == 1 && app["state"] == "running"
    });
    let last_end = app(&lab, IRELAND)["last_end"].clone();
    assert_eq!(last_end, "it ended (signal 9)");
    let text = String::from_utf8(lab.causeway(&["status"]).stdout).unwrap();
    assert!(text.contains("APPLICATION"), "{text}");
    assert!(lab.data().join("eu-west-1/app-a.log").exists());
}

#[test]
fn an_application_lives_and_dies_with_its_region() {
    let notes = tempfile::tempdir().unwrap();
    let mut lab = start(notes.path());
    let virginia = processes(&lab, notes.path(), VIRGINIA);
    let ireland = processes(&lab, notes.path(), IRELAND);
    lab.must(&["fault", "kill", "eu-west-1"]);
    // The command has answered: nothing of the Region is left.
    assert!(ireland.iter().all(|process| state(*process).is_none()));
    assert_eq!(app(&lab, IRELAND), Value::Null);
    std::fs::remove_file(notes.path().join("eu-west-1a.child")).unwrap();
    lab.must(&["fault", "heal"]);
    let ireland = processes(&lab, notes.path(), IRELAND);
    lab.must(&["fault", "pause", "eu-west-1"]);
    eventually("it stands still", || {
        ireland.iter().all(|process| state(*process) == Some('T'))
    });
    assert_eq!(app(&lab, IRELAND)["state"], "paused");
    lab.must(&["fault", "resume", "eu-west-1"]);
    eventually("it goes on", || {
        ireland.iter().all(|process| state(*process) == Some('S'))
    });
    let status = lab.json(&["status"]);
    let sites = status["sites"].as_array().unwrap();
    let site = sites
        .iter()
        .find(|site| site["site"] == "eu-west-1")
        .unwrap();
    kill(site["process"].as_u64().unwrap());
    are_gone(ireland);
    assert!(virginia.iter().all(|process| state(*process).is_some()));
    lab.kill_supervisor();
    are_gone(virginia);
}

#[test]
fn an_application_that_ends_at_once_is_started_again_less_and_less_often() {
    let lab = Lab::start(&[
        "--regions",
        "us-east-1",
        "--edges",
        "0",
        "--app",
        "echo here; exit 3",
        "--app-port",
        &free_port().to_string(),
    ]);
    eventually("it has ended twice", || {
        app(&lab, VIRGINIA)["restarts"].as_u64() >= Some(2)
    });
    assert_eq!(app(&lab, VIRGINIA)["last_end"], "it ended (exit code 3)");
    let log = std::fs::read_to_string(lab.data().join("us-east-1/app-a.log")).unwrap();
    assert!(log.starts_with("here\nhere\n"), "{log}");
}

/// What the application says in each zone: a server that names its zone.
fn says_its_zone(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "mkdir -p '{folder}/'$HOST && cd '{folder}/'$HOST && \
         printf %s \"$AWS_AVAILABILITY_ZONE\" > zone && \
         exec python3 -m http.server --bind \"$HOST\" \"$PORT\""
    )
}

/// Who answers on that address; none where nobody does.
fn who(address: &str, port: u16) -> Option<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect((address, port)).ok()?;
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let request = "GET /zone HTTP/1.0\r\nhost: app\r\n\r\n";
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.to_owned())
}

#[test]
fn a_zone_dies_and_its_region_s_address_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let lab = Lab::start(&[
        "--regions",
        "us-east-1,eu-west-1",
        "--delay-scale",
        "0",
        "--app",
        &says_its_zone(folder.path()),
        "--app-port",
        &port.to_string(),
    ]);
    let one = || who("127.1.2.1", port);
    let is = |address: &str, zone: Option<&str>| who(address, port).as_deref() == zone;
    eventually("both instances answer", || {
        is("127.1.2.11", Some(IRELAND)) && is("127.1.2.12", Some(OTHER_IRELAND))
    });
    eventually("both answer on the Region's address", || {
        let both = [one(), one()];
        both.contains(&Some(IRELAND.to_owned())) && both.contains(&Some(OTHER_IRELAND.to_owned()))
    });

    lab.must(&["fault", "kill", "eu-west-1/a"]);
    assert!(is("127.1.2.11", None));
    for _ in 0..10 {
        assert_eq!(one().as_deref(), Some(OTHER_IRELAND));
    }
    assert_eq!(app(&lab, IRELAND)["state"], "killed");
    let status = lab.json(&["status"]);
    let sites = status["sites"].as_array().unwrap();
    let ireland = sites
        .iter()
        .find(|site| site["site"] == "eu-west-1")
        .unwrap();
    assert_eq!(ireland["zones_down"], serde_json::json!(["eu-west-1a"]));
    assert_eq!(ireland["detail"]["zones_down"], serde_json::json!(["a"]));
    let text = String::from_utf8(lab.causeway(&["status"]).stdout).unwrap();
    assert!(text.contains("eu-west-1: killed: eu-west-1a"), "{text}");

    // The Region dies and comes back: its zone stays down, until its own fault ends.
    lab.must(&["fault", "kill", "eu-west-1"]);
    lab.must(&["fault", "start", "eu-west-1"]);
    eventually("the other instance is back", || {
        one().as_deref() == Some(OTHER_IRELAND)
    });
    assert!(is("127.1.2.11", None));
    lab.must(&["fault", "start", "eu-west-1/eu-west-1a"]);
    eventually("it answers again", || is("127.1.2.11", Some(IRELAND)));
}

#[test]
fn what_makes_no_sense_for_a_part_of_a_region_is_refused() {
    let notes = tempfile::tempdir().unwrap();
    let lab = start(notes.path());
    let ireland = processes(&lab, notes.path(), IRELAND);
    let refused = |words: &[&str], told: &str| {
        let output = lab.causeway(words);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(told), "{words:?}: {said}");
    };
    refused(&["fault", "pause", "eu-west-1/a"], "can't be paused");
    refused(&["fault", "kill", "eu-west-1/c/app"], "no instance");
    refused(&["fault", "kill", "sa-east-1/a"], "no site sa-east-1");
    refused(&["fault", "start", "eu-west-1/a"], "is not killed");

    // An instance alone stands still; then the application of the Region dies for a while.
    lab.must(&["fault", "pause", "eu-west-1/a/app"]);
    eventually("it stands still", || {
        ireland.iter().all(|process| state(*process) == Some('T'))
    });
    refused(&["fault", "pause", "eu-west-1/a/app"], "is paused already");
    assert_eq!(app(&lab, OTHER_IRELAND)["state"], "running");
    lab.must(&["fault", "kill", "eu-west-1/app"]);
    assert!(ireland.iter().all(|process| state(*process).is_none()));
    for zone in [IRELAND, OTHER_IRELAND] {
        assert_eq!(app(&lab, zone)["state"], "killed");
    }
    // The kill has ended the pause.
    refused(&["fault", "resume", "eu-west-1/a/app"], "is not paused");
    std::fs::remove_file(notes.path().join("eu-west-1a.child")).unwrap();
    lab.must(&["fault", "heal"]);
    processes(&lab, notes.path(), IRELAND);
}
