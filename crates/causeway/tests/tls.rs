//! `up --tls` and `--bind`: the front door and every Region speak TLS, our own commands and the
//! application believe the lab, plain HTTP is refused, and all of it is remembered.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test starts processes, waits and may panic"
)]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aws::signature::{Rules, Target, sign};
use bytes::Bytes;
use runtime::{Endpoint, Trust};
use serde_json::Value;
use support::{Lab, eventually, free_port, now};

const WAIT: Duration = Duration::from_secs(30);

const REGIONS: [&str; 4] = ["--regions", "us-east-1,eu-west-1", "--delay-scale", "0"];

fn with<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&REGIONS[..], arguments].concat()
}

/// What `causeway env` says.
fn environment(lab: &Lab) -> Value {
    lab.json(&["env"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Calls DynamoDB's ListTables in that Region at that address; gives the status, or what went
/// wrong.
fn call(lab: &Lab, region: &str, address: SocketAddr, trust: Option<Trust>) -> Result<u16, String> {
    let body = Bytes::from_static(b"{}");
    let request = http::Request::post("/")
        .header("host", address.to_string())
        .header("x-amz-target", "DynamoDB_20120810.ListTables")
        .header("content-type", "application/x-amz-json-1.0")
        .body(());
    let (mut parts, ()) = request.unwrap().into_parts();
    let target = Target {
        service: "dynamodb",
        region: region.parse().unwrap(),
        rules: Rules::JSON,
    };
    sign(&mut parts, &body, &lab.key().credentials(), &target, now()).unwrap();
    let request = http::Request::from_parts(parts, body);
    let asked = runtime::run(
        0,
        runtime::request(Endpoint { address, trust }, request, WAIT),
    );
    let answer = asked.unwrap().map_err(|error| error.to_string())?;
    Ok(answer.status().as_u16())
}

fn door(lab: &Lab) -> SocketAddr {
    SocketAddr::new([127, 0, 0, 1].into(), lab.port)
}

fn own(lab: &Lab, number: u8) -> SocketAddr {
    SocketAddr::new([127, 1, number, 1].into(), lab.port)
}

fn authority(lab: &Lab) -> Trust {
    let file = text(&environment(lab)["AWS_CA_BUNDLE"]);
    Trust::authorities(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// What somebody who speaks plain HTTP to that address is told.
fn told(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_lab_with_tls_is_called_by_https_alone_and_remembers_it() {
    let notes = tempfile::tempdir().unwrap();
    let app = format!(
        "cd '{}' && env > \"$AWS_AVAILABILITY_ZONE.env\"; sleep 1000",
        notes.path().display()
    );
    let app_port = free_port().to_string();
    let tls = with(&["--tls", "--app", &app, "--app-port", &app_port]);
    let mut lab = Lab::start(&tls);
    let found = environment(&lab);
    let url = format!("https://127.0.0.1:{}", lab.port);
    assert_eq!(found["AWS_ENDPOINT_URL"], url);
    let trust = authority(&lab);
    for (region, address) in [
        ("us-east-1", door(&lab)),
        ("eu-west-1", door(&lab)),
        ("us-east-1", own(&lab, 1)),
        ("eu-west-1", own(&lab, 2)),
    ] {
        assert_eq!(call(&lab, region, address, Some(trust.clone())), Ok(200));
        let plain = told(address);
        assert!(plain.starts_with("HTTP/1.1 400"), "{plain}");
        assert!(plain.contains("https://"), "{plain}");
    }
    let status = lab.json(&["status"]);
    assert_eq!(status["endpoint"], url);
    eventually("the banner says where each Region is", || {
        lab.said().contains(&format!("https://{}", own(&lab, 2)))
    });

    // The application is told of the authority.
    let file = notes.path().join("eu-west-1a.env");
    let mut said = String::new();
    eventually("the application has noted its environment", || {
        said = std::fs::read_to_string(&file).unwrap_or_default();
        said.contains("AWS_ENDPOINT_URL=")
    });
    for name in ["AWS_ENDPOINT_URL", "AWS_CA_BUNDLE"] {
        let line = format!("{name}={}", text(&found[name]));
        assert!(said.lines().any(|found| found == line), "{line}");
    }

    // A command that knows the lab by its environment alone believes the authority it names.
    let elsewhere = tempfile::tempdir().unwrap();
    let command = |bundle: &Value| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
        command.args(["status", "--api-port", &lab.port.to_string()]);
        command.current_dir(elsewhere.path());
        for (name, value) in found.as_object().unwrap() {
            command.env(name, text(value));
        }
        command.env("AWS_CA_BUNDLE", text(bundle));
        command.output().unwrap().status.code()
    };
    assert_eq!(command(&found["AWS_CA_BUNDLE"]), Some(0));
    let other = other_authority(elsewhere.path());
    assert_eq!(command(&Value::from(other.to_str().unwrap())), Some(1));

    lab.down();
    lab.set_arguments(&REGIONS);
    lab.up();
    // The authority is the same; the certificate is another.
    assert_eq!(call(&lab, "eu-west-1", door(&lab), Some(trust)), Ok(200));
    lab.down();
    lab.set_arguments(&with(&["--tls=false"]));
    lab.up();
    assert!(environment(&lab).get("AWS_CA_BUNDLE").is_none());
    assert_eq!(call(&lab, "eu-west-1", door(&lab), None), Ok(200));
    assert_eq!(call(&lab, "eu-west-1", own(&lab, 2), None), Ok(200));
}

/// The authority of nobody's lab.
fn other_authority(directory: &Path) -> PathBuf {
    let authority = link::certificate::CertificateAuthority::generate(now()).unwrap();
    let file = directory.join("other.pem");
    std::fs::write(&file, authority.certificate_pem()).unwrap();
    file
}

#[test]
fn a_door_on_every_address_stands_beside_the_regions_own() {
    let bind = with(&[
        "--bind",
        "0.0.0.0",
        "--tls",
        "--tls-names",
        "lab.example.com",
    ]);
    let lab = Lab::start(&bind);
    let trust = authority(&lab);
    for (region, address) in [("eu-west-1", door(&lab)), ("us-east-1", own(&lab, 1))] {
        assert_eq!(call(&lab, region, address, Some(trust.clone())), Ok(200));
    }
    // 127.9.9.9 is nobody's own: the door has it. The certificate isn't for it.
    let elsewhere = SocketAddr::new([127, 9, 9, 9].into(), lab.port);
    let refused = call(&lab, "eu-west-1", elsewhere, Some(trust)).unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
    let file = lab.data().join("endpoint-certificate.pem");
    let pinned = Trust::certificate(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(call(&lab, "eu-west-1", elsewhere, Some(pinned)), Ok(200));
    // A Region that starts again finds its address.
    lab.must(&["fault", "kill", "us-east-1"]);
    lab.must(&["fault", "heal"]);
    let trust = authority(&lab);
    eventually("the Region serves again", || {
        call(&lab, "us-east-1", own(&lab, 1), Some(trust.clone())) == Ok(200)
    });
}

#[test]
fn the_operator_s_own_certificate_is_shown_and_believed_by_our_commands() {
    let files = tempfile::tempdir().unwrap();
    let site = "us-east-1".parse().unwrap();
    let authority = link::certificate::CertificateAuthority::generate(now()).unwrap();
    let identity = authority.issue(site, now()).unwrap();
    let write = |name: &str, text: &str| {
        let file = files.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let certificate = write("certificate.pem", identity.certificate_pem());
    let key = write("key.pem", identity.key_pem());
    let arguments = with(&["--tls-certificate", &certificate, "--tls-key", &key]);
    let lab = Lab::start(&arguments);
    let found = environment(&lab);
    // It isn't for the address, so it is called by the name that it is for.
    let url = format!("https://us-east-1.link.causeway:{}", lab.port);
    assert_eq!(found["AWS_ENDPOINT_URL"], url);
    assert!(found.get("AWS_CA_BUNDLE").is_none());
    let trust = Trust::certificate(identity.certificate_pem()).unwrap();
    assert_eq!(call(&lab, "eu-west-1", door(&lab), Some(trust)), Ok(200));
    lab.must(&["status"]);
}

#[test]
fn what_can_not_be_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let port = free_port().to_string();
    let refused = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
        command.args(["up", "--api-port", &port, "--json", "--data"]);
        let output = command.arg(&data).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!data.exists(), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        serde_json::from_str::<Value>(said.lines().last().unwrap()).unwrap()
    };
    let plain = refused(&["--bind", "0.0.0.0"]);
    assert!(text(&plain["message"]).contains("plain HTTP"), "{plain}");
    assert!(text(&plain["next"]).contains("--tls"), "{plain}");
    let absent = refused(&["--tls-certificate", "absent.pem", "--tls-key", "absent.pem"]);
    assert!(text(&absent["message"]).contains("absent.pem"), "{absent}");
    let name = refused(&["--tls", "--tls-names", "not a name"]);
    assert!(text(&name["message"]).contains("not a name"), "{name}");
    refused(&["--bind", "127.1.1.1"]);
}
