//! Puts every CRC of a store's files right after bytes in them were changed, so that what lies behind the checks is
//! reached. Written from `docs/FORMAT.md` alone: it shares no code with the library.
//!
//! What has no place to stand any more (a length beyond its file) is left as it is.

use std::{collections::HashMap, sync::Arc};

use super::stores::Files;

const UNIT: usize = 4_096;

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(
        bytes.get(at..)?.first_chunk().copied()?,
    )))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn size_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64_at(bytes, at)?).ok()
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = at.checked_add(value.len()).and_then(|end| bytes.get_mut(at..end)) {
        place.copy_from_slice(value);
    }
}

fn crc_of(parts: &[&[u8]]) -> u32 {
    parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part))
}

/// `follow`: what the manifest says of index parts and of the log's last frame becomes what they now are.
pub fn repair(files: &mut Files, follow: bool) {
    let mut footers = HashMap::new();
    let mut frames = HashMap::new();
    let uuid: Vec<u8> = files
        .get("MANIFEST")
        .and_then(|manifest| manifest.get(24..40))
        .unwrap_or(&[0; 16])
        .to_vec();
    for (name, bytes) in files.iter_mut() {
        if name.ends_with(".run") {
            let bytes = bytes_of(bytes);
            let number = number_of(name, "index/", ".run");
            if let Some(footer) = repair_part(bytes, &uuid, number) {
                footers.insert(number, footer);
            }
        } else if name.starts_with("blocks/") {
            repair_chunk(bytes_of(bytes), &uuid);
        } else if name.ends_with(".log") {
            // In the order of their numbers, since a frame names the one before.
            repair_segment(
                bytes_of(bytes),
                &uuid,
                number_of(name, "log/", ".log"),
                &mut frames,
            );
        }
    }
    if let Some(manifest) = files.get_mut("MANIFEST") {
        repair_manifest(bytes_of(manifest), follow.then_some((&footers, &frames)));
    }
}

/// The file's bytes, of its own from now on.
fn bytes_of(file: &mut Arc<Vec<u8>>) -> &mut [u8] {
    Arc::make_mut(file).as_mut_slice()
}

fn number_of(name: &str, before: &str, behind: &str) -> u64 {
    let middle = name
        .strip_prefix(before)
        .and_then(|name| name.strip_suffix(behind));
    middle.and_then(|number| number.parse().ok()).unwrap_or(0)
}

// ---- index parts ---------------------------------------------------------------------------------

/// What a manifest repeats of a footer, and the length of the file.
struct Footer {
    file_len: u64,
    crc: u32,
    entries: u64,
    tombstones: u64,
    max_seq: u64,
}

fn repair_part(file: &mut [u8], uuid: &[u8], number: u64) -> Option<Footer> {
    let len = file.len() / UNIT * UNIT;
    let file = file.get_mut(..len)?;
    let units = usize::try_from(u32_at(file, len.checked_sub(8)?)?).ok()?;
    let units = if units == 0 || units > len / UNIT {
        1
    } else {
        units
    };
    let (pages, footer) = file.split_at_mut_checked(len - units * UNIT)?;
    let seed = [uuid, &number.to_le_bytes()].concat();
    let mut unit = 0;
    while unit * UNIT < pages.len() {
        let rest = pages.get_mut(unit * UNIT..)?;
        let units = usize::try_from(u32_at(rest, 8)?)
            .ok()?
            .clamp(1, rest.len() / UNIT);
        let page = rest.get_mut(..units * UNIT)?;
        let crc = crc_of(&[&seed, &u32::try_from(unit).ok()?.to_le_bytes(), page.get(4..)?]);
        put(page, 0, &crc.to_le_bytes());
        unit += units;
    }
    let end = footer.len() - 4;
    put(footer, end - 4, &u32::try_from(units).ok()?.to_le_bytes());
    put(footer, 80, uuid);
    let crc = crc_of(&[footer.get(..end)?]);
    put(footer, end, &crc.to_le_bytes());
    Some(Footer {
        file_len: len as u64,
        crc,
        entries: u64_at(footer, 24)?,
        tombstones: u64_at(footer, 32)?,
        max_seq: u64_at(footer, 48)?,
    })
}

// ---- chunks --------------------------------------------------------------------------------------

