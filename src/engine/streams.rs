//! Bounds of the streams that commits touch, kept in memory so that an append needs no look-up under the append
//! lock. A name that is missing is read from the index outside the lock; `cleared` tells whether what was read
//! may have been overtaken meanwhile.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
};

use crate::{
    error::{Error, Result},
    format::{
        bytes::to_u64,
        frame::{StreamAssignment, StreamEffect},
        record::{self, StreamBounds},
    },
};

use super::{
    draft::{Draft, StreamIntent},
    state::View,
};

/// Beyond this many streams the table starts anew: a few MiB.
const MOST_STREAMS: usize = 16_384;

/// One name as of the newest commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamState {
    Missing,
    There { stream_id: u64, first: u64, next: u64 },
}

impl StreamState {
    /// What the index says.
    pub(crate) fn read(view: &View, name: &[u8]) -> Result<StreamState> {
        let Some(hit) = view.get(&record::stream_name_key(name))? else {
            return Ok(StreamState::Missing);
        };
        let damaged = || Error::corrupt("index", 0, "a stream's entries make no sense");
        let stream_id = record::decode_stream_id(hit.value).ok_or_else(damaged)?;
        let bounds = view
            .get(&record::stream_bounds_key(stream_id))?
            .ok_or_else(damaged)?;
        let bounds = StreamBounds::decode(bounds.value).ok_or_else(damaged)?;
        if bounds.is_dropped() {
            return Ok(StreamState::Missing);
        }
        Ok(StreamState::There {
            stream_id,
            first: bounds.first,
            next: bounds.next,
        })
    }
}

#[derive(Debug, Default)]
pub(crate) struct StreamTable {
    places: HashMap<Vec<u8>, usize, NameHashes>,
    streams: Vec<Known>,
    /// The places of the names of the draft that was resolved last, one for each of its stream commands.
    resolved: Vec<usize>,
    /// Number of that draft.
    round: u64,
    /// How many records it trims.
    trimmed: u64,
    /// How often entries were forgotten.
    cleared: u64,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    state: StreamState,
    /// What draft number `round` makes of it, should it be committed.
    changed: StreamState,
    round: u64,
}

/// Makes the hash of a name: eight bytes at a time, folding 128-bit products, from a secret start. Under the append lock
/// a name is hashed once for each command on it, and names may come from people who would like them to collide.
#[derive(Debug, Clone)]
struct NameHashes(u64);

impl Default for NameHashes {
    fn default() -> NameHashes {
        NameHashes(RandomState::new().hash_one(0_u8))
    }
}

impl BuildHasher for NameHashes {
    type Hasher = NameHasher;

    fn build_hasher(&self) -> NameHasher {
        NameHasher(self.0)
    }
}

#[derive(Debug)]
struct NameHasher(u64);

impl NameHasher {
    #[inline]
    fn add(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
        let [low, high] = [product & u128::from(u64::MAX), product >> 64];
        // Lossless: both have 64 bits.
        self.0 = low as u64 ^ high as u64;
    }
}

impl Hasher for NameHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, tail) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.add(u64::from_le_bytes(*word)));
        if !tail.is_empty() {
            let mut last = [0; 8];
            last.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
            self.add(u64::from_le_bytes(last));
        }
    }

    /// Of a name's length.
    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.add(to_u64(number));
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// What a draft's stream commands come to.
pub(crate) enum Resolved {
    Assigned(Vec<StreamAssignment>),
    /// These names have to be read from the index first.
    Missing(Vec<Vec<u8>>),
}

impl StreamTable {
    pub(crate) fn cleared(&self) -> u64 {
        self.cleared
    }

    /// Takes over what was read from the index when `cleared` had the given value. An entry that is there already
    /// is newer. False: entries were forgotten since, so what was read may be old.
    pub(crate) fn learn(&mut self, read: Vec<(Vec<u8>, StreamState)>, cleared: u64) -> bool {
        if cleared != self.cleared {
            return false;
        }
        for (name, state) in read {
            let streams = &mut self.streams;
            self.places.entry(name).or_insert_with(|| {
                streams.push(Known {
                    state,
                    changed: state,
                    round: 0,
                });
                streams.len() - 1
            });
        }
        true
    }

