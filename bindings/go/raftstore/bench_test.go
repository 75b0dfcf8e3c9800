// raft's own benchmarks of stores, and commits of a cluster, over this store and raft-boltdb in the same run.
//
//	go test -run '^$' -bench . -benchtime 2s
package raftstore_test

import (
	"path/filepath"
	"testing"

	raftbench "github.com/hashicorp/raft/bench"
)

func BenchmarkStore(b *testing.B) {
	for _, benchmark := range []struct {
		name string
		run  func(b *testing.B, store store)
	}{
		{"FirstIndex", func(b *testing.B, store store) { raftbench.FirstIndex(b, store) }},
		{"LastIndex", func(b *testing.B, store store) { raftbench.LastIndex(b, store) }},
		{"GetLog", func(b *testing.B, store store) { raftbench.GetLog(b, store) }},
		{"StoreLog", func(b *testing.B, store store) { raftbench.StoreLog(b, store) }},
		{"StoreLogs", func(b *testing.B, store store) { raftbench.StoreLogs(b, store) }},
		{"DeleteRange", func(b *testing.B, store store) { raftbench.DeleteRange(b, store) }},
		{"Set", func(b *testing.B, store store) { raftbench.Set(b, store) }},
		{"Get", func(b *testing.B, store store) { raftbench.Get(b, store) }},
		{"SetUint64", func(b *testing.B, store store) { raftbench.SetUint64(b, store) }},
		{"GetUint64", func(b *testing.B, store store) { raftbench.GetUint64(b, store) }},
	} {
		for _, kind := range []kind{mine, bolt} {
			b.Run(benchmark.name+"/"+kind.name, func(b *testing.B) {
				store, closed := kind.open(b, filepath.Join(b.TempDir(), "store"))
				benchmark.run(b, store)
				b.StopTimer()
				must(b, closed())
			})
		}
	}
}
