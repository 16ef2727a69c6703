//! What the journal promises. Most run on a disk in memory, whose files are the same bytes.

use std::fs;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::store::memory::{Crash, Fault, FaultPlan, MemoryDisk, Operation, Unsynced};
use crate::store::{Damage, StoredFrame};

const MARK: u64 = 0x5eed_5eed_5eed_5eed;
const SEGMENT: u64 = 1024;

fn options() -> Options {
    Options { segment_bytes: SEGMENT, ..Options::new(MARK) }
}

fn frame(meta: &str, bodies: &[&str]) -> Frame {
    Frame {
        meta: meta.into(),
        bodies: bodies.iter().map(|body| Bytes::copy_from_slice(body.as_bytes())).collect(),
    }
}

/// Frame `number`: its meta names it, and it has two bodies, the second empty.
fn numbered(number: u64) -> Frame {
    frame(&format!("meta of {number}"), &[&format!("body of {number}"), ""])
}

fn all(journal: &SegmentedJournal) -> Vec<StoredFrame> {
    after(journal, Position::START, None)
}

fn after(journal: &SegmentedJournal, after: Position, hint: Option<Locator>) -> Vec<StoredFrame> {
    let mut frames = Vec::new();
    let mut visit = |frame| {
        frames.push(frame);
        Ok(())
    };
    journal.reader().replay(after, hint, &mut visit).unwrap();
    frames
}

fn metas(journal: &SegmentedJournal) -> Vec<String> {
    all(journal).into_iter().map(|frame| String::from_utf8(frame.meta.to_vec()).unwrap()).collect()
}

fn expected_metas(frames: u64) -> Vec<String> {
    (1..=frames).map(|number| format!("meta of {number}")).collect()
}

/// A disk with so many frames, and where they lie.
fn disk_with(frames: u64) -> (MemoryDisk, Vec<Placed>) {
    let disk = MemoryDisk::new();
    let (mut journal, _) = disk.open_journal(options()).unwrap();
    let placed = (1..=frames).map(|number| journal.append(numbered(number)).unwrap().into_inner()).collect();
    (disk, placed)
}

fn file_of(locator: Locator) -> String {
    segment::file_name(Position(locator.segment))
}

fn frame_bytes_of(number: u64) -> u64 {
    frame::frame_bytes(&numbered(number))
}

fn power_cut(unsynced: Unsynced) -> Crash {
    Crash { unsynced, index_batches_lost: 0 }
}

#[track_caller]
fn refused(disk: &MemoryDisk) -> JournalError {
    match disk.open_journal(options()) {
        Ok(_) => panic!("the journal opened"),
        Err(error) => error,
    }
}

