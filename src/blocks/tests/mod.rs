//! Claims about blocks, tried on the simulated disk and, where maps or lengths matter, on the real one.

mod ahead;
mod damage;
mod large;
mod pending;
mod reading;
mod rewriting;

use std::{
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc,
    },
};

use super::*;
use crate::{
    error::{Error, Result},
    format::{block, manifest::ChunkMeta},
    vfs::{sim::SimVfs, OpenMode, OsVfs, Vfs},
};

const NONCE: u64 = 0x1234_5678_9abc_def0;
const CAPACITY: u64 = 1 << 20;

/// A place for chunks; a directory of the real disk goes with it.
#[derive(Debug)]
struct Place {
    vfs: Arc<dyn Vfs>,
    directory: PathBuf,
    real: bool,
}

impl Place {
    fn real() -> Place {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let unique = format!(
            "sarsen-blocks-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let directory = std::env::temp_dir().join(unique);
        let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
        vfs.create_directory(&directory).unwrap();
        Place {
            vfs,
            directory,
            real: true,
        }
    }

    fn simulated() -> (Place, SimVfs) {
        let sim = SimVfs::new(7);
        let directory = PathBuf::from("/blocks");
        sim.create_directory(&directory).unwrap();
        sim.sync_directory(Path::new("/")).unwrap();
        (
            Place {
                vfs: Arc::new(sim.clone()),
                directory,
                real: false,
            },
            sim,
        )
    }

    /// The same directory of another disk, e.g. after a crash.
    fn on(sim: &SimVfs) -> Place {
        Place {
            vfs: Arc::new(sim.clone()),
            directory: PathBuf::from("/blocks"),
            real: false,
        }
    }

    fn create(&self, number: u32, large: bool) -> Arc<Chunk> {
        Chunk::create(
            &self.vfs,
            &self.directory,
            number,
            NONCE,
            large,
            CAPACITY,
            ChunkOptions::default(),
        )
        .unwrap()
    }

    fn open(&self, meta: &ChunkMeta) -> Arc<Chunk> {
        Chunk::open(
            &self.vfs,
            &self.directory,
            meta,
            CAPACITY,
            ChunkOptions::default(),
        )
    }

    fn open_checking(&self, meta: &ChunkMeta) -> Arc<Chunk> {
        Chunk::open(
            &self.vfs,
            &self.directory,
            meta,
            CAPACITY,
            ChunkOptions {
                check_every_read: true,
                ..ChunkOptions::default()
            },
        )
    }

    fn large_writer(&self, chunk_bytes: u64, first_number: u32) -> LargeWriter {
        let next = Arc::new(crate::vfs::sync::atomic::AtomicU32::new(first_number));
        LargeWriter::new(
            Arc::clone(&self.vfs),
            self.directory.clone(),
            chunk_bytes,
            next,
            ChunkOptions::default(),
        )
    }

    /// A chunk of small blocks as a checkpoint leaves it, synced.
    fn small(&self, number: u32, blocks: &[(Vec<u8>, Vec<u8>)]) -> (Arc<Chunk>, Vec<BlockAddress>) {
        let chunk = self.create(number, false);
        let mut addresses = Vec::new();
        let mut bytes = Vec::new();
        for (owner, data) in blocks {
            let offset = first_offset(false) + to_u64(bytes.len());
            let address = small_block(&mut bytes, &chunk, offset, owner, data);
            addresses.push(address);
        }
        chunk.write(first_offset(false), &bytes).unwrap();
        chunk.set_len(first_offset(false) + to_u64(bytes.len()));
        chunk.sync().unwrap();
        self.vfs.sync_directory(&self.directory).unwrap();
        (chunk, addresses)
    }

    fn file_bytes(&self, path: &Path) -> Vec<u8> {
        let file = self.vfs.open(path, OpenMode::Read).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        bytes
    }

    fn overwrite(&self, path: &Path, offset: u64, bytes: &[u8]) {
        self.vfs
            .open(path, OpenMode::Write)
            .unwrap()
            .write_at(offset, bytes)
            .unwrap();
    }

    fn flip(&self, path: &Path, offset: u64, bit: u8) {
        let file = self.vfs.open(path, OpenMode::Write).unwrap();
        let mut byte = [0];
        file.read_at(offset, &mut byte).unwrap();
        file.write_at(offset, &[byte[0] ^ (1 << bit)]).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let entries = self.vfs.list(&self.directory).unwrap();
        entries
            .into_iter()
            .map(|entry| entry.name.into_string().unwrap())
            .collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.real {
            std::fs::remove_dir_all(&self.directory).unwrap();
        }
    }
}

/// Appends a finished small block to bytes that go to a chunk.
fn small_block(bytes: &mut Vec<u8>, chunk: &Chunk, offset: u64, owner: &[u8], data: &[u8]) -> BlockAddress {
    let crc32c = crc32c::crc32c(data);
    let header = BlockHeader {
        kind: BlockKind::Small,
        len: to_u64(data.len()),
        data_crc: crc32c,
        extra_len: u32::try_from(owner.len()).unwrap(),
    };
    bytes.extend_from_slice(&header.encode(Some((chunk.nonce(), offset)), owner));
    bytes.extend_from_slice(owner);
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    BlockAddress {
        chunk: chunk.number(),
        crc32c,
        offset,
        len: to_u64(data.len()),
    }
}

/// Bytes that look random and depend on the seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

fn is_refused<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::NotFound | Error::Corrupt { .. }))
}

