//! What fuzzing asks of the files of the index, whatever the bytes in them: an answer or an error that names the file,
//! never a panic, a loop or another key's value. See `format::fuzzing`.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    path::Path,
    sync::{Arc, OnceLock},
};

use super::{
    page::{crc_matches, seal, PageBuilder, PageHeader, PagePlace, PartSeed, UNIT_BYTES},
    part_format::Footer,
    Entry, Part, PartWriter,
};
use crate::{
    error::{Error, Result},
    format::{
        bytes::{to_u64, to_usize, u32_at},
        fuzzing::{mode, put, Mode, Numbers, Seed},
        manifest::PartMeta,
    },
    vfs::{sim::SimVfs, OpenMode, Vfs},
};

const UUID: [u8; 16] = *b"sixteen of bytes";
const NUMBER: u64 = 7;
/// Entries looked at one by one; more of them show nothing more.
const MOST_LOOKED_AT: u16 = 600;
const MOST_STEPS: usize = 3_000;

fn seed() -> PartSeed {
    PartSeed::new(&UUID, NUMBER)
}

/// Inputs for one of these, by its name.
pub fn index_seeds(target: &str) -> Vec<Seed> {
    match target {
        "page" => vec![
            (
                "raw",
                [&[0], base().0.get(..UNIT_BYTES).unwrap_or_default()].concat(),
            ),
            (
                "built",
                b"\x02\x03\x00abc\x01\x01\x02\x00hi\x03\x00abd\x02\x01\x00\x00\x02\x00ab\x01\x00\x00\x00"
                    .to_vec(),
            ),
        ],
        "footer" => {
            let file = &base().0;
            let footer = file
                .get(file.len().saturating_sub(UNIT_BYTES)..)
                .unwrap_or_default();
            let head = footer.get(..160).unwrap_or_default();
            vec![
                ("raw", [&[0], footer].concat()),
                ("repaired", [&[1], head].concat()),
            ]
        }
        "part" => vec![
            ("untouched", vec![0]),
            ("level", vec![1, 4, 0, 0, 0, 1]),
            ("count", vec![1, 6, 0, 0, 1, 0xff]),
            ("root", vec![1, 0x3c, 0x40, 1, 2, 0xff]),
        ],
        _ => Vec::new(),
    }
}

// ---- one page ------------------------------------------------------------------------------------

/// A page: its header, entries and searches; what a builder makes of entries is read back.
pub fn page(input: &[u8]) {
    let Some((mode, bytes)) = mode(input) else { return };
    match mode {
        Mode::Raw => search_page(bytes, bytes.get(..8).unwrap_or_default(), 5),
        Mode::Repaired => {
            let mut numbers = Numbers::new(bytes);
            let (key, seq) = (numbers.bytes(64), numbers.u64());
            let mut page = numbers.0.rest().to_vec();
            // The two bytes that must be zero.
            put(&mut page, 5, &[0]);
            put(&mut page, 18, &[0, 0]);
            search_page(&page, key, seq);
        }
        Mode::Built => build_page(bytes),
    }
}

fn search_page(page: &[u8], key: &[u8], seq: u64) {
    let Some(header) = PageHeader::decode(page) else {
        return;
    };
    let mut again = Vec::new();
    header.encode_into(&mut again);
    assert_eq!(
        again.get(4..),
        page.get(4..again.len()),
        "a page header is encoded as it was"
    );
    for slot in (0..header.count.min(MOST_LOOKED_AT)).chain([header.count, u16::MAX]) {
        if let Some(entry) = header.entry(page, slot) {
            let value = page
                .get(entry.value_offset..)
                .and_then(|rest| rest.get(..entry.value.len()));
            assert_eq!(value, Some(entry.value), "a value is where its entry says");
            let _ = entry.child();
        }
    }
    if let Some((slot, exact)) = header.search(page, key, seq) {
        assert!(slot <= header.count, "a search ends within the page");
        if exact {
            let (prefix, entry) = (header.prefix(page), header.entry(page, slot));
            let found = prefix
                .zip(entry)
                .map(|(prefix, entry)| ([prefix, entry.suffix].concat(), entry.seq));
            assert_eq!(found, Some((key.to_vec(), seq)), "a search finds what it says");
        }
    }
}

