package sarsen

// #include "bridge.h"
//
// #cgo noescape bridge_log_fill
// #cgo nocallback bridge_log_fill
import "C"

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"time"
)

// CommandKind is what a command of the log did.
type CommandKind uint32

// The kinds of commands.
const (
	CommandAppendBlock  = CommandKind(C.SARSEN_COMMAND_APPEND_BLOCK)
	CommandFreeBlock    = CommandKind(C.SARSEN_COMMAND_FREE_BLOCK)
	CommandAppendMemory = CommandKind(C.SARSEN_COMMAND_APPEND_MEMORY)
	CommandDeleteMemory = CommandKind(C.SARSEN_COMMAND_DELETE_MEMORY)
	CommandSetKV        = CommandKind(C.SARSEN_COMMAND_SET_KV)
	CommandDeleteKV     = CommandKind(C.SARSEN_COMMAND_DELETE_KV)
	CommandAppendStream = CommandKind(C.SARSEN_COMMAND_APPEND_STREAM)
	CommandTrimStream   = CommandKind(C.SARSEN_COMMAND_TRIM_STREAM)
)

// Command is one command of the log. Its bytes belong to whoever got it.
type Command struct {
	// Seq is the commit that it belongs to. Keep (Epoch, Seq): above DurableSeq a seq may be used again after power loss,
	// under a higher epoch.
	Seq, Epoch uint64
	Kind       CommandKind
	// Last: the last command of its commit.
	Last bool
	// ID is a memory's id, a stream index, or the first index that a trim keeps ([DropStream]: the stream was dropped).
	ID    uint64
	Block Block
	// Key is a key or a stream's name.
	Key []byte
	// Value is a value, a record or a block's bytes.
	Value []byte
	Tags  []string
}

// As long as one wait inside of the library lasts: then the context is looked at.
const waitSlice = 20 * time.Millisecond

// LogReader is a place in the log. One goroutine at a time. It crosses into C once for as many commands as fit into a
// buffer.
type LogReader struct {
	store   *Store
	native  *C.bridge_log
	handle  *C.sarsen_log_reader
	rest    []byte
	left    int
	failed  error
	size    int
	cleanup runtime.Cleanup
}

// LogFirstSeq is the oldest commit that is still in the log; the next one to come where it is empty; 0 for a closed
// store.
func (s *Store) LogFirstSeq() uint64 {
	if s.enter() != nil {
		return 0
	}
	defer s.leave()
	return uint64(C.sarsen_log_first_seq(s.handle))
}

// ReadLog reads commits from seq on (from 1; at most the next one to come). Close the reader. [ErrNotFound] if the log no
// longer reaches back that far. [ErrConflict] if it holds another commit than that of epoch (0: any) just before it.
// Works on a read-only store that another process is writing, too.
func (s *Store) ReadLog(seq, epoch uint64) (*LogReader, error) {
	var handle *C.sarsen_log_reader
	err := s.call(func(told **C.sarsen_error) C.sarsen_status {
		return C.sarsen_log_read(s.handle, C.uint64_t(seq), C.uint64_t(epoch), &handle, told)
	})
	if err != nil {
		return nil, err
	}
	reader := &LogReader{store: s, native: &C.bridge_log{reader: handle}, handle: handle, size: smallBuffer}
	reader.cleanup = runtime.AddCleanup(reader, func(h *C.sarsen_log_reader) { C.sarsen_log_reader_free(h) }, handle)
	return reader, nil
}

// Close frees the reader. Closing twice does nothing.
func (l *LogReader) Close() {
	if l.handle != nil {
		l.cleanup.Stop()
		C.sarsen_log_reader_free(l.handle)
		l.handle, l.native, l.rest, l.left = nil, nil, nil, 0
	}
}

// Next gives the next command, and waits for one until ctx ends: ctx.Err(). [ErrNotFound] once the log was released past
// the reader: start again from a snapshot.
func (l *LogReader) Next(ctx context.Context) (Command, error) {
	for {
		wait := waitSlice
		if err := ctx.Err(); err != nil {
			return Command{}, err
		}
		if deadline, ok := ctx.Deadline(); ok {
			wait = min(wait, time.Until(deadline))
		}
		command, err := l.NextWithin(wait)
		if err != ErrTimeout {
			return command, err
		}
	}
}

// NextWithin gives the next command, and waits for one as long as timeout (0: does not): [ErrTimeout] when none came.
func (l *LogReader) NextWithin(timeout time.Duration) (Command, error) {
	if l.handle == nil {
		return Command{}, ErrClosed
	}
	for l.left == 0 {
		if err := l.failed; err != nil {
			l.failed = nil
			return Command{}, err
		}
		if err := l.fill(timeout); err != nil {
			return Command{}, err
		}
	}
	l.left--
	return l.decode(), nil
}

// fill gets at least one command, or an error.
func (l *LogReader) fill(timeout time.Duration) error {
	for {
		// A new one each time: the commands handed out lie in it.
		buffer := make([]byte, l.size)
		filled := C.bridge_log_fill(l.native, microseconds(timeout), address(buffer), length(buffer))
		l.rest, l.left = buffer[:filled.len], int(filled.count)
		if filled.needed > 0 {
			l.size = max(l.size, int(filled.needed))
			continue
		}
		if l.left > 1 {
			l.size = largeBuffer
		} else {
			l.size = smallBuffer
		}
		if filled.status != C.SARSEN_OK {
			l.failed = (&reads{store: l.store}).child(failure(filled.status, filled.error))
			if l.left == 0 {
				err := l.failed
				l.failed = nil
				return err
			}
		}
		return nil
	}
}

func (l *LogReader) decode() Command {
	head := l.rest
	keyLen, valueLen, tagCount := u32(head[56:]), u32(head[60:]), u32(head[64:])
	command := Command{
		Seq: u64(head), Epoch: u64(head[8:]), ID: u64(head[16:]), Kind: CommandKind(u32(head[24:])), Last: u32(head[28:]) == 1,
		Block: Block{uint32(u32(head[32:])), uint32(u32(head[36:])), u64(head[40:]), u64(head[48:])},
		Key:   take(head, 68, keyLen),
		Value: take(head, 68+keyLen, valueLen),
	}
	rest := head[68+keyLen+valueLen:]
	for range tagCount {
		tag := u32(rest)
		command.Tags = append(command.Tags, string(rest[4:4+tag]))
		rest = rest[4+tag:]
	}
	l.rest = rest
	return command
}

// Follow goes over the log from seq on and waits for more until ctx ends, which ends the loop without an error. Other
// errors end it, too, and are told. seq and epoch are as for [Store.ReadLog].
func (s *Store) Follow(ctx context.Context, seq, epoch uint64) iter.Seq2[Command, error] {
	return func(yield func(Command, error) bool) {
		reader, err := s.ReadLog(seq, epoch)
		if err != nil {
			yield(Command{}, err)
			return
		}
		defer reader.Close()
		for {
			command, err := reader.Next(ctx)
			if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				return
			}
			if !yield(command, err) || err != nil {
				return
			}
		}
	}
}
