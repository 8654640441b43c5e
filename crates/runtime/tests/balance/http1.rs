//! Requests of HTTP/1.x and their answers, one after another on a connection and one beside the
//! other.

use runtime::{Answer, End, Failure, HttpOptions, TargetVersion};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

use crate::rig::{Backend, LIMITS, Rig, plain, played, read_to_end, read_until, refusing};

const GET: &str = "GET /a?b=c HTTP/1.1\r\nHost: example.com\r\n\r\n";

#[tokio::test]
async fn requests_go_to_a_target_one_after_another_on_kept_connections() {
    let backend = Backend::usual().await;
    let rig = Rig::new(&[backend.address]);
    let mut client = rig.connect().await;
    for _ in 0..3 {
        client.write_all(GET.as_bytes()).await.unwrap();
        let answer = read_until(&mut client, "hello").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("Connection: keep-alive\r\n"), "{answer}");
    }
    assert_eq!(*backend.connections.lock().unwrap(), 1);
    let requests = backend.requests();
    assert_eq!(requests.len(), 3);
    let port = rig.address.port();
    assert!(
        requests[0].starts_with("GET /a?b=c HTTP/1.1\r\n"),
        "{}",
        requests[0]
    );
    for expected in [
        format!("Host: example.com:{port}\r\n"),
        "X-Forwarded-For: 127.0.0.1\r\n".to_owned(),
        "X-Forwarded-Proto: http\r\n".to_owned(),
        format!("X-Forwarded-Port: {port}\r\n"),
        "X-Amzn-Trace-Id: Root=1-".to_owned(),
    ] {
        assert!(requests[0].contains(&expected), "{}", requests[0]);
    }
    let outcome = &rig.outcomes(3).await[0];
    assert_eq!((outcome.status, outcome.target_status), (200, Some(200)));
    assert_eq!(
        (outcome.end, outcome.target),
        (End::Done, Some(backend.address))
    );
    assert_eq!(outcome.received, GET.len() as u64);
    assert!(outcome.sent > 5 && outcome.target_time.is_some());
    assert_eq!(rig.book.asked.lock().unwrap()[0], "GET example.com /a?b=c");
    let counts = rig.balancer.listeners()[0].counts;
    assert_eq!((counts.requests, counts.forwarded, counts.open), (3, 3, 1));
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_in_their_order() {
    let backend = Backend::usual().await;
    let rig = Rig::new(&[backend.address]);
    let last = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answers = rig.say(format!("{GET}\r\n{GET}{last}")).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    assert!(answers.contains("Connection: close\r\n"), "{answers}");
    let asked = rig.book.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[2], "GET a /last");
}

#[tokio::test]
async fn a_refused_or_silent_connect_is_offered_to_the_next_target() {
    let backend = Backend::usual().await;
    let refusing = [refusing(), refusing()];
    let [first, second] = refusing.each_ref().map(|one| one.address);
    let rig = Rig::new(&[first, second, backend.address]);
    let body = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
    let answer = rig.say(body).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(backend.requests()[0].ends_with("\r\n\r\nabc"));
    assert_eq!(*rig.book.failures.lock().unwrap(), [Failure::Refused; 2]);
    let outcomes = rig.outcomes(1).await;
    assert_eq!(outcomes[0].target, Some(backend.address));
    let alone = Rig::new(&[first]);
    let answer = alone
        .say(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 503 Service Temporarily Unavailable\r\n"),
        "{answer}"
    );
    assert!(answer.contains("Server: awselb/2.0\r\n"), "{answer}");
}

