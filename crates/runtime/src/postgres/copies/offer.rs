//! The side that has a snapshot: a socket of its own at which it can be fetched. It reads what is
//! there and changes nothing.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::fs::{AtFlags, FileType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::wire::{
    BEGIN_ANEW, GO_ON, GREETING, Kind, MOST_PIECES, PIECE, Piece, is_path, odd, sum, sum_of,
};
use crate::postgres::files;
use crate::streams::SocketPlace;

/// How long who fetches may take nothing: longer than any delay of the link, and than many a cut.
const STILL: Duration = Duration::from_secs(120);

/// Conversations about one snapshot at once.
const MOST_AT_ONCE: usize = 8;

/// How long accepting rests when the process has no file descriptor left.
const PAUSE: Duration = Duration::from_millis(50);

/// A snapshot that can be fetched, as long as this is held.
pub struct SnapshotOffer {
    place: SocketPlace,
    talking: Arc<AtomicUsize>,
    _accepting: JoinSet<()>,
}

impl SnapshotOffer {
    /// Offers the snapshot in `folder` at a socket in `directory`, which is made, and is this
    /// process's alone. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The socket can't be made there.
    pub fn new(folder: &Path, directory: &Path) -> io::Result<SnapshotOffer> {
        let (place, listener) = SocketPlace::prepare(directory)?;
        let talking = Arc::new(AtomicUsize::new(0));
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, folder.join("data"), talking.clone()));
        Ok(SnapshotOffer {
            place,
            talking,
            _accepting: accepting,
        })
    }

    /// Its socket.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Is somebody fetching it now?
    pub fn is_in_use(&self) -> bool {
        self.talking.load(Ordering::Relaxed) > 0
    }
}

async fn accept(listener: UnixListener, data: PathBuf, talking: Arc<AtomicUsize>) {
    // Ends its conversations with itself.
    let mut conversations = JoinSet::new();
    loop {
        while conversations.try_join_next().is_some() {}
        talking.store(conversations.len(), Ordering::Relaxed);
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = conversations.join_next(), if !conversations.is_empty() => continue,
        };
        match accepted {
            Ok(_) if conversations.len() >= MOST_AT_ONCE => {}
            Ok((stream, _)) => {
                let data = data.clone();
                conversations.spawn(async move {
                    if let Err(cause) = serve(stream, data).await {
                        tracing::debug!(%cause, "a snapshot's copy was cut off");
                    }
                });
            }
            Err(cause) => {
                tracing::warn!(%cause, "a copier could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(mut stream: UnixStream, data: PathBuf) -> io::Result<()> {
    let mut greeting = [0; GREETING.len()];
    let mut expected = [0; 32];
    let asked = async {
        stream.read_exact(&mut greeting).await?;
        let held = stream.read_u64().await?;
        stream.read_exact(&mut expected).await?;
        io::Result::Ok(held)
    };
    let held = timeout(STILL, asked).await??;
    if greeting != *GREETING {
        return Err(odd("another version is asked for"));
    }
    let (data, pieces) = blocking(move || {
        let data = files::open_directory(&data)?;
        let pieces = list(&data)?;
        Ok((data, pieces))
    })
    .await?;
    let mut data = Some(data);
    let held = usize::try_from(held).unwrap_or(usize::MAX);
    let goes_on =
        held <= pieces.len() && sum_of(pieces[..held.min(pieces.len())].iter()) == expected;
    let (answer, from) = match goes_on {
        true => (GO_ON, held),
        false => (BEGIN_ANEW, 0),
    };
    timeout(STILL, stream.write_u8(answer)).await??;
    for piece in &pieces[from..] {
        let (open, wanted) = (data.take(), piece.clone());
        let (open, bytes) = blocking(move || {
            let open = open.ok_or_else(|| odd("its data are closed"))?;
            let bytes = read(&open, &wanted)?;
            Ok((open, bytes))
        })
        .await?;
        data = Some(open);
        let mut message = piece.header();
        message.extend(sum(&bytes));
        message.extend(bytes);
        timeout(STILL, stream.write_all(&message)).await??;
    }
    let mut end = vec![b'.'];
    end.extend((pieces.len() as u64).to_be_bytes());
    timeout(STILL, stream.write_all(&end)).await??;
    stream.shutdown().await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other)?
}

/// All pieces of what is in a directory, in an order that is the same each time.
fn list(data: &OwnedFd) -> io::Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    list_below(data, "", &mut pieces)?;
    Ok(pieces)
}

fn list_below(directory: &OwnedFd, above: &str, pieces: &mut Vec<Piece>) -> io::Result<()> {
    let mut names = files::names(directory)?;
    names.sort_by(|one, other| one.0.cmp(&other.0));
    for (name, kind) in names {
        let text = name.to_str().map_err(io::Error::other)?;
        let path = format!("{above}{text}");
        if !is_path(&path) || pieces.len() >= MOST_PIECES {
            return Err(odd("it holds what no snapshot holds, or more"));
        }
        match kind {
            FileType::Directory => {
                pieces.push(Piece {
                    kind: Kind::Directory,
                    path: path.clone(),
                    offset: 0,
                    length: 0,
                });
                let inner = files::open_directory_in(directory, text)?;
                list_below(&inner, &format!("{path}/"), pieces)?;
            }
            FileType::RegularFile => {
                let facts = rustix::fs::statat(directory, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
                let size = u64::try_from(facts.st_size).unwrap_or(0);
                // An empty file is one piece of no bytes.
                for number in 0..size.div_ceil(PIECE).max(1) {
                    let offset = number * PIECE;
                    let length = u32::try_from((size - offset).min(PIECE)).unwrap_or(0);
                    pieces.push(Piece {
                        kind: Kind::File,
                        path: path.clone(),
                        offset,
                        length,
                    });
                }
            }
            _ => return Err(odd("it holds what is no file")),
        }
    }
    Ok(())
}

/// The bytes of a piece.
fn read(data: &OwnedFd, piece: &Piece) -> io::Result<Vec<u8>> {
    if piece.kind == Kind::Directory {
        return Ok(Vec::new());
    }
    let mut names = piece.path.split('/').peekable();
    let mut at: Option<OwnedFd> = None;
    while let Some(name) = names.next() {
        let directory = at.as_ref().unwrap_or(data);
        if names.peek().is_some() {
            at = Some(files::open_directory_in(directory, name)?);
            continue;
        }
        let length = u64::from(piece.length);
        let bytes = files::read_part_in(directory, name, piece.offset, length)?;
        let bytes = bytes.ok_or_else(|| odd("a file is gone"))?;
        if bytes.len() as u64 != length {
            return Err(odd("a file is shorter than it was"));
        }
        return Ok(bytes);
    }
    Err(odd("a piece has no path"))
}
