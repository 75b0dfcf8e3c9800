-- Draws the world as the state has it: 480 x 270 pixels, enlarged without blurring.
local art = require("art")
local generate = require("generate")
local people = require("people")
local rules = require("rules")
local tiles = require("tiles")

local WIDTH, HEIGHT, SIZE, UNIT = 480, 270, tiles.SIZE, rules.UNIT

local scene = {WIDTH = WIDTH, HEIGHT = HEIGHT}
local range_colours = {{0.30, 0.26, 0.42}, {0.19, 0.20, 0.32}}
local canvas, batch, surfaces, surfaces_of

function scene.load()
    art.load()
    canvas = love.graphics.newCanvas(WIDTH, HEIGHT)
    canvas:setFilter("nearest", "nearest")
    batch = love.graphics.newSpriteBatch(art.tiles, 700, "stream")
end

-- The row of the ground in a column, worked out once.
local function surface(seed, x)
    if surfaces_of ~= seed then surfaces, surfaces_of = {}, seed end
    local row = surfaces[x] or generate.surface(seed, x)
    surfaces[x] = row
    return row
end

local function camera(state)
    local x = math.floor(state.x / UNIT) + rules.WIDTH / 2 - WIDTH / 2
    local y = math.floor(state.y / UNIT) - HEIGHT * 0.6
    return math.max(0, math.min(x, tiles.WIDTH * SIZE - WIDTH)), math.min(math.floor(y), tiles.HEIGHT * SIZE - HEIGHT)
end

local function draw_background(left, top)
    love.graphics.setColor(1, 1, 1)
    love.graphics.draw(art.sky, 0, 0, 0, WIDTH, HEIGHT / 64)
    for i = 1, 40 do
        local star = generate.draw(5, i, 1)
        love.graphics.setColor(1, 1, 0.9, 0.2 + star % 7 / 10)
        love.graphics.rectangle("fill", star % WIDTH, math.floor(star / 512) % 120, 1, 1)
    end
    love.graphics.setColor(1, 1, 1)
    for place, range in ipairs({art.far, art.near}) do
        local shift = -(left * (0.1 + 0.15 * place)) % 512
        local y = 80 + place * 28 - (top - 700) * 0.1
        love.graphics.draw(range, shift, y)
        love.graphics.draw(range, shift - 512, y)
        love.graphics.setColor(range_colours[place])
        love.graphics.rectangle("fill", 0, y + 96, WIDTH, HEIGHT)
        love.graphics.setColor(1, 1, 1)
    end
end

local function draw_tiles(state, world, left, top)
    batch:clear()
    local first_x, first_y = math.floor(left / SIZE), math.floor(top / SIZE)
    for x = first_x, first_x + math.ceil(WIDTH / SIZE) do
        local ground = surface(state.seed, x)
        for y = first_y, first_y + math.ceil(HEIGHT / SIZE) do
            local kind = world:tile(x, y)
            local px, py = x * SIZE - left, y * SIZE - top
            if not tiles.solid[kind] and y >= ground then
                batch:setColor(0.28, 0.26, 0.30)
                batch:add(art.quads[tiles.DIRT], px, py)
            end
            if kind ~= tiles.AIR and not (kind == tiles.GATE and state.key == 1) then
                local dim = math.max(0.45, 1 - math.max(0, y - ground - 3) * 0.04)
                batch:setColor(dim, dim, dim)
                batch:add(art.quads[kind], px, py)
            end
        end
    end
    love.graphics.setColor(1, 1, 1)
    love.graphics.draw(batch)
end

local function draw_flipped(image, x, y, facing)
    local width = image:getWidth()
    love.graphics.draw(image, math.floor(facing > 0 and x or x + width), math.floor(y), 0, facing, 1)
end

local function draw_people(state, left, top)
    for who = 1, 3 do
        local x, y = people.place_of(state, who)
        local facing = x * SIZE * UNIT > state.x and -1 or 1
        draw_flipped(art.people[who].stand, x * SIZE + 3 - left, y * SIZE + 2 - top, facing)
        if people.near(state) == who and state.talk_left == 0 then
            love.graphics.print("E", x * SIZE + 4 - left, y * SIZE - 16 - top)
        end
    end
    for i = 0, rules.SLUGS - 1 do
        local slug = state.slugs[i]
        if slug.alive == 1 then
            local look = math.floor(state.frame / 16) % 2 == 0 and art.slug.crawl or art.slug.stretch
            draw_flipped(look, slug.x / UNIT - left, slug.y / UNIT + 9 - top, slug.way)
        end
    end
    if state.hurt % 8 < 4 then
        local look = art.player.stand
        if state.grounded == 0 then
            look = art.player.leap
        elseif state.vx ~= 0 and math.floor(state.frame / 6) % 2 == 0 then
            look = art.player.stride
        end
        draw_flipped(look, math.floor(state.x / UNIT) - left, math.floor(state.y / UNIT) - top, state.facing)
    end
end

local function draw_speech(state)
    if state.talk_left == 0 or state.speaker == 0 then return end
    love.graphics.setColor(0.07, 0.07, 0.12, 0.9)
    love.graphics.rectangle("fill", 60, HEIGHT - 70, WIDTH - 120, 58, 4)
    love.graphics.setColor(0.97, 0.80, 0.30)
    love.graphics.print(people.titles[state.speaker], 70, HEIGHT - 66)
    love.graphics.setColor(1, 1, 1)
    love.graphics.printf(people.said(state), 70, HEIGHT - 50, WIDTH - 140)
end

-- `over` draws on top, in the same 480 x 270 pixels.
function scene.draw(state, world, over)
    local left, top = camera(state)
    love.graphics.setCanvas(canvas)
    draw_background(left, top)
    draw_tiles(state, world, left, top)
    draw_people(state, left, top)
    draw_speech(state)
    over()
    love.graphics.setCanvas()
    love.graphics.setColor(1, 1, 1)
    local width, height = love.graphics.getDimensions()
    local scale = math.min(width / WIDTH, height / HEIGHT)
    love.graphics.draw(canvas, (width - WIDTH * scale) / 2, (height - HEIGHT * scale) / 2, 0, scale, scale)
end

return scene
