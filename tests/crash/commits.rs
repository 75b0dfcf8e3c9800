//! What the commits of the crash tests do, and what a store holds after each of them.
//!
//! What a commit does follows from the script's seed and the commit's number alone, so that a commit that is made again
//! after a crash has the same bytes as the lost one, which is the harder case for recovery.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
    sync::OnceLock,
};

use sarsen::{Batch, BlockAddress, Data, Tags};

const SCRIPTS: u64 = 24;
const KEYS: u64 = 14;
const WIDE_KEYS: u64 = 90;
const MEMORIES: u64 = 7;
const STREAMS: u64 = 4;
const POOL_BYTES: usize = 256 << 10;
/// Records of the directory that is imported.
pub(crate) const IMPORTED: u64 = 23;

pub(crate) fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    state.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11
}

pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut mixed = a.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ b.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (b >> 7);
    mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 32)) | 1
}

/// Bytes told by what they are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) id: u64,
    pub(crate) len: usize,
}

impl Value {
    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut bytes = self.tail().to_vec();
        for (to, from) in bytes.iter_mut().zip(self.id.to_le_bytes()) {
            *to = from;
        }
        bytes
    }

    pub(crate) fn is(self, found: &[u8]) -> bool {
        let head = self.id.to_le_bytes();
        let head = &head[..self.len.min(8)];
        found.len() == self.len && found.starts_with(head) && found[head.len()..] == self.tail()[head.len()..]
    }

    /// A piece of the pool, another one for each id.
    fn tail(self) -> &'static [u8] {
        static POOL: OnceLock<Vec<u8>> = OnceLock::new();
        let pool = POOL.get_or_init(|| {
            let mut state = 77;
            (0..POOL_BYTES / 4)
                .flat_map(|_| (random(&mut state) as u32).to_le_bytes())
                .collect()
        });
        let from = usize::try_from(mix(self.id, 3) % 100_000).expect("small");
        &pool[from..from + self.len]
    }
}

/// One command, as the model sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Set(Vec<u8>, Value),
    Delete(Vec<u8>),
    Remember(u64, Value, Vec<String>),
    Forget(u64),
    Append(u64, Value),
    /// The block that this commit appended and gave to nobody is the stream's next record.
    Name(u64, u64),
    Trim(u64, u64),
    Block(Value),
    Free(u64),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) first: u64,
    pub(crate) next: u64,
    pub(crate) records: BTreeMap<u64, Value>,
}

/// Everything that the store holds after some commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) pairs: BTreeMap<Vec<u8>, Value>,
    pub(crate) memories: BTreeMap<u64, (Value, Vec<String>)>,
    pub(crate) streams: BTreeMap<u64, Stream>,
    /// Blocks that belong to nobody, by the commit that appended them.
    pub(crate) loose: BTreeMap<u64, Value>,
}

pub(crate) fn stream_name(stream: u64) -> Vec<u8> {
    format!("stream {stream}").into_bytes()
}

impl Model {
    pub(crate) fn apply(&mut self, seq: u64, action: &Action) {
        match action {
            Action::Set(key, value) => {
                self.pairs.insert(key.clone(), *value);
            }
            Action::Delete(key) => {
                self.pairs.remove(key);
            }
            Action::Remember(id, value, tags) => {
                self.memories.insert(*id, (*value, tags.clone()));
            }
            Action::Forget(id) => {
                self.memories.remove(id);
            }
            Action::Append(stream, value) => self.append(*stream, *value),
            Action::Name(stream, block) => {
                if let Some(value) = self.loose.remove(block) {
                    self.append(*stream, value);
                }
            }
            Action::Trim(stream, u64::MAX) => {
                self.streams.remove(stream);
            }
            Action::Trim(stream, before) => {
                if let Some(stream) = self.streams.get_mut(stream) {
                    stream.first = stream.first.max(*before);
                    stream.records.retain(|index, _| index >= before);
                }
            }
            Action::Block(value) => {
                self.loose.insert(seq, *value);
            }
            Action::Free(block) => {
                self.loose.remove(block);
            }
        }
    }

    fn append(&mut self, stream: u64, value: Value) {
        let stream = self.streams.entry(stream).or_default();
        stream.records.insert(stream.next, value);
        stream.next += 1;
    }
}

