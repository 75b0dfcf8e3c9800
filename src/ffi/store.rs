//! `sarsen_store`: opening, closing, durability, upkeep, figures.

use std::{
    ffi::{c_char, c_void},
    sync::Arc,
    time::Duration,
};

use super::{
    error::sarsen_error,
    guard::{guard, guard_status, guard_value, path, write_sized, Call, Out, Shared},
    handle::{borrow, borrow_optional, take, Object},
    options::sarsen_options,
    snapshot::{sarsen_snapshot, snapshot_of},
    status::{sarsen_status, status_of, SARSEN_OK},
};
use crate::{
    error::{Error, Result},
    store::{Options, Store, Verdict},
};

/// An open store. Thread-safe: always used through `const`.
pub struct sarsen_store {
    _private: (),
}

impl Object for sarsen_store {
    type Value = Arc<Shared>;
    const TAG: u64 = u64::from_le_bytes(*b"sarsstor");
    const NAME: &'static str = "sarsen_store";
}

/// # Safety
/// `store` is NULL or a live store.
#[inline(always)]
pub(super) unsafe fn enter<'a>(store: *const sarsen_store) -> Result<Call<'a>> {
    // SAFETY: passed on to the caller.
    unsafe { borrow(store) }?.enter()
}

/// # Safety
/// `store` is NULL or a live store.
pub(super) unsafe fn share(store: *const sarsen_store) -> Result<Arc<Shared>> {
    // SAFETY: passed on to the caller.
    unsafe { borrow(store) }.cloned()
}

/// ---- store --------------------------------------------------------------------------------------------
///
/// Opens, or creates, the store in the directory `path` (UTF-8). `options` may be NULL: every default.
///
/// Recovery happens here and writes nothing: its outcome is told by sarsen_store_recovery. On success *out_store is
/// closed with sarsen_store_close. LOCKED: open for writing elsewhere. NOT_A_STORE: something else is at the path,
/// which is left as it is, or nothing and `create` is off. CORRUPT: durable data is damaged; the error names the
/// place. VERSION: written by a newer sarsen. Takes time in proportion to the log's tail, not to the store.
#[no_mangle]
pub unsafe extern "C" fn sarsen_store_open(
    path: *const c_char,
    options: *const sarsen_options,
    out_store: *mut *mut sarsen_store,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract: pointers are NULL or good for what they are.
    unsafe {
        guard(error, || {
            let out = Out::required(out_store, "out_store", std::ptr::null_mut())?;
            let path = self::path(path)?;
            let defaults = Options::default();
            let options = borrow_optional(options)?.unwrap_or(&defaults);
            out.set_handle(Shared::new(Store::open(path, options)?));
            Ok(())
        })
    }
}

/// Closes a store: refuses further calls, waits for those under way, checkpoints, lets go of the files. After OK every
/// commit survives power loss. Where more than a fifth of an index that takes at most twice `memory_bytes` is dead, it is
/// merged first, which writes the index once more.
///
/// Always consumes the handle, also when it reports an error (then the data is in the log as it was, or the store was
/// poisoned before). Snapshots, iterators and log readers answer INVALID_ARGUMENT from then on and are still to be freed;
/// views stay good. In a forked child it only releases memory. NULL is a no-op. Not to be called from a callback.
#[no_mangle]
pub unsafe extern "C" fn sarsen_store_close(
    store: *mut sarsen_store,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract: a live store that is not used again, or NULL.
    unsafe {
        guard(error, || {
            if store.is_null() {
                return Ok(());
            }
            let shared = share(store.cast_const())?;
            if shared.store.forked() {
                // Locks and threads of the parent can't be touched here.
                std::mem::forget(take(store));
                std::mem::forget(shared);
                return Ok(());
            }
            let inside = shared.calls.refuse();
            shared.store.announce_close();
            shared.calls.wait(inside);
            let closed = shared.store.close();
            // The handle goes last: a callback may still be called, and use it to be refused.
            drop(take(store));
            closed
        })
    }
}

/// Newest commit; 0: none, or no store. A snapshot taken now sees it.
#[no_mangle]
pub unsafe extern "C" fn sarsen_store_last_seq(store: *const sarsen_store) -> u64 {
    // SAFETY: a live store or NULL, by this function's contract.
    guard_value(0, || unsafe { enter(store) }.map(|store| store.last_seq()))
}

/// Newest commit that survives power loss, with every one before it. One atomic load.
#[no_mangle]
pub unsafe extern "C" fn sarsen_store_durable_seq(store: *const sarsen_store) -> u64 {
    // SAFETY: a live store or NULL, by this function's contract.
    guard_value(0, || unsafe { enter(store) }.map(|store| store.durable_seq()))
}

/// Makes every commit so far survive power loss: one sync, shared with whoever else asks meanwhile. A failed sync
/// poisons the store, since nobody can say what the disk has.
#[no_mangle]
pub unsafe extern "C" fn sarsen_store_sync(
    store: *const sarsen_store,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe { guard(error, || enter(store)?.sync()) }
}

