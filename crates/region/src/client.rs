//! Who is at the other end of a request: its address, and whether it came encrypted. A front door
//! that passes requests on says so in a header, with a secret that it shares with the sites behind
//! it. Without that secret nobody's word is taken, and the client is the connection's own peer.

use std::fmt;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What the door adds. Its name begins with nothing that a client would have to sign.
const HEADER: HeaderName = HeaderName::from_static("x-causeway-client");

/// The bytes of a door's secret: 256 bits.
const SECRET_BYTES: usize = 32;

/// Whoever sent a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Client {
    /// Its address: what `aws:SourceIp` is.
    pub address: IpAddr,
    /// Did the request come over TLS? What `aws:SecureTransport` is.
    pub is_secure: bool,
}

/// What the door and the sites behind it have in common, drawn anew with every start of the door.
/// It is never printed, and wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct DoorSecret(Zeroizing<String>);

/// The text is not a door's secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a door's secret is 64 hexadecimal digits")]
pub struct InvalidDoorSecret;

impl DoorSecret {
    /// A secret from random bytes. Whoever drew them wipes their own copy.
    pub fn new(random: &Zeroizing<[u8; SECRET_BYTES]>) -> DoorSecret {
        let mut digits = Zeroizing::new(String::with_capacity(2 * SECRET_BYTES));
        for byte in random.iter() {
            for digit in [byte >> 4, byte & 15] {
                let digit = char::from_digit(digit.into(), 16);
                digits.push(digit.expect("four bits are a digit"));
            }
        }
        DoorSecret(digits)
    }

    /// The secret of that text.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn parse(text: &str) -> Result<DoorSecret, InvalidDoorSecret> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        let is_secret = text.len() == 2 * SECRET_BYTES && text.bytes().all(is_digit);
        is_secret
            .then(|| DoorSecret(Zeroizing::new(text.to_owned())))
            .ok_or(InvalidDoorSecret)
    }

    /// The secret as text, for whoever passes it to a site.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Says in a request's headers who its client is, in place of whatever is said there.
    pub fn vouch(&self, client: Client, headers: &mut HeaderMap) {
        let scheme = if client.is_secure { "https" } else { "http" };
        let text = Zeroizing::new(format!("{} {scheme} {}", *self.0, client.address));
        let mut value = HeaderValue::from_str(&text).expect("digits and an address are a header");
        value.set_sensitive(true);
        headers.insert(HEADER, value);
    }

    /// Who the door says the client is; `None` if the header isn't there, or isn't the door's.
    fn believe(&self, headers: &HeaderMap) -> Option<Client> {
        let mut values = headers.get_all(HEADER).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        let (secret, rest) = value.to_str().ok()?.split_once(' ')?;
        if !bool::from(secret.as_bytes().ct_eq(self.0.as_bytes())) {
            return None;
        }
        let (scheme, address) = rest.split_once(' ')?;
        Some(Client {
            address: address.parse().ok()?,
            is_secure: scheme == "https",
        })
    }
}

impl fmt::Debug for DoorSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DoorSecret(…)")
    }
}

impl Client {
    /// The client of a request on a connection of that peer: who the door says it is, if the peer
    /// is a door; else the peer itself. What was said is taken out of the headers.
    pub fn of(peer: Client, door: Option<&DoorSecret>, headers: &mut HeaderMap) -> Client {
        let told = door.and_then(|door| door.believe(headers));
        headers.remove(HEADER);
        let mut client = told.unwrap_or(peer);
        client.address = client.address.to_canonical();
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Client = Client {
        address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        is_secure: false,
    };

    fn secret(byte: u8) -> DoorSecret {
        DoorSecret::new(&Zeroizing::new([byte; SECRET_BYTES]))
    }

    fn far() -> Client {
        Client {
            address: "192.0.2.7".parse().unwrap(),
            is_secure: true,
        }
    }

    #[test]
    fn a_door_is_believed_and_what_it_said_is_taken_out() {
        let mut headers = HeaderMap::new();
        headers.append(HEADER, HeaderValue::from_static("a client's own"));
        secret(1).vouch(far(), &mut headers);
        let client = Client::of(PEER, Some(&secret(1)), &mut headers);
        assert_eq!(client, far());
        assert!(headers.is_empty());
    }

    #[test]
    fn nobody_else_is_believed() {
        let mut twice = HeaderMap::new();
        secret(1).vouch(far(), &mut twice);
        twice.append(HEADER, twice[HEADER].clone());
        let mut other = HeaderMap::new();
        secret(2).vouch(far(), &mut other);
        let mut cases = vec![twice, other];
        let own = secret(1);
        let own = own.expose();
        for text in [
            String::new(),
            " https 192.0.2.7".to_owned(),
            own.to_owned(),
            format!("{own} https"),
            format!("{own} https nowhere"),
            format!("{} https 192.0.2.7", &own[..63]),
            format!("{own}0 https 192.0.2.7"),
            "192.0.2.7".to_owned(),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, text.parse().unwrap());
            cases.push(headers);
        }
        for headers in cases {
            let told = Client::of(PEER, Some(&secret(1)), &mut headers.clone());
            assert_eq!(told, PEER, "{headers:?}");
        }
        let mut headers = HeaderMap::new();
        secret(1).vouch(far(), &mut headers);
        assert_eq!(Client::of(PEER, None, &mut headers), PEER);
    }

    #[test]
    fn an_address_is_told_in_its_own_family() {
        let peer = Client {
            address: "::ffff:192.0.2.7".parse().unwrap(),
            is_secure: true,
        };
        assert_eq!(Client::of(peer, None, &mut HeaderMap::new()), far());
    }

    #[test]
    fn a_secret_is_read_as_it_was_written_and_never_printed() {
        let one = secret(0xa7);
        assert_eq!(DoorSecret::parse(one.expose()), Ok(one.clone()));
        assert!(!format!("{one:?}").contains("a7"));
        for text in ["", "a7", &"A7".repeat(32), &"g7".repeat(32)] {
            assert_eq!(DoorSecret::parse(text), Err(InvalidDoorSecret));
        }
        let mut headers = HeaderMap::new();
        one.vouch(far(), &mut headers);
        assert!(!format!("{headers:?}").contains("a7a7"));
    }
}
