//! Both ends of the frame format on bytes in memory, for the benches. Nothing else calls it.

use std::io;

use super::frame::{self, Marker};
use super::medium::{Medium, WriteFailed};
use crate::store::{Frame, Position};

/// Any mark will do: it is compared, not computed with.
const MARK: u64 = 0x0123_4567_89ab_cdef;

/// Writes a frame into `out`, which is emptied first.
pub fn encode(frame: &Frame, out: &mut Vec<u8>) {
    out.clear();
    frame::encode(frame, Position(1), MARK, out);
}

/// Reads and verifies what [`encode`] wrote; how many bodies stand, nothing when it is damaged.
pub fn decode(bytes: &[u8]) -> Option<usize> {
    let read = frame::read(&Written(bytes.to_vec()), 0, MARK).ok()?;
    Some(read.bodies.iter().filter(|body| body.marker == Marker::Stands).count())
}

struct Written(Vec<u8>);

impl Medium for Written {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let found = self.0.get(start..start + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&self, _: u64, _: &[u8]) -> Result<(), WriteFailed> {
        Err(WriteFailed { untouched: true, error: io::ErrorKind::Unsupported.into() })
    }

    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn what_is_written_is_read_and_a_flipped_bit_is_seen() {
        let frame = Frame { meta: vec![7; 100], bodies: vec![Bytes::from_static(b"body"); 3] };
        let mut bytes = Vec::new();
        encode(&frame, &mut bytes);
        assert_eq!(decode(&bytes), Some(3));
        let place = bytes.len() / 2;
        bytes[place] ^= 1;
        assert_eq!(decode(&bytes), None);
    }
}
