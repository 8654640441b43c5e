//! The side that wants a copy: takes each piece as it comes, and has the whole once it was read
//! again from the disk. What was cut off stays, and is gone on from.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::journal::Journal;
use super::wire::{BEGIN_ANEW, GREETING, Piece, sum, sum_of};
use crate::postgres::files;
use crate::postgres::snapshot::{FORMAT, WHOLE};

/// How long nothing may come: longer than any delay of the link, and than the other takes to list
/// what it has.
const STILL: Duration = Duration::from_secs(60);

/// How long the other may take to be reached.
const CONNECT: Duration = Duration::from_secs(15);

/// Why a copy was cut off.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nothing comes any more. What is here stays.
    #[error("the copy was cut off: {0}")]
    Cut(io::Error),
    /// The disk refuses.
    #[error("the copy can't be written: {0}")]
    Disk(io::Error),
    /// What came is not the snapshot, or what is on the disk is not what came. Nothing of it is
    /// here any more.
    #[error("the copy is damaged: {0}")]
    Damaged(&'static str),
}

/// What is here, as it is worked on where it holds nobody up.
type Shared = Arc<Mutex<Journal>>;

/// Fetches the snapshot that is offered at that socket, or at the end of its stream, into the
/// folder, which need not be there; goes on from what is. It is whole, and its digests were
/// compared with what is on the disk, when this returns. `bytes` is how much there is of it,
/// exactly; `seen` is told how much is here.
///
/// # Errors
/// [`FetchError`].
pub async fn fetch(
    socket: &Path,
    folder: &Path,
    bytes: u64,
    seen: &AtomicU64,
) -> Result<(), FetchError> {
    let opened = folder.to_owned();
    let journal = on_disk(move || Journal::open(&opened)).await?;
    seen.store(journal.bytes, Ordering::Relaxed);
    let journal = Arc::new(Mutex::new(journal));
    let mut outcome = receive(socket, &journal, bytes, seen).await;
    if outcome.is_ok() {
        outcome = finish(&journal, folder.to_owned()).await;
    }
    if matches!(outcome, Err(FetchError::Damaged(_))) {
        // None of it can be trusted.
        with(&journal, Journal::forget).await?;
        seen.store(0, Ordering::Relaxed);
    }
    outcome
}

fn lock(journal: &Shared) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, FetchError> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(io::Error::other).and_then(|done| done);
    done.map_err(FetchError::Disk)
}

/// What comes in time.
async fn in_time<T>(
    wait: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, FetchError> {
    let done = timeout(wait, work).await;
    let done = done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    done.map_err(|cause| match cause.kind() {
        io::ErrorKind::InvalidData => FetchError::Damaged("what came is no piece of a snapshot"),
        _ => FetchError::Cut(cause),
    })
}

/// Takes the pieces that aren't here.
async fn receive(
    socket: &Path,
    journal: &Shared,
    bytes: u64,
    seen: &AtomicU64,
) -> Result<(), FetchError> {
    let mut stream = in_time(CONNECT, UnixStream::connect(socket)).await?;
    let mut asked = GREETING.to_vec();
    {
        let journal = lock(journal);
        asked.extend((journal.held.len() as u64).to_be_bytes());
        asked.extend(sum_of(journal.held.iter().map(|(piece, _)| piece)));
    }
    in_time(STILL, stream.write_all(&asked)).await?;
    let mut stream = BufReader::with_capacity(128 * 1024, stream);
    if in_time(STILL, stream.read_u8()).await? == BEGIN_ANEW {
        with(journal, Journal::forget).await?;
        seen.store(0, Ordering::Relaxed);
    }
    while let Some(piece) = in_time(STILL, Piece::read(&mut stream)).await? {
        if let Some(why) = objection(&lock(journal), &piece, bytes) {
            return Err(FetchError::Damaged(why));
        }
        let mut expected = [0; 32];
        in_time(STILL, stream.read_exact(&mut expected)).await?;
        let body = body_of(&piece, &mut stream).await?;
        if sum(&body) != expected {
            return Err(FetchError::Damaged("a piece is not as it was sent"));
        }
        with(journal, move |journal| journal.add(piece, expected, &body)).await?;
        seen.store(lock(journal).bytes, Ordering::Relaxed);
    }
    let pieces = in_time(STILL, stream.read_u64()).await?;
    let journal = lock(journal);
    match pieces == journal.held.len() as u64 && journal.bytes == bytes {
        true => Ok(()),
        false => Err(FetchError::Damaged("it isn't all that there was")),
    }
}

/// The bytes of a piece.
async fn body_of(piece: &Piece, stream: &mut BufReader<UnixStream>) -> Result<Vec<u8>, FetchError> {
    let length = usize::try_from(piece.length).unwrap_or(usize::MAX);
    let mut body = Vec::with_capacity(length);
    let mut part = vec![0; 64 * 1024];
    // Each part by itself: a slow link is not one that stands still.
    while body.len() < length {
        let room = (length - body.len()).min(part.len());
        let count = in_time(STILL, stream.read(&mut part[..room])).await?;
        if count == 0 {
            return Err(FetchError::Cut(io::ErrorKind::UnexpectedEof.into()));
        }
        body.extend_from_slice(&part[..count]);
    }
    Ok(body)
}

/// Why a piece can't be the next one, if it can't.
fn objection(journal: &Journal, piece: &Piece, bytes: u64) -> Option<&'static str> {
    if journal.bytes + u64::from(piece.length) > bytes {
        return Some("there is more of it than there was");
    }
    let last = journal.held.last().map(|(last, _)| last);
    let continues = |last: &Piece| {
        last.path == piece.path && last.offset + u64::from(last.length) == piece.offset
    };
    let is_next = piece.offset == 0 || last.is_some_and(continues);
    (!is_next).then_some("its pieces are not in their order")
}

/// Changes the journal where it holds nobody up.
async fn with(
    journal: &Shared,
    work: impl FnOnce(&mut Journal) -> io::Result<()> + Send + 'static,
) -> Result<(), FetchError> {
    let journal = journal.clone();
    on_disk(move || work(&mut lock(&journal))).await
}

/// All is here: it is looked through, and is whole.
async fn finish(journal: &Shared, folder: PathBuf) -> Result<(), FetchError> {
    let journal = journal.clone();
    let looked = on_disk(move || {
        files::sync_file_system(&folder)?;
        if !lock(&journal).verify()? {
            return Ok(false);
        }
        Journal::remove(&folder)?;
        files::replace(&folder.join(WHOLE), FORMAT, 0o600, None)?;
        Ok(true)
    });
    match looked.await? {
        true => Ok(()),
        false => Err(FetchError::Damaged("what is on the disk is not what came")),
    }
}
