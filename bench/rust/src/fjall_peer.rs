//! fjall: one keyspace, a block cache larger than the data, values of 4 KiB and more in separate files, no compression
//! (the data can't be compressed), a bloom filter of 10 bits a key (its default), two worker threads.
//!
//! A write is handed to the system before it returns (its default); where commits are to survive power loss each is
//! followed by `PersistMode::SyncData`.

use crate::{Answer, Change, Each, Peer, Session, Setup};
use fjall::{
    config::CompressionPolicy, CompressionType, Database, Keyspace, KeyspaceCreateOptions,
    KvSeparationOptions, PersistMode, Readable, Slice, Snapshot,
};

struct Fjall {
    database: Database,
    pairs: Keyspace,
    durable: bool,
}

pub fn open(setup: &Setup<'_>) -> Answer<Box<dyn Peer>> {
    let database = Database::builder(setup.path.join("fjall"))
        .cache_size(setup.cache_bytes)
        .journal_compression(CompressionType::None)
        .worker_threads(2)
        .open()?;
    let large = setup.value_bytes >= 4096;
    let pairs = database.keyspace("pairs", || {
        let options = KeyspaceCreateOptions::default()
            .data_block_compression_policy(CompressionPolicy::all(CompressionType::None));
        let separated = KvSeparationOptions::default().compression(CompressionType::None);
        options.with_kv_separation(large.then_some(separated))
    })?;
    Ok(Box::new(Fjall {
        database,
        pairs,
        durable: setup.durable,
    }))
}

impl Peer for Fjall {
    fn put(&self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Answer<()> {
        let Some(first) = changes.next() else {
            return Ok(());
        };
        let Some(second) = changes.next() else {
            match first.value {
                Some(value) => self.pairs.insert(first.key, value)?,
                None => self.pairs.remove(first.key)?,
            }
            return if self.durable { self.sync() } else { Ok(()) };
        };
        let mut batch = self
            .database
            .batch()
            .durability(self.durable.then_some(PersistMode::SyncData));
        for change in [first, second].into_iter().chain(changes) {
            match change.value {
                Some(value) => batch.insert(&self.pairs, change.key, value),
                None => batch.remove(&self.pairs, change.key),
            }
        }
        Ok(batch.commit()?)
    }

    fn sync(&self) -> Answer<()> {
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    fn settle(&mut self) -> Answer<()> {
        self.pairs.rotate_memtable_and_wait()?;
        Ok(self.pairs.major_compact()?)
    }

    fn session(&self, frozen: bool) -> Answer<Box<dyn Session>> {
        let snapshot = frozen.then(|| self.database.snapshot());
        Ok(Box::new(Reads {
            pairs: self.pairs.clone(),
            snapshot,
            found: None,
        }))
    }
}

struct Reads {
    pairs: Keyspace,
    snapshot: Option<Snapshot>,
    found: Option<Slice>,
}

impl Session for Reads {
    fn get(&mut self, key: &[u8]) -> Answer<bool> {
        self.found = match &self.snapshot {
            Some(snapshot) => snapshot.get(&self.pairs, key)?,
            None => self.pairs.get(key)?,
        };
        Ok(self.found.is_some())
    }

    fn found(&self) -> &[u8] {
        self.found.as_deref().unwrap_or(&[])
    }

    fn walk(&mut self, start: &[u8], each: Each<'_>) -> Answer<()> {
        let pairs = match &self.snapshot {
            Some(snapshot) => snapshot.range(&self.pairs, start..),
            None => self.pairs.range(start..),
        };
        for pair in pairs {
            let (key, value) = pair.into_inner()?;
            if !each(&key, &value) {
                break;
            }
        }
        Ok(())
    }
}
