//! A run: rows of the packed tables, sorted by key, written once and never changed.
//!
//! # Format, version 1
//!
//! Numbers are unsigned and little endian; CRC is CRC-32C. A key is the table's number followed by the
//! caller's key. A value's length of `ffffffff` says that the row was deleted.
//!
//! ```text
//! run     = magic "TBRUN\r\n\0" ‖ version (4) ‖ zeros (4) ‖ block … ‖ index ‖ filter ‖ trailer
//! block   = row … ‖ offset of each row in the block (4 each) ‖ rows (4) ‖ CRC of all before (4)
//! row     = bytes of the key (2) ‖ bytes of the value (4) ‖ key ‖ value
//! index   = for each block: offset in the file (8) ‖ bytes (4) ‖ bytes of its first key (2) ‖ that key
//! filter  = words of a Bloom filter (8 each), FILTER_HASHES bits a row
//! trailer = index's offset (8) ‖ filter's offset (8) ‖ rows (8) ‖ CRC of index and filter (4) ‖ "TBRE"
//! ```

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bytes::Bytes;

const MAGIC: &[u8; 8] = b"TBRUN\r\n\0";
const VERSION: u32 = 1;
const END: &[u8; 4] = b"TBRE";
const HEADER_BYTES: u64 = 16;
const TRAILER_BYTES: usize = 32;
const DELETED: u32 = u32::MAX;
/// A block is closed when it is as long as this; one long row may make it longer.
const BLOCK_BYTES: usize = 16 * 1024;
/// Bytes that a writer leaves dirty at most.
const SYNC_BYTES: usize = 512 * 1024;
/// Bits of the filter for each row, and how many of them a row sets: one look in a hundred goes astray.
const FILTER_BITS: usize = 10;
const FILTER_HASHES: u32 = 6;

/// One row; without a value it hides older ones of its key.
pub(super) type Row = (Bytes, Option<Bytes>);

/// Writes rows in ascending order of their keys.
pub(super) struct RunWriter {
    file: BufWriter<File>,
    offset: u64,
    unsynced: usize,
    block: Vec<u8>,
    offsets: Vec<u32>,
    first: Vec<u8>,
    index: Vec<u8>,
    hashes: Vec<u64>,
}

impl RunWriter {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(256 * 1024, File::create(path)?);
        file.write_all(MAGIC)?;
        file.write_all(&VERSION.to_le_bytes())?;
        file.write_all(&[0; 4])?;
        Ok(Self {
            file,
            offset: HEADER_BYTES,
            unsynced: 0,
            block: Vec::with_capacity(2 * BLOCK_BYTES),
            offsets: Vec::new(),
            first: Vec::new(),
            index: Vec::new(),
            hashes: Vec::new(),
        })
    }

    /// Adds a row; its key is greater than the last one's.
    pub(super) fn add(&mut self, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        if self.offsets.is_empty() {
            self.first.clear();
            self.first.extend_from_slice(key);
        }
        self.offsets.push(self.block.len() as u32);
        let value_bytes = value.map_or(DELETED, |value| value.len() as u32);
        self.block.extend_from_slice(&(key.len() as u16).to_le_bytes());
        self.block.extend_from_slice(&value_bytes.to_le_bytes());
        self.block.extend_from_slice(key);
        self.block.extend_from_slice(value.unwrap_or_default());
        self.hashes.push(hash(key));
        if self.block.len() >= BLOCK_BYTES { self.close_block() } else { Ok(()) }
    }

    fn close_block(&mut self) -> io::Result<()> {
        if self.offsets.is_empty() {
            return Ok(());
        }
        for offset in &self.offsets {
            self.block.extend_from_slice(&offset.to_le_bytes());
        }
        self.block.extend_from_slice(&(self.offsets.len() as u32).to_le_bytes());
        let crc = crc32c::crc32c(&self.block);
        self.block.extend_from_slice(&crc.to_le_bytes());
        self.file.write_all(&self.block)?;
        self.index.extend_from_slice(&self.offset.to_le_bytes());
        self.index.extend_from_slice(&(self.block.len() as u32).to_le_bytes());
        self.index.extend_from_slice(&(self.first.len() as u16).to_le_bytes());
        self.index.extend_from_slice(&self.first);
        self.offset += self.block.len() as u64;
        self.unsynced += self.block.len();
        if self.unsynced >= SYNC_BYTES {
            // Not for safety: what is dirty here would otherwise be written when the journal syncs next,
            // and make that wait.
            self.file.flush()?;
            self.file.get_ref().sync_data()?;
            self.unsynced = 0;
        }
        self.block.clear();
        self.offsets.clear();
        Ok(())
    }

    /// Closes the file; its length.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.close_block()?;
        let mut filter = vec![0_u64; (self.hashes.len() * FILTER_BITS).div_ceil(64).max(1)];
        let bits = filter.len() as u64 * 64;
        for hash in &self.hashes {
            for bit in bits_of(*hash, bits) {
                filter[(bit / 64) as usize] |= 1 << (bit % 64);
            }
        }
        let filter: Vec<u8> = filter.iter().flat_map(|word| word.to_le_bytes()).collect();
        let filter_at = self.offset + self.index.len() as u64;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&self.index), &filter);
        self.file.write_all(&self.index)?;
        self.file.write_all(&filter)?;
        self.file.write_all(&self.offset.to_le_bytes())?;
        self.file.write_all(&filter_at.to_le_bytes())?;
        self.file.write_all(&(self.hashes.len() as u64).to_le_bytes())?;
        self.file.write_all(&crc.to_le_bytes())?;
        self.file.write_all(END)?;
        self.file.flush()?;
        Ok(filter_at + filter.len() as u64 + TRAILER_BYTES as u64)
    }
}

