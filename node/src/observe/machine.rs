//! What the operating system says: the disk, the data folder's bytes, and this process.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use gateway::gateway::{BLOBS_DIR, INDEX_DIR, JOURNAL_DIR};

/// Bytes of a block as `stat` counts them, whatever the file system's own are.
const STAT_BLOCK_BYTES: u64 = 512;

/// The disk that a folder lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Bytes that this process may still use.
    pub free_bytes: u64,
    /// Bytes in all.
    pub size_bytes: u64,
}

/// Looks at the disk of a folder, or of the nearest one above it that exists.
pub fn disk(folder: &Path) -> Option<Disk> {
    let there = folder.ancestors().find(|folder| folder.is_dir())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Some(Disk { free_bytes: bytes(disk.f_bavail), size_bytes: bytes(disk.f_blocks) })
}

/// Bytes on the disk, preallocated room included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreBytes {
    /// The journal's.
    pub journal: u64,
    /// The index's.
    pub index: u64,
    /// The blobs'.
    pub blobs: u64,
}

/// Adds up what lies in the data folder. Walks through every file, so it belongs where it may block.
pub fn store_bytes(data_dir: &Path) -> StoreBytes {
    let bytes = |part| allocated(&data_dir.join(part)).unwrap_or_default();
    StoreBytes { journal: bytes(JOURNAL_DIR), index: bytes(INDEX_DIR), blobs: bytes(BLOBS_DIR) }
}

fn allocated(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // A file that goes away meanwhile takes no room.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            bytes += allocated(&entry.path()).unwrap_or_default();
        } else {
            bytes += metadata.blocks() * STAT_BLOCK_BYTES;
        }
    }
    Ok(bytes)
}

/// This process.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Process {
    /// CPU time, seconds.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub resident_bytes: u64,
    /// Address space.
    pub virtual_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Start, Unix seconds.
    pub started_seconds: f64,
    /// Open files and sockets.
    pub open_fds: u64,
    /// How many there may be.
    pub max_fds: u64,
}

/// Looks at this process; nothing where there is no `/proc`.
pub fn process() -> Option<Process> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let boot = std::fs::read_to_string("/proc/stat").ok()?;
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<f64>().ok()?;
    let mut process = parse(
        &stat,
        boot,
        rustix::param::clock_ticks_per_second() as f64,
        rustix::param::page_size() as u64,
    )?;
    process.open_fds = std::fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    process.max_fds = limit.unwrap_or(u64::MAX);
    Some(process)
}

/// Reads `/proc/self/stat`, proc_pid_stat(5). The second field may hold anything, so counting begins
/// after its closing bracket.
fn parse(stat: &str, boot_seconds: f64, ticks_per_second: f64, page_bytes: u64) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // Field 3 of the manual is the first here.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Process {
        cpu_seconds: (number(14)? + number(15)?) as f64 / ticks_per_second,
        threads: number(20)?,
        started_seconds: boot_seconds + number(22)? as f64 / ticks_per_second,
        virtual_bytes: number(23)?,
        resident_bytes: number(24)? * page_bytes,
        ..Process::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_whose_name_has_brackets_is_read_right() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 9 0 1000 4096000 25 0 0 0 0";
        let process = parse(stat, 1_000.0, 100.0, 4096).unwrap();
        assert_eq!(process.cpu_seconds, 3.0);
        assert_eq!(process.threads, 9);
        assert_eq!(process.started_seconds, 1_010.0);
        assert_eq!((process.virtual_bytes, process.resident_bytes), (4_096_000, 102_400));
    }

    #[test]
    fn this_process_and_this_disk_are_seen() {
        let process = process().unwrap();
        assert!(process.resident_bytes > 0 && process.open_fds > 2 && process.max_fds >= process.open_fds);
        let dir = tempfile::tempdir().unwrap();
        let disk = disk(&dir.path().join("not/made/yet")).unwrap();
        assert!(disk.free_bytes <= disk.size_bytes && disk.size_bytes > 0);
    }

    #[test]
    fn bytes_are_counted_as_the_disk_gives_them_away() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(store_bytes(dir.path()), StoreBytes::default());
        let deep = dir.path().join(INDEX_DIR).join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("file"), vec![7; 100_000]).unwrap();
        let bytes = store_bytes(dir.path());
        assert!(bytes.index >= 100_000 && bytes.journal == 0 && bytes.blobs == 0, "{bytes:?}");
    }
}