impl Action {
    /// Puts it into the batch. An address that nobody knows any more, after a crash, is done without.
    pub(crate) fn put(
        &self,
        before: &Model,
        known: &HashMap<u64, BlockAddress>,
        batch: &mut Batch,
    ) -> sarsen::Result<()> {
        match self {
            Action::Set(key, value) => batch.set_kv(key, &value.bytes()),
            Action::Delete(key) => batch.delete_kv(key),
            Action::Remember(id, value, tags) => {
                let names: Vec<&str> = tags.iter().map(String::as_str).collect();
                batch.append_memory(*id, &Tags::of(&names)?, Data::Bytes(&value.bytes()))
            }
            Action::Forget(id) => batch.delete_memory(*id),
            Action::Append(stream, value) => {
                batch.append_stream(&stream_name(*stream), Data::Bytes(&value.bytes()))
            }
            Action::Name(stream, block) => {
                let bytes = before.loose.get(block).map(|value| value.bytes());
                let bytes = bytes.unwrap_or_default();
                let data = known
                    .get(block)
                    .map_or(Data::Bytes(&bytes), |address| Data::Block(*address));
                batch.append_stream(&stream_name(*stream), data)
            }
            Action::Trim(stream, before) => batch.trim_stream(&stream_name(*stream), *before),
            Action::Block(value) => batch.append_block(&value.bytes()),
            Action::Free(block) => known
                .get(block)
                .map_or(Ok(()), |address| batch.free_block(address)),
        }
    }
}

fn length(draw: u64) -> usize {
    match draw % 32 {
        0 => 0,
        1..=5 => 3 + usize::try_from(draw / 32 % 30).expect("small"),
        6..=14 => 60 + usize::try_from(draw / 32 % 900).expect("small"),
        15..=20 => 1_500 + usize::try_from(draw / 32 % 3_000).expect("small"),
        21..=25 => 9_000,
        26..=29 => 33_000,
        _ => 70_000,
    }
}

/// What commit `seq` does to what `model` holds.
fn plan(seed: u64, seq: u64, model: &Model) -> Vec<Action> {
    let mut state = mix(seed, seq);
    let mut model = model.clone();
    let mut actions = vec![Action::Set(b"number".to_vec(), Value { id: seq << 8, len: 8 })];
    let wide = random(&mut state).is_multiple_of(7);
    let count = if wide {
        20 + random(&mut state) % 30
    } else {
        1 + random(&mut state) % 4
    };
    let deleting = random(&mut state).is_multiple_of(3);
    let mut has_block = false;
    for place in 1..=count {
        let value = Value {
            id: (seq << 8) + place,
            len: length(random(&mut state)),
        };
        let draw = random(&mut state);
        let action = if wide {
            let key = format!("wide {}", draw / 4 % WIDE_KEYS).into_bytes();
            if deleting {
                Action::Delete(key)
            } else {
                let len = 100 + usize::try_from(draw / 512 % 900).expect("small");
                Action::Set(key, Value { len, ..value })
            }
        } else {
            draw_action(&mut state, &model, value, &mut has_block)
        };
        model.apply(seq, &action);
        actions.push(action);
    }
    actions
}

fn draw_action(state: &mut u64, model: &Model, value: Value, has_block: &mut bool) -> Action {
    let draw = random(state);
    let stream = draw / 64 % STREAMS;
    let key = format!("key {}", draw / 64 % KEYS).into_bytes();
    let id = draw / 64 % MEMORIES;
    match draw % 24 {
        0..=6 => Action::Set(key, value),
        7..=9 => Action::Delete(key),
        10..=13 => {
            let tags = vec![format!("mod {}", draw / 1_024 % 3), format!("n {}", value.id)];
            Action::Remember(id, value, tags)
        }
        14 => Action::Forget(id),
        19 | 20 if !*has_block => {
            *has_block = true;
            Action::Block(value)
        }
        21 if !model.loose.is_empty() => {
            let block = model.loose.keys().next().copied().unwrap_or_default();
            // One that this batch appended has no address yet.
            if *has_block && model.loose.len() == 1 {
                Action::Append(stream, value)
            } else if draw & 1_024 == 0 {
                Action::Free(block)
            } else {
                Action::Name(stream, block)
            }
        }
        22 | 23 => match model.streams.get(&stream) {
            Some(_) if (draw / 4_096).is_multiple_of(6) => Action::Trim(stream, u64::MAX),
            Some(found) => Action::Trim(
                stream,
                found.first + draw / 4_096 % (found.next - found.first + 1),
            ),
            None => Action::Append(stream, value),
        },
        _ => Action::Append(stream, value),
    }
}

