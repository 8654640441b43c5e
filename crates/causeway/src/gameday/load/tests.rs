//! Loads against a name server and an application of the test's own: every request is accounted
//! for, whatever becomes of it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are outside"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use gameday::{Order, Outcome, Plan, Request, Scenario, Verb};
use runtime::SystemEnvironment;
use types::{Environment, Geography, Span};

use super::{Loads, Network, UNDER_WAY, Way};

/// The address that the name has.
const APPLICATION: Ipv4Addr = Ipv4Addr::new(127, 1, 200, 1);

/// What the application does with requests.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Serves,
    Fails,
    Hangs,
}

/// A name server and an application, as long as the test runs.
struct Servers {
    dns: SocketAddr,
    application: SocketAddr,
    questions: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

fn serve(manner: Manner, ttl: u8) -> Servers {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let dns = socket.local_addr().unwrap();
    let questions = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&questions);
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            asked.fetch_add(1, Ordering::Relaxed);
            let mut answer = packet[..length].to_vec();
            answer[2..4].copy_from_slice(&[0x84, 0]);
            answer[7] = 1;
            answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, ttl, 0, 4]);
            answer.extend_from_slice(&APPLICATION.octets());
            socket.send_to(&answer, from).unwrap();
        }
    });
    let listener = TcpListener::bind((APPLICATION, 0)).unwrap();
    let application = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let connected = Arc::clone(&connections);
    let orders = Arc::new(Mutex::new(BTreeMap::new()));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            connected.fetch_add(1, Ordering::Relaxed);
            let orders = Arc::clone(&orders);
            thread::spawn(move || answer(stream, manner, &orders));
        }
    });
    Servers {
        dns,
        application,
        questions,
        connections,
    }
}

/// Answers every request of a connection.
fn answer(stream: TcpStream, manner: Manner, orders: &Mutex<BTreeMap<String, String>>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
        let request = std::mem::take(&mut line);
        let mut length = 0;
        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
            let header = std::mem::take(&mut line).to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        line.clear();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut orders = orders.lock().unwrap();
        let (status, text) = match (manner, request.split(' ').nth(1).unwrap()) {
            (Manner::Hangs, _) => {
                drop(orders);
                reader.read_line(&mut line).ok();
                return;
            }
            (Manner::Fails, _) => (503, "{}".to_owned()),
            (Manner::Serves, "/orders") => {
                let text = String::from_utf8(body).unwrap();
                let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
                orders.insert(parsed["id"].as_str().unwrap().to_owned(), text);
                (201, "{}".to_owned())
            }
            (Manner::Serves, path) => match orders.get(path.rsplit('/').next().unwrap()) {
                Some(order) => (200, order.clone()),
                None => (404, "{}".to_owned()),
            },
        };
        let length = text.len();
        let head = format!("HTTP/1.1 {status} X\r\nx-region: eu-west-1\r\n");
        let rest = format!("content-length: {length}\r\n\r\n{text}");
        if reader
            .get_mut()
            .write_all((head + &rest).as_bytes())
            .is_err()
        {
            return;
        }
    }
}

/// Long enough for a slow machine, and short.
const PATIENT: &str = "20s";
const IMPATIENT: &str = "300ms";

/// The plan of loads of those kinds; 20 requests a second for a second.
fn plan(timeout: &str, loads: &[(&str, &str)]) -> Arc<Plan> {
    let mut text = r#"
        title = "a test"
        [lab]
        regions = ["eu-west-1"]
        delay_scale = 0
        app = "orders"
        [[table]]
        name = "Orders"
        regions = ["eu-west-1"]
        [[zone]]
        name = "example.com"
        [[record]]
        name = "shop.example.com"
        region = "eu-west-1"
        ttl = "60s"
        [measure]
        length = "1s"
        [expect]
        that = ["lost_for_good == 0"]
    "#
    .to_owned();
    for (index, (client, does)) in loads.iter().enumerate() {
        text.push_str(&format!(
            "[[load]]\nname = \"load{index}\"\nplace = \"eu-west-2\"\nclient = \"{client}\"\n\
             rate = 20\ntimeout = \"{timeout}\"\ntarget = \"shop.example.com\"\n{does}\n"
        ));
    }
    let scenario = Scenario::parse("test.toml", &text, &[]);
    Arc::new(Plan::of(
        scenario.unwrap_or_else(|problems| panic!("{problems}")),
    ))
}

