//! Files that somebody forged, every CRC right: what no batch takes, since it is beyond the limits, is damage with its
//! place wherever it is read, and never an error about an argument that the caller did not pass.
//!
//! Frames are built from `docs/FORMAT.md` alone and put behind the last one of a small store's log.

#![cfg(feature = "simulation")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test says what it saw, and why it can't go on"
)]
#![expect(unsafe_code, reason = "it calls the C API as C does")]

#[expect(dead_code, reason = "the fuzz targets use more of it")]
#[path = "../fuzz/harness/model.rs"]
mod model;
#[expect(dead_code, reason = "the fuzz targets use more of it")]
#[path = "../fuzz/harness/repair.rs"]
mod repair;
#[expect(dead_code, reason = "the fuzz targets use more of it")]
#[path = "../fuzz/harness/stores.rs"]
mod stores;

use std::{
    ffi::{c_char, CStr},
    ptr,
    sync::Arc,
};

use sarsen::{c_api::*, simulation::SimVfs, Damage, Error, Options, Store};
use stores::{bases, disk_with, root, Files};

const HEADER_BYTES: usize = 64;
/// One that the store doesn't have yet.
const CHUNK: u32 = 1_000;
const SEGMENT_UNIT: usize = 4_096;

/// One command of a frame, and what comes with it.
struct Contents {
    command: Vec<u8>,
    /// About a stream, which has nothing to do.
    is_of_stream: bool,
    image: Vec<u8>,
}

fn contents(variant: u32, fields: &[&[u8]]) -> Contents {
    Contents {
        command: [variant.to_le_bytes().as_slice(), &fields.concat()].concat(),
        is_of_stream: false,
        image: Vec::new(),
    }
}

fn counted(bytes: &[u8]) -> Vec<u8> {
    [(bytes.len() as u64).to_le_bytes().as_slice(), bytes].concat()
}

/// Appends memory 7, of no bytes, its block the only one of the frame's image; its key as owner is left out until a
/// checkpoint.
fn memory(tags: &[&str]) -> Contents {
    let list: Vec<u8> = tags.iter().flat_map(|tag| counted(tag.as_bytes())).collect();
    let count = (tags.len() as u64).to_le_bytes();
    let mut image = [b"SBLK".as_slice(), &[0; 16], &9_u32.to_le_bytes(), &[0; 9]].concat();
    image.resize(image.len().next_multiple_of(8), 0);
    Contents {
        image,
        ..contents(2, &[&7_u64.to_le_bytes(), &count, &list, &[0; 12]])
    }
}

fn delete_key(len: usize) -> Contents {
    contents(5, &[&counted(&vec![b'k'; len])])
}

fn trim_stream(len: usize) -> Contents {
    Contents {
        is_of_stream: true,
        ..contents(7, &[&counted(&vec![b's'; len]), &0_u64.to_le_bytes()])
    }
}

/// A frame behind the last one.
struct Forged {
    files: Files,
    /// Its segment's file and its offset there.
    file: String,
    offset: u64,
    seq: u64,
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("a field")
}

fn size(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u64::from_le_bytes(field(bytes, at))).expect("a length")
}

