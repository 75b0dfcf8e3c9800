// Transactions: all or nothing, one at a time, and what they read is what the store holds once they are committed.
package sarsen_test

import (
	"errors"
	"fmt"
	"iter"
	"strconv"
	"sync"
	"testing"

	"sarsen"
	"sarsen/internal/seeded"
)

func TestAnUpdateThatFailsOrPanicsDidNothing(t *testing.T) {
	store := open(t, nil)
	must(t, store.Update(func(tx *sarsen.Tx) error { return tx.Set([]byte("k"), []byte("1")) }))
	mine := errors.New("mine")
	fails(t, store.Update(func(tx *sarsen.Tx) error {
		must(t, tx.Set([]byte("k"), []byte("2")))
		return mine
	}), mine)
	func() {
		defer func() { equal(t, recover(), any("stop")) }()
		store.Update(func(tx *sarsen.Tx) error {
			must(t, tx.Delete([]byte("k")))
			panic("stop")
		})
	}()
	equal(t, string(first(t)(store.Get([]byte("k")))), "1")
	equal(t, store.LastSeq(), 1)
	must(t, store.Update(func(*sarsen.Tx) error { return nil }))
	equal(t, store.LastSeq(), 1)
	equal(t, store.DurableSeq(), 1)
}

func TestATransactionThatHasEndedRefuses(t *testing.T) {
	store := open(t, nil)
	var kept *sarsen.Tx
	must(t, store.Update(func(tx *sarsen.Tx) error { kept = tx; return tx.Set([]byte("k"), nil) }))
	fails(t, kept.Set([]byte("k"), nil), sarsen.ErrClosed)
	_, err := kept.Get([]byte("k"))
	fails(t, err, sarsen.ErrClosed)
	for _, err := range kept.Scan(sarsen.Range{}) {
		fails(t, err, sarsen.ErrClosed)
	}
	for _, err := range kept.FindMemories(sarsen.Query{}) {
		fails(t, err, sarsen.ErrClosed)
	}
}

