-- The game in the store: a frame is a record of a stream, so any moment that is kept can be played to again.
--
--   input       stream: what was held in each frame, 16 bytes; its number is the frame's
--   snapshots   stream: the state each second, and which versions of the chunks belong to it
--   chunk/N     stream: versions of a chunk of the world, 4 KiB blocks; a new one only where tiles changed
--   memories    what people remember (memories.lua)
--   settings/   key-value (settings.lua)
--
-- A frame is committed as one batch. Going back in time adds a record, too: it names the frame that is shown. So the
-- stream only grows, and a kill in the middle of anything resumes at exactly the last committed frame. History older
-- than `keep` frames is trimmed.
local ffi = require("ffi")
local clock = require("clock")
local generate = require("generate")
local memories = require("memories")
local rules = require("rules")
local tiles = require("tiles")
local world = require("world")

ffi.cdef([[
typedef struct {
    uint16_t kind, buttons;
    uint32_t snapshot;    // the newest one at or before this frame
    uint32_t target;      // of a frame back in time: the frame that it shows
    int32_t check;        // a number for the state it led to
} game_record;
typedef struct { game_state state; uint32_t versions[16]; } game_snapshot;
]])
assert(tiles.CHUNKS == 16)

local PLAYED, WENT_BACK = 1, 2
local SNAPSHOT_EVERY = 60
local KEEP = 10 * 60 * 60 -- ten minutes
local WHOLE_STREAM = 0xffffffffffffffffULL

local CHUNK_NAMES = {}
for number = 0, tiles.CHUNKS - 1 do CHUNK_NAMES[number] = "chunk/" .. number end

local STATE_BYTES, RECORD_BYTES = ffi.sizeof("game_state"), ffi.sizeof("game_record")
local SNAPSHOT_BYTES = ffi.sizeof("game_snapshot")

local History = {}
History.__index = History

local function check_of(state)
    return world.sum_of(ffi.cast("const int32_t *", state), STATE_BYTES / 4, 0)
end

local function open(sarsen, path, options)
    local self = setmetatable({}, History)
    self.sarsen = sarsen
    self.spent = {reads = 0, commit = 0, upkeep = 0} -- microseconds since the caller set them to 0
    self.store = sarsen.open(path, {background = false, durability = sarsen.SURVIVE_PROCESS})
    self.batch = sarsen.batch()
    self.view = sarsen.view()
    self.memories = memories.new(sarsen, self.store, self.batch, self.spent)
    self.keep = options.keep or KEEP
    self.record, self.other = ffi.new("game_record"), ffi.new("game_record")
    self.snapshot = ffi.new("game_snapshot")
    self.versions = ffi.new("uint32_t[?]", tiles.CHUNKS) -- of the world that is being played
    self.newest = ffi.new("uint32_t[?]", tiles.CHUNKS) -- of the streams
    self.world = world.new(function(number, out) self:read_chunk(number, out) end)
    if not self:resume() then self:begin(options.seed or 1) end
    return self
end

-- ---- reading ------------------------------------------------------------------------------------------------

-- Copies record `index` of a stream, which has exactly `size` bytes; false: there is none.
function History:read(name, index, out, size)
    local start = clock.now()
    local view = self.store:view_record(self.view, name, index)
    if view then
        assert(view.len == size, "this save is one of another version of the game")
        ffi.copy(out, view.data, size)
        view:release()
    end
    self.spent.reads = self.spent.reads + clock.now() - start
    return view ~= nil
end

function History:read_chunk(number, out)
    assert(self:read(CHUNK_NAMES[number], self.versions[number], out, tiles.BYTES), "a chunk of the world is missing")
end

function History:read_input(frame, out)
    assert(self:read("input", frame, out, RECORD_BYTES), "a frame is missing")
    return out
end

-- ---- writing: into the batch of the frame -------------------------------------------------------------------

