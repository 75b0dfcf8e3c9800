package sarsen

// #include "bridge.h"
import "C"

import (
	"context"
	"runtime/cgo"
	"time"
)

// Sync makes every commit so far survive power loss: one sync, shared with whoever else asks meanwhile. A failed sync
// poisons the store, since nobody can say what the disk has.
func (s *Store) Sync() error {
	return s.call(func(told **C.sarsen_error) C.sarsen_status { return C.sarsen_store_sync(s.handle, told) })
}

// WaitDurable returns once commit seq survives power loss, syncing for it unless somebody is. When ctx ends before, it
// answers ctx.Err() at once; the sync goes on by itself. [ErrInvalidArgument] for a seq that no commit has yet.
func (s *Store) WaitDurable(ctx context.Context, seq uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if ctx.Done() == nil {
		return s.waitDurable(seq)
	}
	// A system call under way can't be called off: whoever waits leaves, the call ends on a goroutine of its own.
	done := make(chan error, 1)
	go func() { done <- s.waitDurable(seq) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// WaitDurableFor is as [Store.WaitDurable]; timeout bounds only waiting for others: [ErrTimeout].
func (s *Store) WaitDurableFor(seq uint64, timeout time.Duration) error {
	return s.call(func(told **C.sarsen_error) C.sarsen_status {
		return C.sarsen_store_wait_durable(s.handle, C.uint64_t(seq), microseconds(timeout), told)
	})
}

func (s *Store) waitDurable(seq uint64) error {
	return s.call(func(told **C.sarsen_error) C.sarsen_status {
		return C.sarsen_store_wait_durable(s.handle, C.uint64_t(seq), ^C.uint64_t(0), told)
	})
}

// NotifyDurable has callback called exactly once, on a goroutine of its own, when commit seq survives power loss, or
// with the error when it will not: the store was poisoned or closed. Without a background thread the next
// [Store.Maintain] does the sync. Not called if this method fails.
func (s *Store) NotifyDurable(seq uint64, callback func(seq uint64, err error)) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	waiter := cgo.NewHandle(callback)
	answer := C.bridge_notify_durable(s.handle, C.uint64_t(seq), C.uintptr_t(waiter))
	if err := failure(answer.status, answer.error); err != nil {
		waiter.Delete()
		return err
	}
	return nil
}

// The library calls this inside of whatever call made the commit durable, so the callback gets a goroutine where it may
// do as it likes, closing the store included.
//
//export sarsenDurable
func sarsenDurable(number C.uintptr_t, seq C.uint64_t, status C.sarsen_status) {
	waiter := cgo.Handle(number)
	callback := waiter.Value().(func(uint64, error))
	waiter.Delete()
	go callback(uint64(seq), failure(status, 0))
}
