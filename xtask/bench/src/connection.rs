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

/// How much is read at a time of a body that isn't kept.
const DISCARDED: usize = 256 * 1024;

/// A connection that is opened when first used and again when the server has closed it.
pub struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    /// What a body that isn't kept is read into.
    discarded: Vec<u8>,
}

/// What came of a request whose reply's body wasn't kept.
pub struct Transfer {
    /// The reply's status.
    pub status: u16,
    /// The bytes of its body.
    pub length: u64,
    /// The first of them.
    pub beginning: String,
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
            discarded: Vec::new(),
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

    /// Sends a request, its body apart from its head, and reads the reply without keeping its body.
    pub fn transfer(&mut self, head: &[u8], body: &[u8]) -> Result<Transfer> {
        let reused = self.stream.is_some();
        self.buffer.clear();
        let mut outcome = self.transfer_once(head, body);
        if outcome.is_err() && reused && self.buffer.is_empty() {
            // As in `exchange`: an idle connection may just have been closed.
            self.stream = None;
            outcome = self.transfer_once(head, body);
        }
        if outcome.is_err() {
            self.stream = None;
        }
        outcome
    }

    fn transfer_once(&mut self, request: &[u8], body: &[u8]) -> Result<Transfer> {
        let (head, start) = self.send([request, body])?;
        if head.chunked || head.length.is_none() {
            let end = self.read_body(&head, start)?;
            return Ok(self.transferred(&head, start, (end - start) as u64));
        }
        let stream = self.stream.as_mut().expect("just sent on it");
        let length = head.length.expect("looked at above") as u64;
        let mut left = length.saturating_sub((self.buffer.len() - start) as u64);
        self.discarded.resize(DISCARDED, 0);
        while left > 0 {
            let most = self.discarded.len().min(usize::try_from(left)?);
            match stream.read(&mut self.discarded[..most])? {
                0 => bail!("the server closed the connection inside its reply"),
                read => left -= read as u64,
            }
        }
        Ok(self.transferred(&head, start, length))
    }

    fn transferred(&mut self, head: &Head, start: usize, length: u64) -> Transfer {
        if head.close {
            self.stream = None;
        }
        let beginning = &self.buffer[start..self.buffer.len().min(start + 500)];
        Transfer {
            status: head.status,
            length,
            beginning: String::from_utf8_lossy(beginning).into_owned(),
        }
    }

    /// Sends these bytes and reads until the reply's head is there: it, and where the body begins.
    fn send(&mut self, request: [&[u8]; 2]) -> Result<(Head, usize)> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.address)
                .with_context(|| format!("can't connect to {}", self.address))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            self.stream = Some(stream);
        }
        let stream = self.stream.as_mut().expect("just opened");
        for part in request.into_iter().filter(|part| !part.is_empty()) {
            stream.write_all(part)?;
        }
        // A server that sends a head and a body apart, and waits for the head to be acknowledged
        // (Nagle's algorithm), would wait 40 ms for a kernel that delays that.
        rustix::net::sockopt::set_tcp_quickack(&*stream, true)?;
        let start = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            if read(stream, &mut self.buffer)? == 0 {
                bail!("the server closed the connection before its reply");
            }
        };
        Ok((parse(&self.buffer[..start])?, start))
    }

    fn attempt_once(&mut self, request: &[u8]) -> Result<(u16, std::ops::Range<usize>)> {
        let (head, start) = self.send([request, &[]])?;
        let end = self.read_body(&head, start)?;
        if head.close {
            self.stream = None;
        }
        Ok((head.status, start..end))
    }

    /// Reads the body that begins there to its end, and says where that is.
    fn read_body(&mut self, head: &Head, start: usize) -> Result<usize> {
        let stream = self.stream.as_mut().expect("a head was read from it");
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
        Ok(end)
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
            let mut connection = Connection::new(server(reply, 2));
            for _ in 0..2 {
                let transfer = connection.transfer(b"ca", b"ll").unwrap();
                assert_eq!((transfer.status, transfer.length), (200, 5));
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
            let mut connection = Connection::new(server(reply, 1));
            assert!(connection.transfer(b"ca", b"ll").is_err());
        }
    }
}
