//! A place in a listing of the conflict ledgers of all Regions: where its next page begins.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tables::ConflictCursor;
use types::Timestamp;

/// Where a page begins. As text it is what `causeway conflicts list --after` takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PageStart {
    /// The last row before the page.
    pub after: ConflictCursor,
    /// When the newest row of the listing's first page was found. What is found later is no part
    /// of that listing.
    pub newest: Timestamp,
}

/// The text is no place in a listing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("'{0}' is no place in the listing; give what `causeway conflicts list` printed as next")]
pub struct NoPageStart(String);

impl fmt::Display for PageStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.after, self.newest.0)
    }
}

impl FromStr for PageStart {
    type Err = NoPageStart;

    fn from_str(text: &str) -> Result<Self, NoPageStart> {
        let parse = || {
            let (after, newest) = text.rsplit_once('.')?;
            Some(PageStart {
                after: after.parse().ok()?,
                newest: Timestamp(newest.parse().ok()?),
            })
        };
        parse().ok_or_else(|| NoPageStart(text.to_owned()))
    }
}

impl TryFrom<String> for PageStart {
    type Error = NoPageStart;

    fn try_from(text: String) -> Result<Self, NoPageStart> {
        text.parse()
    }
}

impl From<PageStart> for String {
    fn from(start: PageStart) -> String {
        start.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written_and_nothing_else_is() {
        let text = "1700000000000.0123456789abcdef0123456789abcdef.1700000000500";
        let start: PageStart = text.parse().unwrap();
        assert_eq!(start.newest, Timestamp(1_700_000_000_500));
        assert_eq!(start.to_string(), text);
        for wrong in ["", "1", "1.2.3", "x.0123456789abcdef0123456789abcdef.1"] {
            assert!(wrong.parse::<PageStart>().is_err(), "{wrong}");
        }
    }
}
