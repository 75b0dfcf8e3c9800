//! What a run reads beside its full comparisons: snapshots, walks and views that outlive what they saw, addresses of blocks
//! that died, readers, backups.

use std::collections::VecDeque;

use sarsen::{BlockAddress, Error, KvIter, MemoryIter, Options, Result, Snapshot, StreamIter, Tags};

use super::Run;
use crate::{
    compare::{brief, is_missing, same, Seen},
    draws::{Content, Draws},
    state::set_of,
};

const MOST_SNAPSHOTS: usize = 4;

/// A walk that was begun some time ago, and what is left of it.
pub enum Walk {
    Pairs(KvIter, VecDeque<(Vec<u8>, Content)>),
    Memories(MemoryIter, VecDeque<(u64, Content)>),
    Records(StreamIter, VecDeque<(u64, Content)>),
}

impl Run {
    pub(super) fn take_snapshot(&mut self) {
        if self.snapshots.len() < MOST_SNAPSHOTS {
            let snapshot = self.store().snapshot().expect("a snapshot");
            assert_eq!(snapshot.seq(), self.store().last_seq(), "what a snapshot sees");
            self.snapshots.push((snapshot, self.model.clone()));
        }
    }

    pub(super) fn end_snapshot(&mut self) {
        if self.snapshots.is_empty() {
            return;
        }
        let (snapshot, model) = self.snapshots.swap_remove(self.draws.below(self.snapshots.len()));
        let seen = Seen::of(
            self.store.as_ref().expect("the store is open"),
            Some(&snapshot),
            &model,
        );
        seen.everything(&mut self.draws);
    }

    pub(super) fn read_something(&mut self) {
        let mut draws = self.draws.clone();
        match self.snapshots.get(draws.below(MOST_SNAPSHOTS)) {
            Some((snapshot, model)) => Seen::of(self.store(), Some(snapshot), model).something(&mut draws),
            None => self.seen().something(&mut draws),
        }
        self.draws = draws;
    }

    pub(super) fn begin_walk(&mut self) {
        if self.walks.len() > 6 {
            self.walks.swap_remove(self.draws.below(6));
        }
        let (store, model) = (self.store.as_ref().expect("the store is open"), &self.model);
        let walk = match self.draws.below(4) {
            0 | 1 => {
                let (start, reverse) = (self.draws.prefix(), self.draws.one_in(2));
                let pairs = model.range(&start, b"").into_iter();
                let mut pairs: VecDeque<_> = pairs
                    .map(|(key, content)| (key.clone(), content.clone()))
                    .collect();
                if reverse {
                    pairs.make_contiguous().reverse();
                }
                Walk::Pairs(store.kv_scan(None, &start, b"", reverse).expect("a scan"), pairs)
            }
            2 => {
                let (any, from) = (self.draws.tags(3), self.draws.id());
                let ids = model.find(&[], &any, &[], from).into_iter();
                let found = ids
                    .map(|id| (id, model.memories[&id].record.content.clone()))
                    .collect();
                let no = Tags::new();
                let any = set_of(&any).expect("tags");
                Walk::Memories(
                    store.memory_find(None, &no, &any, &no, from).expect("a query"),
                    found,
                )
            }
            _ => {
                let name = self.draws.name();
                let Some(stream) = model.streams.get(&name) else {
                    return;
                };
                let records = stream.records.iter();
                let records = records
                    .map(|(index, record)| (*index, record.content.clone()))
                    .collect();
                Walk::Records(store.stream_read(None, &name, 0).expect("a stream"), records)
            }
        };
        self.walks.push(walk);
    }

    /// A walk sees what was there when it began, whatever happened since.
    pub(super) fn go_on_walking(&mut self) {
        if self.walks.is_empty() {
            return;
        }
        let number = self.draws.below(self.walks.len());
        let mut ended = false;
        for _ in 0..1 + self.draws.below(20) {
            let more = self.walks[number].next().expect("the next of a walk");
            if !more {
                ended = true;
                break;
            }
        }
        if ended {
            self.walks.swap_remove(number);
        }
    }

    pub(super) fn hold_view(&mut self) {
        if self.views.len() > 20 {
            let (view, content) = self.views.swap_remove(self.draws.below(20));
            same("a view", &view, &content);
        }
        let key = self.draws.key();
        if let Some(record) = self.model.pairs.get(&key) {
            let view = self.store().kv_get(None, &key).expect("a value");
            self.views.push((view, record.content.clone()));
        }
        let blocks: Vec<_> = self.model.blocks().into_iter().collect();
        if let Some((block, content)) = self.draws.pick(&blocks) {
            let view = self.store().block_view(block, 0, block.len).expect("a block");
            self.views.push((view, content.clone()));
        }
    }

