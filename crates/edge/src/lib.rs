//! One edge: a site that sits in the council. It votes where the Regions need it to make a
//! majority and follows as a listener where they don't, so it holds the global configuration.
//!
//! It serves nothing yet, and says so: DNS answers (`routing`) and accelerator traffic
//! (`accelerator`) come with their issues, as does what is pushed to it in the lane `health`.

mod edge;

pub use edge::{Edge, EdgeConfig, EdgeStatus, OpenError, PeerStatus, Task};
