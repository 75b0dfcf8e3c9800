package sarsen_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sarsen"
)

func open(t testing.TB, options *sarsen.Options) *sarsen.Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "store"), options)
}

func openAt(t testing.TB, path string, options *sarsen.Options) *sarsen.Store {
	t.Helper()
	store, err := sarsen.Open(path, options)
	must(t, err)
	t.Cleanup(func() { store.Close() })
	return store
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func fails(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func equal[T any](t testing.TB, got, want T) {
	t.Helper()
	if g, w := fmt.Sprintf("%q", []any{got}), fmt.Sprintf("%q", []any{want}); g != w {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func collect[T any](t testing.TB, entries func(func(T, error) bool)) []T {
	t.Helper()
	var all []T
	for entry, err := range entries {
		must(t, err)
		all = append(all, entry)
	}
	return all
}

func TestTheLibraryIsTheOneOfThisTree(t *testing.T) {
	manifest, err := os.ReadFile("../../Cargo.toml")
	must(t, err)
	if !strings.Contains(string(manifest), fmt.Sprintf("version = %q", sarsen.Version())) {
		t.Fatalf("the library is version %s", sarsen.Version())
	}
	equal(t, sarsen.ABIVersion(), 0)
}

func TestAPairIsReadBackUntilItIsDeleted(t *testing.T) {
	store := open(t, nil)
	for _, size := range []int{0, 1, 511, 512, 513, 40_000, 1 << 20} {
		key, value := []byte(fmt.Sprint(size)), bytes.Repeat([]byte{7}, size)
		must(t, store.Set(key, value))
		got := [][]byte{first(t)(store.Get(key))}
		got = append(got, first(t)(store.Append([]byte("x"), key))[1:])
		view := viewed(t)(store.GetView(key))
		got = append(got, view.Bytes())
		for i, other := range got {
			if !bytes.Equal(other, value) {
				t.Fatalf("size %d: way %d gives %d other bytes", size, i, len(other))
			}
		}
		view.Release()
		view.Release()
		if view.Bytes() != nil {
			t.Fatal("a released view gives bytes")
		}
		must(t, store.Delete(key))
		_, err := store.Get(key)
		fails(t, err, sarsen.ErrNotFound)
		has, err := store.Has(key)
		equal(t, has, false)
		must(t, err)
	}
}

func first(t testing.TB) func([]byte, error) []byte {
	return func(b []byte, err error) []byte { t.Helper(); must(t, err); return b }
}

func viewed(t testing.TB) func(*sarsen.View, error) *sarsen.View {
	return func(v *sarsen.View, err error) *sarsen.View { t.Helper(); must(t, err); return v }
}

func TestAppendReadsIntoTheRoomThatIsThere(t *testing.T) {
	store := open(t, nil)
	must(t, store.Set([]byte("k"), []byte("value")))
	buffer := make([]byte, 2, 16)
	got, err := store.Append(buffer, []byte("k"))
	must(t, err)
	if &got[0] != &buffer[0] || string(got[2:]) != "value" {
		t.Fatal("the room was not used")
	}
	got, err = store.Append(buffer, []byte("none"))
	fails(t, err, sarsen.ErrNotFound)
	equal(t, len(got), 2)
}

func TestManyKeysAreReadAtOnce(t *testing.T) {
	store := open(t, nil)
	batch := sarsen.NewBatch()
	defer batch.Close()
	var keys [][]byte
	for i := range 1000 {
		key := []byte(fmt.Sprintf("key %d", i))
		keys = append(keys, key)
		if i%3 != 0 {
			must(t, batch.Set(key, []byte(fmt.Sprint(i))))
		}
	}
	_, err := batch.Commit(store, sarsen.SurviveProcess)
	must(t, err)
	values, err := store.GetMany(keys)
	must(t, err)
	views, err := store.GetManyViews(keys)
	must(t, err)
	for i := range keys {
		if i%3 == 0 {
			if values[i] != nil || views[i] != nil {
				t.Fatalf("key %d is there", i)
			}
			continue
		}
		equal(t, string(values[i]), fmt.Sprint(i))
		equal(t, string(views[i].Bytes()), fmt.Sprint(i))
		views[i].Release()
	}
	stats, err := store.Stats()
	must(t, err)
	equal(t, stats.PinnedViews, 0)
}

func TestScansSeeARangeInOrderAndKeepTheirBytes(t *testing.T) {
	store := open(t, nil)
	batch := sarsen.NewBatch()
	defer batch.Close()
	const count = 20_000
	for i := range count {
		must(t, batch.Set([]byte(fmt.Sprintf("k%06d", i)), []byte(strings.Repeat("v", i%50))))
	}
	// Longer than any buffer.
	must(t, batch.Set([]byte("k000100x"), bytes.Repeat([]byte("long"), 50_000)))
	_, err := batch.Commit(store, sarsen.SurviveProcess)
	must(t, err)

	pairs := collect(t, store.Scan(sarsen.Range{Start: []byte("k000100"), End: []byte("k015000")}))
	equal(t, len(pairs), 14_901)
	equal(t, string(pairs[0].Key), "k000100")
	equal(t, len(pairs[1].Value), 200_000)
	equal(t, string(pairs[14_900].Key), "k014999")
	equal(t, len(pairs[49].Value), 148%50)
	keys := collect(t, store.Keys(sarsen.Range{Prefix: []byte("k0001")}))
	equal(t, len(keys), 101)
	backwards := collect(t, store.Keys(sarsen.Range{Prefix: []byte("k0001"), Reverse: true}))
	slices.Reverse(backwards)
	equal(t, backwards, keys)

	seen := 0
	for pair, err := range store.ScanViews(sarsen.Range{}) {
		must(t, err)
		if seen++; len(pair.Key) < 7 {
			t.Fatal("a key is cut")
		}
		if seen == 10_000 {
			break
		}
	}
	for _, err := range store.Scan(sarsen.Range{Prefix: []byte("a"), End: []byte("b")}) {
		fails(t, err, sarsen.ErrInvalidArgument)
	}
}

func TestStreamsAreNumberedTrimmedAndListed(t *testing.T) {
	store := open(t, nil)
	name := []byte("events")
	for i := range 300 {
		index, err := store.AppendStream(name, []byte(fmt.Sprint("record ", i)))
		must(t, err)
		equal(t, index, uint64(i))
	}
	must(t, store.TrimStream(name, 100))
	from, next, err := store.StreamBounds(name)
	must(t, err)
	equal(t, []uint64{from, next}, []uint64{100, 300})
	records := collect(t, store.ReadStream(name, 0))
	equal(t, len(records), 200)
	equal(t, string(records[0].Data), "record 100")
	equal(t, records[199].Index, uint64(299))
	lent := 0
	for record, err := range store.ReadStreamViews(name, 290) {
		must(t, err)
		equal(t, string(record.Data), fmt.Sprint("record ", 290+lent))
		lent++
	}
	equal(t, lent, 10)
	equal(t, string(first(t)(store.GetRecord(name, 150))), "record 150")
	view := viewed(t)(store.GetRecordView(name, 151))
	equal(t, string(view.Bytes()), "record 151")
	view.Release()
	_, err = store.GetRecord(name, 99)
	fails(t, err, sarsen.ErrNotFound)
	_, err = store.AppendStream([]byte("other"), nil)
	must(t, err)
	equal(t, collect(t, store.Streams([]byte("e"))), []sarsen.Stream{{Name: name, First: 100, Next: 300}})
	equal(t, len(collect(t, store.Streams(nil))), 2)
	must(t, store.TrimStream(name, sarsen.DropStream))
	_, _, err = store.StreamBounds(name)
	fails(t, err, sarsen.ErrNotFound)
	for _, err := range store.ReadStream(name, 0) {
		fails(t, err, sarsen.ErrNotFound)
	}
}

func TestMemoriesAreFoundByTheirTags(t *testing.T) {
	store := open(t, nil)
	must(t, store.AppendMemory(1, []byte("one"), "odd", "small"))
	must(t, store.AppendMemory(2, []byte("two"), "even", "small"))
	must(t, store.AppendMemory(3, nil, "odd"))
	must(t, store.AppendMemory(4, bytes.Repeat([]byte("4"), 100_000), "even"))
	found := func(query sarsen.Query) (ids []uint64) {
		for id, err := range store.FindIDs(query) {
			must(t, err)
			ids = append(ids, id)
		}
		return ids
	}
	equal(t, found(sarsen.Query{}), []uint64{1, 2, 3, 4})
	equal(t, found(sarsen.Query{All: []string{"odd", "small"}}), []uint64{1})
	equal(t, found(sarsen.Query{Any: []string{"odd", "small"}, From: 2}), []uint64{2, 3})
	equal(t, found(sarsen.Query{None: []string{"even"}}), []uint64{1, 3})
	all := collect(t, store.FindMemories(sarsen.Query{All: []string{"even"}}))
	equal(t, string(all[0].Data), "two")
	equal(t, len(all[1].Data), 100_000)
	for memory, err := range store.FindMemoriesViews(sarsen.Query{From: 4}) {
		must(t, err)
		equal(t, len(memory.Data), 100_000)
	}
	block, tags, err := store.MemoryInfo(1)
	must(t, err)
	equal(t, tags, []string{"odd", "small"})
	equal(t, string(first(t)(store.GetBlock(block))), "one")
	equal(t, string(first(t)(store.GetMemory(2))), "two")
	view := viewed(t)(store.GetMemoryView(1))
	equal(t, string(view.Bytes()), "one")
	view.Release()
	must(t, store.DeleteMemory(1))
	_, err = store.GetMemory(1)
	fails(t, err, sarsen.ErrNotFound)
	fails(t, store.AppendMemory(5, nil, ""), sarsen.ErrInvalidArgument)
	fails(t, store.AppendMemory(5, nil, strings.Repeat("t", 1025)), sarsen.ErrTooLarge)
}

func TestBlocksAreReadWholeInPartAndInPlace(t *testing.T) {
	store := open(t, nil)
	data := bytes.Repeat([]byte("0123456789"), 30_000)
	block, err := store.AppendBlock(data)
	must(t, err)
	if !bytes.Equal(first(t)(store.GetBlock(block)), data) {
		t.Fatal("other bytes")
	}
	part := make([]byte, 5)
	must(t, store.ReadBlock(block, 100_003, part))
	equal(t, string(part), "34567")
	view := viewed(t)(store.GetBlockView(block, 299_990, 10))
	equal(t, string(view.Bytes()), "0123456789")
	fails(t, store.ReadBlock(block, 299_999, part), sarsen.ErrInvalidArgument)
	must(t, store.FreeBlock(block))
	must(t, store.Close())
	equal(t, string(view.Bytes()), "0123456789")
	view.Release()
}

func TestABatchIsOneCommitAndTellsItsResults(t *testing.T) {
	store := open(t, nil)
	block, err := store.AppendBlock([]byte("shared"))
	must(t, err)
	batch := sarsen.NewBatch()
	defer batch.Close()
	long := bytes.Repeat([]byte("L"), 100_000)
	must(t, batch.Set([]byte("a"), []byte("1")))
	must(t, batch.Set([]byte("long"), long))
	must(t, batch.AppendStream([]byte("s"), []byte("zero")))
	must(t, batch.AppendStream([]byte("s"), long))
	must(t, batch.AppendStreamBlock([]byte("s"), block))
	must(t, batch.AppendMemory(1, []byte("m"), "tag", "tag"))
	must(t, batch.AppendMemory(2, long, "tag"))
	must(t, batch.AppendMemoryBlock(3, block, "tag"))
	must(t, batch.AppendBlock([]byte("loose")))
	must(t, batch.AppendBlock(long))
	must(t, batch.Delete([]byte("a")))
	must(t, batch.DeleteMemory(1))
	must(t, batch.TrimStream([]byte("s"), 1))
	fails(t, batch.Set(make([]byte, 65_536), nil), sarsen.ErrTooLarge)
	fails(t, batch.AppendMemory(9, nil, "\xff"), sarsen.ErrInvalidArgument)
	equal(t, batch.Len(), 13)
	before := store.LastSeq()
	seq, err := batch.Commit(store, sarsen.SurvivePower)
	must(t, err)
	equal(t, seq, before+1)
	equal(t, store.DurableSeq() >= seq, true)
	equal(t, batch.Len(), 0)

	index, _, err := batch.Result(3)
	must(t, err)
	equal(t, index, 1)
	_, loose, err := batch.Result(8)
	must(t, err)
	equal(t, string(first(t)(store.GetBlock(loose))), "loose")
	_, err = store.Get([]byte("a"))
	fails(t, err, sarsen.ErrNotFound)
	equal(t, len(first(t)(store.Get([]byte("long")))), 100_000)
	records := collect(t, store.ReadStream([]byte("s"), 0))
	equal(t, len(records), 2)
	equal(t, string(records[1].Data), "shared")
	equal(t, len(collect(t, store.FindMemories(sarsen.Query{All: []string{"tag"}}))), 2)

	must(t, batch.FreeBlock(loose))
	_, _, err = batch.Result(0)
	fails(t, err, sarsen.ErrInvalidArgument)
	batch.Clear()
	equal(t, batch.Len(), 0)
	fails(t, batch.Load([]byte{99}), sarsen.ErrInvalidArgument)
	encoded := []byte{6, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'l', 'o', 'n', 'g'}
	must(t, batch.Load(encoded))
	equal(t, batch.Len(), 1)
	_, err = batch.Commit(store, sarsen.DefaultDurability)
	must(t, err)
	_, err = store.Get([]byte("long"))
	fails(t, err, sarsen.ErrNotFound)
	must(t, batch.AppendStreamBlock([]byte("s"), sarsen.Block{Chunk: 77, Offset: 4096, Len: 5}))
	_, err = batch.Commit(store, sarsen.DefaultDurability)
	fails(t, err, sarsen.ErrNotFound)
	equal(t, batch.Len(), 1)
}

func TestASnapshotStaysAsItWas(t *testing.T) {
	store := open(t, nil)
	must(t, store.Set([]byte("k"), []byte("old")))
	snapshot, err := store.Snapshot()
	must(t, err)
	equal(t, snapshot.Seq(), store.LastSeq())
	must(t, store.Set([]byte("k"), []byte("new")))
	equal(t, string(first(t)(snapshot.Get([]byte("k")))), "old")
	equal(t, string(first(t)(store.Get([]byte("k")))), "new")
	must(t, store.View(func(now *sarsen.Snapshot) error {
		equal(t, string(first(t)(now.Get([]byte("k")))), "new")
		return nil
	}))
	path := filepath.Join(t.TempDir(), "backup")
	must(t, snapshot.Backup(path))
	snapshot.Close()
	snapshot.Close()
	_, err = snapshot.Get([]byte("k"))
	fails(t, err, sarsen.ErrClosed)
	backup := openAt(t, path, &sarsen.Options{NoCreate: true, ReadOnly: true})
	equal(t, string(first(t)(backup.Get([]byte("k")))), "old")
	fails(t, backup.Set([]byte("k"), nil), sarsen.ErrReadOnly)
	findings, err := backup.Verify()
	must(t, err)
	equal(t, len(findings), 0)
}

func TestErrorsSayWhatHappened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	store := openAt(t, path, nil)
	_, err := sarsen.Open(path, nil)
	fails(t, err, sarsen.ErrLocked)
	var told *sarsen.Error
	if !errors.As(err, &told) || told.Message == "" || !strings.Contains(err.Error(), told.Message) {
		t.Fatalf("%v says nothing", err)
	}
	equal(t, errors.Is(err, sarsen.ErrCorrupt), false)
	equal(t, sarsen.ErrLocked.Name(), "SARSEN_LOCKED")
	_, err = sarsen.Open(filepath.Join(t.TempDir(), "none"), &sarsen.Options{NoCreate: true})
	fails(t, err, sarsen.ErrNotAStore)
	_, err = sarsen.Open("a\x00b", nil)
	fails(t, err, sarsen.ErrInvalidArgument)
	_, err = sarsen.Open(t.TempDir(), &sarsen.Options{ChunkBytes: 1})
	fails(t, err, sarsen.ErrInvalidArgument)
	if !strings.Contains(err.Error(), "ChunkBytes") {
		t.Fatalf("%v names no option", err)
	}
	_, err = sarsen.Open("/proc/none/store", nil)
	fails(t, err, sarsen.ErrIO)
	fails(t, err, syscall.ENOENT)
	must(t, store.Close())
	fails(t, store.Close(), sarsen.ErrClosed)
	fails(t, store.Set(nil, nil), sarsen.ErrClosed)
	_, err = store.Get(nil)
	fails(t, err, sarsen.ErrClosed)
	for _, err := range store.Scan(sarsen.Range{}) {
		fails(t, err, sarsen.ErrClosed)
	}
	equal(t, store.LastSeq(), 0)
}

func TestAScanOfAClosedStoreSaysSo(t *testing.T) {
	store := open(t, nil)
	for i := range 2000 {
		must(t, store.UpdateAt(sarsen.SurviveProcess, func(tx *sarsen.Tx) error {
			return tx.Set([]byte(fmt.Sprint(i)), make([]byte, 100))
		}))
	}
	var last error
	for _, err := range store.Scan(sarsen.Range{}) {
		if last = err; err == nil {
			store.Close()
		}
	}
	fails(t, last, sarsen.ErrClosed)
}

func TestEveryOptionReachesTheLibrary(t *testing.T) {
	options := sarsen.Options{
		Durability: sarsen.SurviveProcess, ChunkBytes: 1 << 20, MemoryBytes: 1 << 20, LogRetentionBytes: 1 << 20,
		NoBackground: true, Check: sarsen.CheckEveryRead, LogWrite: sarsen.LogWritten, MappedBytes: 1 << 20,
	}
	path := filepath.Join(t.TempDir(), "store")
	store := openAt(t, path, &options)
	must(t, store.Set([]byte("k"), []byte("v")))
	equal(t, store.DurableSeq(), 0)
	for more := true; more; {
		var err error
		more, err = store.Maintain(time.Second)
		must(t, err)
	}
	must(t, store.Sync())
	equal(t, store.DurableSeq(), 1)
	must(t, store.Checkpoint())
	must(t, store.Compact())
	must(t, store.Close())
	for _, bad := range []sarsen.Options{{Durability: 9}, {Check: 9}, {LogWrite: 9}, {MemoryBytes: 1}} {
		_, err := sarsen.Open(path, &bad)
		fails(t, err, sarsen.ErrInvalidArgument)
	}
	salvaged := openAt(t, path, &sarsen.Options{Salvage: true})
	recovery, err := salvaged.Recovery()
	must(t, err)
	equal(t, recovery.LastSeq, 1)
	equal(t, recovery.Verdict, sarsen.RecoveryClean)
	fails(t, salvaged.Set(nil, nil), sarsen.ErrReadOnly)
}

func TestWaitsForDurabilityEndWithTheirContext(t *testing.T) {
	store := open(t, &sarsen.Options{Durability: sarsen.SurviveProcess})
	must(t, store.Set([]byte("k"), []byte("v")))
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	fails(t, store.WaitDurable(ended, 1), context.Canceled)
	live, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	must(t, store.WaitDurable(live, 1))
	equal(t, store.DurableSeq(), 1)
	must(t, store.WaitDurable(context.Background(), 1))
	must(t, store.WaitDurableFor(1, 0))
	fails(t, store.WaitDurable(live, 2), sarsen.ErrInvalidArgument)
	must(t, store.Set([]byte("k"), []byte("w")))
	told := make(chan error)
	must(t, store.NotifyDurable(2, func(seq uint64, err error) {
		equal(t, seq, 2)
		told <- err
	}))
	must(t, <-told)
	fails(t, store.NotifyDurable(99, func(uint64, error) { t.Error("called") }), sarsen.ErrInvalidArgument)
}

func TestADurabilityCallbackMayCloseTheStore(t *testing.T) {
	store := open(t, &sarsen.Options{Durability: sarsen.SurviveProcess})
	must(t, store.Set([]byte("k"), []byte("v")))
	closed := make(chan error)
	must(t, store.NotifyDurable(1, func(uint64, error) { closed <- store.Close() }))
	must(t, <-closed)
}

func TestAReaderInAnotherHandleFollowsAWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	writer := openAt(t, path, nil)
	must(t, writer.Set([]byte("k"), []byte("1")))
	reader := openAt(t, path, &sarsen.Options{ReadOnly: true})
	must(t, writer.Set([]byte("k"), []byte("2")))
	equal(t, string(first(t)(reader.Get([]byte("k")))), "1")
	seq, err := reader.Refresh()
	must(t, err)
	equal(t, seq, 2)
	equal(t, string(first(t)(reader.Get([]byte("k")))), "2")
}

func TestTheLogIsReadAndFollowed(t *testing.T) {
	store := open(t, nil)
	equal(t, store.LogFirstSeq(), 1)
	must(t, store.Set([]byte("key"), []byte("value")))
	batch := sarsen.NewBatch()
	defer batch.Close()
	must(t, batch.AppendStream([]byte("s"), []byte("r")))
	must(t, batch.AppendMemory(7, bytes.Repeat([]byte("m"), 100_000), "b", "a"))
	_, err := batch.Commit(store, sarsen.SurviveProcess)
	must(t, err)
	reader, err := store.ReadLog(1, 0)
	must(t, err)
	defer reader.Close()
	var commands []sarsen.Command
	for range 3 {
		command, err := reader.NextWithin(0)
		must(t, err)
		commands = append(commands, command)
	}
	equal(t, commands[0].Kind, sarsen.CommandSetKV)
	equal(t, string(commands[0].Key)+string(commands[0].Value), "keyvalue")
	equal(t, commands[0].Last, true)
	equal(t, []any{commands[1].Seq, commands[1].Last, string(commands[1].Key)}, []any{uint64(2), false, "s"})
	equal(t, []any{commands[2].ID, commands[2].Tags, len(commands[2].Value)}, []any{uint64(7), []string{"a", "b"}, 100_000})
	equal(t, commands[2].Block.Len, 100_000)
	_, err = reader.NextWithin(0)
	fails(t, err, sarsen.ErrTimeout)
	short, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err = reader.Next(short)
	fails(t, err, context.DeadlineExceeded)
	_, err = store.ReadLog(99, 0)
	fails(t, err, sarsen.ErrInvalidArgument)

	// A follower waits for what is yet to come, and leaves when it is told.
	following, stop := context.WithCancel(context.Background())
	var keys []string
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		defer group.Done()
		for command, err := range store.Follow(following, 3, 0) {
			if err != nil {
				t.Error(err)
				return
			}
			if keys = append(keys, string(command.Key)); len(keys) == 500 {
				stop()
			}
		}
	}()
	var want []string
	for i := range 500 {
		want = append(want, fmt.Sprint("key ", i))
		must(t, store.UpdateAt(sarsen.SurviveProcess, func(tx *sarsen.Tx) error { return tx.Set([]byte(want[i]), nil) }))
	}
	group.Wait()
	equal(t, keys, want)
	reader.Close()
	_, err = reader.NextWithin(0)
	fails(t, err, sarsen.ErrClosed)
}

func TestAnAncestralStoreIsImported(t *testing.T) {
	// One record: a u64 length, then u32 variant 1 (set), key and value, each after a u64 length.
	ancestor := t.TempDir()
	record := []byte{1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 'k', 'e', 'y', 3, 0, 0, 0, 0, 0, 0, 0, 'o', 'l', 'd'}
	wal := append([]byte{byte(len(record)), 0, 0, 0, 0, 0, 0, 0}, record...)
	must(t, os.Mkdir(filepath.Join(ancestor, "blocks"), 0o777))
	must(t, os.WriteFile(filepath.Join(ancestor, "state.wal"), wal, 0o666))
	store := open(t, nil)
	commands, err := store.Import(ancestor)
	must(t, err)
	equal(t, commands, 1)
	equal(t, string(first(t)(store.Get([]byte("key")))), "old")
	_, err = store.Import(ancestor)
	fails(t, err, sarsen.ErrInvalidArgument)
}

func TestDamageIsToldWithItsPlaceAndTheScanGoesOnBehindIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	store := openAt(t, path, nil)
	value := func(i int) []byte { return bytes.Repeat([]byte(fmt.Sprintf("value %04d ", i)), 100) }
	for i := range 100 {
		must(t, store.Set([]byte(fmt.Sprintf("k%02d", i)), value(i)))
	}
	must(t, store.Close())
	chunks, err := filepath.Glob(filepath.Join(path, "blocks", "*"))
	must(t, err)
	damaged := 0
	for _, chunk := range chunks {
		content, err := os.ReadFile(chunk)
		must(t, err)
		if at := bytes.Index(content, value(50)); at >= 0 {
			content[at+10] ^= 1
			damaged++
			must(t, os.WriteFile(chunk, content, 0o666))
		}
	}
	equal(t, damaged, 1)
	store = openAt(t, path, &sarsen.Options{ReadOnly: true})
	_, err = store.Get([]byte("k50"))
	fails(t, err, sarsen.ErrCorrupt)
	var told *sarsen.Error
	if !errors.As(err, &told) || !strings.HasPrefix(told.File, "blocks/") || told.Offset == 0 {
		t.Fatalf("%+v names no place", err)
	}
	findings, err := store.Verify()
	must(t, err)
	if len(findings) == 0 || findings[0].File != told.File || findings[0].What == "" {
		t.Fatalf("verify found %v", findings)
	}
	pairs, errs := 0, 0
	for pair, err := range store.Scan(sarsen.Range{}) {
		if err != nil {
			fails(t, err, sarsen.ErrCorrupt)
			errs++
			continue
		}
		var i int
		fmt.Sscanf(string(pair.Key), "k%d", &i)
		if !bytes.Equal(pair.Value, value(i)) {
			t.Fatalf("other bytes for %s", pair.Key)
		}
		pairs++
	}
	equal(t, []int{pairs, errs}, []int{99, 1})
}