    /// A block that nothing needs any more is not found, or still is what it was. It is never another one.
    pub(super) fn old_addresses(&mut self) {
        let mut needed = self.model.blocks();
        for (_, model) in &self.snapshots {
            needed.extend(model.blocks());
        }
        let mut gone = Vec::new();
        for (block, content) in &self.known {
            match self.store().block_view(block, 0, block.len) {
                Ok(found) => same(&format!("{block:?}"), &found, content),
                Err(Error::NotFound) if !needed.contains_key(block) => gone.push(*block),
                Err(error) => panic!("{block:?}: {error}"),
            }
        }
        for block in gone.iter().take(gone.len() / 2) {
            self.known.remove(block);
        }
        let known: Vec<BlockAddress> = self.known.keys().copied().collect();
        for _ in 0..20 {
            if let Some(block) = self.draws.pick(&known).copied() {
                let block = altered(&mut self.draws, block);
                if !self.known.contains_key(&block) {
                    is_missing(
                        &format!("{block:?}"),
                        self.store().block_view(&block, 0, block.len),
                    );
                }
            }
        }
    }

    /// A second, read-only opening stays at what it saw until it is refreshed.
    pub(super) fn read_only(&mut self) {
        let mut draws = self.draws.clone();
        if let Some((reader, model)) = &mut self.reader {
            let refused = reader.kv_set(b"a", b"b");
            assert_eq!(refused, Err(Error::ReadOnly), "writing to a read-only store");
            Seen::of(reader, None, model).everything(&mut draws);
            let frozen = reader.snapshot().expect("a snapshot");
            let newest = self.store.as_ref().expect("the store is open").last_seq();
            assert_eq!(reader.refresh(), Ok(newest), "a refresh sees the newest commit");
            Seen::of(reader, Some(&frozen), model).all_but_blocks(&mut draws);
            drop(frozen);
            *model = self.model.clone();
            Seen::of(reader, None, model).everything(&mut draws);
            if draws.one_in(3) {
                self.reader = None;
            }
        } else {
            let options = Options {
                read_only: true,
                ..self.options.clone()
            };
            let reader = self.disk.open(&options).expect("a reader beside the writer");
            assert_eq!(reader.last_seq(), self.store().last_seq(), "what a reader sees");
            self.reader = Some((reader, self.model.clone()));
        }
        self.draws = draws;
    }

    pub(super) fn back_up(&mut self) {
        let mut draws = self.draws.clone();
        let store = self.store.as_ref().expect("the store is open");
        let (snapshot, model) = match self.snapshots.get(draws.below(MOST_SNAPSHOTS)) {
            Some((snapshot, model)) => (Some(snapshot), model),
            None => (None, &self.model),
        };
        let options = &self.options;
        self.disk.copied(
            |path| store.backup(snapshot, path),
            options,
            |copy| {
                let expected = snapshot.map_or(store.last_seq(), Snapshot::seq);
                assert_eq!(copy.last_seq(), expected, "the newest commit of a backup");
                Seen::of(copy, None, model).everything(&mut draws);
                assert_eq!(copy.verify().expect("a look at every byte"), [], "in a backup");
            },
        );
        self.draws = draws;
    }

    pub(super) fn compare_everything(&mut self) {
        let mut draws = self.draws.clone();
        self.seen().everything(&mut draws);
        let store = self.store();
        for (snapshot, model) in &self.snapshots {
            Seen::of(store, Some(snapshot), model).everything(&mut draws);
        }
        if let Some((reader, model)) = &self.reader {
            Seen::of(reader, None, model).everything(&mut draws);
        }
        for (view, content) in &self.views {
            same("a view", view, content);
        }
        self.draws = draws;
        self.old_addresses();
        assert_eq!(self.store().verify().expect("a look at every byte"), [], "damage");
    }
}

impl Walk {
    pub fn next(&mut self) -> Result<bool> {
        match self {
            Walk::Pairs(iter, left) => {
                let found = iter.next()?;
                let expected = left.pop_front();
                assert_eq!(found, expected.is_some(), "whether there is another pair");
                if let Some((key, content)) = expected {
                    same(&brief(&key), iter.key(), &key);
                    same(&brief(&key), iter.value(), &content);
                }
                Ok(found)
            }
            Walk::Memories(iter, left) => {
                let found = iter.next()?;
                let expected = left.pop_front();
                assert_eq!(
                    found.then(|| iter.id()),
                    expected.as_ref().map(|(id, _)| *id),
                    "the next memory"
                );
                if let Some((id, content)) = expected {
                    same(&format!("memory {id}"), iter.data()?, &content);
                }
                Ok(found)
            }
            Walk::Records(iter, left) => {
                let found = iter.next()?;
                let expected = left.pop_front();
                let index = expected.as_ref().map(|(index, _)| *index);
                assert_eq!(found.then(|| iter.index()), index, "the next record");
                if let Some((index, content)) = expected {
                    same(&format!("record {index}"), iter.record(), &content);
                }
                Ok(found)
            }
        }
    }
}

/// An address that nobody was given.
pub(super) fn altered(draws: &mut Draws, block: BlockAddress) -> BlockAddress {
    match draws.below(5) {
        0 => BlockAddress {
            chunk: block.chunk.wrapping_add(100_000),
            ..block
        },
        1 => BlockAddress {
            crc32c: block.crc32c ^ 1 << draws.below(32),
            ..block
        },
        2 => BlockAddress {
            offset: block.offset ^ 1 << draws.below(64),
            ..block
        },
        3 => BlockAddress {
            len: block.len + 1,
            ..block
        },
        _ => BlockAddress {
            len: block.len ^ 1 << draws.below(63),
            ..block
        },
    }
}
