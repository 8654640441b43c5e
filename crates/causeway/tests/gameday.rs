//! Game days against real labs: the shipped scenarios hold on short schedules, what can't hold is
//! told by exit codes, and nothing of a game day outlives it, however it ends.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::zombie_processes,
    reason = "tests are outside"
)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Condvar, Mutex, Once};

use serde_json::Value;
use support::eventually;

/// Game days at once: each is a lab of four or five processes.
const AT_ONCE: u32 = 2;

static RUNNING: (Mutex<u32>, Condvar) = (Mutex::new(0), Condvar::new());
static APPLICATION: Once = Once::new();

/// The right to run a game day, as long as it is there.
struct Turn;

impl Turn {
    fn take() -> Turn {
        APPLICATION.call_once(build_application);
        let (running, freed) = &RUNNING;
        let mut running = running.lock().unwrap_or_else(|broken| broken.into_inner());
        while *running >= AT_ONCE {
            running = freed
                .wait(running)
                .unwrap_or_else(|broken| broken.into_inner());
        }
        *running += 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (running, freed) = &RUNNING;
        *running.lock().unwrap_or_else(|broken| broken.into_inner()) -= 1;
        freed.notify_one();
    }
}

/// The shipped scenarios run `examples/orders`, which lies beside the binary. The test command
/// has put it there; who runs this test alone waits for it to be built, once.
fn build_application() {
    let beside = Path::new(env!("CARGO_BIN_EXE_causeway")).with_file_name("orders");
    if !beside.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        let built = cargo
            .args(["build", "--quiet", "--package", "orders"])
            .status();
        assert!(
            built.unwrap().success() && beside.exists(),
            "examples/orders is not built"
        );
    }
}

fn gameday(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    command.arg("gameday").args(words).stdin(Stdio::null());
    command
}

