//! Reads by the short way and by the long way say the same, for keys that differ early, late, or in length only.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    hash_key,
    page::{copy_short, is_same, key_prefix},
    Entry, Memtable, Merged, Part, PartWriter, Probe, Run, Scan, TOMBSTONE,
};
use crate::vfs::{
    sim::{Random, SimVfs},
    OpenMode, Vfs,
};

const UUID: &[u8; 16] = b"sixteen of bytes";
const INLINE: u8 = 1;
const OTHER: u8 = 2;

/// Key, then seq from the newest: kind and value.
type Versions = BTreeMap<(Vec<u8>, std::cmp::Reverse<u64>), (u8, Vec<u8>)>;

/// Key, seq, kind, value.
type Version<'a> = (&'a [u8], u64, u8, &'a [u8]);

/// Few of the first bytes, so that many keys share what the fences look at.
fn key(draws: &mut Random, shared: &[u8]) -> Vec<u8> {
    let len = draws.below(20);
    let tail = (0..len).map(|_| [0, 1, 0xff][draws.below(3) as usize]);
    shared.iter().copied().chain(tail).collect()
}

fn versions(draws: &mut Random, shared: &[u8], count: u64, seqs: std::ops::Range<u64>) -> Versions {
    (0..count)
        .map(|_| {
            let seq = seqs.start + draws.below(seqs.end - seqs.start);
            let kind = [TOMBSTONE, INLINE, INLINE, INLINE, OTHER][draws.below(5) as usize];
            let value = vec![kind; draws.below(40) as usize];
            ((key(draws, shared), std::cmp::Reverse(seq)), (kind, value))
        })
        .collect()
}

