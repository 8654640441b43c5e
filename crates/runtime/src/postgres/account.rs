//! Who a server runs as: the system's user `postgres` when this process is root, which PostgreSQL
//! refuses to be; else whoever this process is.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, open};

use crate::SocketOwner;

/// The user that packages of PostgreSQL make.
const NAME: &str = "postgres";

/// The system's users (passwd(5)).
const USERS: &str = "/etc/passwd";

/// Who runs servers and owns their files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Account {
    user: u32,
    group: u32,
    /// This process is root and becomes that user for what it starts.
    switch: bool,
}

impl Account {
    /// Finds it, or says why there is none.
    pub(super) fn find() -> Result<Account, String> {
        let own = rustix::process::geteuid();
        if !own.is_root() {
            return Ok(Account {
                user: own.as_raw(),
                group: rustix::process::getegid().as_raw(),
                switch: false,
            });
        }
        let users = std::fs::read_to_string(USERS).map_err(|cause| format!("{USERS}: {cause}"))?;
        let (user, group) =
            numbers_of(NAME, &users).ok_or_else(|| format!("no user {NAME} in {USERS}"))?;
        Ok(Account {
            user,
            group,
            switch: true,
        })
    }

    /// Whom a socket must belong to that this user is to connect to; `None`: it needs no change.
    pub(super) fn socket_owner(&self) -> Option<SocketOwner> {
        self.switch.then_some(SocketOwner {
            user: self.user,
            group: self.group,
        })
    }

    /// The command runs as this user, without any other group of this process's.
    pub(super) fn run(&self, command: &mut Command) {
        if self.switch {
            command.uid(self.user).gid(self.group);
        }
    }

    /// Gives it an open file or directory. By its descriptor: a path's end could be replaced by
    /// whoever owns the directory before it.
    pub(super) fn own(&self, file: impl AsFd) -> io::Result<()> {
        if self.switch {
            let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.group));
            fchown(file, Some(user), Some(group))?;
        }
        Ok(())
    }

    /// Lets this user pass through a directory of this process's to what it knows the name of, and
    /// read nothing of it. Takes nobody's access away; does nothing where servers are this
    /// process's own user.
    pub(super) fn let_pass(&self, directory: &Path) -> io::Result<()> {
        if !self.switch {
            return Ok(());
        }
        // The path may end in a link of the operator's; what it leads to may not be another then.
        let real = directory.canonicalize()?;
        let opened = open(
            &real,
            OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let seen = fstat(&opened)?;
        let is_ours = seen.st_uid == rustix::process::geteuid().as_raw();
        let mode = Mode::from_raw_mode(seen.st_mode);
        if is_ours && !mode.contains(Mode::XOTH) {
            fchmod(&opened, mode | Mode::XOTH)?;
        }
        Ok(())
    }

    /// The first directory on the way to this one that the user may not pass through.
    pub(super) fn barred(&self, directory: &Path) -> io::Result<Option<PathBuf>> {
        if !self.switch {
            return Ok(None);
        }
        let directory = directory.canonicalize()?;
        let mut way: Vec<&Path> = directory.ancestors().collect();
        way.reverse();
        for step in way {
            let facts = std::fs::metadata(step)?;
            let bit = match () {
                () if facts.uid() == self.user => 0o100,
                () if facts.gid() == self.group => 0o010,
                () => 0o001,
            };
            if facts.mode() & bit == 0 {
                return Ok(Some(step.to_owned()));
            }
        }
        Ok(None)
    }
}

/// The numbers of a user and its group. Neither is root's.
fn numbers_of(name: &str, users: &str) -> Option<(u32, u32)> {
    let line = users
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let mut fields = line.split(':').skip(1);
    let user = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    (user != 0 && group != 0).then_some((user, group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name_and_is_never_root() {
        let users = "root:x:0:0::/root:/bin/sh\npostgresql:x:7:8::/:/bin/sh\n\
                     postgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(numbers_of("postgres", users), Some((101, 104)));
        assert_eq!(numbers_of("post", users), None);
        assert_eq!(numbers_of("root", users), None);
        assert_eq!(numbers_of("postgres", "postgres:x"), None);
    }
}
