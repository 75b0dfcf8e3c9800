//! A store whose files somebody edited, CRCs put right behind that or not: opening it, reading everything, checking,
//! writing, upkeep and opening it again give answers or errors, in bounded time and memory.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use sarsen::{
    simulation::SimVfs, Batch, BlockAddress, Check, Data, Error, LogMethod, Options, Result, Store, Tags,
    Verdict,
};

use super::{
    input::Input,
    repair::{anchors, repair},
    stores::{bases, disk_with, options, root, Files},
};

const MOST_EDITS: usize = 24;
const MOST_FILE_BYTES: usize = 1 << 20;
/// A scan goes no further: what it would find is more of the same.
const MOST_ITEMS: usize = 1_500;

/// The first byte: two bits choose the store, then repair, manifest follows, check at every read, read-only first, log
/// through `pwrite`, salvage first. Edits follow.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let how = input.u8();
    let base = &bases()[usize::from(how & 3)];
    let mut files = base.files.clone();
    let mut edits = 0;
    while !input.is_empty() && edits < MOST_EDITS {
        edit(&mut files, &mut input);
        edits += 1;
    }
    if how & 4 != 0 {
        repair(&mut files, how & 8 != 0);
    }
    let options = Options {
        check: if how & 16 != 0 {
            Check::EveryRead
        } else {
            Check::FirstTouch
        },
        log_method: if how & 64 != 0 {
            LogMethod::Written
        } else {
            LogMethod::Auto
        },
        ..options()
    };
    let disk = disk_with(&files);
    if how & 32 != 0 {
        look_only(&disk, &options, false);
    }
    if how & 128 != 0 {
        look_only(&disk, &options, true);
    }
    let sound = use_it(&disk, &options);
    assert!(edits > 0 || sound, "a store that nobody edited is not sound");
}

/// Changes a file, or which files there are.
fn edit(files: &mut Files, input: &mut Input<'_>) {
    let what = input.u8();
    let names: Vec<String> = files.keys().cloned().collect();
    let Some(name) = names.get(input.below(names.len().max(1))) else {
        return;
    };
    let file = Arc::make_mut(files.get_mut(name).expect("a name of the list"));
    let at = if what & 128 != 0 {
        let places = anchors(name, file);
        let place = places[usize::from(input.u16()) % places.len()];
        place + usize::from(input.u8())
    } else {
        usize::try_from(input.u32()).expect("an offset")
    };
    let at = at % file.len().max(1);
    match what & 15 {
        0..=3 => {
            let len = input.below(17);
            write(file, at, input.take(len));
        }
        4 | 5 => write(file, at, &input.edge().to_le_bytes()),
        6 => write(file, at, &input.edge().to_le_bytes()[..4]),
        7 => {
            let bit = input.u8();
            if let Some(byte) = file.get_mut(at) {
                *byte ^= 1 << (bit & 7);
            }
        }
        8 => file.truncate(at),
        9 => file.resize((file.len() + usize::from(input.u16())).min(MOST_FILE_BYTES), 0),
        10 => {
            files.remove(name);
        }
        11 => {
            let (from, len) = (usize::from(input.u16()), usize::from(input.u16()));
            let source = names[input.below(names.len())].clone();
            let source = files.get(&source).map(Arc::clone).unwrap_or_default();
            let from = from.min(source.len());
            let piece = source[from..(from + len).min(source.len())].to_vec();
            let file: &mut Vec<u8> = Arc::make_mut(files.get_mut(name).expect("it is there"));
            write(file, at, &piece);
        }
        12 => {
            let source = names[input.below(names.len())].clone();
            if let Some(source) = files.get(&source).map(Arc::clone) {
                files.insert(name.clone(), source);
            }
        }
        13 => {
            let copy = Arc::clone(&files[name]);
            let number = u64::from(input.u8());
            let twin = match name.split('/').next() {
                Some("log") => format!("log/{number:08}.log"),
                Some("blocks") => format!("blocks/chunk_{number:04}.bin"),
                Some("index") => format!("index/{number:08}.run"),
                _ => "MANIFEST.new".to_owned(),
            };
            files.insert(twin, copy);
        }
        14 => file.rotate_left(at),
        _ => {
            // Both copies of the manifest alike.
            let half = file.len() / 2;
            let len = input.below(17);
            let bytes = input.take(len);
            write(file, at % half.max(1), bytes);
            write(file, at % half.max(1) + half, bytes);
        }
    }
}

