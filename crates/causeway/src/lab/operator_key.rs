//! The operator's key: 32 bytes that secrets at rest are sealed with. It stands in a file beside
//! the lab's directory, never in it: a copy of the directory holds no secret in the open.

use std::path::Path;

use anyhow::Context;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::files::{self, Readers};

/// How many bytes it has.
const BYTES: usize = 32;

/// The operator's key, in hexadecimal digits; never printed.
pub struct OperatorKey(Zeroizing<String>);

impl OperatorKey {
    /// The key of the lab in that directory: that of the file beside it, which is made if there is
    /// none.
    pub fn find_or_make(directory: &Path) -> anyhow::Result<OperatorKey> {
        let name = directory
            .file_name()
            .context("a lab's directory has a name")?;
        let mut name = name.to_owned();
        name.push(".operator-key");
        let file = directory.with_file_name(name);
        if !file.exists() {
            let mut random = Zeroizing::new([0; BYTES]);
            runtime::fill_random(&mut *random);
            let digits = random.iter().map(|byte| format!("{byte:02x}"));
            let text = Zeroizing::new(digits.collect::<String>());
            files::write(&file, &text, Readers::Owner)?;
        }
        let text = Zeroizing::new(files::read(&file)?);
        let digits = text.trim();
        let is_digit = |byte: u8| byte.is_ascii_hexdigit();
        if digits.len() != 2 * BYTES || !digits.bytes().all(is_digit) {
            let failure = format!("{} is no key of 64 hexadecimal digits", file.display());
            return Err(Failure::wrong_use(failure).into());
        }
        Ok(OperatorKey(Zeroizing::new(digits.to_ascii_lowercase())))
    }

    /// It as text, for the processes that need it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_beside_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("data");
        let first = OperatorKey::find_or_make(&directory).unwrap();
        let second = OperatorKey::find_or_make(&directory).unwrap();
        assert_eq!(first.expose(), second.expose());
        assert_eq!(first.expose().len(), 64);
        let file = folder.path().join("data.operator-key");
        std::fs::write(&file, "secret").unwrap();
        let refused = OperatorKey::find_or_make(&directory).err().unwrap();
        assert!(
            refused.to_string().contains("data.operator-key"),
            "{refused}"
        );
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
}
