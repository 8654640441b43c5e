//! `up --app`: the application of each Region, which lives and dies with it.
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

const VIRGINIA: &str = "us-east-1";
const IRELAND: &str = "eu-west-1";

/// An application that notes its environment and starts a child of its own.
fn command(notes: &Path) -> String {
    format!(
        "cd '{}' && env > \"$AWS_REGION.env\" && \
         {{ sleep 1000 & echo $! > \"$AWS_REGION.child\"; wait; }}",
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

fn app(lab: &Lab, region: &str) -> Value {
    let status = lab.json(&["status"]);
    let sites = status["sites"].as_array().unwrap();
    let site = sites.iter().find(|site| site["site"] == region).unwrap();
    site["app"].clone()
}

/// The application's process and its child, once both run.
fn processes(lab: &Lab, notes: &Path, region: &str) -> [u64; 2] {
    let mut found = [0; 2];
    eventually("the application runs", || {
        let leader = app(lab, region)["process"].as_u64();
        let text = std::fs::read_to_string(notes.join(format!("{region}.child")));
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
    let environment = std::fs::read_to_string(notes.path().join("eu-west-1.env")).unwrap();
    let endpoint = format!("AWS_ENDPOINT_URL=http://127.0.0.1:{}", lab.port);
    let key = lab.key();
    for line in [
        "HOST=127.1.2.1",
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
    assert!(lab.data().join("eu-west-1/app.log").exists());
}

#[test]
fn an_application_lives_and_dies_with_its_region() {
    let notes = tempfile::tempdir().unwrap();
    let mut lab = start(notes.path());
    let virginia = processes(&lab, notes.path(), VIRGINIA);
    let ireland = processes(&lab, notes.path(), IRELAND);
    lab.must(&["fault", "kill", IRELAND]);
    // The command has answered: nothing of the Region is left.
    assert!(ireland.iter().all(|process| state(*process).is_none()));
    assert_eq!(app(&lab, IRELAND), Value::Null);
    std::fs::remove_file(notes.path().join("eu-west-1.child")).unwrap();
    lab.must(&["fault", "heal"]);
    let ireland = processes(&lab, notes.path(), IRELAND);
    lab.must(&["fault", "pause", IRELAND]);
    eventually("it stands still", || {
        ireland.iter().all(|process| state(*process) == Some('T'))
    });
    assert_eq!(app(&lab, IRELAND)["state"], "paused");
    lab.must(&["fault", "resume", IRELAND]);
    eventually("it goes on", || {
        ireland.iter().all(|process| state(*process) == Some('S'))
    });
    let status = lab.json(&["status"]);
    let sites = status["sites"].as_array().unwrap();
    let site = sites.iter().find(|site| site["site"] == IRELAND).unwrap();
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
    let log = std::fs::read_to_string(lab.data().join("us-east-1/app.log")).unwrap();
    assert!(log.starts_with("here\nhere\n"), "{log}");
}
