//! A session of PostgreSQL (protocol 3.0): blocking, one simple query under way at any time. It
//! speaks no TLS and no extended protocol, and logs in by SCRAM-SHA-256 or, where the server asks
//! for nothing, without a word.

use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::BytesMut;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// No message that these benches ask for is longer, in bytes.
const LONGEST: usize = 16 << 20;

/// How a server is reached.
#[derive(Clone, Debug)]
pub enum Way {
    /// At an endpoint.
    Address(SocketAddr),
    /// By the directory of its Unix socket.
    Socket(PathBuf),
}

/// Who logs in where.
#[derive(Clone, Debug)]
pub struct Login {
    /// How the server is reached.
    pub way: Way,
    /// The user's name.
    pub user: String,
    /// What the user proves to know, if asked.
    pub password: String,
    /// The database.
    pub database: String,
}

/// The fields of a row as text; none: NULL.
pub type Row = Vec<Option<String>>;

/// The server's own error; the session goes on unless it was being opened.
#[derive(Debug)]
pub struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server refuses: {}", self.0)
    }
}

impl std::error::Error for Refused {}

/// A session that is open.
pub struct Session {
    stream: BufReader<Stream>,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(into),
            Stream::Unix(stream) => stream.read(into),
        }
    }
}

impl Stream {
    fn open(way: &Way) -> io::Result<Stream> {
        match way {
            Way::Address(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Stream::Tcp(stream))
            }
            Way::Socket(directory) => {
                let stream = UnixStream::connect(directory.join(".s.PGSQL.5432"))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Stream::Unix(stream))
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }
}

impl Session {
    /// Logs in.
    ///
    /// # Errors
    /// [`Refused`] if the server answers so; or it isn't reached, or speaks otherwise.
    pub fn open(login: &Login) -> Result<Session> {
        let stream = Stream::open(&login.way)
            .with_context(|| format!("no server is reached at {:?}", login.way))?;
        let mut session = Session {
            stream: BufReader::new(stream),
        };
        let parameters = [
            ("user", login.user.as_str()),
            ("database", login.database.as_str()),
        ];
        session.send(|buffer| frontend::startup_message(parameters, buffer))?;
        session.authenticate(&login.password)?;
        loop {
            match session.message()? {
                (b'Z', _) => return Ok(session),
                (b'E', body) => return Err(Refused(error_text(&body)).into()),
                // Parameters and the key for cancelling.
                _ => {}
            }
        }
    }

    /// The rows of a simple query.
    ///
    /// # Errors
    /// [`Refused`] if the server answers so; or the session is broken.
    pub fn query(&mut self, statement: &str) -> Result<Vec<Row>> {
        self.send(|buffer| frontend::query(statement, buffer))?;
        let (mut rows, mut refused) = (Vec::new(), None);
        loop {
            match self.message()? {
                (b'D', body) => rows.push(row(&body)?),
                (b'E', body) => refused = Some(Refused(error_text(&body))),
                (b'Z', _) => break,
                _ => {}
            }
        }
        refused.map_or(Ok(rows), |refused| Err(refused.into()))
    }

    /// The first field of a query's first row.
    pub fn value(&mut self, statement: &str) -> Result<String> {
        let rows = self.query(statement)?;
        let field = rows
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next());
        field
            .flatten()
            .with_context(|| format!("no value comes of: {statement}"))
    }

    fn authenticate(&mut self, password: &str) -> Result<()> {
        let binding = ChannelBinding::unsupported();
        let mut scram = ScramSha256::new(password.as_bytes(), binding);
        loop {
            let (kind, body) = self.message()?;
            match kind {
                b'E' => return Err(Refused(error_text(&body)).into()),
                b'R' => {}
                other => bail!("a message {:?} where a login goes on", char::from(other)),
            }
            let (code, data) = body.split_first_chunk().context("an empty message")?;
            match u32::from_be_bytes(*code) {
                0 => return Ok(()),
                10 => {
                    let first = scram.message().to_vec();
                    self.send(|buffer| {
                        frontend::sasl_initial_response(SCRAM_SHA_256, &first, buffer)
                    })?;
                }
                11 => {
                    scram.update(data)?;
                    let proof = scram.message().to_vec();
                    self.send(|buffer| frontend::sasl_response(&proof, buffer))?;
                }
                12 => scram.finish(data)?,
                other => bail!("the server wants a login of kind {other}"),
            }
        }
    }

    fn send(&mut self, write: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<()> {
        let mut buffer = BytesMut::new();
        write(&mut buffer)?;
        self.stream.get_mut().send(&buffer)?;
        Ok(())
    }

    fn message(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length) as usize;
        ensure!(
            (4..LONGEST).contains(&length),
            "a message of {length} bytes"
        );
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body)?;
        Ok((kind, body))
    }
}

/// A `DataRow`: the number of fields, then each with its length, which is -1 for NULL.
fn row(body: &[u8]) -> Result<Row> {
    const SHORT: &str = "a row that is too short";
    let (count, mut rest) = body.split_first_chunk().context(SHORT)?;
    let mut fields = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, behind) = rest.split_first_chunk().context(SHORT)?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            fields.push(None);
            rest = behind;
            continue;
        };
        let (field, behind) = behind.split_at_checked(length).context(SHORT)?;
        fields.push(Some(String::from_utf8(field.to_vec())?));
        rest = behind;
    }
    Ok(fields)
}

/// An `ErrorResponse`: fields of a letter and a text; `C` is the code, `M` the message.
fn error_text(body: &[u8]) -> String {
    let fields = body.split(|byte| *byte == 0);
    let of = |wanted: u8| {
        let mut found = fields.clone().filter_map(|field| field.split_first());
        let (_, text) = found.find(|(letter, _)| **letter == wanted)?;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    let (code, message) = (of(b'C'), of(b'M'));
    format!(
        "{} ({})",
        message.unwrap_or_default(),
        code.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_text_and_nulls() {
        let body = [&[0, 2, 0, 0, 0, 2][..], b"42", &[255; 4]].concat();
        assert_eq!(row(&body).unwrap(), [Some("42".to_owned()), None]);
        assert!(row(&body[..7]).is_err());
        assert!(row(&[]).is_err());
    }

    #[test]
    fn errors_are_quoted_with_their_code() {
        let body = b"SERROR\0C25006\0Mcannot execute INSERT\0\0";
        assert_eq!(error_text(body), "cannot execute INSERT (25006)");
    }
}
