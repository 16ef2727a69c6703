//! The index on sled 0.34; the only file that knows of it.
//!
//! One tree holds all tables: a key is the table's number followed by the caller's key, and number 0
//! holds the format version and the position that the index reflects. So one batch covers every table
//! and that position, and sled recovers a batch of one tree as a whole (`Tree::apply_batch` pegs the
//! log until its last record is written). Transactions over several trees promise the same and cost a
//! validation pass for each.
//!
//! What that promise covers is the death of the process: the operating system still has every batch
//! before the last [`Index::flush`], and of those behind it as many as filled sled's buffers, in order.
//! It does not cover a power cut. sled's `flush` calls `sync_file_range` and never `fsync` on Linux
//! (spacejam/sled#1452), and a file with a hole in it does not always fail to open (#1527, #1533): we
//! cut and zeroed parts of such files, and some opened without complaint, with keys missing from below
//! the position they claimed to reflect, or present from above it. So [`Index::reflects`] is believed
//! only if nothing can be missing. While the index is open, a marker in its folder names the boot of
//! the machine; [`Index::settle`] syncs every file and removes it. An index with the marker of
//! another boot was open when the machine went down, and is moved aside like one that does not open.
//! The caller then rebuilds it from the journal, as it does after a deletion.
//!
//! A page that rots while the machine is up is not found by this; whoever suspects it deletes the
//! index. sled's own flusher thread stays off: concurrent flushes can deadlock (#1308).

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::RwLock;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{FlockOperation, flock};
use sled::{Batch, Db, Error, IVec};

use super::index::check;
use super::{Change, Direction, Index, IndexError, Position, Table};

/// Bytes of sled's page cache.
pub const CACHE_BYTES: u64 = 128 * 1024 * 1024;
/// Format version of the index. Another one is set aside and rebuilt, so there are no migrations.
const VERSION: u32 = 1;
/// Damaged indexes that are kept beside the index; then somebody has to look.
const SET_ASIDE_MAX: u32 = 1000;

/// The file that is there while the index is open; it holds the machine's boot id.
const MARKER: &str = "open-since-boot";
/// What the marker says when the index is not to be trusted; no boot id looks so.
const DISTRUSTED: &str = "damaged";
/// Linux draws it anew at each start of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// sled's log, which it keeps locked while any of its threads may still write.
const LOG: &str = "db";
/// How often, and in what steps, closing waits for those threads.
const CLOSE_TRIES_MAX: u32 = 200;
const CLOSE_STEP: Duration = Duration::from_millis(10);

/// First byte of the index's own keys; no table has it.
const OWN: u8 = 0;
const VERSION_KEY: [u8; 8] = [OWN, b'v', b'e', b'r', b's', b'i', b'o', b'n'];
const REFLECTS_KEY: [u8; 9] = [OWN, b'r', b'e', b'f', b'l', b'e', b'c', b't', b's'];

/// The index in a sled database.
pub struct SledIndex {
    /// Nothing after it was closed.
    db: RwLock<Option<Db>>,
    dir: PathBuf,
}

impl SledIndex {
    fn new(db: Db, dir: &Path) -> Self {
        Self { db: RwLock::new(Some(db)), dir: dir.to_owned() }
    }

    fn db(&self) -> Result<Db, IndexError> {
        let db = self.db.read().expect("no holder of the database panics");
        db.clone().ok_or_else(|| IndexError::Io {
            doing: format!("use the index {}", self.dir.display()),
            source: io::Error::other("it was closed"),
        })
    }
}

fn settle(dir: &Path) -> io::Result<()> {
    let log = File::open(dir.join(LOG))?;
    let mut tries = 0;
    while let Err(error) = flock(&log, FlockOperation::NonBlockingLockExclusive) {
        tries += 1;
        if tries == CLOSE_TRIES_MAX {
            return Err(error.into());
        }
        thread::sleep(CLOSE_STEP);
    }
    sync_all(dir)?;
    fs::remove_file(dir.join(MARKER))?;
    File::open(dir)?.sync_all()
}

