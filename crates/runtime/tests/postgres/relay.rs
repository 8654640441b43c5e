//! What stands for the link between two servers: a socket that leads to another's, and can be cut.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A way to a server's socket.
pub(crate) struct Relay {
    directory: PathBuf,
    cut: Arc<AtomicBool>,
    cuts: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Relay {
    /// From a socket in that directory, which is made, to the one in the other.
    pub(crate) fn new(directory: PathBuf, target: &Path) -> Relay {
        std::fs::create_dir(&directory).unwrap();
        let open = |path: &Path| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
        };
        open(&directory);
        let socket = directory.join(".s.PGSQL.5432");
        let listener = UnixListener::bind(&socket).unwrap();
        open(&socket);
        let target = target.join(".s.PGSQL.5432");
        let cut = Arc::new(AtomicBool::new(false));
        let (cuts, seen) = watch::channel(0);
        let is_cut = Arc::clone(&cut);
        let task = tokio::spawn(async move {
            loop {
                let (mut here, _) = listener.accept().await.unwrap();
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let (target, mut seen) = (target.clone(), seen.clone());
                seen.borrow_and_update();
                tokio::spawn(async move {
                    let Ok(mut there) = UnixStream::connect(target).await else {
                        return;
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut here, &mut there) => {}
                        _ = seen.changed() => {}
                    }
                });
            }
        });
        Relay {
            directory,
            cut,
            cuts,
            task,
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Ends what goes over it, and lets nothing more through.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    pub(crate) fn heal(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}