-- A game from the start, in place of whatever was there: one commit.
function History:begin(seed)
    local batch = self.batch
    batch:clear()
    for _, name in ipairs({"input", "snapshots"}) do batch:trim_stream(name, WHOLE_STREAM) end
    self.memories:forget_from(0)
    local image = generate.new_tiles()
    for number = 0, tiles.CHUNKS - 1 do
        generate.chunk(seed, number, image)
        batch:trim_stream(CHUNK_NAMES[number], WHOLE_STREAM)
        batch:append_stream(CHUNK_NAMES[number], image, tiles.BYTES)
        self.world:let_go(number)
        self.versions[number], self.newest[number] = 0, 0
    end
    self.state = rules.new_state(seed)
    self.next, self.next_snapshot, self.first_snapshot, self.first = 0, 0, 0, 0
    self.went_back = false
    self:add_snapshot()
    self:add_record(PLAYED, 0, 0)
    if not self:commit() then error(self.unsaved, 0) end
end

function History:add_record(kind, buttons, target)
    local record = self.record
    record.kind, record.buttons, record.target = kind, buttons, target
    record.snapshot, record.check = self.next_snapshot - 1, check_of(self.state)
    self.batch:append_stream("input", record, RECORD_BYTES)
    self.next = self.next + 1
end

-- The state, and the chunks that changed since the last one. Behind a way back in time the versions of then are written
-- anew, so that versions never go down from one snapshot to the next, and old ones can be trimmed.
function History:add_snapshot()
    for number = 0, tiles.CHUNKS - 1 do
        local here = self.world.chunks[number]
        if (here and here.dirty) or self.versions[number] ~= self.newest[number] then
            local chunk = self.world:chunk(number)
            self.batch:append_stream(CHUNK_NAMES[number], chunk.tiles, tiles.BYTES)
            self.newest[number] = self.newest[number] + 1
            self.versions[number] = self.newest[number]
            chunk.dirty = false
        end
    end
    self.snapshot.state = self.state
    ffi.copy(self.snapshot.versions, self.versions, ffi.sizeof(self.snapshot.versions))
    self.batch:append_stream("snapshots", self.snapshot, SNAPSHOT_BYTES)
    self.next_snapshot = self.next_snapshot + 1
    self.snapshot_frame = self.state.frame
end

-- Lets go of what lies before the oldest snapshot that is still wanted: no later than `keep` frames ago.
function History:trim()
    local oldest = self.first_snapshot
    local found = self.snapshot
    while oldest + 1 < self.stored_snapshots and self:read("snapshots", oldest + 1, found, SNAPSHOT_BYTES)
        and found.state.frame + self.keep <= self.state.frame do
        oldest = oldest + 1
    end
    if oldest == self.first_snapshot then return end
    self:read("snapshots", oldest, found, SNAPSHOT_BYTES)
    self.first_snapshot, self.first = oldest, found.state.frame
    self.batch:trim_stream("snapshots", oldest):trim_stream("input", self.first)
    for number = 0, tiles.CHUNKS - 1 do self.batch:trim_stream(CHUNK_NAMES[number], found.versions[number]) end
end

-- A full disk is an answer here, kept in self.unsaved; any other error is one.
function History:attempt(what, call, ...)
    local start = clock.now()
    local ok, result = pcall(call, ...)
    self.spent[what] = self.spent[what] + clock.now() - start
    if not ok and not (type(result) == "table" and result.status == self.sarsen.NO_SPACE) then error(result, 0) end
    return ok, result
end

-- All of the frame, or nothing. On a full disk the frame stays in the batch, and the game waits: a frame that was played
-- on top of it would not find the memories that are still in there, but would when it is played again.
function History:commit()
    local ok, failure = self:attempt("commit", self.batch.commit, self.batch, self.store, self.sarsen.SURVIVE_PROCESS)
    self.unsaved = not ok and failure or nil
    if ok then self.stored_snapshots = self.next_snapshot end
    return ok
end

-- Upkeep for about `budget_us` microseconds. What it can't do on a full disk it does later.
function History:maintain(budget_us)
    self:attempt("upkeep", self.store.maintain, self.store, budget_us)
