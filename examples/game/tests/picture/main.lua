-- Fails unless a PNG file has the size wanted, many colours, and none that covers nearly all of it.
--
--   love tests/picture FILE WIDTH HEIGHT
local FEWEST_COLOURS, MOST_OF_ONE = 100, 0.8

-- What is wrong with a picture, and what was found.
local function judge(picture, width, height)
    local colours, distinct, most = {}, 0, 0
    for y = 0, picture:getHeight() - 1 do
        for x = 0, picture:getWidth() - 1 do
            local r, g, b = picture:getPixel(x, y)
            local colour = math.floor(r * 255) * 65536 + math.floor(g * 255) * 256 + math.floor(b * 255)
            local count = (colours[colour] or 0) + 1
            if count == 1 then distinct = distinct + 1 end
            colours[colour] = count
            most = math.max(most, count)
        end
    end
    local share = most / (picture:getWidth() * picture:getHeight())
    local w, h = picture:getDimensions()
    local found = ("%d x %d, %d colours, the commonest on %.0f %%"):format(w, h, distinct, share * 100)
    if w ~= width or h ~= height then return "it is not of the size wanted", found end
    if distinct < FEWEST_COLOURS then return "it has too few colours", found end
    if share > MOST_OF_ONE then return "one colour covers nearly all of it", found end
    return nil, found
end

function love.run()
    local name, width, height = arg[2], tonumber(arg[3]), tonumber(arg[4])
    -- The control: a blank picture of that size is found out, and so is one with a few spots.
    local blank = love.image.newImageData(width, height)
    assert(judge(blank, width, height), "the control, a blank picture, was not noticed")
    for x = 0, math.min(width, 255) - 1 do blank:setPixel(x, 0, x / 255, 0, 0, 1) end
    assert(judge(blank, width, height), "the control, a nearly blank picture, was not noticed")
    local file = assert(io.open(name, "rb"))
    local picture = love.image.newImageData(love.filesystem.newFileData(file:read("*a"), "shot.png"))
    file:close()
    local wrong, found = judge(picture, width, height)
    print("screenshot: " .. found)
    if wrong then print(name .. ": " .. wrong) end
    return function() return wrong and 1 or 0 end
end
