// One set of claims for three stores: this one, raft-boltdb, and raft's own in memory, which judge the claims. Then the
// same random operations on all three, whose answers must agree.
package raftstore_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"sarsen"
	"sarsen/internal/seeded"
	"sarsen/raftstore"
)

type store interface {
	raft.LogStore
	raft.StableStore
}

type kind struct {
	name string
	open func(t testing.TB, path string) (store, func() error)
}

func openSarsen(t testing.TB, path string) (store, func() error) {
	opened, err := raftstore.Open(path)
	must(t, err)
	return opened, opened.Close
}

func openBolt(t testing.TB, path string) (store, func() error) {
	opened, err := raftboltdb.NewBoltStore(path)
	must(t, err)
	return opened, opened.Close
}

var (
	mine   = kind{"sarsen", openSarsen}
	bolt   = kind{"raft-boltdb", openBolt}
	memory = kind{"memory", func(testing.TB, string) (store, func() error) {
		return raft.NewInmemStore(), func() error { return nil }
	}}
	kinds = []kind{mine, bolt, memory}
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func each(t *testing.T, kinds []kind, claim func(t *testing.T, store store)) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			store, closed := kind.open(t, filepath.Join(t.TempDir(), "store"))
			defer func() { must(t, closed()) }()
			claim(t, store)
		})
	}
}

func ends(t testing.TB, store raft.LogStore) [2]uint64 {
	t.Helper()
	first, err := store.FirstIndex()
	must(t, err)
	last, err := store.LastIndex()
	must(t, err)
	return [2]uint64{first, last}
}

func entries(from, to uint64) (logs []*raft.Log) {
	for index := from; index <= to; index++ {
		logs = append(logs, &raft.Log{Index: index, Term: 3, Data: []byte(fmt.Sprint("entry ", index))})
	}
	return logs
}

func expectEnds(t *testing.T, store raft.LogStore, first, last uint64) {
	t.Helper()
	if got := ends(t, store); got != [2]uint64{first, last} {
		t.Fatalf("the log is %v, not %d to %d", got, first, last)
	}
}

func TestAnEmptyLogGoesFrom0To0(t *testing.T) {
	each(t, kinds, func(t *testing.T, store store) {
		expectEnds(t, store, 0, 0)
		if err := store.GetLog(1, new(raft.Log)); err != raft.ErrLogNotFound {
			t.Fatalf("got %v", err)
		}
		must(t, store.DeleteRange(1, 10))
		must(t, store.StoreLogs(nil))
		expectEnds(t, store, 0, 0)
	})
}

func TestAnEntryComesBackAsItWasStored(t *testing.T) {
	each(t, kinds, func(t *testing.T, store store) {
		for i, log := range []raft.Log{
			{Index: 1, Term: 1, Type: raft.LogCommand, Data: []byte("data")},
			{Index: 2, Term: 1 << 60, Type: raft.LogConfiguration, Data: bytes.Repeat([]byte("x"), 200_000)},
			{Index: 3, Term: 2, Type: raft.LogNoop, Extensions: []byte("more"), Data: []byte("d")},
			{Index: 4, Term: 2, Type: raft.LogBarrier, AppendedAt: time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.UTC)},
			{Index: 1 << 63, Term: 2, Extensions: []byte("only")},
		} {
			must(t, store.StoreLog(&log))
			var got raft.Log
			must(t, store.GetLog(log.Index, &got))
			if got.Index != log.Index || got.Term != log.Term || got.Type != log.Type || !bytes.Equal(got.Data, log.Data) ||
				!bytes.Equal(got.Extensions, log.Extensions) || !got.AppendedAt.Equal(log.AppendedAt) {
				t.Fatalf("entry %d: got %.200v, stored %.200v", i, got, log)
			}
		}
	})
}

func TestBothEndsOfTheLogAreCutOff(t *testing.T) {
	each(t, kinds, func(t *testing.T, store store) {
		must(t, store.StoreLogs(entries(5, 20)))
		expectEnds(t, store, 5, 20)
		must(t, store.DeleteRange(5, 9))
		expectEnds(t, store, 10, 20)
		must(t, store.DeleteRange(18, 20))
		expectEnds(t, store, 10, 17)
		for index := uint64(1); index <= 25; index++ {
			var log raft.Log
			err := store.GetLog(index, &log)
			if index < 10 || index > 17 {
				if err != raft.ErrLogNotFound {
					t.Fatalf("entry %d: %v", index, err)
				}
				continue
			}
			must(t, err)
			if string(log.Data) != fmt.Sprint("entry ", index) {
				t.Fatalf("entry %d has %q", index, log.Data)
			}
		}
		must(t, store.DeleteRange(10, 17))
		expectEnds(t, store, 0, 0)
		must(t, store.StoreLogs(entries(100, 101)))
		expectEnds(t, store, 100, 101)
	})
}

// raft relies on gaps after it restored a snapshot.
func TestALogMayHaveAGap(t *testing.T) {
	each(t, []kind{mine, bolt}, func(t *testing.T, store store) {
		must(t, store.StoreLogs(entries(1, 3)))
		must(t, store.StoreLogs(entries(1<<40, 1<<40+2)))
		expectEnds(t, store, 1, 1<<40+2)
		must(t, store.DeleteRange(1, 1<<40))
		expectEnds(t, store, 1<<40+1, 1<<40+2)
	})
}

func TestAnIndexThatIsThereIsReplaced(t *testing.T) {
	each(t, kinds, func(t *testing.T, store store) {
		must(t, store.StoreLogs(entries(1, 5)))
		must(t, store.StoreLog(&raft.Log{Index: 3, Term: 9, Data: []byte("new")}))
		var log raft.Log
		must(t, store.GetLog(3, &log))
		if log.Term != 9 || string(log.Data) != "new" {
			t.Fatalf("got %v", log)
		}
		expectEnds(t, store, 1, 5)
	})
}

