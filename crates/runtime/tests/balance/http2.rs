//! HTTP/2 to clients, by hyper's client, to targets of both versions; and what an HTTP/2 client
//! could smuggle into HTTP/1.1.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use runtime::{End, HttpOptions, HttpTarget, TargetVersion};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::rig::{Backend, Rig, plain, played, read_until, refusing};
use crate::secure::{BOTH, certificate, https, secured};

pub async fn connect(rig: &Rig) -> SendRequest<Full<Bytes>> {
    let stream = secured(rig, "a.test", &["h2", "http/1.1"], BOTH)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let made = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (sender, connection) = made.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    sender
}

pub fn get(path: &str) -> Request<Full<Bytes>> {
    let request = Request::get(format!("https://a.test{path}"));
    request.body(Full::new(Bytes::new())).unwrap()
}

pub async fn body(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

fn rig(targets: &[HttpTarget]) -> Rig {
    https(targets, HttpOptions::USUAL, &[certificate("a.test")])
}

#[tokio::test]
async fn requests_go_on_by_http1_with_what_a_balancer_adds() {
    let backend = Backend::usual().await;
    let refusing = refusing();
    let rig = rig(&[plain(refusing.address), plain(backend.address)]);
    *rig.book.added.lock().unwrap() = vec![("set-cookie".to_owned(), "AWSALB=x".to_owned())];
    let mut sender = connect(&rig).await;
    for _ in 0..3 {
        let mut request = get("/a?b=c");
        let headers = request.headers_mut();
        headers.append("cookie", "a=1".parse().unwrap());
        headers.append("cookie", "b=2".parse().unwrap());
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["set-cookie"], "AWSALB=x");
        assert_eq!(body(response).await, "hello");
    }
    let request = backend.requests()[0].to_ascii_lowercase();
    let port = rig.address.port();
    assert!(request.starts_with("get /a?b=c http/1.1\r\n"), "{request}");
    for expected in [
        format!("host: a.test:{port}\r\n"),
        "cookie: a=1; b=2\r\n".to_owned(),
        "x-forwarded-for: 127.0.0.1\r\n".to_owned(),
        "x-forwarded-proto: https\r\n".to_owned(),
        "x-amzn-trace-id: root=1-".to_owned(),
    ] {
        assert!(request.contains(&expected), "{expected} in {request}");
    }
    assert!(
        !request.contains("transfer-encoding") && !request.contains("content-length"),
        "{request}"
    );
    let outcomes = rig.outcomes(3).await;
    assert_eq!(
        (outcomes[0].status, outcomes[0].end, outcomes[0].sent),
        (200, End::Done, 5)
    );
    assert_eq!(rig.book.asked.lock().unwrap()[0], "GET a.test /a?b=c");
}

