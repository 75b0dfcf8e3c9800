-- Every picture of the game, drawn by code: tiles from rules and a little noise, people and slugs from letters.
local generate = require("generate")
local tiles = require("tiles")

local art = {}

local SIZE = tiles.SIZE

-- Colours by letter; '.' and anything else is nothing.
local palette = {
    k = {0.10, 0.09, 0.14}, w = {0.96, 0.93, 0.86}, s = {0.93, 0.72, 0.55}, h = {0.35, 0.20, 0.13},
    r = {0.80, 0.26, 0.24}, b = {0.24, 0.38, 0.72}, y = {0.97, 0.80, 0.30}, p = {0.55, 0.34, 0.66},
    l = {0.62, 0.80, 0.38}, n = {0.30, 0.42, 0.20}, e = {0.78, 0.78, 0.80},
}

local walker = {
    "...hhhh...", "..hhhhhh..", "..hssssh..", "..hsksk...", "..sssss...", "...sss....", "..CCCCC...",
    ".CCCCCCC..", ".sCCCCCs..", "..CCCCC...", "..bbbbb...", "..bb.bb...",
}
local legs = {
    stand = {"..bb.bb...", "..kk.kk..."}, stride = {".bb...bb..", ".kk...kk.."}, leap = {".bbb.bb...", ".kk...k..."},
}
local slug = {
    crawl = {
        "..........k.k.", "..........lkl.", "....llll..llll", "..lllnllllllll", ".llnllllnlllll", "llllllllllllll",
        "nnnnnnnnnnnnnn",
    },
    stretch = {
        "............k.", "...........lkl", "......lll.llll", "...lllnlllllll", "..lllllllnllll", "llllllllllllll",
        "nnnnnnnnnnnnnn",
    },
}

