//! Commits that a full disk refuses after they wrote large blocks: the space of those comes back, once somebody asks
//! for it, and a store whose owner deletes something goes on.

use std::path::Path;

use super::*;
use crate::vfs::{
    defect::make,
    sim::{Fault, FaultKind, Operation, SimVfs},
};

const LARGE: usize = 100_000;

fn options() -> Options {
    Options {
        memory_bytes: 256 << 10,
        chunk_bytes: 1 << 20,
        background: false,
        ..Options::default()
    }
}

fn open(disk: &SimVfs, options: &Options) -> Arc<Engine> {
    Engine::open(Arc::new(disk.clone()), Path::new("/store"), options).unwrap()
}

/// A commit of so many large blocks, each of a key of its own.
fn draft(name: &str, count: usize) -> Draft {
    let mut draft = Draft::new();
    for number in 0..count {
        let value = vec![u8::try_from(number % 251).unwrap(); LARGE];
        draft
            .set_kv(format!("{name} {number}").as_bytes(), &value)
            .unwrap();
    }
    draft
}

fn commit(engine: &Engine, draft: &mut Draft) -> Result<u64> {
    engine.commit(draft, Some(Survive::Process))
}

/// Upkeep to its end, which a full disk may be.
fn tend(engine: &Engine) {
    for _ in 0..100_000 {
        match engine.maintain(0) {
            Ok(true) => {}
            Ok(false) | Err(Error::NoSpace { .. }) => return,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("upkeep doesn't come to an end");
}

fn dead_bytes(engine: &Engine) -> u64 {
    engine.block_bytes().1
}

/// A store of about 1.5 MiB, and a disk with so much space left.
fn filled(disk: &SimVfs, left: u64) -> Arc<Engine> {
    let engine = open(disk, &options());
    commit(&engine, &mut draft("old", 12)).unwrap();
    engine.checkpoint().unwrap();
    tend(&engine);
    // What was made ready ahead is room, too.
    engine.large.discard();
    disk.set_capacity(Some(disk.used_bytes() + left));
    engine
}

#[test]
fn what_refused_commits_wrote_is_given_back_by_upkeep() {
    let disk = SimVfs::new(1);
    let engine = filled(&disk, 1 << 20);
    let before = disk.used_bytes();
    for _ in 0..3 {
        let refused = commit(&engine, &mut draft("new", 20));
        assert!(matches!(refused, Err(Error::NoSpace { .. })), "{refused:?}");
        assert!(dead_bytes(&engine) > 500_000);
        tend(&engine);
        assert!(dead_bytes(&engine) < 64 << 10, "{} dead", dead_bytes(&engine));
        let used = disk.used_bytes();
        assert!(used < before + (200 << 10), "{used} bytes used, {before} before");
    }
    let mut fits = draft("new", 3);
    commit(&engine, &mut fits).unwrap();
    assert_eq!(engine.verify().unwrap(), []);
    engine.close().unwrap();
    disk.set_capacity(None);
    assert_eq!(open(&disk, &options()).verify().unwrap(), []);
}

#[test]
fn without_being_counted_as_dead_they_would_stay() {
    let disk = SimVfs::new(1);
    let engine = filled(&disk, 1 << 20);
    make(Some(Defect::RefusedBlocksForgotten));
    let refused = commit(&engine, &mut draft("new", 20));
    make(None);
    assert!(matches!(refused, Err(Error::NoSpace { .. })), "{refused:?}");
    let before = disk.used_bytes();
    tend(&engine);
    assert_eq!(disk.used_bytes(), before);
    assert!(commit(&engine, &mut draft("new", 3)).is_err());
}

#[test]
fn a_block_that_was_not_written_to_its_end_takes_no_space() {
    let disk = SimVfs::new(1);
    let engine = open(&disk, &options());
    commit(&engine, &mut draft("old", 2)).unwrap();
    let before = disk.used_bytes();
    // A block takes three writes; half of the second one's bytes are written.
    disk.fail(Fault::new(Operation::Write, 4, FaultKind::ShortWrite).within("blocks"));
    let mut one_more = draft("new", 1);
    commit(&engine, &mut one_more).unwrap();
    let refused = commit(&engine, &mut draft("newer", 1));
    assert!(matches!(refused, Err(Error::NoSpace { .. })), "{refused:?}");
    let block = disk.used_bytes() - before;
    assert!(block < 110_000, "{block} bytes for one block");
    assert_eq!(dead_bytes(&engine), 0);
    commit(&engine, &mut draft("newer", 1)).unwrap();
    assert_eq!(engine.verify().unwrap(), []);
}

#[test]
fn a_commit_that_is_made_again_counts_its_blocks_once() {
    let disk = SimVfs::new(1);
    let engine = filled(&disk, 1 << 20);
    let mut refused = draft("new", 20);
    for _ in 0..2 {
        assert!(commit(&engine, &mut refused).is_err());
    }
    disk.set_capacity(None);
    commit(&engine, &mut refused).unwrap();
    engine.compact().unwrap();
    assert!(dead_bytes(&engine) < 4_096, "{} dead", dead_bytes(&engine));
    let live = u64::try_from(32 * LARGE).unwrap();
    assert!(engine.block_bytes().0 >= live, "{} live", engine.block_bytes().0);
    assert_eq!(engine.verify().unwrap(), []);
    engine.close().unwrap();
    let again = open(&disk, &options());
    assert_eq!(again.verify().unwrap(), []);
    let view = again.view();
    for (name, count) in [("old", 12), ("new", 20)] {
        for number in 0..count {
            let key = crate::format::record::kv_key(format!("{name} {number}").as_bytes());
            let hit = view.get(&key).unwrap().expect("it was committed");
            let block = crate::format::record::block_of(hit.kind, hit.value).unwrap();
            assert!(view
                .block(&block)
                .unwrap()
                .bytes()
                .iter()
                .all(|byte| usize::from(*byte) == number));
        }
    }
}

#[test]
fn a_commit_that_fails_for_another_reason_leaves_its_blocks_dead_as_well() {
    let disk = SimVfs::new(1);
    let engine = open(&disk, &options());
    let mut first = Draft::new();
    first.append_block(&[1; 10]).unwrap();
    commit(&engine, &mut first).unwrap();
    let block = first.result(0).unwrap().1.unwrap();
    let mut free = Draft::new();
    free.free_block(block).unwrap();
    commit(&engine, &mut free).unwrap();
    let before = dead_bytes(&engine);
    let mut names_nothing = draft("new", 2);
    names_nothing
        .append_stream(b"stream", None, Data::Block(block))
        .unwrap();
    assert!(matches!(
        commit(&engine, &mut names_nothing),
        Err(Error::NotFound)
    ));
    assert!(dead_bytes(&engine) >= before + 200_000);
}

#[test]
fn deletions_after_a_refusal_make_room_though_they_are_few() {
    let disk = SimVfs::new(1);
    let engine = open(&disk, &options());
    for number in 0..40 {
        commit(&engine, &mut draft(&format!("old {number}"), 1)).unwrap();
    }
    engine.compact().unwrap();
    tend(&engine);
    disk.set_capacity(Some(disk.used_bytes() + (300 << 10)));
    let mut wanted = draft("new", 5);
    assert!(matches!(commit(&engine, &mut wanted), Err(Error::NoSpace { .. })));
    tend(&engine);
    assert!(matches!(commit(&engine, &mut wanted), Err(Error::NoSpace { .. })));
    tend(&engine);
    for number in 0..4 {
        let mut deletion = Draft::new();
        deletion.delete_kv(format!("old {number} 0").as_bytes()).unwrap();
        commit(&engine, &mut deletion).unwrap();
    }
    tend(&engine);
    commit(&engine, &mut wanted).unwrap();
    assert_eq!(engine.verify().unwrap(), []);
}

#[test]
fn upkeep_that_can_not_make_room_comes_to_an_end() {
    let disk = SimVfs::new(1);
    let engine = filled(&disk, 150 << 10);
    for _ in 0..5 {
        assert!(commit(&engine, &mut draft("new", 4)).is_err());
        tend(&engine);
    }
    let before = disk.operations();
    tend(&engine);
    tend(&engine);
    assert!(
        disk.operations() - before < 20,
        "{} operations for nothing",
        disk.operations() - before
    );
}

/// Little is live, but segments double: the next one, and the reserve for a checkpoint of it, are more than the disk has.
#[test]
fn a_segment_that_the_disk_has_no_room_to_fill_makes_way_for_a_smaller_one() {
    for capacity in [3, 4, 6, 12].map(|step| step << 20) {
        let disk = SimVfs::new(1);
        let options = Options {
            chunk_bytes: 1 << 20,
            background: false,
            ..Options::default()
        };
        let engine = open(&disk, &options);
        disk.set_capacity(Some(capacity));
        for number in 0..20_000u32 {
            let mut frame = Draft::new();
            frame
                .set_kv(b"state", &[u8::try_from(number % 251).unwrap(); 1_000])
                .unwrap();
            if commit(&engine, &mut frame).is_err() {
                tend(&engine);
                commit(&engine, &mut frame)
                    .unwrap_or_else(|error| panic!("{capacity} bytes, commit {number}: {error}"));
            }
            let _ = engine.maintain(0);
        }
        assert_eq!(engine.verify().unwrap(), []);
        engine.close().unwrap();
    }
}
