//! The replicated state of one item: its content and the private header that decides conflicts.

use types::{Context, Version};

use crate::Item;

/// What is stored under an item's key: an item or a tombstone, with the version of the write
/// that made it and what that write had seen.
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
