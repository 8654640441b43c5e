//! Writing the lab's small files: whole or not at all, and secret ones for the owner's eyes only.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
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

/// The file's text.
pub fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))
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
    let mode = match readers {
        Readers::Anyone => 0o644,
        Readers::Owner => 0o600,
    };
    let new = path.with_extension("new");
    if let Err(cause) = fs::remove_file(&new)
        && cause.kind() != std::io::ErrorKind::NotFound
    {
        return Err(cause);
    }
    // Created with its mode: at no moment is a secret open to others.
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
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
