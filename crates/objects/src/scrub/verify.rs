//! All bytes of a database that no Region has open, against their checksums: for `causeway
//! verify`. It changes nothing.

use serde::Deserialize;
use store::{Direction, Engine, KeyRange, Snapshot, Space};
use types::ByteSize;

use super::pieces::{Found, Place, content_row, pieces_of};
use super::{PAGE, Scrubbed};
use crate::blob::Blobs;
use crate::content::{check_piece, next_range};
use crate::keys::kind;
use crate::{BucketId, Extent, ObjectError, Stamp, row};

/// A row that keeps a piece which no version has yet: a part of an upload, or of a transfer.
#[derive(Deserialize)]
struct Unfinished {
    extent: Extent,
}

/// Checks every piece that rows name: of a database that no Region has open. `progress` is told
/// how many bytes were checked, now and then.
///
/// # Errors
/// The rows can't be read. What is damaged is no error: it is in the report.
pub async fn verify_contents<E: Engine>(
    engine: &E,
    blobs: &dyn Blobs,
    mut progress: impl FnMut(ByteSize),
) -> Result<Scrubbed, ObjectError> {
    let snapshot = engine.snapshot();
    let mut report = Scrubbed::default();
    for kind in [kind::VERSION, kind::PART, kind::STAGED] {
        let mut range = KeyRange::prefix(&[kind]);
        loop {
            let page = snapshot
                .scan(Space::Objects, range.clone(), Direction::Forward, PAGE)
                .await?;
            for entry in &page.entries {
                let found = match kind {
                    kind::VERSION => pieces_of(&snapshot, &entry.key).await?,
                    _ => unfinished(&entry.value),
                };
                if let Some(found) = found {
                    report.versions += u64::from(kind == kind::VERSION);
                    check_all(&snapshot, blobs, found, &mut report).await?;
                }
            }
            progress(report.bytes);
            match next_range(&range, &page) {
                Some(next) => range = next,
                None => break,
            }
        }
    }
    Ok(report)
}

/// The piece of a row that isn't a version's; it is told by its blob alone.
fn unfinished(value: &[u8]) -> Option<Found> {
    let Unfinished { extent } = row::decode("a part", value).ok()?;
    let place = Place {
        bucket: BucketId(0),
        key: "unfinished".parse().expect("it is a key"),
        stamp: Stamp::from_bytes(&[0; 24]).expect("zeros are a stamp"),
    };
    Some(Found {
        place,
        extents: Ok(vec![extent]),
    })
}

async fn check_all<S: Snapshot>(
    snapshot: &S,
    blobs: &dyn Blobs,
    found: Found,
    report: &mut Scrubbed,
) -> Result<(), ObjectError> {
    let extents = match found.extents {
        Ok(extents) => extents,
        Err(piece) => {
            report.name(piece);
            return Ok(());
        }
    };
    for extent in extents {
        let row = content_row(snapshot, &extent).await?;
        report.pieces += 1;
        match check_piece(blobs, &extent, row, |_| std::future::ready(())).await {
            Ok(bytes) => report.bytes += ByteSize(bytes),
            Err(detail) => report.name(found.place.piece(&extent, detail)),
        }
    }
    Ok(())
}
