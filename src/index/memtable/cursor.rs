//! Walking a memtable's versions in order, both ways, while others may be inserted.

use std::sync::{atomic::Ordering::Relaxed, Arc};

use super::{place_of, Memtable, Node, Record, Target, CACHE_LINE_BYTES, NIL, NOWHERE};
use crate::{
    index::Entry,
    vfs::{prefetch, Region},
};

/// Walks the versions of a memtable in order; keeps it alive. Off the end, `next` and `prev` stay there.
#[derive(Debug)]
pub(crate) struct MemtableCursor {
    memtable: Arc<Memtable>,
    at: u32,
    /// A node some steps on, of which the words are being fetched.
    ahead: u32,
    /// Of the record of one of that node's versions.
    place: u32,
    /// `next` came from another version of the same key.
    repeats_key: bool,
}

impl MemtableCursor {
    pub(super) fn new(memtable: Arc<Memtable>) -> MemtableCursor {
        MemtableCursor {
            memtable,
            at: NIL,
            ahead: NIL,
            place: NOWHERE,
            repeats_key: false,
        }
    }

    /// To this key's newest version at or below `seq`, or else to the next key.
    pub(crate) fn seek(&mut self, key: &[u8], seq: u64) {
        let target = Target::new(key);
        let (_, number) = self.memtable.find(&target);
        self.go_to_newest(number);
        if self.memtable.is_key_of(number, &target) {
            while self.record().is_some_and(|record| record.seq > seq) {
                self.next();
                if !self.repeats_key {
                    break;
                }
            }
        }
    }

    /// To the last version of the last key below `key`.
    pub(crate) fn seek_before(&mut self, key: &[u8]) {
        let (number, _) = self.memtable.find(&Target::new(key));
        self.go_to_oldest(number);
    }

    pub(crate) fn seek_first(&mut self) {
        self.go_to_newest(self.memtable.node(NIL).link(0));
    }

    pub(crate) fn seek_last(&mut self) {
        let mut last = NIL;
        for level in (0..self.memtable.height.load(Relaxed)).rev() {
            loop {
                match self.memtable.node(last).link(level) {
                    NIL => break,
                    next => last = next,
                }
            }
        }
        self.go_to_oldest(last);
    }

    pub(crate) fn next(&mut self) {
        let older = self.record().map_or(NOWHERE, |record| record.older);
        self.repeats_key = older != NOWHERE;
        if self.repeats_key {
            self.place = older;
            // Whoever passes by all versions waits for each, so the next one is asked for at once.
            self.fetch_record(self.record().map_or(NOWHERE, |record| record.older));
        } else if let Some(node) = self.memtable.linked(self.at) {
            let ahead = self.ahead;
            self.go_to_newest(node.link(0));
            self.ahead = ahead;
            self.fetch_ahead();
        }
    }

    /// Has fetched what the next steps read: a node's words two steps before they are needed, its record one step
    /// before. Nodes that come in between only make it less exact.
    #[inline]
    fn fetch_ahead(&mut self) {
        let memtable = &self.memtable;
        if self.ahead == NIL {
            let next = memtable.linked(self.at).map_or(NIL, |node| node.link(0));
            self.ahead = memtable.linked(next).map_or(NIL, |node| node.link(0));
        }
        let Some(node) = memtable.linked(self.ahead) else {
            return;
        };
        self.fetch_record(node.place());
        self.ahead = node.link(0);
        if let Some(first) = memtable.words.from(self.ahead).first() {
            prefetch(first);
        }
    }

    #[inline]
    fn fetch_record(&self, place: u32) {
        let (arena, offset) = place_of(place);
        if let Some(arena) = self.memtable.arena(arena).filter(|_| place != NOWHERE) {
            arena.prefetch(offset);
            arena.prefetch(offset + CACHE_LINE_BYTES);
        }
    }

    /// Whether the last `next` only went to an older version of the key that it came from.
    pub(crate) fn repeats_key(&self) -> bool {
        self.repeats_key
    }

    /// Takes as long as the key has newer versions; from the newest O(log n), since there are no links back.
    pub(crate) fn prev(&mut self) {
        let Some(node) = self.memtable.linked(self.at) else {
            return;
        };
        let mut newer = node.place();
        if newer != self.place {
            while let Some(record) = self.memtable.record_at(newer) {
                if record.older == self.place {
                    break;
                }
                newer = record.older;
            }
            self.place = newer;
        } else if let Some(record) = self.record() {
            let (number, _) = self.memtable.find(&Target::new(record.key));
            self.go_to_oldest(number);
        }
    }

    pub(crate) fn is_off(&self) -> bool {
        self.at == NIL
    }

    /// None: off either end.
    pub(crate) fn entry(&self) -> Option<Entry<'_>> {
        let record = self.record()?;
        Some(Entry {
            key: record.key,
            seq: record.seq,
            kind: record.kind,
            value: record.value()?,
        })
    }

    /// What the entry's key and value lie in.
    pub(crate) fn region(&self) -> Option<&Arc<Region>> {
        Some(self.record()?.arena)
    }

    fn record(&self) -> Option<Record<'_>> {
        self.memtable.record_at(self.place)
    }

    fn go_to_newest(&mut self, number: u32) {
        self.at = number;
        self.ahead = NIL;
        self.place = self.memtable.linked(number).map_or(NOWHERE, Node::place);
        self.repeats_key = false;
    }

    fn go_to_oldest(&mut self, number: u32) {
        self.at = number;
        self.ahead = NIL;
        self.place = self.memtable.oldest(number);
        self.repeats_key = false;
    }
}
