//! Real processes: Regions killed under load, links cut, the supervisor killed. Every write that
//! was acknowledged is looked for by its id afterwards.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test starts processes, waits and may panic"
)]

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use support::{Client, Lab, add_replica, create_table, eventually};

const VIRGINIA: &str = "us-east-1";
const IRELAND: &str = "eu-west-1";

/// Times that a Region is killed under load.
const KILLS: usize = 20;

/// Times that a link's connections are broken under load.
const RESETS: usize = 40;

/// Every id that a Region's table holds.
fn ids(client: &mut Client) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut request = json!({"TableName": "Orders", "ConsistentRead": true});
    loop {
        let page = client.must("Scan", &request);
        let items = page["Items"].as_array().unwrap();
        ids.extend(
            items
                .iter()
                .map(|item| item["id"]["S"].as_str().unwrap().to_owned()),
        );
        match &page["LastEvaluatedKey"] {
            Value::Null => return ids,
            key => request["ExclusiveStartKey"] = key.clone(),
        }
    }
}

/// Four writers that never stop until told; the ids of their acknowledged writes.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
    writers: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn start(lab: &Lab, region: &str, name: &str) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
        let writers = (0..4).map(|writer| {
            let mut client = lab.client(region);
            let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
            let name = name.to_owned();
            std::thread::spawn(move || {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let id = format!("{name}-{writer}-{number}");
                    let item = json!({"TableName": "Orders", "Item": {"id": {"S": id}}});
                    match client.call("PutItem", &item) {
                        Ok((200, _)) => {
                            acknowledged.lock().unwrap().insert(id);
                        }
                        Ok((status, answer)) => assert!(status >= 500, "{status} {answer}"),
                        Err(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
                    }
                }
            })
        });
        Load {
            writers: writers.collect(),
            stop,
            acknowledged,
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    fn stop(self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.join().unwrap();
        }
        let acknowledged = self.acknowledged.lock().unwrap();
        acknowledged.clone()
    }
}

fn assert_all(expected: &BTreeSet<String>, found: &BTreeSet<String>, place: &str) {
    let lost: Vec<_> = expected.difference(found).collect();
    assert!(
        lost.is_empty(),
        "{place} lost {} acknowledged writes: {lost:?}",
        lost.len()
    );
}

#[test]
fn every_acknowledged_write_survives_kill_9_under_load() {
    let lab = Lab::start(&["--regions", "us-east-1,eu-west-1", "--delay-scale", "0.1"]);
    let mut client = lab.client(VIRGINIA);
    create_table(&mut client, "Orders");
    add_replica(&mut client, "Orders", IRELAND);
    let load = Load::start(&lab, VIRGINIA, "kill");
    for _ in 0..KILLS {
        let before = load.count();
        eventually("writes are acknowledged", || load.count() > before + 50);
        lab.must(&["fault", "kill", VIRGINIA]);
        lab.must(&["fault", "start", VIRGINIA]);
    }
    let before = load.count();
    eventually("writes are acknowledged", || load.count() > before + 50);
    let acknowledged = load.stop();
    println!(
        "{} acknowledged writes over {KILLS} kills",
        acknowledged.len()
    );
    assert_all(&acknowledged, &ids(&mut lab.client(VIRGINIA)), VIRGINIA);
    let mut far = lab.client(IRELAND);
    eventually("the peer has everything", || {
        acknowledged.is_subset(&ids(&mut far))
    });
    lab.must(&["verify"]);
}

