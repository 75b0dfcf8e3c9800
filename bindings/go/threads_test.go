// Many goroutines at once, closing among them, and what is forgotten.
package sarsen_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"sarsen"
)

func TestAStoreIsUsedByManyGoroutinesAndClosedMeanwhile(t *testing.T) {
	for round := range 10 {
		store := open(t, &sarsen.Options{Durability: sarsen.SurviveProcess})
		snapshot, err := store.Snapshot()
		must(t, err)
		var group sync.WaitGroup
		busy := make(chan bool, 64)
		for number := range 8 {
			group.Add(1)
			go func() {
				defer group.Done()
				key := []byte(fmt.Sprint("key ", number))
				for turn := 0; ; turn++ {
					err := store.Set(key, key)
					if err == nil {
						_, err = store.Get(key)
					}
					if err == nil {
						if _, err = snapshot.Get(key); errors.Is(err, sarsen.ErrNotFound) {
							err = nil
						}
					}
					for _, scanErr := range store.Scan(sarsen.Range{}) {
						if err = scanErr; err != nil {
							break
						}
					}
					if errors.Is(err, sarsen.ErrClosed) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					if turn == 10 {
						busy <- true
					}
				}
			}()
		}
		for range 8 {
			<-busy
		}
		if round%2 == 0 {
			snapshot.Close()
		}
		must(t, store.Close())
		group.Wait()
		snapshot.Close()
	}
}

// What was forgotten is found by the garbage collector: then the library has neither views nor snapshots any more, and
// the store's lock is free.
func TestWhatIsForgottenIsGivenBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	store := openAt(t, path, nil)
	must(t, store.Set([]byte("k"), make([]byte, 100_000)))
	must(t, store.Checkpoint())
	forget(t, store)
	for {
		stats, err := store.Stats()
		must(t, err)
		if stats.PinnedViews == 0 && stats.OldestSnapshotSeq == 0 {
			break
		}
		runtime.GC()
	}
	must(t, store.Close())

	func() {
		forgotten, err := sarsen.Open(path, nil)
		must(t, err)
		must(t, forgotten.Set([]byte("k"), nil))
		_, err = sarsen.Open(path, nil)
		fails(t, err, sarsen.ErrLocked)
	}()
	for {
		again, err := sarsen.Open(path, nil)
		if err == nil {
			must(t, again.Close())
			return
		}
		fails(t, err, sarsen.ErrLocked)
		runtime.GC()
	}
}

//go:noinline
func forget(t *testing.T, store *sarsen.Store) {
	view, err := store.GetView([]byte("k"))
	must(t, err)
	snapshot, err := store.Snapshot()
	must(t, err)
	_, err = store.ReadLog(store.LogFirstSeq(), 0)
	must(t, err)
	must(t, sarsen.NewBatch().Set([]byte("x"), nil))
	stats, err := store.Stats()
	must(t, err)
	if stats.PinnedViews == 0 || stats.OldestSnapshotSeq == 0 {
		t.Fatalf("%+v: nothing is held, so nothing can be forgotten", stats)
	}
	runtime.KeepAlive(view)
	runtime.KeepAlive(snapshot)
}
