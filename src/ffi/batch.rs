//! `sarsen_batch`: the commands of one atomic commit.

use std::ffi::c_void;

use super::{
    block::{address, sarsen_block},
    error::sarsen_error,
    guard::{bytes, guard, guard_value, Out},
    handle::{borrow, borrow_mut, borrow_optional, new_handle, take, Object},
    options::survive as durability,
    status::sarsen_status,
    store::{enter, sarsen_store},
    tags::sarsen_tags,
};
use crate::store::{Batch, Data, Tags};

/// The commands of one atomic commit, in order. Belongs to the caller; no store knows of it until it is committed. One
/// thread at a time.
pub struct sarsen_batch {
    _private: (),
}

impl Object for sarsen_batch {
    type Value = Batch;
    const TAG: u64 = u64::from_le_bytes(*b"sarsbatc");
    const NAME: &'static str = "sarsen_batch";
}

/// ---- batches: the commands of one atomic commit ---------------------------------------------------------
///
/// Commands are applied in the order given; later ones see earlier ones. Deleting what is not there, and trimming
/// below the first record or a stream that is not there, is OK and changes nothing. A commit takes one seq however
/// many commands it has. A command that fails to be added leaves the batch as it was.
///
/// An empty batch: free it with sarsen_batch_free. NULL only where memory ran out.
#[no_mangle]
pub extern "C" fn sarsen_batch_new() -> *mut sarsen_batch {
    guard_value(std::ptr::null_mut(), || {
        Ok(new_handle::<sarsen_batch>(Batch::new()))
    })
}

/// Takes every command out; memory is kept for the next ones.
#[no_mangle]
pub unsafe extern "C" fn sarsen_batch_clear(batch: *mut sarsen_batch) {
    // SAFETY: a live batch used by this thread alone, or NULL, by this function's contract.
    guard_value((), || unsafe { borrow_mut(batch) }.map(Batch::clear));
}

/// Frees a batch. NULL is a no-op.
#[no_mangle]
pub unsafe extern "C" fn sarsen_batch_free(batch: *mut sarsen_batch) {
    guard_value((), || {
        // SAFETY: a live batch that is not used again, or NULL, by this function's contract.
        drop(unsafe { take(batch) });
        Ok(())
    });
}

/// How many commands are in the batch; 0 after a commit, and for NULL.
#[no_mangle]
pub unsafe extern "C" fn sarsen_batch_count(batch: *const sarsen_batch) -> usize {
    // SAFETY: a live batch or NULL, by this function's contract.
    guard_value(0, || unsafe { borrow(batch) }.map(Batch::count))
}

/// Sets `key` (0 to 65,535 bytes) to `value` (< 4 GiB); both are copied.
#[no_mangle]
pub unsafe extern "C" fn sarsen_batch_set_kv(
    batch: *mut sarsen_batch,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract: pointers are NULL or good for what they are.
    unsafe {
        guard(error, || {
            borrow_mut(batch)?.set_kv(bytes(key, key_len, "key")?, bytes(value, value_len, "value")?)
        })
    }
}

/// Deletes `key`.
#[no_mangle]
pub unsafe extern "C" fn sarsen_batch_delete_kv(
    batch: *mut sarsen_batch,
    key: *const c_void,
    key_len: usize,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            borrow_mut(batch)?.delete_kv(bytes(key, key_len, "key")?)
        })
    }
}

/// Appends a record (< 4 GiB, copied) to the stream `name` (0 to 65,535 bytes), which comes into being with its first
/// record. Its index is told by sarsen_batch_result.
#[no_mangle]
pub unsafe extern "C" fn sarsen_batch_append_stream(
    batch: *mut sarsen_batch,
    name: *const c_void,
    name_len: usize,
    data: *const c_void,
    len: usize,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let data = Data::Bytes(bytes(data, len, "data")?);
            borrow_mut(batch)?.append_stream(bytes(name, name_len, "name")?, data)
        })
    }
}

/// Drops the records of a stream below index `before`; UINT64_MAX drops the stream itself.
#[no_mangle]
pub unsafe extern "C" fn sarsen_batch_trim_stream(
    batch: *mut sarsen_batch,
    name: *const c_void,
    name_len: usize,
    before: u64,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            borrow_mut(batch)?.trim_stream(bytes(name, name_len, "name")?, before)
        })
    }
}

/// Writes memory `id`: its bytes (< 4 GiB) and its tags (NULL: none), both copied. An id that is there is replaced,
/// bytes and tags.
#[no_mangle]
pub unsafe extern "C" fn sarsen_batch_append_memory(
    batch: *mut sarsen_batch,
    id: u64,
    tags: *const sarsen_tags,
    data: *const c_void,
    len: usize,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let none = Tags::new();
            let tags = borrow_optional(tags)?.unwrap_or(&none);
            borrow_mut(batch)?.append_memory(id, tags, Data::Bytes(bytes(data, len, "data")?))
        })
    }
}