#[track_caller]
fn assert_damaged(error: JournalError, at: Locator, position: Position, expected_what: Damage) {
    match error {
        JournalError::Damaged { file, offset, expected, what } => {
            assert_eq!((file, offset), (file_of(at), at.offset));
            assert_eq!((expected, what), (Some(position), expected_what));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_frame_is_read_back_as_it_was_appended() {
    let disk = MemoryDisk::new();
    let (mut journal, report) = disk.open_journal(options()).unwrap();
    assert_eq!((report.end, report.segments), (Position::START, 1));
    assert_eq!(journal.end(), Position::START);

    let placed = journal.append(frame("meta", &["one", "", "three"])).unwrap().into_inner();
    assert_eq!(placed.position, Position(1));
    assert_eq!(journal.end(), Position(1));
    let read = journal.reader().read(Locator::from_bytes(placed.locator.to_bytes())).unwrap();
    assert_eq!((read.position, read.locator, &read.meta[..]), (Position(1), placed.locator, &b"meta"[..]));
    let bodies: Vec<_> = read.bodies.into_iter().map(Option::unwrap).collect();
    assert_eq!(bodies, ["one", "", "three"]);

    let empty = journal.append(Frame::default()).unwrap();
    assert_eq!(journal.reader().read(empty.locator).unwrap().bodies, []);
}

#[test]
fn frames_stand_after_reopening_on_a_file_system_across_segments() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/journal");
    let (mut journal, _) = open(&path, options()).unwrap();
    for number in 1..=40 {
        let _ = journal.append(numbered(number)).unwrap();
    }
    drop(journal);

    let (mut journal, report) = open(&path, options()).unwrap();
    assert_eq!((report.end, report.frames_verified, &report.cut), (Position(40), 40, &None));
    assert!(report.segments > 2);
    assert_eq!(metas(&journal), expected_metas(40));
    assert_eq!(journal.append(numbered(41)).unwrap().position, Position(41));
    assert_eq!(metas(&journal), expected_metas(41));
    assert!(journal.room().unwrap() > 0);
}

#[test]
fn closed_segments_keep_no_unused_room() {
    let (disk, placed) = disk_with(40);
    let last = placed.last().unwrap().locator.segment;
    for (file, bytes) in disk.files() {
        let first = segment::first_of(&file).unwrap().0;
        let before_next = placed.iter().rfind(|placed| placed.locator.segment == first).unwrap();
        if first != last {
            assert_eq!(bytes, before_next.locator.offset + frame_bytes_of(before_next.position.0));
        }
    }
}

#[test]
fn replay_begins_after_the_position_with_and_without_a_hint() {
    let (disk, placed) = disk_with(40);
    disk.crash(power_cut(Unsynced::Lost));
    let (journal, _) = disk.open_journal(options()).unwrap();
    let nowhere = Locator { segment: 3, offset: 77 };
    for from in 0..=40_u64 {
        let hints = [None, Some(nowhere), placed.first().map(|placed| placed.locator)];
        let own = placed.get((from as usize).wrapping_sub(1)).map(|placed| placed.locator);
        let too_late = placed.get(from as usize + 5).map(|placed| placed.locator);
        for hint in hints.into_iter().chain([own, too_late]) {
            let positions: Vec<_> =
                after(&journal, Position(from), hint).iter().map(|frame| frame.position.0).collect();
            assert_eq!(positions, (from + 1..=40).collect::<Vec<_>>(), "after {from}, hint {hint:?}");
        }
    }
}

#[test]
fn a_visitor_ends_the_replay_with_its_own_error() {
    let (disk, _) = disk_with(3);
    disk.crash(power_cut(Unsynced::Lost));
    let (journal, _) = disk.open_journal(options()).unwrap();
    let mut seen = 0;
    let answer = journal.reader().replay(Position::START, None, &mut |_| {
        seen += 1;
        Err(JournalError::Visitor("enough".into()))
    });
    assert!(matches!(answer, Err(JournalError::Visitor(_))));
    assert_eq!(seen, 1);
}

#[test]
fn a_locator_of_something_else_is_refused() {
    let (disk, placed) = disk_with(3);
    disk.crash(power_cut(Unsynced::Lost));
    let (mut journal, _) = disk.open_journal(options()).unwrap();
    let reader = journal.reader();
    for wrong in [
        Locator { segment: 2, offset: 64 },
        Locator { segment: 1, offset: 63 },
        Locator { segment: 1, offset: 0 },
    ] {
        assert!(matches!(reader.read(wrong), Err(JournalError::NoSuchFrame(_))), "{wrong:?}");
    }
    let inside = Locator { segment: 1, offset: placed[0].locator.offset + 8 };
    assert!(matches!(reader.read(inside), Err(JournalError::Damaged { what: Damage::Head, .. })));
    assert!(matches!(
        journal.erase(placed[0].locator, 2),
        Err(JournalError::NoSuchBody { body: 2, bodies: 2, .. })
    ));
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_earlier_frames_stand() {
    let whole = frame_bytes_of(3) as usize;
    for kept in 0..whole {
        let (disk, placed) = disk_with(2);
        disk.crash(power_cut(Unsynced::Lost));
        let (mut journal, _) = disk.open_journal(options()).unwrap();
        // The write goes to the disk's cache, the power goes before the sync.
        let tear = Fault::PowerCut(power_cut(Unsynced::Prefix(kept)));
        disk.plan(FaultPlan::queue([None, Some(tear)]));
        assert!(matches!(journal.append(numbered(3)), Err(JournalError::OutcomeUnknown { .. })));
        disk.plan(FaultPlan::none());

        let (mut journal, report) = disk.open_journal(options()).unwrap();
        let offset = placed[1].locator.offset + frame_bytes_of(2);
        // The last bytes of a frame may be zeros, which are not missed: then nothing was torn.
        if report.end == Position(3) {
            assert!(whole - kept < 8);
            continue;
        }
        assert_eq!(report.end, Position(2), "{kept} bytes kept");
        let cut = report.cut.map(|cut| (cut.offset, cut.bytes <= kept as u64));
        assert_eq!(cut, (kept > 0).then_some((offset, true)), "{kept} bytes kept");
        assert_eq!(metas(&journal), expected_metas(2));
        assert_eq!(journal.append(numbered(3)).unwrap().locator.offset, offset);
        drop(journal);
        let (journal, report) = disk.open_journal(options()).unwrap();
        assert_eq!((metas(&journal), report.cut), (expected_metas(3), None));
    }
}

#[test]
fn a_tail_of_any_surviving_sectors_is_cut() {
    for mask in (0..64).map(|bit| 1_u64 << bit).chain([0x5, 0xa, 0xfffe]) {
        let disk = MemoryDisk::new();
        let options = Options { segment_bytes: 64 * 1024, ..options() };
        let (mut journal, _) = disk.open_journal(options.clone()).unwrap();
        let _ = journal.append(numbered(1)).unwrap();
        let big = Frame { meta: vec![7; 3000], bodies: vec![Bytes::from(vec![9; 20_000])] };
        disk.plan(FaultPlan::queue([None, Some(Fault::PowerCut(power_cut(Unsynced::Sectors(mask))))]));
        assert!(journal.append(big).is_err());
        disk.plan(FaultPlan::none());
        let (journal, report) = disk.open_journal(options).unwrap();
        assert_eq!((report.end, metas(&journal)), (Position(1), expected_metas(1)), "{mask:x}");
    }
}

#[test]
fn a_body_that_contains_a_frame_does_not_turn_a_torn_tail_into_damage() {
    let disk = MemoryDisk::new();
    let (mut journal, _) = disk.open_journal(options()).unwrap();
    let mut forged = Vec::new();
    frame::encode(&numbered(9), Position(9), 1, &mut forged);
    let forged = Frame { meta: vec![0; 24], bodies: vec![Bytes::from(forged), Bytes::from(vec![1; 64])] };
    disk.plan(FaultPlan::queue([None, Some(Fault::PowerCut(power_cut(Unsynced::Prefix(200))))]));
    assert!(journal.append(forged).is_err());
    disk.plan(FaultPlan::none());
    let (_, report) = disk.open_journal(options()).unwrap();
    assert_eq!(report.end, Position::START);
    assert!(report.cut.is_some());
}

#[test]
fn any_flipped_bit_in_the_middle_is_reported_with_its_position_and_nothing_is_cut() {
    let (disk, placed) = disk_with(3);
    let at = placed[1].locator;
    let sound = disk.snapshot();
    let markers = at.offset + frame::HEAD_BYTES as u64 + 16;
    for offset in at.offset..at.offset + frame_bytes_of(2) {
        disk.restore(&sound);
        assert!(disk.flip_bit(&file_of(at), offset, offset as u8 % 8));
        let before = disk.files();
        let (what, place) = match refused(&disk) {
            JournalError::Damaged { file, offset, expected, what } => (what, (file, offset, expected)),
            other => panic!("{other}"),
        };
        assert_eq!(place, (file_of(at), at.offset, Some(Position(2))));
        if offset >= markers && offset < markers + 2 {
            assert_eq!(what, Damage::Marker((offset - markers) as usize));
        }
        assert_eq!(disk.files(), before);
    }
}

#[test]
fn a_flipped_bit_in_a_body_names_the_body() {
    let (disk, placed) = disk_with(3);
    let body = placed[1].locator.offset + frame::HEAD_BYTES as u64 + 16 + 2 + "meta of 2".len() as u64;
    assert!(disk.flip_bit(&file_of(placed[1].locator), body, 3));
    disk.crash(power_cut(Unsynced::Lost));
    assert_damaged(refused(&disk), placed[1].locator, Position(2), Damage::Body(0));
}

#[test]
fn a_flipped_bit_is_found_when_the_frame_is_read_later() {
    let (disk, placed) = disk_with(3);
    disk.crash(power_cut(Unsynced::Lost));
    let (journal, _) = disk.open_journal(options()).unwrap();
    assert!(disk.flip_bit(&file_of(placed[0].locator), placed[0].locator.offset + 60, 0));
    assert!(matches!(journal.reader().read(placed[0].locator), Err(JournalError::Damaged { .. })));
    assert!(journal.reader().read(placed[1].locator).is_ok());
}

#[test]
fn a_bad_last_frame_is_damage_when_the_index_has_seen_it() {
    let (disk, placed) = disk_with(3);
    assert!(disk.flip_bit(&file_of(placed[2].locator), placed[2].locator.offset + 60, 0));
    disk.crash(power_cut(Unsynced::Lost));
    let known = Options { known_durable: Position(3), ..options() };
    let error = disk.open_journal(known).err().unwrap();
    assert_damaged(error, placed[2].locator, Position(3), Damage::Meta);
    // Nobody knows of it: it cannot be told from a torn one.
    assert_eq!(disk.open_journal(options()).unwrap().1.end, Position(2));
}

#[test]
fn a_journal_that_ends_before_what_the_index_has_seen_is_refused() {
    let (disk, _) = disk_with(3);
    disk.crash(power_cut(Unsynced::Lost));
    let known = Options { known_durable: Position(4), ..options() };
    let error = disk.open_journal(known).err().unwrap();
    assert!(matches!(error, JournalError::Behind { end: Position(3), known: Position(4) }));
}

#[test]
fn a_missing_segment_is_reported_wherever_it_was() {
    let (disk, placed) = disk_with(40);
    disk.crash(power_cut(Unsynced::Lost));
    let sound = disk.snapshot();
    for (file, _) in disk.files() {
        disk.restore(&sound);
        assert!(disk.delete_file(&file));
        let first = segment::first_of(&file).unwrap();
        match refused(&disk) {
            JournalError::Damaged { expected, what: Damage::MissingSegment, .. } => {
                assert_eq!(expected, Some(first));
            }
            other => panic!("{other}"),
        }
    }
    assert!(placed.last().unwrap().locator.segment > 1);
}

#[test]
fn a_damaged_header_and_a_damaged_seal_of_the_last_segment_are_reported() {
    let (disk, placed) = disk_with(40);
    disk.crash(power_cut(Unsynced::Lost));
    let sound = disk.snapshot();
    for offset in 0..32 {
        disk.restore(&sound);
        assert!(disk.flip_bit(&file_of(placed[0].locator), offset, 0));
        let header = Locator { segment: 1, offset: 0 };
        assert_damaged(refused(&disk), header, Position(1), Damage::SegmentHeader);
    }
    disk.restore(&sound);
    assert!(disk.flip_bit(&file_of(placed[39].locator), 33, 0));
    assert!(matches!(refused(&disk), JournalError::Damaged { what: Damage::Seal, .. }));
}

#[test]
fn a_second_opener_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path(), options()).unwrap();
    assert!(matches!(open(dir.path(), options()), Err(JournalError::Locked(_))));
    assert!(matches!(inspect(dir.path()), Err(JournalError::Locked(_))));
    assert!(matches!(cut_after(dir.path(), Position(0), 1), Err(JournalError::Locked(_))));
    drop(journal);
    assert!(open(dir.path(), options()).is_ok());

    let disk = MemoryDisk::new();
    let _journal = disk.open_journal(options()).unwrap();
    assert!(matches!(refused(&disk), JournalError::Locked(_)));
}

#[test]
fn a_newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), options()).unwrap());
    let file = dir.path().join(segment::file_name(Position(1)));
    let mut bytes = fs::read(&file).unwrap();
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    fs::write(&file, &bytes).unwrap();
    assert!(matches!(open(dir.path(), options()), Err(JournalError::Newer { version: 2, known: 1, .. })));
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

