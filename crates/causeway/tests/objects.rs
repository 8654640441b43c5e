//! Objects with real processes: Regions killed in any phase of an upload and of replication, links
//! cut and healed, files damaged. What was acknowledged is looked for by its version, and its bytes
//! are compared.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test starts processes, waits and may panic"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use http::Request;
use support::s3::S3;
use support::{Lab, eventually, now};

const VIRGINIA: &str = "us-east-1";
const IRELAND: &str = "eu-west-1";
const NEAR: &str = "my-app-data-us-east-1";
const FAR: &str = "my-app-data-eu-west-1";

/// Times that a Region is killed under load.
const KILLS: usize = 8;

/// The role that replication acts as.
const ROLE: &str = "arn:aws:iam::111122223333:role/s3-crr-role";

fn two_regions() -> Lab {
    Lab::start(&["--regions", "us-east-1,eu-west-1", "--delay-scale", "0.1"])
}

/// Makes the role, as a root user of IAM would, with what replication needs.
fn make_role(lab: &Lab) {
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":
        {"Service":"s3.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let may = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*",
        "Resource":"*"}]}"#;
    iam(
        lab,
        &[
            ("Action", "CreateRole"),
            ("RoleName", "s3-crr-role"),
            ("AssumeRolePolicyDocument", trust),
        ],
    );
    iam(
        lab,
        &[
            ("Action", "PutRolePolicy"),
            ("RoleName", "s3-crr-role"),
            ("PolicyName", "replicate"),
            ("PolicyDocument", may),
        ],
    );
}

