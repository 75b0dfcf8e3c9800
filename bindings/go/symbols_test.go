// A function that the library exports and that Go has no counterpart of fails here: the golden list of the C tests is
// held against this table, and the table against what the package has.
package sarsen_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each with what a Go program writes instead of it.
var counterparts = map[string]string{
	"sarsen_abi_version":                     "ABIVersion",
	"sarsen_batch_append_block":              "Batch.AppendBlock",
	"sarsen_batch_append_memory":             "Batch.AppendMemory",
	"sarsen_batch_append_memory_block":       "Batch.AppendMemoryBlock",
	"sarsen_batch_append_stream":             "Batch.AppendStream",
	"sarsen_batch_append_stream_block":       "Batch.AppendStreamBlock",
	"sarsen_batch_clear":                     "Batch.Clear",
	"sarsen_batch_commit":                    "Batch.Commit",
	"sarsen_batch_count":                     "Batch.Len",
	"sarsen_batch_delete_kv":                 "Batch.Delete",
	"sarsen_batch_delete_memory":             "Batch.DeleteMemory",
	"sarsen_batch_free":                      "Batch.Close",
	"sarsen_batch_free_block":                "Batch.FreeBlock",
	"sarsen_batch_load":                      "Batch.Load",
	"sarsen_batch_new":                       "NewBatch",
	"sarsen_batch_result":                    "Batch.Result",
	"sarsen_batch_set_kv":                    "Batch.Set",
	"sarsen_batch_trim_stream":               "Batch.TrimStream",
	"sarsen_block_append":                    "Store.AppendBlock",
	"sarsen_block_free":                      "Store.FreeBlock",
	"sarsen_block_read":                      "Store.ReadBlock",
	"sarsen_block_view":                      "Store.GetBlockView",
	"sarsen_error_file":                      "Error.File",
	"sarsen_error_first_seq":                 "Error.FirstSeq",
	"sarsen_error_free":                      "Error",
	"sarsen_error_last_seq":                  "Error.LastSeq",
	"sarsen_error_message":                   "Error.Message",
	"sarsen_error_offset":                    "Error.Offset",
	"sarsen_error_os_code":                   "Error.OSCode",
	"sarsen_error_status":                    "Error.Status",
	"sarsen_kv_delete":                       "Store.Delete",
	"sarsen_kv_get":                          "reads.GetView",
	"sarsen_kv_get_many":                     "reads.GetMany",
	"sarsen_kv_iter_fill":                    "reads.Scan",
	"sarsen_kv_iter_free":                    "reads.Scan",
	"sarsen_kv_iter_next":                    "reads.Keys",
	"sarsen_kv_prefix":                       "Range.Prefix",
	"sarsen_kv_read":                         "reads.Append",
	"sarsen_kv_scan":                         "reads.Scan",
	"sarsen_kv_set":                          "Store.Set",
	"sarsen_log_first_seq":                   "Store.LogFirstSeq",
	"sarsen_log_next":                        "LogReader.Next",
	"sarsen_log_read":                        "Store.ReadLog",
	"sarsen_log_reader_free":                 "LogReader.Close",
	"sarsen_memory_append":                   "Store.AppendMemory",
	"sarsen_memory_delete":                   "Store.DeleteMemory",
	"sarsen_memory_find":                     "reads.FindMemories",
	"sarsen_memory_get":                      "reads.GetMemoryView",
	"sarsen_memory_info":                     "reads.MemoryInfo",
	"sarsen_memory_iter_free":                "reads.FindMemories",
	"sarsen_memory_iter_next":                "reads.FindMemories",
	"sarsen_options_free":                    "Options",
	"sarsen_options_new":                     "Options",
	"sarsen_options_set_background":          "Options.NoBackground",
	"sarsen_options_set_check":               "Options.Check",
	"sarsen_options_set_chunk_bytes":         "Options.ChunkBytes",
	"sarsen_options_set_create":              "Options.NoCreate",
	"sarsen_options_set_durability":          "Options.Durability",
	"sarsen_options_set_log_retention_bytes": "Options.LogRetentionBytes",
	"sarsen_options_set_log_write":           "Options.LogWrite",
	"sarsen_options_set_mapped_bytes":        "Options.MappedBytes",
	"sarsen_options_set_memory_bytes":        "Options.MemoryBytes",
	"sarsen_options_set_read_only":           "Options.ReadOnly",
	"sarsen_options_set_salvage":             "Options.Salvage",
	"sarsen_report_free":                     "Store.Verify",
	"sarsen_report_next":                     "Store.Verify",
	"sarsen_snapshot_free":                   "Snapshot.Close",
	"sarsen_snapshot_new":                    "Store.Snapshot",
	"sarsen_snapshot_seq":                    "Snapshot.Seq",
	"sarsen_status_name":                     "Status.Name",
	"sarsen_store_backup":                    "reads.Backup",
	"sarsen_store_checkpoint":                "Store.Checkpoint",
	"sarsen_store_close":                     "Store.Close",
	"sarsen_store_compact":                   "Store.Compact",
	"sarsen_store_durable_seq":               "Store.DurableSeq",
	"sarsen_store_import":                    "Store.Import",
	"sarsen_store_last_seq":                  "Store.LastSeq",
	"sarsen_store_maintain":                  "Store.Maintain",
	"sarsen_store_notify_durable":            "Store.NotifyDurable",
	"sarsen_store_open":                      "Open",
	"sarsen_store_recovery":                  "Store.Recovery",
	"sarsen_store_refresh":                   "Store.Refresh",
	"sarsen_store_stats":                     "Store.Stats",
	"sarsen_store_sync":                      "Store.Sync",
	"sarsen_store_verify":                    "Store.Verify",
	"sarsen_store_wait_durable":              "Store.WaitDurable",
	"sarsen_stream_append":                   "Store.AppendStream",
	"sarsen_stream_bounds":                   "reads.StreamBounds",
	"sarsen_stream_get":                      "reads.GetRecordView",
	"sarsen_stream_iter_fill":                "reads.ReadStream",
	"sarsen_stream_iter_free":                "reads.ReadStream",
	"sarsen_stream_iter_next":                "reads.ReadStream",
	"sarsen_stream_list":                     "reads.Streams",
	"sarsen_stream_names_free":               "reads.Streams",
	"sarsen_stream_names_next":               "reads.Streams",
	"sarsen_stream_read":                     "reads.ReadStream",
	"sarsen_stream_trim":                     "Store.TrimStream",
	"sarsen_tags_add":                        "Store.AppendMemory",
	"sarsen_tags_count":                      "reads.MemoryInfo",
	"sarsen_tags_free":                       "Store.AppendMemory",
	"sarsen_tags_get":                        "reads.MemoryInfo",
	"sarsen_tags_new":                        "Store.AppendMemory",
	"sarsen_version":                         "Version",
	"sarsen_view_release":                    "View.Release",
}

