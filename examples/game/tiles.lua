-- The kinds of tiles and what each is like. A tile is one byte; a chunk is 64 x 64 of them.
local tiles = {
    SIZE = 16, -- pixels
    CHUNK = 64, COLUMNS = 8, ROWS = 2, -- the world: chunks of 64 x 64, eight across, two deep
    AIR = 0, GRASS = 1, DIRT = 2, STONE = 3, BRICK = 4, WOOD = 5, GEM = 6, SPIKES = 7, GATE = 8, CRYSTAL = 9,
    BEDROCK = 10, LAMP = 11, RUBBLE = 12, SHRUB = 13,
}
tiles.CHUNKS = tiles.COLUMNS * tiles.ROWS
tiles.BYTES = tiles.CHUNK * tiles.CHUNK
tiles.WIDTH, tiles.HEIGHT = tiles.COLUMNS * tiles.CHUNK, tiles.ROWS * tiles.CHUNK

-- By kind. What can be broken is carried off and can be placed again, as rubble.
tiles.solid, tiles.breakable = {}, {}
for kind = 0, 13 do tiles.solid[kind], tiles.breakable[kind] = false, false end
for _, kind in ipairs({tiles.GRASS, tiles.DIRT, tiles.STONE, tiles.BRICK, tiles.WOOD, tiles.RUBBLE}) do
    tiles.solid[kind], tiles.breakable[kind] = true, true
end
tiles.solid[tiles.GATE], tiles.solid[tiles.BEDROCK] = true, true

return tiles
