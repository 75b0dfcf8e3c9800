package sarsen

// #include "bridge.h"
// #include <stdlib.h>
import "C"

import (
	"runtime"
	"unsafe"
)

// reads is what a store and a snapshot have in common.
type reads struct {
	store *Store
	// nil: now.
	snapshot *Snapshot
}

// enter lets the handles be used until leave.
func (r *reads) enter() error {
	if r.snapshot != nil && !r.snapshot.guard.enter() {
		return ErrClosed
	}
	if err := r.store.enter(); err != nil {
		if r.snapshot != nil {
			r.snapshot.guard.leave()
		}
		return err
	}
	return nil
}

func (r *reads) leave() {
	if r.snapshot != nil {
		r.snapshot.guard.leave()
		runtime.KeepAlive(r.snapshot)
	}
	r.store.leave()
}

func (r *reads) native() *C.sarsen_snapshot {
	if r.snapshot == nil {
		return nil
	}
	return r.snapshot.handle
}

// Snapshot is one frozen view over all four kinds of data. Any number of goroutines may use it. While it is held, what
// it sees takes space on disk.
type Snapshot struct {
	reads
	handle  *C.sarsen_snapshot
	guard   guard
	seq     uint64
	cleanup runtime.Cleanup
}

// Snapshot freezes what is visible now. Close it; one that is forgotten is let go once the garbage collector finds it.
func (s *Store) Snapshot() (*Snapshot, error) {
	var handle *C.sarsen_snapshot
	err := s.call(func(told **C.sarsen_error) C.sarsen_status { return C.sarsen_snapshot_new(s.handle, &handle, told) })
	if err != nil {
		return nil, err
	}
	snapshot := &Snapshot{handle: handle, guard: newGuard(), seq: uint64(C.sarsen_snapshot_seq(handle))}
	snapshot.reads = reads{store: s, snapshot: snapshot}
	snapshot.cleanup = runtime.AddCleanup(snapshot, func(h *C.sarsen_snapshot) { C.sarsen_snapshot_free(h) }, handle)
	return snapshot, nil
}

// Seq is the newest commit that the snapshot sees.
func (s *Snapshot) Seq() uint64 { return s.seq }

// Close lets the snapshot go. Closing twice does nothing.
func (s *Snapshot) Close() {
	if s.guard.close() {
		s.cleanup.Stop()
		C.sarsen_snapshot_free(s.handle)
	}
	runtime.KeepAlive(s)
}

// View runs a function over a snapshot that is closed afterwards, and answers what it answers.
func (s *Store) View(read func(snapshot *Snapshot) error) error {
	snapshot, err := s.Snapshot()
	if err != nil {
		return err
	}
	defer snapshot.Close()
	return read(snapshot)
}

// Backup writes a store of its own to path, where nothing may be yet: exactly what the snapshot sees, or the newest
// commit of a store. Writers go on meanwhile. What a crash leaves unfinished does not open.
func (r *reads) Backup(path string) error {
	name, err := nativePath(path)
	if err != nil {
		return err
	}
	defer C.free(unsafe.Pointer(name))
	if err := r.enter(); err != nil {
		return err
	}
	defer r.leave()
	var told *C.sarsen_error
	status := C.sarsen_store_backup(r.store.handle, r.native(), name, &told)
	return plain(status, told)
}
