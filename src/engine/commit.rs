//! The way of a commit into the log and the memtable.
//!
//! Outside the append lock: large blocks are written, the payload and its CRC are built, names of streams and
//! loose blocks are looked up. Under it: what has to be assigned, the header, one copy into the log, the index
//! entries, and the new `published`. Whatever can fail for want of room happens before the frame is written.

use std::{
    collections::HashSet,
    sync::{atomic::Ordering, Arc},
};

use super::{
    apply::{self, Contents, Tally},
    draft::{Draft, LooseDraft},
    lock,
    sorter::{Kept, Sorter, COMMITTED_BYTES},
    state::Generation,
    streams::{Resolved, StreamState, StreamTable},
    upkeep::{MOST_UNSYNCED_BYTES, SYNC_FROM_BYTES},
    Engine, LogMethod, Survive,
};
use crate::vfs::sync::{atomic::AtomicU64, disordered};
use crate::{
    blocks::{large_total_bytes, Chunk, PendingImage},
    error::{Error, Result},
    format::{
        block::{small_total_bytes, BlockAddress, CHUNK_HEADER_BYTES},
        bytes::to_u64,
        frame::Assigned,
        manifest::{Counts, LogPosition},
    },
    log::{Appender, FrameParts},
    vfs::{is_made, lock_shared, Defect},
};

/// The entries of so many commands are sorted before they go into the memtable, unless most are of streams, which have
/// hints where to go.
const SORTED_FROM: u32 = 32;

/// Everything under the append lock.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) appender: Appender,
    pub(super) epoch: u64,
    pub(super) next_seq: u64,
    /// Where the next image goes; chunk 0: a chunk has to be started.
    pub(super) small_chunk: u32,
    pub(super) small_offset: u64,
    pub(super) next_stream_id: u64,
    pub(super) streams: StreamTable,
    pub(super) generation: Arc<Generation>,
    /// A generation that waits for its checkpoint, or is in it.
    pub(super) frozen: Option<Frozen>,
    /// First segment that may hold frames no sync has covered.
    pub(super) unsynced_segment: u64,
    pub(super) tally: Tally,
    assigned_bytes: Vec<u8>,
    scratch: apply::Scratch,
    /// For the sorters of its commits.
    kept: Kept,
    /// Write every frame with `pwrite`: maps aren't safe here, or the host asked for it.
    pub(super) always_written: bool,
}

/// A generation that takes no more commits, and what a manifest needs to say about the moment it was closed.
#[derive(Debug, Clone)]
pub(super) struct Frozen {
    pub(super) generation: Arc<Generation>,
    pub(super) last_seq: u64,
    pub(super) position: LogPosition,
    pub(super) small_chunk: u32,
    pub(super) small_offset: u64,
    pub(super) next_stream_id: u64,
    pub(super) counts: Counts,
}

/// What `Append` starts from after recovery.
#[derive(Debug)]
pub(super) struct AppendStart {
    pub(super) appender: Appender,
    pub(super) epoch: u64,
    pub(super) last_seq: u64,
    pub(super) small_chunk: u32,
    pub(super) small_offset: u64,
    pub(super) next_stream_id: u64,
    pub(super) generation: Arc<Generation>,
    pub(super) tally: Tally,
    pub(super) always_written: bool,
}

impl Append {
    pub(super) fn new(start: AppendStart) -> Append {
        let unsynced_segment = start.appender.position().segment;
        Append {
            appender: start.appender,
            epoch: start.epoch,
            next_seq: start.last_seq.saturating_add(1),
            small_chunk: start.small_chunk,
            small_offset: start.small_offset,
            next_stream_id: start.next_stream_id,
            streams: StreamTable::default(),
            generation: start.generation,
            frozen: None,
            unsynced_segment,
            tally: start.tally,
            assigned_bytes: Vec::new(),
            scratch: apply::Scratch::default(),
            kept: Kept::default(),
            always_written: start.always_written,
        }
    }

