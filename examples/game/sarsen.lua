-- sarsen from LuaJIT: LÖVE, plain luajit, or any host with LuaJIT's FFI.
--
--   local sarsen = require("sarsen").load("target/release/libsarsen.so")   -- or .load(): where the system has it
--   local store = sarsen.open("notes.sarsen")
--   local batch = sarsen.batch()
--   batch:set("theme", "dark"):append_stream("input", "jump"):commit(store, sarsen.SURVIVE_PROCESS)
--   print(store:get("theme"))
--
-- Errors are Lua errors: a table with status, name, message, os_code, file, offset, which prints as the library's text.
-- NOT_FOUND and END are answers: nil, or the end of a loop. Bytes go in as a string, or as a pointer and a length, so
-- that a frame's batch makes no garbage. Handles free themselves with the collector; free() and close() do it now, and
-- a handle that was freed is answered like NULL, with an error. Numbers are Lua's: exact up to 2^53.
local ffi = require("ffi")

local declarations = [[
typedef uint32_t sarsen_status;
typedef struct sarsen_batch sarsen_batch;
typedef struct sarsen_error sarsen_error;
typedef struct sarsen_kv_iter sarsen_kv_iter;
typedef struct sarsen_memory_iter sarsen_memory_iter;
typedef struct sarsen_options sarsen_options;
typedef struct sarsen_report sarsen_report;
typedef struct sarsen_snapshot sarsen_snapshot;
typedef struct sarsen_store sarsen_store;
typedef struct sarsen_stream_iter sarsen_stream_iter;
typedef struct sarsen_tags sarsen_tags;
typedef struct { const uint8_t *data; size_t len; void *pin; } sarsen_view;
typedef struct { const uint8_t *data; size_t len; } sarsen_bytes;
typedef struct {
    uint32_t verdict; uint32_t reserved; uint64_t last_seq; uint64_t proven_seq; uint64_t replayed_commits;
    uint64_t replayed_bytes; uint64_t dropped_bytes; uint64_t elapsed_us;
} sarsen_recovery;

uint32_t sarsen_abi_version(void);
const char *sarsen_version(void);
const char *sarsen_status_name(sarsen_status status);

const char *sarsen_error_message(const sarsen_error *error);
int32_t sarsen_error_os_code(const sarsen_error *error);
const char *sarsen_error_file(const sarsen_error *error);
uint64_t sarsen_error_offset(const sarsen_error *error);
void sarsen_error_free(sarsen_error *error);

void sarsen_view_release(sarsen_view *view);

sarsen_options *sarsen_options_new(void);
void sarsen_options_free(sarsen_options *options);
sarsen_status sarsen_options_set_create(sarsen_options *options, bool create);
sarsen_status sarsen_options_set_read_only(sarsen_options *options, bool read_only);
sarsen_status sarsen_options_set_durability(sarsen_options *options, uint32_t survive);
sarsen_status sarsen_options_set_chunk_bytes(sarsen_options *options, uint64_t bytes);
sarsen_status sarsen_options_set_memory_bytes(sarsen_options *options, uint64_t bytes);
sarsen_status sarsen_options_set_background(sarsen_options *options, bool background);

sarsen_status sarsen_store_open(const char *path, const sarsen_options *options, sarsen_store **out_store,
                                sarsen_error **error);
sarsen_status sarsen_store_close(sarsen_store *store, sarsen_error **error);
uint64_t sarsen_store_last_seq(const sarsen_store *store);
uint64_t sarsen_store_durable_seq(const sarsen_store *store);
sarsen_status sarsen_store_sync(const sarsen_store *store, sarsen_error **error);
sarsen_status sarsen_store_checkpoint(const sarsen_store *store, sarsen_error **error);
sarsen_status sarsen_store_maintain(const sarsen_store *store, uint64_t budget_us, bool *out_more,
                                    sarsen_error **error);
sarsen_status sarsen_store_recovery(const sarsen_store *store, sarsen_recovery *out, size_t out_size);
sarsen_status sarsen_store_verify(const sarsen_store *store, sarsen_report **out, sarsen_error **error);
sarsen_status sarsen_report_next(sarsen_report *report, const char **out_file, uint64_t *out_offset,
                                 const char **out_what);
void sarsen_report_free(sarsen_report *report);

sarsen_tags *sarsen_tags_new(void);
sarsen_status sarsen_tags_add(sarsen_tags *tags, const char *tag, size_t tag_len);
size_t sarsen_tags_count(const sarsen_tags *tags);
void sarsen_tags_free(sarsen_tags *tags);

sarsen_batch *sarsen_batch_new(void);
void sarsen_batch_clear(sarsen_batch *batch);
void sarsen_batch_free(sarsen_batch *batch);
size_t sarsen_batch_count(const sarsen_batch *batch);
sarsen_status sarsen_batch_set_kv(sarsen_batch *batch, const void *key, size_t key_len, const void *value,
                                  size_t value_len, sarsen_error **error);
sarsen_status sarsen_batch_delete_kv(sarsen_batch *batch, const void *key, size_t key_len, sarsen_error **error);
sarsen_status sarsen_batch_append_stream(sarsen_batch *batch, const void *name, size_t name_len, const void *data,
                                         size_t len, sarsen_error **error);
sarsen_status sarsen_batch_trim_stream(sarsen_batch *batch, const void *name, size_t name_len, uint64_t before,
                                       sarsen_error **error);
sarsen_status sarsen_batch_append_memory(sarsen_batch *batch, uint64_t id, const sarsen_tags *tags, const void *data,
                                         size_t len, sarsen_error **error);
sarsen_status sarsen_batch_delete_memory(sarsen_batch *batch, uint64_t id, sarsen_error **error);
sarsen_status sarsen_batch_commit(sarsen_batch *batch, const sarsen_store *store, uint32_t survive, uint64_t *out_seq,
                                  sarsen_error **error);

sarsen_status sarsen_kv_get(const sarsen_store *store, const sarsen_snapshot *snapshot, const void *key,
                            size_t key_len, sarsen_view *out_value, sarsen_error **error);
sarsen_status sarsen_kv_prefix(const sarsen_store *store, const sarsen_snapshot *snapshot, const void *prefix,
                               size_t prefix_len, bool reverse, sarsen_kv_iter **out, sarsen_error **error);
sarsen_status sarsen_kv_iter_next(sarsen_kv_iter *iter, sarsen_bytes *out_key, sarsen_bytes *out_value,
                                  sarsen_error **error);
void sarsen_kv_iter_free(sarsen_kv_iter *iter);

sarsen_status sarsen_stream_bounds(const sarsen_store *store, const sarsen_snapshot *snapshot, const void *name,
                                   size_t name_len, uint64_t *out_first, uint64_t *out_next, sarsen_error **error);
sarsen_status sarsen_stream_get(const sarsen_store *store, const sarsen_snapshot *snapshot, const void *name,
                                size_t name_len, uint64_t index, sarsen_view *out_record, sarsen_error **error);
sarsen_status sarsen_stream_read(const sarsen_store *store, const sarsen_snapshot *snapshot, const void *name,
                                 size_t name_len, uint64_t from, sarsen_stream_iter **out, sarsen_error **error);
sarsen_status sarsen_stream_iter_next(sarsen_stream_iter *iter, uint64_t *out_index, sarsen_bytes *out_record,
                                      sarsen_error **error);
void sarsen_stream_iter_free(sarsen_stream_iter *iter);

sarsen_status sarsen_memory_get(const sarsen_store *store, const sarsen_snapshot *snapshot, uint64_t id,
                                sarsen_view *out_data, sarsen_error **error);
sarsen_status sarsen_memory_find(const sarsen_store *store, const sarsen_snapshot *snapshot, const sarsen_tags *all,
                                 const sarsen_tags *any, const sarsen_tags *none, uint64_t from_id,
                                 sarsen_memory_iter **out, sarsen_error **error);
sarsen_status sarsen_memory_iter_next(sarsen_memory_iter *iter, uint64_t *out_id, sarsen_bytes *out_data,
                                      sarsen_error **error);
void sarsen_memory_iter_free(sarsen_memory_iter *iter);
]]

