//! `sarsen_log_reader`: every command, in commit order, to replay or to follow.

use std::{sync::Arc, time::Duration};

use super::{
    block::sarsen_block,
    error::sarsen_error,
    guard::{guard, guard_value, write_sized, Out, Shared},
    handle::{borrow_mut, new_handle, take, Object},
    snapshot::release,
    status::sarsen_status,
    store::{enter, sarsen_store, share},
    tags::sarsen_tags,
    view::sarsen_bytes,
};
use crate::{
    error::Error,
    store::{CommandKind, LogCommand, LogReader, Tags},
};

pub const SARSEN_COMMAND_APPEND_BLOCK: u32 = 1;
pub const SARSEN_COMMAND_FREE_BLOCK: u32 = 2;
pub const SARSEN_COMMAND_APPEND_MEMORY: u32 = 3;
pub const SARSEN_COMMAND_DELETE_MEMORY: u32 = 4;
pub const SARSEN_COMMAND_SET_KV: u32 = 5;
pub const SARSEN_COMMAND_DELETE_KV: u32 = 6;
pub const SARSEN_COMMAND_APPEND_STREAM: u32 = 7;
pub const SARSEN_COMMAND_TRIM_STREAM: u32 = 8;

fn kind_of(kind: CommandKind) -> u32 {
    match kind {
        CommandKind::AppendBlock => SARSEN_COMMAND_APPEND_BLOCK,
        CommandKind::FreeBlock => SARSEN_COMMAND_FREE_BLOCK,
        CommandKind::AppendMemory => SARSEN_COMMAND_APPEND_MEMORY,
        CommandKind::DeleteMemory => SARSEN_COMMAND_DELETE_MEMORY,
        CommandKind::SetKv => SARSEN_COMMAND_SET_KV,
        CommandKind::DeleteKv => SARSEN_COMMAND_DELETE_KV,
        CommandKind::AppendStream => SARSEN_COMMAND_APPEND_STREAM,
        CommandKind::TrimStream => SARSEN_COMMAND_TRIM_STREAM,
    }
}

/// One command of the log.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct sarsen_command {
    /// The commit it belongs to.
    pub seq: u64,
    /// Keep (epoch, seq): above durable_seq a seq may be used again after power loss, under a higher epoch.
    pub epoch: u64,
    /// One of SARSEN_COMMAND_...
    pub kind: u32,
    /// 1: the last command of its commit.
    pub last: u32,
    /// Memory id, stream index, or the first index that a trim keeps (UINT64_MAX: the stream was dropped).
    pub id: u64,
    /// Where the kind has one, else zero; pairs and stream records of up to 1,024 bytes have none.
    pub block: sarsen_block,
    /// Key or stream name.
    pub key: sarsen_bytes,
    /// Value or block bytes.
    pub value: sarsen_bytes,
}

/// A place in the log. Belongs to the caller. One thread at a time.
pub struct sarsen_log_reader {
    _private: (),
}

pub(super) struct LogReaderValue {
    shared: Arc<Shared>,
    reader: LogReader,
    /// Tags of the command told last; one set, filled anew.
    tags: *mut sarsen_tags,
}

impl Drop for LogReaderValue {
    fn drop(&mut self) {
        // SAFETY: made by `sarsen_log_read` for this reader alone.
        drop(unsafe { take(self.tags) });
    }
}

impl Object for sarsen_log_reader {
    type Value = LogReaderValue;
    const TAG: u64 = u64::from_le_bytes(*b"sarslogr");
    const NAME: &'static str = "sarsen_log_reader";
}

/// ---- the log: every command, in commit order ----------------------------------------------------------
///
/// Oldest commit that is still in the log; the next one to come where it is empty. 0 for NULL.
#[no_mangle]
pub unsafe extern "C" fn sarsen_log_first_seq(store: *const sarsen_store) -> u64 {
    // SAFETY: a live store or NULL, by this function's contract.
    guard_value(0, || unsafe { enter(store) }.map(|store| store.log_first_seq()))
}

/// A reader of commits from `seq` on (from 1; at most the next one to come), freed with sarsen_log_reader_free.
/// NOT_FOUND if the log no longer reaches back that far. CONFLICT if it holds another commit than that of `epoch` (0:
/// any) just before it, at seq - 1. Works on a read-only store that another process is writing, too.
#[no_mangle]
pub unsafe extern "C" fn sarsen_log_read(
    store: *const sarsen_store,
    seq: u64,
    epoch: u64,
    out: *mut *mut sarsen_log_reader,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract: pointers are NULL or good for what they are.
    unsafe {
        guard(error, || {
            let out = Out::required(out, "out", std::ptr::null_mut())?;
            let shared = share(store)?;
            let reader = shared.enter()?.log_read(seq, epoch)?;
            let tags = new_handle::<sarsen_tags>(Tags::new());
            out.set_handle(LogReaderValue { shared, reader, tags });
            Ok(())
        })
    }
}

/// The next command. Waits up to `timeout_us` microseconds for a new commit (0: does not wait): TIMEOUT when none came.
/// NOT_FOUND once the log was released past the reader: start again from a snapshot. CONFLICT as for sarsen_log_read,
/// where only now the log shows it.
///
/// `out_size` is sizeof(sarsen_command) as the host knows it. The command's bytes and *out_tags (may be NULL; an empty
/// set for other commands than memories) are good until the next call on the reader.
#[no_mangle]
pub unsafe extern "C" fn sarsen_log_next(
    reader: *mut sarsen_log_reader,
    timeout_us: u64,
    out: *mut sarsen_command,
    out_size: usize,
    out_tags: *mut *const sarsen_tags,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let tags_out = Out::optional(out_tags, std::ptr::null());
            let this = borrow_mut(reader)?;
            let _call = this.shared.enter()?;
            // Before the reader moves on: a command that can't be told would be lost.
            if out.is_null() || out_size == 0 || out_size > isize::MAX as usize {
                return Err(Error::invalid(
                    "the command to fill in is NULL, or of a size that can't be",
                ));
            }
            let command = this.reader.next(Duration::from_micros(timeout_us))?;
            let tags = borrow_mut(this.tags)?;
            tags.fill_stored(&command.tags);
            write_sized(&tell(&command), out, out_size)?;
            tags_out.set(this.tags.cast_const());
            Ok(())
        })
    }
}

fn tell(command: &LogCommand<'_>) -> sarsen_command {
    sarsen_command {
        seq: command.seq,
        epoch: command.epoch,
        kind: kind_of(command.kind),
        last: u32::from(command.last),
        id: command.id,
        block: command.block.map_or(sarsen_block::EMPTY, sarsen_block::of),
        key: sarsen_bytes::of(command.key),
        value: sarsen_bytes::of(command.value),
    }
}

/// Frees a reader, also one of a closed store. NULL is a no-op.
#[no_mangle]
pub unsafe extern "C" fn sarsen_log_reader_free(reader: *mut sarsen_log_reader) {
    guard_value((), || {
        // SAFETY: a live reader that is not used again, or NULL, by this function's contract.
        if let Some(value) = unsafe { take(reader) } {
            release(Arc::clone(&value.shared), value);
        }
        Ok(())
    });
}
