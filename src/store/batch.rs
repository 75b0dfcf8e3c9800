//! The commands of one atomic commit.

pub use crate::engine::Data;
use crate::{
    engine::Draft,
    error::{Error, Result},
    format::{
        block::BlockAddress,
        bytes::{to_u64, Reader},
        load::{Loaded, LoadedData},
    },
};

use super::{Store, Tags};
use crate::vfs::sync::{Mutex, MutexGuard};

/// No host builds more than this in memory; a length beyond it is a mistake.
const MOST_ENCODED_BYTES: u64 = 64 << 30;

/// Commands to be committed together, in order; later ones see earlier ones. A command that fails to be added leaves
/// the batch as it was.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    draft: Draft,
}

impl Batch {
    pub fn new() -> Batch {
        Batch::default()
    }

    pub(super) fn draft(&mut self) -> &mut Draft {
        &mut self.draft
    }

    /// How many commands are in it; none after a commit.
    pub fn count(&self) -> usize {
        self.draft.count()
    }

    pub fn clear(&mut self) {
        self.draft.clear();
    }

    /// `key` has up to 65,535 bytes, `value` less than 4 GiB.
    pub fn set_kv(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.draft.set_kv(key, value)
    }

    pub fn delete_kv(&mut self, key: &[u8]) -> Result<()> {
        self.draft.delete_kv(key)
    }

    /// Appends a record: bytes, or those of a loose block.
    pub fn append_stream(&mut self, name: &[u8], data: Data<'_>) -> Result<()> {
        self.draft.append_stream(name, None, data)
    }

    /// Appends a record that must get this index, or the commit answers `Conflict`. A stream that isn't there begins
    /// with it: this is how one is copied that no longer has its first records.
    pub fn append_stream_at(&mut self, name: &[u8], index: u64, data: Data<'_>) -> Result<()> {
        self.draft.append_stream(name, Some(index), data)
    }

    /// Drops records below `before`; `u64::MAX` drops the stream.
    pub fn trim_stream(&mut self, name: &[u8], before: u64) -> Result<()> {
        self.draft.trim_stream(name, before)
    }

    /// Writes memory `id`; one that is there is replaced, bytes and tags.
    pub fn append_memory(&mut self, id: u64, tags: &Tags, data: Data<'_>) -> Result<()> {
        let tags: Vec<&str> = tags.iter().collect();
        self.draft.append_memory(id, &tags, data)
    }

    pub fn delete_memory(&mut self, id: u64) -> Result<()> {
        self.draft.delete_memory(id)
    }

    /// Appends a loose block.
    pub fn append_block(&mut self, data: &[u8]) -> Result<()> {
        self.draft.append_block(data)
    }

    /// Ends a loose block's hold on itself.
    pub fn free_block(&mut self, block: &BlockAddress) -> Result<()> {
        self.draft.free_block(*block)
    }

    /// Adds many commands in the layout of `docs/FORMAT.md`, 'Batches'; all of them or, on failure, none.
    pub fn load(&mut self, encoded: &[u8]) -> Result<()> {
        if to_u64(encoded.len()) > MOST_ENCODED_BYTES {
            return Err(Error::too_large("an encoded batch is shorter than 64 GiB"));
        }
        let mut commands = Vec::new();
        let mut reader = Reader::new(encoded);
        while !reader.is_empty() {
            let number = commands.len();
            let loaded = Loaded::decode(&mut reader)
                .map_err(|what| Error::invalid(format!("command {number} of the encoded batch: {what}")))?;
            commands.push(loaded);
        }
        // Limits show when a command is added: on a copy of nothing first, so that this batch stays what it was.
        let mut trial = Batch::new();
        commands
            .iter()
            .try_for_each(|command| trial.add_loaded(command))?;
        if self.count() == 0 {
            self.draft = trial.draft;
            return Ok(());
        }
        self.draft.check_joined(&trial.draft)?;
        commands.iter().try_for_each(|command| self.add_loaded(command))
    }

    fn add_loaded(&mut self, command: &Loaded<'_>) -> Result<()> {
        match command {
            Loaded::AppendBlock { data } => self.append_block(data),
            Loaded::FreeBlock { block } => self.free_block(block),
            Loaded::AppendMemory { id, tags, data } => {
                let tags = Tags::of(tags)?;
                self.append_memory(*id, &tags, data_of(data))
            }
            Loaded::DeleteMemory { id } => self.delete_memory(*id),
            Loaded::SetKv { key, value } => self.set_kv(key, value),
            Loaded::DeleteKv { key } => self.delete_kv(key),
            Loaded::AppendStream { name, data } => self.append_stream(name, data_of(data)),
            Loaded::TrimStream { name, before } => self.trim_stream(name, *before),
        }
    }

    /// What command number `command` of the batch last committed was given: the index of a stream record, and a block.
    pub fn result(&self, command: usize) -> Result<(Option<u64>, Option<BlockAddress>)> {
        self.draft.result(command)
    }
}

