//! Listeners with TLS: certificates by name, versions, what targets learn, and connections whose
//! TLS is taken off.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use runtime::{
    BalanceListener, Certificate, FlowEnd, FlowEvent, HttpOptions, HttpTarget, ListenerKind,
    ListenerTls, TargetVersion, TlsMinimum,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::rig::{Backend, LIMITS, Rig, plain, read_to_end, refusing};

/// A certificate for that name, signed by itself.
pub fn certificate(name: &str) -> Certificate {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    Certificate {
        chain: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem().into(),
    }
}

/// Takes whatever certificate is shown.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = rustls::crypto::ring::default_provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A connection over TLS that asks for that name and offers these protocols.
pub async fn secured(
    rig: &Rig,
    name: &str,
    protocols: &[&str],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, rig.connect().await)
        .await
}

pub const BOTH: &[&rustls::SupportedProtocolVersion] =
    &[&rustls::version::TLS13, &rustls::version::TLS12];

pub fn https(targets: &[HttpTarget], options: HttpOptions, certificates: &[Certificate]) -> Rig {
    let tls = ListenerTls::https(certificates, TlsMinimum::Tls12, true).unwrap();
    Rig::of(targets, ListenerKind::Https(Arc::new(options), tls), LIMITS)
}

/// What comes until that text has come.
async fn read_until(stream: &mut (impl AsyncReadExt + Unpin), end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        bytes.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn the_certificate_is_the_one_for_the_name() {
    let backend = Backend::usual().await;
    let certificates = ["default.test", "a.test", "*.b.test"].map(certificate);
    let options = HttpOptions {
        tls_headers: true,
        ..HttpOptions::USUAL
    };
    let rig = https(&[plain(backend.address)], options, &certificates);
    for (name, at) in [
        ("a.test", 1),
        ("x.b.test", 2),
        ("other.test", 0),
        ("127.0.0.1", 0),
    ] {
        let mut stream = secured(&rig, name, &["http/1.1"], BOTH).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
        let pem = &certificates[at].chain;
        let expected =
            <CertificateDer as rustls::pki_types::pem::PemObject>::from_pem_slice(pem.as_bytes());
        assert_eq!(shown, expected.unwrap(), "{name}");
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        read_until(&mut stream, "hello").await;
    }
    let request = &backend.requests()[0];
    assert!(
        request.contains("X-Forwarded-Proto: https\r\n"),
        "{request}"
    );
    assert!(
        request.contains("X-Amzn-Tls-Version: TLSv1.3\r\n"),
        "{request}"
    );
    assert!(
        request.contains("X-Amzn-Tls-Cipher-Suite: TLS_"),
        "{request}"
    );
}

#[tokio::test]
async fn an_old_version_is_refused_where_it_is_to_be_and_counted() {
    let tls = ListenerTls::https(&[certificate("a.test")], TlsMinimum::Tls13, true).unwrap();
    let kind = ListenerKind::Https(Arc::new(HttpOptions::USUAL), tls);
    let rig = Rig::of(&[], kind, LIMITS);
    let old = secured(&rig, "a.test", &[], &[&rustls::version::TLS12]).await;
    assert!(old.is_err());
    // Whoever speaks plain HTTP there is told so.
    let answer = rig.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
        "{answer}"
    );
    assert_eq!(rig.say("\0\0\0").await, "");
    assert!(rig.balancer.listeners()[0].counts.handshakes_failed >= 2);
}

#[tokio::test]
async fn keys_are_never_shown_and_strangers_refused() {
    let (mine, other) = (certificate("a.test"), certificate("b.test"));
    assert_eq!(format!("{mine:?}"), "Certificate(…)");
    let mixed = Certificate {
        chain: mine.chain.clone(),
        key: other.key.clone(),
    };
    for wrong in [vec![mixed], Vec::new()] {
        assert!(ListenerTls::https(&wrong, TlsMinimum::Tls12, true).is_err());
    }
}

