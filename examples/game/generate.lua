-- The world as it is before anybody has played: every tile and every place from a seed, in whole numbers only, so that
-- it comes out the same on every machine.
local bit = require("bit")
local ffi = require("ffi")
local tiles = require("tiles")

local generate = {}

-- Where people live, in tiles from the left; the gate and the crystal at the end of the way.
generate.people_at = {mara = 34, finn = 150, odo = 300}
generate.GATE_AT, generate.CRYSTAL_AT, generate.START_AT = 470, 496, 8

-- A number from 0 to 2^31 - 1 for each (seed, a, b): xor, shift and add, no state.
local function draw(seed, a, b)
    local h = bit.tobit(seed * 7919 + a * 31337 + b * 1013)
    for _ = 1, 3 do
        h = bit.bxor(h, bit.lshift(h, 13))
        h = bit.bxor(h, bit.rshift(h, 17))
        h = bit.bxor(h, bit.lshift(h, 5))
        h = bit.tobit(h + 0x3c6ef372)
    end
    return bit.band(h, 0x7fffffff)
end
generate.draw = draw

-- Noise along a line: random heights every `period` tiles, straight lines between them.
local function ridge(seed, x, period, height)
    local cell = math.floor(x / period)
    local left, right = draw(seed, cell, period) % (height + 1), draw(seed, cell + 1, period) % (height + 1)
    return math.floor(left + (right - left) * (x - cell * period) / period)
end

-- Noise over the plane, 0 to 255.
local function cloud(seed, x, y, period)
    local cx, cy = math.floor(x / period), math.floor(y / period)
    local fx, fy = x - cx * period, y - cy * period
    local function corner(i, j) return draw(seed + 77, (cx + i) * 512 + cy + j, period) % 256 end
    local top = corner(0, 0) * (period - fx) + corner(1, 0) * fx
    local bottom = corner(0, 1) * (period - fx) + corner(1, 1) * fx
    return math.floor((top * (period - fy) + bottom * fy) / (period * period))
end

local function raw_surface(seed, x)
    return 50 + ridge(seed, x, 29, 9) + ridge(seed, x, 11, 3)
end

-- The row of the topmost ground in column x. Around a place where somebody lives or arrives it is level.
local function surface(seed, x)
    for _, place in pairs(generate.people_at) do
        if math.abs(x - place) <= 8 then return raw_surface(seed, place) end
    end
    for _, place in ipairs({generate.GATE_AT, generate.CRYSTAL_AT, generate.START_AT}) do
        if math.abs(x - place) <= 4 then return raw_surface(seed, place) end
    end
    return raw_surface(seed, x)
end
generate.surface = surface

local function is_kept_clear(x)
    for _, place in pairs(generate.people_at) do
        if math.abs(x - place) <= 11 then return true end
    end
    return x < 16 or x > generate.GATE_AT - 8
end

-- Three tiles wide, four deep, spikes at the bottom.
local function is_pit(seed, x)
    local cell = math.floor(x / 37)
    local start = cell * 37 + 12 + draw(seed, cell, 3) % 16
    return x >= start and x < start + 3 and not is_kept_clear(start) and not is_kept_clear(start + 2)
end

local function ground(seed, x, y)
    local top = surface(seed, x)
    if y >= tiles.HEIGHT - 2 then return tiles.BEDROCK end
    if is_pit(seed, x) then
        if y < top + 4 then return tiles.AIR end
        if y == top + 4 then return tiles.SPIKES end
    end
    if y < top then
        local above = top - y
        if above == 1 and not is_kept_clear(x) then
            if draw(seed, x, 5) % 13 == 0 then return tiles.GEM end
            if draw(seed, x, 6) % 5 == 0 then return tiles.SHRUB end
        end
        -- A ledge of four tiles every now and then, with a gem on it.
        local cell = math.floor(x / 23)
        local ledge = raw_surface(seed, cell * 23 + 10) - 4
        local along = x - cell * 23 - 9
        if along >= 0 and along < 4 and not is_kept_clear(x) and ledge < top - 2 then
            if y == ledge then return tiles.WOOD end
            if y == ledge - 1 and along == 1 + cell % 2 then return tiles.GEM end
        end
        return tiles.AIR
    end
    if y == top then return tiles.GRASS end
    if y > top + 5 and cloud(seed, x, y, 9) > 150 then
        return draw(seed, x, y) % 40 == 0 and tiles.GEM or tiles.AIR
    end
    return y < top + 4 and tiles.DIRT or tiles.STONE
end

-- What was built: Finn's house of brick, Odo's tower of wood, Mara's lamps, the gate and the crystal. nil: nothing.
local function built(seed, x, y)
    local at = generate.people_at
    local up = surface(seed, x) - y
    local from_finn, from_odo, from_mara = math.abs(x - at.finn), math.abs(x - at.odo), math.abs(x - at.mara)
    if from_finn <= 4 and up == 5 then return tiles.BRICK end
    if from_finn == 4 and up >= 3 and up <= 4 then return tiles.BRICK end
    if from_odo == 3 and up >= 3 and up <= 7 then return tiles.WOOD end
    if from_odo <= 3 and up == 8 then return tiles.WOOD end
    if from_mara == 3 and up == 1 then return tiles.LAMP end
    if x == generate.GATE_AT and up >= 1 then return tiles.GATE end
    if x == generate.CRYSTAL_AT and up >= 1 and up <= 3 then return tiles.CRYSTAL end
end

-- Fills `out` (uint8_t[4096]) with chunk number `chunk`.
function generate.chunk(seed, chunk, out)
    local left = chunk % tiles.COLUMNS * tiles.CHUNK
    local top = math.floor(chunk / tiles.COLUMNS) * tiles.CHUNK
    for y = 0, tiles.CHUNK - 1 do
        for x = 0, tiles.CHUNK - 1 do
            out[y * tiles.CHUNK + x] = built(seed, left + x, top + y) or ground(seed, left + x, top + y)
        end
    end
end

-- Where slug number `i` begins, in tiles.
function generate.slug(seed, i)
    local x = 40 + i * 19 + draw(seed, i, 9) % 8
    while is_kept_clear(x) or is_pit(seed, x) do x = x + 1 end
    return x, surface(seed, x) - 1
end

function generate.new_tiles()
    return ffi.new("uint8_t[?]", tiles.BYTES)
end

return generate
