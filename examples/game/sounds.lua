-- Five short sounds, made of square waves when the game starts. What is heard follows from how the state changed.
local sounds = {}
local made = {}
local last = {}

local RATE = 22050

-- From `from` to `to` hertz within `seconds`, fading.
local function tone(from, to, seconds)
    local count = math.floor(RATE * seconds)
    local data = love.sound.newSoundData(count, RATE, 16, 1)
    local phase = 0
    for i = 0, count - 1 do
        phase = phase + (from + (to - from) * i / count) / RATE
        data:setSample(i, (phase % 1 < 0.5 and 0.15 or -0.15) * (1 - i / count))
    end
    return love.audio.newSource(data)
end

function sounds.load()
    made = {
        jump = tone(280, 520, 0.12), gem = tone(880, 1320, 0.14), stone = tone(160, 70, 0.10),
        talk = tone(420, 460, 0.08), hurt = tone(300, 90, 0.30),
    }
end

local function play(name)
    made[name]:stop()
    made[name]:play()
end

function sounds.follow(state, is_on)
    if is_on and last.frame then
        if state.vy < -1200 and last.vy > -1200 then play("jump") end
        if state.gems > last.gems then play("gem") end
        if state.stones ~= last.stones then play("stone") end
        if state.talk_left > last.talk_left then play("talk") end
        if state.hurt > last.hurt then play("hurt") end
    end
    for _, name in ipairs({"frame", "vy", "gems", "stones", "talk_left", "hurt"}) do last[name] = state[name] end
end

return sounds
