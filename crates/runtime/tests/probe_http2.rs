//! Probes by HTTP/2 against real servers: what is asked, by which protocol, and what of an answer
//! counts.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test plays the endpoint: it opens sockets and waits"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use runtime::SystemProber;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use types::{
    HealthCheckId, HttpProbe, Probe, ProbeOrder, ProbeOutcome, ProbeTimeouts, Prober, Span, Tls,
};

const PLENTY: Span = Span::seconds(20);

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// What a server was asked: method, version, path, and content type.
type Asked = Arc<Mutex<Vec<String>>>;

fn plain(status: u16, fields: &[(&str, &str)], body: &'static [u8]) -> Answer {
    let mut answer = Response::builder().status(status);
    for (name, value) in fields {
        answer = answer.header(*name, *value);
    }
    let body = Full::new(Bytes::from_static(body)).boxed_unsync();
    answer.body(body).unwrap()
}

fn with_trailers(body: &'static [u8], status: &'static str) -> Answer {
    let trailers = async move {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.parse().unwrap());
        Some(Ok(trailers))
    };
    let body = Full::new(Bytes::from_static(body)).with_trailers(trailers);
    Response::new(body.boxed_unsync())
}

fn note(asked: &Asked, request: &Request<Incoming>) {
    let kind = request.headers().get("content-type");
    let kind = kind.map_or("-", |kind| kind.to_str().unwrap());
    asked.lock().unwrap().push(format!(
        "{} {:?} {} {kind}",
        request.method(),
        request.version(),
        request.uri().path()
    ));
}

/// A server by HTTP/2 without TLS that answers everything so.
async fn serving(answer: fn() -> Answer) -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Asked::default();
    let noted = asked.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let noted = noted.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                note(&noted, &request);
                async move { Ok::<_, Infallible>(answer()) }
            });
            let server = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, asked)
}

async fn probe(endpoint: SocketAddr, by: fn(HttpProbe) -> Probe, tls: bool) -> ProbeOutcome {
    let order = ProbeOrder {
        id: HealthCheckId("10.0.0.1:80".to_owned()),
        endpoint,
        name: None,
        probe: by(HttpProbe {
            tls: tls.then_some(Tls { server_name: false }),
            path: "/AWS.ALB/healthcheck".to_owned(),
            search: None,
        }),
        timeouts: ProbeTimeouts {
            connect: PLENTY,
            response: PLENTY,
            body: PLENTY,
        },
    };
    SystemProber::of_load_balancers(1).probe(order).await
}

#[tokio::test]
async fn a_get_by_http2_has_a_status() {
    let (address, asked) = serving(|| plain(503, &[], b"no")).await;
    let outcome = probe(address, Probe::Http2, false).await;
    assert_eq!(outcome, ProbeOutcome::Status(503));
    let asked = asked.lock().unwrap().join("\n");
    assert_eq!(asked, "GET HTTP/2.0 /AWS.ALB/healthcheck -");
}

#[tokio::test]
async fn a_call_has_the_status_of_its_end_or_of_its_only_head() {
    let (address, asked) = serving(|| plain(200, &[("grpc-status", "12")], b"")).await;
    let outcome = probe(address, Probe::Grpc, false).await;
    assert_eq!(outcome, ProbeOutcome::Grpc(12));
    let asked = asked.lock().unwrap().join("\n");
    assert_eq!(asked, "POST HTTP/2.0 /AWS.ALB/healthcheck application/grpc");
    let (address, _) = serving(|| with_trailers(&[0; 5], "0")).await;
    let outcome = probe(address, Probe::Grpc, false).await;
    assert_eq!(outcome, ProbeOutcome::Grpc(0));
}

#[tokio::test]
async fn a_call_that_ends_without_a_status_has_failed() {
    for answer in [
        (|| plain(200, &[], b"")) as fn() -> Answer,
        || plain(200, &[("grpc-status", "many")], b""),
        || plain(200, &[], &[7; 100_000]),
    ] {
        let (address, _) = serving(answer).await;
        let outcome = probe(address, Probe::Grpc, false).await;
        assert!(matches!(outcome, ProbeOutcome::NotHttp(_)), "{outcome:?}");
    }
    let (address, _) = serving(|| plain(404, &[("grpc-status", "0")], b"")).await;
    let outcome = probe(address, Probe::Grpc, false).await;
    assert_eq!(outcome, ProbeOutcome::Status(404));
}

#[tokio::test]
async fn a_server_that_speaks_no_http2_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(|_| async { Ok::<_, Infallible>(plain(200, &[], b"")) });
        let server = http1::Builder::new();
        server.serve_connection(TokioIo::new(stream), service).await
    });
    let outcome = probe(address, Probe::Http2, false).await;
    assert!(!outcome.passed(), "{outcome:?}");
    assert_eq!(outcome.finding(), Some(false));
}

#[tokio::test]
async fn http2_is_agreed_on_in_the_handshake() {
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["other.example".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = acceptor.accept(stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let service = service_fn(|_| async { Ok::<_, Infallible>(plain(204, &[], b"")) });
        let server = http2::Builder::new(TokioExecutor::new());
        server.serve_connection(TokioIo::new(stream), service).await
    });
    let outcome = probe(address, Probe::Http2, true).await;
    assert_eq!(outcome, ProbeOutcome::Status(204));
}
