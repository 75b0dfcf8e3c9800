//! The store on a disk that loses power: whatever is cut off, in the middle of whichever operation, the store comes
//! back as exactly the commits 1..n, and n is at least the newest one that was acknowledged as power-safe.
//!
//! SARSEN_SIM_CRASHES says how many crashes (2,000 by default), SARSEN_SIM_SEED where the seeds start. A failure names
//! the seed, and `SARSEN_SIM_SEED=<seed> SARSEN_SIM_CRASHES=1` repeats it.

#![cfg(feature = "simulation")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it saw, and why it can't go on"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicU64, Ordering},
        Mutex,
    },
    time::Duration,
};

use sarsen::{
    simulation::{Defect, SimVfs},
    Batch, BlockAddress, CommandKind, Data, Error, Options, Store, Survive, Tags,
};

/// What a commit does is a function of its number alone, so that a retried commit has the same bytes as the lost one.
const KEYS: u64 = 12;
const LENGTHS: [usize; 7] = [0, 3, 700, 1_500, 9_000, 33_000, 70_000];

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    state.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11
}

fn content(number: u64, salt: u64) -> Vec<u8> {
    let len = LENGTHS[usize::try_from((number * 5 + salt * 3) % 7).expect("small")];
    let mut state = number * 1_000 + salt + 1;
    (0..len)
        .map(|_| u8::try_from(random(&mut state) & 0xff).expect("a byte"))
        .collect()
}

/// Everything that the store holds after some commit.
#[derive(Clone, Default, PartialEq, Eq)]
struct Model {
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
    memories: BTreeMap<u64, (Vec<u8>, Vec<String>)>,
    stream: BTreeMap<u64, Vec<u8>>,
    next: u64,
    /// Records that name a block which was there before.
    named: Vec<Vec<u8>>,
}

/// Commits that append a block which belongs to nobody yet; the next commit names it or frees it.
fn has_loose_block(number: u64) -> bool {
    number % 6 == 2
}

/// Commit number `number`, in the batch and in the model. `loose` is where the block of the commit before lies, unless
/// a crash took that knowledge.
fn commit(number: u64, batch: &mut Batch, model: &mut Model, loose: Option<BlockAddress>) {
    let key = format!("key {}", number % KEYS).into_bytes();
    if number % 5 == 4 {
        batch.delete_kv(&key).expect("a command");
        model.pairs.remove(&key);
    } else {
        batch.set_kv(&key, &content(number, 1)).expect("a command");
        model.pairs.insert(key, content(number, 1));
    }
    batch.set_kv(b"number", &number.to_le_bytes()).expect("a command");
    model
        .pairs
        .insert(b"number".to_vec(), number.to_le_bytes().to_vec());
    let id = number % 7;
    if number % 11 == 10 {
        batch.delete_memory(id).expect("a command");
        model.memories.remove(&id);
    } else {
        let tags = vec![format!("mod {}", number % 3), format!("n {number}")];
        let names: Vec<&str> = tags.iter().map(String::as_str).collect();
        let set = Tags::of(&names).expect("tags");
        batch
            .append_memory(id, &set, Data::Bytes(&content(number, 2)))
            .expect("a command");
        model.memories.insert(id, (content(number, 2), tags));
    }
    batch
        .append_stream(b"s", Data::Bytes(&content(number, 3)))
        .expect("a command");
    model.stream.insert(model.next, content(number, 3));
    model.next += 1;
    if number % 13 == 12 {
        let before = model.next - 3;
        batch.trim_stream(b"s", before).expect("a command");
        model.stream.retain(|index, _| *index >= before);
    }
    match (number % 12, loose) {
        (3, loose) => {
            let bytes = content(number - 1, 4);
            let data = loose.map_or(Data::Bytes(&bytes), Data::Block);
            batch.append_stream(b"named", data).expect("a command");
            model.named.push(bytes);
        }
        (9, Some(block)) => batch.free_block(&block).expect("a command"),
        _ => {}
    }
    if has_loose_block(number) {
        batch.append_block(&content(number, 4)).expect("a command");
    }
}

fn models(upto: u64) -> Vec<Model> {
    let mut all = vec![Model::default()];
    let mut model = Model::default();
    for number in 1..=upto {
        commit(number, &mut Batch::new(), &mut model, None);
        all.push(model.clone());
    }
    all
}

