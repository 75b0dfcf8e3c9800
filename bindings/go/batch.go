package sarsen

// #include "bridge.h"
//
// #cgo noescape bridge_batch_load
// #cgo nocallback bridge_batch_load
// #cgo noescape bridge_batch_commit
// #cgo noescape bridge_batch_set_kv
// #cgo nocallback bridge_batch_set_kv
// #cgo noescape bridge_batch_append_stream
// #cgo nocallback bridge_batch_append_stream
// #cgo noescape bridge_batch_append_memory
// #cgo nocallback bridge_batch_append_memory
// #cgo noescape bridge_batch_append_block
// #cgo nocallback bridge_batch_append_block
import "C"

import (
	"encoding/binary"
	"math"
	"runtime"
	"unicode/utf8"
)

const (
	maxKeyBytes = 65535
	maxTagBytes = 1024
	maxTags     = 1024
	maxData     = math.MaxUint32
	// From here on data is handed to the library directly: copying it twice would cost more than a crossing.
	directBytes = 32 << 10
	// As much is encoded before the library gets it, so that the same bytes are not held twice.
	encodedBytes = 1 << 20
)

// Batch is the commands of one atomic commit, in order; later ones see earlier ones. It is built in memory of Go's and
// crosses into C when it is committed. One goroutine at a time. What is added is copied.
//
// Deleting what is not there, and trimming below the first record or a stream that is not there, is no error and
// changes nothing. A command that is refused leaves the batch as it was.
type Batch struct {
	handle  *C.sarsen_batch
	encoded []byte
	count   int
	cleanup runtime.Cleanup
}

// NewBatch is empty. Close it; one that is forgotten is freed once the garbage collector finds it.
func NewBatch() *Batch {
	handle := C.sarsen_batch_new()
	if handle == nil {
		panic("sarsen: no memory for a batch")
	}
	batch := &Batch{handle: handle}
	batch.cleanup = runtime.AddCleanup(batch, func(h *C.sarsen_batch) { C.sarsen_batch_free(h) }, handle)
	return batch
}

// Close frees the batch. Closing twice does nothing.
func (b *Batch) Close() {
	if b.handle != nil {
		b.cleanup.Stop()
		C.sarsen_batch_free(b.handle)
		b.handle, b.encoded, b.count = nil, nil, 0
	}
}

// Clear takes every command out; memory is kept for the next ones.
func (b *Batch) Clear() {
	if b.handle != nil {
		C.sarsen_batch_clear(b.handle)
	}
	b.encoded, b.count = b.encoded[:0], 0
}

// Len is how many commands are in the batch; 0 after a commit.
func (b *Batch) Len() int { return b.count }

type command struct {
	kind  uint8
	id    uint64
	key   []byte
	tags  []string
	data  []byte
	block *Block
}

// put checks what the library would refuse, so that it is known at once and not at the commit.
func (b *Batch) put(command command) error {
	if b.handle == nil {
		return ErrClosed
	}
	if len(command.key) > maxKeyBytes {
		return refuse(ErrTooLarge, "a key or stream name has %d bytes, %d are allowed", len(command.key), maxKeyBytes)
	}
	if uint64(len(command.data)) > maxData {
		return refuse(ErrTooLarge, "%d bytes in one piece, less than 4 GiB are allowed", len(command.data))
	}
	if err := checkTags(command.tags); err != nil {
		return err
	}
	if len(command.data) >= directBytes {
		return b.direct(command)
	}
	data, flags := command.data, uint8(0)
	var address [24]byte
	if command.block != nil {
		binary.LittleEndian.PutUint32(address[0:], command.block.Chunk)
		binary.LittleEndian.PutUint32(address[4:], command.block.CRC32C)
		binary.LittleEndian.PutUint64(address[8:], command.block.Offset)
		binary.LittleEndian.PutUint64(address[16:], command.block.Len)
		data = address[:]
		if command.kind != C.SARSEN_COMMAND_FREE_BLOCK {
			flags = 1
		}
	}
	encoded := append(b.encoded, command.kind, flags)
	encoded = binary.LittleEndian.AppendUint16(encoded, uint16(len(command.tags)))
	encoded = binary.LittleEndian.AppendUint32(encoded, uint32(len(command.key)))
	encoded = binary.LittleEndian.AppendUint64(encoded, command.id)
	encoded = binary.LittleEndian.AppendUint64(encoded, uint64(len(data)))
	encoded = append(encoded, command.key...)
	for _, tag := range command.tags {
		encoded = binary.LittleEndian.AppendUint16(encoded, uint16(len(tag)))
		encoded = append(encoded, tag...)
	}
	b.encoded = append(encoded, data...)
	b.count++
	if len(b.encoded) >= encodedBytes {
		return b.flush()
	}
	return nil
}

