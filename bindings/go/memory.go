package sarsen

// #include "bridge.h"
//
// #cgo noescape bridge_memory_append
// #cgo noescape bridge_memory_get
// #cgo nocallback bridge_memory_get
// #cgo noescape bridge_block_append
// #cgo noescape bridge_block_read
// #cgo nocallback bridge_block_read
// #cgo noescape bridge_block_view
// #cgo nocallback bridge_block_view
// #cgo noescape bridge_tags_add
// #cgo nocallback bridge_tags_add
import "C"

import (
	"iter"
	"unsafe"
)

// Memory is a memory that a query found.
type Memory struct {
	ID   uint64
	Data []byte
}

// Query says which memories: those that carry all tags of All, at least one of Any and none of None; an empty list is
// no condition. From is the lowest id.
type Query struct {
	All, Any, None []string
	From           uint64
}

// AppendMemory commits memory id: its bytes (less than 4 GiB) and its tags. An id that is there is replaced, both.
func (s *Store) AppendMemory(id uint64, data []byte, tags ...string) error {
	set, err := nativeTags(tags)
	if err != nil {
		return err
	}
	defer C.sarsen_tags_free(set)
	s.updating.RLock()
	defer s.updating.RUnlock()
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	answer := C.bridge_memory_append(s.handle, C.uint64_t(id), set, address(data), length(data))
	return failure(answer.status, answer.error)
}

// DeleteMemory commits the deletion of memory id. That it is not there is no error.
func (s *Store) DeleteMemory(id uint64) error {
	s.updating.RLock()
	defer s.updating.RUnlock()
	return s.call(func(told **C.sarsen_error) C.sarsen_status {
		return C.sarsen_memory_delete(s.handle, C.uint64_t(id), told)
	})
}

// GetMemory gives the bytes of memory id. [ErrNotFound]: no such id.
func (r *reads) GetMemory(id uint64) ([]byte, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.leave()
	return copied(C.bridge_memory_get(r.store.handle, r.native(), C.uint64_t(id)))
}

// GetMemoryView gives the bytes of memory id in place. Release it.
func (r *reads) GetMemoryView(id uint64) (*View, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.leave()
	return newView(C.bridge_memory_get(r.store.handle, r.native(), C.uint64_t(id)))
}

// MemoryInfo tells where the bytes of memory id lie, and its tags in byte order.
func (r *reads) MemoryInfo(id uint64) (Block, []string, error) {
	if err := r.enter(); err != nil {
		return Block{}, nil, err
	}
	defer r.leave()
	var block C.sarsen_block
	var tags *C.sarsen_tags
	var told *C.sarsen_error
	status := C.sarsen_memory_info(r.store.handle, r.native(), C.uint64_t(id), &block, &tags, &told)
	if err := plain(status, told); err != nil {
		return Block{}, nil, err
	}
	defer C.sarsen_tags_free(tags)
	return blockOf(block), goTags(tags), nil
}

// FindMemories goes over the memories that a query asks for, by ascending id, seeing one snapshot throughout. It takes
// time in proportion to the rarest tag of All, not to the store.
func (r *reads) FindMemories(query Query) iter.Seq2[Memory, error] {
	return r.find(query, false, false)
}

// FindMemoriesViews is as [Store.FindMemories] with one buffer for all: bytes are good until the loop's next step.
func (r *reads) FindMemoriesViews(query Query) iter.Seq2[Memory, error] {
	return r.find(query, false, true)
}

// FindIDs is as [Store.FindMemories] without touching the bytes.
func (r *reads) FindIDs(query Query) iter.Seq2[uint64, error] {
	return func(yield func(uint64, error) bool) {
		for memory, err := range r.find(query, true, true) {
			if !yield(memory.ID, err) {
				return
			}
		}
	}
}

func (r *reads) find(query Query, idsOnly, lent bool) iter.Seq2[Memory, error] {
	return func(yield func(Memory, error) bool) {
		var sets [3]*C.sarsen_tags
		for i, tags := range [3][]string{query.All, query.Any, query.None} {
			set, err := nativeTags(tags)
			if err != nil {
				yield(Memory{}, err)
				return
			}
			defer C.sarsen_tags_free(set)
			sets[i] = set
		}
		found := C.bridge_iter{keys_only: C.bool(idsOnly)}
		scan[Memory]{
			reads: r,
			open: func() C.bridge_handle {
				var iter *C.sarsen_memory_iter
				var told *C.sarsen_error
				status := C.sarsen_memory_find(r.store.handle, r.native(), sets[0], sets[1], sets[2],
					C.uint64_t(query.From), &iter, &told)
				return C.bridge_handle{
					handle: C.uintptr_t(uintptr(unsafe.Pointer(iter))),
					error:  C.uintptr_t(uintptr(unsafe.Pointer(told))),
					status: status,
				}
			},
			fill: func(iter C.uintptr_t, buffer []byte) C.bridge_filled {
				found.iter = iter
				return C.bridge_memory_fill(&found, address(buffer), length(buffer))
			},
			free: func(iter C.uintptr_t) {
				C.sarsen_memory_iter_free(*(**C.sarsen_memory_iter)(unsafe.Pointer(&iter)))
			},
			decode: func(bytes []byte) (Memory, int) {
				data := u32(bytes[8:])
				return Memory{u64(bytes), take(bytes, 12, data)}, 12 + data
			},
			lent: lent,
		}.entries()(yield)
	}
}

// nativeTags is nil, which stands for no tags, or freed by the caller.
func nativeTags(tags []string) (*C.sarsen_tags, error) {
	if len(tags) == 0 {
		return nil, nil
	}
	set := C.sarsen_tags_new()
	if set == nil {
		return nil, refuse(ErrInternal, "no memory for tags")
	}
	for _, tag := range tags {
		status := C.bridge_tags_add(set, (*C.uint8_t)(unsafe.Pointer(unsafe.StringData(tag))), C.size_t(len(tag)))
		if status != C.SARSEN_OK {
			C.sarsen_tags_free(set)
			return nil, refuse(Status(status), "tag %.40q: tags are UTF-8 of 1 to 1,024 bytes, up to 1,024 of them", tag)
		}
	}
	return set, nil
}

func goTags(tags *C.sarsen_tags) []string {
	var list []string
	for i := range C.sarsen_tags_count(tags) {
		tag := C.sarsen_tags_get(tags, i)
		list = append(list, string(unsafe.Slice((*byte)(unsafe.Pointer(tag.data)), int(tag.len))))
	}
	return list
}
