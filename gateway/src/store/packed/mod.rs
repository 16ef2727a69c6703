//! The index as it is used: newest rows in memory, rows of the busy tables packed into sorted runs,
//! everything else in sled.
//!
//! sled spends ten microseconds and some hundred bytes on a row, and an exchange makes several rows of
//! each message. So a commit's rows go into a table in memory first, which costs one microsecond; when
//! it has grown to `FREEZE_BYTES` it is frozen and a thread of its own writes it down: the tables with
//! a row for every message as one sorted run, the few rows of the other tables into sled, together
//! with the list of runs and the position that all of it reflects, in one batch of sled's. Runs of one
//! size are merged, so that a look-up meets few of them; a filter in memory spares most of those.
//!
//! What a crash leaves: the rows in memory are gone, and [`Index::reflects`] names the position of the
//! last batch in sled; replay brings them back. sled keeps batches in memory until it has half a MiB of
//! them, so each of ours is flushed out of the process. A run that no list names is removed at the next
//! open.
//! Runs are synced only by [`Index::settle`], like sled's own files: the marker that `sled` keeps of the
//! machine's boot covers both, for the runs lie in the same folder.

mod run;

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::io;
use std::iter::Peekable;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::thread::JoinHandle;

use bytes::Bytes;

use self::run::{Block, Row, Run, RunWriter, hash};
use super::index::check;
use super::sled::{OpenReport, SetAside, SledIndex};
use super::{Change, Direction, Index, IndexError, Position, Table};

/// Bytes of rows in memory before they are written down. What they reflect is what a start replays
/// after a kill: some four times as many bytes of the journal.
const FREEZE_BYTES: usize = 8 * 1024 * 1024;
/// Times that many bytes of rows in memory, and whoever applies waits for the writer.
const WAIT_FACTOR: usize = 4;
/// Bytes that a row costs in memory besides its key and value.
const ROW_OVERHEAD: usize = 64;
/// Runs of one tier that are merged into one of the next.
const MERGE_RUNS: usize = 4;
/// Bytes of blocks that are kept in memory.
const CACHE_BYTES: usize = 16 * 1024 * 1024;
/// Rows that one look at sled takes.
const SLED_PAGE: usize = 64;
/// Folder of the runs below the index's.
const RUNS_DIR: &str = "runs";

/// Whether a table's rows are packed: those with a row for every message.
fn packed(table: Table) -> bool {
    matches!(table, Table::Message | Table::Case | Table::CaseFact | Table::Request)
}

/// Rows in memory, newest state of each key.
#[derive(Default)]
struct Rows {
    rows: BTreeMap<Vec<u8>, Option<Bytes>>,
    bytes: usize,
    reflects: Position,
}

impl Rows {
    fn set(&mut self, key: Vec<u8>, value: Option<Bytes>) {
        let added = value.as_ref().map_or(0, Bytes::len);
        let key_bytes = key.len();
        match self.rows.insert(key, value) {
            Some(old) => self.bytes -= old.map_or(0, |old| old.len()),
            None => self.bytes += key_bytes + ROW_OVERHEAD,
        }
        self.bytes += added;
    }
}

/// What is looked at, newest first: rows in memory, rows being written, runs; then sled.
#[derive(Default)]
struct State {
    live: Rows,
    frozen: Option<Arc<Rows>>,
    runs: Vec<Arc<Run>>,
}

/// What the writer's thread shares with everybody.
struct Shared {
    sled: SledIndex,
    dir: PathBuf,
    /// [`FREEZE_BYTES`], or less in a test.
    freeze_bytes: usize,
    state: RwLock<State>,
    cache: Mutex<Cache>,
    /// Held while sled's list of runs and its position change.
    listing: Mutex<()>,
    /// The index is being closed: merges are given up, they begin anew after the next open.
    closing: AtomicBool,
    /// Whether rows are being written, and why writing failed.
    writing: Mutex<Writing>,
    written: Condvar,
}

#[derive(Default)]
struct Writing {
    busy: bool,
    failed: Option<String>,
}

