package seeded_test

import (
	"testing"

	"sarsen/internal/seeded"
)

func TestAGivenSeedRepeatsTheDrawsAndAnotherDoesNot(t *testing.T) {
	t.Setenv("SARSEN_GO_SEED", "7")
	first, again := seeded.Random(t).Uint64(), seeded.Random(t).Uint64()
	t.Setenv("SARSEN_GO_SEED", "8")
	if other := seeded.Random(t).Uint64(); first != again || first == other {
		t.Fatalf("drew %d, %d with seed 7, %d with seed 8", first, again, other)
	}
}

func TestWithoutASeedEachRunDrawsAnew(t *testing.T) {
	t.Setenv("SARSEN_GO_SEED", "")
	if first, second := seeded.Random(t).Uint64(), seeded.Random(t).Uint64(); first == second {
		t.Fatalf("drew %d twice", first)
	}
}
