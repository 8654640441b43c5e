//! The replicated state of one item: its content and the private header that decides conflicts.
//! `codec.rs` has its bytes, which are stored, sent to peers and kept in the conflict ledger.

use types::{Context, Version};

use crate::Item;

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

    /// Has the state seen itself, and nothing of a later time? A state of which that isn't so
    /// can't have come from a correct site, and would make later writes look like old news.
    pub fn is_lawful(&self) -> bool {
        let seen = self.context.entries().iter();
        self.context.contains(self.dot) && seen.map(|v| v.time).max() == Some(self.dot.time)
    }
}

#[cfg(test)]
mod tests {
    use types::{Hlc, SiteId};

    use super::*;

    fn version(time: u64, site: u16) -> Version {
        Version {
            time: Hlc(time),
            site: SiteId(site),
        }
    }

    #[test]
    fn a_local_write_has_seen_what_it_replaces() {
        let first = State::next(None, version(1, 9), Content::Tombstone);
        let second = State::next(Some(&first), version(2, 3), Content::Tombstone);
        assert!(second.context.contains(first.dot) && second.context.contains(second.dot));
        assert!(first.is_lawful() && second.is_lawful());
    }

    #[test]
    fn a_state_that_claims_to_have_seen_what_is_newer_is_not_lawful() {
        let mut state = State::next(None, version(1, 9), Content::Tombstone);
        state.context.insert(version(2, 3));
        assert!(!state.is_lawful());
        state.context = Context::EMPTY;
        assert!(!state.is_lawful());
    }
}
