//! TLS at a server and a front door over real sockets: who is believed, what is refused, and that
//! nothing half open stays.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test plays the client: it opens sockets and waits"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use rcgen::{CertificateParams, Issuer, KeyPair};
use runtime::{
    DoorTls, Endpoint, FrontDoor, HttpLimits, HttpServer, Refusal, RequestError, Route, ServerTls,
    Service, TlsError, Trust, listen, request,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use types::ByteSize;

const LIMITS: HttpLimits = HttpLimits {
    body: ByteSize::mib(2),
    bodies: ByteSize::mib(8),
    head: ByteSize::kib(16),
    head_wait: Duration::from_millis(400),
    body_wait: Duration::from_secs(5),
    body_stall: Duration::from_secs(5),
    answer_stall: Duration::from_secs(5),
    connections: 4,
    drain: Duration::from_secs(30),
};

const WAIT: Duration = Duration::from_secs(20);

/// An authority and a certificate of its for some names, in PEM.
struct Pems {
    authority: String,
    certificate: String,
    key: String,
}

fn pems(names: &[&str]) -> Pems {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let issuer = Issuer::from_params(&params, &authority_key);
    let certificate = CertificateParams::new(names).unwrap();
    let certificate = certificate.signed_by(&key, &issuer).unwrap();
    Pems {
        authority: authority.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

impl Pems {
    fn server(&self) -> ServerTls {
        ServerTls::from_pem(&self.certificate, &self.key).unwrap()
    }
}

/// Answers with the body it got.
struct Echo;

impl Service for Echo {
    async fn call(&self, _client: SocketAddr, request: Request<Bytes>) -> Response<Bytes> {
        Response::new(request.into_body())
    }

    fn refuse(&self, _head: Option<&Parts>, _refusal: Refusal) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from_static(b"refused"));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    }
}

fn start(pems: &Pems) -> HttpServer {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    HttpServer::start(listener, Some(pems.server()), Arc::new(Echo), LIMITS).unwrap()
}

fn post(body: &'static [u8]) -> Request<Bytes> {
    let request = Request::post("/").header("host", "127.0.0.1");
    request.body(Bytes::from_static(body)).unwrap()
}

async fn ask(
    address: SocketAddr,
    trust: Trust,
    body: &'static [u8],
) -> Result<Response<Bytes>, RequestError> {
    let trust = Some(trust);
    request(Endpoint { address, trust }, post(body), WAIT).await
}

/// Ends when nothing is open there any more.
async fn all_closed(server: &HttpServer) {
    let closed = async {
        while server.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT, closed).await.unwrap();
}

#[tokio::test]
async fn a_client_believes_the_authority_s_certificate_for_the_address_it_called() {
    let ours = pems(&["localhost", "127.0.0.1"]);
    let server = start(&ours);
    let trust = Trust::authorities(&ours.authority).unwrap();
    let answer = ask(server.address(), trust.clone(), b"hello")
        .await
        .unwrap();
    assert_eq!(answer.into_body(), "hello");

    let strangers = pems(&["127.0.0.1"]);
    let stranger = start(&strangers);
    let error = ask(stranger.address(), trust.clone(), b"")
        .await
        .unwrap_err();
    assert!(matches!(error, RequestError::Broken(..)), "{error}");

    let elsewhere = pems(&["127.0.0.2"]);
    let server = start(&elsewhere);
    let trust = Trust::authorities(&elsewhere.authority).unwrap();
    let error = ask(server.address(), trust, b"").await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_client_with_the_server_s_own_file_believes_that_certificate_alone() {
    let ours = pems(&["lab.example.com"]);
    let server = start(&ours);
    let trust = Trust::certificate(&ours.certificate).unwrap();
    let answer = ask(server.address(), trust.clone(), b"hello")
        .await
        .unwrap();
    assert_eq!(answer.into_body(), "hello");
    // Another certificate of the same authority and name is another server.
    let other = start(&pems(&["lab.example.com"]));
    assert!(ask(other.address(), trust, b"").await.is_err());
    // To show a certificate isn't enough: its key must be there.
    let stolen = ServerTls::from_pem(&ours.certificate, &pems(&["x"]).key);
    assert!(matches!(stolen, Err(TlsError::Unusable(_))));
}

#[tokio::test]
async fn what_is_no_certificate_or_key_is_refused() {
    let ours = pems(&["localhost"]);
    for (certificate, key) in [
        ("", ours.key.as_str()),
        ("nothing", &ours.key),
        (&ours.key, &ours.key),
        (&ours.certificate, ""),
        (&ours.certificate, &ours.certificate),
    ] {
        let refused = ServerTls::from_pem(certificate, key).unwrap_err();
        assert!(matches!(refused, TlsError::Pem(_)), "{refused}");
    }
    assert!(Trust::certificate("").is_err());
    assert!(Trust::authorities(&ours.key).is_err());
    assert!(!format!("{:?}", ours.server()).contains("PRIVATE"));
}

/// Shakes hands by that version with these protocols on offer.
async fn shake(
    address: SocketAddr,
    authority: &str,
    version: &'static SupportedProtocolVersion,
    protocols: &[&[u8]],
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

#[tokio::test]
async fn both_versions_are_spoken_and_http_1_1_alone() {
    let ours = pems(&["localhost"]);
    let server = start(&ours);
    for version in [&version::TLS12, &version::TLS13] {
        let (ours_alone, both): ([&[u8]; 1], [&[u8]; 2]) = ([b"http/1.1"], [b"h2", b"http/1.1"]);
        for protocols in [&[][..], &ours_alone, &both] {
            let shaken = shake(server.address(), &ours.authority, version, protocols).await;
            let mut stream = shaken.unwrap();
            let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
            let expected = (!protocols.is_empty()).then(|| b"http/1.1".to_vec());
            assert_eq!(agreed, expected);
            let bytes = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                          content-length: 2\r\n\r\nhi";
            stream.write_all(bytes).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(answer.ends_with("hi"), "{answer}");
        }
        let refused = shake(server.address(), &ours.authority, version, &[b"h2"]).await;
        assert!(refused.is_err());
    }
    all_closed(&server).await;
}

async fn said(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end as well.
    let read = tokio::time::timeout(WAIT, stream.read_to_end(&mut answer)).await;
    drop(read.expect("the connection is closed"));
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn plain_http_is_told_to_write_https() {
    let server = start(&pems(&["localhost"]));
    let body = "x".repeat(50_000);
    for request in [
        "GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 50000\r\n\r\n{body}"),
        "G".to_owned(),
    ] {
        let answer = said(server.address(), request.as_bytes()).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{answer}"
        );
        assert!(
            answer.ends_with("write https:// in place of http://\n"),
            "{answer}"
        );
    }
    all_closed(&server).await;
}

#[tokio::test]
async fn bytes_that_are_no_handshake_close_the_connection() {
    let ours = pems(&["localhost"]);
    let server = start(&ours);
    let long = [&[22, 3, 1, 0xff, 0xff][..], &[0; 70_000]].concat();
    for bytes in [
        &b"\0"[..],
        b"\x80\x2e\x01\x03\x01",
        b"\x16",
        b"\x16\x03\x01\x00\x05hello",
        b"\x16\x03\x01\x00\x00",
        b"\x17\x03\x03\x00\x05hello",
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
        &long,
    ] {
        let answer = said(server.address(), bytes).await;
        assert!(!answer.contains("HTTP"), "{answer}");
    }
    all_closed(&server).await;
    let trust = Trust::authorities(&pems(&["127.0.0.1"]).authority).unwrap();
    assert!(ask(server.address(), trust, b"").await.is_err());
    let trust = Trust::certificate(&ours.certificate).unwrap();
    assert!(ask(server.address(), trust, b"").await.is_ok());
}

#[tokio::test]
async fn handshakes_count_as_connections_and_end_in_time() {
    let ours = pems(&["127.0.0.1"]);
    let server = start(&ours);
    let mut silent = Vec::new();
    for _ in 0..LIMITS.connections {
        silent.push(TcpStream::connect(server.address()).await.unwrap());
    }
    // One more is closed without a word, whatever it says.
    let answer = said(server.address(), b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(answer, "");
    all_closed(&server).await;
    let trust = Trust::authorities(&ours.authority).unwrap();
    ask(server.address(), trust, b"").await.unwrap();
    drop(silent);
}

#[tokio::test]
async fn a_handshake_under_way_holds_up_no_end() {
    let mut limits = LIMITS;
    limits.head_wait = Duration::from_secs(60);
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let tls = Some(pems(&["localhost"]).server());
    let server = HttpServer::start(listener, tls, Arc::new(Echo), limits).unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"\x16\x03").await.unwrap();
    while server.connections() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::timeout(Duration::from_secs(5), server.stop())
        .await
        .unwrap();
    let read = tokio::time::timeout(WAIT, stream.read(&mut [0]))
        .await
        .unwrap();
    assert!(!matches!(read, Ok(1..)));
}

/// Passes everything to one site.
struct Door(SocketAddr);

impl FrontDoor for Door {
    async fn route(&self, _client: SocketAddr, _head: &Parts) -> Route {
        Route::To(self.0)
    }

    fn vouch(&self, _client: SocketAddr, _headers: &mut HeaderMap) {}
}

impl Service for Door {
    async fn call(&self, _client: SocketAddr, _request: Request<Bytes>) -> Response<Bytes> {
        Response::default()
    }

    fn refuse(&self, _head: Option<&Parts>, _refusal: Refusal) -> Response<Bytes> {
        Response::default()
    }
}

fn open_door(pems: &Pems, sites: &Pems, site: SocketAddr) -> HttpServer {
    let tls = DoorTls {
        server: pems.server(),
        sites: Trust::certificate(&sites.certificate).unwrap(),
    };
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    HttpServer::open_door(listener, Some(tls), Arc::new(Door(site)), LIMITS).unwrap()
}

#[tokio::test]
async fn a_door_speaks_tls_on_both_sides() {
    let ours = pems(&["127.0.0.1"]);
    let site = start(&ours);
    let door = open_door(&ours, &ours, site.address());
    let trust = Trust::authorities(&ours.authority).unwrap();
    let body: &'static [u8] = vec![b'x'; 1_500_000].leak();
    for body in [b"" as &'static [u8], b"hello", body, b"again"] {
        let answer = ask(door.address(), trust.clone(), body).await.unwrap();
        assert_eq!(answer.into_body(), body);
    }
    // All went over one connection to the site, which is kept.
    assert_eq!(site.connections(), 1);
}

#[tokio::test]
async fn a_door_resets_what_is_for_a_site_that_is_dead_or_another() {
    let ours = pems(&["127.0.0.1"]);
    let trust = Trust::authorities(&ours.authority).unwrap();
    let stranger = start(&pems(&["127.0.0.1"]));
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let dead = listener.local_addr().unwrap();
    drop(listener);
    for site in [stranger.address(), dead] {
        let door = open_door(&ours, &ours, site);
        let error = ask(door.address(), trust.clone(), b"hello")
            .await
            .unwrap_err();
        assert!(matches!(error, RequestError::Broken(..)), "{error}");
        all_closed(&door).await;
    }
}
