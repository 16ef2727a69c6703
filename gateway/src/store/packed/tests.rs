use super::*;
use proptest::prelude::*;

/// So small that a few hundred rows fill it.
const SMALL: usize = 8 * 1024;

fn tables() -> impl Strategy<Value = Table> {
    prop_oneof![Just(Table::Message), Just(Table::Case), Just(Table::Batch), Just(Table::Channel)]
}

#[derive(Debug, Clone)]
enum Step {
    Apply(Vec<(Table, u8, Option<u16>)>),
    Flush,
    /// The process dies: what was not written down is gone.
    Die,
    Settle,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = (tables(), any::<u8>(), proptest::option::weighted(0.8, 0..600_u16));
    let step = prop_oneof![
        20 => proptest::collection::vec(change, 1..60).prop_map(Step::Apply),
        2 => Just(Step::Flush),
        1 => Just(Step::Die),
        1 => Just(Step::Settle),
    ];
    proptest::collection::vec(step, 1..60)
}

type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

fn key(number: u8) -> Vec<u8> {
    format!("row-{number:03}").into_bytes()
}

fn assert_same(index: &PackedIndex, model: &Model) {
    for table in [Table::Message, Table::Case, Table::Batch, Table::Channel] {
        let expected: Vec<(Bytes, Bytes)> = model
            .iter()
            .filter(|((of, _), _)| *of == table)
            .map(|((_, key), value)| (Bytes::from(key.clone()), Bytes::from(value.clone())))
            .collect();
        assert_eq!(index.range(table, &[], &[], usize::MAX, Direction::Ascending).unwrap(), expected);
        let mut backwards = index.range(table, &[], &[], usize::MAX, Direction::Descending).unwrap();
        backwards.reverse();
        assert_eq!(backwards, expected);
        for number in 0..=u8::MAX {
            let value = model.get(&(table, key(number))).cloned().map(Bytes::from);
            assert_eq!(index.get(table, &key(number)).unwrap(), value, "{table:?} {number}");
        }
        let (low, high) = (key(40), key(180));
        let some = index.range(table, &low, &high, 7, Direction::Descending).unwrap();
        let within = |(key, _): &&(Bytes, Bytes)| **key >= *low && **key < *high;
        let expected: Vec<_> = expected.iter().rev().filter(within).take(7).cloned().collect();
        assert_eq!(some, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever was applied is found; after a death, everything up to the position that the index then
    /// names, and nothing later.
    #[test]
    fn it_answers_as_a_map_would_whatever_was_written_down(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let mut index = open_with(&path, SMALL).unwrap().0;
        let mut history: Vec<Model> = vec![Model::new()];
        for step in steps {
            match step {
                Step::Apply(rows) => {
                    let mut model = history.last().unwrap().clone();
                    let mut changes = Vec::new();
                    for (table, number, value) in rows {
                        let key = key(number);
                        match value {
                            Some(length) => {
                                let value = vec![number; length as usize];
                                model.insert((table, key.clone()), value.clone());
                                changes.push(Change::Put { table, key, value: value.into() });
                            }
                            None => {
                                model.remove(&(table, key.clone()));
                                changes.push(Change::Delete { table, key });
                            }
                        }
                    }
                    index.apply(&changes, Position(history.len() as u64)).unwrap();
                    history.push(model);
                }
                Step::Flush => index.flush().unwrap(),
                Step::Die => {
                    drop(index);
                    index = open_with(&path, SMALL).unwrap().0;
                    history.truncate(index.reflects().unwrap().0 as usize + 1);
                }
                Step::Settle => {
                    index.settle().unwrap();
                    drop(index);
                    index = open_with(&path, SMALL).unwrap().0;
                    prop_assert_eq!(index.reflects().unwrap().0 as usize, history.len() - 1);
                }
            }
        }
        assert_same(&index, history.last().unwrap());
    }
}

/// An index of forty batches, which are several runs; the folder goes with the guard.
fn filled() -> (tempfile::TempDir, PathBuf, PackedIndex) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let (index, _) = open_with(&path, SMALL).unwrap();
    fill(&index, 1, 40);
    (dir, path, index)
}

fn fill(index: &PackedIndex, from: u64, batches: u64) {
    for number in from..from + batches {
        let changes = (0..50_u64)
            .map(|row| Change::Put {
                table: Table::Message,
                key: format!("{number:08}{row:03}").into_bytes(),
                value: Bytes::copy_from_slice(&number.to_be_bytes()),
            })
            .collect::<Vec<_>>();
        index.apply(&changes, Position(number)).unwrap();
    }
}

#[test]
fn runs_are_merged_so_that_few_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let (index, _) = open_with(&path, SMALL).unwrap();
    fill(&index, 1, 400);
    index.settle().unwrap();
    let (index, _) = open_with(&path, SMALL).unwrap();
    // Whatever merge was given up at the end is made now.
    while index.shared.merge().unwrap() {}
    let runs = index.shared.state.read().unwrap().runs.len();
    assert!((1..16).contains(&runs), "{runs} runs for some 200 that were written");
    let files = fs::read_dir(path.join(RUNS_DIR)).unwrap().count();
    assert_eq!(files, runs, "what was merged away is gone");
    for number in 1..=400_u64 {
        let key = format!("{number:08}049");
        assert_eq!(index.get(Table::Message, key.as_bytes()).unwrap().unwrap(), number.to_be_bytes()[..]);
    }
}

