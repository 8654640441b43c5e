//! A piece's stored bytes against its blocks' checksums, and their tags where the site's key opens
//! the piece's (not a customer's): for whoever looks after bytes that nobody reads. It gives no
//! bytes.

use std::future::Future;

use bytes::Bytes;

use super::block::{BLOCK, Checker, OVERHEAD, stored_length};
use super::{Contents, Damage};
use crate::Extent;
use crate::blob::{BlobError, BlobId};

/// How many stored bytes are read at once.
const STEP: u64 = 4 * (BLOCK + OVERHEAD) as u64;

/// Why a piece isn't known to be whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    /// Its bytes aren't what was written, and what is wrong with them.
    Damaged(String),
    /// Where they are doesn't answer: nothing is known of them.
    Unavailable(BlobError),
}

/// Checks a piece; `row` is its row, if it is kept inline. `pace` is awaited after each step with
/// the step's bytes. Returns how many bytes it is stored as.
///
/// # Errors
/// What is wrong with it.
pub(crate) async fn check_piece<P: Future<Output = ()>>(
    contents: &Contents,
    extent: &Extent,
    row: Option<Bytes>,
    mut pace: impl FnMut(u64) -> P,
) -> Result<u64, Flaw> {
    let text = |damage: Damage| Flaw::Damaged(damage.to_string());
    let blob = BlobId(extent.blob);
    let key = contents.site_key().open(blob, &extent.sealed_key);
    let mut checker = Checker::with(extent.size, key);
    if extent.inline {
        let row = row.ok_or_else(|| Flaw::Damaged("its row is missing".to_owned()))?;
        checker.push(&row).map_err(text)?;
        pace(row.len() as u64).await;
    } else {
        let length = stored_length(extent.size);
        let mut at = 0;
        while at < length {
            let step = STEP.min(length - at);
            let read = contents.blobs().read(blob, at, step as usize);
            let stored = read.await.map_err(unread)?;
            if stored.len() as u64 != step {
                return Err(text(Damage::Length));
            }
            checker.push(&stored).map_err(text)?;
            at += step;
            pace(step).await;
        }
    }
    checker.finish().map_err(text)?;
    Ok(stored_length(extent.size))
}

fn unread(cause: BlobError) -> Flaw {
    match cause {
        BlobError::Unavailable(_) => Flaw::Unavailable(cause),
        // A disk that can't read its own is damaged.
        cause => Flaw::Damaged(cause.to_string()),
    }
}