/// Where a block lies, and its first key.
struct BlockPlace {
    offset: u64,
    bytes: u32,
    first: Box<[u8]>,
}

/// A run that is read: its block index and its filter are in memory, its rows are on disk.
pub(super) struct Run {
    /// The oldest and the newest flush that it holds.
    pub(super) span: (u64, u64),
    /// Bytes of the file.
    pub(super) bytes: u64,
    file: File,
    blocks: Vec<BlockPlace>,
    filter: Vec<u64>,
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a run is damaged: {what}"))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

impl Run {
    /// Opens a run and reads what is kept in memory of it.
    pub(super) fn open(path: &Path, span: (u64, u64)) -> io::Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut header = [0; HEADER_BYTES as usize];
        file.read_exact_at(&mut header, 0)?;
        if &header[..8] != MAGIC || u32_at(&header, 8) != Some(VERSION) {
            return Err(damaged("its header"));
        }
        let trailer_at = bytes.checked_sub(TRAILER_BYTES as u64).ok_or_else(|| damaged("it is too short"))?;
        let mut trailer = [0; TRAILER_BYTES];
        file.read_exact_at(&mut trailer, trailer_at)?;
        let (index_at, filter_at) = (u64_at(&trailer, 0), u64_at(&trailer, 8));
        let (Some(index_at), Some(filter_at)) = (index_at, filter_at) else {
            return Err(damaged("its trailer"));
        };
        if &trailer[28..] != END || index_at > filter_at || filter_at > trailer_at {
            return Err(damaged("its trailer"));
        }
        let mut tail = vec![0; (trailer_at - index_at) as usize];
        file.read_exact_at(&mut tail, index_at)?;
        if u32_at(&trailer, 24) != Some(crc32c::crc32c(&tail)) {
            return Err(damaged("its index"));
        }
        let (mut index, filter) = tail.split_at((filter_at - index_at) as usize);
        let mut blocks = Vec::new();
        while !index.is_empty() {
            let place = (|| {
                let (offset, bytes) = (u64_at(index, 0)?, u32_at(index, 8)?);
                let key = u16::from_le_bytes(index.get(12..14)?.try_into().ok()?) as usize;
                let first = index.get(14..14 + key)?.into();
                Some((BlockPlace { offset, bytes, first }, 14 + key))
            })();
            let (place, length) = place.ok_or_else(|| damaged("its index"))?;
            // Checked: a sum that wraps would pass, and 4 GiB be allocated for the block.
            if place.offset.checked_add(u64::from(place.bytes)).is_none_or(|end| end > index_at) {
                return Err(damaged("its index"));
            }
            blocks.push(place);
            index = &index[length..];
        }
        let filter = filter.chunks_exact(8).filter_map(|word| u64_at(word, 0)).collect();
        Ok(Self { span, bytes, file, blocks, filter })
    }

