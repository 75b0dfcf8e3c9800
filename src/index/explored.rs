//! The skip list under a scheduler: one thread inserts, others read, with a choice of who goes on at each access to a
//! link. `make explore` runs this.

use std::sync::Arc;

use super::memtable::Memtable;
use crate::vfs::{
    explore::explore,
    sync::{thread, Disorder},
};

/// A reader finds each key from the moment on that it was told of it, with its own value, and never half of one; and
/// walks over all there is in order.
fn reads_beside_inserts() {
    let memtable = Arc::new(Memtable::new());
    memtable.insert(b"m", 1, 2, b"m-1").unwrap();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let memtable = Arc::clone(&memtable);
            thread::spawn(move || {
                let mut seen = 1;
                for _ in 0..2 {
                    let hit = memtable.get(b"m", u64::MAX).unwrap();
                    assert!(hit.seq >= seen, "an older version than before");
                    seen = hit.seq;
                    assert_eq!(hit.value, format!("m-{seen}").as_bytes());
                    if let Some(hit) = memtable.get(b"k", u64::MAX) {
                        assert_eq!(hit.value, format!("k-{}", hit.seq).as_bytes());
                    }
                    assert_eq!(memtable.get(b"m", 1).unwrap().value, b"m-1");
                    let mut cursor = memtable.cursor();
                    cursor.seek_first();
                    let mut before = Vec::new();
                    while let Some(entry) = cursor.entry() {
                        assert!(
                            entry.key > before.as_slice() || cursor.repeats_key(),
                            "out of order"
                        );
                        let key = char::from(entry.key[0]);
                        assert_eq!(entry.value, format!("{key}-{}", entry.seq).as_bytes());
                        before = entry.key.to_vec();
                        cursor.next();
                    }
                }
            })
        })
        .collect();
    for seq in 2..=4 {
        memtable
            .insert(b"k", seq, 2, format!("k-{seq}").as_bytes())
            .unwrap();
        memtable
            .insert(b"m", seq, 2, format!("m-{seq}").as_bytes())
            .unwrap();
        assert_eq!(memtable.get(b"m", u64::MAX).unwrap().seq, seq);
        let other = [b'a' + u8::try_from(seq).unwrap()];
        let value = format!("{}-{seq}", char::from(other[0]));
        memtable.insert(&other, seq, 2, value.as_bytes()).unwrap();
    }
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn a_reader_of_the_skip_list_finds_whole_entries_only() {
    explore(Disorder::LinkedBeforeFilled, reads_beside_inserts);
}
