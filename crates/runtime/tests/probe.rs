//! Probes against real sockets whose other ends misbehave in every way that is cheap to think of.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test plays the endpoint: it opens sockets and waits"
)]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::SystemProber;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{Acceptor, ServerConfig};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::LazyConfigAcceptor;
use types::{
    HealthCheckId, HttpProbe, Probe, ProbeOrder, ProbeOutcome, ProbeStep, ProbeTimeouts, Prober,
    Span, Tls,
};

const PLENTY: Span = Span::seconds(20);
const LITTLE: Span = Span::milliseconds(150);

/// An order with plenty of time for each step.
fn order(endpoint: SocketAddr, probe: Probe) -> ProbeOrder {
    ProbeOrder {
        id: HealthCheckId("0d6f5f0e-check".to_owned()),
        endpoint,
        name: Some("app.example.com".to_owned()),
        probe,
        timeouts: ProbeTimeouts {
            connect: PLENTY,
            response: PLENTY,
            body: PLENTY,
        },
    }
}

fn http(tls: Option<bool>, search: Option<&str>) -> Probe {
    Probe::Http(HttpProbe {
        tls: tls.map(|server_name| Tls { server_name }),
        path: "/health?deep=1".to_owned(),
        search: search.map(str::to_owned),
    })
}

async fn probe(order: ProbeOrder) -> ProbeOutcome {
    SystemProber::new(1).probe(order).await
}

async fn get(endpoint: SocketAddr) -> ProbeOutcome {
    probe(order(endpoint, http(None, None))).await
}

async fn search(endpoint: SocketAddr, string: &str) -> ProbeOutcome {
    probe(order(endpoint, http(None, Some(string)))).await
}

/// An endpoint that treats every connection so, and its address.
async fn endpoint<F, R>(treat: F) -> SocketAddr
where
    F: Fn(TcpStream, usize) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(treat(stream, number));
        }
    });
    address
}

/// Reads a request up to its empty line.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(request).unwrap()
}

/// An endpoint that answers every request with these bytes, and closes if `close`.
async fn answering(answer: impl Into<Vec<u8>>, close: bool) -> SocketAddr {
    let answer: Arc<[u8]> = answer.into().into();
    endpoint(move |mut stream, _| {
        let answer = Arc::clone(&answer);
        async move {
            read_request(&mut stream).await;
            stream.write_all(&answer).await.ok();
            if !close {
                std::future::pending::<()>().await;
            }
        }
    })
    .await
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn a_request_is_what_an_endpoint_expects_of_a_health_checker() {
    let seen = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&seen);
    let address = endpoint(move |mut stream, _| {
        let sink = Arc::clone(&sink);
        async move {
            *sink.lock().unwrap() = read_request(&mut stream).await;
            stream.write_all(&ok(b"")).await.unwrap();
        }
    })
    .await;
    assert_eq!(get(address).await, ProbeOutcome::Status(200));
    let request = seen.lock().unwrap().to_lowercase();
    let lines: Vec<&str> = request.lines().collect();
    assert_eq!(lines[0], "get /health?deep=1 http/1.1");
    for line in [
        &format!("host: app.example.com:{}", address.port()),
        "user-agent: causeway-health-check-service (ref 0d6f5f0e-check)",
        "connection: close",
    ] {
        assert!(lines.contains(&line), "{line} is not in {request}");
    }
}

#[tokio::test]
async fn a_tcp_check_asks_for_a_connection_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let outcome = probe(order(address, Probe::Tcp)).await;
    assert_eq!(outcome, ProbeOutcome::Connected);
    let (mut stream, _) = listener.accept().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "nothing is sent");
}

#[tokio::test]
async fn a_refused_connection_is_said_to_be_refused() {
    // Bound and not listening: nobody else can take the port meanwhile.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    for probe_of in [Probe::Tcp, http(None, None), http(Some(true), None)] {
        assert_eq!(probe(order(address, probe_of)).await, ProbeOutcome::Refused);
    }
}

#[tokio::test]
async fn a_connection_that_nobody_accepts_times_out() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // A full backlog makes Linux drop what arrives.
    let mut queued = Vec::new();
    while let Ok(stream) =
        tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await
    {
        queued.push(stream.unwrap());
    }
    let mut order = order(address, Probe::Tcp);
    order.timeouts.connect = LITTLE;
    let outcome = probe(order).await;
    assert_eq!(outcome, ProbeOutcome::TimedOut(ProbeStep::Connect));
}