/// Runs a shipped scenario with these variables; gives its report. It must hold.
fn run(scenario: &str, variables: &[&str]) -> Value {
    let _turn = Turn::take();
    let folder = tempfile::tempdir().unwrap();
    let mut command = gameday(&["run", scenario, "--json", "--report"]);
    command.arg(folder.path());
    for variable in variables {
        command.args(["--set", variable]);
    }
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|cause| panic!("{scenario}: {cause}\n{told}"));
    assert_eq!(
        output.status.code(),
        Some(0),
        "{scenario}: {told}\n{:#}\n{:#}",
        report["expectations"],
        report["timeline"]
    );
    assert_eq!(report["holds"], true);
    let expectations = report["expectations"].as_array().unwrap().len();
    let written = fs::read_to_string(folder.path().join("report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), report);
    let html = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(html.contains("<svg") && html.contains(report["scenario"]["title"].as_str().unwrap()));
    let junit = fs::read_to_string(folder.path().join("junit.xml")).unwrap();
    assert!(
        junit.matches("<testcase").count() >= expectations,
        "{junit}"
    );
    assert!(!junit.contains("<failure"), "{junit}");
    report
}

#[test]
fn a_region_s_outage_is_measured_by_client_and_order() {
    let variables = [
        "warm_up=4s",
        "outage=16s",
        "settle=6s",
        "rate=5",
        "within=14",
    ];
    let report = run("region-outage", &variables);
    let metric = |name: &str| report["metrics"][name].clone();
    // With its Region dead, nobody is served who doesn't look again.
    assert_eq!(metric("rto_s.never_resolves_again"), "never");
    assert!(metric("rto_s.honours_ttl").as_f64().unwrap() > 0.0);
    assert!(metric("served_by.virginia.us-east-1").as_f64().unwrap() > 0.0);
    assert!(metric("served_by.virginia.eu-west-1").as_f64().unwrap() > 0.0);
    assert_eq!(metric("requests").as_f64(), Some(6.0 * 5.0 * 26.0));
    assert!(metric("link_bytes.changes").as_f64().unwrap() > 0.0);
    assert!(metric("drained_s").is_number(), "{}", report["timeline"]);
}

#[test]
fn two_active_regions_are_cut_apart_and_conflict() {
    let variables = ["warm_up=4s", "cut=8s", "settle=4s"];
    let report = run("active-active-latency", &variables);
    let conflicts = report["conflicts"]["count"].as_u64();
    assert!(conflicts > Some(0), "{}", report["conflicts"]);
}

#[test]
fn german_users_stay_in_germany_when_it_is_down() {
    let variables = ["warm_up=4s", "outage=8s", "settle=5s", "rate=5"];
    let report = run("residency-geolocation", &variables);
    assert_eq!(report["metrics"]["rto_s.germans"], "never");
}

#[test]
fn a_replicated_bucket_is_cut_off_and_has_everything_once_in_the_end() {
    let variables = ["warm_up=4s", "cut=8s", "settle=4s", "ttl=1s", "rate=10"];
    let report = run("bucket-replication", &variables);
    assert_eq!(report["metrics"]["applied_twice"].as_f64(), Some(0.0));
    assert!(report["metrics"]["link_bytes.objects"].as_f64().unwrap() > 0.0);
}

#[test]
fn users_of_an_accelerator_are_beside_users_of_a_name() {
    let variables = [
        "warm_up=4s",
        "outage=14s",
        "settle=4s",
        "ttl=2s",
        "hold=4s",
        "rate=5",
        "within=12",
    ];
    let report = run("accelerator-vs-dns", &variables);
    let rto = |client: &str| report["metrics"][format!("rto_s.{client}")].clone();
    assert_eq!(rto("stubborn"), "never");
    let seconds = |client: &str| rto(client).as_f64().unwrap();
    // Whoever asks the DNS waits for health checks at the very least.
    assert!(
        seconds("honours_ttl") > seconds("accelerator"),
        "{}",
        report["clients"]
    );
    let clients = report["clients"].as_array().unwrap();
    assert_eq!(clients.len(), 6);
}

#[test]
fn an_endpoint_that_refuses_hurts_only_what_was_under_way() {
    let report = run("endpoint-refuses", &[]);
    assert_eq!(report["moments"]["unserved"], "us-east-1");
    assert!(report["moments"]["outage"].is_null());
}

#[test]
fn an_endpoint_that_most_checkers_find_broken_goes_on_serving() {
    run("checker-only-partition", &[]);
}

#[test]
fn an_edge_that_is_alone_leads_away_from_a_dead_endpoint() {
    run("control-plane-away", &[]);
}

#[test]
fn an_expectation_that_cannot_hold_is_exit_code_1() {
    let _turn = Turn::take();
    let folder = tempfile::tempdir().unwrap();
    let mut command = gameday(&["run", "region-outage", "--quiet", "--report"]);
    command.arg(folder.path());
    for variable in ["warm_up=1s", "outage=4s", "settle=1s", "rate=2", "within=0"] {
        command.args(["--set", variable]);
    }
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("rto_s.honours_ttl <= 0"), "{told}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("region-outage"), "{text}");
    let junit = fs::read_to_string(folder.path().join("junit.xml")).unwrap();
    assert!(junit.contains("<failure"), "{junit}");
}

/// Every word of a step, each carried out; the last fault is healed at the end.
const EVERY_STEP: &str = r#"
title = "Every step"
[lab]
regions = ["us-east-1", "eu-west-1"]
edges = 2
delay_scale = 0.1
health_interval = "200ms"
app = "orders"
[[table]]
name = "Orders"
regions = ["us-east-1", "eu-west-1"]
[[zone]]
name = "example.com"
[[record]]
name = "shop.example.com"
region = "us-east-1"
ttl = "0s"
[[load]]
name = "users"
place = "eu-west-2"
client = "honours_ttl"
rate = 10
does = "get"
path = "/health"
target = "shop.example.com"
[[step]]
at = "200ms"
do = "delay"
between = ["us-east-1", "eu-west-1"]
by = "20ms"
for = "1s"
[[step]]
at = "300ms"
do = "rate"
between = ["us-east-1", "edge-1"]
bytes_per_second = 100000
one_way = true
for = "1s"
[[step]]
at = "400ms"
do = "clock"
site = "eu-west-1"
by = "-200ms"
for = "1s"
[[step]]
at = "500ms"
do = "cut"
between = ["us-east-1", "eu-west-1"]
one_way = true
name = "cut"
[[step]]
at = "1s"
do = "heal"
fault = "cut"
[[step]]
at = "1500ms"
do = "pause"
site = "edge-2"
[[step]]
at = "2s"
do = "resume"
site = "edge-2"
[[step]]
at = "2500ms"
do = "kill"
site = "edge-2"
[[step]]
at = "3s"
do = "start"
site = "edge-2"
[[step]]
at = "3500ms"
do = "change_records"
through = "eu-west-1"
[[step.upsert]]
name = "shop.example.com"
region = "eu-west-1"
ttl = "0s"
[[step]]
at = "4s"
do = "scan"
[[step]]
at = "5s"
do = "cut"
between = ["us-east-1", "eu-west-1"]
reset = true
[measure]
length = "6s"
sustained = "200ms"
[expect]
that = [
    "served_by.users.us-east-1 > 0",
    "served_by.users.eu-west-1 > 0",
    "requests == 60",
    "drained_s < 60",
]
"#;

#[test]
fn every_step_is_carried_out() {
    let folder = tempfile::tempdir().unwrap();
    let report = run(&write(folder.path(), "steps.toml", EVERY_STEP), &[]);
    assert_eq!(report["failed_steps"].as_array().unwrap().len(), 0);
}

/// What can be done to an accelerator and to the application behind it.
const BEHIND_AN_ACCELERATOR: &str = r#"
title = "Behind an accelerator"
[lab]
regions = ["us-east-1", "eu-west-1"]
delay_scale = 0
health_interval = "200ms"
app = "orders"
[[table]]
name = "Orders"
regions = ["us-east-1", "eu-west-1"]
[[accelerator]]
name = "orders"
regions = ["us-east-1", "eu-west-1"]
check = "http"
threshold = 1
[[load]]
name = "users"
place = "us-east-1"
client = "accelerator"
rate = 20
does = "get"
path = "/health"
accelerator = "orders"
[[step]]
at = "1s"
do = "dial"
accelerator = "orders"
region = "us-east-1"
to = 0
[[step]]
at = "3s"
do = "dial"
accelerator = "orders"
region = "us-east-1"
to = 100
[[step]]
at = "4s"
do = "errors"
region = "us-east-1"
path = "/elsewhere"
name = "errors"
[[step]]
at = "4500ms"
do = "heal"
fault = "errors"
[[step]]
at = "5s"
do = "kill"
site = "us-east-1/a/app"
for = "300ms"
every = "600ms"
times = 3
name = "flap"
[[step]]
at = "5800ms"
do = "heal"
fault = "flap"
[[step]]
at = "6s"
do = "errors"
region = "us-east-1"
for = "500ms"
[[step]]
at = "7s"
do = "pause"
site = "us-east-1/app"
[measure]
length = "8s"
sustained = "200ms"
fault = "flap"
[expect]
that = [
    "served_by.users.us-east-1 > 0",
    "served_by.users.eu-west-1 > 0",
    "requests == 160",
]
"#;

#[test]
fn dials_errors_and_flaps_are_carried_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "behind.toml", BEHIND_AN_ACCELERATOR);
    let report = run(&file, &[]);
    assert_eq!(report["failed_steps"].as_array().unwrap().len(), 0);
    // Nobody asked the DNS for anything.
    assert!(report["metrics"]["answered_percent.users.us-east-1"].is_null());
}

