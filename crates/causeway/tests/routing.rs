//! Route 53 in a real lab: zones and health checks by the API, answers by DNS, a Region that dies
//! and comes back, an edge that is alone.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test starts processes, opens sockets and waits"
)]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use aws::signature::{Rules, Target, sign};
use bytes::Bytes;
use http::Request;
use runtime::Lookup;
use serde_json::Value;
use support::{Lab, eventually, now};
use types::Place;

const VIRGINIA: &str = "us-east-1";
const IRELAND: &str = "eu-west-1";
const ZONES: &str = "/2013-04-01/hostedzone";
const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

/// Calls an operation of Route 53 through the front door: its status and document.
fn route53(lab: &Lab, method: &str, path: &str, body: &str) -> (u16, String) {
    let server = SocketAddr::from(([127, 0, 0, 1], lab.port));
    let request = Request::builder().method(method).uri(path);
    let request = request.header("host", server.to_string());
    let request = request.body(Bytes::from(body.to_owned())).unwrap();
    let (mut parts, body) = request.into_parts();
    let target = Target {
        service: "route53",
        region: VIRGINIA.parse().unwrap(),
        rules: Rules::REST,
    };
    sign(&mut parts, &body, &lab.key().credentials(), &target, now()).unwrap();
    let request = Request::from_parts(parts, body);
    let answered = runtime::run(
        0,
        runtime::request(server, request, Duration::from_secs(30)),
    );
    let answer = answered.unwrap().unwrap();
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    (answer.status().as_u16(), text)
}

/// The document of a call that must succeed; again while there is no majority, as every SDK does.
fn must(lab: &Lab, method: &str, path: &str, body: &str) -> String {
    let mut document = String::new();
    eventually("a majority decides", || {
        let (status, text) = route53(lab, method, path, body);
        let is_throttled = text.contains("<Code>Throttling</Code>");
        assert!(
            is_throttled || (200..300).contains(&status),
            "{method} {path}: {text}"
        );
        document = text;
        !is_throttled
    });
    document
}

/// The text of the first element of that name.
fn element<'a>(document: &'a str, name: &str) -> &'a str {
    let (_, rest) = document.split_once(&format!("<{name}>")).unwrap();
    rest.split_once('<').unwrap().0
}

/// Makes a zone; gives its path.
fn create_zone(lab: &Lab, name: &str) -> String {
    let body = format!(
        "<CreateHostedZoneRequest xmlns=\"{NAMESPACE}\"><Name>{name}</Name>\
         <CallerReference>{name}</CallerReference></CreateHostedZoneRequest>"
    );
    let created = must(lab, "POST", ZONES, &body);
    format!("/2013-04-01{}", element(&created, "Id"))
}

/// Makes a check of a Region's API, which says that it is healthy to whoever asks; gives its id.
fn create_check(lab: &Lab, address: Ipv4Addr) -> String {
    let port = lab.port;
    let body = format!(
        "<CreateHealthCheckRequest xmlns=\"{NAMESPACE}\">\
         <CallerReference>{address}</CallerReference><HealthCheckConfig>\
         <IPAddress>{address}</IPAddress><Port>{port}</Port><Type>HTTP</Type>\
         <ResourcePath>/</ResourcePath><RequestInterval>10</RequestInterval>\
         <FailureThreshold>3</FailureThreshold></HealthCheckConfig></CreateHealthCheckRequest>"
    );
    let created = must(lab, "POST", "/2013-04-01/healthcheck", &body);
    element(&created, "Id").to_owned()
}

/// A change that creates an address with a policy's members; a check where there is one.
fn create(name: &str, id: &str, policy: &str, address: Ipv4Addr, check: Option<&str>) -> String {
    let check = check.map(|check| format!("<HealthCheckId>{check}</HealthCheckId>"));
    format!(
        "<Change><Action>CREATE</Action><ResourceRecordSet><Name>{name}</Name><Type>A</Type>\
         <SetIdentifier>{id}</SetIdentifier>{policy}<TTL>5</TTL><ResourceRecords><ResourceRecord>\
         <Value>{address}</Value></ResourceRecord></ResourceRecords>{}</ResourceRecordSet></Change>",
        check.unwrap_or_default()
    )
}

