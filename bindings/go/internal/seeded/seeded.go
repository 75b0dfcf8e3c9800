// Package seeded draws at random for the tests, in a way that can be repeated.
package seeded

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Random draws from a seed of its own each time, or from SARSEN_GO_SEED. A test that fails says how to run it again.
func Random(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if given := os.Getenv("SARSEN_GO_SEED"); given != "" {
		parsed, err := strconv.ParseUint(given, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = parsed
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again with: SARSEN_GO_SEED=%d go test -run %s", seed, t.Name())
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}
