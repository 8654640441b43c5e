//! The control socket of BIRD, the routing daemon: commands go in a line each, and what comes back
//! are lines with codes (BIRD's programmer's documentation, "CLI"). It decides on no route.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// The longest line that is read, in bytes.
const LINE: usize = 4096;

/// Lines of an answer, at most.
const LINES: usize = 4096;

/// From this code on, a line is an error (BIRD's `doc/reply_codes`).
const ERRORS: u16 = 8000;

/// A conversation with BIRD.
pub struct BirdSocket {
    stream: BufReader<UnixStream>,
    wait: Duration,
}

/// A line of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BirdLine {
    /// What it is; of a line that goes on from the one before, that one's.
    pub code: u16,
    /// What it says.
    pub text: String,
}

/// BIRD can't be asked, or refuses.
#[derive(Debug, thiserror::Error)]
pub enum BirdError {
    /// It isn't there, or the connection broke.
    #[error("BIRD can't be reached: {0}")]
    Io(#[from] io::Error),
    /// It didn't answer in time.
    #[error("BIRD didn't answer within {} s", .0.as_secs_f64())]
    Late(Duration),
    /// What it said is no answer.
    #[error("what BIRD said isn't understood: {0}")]
    NotUnderstood(String),
    /// It refused.
    #[error("BIRD refused ({code}): {text}")]
    Refused {
        /// The error's code.
        code: u16,
        /// What it says.
        text: String,
    },
}

impl BirdSocket {
    /// Connects to the socket at that path; each answer may take as long as `wait`. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// See [`BirdError`].
    pub async fn connect(path: &Path, wait: Duration) -> Result<BirdSocket, BirdError> {
        let connected = timeout(wait, UnixStream::connect(path));
        let stream = connected.await.map_err(|_| BirdError::Late(wait))??;
        let mut socket = BirdSocket {
            stream: BufReader::new(stream),
            wait,
        };
        // It greets first.
        socket.answer().await?;
        Ok(socket)
    }

    /// Gives a command, which is one line, and waits for the answer to it.
    ///
    /// # Errors
    /// See [`BirdError`]. After any but a refusal, the conversation is of no use any more.
    pub async fn ask(&mut self, command: &str) -> Result<Vec<BirdLine>, BirdError> {
        if command.contains(['\n', '\r', '\0']) {
            let cause = io::Error::new(io::ErrorKind::InvalidInput, "a command is one line");
            return Err(cause.into());
        }
        let line = format!("{command}\n");
        let written = timeout(self.wait, self.stream.write_all(line.as_bytes()));
        written.await.map_err(|_| BirdError::Late(self.wait))??;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<Vec<BirdLine>, BirdError> {
        let wait = self.wait;
        let read = async {
            let mut lines: Vec<BirdLine> = Vec::new();
            while lines.len() < LINES {
                let mut line = Vec::new();
                let mut limited = (&mut self.stream).take(LINE as u64);
                if limited.read_until(b'\n', &mut line).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                let line = String::from_utf8_lossy(&line).into_owned();
                let (line, is_last) = read_line(&line, lines.last())?;
                lines.push(line);
                if is_last {
                    return judge(lines);
                }
            }
            Err(BirdError::NotUnderstood("too many lines".to_owned()))
        };
        timeout(wait, read)
            .await
            .map_err(|_| BirdError::Late(wait))?
    }
}

/// A line, and whether it is the answer's last: `1002-text` goes on, `0000 text` ends it, and a
/// space before the text says that the code is that of the line before.
fn read_line(line: &str, before: Option<&BirdLine>) -> Result<(BirdLine, bool), BirdError> {
    let wrong = || BirdError::NotUnderstood(format!("{line:?}"));
    let line = line.strip_suffix('\n').ok_or_else(wrong)?;
    if let Some(text) = line.strip_prefix([' ', '+']) {
        let code = before.ok_or_else(wrong)?.code;
        let text = text.to_owned();
        return Ok((BirdLine { code, text }, false));
    }
    let (code, rest) = line.split_at_checked(4).ok_or_else(wrong)?;
    let is_code = code.bytes().all(|digit| digit.is_ascii_digit());
    let code = code.parse().ok().filter(|_| is_code).ok_or_else(wrong)?;
    let is_last = match rest.as_bytes().first() {
        Some(b'-') => false,
        Some(b' ') | None => true,
        Some(_) => return Err(wrong()),
    };
    let text = rest.get(1..).unwrap_or_default().to_owned();
    Ok((BirdLine { code, text }, is_last))
}

fn judge(lines: Vec<BirdLine>) -> Result<Vec<BirdLine>, BirdError> {
    match lines.iter().find(|line| line.code >= ERRORS) {
        None => Ok(lines),
        Some(BirdLine { code, text }) => Err(BirdError::Refused {
            code: *code,
            text: text.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    const WAIT: Duration = Duration::from_secs(20);

    /// A BIRD that says this, whatever it is told.
    async fn says(answers: &'static [&'static str]) -> (tempfile::TempDir, BirdSocket) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bird.ctl");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            stream
                .write_all(b"0001 BIRD 2.0.12 ready.\n")
                .await
                .unwrap();
            for answer in answers {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let socket = BirdSocket::connect(&path, WAIT).await.unwrap();
        (directory, socket)
    }

    fn line(code: u16, text: &str) -> BirdLine {
        let text = text.to_owned();
        BirdLine { code, text }
    }

    #[tokio::test]
    async fn answers_are_read_to_their_last_line_and_errors_are_refusals() {
        let (_directory, mut bird) = says(&[
            "0011-causeway4: enabled\n causeway6: enabled\n0010-other: already enabled\n0000 \n",
            "8003 No protocols match\n",
            "0003 Reconfigured\n",
        ])
        .await;
        let answer = bird.ask("enable \"*\"").await.unwrap();
        let expected = [
            line(11, "causeway4: enabled"),
            line(11, "causeway6: enabled"),
            line(10, "other: already enabled"),
            line(0, ""),
        ];
        assert_eq!(answer, expected);
        let refused = bird.ask("enable nobody").await.unwrap_err();
        assert!(
            matches!(refused, BirdError::Refused { code: 8003, .. }),
            "{refused}"
        );
        // A refusal ends no conversation, nor does a command that is two.
        assert!(bird.ask("enable a\ndisable b").await.is_err());
        assert_eq!(
            bird.ask("configure").await.unwrap(),
            [line(3, "Reconfigured")]
        );
        let gone = bird.ask("show status").await.unwrap_err();
        assert!(matches!(gone, BirdError::Io(_)), "{gone}");
    }

    #[tokio::test]
    async fn what_is_no_answer_is_an_error() {
        for answer in [
            "hello\n",
            " goes on\n",
            "+12 x\n",
            "00x1 y\n",
            "0001yes\n",
            "000\n",
        ] {
            let (_directory, mut bird) = says(match answer {
                "hello\n" => &["hello\n"],
                " goes on\n" => &[" goes on\n"],
                "+12 x\n" => &["+12 x\n"],
                "00x1 y\n" => &["00x1 y\n"],
                "0001yes\n" => &["0001yes\n"],
                _ => &["000\n"],
            })
            .await;
            let error = bird.ask("show status").await.unwrap_err();
            assert!(
                matches!(error, BirdError::NotUnderstood(_)),
                "{answer}: {error}"
            );
        }
    }
}