-- A picture from rows of letters; C is the colour of the coat.
local function drawn(rows, coat)
    local picture = love.image.newImageData(#rows[1], #rows)
    for y, row in ipairs(rows) do
        for x = 1, #row do
            local letter = row:sub(x, x)
            local colour = palette[letter == "C" and coat or letter]
            if colour then picture:setPixel(x - 1, y - 1, colour[1], colour[2], colour[3], 1) end
        end
    end
    local image = love.graphics.newImage(picture)
    image:setFilter("nearest", "nearest")
    return image
end

local function dressed(coat)
    local looks = {}
    for name, rows in pairs(legs) do
        local all = {}
        for i, row in ipairs(walker) do all[i] = row end
        for _, row in ipairs(rows) do all[#all + 1] = row end
        looks[name] = drawn(all, coat)
    end
    return looks
end

-- ---- tiles: colour of pixel (x, y), or nil ------------------------------------------------------------------

local function grain(x, y, kind, spread)
    return 1 + (generate.draw(kind, x, y) % 100 / 100 - 0.5) * spread
end

local function shade(colour, by)
    return colour[1] * by, colour[2] * by, colour[3] * by, 1
end

local EARTH, ROCK, CLAY, TIMBER = {0.42, 0.29, 0.20}, {0.40, 0.40, 0.46}, {0.66, 0.32, 0.26}, {0.56, 0.40, 0.24}

local paint = {}
paint[tiles.GRASS] = function(x, y)
    if y < 3 + generate.draw(3, x, 1) % 3 then return shade({0.32, 0.58, 0.27}, grain(x, y, 1, 0.4)) end
    return shade(EARTH, grain(x, y, 2, 0.3))
end
paint[tiles.DIRT] = function(x, y) return shade(EARTH, grain(x, y, 2, 0.3)) end
paint[tiles.STONE] = function(x, y)
    local crack = (x * 3 + y * 5) % 17 == 0 and 0.75 or 1
    return shade(ROCK, grain(x, y, 4, 0.22) * crack)
end
paint[tiles.BRICK] = function(x, y)
    local shift = math.floor(y / 4) % 2 * 4
    if y % 4 == 3 or (x + shift) % 8 == 7 then return 0.80, 0.74, 0.66, 1 end
    return shade(CLAY, grain(math.floor((x + shift) / 8), math.floor(y / 4), 5, 0.35))
end
paint[tiles.WOOD] = function(x, y)
    if y % 8 == 7 then return shade(TIMBER, 0.55) end
    return shade(TIMBER, grain(math.floor(x / 5), y, 6, 0.3))
end
paint[tiles.GEM] = function(x, y)
    local far = math.abs(x - 7.5) + math.abs(y - 8.5)
    if far > 6 then return nil end
    return shade({0.35, 0.85, 0.92}, far > 4.5 and 0.6 or (x + y < 13 and 1.15 or 0.9))
end
paint[tiles.SPIKES] = function(x, y)
    if y > 4 + math.abs(x % 8 - 3.5) * 3 then return shade({0.75, 0.76, 0.80}, x % 8 > 3 and 0.75 or 1) end
end
paint[tiles.GATE] = function(x, y)
    if x % 5 < 2 or y % 8 == 0 then return shade({0.30, 0.30, 0.38}, x % 5 == 0 and 1.4 or 1) end
    return 0.95, 0.75, 0.35, 0.18
end
paint[tiles.CRYSTAL] = function(x, y)
    local far = math.abs(x - 7.5) * 1.4 + math.abs(y - 8)
    if far > 9 then return nil end
    return shade({0.98, 0.86, 0.45}, 1.1 - far * 0.06)
end
paint[tiles.BEDROCK] = function(x, y) return shade({0.16, 0.15, 0.20}, grain(x, y, 7, 0.5)) end
paint[tiles.LAMP] = function(x, y)
    local far = math.abs(x - 7.5) + math.abs(y - 4)
    if far < 4 then return shade({1, 0.85, 0.45}, 1.1 - far * 0.08) end
    if y > 6 and (x == 7 or x == 8) then return 0.22, 0.20, 0.24, 1 end
end
paint[tiles.RUBBLE] = function(x, y)
    if (x + math.floor(y / 5) * 3) % 7 == 0 or y % 5 == 4 then return shade(ROCK, 0.6) end
    return shade({0.55, 0.53, 0.52}, grain(x, y, 8, 0.2))
end
paint[tiles.SHRUB] = function(x, y)
    local lean = generate.draw(9, x, 2) % 6
    if y > 8 + lean and x % 3 ~= 0 then return shade({0.27, 0.50, 0.24}, grain(x, y, 9, 0.5)) end
end

-- All tiles in one picture, side by side, and the part of it for each kind.
local function tile_sheet()
    local sheet = love.image.newImageData(SIZE * 14, SIZE)
    for kind, colour in pairs(paint) do
        for y = 0, SIZE - 1 do
            for x = 0, SIZE - 1 do
                local r, g, b, a = colour(x, y)
                if r then sheet:setPixel(kind * SIZE + x, y, math.min(r, 1), math.min(g, 1), math.min(b, 1), a) end
            end
        end
    end
    local image = love.graphics.newImage(sheet)
    image:setFilter("nearest", "nearest")
    local quads = {}
    for kind = 0, 13 do quads[kind] = love.graphics.newQuad(kind * SIZE, 0, SIZE, SIZE, SIZE * 14, SIZE) end
    return image, quads
end

-- Evening: from dark blue down to a warm horizon, and two ranges of hills.
local function sky()
    local picture = love.image.newImageData(1, 64)
    for y = 0, 63 do
        local t = y / 63
        picture:setPixel(0, y, 0.10 + 0.75 * t * t, 0.12 + 0.42 * t, 0.28 + 0.20 * t, 1)
    end
    return love.graphics.newImage(picture)
end

local function hills(seed, height, r, g, b)
    local picture = love.image.newImageData(512, 96)
    for x = 0, 511 do
        local turn = x / 512 * math.pi * 2
        local top = 60 - height * (math.sin(turn * 2 + seed) + math.sin(turn * 5 + seed * 2) * 0.5)
        for y = math.max(0, math.floor(top)), 95 do picture:setPixel(x, y, r, g, b, 1) end
    end
    local image = love.graphics.newImage(picture)
    image:setFilter("nearest", "nearest")
    return image
end

function art.load()
    art.tiles, art.quads = tile_sheet()
    art.player = dressed("r")
    art.people = {dressed("y"), dressed("e"), dressed("p")}
    art.slug = {crawl = drawn(slug.crawl), stretch = drawn(slug.stretch)}
    art.sky = sky()
    art.far, art.near = hills(1, 18, 0.30, 0.26, 0.42), hills(4, 12, 0.19, 0.20, 0.32)
end

return art
