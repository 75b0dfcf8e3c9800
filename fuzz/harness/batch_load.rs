//! Any bytes as an encoded batch, through the C API: what loads commits whole and reads back, at once and after the
//! store was opened again; what doesn't leaves the batch as it was.
#![expect(unsafe_code, reason = "it calls the C API as C does")]

use std::{collections::BTreeSet, ptr};

use sarsen::{c_api::*, simulation::SimVfs};

use super::{
    input::Input,
    model::{Command, Model},
    stores::{disk, root},
};

/// One command in the layout of `docs/FORMAT.md`, 'Batches'.
pub fn encode(command: &Command) -> Vec<u8> {
    let none = BTreeSet::new();
    let (kind, id, key, tags, data): (u8, u64, &[u8], &BTreeSet<String>, &[u8]) = match command {
        Command::AppendBlock(data) => (1, 0, &[], &none, data),
        Command::FreeBlock => (2, 0, &[], &none, &[0; 24]),
        Command::AppendMemory(id, tags, data) => (3, *id, &[], tags, data),
        Command::DeleteMemory(id) => (4, *id, &[], &none, &[]),
        Command::SetKv(key, value) => (5, 0, key, &none, value),
        Command::DeleteKv(key) => (6, 0, key, &none, &[]),
        Command::AppendStream(name, data) => (7, 0, name, &none, data),
        Command::TrimStream(name, before) => (8, *before, name, &none, &[]),
    };
    let mut out = vec![kind, 0];
    out.extend_from_slice(&(tags.len() as u16).to_le_bytes());
    out.extend_from_slice(&(key.len() as u32).to_le_bytes());
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&(data.len() as u64).to_le_bytes());
    out.extend_from_slice(key);
    for tag in tags {
        out.extend_from_slice(&(tag.len() as u16).to_le_bytes());
        out.extend_from_slice(tag.as_bytes());
    }
    out.extend_from_slice(data);
    out
}

/// The loose block that commands may name: an address of the first store that is made, with these bytes.
const LOOSE: &[u8] = b"a loose block";

/// The commands of a batch that loaded; what names a block has the loose one's bytes.
fn decode(bytes: &[u8]) -> Vec<Command> {
    let mut input = Input::new(bytes);
    let mut commands = Vec::new();
    while !input.is_empty() {
        let (kind, flags, tag_count) = (input.u8(), input.u8(), input.u16());
        let (key_len, id, data_len) = (input.u32(), input.u64(), input.u64());
        let key = input.take(key_len as usize).to_vec();
        let tags = (0..tag_count).map(|_| {
            let len = usize::from(input.u16());
            String::from_utf8(input.take(len).to_vec()).expect("a tag that loaded is text")
        });
        let tags = tags.collect();
        let data = input.take(usize::try_from(data_len).expect("a length")).to_vec();
        let data = if flags & 1 != 0 { LOOSE.to_vec() } else { data };
        commands.push(match kind {
            1 => Command::AppendBlock(data),
            2 => Command::FreeBlock,
            3 => Command::AppendMemory(id, tags, data),
            4 => Command::DeleteMemory(id),
            5 => Command::SetKv(key, data),
            6 => Command::DeleteKv(key),
            7 => Command::AppendStream(key, data),
            8 => Command::TrimStream(key, id),
            _ => panic!("a command of kind {kind} was loaded"),
        });
    }
    commands
}

