package sarsen

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"sort"
)

// Update runs a function over a transaction and commits what it did as one commit; if it answers an error or panics,
// nothing was done. One Update runs at a time, and no other commit of this store meanwhile: what it reads stays true
// until it is committed. Other writing methods of the store must not be called inside of it, which would wait for ever.
//
// It returns once the commit survives what the store's [Durability] says. The next Update may begin, and see this
// commit, while this one waits for the disk: many at once share a sync.
func (s *Store) Update(write func(tx *Tx) error) error {
	return s.UpdateAt(DefaultDurability, write)
}

// UpdateAt is as [Store.Update] for a commit that survives what level says.
func (s *Store) UpdateAt(level Durability, write func(tx *Tx) error) error {
	if level == DefaultDurability {
		level = s.level
	}
	seq, wrote, err := s.update(write)
	if err != nil || !wrote || level == SurviveProcess {
		return err
	}
	return s.WaitDurable(context.Background(), seq)
}

func (s *Store) update(write func(tx *Tx) error) (seq uint64, wrote bool, err error) {
	s.updating.Lock()
	defer s.updating.Unlock()
	snapshot, err := s.Snapshot()
	if err != nil {
		return 0, false, err
	}
	defer snapshot.Close()
	batch := NewBatch()
	defer batch.Close()
	tx := &Tx{snapshot: snapshot, batch: batch}
	defer func() { tx.batch = nil }()
	if err := write(tx); err != nil {
		return 0, false, err
	}
	wrote = batch.Len() > 0
	if seq, err = batch.commit(s, SurviveProcess); err != nil {
		return 0, false, err
	}
	for _, done := range tx.onCommit {
		done(func(command int) (Block, error) {
			_, block, err := batch.Result(command)
			return block, err
		})
	}
	return seq, wrote, nil
}

// Tx is a transaction: it reads what was committed before, with what it wrote itself on top. One goroutine at a time,
// and only inside of the function that got it.
type Tx struct {
	snapshot *Snapshot
	batch    *Batch
	pairs    map[string]change
	streams  map[string]*pendingStream
	memories map[uint64]pendingMemory
	onCommit []func(block func(command int) (Block, error))
}

// change is a value, or a deletion.
type change struct {
	value   []byte
	deleted bool
}

type pendingStream struct {
	// Bounds with what is pending. exists: there is such a stream.
	exists      bool
	first, next uint64
	// appended are the newest records, from index next-len(appended) on; trimmed ones may be among them.
	appended []pendingData
	// dropped: what the snapshot has of this stream is gone.
	dropped bool
}

type pendingMemory struct {
	pendingData
	tags    []string
	deleted bool
}

// pendingData is bytes, or the block that has them.
type pendingData struct {
	bytes []byte
	block *Block
}

func (d pendingData) read(store *Store) ([]byte, error) {
	if d.block != nil {
		return store.GetBlock(*d.block)
	}
	return bytes.Clone(d.bytes), nil
}

func (t *Tx) open() error {
	if t.batch == nil {
		return ErrClosed
	}
	return nil
}

// Snapshot is what was committed before the transaction began, without what it wrote itself.
func (t *Tx) Snapshot() *Snapshot { return t.snapshot }

// ---- key-value -------------------------------------------------------------------------------------------

// Set sets a key (0 to 65,535 bytes) to a value (less than 4 GiB). Both are copied.
func (t *Tx) Set(key, value []byte) error {
	return t.changed(key, change{value: append([]byte{}, value...)}, func() error { return t.batch.Set(key, value) })
}

// Delete deletes a key. That it is not there is no error.
func (t *Tx) Delete(key []byte) error {
	return t.changed(key, change{deleted: true}, func() error { return t.batch.Delete(key) })
}

func (t *Tx) changed(key []byte, made change, add func() error) error {
	if err := t.open(); err != nil {
		return err
	}
	if err := add(); err != nil {
		return err
	}
	if t.pairs == nil {
		t.pairs = make(map[string]change)
	}
	t.pairs[string(key)] = made
	return nil
}

