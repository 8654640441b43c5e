//! Numbers drawn from a flow: the same flow draws the same ones at every edge and after every
//! restart, and each purpose draws its own. No good for secrets.

use std::net::IpAddr;

use crate::flow::Flow;
use crate::model::{ClientAffinity, Protocol};

/// Odd constants without a pattern (digits of π).
const KEYS: [u64; 4] = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7345,
    0xa409_3822_299f_31d1,
    0x082e_fa98_ec4e_6c89,
];

/// What a flow is placed by: all that its listener's affinity looks at, as one number.
pub(crate) fn of_flow(flow: &Flow, affinity: ClientAffinity) -> u64 {
    let mut hash = fold(KEYS[0], address(flow.from.ip()));
    hash = fold(hash ^ KEYS[1], address(flow.to.ip()));
    match affinity {
        ClientAffinity::SourceIp => hash,
        ClientAffinity::None => {
            let protocol = match flow.protocol {
                Protocol::Tcp => 6,
                Protocol::Udp => 17,
            };
            let ports = u64::from(flow.from.port()) << 16 | u64::from(flow.to.port());
            draw(hash, ports << 8 | protocol)
        }
    }
}

/// What an address is known by.
pub(crate) fn address(address: IpAddr) -> u64 {
    let bits = match address.to_canonical() {
        IpAddr::V4(address) => return draw(u64::from(address.to_bits()), KEYS[2]),
        IpAddr::V6(address) => address.to_bits(),
    };
    // Cut in halves on purpose.
    fold(draw(bits as u64, KEYS[3]), (bits >> 64) as u64)
}

/// What a name is known by.
pub(crate) fn name(name: &str) -> u64 {
    let bytes = name.bytes();
    bytes.fold(KEYS[0], |hash, byte| fold(hash, u64::from(byte)))
}

fn fold(hash: u64, word: u64) -> u64 {
    draw(hash.wrapping_mul(KEYS[1]), word)
}

/// A number of 64 bits that the hash draws for a purpose (the finalizer of SplitMix64: Steele, Lea
/// and Flood, 2014).
pub(crate) fn draw(hash: u64, purpose: u64) -> u64 {
    let mut mixed = hash ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The number from 0 to `end` − 1 that a draw stands for; 0 if `end` is 0.
pub(crate) fn below(draw: u64, end: u32) -> u32 {
    let scaled = (draw >> 32) * u64::from(end);
    u32::try_from(scaled >> 32).expect("a product of two numbers below 2³² is below 2⁶⁴")
}

/// The number above 0 and up to 1 that a draw stands for.
pub(crate) fn fraction(draw: u64) -> f64 {
    ((draw >> 11) + 1) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(from: &str, to: &str) -> Flow {
        Flow {
            to: to.parse().unwrap(),
            protocol: Protocol::Tcp,
            from: from.parse().unwrap(),
        }
    }

    #[test]
    fn each_affinity_looks_at_what_it_should() {
        let one = flow("127.64.1.1:4000", "127.80.0.1:80");
        let others = [
            flow("127.64.1.1:4001", "127.80.0.1:80"),
            flow("127.64.1.1:4000", "127.80.0.1:81"),
            Flow {
                protocol: Protocol::Udp,
                ..one
            },
        ];
        for other in others {
            let hash = |affinity| [of_flow(&one, affinity), of_flow(&other, affinity)];
            let [a, b] = hash(ClientAffinity::None);
            assert_ne!(a, b, "{other:?}");
            let [a, b] = hash(ClientAffinity::SourceIp);
            assert_eq!(a, b, "{other:?}");
        }
        let by_address = |flow| of_flow(&flow, ClientAffinity::SourceIp);
        let other_client = flow("127.64.1.2:4000", "127.80.0.1:80");
        let other_address = flow("127.64.1.1:4000", "127.81.0.1:80");
        assert_ne!(by_address(one), by_address(other_client));
        assert_ne!(by_address(one), by_address(other_address));
        let mapped = flow("[::ffff:127.64.1.1]:4000", "127.80.0.1:80");
        assert_eq!(by_address(one), by_address(mapped));
    }

    #[test]
    fn a_flow_draws_the_same_at_every_edge() {
        let one = flow("127.64.1.1:4000", "127.80.0.1:80");
        let hash = of_flow(&one, ClientAffinity::None);
        assert_eq!(hash, GOLDEN, "{hash:#x}: flows would move at an update");
    }

    const GOLDEN: u64 = 0xfc48_c99e_04d1_6248;

    #[test]
    fn draws_are_even_and_purposes_have_nothing_to_do_with_each_other() {
        let mut cells = [[0u32; 8]; 8];
        for port in 1..=64_000u16 {
            let client = format!("127.64.1.1:{port}");
            let hash = of_flow(&flow(&client, "127.80.0.1:80"), ClientAffinity::None);
            let (row, column) = (below(draw(hash, 1), 8), below(draw(hash, 2), 8));
            cells[row as usize][column as usize] += 1;
        }
        let fair = |count: &u32| (850..1150).contains(count);
        assert!(cells.iter().flatten().all(fair), "{cells:?}");
        assert_eq!(
            (below(u64::MAX, 0), below(u64::MAX, 5), below(0, 5)),
            (0, 4, 0)
        );
        assert!(fraction(0) > 0.0 && fraction(u64::MAX) <= 1.0);
    }
}