func checkTags(tags []string) error {
	if len(tags) > maxTags {
		return refuse(ErrTooLarge, "%d tags, %d are allowed", len(tags), maxTags)
	}
	for _, tag := range tags {
		if len(tag) > maxTagBytes {
			return refuse(ErrTooLarge, "a tag has %d bytes, %d are allowed", len(tag), maxTagBytes)
		}
		if tag == "" || !utf8.ValidString(tag) {
			return refuse(ErrInvalidArgument, "tag %q: a tag is UTF-8 and not empty", tag)
		}
	}
	return nil
}

// direct hands long data over without encoding it.
func (b *Batch) direct(command command) error {
	if err := b.flush(); err != nil {
		return err
	}
	key, data := command.key, command.data
	var answer C.bridge_answer
	switch command.kind {
	case C.SARSEN_COMMAND_SET_KV:
		answer = C.bridge_batch_set_kv(b.handle, address(key), length(key), address(data), length(data))
	case C.SARSEN_COMMAND_APPEND_STREAM:
		answer = C.bridge_batch_append_stream(b.handle, address(key), length(key), address(data), length(data))
	case C.SARSEN_COMMAND_APPEND_BLOCK:
		answer = C.bridge_batch_append_block(b.handle, address(data), length(data))
	default:
		set, err := nativeTags(command.tags)
		if err != nil {
			return err
		}
		defer C.sarsen_tags_free(set)
		answer = C.bridge_batch_append_memory(b.handle, C.uint64_t(command.id), set, address(data), length(data))
	}
	if err := failure(answer.status, answer.error); err != nil {
		return err
	}
	b.count++
	return nil
}

// flush gives the library what is encoded.
func (b *Batch) flush() error {
	if len(b.encoded) == 0 {
		return nil
	}
	answer := C.bridge_batch_load(b.handle, address(b.encoded), length(b.encoded))
	if err := failure(answer.status, answer.error); err != nil {
		return err
	}
	b.encoded = b.encoded[:0]
	return nil
}

// Load adds commands in the encoding of sarsen_batch_load, which docs/FORMAT.md has under 'Batches'. Checked whole
// before any of it is taken.
func (b *Batch) Load(encoded []byte) error {
	if b.handle == nil {
		return ErrClosed
	}
	if err := b.flush(); err != nil {
		return err
	}
	answer := C.bridge_batch_load(b.handle, address(encoded), length(encoded))
	b.count = int(C.sarsen_batch_count(b.handle))
	return failure(answer.status, answer.error)
}

// Set sets a key (0 to 65,535 bytes) to a value (less than 4 GiB).
func (b *Batch) Set(key, value []byte) error {
	return b.put(command{kind: C.SARSEN_COMMAND_SET_KV, key: key, data: value})
}

// Delete deletes a key.
func (b *Batch) Delete(key []byte) error {
	return b.put(command{kind: C.SARSEN_COMMAND_DELETE_KV, key: key})
}

// AppendStream appends a record to a stream. Its index is told by [Batch.Result].
func (b *Batch) AppendStream(name, data []byte) error {
	return b.put(command{kind: C.SARSEN_COMMAND_APPEND_STREAM, key: name, data: data})
}

