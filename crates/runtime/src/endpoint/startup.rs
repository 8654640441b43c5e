//! How a connection to PostgreSQL begins (its documentation, 55.2.1 and 55.7): packets read,
//! judged and refused in the server's own words. It holds nothing of what follows the startup
//! packet, and no password: that comes later.

use super::Away;

/// The longest packet before the protocol has begun, its length field not counted: PostgreSQL's
/// `MAX_STARTUP_PACKET_LENGTH`.
pub(super) const MAX_PACKET: usize = 10_000;

/// The bytes of the length field, which counts itself.
pub(super) const LENGTH: usize = 4;

/// A role whose name begins so is the deployment's own, and nobody's from outside.
const OWN_ROLES: &[u8] = b"causeway_";

/// How much of a role's name PostgreSQL takes (`NAMEDATALEN` - 1).
const MAX_NAME: usize = 63;

const CANCEL: u32 = code(1234, 5678);
const SECURE: u32 = code(1234, 5679);
const ENCRYPT: u32 = code(1234, 5680);

/// What a client asks for first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Request {
    /// TLS (SSLRequest).
    Secure,
    /// GSSAPI encryption (GSSENCRequest).
    Encrypt,
    /// That the query of another connection be cancelled (CancelRequest).
    Cancel,
    /// A session (StartupMessage).
    Session,
    /// Something in a protocol that isn't spoken: its major and minor version.
    Unsupported(u16, u16),
}

/// Why a session is refused: what the client is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    /// The class and code (PostgreSQL's documentation, appendix A).
    pub(super) sqlstate: [u8; 5],
    pub(super) message: String,
}

const fn code(major: u32, minor: u32) -> u32 {
    major << 16 | minor
}

impl Refusal {
    pub(super) fn new(sqlstate: &[u8; 5], message: impl Into<String>) -> Refusal {
        Refusal {
            sqlstate: *sqlstate,
            message: message.into(),
        }
    }

    /// As PostgreSQL answers who asks for another protocol.
    pub(super) fn unsupported(major: u16, minor: u16) -> Refusal {
        let message =
            format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0");
        Refusal::new(b"0A000", message)
    }

    /// The ErrorResponse with severity FATAL, after which the server closes.
    pub(super) fn packet(&self) -> Vec<u8> {
        let mut fields = Vec::with_capacity(64 + self.message.len());
        for (field, text) in [
            (b'S', &b"FATAL"[..]),
            (b'V', b"FATAL"),
            (b'C', &self.sqlstate),
            (b'M', self.message.as_bytes()),
        ] {
            fields.push(field);
            // A NUL would end the field.
            fields.extend(text.iter().copied().filter(|byte| *byte != 0));
            fields.push(0);
        }
        fields.push(0);
        let length = u32::try_from(LENGTH + fields.len()).expect("a message is short");
        let mut packet = vec![b'E'];
        packet.extend_from_slice(&length.to_be_bytes());
        packet.extend_from_slice(&fields);
        packet
    }
}

impl From<Away> for Refusal {
    fn from(away: Away) -> Refusal {
        Refusal {
            sqlstate: away.sqlstate,
            message: away.message,
        }
    }
}

/// How many bytes follow the length field; `None`: no server would read them.
pub(super) fn body_length(length: [u8; LENGTH]) -> Option<usize> {
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    let body = length.checked_sub(LENGTH)?;
    (LENGTH..=MAX_PACKET).contains(&body).then_some(body)
}

/// What the packet without its length field asks for.
pub(super) fn request(body: &[u8]) -> Request {
    let mut field = [0; 4];
    field.copy_from_slice(&body[..4]);
    match u32::from_be_bytes(field) {
        CANCEL => Request::Cancel,
        SECURE => Request::Secure,
        ENCRYPT => Request::Encrypt,
        version => {
            let (major, minor) = ((version >> 16) as u16, (version & 0xffff) as u16);
            match major {
                3 => Request::Session,
                _ => Request::Unsupported(major, minor),
            }
        }
    }
}

/// Judges a StartupMessage without its length field. A parameter that comes twice is judged both
/// times: which one counts is the server's affair.
///
/// # Errors
/// Nobody may have that session through an endpoint.
pub(super) fn judge(body: &[u8]) -> Result<(), Refusal> {
    let layout = || {
        let message = "invalid startup packet layout: expected terminator as last byte";
        Refusal::new(b"08P01", message)
    };
    let mut rest = &body[4..];
    let mut has_user = false;
    loop {
        let name = text(&mut rest).ok_or_else(layout)?;
        if name.is_empty() {
            break;
        }
        let value = text(&mut rest).ok_or_else(layout)?;
        match name {
            b"user" if value.starts_with(OWN_ROLES) => {
                let name = shown(value);
                let message = format!("role \"{name}\" is not permitted to log in");
                return Err(Refusal::new(b"28000", message));
            }
            b"user" => has_user |= !value.is_empty(),
            b"replication" if !is_false(value) => {
                let message = "no pg_hba.conf entry for replication connection";
                return Err(Refusal::new(b"28000", message));
            }
            _ => {}
        }
    }
    match (rest.is_empty(), has_user) {
        (false, _) => Err(layout()),
        (true, false) => {
            let message = "no PostgreSQL user name specified in startup packet";
            Err(Refusal::new(b"28000", message))
        }
        (true, true) => Ok(()),
    }
}

