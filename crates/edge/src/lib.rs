//! One edge: a site that answers DNS and steers flows. It holds the global configuration on its
//! own disk through its seat in the council (it votes where the Regions need it to make a majority,
//! and follows as a listener where they don't), probes endpoints, and exchanges verdicts with the
//! other sites.
//!
//! It opens no socket: whoever runs it has packets answered and flows carried by its steering.

mod edge;

pub use edge::{Edge, EdgeConfig, EdgeStatus, OpenError, PeerStatus, Task};