pub fn run(bytes: &[u8]) {
    let (how, encoded) = bytes.split_first().unwrap_or((&0, &[]));
    let disk = disk();
    let store = open(&disk);
    // SAFETY: live handles; bytes are good for their lengths; places of this frame or NULL; each handle is freed once.
    unsafe {
        let mut loose = std::mem::zeroed::<sarsen_block>();
        let added = sarsen_block_append(
            store,
            LOOSE.as_ptr().cast(),
            LOOSE.len(),
            &mut loose,
            ptr::null_mut(),
        );
        assert_eq!(added, SARSEN_OK);
        let mut model = Model::default();
        let batch = sarsen_batch_new();
        if how & 1 != 0 {
            // Behind a command that is there already.
            let set = sarsen_batch_set_kv(
                batch,
                b"first".as_ptr().cast(),
                5,
                b"1".as_ptr().cast(),
                1,
                ptr::null_mut(),
            );
            assert_eq!(set, SARSEN_OK);
            model.apply(&Command::SetKv(b"first".to_vec(), b"1".to_vec()));
        }
        let before = sarsen_batch_count(batch);
        let mut error = ptr::null_mut();
        let status = sarsen_batch_load(batch, encoded.as_ptr().cast(), encoded.len(), &mut error);
        assert_eq!(error.is_null(), status == SARSEN_OK);
        sarsen_error_free(error);
        let mut commands = Vec::new();
        if status == SARSEN_OK {
            commands = decode(encoded);
        } else {
            assert!(
                [SARSEN_INVALID_ARGUMENT, SARSEN_TOO_LARGE].contains(&status),
                "status {status}"
            );
        }
        assert_eq!(
            sarsen_batch_count(batch),
            before + commands.len(),
            "all or none are taken"
        );

        let committed = sarsen_batch_commit(
            batch,
            store,
            u32::from(how >> 1 & 1),
            ptr::null_mut(),
            ptr::null_mut(),
        );
        let names = commands.iter().any(|command| match command {
            Command::FreeBlock => true,
            Command::AppendMemory(_, _, data) | Command::AppendStream(_, data) => data == LOOSE,
            _ => false,
        });
        match committed {
            SARSEN_OK => commands.iter().for_each(|command| model.apply(command)),
            SARSEN_NOT_FOUND => {
                assert!(names, "only a block that is not there is not found");
                assert_eq!(sarsen_batch_count(batch), before + commands.len());
                model = Model::default();
            }
            status => panic!("a commit of what was loaded: status {status}"),
        }
        sarsen_batch_free(batch);
        compare(store, &model);
        if how & 4 != 0 {
            assert_eq!(sarsen_store_checkpoint(store, ptr::null_mut()), SARSEN_OK);
            compare(store, &model);
        }
        assert_eq!(sarsen_store_close(store, ptr::null_mut()), SARSEN_OK);
        let store = open(&disk);
        compare(store, &model);
        assert_eq!(sarsen_store_close(store, ptr::null_mut()), SARSEN_OK);
    }
}

fn open(disk: &SimVfs) -> *mut sarsen_store {
    let options = sarsen_options_new();
    let mut store = ptr::null_mut();
    // SAFETY: live options; places of this frame.
    unsafe {
        assert_eq!(sarsen_options_set_background(options, false), SARSEN_OK);
        assert_eq!(sarsen_options_set_chunk_bytes(options, 64 << 10), SARSEN_OK);
        assert_eq!(
            sarsen_options_set_durability(options, SARSEN_SURVIVE_PROCESS),
            SARSEN_OK
        );
        assert_eq!(
            open_on(disk, root(), options, &mut store, ptr::null_mut()),
            SARSEN_OK
        );
        sarsen_options_free(options);
    }
    store
}