#[test]
fn a_cut_link_loses_nothing_and_everything_arrives_once_after_the_heal() {
    let lab = Lab::start(&["--regions", "us-east-1,eu-west-1", "--delay-scale", "0.2"]);
    let (mut near, mut far) = (lab.client(VIRGINIA), lab.client(IRELAND));
    create_table(&mut near, "Orders");
    add_replica(&mut near, "Orders", IRELAND);
    lab.must(&["fault", "cut", VIRGINIA, IRELAND]);
    let load = [
        Load::start(&lab, VIRGINIA, "v"),
        Load::start(&lab, IRELAND, "i"),
    ];
    eventually("both sides go on writing", || {
        load.iter().all(|load| load.count() > 300)
    });
    let [virginia, ireland] = load.map(Load::stop);
    assert!(
        ids(&mut far).is_disjoint(&virginia),
        "the cut held nothing back"
    );
    let output = lab.causeway(&["verify", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let verified: Value = serde_json::from_slice(&output.stdout).unwrap();
    let table = &verified["tables"][0];
    assert_eq!(table["state"], "not_comparable", "{verified}");
    let reasons = table["reasons"].to_string();
    assert!(reasons.contains("backlog"), "{reasons}");
    lab.must(&["fault", "heal"]);
    let all: BTreeSet<String> = virginia.union(&ireland).cloned().collect();
    eventually("everything is in Virginia", || {
        all.is_subset(&ids(&mut near))
    });
    eventually("everything is in Ireland", || all.is_subset(&ids(&mut far)));
    let conflicts = lab.json(&["conflicts", "list"]);
    assert_eq!(
        conflicts["conflicts"],
        json!([]),
        "different items are no conflict"
    );
    let verified = lab.json(&["verify"]);
    assert_eq!(verified["tables"][0]["state"], "agree", "{verified}");
    let items = &verified["tables"][0]["replicas"][1]["items"];
    assert_eq!(items.as_u64(), Some(all.len() as u64));
}

/// Writes batches until told to stop; returns the ids that were acknowledged.
fn write_batches(client: &mut Client, name: &str, stop: &AtomicBool) -> BTreeSet<String> {
    let mut acknowledged = BTreeSet::new();
    for batch in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let ids: Vec<String> = (0..25).map(|at| format!("{name}-{batch}-{at}")).collect();
        let puts = ids.iter().map(|id| {
            let item = json!({"id": {"S": id}, "text": {"S": "x".repeat(200)}});
            json!({"PutRequest": {"Item": item}})
        });
        let request = json!({"RequestItems": {"Orders": puts.collect::<Vec<_>>()}});
        let answer = client.must("BatchWriteItem", &request);
        assert_eq!(answer["UnprocessedItems"], json!({}));
        acknowledged.extend(ids);
    }
    acknowledged
}

#[test]
fn connections_that_break_under_load_lose_nothing() {
    let lab = Lab::start(&["--regions", "us-east-1,eu-west-1", "--delay-scale", "0.1"]);
    let mut near = lab.client(VIRGINIA);
    create_table(&mut near, "Orders");
    add_replica(&mut near, "Orders", IRELAND);
    let stop = AtomicBool::new(false);
    let acknowledged = std::thread::scope(|scope| {
        let stop = &stop;
        let writers = [0, 1].map(|writer| {
            let mut client = lab.client(VIRGINIA);
            scope.spawn(move || write_batches(&mut client, &writer.to_string(), stop))
        });
        for _ in 0..RESETS {
            let cut = ["fault", "cut", VIRGINIA, IRELAND, "--reset", "--for", "1s"];
            lab.must(&cut);
            lab.must(&["fault", "heal"]);
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        stop.store(true, Ordering::Relaxed);
        let ids = writers.map(|writer| writer.join().unwrap());
        ids.into_iter().flatten().collect::<BTreeSet<String>>()
    });
    let mut far = lab.client(IRELAND);
    eventually("the peer has everything", || {
        acknowledged.is_subset(&ids(&mut far))
    });
    lab.must(&["verify"]);
}

/// The serial number of a site's certificate.
fn serial(lab: &Lab, site: &str) -> Value {
    let status = lab.json(&["status"]);
    let sites = status["sites"].as_array().unwrap();
    let site = sites.iter().find(|row| row["site"] == site).unwrap();
    site["certificate"]["serial"].clone()
}

/// Whether `to` has shown `from` that certificate on every connection, and no other.
fn is_shown(lab: &Lab, from: &str, to: &str, serial: &Value) -> bool {
    let status = lab.json(&["status"]);
    let links = status["links"].as_array().unwrap();
    let link = links
        .iter()
        .find(|link| link["from"] == from && link["to"] == to);
    let Some(link) = link else { return false };
    let shown = link["peer_certificates"].as_array().unwrap();
    link["connected"] == true && shown.len() == 1 && shown[0]["serial"] == *serial
}

/// What a rotation that ended with that code made of each site.
fn rotate(lab: &Lab, code: i32) -> Value {
    let output = lab.causeway(&["rotate", "--json"]);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sites = answer["sites"].as_array().unwrap().iter();
    sites
        .map(|row| (row["site"].as_str().unwrap().to_owned(), row.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn certificates_are_renewed_while_a_lab_runs() {
    let lab = Lab::start(&["--regions", "us-east-1,eu-west-1", "--delay-scale", "0"]);
    let (mut near, mut far) = (lab.client(VIRGINIA), lab.client(IRELAND));
    create_table(&mut near, "Orders");
    add_replica(&mut near, "Orders", IRELAND);
    let first = [VIRGINIA, IRELAND].map(|site| serial(&lab, site));
    eventually("the first certificate is shown", || {
        is_shown(&lab, VIRGINIA, IRELAND, &first[1])
    });
    let renewed = rotate(&lab, 0);
    let edge = &renewed["edge-1"];
    assert_eq!(edge["outcome"], "renewed", "{renewed}");
    let second = [VIRGINIA, IRELAND].map(|site| renewed[site]["certificate"]["serial"].clone());
    assert!(first.iter().all(|serial| !second.contains(serial)));
    assert_eq!([VIRGINIA, IRELAND].map(|site| serial(&lab, site)), second);
    lab.must(&["fault", "cut", VIRGINIA, IRELAND, "--reset"]);
    lab.must(&["fault", "heal"]);
    eventually("both show the second certificate", || {
        is_shown(&lab, VIRGINIA, IRELAND, &second[1])
            && is_shown(&lab, IRELAND, VIRGINIA, &second[0])
    });
    near.must(
        "PutItem",
        &json!({"TableName": "Orders", "Item": {"id": {"S": "after"}}}),
    );
    eventually("what is written afterwards arrives", || {
        ids(&mut far).contains("after")
    });
    let key = std::fs::metadata(lab.data().join(IRELAND).join("key.pem")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&key.permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_site_that_can_take_no_new_certificate_keeps_its_own_and_takes_one_later() {
    let lab = Lab::start(&["--regions", "us-east-1,eu-west-1", "--delay-scale", "0"]);
    let first = serial(&lab, IRELAND);
    // Its file can't be put in its place.
    let key = lab.data().join(IRELAND).join("key.pem");
    std::fs::remove_file(&key).unwrap();
    std::fs::create_dir(&key).unwrap();
    let failed = rotate(&lab, 1);
    assert_eq!(failed[VIRGINIA]["outcome"], "renewed", "{failed}");
    assert_eq!(failed[IRELAND]["outcome"], "failed", "{failed}");
    let reason = failed[IRELAND]["reason"].as_str().unwrap();
    assert!(reason.contains("key.pem"), "{reason}");
    assert_eq!(serial(&lab, IRELAND), first);
    let status = lab.causeway(&["status"]);
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(
        status.contains("eu-west-1: it has no new certificate: can't write "),
        "{status}"
    );
    std::fs::remove_dir(&key).unwrap();

    lab.must(&["fault", "pause", IRELAND]);
    let paused = rotate(&lab, 1);
    assert_eq!(paused[IRELAND]["reason"], "it is paused", "{paused}");
    assert_eq!(serial(&lab, IRELAND), first);
    lab.must(&["fault", "resume", IRELAND]);

    lab.must(&["fault", "kill", IRELAND]);
    let killed = rotate(&lab, 0);
    assert_eq!(killed[IRELAND]["outcome"], "at_start", "{killed}");
    let near = killed[VIRGINIA]["certificate"]["serial"].clone();
    lab.must(&["fault", "start", IRELAND]);
    let second = serial(&lab, IRELAND);
    assert_ne!(second, first);
    eventually("the link is made with the new certificates", || {
        is_shown(&lab, VIRGINIA, IRELAND, &second) && is_shown(&lab, IRELAND, VIRGINIA, &near)
    });
}

#[test]
fn the_death_of_the_supervisor_leaves_no_orphan_and_its_data() {
    let mut lab = Lab::start(&["--regions", "us-east-1", "--edges", "1"]);
    let mut client = lab.client(VIRGINIA);
    create_table(&mut client, "Orders");
    client.must(
        "PutItem",
        &json!({"TableName": "Orders", "Item": {"id": {"S": "stays"}}}),
    );
    assert!(lab.processes().len() >= 3, "{:?}", lab.processes());
    lab.kill_supervisor();
    eventually("nothing of the lab is left", || lab.processes().is_empty());
    lab.up();
    assert!(ids(&mut lab.client(VIRGINIA)).contains("stays"));
    lab.down();
    eventually("nothing of the lab is left", || lab.processes().is_empty());
}

#[test]
fn a_lab_that_cannot_be_says_why_and_ends_with_2() {
    let lab = Lab::start(&["--regions", "us-east-1"]);
    let port = lab.port.to_string();
    let other = tempfile::tempdir().unwrap();
    let elsewhere = other.path().to_string_lossy().into_owned();
    let free = support::free_port().to_string();
    let mut cases = vec![
        (vec!["up", "--api-port", &free], "in use"),
        (
            vec!["up", "--regions", "us-moon-1", "--api-port", &free],
            "us-moon-1",
        ),
    ];
    for (words, text) in cases.drain(..) {
        let output = lab.causeway(&words);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {error}");
        assert!(error.contains(text), "{words:?}: {error}");
    }
    let mut taken = std::process::Command::new(env!("CARGO_BIN_EXE_causeway"));
    let output = taken
        .args(["up", "--api-port", &port, "--data", &elsewhere])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains(&port), "{error}");
}

#[test]
fn commands_without_a_lab_end_with_3() {
    let nothing = tempfile::tempdir().unwrap();
    for words in [
        &["status"][..],
        &["lag"],
        &["conflicts", "list"],
        &["fault", "list"],
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_causeway"));
        let output = command
            .args(words)
            .arg("--data")
            .arg(nothing.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{words:?}: {output:?}");
    }
}