/// The index.
pub struct PackedIndex {
    shared: Arc<Shared>,
    jobs: Mutex<Option<mpsc::Sender<Arc<Rows>>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Opens the index in `dir`, making it when it is missing. One that cannot be used is moved aside, as
/// [`super::sled::open`] does.
///
/// # Errors
/// As there.
pub fn open(dir: &Path) -> Result<(PackedIndex, OpenReport), IndexError> {
    open_with(dir, FREEZE_BYTES)
}

/// Reads one run file whole and verifies it: how many rows it has.
///
/// # Errors
/// When it cannot be read, is damaged, or its rows do not ascend.
pub fn inspect_run(path: &Path) -> io::Result<u64> {
    let run = Run::open(path, (0, 0))?;
    let (mut rows, mut last) = (0, None);
    for number in 0..run.blocks() {
        let block = run.read_block(number)?;
        for row in 0..block.rows() {
            let row = block.row(row).filter(|(key, _)| last.as_ref().is_none_or(|last| last < key));
            let (key, _) =
                row.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a row is damaged"))?;
            last = Some(key);
            rows += 1;
        }
    }
    Ok(rows)
}

fn open_with(dir: &Path, freeze_bytes: usize) -> Result<(PackedIndex, OpenReport), IndexError> {
    let (sled, mut report) = super::sled::open(dir)?;
    let (sled, runs) = match open_runs(&sled, dir) {
        Ok(runs) => (sled, runs),
        // The list and the files disagree, or a file is damaged: the index holds nothing of its own.
        Err(why) => {
            drop(sled);
            let (sled, folder) = super::sled::set_aside(dir)?;
            report = OpenReport {
                reflects: Position::START,
                set_aside: Some(SetAside { folder, why: why.to_string() }),
            };
            fs::create_dir_all(dir.join(RUNS_DIR)).map_err(|source| failed("make", dir, source))?;
            (sled, Vec::new())
        }
    };
    let reflects = sled.reflects()?;
    let state = State { live: Rows { reflects, ..Rows::default() }, frozen: None, runs };
    let shared = Arc::new(Shared {
        sled,
        dir: dir.to_owned(),
        freeze_bytes,
        state: RwLock::new(state),
        cache: Mutex::default(),
        listing: Mutex::default(),
        closing: AtomicBool::new(false),
        writing: Mutex::default(),
        written: Condvar::new(),
    });
    let (jobs, work) = mpsc::channel();
    let (grown, growth) = mpsc::channel();
    let start = |name: &str, task: Box<dyn FnOnce() + Send>| {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(task);
        thread.map_err(|source| failed("start a thread of", dir, source))
    };
    let (writer, merger) = (Arc::clone(&shared), Arc::clone(&shared));
    let threads = vec![
        start("index-writer", Box::new(move || write_down(&writer, &work, &grown)))?,
        start("index-merger", Box::new(move || merge_runs(&merger, &growth)))?,
    ];
    let index = PackedIndex { shared, jobs: Mutex::new(Some(jobs)), threads: Mutex::new(threads) };
    Ok((index, report))
}

fn failed(doing: &str, path: &Path, source: io::Error) -> IndexError {
    IndexError::Io { doing: format!("{doing} {}", path.display()), source }
}

/// The runs that sled's list names, newest first. Other files are what a crash left.
fn open_runs(sled: &SledIndex, dir: &Path) -> Result<Vec<Arc<Run>>, IndexError> {
    let folder = dir.join(RUNS_DIR);
    fs::create_dir_all(&folder).map_err(|source| failed("make", &folder, source))?;
    let mut runs = Vec::new();
    let mut names = Vec::new();
    for (key, _) in sled.range(Table::Run, &[], &[], usize::MAX, Direction::Ascending)? {
        let damaged = || IndexError::Damaged("the list of runs".to_owned());
        let number = |at: usize| key.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
        let span = number(0).zip(number(8)).ok_or_else(damaged)?;
        let name = file_name(span);
        let path = folder.join(&name);
        runs.push(Arc::new(Run::open(&path, span).map_err(|source| failed("open", &path, source))?));
        names.push(name);
    }
    runs.sort_by_key(|run| std::cmp::Reverse(run.span));
    let entries = fs::read_dir(&folder).map_err(|source| failed("list", &folder, source))?;
    for entry in entries.flatten() {
        if !names.iter().any(|name| entry.file_name() == name.as_str()) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(runs)
}

fn file_name((first, last): (u64, u64)) -> String {
    format!("{first:016x}-{last:016x}.run")
}

fn list_key((first, last): (u64, u64)) -> Vec<u8> {
    [first.to_be_bytes(), last.to_be_bytes()].concat()
}

fn place(table: Table, key: &[u8]) -> Vec<u8> {
    let mut place = Vec::with_capacity(1 + key.len());
    place.push(table.number());
    place.extend_from_slice(key);
    place
}

/// The writer's thread: writes down what was frozen.
fn write_down(shared: &Shared, work: &mpsc::Receiver<Arc<Rows>>, grown: &mpsc::Sender<()>) {
    while let Ok(rows) = work.recv() {
        match shared.write(&rows) {
            Ok(()) => shared.told(None, false),
            Err(error) => return shared.told(Some(error.to_string()), false),
        }
        // A merger that failed has said so.
        let _ = grown.send(());
    }
}

/// The merger's thread: merges runs whenever one was written. A merge may take seconds; writing down
/// does not wait for it.
fn merge_runs(shared: &Shared, growth: &mpsc::Receiver<()>) {
    while growth.recv().is_ok() {
        while !shared.closing.load(std::sync::atomic::Ordering::Relaxed) {
            match shared.merge() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return shared.told(Some(error.to_string()), false),
            }
        }
    }
}

impl Shared {
    /// Wakes whoever waits for the writer.
    fn told(&self, failed: Option<String>, busy: bool) {
        let mut writing = self.writing.lock().expect("no holder of the writer's state panics");
        writing.busy = busy;
        if failed.is_some() {
            writing.failed = failed;
        }
        self.written.notify_all();
    }