    /// Plays the draft's stream commands through, in order, and keeps what they come to until `accept`.
    pub(crate) fn resolve(&mut self, draft: &Draft, next_stream_id: &mut u64) -> Result<Resolved> {
        self.resolved.clear();
        if draft.streams.is_empty() {
            return Ok(Resolved::Assigned(Vec::new()));
        }
        self.round += 1;
        self.trimmed = 0;
        let mut assigned = Vec::with_capacity(draft.streams.len());
        let mut missing = Vec::new();
        for stream in &draft.streams {
            let name = draft.stream_name(stream);
            let place = self.places.get(name).copied();
            let Some((place, known)) = place.and_then(|place| Some((place, self.streams.get_mut(place)?)))
            else {
                missing.push(name.to_vec());
                continue;
            };
            let state = if known.round == self.round {
                known.changed
            } else {
                known.state
            };
            let assignment = match stream.intent {
                StreamIntent::Append { at } => append(state, at, next_stream_id)?,
                StreamIntent::Trim { before } => trim(state, before),
            };
            known.changed = state_after(&assignment);
            self.trimmed = self.trimmed.saturating_add(records_lost(&state, &known.changed));
            known.round = self.round;
            self.resolved.push(place);
            assigned.push(assignment);
        }
        Ok(if missing.is_empty() {
            Resolved::Assigned(assigned)
        } else {
            Resolved::Missing(missing)
        })
    }

    /// The draft that was resolved last was committed. Returns how many records it trimmed.
    pub(crate) fn accept(&mut self) -> u64 {
        if self.resolved.is_empty() {
            return 0;
        }
        for place in self.resolved.drain(..) {
            if let Some(known) = self.streams.get_mut(place) {
                known.state = known.changed;
            }
        }
        if self.streams.len() > MOST_STREAMS {
            self.forget();
        }
        self.trimmed
    }

    pub(crate) fn forget(&mut self) {
        self.places.clear();
        self.streams.clear();
        self.resolved.clear();
        self.cleared = self.cleared.wrapping_add(1);
    }
}

fn records_lost(before: &StreamState, after: &StreamState) -> u64 {
    match (before, after) {
        (StreamState::There { first: old, .. }, StreamState::There { first: new, .. }) => {
            new.saturating_sub(*old)
        }
        (StreamState::There { first, next, .. }, StreamState::Missing) => next.saturating_sub(*first),
        _ => 0,
    }
}

/// The index after `index`.
fn next_after(index: u64) -> Result<u64> {
    // u64::MAX marks a dropped stream.
    index
        .checked_add(1)
        .filter(|next| *next < u64::MAX)
        .ok_or_else(|| Error::too_large("a stream has fewer than 2^64 - 1 records"))
}

fn append(state: StreamState, at: Option<u64>, next_stream_id: &mut u64) -> Result<StreamAssignment> {
    match state {
        StreamState::There {
            stream_id,
            first,
            next,
        } => {
            if let Some(at) = at.filter(|at| *at != next) {
                let what = format!("a record was to get the index {at}, and its stream goes on at {next}");
                return Err(Error::Conflict { what: what.into() });
            }
            let next = next_after(next)?;
            Ok(StreamAssignment {
                stream_id,
                first,
                next,
                effect: StreamEffect::Changed,
            })
        }
        StreamState::Missing => {
            let first = at.unwrap_or(0);
            let next = next_after(first)?;
            let stream_id = *next_stream_id;
            *next_stream_id = next_stream_id
                .checked_add(1)
                .ok_or_else(|| Error::internal("out of stream ids"))?;
            Ok(StreamAssignment {
                stream_id,
                first,
                next,
                effect: StreamEffect::Created,
            })
        }
    }
}

fn trim(state: StreamState, before: u64) -> StreamAssignment {
    match state {
        StreamState::There { stream_id, next, .. } if before == u64::MAX => StreamAssignment {
            stream_id,
            first: u64::MAX,
            next,
            effect: StreamEffect::Dropped,
        },
        StreamState::There {
            stream_id,
            first,
            next,
        } if before > first => StreamAssignment {
            stream_id,
            first: before.min(next),
            next,
            effect: StreamEffect::Changed,
        },
        StreamState::There {
            stream_id,
            first,
            next,
        } => StreamAssignment {
            stream_id,
            first,
            next,
            effect: StreamEffect::Nothing,
        },
        StreamState::Missing => StreamAssignment {
            stream_id: 0,
            first: 0,
            next: 0,
            effect: StreamEffect::Nothing,
        },
    }
}

