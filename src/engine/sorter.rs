//! Index entries of replayed frames and of large batches on their way into a memtable. Sorted, they go in side by side:
//! a search through the memtable for each of them, in the order in which they came, is what opening after a kill and
//! loading would mostly wait for.

use std::{cell::RefCell, sync::Arc};

use super::apply::Entries;
use crate::{
    error::{Error, Result},
    format::record::sort_number,
    index::{Entry, Memtable},
    vfs::prefetch,
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
    /// Entries one after another, each behind its `HEADER_BYTES`: what is looked at in an order of its own lies side by
    /// side.
    bytes: Vec<u8>,
    /// The entries' numbers to sort by, and where they start.
    order: Vec<(u64, usize)>,
}

/// seq u64, key length u32, value length u32, kind u8.
const HEADER_BYTES: usize = 17;
/// So many entries ahead of the one that goes into the memtable are fetched, that many bytes of each: 16 MiB of them
/// are in no cache any more.
const FETCHED_AHEAD: usize = 8;
const FETCHED_BYTES: usize = 192;
const CACHE_LINE_BYTES: usize = 64;

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
        let key_len = u32::try_from(key.len()).map_err(too_long)?;
        let value_len = u32::try_from(value.len()).map_err(too_long)?;
        let start = kept.bytes.len();
        kept.order.push((sort_number(key), start));
        let bytes = &mut kept.bytes;
        bytes.extend_from_slice(&seq.to_le_bytes());
        bytes.extend_from_slice(&key_len.to_le_bytes());
        bytes.extend_from_slice(&value_len.to_le_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
        if kept.bytes.len() + size_of_val(kept.order.as_slice()) < self.most_bytes {
            return Ok(());
        }
        kept.move_to(&self.memtable)
    }
}

impl Kept {
    fn move_to(&mut self, memtable: &Memtable) -> Result<()> {
        let Kept { bytes, order } = self;
        let key = |start: usize| entry_at(bytes, start).map(|entry| entry.key);
        // Of one key in the order in which they came, which is that of the bytes.
        order.sort_unstable_by(|(left_number, left), (right_number, right)| {
            left_number
                .cmp(right_number)
                .then_with(|| key(*left).cmp(&key(*right)))
                .then_with(|| left.cmp(right))
        });
        let mut ahead = order.iter().skip(FETCHED_AHEAD);
        let mut moved = 0;
        let entries = order.iter().map_while(|(_, start)| {
            if let Some((_, start)) = ahead.next() {
                fetch(bytes, *start);
            }
            entry_at(bytes, *start).inspect(|_| moved += 1)
        });
        memtable.insert_sorted(entries)?;
        if moved != order.len() {
            return Err(Error::internal("an index entry was lost while it was sorted"));
        }
        order.clear();
        bytes.clear();
        Ok(())
    }
}

/// The entry that starts there, always there for what `Kept::order` names.
fn entry_at(bytes: &[u8], start: usize) -> Option<Entry<'_>> {
    let (header, rest) = bytes.get(start..)?.split_first_chunk::<HEADER_BYTES>()?;
    let (seq, lengths) = header.split_first_chunk()?;
    let (key_len, lengths) = lengths.split_first_chunk()?;
    let (value_len, kind) = lengths.split_first_chunk()?;
    let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key_len) as usize)?;
    Some(Entry {
        key,
        seq: u64::from_le_bytes(*seq),
        kind: *kind.first()?,
        value: rest.get(..u32::from_le_bytes(*value_len) as usize)?,
    })
}

fn fetch(bytes: &[u8], start: usize) {
    for line in (start..start + FETCHED_BYTES).step_by(CACHE_LINE_BYTES) {
        bytes.get(line).inspect(|byte| prefetch(*byte));
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
