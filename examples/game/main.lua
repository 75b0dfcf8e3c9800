-- The game's loop: 60 frames a second, each played from what is held, committed, and followed by a slice of the store's
-- upkeep; then drawn. With --bot it plays by itself, as fast as it can.
local options = require("options")
local sarsen = require("sarsen")
local bot = require("bot")
local clock = require("clock")
local history = require("history")
local report = require("report")
local timing = require("timing")

local FRAME_SECONDS = 1 / 60
local UPKEEP_US = 200 -- of each frame's 16,667
local FRAMES_A_FRAME_BACK = 2
local DRAW_EVERY = 10 -- frames of a bot with a window

local game, times
local mode = "title" -- title, play, pause
local scene, screens, settings, sounds, input -- absent where there is no window
local menu, selected, current
local goes_back, played = false, 0

local function library_path()
    if options.libsarsen then return options.libsarsen end
    local built = love.filesystem.getSource() .. "/../../target/release/libsarsen.so"
    local file = io.open(built)
    if not file then return nil end
    file:close()
    return built
end

local function start()
    sarsen.load(library_path())
    local place = options.save
    if not place then
        love.filesystem.createDirectory("")
        place = love.filesystem.getSaveDirectory() .. "/world.sarsen"
    end
    game = history.open(sarsen, place, {seed = options.seed or options.bot or os.time() % 100000, keep = options.keep})
    game:maintain(UPKEEP_US) -- the first write of an opening syncs a manifest: now, not in the first frame
    times = timing.new()
    if options.times then times.file = assert(io.open(options.times, "w")) end
    if options.has_window then
        scene, screens, settings = require("scene"), require("screens"), require("settings")
        scene.load()
        love.graphics.setFont(love.graphics.newFont(10, "mono"))
        current = settings.read(game.store)
    end
    if options.bot then
        mode = "play"
        report.send(options.report, report.RESUMED, game.next - 1, game:digest())
    else
        input, sounds = require("input"), require("sounds")
        sounds.load()
        local zoom = tonumber(current.zoom)
        if zoom ~= 2 then love.window.setMode(scene.WIDTH * zoom, scene.HEIGHT * zoom) end
        menu, selected = screens.menu(false, game.next > 1), 1
    end
end

-- What the test has to notice: frames that are reported and not committed, and a state that no input leads to.
local function spoil()
    if options.control == "unsaved" then
        game.commit = function(self)
            self.batch:clear()
            return true
        end
    elseif options.control == "drift" then
        game.state.gems = game.state.gems + 1
    end
end

-- One frame: input, rules, commit, upkeep. The store's share is measured by the history itself.
local function play_frame()
    local spent = game.spent
    spent.reads, spent.commit, spent.upkeep = 0, 0, 0
    local buttons
    if options.bot then
        buttons, goes_back = bot.play(options.bot, game.next, game.state, game.world)
    else
        buttons, goes_back = input.buttons(), input.goes_back()
    end
    if options.control and played == options.after then spoil() end
    if options.control and played >= options.after then goes_back = false end
    local saved
    if goes_back then
        saved = game:go_back(FRAMES_A_FRAME_BACK)
    else
        saved = game:play(buttons)
    end
    game:maintain(UPKEEP_US)
    played = played + 1
    if saved then
        report.send(options.report, report.COMMITTED, game.next - 1, options.digests and game:digest())
    end
    if sounds then sounds.follow(game.state, current.sound == "on" and not goes_back) end
end

local function draw_over()
    screens.draw_counts(game.state, game, goes_back)
    if mode ~= "play" then
        screens.draw_menu(menu, selected, current, mode == "pause")
    elseif current.graph == "on" then
        screens.draw_graph(times)
    end
end

local function draw()
    love.graphics.origin()
    love.graphics.clear(0.05, 0.05, 0.08)
    scene.draw(game.state, game.world, draw_over)
    love.graphics.present()
end

local function stop()
    if times.file then times.file:close() end
    game:close()
end

-- ---- keys ---------------------------------------------------------------------------------------------------

local function pause()
    mode, menu, selected = "pause", screens.menu(true, true), 1
end

local function choose()
    local entry = menu[selected]
    if entry.choice then
        settings.turn(sarsen, game.store, current, entry.choice)
        if entry.choice.key == "zoom" then
            local zoom = tonumber(current.zoom)
            love.window.setMode(scene.WIDTH * zoom, scene.HEIGHT * zoom)
        end
    elseif entry.action == "quit" then
        love.event.quit()
    else
        if entry.action == "new" then game:begin(os.time() % 100000) end
        mode = "play"
    end
end

local function in_menu(what)
    if what == "up" then selected = (selected - 2) % #menu + 1 end
    if what == "down" then selected = selected % #menu + 1 end
    if what == "choose" then choose() end
    if what == "leave" and mode == "pause" then mode = "play" end
end

local menu_keys = {
    up = "up", w = "up", down = "down", s = "down", ["return"] = "choose", space = "choose", escape = "leave",
}
local menu_pads = {dpup = "up", dpdown = "down", a = "choose", start = "leave", b = "leave"}

function love.keypressed(key)
    if options.bot then return end
    if mode ~= "play" then return in_menu(menu_keys[key]) end
    if key == "escape" or key == "p" then return pause() end
    if key == "g" then return settings.turn(sarsen, game.store, current, settings.choices[2]) end
    input.key_went_down(key)
end

function love.gamepadpressed(_, button)
    if options.bot then return end
    if mode ~= "play" then return in_menu(menu_pads[button]) end
    if button == "start" then return pause() end
    input.pad_went_down(button)
end

function love.focus(has_focus)
    if not has_focus and mode == "play" and not options.bot then pause() end
end

-- ---- the loop -----------------------------------------------------------------------------------------------

local function take_screenshot()
    love.graphics.captureScreenshot(function(picture)
        local file = assert(io.open(options.screenshot, "wb"))
        file:write(picture:encode("png"):getString())
        file:close()
    end)
    draw()
end

-- As fast as it goes; drawn now and then if there is a window.
local function bot_turn()
    local start_us = clock.now()
    play_frame()
    if scene and played % DRAW_EVERY == 0 then draw() end
    times:add(game.spent, clock.now() - start_us)
    if options.frames and game.next >= options.frames then
        if options.screenshot then take_screenshot() end
        stop()
        report.send(options.report, report.DONE, game.next - 1)
        return 0
    end
end

local late = 0

-- As many frames as time has passed for, at most four at once: after a hitch the game goes on a little later instead.
local function turn()
    late = math.min(late + love.timer.step(), 4 * FRAME_SECONDS)
    local start_us = clock.now()
    local is_due = late >= FRAME_SECONDS
    while late >= FRAME_SECONDS do
        late = late - FRAME_SECONDS
        if mode == "play" then play_frame() end
    end
    draw()
    if is_due and mode == "play" then times:add(game.spent, clock.now() - start_us) end
    love.timer.sleep(0.001)
end

function love.run()
    start()
    love.timer.step()
    return function()
        love.event.pump()
        for name, a, b, c in love.event.poll() do
            if name == "quit" then
                stop()
                return 0
            end
            love.handlers[name](a, b, c)
        end
        if options.bot then return bot_turn() end
        return turn()
    end
end