#[test]
fn what_an_interrupted_creation_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("00000000000000000001.tbj.new"), b"TBJR").unwrap();
    let (_journal, report) = open(dir.path(), options()).unwrap();
    assert_eq!(report.end, Position::START);
    assert!(!dir.path().join("00000000000000000001.tbj.new").exists());
}

#[test]
fn an_erased_body_reads_as_none_and_the_rest_stands() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), options()).unwrap();
    let placed = journal.append(frame("meta", &["first", "secret name", "third"])).unwrap();
    let _ = journal.append(numbered(2)).unwrap();
    let _ = journal.erase(placed.locator, 1).unwrap();
    let _ = journal.erase(placed.locator, 1).unwrap();
    let check = |journal: &SegmentedJournal| {
        let read = journal.reader().read(placed.locator).unwrap();
        assert_eq!(read.meta, "meta");
        assert_eq!(read.bodies, [Some(Bytes::from("first")), None, Some(Bytes::from("third"))]);
    };
    check(&journal);
    drop(journal);
    let bytes = fs::read(dir.path().join(segment::file_name(Position(1)))).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"secret"));
    assert_eq!(inspect(dir.path()).unwrap().bodies_erased, 1);
    let (journal, report) = open(dir.path(), options()).unwrap();
    assert_eq!((report.end, report.erasures_completed, report.cut), (Position(2), 0, None));
    check(&journal);
}