    /// Writes the index entries of a frame.
    fn apply(&mut self, seq: u64, contents: Contents<'_>) -> Result<()> {
        let (memtable, tally, scratch) = (&self.generation.memtable, &mut self.tally, &mut self.scratch);
        let of_streams = to_u64(contents.assigned.streams.len());
        if contents.command_count < SORTED_FROM || of_streams > u64::from(contents.command_count) / 2 {
            return apply::apply(memtable, seq, contents, tally, scratch);
        }
        let kept = std::mem::take(&mut self.kept);
        let sorter = Sorter::new(Arc::clone(memtable), COMMITTED_BYTES, kept);
        apply::apply(&sorter, seq, contents, tally, scratch)?;
        self.kept = sorter.finish()?;
        Ok(())
    }
}

/// What one attempt under the append lock came to.
enum Attempt {
    Done {
        seq: u64,
        assigned: Assigned,
        wake_upkeep: bool,
    },
    /// The memtable or the log's tail is at its limit.
    NeedsRoom,
    NeedsSegment,
    /// Should the disk be full once there is so much log, it couldn't be checkpointed.
    NeedsReserve {
        log_bytes: u64,
    },
    NeedsStreams {
        names: Vec<Vec<u8>>,
        cleared: u64,
    },
}

/// The large blocks of a commit under way, with their chunks, which are not rewritten meanwhile.
struct Written<'a> {
    engine: &'a Engine,
    /// The bytes are those that a block takes.
    blocks: Vec<(Arc<Chunk>, u64)>,
    /// A frame names them. Otherwise nothing ever will: a retry writes them anew.
    named: bool,
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        // Of a store that was poisoned nobody knows whether the frame is there.
        let dead =
            !self.named && self.engine.group.poisoned().is_none() && !is_made(Defect::RefusedBlocksForgotten);
        for (chunk, bytes) in &self.blocks {
            if dead {
                self.engine.add_dead(chunk.number(), *bytes);
            }
            chunk.end_use();
        }
    }
}

/// To a counter that changes under the append lock only.
fn add_alone(counter: &AtomicU64, by: u64) {
    let sum = counter.load(Ordering::Relaxed).wrapping_add(by);
    counter.store(sum, Ordering::Relaxed);
}

/// Poisons the store if the thread panics while the log and the memtable may disagree.
struct PoisonOnPanic<'a>(&'a Engine);

impl Drop for PoisonOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison(&Error::internal("a commit panicked half-way"));
        }
    }
}

impl Engine {
    /// Commits the draft and returns its seq once it has its level; an empty draft takes none and gives the newest.
    /// After success the draft tells its results; after an error it is as it was.
    pub(crate) fn commit(&self, draft: &mut Draft, survive: Option<Survive>) -> Result<u64> {
        self.commit_lent(draft, survive, &[])
    }

    /// The same for a draft that was lent the bytes of its one command.
    pub(crate) fn commit_lent(
        &self,
        draft: &mut Draft,
        survive: Option<Survive>,
        lent: &[u8],
    ) -> Result<u64> {
        self.check_writable()?;
        if draft.count() == 0 {
            return Ok(self.last_seq());
        }
        let committed = self.commit_commands(draft, survive, lent);
        match &committed {
            Ok(_) => self.note_success(draft.adds),
            Err(Error::NoSpace { .. }) => self.note_refusal(),
            Err(_) => {}
        }
        committed
    }