/// Deletes memory `id`.
#[no_mangle]
pub unsafe extern "C" fn sarsen_batch_delete_memory(
    batch: *mut sarsen_batch,
    id: u64,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe { guard(error, || borrow_mut(batch)?.delete_memory(id)) }
}

/// Appends a loose block (< 4 GiB, copied). Its address is told by sarsen_batch_result.
#[no_mangle]
pub unsafe extern "C" fn sarsen_batch_append_block(
    batch: *mut sarsen_batch,
    data: *const c_void,
    len: usize,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            borrow_mut(batch)?.append_block(bytes(data, len, "data")?)
        })
    }
}

/// Ends a loose block's hold on itself.
#[no_mangle]
pub unsafe extern "C" fn sarsen_batch_free_block(
    batch: *mut sarsen_batch,
    block: *const sarsen_block,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe { guard(error, || borrow_mut(batch)?.free_block(&address(block)?)) }
}

/// Appends to a stream a record whose bytes are those of a loose block, one from sarsen_block_append: it is named, not
/// copied, and several records may name it. Naming one that is not live fails the commit with NOT_FOUND.
#[no_mangle]
pub unsafe extern "C" fn sarsen_batch_append_stream_block(
    batch: *mut sarsen_batch,
    name: *const c_void,
    name_len: usize,
    block: *const sarsen_block,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let block = Data::Block(address(block)?);
            borrow_mut(batch)?.append_stream(bytes(name, name_len, "name")?, block)
        })
    }
}

/// Writes memory `id` with the bytes of a loose block, as sarsen_batch_append_stream_block does for a record.
#[no_mangle]
pub unsafe extern "C" fn sarsen_batch_append_memory_block(
    batch: *mut sarsen_batch,
    id: u64,
    tags: *const sarsen_tags,
    block: *const sarsen_block,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let none = Tags::new();
            let tags = borrow_optional(tags)?.unwrap_or(&none);
            borrow_mut(batch)?.append_memory(id, tags, Data::Block(address(block)?))
        })
    }
}

/// Adds many commands in one call, for callers in other languages that build a batch in memory of their own. Checked
/// whole before any of it is taken. The layout is in docs/FORMAT.md under 'Batches'; little-endian, no padding: kind
/// u8 (SARSEN_COMMAND_...), flags u8 (bit 0: the data is a block's address), tag count u16, key length u32, id u64,
/// data length u64, key, tags (u16 length and bytes each), data.
#[no_mangle]
pub unsafe extern "C" fn sarsen_batch_load(
    batch: *mut sarsen_batch,
    encoded: *const c_void,
    len: usize,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe { guard(error, || borrow_mut(batch)?.load(bytes(encoded, len, "encoded")?)) }
}

/// Commits the batch: all of it or nothing. Returns once the commit has its level: `survive` is
/// SARSEN_SURVIVE_PROCESS, SARSEN_SURVIVE_POWER or 0 for the store's default. *out_seq (may be NULL) is its seq.
///
/// If OK, the batch is empty afterwards; if not, untouched. Committing an empty batch is OK and takes no seq: *out_seq
/// is the newest one. NO_SPACE, TOO_LARGE, INVALID_ARGUMENT, NOT_FOUND, CONFLICT: certainly not written. IO and
/// POISONED: unknown until the store is reopened.
#[no_mangle]
pub unsafe extern "C" fn sarsen_batch_commit(
    batch: *mut sarsen_batch,
    store: *const sarsen_store,
    survive: u32,
    out_seq: *mut u64,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let out = Out::optional(out_seq, 0);
            let batch = borrow_mut(batch)?;
            let store = enter(store)?;
            let survive = if survive == 0 {
                None
            } else {
                Some(durability(survive)?)
            };
            out.set(store.commit(batch, survive)?);
            Ok(())
        })
    }
}

/// What command number `command`, from 0, of the batch last committed OK was given: the index of a stream record
/// (UINT64_MAX for other commands) and the address of its block (all zero where it has none, as pairs and stream records
/// of up to 1,024 bytes). Either may be NULL. INVALID_ARGUMENT once the batch was changed.
#[no_mangle]
pub unsafe extern "C" fn sarsen_batch_result(
    batch: *const sarsen_batch,
    command: usize,
    out_index: *mut u64,
    out_block: *mut sarsen_block,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let index_out = Out::optional(out_index, u64::MAX);
            let block_out = Out::optional(out_block, sarsen_block::EMPTY);
            let (index, block) = borrow(batch)?.result(command)?;
            index_out.set(index.unwrap_or(u64::MAX));
            block_out.set(block.map_or(sarsen_block::EMPTY, sarsen_block::of));
            Ok(())
        })
    }
}
