//! The root keys of a deployment as the council keeps them: the current one and, while clients
//! move over, the one before. As bytes they are a version, a count, and each key's two texts of
//! fixed length; a newer version is refused, not guessed at.

use aws::signature::SecretKey;
use zeroize::Zeroizing;

use crate::root_key::{ID_LENGTH, SECRET_LENGTH};
use crate::{InvalidRootKey, RootKey};

/// The version of the bytes that this code writes, and the only one it reads.
const VERSION: u8 = 1;

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
    #[error("root keys of format {0}; this Causeway understands format 1: use a newer one")]
    Version(u8),
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

    /// The bytes to keep; they hold the secrets.
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

    /// The keys of such bytes.
    ///
    /// # Errors
    ///
    /// They are of a newer version, not whole, or hold no valid key.
    pub fn decode(bytes: &[u8]) -> Result<RootKeys, RootKeysError> {
        let (version, rest) = bytes.split_first().ok_or(RootKeysError::Malformed)?;
        if *version != VERSION {
            return Err(RootKeysError::Version(*version));
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
        let error = RootKeys::decode(&[2, 1, 0]).unwrap_err();
        assert_eq!(error, RootKeysError::Version(2));
        assert!(error.to_string().contains("newer"), "{error}");
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
