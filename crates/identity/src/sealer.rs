//! Secrets at rest: sealed with a key that the operator gives and that is never kept beside them.
//! Each sealed value is bound to what it is for and whose it is, so that one can't be put in
//! another's place. It draws no randomness and keeps no plaintext.
//!
//! The form is a version, a check value of the operator's key, a nonce and AES-256-GCM's output.
//! Nonces are random, and 96 bits are too few for tokens by the billion: the first half of a nonce
//! of 24 bytes picks a key by HKDF (RFC 5869) and the second half is the cipher's own (the
//! construction of XAES-256-GCM, C2SP).

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use types::Environment;
use zeroize::{Zeroize, Zeroizing};

/// The length of the operator's key in bytes.
pub const OPERATOR_KEY_BYTES: usize = 32;

/// The length of a nonce in bytes. It must be random and never used twice.
pub const NONCE_BYTES: usize = 2 * NONCE_LEN;

/// The version of the bytes that this code writes, and the only one it reads.
const VERSION: u8 = 1;

/// The bytes by which another key is recognised.
const CHECK_BYTES: usize = 4;

/// What stands before the cipher's output.
const HEADER_BYTES: usize = 1 + CHECK_BYTES + NONCE_BYTES;

/// What a sealed value has beside its plaintext, in bytes.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + 16;

/// What a value is sealed for: each has keys of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The secret of a user's access key; the id is the key's.
    AccessKey,
    /// The root keys of an account; the id is the account's number.
    RootKeys,
    /// A session token; the id is that of the session's access key.
    Session,
    /// A file of credentials of the deployment; the id is the file's name.
    Credentials,
    /// The key that a site keeps its contents under; the id is the site's name.
    SiteKey,
    /// The key of a server certificate; the id is the certificate's unique id.
    ServerCertificate,
    /// The key that a Region seals load balancers' cookies with; the id is the Region's name.
    CookieKey,
}

impl Purpose {
    /// What the keys are derived with. Never changed: what was sealed could not be opened.
    fn label(self) -> &'static [u8] {
        match self {
            Purpose::AccessKey => b"access-key",
            Purpose::RootKeys => b"root-keys",
            Purpose::Session => b"session",
            Purpose::Credentials => b"credentials",
            Purpose::SiteKey => b"site-key",
            Purpose::ServerCertificate => b"server-certificate",
            Purpose::CookieKey => b"cookie-key",
        }
    }
}

/// Why a sealed value was not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    /// Written by a newer Causeway.
    #[error("sealed in format {0}; this Causeway understands format {VERSION}: use a newer one")]
    Version(u8),
    /// The operator's key is another one than it was sealed with.
    #[error("sealed with another operator's key than the one given now")]
    OtherKey,
    /// Cut off, changed, or sealed for something else.
    #[error("a sealed value that is damaged, or sealed for something else")]
    Damaged,
}

/// Seals and opens values with the operator's key. Never prints it.
pub struct Sealer {
    /// Pseudorandom key of the operator's; `ring` wipes nothing, so it lives as long as this.
    root: Prk,
    check: [u8; CHECK_BYTES],
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(key withheld)")
    }
}

/// How many bytes HKDF shall give.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Sealer {
    /// A sealer with the operator's key, which must be random or as good.
    pub fn new(key: &Zeroizing<[u8; OPERATOR_KEY_BYTES]>) -> Sealer {
        let root = Salt::new(HKDF_SHA256, b"causeway operator key").extract(key.as_slice());
        let mut check = [0; CHECK_BYTES];
        derive(&root, &[b"check"], &mut check);
        Sealer { root, check }
    }

    /// Seals a value for that purpose and id with a nonce that was drawn for it alone.
    pub fn seal(
        &self,
        purpose: Purpose,
        id: &str,
        plaintext: &[u8],
        nonce: &[u8; NONCE_BYTES],
    ) -> Vec<u8> {
        let (cipher, own) = self.cipher(purpose, nonce);
        let mut sealed = Vec::with_capacity(OVERHEAD_BYTES + plaintext.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.check);
        sealed.extend_from_slice(nonce);
        // The plaintext becomes the output in place: no copy of it is left behind.
        sealed.extend_from_slice(plaintext);
        let (_, body) = sealed.split_at_mut(HEADER_BYTES);
        let tag = cipher
            .seal_in_place_separate_tag(own, Aad::from(id.as_bytes()), body)
            .expect("far below the cipher's 64 GiB");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens what was sealed for that purpose and id.
    ///
    /// # Errors
    ///
    /// [`SealError`] says whether the key is another one, or the value is not what was sealed.
    pub fn open(
        &self,
        purpose: Purpose,
        id: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        match sealed.first() {
            Some(&VERSION) => {}
            Some(&version) if version > VERSION => return Err(SealError::Version(version)),
            _ => return Err(SealError::Damaged),
        }
        if sealed.len() < OVERHEAD_BYTES {
            return Err(SealError::Damaged);
        }
        let (header, body) = sealed.split_at(HEADER_BYTES);
        // The check value is no secret, so it may be compared as anything is.
        if header[1..=CHECK_BYTES] != self.check {
            return Err(SealError::OtherKey);
        }
        let nonce: &[u8; NONCE_BYTES] = header[1 + CHECK_BYTES..]
            .try_into()
            .expect("the header was cut to its length");
        let (cipher, own) = self.cipher(purpose, nonce);
        let mut body = Zeroizing::new(body.to_vec());
        let length = cipher
            .open_in_place(own, Aad::from(id.as_bytes()), &mut body)
            .map_err(|_| SealError::Damaged)?
            .len();
        body.truncate(length);
        Ok(body)
    }

    /// The cipher and its nonce for a purpose and a long nonce.
    fn cipher(&self, purpose: Purpose, nonce: &[u8; NONCE_BYTES]) -> (LessSafeKey, Nonce) {
        let (choice, own) = nonce.split_at(NONCE_LEN);
        let mut key = Zeroizing::new([0; 32]);
        derive(&self.root, &[b"seal ", purpose.label(), choice], &mut *key);
        let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).expect("32 bytes are a key");
        let own = Nonce::try_assume_unique_for_key(own).expect("the halves are 12 bytes");
        (LessSafeKey::new(key), own)
    }
}

