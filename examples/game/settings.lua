-- Settings as key-value pairs under settings/, each changed by a commit of its own.
local settings = {}

local choices = {
    {key = "sound", title = "Sound", values = {"on", "off"}},
    {key = "graph", title = "Frame-time graph", values = {"on", "off"}},
    {key = "zoom", title = "Window", values = {"2", "3", "1"}},
}
settings.choices = choices

local PREFIX = "settings/"

-- What the store has, and the first choice for whatever it has not.
function settings.read(store)
    local found = {}
    for _, choice in ipairs(choices) do found[choice.key] = choice.values[1] end
    for key, value in store:prefix(PREFIX) do
        local name = key:sub(#PREFIX + 1)
        if found[name] then found[name] = value end
    end
    return found
end

-- The next value of a choice, committed so that it survives power loss.
function settings.turn(sarsen, store, current, choice)
    local value = choice.values[1]
    for place, one in ipairs(choice.values) do
        if one == current[choice.key] then value = choice.values[place % #choice.values + 1] end
    end
    sarsen.batch():set(PREFIX .. choice.key, value):commit(store, sarsen.SURVIVE_POWER)
    current[choice.key] = value
end

return settings
