//! Copies of snapshots, here and from other sites: the one that has a snapshot offers it at a Unix
//! socket, to which the link's streams lead; the other fetches it, piece by piece, each with its
//! digest, and goes on after a cut from what it has. Who may have what is decided elsewhere.

mod fetch;
mod journal;
mod offer;
mod wire;

pub use fetch::{FetchError, fetch};
pub use offer::SnapshotOffer;
