//! The data model over the engine, and the crate's public API: key-value, streams, memories, blocks, batches over
//! all of them, snapshots, the log. The C API wraps exactly this.

mod batch;
mod block;
mod kv;
mod log_reader;
mod memory;
mod snapshot;
mod stream;
mod tags;
mod view;

use std::{path::Path, sync::Arc, time::Duration};

pub use self::{
    batch::{Batch, Data},
    block::BlockIter,
    kv::{Filled, KvIter},
    log_reader::{CommandKind, LogCommand, LogReader},
    memory::MemoryIter,
    snapshot::Snapshot,
    stream::{StreamIter, StreamNames},
    tags::Tags,
    view::View,
};
use crate::{
    engine::Engine,
    error::{Error, Result},
    format::{record, MAX_KEY_BYTES},
    index::copy_short,
    vfs::{OsVfs, Vfs},
};
pub use crate::{
    engine::{
        Anatomy, Check, ChunkFigures, Finding, LogMethod, Options, Recovery, RunFigures, SegmentFigures,
        Stats, Survive, Verdict,
    },
    format::block::BlockAddress,
};

/// An open store. Every method may be called from any thread at once. Dropping it closes it; [`Store::close`] tells
/// how that went.
#[derive(Debug)]
pub struct Store {
    engine: Arc<Engine>,
    spares: batch::Spares,
}

impl Store {
    /// Opens, or creates, the store in the directory `path`. Recovery happens here and writes nothing.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Store> {
        Store::open_with(Arc::new(OsVfs), path.as_ref(), options)
    }

    /// On a simulated disk.
    #[cfg(feature = "simulation")]
    pub fn open_on(disk: &crate::vfs::sim::SimVfs, path: &Path, options: &Options) -> Result<Store> {
        Store::open_with(Arc::new(disk.clone()), path, options)
    }

    fn open_with(vfs: Arc<dyn Vfs>, path: &Path, options: &Options) -> Result<Store> {
        Ok(Store {
            engine: Engine::open(vfs, path, options)?,
            spares: batch::Spares::default(),
        })
    }

    /// Closing is near: calls under way that wait or work for long come to an end.
    pub(crate) fn announce_close(&self) {
        self.engine.announce_close();
    }

    /// Checkpoints and lets go of the files. Snapshots, iterators and log readers answer `InvalidArgument` from then
    /// on; views stay good. A second call does nothing.
    pub fn close(&self) -> Result<()> {
        self.engine.close()
    }

    /// Newest commit; 0: none.
    pub fn last_seq(&self) -> u64 {
        self.engine.last_seq()
    }

    /// Newest commit that survives power loss, with every one before it.
    pub fn durable_seq(&self) -> u64 {
        self.engine.durable_seq()
    }

    /// Makes every commit so far survive power loss.
    pub fn sync(&self) -> Result<()> {
        self.engine.sync()
    }

    /// Returns once commit `seq` survives power loss, syncing for it unless somebody is. `timeout` bounds only waiting
    /// for others.
    pub fn wait_durable(&self, seq: u64, timeout: Duration) -> Result<()> {
        self.check_open()?;
        self.engine.wait_durable(seq, Some(timeout))
    }

    /// Calls `callback` exactly once when commit `seq` survives power loss, on the thread whose call made it so.
    pub fn notify_durable(&self, seq: u64, callback: Box<dyn FnOnce(u64, Result<()>) + Send>) -> Result<()> {
        self.check_open()?;
        self.engine.notify_durable(seq, callback)
    }

    /// Puts every commit so far into chunks and runs and releases the log before it.
    pub fn checkpoint(&self) -> Result<()> {
        self.engine.checkpoint()
    }

    /// Checkpoints, merges the whole index and gives back the space of everything dead.
    pub fn compact(&self) -> Result<()> {
        self.engine.compact()
    }

    /// Upkeep for about `budget`, at least one step; whether work is left.
    pub fn maintain(&self, budget: Duration) -> Result<bool> {
        self.engine
            .maintain(u64::try_from(budget.as_micros()).unwrap_or(u64::MAX))
    }

    /// Lets a read-only store see what was committed since; the newest commit it sees now.
    pub fn refresh(&self) -> Result<u64> {
        self.check_open()?;
        self.engine.refresh()
    }

    /// What opening found.
    pub fn recovery(&self) -> Recovery {
        self.engine.recovery()
    }

    /// Figures, collected now.
    pub fn stats(&self) -> Result<Stats> {
        self.check_open()?;
        self.engine.stats()
    }

    /// What the store is made of: chunks, runs, log segments. Looks at the manifest in force and at the log's directory.
    pub fn anatomy(&self) -> Result<Anatomy> {
        self.check_open()?;
        self.engine.anatomy()
    }

    /// Reads and checks every byte; what is wrong, if anything.
    pub fn verify(&self) -> Result<Vec<Finding>> {
        self.engine.verify()
    }

    /// Writes a store of its own to `path`: what the snapshot sees, or the newest commit.
    pub fn backup(&self, snapshot: Option<&Snapshot>, path: &Path) -> Result<()> {
        let pinned = snapshot.and_then(Snapshot::pinned);
        self.engine.backup(snapshot.map(Snapshot::seq), pinned, path)
    }

    /// Takes over a directory in the ancestral layout into a store without commits; how many records it had.
    pub fn import(&self, path: &Path) -> Result<u64> {
        self.engine.import(path)
    }

    /// Freezes what is visible now.
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.check_open()?;
        Ok(Snapshot::new(Arc::clone(&self.engine)))
    }

    /// Commits the batch, all of it or nothing, and returns its seq once it has its level (`None`: the store's default).
    /// The batch is empty afterwards if this succeeds, untouched if not. An empty one gives the newest seq.
    pub fn commit(&self, batch: &mut Batch, survive: Option<Survive>) -> Result<u64> {
        self.engine.commit(batch.draft(), survive)
    }

    /// Oldest commit that is still in the log; the next one to come where it is empty.
    pub fn log_first_seq(&self) -> u64 {
        self.engine
            .first_log_seq()
            .unwrap_or_else(|_| self.last_seq().saturating_add(1))
    }

    /// Commits from `seq` on. `NotFound` if the log doesn't reach back to it, `Conflict` if the commit before it is of
    /// another epoch than `epoch` (0: any).
    pub fn log_read(&self, seq: u64, epoch: u64) -> Result<LogReader> {
        self.check_open()?;
        LogReader::new(&self.engine, seq, epoch)
    }

    /// True in a child process of the one that opened the store.
    pub(crate) fn forked(&self) -> bool {
        self.engine.forked()
    }

    /// A call into the store panicked: nobody knows in what state it left things.
    pub(crate) fn poison_after_panic(&self) {
        self.engine.poison(&Error::internal("a call panicked"));
    }

    fn check_open(&self) -> Result<()> {
        check_open(&self.engine)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if !self.engine.forked() {
            // Whoever wants to know calls close.
            let _ = self.engine.close();
        }
    }
}