// Get gives the value of a key. [ErrNotFound]: no such key.
func (t *Tx) Get(key []byte) ([]byte, error) {
	if err := t.open(); err != nil {
		return nil, err
	}
	pending, ok := t.pairs[string(key)]
	switch {
	case !ok:
		return t.snapshot.Get(key)
	case pending.deleted:
		return nil, ErrNotFound
	}
	return append([]byte{}, pending.value...), nil
}

// Has says whether there is such a key.
func (t *Tx) Has(key []byte) (bool, error) {
	if err := t.open(); err != nil {
		return false, err
	}
	if pending, ok := t.pairs[string(key)]; ok {
		return !pending.deleted, nil
	}
	return t.snapshot.Has(key)
}

// Scan goes over pairs in byte order of their keys, as they were when the loop began: the loop may set and delete.
func (t *Tx) Scan(which Range) iter.Seq2[Pair, error] {
	return func(yield func(Pair, error) bool) {
		if err := t.open(); err != nil {
			yield(Pair{}, err)
			return
		}
		var pending []entry[Pair]
		for key, change := range t.pairs {
			if which.has([]byte(key)) {
				pair := Pair{[]byte(key), append([]byte{}, change.value...)}
				pending = append(pending, entry[Pair]{pair, change.deleted})
			}
		}
		compare := func(a, b Pair) int { return bytes.Compare(a.Key, b.Key) }
		if which.Reverse {
			compare = func(a, b Pair) int { return bytes.Compare(b.Key, a.Key) }
		}
		merged(t.snapshot.Scan(which), pending, compare)(yield)
	}
}

func (r Range) has(key []byte) bool {
	return bytes.HasPrefix(key, r.Prefix) && bytes.Compare(key, r.Start) >= 0 &&
		(len(r.End) == 0 || bytes.Compare(key, r.End) < 0)
}

// entry is what a transaction has in the place of a committed one.
type entry[T any] struct {
	value T
	gone  bool
}

// merged lays pending entries over committed ones, both in the same order.
func merged[T any](committed iter.Seq2[T, error], pending []entry[T], compare func(a, b T) int) iter.Seq2[T, error] {
	slices.SortFunc(pending, func(a, b entry[T]) int { return compare(a.value, b.value) })
	return func(yield func(T, error) bool) {
		// Those before value, or all of them. One that is equal takes its place.
		before := func(value *T) (replaced, more bool) {
			for len(pending) > 0 {
				order := -1
				if value != nil {
					order = compare(pending[0].value, *value)
				}
				if order > 0 {
					break
				}
				next := pending[0]
				pending = pending[1:]
				replaced = replaced || order == 0
				if !next.gone && !yield(next.value, nil) {
					return replaced, false
				}
			}
			return replaced, true
		}
		for value, err := range committed {
			if err != nil {
				if !yield(value, err) {
					return
				}
				continue
			}
			replaced, more := before(&value)
			if !more || !replaced && !yield(value, nil) {
				return
			}
		}
		before(nil)
	}
}

// ---- streams ---------------------------------------------------------------------------------------------

// AppendStream appends a record to a stream and tells the index that it will have.
func (t *Tx) AppendStream(name, data []byte) (index uint64, err error) {
	return t.appended(name, pendingData{bytes: append([]byte{}, data...)}, func() error {
		return t.batch.AppendStream(name, data)
	})
}

// AppendStreamBlock appends a record whose bytes are those of a loose block and tells the index that it will have.
func (t *Tx) AppendStreamBlock(name []byte, block Block) (index uint64, err error) {
	return t.appended(name, pendingData{block: &block}, func() error { return t.batch.AppendStreamBlock(name, block) })
}

func (t *Tx) appended(name []byte, data pendingData, add func() error) (uint64, error) {
	stream, err := t.stream(name)
	if err != nil {
		return 0, err
	}
	if err := add(); err != nil {
		return 0, err
	}
	index := stream.next
	stream.appended = append(stream.appended, data)
	stream.exists = true
	stream.next++
	return index, nil
}