/// Returns once commit `seq` survives power loss, syncing for it unless somebody is. `timeout_us` (microseconds)
/// bounds only waiting for others: TIMEOUT. INVALID_ARGUMENT for a seq that no commit has yet.
#[no_mangle]
pub unsafe extern "C" fn sarsen_store_wait_durable(
    store: *const sarsen_store,
    seq: u64,
    timeout_us: u64,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            enter(store)?.wait_durable(seq, Duration::from_micros(timeout_us))
        })
    }
}

/// Called once with what became of commit `seq`: OK, the status of a poisoned store, or INVALID_ARGUMENT where the
/// store was closed before. Holding no lock, on the thread whose call made the commit durable: the background thread,
/// or any thread in commit, sync, wait_durable, maintain or close. It may call anything but close.
pub type sarsen_durable_fn = Option<unsafe extern "C" fn(user: *mut c_void, seq: u64, status: sarsen_status)>;

/// `user` on its way to the thread that will hand it to the callback.
struct User(*mut c_void);

// SAFETY: the library never looks behind the pointer; that the callback may get it on another thread is documented.
unsafe impl Send for User {}

/// Has `callback` called exactly once, when commit `seq` survives power loss: at once if it does already. Asks the
/// background thread for a sync; without one, the next sarsen_store_maintain does it. `user` is passed on as it is.
/// Not called if this function fails.
#[no_mangle]
pub unsafe extern "C" fn sarsen_store_notify_durable(
    store: *const sarsen_store,
    seq: u64,
    callback: sarsen_durable_fn,
    user: *mut c_void,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let store = enter(store)?;
            let callback = callback.ok_or_else(|| Error::invalid("the callback is NULL"))?;
            let user = User(user);
            store.notify_durable(
                seq,
                Box::new(move |seq, outcome| {
                    let User(user) = { user };
                    let status = outcome.map_or_else(|failure| status_of(&failure), |()| SARSEN_OK);
                    callback(user, seq, status);
                }),
            )
        })
    }
}

/// Puts every commit so far into chunks and runs and releases the log before it (what is retained aside).
#[no_mangle]
pub unsafe extern "C" fn sarsen_store_checkpoint(
    store: *const sarsen_store,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe { guard(error, || enter(store)?.checkpoint()) }
}

/// Checkpoints, merges the whole index and gives back the space of everything dead. Takes time in proportion to the
/// store; other threads go on.
#[no_mangle]
pub unsafe extern "C" fn sarsen_store_compact(
    store: *const sarsen_store,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe { guard(error, || enter(store)?.compact()) }
}

/// Upkeep by the host, for stores opened with background = false: works for about `budget_us` microseconds in steps
/// of some 256 KiB, at least one. A step may sync a file; the first call of an opening also makes the opening itself
/// durable, unless a commit has. *out_more (may be NULL) says whether work is left.
#[no_mangle]
pub unsafe extern "C" fn sarsen_store_maintain(
    store: *const sarsen_store,
    budget_us: u64,
    out_more: *mut bool,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let out = Out::optional(out_more, false);
            out.set(enter(store)?.maintain(Duration::from_micros(budget_us))?);
            Ok(())
        })
    }
}

/// Writes a store of its own to `path` (UTF-8), where nothing may be yet: exactly what the snapshot sees, or the newest
/// commit if it is NULL, under a uuid of its own. Writers go on meanwhile. Its MANIFEST comes last: what a crash
/// leaves unfinished does not open.
#[no_mangle]
pub unsafe extern "C" fn sarsen_store_backup(
    store: *const sarsen_store,
    snapshot: *const sarsen_snapshot,
    path: *const c_char,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let store = enter(store)?;
            let snapshot = snapshot_of(snapshot, &store)?;
            store.backup(snapshot, self::path(path)?)
        })
    }
}

/// Lets a read-only store see what was committed since. *out_seq (may be NULL) is the newest commit it sees now. On a
/// store open for writing it only tells that. Snapshots and iterators taken before stay as they are.
#[no_mangle]
pub unsafe extern "C" fn sarsen_store_refresh(
    store: *const sarsen_store,
    out_seq: *mut u64,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let out = Out::optional(out_seq, 0);
            out.set(enter(store)?.refresh()?);
            Ok(())
        })
    }
}

/// Takes over a directory in the ancestral layout (state.wal and blocks/chunk_NNNN.bin), whole or not at all, into a
/// store that has no commit yet. Each record takes one seq; *out_commands (may be NULL) is their number. CORRUPT, and
/// nothing imported, where a record names bytes that are not there.
#[no_mangle]
pub unsafe extern "C" fn sarsen_store_import(
    store: *const sarsen_store,
    path: *const c_char,
    out_commands: *mut u64,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let out = Out::optional(out_commands, 0);
            out.set(enter(store)?.import(self::path(path)?)?);
            Ok(())
        })
    }
}