async fn run(plan: &Arc<Plan>, servers: &Servers, limit: u32) -> Vec<Request> {
    let environment = Arc::new(SystemEnvironment::new());
    let network = Network {
        dns: servers.dns,
        name: "shop.example.com".to_owned(),
        port: servers.application.port(),
        places: [(APPLICATION, "eu-west-1".parse().unwrap())].into(),
        statics: vec![APPLICATION],
        edges: Vec::new(),
        geography: Geography { scale: 0.0 },
        environment: Arc::clone(&environment),
    };
    let network = Arc::new(network);
    let loads = plan.scenario.loads.iter();
    let way = Way {
        network,
        database: None,
    };
    let ways: Vec<Way> = loads.map(|_| way.clone()).collect();
    let loads = Loads::new(plan, &ways, environment.now().monotonic, limit);
    loads.run().await;
    let (succeeded, failed) = loads.progress();
    let requests = loads.take();
    assert_eq!(succeeded + failed, requests.len());
    assert_eq!(requests.len() as u64, plan.requests);
    for request in &requests {
        let load = &plan.scenario.loads[usize::from(request.load)];
        let index = usize::from(request.load);
        let mut moments = (0..load.count()).map(|number| plan.due(index, number));
        assert!(
            moments.any(|due| due == request.due),
            "{request:?} is at no moment of its load"
        );
        assert!(request.began >= request.due && request.ended >= request.began);
    }
    requests
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_placed_updated_and_read_as_the_plan_says() {
    let servers = serve(Manner::Serves, 60);
    let loads = [
        ("honours_ttl", "does = \"place_orders\""),
        ("pooled", "does = \"read_orders\""),
        ("pooled", "does = \"update_and_read\"\norders = 3"),
    ];
    let plan = plan(PATIENT, &loads);
    let requests = run(&plan, &servers, UNDER_WAY).await;
    let failed: Vec<_> = requests.iter().filter(|one| !one.outcome.is_ok()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let region = "eu-west-1".parse().ok();
    assert!(requests.iter().all(|request| request.region == region));
    let of = |load: u16| requests.iter().filter(move |request| request.load == load);
    assert!(of(0).all(|request| (request.verb, request.version) == (Verb::Place, 1)));
    // What was acknowledged is there; before the first there is nothing to read.
    assert!(of(1).all(|request| request.version == u32::from(request.order.is_some())));
    assert!(of(1).any(|request| request.order.is_some()));
    let mut versions: Vec<(Order, u32)> = of(2)
        .filter(|request| request.verb == Verb::Update)
        .map(|request| (request.order.unwrap(), request.version))
        .collect();
    versions.sort();
    let expected = |order, last| (1..=last).map(move |version| (Order::Shared(order), version));
    // Ten writes over three orders; this load begins with the third.
    let expected = expected(0, 3).chain(expected(1, 3)).chain(expected(2, 4));
    assert_eq!(versions, expected.collect::<Vec<_>>());
    // A connection for each request of the first kind; the second keeps what it has.
    let connections = servers.connections.load(Ordering::Relaxed);
    assert!((20..60).contains(&connections), "{connections}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_ask_for_the_name_as_often_as_their_kind_does() {
    for (client, ttl, least, most) in [
        ("honours_ttl", 0, 20, 20),
        ("honours_ttl", 60, 8, 8),
        ("holds_60s", 0, 8, 8),
        ("never_resolves_again", 0, 8, 8),
        ("pooled", 0, 8, 20),
    ] {
        let servers = serve(Manner::Serves, ttl);
        let plan = plan(PATIENT, &[(client, "does = \"place_orders\"")]);
        run(&plan, &servers, UNDER_WAY).await;
        let questions = servers.questions.load(Ordering::Relaxed);
        let expected = least..=most;
        assert!(expected.contains(&questions), "{client} {ttl}: {questions}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_told_apart_and_time_runs_from_the_moment_a_request_is_due() {
    let plan = plan(IMPATIENT, &[("honours_ttl", "does = \"place_orders\"")]);
    let failing = serve(Manner::Fails, 60);
    let requests = run(&plan, &failing, UNDER_WAY).await;
    assert!(
        requests
            .iter()
            .all(|request| request.outcome == Outcome::Status(503))
    );
    let hanging = serve(Manner::Hangs, 60);
    let requests = run(&plan, &hanging, UNDER_WAY).await;
    for request in &requests {
        assert_eq!(request.outcome, Outcome::TimedOut);
        assert!(request.ended.0 >= request.due.0 + Span::milliseconds(300).0);
    }
    let mut absent = serve(Manner::Serves, 60);
    // A port that was free a moment ago.
    absent.application = TcpListener::bind((APPLICATION, 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let requests = run(&plan, &absent, UNDER_WAY).await;
    assert!(
        requests
            .iter()
            .all(|request| request.outcome == Outcome::Refused)
    );
    let mut silent = serve(Manner::Serves, 60);
    let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
    silent.dns = deaf.local_addr().unwrap();
    let requests = run(&plan, &silent, UNDER_WAY).await;
    assert!(
        requests
            .iter()
            .all(|request| request.outcome == Outcome::TimedOut)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_beyond_the_limit_is_not_sent_and_counts() {
    let hanging = serve(Manner::Hangs, 60);
    let plan = plan(IMPATIENT, &[("honours_ttl", "does = \"place_orders\"")]);
    let requests = run(&plan, &hanging, 2).await;
    let count = |outcome| requests.iter().filter(|one| one.outcome == outcome).count();
    let (timed_out, not_sent) = (count(Outcome::TimedOut), count(Outcome::NotSent));
    assert_eq!(timed_out + not_sent, 20);
    assert!(timed_out >= 2 && not_sent >= 1, "{timed_out} {not_sent}");
}
