// Package sarsen is an embedded store: one library, one directory on disk, no server. Four kinds of data behind one log
// and one atomic commit:
//
//   - key-value: ordered byte keys;
//   - streams: per name, an append-only sequence of records numbered from 0;
//   - memories: a uint64 id, bytes and a set of tags, found again by id or by tags;
//   - blocks: immutable bytes with an address that never changes, read in place.
//
// # Reading
//
// What is returned is a copy that belongs to the caller. Methods with View in their name give the bytes in place
// instead and say for how long they are good. Scans are iterators of a value and an error; they copy into a new buffer
// for some hundred entries at a time, and an entry stays good for as long as it is kept. An error ends a scan.
//
// # Writing
//
// [Store.Update] runs a function over a [Tx] and commits what it did as one commit; a [Batch] does so without reading.
// [Store.Set] and its like are commits of one command. A commit that returned nil survives what the store's
// [Durability] says.
//
// # Goroutines
//
// A [Store] and a [Snapshot] may be used by any number of goroutines, and closed while they are: calls under way end
// first, later ones answer [ErrClosed]. A [Batch], a [Tx] and a [LogReader] belong to one goroutine at a time.
//
// # Errors
//
// Use [errors.Is] with [ErrNotFound], [ErrCorrupt] and so on; [errors.As] with *[Error] has the message, errno, and the
// place of damage.
//
// # Where the library is found
//
// With pkg-config, as "sarsen". An installed library brings its file. For a source tree that was built with make, set
// PKG_CONFIG_PATH to its folder bindings/go/pkgconfig. With the tag sarsen_static the library goes into the program.
package sarsen

// #cgo pkg-config: sarsen
// #cgo sarsen_static LDFLAGS: -Wl,--as-needed -l:libsarsen.a -lpthread -ldl -lm
// #include "bridge.h"
import "C"

import (
	"sync/atomic"
	"unsafe"
)

// ABIVersion is raised by the library when programs built against an older one have to be built again.
func ABIVersion() uint32 { return uint32(C.sarsen_abi_version()) }

// Version of the library, such as "0.1.0".
func Version() string { return C.GoString(C.sarsen_version()) }

// guard lets calls in until it is closed, and closing wait for those under way: a handle that was given back must
// never reach the library again.
type guard struct {
	state   atomic.Int64
	drained chan struct{}
}

const guardClosed = int64(1) << 62

func newGuard() guard { return guard{drained: make(chan struct{}, 1)} }

func (g *guard) enter() bool {
	if g.state.Add(1) < guardClosed {
		return true
	}
	g.leave()
	return false
}

func (g *guard) leave() {
	if g.state.Add(-1) == guardClosed {
		select {
		case g.drained <- struct{}{}:
		default:
		}
	}
}

// close reports whether this call is the one that closed it; then nobody is inside any more.
func (g *guard) close() bool {
	before := g.state.Or(guardClosed)
	if before&guardClosed != 0 {
		return false
	}
	if before != 0 {
		<-g.drained
	}
	return true
}

// The address of the first byte, as a type that cgo need not look behind.
func address(bytes []byte) *C.uint8_t {
	return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(bytes)))
}

func length(bytes []byte) C.size_t { return C.size_t(len(bytes)) }
