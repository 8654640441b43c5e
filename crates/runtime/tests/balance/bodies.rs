//! Bodies either way: long, chunked, with trailers, broken off, refused half-way, waited for.

use runtime::End;
use tokio::io::AsyncWriteExt;

use crate::rig::{Backend, Rig, played, read_to_end, read_until};

#[tokio::test]
async fn chunks_and_trailers_pass_either_way() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                  5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
    let (address, listener) = played().await;
    let rig = Rig::new(&[address]);
    let mut client = rig.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab";
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut target, _) = listener.accept().await.unwrap();
    let asked = read_until(&mut target, "\r\n\r\n").await;
    assert!(asked.contains("Transfer-Encoding: chunked\r\n"), "{asked}");
    read_until(&mut target, "3\r\nab").await;
    client
        .write_all(b"c\r\n0\r\nX-Mine: 2\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut target, "c\r\n0\r\nX-Mine: 2\r\n\r\n").await;
    target.write_all(answer.as_bytes()).await.unwrap();
    let got = read_until(&mut client, "0\r\nX-Sum: 1\r\n\r\n").await;
    assert!(got.contains("5\r\nhello\r\n"), "{got}");
    assert!(got.contains("Trailer: X-Sum\r\n"), "{got}");
    // Both connections go on.
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut target, "\r\n\r\n").await;
    target
        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        .await
        .unwrap();
    let got = read_until(&mut client, "\r\n\r\n").await;
    assert!(got.starts_with("HTTP/1.1 204 No Content\r\n"), "{got}");
}

#[tokio::test]
async fn long_bodies_pass_whole_while_neither_side_waits_for_the_other() {
    const LENGTH: usize = 3_000_000;
    let (address, listener) = played().await;
    let rig = Rig::new(&[address]);
    let client = rig.connect().await;
    let (mut from, mut to) = client.into_split();
    let sending = tokio::spawn(async move {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n");
        to.write_all(head.as_bytes()).await.unwrap();
        for number in 0..LENGTH / 1000 {
            to.write_all(&[number as u8; 1000]).await.unwrap();
        }
        to
    });
    let (mut target, _) = listener.accept().await.unwrap();
    read_until(&mut target, "\r\n\r\n").await;
    // It answers what it reads, as it reads it.
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
    target.write_all(head.as_bytes()).await.unwrap();
    let echo = tokio::spawn(async move {
        let (mut from, mut to) = target.split();
        tokio::io::copy(&mut from, &mut to).await.ok();
    });
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 65536];
    loop {
        let count = tokio::io::AsyncReadExt::read(&mut from, &mut chunk)
            .await
            .unwrap();
        bytes.extend_from_slice(&chunk[..count]);
        let Some(end) = bytes
            .windows(4)
            .take(1000)
            .position(|four| four == b"\r\n\r\n")
        else {
            continue;
        };
        assert!(count > 0, "only {} bytes came", bytes.len());
        if bytes.len() - end - 4 == LENGTH {
            let body = &bytes[end + 4..];
            assert!(
                body.iter()
                    .enumerate()
                    .all(|(at, byte)| *byte == (at / 1000) as u8)
            );
            break;
        }
    }
    drop((from, sending.await.unwrap()));
    let outcome = &rig.outcomes(1).await[0];
    assert_eq!(outcome.end, End::Done);
    assert!(outcome.received > LENGTH as u64 && outcome.sent > LENGTH as u64);
    drop(rig);
    echo.await.unwrap();
}

#[tokio::test]
async fn who_waits_to_continue_hears_the_target_say_so() {
    let (address, listener) = played().await;
    let rig = Rig::new(&[address]);
    let mut client = rig.connect().await;
    let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut target, _) = listener.accept().await.unwrap();
    let asked = read_until(&mut target, "\r\n\r\n").await;
    assert!(asked.contains("Expect: 100-continue\r\n"), "{asked}");
    target
        .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(
        read_until(&mut client, "\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    client.write_all(b"abc").await.unwrap();
    read_until(&mut target, "abc").await;
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    target.write_all(hints.as_bytes()).await.unwrap();
    let got = read_until(&mut client, "keep-alive\r\n\r\n").await;
    assert!(
        got.starts_with("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK"),
        "{got}"
    );
    // And who is refused instead sends nothing.
    let mut client = rig.connect().await;
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut target, _) = listener.accept().await.unwrap();
    read_until(&mut target, "\r\n\r\n").await;
    target
        .write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    let got = read_to_end(&mut client).await;
    assert!(got.starts_with("HTTP/1.1 413 Too Large\r\n"), "{got}");
    assert!(got.contains("Connection: close\r\n"), "{got}");
}

#[tokio::test]
async fn an_answer_before_the_bodys_end_reaches_its_client() {
    let (address, listener) = played().await;
    let rig = Rig::new(&[address]);
    let mut client = rig.connect().await;
    let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut target, _) = listener.accept().await.unwrap();
    read_until(&mut target, "\r\n\r\n").await;
    target
        .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        .await
        .unwrap();
    drop(target);
    client.write_all(&[b'x'; 10_000]).await.ok();
    let got = read_until(&mut client, "\r\n\r\nno").await;
    assert!(got.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{got}");
    assert!(got.contains("Connection: close\r\n"), "{got}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    ] {
        let (address, listener) = played().await;
        let rig = Rig::new(&[address]);
        let mut client = rig.connect().await;
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let (mut target, _) = listener.accept().await.unwrap();
        read_until(&mut target, "\r\n\r\n").await;
        target.write_all(answer.as_bytes()).await.unwrap();
        drop(target);
        let got = read_to_end(&mut client).await;
        assert!(
            !got.contains("0\r\n\r\n") || got.contains("Content-Length: 10"),
            "{got}"
        );
        let outcome = &rig.outcomes(1).await[0];
        assert!(matches!(outcome.status, 200 | 502), "{outcome:?}");
        assert_eq!(outcome.end, End::TargetBroke, "{got}");
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_ends_with_its_connection() {
    let (address, listener) = played().await;
    let rig = Rig::new(&[address]);
    let mut client = rig.connect().await;
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let (mut target, _) = listener.accept().await.unwrap();
    read_until(&mut target, "\r\n\r\n").await;
    target
        .write_all(b"HTTP/1.1 200 OK\r\n\r\nhello")
        .await
        .unwrap();
    drop(target);
    let got = read_to_end(&mut client).await;
    assert!(got.ends_with("Connection: close\r\n\r\nhello"), "{got}");
    assert_eq!(rig.outcomes(1).await[0].end, End::Done);
}

#[tokio::test]
async fn answers_without_bodies_have_none_whatever_their_length_says() {
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n";
    let backend = Backend::answering(long).await;
    let rig = Rig::new(&[backend.address]);
    let mut client = rig.connect().await;
    for _ in 0..2 {
        client
            .write_all(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        let got = read_until(&mut client, "\r\n\r\n").await;
        assert!(got.contains("Content-Length: 50\r\n"), "{got}");
    }
    assert_eq!(*backend.connections.lock().unwrap(), 1);
}
