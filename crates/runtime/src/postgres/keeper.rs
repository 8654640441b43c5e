//! Who outlives this process by the moment it takes to end a server. The kernel kills the
//! postmaster when this process goes; its children see that when they next wait for something,
//! which one that computes may not do for hours. So a shell of its own waits for the end of a pipe
//! and kills what is left. It keeps the directory's lock until then.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};

use tokio::sync::watch;

use crate::DirectoryLock;

/// `$1` is the data directory, where every process of its server stands. The bound is some 60 s:
/// what can't be killed by then waits for a broken disk.
const SCRIPT: &str = r#"
read -r line
rounds=0
while [ "$rounds" -lt 1200 ]; do
  left=
  for process in /proc/[0-9]*; do
    [ "$process/cwd" -ef "$1" ] || continue
    read -r name < "$process/comm" || continue
    [ "$name" = postgres ] || continue
    kill -9 "${process#/proc/}"
    left=yes
  done
  [ "$left" ] || break
  rounds=$((rounds + 1))
  sleep 0.05
done 2> /dev/null
# The kernel keeps a killed server's shared memory until someone removes it.
if [ -f "$1/postmaster.pid" ]; then
  number=$(sed -n '7s/^ *[0-9][0-9]* *\([0-9][0-9]*\) *$/\1/p' "$1/postmaster.pid")
  [ "$number" ] && ipcrm -m "$number" 2> /dev/null
fi
"#;

/// The shell that ends one server.
pub(super) struct Keeper {
    /// Its end is the end of the server.
    pipe: Option<ChildStdin>,
    ended: watch::Receiver<bool>,
}

impl Keeper {
    /// Starts it, before the server.
    pub(super) fn start(data: &std::path::Path, lock: &DirectoryLock) -> io::Result<Keeper> {
        let held: OwnedFd = lock.as_fd().try_clone_to_owned()?;
        let mut process = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "keeper"])
            .arg(data)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::from(held))
            .stderr(Stdio::null())
            // Away from the terminal's signals, and from those that end this process's group.
            .process_group(0)
            .spawn()?;
        let pipe = process.stdin.take();
        let (end, ended) = watch::channel(false);
        std::thread::Builder::new()
            .name("keeper".into())
            .stack_size(128 * 1024)
            .spawn(move || {
                if let Err(cause) = process.wait() {
                    tracing::warn!(%cause, "the keeper of a server can't be waited for");
                }
                end.send_replace(true);
            })?;
        Ok(Keeper { pipe, ended })
    }

    /// Has it end the server, if it hasn't ended; resolves when nothing of it is left.
    pub(super) async fn finish(&mut self) {
        self.pipe.take();
        // Its thread sends before it ends.
        self.ended.wait_for(|ended| *ended).await.ok();
    }
}
