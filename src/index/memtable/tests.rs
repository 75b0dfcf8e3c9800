//! The memtable against a sorted map: every version is found, in order, both ways, however its key came to its place.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{atomic::Ordering::Relaxed, Arc},
};

use super::{Entry, Memtable};
use crate::{
    error::Error,
    format::record::{kv_key, stream_bounds_key, stream_record_key, tag_key},
    vfs::sim::Random,
};

/// A key; seq and number of the insert, from the newest.
type Place = (Vec<u8>, Reverse<(u64, u64)>);
/// To kind and value.
type Model = BTreeMap<Place, (u8, Vec<u8>)>;
type Version = (Vec<u8>, u64, u8, Vec<u8>);

const STREAMS: u64 = 300;

/// Streams that go on in turns, bounds and pairs that are written again and again, a value in an arena of its own; some
/// of them sorted, many at once.
fn filled(draws: &mut Random, inserts: u64) -> (Arc<Memtable>, Model) {
    let memtable = Arc::new(Memtable::new());
    let mut model = Model::new();
    let mut next = [0_u64; STREAMS as usize];
    let mut seq = 1;
    let mut number = 0;
    while number < inserts {
        seq += draws.below(3);
        let together = match draws.below(50) {
            0 => draws.below(100).min(inserts - number),
            _ => 1,
        };
        let mut versions: Vec<Version> = (number..number + together)
            .map(|number| {
                let key = drawn_key(draws, number, &mut next);
                let len = if number % 5_000 == 77 {
                    200_000
                } else {
                    draws.below(50)
                };
                (key, seq, draws.below(9) as u8, vec![number as u8; len as usize])
            })
            .collect();
        if together == 1 {
            let (key, seq, kind, value) = &versions[0];
            memtable.insert(key, *seq, *kind, value).unwrap();
        } else {
            // Stable: of one key in the order in which they were drawn.
            versions.sort_by(|(left, ..), (right, ..)| left.cmp(right));
            let entries = versions.iter().map(|(key, seq, kind, value)| Entry {
                key,
                seq: *seq,
                kind: *kind,
                value,
            });
            memtable.insert_sorted(entries).unwrap();
        }
        for (key, seq, kind, value) in versions {
            model.insert((key, Reverse((seq, number))), (kind, value));
            number += 1;
        }
    }
    assert_eq!(memtable.entries(), inserts);
    (memtable, model)
}

fn drawn_key(draws: &mut Random, number: u64, next: &mut [u64]) -> Vec<u8> {
    let stream = draws.below(STREAMS);
    match draws.below(6) {
        5 => tag_key(&format!("a tag {}", draws.below(100)), draws.below(1_000)),
        4 => tag_key(&format!("a tag {}", draws.below(100)), number),
        0 => stream_bounds_key(stream + 1),
        1 => kv_key(format!("pair {}", draws.below(200)).as_bytes()),
        _ => {
            let index = &mut next[stream as usize];
            *index += 1;
            stream_record_key(stream + 1, *index - 1)
        }
    }
}

fn version(of: (&Place, &(u8, Vec<u8>))) -> Version {
    let ((key, Reverse((seq, _))), (kind, value)) = of;
    (key.clone(), *seq, *kind, value.clone())
}

fn at(cursor: &super::MemtableCursor) -> Option<Version> {
    let entry = cursor.entry()?;
    Some((entry.key.to_vec(), entry.seq, entry.kind, entry.value.to_vec()))
}

#[test]
fn all_versions_are_there_in_order_both_ways() {
    let (memtable, model) = filled(&mut Random(3), 20_000);
    let mut cursor = memtable.cursor();
    cursor.seek_first();
    let mut before: Option<Version> = None;
    for expected in model.iter().map(version) {
        let found = at(&cursor).unwrap();
        assert!(
            found == expected,
            "{:?} for {:?}",
            (&found.0, found.1),
            (&expected.0, expected.1)
        );
        let repeats = before.is_some_and(|before| before.0 == expected.0);
        assert_eq!(cursor.repeats_key(), repeats, "{:?}", expected.0);
        before = Some(found);
        cursor.next();
    }
    assert!(cursor.is_off());
    cursor.seek_last();
    for expected in model.iter().rev().map(version) {
        assert!(at(&cursor) == Some(expected));
        cursor.prev();
    }
    assert!(cursor.is_off());
}