    fn commit_commands(&self, draft: &mut Draft, survive: Option<Survive>, lent: &[u8]) -> Result<u64> {
        let survive = survive.unwrap_or(self.options.durability);
        // Failing for want of room must happen before the commit is visible.
        self.for_the_draft(draft, || self.begin())?;
        if draft.adds {
            self.check_reserve()?;
        }
        if survive == Survive::Power {
            self.prove()?;
        }
        if !draft.loose.is_empty() {
            let view = self.view();
            draft.void_frees(|block| view.is_there(block))?;
        }
        let mut written = self.write_large(draft, survive, lent)?;
        let payload_crc = draft.build_frame();
        let frame_len = draft.frame_len();

        let (seq, assigned, wake_upkeep) = loop {
            let attempt = {
                // Nothing that waits for upkeep happens while this is held, since upkeep may wait for it.
                let _naming = (!draft.loose.is_empty()).then(|| lock_shared(&self.naming));
                self.check_loose(draft)?;
                self.try_append(draft, &written.blocks, payload_crc, frame_len, survive)
            };
            let attempt = match attempt {
                // Where the log is copied on write, a frame takes space though its segment has it all.
                Err(Error::NoSpace { .. }) if !draft.adds && self.spend_reserve() => continue,
                attempt => attempt?,
            };
            match attempt {
                Attempt::Done {
                    seq,
                    assigned,
                    wake_upkeep,
                } => break (seq, assigned, wake_upkeep),
                Attempt::NeedsRoom => self.make_room()?,
                Attempt::NeedsSegment => {
                    self.for_the_draft(draft, || self.stall(|| self.prepare_segment(frame_len)))?;
                }
                Attempt::NeedsReserve { log_bytes } => match self.stall(|| self.cover_log(log_bytes)) {
                    // The checkpoint under way gives back what of the log goes beyond the usual.
                    Err(Error::NoSpace { .. }) if lock(&self.append).frozen.is_some() => self.make_room()?,
                    // Segments double while there is room, and nobody gives up one that is merely too large.
                    Err(Error::NoSpace { .. }) if self.supply.replace_with_smaller(frame_len)? => {}
                    outcome => outcome?,
                },
                Attempt::NeedsStreams { names, cleared } => self.learn_streams(names, cleared)?,
            }
        };
        written.named = true;
        self.followers.wake();
        if wake_upkeep {
            self.background.wake();
        }
        if survive == Survive::Power {
            self.wait_for_sync(seq, None)?;
        }
        draft.committed(assigned);
        Ok(seq)
    }

