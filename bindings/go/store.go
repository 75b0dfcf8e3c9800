package sarsen

// #include "bridge.h"
// #include <stdlib.h>
import "C"

import (
	"runtime"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// Store is an open store. Any number of goroutines may use it. Reading methods see the newest commit; a [Snapshot] has
// the same ones.
type Store struct {
	reads
	handle  *C.sarsen_store
	guard   guard
	level   Durability
	cleanup runtime.Cleanup
	// Update holds it for itself; other commits share it, so that they go on side by side.
	updating sync.RWMutex
}

// Open opens, or creates, the store in the directory path. options may be nil: every default. [Store.Recovery] tells
// what it found. Close it; a store that is forgotten is closed once the garbage collector finds it.
//
// [ErrLocked]: open for writing elsewhere. [ErrNotAStore]: something else is at the path, which is left as it is, or
// nothing with NoCreate. [ErrCorrupt]: durable data is damaged; the error names the place. [ErrVersion]: written by a
// newer sarsen.
func Open(path string, options *Options) (*Store, error) {
	if options == nil {
		options = &Options{}
	}
	name, err := nativePath(path)
	if err != nil {
		return nil, err
	}
	defer C.free(unsafe.Pointer(name))
	native, err := options.native()
	if err != nil {
		return nil, err
	}
	defer C.sarsen_options_free(native)
	var handle *C.sarsen_store
	var told *C.sarsen_error
	if err := plain(C.sarsen_store_open(name, native, &handle, &told), told); err != nil {
		return nil, err
	}
	store := &Store{handle: handle, guard: newGuard(), level: SurvivePower}
	if options.Durability != DefaultDurability {
		store.level = options.Durability
	}
	store.reads.store = store
	store.cleanup = runtime.AddCleanup(store, abandonStore, handle)
	return store, nil
}

// Closing writes a checkpoint, for which other clean-ups should not have to wait.
func abandonStore(handle *C.sarsen_store) {
	go C.sarsen_store_close(handle, nil)
}

// A path with a NUL in it would be cut there.
func nativePath(path string) (*C.char, error) {
	if strings.IndexByte(path, 0) >= 0 {
		return nil, refuse(ErrInvalidArgument, "the path %q has a NUL in it", path)
	}
	return C.CString(path), nil
}

func (s *Store) enter() error {
	if s.guard.enter() {
		return nil
	}
	return ErrClosed
}

func (s *Store) leave() {
	s.guard.leave()
	runtime.KeepAlive(s)
}

// Close waits for calls under way, checkpoints and lets go of the files. After nil every commit survives power loss. It
// always closes, also when it reports an error. Closing twice answers [ErrClosed]. Views stay good.
func (s *Store) Close() error {
	if !s.guard.close() {
		return ErrClosed
	}
	s.cleanup.Stop()
	var told *C.sarsen_error
	err := plain(C.sarsen_store_close(s.handle, &told), told)
	runtime.KeepAlive(s)
	return err
}

// LastSeq is the newest commit; 0: none, or a closed store.
func (s *Store) LastSeq() uint64 {
	if s.enter() != nil {
		return 0
	}
	defer s.leave()
	return uint64(C.sarsen_store_last_seq(s.handle))
}

// DurableSeq is the newest commit that survives power loss, with every one before it; 0: none, or a closed store.
func (s *Store) DurableSeq() uint64 {
	if s.enter() != nil {
		return 0
	}
	defer s.leave()
	return uint64(C.sarsen_store_durable_seq(s.handle))
}

// call is for what has an error object and nothing else to answer.
func (s *Store) call(do func(told **C.sarsen_error) C.sarsen_status) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	var told *C.sarsen_error
	status := do(&told)
	return plain(status, told)
}

// Checkpoint puts every commit so far into chunks and runs and releases the log before it.
func (s *Store) Checkpoint() error {
	return s.call(func(told **C.sarsen_error) C.sarsen_status { return C.sarsen_store_checkpoint(s.handle, told) })
}

// Compact checkpoints, merges the whole index and gives back the space of everything dead. Others go on meanwhile.
func (s *Store) Compact() error {
	return s.call(func(told **C.sarsen_error) C.sarsen_status { return C.sarsen_store_compact(s.handle, told) })
}

// Maintain does upkeep for about budget, for stores opened with NoBackground. more says whether work is left.
func (s *Store) Maintain(budget time.Duration) (more bool, err error) {
	var left C.bool
	err = s.call(func(told **C.sarsen_error) C.sarsen_status {
		return C.sarsen_store_maintain(s.handle, microseconds(budget), &left, told)
	})
	return bool(left), err
}

// Refresh lets a read-only store see what was committed since, and tells the newest commit that it sees now.
// Snapshots and scans taken before stay as they are.
func (s *Store) Refresh() (seq uint64, err error) {
	var newest C.uint64_t
	err = s.call(func(told **C.sarsen_error) C.sarsen_status {
		return C.sarsen_store_refresh(s.handle, &newest, told)
	})
	return uint64(newest), err
}

// Import takes over a directory in the ancestral layout (state.wal and blocks/chunk_NNNN.bin), whole or not at all,
// into a store that has no commit yet, and tells how many commands it had.
func (s *Store) Import(path string) (commands uint64, err error) {
	name, err := nativePath(path)
	if err != nil {
		return 0, err
	}
	defer C.free(unsafe.Pointer(name))
	s.updating.RLock()
	defer s.updating.RUnlock()
	var count C.uint64_t
	err = s.call(func(told **C.sarsen_error) C.sarsen_status {
		return C.sarsen_store_import(s.handle, name, &count, told)
	})
	return uint64(count), err
}

