//! What commands say and end with where something is wrong, missing, or more than fits a page.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test starts processes, opens sockets and may panic"
)]

mod support;

use std::collections::BTreeSet;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::{Client, Lab, add_replica, create_table, eventually, free_port};

const VIRGINIA: &str = "us-east-1";
const IRELAND: &str = "eu-west-1";

fn causeway(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    command.args(words).output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn two_regions() -> Lab {
    Lab::start(&["--regions", "us-east-1,eu-west-1", "--delay-scale", "0"])
}

// === A refused `up` ===

/// Every file and directory under that one, with the files' contents.
fn contents(directory: &Path) -> BTreeSet<(String, Vec<u8>)> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_string_lossy().into_owned();
        match path.is_dir() {
            true => {
                found.insert((name, Vec::new()));
                found.extend(contents(&path));
            }
            false => drop(found.insert((name, std::fs::read(&path).unwrap()))),
        }
    }
    found
}

fn refused(directory: &Path, words: &[&str], text: &str) {
    let before = contents(directory);
    let output = causeway(&[&["up"], words].concat());
    let error = errors(&output);
    assert_eq!(output.status.code(), Some(2), "{words:?}: {error}");
    assert!(error.contains(text), "{words:?}: {error}");
    assert_eq!(
        contents(directory),
        before,
        "{words:?} left something behind"
    );
}

#[test]
fn a_refused_up_makes_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (file, other, new) = (path("file"), path("other"), path("a/new/one"));
    std::fs::write(&file, "text").unwrap();
    std::fs::create_dir(&other).unwrap();
    std::fs::create_dir(path("empty")).unwrap();
    std::fs::write(Path::new(&other).join("thesis.tex"), "").unwrap();
    let port = free_port();
    let (number, dns) = (port.to_string(), free_port().to_string());
    for data in [&new, &path("empty")] {
        let up = ["--data", data, "--api-port", &number, "--dns-port", &dns];
        let with = |more: &[&'static str]| [&up[..], more].concat();
        let twice = with(&["--regions", "us-east-1,us-east-1"]);
        refused(folder.path(), &twice, "us-east-1 is named twice");
        refused(
            folder.path(),
            &with(&["--regions", "us-moon-1"]),
            "us-moon-1",
        );
        for host in ["127.0.0.1", "127.1.1.1", "127.1.3.1"] {
            let listener = TcpListener::bind((host, port)).unwrap();
            refused(folder.path(), &up, &format!("{host}:{port} is taken"));
            drop(listener);
        }
        let datagrams = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let taken = datagrams.local_addr().unwrap();
        let number = taken.port().to_string();
        let up = ["--data", data, "--api-port", &dns, "--dns-port", &number];
        refused(folder.path(), &up, &format!("{taken} is taken"));
        refused(folder.path(), &up, "choose another port with --dns-port");
    }
    for data in ["/proc/causeway", "/proc/a/b"] {
        let words = ["--data", data, "--api-port", &number, "--dns-port", &dns];
        refused(
            folder.path(),
            &words,
            &format!("can't make the directory {data}: "),
        );
    }
    refused(
        folder.path(),
        &["--data", &file, "--api-port", &number],
        "is no directory",
    );
    let below = path("file/below");
    refused(
        folder.path(),
        &["--data", &below, "--api-port", &number],
        "is no directory",
    );
    refused(
        folder.path(),
        &["--data", &other, "--api-port", &number],
        "thesis.tex",
    );
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o500)).unwrap();
    if std::fs::write(data.join("probe"), "").is_ok() {
        // The superuser may write anywhere.
        return;
    }
    let (data, port) = (data.to_string_lossy(), free_port().to_string());
    let dns = free_port().to_string();
    let words = ["--data", &*data, "--api-port", &port, "--dns-port", &dns];
    refused(folder.path(), &words, "Permission denied");
}

