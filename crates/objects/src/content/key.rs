//! Keys of contents: the key of a site, under which the random key of each blob is sealed, and
//! the key that a blob's is derived from a customer's. Neither is ever printed or stored bare.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

use super::block::DataKey;
use crate::blob::BlobId;

/// The version of the form that a sealed key, or a customer key's salt, has: its first byte.
const FORM: u8 = 1;

/// A sealed key: form, 32 bytes of ciphertext, tag.
const SEALED: usize = 1 + 32 + 16;

/// A customer key's salt: form, 16 random bytes.
const SALTED: usize = 1 + 16;

/// 32 bytes that never leave the site; wiped when dropped, never printed.
#[derive(Clone)]
pub struct SiteKey(Zeroizing<[u8; 32]>);

impl SiteKey {
    /// That key.
    pub fn new(bytes: [u8; 32]) -> SiteKey {
        SiteKey(Zeroizing::new(bytes))
    }

    /// Seals a blob's own key: under a key of its own that follows from this one and the blob's
    /// number, so that no nonce is ever used twice and no sealed key opens for another blob.
    pub(super) fn seal(&self, blob: BlobId, key: &[u8; 32]) -> Bytes {
        let mut sealed = BytesMut::with_capacity(SEALED);
        sealed.put_u8(FORM);
        let mut cipher = Zeroizing::new(*key);
        let tag = self
            .wrapping(blob)
            .seal_in_place_separate_tag(nonce(), Aad::from([FORM]), &mut cipher[..])
            .expect("32 bytes can be sealed");
        sealed.put_slice(&cipher[..]);
        sealed.put_slice(tag.as_ref());
        sealed.freeze()
    }

    /// The key that was sealed; none if it was not by this site's key, or is damaged.
    pub(super) fn open(&self, blob: BlobId, sealed: &[u8]) -> Option<DataKey> {
        let sealed: &[u8; SEALED] = sealed.try_into().ok()?;
        if sealed[0] != FORM {
            return None;
        }
        let mut bytes = Zeroizing::new(*sealed);
        let opened = self
            .wrapping(blob)
            .open_in_place(nonce(), Aad::from([FORM]), &mut bytes[1..]);
        let key: &[u8; 32] = (&*opened.ok()?).try_into().ok()?;
        Some(DataKey::new(key))
    }

    fn wrapping(&self, blob: BlobId) -> LessSafeKey {
        let key = Salt::new(HKDF_SHA256, b"causeway site key 1").extract(&self.0[..]);
        let number = blob.0.to_be_bytes();
        let info = [&number[..]];
        let expanded = key.expand(&info, &AES_256_GCM);
        let expanded = expanded.expect("32 bytes are few enough for HKDF");
        LessSafeKey::new(UnboundKey::from(expanded))
    }
}

/// Each wrapping key seals one key alone.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// What a salt is kept as.
pub(super) fn salted(random: [u8; 16]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(SALTED);
    bytes.put_u8(FORM);
    bytes.put_slice(&random);
    bytes.freeze()
}

/// The key of a blob that a customer's key encrypts, by the blob's salt; none if that is no salt.
pub(super) fn derive(customer: &[u8; 32], salt: &[u8]) -> Option<DataKey> {
    if salt.len() != SALTED || salt[0] != FORM {
        return None;
    }
    let key = Salt::new(HKDF_SHA256, &salt[1..]).extract(customer);
    let info = [&b"causeway customer key 1"[..]];
    let expanded = key.expand(&info, &AES_256_GCM);
    let expanded = expanded.expect("32 bytes are few enough for HKDF");
    Some(DataKey::from(UnboundKey::from(expanded)))
}

impl fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_key_opens_for_its_blob_and_site_alone() {
        let site = SiteKey::new([7; 32]);
        let sealed = site.seal(BlobId(1), &[9; 32]);
        assert_eq!(sealed.len(), SEALED);
        assert!(site.open(BlobId(1), &sealed).is_some());
        assert!(site.open(BlobId(2), &sealed).is_none());
        assert!(SiteKey::new([8; 32]).open(BlobId(1), &sealed).is_none());
        for at in 0..sealed.len() {
            let mut damaged = sealed.to_vec();
            damaged[at] ^= 1;
            assert!(site.open(BlobId(1), &damaged).is_none(), "byte {at}");
        }
        assert!(site.open(BlobId(1), &sealed[1..]).is_none());
        assert_eq!(format!("{site:?}"), "SiteKey(..)");
    }
}
