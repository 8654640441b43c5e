//! Streams between two sites over real sockets and TLS: Unix sockets at both ends, the link in
//! between, and what becomes of streams when the link is cut, stuck, slow or replaced.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test opens sockets, reads clocks and waits"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{EU, End, Given, Pair, SERVICE, US, WAIT, pair_aged};
use link::{Cut, Lane, SEND_BUFFER, Shape};
use runtime::{StreamPort, StreamPortError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use types::{SiteId, Span};

/// Two ends that are connected, with an echoing server behind `echo`, one that takes nothing
/// behind `stuck`, and nothing behind `nobody`.
async fn pair() -> Pair {
    let pair = pair_aged(Span::seconds(600));
    pair.serve(US);
    pair.connected().await;
    pair
}

impl Pair {
    fn serve(&self, peer: SiteId) {
        let echo = UnixListener::bind(self.path("echo.sock")).unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = echo.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    tokio::io::copy(&mut from, &mut to).await.ok();
                });
            }
        });
        let stuck = UnixListener::bind(self.path("stuck.sock")).unwrap();
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = stuck.accept().await {
                held.push(stream);
            }
        });
        let targets = ["echo", "stuck", "nobody"];
        let targets = targets.map(|name| (name.to_owned(), self.path(&format!("{name}.sock"))));
        self.eu.streams.serve(Arc::new(Given {
            peer,
            targets: targets.into(),
        }));
    }

    fn listen(&self, target: &str) -> StreamPort {
        let directory = self.path(&format!("to-{target}"));
        self.us
            .streams
            .listen(EU, target, &directory, None)
            .unwrap()
    }
}

async fn connect(port: &StreamPort) -> UnixStream {
    UnixStream::connect(port.path()).await.unwrap()
}

/// What comes until the end, which is one way or another in time.
async fn rest(stream: &mut UnixStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(WAIT, stream.read_to_end(&mut rest)).await;
    // An end in disorder is an end.
    read.expect("in time").ok();
    rest
}

async fn echoed(stream: &mut UnixStream, said: &[u8]) -> bool {
    let exchange = async {
        stream.write_all(said).await.ok()?;
        let mut heard = vec![0; said.len()];
        stream.read_exact(&mut heard).await.ok()?;
        Some(heard == said)
    };
    let echoed = tokio::time::timeout(WAIT, exchange).await;
    echoed.expect("in time").unwrap_or(false)
}