/// The next text, without the NUL that ends it.
fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == 0)?;
    let text = &rest[..end];
    *rest = &rest[end + 1..];
    Some(text)
}

/// Whether the server surely reads it as false: of its spellings, the whole words.
fn is_false(value: &[u8]) -> bool {
    let words: [&[u8]; 4] = [b"false", b"off", b"no", b"0"];
    words.iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(&name[..name.len().min(MAX_NAME)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(parameters: &[(&str, &str)]) -> Vec<u8> {
        let mut body = code(3, 0).to_be_bytes().to_vec();
        for (name, value) in parameters {
            body.extend_from_slice(name.as_bytes());
            body.push(0);
            body.extend_from_slice(value.as_bytes());
            body.push(0);
        }
        body.push(0);
        body
    }

    fn refused(parameters: &[(&str, &str)]) -> String {
        let refusal = judge(&body(parameters)).unwrap_err();
        let code = String::from_utf8(refusal.sqlstate.to_vec()).unwrap();
        format!("{code} {}", refusal.message)
    }

    #[test]
    fn lengths_are_bounded_to_the_byte() {
        assert_eq!(body_length(7u32.to_be_bytes()), None);
        assert_eq!(body_length(8u32.to_be_bytes()), Some(4));
        assert_eq!(body_length(10_004u32.to_be_bytes()), Some(10_000));
        assert_eq!(body_length(10_005u32.to_be_bytes()), None);
        assert_eq!(body_length([0xff; 4]), None);
        assert_eq!(body_length([0; 4]), None);
    }

    #[test]
    fn requests_are_told_apart_by_their_code() {
        assert_eq!(request(&[4, 210, 22, 46]), Request::Cancel);
        assert_eq!(request(&[4, 210, 22, 47]), Request::Secure);
        assert_eq!(request(&[4, 210, 22, 48]), Request::Encrypt);
        assert_eq!(request(&[0, 3, 0, 0]), Request::Session);
        assert_eq!(request(&[0, 3, 0, 2, 9]), Request::Session);
        assert_eq!(request(&[0, 2, 0, 0]), Request::Unsupported(2, 0));
        assert_eq!(request(&[4, 210, 22, 49]), Request::Unsupported(1234, 5681));
    }

    #[test]
    fn a_users_session_passes_and_the_deployments_own_do_not() {
        let ordinary = [("user", "alice"), ("database", "orders")];
        assert_eq!(judge(&body(&ordinary)), Ok(()));
        assert_eq!(judge(&body(&[("user", "causeway")])), Ok(()));
        for value in ["false", "OFF", "no", "0"] {
            let parameters = [("user", "alice"), ("replication", value)];
            assert_eq!(judge(&body(&parameters)), Ok(()), "{value}");
        }
        let own = "28000 role \"causeway_admin\" is not permitted to log in";
        assert_eq!(refused(&[("user", "causeway_admin")]), own);
        // Whichever of two the server takes.
        assert_eq!(refused(&[("user", "a"), ("user", "causeway_admin")]), own);
        assert_eq!(refused(&[("user", "causeway_admin"), ("user", "a")]), own);
    }

    #[test]
    fn replication_is_refused_in_each_of_its_spellings() {
        for value in [
            "true", "on", "yes", "1", "database", "DATABASE", "t", "", "f", "?",
        ] {
            let said = refused(&[("user", "alice"), ("replication", value)]);
            let expected = "28000 no pg_hba.conf entry for replication connection";
            assert_eq!(said, expected, "{value}");
        }
        let twice = [("replication", "off"), ("user", "a"), ("replication", "on")];
        refused(&twice);
    }

    #[test]
    fn a_malformed_packet_is_refused_as_the_server_would() {
        let layout = "08P01";
        let whole = body(&[("user", "alice"), ("database", "orders")]);
        for length in 4..whole.len() {
            let refusal = judge(&whole[..length]).unwrap_err();
            assert_eq!(refusal.sqlstate, layout.as_bytes(), "cut to {length}");
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert_eq!(judge(&longer).unwrap_err().sqlstate, *b"08P01");
        assert_eq!(
            refused(&[("database", "orders")]),
            "28000 no PostgreSQL user name specified in startup packet"
        );
        refused(&[("user", "")]);
    }

    #[test]
    fn golden_bytes_of_a_refusal() {
        let packet = Refusal::new(b"53300", "no\0 more").packet();
        let golden = b"E\0\0\0\x23SFATAL\0VFATAL\0C53300\0Mno more\0\0";
        assert_eq!(packet, golden);
        let length = u32::from_be_bytes([packet[1], packet[2], packet[3], packet[4]]);
        assert_eq!(length as usize, packet.len() - 1);
    }
}
