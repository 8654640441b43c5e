//! Much through a flow: by splicing, with readers that are slow, with no buffer to be had, and
//! many at a time.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use runtime::FlowLimits;

use crate::stand::{Stand, echoes, endpoint, target};

/// What is sent again and again: of a length that fits no buffer.
fn pattern() -> Vec<u8> {
    (0..65_521_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

fn send(mut stream: &TcpStream, total: usize) {
    let pattern = pattern();
    let mut left = total;
    while left > 0 {
        let count = left.min(pattern.len());
        stream.write_all(&pattern[..count]).unwrap();
        left -= count;
    }
    stream.shutdown(Shutdown::Write).unwrap();
}

/// Reads to the end, so many bytes at a time; `rest` is called between.
fn receive(mut stream: &TcpStream, at_a_time: usize, mut rest: impl FnMut(usize)) -> usize {
    let (pattern, mut buffer) = (pattern(), vec![0; at_a_time]);
    let mut total = 0;
    loop {
        let count = stream.read(&mut buffer).unwrap();
        if count == 0 {
            return total;
        }
        let mut read = &buffer[..count];
        while !read.is_empty() {
            let at = total % pattern.len();
            let common = read.len().min(pattern.len() - at);
            assert!(read[..common] == pattern[at..at + common], "at {total}");
            read = &read[common..];
            total += common;
        }
        rest(total);
    }
}

#[test]
fn a_hundred_mebibytes_come_through_whole_in_both_directions_at_once() {
    const TOTAL: usize = 100 * 1024 * 1024;
    let (address, thread) = endpoint(1, |stream| {
        std::thread::scope(|scope| {
            scope.spawn(|| send(&stream, TOTAL));
            assert_eq!(receive(&stream, 256 * 1024, |_| {}), TOTAL);
        });
    });
    let stand = Stand::usual(vec![target(address)]);
    let client = stand.connect();
    std::thread::scope(|scope| {
        scope.spawn(|| send(&client, TOTAL));
        assert_eq!(receive(&client, 256 * 1024, |_| {}), TOTAL);
    });
    thread.join().unwrap();
    let counts = stand.until(|counts| counts.ended == 1);
    let total = TOTAL as u64;
    assert_eq!((counts.to_endpoint, counts.to_client), (total, total));
}

#[test]
fn a_slow_reader_gets_all_of_it_whatever_holds_it_up() {
    const TOTAL: usize = 24 * 1024 * 1024;
    let limits = [
        FlowLimits::USUAL,
        // No pipe can be had, then no buffer either.
        FlowLimits {
            descriptors: 3,
            ..FlowLimits::USUAL
        },
        FlowLimits {
            buffers: 0,
            descriptors: 3,
            ..FlowLimits::USUAL
        },
    ];
    for limits in limits {
        let (address, thread) = endpoint(1, |stream| send(&stream, TOTAL));
        let stand = Stand::new(limits, 1, vec![target(address)]);
        let client = stand.connect();
        let mut rests = 0;
        let total = receive(&client, 48 * 1024, |total| {
            if total / (2 * 1024 * 1024) > rests {
                rests += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        assert_eq!(total, TOTAL);
        drop(client);
        thread.join().unwrap();
        let counts = stand.until(|counts| counts.ended == 1);
        assert_eq!(counts.to_client, TOTAL as u64);
    }
}

#[test]
fn many_flows_on_two_threads_do_not_mix() {
    let limits = FlowLimits {
        buffers: 3,
        ..FlowLimits::USUAL
    };
    let stand = Stand::new(limits, 2, vec![target(echoes())]);
    std::thread::scope(|scope| {
        for number in 0..24_usize {
            let stand = &stand;
            scope.spawn(move || {
                let client = stand.connect();
                let total = 300_000 + number * 10_007;
                std::thread::scope(|scope| {
                    scope.spawn(|| send(&client, total));
                    let received = receive(&client, 1000 + number * 997, |_| {});
                    assert_eq!(received, total);
                });
            });
        }
    });
    let counts = stand.until(|counts| counts.ended == 24);
    assert_eq!(
        (counts.connected, counts.to_client),
        (24, counts.to_endpoint)
    );
}
