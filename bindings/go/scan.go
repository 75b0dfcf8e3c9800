package sarsen

// #include "bridge.h"
//
// #cgo noescape bridge_kv_fill
// #cgo nocallback bridge_kv_fill
// #cgo noescape bridge_kv_fill_keys
// #cgo nocallback bridge_kv_fill_keys
// #cgo noescape bridge_stream_fill
// #cgo nocallback bridge_stream_fill
// #cgo noescape bridge_stream_fill_names
// #cgo nocallback bridge_stream_fill_names
// #cgo noescape bridge_memory_fill
// #cgo nocallback bridge_memory_fill
import "C"

import (
	"encoding/binary"
	"errors"
	"iter"
)

// Buffers grow from the first size to the second, so that a short scan stays cheap and a long one crosses seldom.
const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
)

// scan is a walk that crosses into C once per buffer.
type scan[T any] struct {
	reads *reads
	// open answers the iterator, and the three functions that follow work on it.
	open func() C.bridge_handle
	fill func(iter C.uintptr_t, buffer []byte) C.bridge_filled
	free func(iter C.uintptr_t)
	// decode takes the entry at the front of the bytes and tells how long it was.
	decode func(bytes []byte) (entry T, len int)
	// lent: one buffer for all, entries are good until the next step.
	lent bool
}

// entries tells errors in the place of entries. The library goes on behind a damaged entry and so does this, if the
// loop wants it; where it can't, it says the same again, which ends the scan.
func (s scan[T]) entries() iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		handle, err := s.opened()
		if err != nil {
			yield(none, err)
			return
		}
		defer s.free(handle)
		var buffer []byte
		var last error
		size := smallBuffer
		for {
			if !s.lent || len(buffer) < size {
				buffer = make([]byte, size)
			}
			filled := s.fill(handle, buffer)
			rest := buffer[:filled.len]
			for range filled.count {
				entry, taken := s.decode(rest)
				rest = rest[taken:]
				last = nil
				if !yield(entry, nil) {
					return
				}
			}
			switch {
			case filled.status == C.SARSEN_END:
				return
			case filled.needed > 0:
				C.sarsen_error_free(toldError(filled.error))
				size = max(largeBuffer, int(filled.needed))
				continue
			case filled.status != C.SARSEN_OK:
				err := s.reads.child(failure(filled.status, filled.error))
				if !yield(none, err) || !errors.Is(err, ErrCorrupt) || last != nil && last.Error() == err.Error() {
					return
				}
				last = err
			}
			size = min(max(size, smallBuffer)*4, largeBuffer)
		}
	}
}

func (s scan[T]) opened() (C.uintptr_t, error) {
	if err := s.reads.enter(); err != nil {
		return 0, err
	}
	defer s.reads.leave()
	answer := s.open()
	return answer.handle, failure(answer.status, answer.error)
}

// child names the one reason why an iterator, which belongs to the scan alone, is told that it makes no sense.
func (r *reads) child(err error) error {
	if errors.Is(err, ErrInvalidArgument) && r.store.guard.state.Load() >= guardClosed {
		return ErrClosed
	}
	return err
}

func take(bytes []byte, from, len int) []byte { return bytes[from : from+len : from+len] }

func u32(bytes []byte) int { return int(binary.LittleEndian.Uint32(bytes)) }

func u64(bytes []byte) uint64 { return binary.LittleEndian.Uint64(bytes) }
