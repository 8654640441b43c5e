//! The load: one thread a connection, each with one operation under way at any time. Closed (the
//! next begins when the last ended) or paced (each has its moment; one that starts late is
//! counted from that moment, so that a stall isn't hidden by what it held up).

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::client::{Client, expect_ok};
use crate::connection::Connection;
use crate::statistics::percentile;

/// A worker: what it does once each time it is called.
pub type Worker<'a> = Box<dyn FnMut() -> Result<()> + Send + 'a>;

/// How long to measure, and how fast.
#[derive(Clone, Copy)]
pub struct Window {
    /// Load before the measuring begins.
    pub warm_up: Duration,
    /// How long it is measured.
    pub measured: Duration,
    /// Operations a second, all workers together; as many as there can be if `None`.
    pub pace: Option<f64>,
}

/// What a window yielded.
#[derive(Clone)]
pub struct Measured {
    /// How long it was in truth, in seconds.
    pub seconds: f64,
    /// How long each operation took that ended in it, in microseconds, sorted.
    pub latencies: Vec<u32>,
    /// The processor time that the servers used in it, in seconds.
    pub processor: f64,
}

impl Window {
    /// As fast as can be for so many seconds.
    pub fn closed(seconds: u64) -> Window {
        Window {
            warm_up: Duration::from_millis(700),
            measured: Duration::from_secs(seconds),
            pace: None,
        }
    }

    /// At a pace for so many seconds.
    pub fn paced(seconds: u64, pace: f64) -> Window {
        Window {
            pace: Some(pace),
            ..Window::closed(seconds)
        }
    }
}

impl Measured {
    /// Operations a second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.seconds
    }

    /// Milliseconds that a share (0 to 1) of the operations didn't exceed.
    pub fn milliseconds(&self, share: f64) -> f64 {
        percentile(&self.latencies, share) / 1000.0
    }

    /// Processor time of the servers per operation, in microseconds.
    pub fn processor_per_operation(&self) -> f64 {
        1e6 * self.processor / self.latencies.len().max(1) as f64
    }
}

/// Lets the workers run; `processor` reads the processor seconds that the servers have used.
pub fn drive(
    workers: Vec<Worker<'_>>,
    window: Window,
    processor: &dyn Fn() -> Result<f64>,
) -> Result<Measured> {
    let start = Instant::now() + Duration::from_millis(20);
    let measure_from = start + window.warm_up;
    let end = measure_from + window.measured;
    let failed = AtomicBool::new(false);
    let count = workers.len();
    let interval = window.pace.map(|pace| count as f64 / pace);
    std::thread::scope(|scope| {
        let mut threads = Vec::with_capacity(count);
        for (index, mut worker) in workers.into_iter().enumerate() {
            // Spread over the interval, so that they don't fire all at once.
            let schedule = interval.map(|interval| {
                let first = interval * index as f64 / count as f64;
                (start + Duration::from_secs_f64(first), interval)
            });
            let failed = &failed;
            threads.push(scope.spawn(move || {
                let outcome = work(&mut worker, start, schedule, measure_from, end, failed);
                if outcome.is_err() {
                    failed.store(true, Ordering::Relaxed);
                }
                outcome
            }));
        }
        sleep_until(measure_from);
        let (before, began) = (processor(), Instant::now());
        sleep_until(end);
        let (after, ended) = (processor(), Instant::now());
        let mut latencies = Vec::new();
        for thread in threads {
            latencies.extend(thread.join().expect("a worker returns its errors")?);
        }
        latencies.sort_unstable();
        Ok(Measured {
            seconds: (ended - began).as_secs_f64(),
            latencies,
            processor: after? - before?,
        })
    })
}

/// One worker until the end; the latencies of what ended within the measured time.
fn work(
    worker: &mut Worker<'_>,
    start: Instant,
    schedule: Option<(Instant, f64)>,
    measure_from: Instant,
    end: Instant,
    failed: &AtomicBool,
) -> Result<Vec<u32>> {
    let mut latencies = Vec::with_capacity(1 << 12);
    let mut turn = 0.0;
    sleep_until(start);
    loop {
        let begin = match schedule {
            None => Instant::now(),
            Some((first, interval)) => {
                let due = first + Duration::from_secs_f64(interval * turn);
                turn += 1.0;
                sleep_until(due.min(end));
                due
            }
        };
        if begin >= end || failed.load(Ordering::Relaxed) {
            return Ok(latencies);
        }
        worker()?;
        let done = Instant::now();
        if done >= measure_from && done < end {
            let microseconds = (done - begin).as_micros();
            latencies.push(u32::try_from(microseconds).unwrap_or(u32::MAX));
        }
    }
}

/// Sleeps until a moment; returns at once if it is past.
pub fn sleep_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

/// Workers that each send their own signed requests in turn, over a connection of their own, and
/// begin again when they have sent all.
pub fn senders<'a>(client: &Client, requests: &'a [Vec<Vec<u8>>]) -> Vec<Worker<'a>> {
    requests
        .iter()
        .map(|requests| {
            let mut connection = Connection::new(client.address);
            let mut turns = requests.iter().cycle();
            Box::new(move || {
                let request = turns.next().expect("a cycle of at least one");
                expect_ok(connection.exchange(request)?).map(|_| ())
            }) as Worker<'a>
        })
        .collect()
}

/// Makes requests for each of `connections`, `each` of them, on all cores: `body` is given the
/// connection's number and the request's.
pub fn prepare(
    client: &Client,
    operation: &str,
    connections: usize,
    each: usize,
    body: &(dyn Fn(usize, usize) -> Vec<u8> + Sync),
) -> Result<Vec<Vec<Vec<u8>>>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|connection| {
                scope.spawn(move || {
                    (0..each)
                        .map(|index| client.request(operation, &body(connection, index)))
                        .collect::<Result<Vec<_>>>()
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|requests| requests.expect("signing returns its errors"))
            .collect()
    })
}

/// Sends all these requests once, each connection its own.
pub fn send_all(client: &Client, requests: &[Vec<Vec<u8>>]) -> Result<()> {
    let barrier = Barrier::new(requests.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = requests
            .iter()
            .map(|requests| {
                let barrier = &barrier;
                scope.spawn(move || -> Result<()> {
                    let mut connection = Connection::new(client.address);
                    barrier.wait();
                    for request in requests {
                        expect_ok(connection.exchange(request)?)?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("sending returns its errors"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(pace: Option<f64>) -> Window {
        Window {
            warm_up: Duration::from_millis(20),
            measured: Duration::from_millis(200),
            pace,
        }
    }

    #[test]
    fn a_failing_worker_ends_the_window_with_its_error() {
        let workers: Vec<Worker<'_>> = vec![
            Box::new(|| {
                std::thread::sleep(Duration::from_millis(1));
                Ok(())
            }),
            Box::new(|| anyhow::bail!("refused")),
        ];
        let outcome = drive(workers, window(None), &|| Ok(0.0));
        assert!(outcome.is_err_and(|error| error.to_string() == "refused"));
    }

    #[test]
    fn a_stall_counts_for_every_operation_that_it_held_up() {
        let mut calls = 0;
        let workers: Vec<Worker<'_>> = vec![Box::new(move || {
            calls += 1;
            if calls == 10 {
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        })];
        let measured = drive(workers, window(Some(1000.0)), &|| Ok(0.0)).unwrap();
        let late = measured
            .latencies
            .iter()
            .filter(|latency| **latency > 10_000);
        assert!(late.count() >= 50, "{:?}", measured.latencies);
    }
}
