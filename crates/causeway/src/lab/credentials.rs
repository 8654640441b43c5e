//! The lab's file `credentials`: the deployment's root key, sealed with the operator's key. It also
//! tells whether a key is the lab's own. A file in the clear, as older versions wrote it, is read.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use identity::{
    NONCE_BYTES, Purpose, RANDOM_BYTES, RootKey, SealError, parse_credentials, write_credentials,
};
use zeroize::Zeroizing;

use super::OperatorKey;
use crate::failure::Failure;
use crate::files::{self, Readers};

/// The file's name, which it is sealed for too.
pub const NAME: &str = "credentials";

/// What stands before the sealed bytes.
const SEALED: &str = "sealed = ";

/// What to do about a file that can't be used.
const COPY: &str = "put a copy of the file back that was made while it was whole; a newer \
                    version's file needs that version";

const HEAD: &str = "\
# The lab's root key, sealed with the operator's key. `causeway env` opens it.
";

/// What a directory's file holds.
pub struct Credentials {
    /// The deployment's root key.
    pub root_key: RootKey,
    /// Is the file in the clear?
    pub is_clear: bool,
}

impl Credentials {
    /// Reads the file of a lab. The operator's key is needed only if it is sealed.
    ///
    /// # Errors
    /// If the key is missing or another one, or the file is damaged or a newer version's.
    pub fn read(directory: &Path, given: Option<&OperatorKey>) -> anyhow::Result<Credentials> {
        let file = directory.join(NAME);
        if !file.exists() {
            let failure = format!("the lab's file {} is missing", file.display());
            return Err(Failure::wrong_use(failure).then(COPY).into());
        }
        let text = Zeroizing::new(files::read(&file)?);
        let wrong = |cause: &dyn std::fmt::Display| {
            Failure::wrong_use(format!("{}: {cause}", file.display())).then(COPY)
        };
        let sealed = text.lines().find_map(|line| line.strip_prefix(SEALED));
        let Some(sealed) = sealed else {
            let root_key = parse_credentials(&text).map_err(|cause| wrong(&cause))?;
            let is_clear = true;
            return Ok(Credentials { root_key, is_clear });
        };
        let key = OperatorKey::find(directory, given)?;
        let sealed = STANDARD.decode(sealed.trim());
        let sealed = sealed.map_err(|_| wrong(&SealError::Damaged))?;
        let opened = key.sealer().open(Purpose::Credentials, NAME, &sealed);
        let opened = opened.map_err(|cause| match cause {
            SealError::OtherKey => key.is_another(directory),
            other => wrong(&other),
        })?;
        let opened = std::str::from_utf8(&opened).map_err(|_| wrong(&SealError::Damaged))?;
        let root_key = parse_credentials(opened).map_err(|cause| wrong(&cause))?;
        let is_clear = false;
        Ok(Credentials { root_key, is_clear })
    }

    /// Writes the file, sealed.
    pub fn write(directory: &Path, root_key: &RootKey, key: &OperatorKey) -> anyhow::Result<()> {
        let mut nonce = [0; NONCE_BYTES];
        runtime::fill_random(&mut nonce);
        let clear = write_credentials(root_key);
        let sealer = key.sealer();
        let sealed = sealer.seal(Purpose::Credentials, NAME, clear.as_bytes(), &nonce);
        let text = format!("{HEAD}{SEALED}{}\n", STANDARD.encode(sealed));
        files::write(&directory.join(NAME), &text, Readers::Owner)
    }

    /// Makes a root key and writes it, unless the file is there.
    pub fn make(directory: &Path, key: &OperatorKey) -> anyhow::Result<()> {
        if directory.join(NAME).exists() {
            return Ok(());
        }
        let mut random = Zeroizing::new([0; RANDOM_BYTES]);
        runtime::fill_random(&mut *random);
        Credentials::write(directory, &RootKey::generate(&random), key)
    }
}