#[test]
fn an_interrupted_erasure_is_completed_by_the_next_open() {
    let unsynced = [Unsynced::Lost, Unsynced::Kept].into_iter().chain((0..=12).map(Unsynced::Prefix));
    for unsynced in unsynced {
        // Operations: marker, sync, zeros, sync, marker.
        for step in 0..5 {
            let disk = MemoryDisk::new();
            let (mut journal, _) = disk.open_journal(options()).unwrap();
            let placed = journal.append(frame("meta", &["first", "secret name"])).unwrap();
            let faults = (0..=step).map(|at| (at == step).then_some(Fault::PowerCut(power_cut(unsynced))));
            disk.plan(FaultPlan::queue(faults));
            assert!(journal.erase(placed.locator, 1).is_err());
            disk.plan(FaultPlan::none());

            let (mut journal, report) = disk.open_journal(options()).unwrap();
            assert_eq!(report.end, Position(1));
            let read = journal.reader().read(placed.locator).unwrap();
            assert_eq!(read.bodies[0].as_deref(), Some(&b"first"[..]));
            match &read.bodies[1] {
                Some(body) => assert_eq!(body, "secret name"),
                None => assert!(report.erasures_completed == 1 || step == 4),
            }
            assert!(read.bodies[1].is_none() || step < 2, "the marker was durable");
            let _ = journal.erase(placed.locator, 1).unwrap();
            assert_eq!(journal.reader().read(placed.locator).unwrap().bodies[1], None);
        }
    }
}

