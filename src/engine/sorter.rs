//! Index entries of replayed frames and of large batches on their way into a memtable. Sorted, they go in side by side:
//! a search through the memtable for each of them, in the order in which they came, is what opening after a kill and
//! loading would mostly wait for.

use std::{cell::RefCell, sync::Arc};

use super::apply::Entries;
use crate::{
    error::{Error, Result},
    format::record::sort_number,
    index::{self, Memtable},
};

/// So much is kept of what is replayed, and needed to sort it, before it goes on.
pub(super) const REPLAYED_BYTES: usize = 16 << 20;
/// The same of one commit. There it stays taken for the next.
pub(super) const COMMITTED_BYTES: usize = 256 << 10;

/// One thread at a time.
#[derive(Debug)]
pub(super) struct Sorter {
    memtable: Arc<Memtable>,
    most_bytes: usize,
    kept: RefCell<Kept>,
}

/// What holds the entries, for another sorter after this one.
#[derive(Debug, Default)]
pub(super) struct Kept {
    entries: Vec<Entry>,
    /// Keys and values, one after another.
    bytes: Vec<u8>,
}

/// What is kept of an entry, and what sorting takes.
const ENTRY_BYTES: usize = size_of::<Entry>() + size_of::<(u64, &Entry)>();

#[derive(Debug)]
struct Entry {
    seq: u64,
    start: usize,
    key_len: u32,
    value_len: u32,
    kind: u8,
}

impl Sorter {
    /// Keeps at most so much, in there, before it goes on.
    pub(super) fn new(memtable: Arc<Memtable>, most_bytes: usize, kept: Kept) -> Sorter {
        Sorter {
            memtable,
            most_bytes,
            kept: RefCell::new(kept),
        }
    }

    /// To be called behind the last entry: what is kept goes into the memtable.
    pub(super) fn finish(&self) -> Result<Kept> {
        let mut kept = self.kept.take();
        kept.move_to(&self.memtable)?;
        Ok(kept)
    }
}

impl Entries for Sorter {
    fn insert(&self, key: &[u8], seq: u64, kind: u8, value: &[u8]) -> Result<()> {
        let mut kept = self.kept.borrow_mut();
        let too_long = |_| Error::too_large("an index entry");
        let entry = Entry {
            seq,
            start: kept.bytes.len(),
            key_len: u32::try_from(key.len()).map_err(too_long)?,
            value_len: u32::try_from(value.len()).map_err(too_long)?,
            kind,
        };
        kept.bytes.extend_from_slice(key);
        kept.bytes.extend_from_slice(value);
        kept.entries.push(entry);
        if kept.bytes.len() + kept.entries.len() * ENTRY_BYTES < self.most_bytes {
            return Ok(());
        }
        kept.move_to(&self.memtable)
    }
}

impl Kept {
    fn move_to(&mut self, memtable: &Memtable) -> Result<()> {
        let mut order: Vec<(u64, &Entry)> = self
            .entries
            .iter()
            .map(|entry| (sort_number(self.parts(entry).0), entry))
            .collect();
        // Of one key in the order in which they came, which is that of the bytes.
        order.sort_unstable_by(|(left_number, left), (right_number, right)| {
            left_number
                .cmp(right_number)
                .then_with(|| self.parts(left).0.cmp(self.parts(right).0))
                .then_with(|| left.start.cmp(&right.start))
        });
        memtable.insert_sorted(order.iter().map(|(_, entry)| {
            let (key, value) = self.parts(entry);
            index::Entry {
                key,
                seq: entry.seq,
                kind: entry.kind,
                value,
            }
        }))?;
        self.entries.clear();
        self.bytes.clear();
        Ok(())
    }

    /// Key and value.
    fn parts(&self, entry: &Entry) -> (&[u8], &[u8]) {
        let rest = self.bytes.get(entry.start..).unwrap_or_default();
        let (key, rest) = rest.split_at_checked(entry.key_len as usize).unwrap_or_default();
        (key, rest.get(..entry.value_len as usize).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST_BYTES: usize = 1 << 20;

    /// What a memtable holds, in its order.
    fn contents(memtable: &Arc<Memtable>) -> Vec<(Vec<u8>, u64, u8, Vec<u8>)> {
        let mut cursor = memtable.cursor();
        let mut found = Vec::new();
        cursor.seek_first();
        while let Some(entry) = cursor.entry() {
            found.push((entry.key.to_vec(), entry.seq, entry.kind, entry.value.to_vec()));
            cursor.next();
        }
        found
    }

    #[test]
    fn entries_end_up_as_if_each_had_been_inserted_when_it_came() {
        let (sorted, inserted) = (Arc::new(Memtable::new()), Arc::new(Memtable::new()));
        let sorter = Sorter::new(Arc::clone(&sorted), REPLAYED_BYTES, Kept::default());
        for seq in 1..400_u64 {
            // Keys that share their first eight bytes, come back, and come twice in a commit.
            for ordinal in 0..3_u64 {
                let key = format!("key {:03} {}", seq * 7919 % 50, seq * ordinal % 2).into_bytes();
                let value = vec![seq as u8; (seq % 9) as usize];
                for entries in [&sorter as &dyn Entries, &inserted] {
                    entries.insert(&key, seq, ordinal as u8, &value).unwrap();
                }
            }
        }
        sorter.finish().unwrap();
        assert_eq!(contents(&sorted).len(), 399 * 3);
        assert_eq!(contents(&sorted), contents(&inserted));
    }

    #[test]
    fn what_is_kept_stays_within_its_bound() {
        let memtable = Arc::new(Memtable::new());
        let sorter = Sorter::new(Arc::clone(&memtable), MOST_BYTES, Kept::default());
        let value = vec![7; MOST_BYTES / 2];
        sorter.insert(b"b", 1, 1, &value).unwrap();
        assert_eq!(memtable.entries(), 0);
        sorter.insert(b"a", 2, 1, &value).unwrap();
        assert_eq!(memtable.entries(), 2, "that was all it may keep");
        sorter.insert(b"c", 3, 1, b"").unwrap();
        assert_eq!(memtable.entries(), 2);
        sorter.finish().unwrap();
        assert_eq!(memtable.entries(), 3);
    }
}