/// Closed in order, nothing to replay.
pub const SARSEN_RECOVERY_CLEAN: u32 = 0;
/// The log was replayed, nothing was lost.
pub const SARSEN_RECOVERY_REPLAYED: u32 = 1;
/// An unfinished, never durable tail was cut off.
pub const SARSEN_RECOVERY_TORN_TAIL: u32 = 2;
/// Durable data was damaged; only a store opened with salvage gets this far.
pub const SARSEN_RECOVERY_DAMAGED: u32 = 3;

/// What opening the store found.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct sarsen_recovery {
    /// One of SARSEN_RECOVERY_...
    pub verdict: u32,
    pub reserved: u32,
    /// Newest commit in the recovered state.
    pub last_seq: u64,
    /// Newest commit known to have been durable before the stop.
    pub proven_seq: u64,
    pub replayed_commits: u64,
    pub replayed_bytes: u64,
    /// Bytes of the log's cut-off tail.
    pub dropped_bytes: u64,
    pub elapsed_us: u64,
}

/// What opening found. `out_size` is sizeof(sarsen_recovery) as the host knows it.
#[no_mangle]
pub unsafe extern "C" fn sarsen_store_recovery(
    store: *const sarsen_store,
    out: *mut sarsen_recovery,
    out_size: usize,
) -> sarsen_status {
    // SAFETY: this function's contract.
    guard_status(|| unsafe {
        let found = enter(store)?.recovery();
        let verdict = match found.verdict {
            Verdict::Clean => SARSEN_RECOVERY_CLEAN,
            Verdict::Replayed => SARSEN_RECOVERY_REPLAYED,
            Verdict::TornTail => SARSEN_RECOVERY_TORN_TAIL,
            Verdict::Damaged => SARSEN_RECOVERY_DAMAGED,
        };
        let recovery = sarsen_recovery {
            verdict,
            reserved: 0,
            last_seq: found.last_seq,
            proven_seq: found.proven_seq,
            replayed_commits: found.replayed_commits,
            replayed_bytes: found.replayed_bytes,
            dropped_bytes: found.dropped_bytes,
            elapsed_us: found.elapsed_us,
        };
        write_sized(&recovery, out, out_size)
    })
}

/// Figures about a store. Bytes unless named otherwise; counters start at 0 when the store is opened.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct sarsen_stats {
    pub commits: u64,
    /// Group syncs of the log, and checkpoints.
    pub syncs: u64,
    /// To the log and, large blocks, to chunks.
    pub bytes_appended: u64,
    /// Counts, live and dead bytes are estimates, exact after sarsen_store_compact.
    pub kv_count: u64,
    pub memory_count: u64,
    pub stream_count: u64,
    pub stream_record_count: u64,
    /// Loose blocks that nothing names.
    pub block_count: u64,
    pub block_bytes_live: u64,
    pub block_bytes_dead: u64,
    pub log_bytes: u64,
    pub index_bytes: u64,
    /// What the file system accounts to the store.
    pub disk_bytes: u64,
    pub heap_bytes: u64,
    pub mapped_bytes: u64,
    /// Views not yet released.
    pub pinned_views: u64,
    /// Oldest snapshot that is held; 0: none.
    pub oldest_snapshot_seq: u64,
    pub checkpoints: u64,
    pub compactions: u64,
    /// Microseconds that commits spent on work upkeep had not done.
    pub stalls_us: u64,
}

/// Figures about the store, collected now. `out_size` is sizeof(sarsen_stats) as the host knows it. Looks at every
/// file of the store.
#[no_mangle]
pub unsafe extern "C" fn sarsen_store_stats(
    store: *const sarsen_store,
    out: *mut sarsen_stats,
    out_size: usize,
) -> sarsen_status {
    // SAFETY: this function's contract.
    guard_status(|| unsafe {
        let stats = enter(store)?.stats()?;
        let stats = sarsen_stats {
            commits: stats.commits,
            syncs: stats.syncs,
            bytes_appended: stats.bytes_appended,
            kv_count: stats.kv_count,
            memory_count: stats.memory_count,
            stream_count: stats.stream_count,
            stream_record_count: stats.stream_record_count,
            block_count: stats.block_count,
            block_bytes_live: stats.block_bytes_live,
            block_bytes_dead: stats.block_bytes_dead,
            log_bytes: stats.log_bytes,
            index_bytes: stats.index_bytes,
            disk_bytes: stats.disk_bytes,
            heap_bytes: stats.heap_bytes,
            mapped_bytes: stats.mapped_bytes,
            pinned_views: stats.pinned_views,
            oldest_snapshot_seq: stats.oldest_snapshot_seq,
            checkpoints: stats.checkpoints,
            compactions: stats.compactions,
            stalls_us: stats.stalls_us,
        };
        write_sized(&stats, out, out_size)
    })
}
