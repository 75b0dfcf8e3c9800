-- Kills the game at random moments while a bot plays it, starts it again each time, and compares with a run that nobody
-- disturbed: the frame that it resumes at is the last one that was reported as committed, or the one after it whose
-- report the kill cut off; and the digest of state, tiles and memories is the one that the undisturbed run had there.
--
--   luajit tests/kill.lua GAME LIBRARY PLACE KILLS SEED [window]
local posix = require("posix")
local random = require("random")

local game, library, place, kills, seed, window = unpack(arg)
kills, seed = tonumber(kills), tonumber(seed)
local BOT, REFERENCE_FRAMES = 9, 40000
local draw = random.new(seed)

local function start(save, ...)
    local arguments = {"love", game, "--bot", tostring(BOT), "--libsarsen", library, "--save", place .. "/" .. save,
                       "--report", tostring(posix.REPORT_DESCRIPTOR), "--frames", tostring(REFERENCE_FRAMES), ...}
    return posix.start(arguments)
end

-- Digests by frame, from a run from the first to the last frame.
local function undisturbed()
    local digests, child, finished = {}, start("reference", "--digests"), false
    while true do
        local what, frame, digest = child:next()
        if what == posix.DONE then finished = true elseif what then digests[frame] = digest end
        if child.ended then break end
    end
    assert(child:wait() == 0 and finished, "the undisturbed run failed")
    for frame = 0, REFERENCE_FRAMES - 1 do assert(digests[frame], "the undisturbed run has no frame " .. frame) end
    return digests
end

-- What is wrong with how it resumed; nil: nothing.
local function complaint(digests, last, frame, digest)
    if not frame then return "it did not start again" end
    if frame < last then return ("frame %d was committed, it resumed at %d"):format(last, frame) end
    if frame > last + 1 then return ("frame %d was the last one, it resumed at %d"):format(last, frame) end
    if digest ~= digests[frame] then return "the state of frame " .. frame .. " is another one" end
end

-- Starts it, lets it play until `wanted` frames were reported (nil: or until `within_ms` are over), and kills it.
-- Returns the frame and digest that it resumed at, if it told, and the last frame that it reported.
local function play_and_kill(child, wanted, within_ms)
    local resumed, resumed_digest, last, count = nil, nil, nil, 0
    local function take(what, frame, digest)
        if what == posix.RESUMED then resumed, resumed_digest, last = frame, digest, frame end
        if what == posix.COMMITTED then last, count = frame, count + 1 end
        return what
    end
    if wanted then
        while (not resumed or count < wanted) and take(child:next()) do end
        local until_us = posix.now_us() + draw(400)
        while posix.now_us() < until_us do take(child:next(0)) end
    else
        local until_us = posix.now_us() + within_ms * 1000
        while not child.ended and posix.now_us() < until_us do take(child:next(1)) end
    end
    child:kill()
    while take(child:next()) do end
    local code = child:wait()
    return resumed, resumed_digest, last, code
end

local digests = undisturbed()
print(("undisturbed: %d frames"):format(REFERENCE_FRAMES))

-- The controls: the checks above have to notice frames that were not committed, and a state that no input led to.
local expected = {unsaved = {"was committed, it resumed at"}, drift = {"it did not start again", "is another one"}}
for control, words in pairs(expected) do
    local _, _, last = play_and_kill(start(control, "--control", control, "--after", "95"), 115)
    print("control " .. control .. ": an error may follow, which is the point")
    local frame, digest = play_and_kill(start(control), 0)
    local found = complaint(digests, last, frame, digest)
    local is_noticed = false
    for _, text in ipairs(words) do is_noticed = is_noticed or (found or ""):find(text, 1, true) ~= nil end
    assert(is_noticed, ("the control %q was not noticed: %s"):format(control, tostring(found)))
    print(("control %s: noticed, since %s"):format(control, found))
end

-- The last frame that is known to be committed; nil: not even the world is. A save that got to the last frame of the
-- undisturbed run is left for a new one.
local last
local save, saves, early, frames, killed, round = "killed-1", 1, 0, 0, 0, 0

local function fail(words)
    error(("round %d, seed %d: %s"):format(round, seed, words), 0)
end

while killed < kills do
    round = round + 1
    assert(round < 2 * kills + 10, "it hardly ever gets killed")
    local child = start(save, window and round % 10 == 0 and "--window" or nil)
    local frame, digest, reported, code
    if round % 8 == 1 then
        frame, digest, reported, code = play_and_kill(child, nil, draw(120))
    else
        frame, digest, reported, code = play_and_kill(child, draw(3) == 0 and 0 or draw(200))
    end
    if frame then
        local found = complaint(digests, last or frame, frame, digest)
        if found then fail(found) end
        frames = frames + reported - frame
        last = reported
    else
        early = early + 1
    end
    if code == -9 then
        killed = killed + 1
    elseif code == 0 and last == REFERENCE_FRAMES - 1 then
        saves, last = saves + 1, nil
        save = "killed-" .. saves
    else
        fail("it ended by itself with " .. code)
    end
end

local frame, digest = play_and_kill(start(save), 0)
local found = complaint(digests, last or frame, frame, digest)
if found then fail(found) end

local sarsen = require("sarsen").load(library)
local store = sarsen.open(place .. "/" .. save, {background = false})
local findings = store:verify()
assert(#findings == 0, findings[1] and findings[1].what)
store:close()
print(("%d kills within %d frames (%d before it had resumed; %s): no frame was lost, each state as undisturbed")
    :format(killed, frames, early, window and "every tenth with a window" or "no window"))
