//! The machine's clocks and randomness as a site sees them: the wall clock can be set off for a
//! fault, the monotonic one can't. Beside them, randomness that is fit for keys.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use types::{Environment, Monotonic, Now, Sleep, Timestamp};

/// The clocks and the randomness of this process.
#[derive(Debug)]
pub struct SystemEnvironment {
    start: Instant,
    wall_offset_milliseconds: AtomicI64,
}

impl SystemEnvironment {
    /// Its monotonic clock starts now, at 1 s: a span may be subtracted from an early reading.
    pub fn new() -> SystemEnvironment {
        let start = Instant::now();
        SystemEnvironment {
            start: start.checked_sub(Duration::from_secs(1)).unwrap_or(start),
            wall_offset_milliseconds: AtomicI64::new(0),
        }
    }

    /// Sets the wall clock ahead (or, negative, behind) by so many milliseconds from now on;
    /// 0 is right again. Every call replaces the one before.
    pub fn set_wall_offset(&self, milliseconds: i64) {
        self.wall_offset_milliseconds
            .store(milliseconds, Ordering::Relaxed);
    }

    /// How far the wall clock is set off, in milliseconds.
    pub fn wall_offset(&self) -> i64 {
        self.wall_offset_milliseconds.load(Ordering::Relaxed)
    }

    fn wall(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let milliseconds = since_epoch.unwrap_or_default().as_millis();
        let milliseconds = u64::try_from(milliseconds).unwrap_or(u64::MAX);
        Timestamp(milliseconds.saturating_add_signed(self.wall_offset()))
    }

    fn monotonic(&self) -> Monotonic {
        let elapsed = self.start.elapsed().as_micros();
        Monotonic(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}

impl Default for SystemEnvironment {
    fn default() -> Self {
        SystemEnvironment::new()
    }
}

impl Environment for SystemEnvironment {
    fn now(&self) -> Now {
        Now {
            wall: self.wall(),
            monotonic: self.monotonic(),
        }
    }

    fn sleep_until(&self, at: Monotonic) -> Sleep {
        let deadline = self.start.checked_add(Duration::from_micros(at.0));
        Box::pin(async move {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                // Further away than the clock can count: it never comes.
                None => std::future::pending().await,
            }
        })
    }

    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        fill_random(&mut bytes);
        u64::from_ne_bytes(bytes)
    }
}

/// Fills `bytes` from the system's cryptographic generator: fit for keys (getrandom(2)).
pub fn fill_random(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        match rustix::rand::getrandom(&mut bytes[filled..], flags) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(cause) => panic!("Linux has getrandom since 3.17, yet it failed: {cause}"),
        }
    }
}

/// A variable of the process's environment; none if it is unset or no Unicode.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The names of the variables of the process's environment that begin so, but for those that are
/// no Unicode.
pub fn variables_named(prefix: &str) -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with(prefix)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Span;

    #[test]
    fn a_wall_offset_moves_the_wall_clock_and_nothing_else() {
        let environment = SystemEnvironment::new();
        let before = environment.now();
        environment.set_wall_offset(-90_000);
        let after = environment.now();
        assert!(after.wall.0 + 80_000 < before.wall.0);
        assert!(after.monotonic >= before.monotonic);
        environment.set_wall_offset(0);
        assert!(environment.now().wall >= before.wall);
    }

    #[tokio::test]
    async fn a_sleep_ends_when_the_monotonic_clock_says_so() {
        let environment = SystemEnvironment::new();
        let until = environment.now().monotonic + Span::milliseconds(20);
        environment.sleep_until(until).await;
        assert!(environment.now().monotonic >= until);
        environment.sleep_until(Monotonic(0)).await;
    }

    #[test]
    fn random_draws_differ() {
        let environment = SystemEnvironment::new();
        assert_ne!(environment.random(), environment.random());
    }
}
