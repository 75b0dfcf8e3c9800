//! What the commits of the crash tests do, and what a store holds after each of them.

use std::collections::BTreeMap;

use sarsen::{Batch, BlockAddress, CommandKind, Data, Error, Store, Tags};
use std::time::Duration;

/// What a commit does is a function of its number alone, so that a retried commit has the same bytes as the lost one.
const KEYS: u64 = 12;
const LENGTHS: [usize; 7] = [0, 3, 700, 1_500, 9_000, 33_000, 70_000];

pub(crate) fn random(state: &mut u64) -> u64 {
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
pub(crate) struct Model {
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
    memories: BTreeMap<u64, (Vec<u8>, Vec<String>)>,
    stream: BTreeMap<u64, Vec<u8>>,
    next: u64,
    /// Records that name a block which was there before.
    named: Vec<Vec<u8>>,
}

/// Commits that append a block which belongs to nobody yet; the next commit names it or frees it.
pub(crate) fn has_loose_block(number: u64) -> bool {
    number % 6 == 2
}

/// Commit number `number`, in the batch and in the model. `loose` is where the block of the commit before lies, unless
/// a crash took that knowledge.
pub(crate) fn commit(number: u64, batch: &mut Batch, model: &mut Model, loose: Option<BlockAddress>) {
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
        let before = number - 3;
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

pub(crate) fn models(upto: u64) -> Vec<Model> {
    let mut all = vec![Model::default()];
    let mut model = Model::default();
    for number in 1..=upto {
        commit(number, &mut Batch::new(), &mut model, None);
        all.push(model.clone());
    }
    all
}

pub(crate) fn read(store: &Store) -> sarsen::Result<Model> {
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
pub(crate) fn read_log(store: &Store, from: u64) -> sarsen::Result<Vec<(u64, u64, Option<BlockAddress>)>> {
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
