package sarsen

// #include "bridge.h"
import "C"

import (
	"runtime"
	"sync/atomic"
	"unsafe"
)

// View is bytes inside the store, kept in place until released, also after the store was closed. Any number of
// goroutines may read them.
//
// Release it. A view that is forgotten is released once the garbage collector finds it, so its bytes are good only as
// long as the view itself is in use: `defer view.Release()` sees to both.
type View struct {
	native   C.sarsen_view
	released atomic.Bool
	cleanup  runtime.Cleanup
}

func newView(answer C.bridge_view) (*View, error) {
	if answer.status != C.SARSEN_OK {
		return nil, failure(answer.status, answer.error)
	}
	view := &View{native: C.sarsen_view{data: answer.data, len: answer.len, pin: answer.pin}}
	view.cleanup = runtime.AddCleanup(view, func(native C.sarsen_view) { C.sarsen_view_release(&native) }, view.native)
	return view, nil
}

// Bytes are read-only: writing to them ends the process. nil once the view was released.
func (v *View) Bytes() []byte {
	if v.released.Load() {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(v.native.data)), int(v.native.len))
}

// Len is the number of bytes.
func (v *View) Len() int { return int(v.native.len) }

// Release gives the bytes back. Releasing twice does nothing.
func (v *View) Release() {
	if !v.released.Swap(true) {
		v.cleanup.Stop()
		native := v.native
		C.sarsen_view_release(&native)
	}
	runtime.KeepAlive(v)
}

// copied copies the bytes of a view and releases it.
func copied(answer C.bridge_view) ([]byte, error) {
	if answer.status != C.SARSEN_OK {
		return nil, failure(answer.status, answer.error)
	}
	native := C.sarsen_view{data: answer.data, len: answer.len, pin: answer.pin}
	bytes := make([]byte, int(native.len))
	copy(bytes, unsafe.Slice((*byte)(unsafe.Pointer(native.data)), int(native.len)))
	C.sarsen_view_release(&native)
	return bytes, nil
}
