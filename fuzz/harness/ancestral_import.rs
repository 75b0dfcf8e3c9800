//! Any directory in the ancestral layout: imported whole, or not at all.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use sarsen::{Error, Store, Tags};

use super::{
    input::Input,
    store_directory::{allowed, pairs, read_everything},
    stores::{disk, options, root},
};

const MOST_RECORDS: usize = 64;

/// What a log of whole records must come to.
#[derive(Default)]
struct Expected {
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
    memories: BTreeMap<u64, Vec<u8>>,
    streams: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    records: u64,
}

/// The first byte: even, the rest is `state.wal` as it is; odd, records are built, and bit 1 tears the last one.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let how = input.u8();
    let chunk: Vec<u8> = (0..=255).cycle().take(usize::from(input.u16() % 3_000)).collect();
    let mut expected = None;
    let wal = if how & 1 == 0 {
        input.rest().to_vec()
    } else {
        let (mut wal, model) = built(&mut input, &chunk);
        if how & 2 != 0 {
            // The start of one more.
            wal.extend_from_slice(&[40, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        }
        expected = Some(model);
        wal
    };
    let disk = disk();
    let ancestor = Path::new("/ancestor");
    disk.put(&ancestor.join("state.wal"), Arc::new(wal))
        .expect("a file");
    disk.put(&ancestor.join("blocks/chunk_0000.bin"), Arc::new(chunk))
        .expect("a file");
    let before: Vec<_> = disk.files();
    let store = Store::open_on(&disk, root(), &options()).expect("an empty store");
    let outcome = store.import(ancestor);
    match &outcome {
        Ok(_) => {}
        Err(Error::Corrupt { .. } | Error::TooLarge { .. } | Error::InvalidArgument { .. }) => {
            assert_eq!(store.last_seq(), 0, "a failed import leaves nothing");
            assert!(allowed("pairs", pairs(&store, false)).is_some_and(|pairs| pairs.is_empty()));
        }
        Err(error) => panic!("an import: {error}"),
    }
    if let Some(expected) = expected {
        assert_eq!(outcome, Ok(expected.records), "whole records are imported");
        compare(&store, &expected);
    }
    assert!(read_everything(&store), "what was imported is sound");
    store.kv_set(b"fuzz", b"afterwards").expect("a commit");
    store.close().expect("the store closes");
    let store = Store::open_on(&disk, root(), &options()).expect("the store opens again");
    assert!(read_everything(&store), "what was imported is sound");
    assert_eq!(
        store.kv_get(None, b"fuzz").expect("a pair").bytes(),
        b"afterwards"
    );
    let ancestors = |files: Vec<(std::path::PathBuf, Vec<u8>)>| {
        files
            .into_iter()
            .filter(|(path, _)| path.starts_with("/ancestor"))
            .collect::<Vec<_>>()
    };
    assert!(
        ancestors(disk.files()) == ancestors(before),
        "what is imported from stays what it is"
    );
}

fn text(input: &mut Input<'_>) -> String {
    let len = input.below(20);
    input
        .take(len)
        .iter()
        .map(|byte| char::from(byte & 0x7f))
        .collect()
}

/// Records that are whole, and name bytes that are there.
fn built(input: &mut Input<'_>, chunk: &[u8]) -> (Vec<u8>, Expected) {
    let mut wal = Vec::new();
    let mut expected = Expected::default();
    let string = |record: &mut Vec<u8>, bytes: &[u8]| {
        record.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        record.extend_from_slice(bytes);
    };
    for _ in 0..MOST_RECORDS {
        if input.is_empty() {
            break;
        }
        let kind = input.below(4);
        let mut record = (kind as u32).to_le_bytes().to_vec();
        let offset = usize::from(input.u16()) % (chunk.len() + 1);
        let len = usize::from(input.u16()) % (chunk.len() - offset + 1);
        let data = chunk[offset..offset + len].to_vec();
        let block = [
            0_u32.to_le_bytes().as_slice(),
            &(offset as u64).to_le_bytes(),
            &(len as u64).to_le_bytes(),
        ]
        .concat();
        match kind {
            0 => {
                let id = u64::from(input.u8());
                record.extend_from_slice(&id.to_le_bytes());
                record.extend_from_slice(&block);
                let tags: Vec<String> = (0..input.below(4)).map(|_| text(input)).collect();
                record.extend_from_slice(&(tags.len() as u64).to_le_bytes());
                tags.iter().for_each(|tag| string(&mut record, tag.as_bytes()));
                expected.memories.insert(id, data);
            }
            1 => {
                let (key, value) = (text(input), data);
                string(&mut record, key.as_bytes());
                string(&mut record, &value);
                expected.pairs.insert(key.into_bytes(), value);
            }
            2 => {
                let key = text(input);
                string(&mut record, key.as_bytes());
                expected.pairs.remove(key.as_bytes());
            }
            _ => {
                let name = text(input);
                string(&mut record, name.as_bytes());
                record.extend_from_slice(&block);
                expected.streams.entry(name.into_bytes()).or_default().push(data);
            }
        }
        wal.extend_from_slice(&(record.len() as u64).to_le_bytes());
        wal.extend_from_slice(&record);
        expected.records += 1;
    }
    (wal, expected)
}

fn compare(store: &Store, expected: &Expected) {
    assert!(pairs(store, false).expect("pairs") == expected.pairs, "pairs");
    let no = Tags::new();
    let mut iter = store.memory_find(None, &no, &no, &no, 0).expect("memories");
    let mut memories = BTreeMap::new();
    while iter.next().expect("the next memory") {
        memories.insert(iter.id(), iter.data().expect("its bytes").to_vec());
    }
    assert!(memories == expected.memories, "memories");
    for (name, records) in &expected.streams {
        let mut iter = store.stream_read(None, name, 0).expect("a stream");
        let mut found = Vec::new();
        while iter.next().expect("the next record") {
            found.push(iter.record().to_vec());
        }
        assert!(found == *records, "records");
    }
}

pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut set = vec![0, 9, 0];
    let record = [
        1_u32.to_le_bytes().as_slice(),
        &[1, 0, 0, 0, 0, 0, 0, 0, b'k', 2, 0, 0, 0, 0, 0, 0, 0, b'v', b'w'],
    ]
    .concat();
    set.extend_from_slice(&(record.len() as u64).to_le_bytes());
    set.extend_from_slice(&record);
    vec![
        ("nothing", vec![0, 0, 0]),
        ("set_kv", set),
        ("built", b"\x01\x00\x08\x00\x01\x00\x10\x00\x07\x02\x01a\x02bc\x01\x00\x00\x20\x00\x03key\x03\x05\x00\x10\x00\x01s".to_vec()),
        ("torn", b"\x03\x00\x08\x01\x00\x00\x20\x00\x03key".to_vec()),
        ("long_length", vec![0, 9, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
    ]
}
