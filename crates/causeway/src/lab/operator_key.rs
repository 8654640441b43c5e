//! The operator's key: 32 bytes that every caller's secret at rest is sealed with. It is given by a
//! file, a variable of the environment or a command's output; where nobody gives one, the lab makes
//! it, in a file beside its directory. It never stands in the directory, so that a copy of that
//! tells no caller's secret, and it is never printed. What proves sites to each other isn't sealed
//! with it: the keys of the links' authority, of each site and of the endpoint's authority stand in
//! the directory in the clear. Changing it isn't built.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use identity::{OPERATOR_KEY_BYTES, Sealer};
use runtime::CommandError;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::files::{self, Readers};

/// The variable that may hold it.
pub const VARIABLE: &str = "CAUSEWAY_OPERATOR_KEY";

/// What a file or a command may hold at most: more than any form of a key, with blanks around it.
const MOST: usize = 1024;

/// How long a command may take to print it.
const COMMAND_WAIT: Duration = Duration::from_secs(30);

/// What to do when there is none, or a wrong one.
const GIVE_IT: &str = "give the key that the lab was begun with: --operator-key FILE, \
                       --operator-key-command COMMAND or CAUSEWAY_OPERATOR_KEY. Changing the key \
                       isn't built, and without it what was sealed can't be read. Ctrl-C at \
                       its `causeway up` stops a running lab without it";

/// What a key looks like.
const FORMS: &str = "a key is 32 random bytes: as they are, 64 hexadecimal digits, or base64, \
                     which is 43 characters or more; `openssl rand -hex 32` prints one";

/// The operator's key.
#[derive(Clone)]
pub struct OperatorKey {
    bytes: Zeroizing<[u8; OPERATOR_KEY_BYTES]>,
    digits: Zeroizing<String>,
    /// Where it came from, for those who are told that it is wrong.
    source: String,
}

/// Where the key is said to be.
#[derive(Clone, Default)]
pub struct KeySource {
    /// In this file.
    pub file: Option<PathBuf>,
    /// In the output of this command.
    pub command: Option<String>,
}

impl KeySource {
    /// The key that is given: by the file, the command, or else the environment. None: nobody
    /// gives one.
    ///
    /// # Errors
    /// What is wrong with it, or with where it is.
    pub fn given(&self) -> Result<Option<OperatorKey>, Failure> {
        if let Some(file) = &self.file {
            return OperatorKey::of_file(file).map(Some);
        }
        if let Some(command) = &self.command {
            return OperatorKey::of_command(command).map(Some);
        }
        let Some(text) = runtime::variable(VARIABLE).map(Zeroizing::new) else {
            return Ok(None);
        };
        OperatorKey::of_text(text.as_bytes(), VARIABLE.to_owned()).map(Some)
    }
}

impl OperatorKey {
    /// The key of a lab in that directory: the one that is given, or that of the file beside the
    /// directory.
    ///
    /// # Errors
    /// If there is none, or it is none.
    pub fn find(directory: &Path, given: Option<&OperatorKey>) -> anyhow::Result<OperatorKey> {
        if let Some(given) = given {
            return Ok(given.clone());
        }
        let file = beside(directory)?;
        match file.try_exists() {
            Ok(true) => Ok(OperatorKey::of_file(&file)?),
            _ => {
                let failure = Failure::wrong_use(format!(
                    "the operator's key of the lab in {} is missing: nobody gives it, and there \
                     is no {}",
                    directory.display(),
                    file.display()
                ));
                Err(failure.then(GIVE_IT).into())
            }
        }
    }

    /// The same, and where there is none, it is made beside the directory.
    pub fn find_or_make(
        directory: &Path,
        given: Option<&OperatorKey>,
    ) -> anyhow::Result<OperatorKey> {
        let file = beside(directory)?;
        if given.is_none() && !file.exists() {
            let mut bytes = Zeroizing::new([0; OPERATOR_KEY_BYTES]);
            runtime::fill_random(&mut *bytes);
            files::write(&file, &digits(&bytes), Readers::Owner)?;
        }
        OperatorKey::find(directory, given)
    }

