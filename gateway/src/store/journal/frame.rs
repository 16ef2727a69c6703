//! One frame as bytes, both ways. The bytes are described in [`journal`](super). Appending, opening,
//! replaying, inspecting and reading all go through [`read`] or [`read_head`], so that recovery is
//! exercised all day.

use std::io;

use bytes::Bytes;

use super::medium::Medium;
use crate::limits::COMMIT_BYTES_MAX;
use crate::store::{Damage, Frame, Position};

/// Bytes of a frame's head.
pub(super) const HEAD_BYTES: usize = 40;
/// Frames begin at multiples of this.
pub(super) const ALIGN: u64 = 8;
/// Bytes of the table for each body: its length and check sum.
const ROW_BYTES: usize = 8;

/// Whether a body stands. One byte, so that a change of it cannot tear; the values are four bits and
/// more apart, so that a flipped bit makes none of them into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// As appended.
    Stands,
    /// Set before the first byte is overwritten: some of it may be zero already.
    Erasing,
    /// All zero.
    Erased,
}

impl Marker {
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Stands => 0x00,
            Self::Erasing => 0x5a,
            Self::Erased => 0xa5,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Stands, Self::Erasing, Self::Erased].into_iter().find(|marker| marker.byte() == byte)
    }
}

/// A frame's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) position: Position,
    bodies: u32,
    meta_bytes: u32,
    bodies_bytes: u32,
    meta_crc: u32,
    table_crc: u32,
}

impl Head {
    /// `None` unless the mark, the check sum and the limits fit.
    pub(super) fn parse(bytes: &[u8; HEAD_BYTES], mark: u64) -> Option<Self> {
        let u32_at = |offset: usize| {
            u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("four bytes of a head"))
        };
        let u64_at = |offset: usize| {
            u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes of a head"))
        };
        let head = Self {
            position: Position(u64_at(8)),
            bodies: u32_at(16),
            meta_bytes: u32_at(20),
            bodies_bytes: u32_at(24),
            meta_crc: u32_at(28),
            table_crc: u32_at(32),
        };
        let whole = u64_at(0) == mark && u32_at(36) == crc32c::crc32c(&bytes[..36]);
        (whole && head.frame_bytes() <= COMMIT_BYTES_MAX as u64).then_some(head)
    }

    fn encode(self, mark: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&mark.to_le_bytes());
        out.extend_from_slice(&self.position.0.to_le_bytes());
        for number in [self.bodies, self.meta_bytes, self.bodies_bytes, self.meta_crc, self.table_crc] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out[start..]);
        out.extend_from_slice(&crc.to_le_bytes());
    }

    /// Bytes from this frame's start to the next one's.
    pub(super) fn frame_bytes(&self) -> u64 {
        let bodies = u64::from(self.bodies);
        let bytes = self.markers_at() + bodies + u64::from(self.meta_bytes) + u64::from(self.bodies_bytes);
        bytes.next_multiple_of(ALIGN)
    }

    /// Offset of the markers from the frame's start.
    fn markers_at(&self) -> u64 {
        (HEAD_BYTES + ROW_BYTES * self.bodies as usize) as u64
    }

    /// How many bodies there are.
    pub(super) fn bodies(&self) -> usize {
        self.bodies as usize
    }
}

/// Bytes that `frame` takes on disk. At least; a count over `u32` is over every limit anyway.
pub(super) fn frame_bytes(frame: &Frame) -> u64 {
    let bodies: u64 = frame.bodies.iter().map(|body| body.len() as u64).sum();
    let rows = (ROW_BYTES as u64 + 1) * frame.bodies.len() as u64;
    (HEAD_BYTES as u64 + rows + frame.meta.len() as u64 + bodies).next_multiple_of(ALIGN)
}

/// Appends the frame's bytes to `out`, which is empty. `frame` is within [`COMMIT_BYTES_MAX`].
pub(super) fn encode(frame: &Frame, position: Position, mark: u64, out: &mut Vec<u8>) {
    let narrow = |bytes: usize| u32::try_from(bytes).expect("COMMIT_BYTES_MAX was checked");
    let mut table = Vec::with_capacity(ROW_BYTES * frame.bodies.len());
    for body in &frame.bodies {
        table.extend_from_slice(&narrow(body.len()).to_le_bytes());
        table.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
    }
    let head = Head {
        position,
        bodies: narrow(frame.bodies.len()),
        meta_bytes: narrow(frame.meta.len()),
        bodies_bytes: narrow(frame.bodies.iter().map(Bytes::len).sum()),
        meta_crc: crc32c::crc32c(&frame.meta),
        table_crc: crc32c::crc32c(&table),
    };
    head.encode(mark, out);
    out.extend_from_slice(&table);
    out.resize(out.len() + frame.bodies.len(), Marker::Stands.byte());
    out.extend_from_slice(&frame.meta);
    for body in &frame.bodies {
        out.extend_from_slice(body);
    }
    out.resize(head.frame_bytes() as usize, 0);
}

