//! Keys that customers send with their requests (SSE-C): parsed, proven against what was kept when
//! the object was written, and never kept themselves. S3 API Reference, "Protecting data with
//! server-side encryption using customer-provided keys".

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::{Digest, Md5};
use ring::hmac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::block::DataKey;
use super::key;
use crate::{Encryption, ObjectError};

/// What a key's proof is the HMAC of.
const PROOF: &[u8] = b"causeway customer key proof 1";

/// A customer's key; wiped when dropped, never printed.
#[derive(Clone)]
pub struct CustomerKey {
    key: Zeroizing<[u8; 32]>,
    md5: [u8; 16],
}

impl CustomerKey {
    /// Parses the values of `x-amz-server-side-encryption-customer-algorithm`, `-key` and
    /// `-key-MD5` (or of the three for a copy's source). None of them: no key.
    ///
    /// # Errors
    /// S3's own for a part that is missing, an algorithm other than `AES256`, a key that isn't 32
    /// bytes in base64, and an MD5 that isn't its.
    pub fn parse(
        algorithm: Option<&str>,
        key: Option<&str>,
        key_md5: Option<&str>,
    ) -> Result<Option<CustomerKey>, ObjectError> {
        if algorithm.is_none() && key.is_none() && key_md5.is_none() {
            return Ok(None);
        }
        let refuse = |message| Err(ObjectError::refused("InvalidArgument", message));
        let Some(algorithm) = algorithm else {
            return refuse(
                "Requests specifying Server Side Encryption with Customer provided keys must \
                 provide a valid encryption algorithm.",
            );
        };
        if algorithm != "AES256" {
            return Err(ObjectError::refused(
                "InvalidEncryptionAlgorithmError",
                "The Encryption request you specified is not valid. Supported value: AES256.",
            ));
        }
        let Some(key) = key else {
            return refuse(
                "Requests specifying Server Side Encryption with Customer provided keys must \
                 provide an appropriate secret key.",
            );
        };
        let Some(key_md5) = key_md5 else {
            return refuse(
                "Requests specifying Server Side Encryption with Customer provided keys must \
                 provide the client calculated MD5 of the secret key.",
            );
        };
        let decoded = STANDARD.decode(key).map(Zeroizing::new).ok();
        let bytes: Option<[u8; 32]> =
            decoded.and_then(|decoded| decoded.as_slice().try_into().ok());
        let Some(bytes) = bytes.map(Zeroizing::new) else {
            return refuse("The secret key was invalid for the specified algorithm.");
        };
        let md5: [u8; 16] = Md5::digest(&bytes[..]).into();
        let claimed = STANDARD.decode(key_md5).unwrap_or_default();
        if !bool::from(claimed.as_slice().ct_eq(&md5)) {
            return refuse(
                "The calculated MD5 hash of the key did not match the hash that was provided.",
            );
        }
        Ok(Some(CustomerKey { key: bytes, md5 }))
    }

    /// The key's MD5 in base64, as answers repeat it.
    pub fn md5(&self) -> String {
        STANDARD.encode(self.md5)
    }

    /// What is kept of an object that it encrypts.
    pub fn encryption(&self) -> Encryption {
        let proof = hmac::sign(&self.hmac(), PROOF);
        Encryption::Customer {
            key_md5: self.md5(),
            proof: Bytes::copy_from_slice(proof.as_ref()),
        }
    }

    /// The key of the blob that has that salt.
    pub(super) fn data_key(&self, salt: &[u8]) -> Option<DataKey> {
        key::derive(&self.key, salt)
    }

    fn hmac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.key[..])
    }
}

impl Encryption {
    /// Is that the key that the object's bytes (and its facts, as S3 has it) are to be had with?
    ///
    /// # Errors
    /// S3's own for a key that is missing, not applicable, or another than it was written with.
    pub fn admit(&self, key: Option<&CustomerKey>) -> Result<(), ObjectError> {
        match (self, key) {
            (Encryption::Site, None) => Ok(()),
            (Encryption::Site, Some(_)) => Err(ObjectError::refused(
                "InvalidRequest",
                "The encryption parameters are not applicable to this object.",
            )),
            (Encryption::Customer { .. }, None) => Err(ObjectError::refused(
                "InvalidRequest",
                "The object was stored using a form of Server Side Encryption. The correct \
                 parameters must be provided to retrieve the object.",
            )),
            (Encryption::Customer { proof, .. }, Some(key)) => {
                let proven = hmac::verify(&key.hmac(), PROOF, proof);
                proven.map_err(|_| ObjectError::AccessDenied("Access Denied".to_owned()))
            }
        }
    }
}

impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(byte: u8) -> CustomerKey {
        let (key, md5) = texts(byte);
        let parsed = CustomerKey::parse(Some("AES256"), Some(&key), Some(&md5));
        parsed.unwrap().unwrap()
    }

    fn texts(byte: u8) -> (String, String) {
        let md5 = Md5::digest([byte; 32]);
        (STANDARD.encode([byte; 32]), STANDARD.encode(md5))
    }

    #[test]
    fn a_key_is_taken_whole_or_refused_in_the_services_words() {
        let (key, md5) = texts(1);
        let (_, other) = texts(2);
        let short = STANDARD.encode([1; 31]);
        let parse = |algorithm, key, md5| match CustomerKey::parse(algorithm, key, md5) {
            Err(error) => error.code().0,
            Ok(Some(_)) => "a key",
            Ok(None) => "none",
        };
        let (key, md5) = (Some(key.as_str()), Some(md5.as_str()));
        let aes = Some("AES256");
        assert_eq!(parse(None, None, None), "none");
        assert_eq!(parse(aes, key, md5), "a key");
        assert_eq!(parse(None, key, md5), "InvalidArgument");
        assert_eq!(parse(aes, None, md5), "InvalidArgument");
        assert_eq!(parse(aes, key, None), "InvalidArgument");
        assert_eq!(parse(aes, key, Some(&other)), "InvalidArgument");
        assert_eq!(parse(aes, key, Some("?")), "InvalidArgument");
        assert_eq!(parse(aes, Some(&short), md5), "InvalidArgument");
        assert_eq!(parse(aes, Some("?"), md5), "InvalidArgument");
        assert_eq!(
            parse(Some("aws:kms"), key, md5),
            "InvalidEncryptionAlgorithmError"
        );
    }

    #[test]
    fn an_object_is_had_with_its_key_alone() {
        let (mine, yours) = (key_of(1), key_of(2));
        let kept = mine.encryption();
        assert_eq!(kept.admit(Some(&mine)), Ok(()));
        assert_eq!(kept.admit(Some(&yours)).unwrap_err().code().1, 403);
        assert_eq!(
            kept.admit(None).unwrap_err().code(),
            ("InvalidRequest", 400)
        );
        assert_eq!(Encryption::Site.admit(None), Ok(()));
        let refused = Encryption::Site.admit(Some(&mine)).unwrap_err();
        assert_eq!(refused.code(), ("InvalidRequest", 400));
        assert!(!format!("{mine:?} {kept:?}").contains(&texts(1).0));
    }
}