// TrimStream drops the records below index before; [DropStream] drops the stream.
func (t *Tx) TrimStream(name []byte, before uint64) error {
	stream, err := t.stream(name)
	if err != nil {
		return err
	}
	if err := t.batch.TrimStream(name, before); err != nil {
		return err
	}
	switch {
	case before == DropStream:
		*stream = pendingStream{dropped: true}
	case stream.exists:
		stream.first = max(stream.first, min(before, stream.next))
	}
	return nil
}

// stream is what is pending for a stream, from now on at least its bounds.
func (t *Tx) stream(name []byte) (*pendingStream, error) {
	if err := t.open(); err != nil {
		return nil, err
	}
	if stream, ok := t.streams[string(name)]; ok {
		return stream, nil
	}
	first, next, err := t.snapshot.StreamBounds(name)
	if err != nil && err != ErrNotFound {
		return nil, err
	}
	if t.streams == nil {
		t.streams = make(map[string]*pendingStream)
	}
	stream := &pendingStream{exists: err == nil, first: first, next: next}
	t.streams[string(name)] = stream
	return stream, nil
}

// StreamBounds tells that a stream's records are first to next-1. [ErrNotFound]: no such stream.
func (t *Tx) StreamBounds(name []byte) (first, next uint64, err error) {
	stream, err := t.stream(name)
	if err != nil {
		return 0, 0, err
	}
	if !stream.exists {
		return 0, 0, ErrNotFound
	}
	return stream.first, stream.next, nil
}

// GetRecord gives a record of a stream. [ErrNotFound]: no such stream or record.
func (t *Tx) GetRecord(name []byte, index uint64) ([]byte, error) {
	stream, err := t.stream(name)
	if err != nil {
		return nil, err
	}
	if !stream.exists || index < stream.first || index >= stream.next {
		return nil, ErrNotFound
	}
	if pending := stream.next - uint64(len(stream.appended)); index >= pending {
		return stream.appended[index-pending].read(t.snapshot.store)
	}
	return t.snapshot.GetRecord(name, index)
}

// ReadStream goes over a stream's records from index from on, or from the first one there is, as they were when the
// loop began. [ErrNotFound]: no such stream.
func (t *Tx) ReadStream(name []byte, from uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		pending, err := t.stream(name)
		if err == nil && !pending.exists {
			err = ErrNotFound
		}
		if err != nil {
			yield(Record{}, err)
			return
		}
		stream := *pending
		from = max(from, stream.first)
		committed := stream.next - uint64(len(stream.appended))
		if from < committed && !stream.dropped {
			for record, err := range t.snapshot.ReadStream(name, from) {
				if !yield(record, err) {
					return
				}
			}
		}
		for index := max(from, committed); index < stream.next; index++ {
			data, err := stream.appended[index-committed].read(t.snapshot.store)
			if !yield(Record{index, data}, err) {
				return
			}
		}
	}
}

// Streams goes over the streams whose names start with prefix, in byte order of their names.
func (t *Tx) Streams(prefix []byte) iter.Seq2[Stream, error] {
	return func(yield func(Stream, error) bool) {
		if err := t.open(); err != nil {
			yield(Stream{}, err)
			return
		}
		var pending []entry[Stream]
		for name, stream := range t.streams {
			if bytes.HasPrefix([]byte(name), prefix) {
				pending = append(pending, entry[Stream]{Stream{[]byte(name), stream.first, stream.next}, !stream.exists})
			}
		}
		compare := func(a, b Stream) int { return bytes.Compare(a.Name, b.Name) }
		merged(t.snapshot.Streams(prefix), pending, compare)(yield)
	}
}

// ---- memories and blocks -----------------------------------------------------------------------------------

// AppendMemory writes memory id: its bytes and its tags. An id that is there is replaced, both.
func (t *Tx) AppendMemory(id uint64, data []byte, tags ...string) error {
	pending := pendingMemory{pendingData: pendingData{bytes: append([]byte{}, data...)}, tags: tagSet(tags)}
	return t.remembered(id, pending, func() error { return t.batch.AppendMemory(id, data, tags...) })
}

