-- The rules and the history without LÖVE: what is played again comes out the same; going back in time is exact,
-- forgets what came after and goes on; old history is trimmed; a full disk loses nothing; the quest can be won.
--
--   luajit tests/replay.lua LIBRARY PLACE
local library, place = unpack(arg)
local sarsen = require("sarsen").load(library)
local bot = require("bot")
local generate = require("generate")
local history = require("history")
local people = require("people")
local rules = require("rules")
local tiles = require("tiles")

local function open(name, options)
    return history.open(sarsen, place .. "/" .. name, options or {seed = 9})
end

-- Plays on; `back` false: never goes back in time.
local function play(game, frames, back)
    for _ = 1, frames do
        local buttons, goes_back = bot.play(9, game.next, game.state, game.world)
        if goes_back and back ~= false then game:go_back(2) else game:play(buttons) end
        game:maintain(100)
    end
end

local function press(game, buttons, frames)
    for _ = 1, frames or 1 do game:play(buttons) end
end

-- Changes the state as no input could, which only holds with a snapshot of it; lets `frames` pass.
local function arrange(game, fields, frames)
    for name, value in pairs(fields) do game.state[name] = value end
    game:add_snapshot()
    press(game, 0, frames or 1)
end

local function put(game, x, y)
    arrange(game, {x = x * tiles.SIZE * rules.UNIT, y = y * tiles.SIZE * rules.UNIT, vx = 0, vy = 0}, 10)
end

local function say(words, ok)
    assert(ok, words)
    print("ok: " .. words)
end

-- ---- played again -------------------------------------------------------------------------------------------

local game = open("again")
local digests = {[0] = game:digest()}
for frame = 1, 3000 do
    play(game, 1)
    digests[frame] = game:digest()
end
local same = true
for _, stop in ipairs({1, 60, 61, 2999}) do
    local other = open("again-" .. stop)
    play(other, stop)
    local before = other:digest()
    other:close()
    other = open("again-" .. stop)
    same = same and before == digests[stop] and other:digest() == digests[stop] and other.next == stop + 1
    other:close()
end
say("a game that is closed and opened again is where it was, as if it had not been closed", same)

local distinct, count = {}, 0
for frame = 0, 3000 do
    if not distinct[digests[frame]] then distinct[digests[frame]], count = true, count + 1 end
end
say("the digest tells frames apart", count > 2000)
game:close()

-- ---- back in time -------------------------------------------------------------------------------------------

game = open("back")
local states = {}
for frame = 1, 400 do
    play(game, 1, false)
    states[frame] = game:digest()
end
local exact = true
for step = 1, 150 do
    game:go_back(2)
    exact = exact and game:digest() == states[400 - 2 * step]
end
say("each step back shows exactly the state of that frame", exact)
say("a step back is a record: numbers only grow", game.next == 551 and game.state.frame == 100)
game:close()
game = open("back")
say("closed on the way back, it is there again", game:digest() == states[100] and game.next == 551)
play(game, 30, false)
game:go_back(31)
say("the way back from what was played since leads past the frames that were taken back", game.state.frame == 99)
play(game, 130, false)
local before = game:digest()
game:close()
game = open("back")
say("it goes on from there, and that is kept", game:digest() == before)
for _ = 1, 500 do game:go_back(2) end
say("the way back ends at the first frame", game.state.frame == 0)
game:close()

-- ---- memories -----------------------------------------------------------------------------------------------

game = open("people")
local x, y = people.place_of(game.state, 1)
put(game, x - 1, y)
arrange(game, {gems = people.GEMS_FOR_THE_KEY})
local function talk(game_now)
    press(game_now, rules.TALK)
    press(game_now, 0)
    return game_now.state.line
end
say("she who never met the player greets, and takes what was asked for", talk(game) == 3 and game.state.key == 1)
say("she remembers what was given", talk(game) == 4)
local gave = people.questions.gave_mara
say("that is a memory, found by its tags", game.memories:count(game.state, gave) == 1)
game:close()
game = open("people")
say("she remembers it after the game was closed", talk(game) == 4 and game.state.key == 1)
while game.state.key == 1 do game:go_back(1) end
press(game, 0)
local left = 0
for _ in game.store:find() do left = left + 1 end
say("a moment before, nobody remembers, and the store has forgotten", left == 0 and game.state.gems == 8)
say("what is done differently is remembered instead", talk(game) == 3 and game.memories:count(game.state, gave) == 1)

