-- Looks at a screenshot without a screen.
function love.conf(t)
    local unused = {"window", "graphics", "audio", "sound", "joystick", "physics", "font", "keyboard", "mouse"}
    for _, module in ipairs(unused) do t.modules[module] = false end
end