fn data_of<'a>(data: &LoadedData<'a>) -> Data<'a> {
    match data {
        LoadedData::Bytes(bytes) => Data::Bytes(bytes),
        LoadedData::Block(block) => Data::Block(*block),
    }
}

/// Batches for commits of one command, whose memory stays from one to the next; one a thread at most times.
#[derive(Debug, Default)]
pub(super) struct Spares {
    shelves: [Mutex<Batch>; Spares::SHELVES],
}

impl Spares {
    const SHELVES: usize = 8;
    /// A batch that grew larger is let go, so that the shelves never hold much.
    const MOST_BYTES: usize = 64 << 10;

    fn shelf(&self) -> &Mutex<Batch> {
        // Threads have stacks of their own: the address of a local tells them apart well enough.
        let local = 0u8;
        let place = (std::ptr::from_ref(&local).addr() >> 16) % Spares::SHELVES;
        let [first, ..] = &self.shelves;
        self.shelves.get(place).unwrap_or(first)
    }

    /// An empty one, until what this gives is dropped. Never waits: another thread may have this shelf's, and so may
    /// this one, in a callback of its commit.
    fn take(&self) -> Spare<'_> {
        match self.shelf().try_lock() {
            Ok(batch) => Spare::Shelved(batch),
            Err(_) => Spare::Own(Box::default()),
        }
    }
}

enum Spare<'a> {
    Shelved(MutexGuard<'a, Batch>),
    Own(Box<Batch>),
}

impl Spare<'_> {
    fn batch(&mut self) -> &mut Batch {
        match self {
            Spare::Shelved(batch) => batch,
            Spare::Own(batch) => batch,
        }
    }
}

impl Drop for Spare<'_> {
    fn drop(&mut self) {
        let batch = self.batch();
        batch.clear();
        if batch.draft.held_bytes() > Spares::MOST_BYTES {
            *batch = Batch::default();
        }
    }
}

/// Commits of one command.
impl Store {
    /// In a batch whose memory an earlier one left, so that committing takes none. `data`: what the command carries.
    fn commit_one<T>(
        &self,
        data: &[u8],
        add: impl FnOnce(&mut Batch) -> Result<()>,
        answer: impl FnOnce(&Batch) -> Result<T>,
    ) -> Result<T> {
        let mut spare = self.spares.take();
        let batch = spare.batch();
        batch.draft.lend();
        add(batch)?;
        self.engine.commit_lent(&mut batch.draft, None, data)?;
        answer(batch)
    }

    pub fn kv_set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.commit_one(value, |batch| batch.set_kv(key, value), |_| Ok(()))
    }

    pub fn kv_delete(&self, key: &[u8]) -> Result<()> {
        self.commit_one(&[], |batch| batch.delete_kv(key), |_| Ok(()))
    }

    /// Returns the record's index.
    pub fn stream_append(&self, name: &[u8], data: &[u8]) -> Result<u64> {
        self.commit_one(
            data,
            |batch| batch.append_stream(name, Data::Bytes(data)),
            |batch| {
                let (index, _) = batch.result(0)?;
                index.ok_or_else(|| Error::internal("an appended record has no index"))
            },
        )
    }

    pub fn stream_trim(&self, name: &[u8], before: u64) -> Result<()> {
        self.commit_one(&[], |batch| batch.trim_stream(name, before), |_| Ok(()))
    }

    pub fn memory_append(&self, id: u64, tags: &Tags, data: &[u8]) -> Result<()> {
        self.commit_one(
            data,
            |batch| batch.append_memory(id, tags, Data::Bytes(data)),
            |_| Ok(()),
        )
    }

    pub fn memory_delete(&self, id: u64) -> Result<()> {
        self.commit_one(&[], |batch| batch.delete_memory(id), |_| Ok(()))
    }

    /// Commits a loose block and returns its address.
    pub fn block_append(&self, data: &[u8]) -> Result<BlockAddress> {
        self.commit_one(
            data,
            |batch| batch.append_block(data),
            |batch| {
                let (_, block) = batch.result(0)?;
                block.ok_or_else(|| Error::internal("an appended block has no address"))
            },
        )
    }

    pub fn block_free(&self, block: &BlockAddress) -> Result<()> {
        self.commit_one(&[], |batch| batch.free_block(block), |_| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_comes_back_empty_with_its_memory_unless_it_grew_large() {
        let spares = Spares::default();
        let mut spare = spares.take();
        spare.batch().set_kv(b"key", &[7; 100]).unwrap();
        let held = spare.batch().draft.held_bytes();
        drop(spare);
        let mut spare = spares.take();
        let batch = spare.batch();
        assert_eq!((batch.count(), batch.draft.held_bytes()), (0, held));
        let beside = spares.take().batch().draft.held_bytes();
        assert_eq!(beside, 0, "nobody waits for a batch, or gets the same one");
        let batch = spare.batch();
        batch.append_block(&[7; 30_000]).unwrap();
        batch.append_block(&[7; 30_000]).unwrap();
        batch.append_block(&[7; 30_000]).unwrap();
        drop(spare);
        assert_eq!(spares.take().batch().draft.held_bytes(), 0);
    }
}
