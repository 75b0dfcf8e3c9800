-- The command line: love examples/game [--name value ...]. For people --save, --libsarsen and --seed are of use; the rest
-- is for tests, which play without anybody at the keys.
local known = {
    save = "string",      -- the store's directory; else in LÖVE's folder for saves
    libsarsen = "string", -- libsarsen.so; else that of the tree, else the system's
    seed = "number",      -- of a new world
    keep = "number",      -- frames of history to keep for going back
    window = "flag",      -- with --bot: open a window and draw, too
    bot = "number",       -- the seed of a bot that plays, as fast as it can
    frames = "number",    -- quit once the stream has so many frames
    digests = "flag",     -- report a digest of everything with every frame, not only when resumed
    report = "number",    -- a descriptor for reports, see report.lua
    screenshot = "string", -- a PNG file, written at the last frame
    times = "string",     -- a file for the store's share of each frame, a line of microseconds a frame
    control = "string",   -- what the test has to notice: "unsaved" reports without committing, "drift" alters the state
    after = "number",     -- ... from so many frames after the start on
}

local options = {}
local position = 1
while arg and arg[position] do
    local name = arg[position]:match("^%-%-(%w+)$")
    if name then
        local kind = known[name] or error("there is no option --" .. name)
        if kind == "flag" then
            options[name] = true
        else
            position = position + 1
            local value = arg[position] or error("--" .. name .. " wants a " .. kind)
            options[name] = kind == "number" and (tonumber(value) or error("--" .. name .. " wants a number")) or value
        end
    end
    position = position + 1
end
options.has_window = not options.bot or options.window or options.screenshot ~= nil

return options
