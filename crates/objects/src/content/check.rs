//! A piece's stored bytes against its blocks' checksums, without its key: for whoever looks after
//! bytes that nobody reads.

use std::future::Future;

use bytes::Bytes;

use super::Damage;
use super::block::{BLOCK, Checker, OVERHEAD, stored_length};
use crate::Extent;
use crate::blob::{BlobId, Blobs};

/// How many stored bytes are read at once.
const STEP: u64 = 4 * (BLOCK + OVERHEAD) as u64;

/// Checks a piece; `row` is its row, if it is kept inline. `pace` is awaited after each step with
/// the step's bytes. Returns how many bytes it is stored as.
///
/// # Errors
/// What is wrong with it.
pub(crate) async fn check_piece<P: Future<Output = ()>>(
    blobs: &dyn Blobs,
    extent: &Extent,
    row: Option<Bytes>,
    mut pace: impl FnMut(u64) -> P,
) -> Result<u64, String> {
    let text = |damage: Damage| damage.to_string();
    let mut checker = Checker::new(extent.size);
    if extent.inline {
        let row = row.ok_or("its row is missing")?;
        checker.push(&row).map_err(text)?;
        pace(row.len() as u64).await;
    } else {
        let length = stored_length(extent.size);
        let mut at = 0;
        while at < length {
            let step = STEP.min(length - at);
            let read = blobs.read(BlobId(extent.blob), at, step as usize);
            let stored = read.await.map_err(|cause| cause.to_string())?;
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