/// What a target proves itself with.
fn acceptor() -> TlsAcceptor {
    let own = certificate("whatever.test");
    let chain =
        <CertificateDer as rustls::pki_types::pem::PemObject>::from_pem_slice(own.chain.as_bytes());
    let key =
        <PrivateKeyDer as rustls::pki_types::pem::PemObject>::from_pem_slice(own.key.as_bytes());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(BOTH)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain.unwrap()], key.unwrap())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn targets_may_speak_tls_too_whatever_they_show() {
    let acceptor = acceptor();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = HttpTarget {
        address: listener.local_addr().unwrap(),
        tls: true,
        version: TargetVersion::Http1,
    };
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        for _ in 0..2 {
            read_until(&mut stream, "\r\n\r\n").await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
            stream.write_all(answer).await.unwrap();
        }
    });
    let rig = https(&[target], HttpOptions::USUAL, &[certificate("a.test")]);
    let mut client = secured(&rig, "a.test", &["http/1.1"], BOTH).await.unwrap();
    for _ in 0..2 {
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        read_until(&mut client, "\r\n\r\nx").await;
    }
    serving.await.unwrap();
    // A target that speaks none is one that failed.
    let plain = Backend::usual().await;
    rig.book.targets.lock().unwrap()[0].address = plain.address;
    let mut client = secured(&rig, "a.test", &["http/1.1"], BOTH).await.unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let answer = read_until(&mut client, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[tokio::test]
async fn tls_is_taken_off_and_what_is_within_is_carried_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = plain(listener.local_addr().unwrap());
    let tls = ListenerTls::stream(&[certificate("a.test")], TlsMinimum::Tls12, &["postgresql"]);
    let refusing = refusing();
    let refused = plain(refusing.address);
    let rig = Rig::of(&[refused, target], ListenerKind::Tls(tls.unwrap()), LIMITS);
    let mut client = secured(&rig, "a.test", &["postgresql"], BOTH)
        .await
        .unwrap();
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"postgresql"[..]));
    let (mut server, _) = listener.accept().await.unwrap();
    client.write_all(b"\0ping").await.unwrap();
    client.flush().await.unwrap();
    read_until(&mut server, "ping").await;
    server.write_all(b"pong").await.unwrap();
    read_until(&mut client, "pong").await;
    client.shutdown().await.unwrap();
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    drop(server);
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
    for _ in 0..200 {
        if rig.book.events.lock().unwrap().len() == 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let events = rig.book.events.lock().unwrap().clone();
    assert_eq!(events[0], FlowEvent::Refused);
    assert!(
        matches!(events[1], FlowEvent::Connected { .. }),
        "{events:?}"
    );
    let ended = |event: &FlowEvent| {
        matches!(
            event,
            FlowEvent::Ended {
                to_endpoint: 5,
                to_client: 4,
                end: FlowEnd::Closed,
                ..
            }
        )
    };
    assert!(ended(&events[2]), "{events:?}");
}

#[tokio::test]
async fn tls_is_put_on_again_behind_a_proxy_header_where_the_target_speaks_it() {
    let acceptor = acceptor();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = HttpTarget {
        tls: true,
        ..plain(listener.local_addr().unwrap())
    };
    let tls = ListenerTls::stream(&[certificate("a.test")], TlsMinimum::Tls12, &[]);
    let rig = Rig::of(&[target], ListenerKind::Tls(tls.unwrap()), LIMITS);
    let mut client = secured(&rig, "a.test", &[], BOTH).await.unwrap();
    client.write_all(b"ping").await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut header = [0; 28];
    stream.read_exact(&mut header).await.unwrap();
    assert!(header.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x11"));
    let mut server = acceptor.accept(stream).await.unwrap();
    read_until(&mut server, "ping").await;
    server.write_all(b"pong").await.unwrap();
    server.flush().await.unwrap();
    read_until(&mut client, "pong").await;
}

#[tokio::test]
async fn who_came_without_tls_is_not_served_on_where_it_is_asked_for() {
    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let backend = Backend::usual().await;
    let rig = Rig::new(&[backend.address]);
    let mut client = rig.connect().await;
    client.write_all(GET).await.unwrap();
    read_until(&mut client, "hello").await;
    // The very address, so that it is opened anew where it was.
    let plain = ListenerKind::Http(Arc::new(HttpOptions::USUAL));
    let listener = |kind| BalanceListener {
        address: rig.address,
        kind,
    };
    assert!(rig.balancer.listen(&[listener(plain)]).is_empty());
    let mut client = rig.connect().await;
    client.write_all(GET).await.unwrap();
    read_until(&mut client, "hello").await;
    let tls = ListenerTls::https(&[certificate("a")], TlsMinimum::Tls12, false).unwrap();
    let secure = ListenerKind::Https(Arc::new(HttpOptions::USUAL), tls);
    assert!(rig.balancer.listen(&[listener(secure)]).is_empty());
    assert_eq!(read_to_end(&mut client).await, "");
    assert!(secured(&rig, "a", &[], rustls::ALL_VERSIONS).await.is_ok());
}