#[test]
fn after_a_write_that_failed_and_persisted_the_frame_may_stand() {
    for fault in [Some(Fault::FailButPersist), None] {
        let (disk, _) = disk_with(2);
        disk.crash(power_cut(Unsynced::Lost));
        let (mut journal, _) = disk.open_journal(options()).unwrap();
        let sync = if fault.is_none() { Some(Fault::FailButPersist) } else { None };
        disk.plan(FaultPlan::queue([fault, sync]));
        assert!(matches!(journal.append(numbered(3)), Err(JournalError::OutcomeUnknown { .. })));
        assert_eq!(journal.end(), Position(2));
        assert_eq!(metas(&journal), expected_metas(2));
        assert!(matches!(journal.append(numbered(3)), Err(JournalError::MustReopen)));
        let at = Locator { segment: 1, offset: 64 };
        assert!(matches!(journal.erase(at, 0), Err(JournalError::MustReopen)));
        drop(journal);
        let (journal, report) = disk.open_journal(options()).unwrap();
        assert_eq!((report.end, metas(&journal)), (Position(3), expected_metas(3)));
    }
}

#[test]
fn a_frame_whose_sync_failed_is_written_again_before_it_counts() {
    let (disk, _) = disk_with(2);
    disk.crash(power_cut(Unsynced::Lost));
    let (mut journal, _) = disk.open_journal(options()).unwrap();
    disk.plan(FaultPlan::queue([None, Some(Fault::Fail)]));
    assert!(matches!(journal.append(numbered(3)), Err(JournalError::OutcomeUnknown { .. })));
    drop(journal);
    // The process starts again, and the bytes are readable, but the disk never had them.
    let (journal, report) = disk.open_journal(options()).unwrap();
    assert_eq!(report.end, Position(3));
    disk.crash(power_cut(Unsynced::Lost));
    drop(journal);
    assert_eq!(disk.open_journal(options()).unwrap().1.end, Position(3));
}

#[test]
fn a_full_disk_refuses_and_the_journal_goes_on() {
    let (disk, _) = disk_with(2);
    disk.crash(power_cut(Unsynced::Lost));
    let (mut journal, _) = disk.open_journal(options()).unwrap();
    disk.plan(FaultPlan::queue([Some(Fault::Full)]));
    assert!(matches!(journal.append(numbered(3)), Err(JournalError::Full)));
    assert_eq!(journal.append(numbered(3)).unwrap().position, Position(3));

    disk.set_capacity(Some(SEGMENT));
    assert_eq!(journal.room().unwrap(), 0);
    let mut number = 4;
    while journal.append(numbered(number)).is_ok() {
        number += 1;
    }
    assert!(matches!(journal.append(numbered(number)), Err(JournalError::Full)));
    disk.set_capacity(None);
    assert_eq!(journal.append(numbered(number)).unwrap().position, Position(number));
    assert_eq!(metas(&journal), expected_metas(number));
}

#[test]
fn a_full_disk_still_opens() {
    let (disk, _) = disk_with(2);
    disk.crash(power_cut(Unsynced::Lost));
    let (mut journal, _) = disk.open_journal(options()).unwrap();
    disk.plan(FaultPlan::queue([None, Some(Fault::PowerCut(power_cut(Unsynced::Prefix(50))))]));
    assert!(journal.append(numbered(3)).is_err());
    disk.plan(FaultPlan::none());
    disk.set_capacity(Some(1));
    let (mut journal, report) = disk.open_journal(options()).unwrap();
    assert!(report.cut.is_some());
    assert!(matches!(journal.append(numbered(3)), Err(JournalError::Full)));
    disk.set_capacity(None);
    assert_eq!(journal.append(numbered(3)).unwrap().position, Position(3));
}

#[test]
fn a_frame_over_the_limit_is_refused_and_one_longer_than_a_segment_gets_its_own() {
    let disk = MemoryDisk::new();
    let (mut journal, _) = disk.open_journal(options()).unwrap();
    let with_meta = |bytes: usize| Frame { meta: vec![1; bytes], bodies: vec![] };
    assert!(matches!(journal.append(with_meta(COMMIT_BYTES_MAX)), Err(JournalError::TooLarge { .. })));
    for bytes in [5000, 10, COMMIT_BYTES_MAX - frame::HEAD_BYTES, 10, 5000] {
        let _ = journal.append(with_meta(bytes)).unwrap();
    }
    drop(journal);
    let (journal, _) = disk.open_journal(options()).unwrap();
    let lengths: Vec<_> = all(&journal).iter().map(|frame| frame.meta.len()).collect();
    assert_eq!(lengths, [5000, 10, COMMIT_BYTES_MAX - frame::HEAD_BYTES, 10, 5000]);
}