    /// How many blocks it has.
    pub(super) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Whether the key may be in it. `hash` is [`hash`] of the key.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        let bits = self.filter.len() as u64 * 64;
        bits > 0 && bits_of(hash, bits).all(|bit| self.filter[(bit / 64) as usize] >> (bit % 64) & 1 == 1)
    }

    /// The block that would hold the key; none when the key is below all.
    pub(super) fn block_of(&self, key: &[u8]) -> Option<usize> {
        self.blocks.partition_point(|place| &*place.first <= key).checked_sub(1)
    }

    /// Reads and verifies a block.
    pub(super) fn read_block(&self, number: usize) -> io::Result<Block> {
        let place = self.blocks.get(number).ok_or_else(|| damaged("a block is missing"))?;
        let mut bytes = vec![0; place.bytes as usize];
        self.file.read_exact_at(&mut bytes, place.offset)?;
        Block::parse(Bytes::from(bytes))
    }
}

/// A block whose check sum holds.
pub(super) struct Block {
    bytes: Bytes,
    rows: usize,
    offsets_at: usize,
}

impl Block {
    fn parse(bytes: Bytes) -> io::Result<Self> {
        let end = bytes.len().checked_sub(8).ok_or_else(|| damaged("a block is too short"))?;
        if u32_at(&bytes, end + 4) != Some(crc32c::crc32c(&bytes[..end + 4])) {
            return Err(damaged("a block's check sum"));
        }
        let rows = u32_at(&bytes, end).unwrap_or(0) as usize;
        let offsets_at = end.checked_sub(4 * rows).ok_or_else(|| damaged("a block's offsets"))?;
        Ok(Self { bytes, rows, offsets_at })
    }

    /// Bytes that it holds in memory.
    pub(super) fn weight(&self) -> usize {
        self.bytes.len()
    }

    /// How many rows it has.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The key of row `number`; empty when there is no such row.
    fn key(&self, number: usize) -> &[u8] {
        let read = || {
            let at = u32_at(&self.bytes, self.offsets_at + 4 * number)? as usize;
            let key = u16::from_le_bytes(self.bytes.get(at..at + 2)?.try_into().ok()?) as usize;
            self.bytes.get(at + 6..at + 6 + key)
        };
        read().unwrap_or_default()
    }

    /// Row `number`.
    pub(super) fn row(&self, number: usize) -> Option<Row> {
        let at = u32_at(&self.bytes, self.offsets_at + 4 * number)? as usize;
        let key = u16::from_le_bytes(self.bytes.get(at..at + 2)?.try_into().ok()?) as usize;
        let value = u32_at(&self.bytes, at + 2)?;
        let (start, end) = (at + 6, at + 6 + key);
        if end > self.offsets_at {
            return None;
        }
        let name = self.bytes.slice(start..end);
        if value == DELETED {
            return Some((name, None));
        }
        let value_end = end + value as usize;
        (value_end <= self.offsets_at).then(|| (name, Some(self.bytes.slice(end..value_end))))
    }

