// Package raftstore keeps the log and the stable state of hashicorp/raft in a sarsen store.
//
// A [Store] is a raft.LogStore and a raft.StableStore. Many of them, with prefixes of their own, may share one
// sarsen.Store: raft groups that commit at the same time then share a sync, and the application may keep its own state
// beside them.
//
// Entries are key-value pairs: prefix, 'l' and the index in 8 bytes, big-endian, for the log; prefix, 's' and the key for
// stable state. Whatever returned nil survives power loss, unless NoSync was asked for.
package raftstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"sarsen"
)

// ErrKeyNotFound is the answer for a key that was never set. raft compares its text.
var ErrKeyNotFound = errors.New("not found")

// Options of a [Store].
type Options struct {
	// Prefix of all keys. Stores with prefixes of which none starts with another may share a sarsen.Store.
	Prefix string
	// NoSync: what returned nil survives the end of the process, not power loss.
	NoSync bool
}

// Store is a raft.LogStore and raft.StableStore. Any number of goroutines may use it.
type Store struct {
	store  *sarsen.Store
	own    bool
	level  sarsen.Durability
	logs   []byte
	stable []byte

	// One write to the log at a time: what is known of its ends has to fit what is committed.
	writing sync.Mutex
	batch   *sarsen.Batch
	ends    sync.RWMutex
	// 0, 0: no entry.
	first, last uint64
	empty       bool
}

var (
	_ raft.LogStore    = (*Store)(nil)
	_ raft.StableStore = (*Store)(nil)
)

// Open opens, or creates, a sarsen store at path for raft alone. Close it.
func Open(path string) (*Store, error) {
	inner, err := sarsen.Open(path, nil)
	if err != nil {
		return nil, err
	}
	store, err := New(inner, Options{})
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	store.own = true
	return store, nil
}

// New keeps raft's data in a store that is open, which stays the caller's to close, after this one.
func New(inner *sarsen.Store, options Options) (*Store, error) {
	store := &Store{
		store:  inner,
		level:  sarsen.SurvivePower,
		logs:   append([]byte(options.Prefix), 'l'),
		stable: append([]byte(options.Prefix), 's'),
		batch:  sarsen.NewBatch(),
	}
	if options.NoSync {
		store.level = sarsen.SurviveProcess
	}
	if err := store.findEnds(); err != nil {
		store.batch.Close()
		return nil, err
	}
	return store, nil
}

// Close ends the store, and closes the sarsen store if [Open] opened it.
func (s *Store) Close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.batch.Close()
	if s.own {
		return s.store.Close()
	}
	return nil
}

// Sarsen is the store beneath, for figures, backups and the like.
func (s *Store) Sarsen() *sarsen.Store { return s.store }

func (s *Store) logKey(index uint64) []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(s.logs), index)
}

func (s *Store) stableKey(key []byte) []byte { return append(bytes.Clone(s.stable), key...) }

// findEnds looks for the first and the last entry.
func (s *Store) findEnds() error {
	var ends [2]uint64
	found := false
	for i, reverse := range []bool{false, true} {
		for key, err := range s.store.Keys(sarsen.Range{Prefix: s.logs, Reverse: reverse}) {
			if err != nil {
				return err
			}
			if len(key) != len(s.logs)+8 {
				return fmt.Errorf("raftstore: key %q is not one of raft's: is the prefix used otherwise?", key)
			}
			ends[i], found = binary.BigEndian.Uint64(key[len(s.logs):]), true
			break
		}
	}
	s.ends.Lock()
	defer s.ends.Unlock()
	s.first, s.last, s.empty = ends[0], ends[1], !found
	return nil
}

// FirstIndex is the first index of the log; 0: no entries.
func (s *Store) FirstIndex() (uint64, error) {
	s.ends.RLock()
	defer s.ends.RUnlock()
	return s.first, nil
}

// LastIndex is the last index of the log; 0: no entries.
func (s *Store) LastIndex() (uint64, error) {
	s.ends.RLock()
	defer s.ends.RUnlock()
	return s.last, nil
}

// GetLog reads an entry; raft.ErrLogNotFound: there is none.
func (s *Store) GetLog(index uint64, log *raft.Log) error {
	value, err := s.store.Get(s.logKey(index))
	if errors.Is(err, sarsen.ErrNotFound) {
		return raft.ErrLogNotFound
	}
	if err != nil {
		return err
	}
	return decode(index, value, log)
}

// StoreLog stores one entry.
func (s *Store) StoreLog(log *raft.Log) error { return s.StoreLogs([]*raft.Log{log}) }

