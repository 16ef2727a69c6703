//! What the system knows: of this machine, of a process, of the bytes that a folder takes on disk.

use crate::demo::DemoError;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

/// Clock ticks in a second, as /proc counts them; Linux shows 100 on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;
/// Bytes of a block as `stat` counts them.
const BLOCK_BYTES: u64 = 512;

/// The value below which a share of the sorted values lies; the smallest of nothing is zero.
pub(super) fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let place = (last as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

/// CPU seconds that a process has used, its threads included.
pub(super) fn cpu_seconds(process: u32) -> Result<f64, DemoError> {
    let path = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&path).map_err(DemoError::file(Path::new(&path)))?;
    // The name in parentheses may hold anything; the fields behind it are numbers.
    let ticks = |behind: &str| {
        let mut fields = behind.split_ascii_whitespace().skip(11);
        Some(fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?)
    };
    text.rsplit_once(')')
        .and_then(|(_, behind)| ticks(behind))
        .map(|ticks| ticks / TICKS_PER_SECOND)
        .ok_or_else(|| DemoError::Broken(format!("{path} has another form")))
}

/// The most memory that a process ever held, MiB.
pub(super) fn peak_rss_mib(process: u32) -> Result<f64, DemoError> {
    status_kib(process, "VmHWM:").map(|kib| kib / 1024.0)
}

/// The memory that a process holds now, MiB.
pub(super) fn rss_mib(process: u32) -> Result<f64, DemoError> {
    status_kib(process, "VmRSS:").map(|kib| kib / 1024.0)
}

/// Lets the peak begin anew at what the process holds now. Where the kernel does not allow it the peak
/// stays the one of the whole life, which can only say too much.
pub(super) fn forget_peak(process: u32) {
    let _ = std::fs::write(format!("/proc/{process}/clear_refs"), "5");
}

fn status_kib(process: u32, field: &str) -> Result<f64, DemoError> {
    let path = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&path).map_err(DemoError::file(Path::new(&path)))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok())
        .ok_or_else(|| DemoError::Broken(format!("{path} has no {field}")))
}

/// Bytes that a folder takes on disk, and how many of them are files' unused, preallocated ends: a file's
/// bytes behind the last one that is not zero. Only the newest journal segment has such an end, and the room
/// for the next one is nothing else.
pub(super) fn folder_bytes(folder: &Path) -> Result<(u64, u64), DemoError> {
    let (mut allocated, mut unused) = (0, 0);
    for entry in std::fs::read_dir(folder).map_err(DemoError::file(folder))? {
        let entry = entry.map_err(DemoError::file(folder))?;
        let path = entry.path();
        // A running node may remove a file meanwhile.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            let (more, more_unused) = folder_bytes(&path)?;
            allocated += more;
            unused += more_unused;
            continue;
        }
        allocated += metadata.blocks() * BLOCK_BYTES;
        let is_segment = path.extension().is_some_and(|extension| extension == "tbj");
        if is_segment || path.file_name().is_some_and(|name| name == "spare.new") {
            unused += zeros_at_the_end(&path)?;
        }
    }
    Ok((allocated, unused))
}

fn zeros_at_the_end(path: &Path) -> Result<u64, DemoError> {
    use std::os::unix::fs::FileExt as _;
    const STEP: u64 = 1024 * 1024;
    let file = std::fs::File::open(path).map_err(DemoError::file(path))?;
    let length = file.metadata().map_err(DemoError::file(path))?.len();
    let mut end = length;
    let mut buffer = vec![0; STEP as usize];
    while end > 0 {
        let step = end.min(STEP);
        let part = &mut buffer[..step as usize];
        file.read_exact_at(part, end - step).map_err(DemoError::file(path))?;
        if let Some(last) = part.iter().rposition(|byte| *byte != 0) {
            return Ok(length - (end - step + last as u64 + 1));
        }
        end -= step;
    }
    Ok(length)
}

/// What a figure depends on.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// The processor's name.
    pub processor: String,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// The kernel's release.
    pub kernel: String,
    /// This program's version.
    pub version: &'static str,
    /// Whether it was built with optimisation.
    pub optimised: bool,
}

impl Machine {
    /// This one.
    pub(super) fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kib: u64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            memory_mib: kib / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            optimised: !cfg!(debug_assertions),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_values() {
        let values: Vec<_> = (1..=101).map(Duration::from_millis).collect();
        assert_eq!(quantile(&values, 0.5), Duration::from_millis(51));
        assert_eq!(quantile(&values, 0.99), Duration::from_millis(100));
        assert_eq!(quantile(&values, 1.0), Duration::from_millis(101));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }

    #[test]
    fn this_process_has_used_time_and_memory() {
        let spin = std::time::Instant::now();
        while spin.elapsed() < Duration::from_millis(30) {}
        assert!(cpu_seconds(std::process::id()).unwrap() > 0.0);
        assert!(peak_rss_mib(std::process::id()).unwrap() > 1.0);
        assert!(rss_mib(std::process::id()).unwrap() > 1.0);
    }

    #[test]
    fn the_unused_end_of_a_segment_is_told_from_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("1.tbj");
        let mut bytes = vec![7; 3000];
        bytes.resize(2_500_000, 0);
        std::fs::write(&file, &bytes).unwrap();
        let (allocated, unused) = folder_bytes(dir.path()).unwrap();
        assert!(allocated >= 2_500_000);
        assert_eq!(unused, 2_500_000 - 3000);
    }
}