// AppendStreamBlock appends a record whose bytes are those of a loose block: it is named, not copied. Naming one that
// is not live fails the commit with [ErrNotFound].
func (b *Batch) AppendStreamBlock(name []byte, block Block) error {
	return b.put(command{kind: C.SARSEN_COMMAND_APPEND_STREAM, key: name, block: &block})
}

// TrimStream drops a stream's records below index before; [DropStream] drops the stream.
func (b *Batch) TrimStream(name []byte, before uint64) error {
	return b.put(command{kind: C.SARSEN_COMMAND_TRIM_STREAM, key: name, id: before})
}

// AppendMemory writes memory id: its bytes and its tags. An id that is there is replaced, both.
func (b *Batch) AppendMemory(id uint64, data []byte, tags ...string) error {
	return b.put(command{kind: C.SARSEN_COMMAND_APPEND_MEMORY, id: id, tags: tags, data: data})
}

// AppendMemoryBlock writes memory id with the bytes of a loose block, as [Batch.AppendStreamBlock] does for a record.
func (b *Batch) AppendMemoryBlock(id uint64, block Block, tags ...string) error {
	return b.put(command{kind: C.SARSEN_COMMAND_APPEND_MEMORY, id: id, tags: tags, block: &block})
}

// DeleteMemory deletes memory id.
func (b *Batch) DeleteMemory(id uint64) error {
	return b.put(command{kind: C.SARSEN_COMMAND_DELETE_MEMORY, id: id})
}

// AppendBlock appends a loose block. Its address is told by [Batch.Result].
func (b *Batch) AppendBlock(data []byte) error {
	return b.put(command{kind: C.SARSEN_COMMAND_APPEND_BLOCK, data: data})
}

// FreeBlock ends a loose block's hold on itself.
func (b *Batch) FreeBlock(block Block) error {
	return b.put(command{kind: C.SARSEN_COMMAND_FREE_BLOCK, block: &block})
}

// Commit commits the batch, all of it or nothing, and tells the commit's seq. It returns once the commit survives what
// level says. If nil, the batch is empty afterwards; if not, untouched. An empty batch takes no seq: the newest one is
// told.
//
// [ErrNoSpace], [ErrTooLarge], [ErrInvalidArgument], [ErrNotFound], [ErrConflict]: certainly not written. [ErrIO] and
// [ErrPoisoned]: unknown until the store is reopened.
func (b *Batch) Commit(store *Store, level Durability) (seq uint64, err error) {
	store.updating.RLock()
	defer store.updating.RUnlock()
	return b.commit(store, level)
}

func (b *Batch) commit(store *Store, level Durability) (uint64, error) {
	if b.handle == nil {
		return 0, ErrClosed
	}
	if err := b.flush(); err != nil {
		return 0, err
	}
	if err := store.enter(); err != nil {
		return 0, err
	}
	defer store.leave()
	answer := C.bridge_batch_commit(b.handle, store.handle, C.uint32_t(level))
	if err := failure(answer.status, answer.error); err != nil {
		return 0, err
	}
	b.count = 0
	return uint64(answer.number), nil
}

// Result tells what a command, from 0, of the batch that was last committed was given: the index of a stream record
// ([DropStream] for other commands) and the address of its block (zero where it has none). [ErrInvalidArgument] once
// the batch was changed.
func (b *Batch) Result(command int) (index uint64, block Block, err error) {
	if b.handle == nil {
		return 0, Block{}, ErrClosed
	}
	if command < 0 || b.count > 0 {
		return 0, Block{}, refuse(ErrInvalidArgument, "no such command, or the batch was changed after its commit")
	}
	var number C.uint64_t
	var native C.sarsen_block
	var told *C.sarsen_error
	status := C.sarsen_batch_result(b.handle, C.size_t(command), &number, &native, &told)
	if err := plain(status, told); err != nil {
		return 0, Block{}, err
	}
	return uint64(number), blockOf(native), nil
}