x, y = people.place_of(game.state, 2)
put(game, x + 2, y)
say("the mason greets", talk(game) == 5)
put(game, x + 4, y)
say("the wall of his house is of brick", game.world:tile(x + 4, y - 2) == tiles.BRICK)
press(game, rules.JUMP + rules.UP)
press(game, rules.JUMP + rules.UP + rules.BREAK, 25)
press(game, 0, 40)
say("he saw a brick broken", game.memories:count(game.state, people.questions.broke_finn) >= 1)
put(game, x + 1, y)
arrange(game, {stones = 0})
say("he holds it against the player", talk(game) == 7)
say("and says how often", people.said(game.state):find("You broke " .. game.state.count, 1, true) ~= nil)
arrange(game, {stones = 3})
say("he forgives, and counts", talk(game) == 8 and talk(game) == 12)
x, y = people.place_of(game.state, 3)
put(game, x + 1, y)
say("the third one has heard of it", talk(game) == 11 and game.state.count >= 2)
game:close()

-- ---- trimmed ------------------------------------------------------------------------------------------------

game = open("trimmed", {seed = 9, keep = 600})
play(game, 9000)
local first = game.store:bounds("input")
say("old history is trimmed", first > 7500 and first <= game.state.frame - 600)
local versions = 0
for number = 0, tiles.CHUNKS - 1 do
    local oldest, next_version = game.store:bounds("chunk/" .. number)
    versions = versions + next_version - oldest
end
say("so are versions of chunks", versions < tiles.CHUNKS * 2 + 15)
before = game:digest()
game:close()
game = open("trimmed", {seed = 9, keep = 600})
say("what is left suffices to resume", game:digest() == before)
for _ = 1, 1000 do game:go_back(2) end
say("and to go back to its beginning", game.state.frame >= first and game.state.frame <= first + 1)
play(game, 700)
before = game:digest()
game:close()
game = open("trimmed", {seed = 9, keep = 600})
say("and to go on from there", game:digest() == before and #game.store:verify() == 0)
game:close()

-- ---- a full disk --------------------------------------------------------------------------------------------

game = open("full")
play(game, 100, false)
local real = game.batch
local full = {status = sarsen.NO_SPACE, message = "no space is left"}
game.batch = setmetatable({commit = function() error(full, 0) end}, {__index = function(_, name)
    return function(_, ...)
        real[name](real, ...)
        return game.batch
    end
end})
local store = game.store
game.store = setmetatable({maintain = function() error(full, 0) end}, {__index = function(_, name)
    return function(_, ...) return store[name](store, ...) end
end})
play(game, 150, false)
say("on a full disk the game says so and waits with the frame that it could not save",
    game.unsaved == full and game.state.frame == 101 and select(2, game.store:bounds("input")) == 101)
game:go_back(2)
say("there is no way back meanwhile", game.state.frame == 101)
game.batch, game.store = real, store
play(game, 1, false)
say("with room again that frame is saved", not game.unsaved and select(2, game.store:bounds("input")) == 102)
play(game, 50, false)
before = game:digest()
game:close()
game = open("full")
say("and the game goes on", game:digest() == before and game.state.frame == 151)
game:begin(11)
say("a new world takes the place of the old one", game.next == 1 and game.state.seed == 11)
before = game:digest()
game:close()
game = open("full")
say("which is the one that is resumed", game:digest() == before and game.state.seed == 11)
game:close()

-- ---- the quest ----------------------------------------------------------------------------------------------

-- Somebody who only walks toward the crystal, jumps, and digs where that does not help; with the light, and at home
-- wherever someone lives.
local function run(seed)
    local land = require("world").new(function(number, out) generate.chunk(seed, number, out) end)
    local state = rules.new_state(seed)
    local nobody = {begin = function() end, keep = function() end, count = function() return 0 end}
    state.key = 1
    for frame = 1, 30000 do
        local way = rules.tile_of(state.x) <= generate.CRYSTAL_AT and 1 or -1
        local buttons = way == 1 and rules.RIGHT or rules.LEFT
        local is_stuck = state.vx == 0
        local wants_up = state.grounded == 1 and (is_stuck or bot.is_danger_ahead(state, land, way))
        if state.vy < 0 or (wants_up and frame % 2 == 0) then
            buttons = buttons + rules.JUMP
        end
        if is_stuck and frame % 200 > 150 then buttons = buttons + rules.BREAK end
        rules.step(state, land, buttons, nobody)
        if people.near(state) then state.home_x, state.home_y = state.x, state.y end
        if state.won == 1 then return frame, state.gems end
    end
    return nil, state.x / 4096
end

for _, seed in ipairs({1, 3, 14, 15}) do
    local frames, gems = run(seed)
    say(("world %d can be won: in %s frames, with %s gems on the way"):format(seed, frames, gems),
        frames and gems >= people.GEMS_FOR_THE_KEY)
end
