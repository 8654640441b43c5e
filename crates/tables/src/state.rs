//! The replicated state of one item: its content and the private header that decides conflicts.
//!
//! The same bytes are stored under the item's key, sent to peers and kept in the conflict
//! ledger. Bytes of a newer format, or that break the header's law, are refused.

use bytes::Bytes;
use types::{Context, Hlc, SiteId, Version};

use crate::codec::{decode_item, encode_item};
use crate::{CodecError, Item};

/// The first byte of an encoded state: its format version.
pub const STATE_FORMAT: u8 = 1;

/// Length of a version in bytes: 8 of hybrid time, 2 of site.
const VERSION_LENGTH: usize = 10;

const TOMBSTONE: u8 = 0;
const ITEM: u8 = 1;

/// What is stored under an item's key: an item or a tombstone, with the version of the write
/// that made it and what that write had seen. The dot is the greatest version of the context:
/// a write outbids what it saw, and of two concurrent states the greater stays.
#[derive(Clone, PartialEq, Debug)]
pub struct State {
    /// The version of this state.
    pub dot: Version,
    /// Everything this state has seen, its own dot included.
    pub context: Context,
    /// The content.
    pub content: Content,
}

/// An item, or the mark that it was deleted.
#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    /// An item with its key attributes.
    Item(Item),
    /// Deleted. Kept so that an older write arriving later can't bring the item back.
    Tombstone,
}

/// Bytes that are no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A newer Causeway wrote it.
    #[error("a state has format version {0}; this binary understands up to 1")]
    Newer(u8),
    /// They end too early.
    #[error("a state is cut short")]
    Short,
    /// The header names a site twice, or a version greater than its own.
    #[error("a state's header breaks its law")]
    Header,
    /// The kind of content is none of ours, or something follows a tombstone.
    #[error("a state's content makes no sense")]
    Content,
    /// The item is none.
    #[error("a state's item makes no sense: {0}")]
    Item(#[from] CodecError),
}

impl State {
    /// The state that a local write stamped `dot` makes of `current`. It has seen all that
    /// `current` has.
    pub fn next(current: Option<&State>, dot: Version, content: Content) -> State {
        let mut context = current.map_or(Context::EMPTY, |state| state.context.clone());
        context.insert(dot);
        State {
            dot,
            context,
            content,
        }
    }

    /// The item, unless it is deleted.
    pub fn item(&self) -> Option<&Item> {
        match &self.content {
            Content::Item(item) => Some(item),
            Content::Tombstone => None,
        }
    }

    /// The stored form: format, dot, the context's other entries, content.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(256);
        out.push(STATE_FORMAT);
        put_version(&mut out, self.dot);
        let others = || self.context.entries().iter().filter(|v| v.site != self.dot.site);
        let count = u16::try_from(others().count()).expect("no more entries than site numbers");
        out.extend_from_slice(&count.to_be_bytes());
        for seen in others() {
            put_version(&mut out, *seen);
        }
        match &self.content {
            Content::Tombstone => out.push(TOMBSTONE),
            Content::Item(item) => {
                out.push(ITEM);
                encode_item(item, &mut out);
            }
        }
        Bytes::from(out)
    }

    /// The state that `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Result<State, StateError> {
        let (dot, rest) = header(bytes)?;
        let (count, mut rest) = rest.split_first_chunk().ok_or(StateError::Short)?;
        let mut context = Context::EMPTY;
        let mut last = None;
        for _ in 0..u16::from_be_bytes(*count) {
            let (seen, after) = take_version(rest).ok_or(StateError::Short)?;
            let ascending = last.is_none_or(|last| last < seen.site);
            if !ascending || seen.site == dot.site || seen > dot {
                return Err(StateError::Header);
            }
            context.insert(seen);
            last = Some(seen.site);
            rest = after;
        }
        context.insert(dot);
        let content = match rest.split_first() {
            Some((&TOMBSTONE, [])) => Content::Tombstone,
            Some((&ITEM, item)) => Content::Item(decode_item(item)?),
            Some(_) => return Err(StateError::Content),
            None => return Err(StateError::Short),
        };
        Ok(State {
            dot,
            context,
            content,
        })
    }

    /// The dot alone, without decoding the rest.
    pub fn decode_dot(bytes: &[u8]) -> Result<Version, StateError> {
        header(bytes).map(|(dot, _)| dot)
    }
}