/// A frame as read: everything verified but erased bodies, of which nothing is left to verify.
pub(super) struct Read {
    pub(super) head: Head,
    pub(super) meta: Bytes,
    pub(super) bodies: Vec<Body>,
}

/// One body of a frame.
pub(super) struct Body {
    pub(super) marker: Marker,
    /// Offset in the file.
    pub(super) offset: u64,
    /// As stored, zeros when erased.
    pub(super) bytes: Bytes,
}

/// Why a frame could not be read.
#[derive(Debug)]
pub(super) enum ReadError {
    Io(io::Error),
    Bad(Damage),
}

impl From<Damage> for ReadError {
    fn from(damage: Damage) -> Self {
        Self::Bad(damage)
    }
}

fn read_exact(medium: &dyn Medium, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
    medium.read_at(offset, buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::Bad(Damage::CutShort),
        _ => ReadError::Io(error),
    })
}

/// Reads and verifies the head at `offset`.
pub(super) fn read_head(medium: &dyn Medium, offset: u64, mark: u64) -> Result<Head, ReadError> {
    let mut bytes = [0; HEAD_BYTES];
    read_exact(medium, offset, &mut bytes)?;
    Head::parse(&bytes, mark).ok_or(ReadError::Bad(Damage::Head))
}

/// Reads and verifies the whole frame at `offset`. A writer may be erasing a body of it meanwhile.
pub(super) fn read(medium: &dyn Medium, offset: u64, mark: u64) -> Result<Read, ReadError> {
    let head = read_head(medium, offset, mark)?;
    let mut rest = vec![0; head.frame_bytes() as usize - HEAD_BYTES];
    read_exact(medium, offset + HEAD_BYTES as u64, &mut rest)?;
    let mut rest = Bytes::from(rest);

    let table = rest.split_to(ROW_BYTES * head.bodies());
    if crc32c::crc32c(&table) != head.table_crc {
        return Err(Damage::Table.into());
    }
    let markers = rest.split_to(head.bodies());
    let meta = rest.split_to(head.meta_bytes as usize);
    if crc32c::crc32c(&meta) != head.meta_crc {
        return Err(Damage::Meta.into());
    }

    let mut at = offset + head.markers_at() + markers.len() as u64 + meta.len() as u64;
    let mut bodies = Vec::with_capacity(head.bodies());
    let mut left = head.bodies_bytes as usize;
    for (body, (row, byte)) in table.chunks_exact(ROW_BYTES).zip(markers.iter()).enumerate() {
        let (length, crc) = row.split_at(4);
        let length = u32::from_le_bytes(length.try_into().expect("four bytes of a row")) as usize;
        let crc = u32::from_le_bytes(crc.try_into().expect("four bytes of a row"));
        // The head's sum and the table were written together; only a broken writer gets them apart.
        left = left.checked_sub(length).ok_or(Damage::Table)?;
        let bytes = rest.split_to(length);
        let mut marker = Marker::from_byte(*byte).ok_or(Damage::Marker(body))?;
        if marker == Marker::Stands && crc32c::crc32c(&bytes) != crc {
            // The writer sets the marker before it overwrites anything, so a body that was caught in
            // the middle shows a marker now.
            let mut again = [0];
            read_exact(medium, offset + head.markers_at() + body as u64, &mut again)?;
            marker = Marker::from_byte(again[0]).ok_or(Damage::Marker(body))?;
            if marker == Marker::Stands {
                return Err(Damage::Body(body).into());
            }
        }
        bodies.push(Body { marker, offset: at, bytes });
        at += length as u64;
    }
    if left != 0 {
        return Err(Damage::Table.into());
    }
    if rest.iter().any(|byte| *byte != 0) {
        return Err(Damage::Padding.into());
    }
    Ok(Read { head, meta, bodies })
}

