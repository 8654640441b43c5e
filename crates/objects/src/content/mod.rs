//! Bytes in and bytes out: digests of what arrives, encryption in blocks, small content in rows
//! and larger in blobs, ranges read back and verified.

mod key;

pub use key::SiteKey;