    /// The first row whose key is not below `key`.
    pub(super) fn lower_bound(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.rows);
        while low < high {
            let middle = (low + high) / 2;
            if self.key(middle) < key { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The row of exactly that key.
    pub(super) fn find(&self, key: &[u8]) -> Option<Row> {
        let number = self.lower_bound(key);
        if number < self.rows && self.key(number) == key { self.row(number) } else { None }
    }
}

/// The hash of a key for filters: eight bytes at a time, multiplied and folded, then mixed as MurmurHash3
/// does at its end. Stored in files through the filter, so it never changes within a version.
pub(super) fn hash(key: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = FACTOR ^ key.len() as u64;
    for chunk in key.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = (state ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
        state ^= state >> 29;
    }
    state = (state ^ state >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    state = (state ^ state >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    state ^ state >> 33
}

fn bits_of(hash: u64, bits: u64) -> impl Iterator<Item = u64> {
    let step = (hash >> 32) | 1;
    (0..u64::from(FILTER_HASHES)).map(move |number| hash.wrapping_add(number.wrapping_mul(step)) % bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Vec<u8> {
        format!("key-{number:08}").into_bytes()
    }

    fn written(rows: u32) -> (tempfile::TempDir, Run) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let mut writer = RunWriter::create(&path).unwrap();
        for number in 0..rows {
            let value = vec![number as u8; (number % 300) as usize];
            let value = (number % 7 != 0).then_some(&value[..]);
            writer.add(&key(2 * number), value).unwrap();
        }
        let bytes = writer.finish().unwrap();
        assert_eq!(bytes, std::fs::metadata(&path).unwrap().len());
        let run = Run::open(&path, (1, 1)).unwrap();
        (dir, run)
    }

    fn get(run: &Run, key: &[u8]) -> Option<Row> {
        if !run.may_hold(hash(key)) {
            return None;
        }
        run.read_block(run.block_of(key)?).unwrap().find(key)
    }

    #[test]
    fn every_row_is_found_and_no_other() {
        let (_dir, run) = written(5000);
        assert!(run.blocks() > 10);
        for number in 0..5000_u32 {
            let (found, value) = get(&run, &key(2 * number)).unwrap();
            assert_eq!(found, key(2 * number));
            assert_eq!(value.is_none(), number % 7 == 0);
            assert!(value.is_none_or(|value| value.len() == (number % 300) as usize));
            assert!(get(&run, &key(2 * number + 1)).is_none());
        }
        let astray = (0..5000).filter(|number| run.may_hold(hash(&key(2 * number + 1)))).count();
        assert!(astray < 150, "the filter spares most looks: {astray} of 5000 went astray");
    }

    #[test]
    fn a_block_whose_end_wraps_around_is_refused_though_the_check_sum_holds() {
        let (dir, _) = written(10);
        let path = dir.path().join("run");
        let mut bytes = std::fs::read(&path).unwrap();
        let trailer = bytes.len() - TRAILER_BYTES;
        let index = u64_at(&bytes, trailer).unwrap() as usize;
        bytes[index..index + 8].copy_from_slice(&(u64::MAX - 8).to_le_bytes());
        bytes[index + 8..index + 12].copy_from_slice(&u32::MAX.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[index..trailer]);
        bytes[trailer + 24..trailer + 28].copy_from_slice(&crc.to_le_bytes());
        std::fs::write(&path, &bytes).unwrap();
        assert!(Run::open(&path, (1, 1)).is_err());
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed_or_harmless() {
        let (dir, run) = written(200);
        let path = dir.path().join("run");
        let bytes = std::fs::read(&path).unwrap();
        let sound: Vec<_> = (0..run.blocks())
            .flat_map(|number| {
                let block = run.read_block(number).unwrap();
                (0..block.rows()).map(|row| block.row(row).unwrap()).collect::<Vec<_>>()
            })
            .collect();
        for at in (0..bytes.len()).step_by(13) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            std::fs::write(&path, &flipped).unwrap();
            let Ok(run) = Run::open(&path, (1, 1)) else { continue };
            let rows: io::Result<Vec<Vec<Row>>> = (0..run.blocks())
                .map(|number| {
                    let block = run.read_block(number)?;
                    Ok((0..block.rows()).filter_map(|row| block.row(row)).collect())
                })
                .collect();
            if let Ok(rows) = rows {
                assert_eq!(rows.concat(), sound, "byte {at}");
            }
        }
    }
}
