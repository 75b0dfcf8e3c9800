-- What is held on keyboard and gamepads, as the buttons of a frame. A key that went down and up again between two
-- frames counts for one.
local bit = require("bit")
local rules = require("rules")

local input = {}

local keys = {
    left = rules.LEFT, a = rules.LEFT, right = rules.RIGHT, d = rules.RIGHT, space = rules.JUMP, e = rules.TALK,
    x = rules.BREAK, c = rules.PLACE, up = rules.UP, w = rules.UP, down = rules.DOWN, s = rules.DOWN,
}
local pads = {
    dpleft = rules.LEFT, dpright = rules.RIGHT, dpup = rules.UP, dpdown = rules.DOWN, a = rules.JUMP, b = rules.TALK,
    x = rules.BREAK, y = rules.PLACE,
}
local tapped = 0

function input.key_went_down(key)
    tapped = bit.bor(tapped, keys[key] or 0)
end

function input.pad_went_down(button)
    tapped = bit.bor(tapped, pads[button] or 0)
end

function input.buttons()
    local held = tapped
    tapped = 0
    for key, button in pairs(keys) do
        if love.keyboard.isDown(key) then held = bit.bor(held, button) end
    end
    for _, pad in ipairs(love.joystick.getJoysticks()) do
        if pad:isGamepad() then
            for name, button in pairs(pads) do
                if pad:isGamepadDown(name) then held = bit.bor(held, button) end
            end
            local x, y = pad:getGamepadAxis("leftx"), pad:getGamepadAxis("lefty")
            if x < -0.4 then held = bit.bor(held, rules.LEFT) elseif x > 0.4 then held = bit.bor(held, rules.RIGHT) end
            if y < -0.6 then held = bit.bor(held, rules.UP) elseif y > 0.6 then held = bit.bor(held, rules.DOWN) end
        end
    end
    return held
end

-- Time goes back while this is held.
function input.goes_back()
    if love.keyboard.isDown("r") then return true end
    for _, pad in ipairs(love.joystick.getJoysticks()) do
        if pad:isGamepad() and pad:isGamepadDown("leftshoulder") then return true end
    end
    return false
end

return input