#[test]
fn a_crash_at_any_step_of_the_change_of_segments_loses_nothing() {
    let (full, placed) = disk_with(40);
    let change = placed.windows(2).find(|pair| pair[0].locator.segment != pair[1].locator.segment).unwrap();
    let last_before = change[0].position.0;
    drop(full);
    for unsynced in [Unsynced::Lost, Unsynced::Kept, Unsynced::Prefix(9), Unsynced::Sectors(!0)] {
        // Operations: create, trim, seal, sync, write, sync.
        for step in 0..6 {
            for fault in [Fault::PowerCut(power_cut(unsynced)), Fault::Fail, Fault::FailButPersist] {
                let (disk, _) = disk_with(last_before);
                disk.crash(power_cut(Unsynced::Lost));
                let (mut journal, _) = disk.open_journal(options()).unwrap();
                disk.plan(FaultPlan::queue((0..=step).map(|at| (at == step).then_some(fault))));
                assert!(journal.append(numbered(last_before + 1)).is_err());
                disk.plan(FaultPlan::none());
                drop(journal);
                let (mut journal, report) = disk.open_journal(options()).unwrap();
                assert!(report.end.0 == last_before || report.end.0 == last_before + 1);
                for number in report.end.0 + 1..=40 {
                    let _ = journal.append(numbered(number)).unwrap();
                }
                drop(journal);
                disk.crash(power_cut(Unsynced::Lost));
                let (journal, _) = disk.open_journal(options()).unwrap();
                assert_eq!(metas(&journal), expected_metas(40), "{fault:?} at step {step}");
            }
        }
    }
}

#[test]
fn old_segments_are_judged_by_their_seals() {
    let (disk, placed) = disk_with(40);
    disk.crash(power_cut(Unsynced::Lost));
    let little = Options { verify_bytes_max: 0, ..options() };
    let (journal, report) = disk.open_journal(little.clone()).unwrap();
    assert_eq!(report.end, Position(40));
    assert!(report.frames_verified < 40);
    assert_eq!(metas(&journal), expected_metas(40));
    drop(journal);
    assert!(disk.flip_bit(&file_of(placed[1].locator), placed[1].locator.offset + 60, 0));
    let (journal, _) = disk.open_journal(little).unwrap();
    assert!(matches!(journal.reader().read(placed[1].locator), Err(JournalError::Damaged { .. })));
    drop(journal);
    assert_damaged(refused(&disk), placed[1].locator, Position(2), Damage::Meta);
}

