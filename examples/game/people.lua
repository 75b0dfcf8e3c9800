-- The three who live here, what they say and what they remember. A memory is kept with the tags who:... and what:...,
-- and found again by them when the player talks to somebody; what is found decides what is said, and whether the gate
-- opens. `memory` is given by the host:
--
--   memory:keep(state, who, what)        somebody remembers something from now on
--   memory:count(state, question)        how many memories answer one of the questions below
local bit = require("bit")
local generate = require("generate")
local tiles = require("tiles")

local people = {
    names = {"mara", "finn", "odo"}, titles = {"Mara, who lights the lamps", "Finn, the mason", "Odo, who listens"},
}

people.GEMS_FOR_THE_KEY, people.STONES_TO_MAKE_UP = 8, 3
people.events = {"met", "gave", "broke", "forgave"}

-- Which memories answer: all of these tags, at least one of `any`, none of `none`.
people.questions = {
    met = {}, -- one for each person, below
    gave_mara = {all = {"who:mara", "what:gave"}},
    broke_finn = {all = {"who:finn", "what:broke"}},
    forgave_finn = {all = {"who:finn", "what:forgave"}},
    gossip = {any = {"what:gave", "what:broke"}, none = {"who:odo"}},
}
for _, name in ipairs(people.names) do people.questions.met[name] = {all = {"who:" .. name, "what:met"}} end

-- Lines by number, since the state holds the number; %d is state.count.
people.lines = {
    "Good evening. It is dark beyond the gate. Bring me eight gems, and I will open it.",
    "You have not enough gems yet. I remember what I promised.",
    "Eight gems! Take my light. The gate knows you now.",
    "I remember what you gave me. The gate is open, far to the east.",
    "I am Finn, and this is my house. Stones can be broken, carried and placed. Not mine, please.",
    "My house still stands. Down and place builds a stair under your feet.",
    "You broke %d bricks of my house. I saw it. Three stones, and I forget it.",
    "Three stones. All right. I remember that you made up for it.",
    "I am Odo. People tell me what they remember. About you, nothing yet.",
    "Nobody has anything to say about you. You walk softly.",
    "I have heard %d stories about you.",
    "You made up for it, and broke %d bricks all the same. I keep count.",
}

local function place_of(state, who)
    local x = generate.people_at[people.names[who]]
    return x, generate.surface(state.seed, x) - 1
end
people.place_of = place_of

function people.stands_at(state, x, y)
    for who = 1, 3 do
        local px, py = place_of(state, who)
        if x == px and (y == py or y == py - 1) then return true end
    end
    return false
end

-- The one within two tiles of the player, or nil.
function people.near(state)
    local x, y = bit.arshift(state.x, 12), bit.arshift(state.y, 12)
    for who = 1, 3 do
        local px, py = place_of(state, who)
        if math.abs(x - px) <= 2 and math.abs(y - py) <= 3 then return who end
    end
end

function people.saw_broken(state, kind, memory)
    if kind == tiles.BRICK then memory:keep(state, "finn", "broke") end
    if kind == tiles.WOOD then memory:keep(state, "odo", "broke") end
end

local answer = {}

function answer.mara(state, memory, met)
    if memory:count(state, people.questions.gave_mara) > 0 then return 4 end
    if state.gems >= people.GEMS_FOR_THE_KEY then
        state.gems, state.key = state.gems - people.GEMS_FOR_THE_KEY, 1
        memory:keep(state, "mara", "gave")
        return 3
    end
    return met and 2 or 1
end

-- `count` is what he remembers of bricks; once he forgave, he counts but asks for nothing more.
function answer.finn(state, memory, met)
    local broken = memory:count(state, people.questions.broke_finn)
    local forgiven = memory:count(state, people.questions.forgave_finn)
    state.count = math.min(broken, 32767)
    if broken == 0 then return met and 6 or 5 end
    if forgiven > 0 then return 12 end
    if state.stones >= people.STONES_TO_MAKE_UP then
        state.stones = state.stones - people.STONES_TO_MAKE_UP
        memory:keep(state, "finn", "forgave")
        return 8
    end
    return 7
end

function answer.odo(state, memory, met)
    local heard = memory:count(state, people.questions.gossip)
    state.count = math.min(heard, 32767)
    if heard > 0 then return 11 end
    return met and 10 or 9
end

-- Whoever stands near says what follows from what they remember. Where they live is where the player comes back to.
function people.talk(state, memory)
    local who = people.near(state)
    if not who then return end
    local name = people.names[who]
    local met = memory:count(state, people.questions.met[name]) > 0
    state.line, state.speaker, state.talk_left = answer[name](state, memory, met), who, 300
    if not met then memory:keep(state, name, "met") end
    state.home_x, state.home_y = state.x, state.y
end

function people.said(state)
    return (people.lines[state.line]:gsub("%%d", tostring(state.count)))
end

return people