    fn run_path(&self, span: (u64, u64)) -> PathBuf {
        self.dir.join(RUNS_DIR).join(file_name(span))
    }

    /// Writes frozen rows: a run, then one batch of sled's that names it.
    fn write(&self, rows: &Rows) -> Result<(), IndexError> {
        let newest = {
            let state = self.state.read().expect("no holder of the index panics");
            state.runs.first().map_or(0, |run| run.span.1)
        };
        let span = (newest + 1, newest + 1);
        let path = self.run_path(span);
        let io = |source| failed("write", &path, source);
        let mut changes = Vec::new();
        let mut writer = None;
        for (place, value) in &rows.rows {
            let table = Table::ALL.into_iter().find(|table| table.number() == place[0]);
            let table = table.ok_or_else(|| IndexError::Damaged("a row of no table".to_owned()))?;
            if !packed(table) {
                let key = place[1..].to_vec();
                changes.push(match value {
                    Some(value) => Change::Put { table, key, value: value.clone() },
                    None => Change::Delete { table, key },
                });
                continue;
            }
            if writer.is_none() {
                writer = Some(RunWriter::create(&path).map_err(io)?);
            }
            let writer = writer.as_mut().expect("it was just made");
            writer.add(place, value.as_deref()).map_err(io)?;
        }
        let run = match writer {
            Some(writer) => {
                writer.finish().map_err(io)?;
                changes.push(Change::Put { table: Table::Run, key: list_key(span), value: Bytes::new() });
                Some(Arc::new(Run::open(&path, span).map_err(io)?))
            }
            None => None,
        };
        let _listing = self.listing.lock().expect("no holder of the list panics");
        self.sled.apply(&changes, rows.reflects)?;
        self.sled.flush()?;
        let mut state = self.state.write().expect("no holder of the index panics");
        if let Some(run) = run {
            state.runs.insert(0, run);
        }
        state.frozen = None;
        Ok(())
    }