/// The states of a store whose commits all follow one seed.
#[derive(Debug)]
pub(crate) struct Script {
    seed: u64,
    imported: u64,
    states: Vec<Rc<Model>>,
}

impl Script {
    pub(crate) fn new(seed: u64, import: bool) -> Script {
        let mut base = Model::default();
        if import {
            for record in 1..=IMPORTED {
                base.apply(record, &ancestral(record));
            }
        }
        Script {
            seed,
            imported: if import { IMPORTED } else { 0 },
            states: vec![Rc::new(base)],
        }
    }

    /// One of a few scripts; their states are kept for the histories to come.
    pub(crate) fn shared(seed: u64, import: bool) -> Rc<RefCell<Script>> {
        type Scripts = HashMap<(u64, bool), Rc<RefCell<Script>>>;
        thread_local! {
            static SCRIPTS_MADE: RefCell<Scripts> = RefCell::default();
        }
        let seed = seed % SCRIPTS;
        SCRIPTS_MADE.with_borrow_mut(|made| {
            let script = made
                .entry((seed, import))
                .or_insert_with(|| Rc::new(RefCell::new(Script::new(seed, import))));
            Rc::clone(script)
        })
    }

    /// What the store holds after commit `seq`; `None` if no store may ever stand there.
    pub(crate) fn state(&mut self, seq: u64) -> Option<Rc<Model>> {
        if seq == 0 {
            return Some(match self.imported {
                0 => Rc::clone(&self.states[0]),
                _ => Rc::default(),
            });
        }
        let place = usize::try_from(seq.checked_sub(self.imported)?).ok()?;
        while self.states.len() <= place {
            let next = self.imported + self.states.len() as u64;
            let mut model = Model::clone(self.states.last()?);
            for action in plan(self.seed, next, &model) {
                model.apply(next, &action);
            }
            self.states.push(Rc::new(model));
        }
        self.states.get(place).cloned()
    }

    /// What commit `seq` does.
    pub(crate) fn actions(&mut self, seq: u64) -> Vec<Action> {
        let before = self.state(seq - 1).expect("commits follow each other");
        plan(self.seed, seq, &before)
    }
}

fn ancestral(record: u64) -> Action {
    let draw = mix(5, record);
    let value = Value {
        id: record << 40,
        len: length(draw).min(9_000),
    };
    match record % 4 {
        0 => Action::Set(format!("key {}", draw % KEYS).into_bytes(), value),
        1 => Action::Append(draw % STREAMS, value),
        2 if record > 12 => Action::Delete(format!("key {}", draw % KEYS).into_bytes()),
        _ => Action::Remember(draw % MEMORIES, value, vec![format!("n {record}")]),
    }
}

/// A directory in the ancestral layout: the bytes of `state.wal` and of its one chunk.
pub(crate) fn ancestor() -> (Vec<u8>, Vec<u8>) {
    fn text(bytes: &[u8], record: &mut Vec<u8>) {
        record.extend((bytes.len() as u64).to_le_bytes());
        record.extend(bytes);
    }
    let (mut wal, mut chunk) = (Vec::new(), Vec::new());
    for number in 1..=IMPORTED {
        let mut record = Vec::new();
        let mut block = |value: Value, record: &mut Vec<u8>| {
            record.extend(0_u32.to_le_bytes());
            record.extend((chunk.len() as u64).to_le_bytes());
            record.extend((value.len as u64).to_le_bytes());
            chunk.extend(value.bytes());
        };
        match ancestral(number) {
            Action::Remember(id, value, tags) => {
                record.extend(0_u32.to_le_bytes());
                record.extend(id.to_le_bytes());
                block(value, &mut record);
                record.extend((tags.len() as u64).to_le_bytes());
                tags.iter().for_each(|tag| text(tag.as_bytes(), &mut record));
            }
            Action::Set(key, value) => {
                record.extend(1_u32.to_le_bytes());
                text(&key, &mut record);
                text(&value.bytes(), &mut record);
            }
            Action::Delete(key) => {
                record.extend(2_u32.to_le_bytes());
                text(&key, &mut record);
            }
            Action::Append(stream, value) => {
                record.extend(3_u32.to_le_bytes());
                text(&stream_name(stream), &mut record);
                block(value, &mut record);
            }
            other => unreachable!("{other:?} is none of the ancestor's"),
        }
        wal.extend((record.len() as u64).to_le_bytes());
        wal.extend(record);
    }
    (wal, chunk)
}