-- The ABI that the declarations above are those of.
local ABI = 0

local sarsen = {
    declarations = declarations,
    OK = 0, NOT_FOUND = 1, END = 2, TIMEOUT = 3, INVALID_ARGUMENT = 10, IO = 11, NO_SPACE = 12, CORRUPT = 13,
    LOCKED = 14, NOT_A_STORE = 15, VERSION = 16, READ_ONLY = 17, TOO_LARGE = 18, POISONED = 19, FORKED = 20,
    CONFLICT = 21, INTERNAL = 22, SURVIVE_PROCESS = 1, SURVIVE_POWER = 2, RECOVERY_CLEAN = 0, RECOVERY_REPLAYED = 1,
    RECOVERY_TORN_TAIL = 2, RECOVERY_DAMAGED = 3,
}

local OK, NOT_FOUND, END = sarsen.OK, sarsen.NOT_FOUND, sarsen.END
local C -- the library, once loaded

-- Places for what the library hands out, used by one call at a time; a frame's calls make no garbage with them.
local failure, wide, halves, flag, bytes, scratch, handles

-- Number `i` of `wide`, without making a boxed 64-bit integer of it first.
local function number(i)
    return halves[2 * i] + halves[2 * i + 1] * 4294967296
end

-- ---- errors -------------------------------------------------------------------------------------------------