fn header(bytes: &[u8]) -> Result<(Version, &[u8]), StateError> {
    match bytes.split_first() {
        None => Err(StateError::Short),
        Some((&STATE_FORMAT, rest)) => take_version(rest).ok_or(StateError::Short),
        Some((format, _)) => Err(StateError::Newer(*format)),
    }
}

/// Appends a version's ten bytes, big-endian.
pub(crate) fn put_version(out: &mut Vec<u8>, version: Version) {
    out.extend_from_slice(&version.time.0.to_be_bytes());
    out.extend_from_slice(&version.site.0.to_be_bytes());
}

/// The version at the front of `bytes`, and what follows it.
pub(crate) fn take_version(bytes: &[u8]) -> Option<(Version, &[u8])> {
    let (version, rest) = bytes.split_first_chunk::<VERSION_LENGTH>()?;
    let (time, site) = version.split_first_chunk::<8>()?;
    let version = Version {
        time: Hlc(u64::from_be_bytes(*time)),
        site: SiteId(u16::from_be_bytes([site[0], site[1]])),
    };
    Some((version, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::AttributeValue;

    fn version(time: u64, site: u16) -> Version {
        Version {
            time: Hlc(time),
            site: SiteId(site),
        }
    }

    fn sample(content: Content) -> State {
        let seen = State::next(None, version(0x0102, 9), Content::Tombstone);
        State::next(Some(&seen), version(0x0103, 2), content)
    }

    #[test]
    fn a_state_has_these_bytes() {
        let header = b"\x01\0\0\0\0\0\0\x01\x03\0\x02\0\x01\0\0\0\0\0\0\x01\x02\0\x09".to_vec();
        let tombstone = sample(Content::Tombstone);
        assert_eq!(tombstone.encode(), [&header[..], b"\0"].concat());
        let item = Item::from([("id".to_owned(), AttributeValue::String("a".to_owned()))]);
        let state = sample(Content::Item(item.clone()));
        let mut golden = [&header[..], b"\x01"].concat();
        encode_item(&item, &mut golden);
        assert_eq!(state.encode(), golden);
        for state in [tombstone, state] {
            assert_eq!(State::decode(&state.encode()), Ok(state.clone()));
            assert_eq!(State::decode_dot(&state.encode()), Ok(state.dot));
        }
    }

    #[test]
    fn a_local_write_has_seen_what_it_replaces() {
        let state = sample(Content::Tombstone);
        assert!(state.context.contains(version(0x0102, 9)));
        assert!(state.context.contains(state.dot));
    }

    #[test]
    fn a_header_that_breaks_its_law_is_refused() {
        let good = sample(Content::Tombstone).encode();
        let mut greater = good.to_vec();
        greater[13] = 0xff;
        assert_eq!(State::decode(&greater), Err(StateError::Header));
        let mut own_site_twice = good.to_vec();
        own_site_twice[22] = 2;
        assert_eq!(State::decode(&own_site_twice), Err(StateError::Header));
        let mut newer = good.to_vec();
        newer[0] = 2;
        assert_eq!(State::decode(&newer), Err(StateError::Newer(2)));
        assert_eq!(
            State::decode(&[&good[..], b"x"].concat()),
            Err(StateError::Content)
        );
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = State::decode(&bytes);
            let mut likely = vec![STATE_FORMAT];
            likely.extend(bytes);
            let _ = State::decode(&likely);
        }

        #[test]
        fn a_cut_is_noticed(length in 0usize..24) {
            let bytes = sample(Content::Tombstone).encode();
            prop_assert!(State::decode(&bytes[..length.min(bytes.len() - 1)]).is_err());
        }
    }
}
