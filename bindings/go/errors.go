package sarsen

// #include "bridge.h"
import "C"

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"
)

// Status is what a call came to, as the library numbers it. Each is an error to be used with [errors.Is].
type Status uint32

// What calls answer. [Error] says more where there is more to say.
const (
	// ErrNotFound: no such key, id, record or block.
	ErrNotFound = Status(C.SARSEN_NOT_FOUND)
	// ErrEnd: an iterator has nothing more; loops end there and do not tell it.
	ErrEnd = Status(C.SARSEN_END)
	// ErrTimeout: a wait ran out.
	ErrTimeout = Status(C.SARSEN_TIMEOUT)
	// ErrInvalidArgument: the call makes no sense as it is; nothing was done.
	ErrInvalidArgument = Status(C.SARSEN_INVALID_ARGUMENT)
	// ErrIO: the operating system refused; [errors.Is] finds the errno, too.
	ErrIO = Status(C.SARSEN_IO)
	// ErrNoSpace: disk full. Nothing was written, reads go on, retry later.
	ErrNoSpace = Status(C.SARSEN_NO_SPACE)
	// ErrCorrupt: damage to data that had been made durable.
	ErrCorrupt = Status(C.SARSEN_CORRUPT)
	// ErrLocked: another process or handle has the store open for writing.
	ErrLocked = Status(C.SARSEN_LOCKED)
	// ErrNotAStore: the path exists, but holds no store; or nothing is there and creating was not asked for.
	ErrNotAStore = Status(C.SARSEN_NOT_A_STORE)
	// ErrVersion: written by a newer format.
	ErrVersion = Status(C.SARSEN_VERSION)
	// ErrReadOnly: a write to a store that was opened read-only.
	ErrReadOnly = Status(C.SARSEN_READ_ONLY)
	// ErrTooLarge: beyond the documented sizes; nothing was done.
	ErrTooLarge = Status(C.SARSEN_TOO_LARGE)
	// ErrPoisoned: an earlier write failed half-way; close the store and open it again.
	ErrPoisoned = Status(C.SARSEN_POISONED)
	// ErrForked: used in a child process after fork().
	ErrForked = Status(C.SARSEN_FORKED)
	// ErrConflict: a condition did not hold; nothing was written.
	ErrConflict = Status(C.SARSEN_CONFLICT)
	// ErrInternal: a defect in sarsen. The store refuses further writes until it is reopened.
	ErrInternal = Status(C.SARSEN_INTERNAL)
)

// ErrClosed is the answer of a store, snapshot, batch, transaction or log reader that was closed or has ended.
var ErrClosed = errors.New("sarsen: closed")

// Name is the status's name in C, such as "SARSEN_NOT_FOUND".
func (s Status) Name() string { return C.GoString(C.sarsen_status_name(C.sarsen_status(s))) }

// Error makes a status an error.
func (s Status) Error() string {
	switch s {
	case ErrNotFound:
		return "sarsen: not found"
	case ErrEnd:
		return "sarsen: no more entries"
	case ErrTimeout:
		return "sarsen: the wait ran out"
	}
	return "sarsen: " + s.Name()
}

// Error is what went wrong. Fields that say nothing are zero.
type Error struct {
	Status Status
	// Message says what happened and what to do next, in one line.
	Message string
	// OSCode is errno where the system refused something.
	OSCode syscall.Errno
	// File is a path within the store, and Offset a place in it.
	File   string
	Offset uint64
	// FirstSeq and LastSeq are the commits concerned.
	FirstSeq, LastSeq uint64
}

func (e *Error) Error() string { return "sarsen: " + e.Message }

// Unwrap gives the status and, where there is one, the errno.
func (e *Error) Unwrap() []error {
	if e.OSCode != 0 {
		return []error{e.Status, e.OSCode}
	}
	return []error{e.Status}
}

// failure turns what a call answered into an error, nil for OK, and frees what the library told about it.
func failure(status C.sarsen_status, told C.uintptr_t) error {
	if told == 0 {
		if status == C.SARSEN_OK {
			return nil
		}
		return Status(status)
	}
	return describe(toldError(told))
}

// The handle came from C as a number, see bridge.h; it was never memory of Go's.
func toldError(told C.uintptr_t) *C.sarsen_error {
	return *(**C.sarsen_error)(unsafe.Pointer(&told))
}

func describe(told *C.sarsen_error) error {
	defer C.sarsen_error_free(told)
	err := &Error{
		Status:   Status(C.sarsen_error_status(told)),
		Message:  C.GoString(C.sarsen_error_message(told)),
		OSCode:   syscall.Errno(C.sarsen_error_os_code(told)),
		Offset:   uint64(C.sarsen_error_offset(told)),
		FirstSeq: uint64(C.sarsen_error_first_seq(told)),
		LastSeq:  uint64(C.sarsen_error_last_seq(told)),
	}
	if file := C.sarsen_error_file(told); file != nil {
		err.File = C.GoString(file)
	}
	return err
}

// plain is for the calls that are not made often enough for the bridge.
func plain(status C.sarsen_status, told *C.sarsen_error) error {
	if told != nil {
		return describe(told)
	}
	if status == C.SARSEN_OK {
		return nil
	}
	return Status(status)
}

func refuse(status Status, format string, values ...any) error {
	return &Error{Status: status, Message: fmt.Sprintf(format, values...)}
}