fn sync_all(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            sync_all(&entry?.path())?;
        }
    }
    File::open(path)?.sync_all()
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// The journal position that the index reflects.
    pub reflects: Position,
    /// The folder that could not be used and was moved, and why. The index is empty then, and the
    /// caller rebuilds it from the journal.
    pub set_aside: Option<SetAside>,
}

/// An index that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Where it lies now: `<folder>.damaged-<n>`.
    pub folder: PathBuf,
    /// What was wrong with it.
    pub why: String,
}

/// Opens the index in `dir`, making it when it is missing. An index that does not open, has another
/// format version, or was open when the machine last went down, is moved aside.
///
/// # Errors
/// [`IndexError::Locked`] when another process has it; [`IndexError::Io`] when the disk is full, access
/// is denied, or the folder cannot be moved. In these cases nothing was moved: the index may be whole.
pub fn open(dir: &Path) -> Result<(SledIndex, OpenReport), IndexError> {
    // Without a boot id, any start may have been the machine's.
    let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
    open_on(dir, boot.trim())
}

fn open_on(dir: &Path, boot: &str) -> Result<(SledIndex, OpenReport), IndexError> {
    // Threads of an index that this process has just dropped may hold its log for a moment longer.
    let mut tries = 0;
    let opened = loop {
        match try_open(dir, boot) {
            Err(Unusable::Refused(IndexError::Locked(_))) if tries < CLOSE_TRIES_MAX => {
                tries += 1;
                thread::sleep(CLOSE_STEP);
            }
            opened => break opened,
        }
    };
    let why = match opened {
        Ok(index) => {
            let reflects = index.reflects()?;
            return Ok((index, OpenReport { reflects, set_aside: None }));
        }
        Err(Unusable::Refused(error)) => return Err(error),
        Err(Unusable::Damaged(why)) => why,
    };
    let folder = move_aside(dir)
        .map_err(|source| IndexError::Io { doing: format!("move {} aside", dir.display()), source })?;
    let index = try_open(dir, boot).map_err(|unusable| match unusable {
        Unusable::Refused(error) => error,
        Unusable::Damaged(why) => IndexError::Damaged(format!("a new index does not open: {why}")),
    })?;
    let set_aside = Some(SetAside { folder, why });
    Ok((index, OpenReport { reflects: Position::START, set_aside }))
}

/// Moves an index aside whose files beside sled's cannot be used, and makes a new one: that, and where
/// the old one lies.
///
/// # Errors
/// As [`open`].
pub(super) fn set_aside(dir: &Path) -> Result<(SledIndex, PathBuf), IndexError> {
    let folder = move_aside(dir)
        .map_err(|source| IndexError::Io { doing: format!("move {} aside", dir.display()), source })?;
    open(dir).map(|(index, _)| (index, folder))
}

enum Unusable {
    /// Not the index's fault, or perhaps not.
    Refused(IndexError),
    Damaged(String),
}

/// Has the next open move the index aside: something in it was found damaged while it was in use.
pub(super) fn distrust(dir: &Path) {
    // Where even that fails the next open tries again, and finds the same.
    let _ = fs::write(dir.join(MARKER), DISTRUSTED);
}

