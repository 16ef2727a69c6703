//! A segment's name and header. The bytes are described in [`journal`](super).

use std::sync::Arc;

use super::medium::Medium;
use crate::store::{Damage, Position};

/// Bytes of the header; the first frame begins after it.
pub(super) const HEADER_BYTES: usize = 64;
/// The newest format version this release reads, and the one it writes.
pub(super) const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"TBJRNL\r\n";
const SEAL_OFFSET: usize = 32;
const SEAL_BYTES: usize = 16;
const SUFFIX: &str = ".tbj";

/// A segment as its header describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The first frame's number.
    pub(super) first: Position,
    /// What every frame in this segment begins with.
    pub(super) mark: u64,
}

/// How a header reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Header(Header, Seal),
    Newer(u32),
    Bad,
}

/// Whether a segment is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seal {
    /// Frames are still appended.
    Open,
    /// Closed: the next segment begins with this frame, and stood before the seal was set.
    Next(Position),
    /// Neither.
    Bad,
}

/// The file that holds the frames from `first` on.
pub(super) fn file_name(first: Position) -> String {
    format!("{:020}{SUFFIX}", first.0)
}

/// The inverse; `None` for files that are not segments.
pub(super) fn first_of(file_name: &str) -> Option<Position> {
    let digits = file_name.strip_suffix(SUFFIX)?;
    let proper = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    proper.then(|| digits.parse().ok().map(Position)).flatten()
}

impl Header {
    /// An open segment's header.
    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.mark.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header of any version.
    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Parsed {
        if bytes[..8] != MAGIC || crc32c::crc32c(&bytes[..28]) != u32_at(bytes, 28) {
            return Parsed::Bad;
        }
        match u32_at(bytes, 8) {
            VERSION => {}
            0 => return Parsed::Bad,
            version => return Parsed::Newer(version),
        }
        let header = Self { first: Position(u64_at(bytes, 12)), mark: u64_at(bytes, 20) };
        let seal = &bytes[SEAL_OFFSET..SEAL_OFFSET + SEAL_BYTES];
        let seal = if seal.iter().all(|byte| *byte == 0) {
            Seal::Open
        } else if crc32c::crc32c(&seal[..8]) == u32_at(seal, 8) {
            Seal::Next(Position(u64_at(seal, 0)))
        } else {
            Seal::Bad
        };
        Parsed::Header(header, seal)
    }
}

/// Closes a segment, or with `None` opens it again. Durable after the next sync.
pub(super) fn write_seal(
    medium: &dyn Medium,
    next: Option<Position>,
) -> Result<(), super::medium::WriteFailed> {
    let mut seal = [0; SEAL_BYTES];
    if let Some(next) = next {
        seal[..8].copy_from_slice(&next.0.to_le_bytes());
        let crc = crc32c::crc32c(&seal[..8]);
        seal[8..12].copy_from_slice(&crc.to_le_bytes());
    }
    medium.write_at(SEAL_OFFSET as u64, &seal)
}

/// A segment that is open for reading.
#[derive(Clone)]
pub(super) struct OpenSegment {
    pub(super) header: Header,
    pub(super) medium: Arc<dyn Medium>,
}

/// Why a header could not be read.
pub(super) enum HeaderError {
    Io(std::io::Error),
    Newer(u32),
    Bad(Damage),
}

/// Reads the header of the file that should begin with `first`.
pub(super) fn read_header(medium: &dyn Medium, first: Position) -> Result<(Header, Seal), HeaderError> {
    let mut bytes = [0; HEADER_BYTES];
    match medium.read_at(0, &mut bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            return Err(HeaderError::Bad(Damage::SegmentHeader));
        }
        Err(error) => return Err(HeaderError::Io(error)),
        Ok(()) => {}
    }
    match Header::parse(&bytes) {
        Parsed::Newer(version) => Err(HeaderError::Newer(version)),
        Parsed::Bad => Err(HeaderError::Bad(Damage::SegmentHeader)),
        Parsed::Header(header, _) if header.first != first => {
            Err(HeaderError::Bad(Damage::SegmentName(header.first)))
        }
        Parsed::Header(header, seal) => Ok((header, seal)),
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_version_1_is_these_bytes() {
        let bytes = Header { first: Position(0x0102), mark: 0x1122_3344_5566_7788 }.encode();
        assert_eq!(&bytes[..12], b"TBJRNL\r\n\x01\0\0\0");
        assert_eq!(&bytes[12..28], &[2, 1, 0, 0, 0, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
        assert_eq!(u32_at(&bytes, 28), crc32c::crc32c(&bytes[..28]));
        assert_eq!(&bytes[32..], &[0; 32]);
    }

    #[test]
    fn only_twenty_digits_name_a_segment() {
        assert_eq!(first_of(&file_name(Position(17))), Some(Position(17)));
        for other in ["17.tbj", "00000000000000000017.tbj.new", "lock", "+0000000000000000017.tbj"] {
            assert_eq!(first_of(other), None, "{other}");
        }
    }
}
