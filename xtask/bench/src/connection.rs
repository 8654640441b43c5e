//! One HTTP/1.1 connection, blocking, for requests whose bytes are ready. It follows what the
//! server says of keeping it open, and reads only the framing that the measured servers use.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much is read at a time.
const CHUNK: usize = 16 * 1024;

/// A connection that is opened when first used and again when the server has closed it.
pub struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// What a reply's head says.
struct Head {
    status: u16,
    length: Option<usize>,
    chunked: bool,
    close: bool,
}

impl Connection {
    /// To a server.
    pub fn new(address: SocketAddr) -> Connection {
        Connection {
            address,
            stream: None,
            buffer: Vec::with_capacity(CHUNK),
        }
    }

    /// Sends a request and reads the reply: its status and body.
    pub fn exchange(&mut self, request: &[u8]) -> Result<(u16, &[u8])> {
        let reused = self.stream.is_some();
        let (status, body) = match self.attempt(request) {
            // The server may close an idle connection just when the next request is sent.
            Err(_) if reused && self.buffer.is_empty() => {
                self.stream = None;
                self.attempt(request)?
            }
            other => other?,
        };
        Ok((status, &self.buffer[body]))
    }

    fn attempt(&mut self, request: &[u8]) -> Result<(u16, std::ops::Range<usize>)> {
        self.buffer.clear();
        let result = self.attempt_once(request);
        if result.is_err() {
            self.stream = None;
        }
        result
    }

    fn attempt_once(&mut self, request: &[u8]) -> Result<(u16, std::ops::Range<usize>)> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.address)
                .with_context(|| format!("can't connect to {}", self.address))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            self.stream = Some(stream);
        }
        let stream = self.stream.as_mut().expect("just opened");
        stream.write_all(request)?;
        let start = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            if read(stream, &mut self.buffer)? == 0 {
                bail!("the server closed the connection before its reply");
            }
        };
        let head = parse(&self.buffer[..start])?;
        let end = if head.chunked {
            read_chunks(stream, &mut self.buffer, start)?
        } else if let Some(length) = head.length {
            while self.buffer.len() < start + length {
                if read(stream, &mut self.buffer)? == 0 {
                    bail!("the server closed the connection inside its reply");
                }
            }
            start + length
        } else {
            while read(stream, &mut self.buffer)? > 0 {}
            self.buffer.len()
        };
        if head.close {
            self.stream = None;
        }
        Ok((head.status, start..end))
    }
}

/// Reads some bytes to the buffer's end.
fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<usize> {
    let filled = buffer.len();
    buffer.resize(filled + CHUNK, 0);
    let outcome = stream.read(&mut buffer[filled..]);
    buffer.truncate(filled + *outcome.as_ref().unwrap_or(&0));
    Ok(outcome?)
}

/// Reads a chunked body, joins its chunks in place and returns where they end.
fn read_chunks(stream: &mut TcpStream, buffer: &mut Vec<u8>, start: usize) -> Result<usize> {
    let (mut joined, mut at) = (start, start);
    loop {
        let line = loop {
            if let Some(end) = find(&buffer[at..], b"\r\n") {
                break at + end;
            }
            if read(stream, buffer)? == 0 {
                bail!("the server closed the connection inside a chunk");
            }
        };
        let size = std::str::from_utf8(&buffer[at..line])?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).context("a chunk's size is no number")?;
        let data = line + 2;
        while buffer.len() < data + size + 2 {
            if read(stream, buffer)? == 0 {
                bail!("the server closed the connection inside a chunk");
            }
        }
        buffer.copy_within(data..data + size, joined);
        joined += size;
        at = data + size + 2;
        if size == 0 {
            return Ok(joined);
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

fn parse(head: &[u8]) -> Result<Head> {
    let text = std::str::from_utf8(head).context("the reply's head is no text")?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
    let Some(status) = status else {
        bail!("not an HTTP reply: {first}");
    };
    let mut head = Head {
        status,
        length: None,
        chunked: false,
        close: first.starts_with("HTTP/1.0"),
    };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            head.length = Some(value.parse()?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            head.chunked = value.eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("connection") {
            head.close = value.eq_ignore_ascii_case("close");
        }
    }
    if head.length.is_none() && !head.chunked {
        head.close = true;
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A server that answers every connection with these bytes, then closes it.
    fn server(reply: &'static [u8], connections: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().take(connections) {
                let mut stream = stream.unwrap();
                stream.read_exact(&mut [0; 4]).unwrap();
                stream.write_all(reply).unwrap();
            }
        });
        address
    }

    #[test]
    fn every_framing_is_read_and_a_closed_connection_opened_again() {
        for reply in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..],
            b"HTTP/1.0 200 OK\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n",
        ] {
            let mut connection = Connection::new(server(reply, 2));
            for _ in 0..2 {
                let (status, body) = connection.exchange(b"call").unwrap();
                assert_eq!((status, body), (200, &b"hello"[..]));
            }
        }
    }

    #[test]
    fn a_reply_cut_short_is_an_error() {
        for reply in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"[..],
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhe",
            b"HTTP/1.1 200 OK\r\n",
            b"rubbish\r\n\r\n",
        ] {
            let mut connection = Connection::new(server(reply, 1));
            assert!(connection.exchange(b"call").is_err());
        }
    }
}
