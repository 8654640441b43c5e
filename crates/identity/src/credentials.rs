//! The file `credentials` of a deployment, in the form of AWS's shared credentials file, so that
//! `AWS_SHARED_CREDENTIALS_FILE` can name it as it is. Its first line says which form it is of.
//! Only the profile `default` is written or read; opening the file is someone else's.

use zeroize::Zeroizing;

use crate::{InvalidRootKey, RootKey};

/// The first line of the form that is written, and the only one that is read.
const FIRST_LINE: &str = "# Causeway root credentials, format 1";

/// How the first line of any form starts.
const FIRST_LINE_START: &str = "# Causeway root credentials, format ";

/// The text isn't a credentials file of ours. No variant repeats a line of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Another program's file.
    #[error("not a credentials file of Causeway: its first line isn't '{FIRST_LINE}'")]
    NotOurs,
    /// Written by a newer Causeway.
    #[error("a credentials file of another format than 1: use the Causeway that wrote it")]
    Version,
    /// A line that has no place there; counted from 1.
    #[error("line {0} of the credentials file is not understood")]
    Line(usize),
    /// The key's id or its secret isn't there.
    #[error("the credentials file lacks {0}")]
    Missing(&'static str),
    /// Both are there but are no key.
    #[error("the credentials file holds no valid key: {0}")]
    Key(#[from] InvalidRootKey),
}

/// The file's text for a key; it holds the secret, so its file is for its owner's eyes alone.
pub fn write_credentials(key: &RootKey) -> Zeroizing<String> {
    let (id, secret) = (key.access_key_id(), key.secret().expose());
    Zeroizing::new(format!(
        "{FIRST_LINE}\n[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"
    ))
}

/// The key of such a file.
///
/// # Errors
///
/// [`CredentialsError`] says what is wrong with it, and where.
pub fn parse_credentials(text: &str) -> Result<RootKey, CredentialsError> {
    let mut lines = text.lines().enumerate();
    match lines.next() {
        Some((_, first)) if first.trim_end() == FIRST_LINE => {}
        Some((_, first)) if first.starts_with(FIRST_LINE_START) => {
            return Err(CredentialsError::Version);
        }
        _ => return Err(CredentialsError::NotOurs),
    }
    let [mut id, mut secret] = [None, None];
    for (index, line) in lines {
        let misplaced = CredentialsError::Line(index + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line == "[default]" {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or(misplaced)?;
        let slot = match name.trim_end() {
            "aws_access_key_id" => &mut id,
            "aws_secret_access_key" => &mut secret,
            _ => return Err(misplaced),
        };
        if slot.replace(value.trim_start()).is_some() {
            return Err(misplaced);
        }
    }
    let id = id.ok_or(CredentialsError::Missing("aws_access_key_id"))?;
    let secret = secret.ok_or(CredentialsError::Missing("aws_secret_access_key"))?;
    Ok(RootKey::new(id, secret)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> RootKey {
        RootKey::new("AKIAIOSFODNN7EXAMPLE", &"a+/b".repeat(10)).unwrap()
    }

    #[test]
    fn the_file_is_one_that_aws_tools_read() {
        let text = write_credentials(&key());
        let secret = "a+/b".repeat(10);
        assert_eq!(
            *text,
            format!(
                "# Causeway root credentials, format 1\n[default]\n\
                 aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {secret}\n"
            )
        );
        assert_eq!(parse_credentials(&text), Ok(key()));
    }

    #[test]
    fn what_is_wrong_is_named_without_repeating_it() {
        let text = write_credentials(&key());
        let changed = |from: &str, to: &str| parse_credentials(&text.replacen(from, to, 1));
        assert_eq!(parse_credentials(""), Err(CredentialsError::NotOurs));
        assert_eq!(
            changed("format 1", "format 2"),
            Err(CredentialsError::Version)
        );
        assert_eq!(
            changed("[default]", "[other]"),
            Err(CredentialsError::Line(2))
        );
        assert_eq!(
            changed("aws_secret", "aws_sacred"),
            Err(CredentialsError::Line(4))
        );
        let twice = "aws_access_key_id = x\naws_access_key_id";
        assert_eq!(
            changed("aws_access_key_id", twice),
            Err(CredentialsError::Line(4))
        );
        assert_eq!(
            changed("aws_secret_access_key", "# "),
            Err(CredentialsError::Missing("aws_secret_access_key"))
        );
        let error = changed("AKIA", "BKIA").unwrap_err();
        assert_eq!(error, CredentialsError::Key(InvalidRootKey::AccessKeyId));
        assert!(!error.to_string().contains("IOSFODNN7EXAMPLE"));
    }
}
