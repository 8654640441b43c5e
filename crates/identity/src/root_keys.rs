//! The root keys of an account as the council keeps them: the current one and, while clients
//! move over, the one before. As bytes of version 1 they are a count and each key's two texts of
//! fixed length; of version 2, which is what is kept, that sealed with the operator's key. A newer
//! version is refused, not guessed at.

use aws::signature::SecretKey;
use bytes::Bytes;
use types::AccountId;
use zeroize::Zeroizing;

use crate::root_key::{ID_LENGTH, SECRET_LENGTH};
use crate::sealer::NONCE_BYTES;
use crate::{InvalidRootKey, Purpose, RootKey, SealError, Sealer};

/// The version of the bytes in the clear.
const VERSION: u8 = 1;

/// The version of the sealed bytes.
const SEALED_VERSION: u8 = 2;

/// The setting that holds the root keys of the deployment's first account; those of another
/// account have its number behind it.
const SETTING: &str = "identity/root-keys";

/// The root keys that are accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RootKeys {
    current: RootKey,
    previous: Option<RootKey>,
}

/// The bytes aren't root keys. No variant repeats what they hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RootKeysError {
    /// Written by a newer Causeway.
    #[error(
        "root keys of format {0}; this Causeway understands up to {SEALED_VERSION}: use a newer one"
    )]
    Version(u8),
    /// Sealed, and nobody gave the key.
    #[error("root keys that are sealed, and no operator's key to open them")]
    Sealed,
    /// Sealed, and the key at hand opens them not.
    #[error("root keys that can't be opened: {0}")]
    Seal(#[from] SealError),
    /// Cut off, too long, or not text.
    #[error("root keys that are not whole")]
    Malformed,
    /// Whole, but no key.
    #[error("root keys that hold no valid key: {0}")]
    Key(#[from] InvalidRootKey),
}

impl RootKeys {
    /// One key alone.
    pub fn new(current: RootKey) -> RootKeys {
        RootKeys {
            current,
            previous: None,
        }
    }

    /// The key that is given out.
    pub fn current(&self) -> &RootKey {
        &self.current
    }

    /// The key before it, if it is still accepted.
    pub fn previous(&self) -> Option<&RootKey> {
        self.previous.as_ref()
    }

    /// Puts a new key in place; the current one stays accepted until [`RootKeys::retire`], the
    /// one before it no longer.
    #[must_use]
    pub fn rotate(&self, new: RootKey) -> RootKeys {
        RootKeys {
            current: new,
            previous: Some(self.current.clone()),
        }
    }

    /// Ends the previous key.
    #[must_use]
    pub fn retire(&self) -> RootKeys {
        RootKeys::new(self.current.clone())
    }

    /// The secret of an accepted key.
    pub(crate) fn secret(&self, access_key_id: &str) -> Option<&SecretKey> {
        std::iter::once(&self.current)
            .chain(&self.previous)
            .find(|key| key.access_key_id() == access_key_id)
            .map(RootKey::secret)
    }

    /// The setting that holds the root keys of that account.
    pub fn setting(account: AccountId) -> String {
        if account == AccountId::LAB {
            SETTING.to_owned()
        } else {
            format!("{SETTING}/{account}")
        }
    }

    /// The bytes to keep, sealed for that account with a nonce that was drawn for them alone.
    pub fn seal(&self, sealer: &Sealer, account: AccountId, nonce: &[u8; NONCE_BYTES]) -> Bytes {
        let (id, plain) = (account.to_string(), self.encode());
        let sealed = sealer.seal(Purpose::RootKeys, &id, &plain, nonce);
        Bytes::from([&[SEALED_VERSION], sealed.as_slice()].concat())
    }

    /// The keys of bytes that were kept, sealed for that account or, as an earlier Causeway did,
    /// in the clear.
    ///
    /// # Errors
    ///
    /// They are of a newer version, not whole, hold no valid key, or were sealed with another key
    /// or for another account.
    pub fn open(
        sealer: &Sealer,
        account: AccountId,
        bytes: &[u8],
    ) -> Result<RootKeys, RootKeysError> {
        match bytes.split_first() {
            Some((&SEALED_VERSION, sealed)) => {
                let plain = sealer.open(Purpose::RootKeys, &account.to_string(), sealed)?;
                RootKeys::decode(&plain)
            }
            _ => RootKeys::decode(bytes),
        }
    }

    /// Are such bytes kept in the clear? They are to be put there sealed.
    pub fn is_clear(bytes: &[u8]) -> bool {
        bytes.first() == Some(&VERSION)
    }

    /// The bytes in the clear; they hold the secrets.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let count = 1 + usize::from(self.previous.is_some());
        let length = 2 + count * (ID_LENGTH + SECRET_LENGTH);
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        bytes.push(VERSION);
        bytes.push(u8::try_from(count).expect("one or two keys"));
        for key in std::iter::once(&self.current).chain(&self.previous) {
            bytes.extend_from_slice(key.access_key_id().as_bytes());
            bytes.extend_from_slice(key.secret().expose().as_bytes());
        }
        bytes
    }

    /// The keys of bytes in the clear.
    ///
    /// # Errors
    ///
    /// They are sealed, of a newer version, not whole, or hold no valid key.
    pub fn decode(bytes: &[u8]) -> Result<RootKeys, RootKeysError> {
        let (version, rest) = bytes.split_first().ok_or(RootKeysError::Malformed)?;
        match *version {
            VERSION => {}
            SEALED_VERSION => return Err(RootKeysError::Sealed),
            newer => return Err(RootKeysError::Version(newer)),
        }
        let (count, rest) = rest.split_first().ok_or(RootKeysError::Malformed)?;
        const LENGTH: usize = ID_LENGTH + SECRET_LENGTH;
        if !matches!(count, 1 | 2) || rest.len() != usize::from(*count) * LENGTH {
            return Err(RootKeysError::Malformed);
        }
        let text = std::str::from_utf8(rest).map_err(|_| RootKeysError::Malformed)?;
        if !text.is_ascii() {
            return Err(RootKeysError::Malformed);
        }
        let key = |text: &str| {
            let (id, secret) = text.split_at(ID_LENGTH);
            RootKey::new(id, secret)
        };
        let (current, previous) = text.split_at(LENGTH);
        Ok(RootKeys {
            current: key(current)?,
            previous: (!previous.is_empty()).then(|| key(previous)).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> (RootKey, RootKey) {
        let first = RootKey::new("AKIAIOSFODNN7EXAMPLE", &"a".repeat(40)).unwrap();
        let second = RootKey::new("AKIAI44QH7DHBEXAMPLE", &"b/".repeat(20)).unwrap();
        (first, second)
    }

    #[test]
    fn the_bytes_of_version_1_stay_what_they_are() {
        let (first, second) = keys();
        let one = RootKeys::new(first);
        let a = "a".repeat(40);
        assert_eq!(
            &**one.encode(),
            format!("\x01\x01AKIAIOSFODNN7EXAMPLE{a}").as_bytes()
        );
        let two = one.rotate(second);
        let b = "b/".repeat(20);
        let golden = format!("\x01\x02AKIAI44QH7DHBEXAMPLE{b}AKIAIOSFODNN7EXAMPLE{a}");
        assert_eq!(&**two.encode(), golden.as_bytes());
        for keys in [one, two] {
            assert_eq!(RootKeys::decode(&keys.encode()), Ok(keys));
        }
    }

    #[test]
    fn a_newer_version_says_so() {
        let error = RootKeys::decode(&[3, 1, 0]).unwrap_err();
        assert_eq!(error, RootKeysError::Version(3));
        assert!(error.to_string().contains("newer"), "{error}");
    }

    #[test]
    fn sealed_keys_are_opened_for_their_account_alone_and_clear_ones_still_read() {
        let sealer = Sealer::new(&Zeroizing::new([1; 32]));
        let other: AccountId = "444455556666".parse().unwrap();
        let keys = RootKeys::new(self::keys().0);
        let sealed = keys.seal(&sealer, AccountId::LAB, &[5; NONCE_BYTES]);
        let open = |account, bytes: &[u8]| RootKeys::open(&sealer, account, bytes);
        assert_eq!(open(AccountId::LAB, &sealed).as_ref(), Ok(&keys));
        assert_eq!(
            open(other, &sealed),
            Err(RootKeysError::Seal(SealError::Damaged))
        );
        assert_eq!(RootKeys::decode(&sealed), Err(RootKeysError::Sealed));
        assert_eq!(open(other, &keys.encode()).as_ref(), Ok(&keys));
        assert!(RootKeys::is_clear(&keys.encode()) && !RootKeys::is_clear(&sealed));
        let secret = keys.current().secret().expose().as_bytes();
        assert!(!sealed.windows(secret.len()).any(|bytes| bytes == secret));
        assert_eq!(RootKeys::setting(AccountId::LAB), "identity/root-keys");
        assert_eq!(RootKeys::setting(other), "identity/root-keys/444455556666");
    }

    #[test]
    fn rotation_keeps_one_key_back_and_retiring_none() {
        let (first, second) = keys();
        let rotated = RootKeys::new(first.clone()).rotate(second.clone());
        assert_eq!(rotated.current(), &second);
        assert_eq!(rotated.previous(), Some(&first));
        assert_eq!(rotated.secret(first.access_key_id()), Some(first.secret()));
        let retired = rotated.retire();
        assert_eq!(retired.secret(first.access_key_id()), None);
        assert_eq!(
            retired.secret(second.access_key_id()),
            Some(second.secret())
        );
    }

    #[test]
    fn bytes_cut_off_or_too_long_are_refused() {
        let (first, second) = keys();
        let whole = RootKeys::new(first).rotate(second).encode();
        for length in 0..whole.len() {
            assert!(RootKeys::decode(&whole[..length]).is_err(), "{length}");
        }
        let mut longer = whole.to_vec();
        longer.push(b'a');
        assert_eq!(RootKeys::decode(&longer), Err(RootKeysError::Malformed));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn rubbish_never_panics(rest in proptest::collection::vec(any::<u8>(), 0..130)) {
            let bytes = [&[VERSION, 1], rest.as_slice()].concat();
            if let Ok(keys) = RootKeys::decode(&bytes) {
                prop_assert_eq!(&**keys.encode(), bytes.as_slice());
            }
        }

        #[test]
        fn text_of_the_right_length_that_is_not_ascii_is_refused(text in "[aé]{30}") {
            let mut bytes = vec![VERSION, 1];
            bytes.extend(text.bytes().chain(std::iter::repeat(b'A')).take(60));
            prop_assert!(RootKeys::decode(&bytes).is_err());
        }
    }
}
