//! Writing the lab's small files: whole or not at all, and secret ones for the owner's eyes only.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Readers {
    /// Whoever the directory lets in.
    Anyone,
    /// The owner alone: mode 0600.
    Owner,
}

/// Puts `text` in the place of the file: after a crash it holds the old text or the new one.
pub fn write(path: &Path, text: &str, readers: Readers) -> anyhow::Result<()> {
    replace(path, text, readers).with_context(|| format!("can't write {}", path.display()))
}

/// As [`write()`], unless there is such a file; true if there was none. What is written first goes
/// by this other extension, so that it comes into nobody's way who replaces the file meanwhile.
pub fn write_first(path: &Path, text: &str, readers: Readers, other: &str) -> anyhow::Result<bool> {
    let new = path.with_extension(other);
    let written = fill(&new, text, readers).and_then(|()| match fs::hard_link(&new, path) {
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(false),
        linked => linked.map(|()| true),
    });
    // One that stays is replaced by the next.
    fs::remove_file(&new).ok();
    let synced = written.and_then(|is_first| sync_directory(path).map(|()| is_first));
    synced.with_context(|| format!("can't write {}", path.display()))
}

/// The file's text.
pub fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))
}

/// Removes the file, if it is there.
pub fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => {
            Err(cause).with_context(|| format!("can't remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Makes the directory and those above it, for the owner alone. Makes all or none.
pub fn create_new_directories(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let missing = path.ancestors().take_while(|path| !path.exists());
    let missing: Vec<&Path> = missing
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    for (made, directory) in missing.iter().rev().enumerate() {
        if let Err(cause) = fs::DirBuilder::new().mode(0o700).create(directory) {
            for made in &missing[missing.len() - made..] {
                // It is empty, or somebody else has put something there already.
                fs::remove_dir(made).ok();
            }
            return Err(cause);
        }
    }
    Ok(())
}

/// Makes the directory and those above it, for the owner alone.
pub fn create_directory(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("can't make the directory {}", path.display()))
}

fn replace(path: &Path, text: &str, readers: Readers) -> std::io::Result<()> {
    let new = path.with_extension("new");
    fill(&new, text, readers)?;
    fs::rename(&new, path)?;
    sync_directory(path)
}

/// Makes that file with this in it, in the place of one that a crash has left.
fn fill(new: &Path, text: &str, readers: Readers) -> std::io::Result<()> {
    let mode = match readers {
        Readers::Anyone => 0o644,
        Readers::Owner => 0o600,
    };
    if let Err(cause) = fs::remove_file(new)
        && cause.kind() != ErrorKind::NotFound
    {
        return Err(cause);
    }
    // Created with its mode: at no moment is a secret open to others.
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> std::io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn directories_are_made_all_or_none() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("a/b/c");
        create_new_directories(&deep).unwrap();
        create_new_directories(&deep).unwrap();
        let mode = fs::metadata(&deep).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        // A name that no file system takes.
        let wrong = directory.path().join("x/y").join("n".repeat(300));
        assert!(create_new_directories(&wrong).is_err());
        assert!(!directory.path().join("x").exists());
    }

    #[test]
    fn a_file_that_is_there_is_not_written_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("drain.toml");
        assert!(write_first(&path, "one", Readers::Anyone, "first").unwrap());
        assert!(!write_first(&path, "two", Readers::Anyone, "first").unwrap());
        assert_eq!(read(&path).unwrap(), "one");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_secret_file_is_its_owner_s_alone_and_is_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials");
        for text in ["first", "second"] {
            write(&path, text, Readers::Owner).unwrap();
            assert_eq!(read(&path).unwrap(), text);
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
