//! Listeners that are closed, targets' addresses that die, limits, and the end of it all.

use std::collections::BTreeSet;
use std::time::Duration;

use runtime::{BalanceListener, BalancerLimits, End, HttpOptions, ListenerKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::{Backend, LIMITS, Rig, played, read_to_end, read_until};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_closed_listener_lets_requests_end_and_idle_connections_go() {
    let (address, listener) = played().await;
    let rig = Rig::new(&[address]);
    let (mut busy, mut idle) = (rig.connect().await, rig.connect().await);
    busy.write_all(GET).await.unwrap();
    let (mut target, _) = listener.accept().await.unwrap();
    read_until(&mut target, "\r\n\r\n").await;
    assert!(rig.balancer.listen(&[]).is_empty());
    assert!(TcpStream::connect(rig.address).await.is_err());
    assert_eq!(read_to_end(&mut idle).await, "");
    target
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
        .await
        .unwrap();
    let answer = read_to_end(&mut busy).await;
    assert!(
        answer.contains("Connection: close\r\n") && answer.ends_with("\r\n\r\nx"),
        "{answer}"
    );
    // And who isn't done in time is ended.
    let rig = Rig::new(&[address]);
    let mut busy = rig.connect().await;
    busy.write_all(GET).await.unwrap();
    let (mut target, _) = listener.accept().await.unwrap();
    read_until(&mut target, "\r\n\r\n").await;
    rig.balancer.listen(&[]);
    assert_eq!(read_to_end(&mut busy).await, "");
    assert_eq!(rig.outcomes(1).await[0].end, End::Stopped);
}

#[tokio::test]
async fn an_address_that_dies_resets_what_came_to_it() {
    let (address, listener) = played().await;
    let rig = Rig::new(&[address]);
    let (mut busy, mut idle) = (rig.connect().await, rig.connect().await);
    busy.write_all(GET).await.unwrap();
    let (_target, _) = listener.accept().await.unwrap();
    rig.balancer.reset(&BTreeSet::from([rig.address.ip()]));
    for stream in [&mut busy, &mut idle] {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_u8()).await;
        let cause = read.unwrap().unwrap_err();
        assert_eq!(cause.kind(), std::io::ErrorKind::ConnectionReset);
    }
    assert!(TcpStream::connect(rig.address).await.is_err());
    for _ in 0..200 {
        if rig.balancer.connections() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} connections are left", rig.balancer.connections());
}

#[tokio::test]
async fn listeners_are_opened_kept_changed_and_opened_again() {
    let backend = Backend::usual().await;
    let rig = Rig::new(&[backend.address]);
    let mut client = rig.connect().await;
    client.write_all(GET).await.unwrap();
    read_until(&mut client, "hello").await;
    let listener = |preserve_host| BalanceListener {
        address: "127.0.0.1:0".parse().unwrap(),
        kind: ListenerKind::Http(std::sync::Arc::new(HttpOptions {
            preserve_host,
            ..HttpOptions::USUAL
        })),
    };
    assert!(rig.balancer.listen(&[listener(true)]).is_empty());
    assert_eq!(rig.balancer.listeners()[0].bound, rig.address);
    // The connection is still there, and its next request is treated anew.
    client.write_all(GET).await.unwrap();
    read_until(&mut client, "hello").await;
    client.write_all(GET).await.unwrap();
    read_until(&mut client, "hello").await;
    assert!(backend.requests()[2].contains("Host: a\r\n"));
    rig.balancer.listen(&[]);
    let again = BalanceListener {
        address: rig.address,
        ..listener(false)
    };
    assert!(rig.balancer.listen(std::slice::from_ref(&again)).is_empty());
    rig.connect().await;
    let other = Rig::new(&[]);
    let errors = other.balancer.listen(&[again]);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().contains("taken"), "{}", errors[0]);
}

#[tokio::test]
async fn a_connection_too_many_is_closed_and_costs_the_others_nothing() {
    let backend = Backend::usual().await;
    let limits = BalancerLimits {
        connections: 2,
        ..LIMITS
    };
    let rig = Rig::with(&[backend.address], HttpOptions::USUAL, limits);
    let (mut first, mut second) = (rig.connect().await, rig.connect().await);
    for client in [&mut first, &mut second] {
        client.write_all(GET).await.unwrap();
        read_until(client, "hello").await;
    }
    let mut third = rig.connect().await;
    assert_eq!(read_to_end(&mut third).await, "");
    first.write_all(GET).await.unwrap();
    read_until(&mut first, "hello").await;
    drop(second);
    for _ in 0..200 {
        if rig.balancer.connections() < 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut next = rig.connect().await;
    next.write_all(GET).await.unwrap();
    read_until(&mut next, "hello").await;
    assert_eq!(rig.balancer.listeners()[0].counts.turned_away, 1);
}

#[tokio::test]
async fn the_end_of_the_balancer_is_told_to_every_request() {
    let (address, listener) = played().await;
    let rig = Rig::new(&[address]);
    let mut busy = rig.connect().await;
    busy.write_all(GET).await.unwrap();
    let (_target, _) = listener.accept().await.unwrap();
    let Rig { balancer, book, .. } = rig;
    balancer.stop();
    let outcomes = book.outcomes.lock().unwrap().clone();
    assert_eq!(outcomes.len(), 1);
    assert_eq!(outcomes[0].end, End::Stopped);
    assert_eq!(read_to_end(&mut busy).await, "");
}

#[tokio::test]
async fn a_connection_is_not_used_for_longer_than_it_may() {
    let backend = Backend::usual().await;
    let options = HttpOptions {
        keep_alive: Duration::from_millis(300),
        ..HttpOptions::USUAL
    };
    let rig = Rig::with(&[backend.address], options, LIMITS);
    let mut client = rig.connect().await;
    client.write_all(GET).await.unwrap();
    read_until(&mut client, "hello").await;
    assert_eq!(read_to_end(&mut client).await, "");
}
