package sarsen

// #include "bridge.h"
//
// #cgo noescape bridge_kv_set
// #cgo noescape bridge_kv_delete
// #cgo noescape bridge_kv_get
// #cgo nocallback bridge_kv_get
// #cgo noescape bridge_kv_read
// #cgo nocallback bridge_kv_read
// #cgo noescape bridge_kv_get_many
// #cgo nocallback bridge_kv_get_many
// #cgo noescape bridge_release_many
// #cgo nocallback bridge_release_many
// #cgo noescape bridge_kv_scan
// #cgo nocallback bridge_kv_scan
// #cgo noescape bridge_kv_prefix
// #cgo nocallback bridge_kv_prefix
import "C"

import (
	"iter"
	"unsafe"
)

// Pair is a key with its value.
type Pair struct{ Key, Value []byte }

// Range says which keys, and in which order. The zero value is all of them, ascending.
type Range struct {
	// Start is the first key, End the first one beyond; empty: unbounded.
	Start, End []byte
	// Prefix, if it is not empty, is what keys start with; Start and End must be empty then.
	Prefix []byte
	// Reverse goes from the end backwards.
	Reverse bool
}

// Set commits one pair: a key of 0 to 65,535 bytes, a value of less than 4 GiB.
func (s *Store) Set(key, value []byte) error {
	s.updating.RLock()
	defer s.updating.RUnlock()
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	answer := C.bridge_kv_set(s.handle, address(key), length(key), address(value), length(value))
	return failure(answer.status, answer.error)
}

// Delete commits the deletion of a key. That it is not there is no error.
func (s *Store) Delete(key []byte) error {
	s.updating.RLock()
	defer s.updating.RUnlock()
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	answer := C.bridge_kv_delete(s.handle, address(key), length(key))
	return failure(answer.status, answer.error)
}

// Get gives the value of a key. [ErrNotFound]: no such key.
func (r *reads) Get(key []byte) ([]byte, error) {
	// On the stack: most values fit, and then one call and one allocation of their size do.
	var space [512]byte
	whole, err := r.read(key, space[:])
	if err != nil {
		return nil, err
	}
	value := make([]byte, whole)
	if whole <= len(space) {
		copy(value, space[:])
		return value, nil
	}
	return r.readAll(key, value)
}

// Append appends the value of a key to buffer, as [append] does, and answers the longer one: reading without
// allocating. After an error it answers buffer as it was.
func (r *reads) Append(buffer, key []byte) ([]byte, error) {
	room := buffer[len(buffer):cap(buffer)]
	whole, err := r.read(key, room)
	if err != nil {
		return buffer, err
	}
	if whole <= len(room) {
		return buffer[:len(buffer)+whole], nil
	}
	value, err := r.readAll(key, make([]byte, whole))
	if err != nil {
		return buffer, err
	}
	return append(buffer, value...), nil
}

// Has says whether there is such a key.
func (r *reads) Has(key []byte) (bool, error) {
	_, err := r.read(key, nil)
	if err == ErrNotFound {
		return false, nil
	}
	return err == nil, err
}

// read copies what fits and tells the whole length.
func (r *reads) read(key, buffer []byte) (int, error) {
	if err := r.enter(); err != nil {
		return 0, err
	}
	answer := C.bridge_kv_read(r.store.handle, r.native(), address(key), length(key), address(buffer), length(buffer))
	r.leave()
	if answer.status != C.SARSEN_OK {
		return 0, failure(answer.status, answer.error)
	}
	return int(answer.number), nil
}

// readAll goes on while the value grows between two calls: each answer is one value, never a mixture.
func (r *reads) readAll(key, buffer []byte) ([]byte, error) {
	for {
		whole, err := r.read(key, buffer)
		if err != nil {
			return nil, err
		}
		if whole <= len(buffer) {
			return buffer[:whole], nil
		}
		buffer = make([]byte, whole)
	}
}

// GetView gives the value of a key in place. Release it.
func (r *reads) GetView(key []byte) (*View, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.leave()
	return newView(C.bridge_kv_get(r.store.handle, r.native(), address(key), length(key)))
}