fn forge(base: &Files, contents: &Contents) -> Forged {
    let mut files = base.clone();
    let (file, bytes) = files
        .iter_mut()
        .rfind(|(name, _)| name.starts_with("log/"))
        .expect("a segment");
    let (file, bytes) = (file.clone(), Arc::make_mut(bytes));
    let (mut last, mut end) = (0, 0);
    while bytes[end..].starts_with(b"SFRM") {
        last = end;
        let assigned = usize::try_from(u32::from_le_bytes(field(bytes, last + 44))).expect("a length");
        let commands = size(bytes, last + 48).next_multiple_of(8);
        end += HEADER_BYTES + assigned + commands + size(bytes, last + 56);
    }
    assert!(end > 0, "{file} has a frame to go on from");
    let seq = u64::from_le_bytes(field(bytes, last + 8)) + 1;
    let mut assigned = [0; 16];
    if !contents.image.is_empty() {
        assigned[..4].copy_from_slice(&CHUNK.to_le_bytes());
        assigned[8..].copy_from_slice(&32_u64.to_le_bytes());
    }
    let mut assigned = assigned.to_vec();
    if contents.is_of_stream {
        assigned[4..8].copy_from_slice(&1_u32.to_le_bytes());
        assigned.extend([0_u64, 0, 0, 3].map(u64::to_le_bytes).concat());
    }
    let (commands, image) = (&contents.command, &contents.image);
    let mut frame = b"SFRM".to_vec();
    frame.extend([0; 4]);
    frame.extend(seq.to_le_bytes());
    frame.extend(field::<8>(bytes, last + 16));
    frame.extend([0; 8]);
    frame.extend(field::<4>(bytes, last + 4));
    frame.extend([0; 4]);
    frame.extend(1_u32.to_le_bytes());
    frame.extend(u32::try_from(assigned.len()).expect("a length").to_le_bytes());
    frame.extend((commands.len() as u64).to_le_bytes());
    frame.extend((image.len() as u64).to_le_bytes());
    frame.extend(assigned);
    frame.extend(commands);
    frame.resize(frame.len().next_multiple_of(8), 0);
    frame.extend(image);
    // Whole units of zeros, with room for a mark, as a segment is made.
    let size = bytes
        .len()
        .max((end + frame.len() + 32).next_multiple_of(SEGMENT_UNIT));
    bytes.truncate(end);
    bytes.extend(frame);
    bytes.resize(size, 0);
    repair::repair(&mut files, true);
    Forged {
        files,
        file,
        offset: end as u64,
        seq,
    }
}

impl Forged {
    fn is_told_by(&self, error: &Error) -> bool {
        matches!(error, Error::Corrupt(damage)
            if (&damage.file, damage.offset, damage.first_seq, damage.last_seq)
                == (&self.file, self.offset, self.seq, self.seq))
    }

    /// What a C program that follows the log of a store gets when this frame comes.
    fn next(&self, base: &Files) -> (sarsen_status, Option<Error>) {
        let disk = disk_with(base);
        let options = sarsen_options_new();
        let (mut store, mut reader, mut error) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        let mut told = std::mem::MaybeUninit::<sarsen_command>::zeroed();
        // SAFETY: live handles that are freed once, and places of this frame.
        unsafe {
            assert_eq!(sarsen_options_set_read_only(options, true), SARSEN_OK);
            assert_eq!(
                open_on(&disk, root(), options, &mut store, ptr::null_mut()),
                SARSEN_OK
            );
            put(&disk, &self.files);
            assert_eq!(
                sarsen_log_read(store, self.seq, 0, &mut reader, ptr::null_mut()),
                SARSEN_OK
            );
            let size = size_of::<sarsen_command>();
            let status = sarsen_log_next(reader, 0, told.as_mut_ptr(), size, ptr::null_mut(), &mut error);
            let error_told = (!error.is_null()).then(|| {
                Error::Corrupt(Box::new(Damage {
                    file: text(sarsen_error_file(error)),
                    offset: sarsen_error_offset(error),
                    what: text(sarsen_error_message(error)).into(),
                    first_seq: sarsen_error_first_seq(error),
                    last_seq: sarsen_error_last_seq(error),
                }))
            });
            sarsen_error_free(error);
            sarsen_log_reader_free(reader);
            assert_eq!(sarsen_store_close(store, ptr::null_mut()), SARSEN_OK);
            sarsen_options_free(options);
            (status, error_told)
        }
    }

    fn open(&self, options: &Options) -> Result<Store, Error> {
        Store::open_on(&disk_with(&self.files), root(), options)
    }
}

/// # Safety
/// NULL or a string that ends.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by the contract above.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

fn put(disk: &SimVfs, files: &Files) {
    for (name, bytes) in files {
        disk.put(&root().join(name), Arc::clone(bytes))
            .expect("a file of the store");
    }
}