    /// Merges neighbouring runs of one size into one; whether there were any.
    fn merge(&self) -> Result<bool, IndexError> {
        let (inputs, oldest) = {
            let state = self.state.read().expect("no holder of the index panics");
            let Some(range) = to_merge(&state.runs, 2 * self.freeze_bytes as u64) else { return Ok(false) };
            (state.runs[range.clone()].to_vec(), range.end == state.runs.len())
        };
        let (Some(newest), Some(last)) = (inputs.first(), inputs.last()) else { return Ok(false) };
        let span = (last.span.0, newest.span.1);
        let path = self.run_path(span);
        let io = |source| failed("merge into", &path, source);
        let mut writer = RunWriter::create(&path).map_err(io)?;
        let sources = inputs.iter().map(|run| Source::new(RunRows::whole(Arc::clone(run), self))).collect();
        let merged = Merged { sources, descending: false };
        for row in merged {
            if self.closing.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = fs::remove_file(&path);
                return Ok(false);
            }
            let (key, value) = row?;
            // A deletion hides older rows; below the oldest run there are none.
            if value.is_some() || !oldest {
                writer.add(&key, value.as_deref()).map_err(io)?;
            }
        }
        writer.finish().map_err(io)?;
        let run = Arc::new(Run::open(&path, span).map_err(io)?);
        let listed = inputs.iter().map(|run| Change::Delete { table: Table::Run, key: list_key(run.span) });
        let mut changes: Vec<_> = listed.collect();
        changes.push(Change::Put { table: Table::Run, key: list_key(span), value: Bytes::new() });
        {
            let _listing = self.listing.lock().expect("no holder of the list panics");
            self.sled.apply(&changes, self.sled.reflects()?)?;
            // The list goes to the system before the files go: a process that is killed in between would
            // else leave a list of files that are gone, and the whole index would be made anew.
            self.sled.flush()?;
            let mut state = self.state.write().expect("no holder of the index panics");
            let at = state.runs.iter().position(|run| run.span == newest.span);
            let at = at.ok_or_else(|| IndexError::Damaged("a merged run is gone".to_owned()))?;
            state.runs.splice(at..at + inputs.len(), [run]);
        }
        for input in &inputs {
            // Readers that still hold it keep the file open; a file that stays is removed at the next open.
            let _ = fs::remove_file(self.run_path(input.span));
        }
        Ok(true)
    }

    fn block(&self, run: &Arc<Run>, number: usize) -> Result<Arc<Block>, IndexError> {
        let key = (run.span, number);
        if let Some(block) = self.cache.lock().expect("no holder of the cache panics").get(key) {
            return Ok(block);
        }
        let block = run.read_block(number).map_err(|source| self.unreadable(run, source))?;
        let block = Arc::new(block);
        self.cache.lock().expect("no holder of the cache panics").put(key, Arc::clone(&block));
        Ok(block)
    }

    /// A block that rotted: the index is not trusted at the next open, and made anew.
    fn unreadable(&self, run: &Run, source: io::Error) -> IndexError {
        let path = self.run_path(run.span);
        if source.kind() != io::ErrorKind::InvalidData {
            return failed("read", &path, source);
        }
        super::sled::distrust(&self.dir);
        IndexError::Damaged(format!("{}: {source}; the next start makes it anew", path.display()))
    }

    fn get_packed(&self, runs: &[Arc<Run>], place: &[u8]) -> Result<Option<Bytes>, IndexError> {
        let hash = hash(place);
        for run in runs {
            if !run.may_hold(hash) {
                continue;
            }
            let Some(block) = run.block_of(place) else { continue };
            if let Some((_, value)) = self.block(run, block)?.find(place) {
                return Ok(value);
            }
        }
        Ok(None)
    }
}

/// Neighbours of one tier, as a range of the runs, newest first. The runs of the first tier have up to
/// `tier_bytes`, those of each further one [`MERGE_RUNS`] times as many.
fn to_merge(runs: &[Arc<Run>], tier_bytes: u64) -> Option<std::ops::Range<usize>> {
    let tier = |run: &Run| {
        let (mut tier, mut bytes) = (0, tier_bytes);
        while run.bytes > bytes {
            tier += 1;
            bytes *= MERGE_RUNS as u64;
        }
        tier
    };
    let mut start = 0;
    while start < runs.len() {
        let of = tier(&runs[start]);
        let end = start + runs[start..].iter().take_while(|run| tier(run) == of).count();
        if end - start >= MERGE_RUNS {
            return Some(start..end);
        }
        start = end;
    }
    None
}

/// Blocks that were read, the oldest forgotten first.
#[derive(Default)]
struct Cache {
    blocks: HashMap<((u64, u64), usize), Arc<Block>>,
    order: VecDeque<((u64, u64), usize)>,
    bytes: usize,
}

impl Cache {
    fn get(&self, key: ((u64, u64), usize)) -> Option<Arc<Block>> {
        self.blocks.get(&key).cloned()
    }