fn write(file: &mut [u8], at: usize, bytes: &[u8]) {
    let len = bytes.len().min(file.len().saturating_sub(at));
    if let Some(place) = file.get_mut(at..at + len) {
        place.copy_from_slice(&bytes[..len]);
    }
}

/// Whatever the files say, an answer is a value or an error that is no defect of the library's.
pub fn allowed<T>(what: &str, outcome: Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        // The simulated disk's files can't grow as far as a real one's.
        Err(Error::Internal { what }) if what.contains("simulation") => None,
        Err(error @ Error::Internal { .. }) => panic!("{what}: {error}"),
        Err(_) => None,
    }
}

fn look_only(disk: &SimVfs, options: &Options, salvage: bool) {
    let before = disk.files();
    let options = Options {
        read_only: true,
        salvage,
        ..options.clone()
    };
    if let Some(store) = allowed("a look", Store::open_on(disk, root(), &options)) {
        read_everything(&store);
        assert_eq!(store.kv_set(b"a", b"b"), Err(Error::ReadOnly));
        allowed("closing", store.close());
    }
    assert!(disk.files() == before, "a look changed the files");
}

/// Opens, reads, writes, tidies up, and opens again; whether all went well.
pub fn use_it(disk: &SimVfs, options: &Options) -> bool {
    let Some(store) = allowed("opening", Store::open_on(disk, root(), options)) else {
        return false;
    };
    assert_ne!(
        store.recovery().verdict,
        Verdict::Damaged,
        "damage is an error without salvage"
    );
    let mut sound = read_everything(&store);
    sound &= write_something(&store, disk);
    sound &= read_everything(&store);
    sound &= allowed("closing", store.close()).is_some();
    drop(store);
    let Some(store) = allowed("opening again", Store::open_on(disk, root(), options)) else {
        return false;
    };
    sound &= read_everything(&store);
    if sound {
        let found = store.kv_get(None, b"fuzz").expect("a pair of a sound store");
        assert_eq!(found.bytes(), b"what was written");
    }
    sound &= allowed("closing", store.close()).is_some();
    sound
}

/// What is committed can be read at once, from the store and its log.
fn write_something(store: &Store, disk: &SimVfs) -> bool {
    let before = store.last_seq();
    let mut batch = Batch::new();
    let tags = Tags::of(&["all", "fuzz"]).expect("tags");
    let long = vec![b'l'; 40_000];
    batch.set_kv(b"fuzz", b"what was written").expect("a pair");
    batch.set_kv(b"fuzz long", &long).expect("a pair");
    batch
        .append_memory(1, &tags, Data::Bytes(b"a memory"))
        .expect("a memory");
    batch
        .append_stream(b"s0", Data::Bytes(b"a record"))
        .expect("a record");
    batch
        .append_stream(b"fuzz", Data::Bytes(&long[..2_000]))
        .expect("a record");
    batch.append_block(b"a block").expect("a block");
    let Some(seq) = allowed("a commit", store.commit(&mut batch, None)) else {
        return false;
    };
    assert!(
        seq > before || before == u64::MAX,
        "a commit has a seq of its own"
    );
    let found = store.kv_get(None, b"fuzz").expect("a pair that was just written");
    assert_eq!(found.bytes(), b"what was written");
    let block: Option<BlockAddress> = batch.result(5).ok().and_then(|(_, block)| block);
    let block = block.expect("a block has an address");
    if let Some(view) = allowed("the block", store.block_view(&block, 0, block.len)) {
        assert_eq!(view.bytes(), b"a block");
    }
    let snapshot = store.snapshot().expect("a snapshot");
    let mut sound = allowed("a checkpoint", store.checkpoint()).is_some();
    for _ in 0..8 {
        match allowed("upkeep", store.maintain(Duration::ZERO)) {
            Some(true) => {}
            Some(false) => break,
            None => {
                sound = false;
                break;
            }
        }
    }
    sound &= allowed("a deletion", store.kv_delete(b"key 01 0")).is_some();
    sound &= allowed("a trim", store.stream_trim(b"s0", 1)).is_some();
    drop(snapshot);
    sound &= allowed("a compaction", store.compact()).is_some();
    let copy = Path::new("/copy");
    if allowed("a backup", store.backup(None, copy)).is_some() {
        if let Some(copy) = allowed("the copy", Store::open_on(disk, copy, &options())) {
            sound &= read_everything(&copy);
        } else {
            sound = false;
        }
    } else {
        sound = false;
    }
    sound
}

