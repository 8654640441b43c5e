//! What two readers could take for two requests: no target ever sees it, and its connection ends.

use runtime::{DesyncMode, HttpOptions};

use crate::rig::{Backend, LIMITS, Rig};

/// Bytes of clients that must not reach a target, and the status that they are answered with.
const REFUSED: &[(&str, &str)] = &[
    (
        "both lengths",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    ),
    (
        "both, the other way",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG",
    ),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ),
    (
        "a length twice",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    ),
    (
        "a list of lengths",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na",
    ),
    (
        "a signed length",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
    ),
    (
        "a length too great",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\na",
    ),
    (
        "space before a colon",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "tab before a colon",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 1\r\n\r\na",
    ),
    (
        "a folded field",
        "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n",
    ),
    ("a folded first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    ("a bare line feed", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
    (
        "a bare line feed later",
        "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
    ),
    (
        "a bare line feed at the end",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
    ),
    (
        "a carriage return in a value",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n",
    ),
    (
        "a null in a value",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\0\r\n\r\n",
    ),
    (
        "a null in a name",
        "GET / HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n",
    ),
    ("an empty name", "GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n"),
    ("no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"),
    ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("no host", "GET / HTTP/1.1\r\nX: y\r\n\r\n"),
    ("a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ("a host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    (
        "two encodings",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "an unknown encoding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked not last",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    ),
    (
        "vertical tab after chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked in HTTP/1.0",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("no version", "GET /\r\nHost: a\r\n\r\n"),
    ("a version too new", "GET / HTTP/1.9\r\nHost: a\r\n\r\n"),
    ("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("a space too many", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (
        "a target with a tab",
        "GET /\ta HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    ("a target that is none", "GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a fragment", "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n"),
];

#[tokio::test]
async fn no_target_sees_what_two_readers_could_read_differently() {
    let backend = Backend::usual().await;
    for mode in [DesyncMode::Defensive, DesyncMode::Strictest] {
        let options = HttpOptions {
            desync: mode,
            ..HttpOptions::USUAL
        };
        let rig = Rig::with(&[backend.address], options, LIMITS);
        for (name, bytes) in REFUSED {
            let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
            let answer = rig.say(format!("{bytes}{smuggled}")).await;
            let status = answer.get(9..12).unwrap_or("");
            assert!(
                matches!(status, "400" | "405" | "501" | "505"),
                "{name}: {answer:?}"
            );
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{name}: {answer:?}");
        }
        assert_eq!(rig.book.refusals.lock().unwrap().len(), REFUSED.len());
        assert_eq!(rig.book.asked.lock().unwrap().len(), 0);
    }
    assert_eq!(backend.requests(), [""; 0]);
}

#[tokio::test]
async fn broken_chunks_end_both_connections() {
    for chunks in [
        "zz\r\n",
        "5\nhello\r\n",
        "5\r\nhelloX",
        "-1\r\n",
        "5 \r\nhello",
        "1\r\na\r\n0\r\nHost: b\r\n\r\n",
    ] {
        let backend = Backend::usual().await;
        let rig = Rig::new(&[backend.address]);
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = rig
            .say(format!("{head}{chunks}GET /smuggled HTTP/1.1\r\n\r\n"))
            .await;
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{chunks:?}: {answer}"
        );
        assert_eq!(backend.requests(), [""; 0], "{chunks:?}");
    }
}

#[tokio::test]
async fn ambiguous_requests_end_both_connections_after_them() {
    let backend = Backend::usual().await;
    let rig = Rig::new(&[backend.address]);
    let get = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    let answer = rig
        .say(format!("{get}GET /next HTTP/1.1\r\nHost: a\r\n\r\n"))
        .await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    assert!(answer.contains("Connection: close\r\n"), "{answer}");
    let answer = rig
        .say("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(*backend.connections.lock().unwrap(), 2);
    let options = HttpOptions {
        desync: DesyncMode::Monitor,
        ..HttpOptions::USUAL
    };
    let rig = Rig::with(&[backend.address], options, LIMITS);
    let both = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    let answer = rig
        .say(format!("{both}GET /smuggled HTTP/1.1\r\n\r\n"))
        .await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    let last = backend.requests().pop().unwrap();
    assert!(
        last.contains("Transfer-Encoding: chunked\r\n") && !last.contains("Content-Length"),
        "{last}"
    );
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused_before_they_end() {
    let rig = Rig::new(&[]);
    let long = "x".repeat(17 * 1024);
    let cases = [
        (format!("GET /{long}"), "414 Request-URI Too Large"),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}"),
            "400 Bad Request",
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\n{}",
                format!("X: {}\r\n", &long[..8000]).repeat(9)
            ),
            "400 Bad Request",
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "X:\r\n".repeat(300)),
            "400 Bad Request",
        ),
    ];
    for (bytes, expected) in cases {
        let answer = rig.say(&bytes).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {expected}\r\n")),
            "{expected}: {answer}"
        );
    }
}