#[inline(always)]
fn check_open(engine: &Engine) -> Result<()> {
    if engine.is_closed() {
        return Err(closed());
    }
    Ok(())
}

#[cold]
fn closed() -> Error {
    Error::invalid("the store was closed")
}

/// Refuses what no key or stream name can be.
#[inline(always)]
fn check_key(key: &[u8]) -> Result<()> {
    if key.len() > MAX_KEY_BYTES {
        return Err(key_too_long());
    }
    Ok(())
}

#[cold]
fn key_too_long() -> Error {
    Error::too_large(format!(
        "keys and stream names have at most {MAX_KEY_BYTES} bytes"
    ))
}

/// Longest index key that is put together without asking for memory.
const SHORT_KEY_BYTES: usize = 128;

/// Puts an index key together on the stack, where it is short, and calls `with` with it.
#[inline(always)]
fn with_key<T>(space: u8, rest: &[u8], with: impl FnOnce(&[u8]) -> T) -> T {
    let mut short = [0; SHORT_KEY_BYTES];
    let mut long = Vec::new();
    let key = match short.get_mut(..=rest.len()) {
        Some(key) => {
            fill_key(space, rest, key);
            key
        }
        None => {
            record::with_space(&mut long, space, &[rest]);
            long.as_slice()
        }
    };
    with(key)
}

/// Puts an index key into a place of its length.
#[inline(always)]
fn fill_key(space: u8, rest: &[u8], key: &mut [u8]) {
    if let Some((first, key)) = key.split_first_mut() {
        *first = space;
        copy_short(rest, key);
    }
}
