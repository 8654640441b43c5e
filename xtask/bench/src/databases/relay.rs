//! A relay that gives a connection between two servers the delay of a link: what comes in leaves
//! so much later, in both directions, in its order. It bounds no rate and knows no protocol.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::load::sleep_until;

/// Reads that are under way at once in a direction, of at most [`CHUNK`] bytes each.
const UNDER_WAY: usize = 4096;

/// The most that is read at once, in bytes.
const CHUNK: usize = 32 * 1024;

/// A relay, until it is dropped.
pub struct Relay {
    socket: PathBuf,
    is_cut: Arc<AtomicBool>,
}

impl Relay {
    /// Listens at `.s.PGSQL.5432` in `directory`, which only whom it serves should be able to
    /// enter, and hands each connection to the socket of that name in `to`.
    pub fn start(directory: &Path, to: &Path, delay: Duration) -> io::Result<Relay> {
        let socket = directory.join(".s.PGSQL.5432");
        let listener = UnixListener::bind(&socket)?;
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o777))?;
        let is_cut = Arc::new(AtomicBool::new(false));
        let (stopped, to) = (is_cut.clone(), to.join(".s.PGSQL.5432"));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // Who can't be served is hung up on, and comes again.
                if let (Ok(client), Ok(server)) = (client, UnixStream::connect(&to)) {
                    let _ = serve(client, server, delay, &stopped);
                }
            }
        });
        Ok(Relay { socket, is_cut })
    }

    /// Loses what is under way, and takes nothing more.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
        // Has the listener look; it fails only if the listener is gone already.
        let _ = UnixStream::connect(&self.socket);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
    }
}

fn serve(
    client: UnixStream,
    server: UnixStream,
    delay: Duration,
    is_cut: &Arc<AtomicBool>,
) -> io::Result<()> {
    let back = (server.try_clone()?, client.try_clone()?);
    for (from, to) in [(client, server), back] {
        let (sender, receiver) = sync_channel(UNDER_WAY);
        let is_cut = is_cut.clone();
        std::thread::spawn(move || take(from, &sender, delay));
        std::thread::spawn(move || give(to, &receiver, &is_cut));
    }
    Ok(())
}

/// Reads to the end; each piece with when it is due.
fn take(mut from: UnixStream, sender: &SyncSender<(Instant, Vec<u8>)>, delay: Duration) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut chunk) {
        let piece = chunk[..length].to_vec();
        if sender.send((Instant::now() + delay, piece)).is_err() {
            return;
        }
    }
}

/// Writes each piece when it is due, until the end or the cut.
fn give(mut to: UnixStream, receiver: &Receiver<(Instant, Vec<u8>)>, is_cut: &AtomicBool) {
    while let Ok((due, piece)) = receiver.recv() {
        sleep_until(due);
        if is_cut.load(Ordering::Relaxed) || to.write_all(&piece).is_err() {
            break;
        }
    }
    // It fails only if the other side is gone.
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Folder;

    #[test]
    fn what_is_relayed_is_late_by_the_delay_each_way_and_lost_at_a_cut() {
        let folder = Folder::new("relay").unwrap();
        let (near, far) = (folder.path().join("near"), folder.path().join("far"));
        std::fs::create_dir(&near).unwrap();
        std::fs::create_dir(&far).unwrap();
        let listener = UnixListener::bind(far.join(".s.PGSQL.5432")).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut byte = [0];
            while stream.read_exact(&mut byte).is_ok() {
                let _ = stream.write_all(&byte);
            }
        });
        let relay = Relay::start(&near, &far, Duration::from_millis(40)).unwrap();
        let mut client = UnixStream::connect(near.join(".s.PGSQL.5432")).unwrap();
        let (began, mut byte) = (Instant::now(), [7]);
        client.write_all(&byte).unwrap();
        client.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [7]);
        assert!(began.elapsed() >= Duration::from_millis(80));
        client.write_all(&byte).unwrap();
        relay.cut();
        assert!(client.read_exact(&mut byte).is_err());
    }
}
