//! The store over a folder in memory that crashes and fails on command, and over a real one.

use super::*;
use crate::limits::{BLOB_SYNC_BYTES, BLOB_UPLOADS_PARKED_MAX};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::SystemTime;

/// Free bytes that blobs leave on the disk.
const RESERVE: u64 = 256 * 1024 * 1024;

/// When every file of a folder in memory was changed last.
static STARTED: std::sync::LazyLock<SystemTime> = std::sync::LazyLock::new(SystemTime::now);

#[derive(Default, Clone)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Arc<Mutex<Content>>>,
    /// Names as of the last sync of the folder.
    durable: BTreeMap<String, Arc<Mutex<Content>>>,
    /// Calls that change something before one fails; nothing: none fails.
    until_failure: Option<usize>,
    /// A file's bytes cannot be made durable.
    syncs_fail: bool,
    free: u64,
}

impl State {
    fn change(&mut self) -> io::Result<()> {
        match &mut self.until_failure {
            Some(0) => Err(io::Error::other("told to fail")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[derive(Clone)]
struct Memory(Arc<Mutex<State>>);

struct MemoryFile(Arc<Mutex<State>>, Arc<Mutex<Content>>);

impl Memory {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(State { free: u64::MAX / 2, ..State::default() })))
    }

    /// A power cut: names and bytes that were not synced are gone.
    fn crash(&self) {
        let mut state = self.0.lock().unwrap();
        state.until_failure = None;
        state.files = state.durable.clone();
        for content in state.files.values() {
            let mut content = content.lock().unwrap();
            content.now = content.synced.clone();
        }
    }

    /// The process is killed: nothing that it does from the failed change on happens, all before it did.
    fn kill(&self) {
        self.0.lock().unwrap().until_failure = None;
    }

    fn fail_after(&self, changes: usize) {
        self.0.lock().unwrap().until_failure = Some(changes);
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().files.keys().cloned().collect()
    }

    fn flip(&self, name: &str, at: usize) {
        let state = self.0.lock().unwrap();
        state.files[name].lock().unwrap().now[at] ^= 1;
    }
}

impl Folder for Memory {
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut state = self.0.lock().unwrap();
        state.change()?;
        let content = Arc::<Mutex<Content>>::default();
        state.files.insert(name.to_owned(), Arc::clone(&content));
        Ok(Arc::new(MemoryFile(Arc::clone(&self.0), content)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let state = self.0.lock().unwrap();
        let content = state.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(MemoryFile(Arc::clone(&self.0), Arc::clone(content))))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.change()?;
        let content = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.change()?;
        state.files.remove(name).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn unfinished(&self) -> io::Result<Vec<String>> {
        Ok(self.names().into_iter().filter(|name| name.starts_with(UNFINISHED)).collect())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.change()?;
        state.durable = state.files.clone();
        Ok(())
    }

    fn each(&self, visit: &mut dyn FnMut(&str)) -> io::Result<()> {
        self.names().iter().filter(|name| !name.starts_with(UNFINISHED)).for_each(|name| visit(name));
        Ok(())
    }

    fn changed(&self, _name: &str) -> io::Result<SystemTime> {
        Ok(*STARTED)
    }

    fn free(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().free)
    }
}

impl File for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.1.lock().unwrap().now.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let content = self.1.lock().unwrap();
        let from = offset as usize;
        let bytes = content.now.get(from..from + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().change()?;
        let mut content = self.1.lock().unwrap();
        let end = offset as usize + bytes.len();
        let longer = content.now.len().max(end);
        content.now.resize(longer, 0);
        content.now[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.lock().unwrap().change()?;
        self.1.lock().unwrap().now.truncate(bytes as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.change()?;
        if state.syncs_fail {
            return Err(io::Error::other("told not to sync"));
        }
        drop(state);
        let mut content = self.1.lock().unwrap();
        content.synced = content.now.clone();
        Ok(())
    }
}

fn bytes(chunks: usize) -> Vec<u8> {
    (0..chunks * BLOB_CHUNK_BYTES - 7).map(|at| (at / 97) as u8).collect()
}

fn list_of(bytes: &[u8]) -> ChunkList {
    let mut hasher = ChunkHasher::default();
    hasher.update(bytes);
    hasher.finish().unwrap()
}

fn store(memory: &Memory) -> BlobStore {
    BlobStore::over(Arc::new(memory.clone()), RESERVE).unwrap()
}

fn upload(store: &BlobStore, bytes: &[u8]) -> Result<Uploaded, BlobError> {
    let mut upload = store.upload()?;
    for piece in bytes.chunks(50_000) {
        upload.write(piece)?;
    }
    upload.finish()
}

fn content(store: &BlobStore, digest: &Digest) -> Vec<u8> {
    let reader = store.reader(digest).unwrap();
    let mut chunks = Vec::new();
    while (chunks.len() as u64) < reader.list().chunks() {
        chunks.extend(reader.chunks(chunks.len() as u64, usize::MAX).unwrap());
    }
    chunks.concat()
}

fn pieces(bytes: &[u8]) -> Vec<Bytes> {
    bytes.chunks(BLOB_CHUNK_BYTES).map(Bytes::copy_from_slice).collect()
}

#[test]
fn an_uploaded_file_is_read_back_under_its_digest_after_a_power_cut() {
    let memory = Memory::new();
    let bytes = bytes(5);
    let uploaded = upload(&store(&memory), &bytes).unwrap();
    memory.crash();
    let store = store(&memory);
    assert_eq!((uploaded.blob.digest, uploaded.duplicate), (list_of(&bytes).digest(), false));
    assert_eq!(content(&store, &uploaded.blob.digest), bytes);
}

#[test]
fn the_same_file_twice_is_stored_once() {
    let memory = Memory::new();
    let store = store(&memory);
    let first = upload(&store, &bytes(2)).unwrap();
    let names = memory.names();
    let second = upload(&store, &bytes(2)).unwrap();
    assert!(second.duplicate && first.blob == second.blob);
    assert_eq!(memory.names(), names, "and the second leaves nothing");
}

#[test]
fn whatever_step_of_an_upload_fails_nothing_half_is_ever_found_and_the_next_upload_succeeds() {
    let bytes = bytes(3);
    let digest = list_of(&bytes).digest();
    let mut failed = 0;
    for step in 0.. {
        let memory = Memory::new();
        let first = store(&memory);
        memory.fail_after(step);
        let outcome = upload(&first, &bytes);
        memory.crash();
        let again = store(&memory);
        if outcome.is_ok() {
            assert_eq!(content(&again, &digest), bytes);
            break;
        }
        failed += 1;
        // A failed step may have happened after all; if the file is there, it is whole.
        if again.contains(&digest) {
            assert_eq!(content(&again, &digest), bytes, "step {step}");
        }
        assert_eq!(memory.names().iter().filter(|name| name.starts_with(UPLOAD)).count(), 0);
        upload(&again, &bytes).unwrap();
        assert_eq!(content(&again, &digest), bytes, "step {step}");
    }
    assert!(failed >= 8, "there are that many steps: {failed}");
}

#[test]
fn a_removed_blob_is_gone_whatever_step_fails_when_it_is_removed_again() {
    let digest = list_of(&bytes(2)).digest();
    for step in 0..4 {
        let memory = Memory::new();
        let store = store(&memory);
        upload(&store, &bytes(2)).unwrap();
        memory.fail_after(step);
        let outcome = store.remove(&digest);
        memory.crash();
        assert_eq!(outcome.is_ok(), step == 3, "two files and the folder");
        store.remove(&digest).unwrap();
        memory.crash();
        assert!(memory.names().is_empty() && !store.contains(&digest));
        assert!(!upload(&store, &bytes(2)).unwrap().duplicate);
    }
}

#[test]
fn an_upload_that_is_dropped_leaves_nothing() {
    let memory = Memory::new();
    let store = store(&memory);
    let mut upload = store.upload().unwrap();
    upload.write(&bytes(1)).unwrap();
    drop(upload);
    assert!(memory.names().is_empty());
}

#[test]
fn nothing_and_too_much_are_no_blob_and_a_full_disk_is_told_before_it_is_full() {
    let memory = Memory::new();
    let store = store(&memory);
    assert!(matches!(store.upload().unwrap().finish(), Err(BlobError::Length)));
    let digest = list_of(&bytes(1)).digest();
    for length in [0, BLOB_BYTES_MAX + 1] {
        assert!(matches!(store.fetch(digest, length), Err(BlobError::Length)));
    }
    memory.0.lock().unwrap().free = RESERVE + 1000;
    let mut upload = store.upload().unwrap();
    assert!(matches!(upload.write(&bytes(1)), Err(BlobError::Full { .. })));
    assert!(matches!(store.fetch(digest, 1001), Err(BlobError::Full { .. })));
    assert!(store.fetch(digest, 1000).is_ok());
}

#[test]
fn a_fetch_goes_on_behind_the_last_chunk_that_is_on_the_disk() {
    let memory = Memory::new();
    let bytes = bytes(6);
    let list = list_of(&bytes);
    let pieces = pieces(&bytes);
    let mut fetch = store(&memory).fetch(list.digest(), list.length()).unwrap();
    assert!(fetch.needs_list());
    fetch.take_list(list.length(), &list.to_wire()).unwrap();
    fetch.take_chunks(&pieces[..4]).unwrap();
    drop(fetch); // as a killed process: what was written is there, nothing was synced

    let store = store(&memory);
    let mut fetch = store.fetch(list.digest(), list.length()).unwrap();
    assert!(!fetch.needs_list());
    assert_eq!((fetch.next(), fetch.resumed()), (4, 4));
    fetch.take_chunks(&pieces[4..]).unwrap();
    let blob = fetch.finish().unwrap();
    assert_eq!(*blob, StoredBlob { digest: list.digest(), length: list.length() });
    memory.crash();
    assert_eq!(content(&store, &list.digest()), bytes);
    assert!(store.folder.unfinished().unwrap().is_empty());
}

#[test]
fn what_rotted_or_was_lost_of_a_fetch_is_fetched_again() {
    let memory = Memory::new();
    let bytes = bytes(6);
    let list = list_of(&bytes);
    let mut fetch = store(&memory).fetch(list.digest(), list.length()).unwrap();
    fetch.take_list(list.length(), &list.to_wire()).unwrap();
    fetch.take_chunks(&pieces(&bytes)[..4]).unwrap();
    drop(fetch);
    memory.flip(&format!("{UNFINISHED}{}", name(&list.digest())), 2 * BLOB_CHUNK_BYTES + 5);
    let mut fetch = store(&memory).fetch(list.digest(), list.length()).unwrap();
    assert_eq!(fetch.next(), 2);
    fetch.take_chunks(&pieces(&bytes)[2..]).unwrap();
    let _ = fetch.finish().unwrap();
    assert_eq!(content(&store(&memory), &list.digest()), bytes);
}

#[test]
fn a_forged_chunk_is_not_written_and_a_forged_list_not_believed() {
    let memory = Memory::new();
    let bytes = bytes(3);
    let list = list_of(&bytes);
    let store = store(&memory);
    let mut fetch = store.fetch(list.digest(), list.length()).unwrap();
    let mut forged = list.to_wire();
    forged[0] ^= 1;
    assert!(matches!(fetch.take_list(list.length(), &forged), Err(BlobError::Digest(_))));
    assert!(fetch.needs_list());
    fetch.take_list(list.length(), &list.to_wire()).unwrap();
    let mut chunk = bytes[..BLOB_CHUNK_BYTES].to_vec();
    chunk[77] ^= 0x40;
    assert!(matches!(fetch.take_chunks(&[Bytes::from(chunk)]), Err(BlobError::Digest(_))));
    assert_eq!((fetch.next(), store.held_bytes(&list.digest())), (0, 0));
    assert!(matches!(fetch.finish(), Err(BlobError::Missing)), "with chunks missing nothing is whole");
}

#[test]
fn a_blob_that_the_journal_does_not_know_is_adopted_only_when_every_chunk_holds() {
    let memory = Memory::new();
    let store = store(&memory);
    let bytes = bytes(3);
    let digest = upload(&store, &bytes).unwrap().blob.digest;
    assert_eq!(*store.adopt(&digest).unwrap(), StoredBlob { digest, length: bytes.len() as u64 });
    memory.flip(&name(&digest), BLOB_CHUNK_BYTES + 1);
    assert!(matches!(store.adopt(&digest), Err(BlobError::Digest(_))));
    let unknown = list_of(b"x").digest();
    assert!(matches!(store.adopt(&unknown), Err(BlobError::Missing)));
}

#[test]
fn on_a_real_folder_files_are_the_owners_alone_and_dead_uploads_go() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("blobs");
    let store = BlobStore::open(&path, RESERVE).unwrap();
    let bytes = bytes(20);
    let digest = upload(&store, &bytes).unwrap().blob.digest;
    let mut dead = store.upload().unwrap();
    dead.write(b"half").unwrap();
    std::mem::forget(dead); // the process died
    assert_eq!(std::fs::read_dir(path.join("unfinished")).unwrap().count(), 1);
    let store = BlobStore::open(&path, RESERVE).unwrap();
    assert_eq!(std::fs::read_dir(path.join("unfinished")).unwrap().count(), 0);
    assert_eq!(std::fs::read(path.join(name(&digest))).unwrap(), bytes);
    assert_eq!(content(&store, &digest), bytes);
    let mode = std::fs::metadata(path.join(name(&digest))).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn files_that_nobody_knows_are_found_with_or_without_their_lists_and_nothing_else() {
    let memory = Memory::new();
    let store = store(&memory);
    let (known, unknown, listed) = (bytes(2), bytes(3), bytes(4));
    let [known, unknown, listed] =
        [known, unknown, listed].map(|bytes| upload(&store, &bytes).unwrap().blob.digest);
    memory.remove(&name(&listed)).unwrap();
    let _going_on = store.upload_named("scan", 0).unwrap();
    memory.create("a hand's").unwrap();
    let mut found = store.unknown(10, |digest| Ok::<_, io::Error>(*digest == known)).unwrap();
    found.sort();
    let mut expected = vec![unknown, listed];
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(store.unknown(1, |_| Ok::<_, io::Error>(false)).unwrap().len(), 1, "no more than asked for");
}

#[test]
fn an_upload_under_a_name_goes_on_behind_its_last_written_chunk() {
    let memory = Memory::new();
    let content = bytes(40);
    let half = 20 * BLOB_CHUNK_BYTES + 99;
    let mut cut = store(&memory).upload_named("scan", 0).unwrap();
    cut.write(&content[..half]).unwrap();
    drop(cut); // its sender is gone

    let store = store(&memory);
    let held = store.upload_held("scan");
    assert_eq!(held, 20 * BLOB_CHUNK_BYTES as u64);
    assert_eq!(store.upload_held("another"), 0);
    let mut second = store.upload_named("scan", held).unwrap();
    assert!(matches!(store.upload_named("scan", held), Err(BlobError::Open)));
    for piece in content[held as usize..].chunks(50_000) {
        second.write(piece).unwrap();
    }
    let uploaded = second.finish().unwrap();
    assert_eq!(uploaded.blob.digest, list_of(&content).digest());
    memory.crash();
    let found = store.reader(&uploaded.blob.digest).unwrap();
    assert_eq!(found.length(), content.len() as u64);
    let _ = store.adopt(&uploaded.blob.digest).unwrap();
    let opened = BlobStore::over(Arc::new(memory.clone()), RESERVE).unwrap();
    assert!(opened.folder.unfinished().unwrap().is_empty());
}

#[test]
fn killed_at_whatever_step_of_its_end_an_upload_under_a_name_goes_on_where_it_was_or_is_whole() {
    let content = bytes(40);
    let digest = list_of(&content).digest();
    let (mut went_on, mut whole) = (0, 0);
    for step in 0.. {
        let memory = Memory::new();
        let first = store(&memory);
        let mut upload = first.upload_named("scan", 0).unwrap();
        upload.write(&content).unwrap();
        memory.fail_after(step);
        let finished = upload.finish().is_ok();
        memory.kill();
        let again = store(&memory);
        if again.contains(&digest) {
            whole += 1;
            let _ = again.adopt(&digest).unwrap();
            assert!(again.folder.unfinished().unwrap().is_empty(), "{step}: {:?}", memory.names());
        } else {
            went_on += 1;
            assert!(!finished, "{step}: what is finished is here");
            let held = again.upload_held("scan");
            assert!(held >= 32 * BLOB_CHUNK_BYTES as u64, "{step}: {held}");
            let mut upload =
                again.upload_named("scan", held).unwrap_or_else(|error| panic!("{step}: {error}"));
            upload.write(&content[held as usize..]).unwrap();
            assert_eq!(upload.finish().unwrap().blob.digest, digest, "{step}");
        }
        if finished {
            break;
        }
    }
    assert!(went_on >= 8 && whole >= 2, "there are that many steps: {went_on}, {whole}");
}

#[test]
fn an_unfinished_upload_whose_sync_failed_begins_anew() {
    let memory = Memory::new();
    let content = bytes(BLOB_SYNC_BYTES as usize / BLOB_CHUNK_BYTES + 10);
    let first = store(&memory);
    let mut upload = first.upload_named("scan", 0).unwrap();
    memory.0.lock().unwrap().syncs_fail = true;
    // The sync runs beside the writing: the write after it hears of it, or the end does.
    let _ = upload.write(&content);
    drop(upload);
    memory.0.lock().unwrap().syncs_fail = false;
    let again = store(&memory);
    assert_eq!(again.upload_held("scan"), 0);
    let mut upload = again.upload_named("scan", 0).unwrap();
    upload.write(&content).unwrap();
    assert_eq!(upload.finish().unwrap().blob.digest, list_of(&content).digest());
}

#[test]
fn what_a_power_cut_took_of_an_upload_is_not_believed_and_zero_begins_anew() {
    let memory = Memory::new();
    let content = bytes(40);
    let store = store(&memory);
    let mut cut = store.upload_named("scan", 0).unwrap();
    cut.write(&content[..20 * BLOB_CHUNK_BYTES]).unwrap();
    drop(cut);
    let part = memory.names().into_iter().find(|name| name.starts_with("unfinished/named-")).unwrap();
    memory.flip(&part, 7 * BLOB_CHUNK_BYTES);
    let ends = 20 * BLOB_CHUNK_BYTES as u64;
    let refused = store.upload_named("scan", ends);
    assert!(matches!(refused, Err(BlobError::Offset { held, .. }) if held == 7 * BLOB_CHUNK_BYTES as u64));
    drop(refused);
    assert_eq!(store.upload_held("scan"), 7 * BLOB_CHUNK_BYTES as u64);
    let mut anew = store.upload_named("scan", 0).unwrap();
    anew.write(&content).unwrap();
    assert_eq!(anew.finish().unwrap().blob.digest, list_of(&content).digest());
}

#[test]
fn unfinished_uploads_are_kept_for_a_day_and_only_so_many() {
    let memory = Memory::new();
    let store = store(&memory);
    for number in 0..BLOB_UPLOADS_PARKED_MAX + 3 {
        let mut upload = store.upload_named(&format!("scan {number}"), 0).unwrap();
        upload.write(&bytes(1)).unwrap();
    }
    let parked = |memory: &Memory| memory.names().iter().filter(|name| !name.ends_with(LIST)).count();
    store.forget_parked(*STARTED).unwrap();
    assert_eq!(parked(&memory), BLOB_UPLOADS_PARKED_MAX);
    let day = std::time::Duration::from_millis(crate::limits::BLOB_UPLOAD_PARKED_MILLIS_MAX);
    store.forget_parked(*STARTED + day).unwrap();
    assert_eq!(parked(&memory), BLOB_UPLOADS_PARKED_MAX);
    let _going_on = store.upload_named("one that goes on", 0).unwrap();
    store.forget_parked(*STARTED + day + day).unwrap();
    assert_eq!(parked(&memory), 1, "what goes on is kept however old");
}
