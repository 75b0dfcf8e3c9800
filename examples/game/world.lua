-- The tiles that are in memory: chunks are fetched when something first looks at them, and let go of when the player
-- is far away and they are as the store has them. The simulation can't tell which are here.
local bit = require("bit")
local ffi = require("ffi")
local tiles = require("tiles")

local band, rshift, lshift, bor = bit.band, bit.rshift, bit.lshift, bit.bor
local CHUNK_MASK, COLUMNS = tiles.CHUNK - 1, tiles.COLUMNS

local World = {}
World.__index = World

-- `fetch(chunk, tiles)` fills the tiles of a chunk.
local function new(fetch)
    return setmetatable({fetch = fetch, chunks = {}, spare = {}}, World)
end

function World:chunk(number)
    local chunk = self.chunks[number]
    if chunk then return chunk end
    chunk = table.remove(self.spare) or {tiles = ffi.new("uint8_t[?]", tiles.BYTES)}
    chunk.dirty, chunk.sum = false, nil
    self.fetch(number, chunk.tiles)
    self.chunks[number] = chunk
    return chunk
end

function World:let_go(number)
    local chunk = self.chunks[number]
    if chunk then
        self.chunks[number] = nil
        self.spare[#self.spare + 1] = chunk
    end
end

-- Keeps what was changed and what is within one chunk of tile column x.
function World:let_go_of_far(x)
    local column = rshift(x, 6)
    for number = 0, tiles.CHUNKS - 1 do
        local chunk = self.chunks[number]
        if chunk and not chunk.dirty and math.abs(number % COLUMNS - column) > 1 then self:let_go(number) end
    end
end

function World:tile(x, y)
    if y < 0 then return tiles.AIR end
    if x < 0 or x >= tiles.WIDTH or y >= tiles.HEIGHT then return tiles.BEDROCK end
    local chunk = self:chunk(rshift(y, 6) * COLUMNS + rshift(x, 6))
    return chunk.tiles[bor(lshift(band(y, CHUNK_MASK), 6), band(x, CHUNK_MASK))]
end

-- Only where tile() does not answer BEDROCK or the sky above the world.
function World:set(x, y, kind)
    local chunk = self:chunk(rshift(y, 6) * COLUMNS + rshift(x, 6))
    chunk.tiles[bor(lshift(band(y, CHUNK_MASK), 6), band(x, CHUNK_MASK))] = kind
    chunk.dirty, chunk.sum = true, nil
end

-- Jenkins' one-at-a-time hash over `count` 32-bit words or bytes.
local function sum_of(data, count, start)
    local h = start
    for i = 0, count - 1 do
        h = bit.tobit(h + data[i])
        h = bit.tobit(h + lshift(h, 10))
        h = bit.bxor(h, rshift(h, 6))
    end
    return h
end

-- A number for all the tiles there are; those that are not here are fetched.
function World:sum()
    local h = 0
    for number = 0, tiles.CHUNKS - 1 do
        local chunk = self:chunk(number)
        chunk.sum = chunk.sum or sum_of(chunk.tiles, tiles.BYTES, number)
        h = bit.bxor(bit.rol(h, 5), chunk.sum)
    end
    return h
end

return {new = new, sum_of = sum_of}