    /// Refuses a key whose file is in that directory: a copy of the directory would hold it.
    pub fn refuse_within(source: &KeySource, directory: &Path) -> Result<(), Failure> {
        let Some(file) = &source.file else {
            return Ok(());
        };
        let is_within = match (file.canonicalize(), directory.canonicalize()) {
            (Ok(file), Ok(directory)) => file.starts_with(directory),
            _ => false,
        };
        if is_within {
            let (file, directory) = (file.display(), directory.display());
            let failure = format!("the operator's key must not be in {directory}, as {file} is");
            let next = "move it out: a copy of the directory would hold the key to its secrets";
            return Err(Failure::wrong_use(failure).then(next));
        }
        Ok(())
    }

    /// What seals and opens with it.
    pub fn sealer(&self) -> Sealer {
        Sealer::new(&self.bytes)
    }

    /// It as hexadecimal digits, for the processes that need it.
    pub fn expose(&self) -> &str {
        &self.digits
    }

    /// It isn't the key that something of a lab was sealed with.
    pub fn is_another(&self, directory: &Path) -> Failure {
        Failure::wrong_use(format!(
            "the operator's key ({}) is not the one that the lab in {} was begun with, or the \
             lab's file credentials is damaged",
            self.source,
            directory.display()
        ))
        .then(GIVE_IT)
    }

    fn of_file(path: &Path) -> Result<OperatorKey, Failure> {
        let name = path.display();
        let wrong = |what: String| Failure::wrong_use(format!("the operator's key: {what}"));
        // Looked at first: to open a pipe that nobody writes to would wait for ever.
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            let failure = wrong(format!("{name} is no regular file"));
            let next = "put the key into a file, or give --operator-key-command COMMAND";
            return Err(failure.then(next));
        }
        let mut file = File::open(path).map_err(|cause| {
            let failure = wrong(format!("can't read {name}: {cause}"));
            match cause.kind() {
                ErrorKind::NotFound => failure.then(GIVE_IT),
                _ => failure,
            }
        })?;
        let metadata = file.metadata();
        let metadata = metadata.map_err(|cause| wrong(format!("can't look at {name}: {cause}")))?;
        if metadata.is_dir() {
            return Err(wrong(format!("{name} is a directory")));
        }
        if metadata.permissions().mode() & 0o077 != 0 {
            let failure = wrong(format!("{name} can be read by others than its owner"));
            return Err(failure.then(format!("`chmod 600 {name}`, if nobody has read it yet")));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(MOST + 1));
        let read = file.by_ref().take(MOST as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|cause| wrong(format!("can't read {name}: {cause}")))?;
        OperatorKey::of_text(&bytes, name.to_string())
    }

    fn of_command(command: &str) -> Result<OperatorKey, Failure> {
        let printed = runtime::run(0, runtime::printed_by(command, MOST, COMMAND_WAIT));
        let printed = printed.map_err(anyhow::Error::from)?;
        let bytes = printed.map_err(|cause| {
            let failure = format!("the operator's key: the command {cause}");
            let next = match cause {
                CommandError::Late(_) => "it must print the key without asking anybody",
                _ => "run it in a shell to see why",
            };
            Failure::wrong_use(failure).then(next)
        })?;
        OperatorKey::of_text(&bytes, "what the command prints".to_owned())
    }

    /// A key in any of its forms. What it was read from is named, never what was read.
    fn of_text(text: &[u8], source: String) -> Result<OperatorKey, Failure> {
        if is_short_text(text) {
            let failure = format!("{source} holds {OPERATOR_KEY_BYTES} characters of text");
            return Err(Failure::wrong_use(failure).then(FORMS));
        }
        let bytes = parse(text).ok_or_else(|| {
            Failure::wrong_use(format!("{source} holds no operator's key")).then(FORMS)
        })?;
        let digits = digits(&bytes);
        Ok(OperatorKey {
            bytes,
            digits,
            source,
        })
    }
}

