//! What fuzzing asks of chunk files, whatever the bytes in them: blocks with the bytes that their CRCs name, or an
//! error. See `format::fuzzing`.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use super::{
    chunk_file_name, first_offset,
    moved::{encode_entries, encode_header, Entry, MovedTable},
    walk::walk_placed,
    Chunk, ChunkOptions, MAX_CHUNK_BYTES,
};
use crate::{
    error::{Error, Result},
    format::{
        align8,
        block::{
            encode_large_head, large_crcs, BlockAddress, BlockHeader, BlockKind, ChunkHeader, HEADER_BYTES,
        },
        bytes::{to_u64, to_usize, u64_at},
        fuzzing::{mode, put, Mode, Numbers, Seed},
        manifest::ChunkMeta,
        BLOCK_PAGE_BYTES,
    },
    vfs::{sim::SimVfs, Region, Vfs},
};

const NONCE: u64 = 0x0123_4567_89ab_cdef;
/// Blocks of a walk that are looked at.
const MOST_BLOCKS: usize = 2_000;

/// Inputs for one of these, by its name.
pub fn block_seeds(target: &str) -> Vec<Seed> {
    match target {
        "moved" => vec![
            ("one_extent", [&[2], [1, 0, 2, 0].as_slice()].concat()),
            (
                "two_extents",
                [&[2], [1, 0, 2, 0, 3, 0, 1, 0].as_slice()].concat(),
            ),
            (
                "raw",
                [&[1], [4_u8, 0, 0, 0, 4, 0, 0, 0].as_slice(), &[0; 64]].concat(),
            ),
        ],
        "chunk" => vec![
            ("small", vec![0]),
            ("large", vec![1]),
            ("rewritten", vec![2]),
            (
                "small_len",
                vec![8, 40, 0, 0, 0, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            ),
            ("large_crc", vec![9, 16, 16, 0, 0, 4, 1, 2, 3, 4]),
        ],
        _ => Vec::new(),
    }
}

fn meta(number: u32, rewrite: u32, large: bool, len: u64, table_offset: u64) -> ChunkMeta {
    ChunkMeta {
        number,
        rewrite,
        nonce: NONCE,
        large,
        len,
        table_offset,
        last_seq: 9,
        dead_bytes: 0,
    }
}

// ---- the table of moved blocks -------------------------------------------------------------------

/// A table at the end of a file of nothing else.
pub fn moved(input: &[u8]) {
    let Some((mode, bytes)) = mode(input) else { return };
    let large = false;
    let first = first_offset(large);
    let mut numbers = Numbers::new(bytes);
    let (entries, table_offset) = if mode == Mode::Built {
        let mut entries = Vec::new();
        let (mut address, mut place) = (first, first);
        while !numbers.0.is_empty() {
            address = address.saturating_add(u64::from(numbers.u16()).saturating_mul(8));
            let len = u64::from(numbers.u16()).saturating_add(1).saturating_mul(8);
            entries.extend(Entry::new(address, place));
            address = address.saturating_add(len);
            place = place.saturating_add(len);
        }
        (entries, place)
    } else {
        let table_offset = u64::from(numbers.u16()).saturating_mul(8);
        let mut entries = Vec::new();
        while !numbers.0.is_empty() {
            let at = |number: u32| u64::from(number).saturating_mul(8);
            entries.extend(Entry::new(at(numbers.u32()), at(numbers.u32())));
        }
        (entries, table_offset)
    };
    let len = table_offset
        .saturating_add(16)
        .saturating_add(to_u64(entries.len()).saturating_mul(8));
    let meta = meta(3, 1, large, len, table_offset);
    let mut header = encode_header(&meta, &entries);
    if mode == Mode::Raw {
        header.iter_mut().zip(bytes).for_each(|(to, from)| *to ^= from);
    }
    let table = [header.as_slice(), &encode_entries(&entries)].concat();
    let Some(region) = to_usize(len).and_then(|len| Region::anonymous(len).ok()) else {
        return;
    };
    assert!(region.store(table_offset, &table).is_some());
    match MovedTable::check(&region, &meta, first) {
        Ok(table) => check_moved(&table, &region, &entries),
        Err(what) => assert!(
            mode != Mode::Built || entries.is_empty(),
            "a good table is refused: {what}"
        ),
    }
}

/// Extents cover the file up to the table and lead every address in them to one place, and others nowhere.
fn check_moved(table: &MovedTable, region: &Region, entries: &[Entry]) {
    assert_eq!(table.count(), to_u64(entries.len()));
    let mut last_end = 0;
    for index in 0..table.count() {
        let Some(extent) = table.extent(region, index) else {
            panic!("extent {index} of a checked table is missing");
        };
        let end = extent.address.saturating_add(extent.len);
        assert!(extent.address >= last_end && end <= MAX_CHUNK_BYTES);
        for (address, place) in [
            (extent.address, extent.place),
            (end - 8, extent.place + extent.len - 8),
        ] {
            assert_eq!(
                table.place_of(region, address),
                Some((place, extent.place + extent.len))
            );
        }
        if extent.address > last_end {
            assert_eq!(
                table.place_of(region, extent.address - 8),
                None,
                "a gap leads nowhere"
            );
        }
        last_end = end;
    }
    assert_eq!(table.place_of(region, last_end), None);
    assert_eq!(table.place_of(region, u64::MAX), None);
    assert_eq!(table.extent(region, table.count()), None);
}

// ---- a whole chunk -------------------------------------------------------------------------------

/// A good chunk with the addresses of its blocks.
struct Base {
    meta: ChunkMeta,
    file: Vec<u8>,
    blocks: Vec<(BlockAddress, Vec<u8>)>,
    /// Where in the file they are.
    places: Vec<u64>,
}

fn bases() -> &'static [Base; 3] {
    static BASES: OnceLock<[Base; 3]> = OnceLock::new();
    BASES.get_or_init(|| [small_base(), large_base(), rewritten_base()])
}