fn repair_chunk(file: &mut [u8], uuid: &[u8]) -> Option<()> {
    put(file, 0, b"SCHK");
    let crc = crc_of(&[uuid, file.get(8..32)?]);
    put(file, 4, &crc.to_le_bytes());
    let (nonce, rewrite) = (u64_at(file, 8)?, u32_at(file, 20)?);
    let mut places = HashMap::new();
    let mut end = file.len();
    if rewrite > 0 {
        end = find_table(file)?;
        let count = size_at(file, end + 8)?;
        let entries_end = count.checked_mul(8)?.checked_add(end + 16)?;
        let entries = file.get(end + 16..entries_end)?.to_vec();
        let crc = crc_of(&[
            file.get(8..24)?,
            &(end as u64).to_le_bytes(),
            &(count as u64).to_le_bytes(),
            &entries,
        ]);
        put(file, end + 4, &crc.to_le_bytes());
        for entry in entries.chunks_exact(8) {
            places.insert(u64::from(u32_at(entry, 4)?) * 8, u64::from(u32_at(entry, 0)?) * 8);
        }
    }
    let mut place = 32;
    // How far blocks are moved from their addresses since the last extent began.
    let mut moved = 0_i64;
    while place < end {
        let rest = file.get(place..)?;
        if let Some(address) = places.get(&(place as u64)) {
            moved = i64::try_from(*address)
                .ok()?
                .wrapping_sub(i64::try_from(place).ok()?);
        }
        let large = rest.starts_with(b"LBLK");
        if !large && !rest.starts_with(b"SBLK") {
            place += 8;
            continue;
        }
        let extra_len = usize::try_from(u32_at(rest, 20)?).ok()?;
        let extra = rest.get(24..24 + extra_len).unwrap_or_default();
        let address = (place as u64).wrapping_add_signed(moved);
        let crc = crc_of(&[
            &nonce.to_le_bytes(),
            &address.to_le_bytes(),
            rest.get(8..24)?,
            extra,
        ]);
        let align = if large { UNIT } else { 8 };
        let data = (24 + extra.len()).next_multiple_of(if large { UNIT } else { 1 });
        let len = size_at(rest, 8)?.min(rest.len());
        put(file, place + 4, &crc.to_le_bytes());
        place += (data + len).next_multiple_of(align);
    }
    Some(())
}

/// The last place at which a table of moved blocks can start.
fn find_table(file: &[u8]) -> Option<usize> {
    (0..file.len() / 8).rev().map(|unit| unit * 8).find(|at| {
        let here = file.get(*at..).unwrap_or_default();
        here.starts_with(b"SMOV")
    })
}

// ---- the log -------------------------------------------------------------------------------------

fn repair_segment(file: &mut [u8], uuid: &[u8], number: u64, frames: &mut HashMap<u32, u32>) -> Option<()> {
    let seed = [uuid, &number.to_le_bytes()].concat();
    let mut at = 0;
    while at < file.len() {
        let rest = file.get_mut(at..)?;
        if rest.starts_with(b"SFRM") {
            if let Some(len) = repair_frame(rest, &seed, frames) {
                at += len;
                continue;
            }
        }
        if rest.starts_with(b"SMRK") && rest.len() >= 32 {
            let crc = crc_of(&[&seed, rest.get(8..32)?]);
            put(rest, 4, &crc.to_le_bytes());
        }
        at += 8;
    }
    Some(())
}

fn repair_frame(bytes: &mut [u8], seed: &[u8], frames: &mut HashMap<u32, u32>) -> Option<usize> {
    let old = u32_at(bytes, 4)?;
    if let Some(new) = frames.get(&u32_at(bytes, 32)?) {
        put(bytes, 32, &new.to_le_bytes());
    }
    let assigned_end = usize::try_from(u32_at(bytes, 44)?).ok()?.checked_add(64)?;
    let commands = size_at(bytes, 48)?.checked_next_multiple_of(8)?;
    let end = assigned_end
        .checked_add(commands)?
        .checked_add(size_at(bytes, 56)?)?;
    let crc = crc_of(&[bytes.get(assigned_end..end)?]);
    put(bytes, 36, &crc.to_le_bytes());
    let crc = crc_of(&[seed, bytes.get(8..assigned_end)?]);
    put(bytes, 4, &crc.to_le_bytes());
    // 0 says that there is no frame before.
    if old != 0 {
        frames.insert(old, crc);
    }
    Some(end)
}

// ---- the manifest --------------------------------------------------------------------------------

type Followed<'a> = (&'a HashMap<u64, Footer>, &'a HashMap<u32, u32>);

fn repair_manifest(file: &mut [u8], followed: Option<Followed<'_>>) -> Option<()> {
    let half = file.len() / 2;
    let (first, second) = file.split_at_mut_checked(half)?;
    for copy in [first, second] {
        let len = size_at(copy, 16)?;
        if let (Some(followed), Some(body)) =
            (followed, copy.get_mut(24..).and_then(|rest| rest.get_mut(..len)))
        {
            follow(body, followed);
        }
        let body = copy.get(24..)?.get(..len)?;
        let crc = crc_of(&[copy.get(8..12)?, copy.get(16..24)?, body]);
        put(copy, 12, &crc.to_le_bytes());
    }
    Some(())
}

