//! How a core learns the time, waits and draws randomness without doing so itself: `runtime`
//! gives it the machine's clocks, `world` gives it virtual ones.

use std::future::Future;
use std::pin::Pin;

use crate::{Monotonic, Now};

/// A wait that ends at a set time.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The clocks and the randomness of the place a site runs in.
pub trait Environment: Send + Sync + 'static {
    /// Both clocks, now.
    fn now(&self) -> Now;

    /// Ends when the monotonic clock reaches `at`; at once when it has.
    fn sleep_until(&self, at: Monotonic) -> Sleep;

    /// 64 random bits. A machine's are from its cryptographic generator and fit for keys; a
    /// simulation's follow from its seed.
    fn random(&self) -> u64;
}