/// Waits until all that was frozen is written down and nothing is left to merge.
fn quiet(index: &PackedIndex) {
    let busy = || {
        let state = index.shared.state.read().unwrap();
        let merges = to_merge(&state.runs, 2 * index.shared.freeze_bytes as u64).is_some();
        let files = fs::read_dir(index.shared.dir.join(RUNS_DIR)).unwrap().count();
        state.frozen.is_some() || merges || files != state.runs.len()
    };
    let began = std::time::Instant::now();
    while busy() {
        assert!(began.elapsed().as_secs() < 60, "the writer and the merger come to an end");
        std::thread::yield_now();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_process_that_is_killed_leaves_what_was_written_down_and_the_index_is_not_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let (index, _) = open_with(&path, SMALL).unwrap();
    for round in 0..8_u64 {
        fill(&index, 1 + 50 * round, 50);
        quiet(&index);
        let (last, in_memory) = {
            let state = index.shared.state.read().unwrap();
            (state.live.reflects.0, state.live.rows.len() as u64 / 50)
        };
        // What the system has at this moment is what a kill leaves: no byte of this process's memory.
        let left = dir.path().join(format!("left-{round}"));
        copy(&path, &left);
        let (killed, report) = open_with(&left, SMALL).unwrap();
        assert_eq!((report.set_aside, report.reflects), (None, Position(last - in_memory)));
        for number in 1..=last - in_memory {
            let key = format!("{number:08}049");
            let value = killed.get(Table::Message, key.as_bytes()).unwrap();
            assert_eq!(value.unwrap(), number.to_be_bytes()[..]);
        }
    }
}

#[test]
fn a_run_that_no_list_names_is_removed() {
    let (_dir, path, index) = filled();
    index.flush().unwrap();
    drop(index);
    let stray = path.join(RUNS_DIR).join(file_name((900, 900)));
    fs::write(&stray, b"half a run").unwrap();
    let (index, report) = open_with(&path, SMALL).unwrap();
    assert_eq!((report.set_aside, report.reflects), (None, Position(40)));
    assert!(!stray.exists());
    assert!(index.get(Table::Message, b"00000040049").unwrap().is_some());
}

#[test]
fn a_damaged_or_missing_run_sets_the_index_aside() {
    for damage in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let (index, _) = open_with(&path, SMALL).unwrap();
        fill(&index, 1, 40);
        index.settle().unwrap();
        drop(index);
        let listed = open_runs(&super::super::sled::open(&path).unwrap().0, &path).unwrap();
        let run = path.join(RUNS_DIR).join(file_name(listed[0].span));
        drop(listed);
        if damage {
            let length = fs::metadata(&run).unwrap().len();
            fs::File::options().write(true).open(&run).unwrap().set_len(length - 9).unwrap();
        } else {
            fs::remove_file(&run).unwrap();
        }
        let (index, report) = open_with(&path, SMALL).unwrap();
        assert_eq!(report.reflects, Position::START);
        assert!(report.set_aside.unwrap().folder.exists());
        assert!(index.get(Table::Message, b"00000001000").unwrap().is_none());
        fill(&index, 1, 1);
        assert!(index.get(Table::Message, b"00000001000").unwrap().is_some());
    }
}

#[test]
fn a_block_that_rots_in_use_is_an_error_and_the_next_open_makes_the_index_anew() {
    use std::os::unix::fs::FileExt as _;
    let (_dir, path, index) = filled();
    index.settle().unwrap();
    drop(index);
    let (index, _) = open_with(&path, SMALL).unwrap();
    for run in fs::read_dir(path.join(RUNS_DIR)).unwrap() {
        let file = fs::File::options().write(true).open(run.unwrap().path()).unwrap();
        file.write_all_at(&[0xff; 8], 100).unwrap();
    }
    let looked_up = index.get(Table::Message, b"00000001000");
    assert!(matches!(looked_up, Err(IndexError::Damaged(_))), "{looked_up:?}");
    assert!(index.get(Table::Message, b"no such key").is_ok(), "the filter answers for what is not there");
    drop(index);
    let (index, report) = open_with(&path, SMALL).unwrap();
    assert!(report.set_aside.unwrap().why.contains("damaged"));
    assert_eq!(index.reflects().unwrap(), Position::START);
}