// GetMany gives the values of many keys for less than one by one, all from one snapshot: nil where there is no such key.
func (r *reads) GetMany(keys [][]byte) ([][]byte, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	views, statuses, err := r.getMany(keys)
	if err != nil {
		return nil, err
	}
	total := 0
	for i := range views {
		total += int(views[i].len)
	}
	values := make([][]byte, len(keys))
	space := make([]byte, 0, total)
	for i := range views {
		if statuses[i] != C.SARSEN_OK {
			continue
		}
		start := len(space)
		space = append(space, unsafe.Slice((*byte)(unsafe.Pointer(views[i].data)), int(views[i].len))...)
		values[i] = space[start:len(space):len(space)]
	}
	// All at once: cgo looks through a whole slice whose element a call is given. Those without a key are no-ops.
	C.bridge_release_many(&views[0], C.size_t(len(views)))
	return values, nil
}

// GetManyViews is as [Store.GetMany], in place: nil where there is no such key. Release the others.
func (r *reads) GetManyViews(keys [][]byte) ([]*View, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	natives, statuses, err := r.getMany(keys)
	if err != nil {
		return nil, err
	}
	views := make([]*View, len(keys))
	for i, native := range natives {
		if statuses[i] == C.SARSEN_OK {
			views[i], _ = newView(C.bridge_view{data: native.data, len: native.len, pin: native.pin})
		}
	}
	return views, nil
}

func (r *reads) getMany(keys [][]byte) ([]C.sarsen_view, []C.sarsen_status, error) {
	total := 0
	lens := make([]C.size_t, len(keys))
	for i, key := range keys {
		lens[i] = C.size_t(len(key))
		total += len(key)
	}
	all := make([]byte, 0, total)
	for _, key := range keys {
		all = append(all, key...)
	}
	views := make([]C.sarsen_view, len(keys))
	statuses := make([]C.sarsen_status, len(keys))
	if err := r.enter(); err != nil {
		return nil, nil, err
	}
	defer r.leave()
	answer := C.bridge_kv_get_many(r.store.handle, r.native(), address(all), &lens[0], C.size_t(len(keys)), &views[0],
		&statuses[0])
	return views, statuses, failure(answer.status, answer.error)
}

// Scan goes over pairs in byte order of their keys, seeing one snapshot throughout.
func (r *reads) Scan(which Range) iter.Seq2[Pair, error] { return r.scan(which, false).entries() }

// ScanViews is as [Store.Scan] with one buffer for all: the bytes are good until the loop's next step.
func (r *reads) ScanViews(which Range) iter.Seq2[Pair, error] { return r.scan(which, true).entries() }

func (r *reads) scan(which Range, lent bool) scan[Pair] {
	return scan[Pair]{
		reads: r,
		open:  func() C.bridge_handle { return r.openScan(which) },
		fill: func(iter C.uintptr_t, buffer []byte) C.bridge_filled {
			return C.bridge_kv_fill(iter, address(buffer), length(buffer))
		},
		free: freeScan,
		decode: func(bytes []byte) (Pair, int) {
			key, value := u32(bytes), u32(bytes[4:])
			return Pair{take(bytes, 8, key), take(bytes, 8+key, value)}, 8 + key + value
		},
		lent: lent,
	}
}

// Keys is as [Store.Scan] without touching values.
func (r *reads) Keys(which Range) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var keys C.bridge_iter
		scan[[]byte]{
			reads: r,
			open:  func() C.bridge_handle { return r.openScan(which) },
			fill: func(iter C.uintptr_t, buffer []byte) C.bridge_filled {
				keys.iter = iter
				return C.bridge_kv_fill_keys(&keys, address(buffer), length(buffer))
			},
			free: freeScan,
			decode: func(bytes []byte) ([]byte, int) {
				key := u32(bytes)
				return take(bytes, 4, key), 4 + key
			},
		}.entries()(yield)
	}
}

func (r *reads) openScan(which Range) C.bridge_handle {
	store, snapshot, reverse := r.store.handle, r.native(), C.bool(which.Reverse)
	if len(which.Prefix) == 0 {
		return C.bridge_kv_scan(store, snapshot, address(which.Start), length(which.Start), address(which.End),
			length(which.End), reverse)
	}
	if len(which.Start) > 0 || len(which.End) > 0 {
		return C.bridge_handle{status: C.SARSEN_INVALID_ARGUMENT}
	}
	return C.bridge_kv_prefix(store, snapshot, address(which.Prefix), length(which.Prefix), reverse)
}

func freeScan(iter C.uintptr_t) {
	C.sarsen_kv_iter_free(*(**C.sarsen_kv_iter)(unsafe.Pointer(&iter)))
}