fn state_after(assignment: &StreamAssignment) -> StreamState {
    let StreamAssignment {
        stream_id,
        first,
        next,
        effect,
    } = *assignment;
    match effect {
        StreamEffect::Dropped => StreamState::Missing,
        StreamEffect::Nothing if stream_id == 0 => StreamState::Missing,
        _ => StreamState::There {
            stream_id,
            first,
            next,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::draft::Data;

    fn assigned(table: &mut StreamTable, draft: &Draft, next_id: &mut u64) -> Vec<StreamAssignment> {
        match table.resolve(draft, next_id).unwrap() {
            Resolved::Assigned(assigned) => assigned,
            Resolved::Missing(names) => panic!("{names:?} not in the table"),
        }
    }

    #[test]
    fn commands_of_one_batch_see_earlier_ones() {
        let mut table = StreamTable::default();
        assert!(table.learn(vec![(b"s".to_vec(), StreamState::Missing)], 0));
        let mut draft = Draft::new();
        draft.append_stream(b"s", None, Data::Bytes(b"a")).unwrap();
        draft.append_stream(b"s", None, Data::Bytes(b"b")).unwrap();
        draft.trim_stream(b"s", 1).unwrap();
        draft.trim_stream(b"s", u64::MAX).unwrap();
        draft.append_stream(b"s", None, Data::Bytes(b"c")).unwrap();
        let mut next_id = 1;
        let got = assigned(&mut table, &draft, &mut next_id);
        assert_eq!(next_id, 3);
        assert_eq!(
            (got[1].stream_id, got[1].next, got[1].effect),
            (1, 2, StreamEffect::Changed)
        );
        assert_eq!((got[2].first, got[2].next), (1, 2));
        assert_eq!(got[3].effect, StreamEffect::Dropped);
        assert_eq!(
            (got[4].stream_id, got[4].next, got[4].effect),
            (2, 1, StreamEffect::Created)
        );
    }

    #[test]
    fn a_record_with_an_index_begins_a_stream_there_and_conflicts_where_another_comes_next() {
        let mut table = StreamTable::default();
        assert!(table.learn(vec![(b"s".to_vec(), StreamState::Missing)], 0));
        let mut draft = Draft::new();
        draft.append_stream(b"s", Some(7), Data::Bytes(b"a")).unwrap();
        draft.append_stream(b"s", Some(8), Data::Bytes(b"b")).unwrap();
        let mut next_id = 1;
        let got = assigned(&mut table, &draft, &mut next_id);
        assert_eq!(
            (got[0].first, got[0].next, got[0].effect),
            (7, 8, StreamEffect::Created)
        );
        assert_eq!((got[1].first, got[1].next), (7, 9));
        table.accept();
        for at in [0, 8, 10, u64::MAX] {
            let mut draft = Draft::new();
            draft.append_stream(b"s", Some(at), Data::Bytes(b"c")).unwrap();
            let refused = table.resolve(&draft, &mut next_id).err();
            assert!(
                matches!(refused, Some(Error::Conflict { .. })),
                "{at}: {refused:?}"
            );
        }
        let refused = append(StreamState::Missing, Some(u64::MAX - 1), &mut next_id);
        assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
        assert_eq!(next_id, 2, "what is refused takes no stream id");
    }

    #[test]
    fn a_draft_that_is_not_committed_changes_nothing() {
        let mut table = StreamTable::default();
        table.learn(vec![(b"s".to_vec(), StreamState::Missing)], 0);
        let mut draft = Draft::new();
        draft.append_stream(b"s", None, Data::Bytes(b"a")).unwrap();
        draft.trim_stream(b"s", 1).unwrap();
        for next_after in [2, 2] {
            let mut next_id = 1;
            let got = assigned(&mut table, &draft, &mut next_id);
            assert_eq!((next_id, got[0].effect), (next_after, StreamEffect::Created));
        }
        assert_eq!(table.accept(), 1, "one record came and went");
        let got = assigned(&mut table, &draft, &mut 2);
        assert_eq!((got[0].next, got[0].effect), (2, StreamEffect::Changed));
        assert_eq!(table.accept(), 0, "the record of before is gone already");
        assert_eq!(table.accept(), 0, "nothing was resolved since");
    }

    #[test]
    fn a_draft_with_more_streams_than_the_table_keeps_is_resolved_and_forgotten() {
        let mut table = StreamTable::default();
        let names: Vec<Vec<u8>> = (0..=MOST_STREAMS)
            .map(|name| name.to_le_bytes().to_vec())
            .collect();
        let read = names
            .iter()
            .map(|name| (name.clone(), StreamState::Missing))
            .collect();
        assert!(table.learn(read, table.cleared()));
        let mut draft = Draft::new();
        for name in &names {
            draft.append_stream(name, None, Data::Bytes(b"a")).unwrap();
        }
        let got = assigned(&mut table, &draft, &mut 1);
        assert_eq!(got.len(), names.len());
        let cleared = table.cleared();
        table.accept();
        assert_ne!(table.cleared(), cleared);
        assert!(
            matches!(table.resolve(&draft, &mut 1), Ok(Resolved::Missing(missing)) if missing.len() == names.len())
        );
    }

    #[test]
    fn what_was_read_before_entries_were_forgotten_is_refused() {
        let mut table = StreamTable::default();
        let cleared = table.cleared();
        table.forget();
        assert!(!table.learn(vec![(b"s".to_vec(), StreamState::Missing)], cleared));
    }

    #[test]
    fn trimming_never_goes_beyond_next_nor_back() {
        let there = StreamState::There {
            stream_id: 1,
            first: 3,
            next: 5,
        };
        assert_eq!(trim(there, 9).first, 5);
        assert_eq!(trim(there, 2).effect, StreamEffect::Nothing);
        assert_eq!(trim(StreamState::Missing, 2).effect, StreamEffect::Nothing);
    }
}