    fn try_append(
        &self,
        draft: &mut Draft,
        large: &[(Arc<Chunk>, u64)],
        payload_crc: u32,
        frame_len: u64,
        survive: Survive,
    ) -> Result<Attempt> {
        let mut guard = lock(&self.append);
        let append = &mut *guard;
        // Checked again here: a failure may have come between, and nothing may follow it.
        self.check_writable()?;
        if self.needs_room(append) {
            return Ok(Attempt::NeedsRoom);
        }
        if !append.appender.has_room(frame_len) {
            let log_bytes = self.log_ahead(append, frame_len);
            if draft.adds && self.supply.ready(frame_len) && !self.reserve_covers(log_bytes) {
                return Ok(Attempt::NeedsReserve { log_bytes });
            }
            match self.supply.take(frame_len) {
                Some(segment) => append.appender.switch_to(segment),
                None => return Ok(Attempt::NeedsSegment),
            }
            if self.supply.is_outrun() {
                self.background.wake();
            }
        }
        let mut next_stream_id = append.next_stream_id;
        let streams = match append.streams.resolve(draft, &mut next_stream_id)? {
            Resolved::Assigned(streams) => streams,
            Resolved::Missing(names) => {
                return Ok(Attempt::NeedsStreams {
                    names,
                    cleared: append.streams.cleared(),
                });
            }
        };
        let (chunk, chunk_offset) = self.place_image(append, to_u64(draft.image.len()))?;
        let assigned = Assigned {
            chunk,
            chunk_offset,
            streams,
        };
        append.assigned_bytes.clear();
        assigned.encode_to(&mut append.assigned_bytes);

        let seq = append.next_seq;
        let parts = FrameParts {
            seq,
            epoch: append.epoch,
            durable_seq: self.group.durable(),
            command_count: draft.command_count(),
            payload_crc,
            assigned: &append.assigned_bytes,
            commands: &draft.commands,
            image: &draft.image,
        };
        let written = append.always_written
            || (survive == Survive::Power && self.options.log_method != LogMethod::Mapped);
        if is_made(Defect::PublishedEarly) {
            self.published.store(seq, Ordering::SeqCst);
        }
        let appended = append.appender.append(&parts, &mut draft.frame, written)?;

        // From here on the frame is in the log: the memtable has to follow, or the store is poisoned.
        let armed = PoisonOnPanic(self);
        if disordered!(PublishedEarly) {
            self.published.store(seq, Ordering::SeqCst);
        }
        let contents = Contents {
            command_count: draft.command_count(),
            commands: &draft.commands,
            image_len: to_u64(draft.image.len()),
            assigned: &assigned,
        };
        let applied = append.apply(seq, contents).and_then(|()| {
            if draft.image.is_empty() {
                return Ok(());
            }
            let segment = append
                .appender
                .current()
                .ok_or_else(|| Error::internal("a frame went to no segment"))?;
            append.generation.pending.push(PendingImage {
                chunk,
                offset: chunk_offset,
                image_len: to_u64(draft.image.len()),
                region: segment.region(),
                image_offset: appended.image_offset,
                frame_offset: appended.offset,
                segment: segment.number(),
                seq,
            })
        });
        if let Err(error) = applied {
            self.poison(&error);
            return Err(error);
        }
        let trimmed = append.streams.accept();
        let deleted = std::mem::take(&mut append.tally.deleted).saturating_add(trimmed);
        if deleted > 0 {
            self.counters.deleted.fetch_add(deleted, Ordering::Relaxed);
        }
        for command in &draft.loose {
            match command {
                LooseDraft::Free { block: address, .. } => {
                    let len = usize::try_from(address.len).unwrap_or(usize::MAX);
                    self.add_dead(address.chunk, small_total_bytes(0, len));
                }
                LooseDraft::Name(address) => {
                    if let Some(chunk) = self.state.load().chunks.get(address.chunk) {
                        chunk.named_by(seq);
                    }
                }
            }
        }
        append.next_stream_id = next_stream_id;
        if !draft.image.is_empty() {
            append.small_chunk = chunk;
            append.small_offset = apply::image_end(&assigned, &draft.image);
        }
        for (chunk, _) in large {
            chunk.named_by(seq);
        }
        append.next_seq = seq.saturating_add(1);
        append.generation.last_seq.store(seq, Ordering::Release);
        add_alone(&append.generation.log_bytes, appended.frame_len);
        add_alone(&self.counters.commits, 1);
        add_alone(&self.counters.frame_bytes, appended.frame_len);
        self.published.store(seq, Ordering::SeqCst);
        drop(armed);
        let half_used = append.appender.half_used();
        self.log_half_used.store(half_used, Ordering::Relaxed);
        let wake_upkeep =
            (half_used && self.supply.is_short()) || self.arenas.is_short() || self.much_was_deleted();
        Ok(Attempt::Done {
            seq,
            assigned,
            wake_upkeep,
        })
    }

    /// Where an image of this length goes. A chunk takes whole images; one larger than a chunk has one to itself.
    fn place_image(&self, append: &Append, image_len: u64) -> Result<(u32, u64)> {
        if image_len == 0 {
            return Ok((0, 0));
        }
        let end = append.small_offset.saturating_add(image_len);
        if append.small_chunk != 0 && end <= self.chunk_bytes {
            return Ok((append.small_chunk, append.small_offset));
        }
        Ok((self.new_chunk_number()?, to_u64(CHUNK_HEADER_BYTES)))
    }