// StoreLogs stores entries in one commit. There may be gaps between them, and an index that is there is replaced.
func (s *Store) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	s.batch.Clear()
	var value []byte
	lowest, highest := uint64(math.MaxUint64), uint64(0)
	for _, log := range logs {
		value = encode(value[:0], log)
		if err := s.batch.Set(s.logKey(log.Index), value); err != nil {
			return err
		}
		lowest, highest = min(lowest, log.Index), max(highest, log.Index)
	}
	if _, err := s.batch.Commit(s.store, s.level); err != nil {
		return err
	}
	s.ends.Lock()
	defer s.ends.Unlock()
	if s.empty {
		s.first, s.last, s.empty = lowest, highest, false
	}
	s.first, s.last = min(s.first, lowest), max(s.last, highest)
	return nil
}

// DeleteRange deletes the entries from lowest to highest, both included, in one commit.
func (s *Store) DeleteRange(lowest, highest uint64) error {
	if lowest > highest {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	s.batch.Clear()
	// Only what is there: a range may span a gap of any width.
	which := sarsen.Range{Start: s.logKey(lowest), End: append(s.logKey(highest), 0)}
	for key, err := range s.store.Keys(which) {
		if err != nil {
			return err
		}
		if err := s.batch.Delete(key); err != nil {
			return err
		}
	}
	if s.batch.Len() == 0 {
		return nil
	}
	if _, err := s.batch.Commit(s.store, s.level); err != nil {
		return err
	}
	return s.findEnds()
}

// Set sets a key of the stable state.
func (s *Store) Set(key, value []byte) error {
	batch := sarsen.NewBatch()
	defer batch.Close()
	if err := batch.Set(s.stableKey(key), value); err != nil {
		return err
	}
	_, err := batch.Commit(s.store, s.level)
	return err
}

// Get reads a key of the stable state; [ErrKeyNotFound]: it was never set.
func (s *Store) Get(key []byte) ([]byte, error) {
	value, err := s.store.Get(s.stableKey(key))
	if errors.Is(err, sarsen.ErrNotFound) {
		return nil, ErrKeyNotFound
	}
	return value, err
}

// SetUint64 sets a key to a number.
func (s *Store) SetUint64(key []byte, value uint64) error {
	return s.Set(key, binary.BigEndian.AppendUint64(nil, value))
}

// GetUint64 reads a number; [ErrKeyNotFound]: it was never set.
func (s *Store) GetUint64(key []byte) (uint64, error) {
	value, err := s.Get(key)
	if err != nil {
		return 0, err
	}
	if len(value) != 8 {
		return 0, fmt.Errorf("raftstore: key %q holds %d bytes and no number", key, len(value))
	}
	return binary.BigEndian.Uint64(value), nil
}

// An entry: u64 term, u8 type, i64 seconds and u32 nanoseconds of AppendedAt, u32 length of the extensions, extensions,
// data; little-endian. The zero time has no seconds since 1970 that fit, so it has a number of its own.
const (
	headBytes = 8 + 1 + 8 + 4 + 4
	noTime    = math.MinInt64
)

func encode(to []byte, log *raft.Log) []byte {
	seconds, nanoseconds := int64(noTime), 0
	if !log.AppendedAt.IsZero() {
		seconds, nanoseconds = log.AppendedAt.Unix(), log.AppendedAt.Nanosecond()
	}
	to = binary.LittleEndian.AppendUint64(to, log.Term)
	to = append(to, byte(log.Type))
	to = binary.LittleEndian.AppendUint64(to, uint64(seconds))
	to = binary.LittleEndian.AppendUint32(to, uint32(nanoseconds))
	to = binary.LittleEndian.AppendUint32(to, uint32(len(log.Extensions)))
	to = append(to, log.Extensions...)
	return append(to, log.Data...)
}

func decode(index uint64, value []byte, log *raft.Log) error {
	if len(value) < headBytes || uint64(len(value)-headBytes) < uint64(binary.LittleEndian.Uint32(value[21:])) {
		return fmt.Errorf("raftstore: entry %d is not one of raft's", index)
	}
	extensions := int(binary.LittleEndian.Uint32(value[21:]))
	*log = raft.Log{
		Index: index,
		Term:  binary.LittleEndian.Uint64(value),
		Type:  raft.LogType(value[8]),
	}
	if seconds := int64(binary.LittleEndian.Uint64(value[9:])); seconds != noTime {
		log.AppendedAt = time.Unix(seconds, int64(binary.LittleEndian.Uint32(value[17:])))
	}
	if rest := value[headBytes:]; extensions > 0 {
		log.Extensions = rest[:extensions:extensions]
	}
	if data := value[headBytes+extensions:]; len(data) > 0 {
		log.Data = data
	}
	return nil
}