fn is_corrupt<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Corrupt { .. }))
}

fn is_not_found<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::NotFound))
}

fn bytes_of(chunk: &Chunk, address: &BlockAddress) -> Result<Vec<u8>> {
    chunk
        .read(address, 0, address.len)
        .map(|slice| slice.bytes().to_vec())
}

/// What reclaiming sees of a chunk.
fn walk(chunk: &Chunk, from: u64, each: &mut dyn FnMut(&FoundBlock<'_>) -> Result<bool>) -> Result<()> {
    super::walk::walk_placed(chunk, from, &mut |placed| each(&placed.found))
}

/// What verify has to say.
fn findings(chunk: &Chunk) -> Vec<(u64, String)> {
    let mut findings = Vec::new();
    chunk.verify(&mut |offset, what| findings.push((offset, what)));
    findings
}

#[test]
fn a_chunk_file_name_says_number_and_rewrite_count() {
    for (number, rewrite, name) in [
        (0, 0, "chunk_0000.bin"),
        (12, 0, "chunk_0012.bin"),
        (7, 3, "chunk_0007.r3.bin"),
        (12_345, 0, "chunk_12345.bin"),
        (u32::MAX, u32::MAX, "chunk_4294967295.r4294967295.bin"),
    ] {
        assert_eq!(chunk_file_name(number, rewrite), name);
        assert_eq!(parse_chunk_file_name(name), Some((number, rewrite)));
    }
    for name in [
        "",
        "chunk_.bin",
        "chunk_1.bin",
        "chunk_0001.r0.bin",
        "chunk_0001.bin.tmp",
        "chunk_00001.bin",
    ] {
        assert_eq!(parse_chunk_file_name(name), None, "{name}");
    }
    assert_eq!(parse_chunk_file_name("chunk_+001.bin"), None);
    assert_eq!(parse_chunk_file_name("chunk_4294967296.bin"), None);
}

#[test]
fn a_set_finds_chunks_by_number_and_replaces_without_touching_the_old_set() {
    let (place, _) = Place::simulated();
    let set = [5, 1, 9]
        .into_iter()
        .map(|number| place.create(number, false))
        .collect::<ChunkSet>();
    assert_eq!(
        set.iter().map(|chunk| chunk.number()).collect::<Vec<_>>(),
        [1, 5, 9]
    );
    let newer = place.open(&ChunkMeta {
        rewrite: 1,
        ..set.get(5).unwrap().meta()
    });
    let replaced = set
        .with(Arc::clone(&newer))
        .with(place.create(6, true))
        .without(1);
    assert_eq!(
        replaced.iter().map(|chunk| chunk.number()).collect::<Vec<_>>(),
        [5, 6, 9]
    );
    assert!(Arc::ptr_eq(replaced.get(5).unwrap(), &newer));
    assert!(!Arc::ptr_eq(set.get(5).unwrap(), &newer));
    assert!(set.get(1).is_some() && replaced.get(1).is_none() && set.get(6).is_none());
}

#[test]
fn a_leftover_file_of_a_crash_is_replaced_by_a_new_chunk() {
    let (place, _) = Place::simulated();
    let old = place.create(3, false);
    old.write(32, &[7; 1000]).unwrap();
    let new = Chunk::create(
        &place.vfs,
        &place.directory,
        3,
        99,
        false,
        CAPACITY,
        ChunkOptions::default(),
    )
    .unwrap();
    assert_eq!(
        place.file_bytes(new.path()),
        block::ChunkHeader {
            nonce: 99,
            number: 3,
            rewrite: 0
        }
        .encode(&ChunkOptions::default().uuid)
    );
}

#[test]
fn a_chunk_that_could_not_get_its_header_leaves_no_file() {
    use crate::vfs::sim::{Fault, FaultKind, Operation};
    let (place, sim) = Place::simulated();
    sim.fail(Fault::new(Operation::Write, 1, FaultKind::ShortWrite));
    let result = Chunk::create(
        &place.vfs,
        &place.directory,
        0,
        1,
        true,
        CAPACITY,
        ChunkOptions::default(),
    );
    assert!(matches!(result, Err(Error::NoSpace { .. })));
    assert!(place.names().is_empty());
}
