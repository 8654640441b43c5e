//! A network that is announced: an address and the length of its prefix, with nothing behind it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// Is it of IPv4?
    pub fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Prefix, String> {
        let wrong = || format!("'{text}' is no network, as in 203.0.113.0/24 or 2001:db8::/48");
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let is_number = length.bytes().all(|digit| digit.is_ascii_digit());
        let length: u8 = length.parse().map_err(|_| wrong())?;
        let (bits, width) = match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        // All of a family is nobody's to announce.
        if !is_number || length == 0 || length > width {
            return Err(wrong());
        }
        if bits.checked_shl(length.into()).unwrap_or(0) != 0 {
            return Err(format!("{text} has bits behind its prefix"));
        }
        Ok(Prefix { address, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_whole_or_not_at_all() {
        for text in [
            "203.0.113.0/24",
            "203.0.113.7/32",
            "2001:db8::/48",
            "::1/128",
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
        }
        for text in [
            "203.0.113.0",
            "203.0.113.0/",
            "203.0.113.0/33",
            "203.0.113.0/+8",
            "203.0.113.1/24",
            "0.0.0.0/0",
            "2001:db8::1/48",
            "2001:db8::/129",
            "here/8",
        ] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }
}