/// HKDF's second half.
fn derive(root: &Prk, info: &[&[u8]], output: &mut [u8]) {
    root.expand(info, Length(output.len()))
        .and_then(|derived| derived.fill(output))
        .expect("HKDF gives up to 8,160 bytes");
}

/// Random bytes of an environment, as many as asked for.
pub fn random<const N: usize>(environment: &dyn Environment) -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    for chunk in bytes.chunks_mut(8) {
        let mut drawn = environment.random().to_be_bytes();
        chunk.copy_from_slice(&drawn[..chunk.len()]);
        drawn.zeroize();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&Zeroizing::new([byte; OPERATOR_KEY_BYTES]))
    }

    #[test]
    fn what_was_sealed_is_opened_by_its_key_purpose_and_id_alone() {
        let sealed = sealer(1).seal(Purpose::AccessKey, "AKIA1", b"secret", &[3; NONCE_BYTES]);
        assert_eq!(sealed.len(), OVERHEAD_BYTES + 6);
        let opened = sealer(1).open(Purpose::AccessKey, "AKIA1", &sealed);
        assert_eq!(opened.unwrap().as_slice(), b"secret");
        let refused = [
            sealer(1).open(Purpose::Session, "AKIA1", &sealed),
            sealer(1).open(Purpose::AccessKey, "AKIA2", &sealed),
        ];
        for refused in refused {
            assert_eq!(refused, Err(SealError::Damaged));
        }
        let other = sealer(2).open(Purpose::AccessKey, "AKIA1", &sealed);
        assert_eq!(other, Err(SealError::OtherKey));
    }

    #[test]
    fn every_byte_changed_and_every_byte_missing_is_refused() {
        let sealer = sealer(1);
        let sealed = sealer.seal(Purpose::RootKeys, "1", b"two keys", &[9; NONCE_BYTES]);
        for position in 0..sealed.len() {
            for change in [1, 0x80] {
                let mut other = sealed.clone();
                other[position] ^= change;
                assert!(sealer.open(Purpose::RootKeys, "1", &other).is_err());
            }
            let cut = sealer.open(Purpose::RootKeys, "1", &sealed[..position]);
            assert_eq!(cut, Err(SealError::Damaged), "{position}");
        }
        let newer = sealer.open(Purpose::RootKeys, "1", &[2]);
        assert_eq!(newer, Err(SealError::Version(2)));
    }

    #[test]
    fn the_bytes_of_version_1_stay_what_they_are() {
        let sealed = sealer(7).seal(Purpose::AccessKey, "AKIA1", b"s", &[0; NONCE_BYTES]);
        let text: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        let golden = "015bf9aa67\
                      000000000000000000000000000000000000000000000000\
                      133506daa9790d4c59f1d55061326148bf";
        assert_eq!(text, golden);
    }

    #[test]
    fn each_half_of_a_nonce_counts() {
        let sealer = sealer(1);
        let seal = |nonce| sealer.seal(Purpose::Session, "1", b"the same", &nonce);
        let ends: Vec<Vec<u8>> = [0, NONCE_BYTES - 1]
            .map(|changed| {
                let mut nonce = [0; NONCE_BYTES];
                nonce[changed] = 1;
                seal(nonce)[HEADER_BYTES..].to_vec()
            })
            .to_vec();
        let plain = seal([0; NONCE_BYTES])[HEADER_BYTES..].to_vec();
        assert!(ends[0] != ends[1] && ends[0] != plain && ends[1] != plain);
    }

    #[test]
    fn nothing_is_printed() {
        assert_eq!(format!("{:?}", sealer(1)), "Sealer(key withheld)");
    }
}
