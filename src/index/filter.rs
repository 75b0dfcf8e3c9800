//! Which keys a memtable can't have: two bits of one word for each key that it has, so that most look-ups of other keys
//! need no search.
//!
//! One writer adds, any number of readers ask. A bit is set before its key is linked, so whoever may see the key, by a
//! commit that was published since, sees the bit. Tables are added as keys come, each eight times as large as the one
//! before; a key is in the one that was newest at its time.

// Those of the standard library: an explorer of schedules has enough with the links that come after these bits.
use std::sync::{
    atomic::{AtomicU64, Ordering::Relaxed},
    OnceLock,
};

use crate::format::bytes::to_u64;

/// Words of the tables: 4 KiB, 32 KiB, 256 KiB.
const WORDS: [usize; 3] = [512, 4_096, 32_768];
/// Keys for a word in all tables but the last one, which takes what comes.
const KEYS_PER_WORD: u64 = 2;

#[derive(Debug, Default)]
pub(super) struct KeyFilter {
    tables: [OnceLock<Box<[AtomicU64]>>; WORDS.len()],
    keys: AtomicU64,
}

impl KeyFilter {
    /// Called by one thread at a time. Bytes that a new table took.
    pub(super) fn add(&self, hash: u64) -> u64 {
        let keys = self.keys.load(Relaxed);
        self.keys.store(keys.saturating_add(1), Relaxed);
        let full = |words: usize| keys >= to_u64(words) * KEYS_PER_WORD;
        let number = WORDS.iter().position(|words| !full(*words));
        let number = number.unwrap_or(WORDS.len() - 1);
        let (Some(table), Some(words)) = (self.tables.get(number), WORDS.get(number)) else {
            return 0;
        };
        let is_new = table.get().is_none();
        let table = table.get_or_init(|| (0..*words).map(|_| AtomicU64::new(0)).collect());
        let (word, bits) = place(table, hash);
        if let Some(word) = word {
            word.fetch_or(bits, Relaxed);
        }
        if is_new {
            to_u64(size_of_val::<[AtomicU64]>(table))
        } else {
            0
        }
    }

    /// False: no key with this hash was added.
    #[inline]
    pub(super) fn may_have(&self, hash: u64) -> bool {
        let tables = self.tables.iter().map_while(OnceLock::get);
        let mut words = tables.map(|table| place(table, hash));
        words.any(|(word, bits)| word.is_some_and(|word| word.load(Relaxed) & bits == bits))
    }
}

/// The word of a hash and its bits in there. The hash's upper half says where in a part's buckets the key is, too.
#[inline(always)]
fn place(table: &[AtomicU64], hash: u64) -> (Option<&AtomicU64>, u64) {
    let [a, b, c, d, first, second, ..] = hash.to_le_bytes();
    let low = u64::from(u32::from_le_bytes([a, b, c, d]));
    // Below the table's length, whose type it came from.
    let index = (low.wrapping_mul(to_u64(table.len())) >> 32) as usize;
    (table.get(index), 1 << (first % 64) | 1 << (second % 64))
}

#[cfg(test)]
#[cfg(not(sarsen_explore))]
mod tests {
    use super::*;
    use crate::index::hash_key;

    #[test]
    fn every_key_that_was_added_may_be_there_and_few_others() {
        let filter = KeyFilter::default();
        let hash = |number: u64| hash_key(&number.to_be_bytes());
        assert!(!filter.may_have(hash(1)));
        let mut bytes = 0;
        for number in 0..100_000 {
            bytes += filter.add(hash(number));
            assert!(filter.may_have(hash(number)));
            if number.is_power_of_two() {
                assert!((0..=number).all(|number| filter.may_have(hash(number))));
            }
        }
        assert!((0..100_000).all(|number| filter.may_have(hash(number))));
        assert_eq!(bytes, to_u64(WORDS.iter().sum::<usize>()) * 8);
        let mistaken = (100_000..200_000)
            .filter(|number| filter.may_have(hash(*number)))
            .count();
        assert!(mistaken < 5_000, "{mistaken} of 100,000");
    }
}
