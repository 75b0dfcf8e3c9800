-- What is drawn over the scene: counts, the frame-time graph, title, pause.
local scene = require("scene")
local settings = require("settings")

local screens = {}
local WIDTH, HEIGHT = scene.WIDTH, scene.HEIGHT

local KEYS = "arrows or A D  walk     space  jump     E  talk     X  break     C  place\n"
    .. "up, down  aim     R  hold to go back in time     Esc  pause     G  graph\n"
    .. "gamepad: A jump, B talk, X break, Y place, left shoulder back in time, start pause"

function screens.menu(paused, has_game)
    local list = {{title = has_game and "Play on" or "Play", action = "play"}}
    for _, choice in ipairs(settings.choices) do list[#list + 1] = {title = choice.title, choice = choice} end
    list[#list + 1] = {title = "A new world", action = "new"}
    list[#list + 1] = {title = paused and "Save and quit" or "Quit", action = "quit"}
    return list
end

function screens.draw_menu(menu, selected, current, paused)
    love.graphics.setColor(0.05, 0.05, 0.10, 0.72)
    love.graphics.rectangle("fill", 0, 0, WIDTH, HEIGHT)
    love.graphics.setColor(0.97, 0.80, 0.30)
    love.graphics.printf(paused and "Paused" or "The light beyond the gate", 0, 40, WIDTH / 1.6, "center", 0, 1.6, 1.6)
    for place, entry in ipairs(menu) do
        local is_selected = place == selected
        love.graphics.setColor(is_selected and 1 or 0.65, is_selected and 1 or 0.65, is_selected and 1 or 0.70)
        local text = (is_selected and "> " or "  ") .. entry.title
        if entry.choice then text = text .. ": " .. current[entry.choice.key] end
        love.graphics.print(text, 170, 80 + place * 17)
    end
    love.graphics.setColor(0.7, 0.7, 0.78)
    love.graphics.printf(KEYS, 0, HEIGHT - 56, WIDTH, "center")
end

function screens.draw_counts(state, history, goes_back)
    love.graphics.setColor(1, 1, 1)
    local light = state.key == 1 and "   light" or ""
    love.graphics.print("gems " .. state.gems .. "   stones " .. state.stones .. light, 8, 6)
    if goes_back then love.graphics.print("<< frame " .. state.frame, 8, 22) end
    if history.unsaved then
        love.graphics.setColor(1, 0.4, 0.3)
        love.graphics.printf("Waiting: " .. tostring(history.unsaved), 20, 84, WIDTH - 40, "center")
    elseif state.won == 1 then
        love.graphics.setColor(0.98, 0.86, 0.45)
        love.graphics.printf("You carried the light beyond the gate.", 0, 84, WIDTH, "center")
    end
end

-- A bar a frame: grey for all of it, in colour for the store's share. The height is a frame's time at 60 Hz, and square
-- roots are drawn, or the store's share would not be seen. The line is at 1 ms.
local MOST_US, GRAPH_HEIGHT = 1e6 / 60, 48
local text, text_frame = "", -1

local function height_of(us)
    return math.sqrt(math.min(us / MOST_US, 1)) * GRAPH_HEIGHT
end

function screens.draw_graph(timing)
    local left, bottom = WIDTH - timing.RING - 8, 8 + GRAPH_HEIGHT
    love.graphics.setColor(0, 0, 0, 0.6)
    love.graphics.rectangle("fill", left - 2, 6, timing.RING + 4, GRAPH_HEIGHT + 20)
    for i = 0, timing.RING - 1 do
        local at = (timing.count + i) % timing.RING
        local whole, store = height_of(timing.frame[at]), height_of(timing.store[at])
        love.graphics.setColor(0.55, 0.57, 0.65, 0.7)
        love.graphics.rectangle("fill", left + i, bottom - whole, 1, whole)
        love.graphics.setColor(0.97, 0.62, 0.25)
        love.graphics.rectangle("fill", left + i, bottom - store, 1, store)
    end
    love.graphics.setColor(1, 1, 1, 0.35)
    love.graphics.rectangle("fill", left, bottom - height_of(1000), timing.RING, 1)
    local now = math.floor(timing.count / 30)
    if now ~= text_frame then
        text_frame = now
        local half, most = timing:percentiles()
        text = string.format("store %.0f us, 99 of 100 below %.0f us", half, most)
    end
    love.graphics.setColor(1, 1, 1)
    love.graphics.print(text, left + 2, bottom + 2)
end

return screens