/// Looks for the marker of another boot, and sets that of this one before sled touches anything.
fn mark_open(dir: &Path, boot: &str) -> Result<(), Unusable> {
    let refuse = |source| {
        Unusable::Refused(IndexError::Io { doing: format!("mark {} as open", dir.display()), source })
    };
    let marker = dir.join(MARKER);
    match fs::read(&marker) {
        Ok(since) if since == boot.as_bytes() && !since.is_empty() => return Ok(()),
        Ok(since) if since == DISTRUSTED.as_bytes() => {
            return Err(Unusable::Damaged("a part of it was found damaged".to_owned()));
        }
        Ok(_) => return Err(Unusable::Damaged("the machine went down while it was open".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(refuse(error)),
    }
    let mark = || {
        // What it knows about cases is its owner's alone, whatever the umask.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        // A marker that a crash leaves half written names no boot, which is the safe reading.
        fs::write(&marker, boot)?;
        File::open(&marker)?.sync_all()?;
        File::open(dir)?.sync_all()
    };
    mark().map_err(refuse)
}

fn try_open(dir: &Path, boot: &str) -> Result<SledIndex, Unusable> {
    mark_open(dir, boot)?;
    let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    // sled asserts some of what it reads, so a damaged file may panic instead of failing.
    let db = match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(db)) => db,
        Ok(Err(Error::Io(error))) => return Err(unusable(dir, error)),
        Ok(Err(error)) => return Err(Unusable::Damaged(error.to_string())),
        Err(_) => return Err(Unusable::Damaged("sled panicked while opening it".to_owned())),
    };
    let version = db.get(VERSION_KEY).map_err(|error| Unusable::Damaged(error.to_string()))?;
    match version.as_deref() {
        Some(version) if version == VERSION.to_le_bytes() => {}
        Some(version) => {
            return Err(Unusable::Damaged(format!("format version {version:?}, not {VERSION}")));
        }
        None if db.is_empty() => {
            let written = db.insert(VERSION_KEY, &VERSION.to_le_bytes());
            written.map_err(|error| Unusable::Refused(failed("make the index", error)))?;
        }
        None => return Err(Unusable::Damaged("no format version".to_owned())),
    }
    let index = SledIndex::new(db, dir);
    if let Err(error) = index.reflects() {
        return Err(Unusable::Damaged(error.to_string()));
    }
    Ok(index)
}

fn unusable(dir: &Path, error: io::Error) -> Unusable {
    let refuse = |source| {
        Unusable::Refused(IndexError::Io { doing: format!("open the index {}", dir.display()), source })
    };
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            refuse(error)
        }
        // sled 0.34 has no kind of its own for this.
        _ if error.to_string().contains("could not acquire lock") => {
            Unusable::Refused(IndexError::Locked(dir.display().to_string()))
        }
        _ => Unusable::Damaged(error.to_string()),
    }
}

fn move_aside(dir: &Path) -> io::Result<PathBuf> {
    let name = dir.file_name().ok_or_else(|| io::Error::other("the folder has no name"))?;
    for number in 1..=SET_ASIDE_MAX {
        let mut aside = name.to_owned();
        aside.push(format!(".damaged-{number}"));
        let aside = dir.with_file_name(aside);
        if !aside.exists() {
            fs::rename(dir, &aside)?;
            return Ok(aside);
        }
    }
    Err(io::Error::other("too many damaged indexes lie beside it; remove them"))
}

fn failed(doing: &str, error: Error) -> IndexError {
    match error {
        Error::Io(source) => IndexError::Io { doing: doing.to_owned(), source },
        error => IndexError::Damaged(error.to_string()),
    }
}

fn place(table: Table, key: &[u8]) -> Vec<u8> {
    let mut place = Vec::with_capacity(1 + key.len());
    place.push(table.number());
    place.extend_from_slice(key);
    place
}

