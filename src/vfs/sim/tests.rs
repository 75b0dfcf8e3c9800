//! What the simulated disk promises to tests that trust it.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use super::{Fault, FaultKind, Operation, SimVfs};
use crate::{
    error::Error,
    vfs::{EntryKind, File, OpenMode, Vfs},
};

const SEEDS: u64 = 400;

fn disk() -> SimVfs {
    SimVfs::new(7).with_reserve(1 << 20)
}

fn create(disk: &SimVfs, path: &str) -> Arc<dyn File> {
    disk.open(Path::new(path), OpenMode::CreateNew).unwrap()
}

fn open(disk: &SimVfs, path: &str) -> Arc<dyn File> {
    disk.open(Path::new(path), OpenMode::Write).unwrap()
}

fn read(disk: &SimVfs, path: &str) -> Option<Vec<u8>> {
    disk.entry_kind(Path::new(path)).unwrap()?;
    let file = disk.open(Path::new(path), OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    Some(bytes)
}

fn sync_root(disk: &SimVfs) {
    disk.sync_directory(Path::new("/")).unwrap();
}

/// A file with these durable bytes and a durable name.
fn durable(disk: &SimVfs, path: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = create(disk, path);
    file.write_at(0, bytes).unwrap();
    file.sync().unwrap();
    sync_root(disk);
    file
}

/// All different states that crashes leave of what `look` looks at.
fn outcomes<T: Ord>(disk: &SimVfs, look: impl Fn(&SimVfs) -> T) -> BTreeSet<T> {
    (0..SEEDS).map(|seed| look(&disk.crash(seed))).collect()
}

fn os_code<T: std::fmt::Debug>(result: crate::error::Result<T>) -> i32 {
    match result {
        Err(Error::Io(refusal) | Error::NoSpace(refusal)) => refusal.os_code,
        other => panic!("no refusal but {other:?}"),
    }
}

#[test]
fn what_was_synced_with_its_name_survives_every_crash() {
    let disk = disk();
    let file = durable(&disk, "/data", &[1; 3000]);
    let map = file.map_writable(3000).unwrap();
    map.store(100, &[2; 1000]).unwrap();
    file.sync().unwrap();
    let mut expected = vec![1; 3000];
    expected[100..1100].fill(2);
    assert_eq!(
        outcomes(&disk, |disk| read(disk, "/data")),
        BTreeSet::from([Some(expected)])
    );
}

#[test]
fn each_unsynced_sector_is_old_or_new_after_a_crash_in_any_combination() {
    let disk = disk();
    let file = durable(&disk, "/data", &[1; 4 * 512]);
    file.write_at(0, &[2; 512]).unwrap();
    let map = file.map_writable(2048).unwrap();
    map.store(512, &[2; 3 * 512]).unwrap();
    let found = outcomes(&disk, |disk| {
        let bytes = read(disk, "/data").unwrap();
        assert_eq!(bytes.len(), 2048);
        let sectors = bytes.chunks(512).map(|sector| {
            assert!(
                sector.iter().all(|byte| *byte == sector[0]),
                "a sector is written as a whole"
            );
            sector[0]
        });
        sectors.collect::<Vec<_>>()
    });
    assert_eq!(
        found.len(),
        16,
        "all combinations of two versions of four sectors: {found:?}"
    );
    assert!(found.iter().flatten().all(|version| [1, 2].contains(version)));
}

#[test]
fn an_unsynced_longer_length_is_lost_or_kept_and_lost_bytes_in_it_are_zeros() {
    let disk = disk();
    let file = durable(&disk, "/data", &[1; 700]);
    file.write_at(700, &[2; 1500]).unwrap();
    let found = outcomes(&disk, |disk| {
        let bytes = read(disk, "/data").unwrap();
        assert!((700..=2200).contains(&bytes.len()));
        assert!(bytes[..700].iter().all(|byte| *byte == 1), "durable bytes stay");
        assert!(bytes[700..].iter().all(|byte| [0, 2].contains(byte)));
        bytes
    });
    assert!(found.contains(&vec![1; 700]));
    assert!(found
        .iter()
        .any(|bytes| bytes.len() == 2200 && bytes.ends_with(&[2])));
    assert!(found
        .iter()
        .any(|bytes| bytes.len() == 2200 && bytes.ends_with(&[0])));
    assert!(
        found.iter().any(|bytes| !matches!(bytes.len(), 700 | 2200)),
        "a write-back came half-way"
    );
}

#[test]
fn an_unsynced_cut_keeps_the_old_bytes_or_none_behind_it() {
    let disk = disk();
    let file = durable(&disk, "/data", &[1; 2048]);
    file.set_len(1024).unwrap();
    file.write_at(1536, &[2; 512]).unwrap();
    assert_eq!(read(&disk, "/data").unwrap()[1024..1536], [0; 512]);
    let found = outcomes(&disk, |disk| read(disk, "/data").unwrap());
    assert!(
        found.contains(&vec![1; 2048]),
        "the cut was lost, and with it what followed"
    );
    for bytes in &found {
        let cut = bytes.len() < 2048 || bytes[1024..1536] == [0; 512];
        assert!(cut || *bytes == vec![1; 2048], "{bytes:?}");
        assert!(bytes[..1024].iter().all(|byte| *byte == 1));
    }
    assert!(found
        .iter()
        .any(|bytes| bytes.len() == 2048 && bytes[1536..] == [2; 512]));
    file.sync().unwrap();
    let kept = [vec![1; 1024], vec![0; 512], vec![2; 512]].concat();
    assert_eq!(
        outcomes(&disk, |disk| read(disk, "/data").unwrap()),
        BTreeSet::from([kept])
    );
}

#[test]
fn syncing_a_new_file_does_not_make_its_name_durable() {
    let disk = disk();
    let file = create(&disk, "/data");
    file.write_at(0, b"abc").unwrap();
    file.sync().unwrap();
    let found = outcomes(&disk, |disk| read(disk, "/data"));
    assert_eq!(found, BTreeSet::from([None, Some(b"abc".to_vec())]));
    sync_root(&disk);
    assert_eq!(
        outcomes(&disk, |disk| read(disk, "/data")),
        BTreeSet::from([Some(b"abc".to_vec())])
    );
}

#[test]
fn syncing_a_name_does_not_make_the_file_durable() {
    let disk = disk();
    create(&disk, "/data").write_at(0, &[1; 600]).unwrap();
    sync_root(&disk);
    let found = outcomes(&disk, |disk| read(disk, "/data").unwrap());
    assert!(found.contains(&Vec::new()) && found.contains(&vec![0; 600]) && found.contains(&vec![1; 600]));
}

#[test]
fn unsynced_rename_may_be_lost_but_never_torn() {
    let disk = disk();
    durable(&disk, "/MANIFEST", b"old");
    create(&disk, "/MANIFEST.new").write_at(0, b"new").unwrap();
    open(&disk, "/MANIFEST.new").sync().unwrap();
    disk.rename(Path::new("/MANIFEST.new"), Path::new("/MANIFEST"))
        .unwrap();
    assert_eq!(
        (read(&disk, "/MANIFEST"), read(&disk, "/MANIFEST.new")),
        (Some(b"new".to_vec()), None)
    );
    let (old, new) = (Some(b"old".to_vec()), Some(b"new".to_vec()));
    let found = outcomes(&disk, |disk| {
        (read(disk, "/MANIFEST"), read(disk, "/MANIFEST.new"))
    });
    assert_eq!(
        found,
        BTreeSet::from([(old.clone(), None), (old, new.clone()), (new.clone(), None)])
    );
    sync_root(&disk);
    let found = outcomes(&disk, |disk| {
        (read(disk, "/MANIFEST"), read(disk, "/MANIFEST.new"))
    });
    assert_eq!(found, BTreeSet::from([(new, None)]));
}

#[test]
fn a_file_moved_to_another_directory_is_never_in_both_or_in_none_and_one_sync_makes_it_stay() {
    for synced in ["/from", "/to"] {
        let disk = disk();
        disk.create_directory(Path::new("/from")).unwrap();
        disk.create_directory(Path::new("/to")).unwrap();
        sync_root(&disk);
        create(&disk, "/from/other");
        drop(create(&disk, "/from/file"));
        if synced == "/to" {
            // Else the file's creation isn't durable either, and it may be in neither.
            disk.sync_directory(Path::new("/from")).unwrap();
            create(&disk, "/from/other2");
        }
        disk.rename(Path::new("/from/file"), Path::new("/to/file"))
            .unwrap();
        let places = |disk: &SimVfs| {
            ["/from/file", "/to/file"].map(|path| disk.entry_kind(Path::new(path)).unwrap().is_some())
        };
        let mut expected = BTreeSet::from([[true, false], [false, true]]);
        if synced == "/from" {
            expected.insert([false, false]);
        }
        assert_eq!(outcomes(&disk, places), expected);
        disk.sync_directory(Path::new(synced)).unwrap();
        assert_eq!(outcomes(&disk, places), BTreeSet::from([[false, true]]));
        let other = outcomes(&disk, |disk| {
            disk.entry_kind(Path::new("/from/other2")).unwrap().is_some()
        });
        assert_eq!(
            other.len(),
            if synced == "/to" { 2 } else { 1 },
            "the move drags nothing else along"
        );
    }
}

#[test]
fn an_unsynced_removal_may_come_back_with_its_bytes() {
    let disk = disk();
    drop(durable(&disk, "/old", b"bytes"));
    disk.unlink(Path::new("/old")).unwrap();
    assert_eq!(
        os_code(disk.open(Path::new("/old"), OpenMode::Read)),
        libc::ENOENT
    );
    let found = outcomes(&disk, |disk| read(disk, "/old"));
    assert_eq!(found, BTreeSet::from([None, Some(b"bytes".to_vec())]));
    sync_root(&disk);
    assert_eq!(outcomes(&disk, |disk| read(disk, "/old")), BTreeSet::from([None]));
}

#[test]
fn changes_of_unrelated_names_reach_the_disk_in_any_order_and_those_of_one_name_in_theirs() {
    let disk = disk();
    for name in ["/a", "/b", "/b2"] {
        create(&disk, name);
    }
    disk.rename(Path::new("/b"), Path::new("/b2")).unwrap();
    disk.unlink(Path::new("/b2")).unwrap();
    let found = outcomes(&disk, |disk| {
        ["/a", "/b", "/b2"].map(|name| disk.entry_kind(Path::new(name)).unwrap().is_some())
    });
    assert!(
        found.contains(&[true, false, false]) && found.contains(&[false, true, false]),
        "{found:?}"
    );
    assert!(
        !found.contains(&[false, false, true]) || found.contains(&[true, false, true]),
        "{found:?}"
    );
    // The order of /b and /b2 is add, add, rename, remove, so /b2 alone is /b renamed to it.
    assert!(
        found.contains(&[false, true, true]) && found.contains(&[false, false, true]),
        "{found:?}"
    );
}

#[test]
fn a_directory_without_a_durable_name_is_lost_with_all_that_was_synced_in_it() {
    let disk = disk();
    disk.create_directory(Path::new("/log")).unwrap();
    create(&disk, "/log/1").sync().unwrap();
    disk.sync_directory(Path::new("/log")).unwrap();
    let found = outcomes(&disk, |disk| {
        disk.entry_kind(Path::new("/log")).unwrap().is_some()
    });
    assert_eq!(found, BTreeSet::from([false, true]));
    let crashed = (0..SEEDS).map(|seed| disk.crash(seed));
    let lost = crashed
        .into_iter()
        .find(|disk| disk.entry_kind(Path::new("/log")).unwrap().is_none())
        .unwrap();
    lost.create_directory(Path::new("/log")).unwrap();
    assert_eq!(lost.list(Path::new("/log")).unwrap().len(), 0);
    sync_root(&disk);
    let found = outcomes(&disk, |disk| read(disk, "/log/1"));
    assert_eq!(found, BTreeSet::from([Some(Vec::new())]));
}

#[test]
fn the_same_seed_gives_the_same_crash_and_leaves_the_disk_as_it_was() {
    let disk = disk();
    let file = durable(&disk, "/data", &[1; 9 * 512]);
    file.write_at(0, &[2; 9 * 512]).unwrap();
    for seed in 0..20 {
        assert_eq!(read(&disk.crash(seed), "/data"), read(&disk.crash(seed), "/data"));
    }
    assert_eq!(read(&disk, "/data"), Some(vec![2; 9 * 512]));
    let again = disk.crash(3);
    let mut bytes = [[0; 11]; 2];
    again.random(&mut bytes[0]).unwrap();
    disk.crash(3).random(&mut bytes[1]).unwrap();
    assert_eq!(bytes[0], bytes[1]);
    again.random(&mut bytes[1]).unwrap();
    assert_ne!(bytes[0], bytes[1]);
    assert!(again.now_us() < again.now_us());
}

#[test]
fn a_killed_process_loses_nothing_and_what_it_left_is_still_not_durable() {
    let disk = disk();
    let file = durable(&disk, "/data", &[1; 1024]);
    let map = file.map_writable(1024).unwrap();
    map.store(0, &[2; 512]).unwrap();
    create(&disk, "/new");
    let next = disk.restart();
    assert_eq!(next.operations(), 0);
    let expected = [[2; 512], [1; 512]].concat();
    assert_eq!(
        (read(&next, "/data"), read(&next, "/new")),
        (Some(expected), Some(Vec::new()))
    );
    map.store(0, &[3; 512]).unwrap();
    assert_eq!(
        read(&next, "/data").unwrap()[0],
        2,
        "the next process has a copy of the disk"
    );
    assert_eq!(
        outcomes(&next, |disk| read(disk, "/data").unwrap()[0]),
        BTreeSet::from([1, 2])
    );
    assert_eq!(
        outcomes(&next, |disk| read(disk, "/new").is_some()),
        BTreeSet::from([false, true])
    );
    open(&next, "/data").sync().unwrap();
    assert_eq!(
        outcomes(&next, |disk| read(disk, "/data").unwrap()[0]),
        BTreeSet::from([2])
    );
}

#[test]
fn failed_sync_leaves_clean_pages_with_bytes_the_disk_never_got() {
    let disk = disk();
    let file = durable(&disk, "/data", &[1; 1024]);
    file.write_at(0, &[2; 1024]).unwrap();
    disk.fail(Fault::new(Operation::Sync, 1, FaultKind::Io));
    assert_eq!(os_code(file.sync()), libc::EIO);
    assert_eq!(
        read(&disk, "/data"),
        Some(vec![2; 1024]),
        "the cache has the new bytes"
    );
    file.sync().unwrap();
    assert_eq!(
        outcomes(&disk, |disk| read(disk, "/data")),
        BTreeSet::from([Some(vec![1; 1024])])
    );

    let next = disk.restart();
    assert_eq!(
        read(&next, "/data"),
        Some(vec![2; 1024]),
        "a new process is deceived too"
    );
    open(&next, "/data").write_at(512, &[2; 512]).unwrap();
    open(&next, "/data").sync().unwrap();
    let rewritten = [[1; 512], [2; 512]].concat();
    assert_eq!(
        outcomes(&next, |disk| read(disk, "/data").unwrap()),
        BTreeSet::from([rewritten.clone()])
    );
    next.evict();
    assert_eq!(read(&next, "/data"), Some(rewritten));

    let map = file.map(1024).unwrap();
    disk.evict();
    assert_eq!(map.bytes(0, 1), Some(&[2][..]), "mapped pages stay");
    drop(map);
    disk.evict();
    assert_eq!(
        read(&disk, "/data"),
        Some(vec![1; 1024]),
        "the old bytes are back"
    );
}

#[test]
fn failed_sync_of_a_longer_file_may_leave_its_length_with_zeros() {
    let disk = disk();
    let file = durable(&disk, "/data", &[1; 100]);
    file.write_at(100, &[2; 924]).unwrap();
    disk.fail(Fault::new(Operation::Sync, 1, FaultKind::NoSpace));
    assert!(matches!(file.sync(), Err(Error::NoSpace { .. })));
    file.sync().unwrap();
    let expected = [vec![1; 100], vec![0; 924]].concat();
    assert_eq!(
        outcomes(&disk, |disk| read(disk, "/data").unwrap()),
        BTreeSet::from([expected.clone()])
    );
    disk.evict();
    assert_eq!(read(&disk, "/data"), Some(expected));
}

#[test]
fn an_interrupted_sync_writes_nothing_but_forgets_nothing() {
    let disk = disk();
    let file = durable(&disk, "/data", &[1; 512]);
    file.write_at(0, &[2; 512]).unwrap();
    disk.fail(Fault::new(Operation::Sync, 1, FaultKind::Interrupted));
    assert_eq!(os_code(file.sync()), libc::EINTR);
    assert_eq!(
        outcomes(&disk, |disk| read(disk, "/data").unwrap()[0]),
        BTreeSet::from([1, 2])
    );
    file.sync().unwrap();
    assert_eq!(
        outcomes(&disk, |disk| read(disk, "/data").unwrap()[0]),
        BTreeSet::from([2])
    );
}

#[test]
fn a_fault_hits_the_operation_it_names_where_it_names_it_once_or_for_good() {
    let disk = disk();
    disk.create_directory(Path::new("/log")).unwrap();
    let (inside, outside) = (create(&disk, "/log/1"), create(&disk, "/other"));
    disk.fail(Fault::new(Operation::Write, 2, FaultKind::Io).within("log"));
    disk.fail(Fault::new(Operation::SetLength, 2, FaultKind::NoSpace).forever());
    assert_eq!(
        (outside.write_at(0, b"x"), outside.write_at(0, b"x")),
        (Ok(()), Ok(()))
    );
    assert_eq!(inside.write_at(0, b"x"), Ok(()));
    let error = inside.write_at(0, b"y").unwrap_err();
    assert!(
        matches!(&error, Error::Io(refusal) if refusal.os_code == libc::EIO
            && refusal.file.as_deref() == Some("log/1")),
        "{error}"
    );
    assert_eq!(inside.write_at(0, b"z"), Ok(()));
    assert_eq!(outside.set_len(5), Ok(()));
    assert_eq!(
        (os_code(outside.set_len(6)), os_code(inside.set_len(7))),
        (libc::ENOSPC, libc::ENOSPC)
    );
    assert_eq!(outside.len(), Ok(5));
    disk.clear_faults();
    assert_eq!(outside.set_len(6), Ok(()));
    for (operation, attempt) in [
        (
            Operation::Create,
            (|disk| disk.open(Path::new("/c"), OpenMode::CreateNew).map(drop)) as Attempt,
        ),
        (Operation::Rename, |disk| {
            disk.rename(Path::new("/other"), Path::new("/c"))
        }),
        (Operation::Unlink, |disk| disk.unlink(Path::new("/other"))),
        (Operation::CreateDirectory, |disk| {
            disk.create_directory(Path::new("/c"))
        }),
        (Operation::SyncDirectory, |disk| {
            disk.sync_directory(Path::new("/"))
        }),
        (Operation::Allocate, |disk| open(disk, "/other").allocate(0, 4096)),
        (Operation::Read, |disk| open(disk, "/other").read_at(0, &mut [0])),
        (Operation::Map, |disk| open(disk, "/other").map(1).map(drop)),
        (Operation::Store, |disk| {
            open(disk, "/other").map_writable(1)?.store(0, b"x")
        }),
    ] {
        let count = disk.count(operation);
        disk.fail(Fault::new(operation, 1, FaultKind::Io));
        assert_eq!(os_code(attempt(&disk)), libc::EIO, "{operation:?}");
        assert_eq!(disk.count(operation), count + 1, "{operation:?}");
    }
    assert_eq!(
        read(&disk, "/other"),
        Some(b"x\0\0\0\0\0".to_vec()),
        "nothing failed half-way"
    );
    assert_eq!(disk.entry_kind(Path::new("/c")).unwrap(), None);
}

type Attempt = fn(&SimVfs) -> crate::error::Result<()>;

#[test]
fn a_short_write_leaves_half_of_the_bytes() {
    let disk = disk();
    let file = create(&disk, "/data");
    disk.fail(Fault::new(Operation::Write, 1, FaultKind::ShortWrite));
    assert_eq!(os_code(file.write_at(0, b"abcd")), libc::ENOSPC);
    assert_eq!(read(&disk, "/data"), Some(b"ab".to_vec()));
}

#[test]
fn a_full_disk_refuses_new_blocks_takes_old_ones_and_recovers_when_something_is_removed() {
    let disk = disk();
    disk.set_capacity(Some(4 * 4096));
    let (first, second) = (create(&disk, "/a"), create(&disk, "/b"));
    first.allocate(0, 3 * 4096).unwrap();
    assert_eq!(
        (disk.used_bytes(), disk.disk_bytes(Path::new("/a"))),
        (3 * 4096, Ok(3 * 4096))
    );
    assert_eq!(os_code(second.write_at(4000, &[1; 5000])), libc::ENOSPC);
    assert_eq!(second.len(), Ok(4096), "as much as there was room for");
    assert_eq!(os_code(second.allocate(0, 8192)), libc::ENOSPC);
    assert_eq!(first.write_at(0, &[1; 3 * 4096]), Ok(()));
    second.set_len(8192).unwrap();
    let map = second.map_writable(8192).unwrap();
    assert_eq!(map.store(0, b"x"), Ok(()));
    assert!(
        matches!(map.store(4096, b"x"), Err(Error::Internal { .. })),
        "a SIGBUS in real life"
    );
    disk.unlink(Path::new("/a")).unwrap();
    assert_eq!(
        os_code(second.write_at(4096, b"x")),
        libc::ENOSPC,
        "somebody still has it open"
    );
    drop(first);
    assert_eq!(second.write_at(4096, b"x"), Ok(()));
}

#[test]
fn when_the_power_goes_everything_fails_and_nothing_changes() {
    let disk = disk();
    let file = durable(&disk, "/data", &[1; 512]);
    let map = file.map_writable(512).unwrap();
    let begun = disk.operations();
    disk.crash_at(begun + 2);
    map.store(0, &[2; 256]).unwrap();
    assert!(!disk.lost_power());
    let error = map.store(256, &[2; 256]).unwrap_err();
    assert!(disk.lost_power() && SimVfs::is_power_loss(&error), "{error}");
    assert_eq!(disk.operations(), begun + 1);
    assert_eq!(map.region().bytes(255, 2), Some(&[2, 1][..]));
    let all: Vec<crate::error::Result<()>> = vec![
        map.store(0, b"x"),
        file.write_at(0, b"x"),
        file.sync(),
        file.set_len(0),
        file.allocate(0, 10_000),
        file.read_at(0, &mut [0]),
        file.map(1).map(drop),
        file.try_lock_exclusive().map(drop),
        disk.open(Path::new("/new"), OpenMode::CreateNew).map(drop),
        disk.rename(Path::new("/data"), Path::new("/new")),
        disk.unlink(Path::new("/data")),
        disk.create_directory(Path::new("/new")),
        disk.remove_directory(Path::new("/new")),
        disk.sync_directory(Path::new("/")),
        disk.list(Path::new("/")).map(drop),
    ];
    for result in all {
        assert!(SimVfs::is_power_loss(&result.unwrap_err()));
    }
    let whole = [[2; 256], [1; 256]].concat();
    let found = outcomes(&disk, |disk| read(disk, "/data").unwrap());
    assert_eq!(found, BTreeSet::from([vec![1; 512], whole.clone()]));
    assert_eq!(read(&disk.restart(), "/data"), Some(whole));
    assert!(!SimVfs::is_power_loss(&Error::io("cannot sync", None, libc::EIO)));
}

#[test]
fn a_crash_at_each_operation_in_turn_reaches_them_all() {
    let run = |disk: &SimVfs| -> crate::error::Result<()> {
        let file = disk.open(Path::new("/data"), OpenMode::CreateNew)?;
        file.allocate(0, 512)?;
        file.map_writable(512)?.store(0, b"x")?;
        file.sync()?;
        disk.sync_directory(Path::new("/"))
    };
    let whole = disk();
    run(&whole).unwrap();
    assert_eq!(whole.operations(), 5);
    for operation in 1..=5 {
        let disk = disk();
        disk.crash_at(operation);
        assert!(SimVfs::is_power_loss(&run(&disk).unwrap_err()), "{operation}");
        assert_eq!(disk.operations(), operation - 1);
    }
}

#[test]
fn a_lying_sync_makes_nothing_durable_everywhere_or_in_one_directory() {
    let disk = disk();
    disk.create_directory(Path::new("/blocks")).unwrap();
    disk.create_directory(Path::new("/log")).unwrap();
    sync_root(&disk);
    let synced_and_lost = |disk: &SimVfs, path: &str| {
        let file = create(disk, path);
        file.write_at(0, b"x").unwrap();
        file.sync().unwrap();
        disk.sync_directory(Path::new(path).parent().unwrap()).unwrap();
        outcomes(disk, |disk| read(disk, path)).len() > 1
    };
    disk.set_sync_is_noop_for("blocks");
    assert!(synced_and_lost(&disk, "/blocks/1") && !synced_and_lost(&disk, "/log/1"));
    disk.set_sync_is_noop(true);
    assert!(
        synced_and_lost(&disk.restart(), "/log/2"),
        "the lie outlives the process"
    );
    disk.set_sync_is_noop(false);
    assert!(!synced_and_lost(&disk, "/log/3"));
}

#[test]
fn write_back_lets_a_crash_find_a_state_between_two_syncs() {
    let found: BTreeSet<u8> = (0..SEEDS)
        .map(|seed| {
            let disk = SimVfs::new(seed);
            disk.set_writeback(Some(2));
            let file = durable(&disk, "/data", &[1; 512]);
            for version in 2..6 {
                file.write_at(0, &[version; 512]).unwrap();
            }
            read(&disk.crash(seed), "/data").unwrap()[0]
        })
        .collect();
    assert_eq!(found, BTreeSet::from([1, 2, 3, 4, 5]));
}

#[test]
fn locks_exclude_other_opens_and_go_with_theirs() {
    let disk = disk();
    let (first, second) = (create(&disk, "/LOCK"), open(&disk, "/LOCK"));
    assert_eq!(
        (first.try_lock_exclusive(), first.try_lock_exclusive()),
        (Ok(true), Ok(true))
    );
    assert_eq!(second.try_lock_exclusive(), Ok(false));
    first.lock_byte_shared(5).unwrap();
    second.lock_byte_shared(5).unwrap();
    second.lock_byte_shared(9).unwrap();
    assert_eq!(
        (first.is_locked_below(6), first.is_locked_below(5)),
        (Ok(true), Ok(false))
    );
    assert_eq!(second.is_locked_below(10), Ok(true));
    assert_eq!(
        open(&disk.restart(), "/LOCK").try_lock_exclusive(),
        Ok(true),
        "the new process"
    );
    drop(first);
    assert_eq!(
        (second.try_lock_exclusive(), second.is_locked_below(10)),
        (Ok(true), Ok(false))
    );
}

#[test]
fn maps_are_the_file_itself_and_do_not_move_while_it_grows() {
    let disk = SimVfs::new(1).with_reserve(64 * 1024);
    let file = create(&disk, "/data");
    let empty = file.map(0).unwrap();
    assert_eq!(empty.bytes(0, 0), Some(&b""[..]));
    let map = file.map(10_000).unwrap();
    file.write_at(9_000, b"later").unwrap();
    assert_eq!(map.bytes(9_000, 5), Some(&b"later"[..]));
    file.set_len(64 * 1024).unwrap();
    file.map_writable(64 * 1024)
        .unwrap()
        .store(9_000, b"LATER")
        .unwrap();
    assert_eq!(map.bytes(9_000, 5), Some(&b"LATER"[..]));
    assert!(
        matches!(file.set_len(65 * 1024), Err(Error::Internal { .. })),
        "the reserve is used up"
    );
    drop((empty, map));
    file.write_at(70_000, b"moved").unwrap();
    assert_eq!(file.map(70_005).unwrap().bytes(9_000, 5), Some(&b"LATER"[..]));
    assert!(matches!(file.map_writable(70_006), Err(Error::Internal { .. })));
    let map = file.map_writable(70_005).unwrap();
    assert!(matches!(map.store(70_001, b"moved"), Err(Error::Internal { .. })));
    file.set_len(100).unwrap();
    assert!(
        matches!(map.store(100, b"x"), Err(Error::Internal { .. })),
        "cut: a SIGBUS in real life"
    );
}

#[test]
fn names_behave_like_those_of_the_real_file_system() {
    let disk = disk();
    disk.create_directory(Path::new("/d")).unwrap();
    let file = create(&disk, "/d/file");
    file.write_at(0, b"abc").unwrap();
    let path = Path::new;
    assert_eq!(
        os_code(disk.open(path("/d/file"), OpenMode::CreateNew)),
        libc::EEXIST
    );
    assert_eq!(os_code(disk.create_directory(path("/d"))), libc::EEXIST);
    assert_eq!(
        os_code(disk.open(path("/none/file"), OpenMode::CreateNew)),
        libc::ENOENT
    );
    assert_eq!(
        os_code(disk.open(path("/d/file/x"), OpenMode::CreateNew)),
        libc::ENOTDIR
    );
    assert_eq!(os_code(disk.open(path("/d"), OpenMode::Write)), libc::EISDIR);
    assert_eq!(
        os_code(disk.open(path("/d/../d/file"), OpenMode::Read)),
        libc::EINVAL
    );
    assert_eq!(os_code(disk.remove_directory(path("/d"))), libc::ENOTEMPTY);
    assert_eq!(os_code(disk.remove_directory(path("/d/file"))), libc::ENOTDIR);
    assert_eq!(os_code(disk.unlink(path("/d"))), libc::EISDIR);
    assert_eq!(
        os_code(disk.rename(path("/d/file"), path("/none/file"))),
        libc::ENOENT
    );
    assert_eq!(os_code(disk.rename(path("/none"), path("/file"))), libc::ENOENT);
    assert_eq!(os_code(disk.sync_directory(path("/d/file"))), libc::ENOTDIR);
    let reader = disk.open(path("/d/file"), OpenMode::Read).unwrap();
    assert_eq!(os_code(reader.write_at(0, b"x")), libc::EBADF);
    assert!(matches!(
        reader.read_at(1, &mut [0; 3]),
        Err(Error::Io(refusal)) if refusal.os_code == 0
    ));
    disk.rename(path("/d"), path("/e")).unwrap();
    let entries = disk.list(path("/")).unwrap();
    assert_eq!(
        (entries.len(), entries[0].kind, entries[0].len),
        (1, EntryKind::Directory, 0)
    );
    let entries = disk.list(path("/e")).unwrap();
    assert_eq!(
        (entries.len(), entries[0].kind, entries[0].len),
        (1, EntryKind::File, 3)
    );
    disk.unlink(path("/e/file")).unwrap();
    assert_eq!(
        file.write_at(3, b"d"),
        Ok(()),
        "an open file stays though its name went"
    );
    disk.remove_directory(path("/e")).unwrap();
    assert_eq!(disk.list(path("/")).unwrap().len(), 0);
    assert_eq!(disk.map_is_safe(path("/")), Ok(true));
}
