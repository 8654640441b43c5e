//! Files and directories that root hands to the server's user. In a directory that the user owns
//! nothing is reached by a path: it could put a link there. Symbolic links are never followed,
//! never copied.

use std::ffi::CStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, fchmod, fstat, mkdirat, open, openat, syncfs, unlinkat,
};

use super::account::Account;

/// Opens a directory, itself and no link to one.
pub(super) fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, directory_flags(), Mode::empty())?)
}

/// Opens a directory of an open one, itself and no link to one.
pub(super) fn open_directory_in(directory: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    Ok(openat(directory, name, directory_flags(), Mode::empty())?)
}

/// Makes a directory in one that only this process's user writes to; gives it to the account if
/// there is one. It must not exist.
pub(super) fn make_directory(path: &Path, mode: u32, owner: Option<&Account>) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    let directory = open_directory(path)?;
    hand_over(&directory, mode, owner)
}

/// Replaces a file of a directory that only this process's user writes to: the whole of it or
/// nothing, and on the disk when this returns.
pub(super) fn replace(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    owner: Option<&Account>,
) -> io::Result<()> {
    write_beside(path, bytes, mode, owner)?.sync_all()?;
    std::fs::rename(beside(path), path)?;
    sync_directory(path.parent().unwrap_or(Path::new("/")))
}

/// Replaces a file as [`replace`] does, and leaves it to the system when it is on the disk: a power
/// cut may leave it empty.
pub(super) fn put(path: &Path, bytes: &[u8], mode: u32, owner: Option<&Account>) -> io::Result<()> {
    write_beside(path, bytes, mode, owner)?;
    std::fs::rename(beside(path), path)
}

fn beside(path: &Path) -> std::path::PathBuf {
    path.with_extension("new")
}

fn write_beside(path: &Path, bytes: &[u8], mode: u32, owner: Option<&Account>) -> io::Result<File> {
    let fresh = beside(path);
    remove_if_there(&fresh)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = open(&fresh, flags, Mode::from_raw_mode(0o600))?;
    hand_over(&file, mode, owner)?;
    let mut file = File::from(file);
    file.write_all(bytes)?;
    Ok(file)
}

/// Removes a file of a directory that only this process's user writes to.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

/// What was made, renamed or removed in a directory is on the disk when this returns.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::from(open_directory(path)?).sync_all()
}

/// All that was written to the file system of this directory is on the disk when this returns.
pub(super) fn sync_file_system(path: &Path) -> io::Result<()> {
    Ok(syncfs(open_directory(path)?)?)
}

/// Makes a file anew in an open directory that the account owns; what had its name is gone.
pub(super) fn write_in(
    directory: impl AsFd,
    name: &str,
    bytes: &[u8],
    owner: &Account,
) -> io::Result<()> {
    remove_in(&directory, name)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&directory, name, flags, Mode::from_raw_mode(0o600))?;
    owner.own(&file)?;
    let mut file = File::from(file);
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(rustix::fs::fsync(directory)?)
}

/// Removes a name of an open directory, if it is there and no directory.
pub(super) fn remove_in(directory: impl AsFd, name: &str) -> io::Result<()> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Err(rustix::io::Errno::NOENT) | Ok(()) => Ok(()),
        Err(cause) => Err(cause.into()),
    }
}

/// Removes everything in a directory of an open directory, and not itself.
pub(super) fn empty_in(directory: impl AsFd, name: &str) -> io::Result<()> {
    let inner = openat(directory, name, directory_flags(), Mode::empty())?;
    for (name, kind) in names(&inner)? {
        match kind {
            FileType::Directory => {
                let text = name.to_str().map_err(io::Error::other)?;
                empty_in(&inner, text)?;
                unlinkat(&inner, &*name, AtFlags::REMOVEDIR)?;
            }
            _ => unlinkat(&inner, &*name, AtFlags::empty())?,
        }
    }
    Ok(())
}