func TestUpdatesAndOtherWritesDoNotLoseEachOthersWork(t *testing.T) {
	store := open(t, &sarsen.Options{Durability: sarsen.SurviveProcess})
	const goroutines, rounds = 8, 200
	var group sync.WaitGroup
	for number := range goroutines {
		group.Add(1)
		go func() {
			defer group.Done()
			for round := range rounds {
				err := store.Update(func(tx *sarsen.Tx) error {
					value, err := tx.Get([]byte("counter"))
					if err != nil && err != sarsen.ErrNotFound {
						return err
					}
					count, _ := strconv.Atoi(string(value))
					return tx.Set([]byte("counter"), []byte(strconv.Itoa(count+1)))
				})
				if err == nil {
					err = store.Set([]byte(fmt.Sprint("own ", number)), []byte(strconv.Itoa(round)))
				}
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
	equal(t, string(first(t)(store.Get([]byte("counter")))), strconv.Itoa(goroutines*rounds))
	equal(t, store.LastSeq(), 2*goroutines*rounds)
}

func TestBlocksOfATransactionHaveTheirAddressAfterTheCommit(t *testing.T) {
	store := open(t, nil)
	var block sarsen.Block
	must(t, store.Update(func(tx *sarsen.Tx) error {
		must(t, tx.Set([]byte("k"), nil))
		command, err := tx.AppendBlock([]byte("loose"))
		tx.OnCommit(func(address func(int) (sarsen.Block, error)) {
			block, err = address(command)
			must(t, err)
		})
		return err
	}))
	equal(t, string(first(t)(store.GetBlock(block))), "loose")
	must(t, store.Update(func(tx *sarsen.Tx) error {
		must(t, tx.AppendMemoryBlock(1, block, "named"))
		_, err := tx.AppendStreamBlock([]byte("s"), block)
		must(t, err)
		equal(t, string(first(t)(tx.GetMemory(1))), "loose")
		equal(t, string(first(t)(tx.GetRecord([]byte("s"), 0))), "loose")
		return tx.FreeBlock(block)
	}))
	equal(t, string(first(t)(store.GetRecord([]byte("s"), 0))), "loose")
}

// view is the reading methods that a transaction and a store have in common.
type view struct {
	get     func([]byte) ([]byte, error)
	has     func([]byte) (bool, error)
	scan    func(sarsen.Range) iter.Seq2[sarsen.Pair, error]
	streams func([]byte) iter.Seq2[sarsen.Stream, error]
	bounds  func([]byte) (uint64, uint64, error)
	stream  func([]byte, uint64) iter.Seq2[sarsen.Record, error]
	record  func([]byte, uint64) ([]byte, error)
	find    func(sarsen.Query) iter.Seq2[sarsen.Memory, error]
	memory  func(uint64) ([]byte, error)
	tags    func(uint64) ([]string, error)
}

func ofStore(store *sarsen.Store) view {
	tags := func(id uint64) ([]string, error) {
		_, tags, err := store.MemoryInfo(id)
		return tags, err
	}
	return view{store.Get, store.Has, store.Scan, store.Streams, store.StreamBounds, store.ReadStream, store.GetRecord,
		store.FindMemories, store.GetMemory, tags}
}

func ofTx(tx *sarsen.Tx) view {
	return view{tx.Get, tx.Has, tx.Scan, tx.Streams, tx.StreamBounds, tx.ReadStream, tx.GetRecord, tx.FindMemories,
		tx.GetMemory, tx.MemoryTags}
}

// everything reads all there is in every way, as text.
func everything(t *testing.T, read view) (all []string) {
	say := func(format string, values ...any) { all = append(all, fmt.Sprintf(format, values...)) }
	for _, which := range []sarsen.Range{
		{}, {Reverse: true}, {Prefix: []byte("k1")}, {Prefix: []byte("k1"), Reverse: true},
		{Start: []byte("k1"), End: []byte("k3")}, {Start: []byte("k15")}, {End: []byte("k15"), Reverse: true},
	} {
		for _, pair := range collect(t, read.scan(which)) {
			say("pair %s=%s", pair.Key, pair.Value)
		}
		say("range")
	}
	for i := range 30 {
		value, err := read.get([]byte(fmt.Sprint("k", i)))
		has, hasErr := read.has([]byte(fmt.Sprint("k", i)))
		say("get %d %s %v %v %v", i, value, err, has, hasErr)
	}
	for _, stream := range collect(t, read.streams([]byte("s"))) {
		say("stream %s %d %d", stream.Name, stream.First, stream.Next)
	}
	for i := range 4 {
		name := []byte(fmt.Sprint("s", i))
		from, next, err := read.bounds(name)
		say("bounds %s %d %d %v", name, from, next, err)
		for _, start := range []uint64{0, from + 2, next} {
			for record, err := range read.stream(name, start) {
				say("record %d %s %v", record.Index, record.Data, err)
			}
		}
		for _, index := range []uint64{0, from, next - 1, next} {
			data, err := read.record(name, index)
			say("record %d %s %v", index, data, err)
		}
	}
	for _, query := range []sarsen.Query{
		{}, {All: []string{"a"}}, {Any: []string{"a", "b"}}, {None: []string{"c"}}, {From: 5},
		{All: []string{"a", "b"}, None: []string{"c"}, From: 3},
	} {
		for _, memory := range collect(t, read.find(query)) {
			say("memory %d %s", memory.ID, memory.Data)
		}
		say("query")
	}
	for id := range uint64(10) {
		data, err := read.memory(id)
		tags, tagsErr := read.tags(id)
		say("memory %d %s %v %v %v", id, data, err, tags, tagsErr)
	}
	return all
}

func TestATransactionReadsWhatTheStoreHoldsAfterwards(t *testing.T) {
	random := seeded.Random(t)
	store := open(t, &sarsen.Options{Durability: sarsen.SurviveProcess})
	tags := []string{"a", "b", "c"}
	changed := 0
	for round := range 400 {
		before := everything(t, ofStore(store))
		var inside []string
		must(t, store.Update(func(tx *sarsen.Tx) error {
			for range random.IntN(12) {
				key, name := []byte(fmt.Sprint("k", random.IntN(30))), []byte(fmt.Sprint("s", random.IntN(4)))
				data := []byte(fmt.Sprint("data ", random.IntN(1000)))
				id := random.Uint64N(10)
				var err error
				switch random.IntN(8) {
				case 0, 1:
					err = tx.Set(key, data)
				case 2:
					err = tx.Delete(key)
				case 3, 4:
					var index, next uint64
					if _, next, err = tx.StreamBounds(name); err == sarsen.ErrNotFound {
						next = 0
					}
					index, err = tx.AppendStream(name, data)
					equal(t, index, next)
				case 5:
					from, next, _ := tx.StreamBounds(name)
					before := from + random.Uint64N(next-from+2)
					if random.IntN(4) == 0 {
						before = sarsen.DropStream
					}
					err = tx.TrimStream(name, before)
				case 6:
					err = tx.AppendMemory(id, data, tags[random.IntN(3)], tags[random.IntN(3)])
				case 7:
					err = tx.DeleteMemory(id)
				}
				must(t, err)
			}
			inside = everything(t, ofTx(tx))
			equal(t, everything(t, ofStore(store)), before)
			return nil
		}))
		after := everything(t, ofStore(store))
		for i := range max(len(inside), len(after)) {
			if i >= len(inside) || i >= len(after) || inside[i] != after[i] {
				t.Fatalf("round %d: line %d is %q in the transaction and %q after it", round, i,
					append(inside, "nothing")[min(i, len(inside))], append(after, "nothing")[min(i, len(after))])
			}
		}
		if fmt.Sprint(before) != fmt.Sprint(after) {
			changed++
		}
	}
	if changed < 200 {
		t.Fatalf("only %d of the rounds changed anything", changed)
	}
}
