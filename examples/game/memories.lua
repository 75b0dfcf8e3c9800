-- What people remember, as memories of the store: id, who:..., what:..., and when and where it was. rules.step asks and
-- keeps through this; people.lua says what.
--
-- Ids grow with the frames, and state.next_memory is the first free one. So a frame that is played again finds exactly
-- what it found at first: ids below the one that was free when it began.
local ffi = require("ffi")
local clock = require("clock")
local people = require("people")

ffi.cdef("typedef struct { uint32_t frame; int32_t x, y; } game_memory;")

local Memories = {}
Memories.__index = Memories

-- `spent.reads` is the time that looking took.
local function new(sarsen, store, batch, spent)
    local self = setmetatable({store = store, batch = batch, spent = spent, tags = {}, sets = {}, limit = 0}, Memories)
    self.note = ffi.new("game_memory")
    self.is_replay = false
    for _, who in ipairs(people.names) do
        self.tags[who] = {}
        for _, what in ipairs(people.events) do
            self.tags[who][what] = sarsen.tags("who:" .. who, "what:" .. what)
        end
    end
    local function prepare(question)
        local sets = {}
        for part, names in pairs(question) do sets[part] = sarsen.tags(unpack(names)) end
        self.sets[question] = sets
    end
    for name, question in pairs(people.questions) do
        if name == "met" then
            for _, one in pairs(question) do prepare(one) end
        else
            prepare(question)
        end
    end
    return self
end

function Memories:begin(state)
    self.limit = state.next_memory
end

function Memories:keep(state, who, what)
    local id = state.next_memory
    state.next_memory = id + 1
    if self.is_replay then return end -- it is in the store already
    local note = self.note
    note.frame, note.x, note.y = state.frame, state.x, state.y
    self.batch:append_memory(id, self.tags[who][what], note, ffi.sizeof(note))
end

function Memories:count(_, question)
    local start, count = clock.now(), 0
    local sets = self.sets[question]
    local step, found = self.store:find(sets.all, sets.any, sets.none)
    for id in step, found do
        if id >= self.limit then break end
        count = count + 1
    end
    found:free()
    self.spent.reads = self.spent.reads + clock.now() - start
    return count
end

-- The store forgets what happened after a moment that the player went back to.
function Memories:forget_from(id)
    local start = clock.now()
    for later in self.store:find(nil, nil, nil, id) do self.batch:delete_memory(later) end
    self.spent.reads = self.spent.reads + clock.now() - start
end

-- A number for all that is remembered, by whom and as what, found by its tags.
function Memories:sum(state, sum_of)
    local h = 0
    for _, who in ipairs(people.names) do
        for place, what in ipairs(people.events) do
            local tags = self.tags[who][what]
            local step, found = self.store:find(tags)
            for id, data, len in step, found do
                if id >= state.next_memory then break end
                h = sum_of(data, tonumber(len), h + id + place)
            end
            found:free()
        end
    end
    return h
end

return {new = new}
