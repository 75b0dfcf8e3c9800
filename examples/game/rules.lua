-- The game without any storage, clock or screen: one frame's buttons lead from one state to the next, in whole numbers
-- only, so that playing recorded buttons again ends in the same state, bit for bit.
local bit = require("bit")
local ffi = require("ffi")
local generate = require("generate")
local people = require("people")
local tiles = require("tiles")

local band, arshift = bit.band, bit.arshift

local rules = {
    LEFT = 1, RIGHT = 2, JUMP = 4, TALK = 8, BREAK = 16, PLACE = 32, UP = 64, DOWN = 128,
    UNIT = 256, -- places and speeds are in 1/256 of a pixel
    WIDTH = 10, HEIGHT = 14, -- of the player, in pixels
    SLUGS = 20,
}
local UNIT = rules.UNIT

-- Everything that changes but tiles and memories. Kept as it lies in memory: no padding, all of it counted in digests.
ffi.cdef([[
typedef struct { int32_t x, y; int16_t way, alive; } game_slug;
typedef struct {
    uint32_t frame;       // the record of the input stream that led here
    uint32_t seed;
    uint32_t next_memory; // memories have the ids below this one
    int32_t x, y, vx, vy, home_x, home_y;
    int16_t facing, grounded, coyote, jump_left;
    int16_t gems, stones, key, won;
    int16_t hurt, busy, speaker, line;
    int16_t talk_left, count, buttons, broken;
    game_slug slugs[20];
} game_state;
]])

local WALK, WALK_MOST, SLOW_DOWN = 40, 500, 60
local FALL, FALL_MOST, JUMP_UP, JUMP_CUT = 56, 1400, 1330, 500

function rules.new_state(seed)
    local state = ffi.new("game_state")
    state.seed, state.next_memory, state.facing = seed, 1, 1
    state.x = generate.START_AT * tiles.SIZE * UNIT
    state.y = (generate.surface(seed, generate.START_AT) * tiles.SIZE - rules.HEIGHT) * UNIT
    state.home_x, state.home_y = state.x, state.y
    for i = 0, rules.SLUGS - 1 do
        local x, y = generate.slug(seed, i)
        local slug = state.slugs[i]
        slug.x, slug.y, slug.way, slug.alive = x * tiles.SIZE * UNIT, y * tiles.SIZE * UNIT, -1, 1
    end
    return state
end

-- The tile that a place lies in.
local function tile_of(units)
    return arshift(units, 12)
end

local function is_solid(state, world, x, y)
    local kind = world:tile(x, y)
    if kind == tiles.GATE then return state.key == 0 end
    return tiles.solid[kind]
end

-- Whether a box of w x h pixels at (x, y) touches something solid.
local function is_blocked(state, world, x, y, w, h)
    local right, bottom = tile_of(x + w * UNIT - 1), tile_of(y + h * UNIT - 1)
    for ty = tile_of(y), bottom do
        for tx = tile_of(x), right do
            if is_solid(state, world, tx, ty) then return true end
        end
    end
    return false
end

local function pressed(state, buttons, button)
    return band(buttons, button) ~= 0 and band(state.buttons, button) == 0
end

local function toward(value, goal, step)
    if value < goal then return math.min(value + step, goal) end
    return math.max(value - step, goal)
end

-- ---- the player ---------------------------------------------------------------------------------------------

local function walk(state, buttons)
    local way = (band(buttons, rules.RIGHT) ~= 0 and 1 or 0) - (band(buttons, rules.LEFT) ~= 0 and 1 or 0)
    if way ~= 0 then
        state.facing = way
        state.vx = toward(state.vx, way * WALK_MOST, WALK)
    else
        state.vx = toward(state.vx, 0, SLOW_DOWN)
    end
end

local function jump(state, buttons)
    if pressed(state, buttons, rules.JUMP) then state.jump_left = 6 end
    if state.jump_left > 0 and state.coyote > 0 then
        state.vy, state.jump_left, state.coyote, state.grounded = -JUMP_UP, 0, 0, 0
    end
    if band(buttons, rules.JUMP) == 0 and state.vy < -JUMP_CUT then state.vy = -JUMP_CUT end
    state.jump_left = math.max(state.jump_left - 1, 0)
end

local function move(state, world)
    state.vy = math.min(state.vy + FALL, FALL_MOST)
    local w, h = rules.WIDTH, rules.HEIGHT
    local x = state.x + state.vx
    if is_blocked(state, world, x, state.y, w, h) then
        if state.vx > 0 then
            x = tile_of(x + w * UNIT - 1) * 4096 - w * UNIT
        elseif state.vx < 0 then
            x = (tile_of(x) + 1) * 4096
        end
        state.vx = 0
        if is_blocked(state, world, x, state.y, w, h) then x = state.x end
    end
    state.x = x
    local y = state.y + state.vy
    state.grounded = 0
    if is_blocked(state, world, state.x, y, w, h) then
        if state.vy > 0 then
            y = tile_of(y + h * UNIT - 1) * 4096 - h * UNIT
            state.grounded, state.coyote = 1, 6
        else
            y = (tile_of(y) + 1) * 4096
        end
        state.vy = 0
        if is_blocked(state, world, state.x, y, w, h) then y = state.y end
    end
    state.y = y
    if state.grounded == 0 then state.coyote = math.max(state.coyote - 1, 0) end