    fn put(&mut self, key: ((u64, u64), usize), block: Arc<Block>) {
        self.bytes += block.weight();
        if let Some(old) = self.blocks.insert(key, block) {
            self.bytes -= old.weight();
        } else {
            self.order.push_back(key);
        }
        while self.bytes > CACHE_BYTES {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some(gone) = self.blocks.remove(&oldest) {
                self.bytes -= gone.weight();
            }
        }
    }
}

impl Index for PackedIndex {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, IndexError> {
        let place = place(table, key);
        let runs = {
            let state = self.shared.state.read().expect("no holder of the index panics");
            let memory = [Some(&state.live), state.frozen.as_deref()];
            for rows in memory.into_iter().flatten() {
                if let Some(value) = rows.rows.get(&place) {
                    return Ok(value.clone());
                }
            }
            if packed(table) { state.runs.clone() } else { Vec::new() }
        };
        if packed(table) { self.shared.get_packed(&runs, &place) } else { self.shared.sled.get(table, key) }
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
        let end = if to_exclusive.is_empty() { vec![table.number() + 1] } else { place(table, to_exclusive) };
        if start >= end {
            return Ok(Vec::new());
        }
        let descending = direction == Direction::Descending;
        let state = self.shared.state.read().expect("no holder of the index panics");
        let mut sources: Vec<Source<'_>> = Vec::new();
        for rows in [Some(&state.live), state.frozen.as_deref()].into_iter().flatten() {
            let bounds = (Bound::Included(start.as_slice()), Bound::Excluded(end.as_slice()));
            let rows = rows.rows.range::<[u8], _>(bounds);
            let row =
                |(key, value): (&Vec<u8>, &Option<Bytes>)| Ok((Bytes::copy_from_slice(key), value.clone()));
            sources.push(if descending {
                Source::new(rows.rev().map(row))
            } else {
                Source::new(rows.map(row))
            });
        }
        if packed(table) {
            for run in &state.runs {
                let (run, reader) = (Arc::clone(run), &*self.shared);
                sources.push(if descending {
                    Source::new(RunRows::descending(run, reader, &start, &end))
                } else {
                    Source::new(RunRows::ascending(run, reader, &start, &end))
                });
            }
        } else {
            let (from, to) = (from.to_vec(), to_exclusive.to_vec());
            sources.push(Source::new(SledRows {
                sled: &self.shared.sled,
                table,
                from,
                to,
                direction,
                rows: limit.clamp(1, SLED_PAGE),
                page: VecDeque::new(),
                done: false,
            }));
        }
        Merged { sources, descending }
            .filter_map(|row| match row {
                Ok((key, value)) => value.map(|value| Ok((key.slice(1..), value))),
                Err(error) => Some(Err(error)),
            })
            .take(limit)
            .collect()
    }

    fn apply(&self, changes: &[Change], reflects: Position) -> Result<(), IndexError> {
        check(changes)?;
        // Built before the lock: whoever looks up meanwhile waits for the insertions alone.
        let rows: Vec<_> = changes
            .iter()
            .map(|change| match change {
                Change::Put { table, key, value } => (place(*table, key), Some(value.clone())),
                Change::Delete { table, key } => (place(*table, key), None),
            })
            .collect();
        let frozen = {
            let mut state = self.shared.state.write().expect("no holder of the index panics");
            for (key, value) in rows {
                state.live.set(key, value);
            }
            state.live.reflects = reflects;
            if state.live.bytes < self.shared.freeze_bytes {
                return Ok(());
            }
            let mut writing = self.shared.writing.lock().expect("no holder of the writer's state panics");
            if let Some(why) = &writing.failed {
                return Err(failed("write", &self.shared.dir, io::Error::other(why.clone())));
            }
            if state.frozen.is_some() || writing.busy {
                None
            } else {
                writing.busy = true;
                Some(freeze(&mut state))
            }
        };
        match frozen {
            Some(rows) => self.hand_over(rows),
            None => self.wait_for_room(),
        }
    }

    fn reflects(&self) -> Result<Position, IndexError> {
        Ok(self.shared.state.read().expect("no holder of the index panics").live.reflects)
    }