fn file_start(meta: &ChunkMeta) -> Vec<u8> {
    let header = ChunkHeader {
        nonce: meta.nonce,
        number: meta.number,
        rewrite: meta.rewrite,
    };
    let mut file = header.encode(&ChunkOptions::default().uuid).to_vec();
    file.resize(to_usize(first_offset(meta.large)).unwrap_or(0), 0);
    file
}

fn small_block(address: u64, owner: &[u8], data: &[u8]) -> Vec<u8> {
    let header = BlockHeader {
        kind: BlockKind::Small,
        len: to_u64(data.len()),
        data_crc: crc32c::crc32c(data),
        extra_len: u32::try_from(owner.len()).unwrap_or(0),
    };
    let mut block = [
        header.encode(Some((NONCE, address)), owner).as_slice(),
        owner,
        data,
    ]
    .concat();
    block.resize(to_usize(align8(to_u64(block.len()))).unwrap_or(0), 0);
    block
}

fn small_base() -> Base {
    let mut meta = meta(1, 0, false, 0, 0);
    let mut file = file_start(&meta);
    let mut blocks = Vec::new();
    for (number, len) in (0_u8..).zip([5, 0, 900, 63, 64, 300]) {
        let (address, data) = (to_u64(file.len()), vec![number; len]);
        let owner = [2, 0, 0, 0, 0, 0, 0, 0, number];
        file.extend_from_slice(&small_block(address, &owner, &data));
        let crc32c = crc32c::crc32c(&data);
        blocks.push((
            BlockAddress {
                chunk: 1,
                crc32c,
                offset: address,
                len: to_u64(len),
            },
            data,
        ));
    }
    meta.len = to_u64(file.len());
    let places = blocks.iter().map(|(address, _)| address.offset).collect();
    Base {
        meta,
        file,
        blocks,
        places,
    }
}

