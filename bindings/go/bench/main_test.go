package main

import "testing"

// That the program runs, and every way finds what it should, with little work.
func TestEveryWayDoesTheSameWork(t *testing.T) { run(t.TempDir(), 2000, 500) }