/// The first bytes of a file in an open directory, at most so many; none if it isn't there.
pub(super) fn read_in(
    directory: impl AsFd,
    name: &str,
    most: usize,
) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(directory, name, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        other => File::from(other?),
    };
    let mut bytes = Vec::new();
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// So many bytes of a file in an open directory from that place on; none if it isn't there.
pub(super) fn read_part_in(
    directory: impl AsFd,
    name: &str,
    from: u64,
    most: u64,
) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = match openat(directory, name, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        other => File::from(other?),
    };
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// What was copied.
#[derive(Clone, Copy, Default)]
pub(super) struct Copied {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

/// Copies what is in one open directory into another, which is empty, and gives it to the account.
/// What `skip` names in the topmost directory stays behind, a directory's insides if it is one.
/// Anything but files and directories is an error.
pub(super) fn copy_tree(
    from: &OwnedFd,
    to: &OwnedFd,
    owner: &Account,
    skip: &[&str],
    copied: &mut Copied,
) -> io::Result<()> {
    for (name, kind) in names(from)? {
        let skipped = skip.iter().any(|skip| name.to_bytes() == skip.as_bytes());
        match kind {
            FileType::Directory => {
                let inner = openat(from, &*name, directory_flags(), Mode::empty())?;
                mkdirat(to, &*name, Mode::from_raw_mode(0o700))?;
                let copy = openat(to, &*name, directory_flags(), Mode::empty())?;
                hand_over(&copy, 0o700, Some(owner))?;
                if !skipped {
                    copy_tree(&inner, &copy, owner, &[], copied)?;
                }
            }
            _ if skipped => {}
            FileType::RegularFile => {
                copied.bytes += copy_file(from, to, &name, owner)?;
                copied.files += 1;
            }
            // A link would be a tablespace elsewhere, which nobody here can make.
            _ => {
                let name = name.to_string_lossy();
                return Err(io::Error::other(format!("{name} is no file")));
            }
        }
    }
    Ok(())
}

/// Opens a file of an open directory to be read, itself and no link to one.
pub(super) fn open_in(directory: impl AsFd, name: &str) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(openat(directory, name, flags, Mode::empty())?))
}

/// Copies a file of one open directory into another, where none has its name; gives its bytes.
pub(super) fn copy_file(
    from: &OwnedFd,
    to: &OwnedFd,
    name: &CStr,
    owner: &Account,
) -> io::Result<u64> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut source = File::from(openat(from, name, flags, Mode::empty())?);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let copy = openat(to, name, flags, Mode::from_raw_mode(0o600))?;
    owner.own(&copy)?;
    io::copy(&mut source, &mut File::from(copy))
}

/// How much is in an open directory, with all below it.
pub(super) fn measure(directory: &OwnedFd, found: &mut Copied) -> io::Result<()> {
    for (name, kind) in names(directory)? {
        if kind == FileType::Directory {
            let inner = openat(directory, &*name, directory_flags(), Mode::empty())?;
            measure(&inner, found)?;
        } else {
            let facts = rustix::fs::statat(directory, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
            found.bytes += u64::try_from(facts.st_size).unwrap_or(0);
            found.files += 1;
        }
    }
    Ok(())
}

/// The names in an open directory, each with what it is.
pub(super) fn names(directory: &OwnedFd) -> io::Result<Vec<(std::ffi::CString, FileType)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let facts = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(facts.st_mode)
            }
            kind => kind,
        };
        found.push((name.to_owned(), kind));
    }
    Ok(found)
}

fn hand_over(file: impl AsFd, mode: u32, owner: Option<&Account>) -> io::Result<()> {
    // First its mode: once it is another's, that one may change it as well.
    fchmod(&file, Mode::from_raw_mode(mode))?;
    if let Some(owner) = owner {
        owner.own(&file)?;
    }
    Ok(())
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Is it the same directory as the one that is open?
pub(super) fn is_same(directory: impl AsFd, path: &str) -> bool {
    let (Ok(one), Ok(other)) = (fstat(directory), rustix::fs::stat(path)) else {
        return false;
    };
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}
