package sarsen

// #include "bridge.h"
import "C"

// Block is where a block lies: good until the block dies; upkeep never moves an address. A plain value: copy it,
// store it.
type Block struct {
	Chunk uint32
	// CRC32C of the block's bytes.
	CRC32C uint32
	Offset uint64
	Len    uint64
}

func blockOf(block C.sarsen_block) Block {
	return Block{uint32(block.chunk), uint32(block.crc32c), uint64(block.offset), uint64(block.len)}
}

func (b Block) native() C.sarsen_block {
	return C.sarsen_block{
		chunk: C.uint32_t(b.Chunk), crc32c: C.uint32_t(b.CRC32C), offset: C.uint64_t(b.Offset), len: C.uint64_t(b.Len),
	}
}

// AppendBlock commits one loose block of less than 4 GiB and tells its address. It holds itself until it is freed or
// first named by a memory or a stream record; after that the records that name it hold it.
func (s *Store) AppendBlock(data []byte) (Block, error) {
	s.updating.RLock()
	defer s.updating.RUnlock()
	if err := s.enter(); err != nil {
		return Block{}, err
	}
	defer s.leave()
	var block C.sarsen_block
	answer := C.bridge_block_append(s.handle, address(data), length(data), &block)
	return blockOf(block), failure(answer.status, answer.error)
}

// FreeBlock commits the end of a loose block's hold on itself. One that is not there, or that records hold: nil, and
// nothing changes.
func (s *Store) FreeBlock(block Block) error {
	s.updating.RLock()
	defer s.updating.RUnlock()
	native := block.native()
	return s.call(func(told **C.sarsen_error) C.sarsen_status { return C.sarsen_block_free(s.handle, &native, told) })
}

// GetBlock gives the bytes of a block. [ErrNotFound]: no such block.
func (s *Store) GetBlock(block Block) ([]byte, error) {
	// The length comes from the caller, who may have it from anywhere: the library looks at the address first.
	view, err := s.GetBlockView(block, 0, block.Len)
	if err != nil {
		return nil, err
	}
	defer view.Release()
	return append(make([]byte, 0, view.Len()), view.Bytes()...), nil
}

// ReadBlock copies len(buffer) bytes of a block, from byte from on. Every byte was checked against its CRC.
// [ErrInvalidArgument]: the range leaves the block.
func (s *Store) ReadBlock(block Block, from uint64, buffer []byte) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	native := block.native()
	answer := C.bridge_block_read(s.handle, &native, C.uint64_t(from), address(buffer), length(buffer))
	return failure(answer.status, answer.error)
}

// GetBlockView gives a range of a block in place. Release it.
func (s *Store) GetBlockView(block Block, from, len uint64) (*View, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	native := block.native()
	return newView(C.bridge_block_view(s.handle, &native, C.uint64_t(from), C.size_t(len)))
}