impl Index for SledIndex {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, IndexError> {
        let value = self.db()?.get(place(table, key)).map_err(|error| failed("look up", error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn range(
        &self,
        table: Table,
        from: &[u8],
        to_exclusive: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Bytes, Bytes)>, IndexError> {
        let start = place(table, from);
        let end = match to_exclusive {
            [] => vec![table.number() + 1],
            to => place(table, to),
        };
        if start >= end {
            return Ok(Vec::new());
        }
        let rows = self.db()?.range(start..end);
        let row = |row: Result<(IVec, IVec), Error>| {
            let (key, value) = row.map_err(|error| failed("read a range", error))?;
            Ok((Bytes::copy_from_slice(&key[1..]), Bytes::copy_from_slice(&value)))
        };
        match direction {
            Direction::Ascending => rows.take(limit).map(row).collect(),
            Direction::Descending => rows.rev().take(limit).map(row).collect(),
        }
    }

    fn apply(&self, changes: &[Change], reflects: Position) -> Result<(), IndexError> {
        check(changes)?;
        // A batch is a map: of several changes to one key it keeps the last.
        let mut batch = Batch::default();
        for change in changes {
            match change {
                Change::Put { table, key, value } => batch.insert(place(*table, key), &value[..]),
                Change::Delete { table, key } => batch.remove(place(*table, key)),
            }
        }
        batch.insert(&REFLECTS_KEY, &reflects.0.to_le_bytes());
        self.db()?.apply_batch(batch).map_err(|error| failed("apply a batch", error))
    }

    fn reflects(&self) -> Result<Position, IndexError> {
        let Some(bytes) = self.db()?.get(REFLECTS_KEY).map_err(|error| failed("look up", error))? else {
            return Ok(Position::START);
        };
        let bytes = bytes.as_ref().try_into();
        let bytes =
            bytes.map_err(|_| IndexError::Damaged("the position it reflects is not one".to_owned()))?;
        Ok(Position(u64::from_le_bytes(bytes)))
    }

    /// Afterwards every call fails. Dropping the index instead is safe and costs a rebuild if the
    /// machine restarts.
    fn settle(&self) -> Result<(), IndexError> {
        let db = self.db.write().expect("no holder of the database panics").take();
        let Some(db) = db else { return Ok(()) };
        db.flush().map_err(|error| failed("flush", error))?;
        // sled's threads hold its log until the last handle is gone.
        drop(db);
        settle(&self.dir)
            .map_err(|source| IndexError::Io { doing: format!("close {}", self.dir.display()), source })
    }

    fn flush(&self) -> Result<(), IndexError> {
        self.db()?.flush().map(|_| ()).map_err(|error| failed("flush", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(table: Table, key: &[u8], value: &[u8]) -> Change {
        Change::Put { table, key: key.to_vec(), value: Bytes::copy_from_slice(value) }
    }

    #[test]
    fn changes_and_the_position_they_reflect_are_found_again_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let (index, report) = open(&path).unwrap();
        assert_eq!(report, OpenReport { reflects: Position::START, set_aside: None });
        index.apply(&[put(Table::Channel, b"a", b"1"), put(Table::Meta, b"a", b"2")], Position(7)).unwrap();
        index.flush().unwrap();
        drop(index);

        let (index, report) = open(&path).unwrap();
        assert_eq!(report, OpenReport { reflects: Position(7), set_aside: None });
        assert_eq!(index.get(Table::Channel, b"a").unwrap().unwrap(), "1");
        assert_eq!(index.get(Table::Meta, b"a").unwrap().unwrap(), "2");
        assert_eq!(index.get(Table::Batch, b"a").unwrap(), None);
    }

    #[test]
    fn a_deleted_folder_starts_at_zero() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let (index, _) = open(&path).unwrap();
        index.apply(&[put(Table::Channel, b"a", b"1")], Position(7)).unwrap();
        drop(index);
        fs::remove_dir_all(&path).unwrap();
        let (index, report) = open(&path).unwrap();
        assert_eq!(report, OpenReport { reflects: Position::START, set_aside: None });
        assert_eq!(index.get(Table::Channel, b"a").unwrap(), None);
    }

    #[test]
    fn a_damaged_folder_is_moved_aside_and_the_index_starts_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let (index, _) = open(&path).unwrap();
        index.apply(&[put(Table::Channel, b"a", b"1")], Position(7)).unwrap();
        drop(index);
        fs::write(path.join("conf"), b"not a configuration of sled").unwrap();

        let (index, report) = open(&path).unwrap();
        assert_eq!(report.reflects, Position::START);
        assert_eq!(report.set_aside.unwrap().folder, dir.path().join("index.damaged-1"));
        assert_eq!(index.get(Table::Channel, b"a").unwrap(), None);
        assert!(dir.path().join("index.damaged-1/db").exists());
    }

    #[test]
    fn another_format_version_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let (index, _) = open(&path).unwrap();
        index.db().unwrap().insert(VERSION_KEY, &2_u32.to_le_bytes()).unwrap();
        drop(index);
        let (_, report) = open(&path).unwrap();
        assert!(report.set_aside.unwrap().why.contains("format version"));
    }

    #[test]
    fn an_index_in_use_is_refused_and_stays_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let (index, _) = open(&path).unwrap();
        assert!(matches!(open(&path), Err(IndexError::Locked(_))));
        assert_eq!(index.reflects().unwrap(), Position::START);
        assert!(!dir.path().join("index.damaged-1").exists());
    }

