//! Reads a socket in large pieces, whatever its reader asks for: rustls asks for 4 KiB at a time, which is
//! four system calls for each record, and sixteen for each chunk of a file.
//!
//! A connection that says little keeps little: the buffer grows when a read fills it, and shrinks when
//! the line has been quiet. Writes pass through.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of the buffer of a connection that says little: most messages fit.
const QUIET_BYTES: usize = 8 * 1024;
/// Bytes of the buffer of a busy one: some TLS records of 16 KiB.
const BUSY_BYTES: usize = 128 * 1024;

/// A socket that is read ahead.
pub(super) struct ReadAhead<S> {
    socket: S,
    buffer: Vec<u8>,
    /// What was read and not asked for yet lies from here …
    at: usize,
    /// … to here.
    end: usize,
    /// Bytes of the last read.
    last: usize,
}

impl<S> ReadAhead<S> {
    /// Reads that socket ahead.
    pub(super) fn new(socket: S) -> Self {
        Self { socket, buffer: Vec::new(), at: 0, end: 0, last: 0 }
    }

    /// Gives the buffer the size that the last read asks for. It is empty then.
    fn fit(&mut self) {
        let wanted = match self.buffer.len() {
            0 => QUIET_BYTES,
            // A read that filled it: more waits.
            length if self.last == length => BUSY_BYTES,
            length => length,
        };
        if wanted != self.buffer.len() {
            self.buffer = vec![0; wanted];
        }
    }

    /// The line is quiet: a large buffer that the last read had no use for goes.
    fn rest(&mut self) {
        if self.buffer.len() > QUIET_BYTES && self.last < QUIET_BYTES {
            self.buffer = Vec::new();
        }
        self.last = 0;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.at == this.end {
            this.fit();
            let mut buffer = ReadBuf::new(&mut this.buffer);
            match Pin::new(&mut this.socket).poll_read(context, &mut buffer) {
                Poll::Ready(read) => read?,
                Poll::Pending => {
                    this.rest();
                    return Poll::Pending;
                }
            }
            (this.at, this.end) = (0, buffer.filled().len());
            this.last = this.end;
        }
        let count = out.remaining().min(this.end - this.at);
        out.put_slice(&this.buffer[this.at..this.at + count]);
        this.at += count;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::ready;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// A socket that counts how often it is read.
    struct Counted(tokio::io::DuplexStream, usize);

    impl AsyncRead for Counted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            out: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let read = ready!(Pin::new(&mut self.0).poll_read(context, out));
            self.1 += 1;
            Poll::Ready(read)
        }
    }

    #[tokio::test]
    async fn what_comes_is_passed_on_in_order_in_pieces_of_any_size_to_the_end() {
        let sent: Vec<u8> = (0..1_000_000u32).map(|at| (at % 251) as u8).collect();
        for piece in [1000, 4096, 70_000, 300_000] {
            let (mut writer, reader) = tokio::io::duplex(200_000);
            let content = sent.clone();
            let writing = tokio::spawn(async move { writer.write_all(&content).await });
            let mut ahead = ReadAhead::new(reader);
            let mut heard = Vec::new();
            let mut buffer = vec![0; piece];
            loop {
                match ahead.read(&mut buffer).await.unwrap() {
                    0 => break,
                    count => heard.extend_from_slice(&buffer[..count]),
                }
            }
            writing.await.unwrap().unwrap();
            assert!(heard == sent, "in pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn a_busy_line_is_read_in_large_pieces_and_a_quiet_one_holds_little() {
        let (mut writer, reader) = tokio::io::duplex(1_000_000);
        writer.write_all(&vec![7; 1_000_000]).await.unwrap();
        let mut ahead = ReadAhead::new(Counted(reader, 0));
        let mut buffer = vec![0; 4096];
        let mut left = 1_000_000;
        while left > 0 {
            left -= ahead.read(&mut buffer).await.unwrap();
        }
        assert!(ahead.socket.1 <= 10, "{} reads of a megabyte", ahead.socket.1);
        writer.write_all(b"a word").await.unwrap();
        assert_eq!(ahead.read(&mut buffer).await.unwrap(), 6);
        let quiet = tokio::time::timeout(std::time::Duration::ZERO, ahead.read(&mut buffer));
        quiet.await.expect_err("nothing is there");
        assert!(ahead.buffer.capacity() <= QUIET_BYTES);
    }

    #[tokio::test]
    async fn what_is_written_passes_through() {
        let (one, mut other) = tokio::io::duplex(100);
        let mut ahead = ReadAhead::new(one);
        ahead.write_all(b"there").await.unwrap();
        let mut heard = [0; 5];
        other.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"there");
    }
}
