//! Requests of HTTP/2 that last: clients that take nothing, uploads that go on for longer than
//! anything may be silent, more requests than a target's connection carries, and connections to
//! targets that have ended meanwhile.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use runtime::{End, HttpOptions, HttpTarget, TargetVersion};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::Barrier;

use crate::http2::{body, connect, echo, get};
use crate::rig::{Backend, Rig, WAIT, plain, played, read_until};
use crate::secure::{BOTH, certificate, https, secured};

fn impatient(targets: &[HttpTarget], idle: u64) -> Rig {
    let options = HttpOptions {
        idle: Duration::from_millis(idle),
        ..HttpOptions::USUAL
    };
    https(targets, options, &[certificate("a.test")])
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_let_go() {
    let backend = Backend::usual().await;
    let rig = impatient(&[plain(backend.address)], 300);
    let stream = secured(&rig, "a.test", &["h2"], BOTH).await.unwrap();
    let made = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await;
    let (mut sender, connection) = made.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let first = sender.send_request(get("/")).await.unwrap();
    // Its connection ends for the first; this one is not done either.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let second = sender.send_request(get("/")).await.unwrap();
    let outcomes = rig.outcomes(2).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.end == End::ClientSilent),
        "{outcomes:?}"
    );
    for _ in 0..200 {
        if rig.balancer.connections() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(rig.balancer.connections(), 0);
    drop((first, second));
}

/// A target of HTTP/1.1, and one of HTTP/2, that answer with what they were sent.
async fn echoing(version: TargetVersion) -> HttpTarget {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(echo(listener, version != TargetVersion::Http1));
    HttpTarget {
        address,
        tls: false,
        version,
    }
}

#[tokio::test]
async fn an_upload_may_last_as_long_as_it_moves() {
    for version in [TargetVersion::Http1, TargetVersion::Http2] {
        let rig = impatient(&[echoing(version).await], 900);
        let stream = secured(&rig, "a.test", &["h2"], BOTH).await.unwrap();
        let made = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (mut sender, connection) = made.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        let chunks = futures_util::stream::unfold(0, |sent| async move {
            if sent == 10 {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            let frame = Frame::data(Bytes::from("x"));
            Some((Ok::<_, Infallible>(frame), sent + 1))
        });
        let request = Request::post("https://a.test/").body(StreamBody::new(Box::pin(chunks)));
        let response = sender.send_request(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{version:?}");
        assert_eq!(body(response).await, "xxxxxxxxxx", "{version:?}");
    }
}

#[tokio::test]
async fn requests_beyond_what_a_connection_carries_get_another() {
    const TOGETHER: usize = 110;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = HttpTarget {
        address: listener.local_addr().unwrap(),
        tls: false,
        version: TargetVersion::Http2,
    };
    let connections = Arc::new(AtomicUsize::new(0));
    let (barrier, counted) = (Arc::new(Barrier::new(TOGETHER)), Arc::clone(&connections));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let barrier = Arc::clone(&barrier);
            let service = service_fn(move |request: Request<Incoming>| {
                let barrier = Arc::clone(&barrier);
                async move {
                    if request.uri().path() == "/together" {
                        barrier.wait().await;
                    }
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("x"))))
                }
            });
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder.max_concurrent_streams(100);
            let serving = builder.serve_connection(TokioIo::new(stream), service);
            tokio::spawn(async move { drop(serving.await) });
        }
    });
    let rig = impatient(&[target], 5000);
    let mut sender = connect(&rig).await;
    // The connection that the others find.
    let response = sender.send_request(get("/")).await.unwrap();
    assert_eq!(body(response).await, "x");
    let mut tasks = Vec::new();
    for _ in 0..TOGETHER {
        let mut sender = sender.clone();
        tasks.push(tokio::spawn(async move {
            let response = sender.send_request(get("/together")).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
        }));
    }
    for task in tasks {
        tokio::time::timeout(WAIT, task).await.unwrap().unwrap();
    }
    let connections = connections.load(Ordering::Relaxed);
    assert!((2..=11).contains(&connections), "{connections}");
}

#[tokio::test]
async fn a_request_under_which_a_kept_connection_ends_is_sent_again() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    let (address, listener) = played().await;
    let rig = impatient(&[plain(address)], 10_000);
    let mut sender = connect(&rig).await;
    let playing = async {
        let (mut target, _) = listener.accept().await.unwrap();
        read_until(&mut target, "\r\n\r\n").await;
        target.write_all(ANSWER).await.unwrap();
        read_until(&mut target, "\r\n\r\n").await;
        drop(target);
        let (mut target, _) = listener.accept().await.unwrap();
        read_until(&mut target, "\r\n\r\n").await;
        target.write_all(ANSWER).await.unwrap();
        // One that can't be repeated: it may have been done.
        read_until(&mut target, "\r\n\r\n").await;
    };
    let asking = async {
        for _ in 0..2 {
            let response = sender.send_request(get("/")).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(body(response).await, "x");
        }
        let request = Request::post("https://a.test/").body(Full::new(Bytes::new()));
        let response = sender.send_request(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    };
    tokio::time::timeout(WAIT, async { tokio::join!(playing, asking) })
        .await
        .unwrap();
}