// Those that Go reaches in another way than by a call, and which. An iterator's entries come by bridge.c.
var notCalled = map[string]string{
	"sarsen_batch_delete_kv":           "sarsen_batch_load",
	"sarsen_batch_delete_memory":       "sarsen_batch_load",
	"sarsen_batch_trim_stream":         "sarsen_batch_load",
	"sarsen_batch_free_block":          "sarsen_batch_load",
	"sarsen_batch_append_stream_block": "sarsen_batch_load",
	"sarsen_batch_append_memory_block": "sarsen_batch_load",
	"sarsen_stream_iter_next":          "sarsen_stream_iter_fill",
}

// What is exported by the package, with methods and fields as Type.Name, and the C functions that it calls.
func surface(t *testing.T) (names map[string]bool, calls map[string]bool) {
	names, calls = map[string]bool{}, map[string]bool{}
	files, err := filepath.Glob("*.go")
	must(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		must(t, err)
		ast.Inspect(file, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.FuncDecl:
				names[receiver(node)+node.Name.Name] = true
			case *ast.TypeSpec:
				names[node.Name.Name] = true
				if fields, ok := node.Type.(*ast.StructType); ok {
					for _, field := range fields.Fields.List {
						for _, name := range field.Names {
							names[node.Name.Name+"."+name.Name] = true
						}
					}
				}
			case *ast.CallExpr:
				if called, ok := node.Fun.(*ast.SelectorExpr); ok {
					if from, ok := called.X.(*ast.Ident); ok && from.Name == "C" {
						calls[called.Sel.Name] = true
					}
				}
			}
			return true
		})
	}
	bridge, err := os.ReadFile("bridge.c")
	must(t, err)
	for _, call := range regexp.MustCompile(`\bsarsen_\w+\(`).FindAllString(string(bridge), -1) {
		calls[strings.TrimSuffix(call, "(")] = true
	}
	return names, calls
}

func receiver(function *ast.FuncDecl) string {
	if function.Recv == nil {
		return ""
	}
	of := function.Recv.List[0].Type
	if pointer, ok := of.(*ast.StarExpr); ok {
		of = pointer.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name + "."
	}
	return "?."
}

// missing are the exported symbols that a Go program can't get at.
func missing(exported []string, names, calls map[string]bool) (absent []string) {
	for _, symbol := range exported {
		called := calls[symbol] || calls[notCalled[symbol]]
		if !called || !names[counterparts[symbol]] {
			absent = append(absent, symbol)
		}
	}
	return absent
}

func TestEveryExportedFunctionHasACounterpart(t *testing.T) {
	golden, err := os.ReadFile("../../c_tests/exported_symbols.txt")
	must(t, err)
	exported := strings.Fields(string(golden))
	if len(exported) < 100 {
		t.Fatalf("only %d symbols", len(exported))
	}
	names, calls := surface(t)
	if absent := missing(exported, names, calls); absent != nil {
		t.Errorf("no counterpart in Go: %v", absent)
	}
	for symbol := range counterparts {
		if !slices.Contains(exported, symbol) {
			t.Errorf("%s is in the table, but not exported any more", symbol)
		}
	}
	// That a gap is noticed: a function that is new, one that is not called, and one whose method is gone.
	equal(t, missing([]string{"sarsen_kv_new"}, names, calls), []string{"sarsen_kv_new"})
	delete(calls, "sarsen_store_compact")
	delete(names, "Store.Checkpoint")
	equal(t, missing([]string{"sarsen_store_compact", "sarsen_store_checkpoint", "sarsen_store_sync"}, names, calls),
		[]string{"sarsen_store_compact", "sarsen_store_checkpoint"})
}