/// A scenario of one Region without an application.
const SMALL: &str = r#"
title = "Nothing happens"
[lab]
regions = ["us-east-1"]
edges = 0
[measure]
length = "2s"
[expect]
that = ["link_bytes >= 0"]
"#;

fn write(folder: &Path, name: &str, text: &str) -> String {
    let file = folder.join(name);
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn code(output: &Output) -> (Option<i32>, String) {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), told)
}

#[test]
fn a_wrong_scenario_is_exit_code_2_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let small = write(folder.path(), "small.toml", SMALL);
    let output = gameday(&["check", &small]).output().unwrap();
    assert_eq!(code(&output).0, Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("Nothing happens"));
    let output = gameday(&["check", &small, "--json"]).output().unwrap();
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["scenario"]["title"], "Nothing happens");
    let broken = SMALL
        .replace("us-east-1", "us-est-1")
        .replace("length", "lenght");
    let broken = write(folder.path(), "broken.toml", &broken);
    let absent = folder.path().join("absent.toml");
    let absent = absent.to_str().unwrap();
    for (words, parts) in [
        (
            vec!["check", &broken],
            &["broken.toml:4:12", "us-east-1", "broken.toml:6:1"][..],
        ),
        (vec!["run", &broken], &["broken.toml:4:12"][..]),
        (vec!["check", absent], &["absent.toml"][..]),
        (
            vec!["check", "region-outage", "--set", "outge=5s"],
            &["outge", "outage"][..],
        ),
        (
            vec!["check", "region-outage", "--set", "outage"],
            &["NAME=VALUE"][..],
        ),
        (vec!["run", &small, "--report", &small], &["small.toml"][..]),
    ] {
        let (exit, told) = code(&gameday(&words).output().unwrap());
        assert_eq!(exit, Some(2), "{words:?}: {told}");
        for part in parts {
            assert!(told.contains(part), "{words:?} without {part}: {told}");
        }
    }
    let output = gameday(&["list", folder.path().to_str().unwrap(), "--json"]).output();
    let listed: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let listed = listed.as_array().unwrap();
    let has = |name: &str| listed.iter().any(|row| row["scenario"] == name);
    assert!(
        has("region-outage") && has(&small) && has(&broken),
        "{listed:?}"
    );
}