fn part(disk: &SimVfs, number: u64, versions: &[Version<'_>]) -> Arc<Part> {
    let path = PathBuf::from(format!("/{number:08}.run"));
    let file = disk.open(&path, OpenMode::CreateNew).unwrap();
    let mut writer = PartWriter::new(file, UUID, number, super::LARGE_PIECE_BYTES);
    for &(key, seq, kind, value) in versions {
        let entry = Entry {
            key,
            seq,
            kind,
            value,
        };
        writer.add(&entry).unwrap();
    }
    let meta = loop {
        if let Some(meta) = writer.finish_step().unwrap() {
            break meta;
        }
    };
    Part::new(Arc::new(disk.clone()), path, *UUID, meta, false)
}

/// A run whose parts end between keys.
fn run(disk: &SimVfs, id: u64, of: &Versions, parts: usize) -> Arc<Run> {
    let all: Vec<Version<'_>> = of
        .iter()
        .map(|((key, seq), (kind, value))| (key.as_slice(), seq.0, *kind, value.as_slice()))
        .collect();
    let per_part = all.len() / parts;
    let mut cut: Vec<Vec<Version<'_>>> = vec![Vec::new()];
    for version in all {
        let last = cut.last_mut().unwrap();
        if last.len() > per_part && last.last().is_some_and(|before| before.0 != version.0) {
            cut.push(vec![version]);
        } else {
            last.push(version);
        }
    }
    let parts = (0..).zip(&cut).map(|(at, of)| part(disk, id * 100 + at, of));
    Arc::new(Run::new(id, parts.collect(), None, None))
}

fn newest(of: &Versions, key: &[u8], seq: u64) -> Option<(u64, u8, Vec<u8>)> {
    let from = (key.to_vec(), std::cmp::Reverse(seq));
    let ((found, found_seq), (kind, value)) = of.range(from..).next()?;
    (found == key).then(|| (found_seq.0, *kind, value.clone()))
}

#[test]
fn a_look_into_the_home_bucket_says_what_the_whole_search_says_or_nothing() {
    let mut draws = Random(7);
    for shared in [&b""[..], b"\x01", b"\x01user:0000"] {
        let disk = SimVfs::new(1);
        let of = versions(&mut draws, shared, 3_000, 1..50);
        let run = run(&disk, 1, &of, 5);
        assert!(run.parts().len() > 2);
        let (mut sure, mut unsure) = (0, 0);
        // Twice: the first time every page is still to be checked.
        for _ in 0..2 {
            for _ in 0..4_000 {
                let near = draws.below(of.len() as u64) as usize;
                let wanted = match draws.below(2) {
                    0 => of.keys().nth(near).unwrap().0.clone(),
                    _ => key(&mut draws, shared),
                };
                let seq = draws.below(60);
                let expected = newest(&of, &wanted, seq);
                let found = run.get(&wanted, seq).unwrap();
                let found = found.map(|hit| (hit.seq, hit.kind, hit.value.to_vec()));
                assert_eq!(found, expected, "{wanted:?} at {seq}");
                match run.probe(&wanted, hash_key(&wanted), seq) {
                    Probe::Found(hit) => {
                        assert_eq!(Some((hit.seq, hit.kind, hit.value.to_vec())), expected);
                        sure += 1;
                    }
                    Probe::Absent => {
                        assert_eq!(expected, None, "{wanted:?} at {seq}");
                        sure += 1;
                    }
                    Probe::Unsure => unsure += 1,
                }
            }
        }
        assert!(sure > 4_000 && unsure > 100, "{sure} {unsure}");
    }
}

#[test]
fn a_scan_that_stays_in_pages_finds_what_one_that_does_not_finds() {
    let mut draws = Random(8);
    for shared in [&b""[..], b"\x01", b"\x01stream-0"] {
        let disk = SimVfs::new(1);
        let old = versions(&mut draws, shared, 2_000, 1..40);
        let new = versions(&mut draws, shared, 300, 40..50);
        let newest_of_all = versions(&mut draws, shared, 30, 50..60);
        let memtable = Arc::new(Memtable::new());
        for ((key, seq), (kind, value)) in newest_of_all.iter().rev() {
            memtable.insert(key, seq.0, *kind, value).unwrap();
        }
        let runs = [run(&disk, 2, &new, 2), run(&disk, 1, &old, 4)];
        let mut all = old.clone();
        all.extend(new);
        all.extend(newest_of_all);
        let mut in_pages = 0;
        for round in 0..200 {
            let (lower, seq) = (key(&mut draws, shared), draws.below(70));
            let upper = (round % 3 > 0).then(|| key(&mut draws, shared));
            // One run alone, two of them, or these and a memtable.
            let (runs, all) = match round % 4 {
                0 => (&runs[1..], &old),
                _ => (&runs[..], &all),
            };
            let memtables = if round % 2 == 0 {
                &[][..]
            } else {
                &[Arc::clone(&memtable)]
            };
            let seq = if memtables.is_empty() { seq.min(49) } else { seq };
            let merged = Merged::new(memtables, runs);
            let mut scan = Scan::new(merged, lower.clone(), upper.clone(), seq, false);
            let mut expected = Vec::new();
            let mut last: Option<&[u8]> = None;
            for ((key, version), (kind, value)) in all.range((lower, std::cmp::Reverse(u64::MAX))..) {
                if upper.as_ref().is_some_and(|upper| key >= upper) {
                    break;
                }
                if version.0 <= seq && last != Some(key) {
                    last = Some(key);
                    if *kind != TOMBSTONE {
                        expected.push((key.clone(), version.0, *kind, value.clone()));
                    }
                }
            }
            let mut found = Vec::new();
            loop {
                if scan.next_in_page(INLINE) {
                    in_pages += 1;
                } else if !scan.next().unwrap() {
                    break;
                }
                let entry = scan.entry().unwrap();
                found.push((entry.key.to_vec(), entry.seq, entry.kind, entry.value.to_vec()));
            }
            assert_eq!(found, expected, "round {round}");
            assert!(!scan.next_in_page(INLINE), "it is at its end");
        }
        assert!(in_pages > 1_000, "{in_pages}");
    }
}

#[test]
fn a_part_of_several_pieces_is_read_back_as_it_was_added() {
    let disk = SimVfs::new(1);
    let value = |number: u32| vec![number as u8; 1_000 + number as usize % 700];
    let keys: Vec<Vec<u8>> = (0..4_000_u32)
        .map(|number| number.to_be_bytes().to_vec())
        .collect();
    let values: Vec<Vec<u8>> = (0..4_000).map(value).collect();
    let all: Vec<Version<'_>> = keys
        .iter()
        .zip(&values)
        .map(|(key, value)| (key.as_slice(), 1, INLINE, value.as_slice()))
        .collect();
    let part = part(&disk, 1, &all);
    assert!(part.meta().file_len > 5 << 20);
    for (key, value) in keys.iter().zip(&values) {
        assert_eq!(part.get(key, 1).unwrap().unwrap().value, value);
    }
    let file = disk.open(Path::new("/00000001.run"), OpenMode::Read).unwrap();
    assert_eq!(file.len().unwrap(), part.meta().file_len);
}

#[test]
fn short_strings_are_compared_and_copied_like_any_others() {
    let string: Vec<u8> = (1..=40).collect();
    for len in 0..=40 {
        let (left, _) = string.split_at(len);
        let same = left.to_vec();
        assert!(is_same(left, &same), "{len}");
        assert!(!is_same(left, string.get(..len + 1).unwrap_or_default()) || len == 40);
        for place in 0..len {
            let mut other = left.to_vec();
            other[place] ^= 0x80;
            assert!(!is_same(left, &other), "{len} {place}");
        }
        let mut copy = vec![0; len];
        copy_short(left, &mut copy);
        assert_eq!(copy, left);
        let prefix: Vec<u8> = left.iter().copied().chain([0; 8]).take(8).collect();
        assert_eq!(key_prefix(left).to_be_bytes().as_slice(), prefix);
    }
}
