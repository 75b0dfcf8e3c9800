//! Blocks by address.

use std::ffi::c_void;

use super::{
    error::sarsen_error,
    guard::{buffer, bytes, guard, Out},
    status::sarsen_status,
    store::{enter, sarsen_store},
    view::sarsen_view,
};
use crate::{
    error::{Error, Result},
    store::BlockAddress,
};

/// Where a block lies: good until the block dies; upkeep never moves an address. After that it answers NOT_FOUND or,
/// until the space is reclaimed, its own old bytes; never other bytes. A plain value: copy it, store it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct sarsen_block {
    pub chunk: u32,
    /// CRC-32C of the block's bytes.
    pub crc32c: u32,
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

impl sarsen_block {
    pub(super) const EMPTY: sarsen_block = sarsen_block {
        chunk: 0,
        crc32c: 0,
        offset: 0,
        len: 0,
    };

    pub(super) fn of(address: BlockAddress) -> sarsen_block {
        let BlockAddress {
            chunk,
            crc32c,
            offset,
            len,
        } = address;
        sarsen_block {
            chunk,
            crc32c,
            offset,
            len,
        }
    }
}

/// # Safety
/// `block` is NULL or points to a block.
pub(super) unsafe fn address(block: *const sarsen_block) -> Result<BlockAddress> {
    if block.is_null() {
        return Err(Error::invalid("the block is NULL"));
    }
    // SAFETY: not NULL, so a readable block by the caller's promise.
    let sarsen_block {
        chunk,
        crc32c,
        offset,
        len,
    } = unsafe { block.read() };
    Ok(BlockAddress {
        chunk,
        crc32c,
        offset,
        len,
    })
}

/// ---- blocks -------------------------------------------------------------------------------------------
///
/// Commits one loose block of `len` < 4 GiB bytes and tells its address. It holds itself until it is freed or first
/// named by a memory or a stream record; after that the records that name it hold it.
#[no_mangle]
pub unsafe extern "C" fn sarsen_block_append(
    store: *const sarsen_store,
    data: *const c_void,
    len: usize,
    out_block: *mut sarsen_block,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract: pointers are NULL or good for what they are.
    unsafe {
        guard(error, || {
            let out = Out::required(out_block, "out_block", sarsen_block::EMPTY)?;
            let address = enter(store)?.block_append(bytes(data, len, "data")?)?;
            out.set(sarsen_block::of(address));
            Ok(())
        })
    }
}

/// Commits the end of a loose block's hold on itself. One that is not there, or that records hold: OK, and nothing
/// changes.
#[no_mangle]
pub unsafe extern "C" fn sarsen_block_free(
    store: *const sarsen_store,
    block: *const sarsen_block,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe { guard(error, || enter(store)?.block_free(&address(block)?)) }
}

/// Copies `len` bytes of a block, from byte `from` on, to `buffer`. Every byte was checked against its CRC; only the
/// 64 KiB pages that the range touches are. NOT_FOUND: no such block; INVALID_ARGUMENT: the range leaves it; CORRUPT:
/// its bytes fail their check, or the index says that it is there and it isn't.
#[no_mangle]
pub unsafe extern "C" fn sarsen_block_read(
    store: *const sarsen_store,
    block: *const sarsen_block,
    from: u64,
    buffer: *mut c_void,
    len: usize,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let store = enter(store)?;
            store.block_read(&address(block)?, from, self::buffer(buffer, len, "buffer")?)
        })
    }
}

/// The same range in place: a view to be released with sarsen_view_release.
#[no_mangle]
pub unsafe extern "C" fn sarsen_block_view(
    store: *const sarsen_store,
    block: *const sarsen_block,
    from: u64,
    len: usize,
    out_view: *mut sarsen_view,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let out = Out::required(out_view, "out_view", sarsen_view::EMPTY)?;
            let len = u64::try_from(len).map_err(|_| Error::too_large("len"))?;
            out.set(sarsen_view::of(enter(store)?.block_view(
                &address(block)?,
                from,
                len,
            )?));
            Ok(())
        })
    }
}
