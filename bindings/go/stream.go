package sarsen

// #include "bridge.h"
//
// #cgo noescape bridge_stream_append
// #cgo noescape bridge_stream_trim
// #cgo noescape bridge_stream_bounds
// #cgo nocallback bridge_stream_bounds
// #cgo noescape bridge_stream_get
// #cgo nocallback bridge_stream_get
// #cgo noescape bridge_stream_read
// #cgo nocallback bridge_stream_read
// #cgo noescape bridge_stream_list
// #cgo nocallback bridge_stream_list
import "C"

import (
	"iter"
	"math"
	"unsafe"
)

// DropStream is the index to trim a stream at so that the stream itself is gone and a later append starts at 0 again.
const DropStream = uint64(math.MaxUint64)

// Record is one record of a stream.
type Record struct {
	Index uint64
	Data  []byte
}

// Stream is a stream's name and bounds: its records are First to Next-1.
type Stream struct {
	Name        []byte
	First, Next uint64
}

// AppendStream commits one record of less than 4 GiB and tells its index. A stream comes into being with its first one.
func (s *Store) AppendStream(name, data []byte) (index uint64, err error) {
	s.updating.RLock()
	defer s.updating.RUnlock()
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	answer := C.bridge_stream_append(s.handle, address(name), length(name), address(data), length(data))
	return uint64(answer.number), failure(answer.status, answer.error)
}

// TrimStream commits the dropping of the records below index before; [DropStream] drops the stream.
func (s *Store) TrimStream(name []byte, before uint64) error {
	s.updating.RLock()
	defer s.updating.RUnlock()
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	answer := C.bridge_stream_trim(s.handle, address(name), length(name), C.uint64_t(before))
	return failure(answer.status, answer.error)
}

// StreamBounds tells that a stream's records are first to next-1. [ErrNotFound]: no such stream.
func (r *reads) StreamBounds(name []byte) (first, next uint64, err error) {
	if err := r.enter(); err != nil {
		return 0, 0, err
	}
	defer r.leave()
	answer := C.bridge_stream_bounds(r.store.handle, r.native(), address(name), length(name))
	return uint64(answer.number), uint64(answer.other), failure(answer.status, answer.error)
}

// GetRecord gives a record of a stream. [ErrNotFound]: no such stream or record.
func (r *reads) GetRecord(name []byte, index uint64) ([]byte, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.leave()
	return copied(r.record(name, index))
}

// GetRecordView gives a record in place. Release it.
func (r *reads) GetRecordView(name []byte, index uint64) (*View, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.leave()
	return newView(r.record(name, index))
}

func (r *reads) record(name []byte, index uint64) C.bridge_view {
	return C.bridge_stream_get(r.store.handle, r.native(), address(name), length(name), C.uint64_t(index))
}

// ReadStream goes over a stream's records from index from on, or from the first one there is, seeing one snapshot
// throughout. [ErrNotFound]: no such stream.
func (r *reads) ReadStream(name []byte, from uint64) iter.Seq2[Record, error] {
	return r.readStream(name, from, false).entries()
}

// ReadStreamViews is as [Store.ReadStream] with one buffer for all: the bytes are good until the loop's next step.
func (r *reads) ReadStreamViews(name []byte, from uint64) iter.Seq2[Record, error] {
	return r.readStream(name, from, true).entries()
}

func (r *reads) readStream(name []byte, from uint64, lent bool) scan[Record] {
	return scan[Record]{
		reads: r,
		open: func() C.bridge_handle {
			return C.bridge_stream_read(r.store.handle, r.native(), address(name), length(name), C.uint64_t(from))
		},
		fill: func(iter C.uintptr_t, buffer []byte) C.bridge_filled {
			return C.bridge_stream_fill(iter, address(buffer), length(buffer))
		},
		free: func(iter C.uintptr_t) {
			C.sarsen_stream_iter_free(*(**C.sarsen_stream_iter)(unsafe.Pointer(&iter)))
		},
		decode: func(bytes []byte) (Record, int) {
			data := u32(bytes[8:])
			return Record{u64(bytes), take(bytes, 12, data)}, 12 + data
		},
		lent: lent,
	}
}

// Streams goes over the streams whose names start with prefix, in byte order of their names.
func (r *reads) Streams(prefix []byte) iter.Seq2[Stream, error] {
	return func(yield func(Stream, error) bool) {
		var names C.bridge_iter
		scan[Stream]{
			reads: r,
			open: func() C.bridge_handle {
				return C.bridge_stream_list(r.store.handle, r.native(), address(prefix), length(prefix))
			},
			fill: func(iter C.uintptr_t, buffer []byte) C.bridge_filled {
				names.iter = iter
				return C.bridge_stream_fill_names(&names, address(buffer), length(buffer))
			},
			free: func(iter C.uintptr_t) {
				C.sarsen_stream_names_free(*(**C.sarsen_stream_names)(unsafe.Pointer(&iter)))
			},
			decode: func(bytes []byte) (Stream, int) {
				name := u32(bytes[16:])
				return Stream{take(bytes, 20, name), u64(bytes), u64(bytes[8:])}, 20 + name
			},
		}.entries()(yield)
	}
}
