//! How fast an append becomes durable on a disk: the same write and the same sync as a journal's, on a
//! preallocated file, one after the other.

use crate::demo::DemoError;
use crate::demo::rig::Rig;
use rustix::fs::{FallocateFlags, fallocate, fdatasync};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes that are preallocated; the file is written round and round.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// What the disk answered.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct DiskFigures {
    /// Bytes of one append.
    pub append_bytes: usize,
    /// Appends that became durable in a second.
    pub syncs_per_s: f64,
    /// Milliseconds of one append and its sync.
    pub p50_ms: f64,
    /// See there.
    pub p99_ms: f64,
    /// See there.
    pub max_ms: f64,
}

/// Asks the disk that two nodes' folders lie on, for a second, with appends of a page.
///
/// # Errors
/// When the folder cannot be written to.
pub(super) async fn ask_beside(rig: &Rig) -> Result<DiskFigures, DemoError> {
    let dir = rig.folder().to_owned();
    let asked = tokio::task::spawn_blocking(move || ask(&dir, 1, 4096)).await;
    asked.map_err(|panic| DemoError::Broken(panic.to_string()))?
}

/// Appends and syncs for some seconds.
///
/// # Errors
/// When the folder cannot be written to.
pub(super) fn ask(dir: &Path, seconds: u32, append_bytes: usize) -> Result<DiskFigures, DemoError> {
    let path = dir.join(format!("tongban-bench-disk-{}", std::process::id()));
    let failed = |error: std::io::Error| DemoError::file(&path)(error);
    let file = std::fs::File::create_new(&path).map_err(failed)?;
    let asked = (|| {
        fallocate(&file, FallocateFlags::empty(), 0, FILE_BYTES)?;
        file.sync_all()?;
        let bytes = vec![0x5a; append_bytes];
        let (began, limit) = (Instant::now(), Duration::from_secs(u64::from(seconds)));
        let (mut took, mut offset) = (Vec::new(), 0);
        while began.elapsed() < limit {
            let at = Instant::now();
            file.write_all_at(&bytes, offset)?;
            fdatasync(&file)?;
            took.push(at.elapsed());
            offset += append_bytes as u64;
            if offset + append_bytes as u64 > FILE_BYTES {
                offset = 0;
            }
        }
        Ok((took, began.elapsed()))
    })();
    // A file left in the folder is no reason to fail.
    let _ = std::fs::remove_file(&path);
    let (mut took, lasted): (Vec<Duration>, Duration) = asked.map_err(failed)?;
    took.sort_unstable();
    let at = |share: f64| super::machine::quantile(&took, share).as_secs_f64() * 1e3;
    Ok(DiskFigures {
        append_bytes,
        syncs_per_s: took.len() as f64 / lasted.as_secs_f64(),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        max_ms: at(1.0),
    })
}