#[test]
fn inspecting_tells_what_a_cut_would_take_and_changes_nothing() {
    let (disk, placed) = disk_with(40);
    disk.crash(power_cut(Unsynced::Lost));
    let sound = disk.inspect().unwrap();
    assert_eq!((sound.readable, sound.after), (Position(40), After::Nothing));

    let bad = placed[9].locator;
    assert!(disk.flip_bit(&file_of(bad), bad.offset + 60, 0));
    let before = disk.files();
    let inspection = disk.inspect().unwrap();
    assert_eq!(inspection.readable, Position(9));
    match inspection.after {
        After::Damage { expected, later_frames, highest, set_aside, .. } => {
            assert_eq!((expected, later_frames, highest), (Position(10), 30, Some(Position(40))));
            let later = before.iter().filter(|(file, _)| *file >= file_of(bad));
            assert_eq!(set_aside, later.map(|(file, _)| file.clone()).collect::<Vec<_>>());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(disk.files(), before);
}

#[test]
fn cutting_keeps_the_good_frames_and_sets_the_rest_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let (mut journal, _) = open(&path, options()).unwrap();
    let placed: Vec<_> =
        (1..=40).map(|number| journal.append(numbered(number)).unwrap().into_inner()).collect();
    drop(journal);
    let bad = placed[9].locator;
    let file = path.join(file_of(bad));
    let mut bytes = fs::read(&file).unwrap();
    bytes[bad.offset as usize + 60] ^= 1;
    fs::write(&file, &bytes).unwrap();

    assert!(matches!(
        cut_after(&path, Position(10), 5),
        Err(JournalError::CannotKeep { readable: Position(9), asked: Position(10) })
    ));
    let report = cut_after(&path, Position(9), 1_700_000_000_000).unwrap();
    assert_eq!((report.kept, &report.set_aside[..]), (Position(9), "set-aside-1700000000000"));
    let aside = dir.path().join(&report.set_aside);
    assert_eq!(fs::read(aside.join(file_of(bad))).unwrap(), bytes);
    for file in &report.files {
        assert!(aside.join(file).exists());
    }

    let (mut journal, report) = open(&path, options()).unwrap();
    assert_eq!((report.end, report.cut), (Position(9), None));
    for number in 10..=40 {
        let _ = journal.append(numbered(number)).unwrap();
    }
    assert_eq!(metas(&journal), expected_metas(40));
}

#[test]
fn any_position_can_be_cut_after_and_a_crash_in_between_only_needs_the_command_again() {
    let (full, _) = disk_with(40);
    full.crash(power_cut(Unsynced::Lost));
    let sound = full.snapshot();
    for keep in 0..=40 {
        let disk = MemoryDisk::new();
        disk.restore(&sound);
        for step in 0.. {
            let plan = (0..=step).map(|at| {
                (at == step).then_some(Fault::PowerCut(power_cut(Unsynced::Sectors(0x2_0001 << step))))
            });
            disk.plan(FaultPlan::queue(plan));
            let done = disk.cut_after(Position(keep), step).is_ok();
            disk.plan(FaultPlan::none());
            if done {
                break;
            }
        }
        let (mut journal, report) = disk.open_journal(options()).unwrap();
        assert_eq!((report.end, report.cut), (Position(keep), None));
        let _ = journal.append(numbered(keep + 1)).unwrap();
        assert_eq!(metas(&journal), expected_metas(keep + 1));
    }
}

#[test]
fn cutting_heals_every_kind_of_damage() {
    let (disk, placed) = disk_with(40);
    disk.crash(power_cut(Unsynced::Lost));
    let sound = disk.snapshot();
    let (third, last) = (disk.files()[2].0.clone(), disk.files().pop().unwrap().0);
    let first = disk.files()[0].0.clone();
    let damages: [&dyn Fn(); 6] = [
        &|| assert!(disk.delete_file(&third)),
        &|| assert!(disk.delete_file(&last)),
        &|| assert!(disk.delete_file(&first)),
        &|| assert!(disk.flip_bit(&third, 3, 0)),
        &|| assert!(disk.flip_bit(&last, 33, 0)),
        &|| assert!(disk.flip_bit(&first, placed[0].locator.offset, 0)),
    ];
    for (number, damage) in damages.iter().enumerate() {
        disk.restore(&sound);
        damage();
        assert!(matches!(refused(&disk), JournalError::Damaged { .. }));
        let readable = disk.inspect().unwrap().readable;
        let _ = disk.cut_after(readable, 1).unwrap();
        let (journal, report) = disk.open_journal(options()).unwrap();
        assert_eq!(report.end, readable, "damage {number}");
        assert_eq!(metas(&journal), expected_metas(readable.0));
    }
}

#[test]
fn readers_see_whole_frames_while_bodies_are_erased() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), Options::new(MARK)).unwrap();
    let body = "b".repeat(40_000);
    let placed: Vec<_> = (0..20)
        .map(|_| journal.append(frame("meta", &[&body, "other"])).unwrap().into_inner().locator)
        .collect();
    let reader = journal.reader();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            while reader.read(*placed.last().unwrap()).unwrap().bodies[0].is_some() {
                for locator in &placed {
                    let read = reader.read(*locator).unwrap();
                    assert!(read.bodies[0].as_ref().is_none_or(|read| *read == body));
                    assert_eq!(read.bodies[1].as_deref(), Some(&b"other"[..]));
                }
            }
        });
        for locator in &placed {
            let _ = journal.erase(*locator, 0).unwrap();
        }
        reading.join().unwrap();
    });
}

/// One thing that happens to the journal, or under it.
#[derive(Debug, Clone)]
enum Step {
    Append {
        meta: usize,
        bodies: Vec<usize>,
    },
    Erase {
        frame: usize,
        body: usize,
    },
    Reopen,
    Crash(Unsynced),
    /// The so-manieth operation from now on goes wrong.
    Plan(usize, Fault),
}

fn unsynced() -> impl Strategy<Value = Unsynced> {
    prop_oneof![
        Just(Unsynced::Lost),
        Just(Unsynced::Kept),
        (0..600_usize).prop_map(Unsynced::Prefix),
        any::<u64>().prop_map(Unsynced::Sectors),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        Just(Fault::Fail),
        Just(Fault::FailButPersist),
        Just(Fault::Full),
        (0..600_usize).prop_map(Fault::Torn),
        unsynced().prop_map(|unsynced| Fault::PowerCut(power_cut(unsynced))),
    ];
    prop_oneof![
        8 => (0..400_usize, prop::collection::vec(0..300_usize, 0..4))
            .prop_map(|(meta, bodies)| Step::Append { meta, bodies }),
        2 => (any::<prop::sample::Index>(), 0..3_usize)
            .prop_map(|(frame, body)| Step::Erase { frame: frame.index(1000), body }),
        1 => Just(Step::Reopen),
        1 => unsynced().prop_map(Step::Crash),
        3 => (0..7_usize, fault).prop_map(|(at, fault)| Step::Plan(at, fault)),
    ]
}