    /// Each batch sets one key in every table to its number.
    fn apply_numbered(index: &SledIndex, number: u64) {
        let value = [number as u8; 700];
        let changes = Table::ALL.map(|table| put(table, b"key", &value));
        index.apply(&changes, Position(number)).unwrap();
    }

    #[track_caller]
    fn assert_whole(index: &SledIndex) {
        let reflects = index.reflects().unwrap();
        let expected = (reflects > Position::START).then(|| vec![reflects.0 as u8; 700]);
        for table in Table::ALL {
            let value = index.get(table, b"key").unwrap().map(|value| value.to_vec());
            assert!(value == expected, "{table:?} differs from what {reflects} set");
        }
    }

    const DYING: &str = "TONGBAN_TEST_INDEX_OF_A_DYING_PROCESS";

    #[test]
    fn a_process_that_dies_leaves_whole_batches() {
        const ITSELF: &str = "store::sled::tests::a_process_that_dies_leaves_whole_batches";
        if let Ok(task) = std::env::var(DYING) {
            let (batches, dir) = task.split_once(' ').unwrap();
            let (index, _) = open(Path::new(dir)).unwrap();
            for number in 1..=batches.parse().unwrap() {
                apply_numbered(&index, number);
                if number % 50 == 0 {
                    index.flush().unwrap();
                }
            }
            std::process::abort();
        }
        let dir = tempfile::tempdir().unwrap();
        for batches in [1, 49, 50, 77, 203] {
            let path = dir.path().join(batches.to_string());
            let child = std::process::Command::new(std::env::current_exe().unwrap())
                .args([ITSELF, "--exact"])
                .env(DYING, format!("{batches} {}", path.display()))
                .output()
                .unwrap();
            assert!(!child.status.success());
            let (index, report) = open(&path).unwrap();
            assert_eq!(report.set_aside, None);
            assert!(report.reflects.0 <= batches && report.reflects.0 >= batches / 50 * 50);
            assert_whole(&index);
        }
    }

    #[test]
    fn an_index_that_was_open_when_the_machine_went_down_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let (index, _) = open_on(&path, "monday").unwrap();
        apply_numbered(&index, 1);
        index.flush().unwrap();
        drop(index);
        let (index, report) = open_on(&path, "monday").unwrap();
        assert_eq!((report.reflects, report.set_aside), (Position(1), None));
        drop(index);
        let (index, report) = open_on(&path, "tuesday").unwrap();
        assert_eq!((report.reflects, index.reflects().unwrap()), (Position::START, Position::START));
        assert!(report.set_aside.unwrap().why.contains("went down"));
        assert_whole(&index);
    }

    #[test]
    fn a_closed_index_survives_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let (index, _) = open_on(&path, "monday").unwrap();
        apply_numbered(&index, 1);
        index.settle().unwrap();
        let (index, report) = open_on(&path, "tuesday").unwrap();
        assert_eq!((report.reflects, report.set_aside), (Position(1), None));
        assert_whole(&index);
    }

    #[test]
    fn without_a_boot_id_only_a_closed_index_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        open_on(&path, "").unwrap().0.settle().unwrap();
        let (index, report) = open_on(&path, "").unwrap();
        assert_eq!(report.set_aside, None);
        drop(index);
        assert!(open_on(&path, "").unwrap().1.set_aside.is_some());
    }
}