#[tokio::test]
async fn many_requests_at_a_time_have_bodies_of_their_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(echo(listener, false));
    let rig = rig(&[plain(address)]);
    let sender = connect(&rig).await;
    let mut tasks = Vec::new();
    for number in 0..40_u8 {
        let mut sender = sender.clone();
        tasks.push(tokio::spawn(async move {
            let sent = Bytes::from(vec![number; 100_000]);
            let request = Request::post("https://a.test/")
                .body(Full::new(sent.clone()))
                .unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(body(response).await, sent);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(
        rig.outcomes(40)
            .await
            .iter()
            .all(|outcome| outcome.end == End::Done)
    );
}

/// Answers every request with its own body, by HTTP/2 or HTTP/1.1, and trailers behind it.
pub async fn echo(listener: TcpListener, by_http2: bool) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = service_fn(move |request: Request<Incoming>| async move {
            let version = request.version();
            assert_eq!(
                version,
                if by_http2 {
                    Version::HTTP_2
                } else {
                    Version::HTTP_11
                }
            );
            let te = request.headers().get("te").cloned();
            let bytes = request.into_body().collect().await.unwrap().to_bytes();
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            let frames = [Frame::data(bytes), Frame::trailers(trailers)];
            let frames = futures_util::stream::iter(frames.map(Ok::<_, Infallible>));
            let mut response = Response::new(StreamBody::new(frames));
            if let Some(te) = te {
                response.headers_mut().insert("x-te", te);
            }
            Ok::<_, Infallible>(response)
        });
        tokio::spawn(async move {
            let stream = TokioIo::new(stream);
            if by_http2 {
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                builder.serve_connection(stream, service).await.ok();
            } else {
                let builder = hyper::server::conn::http1::Builder::new();
                builder.serve_connection(stream, service).await.ok();
            }
        });
    }
}

#[tokio::test]
async fn grpc_goes_to_targets_of_http2_with_its_trailers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = HttpTarget {
        address: listener.local_addr().unwrap(),
        tls: false,
        version: TargetVersion::Grpc,
    };
    tokio::spawn(echo(listener, true));
    let rig = rig(&[target]);
    let mut sender = connect(&rig).await;
    for _ in 0..2 {
        let mut request = Request::post("https://a.test/svc/m")
            .body(Full::new(Bytes::from("x")))
            .unwrap();
        request
            .headers_mut()
            .insert("te", "trailers".parse().unwrap());
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.headers()["x-te"], "trailers");
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(collected.to_bytes(), "x");
    }
    let response = sender.send_request(get("/")).await.unwrap();
    assert_eq!(response.status().as_u16(), 464);
}

#[tokio::test]
async fn what_has_no_answer_is_answered_for() {
    let (address, listener) = played().await;
    let options = HttpOptions {
        idle: Duration::from_millis(300),
        ..HttpOptions::USUAL
    };
    let rig = https(&[plain(address)], options, &[certificate("a.test")]);
    let mut sender = connect(&rig).await;
    let response = sender.send_request(get("/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    drop(listener);
    let refusing = refusing();
    *rig.book.targets.lock().unwrap() = vec![plain(refusing.address)];
    let response = sender.send_request(get("/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["server"], "awselb/2.0");
    let mut trace = get("/");
    *trace.method_mut() = Method::TRACE;
    let response = sender.send_request(trace).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    let outcomes = rig.outcomes(2).await;
    assert_eq!(
        (outcomes[0].status, outcomes[0].end),
        (504, End::TargetSilent)
    );
}

#[tokio::test]
async fn a_target_that_breaks_off_breaks_the_stream_and_no_other() {
    let (address, listener) = played().await;
    let rig = rig(&[plain(address)]);
    let mut sender = connect(&rig).await;
    let asking = sender.send_request(get("/"));
    let playing = async {
        let (mut target, _) = listener.accept().await.unwrap();
        read_until(&mut target, "\r\n\r\n").await;
        target
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            .await
            .unwrap();
    };
    let (response, ()) = tokio::join!(asking, playing);
    assert!(response.unwrap().into_body().collect().await.is_err());
    assert_eq!(rig.outcomes(1).await[0].end, End::TargetBroke);
    let asking = sender.send_request(get("/"));
    let playing = async {
        let (mut target, _) = listener.accept().await.unwrap();
        read_until(&mut target, "\r\n\r\n").await;
        target
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
            .await
            .unwrap();
        target
    };
    let (response, _target) = tokio::join!(asking, playing);
    assert_eq!(body(response.unwrap()).await, "x");
}

#[tokio::test]
async fn a_closed_listener_ends_its_connections_in_order() {
    let backend = Backend::usual().await;
    let rig = rig(&[plain(backend.address)]);
    let mut sender = connect(&rig).await;
    let response = sender.send_request(get("/")).await.unwrap();
    assert_eq!(body(response).await, "hello");
    rig.balancer.listen(&[]);
    for _ in 0..200 {
        if sender.is_closed() && rig.balancer.connections() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(sender.is_closed());
    assert_eq!(rig.balancer.connections(), 0);
}
