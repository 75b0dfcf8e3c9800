package sarsen

// #include "bridge.h"
import "C"

// Durability is what a commit survives.
type Durability uint32

const (
	// DefaultDurability is the store's own where a commit is meant, and SurvivePower where a store is.
	DefaultDurability Durability = 0
	// SurviveProcess: kill -9 of this process. The bytes were handed to the kernel, without a sync.
	SurviveProcess = Durability(C.SARSEN_SURVIVE_PROCESS)
	// SurvivePower: power loss. The bytes are on stable storage when the call returns.
	SurvivePower = Durability(C.SARSEN_SURVIVE_POWER)
)

// Check says when large blocks and index pages are checked; small blocks are at every read.
type Check uint32

const (
	// CheckFirstTouch checks them when first touched since their file was mapped. The default.
	CheckFirstTouch = Check(C.SARSEN_CHECK_FIRST_TOUCH)
	// CheckEveryRead checks them at every read.
	CheckEveryRead = Check(C.SARSEN_CHECK_EVERY_READ)
)

// LogWrite says how commits get into the log.
type LogWrite uint32

const (
	// LogAuto writes through a map where the file system keeps that safe (ext4, XFS, tmpfs). The default.
	LogAuto = LogWrite(C.SARSEN_LOG_AUTO)
	// LogMapped always does. On another file system a full disk may then end the process with SIGBUS.
	LogMapped = LogWrite(C.SARSEN_LOG_MAPPED)
	// LogWritten never does.
	LogWritten = LogWrite(C.SARSEN_LOG_WRITTEN)
)

// Options say how a store is opened. The zero value is every default.
type Options struct {
	// NoCreate: answer [ErrNotAStore] where nothing is at the path, instead of creating a store.
	NoCreate bool
	// ReadOnly: beside a writer in another process, or without one. The store stays at the commit of its opening until
	// [Store.Refresh].
	ReadOnly bool
	// Durability of commits that don't say. Default: SurvivePower.
	Durability Durability
	// ChunkBytes is the size of a chunk file, 64 KiB to 16 GiB, for a store that is created. Default: 64 MiB.
	ChunkBytes uint64
	// MemoryBytes is the budget for the library's heap, at least 256 KiB. Default: 64 MiB.
	MemoryBytes uint64
	// LogRetentionBytes of log are kept for log readers beyond what recovery needs. Default: 0.
	LogRetentionBytes uint64
	// NoBackground: no thread for upkeep; the host calls [Store.Maintain].
	NoBackground bool
	// Salvage opens a damaged store for what is left of it, read-only.
	Salvage bool
	// Check says when large blocks are checked. Default: CheckFirstTouch.
	Check Check
	// LogWrite says how commits get into the log. Default: LogAuto.
	LogWrite LogWrite
	// MappedBytes is a cap on what is mapped of chunks, beyond what views hold. Default: 0, none.
	MappedBytes uint64
}

// native is freed by the caller.
func (o *Options) native() (*C.sarsen_options, error) {
	options := C.sarsen_options_new()
	if options == nil {
		return nil, refuse(ErrInternal, "no memory for options")
	}
	// Each setter answers a status and no error object; what it refused is named here.
	set := []struct {
		wanted bool
		what   string
		call   func() C.sarsen_status
	}{
		{o.NoCreate, "NoCreate", func() C.sarsen_status { return C.sarsen_options_set_create(options, false) }},
		{o.ReadOnly, "ReadOnly", func() C.sarsen_status { return C.sarsen_options_set_read_only(options, true) }},
		{o.Durability != 0, "Durability", func() C.sarsen_status {
			return C.sarsen_options_set_durability(options, C.uint32_t(o.Durability))
		}},
		{o.ChunkBytes != 0, "ChunkBytes", func() C.sarsen_status {
			return C.sarsen_options_set_chunk_bytes(options, C.uint64_t(o.ChunkBytes))
		}},
		{o.MemoryBytes != 0, "MemoryBytes", func() C.sarsen_status {
			return C.sarsen_options_set_memory_bytes(options, C.uint64_t(o.MemoryBytes))
		}},
		{o.LogRetentionBytes != 0, "LogRetentionBytes", func() C.sarsen_status {
			return C.sarsen_options_set_log_retention_bytes(options, C.uint64_t(o.LogRetentionBytes))
		}},
		{o.NoBackground, "NoBackground", func() C.sarsen_status { return C.sarsen_options_set_background(options, false) }},
		{o.Salvage, "Salvage", func() C.sarsen_status { return C.sarsen_options_set_salvage(options, true) }},
		{o.Check != 0, "Check", func() C.sarsen_status { return C.sarsen_options_set_check(options, C.uint32_t(o.Check)) }},
		{o.LogWrite != 0, "LogWrite", func() C.sarsen_status {
			return C.sarsen_options_set_log_write(options, C.uint32_t(o.LogWrite))
		}},
		{o.MappedBytes != 0, "MappedBytes", func() C.sarsen_status {
			return C.sarsen_options_set_mapped_bytes(options, C.uint64_t(o.MappedBytes))
		}},
	}
	for _, option := range set {
		if !option.wanted {
			continue
		}
		if status := option.call(); status != C.SARSEN_OK {
			C.sarsen_options_free(options)
			return nil, refuse(Status(status), "option %s: this value is not allowed, see its comment", option.what)
		}
	}
	return options, nil
}