/// Erases one body of the frame at `offset`: marker, sync, zeros, sync. A crash in between leaves a
/// body that reads as erased, and zeros that the next open or the next call completes.
pub(super) fn erase(medium: &dyn Medium, offset: u64, frame: &Read, body: usize) -> io::Result<()> {
    const ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];
    let erased = &frame.bodies[body];
    let marker_at = offset + frame.head.markers_at() + body as u64;
    let write = |at: u64, bytes: &[u8]| medium.write_at(at, bytes).map_err(|failed| failed.error);

    // Whatever stood here before: after a crash the marker may be visible and not yet durable.
    write(marker_at, &[Marker::Erasing.byte()])?;
    medium.sync()?;
    let mut at = erased.offset;
    let mut left = erased.bytes.len();
    while left > 0 {
        let step = left.min(ZEROS.len());
        write(at, &ZEROS[..step])?;
        at += step as u64;
        left -= step;
    }
    medium.sync()?;
    // Not synced: until it is, an open only repeats the zeros.
    write(marker_at, &[Marker::Erased.byte()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_of_version_1_is_these_bytes() {
        let frame =
            Frame { meta: b"meta!".to_vec(), bodies: vec![Bytes::from_static(b"body"), Bytes::new()] };
        let mut bytes = Vec::new();
        encode(&frame, Position(3), 0x0807_0605_0403_0201, &mut bytes);
        assert_eq!(bytes.len() as u64, frame_bytes(&frame));
        assert_eq!(&bytes[..16], &[1, 2, 3, 4, 5, 6, 7, 8, 3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&bytes[16..28], &[2, 0, 0, 0, 5, 0, 0, 0, 4, 0, 0, 0]);
        assert_eq!(bytes[28..32], crc32c::crc32c(b"meta!").to_le_bytes());
        assert_eq!(bytes[32..36], crc32c::crc32c(&bytes[40..56]).to_le_bytes());
        assert_eq!(bytes[36..40], crc32c::crc32c(&bytes[..36]).to_le_bytes());
        assert_eq!(bytes[40..44], [4, 0, 0, 0]);
        assert_eq!(bytes[44..48], crc32c::crc32c(b"body").to_le_bytes());
        assert_eq!(bytes[48..56], [0; 8]);
        assert_eq!(&bytes[56..], b"\0\0meta!body\0\0\0\0\0");
    }

    #[test]
    fn no_flipped_bit_makes_one_marker_into_another() {
        for marker in [Marker::Stands, Marker::Erasing, Marker::Erased] {
            for bit in 0..8 {
                assert_eq!(Marker::from_byte(marker.byte() ^ (1 << bit)), None);
            }
        }
    }

    /// A frame as a reader catches it: read before the marker was set, and overwritten meanwhile.
    struct Caught {
        read: Vec<u8>,
        marker_now: Marker,
    }

    impl Medium for Caught {
        fn len(&self) -> io::Result<u64> {
            Ok(self.read.len() as u64)
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            match buffer {
                [marker] => *marker = self.marker_now.byte(),
                _ => buffer.copy_from_slice(&self.read[offset as usize..][..buffer.len()]),
            }
            Ok(())
        }

        fn write_at(&self, _: u64, _: &[u8]) -> Result<(), super::super::medium::WriteFailed> {
            unreachable!("reading writes nothing")
        }

        fn sync(&self) -> io::Result<()> {
            unreachable!("reading syncs nothing")
        }

        fn truncate(&self, _: u64) -> io::Result<()> {
            unreachable!("reading cuts nothing")
        }

        fn allocate(&self, _: u64) -> io::Result<()> {
            unreachable!("reading needs no room")
        }
    }

    #[test]
    fn a_body_that_is_overwritten_while_it_is_read_is_erased_and_not_damaged() {
        let frame = Frame { meta: Vec::new(), bodies: vec![Bytes::from_static(b"secrets!")] };
        let mut bytes = Vec::new();
        encode(&frame, Position(1), 7, &mut bytes);
        bytes[HEAD_BYTES + ROW_BYTES + 1] = 0;
        let erasing = Caught { read: bytes.clone(), marker_now: Marker::Erasing };
        assert_eq!(read(&erasing, 0, 7).ok().unwrap().bodies[0].marker, Marker::Erasing);
        let rotten = Caught { read: bytes, marker_now: Marker::Stands };
        assert!(matches!(read(&rotten, 0, 7), Err(ReadError::Bad(Damage::Body(0)))));
    }
}