// AppendMemoryBlock writes memory id with the bytes of a loose block.
func (t *Tx) AppendMemoryBlock(id uint64, block Block, tags ...string) error {
	pending := pendingMemory{pendingData: pendingData{block: &block}, tags: tagSet(tags)}
	return t.remembered(id, pending, func() error { return t.batch.AppendMemoryBlock(id, block, tags...) })
}

// DeleteMemory deletes memory id. That it is not there is no error.
func (t *Tx) DeleteMemory(id uint64) error {
	return t.remembered(id, pendingMemory{deleted: true}, func() error { return t.batch.DeleteMemory(id) })
}

func tagSet(tags []string) []string {
	set := slices.Clone(tags)
	sort.Strings(set)
	return slices.Compact(set)
}

func (t *Tx) remembered(id uint64, memory pendingMemory, add func() error) error {
	if err := t.open(); err != nil {
		return err
	}
	if err := add(); err != nil {
		return err
	}
	if t.memories == nil {
		t.memories = make(map[uint64]pendingMemory)
	}
	t.memories[id] = memory
	return nil
}

// GetMemory gives the bytes of memory id. [ErrNotFound]: no such id.
func (t *Tx) GetMemory(id uint64) ([]byte, error) {
	if err := t.open(); err != nil {
		return nil, err
	}
	pending, ok := t.memories[id]
	switch {
	case !ok:
		return t.snapshot.GetMemory(id)
	case pending.deleted:
		return nil, ErrNotFound
	}
	return pending.read(t.snapshot.store)
}

// MemoryTags gives the tags of memory id in byte order. [ErrNotFound]: no such id.
func (t *Tx) MemoryTags(id uint64) ([]string, error) {
	if err := t.open(); err != nil {
		return nil, err
	}
	pending, ok := t.memories[id]
	switch {
	case !ok:
		_, tags, err := t.snapshot.MemoryInfo(id)
		return tags, err
	case pending.deleted:
		return nil, ErrNotFound
	}
	return slices.Clone(pending.tags), nil
}

// FindMemories goes over the memories that a query asks for, by ascending id, as they were when the loop began.
func (t *Tx) FindMemories(query Query) iter.Seq2[Memory, error] {
	return func(yield func(Memory, error) bool) {
		err := t.open()
		var pending []entry[Memory]
		for id, memory := range t.memories {
			if id < query.From || err != nil {
				continue
			}
			if memory.deleted || !query.wants(memory.tags) {
				pending = append(pending, entry[Memory]{Memory{ID: id}, true})
				continue
			}
			var data []byte
			data, err = memory.read(t.snapshot.store)
			pending = append(pending, entry[Memory]{Memory{id, data}, false})
		}
		if err != nil {
			yield(Memory{}, err)
			return
		}
		compare := func(a, b Memory) int {
			if a.ID < b.ID {
				return -1
			}
			return int(min(a.ID-b.ID, 1))
		}
		merged(t.snapshot.FindMemories(query), pending, compare)(yield)
	}
}

func (q Query) wants(tags []string) bool {
	has := func(tag string) bool { return slices.Contains(tags, tag) }
	for _, tag := range q.All {
		if !has(tag) {
			return false
		}
	}
	return (len(q.Any) == 0 || slices.ContainsFunc(q.Any, has)) && !slices.ContainsFunc(q.None, has)
}

// AppendBlock appends a loose block. [Tx.OnCommit] is the place to ask for its address: command tells which it is.
func (t *Tx) AppendBlock(data []byte) (command int, err error) {
	if err := t.open(); err != nil {
		return 0, err
	}
	command = t.batch.Len()
	return command, t.batch.AppendBlock(data)
}

// OnCommit has a function called after the commit, before the next Update begins, with the results of its commands:
// block answers the address of a block that [Tx.AppendBlock] appended.
func (t *Tx) OnCommit(done func(block func(command int) (Block, error))) {
	t.onCommit = append(t.onCommit, done)
}

// FreeBlock ends a loose block's hold on itself.
func (t *Tx) FreeBlock(block Block) error {
	if err := t.open(); err != nil {
		return err
	}
	return t.batch.FreeBlock(block)
}