type Entries = BTreeMap<(Vec<u8>, Reverse<u64>), (u8, Vec<u8>)>;

/// Keys, kinds and values as the input has them, sorted.
fn entries_of(numbers: &mut Numbers<'_>, most: usize) -> Entries {
    let mut entries = Entries::new();
    while !numbers.0.is_empty() && entries.len() < most {
        let key = numbers.bytes(2_000).to_vec();
        let (seq, kind) = (u64::from(numbers.u8()), numbers.u8());
        entries.insert((key, Reverse(seq)), (kind, numbers.bytes(2_000).to_vec()));
    }
    entries
}

fn build_page(bytes: &[u8]) {
    let entries = entries_of(&mut Numbers::new(bytes), 300);
    let mut builder = PageBuilder::default();
    let mut taken = Vec::new();
    for ((key, Reverse(seq)), (kind, value)) in &entries {
        let entry = Entry {
            key,
            seq: *seq,
            kind: *kind,
            value,
        };
        if !builder.has_room(&entry) {
            break;
        }
        builder.add(&entry);
        taken.push(entry);
    }
    let place = PagePlace {
        seed: seed(),
        unit: 3,
        level: 0,
        previous_units: 2,
    };
    let mut page = Vec::new();
    let mut told = Vec::new();
    let units = builder.finish(place, &mut page, &mut |key, _| told.push(key.to_vec()));
    assert_eq!(units.map(|units| units as usize * UNIT_BYTES), Some(page.len()));
    assert!(crc_matches(seed(), 3, &page));
    let mut keys: Vec<Vec<u8>> = taken.iter().map(|entry| entry.key.to_vec()).collect();
    keys.dedup();
    assert_eq!(told, keys, "each key is told once");
    let Some(header) = PageHeader::decode(&page) else {
        panic!("a page that was written has a header");
    };
    let prefix = header.prefix(&page).unwrap_or_default();
    for (slot, entry) in (0..).zip(&taken) {
        let found = header.entry(&page, slot);
        let found = found.map(|found| {
            (
                [prefix, found.suffix].concat(),
                found.seq,
                found.kind,
                found.value,
            )
        });
        assert_eq!(
            found,
            Some((entry.key.to_vec(), entry.seq, entry.kind, entry.value))
        );
        assert_eq!(header.search(&page, entry.key, entry.seq), Some((slot, true)));
    }
}

// ---- the footer ----------------------------------------------------------------------------------

/// A part's footer.
pub fn footer(input: &[u8]) {
    let Some((mode, bytes)) = mode(input) else { return };
    match mode {
        Mode::Raw => check_footer(bytes),
        Mode::Repaired => {
            let mut footer = bytes.to_vec();
            put(&mut footer, 0, b"SARSENRN\x01\0\0\0");
            footer.resize(footer.len().max(128).next_multiple_of(UNIT_BYTES), 0);
            reseal_footer(&mut footer);
            check_footer(&footer);
        }
        Mode::Built => {
            let mut numbers = Numbers::new(bytes);
            let built = Footer {
                uuid: std::array::from_fn(|_| numbers.u8()),
                number: numbers.u64(),
                entries: numbers.u64(),
                tombstones: numbers.u64(),
                keys: numbers.u64(),
                max_seq: numbers.u64(),
                page_units: numbers.u32(),
                root_unit: numbers.u32(),
                root_level: numbers.u32(),
                home_buckets: numbers.u32(),
                hash_units: numbers.u32(),
                min_key: numbers.bytes(usize::MAX).to_vec(),
                max_key: numbers.bytes(usize::MAX).to_vec(),
            };
            let (encoded, crc) = built.encode();
            let len = built.offset().saturating_add(to_u64(encoded.len()));
            if let Some(read) = Footer::decode(&encoded, len) {
                assert_eq!(read, built);
                assert_eq!(read.meta(len, crc).footer_crc, crc);
            }
            check_footer(&encoded);
        }
    }
}