#[tokio::test]
async fn a_kept_connection_that_ended_costs_nobody_a_request() {
    let (address, listener) = played().await;
    let rig = Rig::new(&[address]);
    let mut client = rig.connect().await;
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    client.write_all(GET.as_bytes()).await.unwrap();
    let (mut target, _) = listener.accept().await.unwrap();
    read_until(&mut target, "\r\n\r\n").await;
    target.write_all(answer).await.unwrap();
    read_until(&mut client, "\r\n\r\nx").await;
    // It ends once the next request has reached it ...
    client.write_all(GET.as_bytes()).await.unwrap();
    read_until(&mut target, "\r\n\r\n").await;
    drop(target);
    let (mut target, _) = listener.accept().await.unwrap();
    read_until(&mut target, "\r\n\r\n").await;
    target.write_all(answer).await.unwrap();
    read_until(&mut client, "\r\n\r\nx").await;
    // ... and before that.
    drop(target);
    client.write_all(GET.as_bytes()).await.unwrap();
    let (mut target, _) = listener.accept().await.unwrap();
    read_until(&mut target, "\r\n\r\n").await;
    target.write_all(answer).await.unwrap();
    read_until(&mut client, "\r\n\r\nx").await;
    let outcomes = rig.outcomes(3).await;
    assert!(
        outcomes.iter().all(|outcome| outcome.status == 200),
        "{outcomes:?}"
    );
    assert!(rig.book.failures.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_cannot_be_repeated_is_not() {
    let (address, listener) = played().await;
    let rig = Rig::new(&[address]);
    let mut client = rig.connect().await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    client.write_all(post.as_bytes()).await.unwrap();
    let (mut target, _) = listener.accept().await.unwrap();
    read_until(&mut target, "\r\n\r\nx").await;
    target
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
        .await
        .unwrap();
    read_until(&mut client, "\r\n\r\nx").await;
    client.write_all(post.as_bytes()).await.unwrap();
    read_until(&mut target, "\r\n\r\nx").await;
    drop(target);
    let answer = read_until(&mut client, "</html>\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"),
        "{answer}"
    );
    let outcomes = rig.outcomes(2).await;
    assert_eq!(
        (outcomes[1].status, outcomes[1].end),
        (502, End::TargetBroke)
    );
}

#[tokio::test]
async fn targets_that_lie_are_answered_for() {
    for lie in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    ] {
        let backend = Backend::answering(lie).await;
        let rig = Rig::new(&[backend.address]);
        let answer = rig
            .say("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await;
        assert!(
            answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"),
            "{lie:?}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_silent_target_is_a_504_and_a_client_that_goes_a_460() {
    let (address, _listener) = played().await;
    let options = HttpOptions {
        idle: Duration::from_millis(300),
        ..HttpOptions::USUAL
    };
    let rig = Rig::with(&[address], options, LIMITS);
    let answer = rig.say(GET).await;
    assert!(
        answer.starts_with("HTTP/1.1 504 Gateway Time-out\r\n"),
        "{answer}"
    );
    assert_eq!(rig.outcomes(1).await[0].end, End::TargetSilent);
    let rig = Rig::new(&[address]);
    let mut client = rig.connect().await;
    client.write_all(GET.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(client);
    let outcomes = rig.outcomes(1).await;
    assert_eq!(
        (outcomes[0].status, outcomes[0].end),
        (460, End::ClientGone)
    );
}

#[tokio::test]
async fn silent_and_slow_clients_are_let_go() {
    let options = HttpOptions {
        idle: Duration::from_millis(200),
        ..HttpOptions::USUAL
    };
    let rig = Rig::with(&[], options, LIMITS);
    assert_eq!(rig.say("").await, "");
    let answer = rig.say("GET / HTTP/1.1\r\nHost:").await;
    assert!(
        answer.starts_with("HTTP/1.1 408 Request Time-out\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn answers_of_the_balancers_own() {
    let rig = Rig::new(&[]);
    *rig.book.answer.lock().unwrap() = Some(Answer {
        status: 301,
        content_type: None,
        location: Some("https://a/".to_owned()),
        body: bytes::Bytes::new(),
    });
    let mut client = rig.connect().await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    for _ in 0..2 {
        client.write_all(post.as_bytes()).await.unwrap();
        let answer = read_until(&mut client, "\r\n\r\n").await;
        assert!(
            answer.starts_with("HTTP/1.1 301 Moved Permanently\r\n"),
            "{answer}"
        );
        assert!(answer.contains("Location: https://a/\r\n"), "{answer}");
    }
    // The body that doesn't come ends the connection, with the answer before it.
    let waits = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
    let answer = rig.say(waits).await;
    assert!(answer.contains("Connection: close\r\n"), "{answer}");
    let head = "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    *rig.book.answer.lock().unwrap() = Some(Answer::of(404));
    assert!(rig.say(head).await.ends_with("\r\n\r\n"));
}

#[tokio::test]
async fn targets_of_http2_are_not_for_clients_of_http1() {
    let backend = Backend::usual().await;
    let rig = Rig::new(&[backend.address]);
    rig.book.targets.lock().unwrap()[0].version = TargetVersion::Http2;
    let answer = rig
        .say(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 464 \r\n"), "{answer}");
    *rig.book.targets.lock().unwrap() = vec![plain(backend.address)];
    let many = ["10.0.0.1"; 31].join(", ");
    let answer = rig
        .say(format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {many}\r\n\r\n"
        ))
        .await;
    assert!(answer.starts_with("HTTP/1.1 463 \r\n"), "{answer}");
}

#[tokio::test]
async fn old_clients_get_what_they_can_read() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let backend = Backend::answering(chunked).await;
    let rig = Rig::new(&[backend.address]);
    let answer = rig
        .say("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        .await;
    assert!(
        answer.ends_with("Connection: close\r\n\r\nhello"),
        "{answer}"
    );
    assert!(!answer.contains("chunked"), "{answer}");
    let backend = Backend::usual().await;
    let rig = Rig::new(&[backend.address]);
    let mut client = rig.connect().await;
    for _ in 0..2 {
        client
            .write_all(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            .await
            .unwrap();
        read_until(&mut client, "hello").await;
    }
}

#[tokio::test]
async fn a_websocket_becomes_a_tunnel() {
    let (address, listener) = played().await;
    let rig = Rig::new(&[address]);
    let mut client = rig.connect().await;
    let ask = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
               Sec-WebSocket-Key: x\r\n\r\nearly";
    client.write_all(ask.as_bytes()).await.unwrap();
    let (mut target, _) = listener.accept().await.unwrap();
    let asked = read_until(&mut target, "\r\n\r\n").await;
    assert!(
        asked.contains("Connection: upgrade\r\nUpgrade: websocket\r\n"),
        "{asked}"
    );
    assert!(asked.contains("Sec-WebSocket-Key: x\r\n"), "{asked}");
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst";
    target.write_all(switch).await.unwrap();
    let answer = read_until(&mut client, "first").await;
    assert!(
        answer.contains("Connection: upgrade\r\nUpgrade: websocket\r\n"),
        "{answer}"
    );
    assert_eq!(read_until(&mut target, "early").await, "early");
    client.write_all(b"\x81\x00ping").await.unwrap();
    read_until(&mut target, "ping").await;
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut target).await, "");
    target.write_all(b"bye").await.unwrap();
    drop(target);
    assert_eq!(read_to_end(&mut client).await, "bye");
    let outcomes = rig.outcomes(1).await;
    assert_eq!((outcomes[0].status, outcomes[0].end), (101, End::Tunnel));
}

#[tokio::test]
async fn what_is_added_to_answers_is_there() {
    let backend = Backend::usual().await;
    let rig = Rig::new(&[backend.address]);
    *rig.book.added.lock().unwrap() = vec![("Set-Cookie".to_owned(), "AWSALB=x".to_owned())];
    let answer = rig
        .say(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
        .await;
    assert!(answer.contains("Set-Cookie: AWSALB=x\r\n"), "{answer}");
}