#[tokio::test]
async fn bytes_cross_both_ways_to_their_end_and_are_metered_by_target() {
    let pair = pair().await;
    let port = pair.listen("echo");
    let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let (mut from, mut to) = connect(&port).await.into_split();
    let writing = async {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let mut heard = Vec::new();
    let reading = async { from.read_to_end(&mut heard).await.unwrap() };
    let both = async { tokio::join!(writing, reading) };
    tokio::time::timeout(WAIT, both).await.expect("in time");
    assert!(heard == sent);
    drop((from, to));
    let is_over = |end: &End| end.open() == 0;
    tokio::join!(pair.us.until(is_over), pair.eu.until(is_over));
    for end in [&pair.us, &pair.eu] {
        let counts: Vec<_> = end.streams.counts().into_values().collect();
        assert_eq!(
            (counts[0].opened + counts[0].offered, counts[0].resets),
            (1, 0)
        );
        let traffic = end.port.traffic();
        let mut rows = traffic
            .crossings
            .iter()
            .filter(|row| row.lane == Lane::Stream);
        let row = rows.next().unwrap();
        assert_eq!((row.resource.as_str(), row.service), ("echo", SERVICE));
        assert!(
            (3_000_000..3_100_000).contains(&row.payload_bytes),
            "{row:?}"
        );
        assert_eq!(rows.next(), None);
    }
}

#[tokio::test]
async fn a_peer_gets_what_the_directory_gives_that_very_peer_and_nothing_else() {
    let pair = pair().await;
    for target in ["other", "nobody"] {
        let port = pair.listen(target);
        let mut stream = connect(&port).await;
        assert_eq!(rest(&mut stream).await, b"", "{target}");
    }
    let allowed = pair.listen("echo");
    assert!(echoed(&mut connect(&allowed).await, b"mine").await);
    // The same target, given to another peer alone.
    pair.eu.streams.serve(Arc::new(Given {
        peer: SiteId(3),
        targets: BTreeMap::from([("echo".to_owned(), pair.path("echo.sock"))]),
    }));
    assert_eq!(rest(&mut connect(&allowed).await).await, b"");
    // A site that serves nothing refuses everything.
    let directory = pair.path("back");
    let back = pair
        .eu
        .streams
        .listen(US, "echo", &directory, None)
        .unwrap();
    assert_eq!(rest(&mut connect(&back).await).await, b"");
    let stranger = pair.us.streams.listen(SiteId(9), "echo", &directory, None);
    assert!(matches!(stranger, Err(StreamPortError::Peer(SiteId(9)))));
}

#[tokio::test]
async fn one_that_takes_nothing_holds_its_own_sender_alone() {
    let pair = pair().await;
    let (stuck, echo) = (pair.listen("stuck"), pair.listen("echo"));
    let mut held = connect(&stuck).await;
    let taken = AtomicUsize::new(0);
    let fill = async {
        let bytes = vec![7; 64 << 10];
        loop {
            let count = held.write(&bytes).await.unwrap();
            taken.fetch_add(count, Ordering::Relaxed);
        }
    };
    let filled = tokio::time::timeout(Duration::from_secs(2), fill).await;
    assert!(filled.is_err(), "its sender goes on");
    let taken = taken.load(Ordering::Relaxed);
    assert!(
        (SEND_BUFFER..4 << 20).contains(&taken),
        "{taken} bytes are held"
    );
    let mut moving = connect(&echo).await;
    let bytes = vec![9; 1 << 20];
    let sending = async {
        for _ in 0..8 {
            let (mut from, mut to) = moving.split();
            let mut heard = vec![0; bytes.len()];
            let both = async { tokio::join!(to.write_all(&bytes), from.read_exact(&mut heard)) };
            let (written, read) = tokio::time::timeout(WAIT, both).await.expect("in time");
            written.unwrap();
            read.unwrap();
            pair.us.send_change();
        }
    };
    sending.await;
    let arrived = |end: &End| end.changes.load(Ordering::Relaxed) == 8;
    pair.eu.until(arrived).await;
    assert_eq!(pair.us.open(), 2);
}

#[tokio::test]
async fn a_cut_that_resets_ends_streams_at_both_ends_and_a_heal_takes_new_ones() {
    let pair = pair().await;
    let port = pair.listen("echo");
    let mut stream = connect(&port).await;
    assert!(echoed(&mut stream, b"before").await);
    pair.us.shape(Shape::default().with_cut(Cut::Reset));
    assert_eq!(rest(&mut stream).await, b"");
    pair.eu.until(|end| end.open() == 0).await;
    let begun = Instant::now();
    assert_eq!(rest(&mut connect(&port).await).await, b"");
    assert!(begun.elapsed() < WAIT / 2, "refused at once");
    pair.us.shape(Shape::default());
    pair.connected().await;
    assert!(echoed(&mut connect(&port).await, b"after").await);
}

#[tokio::test]
async fn a_short_silence_is_waited_out_and_a_long_one_ends_the_stream() {
    let pair = pair().await;
    let port = pair.listen("echo");
    let mut stream = connect(&port).await;
    assert!(echoed(&mut stream, b"before").await);
    pair.us.shape(Shape::default().with_cut(Cut::Blackhole));
    stream.write_all(b"held").await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    pair.us.shape(Shape::default());
    let mut heard = [0; 4];
    let read = tokio::time::timeout(WAIT, stream.read_exact(&mut heard)).await;
    read.expect("in time").unwrap();
    assert_eq!(&heard, b"held");
    pair.us.shape(Shape::default().with_cut(Cut::Blackhole));
    let begun = Instant::now();
    assert_eq!(rest(&mut stream).await, b"");
    let lasted = begun.elapsed();
    assert!(
        lasted > Duration::from_secs(2) && lasted < WAIT,
        "{lasted:?}"
    );
    pair.us.shape(Shape::default());
    pair.connected().await;
    assert!(echoed(&mut connect(&port).await, b"after").await);
}

#[tokio::test]
async fn a_stream_outlives_connections_that_are_replaced_by_age() {
    let pair = pair_aged(Span::milliseconds(150));
    pair.serve(US);
    pair.connected().await;
    let first = pair.us.port.connections();
    let port = pair.listen("echo");
    let mut stream = connect(&port).await;
    for number in 0..100u32 {
        assert!(echoed(&mut stream, &number.to_be_bytes()).await, "{number}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let last = pair.us.port.connections();
    assert!(
        last.iter().all(|id| !first.contains(id)),
        "{first:?} {last:?}"
    );
}

#[tokio::test]
async fn a_stream_takes_the_links_delay_and_fills_it() {
    let pair = pair().await;
    let delayed = |milliseconds| {
        let shape = Shape::delayed(Span::milliseconds(milliseconds));
        pair.us.shape(shape);
        pair.eu.shape(shape);
    };
    delayed(1000);
    let port = pair.listen("echo");
    let mut stream = connect(&port).await;
    let begun = Instant::now();
    assert!(echoed(&mut stream, b"first").await);
    let first = begun.elapsed();
    // Its opening costs no round trip of its own: with one it would take 4 s.
    assert!(first >= Duration::from_secs(2), "{first:?}");
    assert!(first < Duration::from_secs(4), "{first:?}");
    // With the first window alone it would take 128 round trips: 38 s.
    delayed(150);
    let begun = Instant::now();
    let bytes = vec![9; 32 << 20];
    let (mut from, mut to) = stream.split();
    let mut heard = vec![0; bytes.len()];
    let both = async { tokio::join!(to.write_all(&bytes), from.read_exact(&mut heard)) };
    let (written, read) = tokio::time::timeout(WAIT, both).await.expect("in time");
    written.unwrap();
    read.unwrap();
    println!("32 MiB there and back over 300 ms: {:?}", begun.elapsed());
    assert!(
        begun.elapsed() < Duration::from_secs(38),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_socket_is_its_owners_alone_and_gone_with_its_port() {
    let pair = pair().await;
    let directory = pair.path("to-echo");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    let listen_there = || pair.us.streams.listen(EU, "echo", &directory, None);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let socket = directory.join(".s.PGSQL.5432");
    // What an earlier run left.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let port = listen_there().unwrap();
    assert_eq!((port.directory(), port.path()), (&*directory, &*socket));
    assert_eq!((mode(&directory), mode(&socket)), (0o700, 0o600));
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
    let mut stream = connect(&port).await;
    assert!(echoed(&mut stream, b"there").await);
    drop(port);
    assert!(!directory.exists());
    assert_eq!(rest(&mut stream).await, b"", "its connections end with it");
    pair.eu.until(|end| end.open() == 0).await;
    // What is no socket isn't taken away.
    fs::create_dir(&directory).unwrap();
    fs::write(&socket, b"precious").unwrap();
    assert!(matches!(listen_there(), Err(StreamPortError::Taken(path)) if path == socket));
    assert_eq!(fs::read(&socket).unwrap(), b"precious");
    let long = pair.path(&"x".repeat(120));
    let too_long = pair.us.streams.listen(EU, "echo", &long, None);
    assert!(matches!(too_long, Err(StreamPortError::Path(_))));
    let nothing = pair.us.streams.listen(EU, "", &pair.path("nothing"), None);
    assert!(matches!(nothing, Err(StreamPortError::Target)));
}

#[tokio::test]
async fn what_a_peer_gets_no_more_ends_when_the_directory_is_asked_again() {
    let pair = pair().await;
    let (kept, taken) = (pair.listen("echo"), pair.listen("stuck"));
    let mut echo = connect(&kept).await;
    assert!(echoed(&mut echo, b"before").await);
    let mut stuck = connect(&taken).await;
    stuck.write_all(b"before").await.unwrap();
    pair.eu.until(|end| end.open() == 2).await;
    let targets = BTreeMap::from([("echo".to_owned(), pair.path("echo.sock"))]);
    pair.eu.streams.serve(Arc::new(Given { peer: US, targets }));
    assert!(echoed(&mut echo, b"still").await);
    pair.eu.streams.ask_again();
    assert_eq!(rest(&mut stuck).await, b"", "it is taken away");
    pair.eu.until(|end| end.open() == 1).await;
    assert!(echoed(&mut echo, b"and on").await, "it is given still");
}

#[tokio::test]
async fn connections_that_come_and_go_leave_nothing() {
    let pair = pair().await;
    let port = pair.listen("echo");
    for round in 0..40 {
        let mut streams = Vec::new();
        for _ in 0..10 {
            streams.push(connect(&port).await);
        }
        for (number, stream) in streams.iter_mut().enumerate() {
            // Some leave in the midst of it.
            match (number + round) % 3 {
                0 => {}
                1 => stream.write_all(&[7; 10_000]).await.unwrap(),
                _ => assert!(echoed(stream, b"whole").await),
            }
        }
    }
    let is_over = |end: &End| end.open() == 0;
    tokio::join!(pair.us.until(is_over), pair.eu.until(is_over));
    assert!(echoed(&mut connect(&port).await, b"still").await);
}

/// Figures, and bounds wide enough for a busy machine and unoptimised code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throughput_and_latency_over_an_unshaped_link() {
    let pair = pair().await;
    let port = pair.listen("echo");
    let mut stream = connect(&port).await;
    let mut direct = UnixStream::connect(pair.path("echo.sock")).await.unwrap();
    let mut figures = Vec::new();
    for stream in [&mut direct, &mut stream] {
        let mut taken = Vec::new();
        for _ in 0..500 {
            let begun = Instant::now();
            assert!(echoed(stream, &[7; 100]).await);
            taken.push(begun.elapsed());
        }
        taken.sort();
        figures.push((taken[250], taken[495]));
    }
    println!(
        "100 bytes there and back, median and p99: direct {:?}",
        figures[0]
    );
    println!(
        "100 bytes there and back, median and p99: link {:?}",
        figures[1]
    );
    const MUCH: usize = 64 << 20;
    let begun = Instant::now();
    let (mut from, mut to) = stream.split();
    let writing = async {
        let bytes = vec![9; 256 << 10];
        for _ in 0..MUCH / bytes.len() {
            to.write_all(&bytes).await.unwrap();
        }
    };
    let reading = async {
        let mut bytes = vec![0; 256 << 10];
        let mut heard = 0;
        while heard < MUCH {
            heard += from.read(&mut bytes).await.unwrap();
        }
    };
    let both = async { tokio::join!(writing, reading) };
    tokio::time::timeout(3 * WAIT, both).await.expect("in time");
    let rate = MUCH as f64 / begun.elapsed().as_secs_f64() / 1e6;
    println!("there and back at once: {rate:.0} MB/s each way");
}
