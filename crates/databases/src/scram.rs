//! A password's SCRAM-SHA-256 verifier (RFC 5802, RFC 7677), as PostgreSQL keeps it
//! (`src/common/scram-common.c`): made here, so that no password is kept or sent anywhere.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};
use types::Environment;
use zeroize::Zeroizing;

use crate::model::Verifier;

/// PostgreSQL's default (`SCRAM_SHA_256_DEFAULT_ITERATIONS`).
const ITERATIONS: u32 = 4096;

/// Bytes of salt (`SCRAM_DEFAULT_SALT_LEN`).
const SALT: usize = 16;

/// The verifier of a password, with a new salt. The password is of printable ASCII, which SASLprep
/// leaves as it is.
pub(crate) fn verifier(password: &str, environment: &dyn Environment) -> Verifier {
    let mut salt = [0; SALT];
    salt[..8].copy_from_slice(&environment.random().to_be_bytes());
    salt[8..].copy_from_slice(&environment.random().to_be_bytes());
    with_salt(password, &salt)
}

fn with_salt(password: &str, salt: &[u8; SALT]) -> Verifier {
    let iterations = NonZeroU32::new(ITERATIONS).expect("it is more than none");
    let mut salted = Zeroizing::new([0; digest::SHA256_OUTPUT_LEN]);
    let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
    pbkdf2::derive(
        algorithm,
        iterations,
        salt,
        password.as_bytes(),
        &mut *salted,
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*salted);
    let client = hmac::sign(&key, b"Client Key");
    let stored = digest::digest(&digest::SHA256, client.as_ref());
    let server = hmac::sign(&key, b"Server Key");
    let (salt, stored, server) = (
        STANDARD.encode(salt),
        STANDARD.encode(stored),
        STANDARD.encode(server),
    );
    Verifier(format!(
        "SCRAM-SHA-256${ITERATIONS}:{salt}${stored}:{server}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_is_what_the_rfc_s_example_makes() {
        // RFC 7677, section 3: user "user", password "pencil", 4,096 iterations. The keys follow
        // from its messages; worked out apart from this program.
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let made = with_salt("pencil", &salt.try_into().unwrap());
        assert_eq!(
            made.0,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
             WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
             wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }
}