fn reseal_footer(footer: &mut [u8]) {
    let len = footer.len();
    let units = u32::try_from(len / UNIT_BYTES).unwrap_or(0);
    put(footer, len.saturating_sub(8), &units.to_le_bytes());
    let crc = crc32c::crc32c(footer.get(..len.saturating_sub(4)).unwrap_or_default());
    put(footer, len.saturating_sub(4), &crc.to_le_bytes());
}

/// A footer that is taken says of its file what can be.
fn check_footer(bytes: &[u8]) {
    let tail = bytes
        .get(bytes.len().saturating_sub(8)..)
        .and_then(Footer::decode_tail);
    assert_eq!(tail.is_some(), bytes.len() >= 8);
    // The only length at which it can be right, and one at which it can't.
    let units = [u32_at(bytes, 56), u32_at(bytes, 68)].map(|units| u64::from(units.unwrap_or(0)));
    let pages = units.iter().sum::<u64>().saturating_mul(to_u64(UNIT_BYTES));
    let len = pages.saturating_add(to_u64(bytes.len()));
    assert_eq!(Footer::decode(bytes, len.wrapping_add(1)), None);
    if let Some(footer) = Footer::decode(bytes, len) {
        assert!(footer.root_unit < footer.page_units && footer.home_buckets > 0);
        assert_eq!(footer.offset().saturating_add(to_u64(bytes.len())), len);
        let keys = footer.min_key.len().saturating_add(footer.max_key.len());
        assert!(keys <= bytes.len(), "keys lie within the footer");
    }
}

// ---- a whole part --------------------------------------------------------------------------------

/// A good part, and what is in it.
fn base() -> &'static (Vec<u8>, Entries) {
    static BASE: OnceLock<(Vec<u8>, Entries)> = OnceLock::new();
    BASE.get_or_init(|| write_base().unwrap_or_default())
}

fn write_base() -> Result<(Vec<u8>, Entries)> {
    let disk = SimVfs::new(1).with_reserve(1 << 20);
    let path = Path::new("/part");
    let mut entries = Entries::new();
    for number in 0..90_u64 {
        let key = format!(
            "key {:03} {}",
            number / 2 * 3,
            "k".repeat(usize::from(number % 7 == 0) * 300)
        );
        let value = vec![b'v'; to_usize(number * 37 % 300).unwrap_or(0)];
        let kind = u8::from(number % 11 != 0);
        entries.insert((key.into_bytes(), Reverse(number)), (kind, value));
    }
    let file = disk.open(path, OpenMode::CreateNew)?;
    let mut writer = PartWriter::new(file, &UUID, NUMBER, super::LARGE_PIECE_BYTES);
    for ((key, Reverse(seq)), (kind, value)) in &entries {
        writer.add(&Entry {
            key,
            seq: *seq,
            kind: *kind,
            value,
        })?;
    }
    while writer.finish_step()?.is_none() {}
    let bytes = disk.files().into_iter().next().map(|(_, bytes)| bytes);
    Ok((bytes.unwrap_or_default(), entries))
}

/// A part file with some bytes changed, every CRC put right behind that.
///
/// The first byte says whether they are put right at all; then edits of offset u32, length u8 below 9, bytes.
pub fn part(input: &[u8]) {
    let (mut file, entries) = base().clone();
    let Some((first, bytes)) = input.split_first() else {
        return;
    };
    let mut numbers = Numbers::new(bytes);
    let mut edited = false;
    while !numbers.0.is_empty() {
        let at = to_usize(u64::from(numbers.u32())).unwrap_or(0) % file.len().max(1);
        let len = usize::from(numbers.u8() % 9).min(numbers.0.rest().len());
        let value = numbers.0.take(len).unwrap_or_default();
        if value.is_empty() && at < UNIT_BYTES {
            // Shorter by whole units.
            file.drain(at..UNIT_BYTES.min(file.len()));
        }
        put(&mut file, at, value);
        edited = true;
    }
    if first % 2 == 1 {
        reseal(&mut file);
    }
    let Some(meta) = meta_of(&file) else { return };
    let outcome = look_through(&file, meta, &entries, edited, first & 2 != 0);
    assert!(
        edited || outcome.is_ok(),
        "an untouched part is read: {outcome:?}"
    );
    match outcome {
        Ok(()) | Err(Error::Corrupt { .. }) => {}
        // A whole footer that says so is no damage.
        Err(Error::Version { found, supported }) if edited && found > supported => {}
        Err(error) => panic!("not damage: {error:?}"),
    }
}