end

local function go_home(state)
    state.x, state.y, state.vx, state.vy, state.hurt = state.home_x, state.home_y, 0, 0, 60
end

-- What the player's box lies on: gems are taken, spikes hurt, the crystal ends the quest.
local function touch(state, world)
    for ty = tile_of(state.y), tile_of(state.y + rules.HEIGHT * UNIT - 1) do
        for tx = tile_of(state.x), tile_of(state.x + rules.WIDTH * UNIT - 1) do
            local kind = world:tile(tx, ty)
            if kind == tiles.GEM then
                state.gems = math.min(state.gems + 1, 9999)
                world:set(tx, ty, tiles.AIR)
            elseif kind == tiles.CRYSTAL then
                state.won = 1
            elseif kind == tiles.SPIKES then
                return go_home(state)
            end
        end
    end
end

-- ---- tiles broken and placed --------------------------------------------------------------------------------

-- Breaks what is ahead, else what is ahead and a step lower; above and below where that is held.
local function break_tile(state, world, buttons, memory)
    local x, y = tile_of(state.x + rules.WIDTH * UNIT / 2), tile_of(state.y + rules.HEIGHT * UNIT / 2)
    if band(buttons, rules.DOWN) ~= 0 then
        y = y + 1
    elseif band(buttons, rules.UP) ~= 0 then
        y = y - 1
    else
        x = x + state.facing
        if not tiles.breakable[world:tile(x, y)] then y = y + 1 end
    end
    local kind = world:tile(x, y)
    if not tiles.breakable[kind] then return end
    world:set(x, y, tiles.AIR)
    state.stones, state.busy = math.min(state.stones + 1, 99), 10
    state.broken = (state.broken + 1) % 32768
    people.saw_broken(state, kind, memory)
end

-- Places rubble ahead; below the feet where that is held, to climb out of a hole.
local function place_tile(state, world, buttons)
    local x, y = tile_of(state.x + rules.WIDTH * UNIT / 2), tile_of(state.y + rules.HEIGHT * UNIT / 2)
    if band(buttons, rules.DOWN) ~= 0 then
        y = tile_of(state.y + rules.HEIGHT * UNIT - 1) + 1
    else
        x = x + state.facing
    end
    local kind = world:tile(x, y)
    if y < 0 or (kind ~= tiles.AIR and kind ~= tiles.SHRUB) then return end
    if people.stands_at(state, x, y) then return end
    world:set(x, y, tiles.RUBBLE)
    if is_blocked(state, world, state.x, state.y, rules.WIDTH, rules.HEIGHT) then return world:set(x, y, kind) end
    state.stones, state.busy = state.stones - 1, 10
end

-- ---- slugs --------------------------------------------------------------------------------------------------

local function move_slug(state, world, slug)
    local x, way = slug.x + slug.way * 100, slug.way
    local ahead = tile_of(way > 0 and x + 14 * UNIT or x)
    local row = tile_of(slug.y + 8 * UNIT)
    if not is_solid(state, world, tile_of(slug.x + 7 * UNIT), row + 1) then
        slug.y = slug.y + 512 -- the ground was taken from under it
        if slug.y > tiles.HEIGHT * 4096 then slug.alive = 0 end
    elseif is_solid(state, world, ahead, row) or not is_solid(state, world, ahead, row + 1)
        or world:tile(ahead, row) == tiles.SPIKES then
        slug.y, slug.way = row * 4096, -way
    else
        slug.x, slug.y = x, row * 4096
    end
end

local function meet_slugs(state, world)
    for i = 0, rules.SLUGS - 1 do
        local slug = state.slugs[i]
        local dx, dy = slug.x - state.x, slug.y - state.y
        if slug.alive == 1 and math.abs(dx) < 320 * UNIT and math.abs(dy) < 320 * UNIT then
            move_slug(state, world, slug)
            if dx > -14 * UNIT and dx < rules.WIDTH * UNIT and dy > -16 * UNIT and dy < rules.HEIGHT * UNIT then
                if state.vy > 0 and dy > 4 * UNIT then
                    slug.alive, state.vy = 0, -900
                elseif state.hurt == 0 then
                    go_home(state)
                end
            end
        end
    end
end

-- ---- a frame ------------------------------------------------------------------------------------------------

-- `memory`: what people remember, see people.lua. What is kept in this frame is found from the next one on.
function rules.step(state, world, buttons, memory)
    memory:begin(state)
    state.frame = state.frame + 1
    state.hurt, state.busy = math.max(state.hurt - 1, 0), math.max(state.busy - 1, 0)
    walk(state, buttons)
    jump(state, buttons)
    move(state, world)
    touch(state, world)
    if state.busy == 0 then
        if band(buttons, rules.BREAK) ~= 0 then
            break_tile(state, world, buttons, memory)
        elseif band(buttons, rules.PLACE) ~= 0 and state.stones > 0 then
            place_tile(state, world, buttons)
        end
    end
    meet_slugs(state, world)
    state.talk_left = math.max(state.talk_left - 1, 0)
    if pressed(state, buttons, rules.TALK) then people.talk(state, memory) end
    state.buttons = buttons
end

rules.tile_of = tile_of
return rules