local Failure = {}
Failure.__index = Failure
function Failure:__tostring()
    return self.name .. ": " .. self.message
end

local function fail(status)
    local found = failure[0]
    local told = {status = status, name = ffi.string(C.sarsen_status_name(status)), os_code = 0, offset = 0}
    if found ~= nil then
        local file = C.sarsen_error_file(found)
        told.message = ffi.string(C.sarsen_error_message(found))
        told.os_code = C.sarsen_error_os_code(found)
        told.offset = tonumber(C.sarsen_error_offset(found))
        told.file = file ~= nil and ffi.string(file) or nil
        failure[0] = nil
        C.sarsen_error_free(found)
    else
        told.message = "refused"
    end
    error(setmetatable(told, Failure), 0)
end

local function check(status)
    if status ~= OK then fail(status) end
end

-- OK: true; NOT_FOUND or END: false.
local function answered(status)
    if status == OK then return true end
    if status == NOT_FOUND or status == END then return false end
    fail(status)
end

local function owned(handle, free)
    if handle == nil then error("sarsen: out of memory", 0) end
    return ffi.gc(handle, free)
end

-- free() of every wrapper: at most once, and what is used afterwards is NULL.
local function let_go(self, free)
    local handle = self.handle
    if handle ~= nil then
        self.handle = nil
        free(ffi.gc(handle, nil))
    end
end

-- ---- tags: a set is made once and used in many batches and queries ------------------------------------------

local Tags = {}
Tags.__index = Tags

