//! One end of a session that is read message by message: of the client, or of its own server.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};

use super::frames::Frames;

/// What is read at once.
const BUFFER: usize = 8 * 1024;

/// One end.
pub(super) struct Wire<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    buffer: Vec<u8>,
    pub(super) frames: Frames,
}

impl<S: AsyncRead + AsyncWrite> Wire<S> {
    /// Messages of up to so many bytes are kept whole.
    pub(super) fn new(stream: S, longest: usize) -> Wire<S> {
        let (reader, writer) = split(stream);
        Wire {
            reader,
            writer,
            buffer: vec![0; BUFFER],
            frames: Frames::new(longest),
        }
    }

    /// Reads what is there, at least something; 0: there is no more. It may be given up at any
    /// moment.
    pub(super) async fn read(&mut self) -> io::Result<usize> {
        let count = self.reader.read(&mut self.buffer).await?;
        self.frames.push(&self.buffer[..count]);
        Ok(count)
    }

    /// Writes all of it.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes).await?;
        self.writer.flush().await
    }

    /// Writes what the other side takes at once, or else reads what it has to say first, since one
    /// that waits until it is heard takes nothing. How much was written; 0: something was read.
    pub(super) async fn write_or_read(&mut self, bytes: &[u8]) -> io::Result<usize> {
        tokio::select! {
            biased;
            written = self.writer.write(bytes) => match written? {
                0 => Err(io::ErrorKind::WriteZero.into()),
                count => Ok(count),
            },
            count = self.reader.read(&mut self.buffer) => match count? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                count => {
                    self.frames.push(&self.buffer[..count]);
                    Ok(0)
                }
            },
        }
    }

    /// The stream again.
    pub(super) fn into_inner(self) -> S
    where
        S: Unpin,
    {
        self.reader.unsplit(self.writer)
    }
}