    pub(super) fn new_chunk_number(&self) -> Result<u32> {
        self.next_chunk
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |number| {
                number.checked_add(1)
            })
            .map_err(|_| {
                Error::too_large("the store has used up its 2^32 chunk numbers; copy it with a backup")
            })
    }

    /// Writes the draft's large blocks to chunks and fills their addresses in.
    fn write_large(&self, draft: &mut Draft, survive: Survive, lent: &[u8]) -> Result<Written<'_>> {
        let mut written = Written {
            engine: self,
            blocks: Vec::new(),
            named: false,
        };
        for number in 0..draft.large.len() {
            let Some(large) = draft.large.get(number) else {
                break;
            };
            let unsynced = self.large.unsynced_bytes();
            if unsynced > MOST_UNSYNCED_BYTES {
                self.stall(|| self.large.sync_oldest())
                    .inspect_err(|error| self.poison(error))?;
            }
            let data = large.data.as_deref().unwrap_or(lent);
            if data.len() != large.len {
                return Err(Error::internal("a large block has lost its bytes"));
            }
            let (address, chunk) = match survive {
                Survive::Power => self.large.append_hurried(data)?,
                Survive::Process => self.large.append(data)?,
            };
            if self.large.wants_next() || unsynced > SYNC_FROM_BYTES {
                self.background.wake();
            }
            self.counters
                .large_bytes
                .fetch_add(address.len, Ordering::Relaxed);
            self.add_chunk(&chunk);
            written.blocks.push((chunk, large_total_bytes(address.len)));
            draft.patch_large(number, address)?;
        }
        Ok(written)
    }

    /// Puts a chunk into the state that isn't there yet.
    pub(super) fn add_chunk(&self, chunk: &Arc<Chunk>) {
        if self.state.load().chunks.get(chunk.number()).is_some() {
            return;
        }
        self.state.rcu(|state| {
            let mut next = (**state).clone();
            if next.chunks.get(chunk.number()).is_none() {
                next.chunks = next.chunks.with(Arc::clone(chunk));
            }
            next
        });
    }

    /// Every loose block that the draft names must be live, frees earlier in the draft included.
    fn check_loose(&self, draft: &Draft) -> Result<()> {
        if draft.loose.is_empty() {
            return Ok(());
        }
        let view = self.view();
        let mut freed: HashSet<BlockAddress> = HashSet::new();
        let mut named: HashSet<BlockAddress> = HashSet::new();
        for command in &draft.loose {
            match command {
                // Freeing a block that a record holds, one of this draft among them, changes nothing.
                LooseDraft::Free { block: address, .. } => {
                    if !named.contains(address) && !view.is_held_by_record(address)? {
                        freed.insert(*address);
                    }
                }
                LooseDraft::Name(address) => {
                    if freed.contains(address) || !view.is_live(address)? {
                        return Err(Error::NotFound);
                    }
                    named.insert(*address);
                }
            }
        }
        Ok(())
    }

    fn learn_streams(&self, names: Vec<Vec<u8>>, cleared: u64) -> Result<()> {
        let view = self.view();
        let mut read = Vec::with_capacity(names.len());
        for name in names {
            let state = StreamState::read(&view, &name)?;
            read.push((name, state));
        }
        // Whether it was learnt or not, the next attempt sees what is missing.
        lock(&self.append).streams.learn(read, cleared);
        Ok(())
    }

    /// Counts the time that a commit spends on work that upkeep had not done yet.
    pub(super) fn stall<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let start = self.vfs.now_us();
        let outcome = work();
        let elapsed = self.vfs.now_us().saturating_sub(start);
        self.counters.stalls_us.fetch_add(elapsed, Ordering::Relaxed);
        outcome
    }

    /// Only what deletes may use the reserve.
    fn for_the_draft(&self, draft: &Draft, work: impl Fn() -> Result<()>) -> Result<()> {
        match draft.adds {
            true => work(),
            false => self.with_reserve(work),
        }
    }

    fn prepare_segment(&self, frame_len: u64) -> Result<()> {
        // In turns with the background thread, if that is at it; it may as well be in a long sync.
        self.supply.note_outrun();
        while !self.supply.ready(frame_len) {
            if !self.supply.prepare(frame_len)? {
                break;
            }
        }
        Ok(())
    }

    /// Starts a new generation; where one waits for its checkpoint already, that is done first, here and now.
    fn make_room(&self) -> Result<()> {
        if lock(&self.append).frozen.is_some() {
            self.stall(|| {
                self.background.wait_for(|| lock(&self.append).frozen.is_none());
                self.finish_checkpoint()
            })?;
        }
        if self.freeze() {
            self.background.wake();
        }
        Ok(())
    }

    /// Whether it is time to close the generation, or else, while another one is on its way into a run, to wait for that.
    fn needs_room(&self, append: &Append) -> bool {
        let log_bytes = append.generation.log_bytes.load(Ordering::Relaxed);
        let (log_limit, heap_limit) = match append.frozen {
            None => (self.log_limit(), self.memtable_limit()),
            Some(_) => (self.most_log(), self.most_memtable()),
        };
        log_bytes >= log_limit || append.generation.heap_bytes() >= heap_limit
    }

    /// From so much heap on, a generation is closed.
    fn memtable_limit(&self) -> u64 {
        self.most_memtable() / 4 * 3
    }

    /// What it may grow to while the one before is on its way into a run. Two memtables at most, so half of the budget
    /// goes to them; the other half is for those that make runs of them.
    fn most_memtable(&self) -> u64 {
        (self.options.memory_bytes / 4).max(64 << 10)
    }

    /// How much log there may be without a checkpoint by the time that the segment which is ready is full.
    pub(super) fn log_ahead(&self, append: &Append, frame_len: u64) -> u64 {
        let frozen = append.frozen.as_ref().map(|frozen| &frozen.generation);
        let now: u64 = std::iter::once(&append.generation)
            .chain(frozen)
            .map(|generation| generation.log_bytes.load(Ordering::Relaxed))
            .sum();
        let most = self
            .log_limit()
            .saturating_add(self.most_log())
            .max(now.saturating_add(frame_len));
        now.saturating_add(self.supply.ready_bytes().max(frame_len))
            .min(most)
    }

    /// From so much log on, a generation is closed.
    fn log_limit(&self) -> u64 {
        (self.options.memory_bytes / 2).max(1 << 20)
    }

    /// How much log there may be while the generation before is on its way into a run: writers that outrun the disk
    /// for a moment don't wait for it. This, and what a generation is closed at, bounds what recovery replays.
    fn most_log(&self) -> u64 {
        self.log_limit().saturating_mul(16)
    }

    /// Closes the generation being written and starts another; false if one is closed already, or nothing is in it.
    pub(super) fn freeze(&self) -> bool {
        if self.supply.is_scarce() {
            // For the segment to go with the checkpoint, however large it is, another one has to be in use by then.
            // Where not even a small one is to be had, it stays.
            while !self.supply.ready(0) && self.supply.prepare(0).unwrap_or(false) {}
        }
        let mut guard = lock(&self.append);
        let append = &mut *guard;
        if append.frozen.is_some() || append.generation.is_empty() {
            return false;
        }
        if self.supply.is_scarce() {
            if let Some(segment) = self.supply.take(0) {
                append.appender.switch_to(segment);
            }
        }
        let next = Generation::new(Arc::clone(&self.arenas));
        append.frozen = Some(Frozen {
            generation: Arc::clone(&append.generation),
            last_seq: append.next_seq.saturating_sub(1),
            position: append.appender.position(),
            small_chunk: append.small_chunk,
            small_offset: append.small_offset,
            next_stream_id: append.next_stream_id,
            counts: append.tally.counts,
        });
        let deleted = self.counters.deleted.load(Ordering::Relaxed);
        self.counters.deleted_frozen.store(deleted, Ordering::Relaxed);
        append.generation = Arc::clone(&next);
        // Under the append lock: no commit goes into the new generation before readers can see it.
        self.state.rcu(|state| {
            let mut swapped = (**state).clone();
            swapped.generations.insert(0, Arc::clone(&next));
            swapped
        });
        true
    }
}