    fn flush(&self) -> Result<(), IndexError> {
        loop {
            self.wait_while_writing()?;
            let rows = {
                let mut state = self.shared.state.write().expect("no holder of the index panics");
                if state.live.rows.is_empty() && self.shared.sled.reflects()? == state.live.reflects {
                    break;
                }
                let mut writing = self.shared.writing.lock().expect("no holder of the writer's state panics");
                if writing.busy {
                    continue;
                }
                writing.busy = true;
                freeze(&mut state)
            };
            self.hand_over(rows)?;
        }
        self.shared.sled.flush()
    }

    fn settle(&self) -> Result<(), IndexError> {
        if self.jobs.lock().expect("no holder of the queue panics").is_none() {
            return Ok(());
        }
        self.flush()?;
        self.close();
        self.shared.sled.settle()
    }
}

impl PackedIndex {
    /// Ends both threads; what is only in memory stays there.
    fn close(&self) {
        drop(self.jobs.lock().expect("no holder of the queue panics").take());
        self.shared.closing.store(true, std::sync::atomic::Ordering::Relaxed);
        for thread in self.threads.lock().expect("no holder of the threads panics").drain(..) {
            // The writer ends when it has done what it was given, the merger then.
            let _ = thread.join();
        }
    }

    fn hand_over(&self, rows: Arc<Rows>) -> Result<(), IndexError> {
        let jobs = self.jobs.lock().expect("no holder of the queue panics");
        let sent = jobs.as_ref().is_some_and(|jobs| jobs.send(rows).is_ok());
        drop(jobs);
        if sent { Ok(()) } else { self.wait_while_writing() }
    }

    /// Waits while more is in memory than may be.
    fn wait_for_room(&self) -> Result<(), IndexError> {
        let most = WAIT_FACTOR * self.shared.freeze_bytes;
        let full = self.shared.state.read().expect("no holder of the index panics").live.bytes >= most;
        if full { self.wait_while_writing() } else { Ok(()) }
    }

    fn wait_while_writing(&self) -> Result<(), IndexError> {
        let mut writing = self.shared.writing.lock().expect("no holder of the writer's state panics");
        loop {
            if let Some(why) = &writing.failed {
                return Err(failed("write", &self.shared.dir, io::Error::other(why.clone())));
            }
            if !writing.busy {
                return Ok(());
            }
            writing = self.shared.written.wait(writing).expect("no holder of the writer's state panics");
        }
    }
}

impl Drop for PackedIndex {
    fn drop(&mut self) {
        self.close();
    }
}

fn freeze(state: &mut State) -> Arc<Rows> {
    let reflects = state.live.reflects;
    let rows = Arc::new(std::mem::replace(&mut state.live, Rows { reflects, ..Rows::default() }));
    state.frozen = Some(Arc::clone(&rows));
    rows
}

// ---- ranges over several sources

type Found = Result<Row, IndexError>;

/// One source of rows in the order of the range.
struct Source<'a>(Peekable<Box<dyn Iterator<Item = Found> + 'a>>);

impl<'a> Source<'a> {
    fn new(rows: impl Iterator<Item = Found> + 'a) -> Self {
        let rows: Box<dyn Iterator<Item = Found> + 'a> = Box::new(rows);
        Self(rows.peekable())
    }
}

/// All sources as one: of rows with one key, the newest source's.
struct Merged<'a> {
    /// Newest first.
    sources: Vec<Source<'a>>,
    descending: bool,
}

impl Iterator for Merged<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        let mut best: Option<(usize, Bytes)> = None;
        for number in 0..self.sources.len() {
            let key = match self.sources[number].0.peek() {
                None => continue,
                Some(Err(_)) => return self.sources[number].0.next(),
                Some(Ok((key, _))) => key,
            };
            let better = best.as_ref().is_none_or(|(_, best)| match key.cmp(best) {
                Ordering::Equal => false,
                order => (order == Ordering::Less) != self.descending,
            });
            if better {
                best = Some((number, key.clone()));
            }
        }
        let (number, key) = best?;
        for (other, source) in self.sources.iter_mut().enumerate() {
            if other != number
                && source.0.peek().is_some_and(|row| row.as_ref().is_ok_and(|(k, _)| *k == key))
            {
                source.0.next();
            }
        }
        self.sources[number].0.next()
    }
}

