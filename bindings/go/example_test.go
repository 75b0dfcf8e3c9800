// The code of docs/go.md, run: a block of that page is a whole Example here, without its output.
package sarsen_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sarsen"
)

func temporary() string {
	folder, err := os.MkdirTemp("", "sarsen-go")
	if err != nil {
		log.Fatal(err)
	}
	return folder
}

func Example_openAndGet() {
	folder := temporary()
	defer os.RemoveAll(folder)

	store, err := sarsen.Open(filepath.Join(folder, "notes"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	if err := store.Set([]byte("greeting"), []byte("hello")); err != nil {
		log.Fatal(err)
	}
	value, err := store.Get([]byte("greeting"))
	fmt.Printf("%s %v\n", value, err)
	_, err = store.Get([]byte("farewell"))
	fmt.Println(errors.Is(err, sarsen.ErrNotFound))
	// Output:
	// hello <nil>
	// true
}

func Example_update() {
	folder := temporary()
	defer os.RemoveAll(folder)
	store, err := sarsen.Open(filepath.Join(folder, "bank"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	err = store.Update(func(tx *sarsen.Tx) error {
		if err := tx.Set([]byte("account/anna"), []byte("70")); err != nil {
			return err
		}
		if err := tx.Set([]byte("account/bert"), []byte("30")); err != nil {
			return err
		}
		_, err := tx.AppendStream([]byte("journal"), []byte("anna gives bert 30"))
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	err = store.View(func(snapshot *sarsen.Snapshot) error {
		for pair, err := range snapshot.Scan(sarsen.Range{Prefix: []byte("account/")}) {
			if err != nil {
				return err
			}
			fmt.Printf("%s has %s\n", pair.Key, pair.Value)
		}
		for record, err := range snapshot.ReadStream([]byte("journal"), 0) {
			if err != nil {
				return err
			}
			fmt.Printf("%d: %s\n", record.Index, record.Data)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// account/anna has 70
	// account/bert has 30
	// 0: anna gives bert 30
}

func Example_batch() {
	folder := temporary()
	defer os.RemoveAll(folder)
	store, err := sarsen.Open(filepath.Join(folder, "telemetry"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	batch := sarsen.NewBatch()
	defer batch.Close()
	for i := range 1000 {
		if err := batch.AppendStream([]byte("probe"), fmt.Append(nil, i)); err != nil {
			log.Fatal(err)
		}
	}
	seq, err := batch.Commit(store, sarsen.SurviveProcess)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := store.WaitDurable(ctx, seq); err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.DurableSeq())
	// Output:
	// 1
}

func Example_memories() {
	folder := temporary()
	defer os.RemoveAll(folder)
	store, err := sarsen.Open(filepath.Join(folder, "agent"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	if err := store.AppendMemory(1, []byte("likes tea"), "anna", "taste"); err != nil {
		log.Fatal(err)
	}
	if err := store.AppendMemory(2, []byte("lives in Bern"), "anna", "place"); err != nil {
		log.Fatal(err)
	}
	for memory, err := range store.FindMemories(sarsen.Query{All: []string{"anna"}, None: []string{"place"}}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d: %s\n", memory.ID, memory.Data)
	}
	// Output:
	// 1: likes tea
}

func Example_views() {
	folder := temporary()
	defer os.RemoveAll(folder)
	store, err := sarsen.Open(filepath.Join(folder, "tiles"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	block, err := store.AppendBlock([]byte("a tile of a map"))
	if err != nil {
		log.Fatal(err)
	}
	view, err := store.GetBlockView(block, 2, 4)
	if err != nil {
		log.Fatal(err)
	}
	defer view.Release()
	fmt.Printf("%s\n", view.Bytes())
	// Output:
	// tile
}

func Example_follow() {
	folder := temporary()
	defer os.RemoveAll(folder)
	store, err := sarsen.Open(filepath.Join(folder, "events"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Set([]byte("door"), []byte("open")); err != nil {
		log.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for command, err := range store.Follow(ctx, 1, 0) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("commit %d: %s=%s\n", command.Seq, command.Key, command.Value)
		cancel() // ends the loop; without it, it waits for the next commit
	}
	// Output:
	// commit 1: door=open
}

// examples are the bodies of the Examples in a source, each without what it prints.
func examples(source string) (bodies []string) {
	for _, part := range strings.Split(source, "\nfunc Example_")[1:] {
		_, body, _ := strings.Cut(part, "{\n")
		body, _, _ = strings.Cut(body, "\t// Output:")
		bodies = append(bodies, strings.ReplaceAll("\n"+body, "\n\t", "\n"))
	}
	return bodies
}

// strayBlocks are the blocks of Go on a page that no Example runs, and unseen the Examples that the page lacks.
func strayBlocks(page string, bodies []string) (stray, unseen []string) {
	shown := map[string]bool{}
	for _, part := range strings.Split(page, "\n```go")[1:] {
		block, _, _ := strings.Cut(part, "```")
		found := false
		for _, body := range bodies {
			// A page leaves out what a test needs before the blank line: a folder to work in.
			if strings.HasSuffix(body, block) {
				shown[body], found = true, true
			}
		}
		if !found {
			stray = append(stray, block)
		}
	}
	for _, body := range bodies {
		if !shown[body] {
			unseen = append(unseen, body)
		}
	}
	return stray, unseen
}

func TestEveryBlockOfThePageIsRun(t *testing.T) {
	page, err := os.ReadFile("../../docs/go.md")
	must(t, err)
	source, err := os.ReadFile("example_test.go")
	must(t, err)
	bodies := examples(string(source))
	stray, unseen := strayBlocks(string(page), bodies)
	if stray != nil || unseen != nil {
		t.Fatalf("not run: %q\nnot on the page: %q", stray, unseen)
	}
	// That a block which is not run is noticed, and an Example that is not shown.
	changed := strings.Replace(string(page), "likes tea", "likes coffee", 1)
	stray, unseen = strayBlocks(changed, bodies)
	equal(t, []int{len(stray), len(unseen)}, []int{1, 1})
}
