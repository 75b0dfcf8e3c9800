//! Jobs of upkeep that a full disk stops give back what they had taken, whatever step they had come to.

use std::{collections::BTreeSet, path::Path};

use super::*;
use crate::{
    blocks::chunk_file_name,
    index::part_file_name,
    vfs::sim::{Fault, FaultKind, Operation, SimVfs},
};

fn open(disk: &SimVfs) -> Arc<Engine> {
    let options = Options {
        memory_bytes: 256 << 10,
        chunk_bytes: 1 << 20,
        background: false,
        ..Options::default()
    };
    Engine::open(Arc::new(disk.clone()), Path::new("/store"), &options).unwrap()
}

fn set(engine: &Engine, key: &str, len: usize) {
    let mut draft = Draft::new();
    draft.set_kv(key.as_bytes(), &vec![7; len]).unwrap();
    engine.commit(&mut draft, Some(Survive::Process)).unwrap();
}

/// More than a third of what lies in its chunks is dead: in those of small blocks, and in those of large ones.
fn with_dead_blocks(disk: &SimVfs) -> Arc<Engine> {
    let engine = open(disk);
    for round in 0..4 {
        for number in 0..30 {
            let len = if number % 3 == 0 { 60_000 } else { 20_000 };
            set(&engine, &format!("{} {number}", round * (number % 2)), len);
        }
        engine.seal_chunks(|_| true);
        engine.checkpoint().unwrap();
    }
    engine
}

fn files(disk: &SimVfs) -> BTreeSet<String> {
    let names = disk.files().into_iter().map(|(path, _)| path);
    names
        .filter(|path| path.starts_with("/store/blocks") || path.starts_with("/store/index"))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

fn named(engine: &Engine) -> BTreeSet<String> {
    let state = engine.state.load();
    let chunks = state.chunks.iter().map(|chunk| chunk.meta());
    let parts = state.runs.iter().flat_map(|run| run.parts());
    chunks
        .map(|meta| chunk_file_name(meta.number, meta.rewrite))
        .chain(parts.map(|part| part_file_name(part.meta().file)))
        .collect()
}

#[test]
fn a_manifest_that_a_full_disk_refuses_leaves_none_of_the_files_it_was_to_name() {
    let disk = SimVfs::new(1);
    with_dead_blocks(&disk).close().unwrap();
    let mut refused = 0;
    for nth in 1.. {
        let disk = disk.restart();
        let engine = open(&disk);
        set(&engine, "one more", 10);
        disk.fail(
            Fault::new(Operation::Write, nth, FaultKind::NoSpace)
                .forever()
                .within("MANIFEST.new"),
        );
        let outcome = engine.compact();
        assert_eq!(files(&disk), named(&engine), "write {nth} refused: {outcome:?}");
        if outcome.is_ok() {
            break;
        }
        assert!(matches!(outcome, Err(Error::NoSpace { .. })), "{outcome:?}");
        refused += 1;
        disk.clear_faults();
        engine.compact().unwrap();
        assert_eq!(engine.verify().unwrap(), []);
    }
    assert!(refused >= 4, "a checkpoint, a merge and two chunks; {refused}");
}

#[test]
fn a_checkpoint_that_a_full_disk_stops_gets_the_room_of_a_chunk_that_is_being_rewritten() {
    let disk = SimVfs::new(1);
    let engine = with_dead_blocks(&disk);
    let rewritten = || files(&disk).into_iter().find(|name| name.ends_with(".r1.bin"));
    engine.note_refusal(); // somebody needs room
    while rewritten().is_none() {
        assert!(engine.upkeep_step().unwrap());
    }
    assert_ne!(files(&disk), named(&engine));
    set(&engine, "one more", 10);
    assert!(engine.freeze());
    disk.fail(
        Fault::new(Operation::Write, 1, FaultKind::NoSpace)
            .forever()
            .within("index"),
    );
    while engine.upkeep_step().is_ok_and(|more| more) {}
    assert_eq!(rewritten(), None);
    assert_eq!(files(&disk), named(&engine));
    disk.clear_faults();
    while engine.upkeep_step().unwrap() {}
    assert_eq!(files(&disk), named(&engine));
    assert_eq!(engine.verify().unwrap(), []);
}