#[test]
fn a_key_is_found_as_of_any_seq_and_its_neighbours_around_it() {
    let mut draws = Random(4);
    let (memtable, model) = filled(&mut draws, 6_000);
    let newest = model.keys().map(|(_, Reverse((seq, _)))| *seq).max().unwrap();
    let mut cursor = memtable.cursor();
    for _ in 0..6_000 {
        let near = draws.below(model.len() as u64) as usize;
        let mut key = model.keys().nth(near).unwrap().0.clone();
        if draws.below(4) == 0 {
            key.push(0);
        }
        let seq = draws.below(newest + 2);
        let mut behind = model
            .range((key.clone(), Reverse((seq, u64::MAX)))..)
            .map(version);
        let expected = behind.next();
        cursor.seek(&key, seq);
        assert!(at(&cursor) == expected);
        let hit = memtable.get(&key, seq);
        let hit = hit.map(|hit| (key.clone(), hit.seq, hit.kind, hit.value.to_vec()));
        assert!(hit == expected.clone().filter(|expected| expected.0 == key));
        cursor.next();
        assert!(expected.is_none() || at(&cursor) == behind.next());
        cursor.seek(&key, seq);
        cursor.prev();
        let mut ahead = model
            .range(..(key.clone(), Reverse((seq, u64::MAX))))
            .map(version);
        assert!(expected.is_none() || at(&cursor) == ahead.next_back());
        cursor.seek_before(&key);
        let mut below = model
            .range(..(key.clone(), Reverse((u64::MAX, u64::MAX))))
            .map(version);
        assert!(at(&cursor) == below.next_back());
    }
}

fn tag_of(stream: u64) -> String {
    format!("of stream {stream}")
}

#[test]
fn a_version_older_than_what_is_there_is_refused_and_changes_nothing() {
    let memtable = Arc::new(Memtable::new());
    for key in [stream_bounds_key(1), kv_key(b"pair")] {
        memtable.insert(&key, 5, 1, b"five").unwrap();
        let entries = memtable.entries();
        let refused = memtable.insert(&key, 4, 1, b"four");
        assert!(matches!(refused, Err(Error::Internal { .. })), "{refused:?}");
        assert_eq!(memtable.entries(), entries);
        assert!(memtable.get(&key, 4).is_none());
        memtable.insert(&key, 5, 1, b"five again").unwrap();
        assert_eq!(memtable.get(&key, 5).unwrap().value, b"five again");
    }
}

/// A search for each would be the larger part of what an append takes.
#[test]
fn many_streams_and_tags_have_hints_of_their_own_within_their_share_of_the_memory() {
    let memtable = Memtable::new();
    for index in 0..40 {
        for stream in 1..=STREAMS {
            memtable
                .insert(&stream_record_key(stream, index), index + 1, 1, &[0; 64])
                .unwrap();
            memtable
                .insert(&stream_bounds_key(stream), index + 1, 2, &[0; 16])
                .unwrap();
            memtable
                .insert(&tag_key(&tag_of(stream), index), index + 1, 3, &[0; 4])
                .unwrap();
        }
    }
    let mut known = 0;
    let mut writer = memtable.writer.lock().unwrap();
    let heap_bytes = memtable.heap_bytes.load(Relaxed);
    assert!(writer.hints.own_bytes() <= heap_bytes / 8);
    for stream in 1..=STREAMS {
        let tagged = tag_key(&tag_of(stream), 40);
        for key in [stream_record_key(stream, 40), stream_bounds_key(stream), tagged] {
            let hint = *writer.hints.of(&key, &memtable.heap_bytes);
            known += u64::from(hint.seq == 40);
        }
    }
    // Of those that share a slot in spite of the room there is, one is known.
    assert!(known > STREAMS * 3 * 8 / 10, "{known}");
    assert_eq!(
        memtable.heap_bytes.load(Relaxed),
        heap_bytes,
        "they are all there"
    );
}