fn read(store: &Store) -> sarsen::Result<Model> {
    let mut model = Model::default();
    let mut pairs = store.kv_scan(None, b"", b"", false)?;
    while pairs.next()? {
        model.pairs.insert(pairs.key().to_vec(), pairs.value().to_vec());
    }
    let none = Tags::new();
    let mut memories = store.memory_find(None, &none, &none, &none, 0)?;
    while memories.next()? {
        let id = memories.id();
        let data = memories.data()?.to_vec();
        let (_, tags) = store.memory_info(None, id)?;
        let tags: Vec<String> = tags.iter().map(str::to_owned).collect();
        for tag in &tags {
            let one = Tags::of(&[tag])?;
            let mut found = store.memory_find(None, &one, &none, &none, id)?;
            assert!(
                found.next()? && found.id() == id,
                "memory {id} is not found by its tag {tag}"
            );
        }
        model.memories.insert(id, (data, tags));
    }
    match store.stream_bounds(None, b"s") {
        Ok((_, next)) => {
            model.next = next;
            let mut records = store.stream_read(None, b"s", 0)?;
            while records.next()? {
                model.stream.insert(records.index(), records.record().to_vec());
            }
        }
        Err(Error::NotFound) => {}
        Err(error) => return Err(error),
    }
    match store.stream_read(None, b"named", 0) {
        Ok(mut records) => {
            while records.next()? {
                model.named.push(records.record().to_vec());
            }
        }
        Err(Error::NotFound) => {}
        Err(error) => return Err(error),
    }
    Ok(model)
}

/// Each commit that is still in the log, with its epoch and the block that it appended and gave to nobody.
fn read_log(store: &Store, from: u64) -> sarsen::Result<Vec<(u64, u64, Option<BlockAddress>)>> {
    let mut commits = Vec::new();
    let mut reader = store.log_read(from, 0)?;
    let mut loose = None;
    while from + commits.len() as u64 <= store.last_seq() {
        let command = reader.next(Duration::ZERO)?;
        loose = command
            .block
            .filter(|_| command.kind == CommandKind::AppendBlock)
            .or(loose);
        if command.last {
            commits.push((command.seq, command.epoch, loose.take()));
        }
    }
    Ok(commits)
}

/// A backup that was finished is the store as it was then, and stays it when the power goes.
fn back_up(disk: &SimVfs, store: &Store, all: &[Model]) -> sarsen::Result<()> {
    let seq = store.last_seq();
    let path = PathBuf::from(format!("/backup {}", disk.operations()));
    store.backup(None, &path)?;
    let options = Options {
        background: false,
        read_only: true,
        ..Options::default()
    };
    let copy = Store::open_on(disk, &path, &options)?;
    assert_eq!(copy.last_seq(), seq, "a backup has another seq");
    let found = read(&copy)?;
    assert!(
        usize::try_from(seq).is_ok_and(|seq| all.get(seq) == Some(&found)),
        "a backup is not the store as it was at commit {seq}"
    );
    copy.close()
}

/// What is done to the engine or the disk on purpose, to see the checker fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    None,
    SyncIsNoop,
    OnlyTheLogIsSynced,
    EpochIsNotBumped,
}

fn disk_of(seed: u64, control: Control) -> SimVfs {
    let disk = SimVfs::new(seed).with_reserve(4 << 20);
    match control {
        Control::None => {}
        Control::SyncIsNoop => disk.set_sync_is_noop(true),
        Control::OnlyTheLogIsSynced => disk.set_defect(Some(Defect::LeaderSyncsOnlyTheLog)),
        Control::EpochIsNotBumped => disk.set_defect(Some(Defect::EpochNotBumped)),
    }
    disk
}