/// The file beside a lab's directory that holds its key where nobody gives one.
pub fn beside(directory: &Path) -> anyhow::Result<PathBuf> {
    let name = directory.file_name();
    let name = name.context("the file system's root can't be a lab: its key stands beside it")?;
    let mut name = name.to_owned();
    name.push(".key");
    Ok(directory.with_file_name(name))
}

fn digits(bytes: &[u8; OPERATOR_KEY_BYTES]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * OPERATOR_KEY_BYTES));
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).expect("four bits are a digit"));
        }
    }
    text
}

/// Is it as many characters as a key has bytes? Those can be typed and are far fewer keys:
/// 32 hexadecimal digits say 16 bytes. Random bytes look like it once in 10^13 times.
fn is_short_text(text: &[u8]) -> bool {
    let is_typed = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    let forms = [text, text.trim_ascii()];
    let is_short = |form: &[u8]| form.len() == OPERATOR_KEY_BYTES && form.iter().all(is_typed);
    forms.into_iter().any(is_short)
}

fn parse(text: &[u8]) -> Option<Zeroizing<[u8; OPERATOR_KEY_BYTES]>> {
    if let Ok(bytes) = text.try_into() {
        return Some(Zeroizing::new(bytes));
    }
    let text = text.trim_ascii();
    let mut bytes = Zeroizing::new([0; OPERATOR_KEY_BYTES]);
    if text.len() == 2 * OPERATOR_KEY_BYTES {
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let digit = |digit: u8| Some(char::from(digit).to_digit(16)? as u8);
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        return Some(bytes);
    }
    let forms = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD];
    let mut decoded = forms.iter().filter_map(|form| {
        let decoded = Zeroizing::new(form.decode(text).ok()?);
        (decoded.len() == OPERATOR_KEY_BYTES).then_some(decoded)
    });
    bytes.copy_from_slice(&decoded.next()?);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(file: &Path, text: impl AsRef<[u8]>, mode: u32) {
        std::fs::write(file, text).unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn of_file(file: &Path) -> Result<OperatorKey, Failure> {
        let file = Some(file.to_owned());
        let source = KeySource {
            file,
            command: None,
        };
        source.given().map(|key| key.expect("a file was named"))
    }

    fn of_command(command: &str) -> Result<OperatorKey, Failure> {
        let command = Some(command.to_owned());
        let source = KeySource {
            file: None,
            command,
        };
        source.given().map(|key| key.expect("a command was named"))
    }

    #[test]
    fn the_key_is_made_once_beside_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("data");
        let missing = OperatorKey::find(&directory, None).err().unwrap();
        assert!(missing.to_string().contains("is missing"), "{missing}");
        let first = OperatorKey::find_or_make(&directory, None).unwrap();
        let second = OperatorKey::find(&directory, None).unwrap();
        assert_eq!(first.expose(), second.expose());
        assert_eq!(first.expose().len(), 64);
        let file = folder.path().join("data.key");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let given = of_command(&format!("printf {}", "7".repeat(64))).unwrap();
        let found = OperatorKey::find_or_make(&directory, Some(&given)).unwrap();
        assert_eq!(found.expose(), "7".repeat(64));
    }

    #[test]
    fn all_forms_of_a_key_are_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let bytes: Vec<u8> = (200..232).collect();
        let hex = digits(bytes.as_slice().try_into().unwrap()).to_string();
        let forms: [Vec<u8>; 7] = [
            bytes.clone(),
            hex.clone().into(),
            format!(" {}\n", hex.to_uppercase()).into(),
            STANDARD.encode(&bytes).into(),
            format!("{}\n", STANDARD_NO_PAD.encode(&bytes)).into(),
            URL_SAFE.encode(&bytes).into(),
            URL_SAFE_NO_PAD.encode(&bytes).into(),
        ];
        for form in forms {
            write(&file, form, 0o600);
            assert_eq!(of_file(&file).unwrap().expose(), hex);
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        for text in [
            "",
            "secret",
            &"s".repeat(64),
            &"ab".repeat(31),
            &"s".repeat(5_000),
        ] {
            write(&file, text, 0o600);
            let refused = of_file(&file).err().unwrap();
            assert!(
                refused.message.contains("holds no operator's key"),
                "{refused}"
            );
            assert!(
                text.is_empty() || !refused.to_string().contains(text),
                "{refused}"
            );
            assert_eq!(refused.code, crate::failure::ExitCode::WrongUse);
        }
        let refused = of_file(&folder.path().join("none")).err().unwrap();
        assert!(refused.message.contains("none"), "{refused}");
        let refused = of_file(folder.path()).err().unwrap();
        assert!(refused.message.contains("is a directory"), "{refused}");
        let pipe = folder.path().join("pipe");
        of_command(&format!(
            "mkfifo '{}'; printf {}",
            pipe.display(),
            "7".repeat(64)
        ))
        .unwrap();
        for file in [pipe.as_path(), Path::new("/dev/zero")] {
            let refused = of_file(file).err().unwrap();
            assert!(refused.message.contains("no regular file"), "{refused}");
            assert!(!refused.to_string().contains("chmod"), "{refused}");
        }
    }

    #[test]
    fn text_of_as_many_characters_as_a_key_has_bytes_is_refused_with_what_to_do() {
        for text in [
            "0123456789abcdef0123456789abcdef",
            "correct horse battery staple 123",
        ] {
            assert_eq!(text.len(), OPERATOR_KEY_BYTES);
            for command in [format!("printf '{text}'"), format!("echo '{text}'")] {
                let refused = of_command(&command).err().unwrap();
                assert!(refused.message.contains("32 characters"), "{refused}");
                assert!(refused.to_string().contains("openssl rand -hex 32"));
                assert!(!refused.to_string().contains(text));
            }
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        for mode in [0o644, 0o640, 0o604, 0o620] {
            write(&file, "ab".repeat(32), mode);
            let refused = of_file(&file).err().unwrap();
            assert!(refused.to_string().contains("chmod 600"), "{refused}");
        }
        write(&file, "ab".repeat(32), 0o400);
        assert!(of_file(&file).is_ok());
    }

    #[test]
    fn a_command_prints_the_key_or_is_named() {
        let key = of_command(&format!("echo {}; true", "ab".repeat(32))).unwrap();
        assert_eq!(key.expose(), "ab".repeat(32));
        for (command, word) in [
            ("exit 3", "exit code 3"),
            ("no-such-command-here", "exit code 127"),
            ("kill -9 $$", "signal 9"),
            ("head -c 4000 /dev/zero", "more than"),
            ("true", "holds no operator's key"),
        ] {
            let refused = of_command(command).err().unwrap();
            assert!(refused.message.contains(word), "{refused}");
        }
    }

    #[test]
    fn a_key_within_the_directory_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("data");
        std::fs::create_dir(&directory).unwrap();
        let source = |file: PathBuf| KeySource {
            file: Some(file),
            command: None,
        };
        let (within, outside) = (directory.join("key"), folder.path().join("key"));
        write(&within, "ab".repeat(32), 0o600);
        write(&outside, "ab".repeat(32), 0o600);
        let refused = OperatorKey::refuse_within(&source(within.clone()), &directory);
        assert!(refused.unwrap_err().message.contains("must not be in"));
        assert!(OperatorKey::refuse_within(&source(outside.clone()), &directory).is_ok());
        std::fs::remove_file(&outside).unwrap();
        std::os::unix::fs::symlink(&within, &outside).unwrap();
        assert!(OperatorKey::refuse_within(&source(outside), &directory).is_err());
    }
}
