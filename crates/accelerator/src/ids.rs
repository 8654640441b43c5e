//! Identifiers drawn from the environment's randomness.

use types::Environment;

use crate::model::{AcceleratorId, EndpointGroupId, ListenerId};

/// A new accelerator's id: a random UUID (version 4, RFC 9562).
pub(crate) fn accelerator(environment: &dyn Environment) -> AcceleratorId {
    let high = (environment.random() & 0xffff_ffff_ffff_0fff) | 0x4000;
    let low = (environment.random() & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    AcceleratorId(format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    ))
}

/// What a new accelerator's DNS name begins with.
pub(crate) fn dns_label(environment: &dyn Environment) -> String {
    format!("a{:016x}", environment.random())
}

/// A new listener's id.
pub(crate) fn listener(environment: &dyn Environment) -> ListenerId {
    ListenerId(format!("{:08x}", environment.random() >> 32))
}

/// A new endpoint group's id.
pub(crate) fn group(environment: &dyn Environment) -> EndpointGroupId {
    EndpointGroupId(format!("{:012x}", environment.random() >> 16))
}

/// A digest of what a request asks for (FNV-1a, 64 bits). It tells apart two requests of one
/// caller under one of its own tokens, so it need not withstand anybody.
pub(crate) fn digest(text: &str) -> String {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let hash = text.bytes().fold(BASIS, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_digests() {
        assert_eq!(digest(""), "cbf29ce484222325");
        assert_eq!(digest("a"), "af63dc4c8601ec8c");
        assert_eq!(digest("foobar"), "85944171f73967e8");
    }
}