fn batch(changes: &[String]) -> String {
    format!(
        "<ChangeResourceRecordSetsRequest xmlns=\"{NAMESPACE}\"><ChangeBatch><Changes>{}\
         </Changes></ChangeBatch></ChangeResourceRecordSetsRequest>",
        changes.concat()
    )
}

/// Has the changes made and waits until every edge serves them.
fn change(lab: &Lab, zone: &str, changes: &[String]) {
    let answer = must(lab, "POST", &format!("{zone}/rrset/"), &batch(changes));
    assert_eq!(element(&answer, "Status"), "PENDING");
    let id = format!("/2013-04-01{}", element(&answer, "Id"));
    eventually("the change is in sync", || {
        element(&must(lab, "GET", &id, ""), "Status") == "INSYNC"
    });
}

/// What the lab answers to a client at that address.
fn ask(lab: &Lab, source: Ipv4Addr, name: &str) -> Vec<Ipv4Addr> {
    ask_so_often(lab, source, name, 3)
}

fn ask_so_often(lab: &Lab, source: Ipv4Addr, name: &str, attempts: u32) -> Vec<Ipv4Addr> {
    let lookup = Lookup {
        source,
        server: SocketAddr::from(([127, 0, 0, 1], lab.dns_port)),
        name: name.to_owned(),
        wait: Duration::from_secs(2),
        attempts,
    };
    let answered = runtime::run(0, lookup.ask()).unwrap();
    answered.map(|answer| answer.addresses).unwrap_or_default()
}