function Tags:add(tag)
    check(C.sarsen_tags_add(self.handle, tag, #tag))
    return self
end

function Tags:count()
    return tonumber(C.sarsen_tags_count(self.handle))
end

function Tags:free()
    let_go(self, C.sarsen_tags_free)
end

function sarsen.tags(...)
    local self = setmetatable({handle = owned(C.sarsen_tags_new(), C.sarsen_tags_free)}, Tags)
    for i = 1, select("#", ...) do self:add((select(i, ...))) end
    return self
end

-- Absent tags are NULL: no condition. Tags that were freed are an error, not no condition.
local function set_of(tags)
    if tags == nil then return nil end
    if tags.handle == nil then error("sarsen: these tags were freed", 3) end
    return tags.handle
end

-- ---- batches: `data` is a string, or a pointer with its `len` -----------------------------------------------

local Batch = {}
Batch.__index = Batch

function Batch:set(key, data, len)
    check(C.sarsen_batch_set_kv(self.handle, key, #key, data, len or #data, failure))
    return self
end

function Batch:delete(key)
    check(C.sarsen_batch_delete_kv(self.handle, key, #key, failure))
    return self
end

function Batch:append_stream(name, data, len)
    check(C.sarsen_batch_append_stream(self.handle, name, #name, data, len or #data, failure))
    return self
end

function Batch:trim_stream(name, before)
    check(C.sarsen_batch_trim_stream(self.handle, name, #name, before, failure))
    return self
end

function Batch:append_memory(id, tags, data, len)
    check(C.sarsen_batch_append_memory(self.handle, id, set_of(tags), data, len or #data, failure))
    return self
end

function Batch:delete_memory(id)
    check(C.sarsen_batch_delete_memory(self.handle, id, failure))
    return self
end

function Batch:count()
    return tonumber(C.sarsen_batch_count(self.handle))
end

function Batch:clear()
    C.sarsen_batch_clear(self.handle)
    return self
end

-- All of it or nothing; afterwards the batch is empty, and its memory is kept for the next one. Returns the seq.
function Batch:commit(store, survive)
    check(C.sarsen_batch_commit(self.handle, store.handle, survive or 0, wide, failure))
    return number(0)
end

function Batch:free()
    let_go(self, C.sarsen_batch_free)
end

function sarsen.batch()
    return setmetatable({handle = owned(C.sarsen_batch_new(), C.sarsen_batch_free)}, Batch)
end

-- ---- views: bytes in place ----------------------------------------------------------------------------------

-- view.data, view.len; held until release(), the next filling or the collector.
local View = {}

function View:release()
    C.sarsen_view_release(self)
end

function View:string()
    return ffi.string(self.data, self.len)
end

function sarsen.view()
    return ffi.new("sarsen_view")
end

local function filled(view, status)
    return answered(status) and view or nil
end

-- What a view got, as a string; nil: there is no such thing.
local function copied(status)
    if not answered(status) then return nil end
    local text = ffi.string(scratch.data, scratch.len)
    C.sarsen_view_release(scratch)
    return text
end

-- ---- the store ----------------------------------------------------------------------------------------------

local Store = {}
Store.__index = Store

local option_setters = {
    create = "sarsen_options_set_create", read_only = "sarsen_options_set_read_only",
    durability = "sarsen_options_set_durability", chunk_bytes = "sarsen_options_set_chunk_bytes",
    memory_bytes = "sarsen_options_set_memory_bytes", background = "sarsen_options_set_background",
}

-- `wanted`: {background = false, durability = sarsen.SURVIVE_PROCESS, ...}, named as in the header.
function sarsen.open(path, wanted)
    local options = owned(C.sarsen_options_new(), C.sarsen_options_free)
    for name, value in pairs(wanted or {}) do
        local setter = option_setters[name]
        if not setter then error("sarsen: there is no option " .. tostring(name), 2) end
        check(C[setter](options, value))
    end
    check(C.sarsen_store_open(path, options, handles.store, failure))
    local handle = ffi.gc(handles.store[0], function(store) C.sarsen_store_close(store, nil) end)
    return setmetatable({handle = handle}, Store)
end

-- Checkpoints and lets go of the files. The store is closed, too, where this reports an error.
function Store:close()
    let_go(self, function(handle) check(C.sarsen_store_close(handle, failure)) end)
end

function Store:last_seq()
    return tonumber(C.sarsen_store_last_seq(self.handle))
end

function Store:durable_seq()
    return tonumber(C.sarsen_store_durable_seq(self.handle))
end

function Store:sync()
    check(C.sarsen_store_sync(self.handle, failure))
end

function Store:checkpoint()
    check(C.sarsen_store_checkpoint(self.handle, failure))
end

-- Upkeep for about `budget_us` microseconds, for a store opened with background = false. Returns whether more is left.
function Store:maintain(budget_us)
    check(C.sarsen_store_maintain(self.handle, budget_us, flag, failure))
    return flag[0]
end

function Store:recovery()
    local found = ffi.new("sarsen_recovery")
    check(C.sarsen_store_recovery(self.handle, found, ffi.sizeof(found)))
    return found
end

-- Reads and checks every byte: a list of {file =, offset =, what =}, empty where nothing is wrong.
function Store:verify()
    check(C.sarsen_store_verify(self.handle, handles.report, failure))
    local report = ffi.gc(handles.report[0], C.sarsen_report_free)
    local file, what = ffi.new("const char *[1]"), ffi.new("const char *[1]")
    local findings = {}
    while answered(C.sarsen_report_next(report, file, wide, what)) do
        findings[#findings + 1] = {
            file = file[0] ~= nil and ffi.string(file[0]) or "", offset = number(0), what = ffi.string(what[0]),
        }
    end
    C.sarsen_report_free(ffi.gc(report, nil))
    return findings
end

-- get, record, memory: a copy as a string, or nil. view_...: the bytes in place in `view` (from sarsen.view()), or nil.

function Store:get(key)
    return copied(C.sarsen_kv_get(self.handle, nil, key, #key, scratch, failure))
end

function Store:view_get(view, key)
    C.sarsen_view_release(view)
    return filled(view, C.sarsen_kv_get(self.handle, nil, key, #key, view, failure))
end

function Store:record(name, index)
    return copied(C.sarsen_stream_get(self.handle, nil, name, #name, index, scratch, failure))
end

function Store:view_record(view, name, index)
    C.sarsen_view_release(view)
    return filled(view, C.sarsen_stream_get(self.handle, nil, name, #name, index, view, failure))
end

function Store:memory(id)
    return copied(C.sarsen_memory_get(self.handle, nil, id, scratch, failure))
end

-- first, next of a stream; nil: there is none of this name.
function Store:bounds(name)
    if answered(C.sarsen_stream_bounds(self.handle, nil, name, #name, wide, wide + 1, failure)) then
        return number(0), number(1)
    end
end

-- ---- loops --------------------------------------------------------------------------------------------------

-- An iterator of the library as Lua's for wants it: step, with what has to live as long as the loop as its state.
local Loop = {}
Loop.__index = Loop

local function loop(handle, free, step)
    return step, setmetatable({handle = ffi.gc(handle, free), free_handle = free}, Loop)
end

-- Gives the iterator back at once; for loops that were left before their end. The collector would do it later.
function Loop:free()
    let_go(self, self.free_handle)
end

local function next_pair(state)
    if answered(C.sarsen_kv_iter_next(state.handle, bytes, bytes + 1, failure)) then
        return ffi.string(bytes[0].data, bytes[0].len), ffi.string(bytes[1].data, bytes[1].len)
    end
    state:free()
end

-- for key, value in store:prefix("settings/") do ... end
function Store:prefix(prefix, reverse)
    check(C.sarsen_kv_prefix(self.handle, nil, prefix, #prefix, reverse or false, handles.kv, failure))
    return loop(handles.kv[0], C.sarsen_kv_iter_free, next_pair)
end

local function next_record(state)
    if answered(C.sarsen_stream_iter_next(state.handle, wide, bytes, failure)) then
        return number(0), bytes[0].data, bytes[0].len
    end
    state:free()
end

-- for index, data, len in store:records("input", from) do ... end; data is good until the next turn. No turn at all
-- where there is no such stream.
function Store:records(name, from)
    if not answered(C.sarsen_stream_read(self.handle, nil, name, #name, from or 0, handles.stream, failure)) then
        return function() end
    end
    return loop(handles.stream[0], C.sarsen_stream_iter_free, next_record)
end

local function next_memory(state)
    if answered(C.sarsen_memory_iter_next(state.handle, wide, bytes, failure)) then
        return number(0), bytes[0].data, bytes[0].len
    end
    state:free()
end

-- for id, data, len in store:find(all, any, none, from_id) do ... end; tags may be nil; data is good until the next
-- turn.
function Store:find(all, any, none, from_id)
    check(C.sarsen_memory_find(self.handle, nil, set_of(all), set_of(any), set_of(none), from_id or 0, handles.memory,
                               failure))
    return loop(handles.memory[0], C.sarsen_memory_iter_free, next_memory)
end

-- ---- loading ------------------------------------------------------------------------------------------------

-- Loads the library from `path`, or under its system name, once.
function sarsen.load(path)
    if C then return sarsen end
    ffi.cdef(declarations)
    C = ffi.load(path or "sarsen")
    if C.sarsen_abi_version() ~= ABI then
        error("sarsen: the library has ABI " .. C.sarsen_abi_version() .. ", this binding knows " .. ABI, 2)
    end
    View.__index, View.__gc = View, C.sarsen_view_release
    ffi.metatype("sarsen_view", View)
    failure = ffi.new("sarsen_error *[1]")
    wide = ffi.new("uint64_t[2]")
    halves = ffi.cast("uint32_t *", wide)
    flag = ffi.new("bool[1]")
    bytes = ffi.new("sarsen_bytes[2]")
    scratch = ffi.new("sarsen_view")
    handles = {
        store = ffi.new("sarsen_store *[1]"), report = ffi.new("sarsen_report *[1]"),
        kv = ffi.new("sarsen_kv_iter *[1]"), stream = ffi.new("sarsen_stream_iter *[1]"),
        memory = ffi.new("sarsen_memory_iter *[1]"),
    }
    return sarsen
end

function sarsen.version()
    return ffi.string(C.sarsen_version())
end

return sarsen