#[test]
fn a_refused_up_leaves_a_lab_that_exists_as_it_was() {
    let mut lab = Lab::start(&["--regions", "us-east-1", "--edges", "0"]);
    lab.down();
    let settings = || std::fs::read_to_string(lab.data().join("lab.toml")).unwrap();
    let before = settings();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (words, text) in [
        (
            &["--api-port", &*port, "--delay-scale", "0"][..],
            "is taken",
        ),
        (&["--regions", "eu-west-1"], "can't change yet"),
        (&["--edges", "2"], "can't change yet"),
    ] {
        let output = lab.causeway(&[&["up"], words].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(errors(&output).contains(text), "{output:?}");
        assert_eq!(settings(), before);
    }
}

// === Faults ===

fn state(lab: &Lab, site: &str) -> Value {
    let status = lab.json(&["status"]);
    let sites = status["sites"].as_array().unwrap();
    sites
        .iter()
        .find(|report| report["site"] == site)
        .unwrap()
        .clone()
}

fn no_fault(lab: &Lab, words: &[&str], text: &str) {
    let before = lab.json(&["fault", "list"]).as_array().unwrap().len();
    let output = lab.causeway(&[&["fault"], words].concat());
    let error = errors(&output);
    assert_eq!(output.status.code(), Some(2), "{words:?}: {output:?}");
    assert!(error.contains(text), "{words:?}: {error}");
    let after = lab.json(&["fault", "list"]).as_array().unwrap().len();
    assert_eq!(after, before, "{words:?} left a fault");
}

fn link(lab: &Lab, from: &str, to: &str) -> Value {
    let status = lab.json(&["status"]);
    let links = status["links"].as_array().unwrap();
    let link = links
        .iter()
        .find(|link| link["from"] == from && link["to"] == to);
    link.unwrap()["state"].clone()
}

#[test]
fn a_fault_that_makes_no_sense_is_refused() {
    let lab = two_regions();
    let start = "`causeway fault start eu-west-1` starts it";
    no_fault(&lab, &["start", IRELAND], "eu-west-1 is running");
    no_fault(&lab, &["resume", IRELAND], "eu-west-1 is not paused");
    no_fault(&lab, &["cut", IRELAND, IRELAND], "name two sites");
    no_fault(
        &lab,
        &["delay", IRELAND, "us-west-2", "5"],
        "no site us-west-2",
    );
    no_fault(
        &lab,
        &["kill", "edge-2"],
        "it has us-east-1, eu-west-1, edge-1",
    );
    no_fault(&lab, &["kill", "us-moon-1"], "causeway places");

    lab.must(&["fault", "pause", IRELAND]);
    no_fault(&lab, &["pause", IRELAND], "is paused already");
    no_fault(
        &lab,
        &["start", IRELAND],
        "`causeway fault resume eu-west-1`",
    );
    // A kill takes the pause along: what starts again runs.
    lab.must(&["fault", "kill", IRELAND]);
    assert_eq!(lab.json(&["fault", "list"]).as_array().unwrap().len(), 1);
    for deed in ["pause", "kill", "resume"] {
        no_fault(&lab, &[deed, IRELAND], start);
    }
    let later = lab.json(&["fault", "clock", IRELAND, "-200"]);
    assert!(
        later["note"].as_str().unwrap().contains("does not run"),
        "{later}"
    );
    lab.must(&["fault", "start", IRELAND]);
    let report = state(&lab, IRELAND);
    assert_eq!(
        (&report["state"], &report["clock_offset_milliseconds"]),
        (&json!("running"), &json!(-200))
    );

    lab.must(&["fault", "pause", IRELAND]);
    let process = state(&lab, IRELAND)["process"].to_string();
    let killed = Command::new("kill").args(["-9", &process]).status();
    assert!(killed.unwrap().success());
    eventually("it is noticed", || {
        state(&lab, IRELAND)["state"] == "crashed"
    });
    for deed in ["pause", "kill", "resume"] {
        no_fault(&lab, &[deed, IRELAND], "has crashed");
        no_fault(&lab, &[deed, IRELAND], start);
    }
    assert_eq!(link(&lab, VIRGINIA, IRELAND), "down");
    lab.must(&["fault", "start", IRELAND]);
    assert_eq!(state(&lab, IRELAND)["state"], "running");

    let id = lab.json(&["fault", "list"])[0]["id"].to_string();
    no_fault(&lab, &["heal", "99"], "there is no fault 99");
    lab.must(&["fault", "heal", &id]);
    no_fault(
        &lab,
        &["heal", &id],
        &format!("fault {id} has ended already"),
    );
    assert_eq!(lab.json(&["fault", "list"]), json!([]));
}

#[test]
fn a_lab_is_ready_when_its_links_are_connected() {
    let lab = two_regions();
    // `status` answers a little earlier than `up` says that it is ready.
    eventually("all links are up", || {
        let status = lab.json(&["status"]);
        let links = status["links"].as_array().unwrap();
        assert_eq!(links.len(), 6);
        let states: Vec<_> = links.iter().map(|link| &link["state"]).collect();
        assert!(
            states
                .iter()
                .all(|state| **state == "up" || **state == "connecting")
        );
        states.iter().all(|state| **state == "up")
    });
    eventually("`up` says so", || {
        lab.said().contains("links           connected after")
    });
    lab.must(&["fault", "cut", VIRGINIA, IRELAND, "--one-way", "--reset"]);
    assert_eq!(link(&lab, VIRGINIA, IRELAND), "cut");
    eventually("the other direction is down", || {
        link(&lab, IRELAND, VIRGINIA) == "down"
    });
    let lag = lab.json(&["lag"]);
    let row = lag["lag"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["from"] == VIRGINIA);
    assert_eq!(row.unwrap()["link"], "cut");
    let healed = lab.causeway(&["fault", "heal"]);
    assert!(errors(&healed).contains("causeway lag"), "{healed:?}");
    eventually("the link is up", || link(&lab, VIRGINIA, IRELAND) == "up");
}

// === The ledger ===

fn write_all(client: &mut Client, count: usize) {
    let ids: Vec<String> = (0..count).map(|id| format!("{id:04}")).collect();
    for ids in ids.chunks(25) {
        let puts = ids
            .iter()
            .map(|id| json!({"PutRequest": {"Item": {"id": {"S": id}}}}));
        let request = json!({"RequestItems": {"Orders": puts.collect::<Vec<_>>()}});
        let answer = client.must("BatchWriteItem", &request);
        assert_eq!(answer["UnprocessedItems"], json!({}));
    }
}

/// The ids of a page's rows.
fn ids(page: &Value) -> Vec<String> {
    let rows = page["conflicts"].as_array().unwrap().iter();
    rows.map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_listing_of_conflicts_says_what_is_missing_and_how_to_see_it() {
    const CONFLICTS: usize = 130;
    let lab = two_regions();
    let (mut near, mut far) = (lab.client(VIRGINIA), lab.client(IRELAND));
    create_table(&mut near, "Orders");
    add_replica(&mut near, "Orders", IRELAND);
    lab.must(&["fault", "cut", VIRGINIA, IRELAND]);
    write_all(&mut near, CONFLICTS);
    write_all(&mut far, CONFLICTS);
    lab.must(&["fault", "heal"]);
    eventually("every conflict is found", || {
        ids(&lab.json(&["conflicts", "list", "--limit", "10000"])).len() == CONFLICTS
    });

    let first = lab.json(&["conflicts", "list"]);
    assert_eq!((ids(&first).len(), &first["more"]), (100, &json!(true)));
    let next = first["next"].as_str().unwrap().to_owned();
    let second = lab.json(&["conflicts", "list", "--after", &next]);
    assert_eq!((ids(&second).len(), &second["more"]), (30, &json!(false)));
    assert_eq!(second["next"], Value::Null);
    let all: BTreeSet<String> = ids(&first).into_iter().chain(ids(&second)).collect();
    assert_eq!(all.len(), CONFLICTS);
    let mut walked = Vec::new();
    let mut page = lab.json(&["conflicts", "list", "--limit", "7"]);
    walked.extend(ids(&page));
    while let Some(next) = page["next"].as_str() {
        page = lab.json(&["conflicts", "list", "--limit", "7", "--after", next]);
        walked.extend(ids(&page));
    }
    assert_eq!(walked, [ids(&first), ids(&second)].concat());

    let plain = errors(&lab.causeway(&["conflicts", "list", "--limit", "5"]));
    assert!(
        plain.contains("5 shown, there are more (at least "),
        "{plain}"
    );
    let output = lab.causeway(&["conflicts", "list", "--table", "Orders"]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(printed.lines().count(), 101, "{printed}");
    let note = errors(&output);
    assert!(
        note.contains("100 shown, there are more: causeway conflicts list"),
        "{note}"
    );
    assert!(note.contains(&format!("--after {next}")), "{note}");
    let none = lab.causeway(&["conflicts", "list", "--table", "Others"]);
    assert_eq!(
        String::from_utf8_lossy(&none.stdout),
        "no write of Others has lost\n"
    );

    let unknown = "0123456789abcdef0123456789abcdef";
    for command in ["show", "restore"] {
        let output = lab.causeway(&["conflicts", command, unknown]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(errors(&output).contains("no such conflict"), "{output:?}");
        let output = lab.causeway(&["conflicts", command, "nothing"]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(
            errors(&output).contains("32 hexadecimal digits"),
            "{output:?}"
        );
    }
    lab.must(&["fault", "kill", VIRGINIA]);
    eventually("its links are down", || {
        let lag = lab.json(&["lag"]);
        let rows = lag["lag"].as_array().unwrap();
        rows.iter().all(|row| row["link"] == "down")
    });
    let listed = lab.json(&["conflicts", "list", "--limit", "10000"]);
    assert_eq!(listed["silent"][0]["region"], VIRGINIA);
    lab.must(&["fault", "kill", IRELAND]);
    for command in [&["conflicts", "list"][..], &["lag"]] {
        let output = lab.causeway(command);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(errors(&output).contains("no Region answered"), "{output:?}");
    }
}

// === Errors as JSON ===

#[test]
fn with_json_an_error_is_one_object_on_stderr() {
    let nothing = tempfile::tempdir().unwrap();
    let data = nothing.path().to_string_lossy().into_owned();
    let port = free_port().to_string();
    for (words, exit_code, code, text, next) in [
        (
            &["status", "--data", &*data][..],
            3,
            "nothing_running",
            "there is no lab",
            "--data DIR",
        ),
        (
            &[
                "up",
                "--regions",
                "us-east-1,us-east-1",
                "--data",
                &data,
                "--api-port",
                &port,
            ],
            2,
            "wrong_use",
            "named twice",
            "",
        ),
        (
            &["fault", "delay", VIRGINIA, IRELAND, "-5"],
            2,
            "wrong_use",
            "from 1 to 600000",
            "--help",
        ),
        (
            &["conflicts"],
            2,
            "wrong_use",
            "--json",
            "causeway conflicts --help",
        ),
    ] {
        let output = causeway(&[words, &["--json"]].concat());
        assert_eq!(
            output.status.code(),
            Some(exit_code),
            "{words:?}: {output:?}"
        );
        assert!(output.stdout.is_empty(), "{words:?}: {output:?}");
        let told = errors(&output);
        assert_eq!(told.lines().count(), 1, "{words:?}: {told}");
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["code"], code, "{told}");
        assert_eq!(told["exit_code"], exit_code, "{told}");
        assert!(told["message"].as_str().unwrap().contains(text), "{told}");
        assert!(
            told["next"].as_str().unwrap_or_default().contains(next),
            "{told}"
        );
    }
    let help = causeway(&["fault", "--help", "--json"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(help.stderr.is_empty());
}

// === Which lab ===

#[test]
fn a_port_alone_finds_a_lab_with_the_key_of_the_environment() {
    let lab = two_regions();
    let elsewhere = tempfile::tempdir().unwrap();
    let port = lab.port.to_string();
    let ask = |key: Option<(&str, &str)>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
        command.args(["status", "--json", "--api-port", &port]);
        command.current_dir(elsewhere.path());
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"] {
            command.env_remove(name);
        }
        if let Some((id, secret)) = key {
            command.env("AWS_ACCESS_KEY_ID", id);
            command.env("AWS_SECRET_ACCESS_KEY", secret);
            command.env("AWS_REGION", VIRGINIA);
        }
        command.output().unwrap()
    };
    let key = lab.key();
    let found = ask(Some((key.access_key_id(), key.secret().expose())));
    assert_eq!(found.status.code(), Some(0), "{found:?}");
    let status: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert!(status["endpoint"].as_str().unwrap().ends_with(&port));
    let without = ask(None);
    assert_eq!(without.status.code(), Some(2), "{without:?}");
    assert!(errors(&without).contains("--data DIR"), "{without:?}");
    let foreign = ask(Some((key.access_key_id(), &"x".repeat(40))));
    assert_ne!(foreign.status.code(), Some(0), "{foreign:?}");
}

#[test]
fn nothing_is_said_of_replication_that_no_region_told() {
    let lab = two_regions();
    lab.must(&["fault", "kill", VIRGINIA]);
    lab.must(&["fault", "kill", IRELAND]);
    for words in [["lag"].as_slice(), &["conflicts", "list"]] {
        let output = lab.causeway(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
    }
}
