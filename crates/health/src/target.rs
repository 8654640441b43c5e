//! Which addresses health checks may look at. Checks are made by whoever may call the API, and
//! carried out from inside the deployment's network: without this list they would be a way to
//! look into it. An address that is on no network of the list is never connected to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::limits::MAX_TARGETS;

/// The networks that health checks may look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetPolicy(Vec<Network>);

/// An address and how many of its leading bits count. IPv4-mapped IPv6 is IPv4 here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A list of networks is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Neither an address nor `address/prefix`.
    #[error("'{0}' is no network: write 10.0.0.0/8, fd00::/8 or a single address")]
    Network(String),
    /// Bits beyond the prefix are set.
    #[error("'{found}' has bits beyond its prefix: '{meant}' is meant, or a longer prefix")]
    Host {
        /// What was written.
        found: String,
        /// The network of that prefix.
        meant: String,
    },
    /// More than [`MAX_TARGETS`] networks.
    #[error("{0} networks; at most {MAX_TARGETS} can be allowed")]
    Many(usize),
}

impl TargetPolicy {
    /// The lab's: loopback, on which all lab addresses are.
    pub fn lab() -> TargetPolicy {
        let network = |address, prefix| Network { address, prefix };
        TargetPolicy(vec![
            network(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
            network(IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
        ])
    }

    /// Those networks. An empty list allows nothing.
    ///
    /// # Errors
    /// One of them is none, or there are too many.
    pub fn parse<'a>(
        networks: impl IntoIterator<Item = &'a str>,
    ) -> Result<TargetPolicy, TargetError> {
        let parsed: Result<Vec<Network>, TargetError> =
            networks.into_iter().map(Network::from_str).collect();
        let parsed = parsed?;
        if parsed.len() > MAX_TARGETS {
            return Err(TargetError::Many(parsed.len()));
        }
        Ok(TargetPolicy(parsed))
    }

    /// Whether health checks may look at that address. An IPv4 address in IPv6's clothes
    /// (`::ffff:10.0.0.1`) is judged as the IPv4 address that it reaches.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                leading(address, self.prefix) == leading(self.address, self.prefix)
            }
            _ => false,
        }
    }
}

/// The address as a number, with all bits beyond the prefix zero.
fn leading(address: IpAddr, prefix: u8) -> u128 {
    let (bits, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let beyond = width - u32::from(prefix);
    bits.checked_shr(beyond)
        .and_then(|bits| bits.checked_shl(beyond))
        .unwrap_or(0)
}

impl FromStr for Network {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Network, TargetError> {
        let malformed = || TargetError::Network(text.chars().take(64).collect());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| malformed())?;
        let width: u8 = if written.is_ipv4() { 32 } else { 128 };
        let mut prefix = match prefix {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| malformed())?
            }
            Some(_) => return Err(malformed()),
            None => width,
        };
        if prefix > width {
            return Err(malformed());
        }
        let address = written.to_canonical();
        if address.is_ipv4() && written.is_ipv6() {
            // A mapped network: its first 96 bits are the mapping.
            prefix = prefix.checked_sub(96).ok_or_else(malformed)?;
        }
        let network = leading(address, prefix);
        let meant = match address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(
                u32::try_from(network).expect("an IPv4 address has 32 bits"),
            )),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(network)),
        };
        if meant != address {
            return Err(TargetError::Host {
                found: text.to_owned(),
                meant: format!("{meant}/{prefix}"),
            });
        }
        Ok(Network { address, prefix })
    }
}

impl fmt::Display for TargetPolicy {
    /// As it is written: `127.0.0.0/8, ::1/128`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, network) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}/{}", network.address, network.prefix)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(networks: &[&str], address: &str) -> bool {
        let policy = TargetPolicy::parse(networks.iter().copied()).unwrap();
        policy.contains(address.parse().unwrap())
    }

    #[test]
    fn networks_hold_their_addresses_to_the_bit() {
        assert!(allows(&["10.128.0.0/9"], "10.128.0.0"));
        assert!(allows(&["10.128.0.0/9"], "10.255.255.255"));
        assert!(!allows(&["10.128.0.0/9"], "10.127.255.255"));
        assert!(!allows(&["10.128.0.0/9"], "11.128.0.0"));
        assert!(allows(&["192.0.2.7"], "192.0.2.7"));
        assert!(!allows(&["192.0.2.7"], "192.0.2.6"));
        assert!(allows(&["0.0.0.0/0"], "203.0.113.9"));
        assert!(!allows(&["0.0.0.0/0"], "2001:db8::1"));
        assert!(allows(&["2001:db8::/33"], "2001:db8:7fff::1"));
        assert!(!allows(&["2001:db8::/33"], "2001:db8:8000::1"));
        assert!(!allows(&[], "127.0.0.1"));
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_it_reaches() {
        assert!(allows(&["127.0.0.0/8"], "::ffff:127.0.0.1"));
        assert!(!allows(&["::/0"], "::ffff:169.254.169.254"));
        assert!(!allows(&["127.0.0.0/8"], "::ffff:169.254.169.254"));
        assert!(allows(&["::ffff:10.0.0.0/104"], "10.9.8.7"));
        assert!(!allows(&["::ffff:10.0.0.0/104"], "11.9.8.7"));
        // The deprecated compatible form reaches nothing and is no IPv4 address.
        assert!(!allows(&["127.0.0.0/8"], "::127.0.0.1"));
    }

    #[test]
    fn the_lab_allows_loopback_alone() {
        let lab = TargetPolicy::lab();
        assert_eq!(lab.to_string(), "127.0.0.0/8, ::1/128");
        for allowed in ["127.0.0.1", "127.1.2.1", "127.64.3.4", "::1"] {
            assert!(lab.contains(allowed.parse().unwrap()), "{allowed}");
        }
        for other in ["0.0.0.0", "::", "10.0.0.1", "169.254.169.254", "fe80::1"] {
            assert!(!lab.contains(other.parse().unwrap()), "{other}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_its_reason() {
        for text in [
            "",
            "10",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "::/129",
            "a/8",
            "::ffff:0:0/95",
            "10.0.0.0/8/8",
            "10.0.0.0/999",
        ] {
            let parsed = TargetPolicy::parse([text]);
            assert!(
                matches!(parsed, Err(TargetError::Network(_))),
                "{text}: {parsed:?}"
            );
        }
        let host = TargetPolicy::parse(["10.1.2.3/8"]).unwrap_err();
        assert_eq!(
            host.to_string(),
            "'10.1.2.3/8' has bits beyond its prefix: '10.0.0.0/8' is meant, or a longer prefix"
        );
        let many = vec!["::1"; MAX_TARGETS + 1];
        assert_eq!(
            TargetPolicy::parse(many),
            Err(TargetError::Many(MAX_TARGETS + 1))
        );
    }
}
