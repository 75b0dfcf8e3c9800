-- What LÖVE starts: with a bot and no window, neither screen, sound nor gamepads.
function love.conf(t)
    local options = require("options")
    t.identity = "sarsen-game"
    t.version = "11.4"
    t.window.title = "The light beyond the gate"
    t.window.width, t.window.height = 960, 540
    t.window.vsync = options.bot and 0 or 1
    for _, module in ipairs({"physics", "video", "touch", "thread"}) do t.modules[module] = false end
    if options.bot then
        for _, module in ipairs({"audio", "sound", "joystick"}) do t.modules[module] = false end
    end
    if not options.has_window then
        for _, module in ipairs({"window", "graphics", "image", "font", "mouse", "keyboard"}) do
            t.modules[module] = false
        end
    end
end
