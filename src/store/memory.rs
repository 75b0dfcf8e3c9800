//! Memories: a u64 id, a block, a set of tags, found by id or by tags.
//!
//! A tag's entries are ids in ascending order. A query walks them in step: each list skips ahead to the largest id that
//! any other one stands at, so the time goes by the rarest tag. Whatever the lists give is checked against the
//! memory's own tags, since an entry of a replaced or deleted memory stays until it is merged away.

use std::sync::Arc;

use super::{check_open, snapshot::view_of, Snapshot, Store, Tags, View};
use crate::{
    engine::{self, Engine},
    error::{Error, Result},
    format::{
        block::BlockAddress,
        record::{self, MemoryValue, RecordKey, SPACE_MEMORY},
    },
    index::Scan,
};

fn malformed() -> Error {
    Error::corrupt("index", 0, "a memory's entry makes no sense")
}

impl Store {
    /// The bytes of a memory, in place.
    pub fn memory_get(&self, snapshot: Option<&Snapshot>, id: u64) -> Result<View> {
        self.check_open()?;
        let view = view_of(&self.engine, snapshot);
        let hit = view.get(&record::memory_key(id))?.ok_or(Error::NotFound)?;
        let block = record::block_of(hit.kind, hit.value).ok_or_else(malformed)?;
        Ok(View::of_block(&self.engine, &view.block(&block)?))
    }

    /// Where the bytes of a memory lie, and its tags.
    pub fn memory_info(&self, snapshot: Option<&Snapshot>, id: u64) -> Result<(BlockAddress, Tags)> {
        self.check_open()?;
        let view = view_of(&self.engine, snapshot);
        let hit = view.get(&record::memory_key(id))?.ok_or(Error::NotFound)?;
        let memory = MemoryValue::decode(hit.value).ok_or_else(malformed)?;
        Ok((memory.block, Tags::of_stored(&memory.tags)))
    }

    /// Memories from `from_id` on, in order, that carry all of `all`, one of `any` (if there are any) and none of
    /// `none`.
    pub fn memory_find(
        &self,
        snapshot: Option<&Snapshot>,
        all: &Tags,
        any: &Tags,
        none: &Tags,
        from_id: u64,
    ) -> Result<MemoryIter> {
        self.check_open()?;
        let view = view_of(&self.engine, snapshot);
        let lists = |tags: &Tags| {
            tags.iter()
                .map(|tag| IdList::of_tag(&view, tag))
                .collect::<Vec<IdList>>()
        };
        let mut every = lists(all);
        let either = lists(any);
        if every.is_empty() && either.is_empty() {
            every.push(IdList::of_all(&view));
        }
        Ok(MemoryIter {
            engine: Arc::clone(&self.engine),
            every,
            either,
            all: all.clone(),
            any: any.clone(),
            none: none.clone(),
            next_id: Some(from_id),
            id: 0,
            block: None,
            data: None,
            view,
        })
    }
}

/// Ids in ascending order: those with a tag, or all.
#[derive(Debug)]
struct IdList {
    scan: Scan,
    /// What comes before the id in a key.
    prefix: Vec<u8>,
    /// Where the list stands; `None` before the first look and at its end.
    current: Option<u64>,
    ended: bool,
}

impl IdList {
    fn of_tag(view: &engine::View, tag: &str) -> IdList {
        IdList::new(view, record::tag_prefix(tag))
    }

    fn of_all(view: &engine::View) -> IdList {
        IdList::new(view, vec![SPACE_MEMORY])
    }

    fn new(view: &engine::View, prefix: Vec<u8>) -> IdList {
        IdList {
            scan: view.scan_prefix(prefix.clone(), false),
            prefix,
            current: None,
            ended: false,
        }
    }

    /// The first id at or above `id`.
    fn at(&mut self, id: u64) -> Result<Option<u64>> {
        if self.ended || self.current.is_some_and(|current| current >= id) {
            return Ok(self.current);
        }
        // The next one is often the one; a search costs as much as a few steps.
        let adjacent = self
            .current
            .is_some_and(|current| current.checked_add(1) == Some(id));
        if !adjacent {
            let mut key = self.prefix.clone();
            key.extend_from_slice(&id.to_be_bytes());
            self.scan.seek(&key)?;
        }
        self.current = None;
        self.ended = !self.scan.next()?;
        if !self.ended {
            let entry = self.scan.entry().ok_or_else(malformed)?;
            self.current = match RecordKey::decode(entry.key) {
                Some(RecordKey::Tag { id, .. } | RecordKey::Memory(id)) => Some(id),
                _ => return Err(malformed()),
            };
        }
        Ok(self.current)
    }
}

/// A query for memories. Sees one snapshot throughout. One thread at a time.
#[derive(Debug)]
pub struct MemoryIter {
    engine: Arc<Engine>,
    view: engine::View,
    every: Vec<IdList>,
    either: Vec<IdList>,
    all: Tags,
    any: Tags,
    none: Tags,
    /// Where to go on; `None`: at the end.
    next_id: Option<u64>,
    id: u64,
    block: Option<BlockAddress>,
    data: Option<View>,
}

impl MemoryIter {
    /// To the next memory; false: there is none.
    #[expect(
        clippy::should_implement_trait,
        reason = "it can fail, and lends what it finds"
    )]
    pub fn next(&mut self) -> Result<bool> {
        check_open(&self.engine)?;
        self.block = None;
        self.data = None;
        while let Some(from) = self.next_id {
            let Some(id) = self.candidate(from)? else {
                self.next_id = None;
                return Ok(false);
            };
            self.next_id = id.checked_add(1);
            if let Some(block) = self.check(id)? {
                self.id = id;
                self.block = Some(block);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The first id at or above `from` that the lists agree on.
    fn candidate(&mut self, from: u64) -> Result<Option<u64>> {
        let mut id = from;
        loop {
            let start = id;
            for list in &mut self.every {
                match list.at(id)? {
                    Some(at) => id = at,
                    None => return Ok(None),
                }
            }
            if !self.either.is_empty() {
                let mut least: Option<u64> = None;
                for list in &mut self.either {
                    if let Some(at) = list.at(id)? {
                        least = Some(least.map_or(at, |least| least.min(at)));
                    }
                }
                match least {
                    Some(at) => id = at,
                    None => return Ok(None),
                }
            }
            if id == start {
                return Ok(Some(id));
            }
        }
    }

    /// The memory's block, if its own tags meet the query.
    fn check(&self, id: u64) -> Result<Option<BlockAddress>> {
        let Some(hit) = self.view.get(&record::memory_key(id))? else {
            return Ok(None);
        };
        let memory = MemoryValue::decode(hit.value).ok_or_else(malformed)?;
        // A memory's tags are in byte order, as sets are.
        let has = |tag: &str| memory.tags.binary_search(&tag).is_ok();
        let meets = self.all.iter().all(has)
            && (self.any.is_empty() || self.any.iter().any(has))
            && !self.none.iter().any(has);
        Ok(meets.then_some(memory.block))
    }

    /// Of the current memory.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The current memory's bytes; good until the next call of `next`.
    pub fn data(&mut self) -> Result<&[u8]> {
        if self.data.is_none() {
            if let Some(block) = &self.block {
                self.data = Some(View::of_block(&self.engine, &self.view.block(block)?));
            }
        }
        Ok(self.data.as_ref().map(View::bytes).unwrap_or_default())
    }
}