/// Every way to read; whether all of them had answers that fit.
pub fn read_everything(store: &Store) -> bool {
    let outcome = [
        allowed("pairs", pairs(store, false).map(drop)),
        allowed("pairs", pairs(store, true).map(drop)),
        allowed("memories", memories(store)),
        allowed("streams", streams(store)),
        allowed("the log", follow(store)),
        allowed("figures", store.stats().map(drop)),
        allowed("a point read", absent(store)),
    ];
    let found = allowed("verify", store.verify());
    outcome.iter().all(Option::is_some) && found.is_some_and(|findings| findings.is_empty())
}

/// Pairs in order, and each found by its key as well.
pub fn pairs(store: &Store, reverse: bool) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut pairs = BTreeMap::new();
    let mut iter = store.kv_scan(None, b"", b"", reverse)?;
    let mut count = 0;
    while count < MOST_ITEMS && iter.next()? {
        count += 1;
        let (key, value) = (iter.key().to_vec(), iter.value().to_vec());
        if count < 100 {
            store.kv_get(None, &key)?;
        }
        pairs.insert(key, value);
    }
    Ok(pairs)
}

fn memories(store: &Store) -> Result<()> {
    let no = Tags::new();
    let all = Tags::of(&["all"]).expect("tags");
    for tags in [&no, &all] {
        let mut iter = store.memory_find(None, tags, &no, &no, 0)?;
        let mut count = 0;
        while count < MOST_ITEMS && iter.next()? {
            count += 1;
            let id = iter.id();
            iter.data()?;
            let (block, _) = store.memory_info(None, id)?;
            store.block_view(&block, 0, block.len)?;
        }
    }
    Ok(())
}

fn streams(store: &Store) -> Result<()> {
    let mut names = store.stream_list(None, b"")?;
    let mut count = 0;
    while count < 100 && names.next()? {
        count += 1;
        let name = names.name().to_vec();
        let (first, next) = store.stream_bounds(None, &name)?;
        let mut records = store.stream_read(None, &name, first)?;
        let mut found = 0;
        while found < MOST_ITEMS && records.next()? {
            found += 1;
            let index = records.index();
            assert!(
                (first..next).contains(&index),
                "record {index} of {first}..{next}"
            );
            if found < 20 {
                store.stream_get(None, &name, index)?;
            }
        }
    }
    Ok(())
}

fn follow(store: &Store) -> Result<()> {
    let mut reader = match store.log_read(store.log_first_seq(), 0) {
        Err(Error::NotFound) => return Ok(()),
        reader => reader?,
    };
    for _ in 0..MOST_ITEMS {
        match reader.next(Duration::ZERO) {
            Err(Error::Timeout) => break,
            command => command?,
        };
    }
    Ok(())
}

fn absent(store: &Store) -> Result<()> {
    let absent = [
        store.kv_get(None, b"no such key").map(drop),
        store.memory_get(None, u64::MAX).map(drop),
        store.stream_get(None, b"s0", u64::MAX).map(drop),
    ];
    for outcome in absent {
        match outcome {
            Err(Error::NotFound) => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = vec![
        ("untouched_closed", vec![0]),
        ("untouched_rewritten", vec![1]),
        ("untouched_tail", vec![2]),
        ("untouched_kept_log", vec![3]),
        ("untouched_repaired", vec![0xfd]),
        // A field of the manifest becomes the largest number.
        ("manifest_field", vec![13, 133, 2, 3, 0, 0, 11, 0]),
        ("cut_file", vec![6, 8, 4, 0, 8, 0, 0]),
        ("no_file", vec![2, 10, 1, 0, 0, 0, 0]),
        ("twin", vec![6, 13, 5, 0, 0, 0, 0, 9]),
    ];
    seeds.push(("page_entry", vec![13, 129, 6, 2, 0, 0, 4, 1, 2, 3, 4]));
    seeds
}