#[test]
fn a_lab_that_cannot_be_ready_is_exit_code_3() {
    let _turn = Turn::take();
    let folder = tempfile::tempdir().unwrap();
    let text = SMALL.replace("length =", "deploy_within = \"3s\"\nlength =");
    let small = write(folder.path(), "small.toml", &text);
    let mut command = gameday(&["run", &small, "--quiet", "--app", "exit 1"]);
    let (exit, told) = code(&command.output().unwrap());
    assert_eq!(exit, Some(3), "{told}");
    assert!(told.contains("the application in us-east-1"), "{told}");
}

/// A game day in the middle of its fault.
struct Midway {
    process: Child,
    directory: PathBuf,
    ports: Vec<u16>,
    _folder: tempfile::TempDir,
}

impl Midway {
    /// Starts one that kills one of its two Regions, and waits until that was done.
    fn start() -> Midway {
        let folder = tempfile::tempdir().unwrap();
        let step = "[[step]]\nat = \"1s\"\ndo = \"kill\"\nsite = \"eu-west-1\"\n[measure]";
        let table = "edges = 0\napp = \"orders\"\n[[table]]\nname = \"Orders\"\n\
                     regions = [\"us-east-1\", \"eu-west-1\"]";
        let text = SMALL
            .replace("[\"us-east-1\"]", "[\"us-east-1\", \"eu-west-1\"]")
            .replace("edges = 0", table)
            .replace("length = \"2s\"", "length = \"600s\"")
            .replace("[measure]", step);
        let file = write(folder.path(), "midway.toml", &text);
        let mut process = gameday(&["run", &file])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("kill eu-west-1") {
            line.clear();
            assert!(told.read_line(&mut line).unwrap() > 0, "it ended early");
        }
        let name = format!("causeway-gameday-{}-", process.id());
        let lab = processes(&name);
        // The supervisor and the Region that is left.
        assert_eq!(lab.len(), 2, "{lab:?}");
        let up = lab
            .iter()
            .find(|words| words.iter().any(|word| word == "up"))
            .unwrap();
        let value = |option: &str| {
            let at = up.iter().position(|word| word == option).unwrap();
            up[at + 1].clone()
        };
        let ports = ["--api-port", "--dns-port", "--app-port"];
        Midway {
            process,
            directory: Path::new(&value("--data")).parent().unwrap().to_owned(),
            ports: ports.map(|option| value(option).parse().unwrap()).to_vec(),
            _folder: folder,
        }
    }

    /// Nothing of it is left: no process, no directory, no port.
    fn is_gone(&self) -> bool {
        let name = self.directory.file_name().unwrap().to_str().unwrap();
        let free = |port: &u16| {
            let of = |host: &str| format!("{host}:{port}");
            let hosts = ["127.0.0.1", "127.1.1.1", "127.1.2.1"];
            hosts.iter().all(|host| TcpListener::bind(of(host)).is_ok())
                && UdpSocket::bind(of("127.0.0.1")).is_ok()
        };
        processes(name).is_empty() && !self.directory.exists() && self.ports.iter().all(free)
    }
}

/// The command lines of processes that have that word in theirs.
fn processes(word: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        let words: Vec<String> = line.split('\0').map(str::to_owned).collect();
        if words.iter().any(|text| text.contains(word)) {
            found.push(words);
        }
    }
    found
}

#[test]
fn invariant_10_a_fault_ends_with_its_game_day_even_if_that_dies() {
    let _turn = Turn::take();
    let mut midway = Midway::start();
    assert!(!midway.is_gone());
    // SIGKILL: nothing of its own can run any more.
    midway.process.kill().unwrap();
    midway.process.wait().unwrap();
    eventually("nothing is left of it", || midway.is_gone());
}

#[test]
fn a_game_day_that_is_broken_off_leaves_nothing() {
    let _turn = Turn::take();
    let mut midway = Midway::start();
    let process = midway.process.id().to_string();
    let asked = Command::new("kill").args(["-INT", &process]).status();
    assert!(asked.unwrap().success());
    let ended = midway.process.wait().unwrap();
    assert_eq!(ended.code(), Some(1));
    assert!(midway.is_gone());
}