/// Probes with little time for the response.
async fn impatient(address: SocketAddr, probe_of: Probe) -> ProbeOutcome {
    let mut order = order(address, probe_of);
    order.timeouts.response = LITTLE;
    probe(order).await
}

#[tokio::test]
async fn an_endpoint_that_accepts_and_says_nothing_times_out() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    for probe_of in [http(None, None), http(Some(true), None)] {
        let outcome = impatient(address, probe_of).await;
        assert_eq!(outcome, ProbeOutcome::TimedOut(ProbeStep::Response));
    }
}

#[tokio::test]
async fn a_head_that_stops_or_drips_times_out() {
    let stopping = answering("HTTP/1.1 200 OK\r\nContent-", false).await;
    let dripping = endpoint(|mut stream, _| async move {
        read_request(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\nServer: slow\r\nContent-Length: 0\r\n\r\n";
        for byte in head.iter() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    })
    .await;
    for address in [stopping, dripping] {
        let outcome = impatient(address, http(None, None)).await;
        assert_eq!(outcome, ProbeOutcome::TimedOut(ProbeStep::Response));
    }
}

#[tokio::test]
async fn informational_responses_are_passed_over_but_not_for_ever() {
    let early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".to_vec();
    let address = answering([early, ok(b"")].concat(), true).await;
    assert_eq!(get(address).await, ProbeOutcome::Status(200));
    let endless = endpoint(|mut stream, _| async move {
        read_request(&mut stream).await;
        let hint = b"HTTP/1.1 103 Early Hints\r\n\r\n";
        while stream.write_all(hint).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let outcome = impatient(endless, http(None, None)).await;
    assert_eq!(outcome, ProbeOutcome::TimedOut(ProbeStep::Response));
}

#[tokio::test]
async fn a_redirect_passes_and_is_not_followed() {
    let followed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&followed);
    let elsewhere = endpoint(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        async {}
    })
    .await;
    let redirect =
        format!("HTTP/1.1 302 Found\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n");
    let address = answering(redirect, true).await;
    let outcome = get(address).await;
    assert_eq!(outcome, ProbeOutcome::Status(302));
    assert!(outcome.passed());
    assert_eq!(followed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_status_beyond_399_fails_and_its_body_is_not_searched() {
    let address = answering(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nok",
        true,
    )
    .await;
    assert_eq!(search(address, "ok").await, ProbeOutcome::Status(503));
    assert!(!ProbeOutcome::Status(503).passed());
}

#[tokio::test]
async fn a_string_is_found_within_the_first_5120_bytes_and_no_further() {
    for (before, outcome) in [
        (0, ProbeOutcome::Status(200)),
        (5_120 - 6, ProbeOutcome::Status(200)),
        (5_120 - 5, ProbeOutcome::NoMatch(200)),
        (9_000, ProbeOutcome::NoMatch(200)),
    ] {
        let body = ["x".repeat(before).as_bytes(), b"needle", b"rest"].concat();
        let address = answering(ok(&body), true).await;
        assert_eq!(search(address, "needle").await, outcome, "{before} before");
        assert_eq!(search(address, "Needle").await, ProbeOutcome::NoMatch(200));
    }
}

#[tokio::test]
async fn a_string_is_found_across_chunks() {
    let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in ["xn", "e", "ed", "le", "x"] {
        answer.extend(format!("{:x}\r\n{piece}\r\n", piece.len()).into_bytes());
    }
    answer.extend(b"0\r\n\r\n");
    let address = answering(answer, true).await;
    assert_eq!(search(address, "needle").await, ProbeOutcome::Status(200));
    assert_eq!(search(address, "needles").await, ProbeOutcome::NoMatch(200));
}

#[tokio::test]
async fn a_body_that_ends_early_is_searched_as_far_as_it_came() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nneedle";
    let address = answering(cut, true).await;
    assert_eq!(search(address, "needle").await, ProbeOutcome::Status(200));
    let outcome = search(address, "thread").await;
    assert!(matches!(outcome, ProbeOutcome::Broken(_)), "{outcome:?}");
}

#[tokio::test]
async fn an_endless_body_is_read_no_further_than_it_is_searched() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let address = endpoint(move |mut stream, _| {
        let count = Arc::clone(&count);
        async move {
            read_request(&mut stream).await;
            let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
            stream.write_all(head).await.unwrap();
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {
                count.fetch_add(4096, Ordering::SeqCst);
            }
        }
    })
    .await;
    assert_eq!(get(address).await, ProbeOutcome::Status(200));
    assert_eq!(search(address, "needle").await, ProbeOutcome::NoMatch(200));
    // What the sockets' buffers took; the probe itself reads a few kilobytes.
    assert!(sent.load(Ordering::SeqCst) < 64 << 20);
}

#[tokio::test]
async fn a_body_that_drips_times_out() {
    let address = endpoint(|mut stream, _| async move {
        read_request(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let mut order = order(address, http(None, Some("needle")));
    order.timeouts.body = LITTLE;
    let outcome = probe(order).await;
    assert_eq!(outcome, ProbeOutcome::TimedOut(ProbeStep::Body));
}

/// A response whose head has exactly so many bytes.
fn head_of(bytes: usize) -> Vec<u8> {
    let start = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Long: ";
    let long = "x".repeat(bytes - start.len() - 4);
    format!("{start}{long}\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn a_head_is_read_up_to_16384_bytes() {
    let address = answering(head_of(16_384), true).await;
    assert_eq!(get(address).await, ProbeOutcome::Status(200));
    let address = answering(head_of(16_385), true).await;
    assert_eq!(get(address).await, ProbeOutcome::HeadTooLarge);
}

#[tokio::test]
async fn endless_fields_are_cut_off() {
    for field in [
        "A: b\r\n".to_owned(),
        format!("A: {}\r\n", "b".repeat(5_000)),
    ] {
        let field: Arc<str> = field.into();
        let address = endpoint(move |mut stream, _| {
            let field = Arc::clone(&field);
            async move {
                read_request(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
                while stream.write_all(field.as_bytes()).await.is_ok() {}
            }
        })
        .await;
        assert_eq!(get(address).await, ProbeOutcome::HeadTooLarge);
    }
    let many = |count| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(count));
    let address = answering(many(256), true).await;
    assert_eq!(get(address).await, ProbeOutcome::Status(200));
    let address = answering(many(257), true).await;
    assert_eq!(get(address).await, ProbeOutcome::HeadTooLarge);
}

#[tokio::test]
async fn what_is_not_http_is_said_to_be_none() {
    for garbage in [
        &b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..],
        b"\0\0\0\0\0\0\0\0",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
    ] {
        let address = answering(garbage, true).await;
        let outcome = get(address).await;
        assert!(matches!(outcome, ProbeOutcome::NotHttp(_)), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_connection_that_closes_without_an_answer_has_failed() {
    let address = answering("", true).await;
    let outcome = get(address).await;
    assert!(matches!(outcome, ProbeOutcome::Broken(_)), "{outcome:?}");
}

/// How an endpoint speaks TLS.
#[derive(Clone, Copy)]
enum Versions {
    Both,
    Tls12,
}

/// A TLS endpoint whose self-made, long expired certificate bears that name, and the names
/// (SNI) that it was told.
async fn secure(name: &str, versions: Versions) -> (SocketAddr, Arc<Mutex<Vec<Option<String>>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let config = server_config(name, versions);
    let address = endpoint(move |stream, _| {
        let (config, sink) = (Arc::clone(&config), Arc::clone(&sink));
        async move { serve_secure(stream, config, &sink).await }
    })
    .await;
    (address, told)
}

fn server_config(name: &str, versions: Versions) -> Arc<ServerConfig> {
    let mut parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    // Long expired, and by nobody anyone trusts: nobody looks.
    parameters.not_before = rcgen::date_time_ymd(2001, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let versions = match versions {
        Versions::Both => rustls::ALL_VERSIONS,
        Versions::Tls12 => &[&rustls::version::TLS12],
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    Arc::new(config)
}

async fn serve_secure(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    told: &Mutex<Vec<Option<String>>>,
) {
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await;
    let start = start.unwrap();
    let name = start.client_hello().server_name().map(str::to_owned);
    told.lock().unwrap().push(name);
    let Ok(mut stream) = start.into_stream(config).await else {
        return;
    };
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    stream.write_all(&ok(b"needle")).await.unwrap();
    stream.shutdown().await.ok();
}

#[tokio::test]
async fn a_certificate_is_not_validated_and_the_name_is_told_when_asked() {
    let (address, told) = secure("app.example.com", Versions::Both).await;
    let outcome = probe(order(address, http(Some(true), Some("needle")))).await;
    assert_eq!(outcome, ProbeOutcome::Status(200));
    let outcome = probe(order(address, http(Some(false), None))).await;
    assert_eq!(outcome, ProbeOutcome::Status(200));
    let named = Some("app.example.com".to_owned());
    assert_eq!(*told.lock().unwrap(), [named, None]);
}

#[tokio::test]
async fn tls_1_2_is_spoken_too() {
    let (address, _) = secure("app.example.com", Versions::Tls12).await;
    let outcome = probe(order(address, http(Some(true), None))).await;
    assert_eq!(outcome, ProbeOutcome::Status(200));
}

#[tokio::test]
async fn a_certificate_for_other_names_is_asked_again_without_a_name() {
    let (address, told) = secure("other.example.net", Versions::Both).await;
    let outcome = probe(order(address, http(Some(true), None))).await;
    assert_eq!(outcome, ProbeOutcome::Status(200));
    let named = Some("app.example.com".to_owned());
    assert_eq!(*told.lock().unwrap(), [named, None]);
}

/// A fatal TLS alert of that number, in plain.
fn alert(number: u8) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, number]
}

#[tokio::test]
async fn an_endpoint_that_does_not_know_the_name_is_asked_once_more_without_it() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let config = server_config("app.example.com", Versions::Both);
    let once = endpoint(move |mut stream, number| {
        let (config, sink) = (Arc::clone(&config), Arc::clone(&sink));
        async move {
            if number > 0 {
                return serve_secure(stream, config, &sink).await;
            }
            let _hello = stream.read(&mut [0; 4096]).await.unwrap();
            stream.write_all(&alert(112)).await.unwrap();
        }
    })
    .await;
    let outcome = probe(order(once, http(Some(true), None))).await;
    assert_eq!(outcome, ProbeOutcome::Status(200));
    assert_eq!(*told.lock().unwrap(), [None]);
}

#[tokio::test]
async fn an_alert_is_named_and_asked_again_at_most_once() {
    for (number, name, connections) in [(112, "unrecognized_name", 2), (40, "handshake_failure", 1)]
    {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let address = endpoint(move |mut stream, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                let _hello = stream.read(&mut [0; 4096]).await.unwrap();
                stream.write_all(&alert(number)).await.unwrap();
            }
        })
        .await;
        let outcome = probe(order(address, http(Some(true), None))).await;
        assert_eq!(outcome.to_string(), format!("Failure: SSL alert {name}"));
        assert_eq!(count.load(Ordering::SeqCst), connections);
    }
}

#[tokio::test]
async fn plain_text_on_a_tls_port_and_tls_on_a_plain_one_have_failed() {
    let plain = endpoint(|mut stream, _| async move {
        let _hello = stream.read(&mut [0; 4096]).await.unwrap();
        let bad = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(bad).await.unwrap();
    })
    .await;
    let outcome = probe(order(plain, http(Some(true), None))).await;
    assert!(matches!(outcome, ProbeOutcome::Tls(_)), "{outcome:?}");
    let config = server_config("app.example.com", Versions::Both);
    let secure = endpoint(move |stream, _| {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&config));
        async move { drop(acceptor.accept(stream).await) }
    })
    .await;
    let outcome = get(secure).await;
    assert!(!outcome.passed(), "{outcome:?}");
}

#[tokio::test]
async fn more_probes_than_may_run_at_once_wait_for_their_turn() {
    let open = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let address = {
        let (open, most) = (Arc::clone(&open), Arc::clone(&most));
        endpoint(move |mut stream, _| {
            let (open, most) = (Arc::clone(&open), Arc::clone(&most));
            async move {
                most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                read_request(&mut stream).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
                open.fetch_sub(1, Ordering::SeqCst);
                stream.write_all(&ok(b"")).await.ok();
            }
        })
        .await
    };
    let prober = SystemProber::new(4);
    let probes = (0..40).map(|_| prober.probe(order(address, http(None, None))));
    let outcomes = futures_util::future::join_all(probes).await;
    assert!(outcomes.iter().all(ProbeOutcome::passed), "{outcomes:?}");
    assert!(most.load(Ordering::SeqCst) <= 4);
}