fn large_base() -> Base {
    let mut meta = meta(2, 0, true, 0, 0);
    let mut file = file_start(&meta);
    let mut blocks = Vec::new();
    for (number, len) in (0_u8..).zip([33_000, 70_000]) {
        let (address, data) = (to_u64(file.len()), vec![number; len]);
        let (head, _) = encode_large_head(NONCE, address, &data);
        file.extend_from_slice(&head);
        file.extend_from_slice(&data);
        file.resize(file.len().next_multiple_of(4_096), 0);
        let crc32c = large_crcs(&data).1;
        blocks.push((
            BlockAddress {
                chunk: 2,
                crc32c,
                offset: address,
                len: to_u64(len),
            },
            data,
        ));
    }
    meta.len = to_u64(file.len());
    let places = blocks.iter().map(|(address, _)| address.offset).collect();
    Base {
        meta,
        file,
        blocks,
        places,
    }
}

/// What rewriting the small one leaves when every other block is dead.
fn rewritten_base() -> Base {
    let small = small_base();
    let mut meta = meta(1, 1, false, 0, 0);
    let mut file = file_start(&meta);
    let (mut entries, mut blocks, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for (number, (address, data)) in (0_u8..).zip(small.blocks).filter(|(number, _)| number % 2 == 0) {
        entries.extend(Entry::new(address.offset, to_u64(file.len())));
        places.push(to_u64(file.len()));
        let owner = [2, 0, 0, 0, 0, 0, 0, 0, number];
        file.extend_from_slice(&small_block(address.offset, &owner, &data));
        blocks.push((address, data));
    }
    meta.table_offset = to_u64(file.len());
    meta.len = meta
        .table_offset
        .saturating_add(16)
        .saturating_add(to_u64(entries.len() * 8));
    file.extend_from_slice(&encode_header(&meta, &entries));
    file.extend_from_slice(&encode_entries(&entries));
    Base {
        meta,
        file,
        blocks,
        places,
    }
}

/// A chunk file with some bytes changed and, if so asked, every CRC put right behind that.
///
/// The first byte: its lowest bits choose the chunk, bit 3 repairs, bit 4 checks at every read, bit 5 takes the chunk's
/// lengths from the next eight bytes. Then edits of offset u32, length u8 below 17, bytes; length 0 cuts the file there.
pub fn chunk(input: &[u8]) {
    let Some((first, bytes)) = input.split_first() else {
        return;
    };
    let Some(base) = bases().get(usize::from(first % 8 % 3)) else {
        return;
    };
    let (mut meta, mut file) = (base.meta, base.file.clone());
    let mut numbers = Numbers::new(bytes);
    let mut edited = false;
    if first & 32 != 0 {
        meta.len = u64::from(numbers.u32());
        meta.table_offset = u64::from(numbers.u32());
        edited = true;
    }
    while !numbers.0.is_empty() && !file.is_empty() {
        let at = to_usize(u64::from(numbers.u32())).unwrap_or(0) % file.len();
        let len = usize::from(numbers.u8() % 17).min(numbers.0.rest().len());
        let value = numbers.0.take(len).unwrap_or_default();
        if value.is_empty() {
            file.truncate(at);
        }
        put(&mut file, at, value);
        edited = true;
    }
    if first & 8 != 0 {
        repair(base, &meta, &mut file);
    }
    let options = ChunkOptions {
        check_every_read: first & 16 != 0,
        ..ChunkOptions::default()
    };
    let outcome = look_through(base, &meta, file, options, edited);
    assert!(
        edited || outcome.is_ok(),
        "an untouched chunk is read: {outcome:?}"
    );
    if let Err(error) = outcome {
        assert!(
            matches!(error, Error::Corrupt { .. } | Error::NotFound),
            "not damage: {error:?}"
        );
    }
}

/// The chunk's header, the header of whatever starts like a block, and the table.
fn repair(base: &Base, meta: &ChunkMeta, file: &mut [u8]) {
    let start = file_start(meta);
    put(file, 0, start.get(..32).unwrap_or_default());
    let mut place = first_offset(meta.large);
    while let Some(at) = to_usize(place).filter(|at| *at < file.len()) {
        let rest = file.get(at..).unwrap_or_default();
        let Some(header) = BlockHeader::decode(rest) else {
            place = place.saturating_add(if meta.large { 4_096 } else { 8 });
            continue;
        };
        let extra_end = to_usize(u64::from(header.extra_len))
            .unwrap_or(0)
            .saturating_add(HEADER_BYTES);
        let extra = rest.get(HEADER_BYTES..extra_end).unwrap_or_default();
        // In a rewritten chunk blocks keep the addresses they had.
        let known = base.places.iter().position(|known| *known == place);
        let address = known.and_then(|number| base.blocks.get(number));
        let address = address.map_or(place, |(address, _)| address.offset);
        let again = header.encode(Some((meta.nonce, address)), extra);
        put(file, at, &again);
        place = place.saturating_add(header.total_bytes());
    }
    if let Some(table) = to_usize(meta.table_offset).filter(|at| meta.rewrite > 0 && *at < file.len()) {
        let count = u64_at(file, table.saturating_add(8)).unwrap_or(0);
        let entries = file.get(table.saturating_add(16)..).unwrap_or_default();
        let entries = to_usize(count.saturating_mul(8))
            .and_then(|len| entries.get(..len))
            .unwrap_or_default();
        let crc = [
            meta.nonce.to_le_bytes().as_slice(),
            &meta.number.to_le_bytes(),
            &meta.rewrite.to_le_bytes(),
            &meta.table_offset.to_le_bytes(),
            &count.to_le_bytes(),
            entries,
        ]
        .concat();
        let crc = crc32c::crc32c(&crc).to_le_bytes();
        put(file, table, b"SMOV");
        put(file, table.saturating_add(4), &crc);
    }
}

fn look_through(
    base: &Base,
    meta: &ChunkMeta,
    file: Vec<u8>,
    options: ChunkOptions,
    edited: bool,
) -> Result<()> {
    let disk = SimVfs::new(1).with_reserve(0);
    let path = Path::new("/").join(chunk_file_name(meta.number, meta.rewrite));
    disk.put(&path, Arc::new(file))?;
    let vfs: Arc<dyn Vfs> = Arc::new(disk);
    let chunk = Chunk::open(&vfs, Path::new("/"), meta, 65_536, options);
    let mut first_error = Ok(());
    let mut keep = |outcome: Result<()>| {
        if first_error.is_ok() {
            first_error = outcome;
        }
    };
    for (address, data) in &base.blocks {
        match chunk.read(address, 0, address.len) {
            // The address names the CRC, so a block that is found is this one, or one that was made to look like it.
            Ok(slice) => {
                assert_eq!(to_u64(slice.bytes().len()), address.len);
                // Pages that are read one by one have CRCs of their own.
                let by_page = edited && slice.bytes().len() > BLOCK_PAGE_BYTES;
                assert!(
                    by_page || crc32c::crc32c(slice.bytes()) == address.crc32c,
                    "bytes that were handed out"
                );
                assert!(edited || slice.bytes() == data.as_slice());
            }
            Err(error) => keep(Err(error)),
        }
        keep(chunk.check(address));
        for altered in [
            BlockAddress {
                offset: address.offset ^ 8,
                ..*address
            },
            BlockAddress {
                len: u64::MAX,
                ..*address
            },
            BlockAddress {
                offset: u64::MAX - 7,
                ..*address
            },
            BlockAddress {
                len: address.len.wrapping_add(4_096),
                ..*address
            },
        ] {
            let found = chunk.read(&altered, 0, altered.len.min(16));
            if let Ok(slice) = found {
                assert!(
                    edited,
                    "{altered:?} is nobody's address, but gives {} bytes",
                    slice.len()
                );
            }
        }
        keep(chunk.contains(address.offset).map(|_| ()));
    }
    let mut walked = 0;
    let outcome = walk_placed(&chunk, 0, &mut |placed| {
        walked += 1;
        assert!(placed.found.total_bytes >= to_u64(HEADER_BYTES + placed.data.len()));
        Ok(walked < MOST_BLOCKS)
    });
    keep(outcome);
    assert!(edited || walked == base.blocks.len());
    let mut findings = 0;
    chunk.verify(&mut |_, _| findings += 1);
    assert!(edited || findings == 0, "an untouched chunk is sound");
    first_error
}