/// One disk through several crashes. `Err` says what is wrong; `Ok` how many crashes it went through.
fn case(seed: u64, control: Control, all: &[Model]) -> Result<u64, String> {
    let mut state = seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1;
    let options = Options {
        memory_bytes: 256 << 10,
        chunk_bytes: 256 << 10,
        background: false,
        ..Options::default()
    };
    let path = Path::new("/store");
    let mut disk = disk_of(seed, control);
    let mut durable = 0u64;
    let mut crashes = 0;
    // An epoch and a seq together never name two commits.
    let mut written: BTreeSet<(u64, u64)> = BTreeSet::new();
    let mut epochs: BTreeMap<u64, u64> = BTreeMap::new();
    for round in 0..5 {
        let write_back = [None, Some(40), Some(4)];
        disk.set_writeback(write_back[usize::try_from(random(&mut state) % 3).expect("small")]);
        disk.crash_at(disk.operations() + 1 + random(&mut state) % [30, 150, 600][round % 3]);
        let fail = |what: &str, error: &Error| Err(format!("seed {seed}, round {round}: {what}: {error}"));
        match Store::open_on(&disk, path, &options) {
            Ok(store) => {
                let found = store.last_seq();
                if found < durable {
                    return Err(format!(
                        "seed {seed}, round {round}: commit {durable} was durable, {found} is newest"
                    ));
                }
                match read(&store) {
                    Ok(model) => {
                        let expected = usize::try_from(found).ok().and_then(|found| all.get(found));
                        if expected != Some(&model) {
                            return Err(format!(
                                "seed {seed}, round {round}: not the state after commit {found}"
                            ));
                        }
                    }
                    Err(error) => return fail("reading", &error),
                }
                if store.recovery().proven_seq > found {
                    return Err(format!(
                        "seed {seed}, round {round}: proven beyond the newest commit"
                    ));
                }
                if random(&mut state).is_multiple_of(4) {
                    let findings = store
                        .verify()
                        .map_err(|error| format!("seed {seed}: verify: {error}"))?;
                    if !findings.is_empty() {
                        return Err(format!("seed {seed}, round {round}: verify found {findings:?}"));
                    }
                }
                epochs.retain(|seq, _| *seq <= found);
                let log = match read_log(&store, store.log_first_seq()) {
                    Ok(log) => log,
                    Err(_) if disk.lost_power() => Vec::new(),
                    Err(error) => return fail("reading the log", &error),
                };
                if let Some(wrong) = log
                    .iter()
                    .zip(store.log_first_seq()..)
                    .find(|((seq, epoch, _), due)| {
                        seq != due || epochs.get(seq).is_some_and(|written| written != epoch)
                    })
                {
                    return Err(format!("seed {seed}, round {round}: in the log is {wrong:?}"));
                }
                let mut loose = log.last().and_then(|(_, _, loose)| *loose);
                let mut epoch = None;
                // Goes on until the power is cut, or for a while.
                let mut number = found;
                let mut model = all[usize::try_from(found).expect("small")].clone();
                for _ in 0..60 {
                    if number + 2 >= all.len() as u64 {
                        break;
                    }
                    let mut batch = Batch::new();
                    number += 1;
                    commit(number, &mut batch, &mut model, loose.take());
                    let survive = if random(&mut state).is_multiple_of(3) {
                        Survive::Power
                    } else {
                        Survive::Process
                    };
                    let last = batch.count() - 1;
                    let mut twice = None;
                    let done = store.commit(&mut batch, Some(survive)).and_then(|seq| {
                        assert_eq!(seq, number, "seed {seed}: a commit got another seq");
                        if survive == Survive::Power {
                            durable = durable.max(seq);
                        }
                        if has_loose_block(number) {
                            loose = batch.result(last)?.1;
                        }
                        if epoch.is_none() {
                            epoch = read_log(&store, seq)?.first().map(|(_, epoch, _)| *epoch);
                        }
                        if let Some(epoch) = epoch {
                            twice = twice.or((!written.insert((epoch, seq))).then_some((epoch, seq)));
                            epochs.insert(seq, epoch);
                        }
                        match random(&mut state) % 12 {
                            0 => store.checkpoint().map(|()| durable = durable.max(seq)),
                            1 => store.maintain(Duration::ZERO).map(|_| ()),
                            2 => store.sync().map(|()| durable = durable.max(seq)),
                            4 if number % 5 == 0 => back_up(&disk, &store, all),
                            3 if number % 3 == 0 => store.compact().map(|()| durable = durable.max(seq)),
                            _ => Ok(()),
                        }
                    });
                    if let Some((epoch, seq)) = twice {
                        return Err(format!(
                            "seed {seed}, round {round}: commit {seq} of epoch {epoch} was made twice"
                        ));
                    }
                    durable = durable.max(store.durable_seq().min(number));
                    match done {
                        Ok(()) => {}
                        Err(_) if disk.lost_power() => break,
                        Err(error) => return fail("writing", &error),
                    }
                }
                if !disk.lost_power() && random(&mut state).is_multiple_of(3) {
                    let closed = store.close();
                    if closed.is_ok() {
                        durable = durable.max(number);
                    }
                }
            }
            Err(_) if disk.lost_power() => {}
            Err(error) => return fail("opening", &error),
        }
        disk = disk.crash(random(&mut state));
        crashes += 1;
    }
    Ok(crashes)
}

fn number_from(name: &str, otherwise: u64) -> u64 {
    env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

#[test]
fn whatever_power_loss_leaves_is_a_prefix_with_everything_acknowledged() {
    let wanted = number_from("SARSEN_SIM_CRASHES", 2_000);
    let next_seed = AtomicU64::new(number_from("SARSEN_SIM_SEED", 1));
    let crashes = AtomicU64::new(0);
    let failures: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let all = models(330);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while crashes.load(Ordering::Relaxed) < wanted {
                    match case(next_seed.fetch_add(1, Ordering::Relaxed), Control::None, &all) {
                        Ok(count) => {
                            crashes.fetch_add(count, Ordering::Relaxed);
                        }
                        Err(what) => {
                            failures.lock().expect("no panic while it is held").push(what);
                            return;
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic while it was held");
    println!(
        "{} simulated power losses, {} failures",
        crashes.load(Ordering::Relaxed),
        failures.len()
    );
    assert!(
        failures.is_empty(),
        "{failures:#?}\nagain with SARSEN_SIM_SEED=<seed> SARSEN_SIM_CRASHES=1"
    );
}

/// A checker that can't fire proves nothing.
fn fires(control: Control) {
    let all = models(330);
    let fired = (1..400).find_map(|seed| case(seed, control, &all).err());
    println!("{control:?}: {fired:?}");
    assert!(fired.is_some(), "{control:?} went unnoticed");
}

#[test]
fn a_sync_that_does_nothing_is_noticed() {
    fires(Control::SyncIsNoop);
}

#[test]
fn an_epoch_used_twice_is_noticed() {
    fires(Control::EpochIsNotBumped);
}

#[test]
fn syncing_only_the_log_is_noticed() {
    fires(Control::OnlyTheLogIsSynced);
}