/// # Safety
/// A live store.
unsafe fn compare(store: *const sarsen_store, model: &Model) {
    // SAFETY: a live store; places of this frame; views are released once, iterators freed once.
    unsafe {
        let mut view = std::mem::zeroed::<sarsen_view>();
        for (key, value) in &model.pairs {
            let status = sarsen_kv_get(
                store,
                ptr::null(),
                key.as_ptr().cast(),
                key.len(),
                &mut view,
                ptr::null_mut(),
            );
            assert_eq!(status, SARSEN_OK, "a pair");
            assert!(taken(&mut view) == *value, "the value of a pair");
        }
        for (id, memory) in &model.memories {
            assert_eq!(
                sarsen_memory_get(store, ptr::null(), *id, &mut view, ptr::null_mut()),
                SARSEN_OK
            );
            assert!(taken(&mut view) == memory.data, "the bytes of a memory");
            let mut tags = ptr::null_mut();
            let status = sarsen_memory_info(
                store,
                ptr::null(),
                *id,
                ptr::null_mut(),
                &mut tags,
                ptr::null_mut(),
            );
            assert_eq!((status, sarsen_tags_count(tags)), (SARSEN_OK, memory.tags.len()));
            sarsen_tags_free(tags);
        }
        for (name, stream) in &model.streams {
            let (mut first, mut next) = (0, 0);
            let pointer = name.as_ptr().cast();
            let status = sarsen_stream_bounds(
                store,
                ptr::null(),
                pointer,
                name.len(),
                &mut first,
                &mut next,
                ptr::null_mut(),
            );
            assert_eq!(
                (status, first, next),
                (SARSEN_OK, stream.first, stream.next),
                "bounds"
            );
            for (index, record) in &stream.records {
                let status = sarsen_stream_get(
                    store,
                    ptr::null(),
                    pointer,
                    name.len(),
                    *index,
                    &mut view,
                    ptr::null_mut(),
                );
                assert_eq!(status, SARSEN_OK, "a record");
                assert!(taken(&mut view) == *record, "the bytes of a record");
            }
        }
        let mut iter = ptr::null_mut();
        let none = ptr::null();
        let status = sarsen_kv_scan(
            store,
            ptr::null(),
            none,
            0,
            none,
            0,
            false,
            &mut iter,
            ptr::null_mut(),
        );
        assert_eq!(status, SARSEN_OK);
        let mut count = 0;
        while sarsen_kv_iter_next(iter, ptr::null_mut(), ptr::null_mut(), ptr::null_mut()) == SARSEN_OK {
            count += 1;
        }
        sarsen_kv_iter_free(iter);
        assert_eq!(count, model.pairs.len(), "pairs");
        let mut report = ptr::null_mut();
        assert_eq!(
            sarsen_store_verify(store, &mut report, ptr::null_mut()),
            SARSEN_OK
        );
        let next = sarsen_report_next(report, ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        assert_eq!(next, SARSEN_END, "damage is found");
        sarsen_report_free(report);
    }
}

/// # Safety
/// A view that a call filled in.
unsafe fn taken(view: &mut sarsen_view) -> Vec<u8> {
    // SAFETY: this function's contract; an empty view points nowhere.
    unsafe {
        let bytes = match view.len {
            0 => Vec::new(),
            len => std::slice::from_raw_parts(view.data, len).to_vec(),
        };
        sarsen_view_release(view);
        bytes
    }
}

pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let tags = || BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    let commands = [
        Command::SetKv(b"key".to_vec(), b"value".to_vec()),
        Command::SetKv(b"long".to_vec(), vec![b'l'; 1_500]),
        Command::AppendMemory(7, tags(), b"a memory".to_vec()),
        Command::DeleteMemory(8),
        Command::AppendStream(b"s".to_vec(), b"a record".to_vec()),
        Command::AppendStream(b"s".to_vec(), Vec::new()),
        Command::TrimStream(b"s".to_vec(), 1),
        Command::DeleteKv(b"key".to_vec()),
        Command::AppendBlock(b"a block".to_vec()),
    ];
    let all: Vec<u8> = commands.iter().flat_map(encode).collect();
    // A record that names the loose block: its first store gives it this place.
    let mut named = encode(&Command::AppendStream(b"s".to_vec(), vec![0; 24]));
    named[1] = 1;
    let at = named.len() - 24;
    named[at..at + 4].copy_from_slice(&1_u32.to_le_bytes());
    named[at + 4..at + 8].copy_from_slice(&crc32c::crc32c(LOOSE).to_le_bytes());
    named[at + 8..at + 16].copy_from_slice(&32_u64.to_le_bytes());
    named[at + 16..].copy_from_slice(&(LOOSE.len() as u64).to_le_bytes());
    vec![
        ("nothing", vec![0]),
        ("all", [&[7], all.as_slice()].concat()),
        ("broken", [&[1], &all[..all.len() - 1]].concat()),
        ("named_block", [&[4], named.as_slice()].concat()),
        (
            "free_block",
            [&[0], encode(&Command::FreeBlock).as_slice()].concat(),
        ),
    ]
}