/// Commands at the limits, and the same beyond them.
fn limits() -> Vec<(&'static str, Contents, Contents)> {
    let many: Vec<String> = (0..1_025).map(|number| format!("{number:04}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (long, longer) = ("t".repeat(1_024), "t".repeat(1_025));
    vec![
        ("number of tags", memory(&many[..1_024]), memory(&many)),
        ("length of a tag", memory(&[&long]), memory(&[&longer])),
        ("empty tag", memory(&["a"]), memory(&[""])),
        ("order of tags", memory(&["a", "b"]), memory(&["b", "a"])),
        ("distinct tags", memory(&["a", "b"]), memory(&["a", "a"])),
        ("length of a key", delete_key(65_535), delete_key(65_536)),
        ("length of a name", trim_stream(65_535), trim_stream(65_536)),
    ]
}

#[test]
fn a_forged_command_beyond_the_limits_is_damage_with_its_place_to_who_follows_the_log() {
    let base = &bases()[2].files;
    for (what, within, beyond) in limits() {
        let (status, error) = forge(base, &within).next(base);
        assert_eq!(status, SARSEN_OK, "{what}: {error:?}");

        let forged = forge(base, &beyond);
        let (status, error) = forged.next(base);
        assert_eq!(status, SARSEN_CORRUPT, "{what}: {error:?}");
        let error = error.expect("an error");
        assert!(forged.is_told_by(&error), "{what}: {error:?}");
    }
}

#[test]
fn a_forged_command_beyond_the_limits_is_damage_with_its_place_to_who_opens() {
    let base = &bases()[2].files;
    let read_only = Options {
        read_only: true,
        ..stores::options()
    };
    for (what, within, beyond) in limits() {
        let sound = forge(base, &within);
        let store = sound.open(&stores::options()).expect(what);
        assert_eq!(store.last_seq(), sound.seq, "{what}");
        store.close().expect(what);

        let forged = forge(base, &beyond);
        for options in [stores::options(), read_only.clone()] {
            let error = forged.open(&options).map(drop).expect_err(what);
            assert!(forged.is_told_by(&error), "{what}: {error:?}");
        }
    }
}

/// What a frame before it would have been refused for, a forged index may hold all the same.
#[test]
fn tags_of_a_forged_index_that_no_memory_can_have_are_damage() {
    let sound = Store::open_on(&disk_with(&bases()[0].files), root(), &stores::options()).expect("a store");
    let (_, tags) = sound.memory_info(None, 3).expect("a memory");
    assert_eq!(tags.iter().collect::<Vec<_>>(), ["all", "round:1"]);

    let as_stored = [b"\x03\0all".as_slice(), b"\x07\0round:1"].concat();
    let forged: [(&str, Vec<u8>); 3] = [
        ("an empty tag", [b"\0\0".as_slice(), b"\x0a\0round::::1"].concat()),
        ("order", [b"\x03\0zll".as_slice(), b"\x07\0round:1"].concat()),
        ("distinct", [b"\x05\0round".as_slice(), b"\x05\0round"].concat()),
    ];
    for (what, tags) in forged {
        assert_eq!(tags.len(), as_stored.len(), "{what}");
        let mut files = bases()[0].files.clone();
        let mut places = 0;
        for bytes in files
            .iter_mut()
            .filter(|(name, _)| name.starts_with("index/"))
            .map(|(_, bytes)| bytes)
        {
            let bytes = Arc::make_mut(bytes);
            for at in 0..bytes.len() - tags.len() {
                if bytes[at..].starts_with(&as_stored) {
                    bytes[at..at + tags.len()].copy_from_slice(&tags);
                    places += 1;
                }
            }
        }
        assert_eq!(places, 4, "{what}: memories of the index");
        repair::repair(&mut files, true);
        let store = Store::open_on(&disk_with(&files), root(), &stores::options()).expect("a store");
        assert!(
            store.memory_get(None, 3).is_ok(),
            "{what}: the forged page is read"
        );
        let error = store.memory_info(None, 3).expect_err(what);
        assert!(matches!(error, Error::Corrupt { .. }), "{what}: {error:?}");
    }
}