/// What must be in the journal, and what may.
#[derive(Default)]
struct Model {
    frames: Vec<(Frame, Placed)>,
    /// Appended with unknown outcome; at most one, and last.
    unsure: Option<Frame>,
    erased: Vec<(usize, usize)>,
    /// Erased with unknown outcome.
    perhaps_erased: Vec<(usize, usize)>,
}

impl Model {
    fn check(&mut self, journal: &SegmentedJournal) {
        let stored = all(journal);
        assert_eq!(journal.end().0, stored.len() as u64);
        if stored.len() > self.frames.len() {
            let frame = self.unsure.take().expect("a frame that nobody appended");
            let last = stored.last().expect("longer than something");
            let placed = Placed { position: last.position, locator: last.locator };
            self.frames.push((frame, placed));
        }
        self.unsure = None;
        assert_eq!(stored.len(), self.frames.len(), "acknowledged frames are there");
        for (number, (stored, (frame, placed))) in stored.iter().zip(&self.frames).enumerate() {
            assert_eq!(stored.position, Position(number as u64 + 1));
            assert_eq!((stored.position, stored.locator), (placed.position, placed.locator));
            assert_eq!(stored.meta, frame.meta);
            assert_eq!(&journal.reader().read(placed.locator).unwrap(), stored);
            for (body, bytes) in stored.bodies.iter().enumerate() {
                let place = (number, body);
                match bytes {
                    Some(bytes) => {
                        assert!(!self.erased.contains(&place), "erased is erased");
                        assert_eq!(bytes, &frame.bodies[body]);
                    }
                    None => {
                        assert!(self.erased.contains(&place) || self.perhaps_erased.contains(&place));
                        self.erased.push(place);
                    }
                }
            }
        }
        self.perhaps_erased.clear();
    }
}

fn reopened(disk: &MemoryDisk, model: &mut Model) -> SegmentedJournal {
    disk.plan(FaultPlan::none());
    let (journal, _) = disk.open_journal(options()).unwrap();
    model.check(&journal);
    journal
}

fn run(steps: Vec<Step>) {
    let disk = MemoryDisk::new();
    let mut model = Model::default();
    let mut journal = reopened(&disk, &mut model);
    for (number, step) in steps.into_iter().enumerate() {
        let failed = match step {
            Step::Append { meta, bodies } => {
                let byte = number as u8 | 1;
                let frame = Frame {
                    meta: vec![byte; meta],
                    bodies: bodies.into_iter().map(|bytes| Bytes::from(vec![byte; bytes])).collect(),
                };
                match journal.append(frame.clone()) {
                    Ok(placed) => {
                        model.frames.push((frame, placed.into_inner()));
                        false
                    }
                    Err(JournalError::Full) => false,
                    Err(JournalError::OutcomeUnknown { .. }) => {
                        model.unsure = Some(frame);
                        true
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            Step::Erase { frame, body } if !model.frames.is_empty() => {
                let frame = frame % model.frames.len();
                match journal.erase(model.frames[frame].1.locator, body) {
                    Ok(_) => {
                        model.erased.push((frame, body));
                        false
                    }
                    Err(JournalError::NoSuchBody { bodies, .. }) => {
                        assert_eq!(bodies, model.frames[frame].0.bodies.len());
                        false
                    }
                    Err(JournalError::OutcomeUnknown { .. }) => {
                        model.perhaps_erased.push((frame, body));
                        true
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            Step::Erase { .. } => false,
            Step::Reopen => true,
            Step::Crash(unsynced) => {
                disk.crash(power_cut(unsynced));
                true
            }
            Step::Plan(at, fault) => {
                disk.plan(FaultPlan::queue((0..=at).map(|now| (now == at).then_some(fault))));
                false
            }
        };
        if failed {
            drop(journal);
            journal = reopened(&disk, &mut model);
        }
    }
    model.check(&journal);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_fails_acknowledged_frames_stand_and_erased_bodies_are_gone(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        run(steps);
    }
}

#[test]
fn a_disk_that_does_not_read_is_not_taken_for_a_damaged_journal() {
    let (disk, _) = disk_with(3);
    disk.crash(power_cut(Unsynced::Lost));
    disk.plan(FaultPlan::decide(|operation| {
        matches!(operation, Operation::Read { offset: 64.., .. }).then_some(Fault::Fail)
    }));
    assert!(matches!(refused(&disk), JournalError::Io { .. }));
    disk.plan(FaultPlan::none());
    assert_eq!(disk.open_journal(options()).unwrap().1.end, Position(3));
}
