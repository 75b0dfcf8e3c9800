// Bench measures what a crossing between Go and C costs: the same gets, batched puts and scans by C, by Go, and by bbolt,
// which has none, in one run. Each figure is the median of five turns, which take turns.
//
//	go run . [folder]
package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"sarsen"
)

const (
	pairs = 100_000
	gets  = 200_000
	turns = 5
)

var (
	value  = bytes.Repeat([]byte("v"), 100)
	bucket = []byte("bucket")
)

func main() {
	folder := ""
	if len(os.Args) > 1 {
		folder = os.Args[1]
	}
	folder, err := os.MkdirTemp(folder, "sarsen-go-bench")
	check(err)
	defer os.RemoveAll(folder)
	run(folder, pairs, gets)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func key(i int) []byte { return fmt.Appendf(nil, "key %012d", i) }

// way is one who does the work.
type way struct {
	name string
	do   func()
}

// row prints nanoseconds an operation of each way, and how many times the first one's that is.
func row(title string, operations int, ways ...way) {
	times := make([][]float64, len(ways))
	for range turns {
		for i, way := range ways {
			start := time.Now()
			way.do()
			times[i] = append(times[i], float64(time.Since(start).Nanoseconds())/float64(operations))
		}
	}
	fmt.Printf("%-34s", title)
	var base float64
	for i, way := range ways {
		slices.Sort(times[i])
		median := times[i][turns/2]
		if i == 0 {
			base = median
		}
		fmt.Printf("  %s %.0f ns (%.2f)", way.name, median, median/base)
	}
	fmt.Println()
}

func run(folder string, pairs, gets int) {
	c := openC(filepath.Join(folder, "c"))
	defer c.close()
	store, err := sarsen.Open(filepath.Join(folder, "go"), nil)
	check(err)
	defer store.Close()
	bolt, err := bbolt.Open(filepath.Join(folder, "bbolt"), 0o600, nil)
	check(err)
	defer bolt.Close()
	check(bolt.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucketIfNotExists(bucket); return err }))

	put := func(size int, level sarsen.Durability, commits int) {
		batch := sarsen.NewBatch()
		defer batch.Close()
		for i := range commits {
			for j := range size {
				check(batch.Set(key(i*size+j), value))
			}
			_, err := batch.Commit(store, level)
			check(err)
		}
	}
	putBolt := func(size int, sync bool, commits int) {
		bolt.NoSync = !sync
		for i := range commits {
			check(bolt.Update(func(tx *bbolt.Tx) error {
				for j := range size {
					if err := tx.Bucket(bucket).Put(key(i*size+j), value); err != nil {
						return err
					}
				}
				return nil
			}))
		}
	}
	for _, size := range []int{1, 100, 1000} {
		commits := pairs / size
		if size == 1 {
			commits = pairs / 10
		}
		row(fmt.Sprintf("put, %d a commit, no sync", size), commits*size,
			way{"C", func() { c.put(commits, size, uint32(sarsen.SurviveProcess), value) }},
			way{"Go", func() { put(size, sarsen.SurviveProcess, commits) }},
			way{"bbolt", func() { putBolt(size, false, commits) }})
	}
	synced := max(pairs/2000, 1)
	row("put, 100 a commit, synced", synced*100,
		way{"C", func() { c.put(synced, 100, uint32(sarsen.SurvivePower), value) }},
		way{"Go", func() { put(100, sarsen.SurvivePower, synced) }},
		way{"bbolt", func() { putBolt(100, true, synced) }})

	var keys [][]byte
	var joined []byte
	for range gets {
		keys = append(keys, key(rand.IntN(pairs)))
		joined = append(joined, keys[len(keys)-1]...)
	}
	expect := func(found []byte, err error) {
		check(err)
		if len(found) != len(value) {
			panic("another value")
		}
	}
	row("get", gets,
		way{"C", func() { c.get(joined) }},
		way{"Go Get", func() {
			for _, key := range keys {
				expect(store.Get(key))
			}
		}},
		way{"Go Append", func() {
			buffer := make([]byte, 0, 512)
			for _, key := range keys {
				expect(store.Append(buffer, key))
			}
		}},
		way{"Go GetView", func() {
			for _, key := range keys {
				view, err := store.GetView(key)
				check(err)
				expect(view.Bytes(), nil)
				view.Release()
			}
		}},
		way{"Go GetMany", func() {
			for some := range slices.Chunk(keys, 256) {
				values, err := store.GetMany(some)
				check(err)
				for _, value := range values {
					expect(value, nil)
				}
			}
		}},
		way{"bbolt, a View each", func() {
			for _, key := range keys {
				check(bolt.View(func(tx *bbolt.Tx) error {
					expect(bytes.Clone(tx.Bucket(bucket).Get(key)), nil)
					return nil
				}))
			}
		}},
		way{"bbolt, one View", func() {
			check(bolt.View(func(tx *bbolt.Tx) error {
				for _, key := range keys {
					expect(bytes.Clone(tx.Bucket(bucket).Get(key)), nil)
				}
				return nil
			}))
		}})
	row("scan, a pair", pairs,
		way{"C", func() { expectCount(c.scan(), pairs) }},
		way{"Go Scan", func() {
			count := 0
			for _, err := range store.Scan(sarsen.Range{}) {
				check(err)
				count++
			}
			expectCount(count, pairs)
		}},
		way{"Go ScanViews", func() {
			count := 0
			for _, err := range store.ScanViews(sarsen.Range{}) {
				check(err)
				count++
			}
			expectCount(count, pairs)
		}},
		way{"bbolt", func() {
			count := 0
			check(bolt.View(func(tx *bbolt.Tx) error {
				return tx.Bucket(bucket).ForEach(func(_, _ []byte) error { count++; return nil })
			}))
			expectCount(count, pairs)
		}})
}

func expectCount(got, want int) {
	if got != want {
		panic(fmt.Sprintf("%d pairs, not %d", got, want))
	}
}