/// Goes through the body as far as it makes sense.
fn follow(body: &mut [u8], (footers, frames): Followed<'_>) -> Option<()> {
    if let Some(crc) = frames.get(&u32_at(body, 64)?) {
        put(body, 64, &crc.to_le_bytes());
    }
    let chunks = size_at(body, 164)?;
    let mut at = chunks.checked_mul(49)?.checked_add(172)?;
    let runs = size_at(body, at)?;
    at += 8;
    for _ in 0..runs {
        let parts = size_at(body, at + 8)?;
        at += 16;
        for _ in 0..parts {
            if let Some(footer) = footers.get(&u64_at(body, at)?) {
                put(body, at + 8, &footer.file_len.to_le_bytes());
                put(body, at + 16, &footer.crc.to_le_bytes());
                put(body, at + 20, &footer.entries.to_le_bytes());
                put(body, at + 28, &footer.tombstones.to_le_bytes());
            }
            let file = u64_at(body, at)?;
            at += 36;
            for _ in 0..2 {
                at = size_at(body, at)?.checked_add(at + 8)?;
            }
            if let Some(footer) = footers.get(&file) {
                put(body, at, &footer.max_seq.to_le_bytes());
            }
            at += 8;
        }
        let above = body.get(at).copied()?;
        at += 1;
        if above == 1 {
            at = size_at(body, at)?.checked_add(at + 8)?;
        }
        at += if body.get(at).copied()? == 1 { 9 } else { 1 };
    }
    Some(())
}

/// Places where something begins: fields of the manifest, frames, blocks, pages, footers.
pub fn anchors(name: &str, file: &[u8]) -> Vec<usize> {
    if name == "MANIFEST" {
        let fields = [
            16, 24, 32, 40, 48, 56, 64, 68, 76, 84, 92, 96, 104, 112, 116, 124, 132, 140, 148, 156, 164,
        ];
        let body = (172..).step_by(7).take(60);
        return fields.into_iter().chain(body).map(|at| 24 + at).collect();
    }
    let magics: [&[u8]; 7] = [b"SFRM", b"SMRK", b"SBLK", b"LBLK", b"SMOV", b"SCHK", b"SARSENRN"];
    let mut places: Vec<usize> = (0..file.len() / 8)
        .map(|unit| unit * 8)
        .filter(|at| {
            let rest = file.get(*at..).unwrap_or_default();
            magics.iter().any(|magic| rest.starts_with(magic))
        })
        .collect();
    if name.ends_with(".run") {
        for page in (0..file.len()).step_by(UNIT) {
            places.push(page);
            // Where its entries begin.
            let rest = file.get(page..).unwrap_or_default();
            let entries = u16_at(rest, 16).map(|prefix| 20 + prefix).unwrap_or(0);
            places.push(page + entries);
            let first = u16_at(rest, entries).map_or(0, |slot| slot * 4);
            places.push(page + first);
        }
    }
    places.push(0);
    places
}

/// Zeros in the place of every CRC that [`repair`] puts right; how many those are.
pub fn wipe(files: &mut Files) -> usize {
    let mut count = 0;
    for (name, file) in files.iter_mut() {
        let file = bytes_of(file);
        let mut crcs: Vec<usize> = Vec::new();
        if name == "MANIFEST" {
            crcs.extend([12, file.len() / 2 + 12]);
        } else if name.ends_with(".run") {
            crcs.extend(
                (0..file.len())
                    .step_by(UNIT)
                    .filter(|page| file[*page..].len() > UNIT),
            );
            crcs.push(file.len() - 4);
            // Inside a page of several units there is none.
            crcs.retain(|at| *at % UNIT != 0 || starts_page(file, *at));
        } else if name.starts_with("blocks/") || name.ends_with(".log") {
            crcs.extend(
                anchors(name, file)
                    .into_iter()
                    .filter(|at| has_magic(&file[*at..]))
                    .map(|at| at + 4),
            );
        }
        for at in crcs {
            put(file, at, &[0; 4]);
            count += 1;
        }
    }
    count
}

fn has_magic(bytes: &[u8]) -> bool {
    let magics: [&[u8]; 6] = [b"SFRM", b"SMRK", b"SBLK", b"LBLK", b"SMOV", b"SCHK"];
    magics.iter().any(|magic| bytes.starts_with(magic))
}

fn starts_page(file: &[u8], at: usize) -> bool {
    let mut page = 0;
    while page < at {
        let units = u32_at(file, page + 8).map_or(1, |units| units.clamp(1, 16));
        page += usize::try_from(units).unwrap_or(1) * UNIT;
    }
    page == at
}