/// Rows of one run within bounds; an empty end is no end.
struct RunRows<'a> {
    run: Arc<Run>,
    index: &'a Shared,
    /// Whether blocks are kept for others: a merge reads each once and would only drive out better ones.
    cached: bool,
    start: Vec<u8>,
    end: Vec<u8>,
    block: Option<(usize, Arc<Block>)>,
    /// The next row of the block (ascending), or one behind it (descending).
    row: usize,
    descending: bool,
    done: bool,
}

impl<'a> RunRows<'a> {
    fn ascending(run: Arc<Run>, index: &'a Shared, start: &[u8], end: &[u8]) -> Self {
        let (start, end) = (start.to_vec(), end.to_vec());
        Self { run, index, cached: true, start, end, block: None, row: 0, descending: false, done: false }
    }

    fn descending(run: Arc<Run>, index: &'a Shared, start: &[u8], end: &[u8]) -> Self {
        Self { descending: true, ..Self::ascending(run, index, start, end) }
    }

    fn whole(run: Arc<Run>, index: &'a Shared) -> Self {
        Self { cached: false, ..Self::ascending(run, index, &[], &[]) }
    }

    fn read(&self, number: usize) -> Result<Arc<Block>, IndexError> {
        if self.cached {
            return self.index.block(&self.run, number);
        }
        let block = self.run.read_block(number);
        block.map(Arc::new).map_err(|source| self.index.unreadable(&self.run, source))
    }

    /// The block to begin with, and the row in it.
    fn begin(&mut self) -> Result<bool, IndexError> {
        if self.run.blocks() == 0 {
            return Ok(false);
        }
        let bound = if self.descending { &self.end } else { &self.start };
        let number = self.run.block_of(bound);
        let number = match (number, self.descending) {
            (Some(number), _) => number,
            (None, false) => 0,
            (None, true) => return Ok(false),
        };
        let block = self.read(number)?;
        self.row = block.lower_bound(bound);
        self.block = Some((number, block));
        Ok(true)
    }

    fn step(&mut self) -> Result<Option<Row>, IndexError> {
        if self.block.is_none() && !self.begin()? {
            return Ok(None);
        }
        loop {
            let Some((number, block)) = &self.block else { return Ok(None) };
            let number = *number;
            if self.descending {
                if self.row > 0 {
                    self.row -= 1;
                    return Ok(block.row(self.row));
                }
                let Some(before) = number.checked_sub(1) else { return Ok(None) };
                let block = self.read(before)?;
                self.row = block.rows();
                self.block = Some((before, block));
            } else {
                if self.row < block.rows() {
                    self.row += 1;
                    return Ok(block.row(self.row - 1));
                }
                if number + 1 == self.run.blocks() {
                    return Ok(None);
                }
                let block = self.read(number + 1)?;
                self.row = 0;
                self.block = Some((number + 1, block));
            }
        }
    }
}

impl Iterator for RunRows<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        if self.done {
            return None;
        }
        let found = match self.step() {
            Ok(Some(row)) => {
                let within = (self.start.is_empty() || *row.0 >= *self.start)
                    && (self.end.is_empty() || *row.0 < *self.end);
                within.then_some(Ok(row))
            }
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        };
        self.done = !matches!(found, Some(Ok(_)));
        found
    }
}

/// Rows of a table in sled, in pages.
struct SledRows<'a> {
    sled: &'a SledIndex,
    table: Table,
    from: Vec<u8>,
    to: Vec<u8>,
    direction: Direction,
    /// Rows of one page.
    rows: usize,
    page: VecDeque<(Bytes, Bytes)>,
    done: bool,
}

impl Iterator for SledRows<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        if self.page.is_empty() && !self.done {
            let page = self.sled.range(self.table, &self.from, &self.to, self.rows, self.direction);
            match page {
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
                Ok(page) => {
                    self.done = page.len() < self.rows;
                    self.page = page.into();
                    if let Some((last, _)) = self.page.back() {
                        match self.direction {
                            Direction::Ascending => {
                                self.from = last.to_vec();
                                self.from.push(0);
                            }
                            Direction::Descending => self.to = last.to_vec(),
                        }
                    }
                }
            }
        }
        let (key, value) = self.page.pop_front()?;
        Some(Ok((Bytes::from(place(self.table, &key)), Some(value))))
    }
}

#[cfg(test)]
mod tests;