func TestStableStateIsSetAndReplaced(t *testing.T) {
	each(t, kinds, func(t *testing.T, store store) {
		// raft takes no other text for a key that was never set.
		if _, err := store.Get([]byte("none")); err == nil || err.Error() != "not found" {
			t.Fatalf("got %v", err)
		}
		must(t, store.Set([]byte("vote"), []byte("a")))
		must(t, store.Set([]byte("vote"), []byte("b")))
		value, err := store.Get([]byte("vote"))
		must(t, err)
		if string(value) != "b" {
			t.Fatalf("got %q", value)
		}
		must(t, store.SetUint64([]byte("term"), 1<<63+5))
		number, err := store.GetUint64([]byte("term"))
		must(t, err)
		if number != 1<<63+5 {
			t.Fatalf("got %d", number)
		}
	})
	each(t, []kind{mine, bolt}, func(t *testing.T, store store) {
		if _, err := store.GetUint64([]byte("none")); err == nil || err.Error() != "not found" {
			t.Fatalf("got %v", err)
		}
	})
}

func TestEverythingIsThereAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	store, closed := openSarsen(t, path)
	must(t, store.StoreLogs(entries(7, 9)))
	must(t, store.SetUint64([]byte("term"), 4))
	must(t, closed())
	if err := store.StoreLog(&raft.Log{Index: 10}); err == nil {
		t.Fatal("a closed store takes entries")
	}
	store, closed = openSarsen(t, path)
	expectEnds(t, store, 7, 9)
	term, err := store.GetUint64([]byte("term"))
	must(t, err)
	if term != 4 {
		t.Fatalf("term %d", term)
	}
	must(t, closed())
}

func TestRaftGroupsShareAStore(t *testing.T) {
	shared, err := sarsen.Open(filepath.Join(t.TempDir(), "store"), nil)
	must(t, err)
	defer shared.Close()
	var groups []*raftstore.Store
	for i := range uint64(3) {
		group, err := raftstore.New(shared, raftstore.Options{Prefix: fmt.Sprintf("group %d/", i), NoSync: i == 2})
		must(t, err)
		defer group.Close()
		must(t, group.StoreLogs(entries(i+1, 10+i)))
		must(t, group.SetUint64([]byte("term"), i))
		groups = append(groups, group)
	}
	for i, group := range groups {
		expectEnds(t, group, uint64(i)+1, uint64(i)+10)
		term, err := group.GetUint64([]byte("term"))
		must(t, err)
		if term != uint64(i) {
			t.Fatalf("group %d has term %d", i, term)
		}
	}
	must(t, shared.Set([]byte("group 9/lstray"), nil))
	if _, err := raftstore.New(shared, raftstore.Options{Prefix: "group 9/"}); err == nil {
		t.Fatal("a stray key was not noticed")
	}
}

func TestRandomOperationsAgreeWithTheOtherStores(t *testing.T) {
	random := seeded.Random(t)
	path := filepath.Join(t.TempDir(), "sarsen")
	ours, closed := openSarsen(t, path)
	theirs, closeTheirs := openBolt(t, filepath.Join(t.TempDir(), "bolt"))
	defer func() { must(t, closed()); must(t, closeTheirs()) }()
	for step := range 600 {
		last := ends(t, ours)[1]
		switch random.IntN(8) {
		case 0, 1, 2:
			from := last + 1
			logs := entries(from, from+random.Uint64N(5))
			must(t, ours.StoreLogs(logs))
			must(t, theirs.StoreLogs(logs))
		case 3: // a conflict: the end is cut off
			from := last - min(last, random.Uint64N(6))
			must(t, ours.DeleteRange(from, last))
			must(t, theirs.DeleteRange(from, last))
		case 4: // a snapshot: the front is cut off
			first := ends(t, ours)[0]
			to := first + random.Uint64N(6)
			must(t, ours.DeleteRange(first, to))
			must(t, theirs.DeleteRange(first, to))
		case 5:
			key, value := []byte(fmt.Sprint("key ", random.IntN(5))), random.Uint64()
			must(t, ours.SetUint64(key, value))
			must(t, theirs.SetUint64(key, value))
		case 6:
			log := &raft.Log{Index: last + 10 + random.Uint64N(10), Term: 8}
			must(t, ours.StoreLog(log))
			must(t, theirs.StoreLog(log))
		case 7:
			must(t, closed())
			ours, closed = openSarsen(t, path)
		}
		if a, b := ends(t, ours), ends(t, theirs); a != b {
			t.Fatalf("step %d: the log is %v, raft-boltdb has %v", step, a, b)
		}
		for index := ends(t, ours)[0]; index <= ends(t, ours)[1]+1; index++ {
			var a, b raft.Log
			errA, errB := ours.GetLog(index, &a), theirs.GetLog(index, &b)
			if errA != errB || a.Term != b.Term || !bytes.Equal(a.Data, b.Data) {
				t.Fatalf("step %d: entry %d is %v %v, raft-boltdb has %v %v", step, index, a, errA, b, errB)
			}
		}
		for i := range 5 {
			key := []byte(fmt.Sprint("key ", i))
			a, errA := ours.GetUint64(key)
			b, errB := theirs.GetUint64(key)
			if a != b || fmt.Sprint(errA) != fmt.Sprint(errB) {
				t.Fatalf("step %d: %s is %d %v, raft-boltdb has %d %v", step, key, a, errA, b, errB)
			}
		}
	}
}
