-- How long frames took, and the store's share of each: a ring for the graph, and a file of all of them if it is wanted.
local ffi = require("ffi")

local RING = 240

local Timing = {}
Timing.__index = Timing

local function new()
    return setmetatable({
        count = 0, RING = RING,
        store = ffi.new("float[?]", RING), frame = ffi.new("float[?]", RING), sorted = {},
    }, Timing)
end

-- Microseconds: `spent` is the history's, `whole` that of the frame, drawing included.
function Timing:add(spent, whole)
    local at = self.count % RING
    self.store[at] = spent.reads + spent.commit + spent.upkeep
    self.frame[at] = whole
    self.count = self.count + 1
    if self.file then
        self.file:write(string.format("%.1f %.1f %.1f\n", spent.reads, spent.commit, spent.upkeep))
    end
end

-- The store's share of the frames in the ring: half of them took less than the first, 99 of 100 less than the second.
function Timing:percentiles()
    local count = math.min(self.count, RING)
    if count == 0 then return 0, 0 end
    for i = 1, RING do self.sorted[i] = i <= count and self.store[i - 1] or nil end
    table.sort(self.sorted)
    return self.sorted[math.ceil(count * 0.5)], self.sorted[math.ceil(count * 0.99)]
end

return {new = new}