end

-- ---- frames -------------------------------------------------------------------------------------------------

-- One frame of the game: played, recorded and committed. Returns whether it is; if not, the next call tries to.
function History:play(buttons)
    if self.unsaved then return self:commit() end
    local state = self.state
    if self.went_back then self.memories:forget_from(state.next_memory) end
    state.frame = self.next - 1
    rules.step(state, self.world, buttons, self.memories)
    local is_snapshot = self.went_back or state.frame >= self.snapshot_frame + SNAPSHOT_EVERY
    if is_snapshot then
        self:add_snapshot()
        self:trim()
        self.went_back = false
    end
    self:add_record(PLAYED, buttons, 0)
    local is_saved = self:commit()
    if is_saved and is_snapshot then self.world:let_go_of_far(rules.tile_of(state.x)) end
    return is_saved
end

-- One frame back in time: what is shown is `frames` earlier, along the way that led here; frames that were taken back
-- before are passed over. Stays at the oldest moment that is kept.
function History:go_back(frames)
    if self.unsaved then return self:commit() end
    local target, record = self.state.frame, self.other
    for _ = 1, frames do
        local before = target - 1
        if before >= self.first and self:read_input(before, record).kind == WENT_BACK then before = record.target end
        if before < self.first then break end
        target = before
    end
    self:show(target)
    self.went_back = true
    self:add_record(WENT_BACK, 0, target)
    return self:commit()
end

-- Makes the state and the world those of a played frame: the snapshot before it, and the buttons since.
function History:show(frame)
    local record = self:read_input(frame, self.other)
    assert(record.kind == PLAYED)
    assert(self:read("snapshots", record.snapshot, self.snapshot, SNAPSHOT_BYTES), "a snapshot is missing")
    local state, there = self.state, self.snapshot
    for number = 0, tiles.CHUNKS - 1 do
        local chunk = self.world.chunks[number]
        if chunk and (chunk.dirty or self.versions[number] ~= there.versions[number]) then self.world:let_go(number) end
        self.versions[number] = there.versions[number]
    end
    ffi.copy(state, there.state, STATE_BYTES)
    self.memories.is_replay = true
    local last_check = record.check
    for index = state.frame + 1, frame do
        self:read_input(index, record)
        assert(record.kind == PLAYED)
        state.frame = index - 1
        rules.step(state, self.world, record.buttons, self.memories)
        last_check = record.check
    end
    self.memories.is_replay = false
    if check_of(state) ~= last_check then
        error("frame " .. frame .. " does not come out as it was played: the save is one of other rules", 0)
    end
end

-- The last committed frame. false: there is no game yet.
function History:resume()
    local first, next_frame = self.store:bounds("input")
    if not first then return false end
    self.first, self.next = first, next_frame
    self.first_snapshot, self.next_snapshot = self.store:bounds("snapshots")
    self.stored_snapshots = self.next_snapshot
    for number = 0, tiles.CHUNKS - 1 do
        local _, version = self.store:bounds(CHUNK_NAMES[number])
        self.newest[number] = version - 1
    end
    self.state = ffi.new("game_state")
    local record = self:read_input(self.next - 1, self.record)
    self.went_back = record.kind == WENT_BACK
    self:show(self.went_back and record.target or self.next - 1)
    assert(self:read("snapshots", self.next_snapshot - 1, self.snapshot, SNAPSHOT_BYTES))
    self.snapshot_frame = self.snapshot.state.frame
    return true
end

-- A number for everything: state, tiles and memories, those in the store as well.
function History:digest()
    local sum = check_of(self.state)
    sum = world.sum_of(ffi.new("int32_t[2]", self.world:sum(), self.memories:sum(self.state, world.sum_of)), 2, sum)
    return sum
end

function History:close()
    self.store:close()
end

return {open = open, SNAPSHOT_EVERY = SNAPSHOT_EVERY}
