-- Plays by itself: what is held follows from a seed, the frame and the state, from nothing else. So a bot that was
-- killed goes on as if it had not been.
local bit = require("bit")
local generate = require("generate")
local people = require("people")
local rules = require("rules")
local tiles = require("tiles")

local bot = {}

-- Whether there is a slug or a pit within the next steps.
function bot.is_danger_ahead(state, world, way)
    for i = 0, rules.SLUGS - 1 do
        local slug = state.slugs[i]
        local dx = (slug.x - state.x) * way
        local is_near = dx > -10 * rules.UNIT and dx < 34 * rules.UNIT and math.abs(slug.y - state.y) < 20 * rules.UNIT
        if slug.alive == 1 and is_near then return true end
    end
    local x, y = rules.tile_of(state.x + 5 * rules.UNIT) + way, rules.tile_of(state.y)
    for below = 1, 3 do
        if world:tile(x, y + below) ~= tiles.AIR then return world:tile(x, y + below) == tiles.SPIKES end
    end
    return true
end

-- Returns the buttons for record `frame`, and whether time goes back instead.
function bot.play(seed, frame, state, world)
    local hour = math.floor(frame / 500)
    if generate.draw(seed, hour, 12) % 3 == 0 then
        local begin = 300 + generate.draw(seed, hour, 13) % 150
        local into = frame % 500
        if into >= begin and into < begin + 20 + generate.draw(seed, hour, 14) % 30 then return 0, true end
    end
    local ahead = math.floor(frame / 6000) % 2 == 0 and rules.RIGHT or rules.LEFT
    local back = ahead == rules.RIGHT and rules.LEFT or rules.RIGHT
    -- With enough gems to the one who wants them.
    if state.key == 0 and state.gems >= people.GEMS_FOR_THE_KEY then
        local x = people.place_of(state, 1)
        ahead = rules.tile_of(state.x) > x and rules.LEFT or rules.RIGHT
        back = ahead
    end
    local chance = generate.draw(seed, frame, 15)
    local way = ahead == rules.RIGHT and 1 or -1
    local has_cause = state.vx == 0 or chance % 32 == 0 or bot.is_danger_ahead(state, world, way)
    local wants_up = state.grounded == 1 and has_cause
    local jump = (state.vy < 0 or (wants_up and frame % 2 == 0)) and rules.JUMP or 0
    local talk = (people.near(state) and frame % 20 == 0) and rules.TALK or 0
    local mood = generate.draw(seed, math.floor(frame / 70), 16) % 20
    local x, y = rules.tile_of(state.x), rules.tile_of(state.y)
    -- Out of a hole: up on stones that are placed while falling, through what is overhead.
    if y > generate.surface(state.seed, x) + 1 and mood < 14 then
        if state.vy > 0 and state.stones > 0 then return bit.bor(rules.DOWN, rules.PLACE) end
        if mood < 3 then return bit.bor(ahead, jump, rules.BREAK) end
        return bit.bor(rules.UP, rules.BREAK, jump)
    end
    if mood < 15 then return bit.bor(ahead, jump, talk) end
    if mood < 17 then return bit.bor(ahead, jump, rules.BREAK) end
    if mood < 18 then return bit.bor(ahead, jump, rules.PLACE) end
    if mood < 19 then return generate.draw(seed, frame, 17) % 3 == 0 and bit.bor(rules.DOWN, rules.BREAK) or ahead end
    return bit.bor(back, jump, talk)
end

return bot
