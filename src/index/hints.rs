//! Where the next key will go, guessed from where the last one of its kind went: inserting beside that one takes no
//! search from the top. A wrong guess costs time only, since whoever takes it looks at the nodes around.

use std::sync::atomic::Ordering::Relaxed;

use super::page::hash_key;
use crate::{
    format::{
        bytes::to_u64,
        record::{RecordKey, SPACE_STREAM, SPACE_TAG},
    },
    vfs::sync::atomic::AtomicU64,
};

/// Levels of the list. One node in four reaches the next level, so these serve 4^12 = 16 million entries well.
pub(super) const LEVELS: usize = 12;
/// The head's number and, since nothing links to the head, the link that leads nowhere.
pub(super) const NIL: u32 = 0;

/// Where the last insert of its kind went. `previous` are the last nodes before it on each level (none of them
/// behind the one a level below); for levels above `height`, those of an earlier insert.
#[derive(Clone, Copy)]
pub(super) struct Hint {
    pub(super) node: u32,
    pub(super) height: u32,
    pub(super) previous: [u32; LEVELS],
    /// Of that insert.
    pub(super) seq: u64,
    /// What it is for, if it is not shared: odd for a stream's records or a tag's memories, even for the one key of a
    /// stream's bounds.
    subject: u64,
}

impl Hint {
    const NONE: Hint = Hint {
        node: NIL,
        height: 0,
        previous: [NIL; LEVELS],
        seq: 0,
        subject: u64::MAX,
    };

    /// The node's key is the one that this hint is for, and the version that went there last is its newest.
    pub(super) fn is_sure(&self) -> bool {
        self.node != NIL && self.subject & 1 == 0
    }
}

/// Interleaved runs of ascending keys have a hint each, mostly. A hint shared by two is only slower.
pub(super) struct Hints {
    kinds: [Hint; Hints::KINDS],
    /// For each of the latest streams one for its records and one for its bounds, for each of the latest tags one for its
    /// memories; a power of two in number, or none.
    own: Vec<Hint>,
}

impl Hints {
    const KINDS: usize = 64;
    /// Those of streams and tags take no more than one byte of so many of the memtable.
    const OWN_SHARE: u64 = 8;

    pub(super) fn new() -> Hints {
        Hints {
            kinds: [Hint::NONE; Hints::KINDS],
            own: Vec::new(),
        }
    }

    /// `heap_bytes`: what the memtable takes, these hints included.
    #[inline]
    pub(super) fn of(&mut self, key: &[u8], heap_bytes: &AtomicU64) -> &mut Hint {
        let subject = match key.first() {
            Some(&SPACE_STREAM) => match RecordKey::decode(key) {
                Some(RecordKey::StreamRecord { stream_id, .. }) => Some(stream_id << 1 | 1),
                Some(RecordKey::StreamBounds(stream_id)) => Some(stream_id << 1),
                _ => None,
            },
            // Two tags with one hash share a hint.
            Some(&SPACE_TAG) => key.split_last_chunk::<8>().map(|(tag, _)| hash_key(tag) | 1),
            _ => None,
        };
        let slot = subject.map(|subject| self.slot_of(subject, heap_bytes));
        match slot.and_then(|slot| self.own.get_mut(slot)) {
            Some(hint) => hint,
            None => hint_of_kind(&mut self.kinds, key),
        }
    }

    #[cfg(test)]
    pub(super) fn own_bytes(&self) -> u64 {
        to_u64(self.own.len().saturating_mul(size_of::<Hint>()))
    }

    /// Where the hint of this subject is, its own from now on; there are none before the memtable is large enough.
    #[inline]
    fn slot_of(&mut self, subject: u64, heap_bytes: &AtomicU64) -> usize {
        let mut at = slot(subject, self.own.len());
        // Of the latest ones no two are to share one.
        while self.holder(at) != Some(subject) {
            if self.holder(at) == Some(Hint::NONE.subject) || !self.grow(heap_bytes) {
                if let Some(hint) = self.own.get_mut(at) {
                    *hint = Hint {
                        subject,
                        ..Hint::NONE
                    };
                }
                break;
            }
            at = slot(subject, self.own.len());
        }
        at
    }

    fn holder(&self, slot: usize) -> Option<u64> {
        self.own.get(slot).map(|hint| hint.subject)
    }

    /// Twice as many, if their share allows for it.
    fn grow(&mut self, heap_bytes: &AtomicU64) -> bool {
        let more = (self.own.len() * 2).max(Hints::KINDS);
        let bytes = to_u64(more.saturating_mul(size_of::<Hint>()));
        if bytes > heap_bytes.load(Relaxed) / Hints::OWN_SHARE {
            return false;
        }
        let mut grown = Vec::new();
        if grown.try_reserve_exact(more).is_err() {
            return false;
        }
        grown.resize(more, Hint::NONE);
        for hint in self.own.iter().filter(|hint| hint.subject != Hint::NONE.subject) {
            if let Some(place) = grown.get_mut(slot(hint.subject, more)) {
                *place = *hint;
            }
        }
        let before = to_u64(self.own.len().saturating_mul(size_of::<Hint>()));
        heap_bytes.fetch_add(bytes - before, Relaxed);
        self.own = grown;
        true
    }
}

/// Hints of one kind go by the space, the first byte, the length, and what comes before a number at the end (memories
/// with the same tags).
fn hint_of_kind<'a>(hints: &'a mut [Hint; Hints::KINDS], key: &[u8]) -> &'a mut Hint {
    let byte = |at: usize| key.get(at).map_or(0, |byte| u64::from(*byte));
    let before_number = key.len().saturating_sub(9);
    let kind = byte(0) | byte(3) << 8 | byte(before_number) << 16 | to_u64(key.len()) << 24;
    // The upper bits of the product: the kinds that every store has get different ones.
    let slot = (kind.wrapping_mul(0xa076_1d64_78bd_642f) >> 58) as usize % Hints::KINDS;
    let [first, rest @ ..] = hints;
    match slot.checked_sub(1) {
        Some(slot) => rest.get_mut(slot).unwrap_or(first),
        None => first,
    }
}

/// Streams have numbers from 1 on without large gaps, and of a hash all bits are alike: the lower bits tell them apart
/// best.
fn slot(subject: u64, slots: usize) -> usize {
    (subject & to_u64(slots).saturating_sub(1)) as usize
}