/// What a manifest would say of the file.
fn meta_of(file: &[u8]) -> Option<PartMeta> {
    let (units, crc) = Footer::decode_tail(file.get(file.len().checked_sub(8)?..)?)?;
    let footer_len = to_usize(u64::from(units))?.checked_mul(UNIT_BYTES)?;
    let footer = Footer::decode(
        file.get(file.len().checked_sub(footer_len)?..)?,
        to_u64(file.len()),
    );
    Some(
        footer
            .unwrap_or_else(|| Footer::new(UUID, NUMBER))
            .meta(to_u64(file.len()), crc),
    )
}

/// Every page as its own header bounds it, then the footer.
fn reseal(file: &mut [u8]) {
    let len = file.len();
    let footer_at = len.saturating_sub(UNIT_BYTES);
    let mut unit = 0;
    while unit * UNIT_BYTES < footer_at {
        let at = unit * UNIT_BYTES;
        let units = file
            .get(at..)
            .and_then(PageHeader::decode)
            .map_or(1, |header| header.units);
        let units = to_usize(u64::from(units))
            .unwrap_or(1)
            .clamp(1, (footer_at - at).div_ceil(UNIT_BYTES));
        let end = (at + units * UNIT_BYTES).min(footer_at);
        if let (Ok(unit), Some(page)) = (u32::try_from(unit), file.get_mut(at..end)) {
            seal(seed(), unit, page);
        }
        unit += units;
    }
    reseal_footer(file.get_mut(footer_at..).unwrap_or_default());
}

/// Point reads, walks both ways, and the check of every byte.
fn look_through(
    file: &[u8],
    meta: PartMeta,
    entries: &Entries,
    edited: bool,
    check_every_read: bool,
) -> Result<()> {
    let disk = SimVfs::new(1).with_reserve(0);
    let path = Path::new("/part");
    disk.put(path, Arc::new(file.to_vec()))?;
    let part = Part::new(Arc::new(disk), path.to_owned(), UUID, meta, check_every_read);
    let mut first_error = Ok(());
    let mut keep = |outcome: Result<()>| {
        if first_error.is_ok() {
            first_error = outcome;
        }
    };
    for ((key, Reverse(seq)), (kind, value)) in entries {
        match part.get(key, *seq) {
            Ok(found) => {
                let found = found.map(|hit| (hit.seq, hit.kind, hit.value.to_vec()));
                assert!(
                    edited || found == Some((*seq, *kind, value.clone())),
                    "{key:?} at {seq}: {found:?}"
                );
            }
            Err(error) => keep(Err(error)),
        }
        keep(part.get(&[key.as_slice(), b"!"].concat(), *seq).map(|_| ()));
    }
    let mut cursor = part.cursor();
    let mut forwards = 0_usize;
    let mut outcome = cursor.seek_first();
    while outcome.is_ok() && cursor.entry().is_some() && forwards < MOST_STEPS {
        forwards += 1;
        outcome = cursor.next();
    }
    keep(outcome);
    let mut backwards = 0_usize;
    let mut outcome = cursor.seek_last();
    while outcome.is_ok() && cursor.entry().is_some() && backwards < MOST_STEPS {
        backwards += 1;
        outcome = cursor.prev();
    }
    keep(outcome);
    assert!(edited || (forwards, backwards) == (entries.len(), entries.len()));
    for key in [b"".as_slice(), b"key 060 ", b"key 061", b"z"] {
        keep(cursor.seek(key, 30));
        keep(cursor.seek_before(key));
    }
    let mut findings = 0;
    part.verify(&mut |_, _| findings += 1);
    assert!(edited || findings == 0, "an untouched part is sound");
    first_error
}