/// How many answers TCP gives for an address of that name of three labels.
fn count_over_tcp(lab: &Lab, labels: [&str; 3]) -> u16 {
    let mut question = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in labels {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let mut stream = TcpStream::connect(("127.0.0.1", lab.dns_port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let length = u16::try_from(question.len()).unwrap();
    stream.write_all(&length.to_be_bytes()).unwrap();
    stream.write_all(&question).unwrap();
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).unwrap();
    u16::from_be_bytes([answer[8], answer[9]])
}

fn of_region(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, number, 1)
}

fn place(region: &str) -> Ipv4Addr {
    Place(region.parse().unwrap()).address(7)
}

/// A zone with a failover record over the first two Regions.
fn failover(lab: &Lab) -> String {
    let zone = create_zone(lab, "example.com");
    let checks = [1, 2].map(|number| create_check(lab, of_region(number)));
    let role = |role: &str, number: u8, check: &str| {
        let policy = format!("<Failover>{role}</Failover>");
        create(
            "app.example.com",
            role,
            &policy,
            of_region(number),
            Some(check),
        )
    };
    let changes = [
        role("PRIMARY", 1, &checks[0]),
        role("SECONDARY", 2, &checks[1]),
    ];
    change(lab, &zone, &changes);
    zone
}

/// Which edge answers a client at that place.
fn answering(lab: &Lab, place: &str) -> String {
    let explained = lab.json(&["explain", "near.example.com", "--from", place]);
    explained["edge"].as_str().unwrap().to_owned()
}

#[test]
fn users_are_led_away_from_a_region_that_dies_and_back_when_it_lives() {
    let lab = Lab::start(&[
        "--regions",
        "us-east-1,eu-west-1",
        "--edges",
        "2",
        "--delay-scale",
        "0",
        "--health-interval",
        "200ms",
    ]);
    let zone = failover(&lab);
    let latency = |region: &str, number| {
        let policy = format!("<Region>{region}</Region>");
        create("near.example.com", region, &policy, of_region(number), None)
    };
    let country = |code: &str, number| {
        let policy = format!("<GeoLocation><CountryCode>{code}</CountryCode></GeoLocation>");
        create("home.example.com", code, &policy, of_region(number), None)
    };
    let changes = [
        latency(VIRGINIA, 1),
        latency(IRELAND, 2),
        country("IE", 2),
        country("*", 1),
    ];
    change(&lab, &zone, &changes);
    let nobody = Ipv4Addr::LOCALHOST;
    let app = || ask(&lab, nobody, "app.example.com");
    eventually("the primary answers", || app() == [of_region(1)]);
    assert_eq!(count_over_tcp(&lab, ["app", "example", "com"]), 1);
    for (name, from, number) in [
        ("near.example.com", VIRGINIA, 1),
        ("near.example.com", "eu-central-1", 2),
        ("home.example.com", IRELAND, 2),
        ("home.example.com", "eu-central-1", 1),
    ] {
        assert_eq!(
            ask(&lab, place(from), name),
            [of_region(number)],
            "{name} from {from}"
        );
    }
    assert_eq!(answering(&lab, "us-west-2"), "edge-1");
    assert_eq!(answering(&lab, "eu-central-1"), "edge-2");
    lab.must(&["fault", "pause", "edge-2"]);
    assert_eq!(answering(&lab, "eu-central-1"), "edge-1");
    assert_eq!(
        ask(&lab, place("eu-central-1"), "near.example.com"),
        [of_region(2)]
    );
    lab.must(&["fault", "resume", "edge-2"]);
    lab.must(&["fault", "kill", VIRGINIA]);
    eventually("the secondary answers", || app() == [of_region(2)]);
    let explained = lab.causeway(&["explain", "app.example.com"]);
    let explained = String::from_utf8(explained.stdout).unwrap();
    assert!(explained.contains("unhealthy"), "{explained}");
    assert!(explained.contains("answered by edge-1"), "{explained}");
    lab.must(&["fault", "heal"]);
    eventually("the primary answers again", || app() == [of_region(1)]);
    let status = lab.json(&["status"]);
    let sites = status["sites"].as_array().unwrap();
    let edge = sites.iter().find(|site| site["site"] == "edge-1").unwrap();
    assert!(
        edge["detail"]["dns"]["answers"].as_u64() > Some(5),
        "{edge}"
    );
    assert_eq!(edge["detail"]["routing"]["zones"], 1, "{edge}");
    let operations = lab.json(&["status", "--operations"]);
    let services: Vec<&Value> = operations.as_array().unwrap().iter().collect();
    assert!(
        services.iter().any(|row| row["service"] == "route53"),
        "{operations}"
    );
}

#[test]
fn answers_go_on_without_a_majority_and_from_an_edge_that_restarts_alone() {
    let lab = Lab::start(&[
        "--regions",
        "us-east-1,eu-west-1,ap-southeast-1",
        "--delay-scale",
        "0",
        "--health-interval",
        "200ms",
    ]);
    let zone = failover(&lab);
    let app = || ask(&lab, Ipv4Addr::LOCALHOST, "app.example.com");
    eventually("the primary answers", || app() == [of_region(1)]);
    // Whoever can't decide isn't asked while another can.
    for other in [IRELAND, "ap-southeast-1", "edge-1"] {
        lab.must(&["fault", "cut", VIRGINIA, other, "--reset"]);
    }
    let first = create(
        "y.example.com",
        "y",
        "<Weight>1</Weight>",
        of_region(2),
        None,
    );
    change(&lab, &zone, &[first]);
    assert_eq!(
        ask(&lab, Ipv4Addr::LOCALHOST, "y.example.com"),
        [of_region(2)]
    );
    lab.must(&["fault", "heal"]);
    for region in [VIRGINIA, "ap-southeast-1"] {
        lab.must(&["fault", "kill", region]);
    }
    eventually("the secondary answers", || app() == [of_region(2)]);
    let more = create(
        "x.example.com",
        "x",
        "<Weight>1</Weight>",
        of_region(2),
        None,
    );
    eventually("a change is refused", || {
        let (status, text) = route53(
            &lab,
            "POST",
            &format!("{zone}/rrset/"),
            &batch(std::slice::from_ref(&more)),
        );
        assert_ne!(status, 200, "{text}");
        status == 400 && text.contains("<Code>Throttling</Code>")
    });
    lab.must(&["fault", "kill", IRELAND]);
    lab.must(&["fault", "kill", "edge-1"]);
    let once = ask_so_often(&lab, Ipv4Addr::LOCALHOST, "app.example.com", 1);
    assert!(once.is_empty(), "somebody answers: {once:?}");
    lab.must(&["fault", "start", "edge-1"]);
    // The first packet: nobody else is there, and all checks failed when it was last seen.
    assert!(!app().is_empty());
}