// Finding is one thing that is wrong with a store.
type Finding struct {
	// File is a path within the store, and Offset a place in it.
	File   string
	Offset uint64
	What   string
}

// Verify reads and checks every byte of the store. A nil error means that it could be read; what is wrong with it is in
// the findings.
func (s *Store) Verify() ([]Finding, error) {
	var report *C.sarsen_report
	err := s.call(func(told **C.sarsen_error) C.sarsen_status { return C.sarsen_store_verify(s.handle, &report, told) })
	if err != nil {
		return nil, err
	}
	defer C.sarsen_report_free(report)
	var findings []Finding
	for {
		var file, what *C.char
		var offset C.uint64_t
		switch status := C.sarsen_report_next(report, &file, &offset, &what); status {
		case C.SARSEN_OK:
			findings = append(findings, Finding{C.GoString(file), uint64(offset), C.GoString(what)})
		case C.SARSEN_END:
			return findings, nil
		default:
			return findings, Status(status)
		}
	}
}

// Verdict is what opening a store found.
type Verdict uint32

const (
	// RecoveryClean: closed in order, nothing to replay.
	RecoveryClean = Verdict(C.SARSEN_RECOVERY_CLEAN)
	// RecoveryReplayed: the log was replayed, nothing was lost.
	RecoveryReplayed = Verdict(C.SARSEN_RECOVERY_REPLAYED)
	// RecoveryTornTail: an unfinished, never durable tail was cut off.
	RecoveryTornTail = Verdict(C.SARSEN_RECOVERY_TORN_TAIL)
	// RecoveryDamaged: durable data was damaged; only a store opened with Salvage gets this far.
	RecoveryDamaged = Verdict(C.SARSEN_RECOVERY_DAMAGED)
)

// Recovery is what opening a store found and did.
type Recovery struct {
	Verdict Verdict
	// LastSeq is the newest commit in the recovered state, ProvenSeq the newest known to have been durable.
	LastSeq, ProvenSeq             uint64
	ReplayedCommits, ReplayedBytes uint64
	// DroppedBytes of the log's tail were cut off.
	DroppedBytes uint64
	Elapsed      time.Duration
}

// Recovery tells what opening found.
func (s *Store) Recovery() (Recovery, error) {
	if err := s.enter(); err != nil {
		return Recovery{}, err
	}
	defer s.leave()
	var told C.sarsen_recovery
	if status := C.sarsen_store_recovery(s.handle, &told, C.sizeof_sarsen_recovery); status != C.SARSEN_OK {
		return Recovery{}, Status(status)
	}
	return Recovery{
		Verdict:         Verdict(told.verdict),
		LastSeq:         uint64(told.last_seq),
		ProvenSeq:       uint64(told.proven_seq),
		ReplayedCommits: uint64(told.replayed_commits),
		ReplayedBytes:   uint64(told.replayed_bytes),
		DroppedBytes:    uint64(told.dropped_bytes),
		Elapsed:         time.Duration(told.elapsed_us) * time.Microsecond,
	}, nil
}

// Stats are figures about a store; the library's header says what each is. Counters start at 0 when it is opened.
type Stats struct {
	Commits, Syncs, BytesAppended                        uint64
	KVCount, MemoryCount, StreamCount, StreamRecordCount uint64
	BlockCount, BlockBytesLive, BlockBytesDead           uint64
	LogBytes, IndexBytes, DiskBytes                      uint64
	HeapBytes, MappedBytes, PinnedViews                  uint64
	// OldestSnapshotSeq is the oldest snapshot that is held; 0: none.
	OldestSnapshotSeq        uint64
	Checkpoints, Compactions uint64
	// Stalls is what commits spent on work that upkeep had not done.
	Stalls time.Duration
}

// Stats are collected now; looks at every file of the store.
func (s *Store) Stats() (Stats, error) {
	if err := s.enter(); err != nil {
		return Stats{}, err
	}
	defer s.leave()
	var told C.sarsen_stats
	if status := C.sarsen_store_stats(s.handle, &told, C.sizeof_sarsen_stats); status != C.SARSEN_OK {
		return Stats{}, Status(status)
	}
	return Stats{
		Commits: uint64(told.commits), Syncs: uint64(told.syncs), BytesAppended: uint64(told.bytes_appended),
		KVCount: uint64(told.kv_count), MemoryCount: uint64(told.memory_count),
		StreamCount: uint64(told.stream_count), StreamRecordCount: uint64(told.stream_record_count),
		BlockCount: uint64(told.block_count), BlockBytesLive: uint64(told.block_bytes_live),
		BlockBytesDead: uint64(told.block_bytes_dead), LogBytes: uint64(told.log_bytes),
		IndexBytes: uint64(told.index_bytes), DiskBytes: uint64(told.disk_bytes), HeapBytes: uint64(told.heap_bytes),
		MappedBytes: uint64(told.mapped_bytes), PinnedViews: uint64(told.pinned_views),
		OldestSnapshotSeq: uint64(told.oldest_snapshot_seq), Checkpoints: uint64(told.checkpoints),
		Compactions: uint64(told.compactions), Stalls: time.Duration(told.stalls_us) * time.Microsecond,
	}, nil
}

// Negative is none, and what doesn't fit is as long as can be.
func microseconds(duration time.Duration) C.uint64_t {
	if duration <= 0 {
		return 0
	}
	return C.uint64_t((duration + time.Microsecond - 1) / time.Microsecond)
}
