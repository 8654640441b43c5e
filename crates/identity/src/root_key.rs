//! One key of the account's root. It is made from random bytes that the caller draws; it is
//! never printed with its secret.

use aws::signature::{Credentials, SecretKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// How many random bytes make a key: 10 for its id (80 bits), 30 for its secret (240 bits).
pub const RANDOM_BYTES: usize = 40;

/// The length of an access key id.
pub(crate) const ID_LENGTH: usize = 20;

/// The length of a secret access key.
pub(crate) const SECRET_LENGTH: usize = 40;

/// What AWS starts the id of a long-lived key with.
const ID_PREFIX: &str = "AKIA";

/// A long-lived access key of the account's root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RootKey {
    access_key_id: String,
    secret: SecretKey,
}

/// The text is not of a root key's shape. It names the part, never the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRootKey {
    /// Not `AKIA` and 16 of A to Z and 2 to 7.
    #[error("an access key id is AKIA followed by 16 capital letters and digits from 2 to 7")]
    AccessKeyId,
    /// Not 40 characters of the base64 alphabet.
    #[error("a secret access key is 40 letters, digits, '+' and '/'")]
    Secret,
}

impl RootKey {
    /// A key made of random bytes. They are the key: whoever drew them wipes their own copy.
    pub fn generate(random: &Zeroizing<[u8; RANDOM_BYTES]>) -> RootKey {
        let (id, secret) = random.split_at(10);
        RootKey {
            access_key_id: format!("{ID_PREFIX}{}", digits(id)),
            secret: SecretKey::new(STANDARD.encode(secret)),
        }
    }

    /// A key from its two texts.
    ///
    /// # Errors
    ///
    /// One of them isn't of the shape that [`RootKey::generate`] gives it.
    pub fn new(access_key_id: &str, secret: &str) -> Result<RootKey, InvalidRootKey> {
        let rest = access_key_id.strip_prefix(ID_PREFIX);
        let is_id = access_key_id.len() == ID_LENGTH
            && rest.is_some_and(|rest| {
                rest.bytes()
                    .all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
            });
        if !is_id {
            return Err(InvalidRootKey::AccessKeyId);
        }
        let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        if secret.len() != SECRET_LENGTH || !secret.bytes().all(is_digit) {
            return Err(InvalidRootKey::Secret);
        }
        Ok(RootKey {
            access_key_id: access_key_id.to_owned(),
            secret: SecretKey::new(secret.to_owned()),
        })
    }

    /// The key's id: 20 characters, `AKIA…`.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The secret: 40 characters.
    pub fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// What to sign with this key.
    pub fn credentials(&self) -> Credentials<'_> {
        Credentials {
            access_key_id: &self.access_key_id,
            secret: &self.secret,
            session_token: None,
        }
    }
}

/// Bytes as digits of 5 bits, A to Z and 2 to 7: 5 bytes are exactly 8 digits. Whole fives only.
pub(crate) fn digits(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::with_capacity(bytes.len() / 5 * 8);
    for chunk in bytes.chunks_exact(5) {
        let bits = chunk
            .iter()
            .fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        let digits = (0..8)
            .rev()
            .map(|digit| (bits >> (5 * digit)) as usize & 31);
        text.extend(digits.map(|digit| char::from(DIGITS[digit])));
    }
    text
}

/// The bytes of such digits; `None` if they are none, or not whole eights.
pub(crate) fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(8) {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 8 * 5);
    for chunk in digits.as_bytes().chunks_exact(8) {
        let bits = chunk.iter().try_fold(0u64, |bits, digit| {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'2'..=b'7' => digit - b'2' + 26,
                _ => return None,
            };
            Some(bits << 5 | u64::from(value))
        })?;
        bytes.extend_from_slice(&bits.to_be_bytes()[3..]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_shape_that_tools_expect() {
        let key = RootKey::generate(&Zeroizing::new([0; RANDOM_BYTES]));
        assert_eq!(key.access_key_id(), "AKIAAAAAAAAAAAAAAAAA");
        assert_eq!(key.secret().expose(), "A".repeat(40));
        let key = RootKey::generate(&Zeroizing::new([255; RANDOM_BYTES]));
        assert_eq!(key.access_key_id(), "AKIA7777777777777777");
        assert_eq!(key.secret().expose(), "/".repeat(40));
    }

    #[test]
    fn digits_are_read_back() {
        let bytes = [0, 1, 2, 253, 254, 255, 7, 7, 7, 7];
        assert_eq!(bytes_of(&digits(&bytes)).as_deref(), Some(&bytes[..]));
        for text in ["A", "AAAAAAA1", "AAAAAAAa", "ÄAAAAAA"] {
            assert_eq!(bytes_of(text), None, "{text}");
        }
    }

    #[test]
    fn every_random_byte_counts() {
        let zero = RootKey::generate(&Zeroizing::new([0; RANDOM_BYTES]));
        for position in 0..RANDOM_BYTES {
            let mut random = [0; RANDOM_BYTES];
            random[position] = 1;
            assert_ne!(
                RootKey::generate(&Zeroizing::new(random)),
                zero,
                "{position}"
            );
        }
    }

    #[test]
    fn the_secret_is_never_printed() {
        let key = RootKey::generate(&Zeroizing::new([7; RANDOM_BYTES]));
        let printed = format!("{key:?}");
        assert!(printed.contains(key.access_key_id()));
        assert!(!printed.contains(key.secret().expose()), "{printed}");
    }

    #[test]
    fn texts_of_another_shape_are_refused() {
        let (id, secret) = ("AKIAIOSFODNN7EXAMPLE", "a".repeat(40));
        assert!(RootKey::new(id, &secret).is_ok());
        for id in [
            "",
            "AKIA",
            "ASIAIOSFODNN7EXAMPLE",
            "AKIAiosfodnn7example",
            "AKIA1OSFODNN7EXAMPLE",
        ] {
            assert_eq!(RootKey::new(id, &secret), Err(InvalidRootKey::AccessKeyId));
        }
        for secret in ["", &"a".repeat(39), &"a".repeat(41), &" ".repeat(40)] {
            assert_eq!(RootKey::new(id, secret), Err(InvalidRootKey::Secret));
        }
    }
}