fn iam(lab: &Lab, parameters: &[(&str, &str)]) {
    let encode = |text: &str| -> String {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
        let each = text.bytes().map(|byte| match plain(&byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        });
        each.collect()
    };
    let pairs = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)));
    let body = format!("{}&Version=2010-05-08", pairs.collect::<Vec<_>>().join("&"));
    let host = format!("127.0.0.1:{}", lab.port);
    let request = Request::post(format!("http://{host}/"))
        .header("host", &host)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("content-length", body.len())
        .header("connection", "close");
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let target = aws::signature::Target {
        service: "iam",
        region: VIRGINIA.parse().unwrap(),
        rules: aws::signature::Rules::QUERY,
    };
    let key = lab.key();
    aws::signature::sign(
        &mut parts,
        body.as_bytes(),
        &key.credentials(),
        &target,
        now(),
    )
    .unwrap();
    let mut text = "POST / HTTP/1.1\r\n".to_owned();
    for (name, value) in &parts.headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    let mut stream = std::net::TcpStream::connect(&host).unwrap();
    write!(stream, "{text}\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Two buckets, the near one replicated to the far one.
fn pair(lab: &Lab) -> (S3, S3) {
    lab.until_decided();
    make_role(lab);
    let (near, far) = (lab.s3(VIRGINIA), lab.s3(IRELAND));
    near.create_versioned(NEAR);
    far.create_versioned(FAR);
    near.replicate(NEAR, FAR, ROLE);
    (near, far)
}

/// Bytes that only that name has: small ones are rows, larger ones files.
fn content(name: &str) -> Vec<u8> {
    let sum: usize = name.bytes().map(usize::from).sum();
    let length = match sum % 4 {
        _ if name.starts_with("large") => 300_000,
        0 => 200_000,
        1 => 20_000,
        _ => 900,
    };
    name.bytes().cycle().take(length).collect()
}

fn status_of(client: &S3, bucket: &str, key: &str) -> String {
    let answer = client.call("HEAD", &format!("/{bucket}/{key}"), &[], b"");
    let status = answer.map(|answer| answer.header("x-amz-replication-status").to_owned());
    status.unwrap_or_default()
}

/// Writers that never stop until told; what was acknowledged: keys and their version ids.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<BTreeMap<String, String>>>,
    writers: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn start(client: &S3, bucket: &str, name: &str) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::<Mutex<BTreeMap<_, _>>>::default();
        let writers = (0..3).map(|writer| {
            let client = client.clone();
            let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
            let (bucket, name) = (bucket.to_owned(), name.to_owned());
            std::thread::spawn(move || {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let key = format!("{name}-{writer}-{number}");
                    let path = format!("/{bucket}/{key}");
                    match client.call("PUT", &path, &[], &content(&key)) {
                        Ok(answer) if answer.status == 200 => {
                            let id = answer.header("x-amz-version-id").to_owned();
                            acknowledged.lock().unwrap().insert(key, id);
                        }
                        Ok(answer) => assert!(answer.status >= 500, "{}", answer.text()),
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

    fn goes_on(&self, further: usize) {
        let before = self.count();
        eventually("objects are acknowledged", || {
            self.count() > before + further
        });
    }

    fn stop(self) -> BTreeMap<String, String> {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.join().unwrap();
        }
        std::mem::take(&mut self.acknowledged.lock().unwrap())
    }
}

/// Everything acknowledged is listed with its version, and all that is listed has its bytes.
fn assert_whole(client: &S3, bucket: &str, acknowledged: &BTreeMap<String, String>) {
    let listed: BTreeMap<String, String> = client.versions(bucket).into_iter().collect();
    for (key, id) in acknowledged {
        assert_eq!(listed.get(key), Some(id), "{key} was acknowledged");
    }
    for key in listed.keys() {
        let got = client.must("GET", &format!("/{bucket}/{key}"), b"");
        assert!(got.body == content(key), "{key} has other bytes");
    }
}

#[test]
fn an_object_goes_to_the_other_region_with_its_version_and_says_so() {
    let lab = two_regions();
    let (near, far) = pair(&lab);
    for key in ["small", "large"] {
        let bytes = content(key);
        let put = near.must("PUT", &format!("/{NEAR}/{key}"), &bytes);
        eventually("it is replicated", || {
            status_of(&near, NEAR, key) == "COMPLETED"
        });
        let got = far.must("GET", &format!("/{FAR}/{key}"), b"");
        assert!(got.body == bytes);
        assert_eq!(got.header("x-amz-replication-status"), "REPLICA");
        for name in ["x-amz-version-id", "etag"] {
            assert_eq!(got.header(name), put.header(name), "{name}");
        }
        let there = near.must("HEAD", &format!("/{NEAR}/{key}"), b"");
        assert_eq!(got.header("last-modified"), there.header("last-modified"));
    }
    // The Region that a request was signed for isn't the bucket's.
    let elsewhere = near
        .call("GET", &format!("/{FAR}/small"), &[], b"")
        .unwrap();
    assert_eq!(elsewhere.status, 301, "{}", elsewhere.text());
    assert_eq!(elsewhere.header("x-amz-bucket-region"), IRELAND);
    near.must("DELETE", &format!("/{NEAR}/small"), b"");
    eventually("the delete marker is replicated", || {
        let got = far.call("GET", &format!("/{FAR}/small"), &[], b"").unwrap();
        got.status == 404 && got.header("x-amz-delete-marker") == "true"
    });
    assert_eq!(near.versions(NEAR), far.versions(FAR));
}

#[test]
fn a_cut_link_keeps_objects_pending_and_each_arrives_once_after_the_heal() {
    let lab = two_regions();
    let (near, far) = pair(&lab);
    lab.must(&["fault", "cut", VIRGINIA, IRELAND]);
    let load = Load::start(&near, NEAR, "cut");
    load.goes_on(60);
    let acknowledged = load.stop();
    for key in acknowledged.keys() {
        assert_eq!(status_of(&near, NEAR, key), "PENDING", "{key}");
    }
    assert_eq!(far.versions(FAR), []);
    let lag = lab.json(&["lag"]);
    let rule = &lag["objects"][0];
    let pending = rule["pending_operations"].as_u64().unwrap();
    assert!(pending >= acknowledged.len() as u64, "{lag}");
    assert_eq!(rule["bucket"], NEAR, "{lag}");
    lab.must(&["fault", "heal"]);
    eventually("everything is replicated", || {
        let mut keys = acknowledged.keys();
        keys.all(|key| status_of(&near, NEAR, key) == "COMPLETED")
    });
    assert_eq!(near.versions(NEAR), far.versions(FAR));
    assert_whole(&far, FAR, &acknowledged);
    let lag = lab.json(&["lag"]);
    assert_eq!(lag["objects"][0]["pending_operations"], 0, "{lag}");
}

#[test]
fn what_was_acknowledged_survives_kill_9_of_both_regions_and_is_replicated_once() {
    let lab = two_regions();
    let (near, far) = pair(&lab);
    let load = Load::start(&near, NEAR, "kill");
    for kill in 0..KILLS {
        load.goes_on(20);
        let region = [VIRGINIA, IRELAND][kill % 2];
        lab.must(&["fault", "kill", region]);
        lab.must(&["fault", "start", region]);
    }
    load.goes_on(20);
    let acknowledged = load.stop();
    println!("{} objects over {KILLS} kills", acknowledged.len());
    assert_whole(&near, NEAR, &acknowledged);
    // An object whose answer was lost may be there, too, and goes over as any other.
    eventually("everything is replicated", || {
        near.versions(NEAR) == far.versions(FAR)
    });
    assert_whole(&far, FAR, &acknowledged);
    for key in acknowledged.keys() {
        eventually("it is known to be replicated", || {
            status_of(&near, NEAR, key) == "COMPLETED"
        });
    }
    lab.must(&["verify"]);
}

/// The files of a Region's blobs.
fn blobs(lab: &Lab, region: &str) -> Vec<PathBuf> {
    fn files(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => files(&entry.path(), found),
                false => found.push(entry.path()),
            }
        }
    }
    let mut found = Vec::new();
    files(&lab.data().join(region).join("blobs"), &mut found);
    found
}

#[test]
fn a_damaged_file_is_never_served_and_is_reported() {
    let lab = Lab::start(&["--regions", "us-east-1", "--edges", "0"]);
    lab.until_decided();
    let near = lab.s3(VIRGINIA);
    near.create_versioned(NEAR);
    let bytes = content("large");
    near.must("PUT", &format!("/{NEAR}/large"), &bytes);
    lab.must(&["verify"]);
    let files = blobs(&lab, VIRGINIA);
    assert_eq!(files.len(), 1, "{files:?}");
    let mut stored = std::fs::read(&files[0]).unwrap();
    let middle = stored.len() / 2;
    stored[middle] ^= 1;
    std::fs::write(&files[0], stored).unwrap();
    let got = near.call("GET", &format!("/{NEAR}/large"), &[], b"");
    let is_error = got.as_ref().map_or(true, |got| got.status == 500);
    assert!(is_error, "{got:?}");
    let output = lab.causeway(&["verify", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let verified = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        verified.contains(NEAR) && verified.contains("large"),
        "{verified}"
    );
}

#[test]
fn a_damaged_file_is_mended_from_the_region_that_has_a_replica() {
    let lab = two_regions();
    let (near, _) = pair(&lab);
    let path = format!("/{NEAR}/large");
    near.must("PUT", &path, &content("large"));
    eventually("it is replicated", || {
        status_of(&near, NEAR, "large") == "COMPLETED"
    });
    let file = &blobs(&lab, VIRGINIA)[0];
    let mut stored = std::fs::read(file).unwrap();
    let middle = stored.len() / 2;
    stored[middle] ^= 1;
    std::fs::write(file, stored).unwrap();
    let mut refused = false;
    eventually("it is whole again", || {
        let Ok(got) = near.call("GET", &path, &[], b"") else {
            refused = true;
            return false;
        };
        let is_whole = got.status == 200;
        refused |= !is_whole;
        assert!(!is_whole || got.body == content("large"), "wrong bytes");
        is_whole
    });
    assert!(refused, "the damage was not noticed");
    lab.must(&["verify"]);
}

/// Bytes a second of an upload that a Region dies under.
const TRICKLE: usize = 64 * 1024;

#[test]
fn a_region_killed_amid_an_upload_leaves_nothing_of_it() {
    let lab = Lab::start(&["--regions", "us-east-1", "--edges", "0"]);
    lab.until_decided();
    let near = lab.s3(VIRGINIA);
    near.create_versioned(NEAR);
    for cut in [1, 4, 9] {
        let sent = near.begin("PUT", &format!("/{NEAR}/large"), 16 * TRICKLE);
        let mut sent = sent.unwrap();
        for _ in 0..cut {
            sent.write_all(&[7; TRICKLE]).unwrap();
        }
        lab.must(&["fault", "kill", VIRGINIA]);
        drop(sent);
        lab.must(&["fault", "start", VIRGINIA]);
        let got = near.call("GET", &format!("/{NEAR}/large"), &[], b"");
        assert_eq!(got.unwrap().status, 404);
        assert_eq!(near.versions(NEAR), []);
    }
    near.must("PUT", &format!("/{NEAR}/large"), &content("large"));
    lab.must(&["verify"]);
}

#[test]
fn events_reach_the_webhook_that_the_operator_allowed_and_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let hook = format!("orders=http://{}/hook", listener.local_addr().unwrap());
    let lab = Lab::start(&[
        "--regions",
        "us-east-1",
        "--edges",
        "0",
        "--webhooks",
        &hook,
    ]);
    lab.until_decided();
    let near = lab.s3(VIRGINIA);
    near.create_versioned(NEAR);
    let notification = |name: &str| {
        format!(
            "<NotificationConfiguration><TopicConfiguration><Topic>\
             arn:aws:sns:us-east-1:111122223333:{name}</Topic><Event>s3:ObjectCreated:*</Event>\
             </TopicConfiguration></NotificationConfiguration>"
        )
    };
    let told = std::thread::spawn(move || {
        let mut bodies = Vec::new();
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                let line = line.trim().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.get_mut().write_all(answer).unwrap();
            let body = String::from_utf8(body).unwrap();
            let is_last = body.contains("ObjectCreated:Put");
            bodies.push(body);
            if is_last {
                return bodies;
            }
        }
        unreachable!("a listener goes on")
    });
    let path = format!("/{NEAR}?notification");
    let other = near.call("PUT", &path, &[], notification("elsewhere").as_bytes());
    assert_eq!(other.unwrap().status, 400);
    near.must("PUT", &path, notification("orders").as_bytes());
    near.must("PUT", &format!("/{NEAR}/small"), b"told");
    let bodies = told.join().unwrap();
    let last = bodies.last().unwrap();
    assert!(last.contains("\"small\"") && last.contains(NEAR), "{last}");
}
