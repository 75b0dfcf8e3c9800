-- sarsen.lua against the header and the library, from plain luajit: each declaration is the header's, each struct and
-- constant is what c_tests/layout.txt says, errors are Lua errors, handles outlive what they came from, and a frame's
-- batch makes no garbage.
--
--   luajit tests/binding.lua LIBRARY HEADER LAYOUT PLACE
local ffi = require("ffi")
local binding = require("sarsen")

local library, header_path, layout_path, place = unpack(arg)

local function read(path)
    local file = assert(io.open(path))
    local text = file:read("*a")
    file:close()
    return text
end

-- Runs what is said to fail, and returns its error.
local function failure(words, f, ...)
    local ok, found = pcall(f, ...)
    assert(not ok, words .. ": no error")
    return found
end

local checks = {}

local function check(claim, f)
    checks[#checks + 1] = {claim = claim, f = f}
end

-- ---- the header ---------------------------------------------------------------------------------------------

-- Declarations as text without comments and with single spaces, each once.
local function declarations_of(text)
    text = text:gsub("//[^\n]*", ""):gsub("/%*.-%*/", ""):gsub("#[^\n]*", ""):gsub('extern "C" {', "")
    text = text:gsub("%s+", " "):gsub(" ?([(){},;*]) ?", "%1"):gsub("^ ", "")
    local found, depth, start = {}, 0, 1
    for at = 1, #text do
        local letter = text:sub(at, at)
        if letter == "{" then depth = depth + 1 end
        if letter == "}" then depth = depth - 1 end
        if letter == ";" and depth <= 0 then
            found[text:sub(start, at)] = true
            start, depth = at + 1, 0
        end
    end
    return found
end

local function unlike(declarations, header)
    local wanted, list = declarations_of(header), {}
    for one in pairs(declarations_of(declarations)) do
        if not wanted[one] then list[#list + 1] = one end
    end
    return list
end

check("every declaration is one of the header's", function()
    local header = read(header_path)
    local list = unlike(binding.declarations, header)
    assert(#list == 0, table.concat(list, "\n"))
    local count = 0
    for _ in pairs(declarations_of(binding.declarations)) do count = count + 1 end
    assert(count > 60, "only " .. count .. " declarations were compared")
    -- The controls: a type, an argument and a field that are others.
    local controls = {
        ["uint64_t budget_us"] = "uint32_t budget_us", ["size_t tag_len%)"] = "size_t tag_len, int more)",
        ["uint64_t dropped_bytes;"] = "uint32_t dropped_bytes;",
    }
    for from, to in pairs(controls) do
        local changed, times = binding.declarations:gsub(from, to)
        assert(times == 1 and #unlike(changed, header) == 1, "the control was not noticed: " .. to)
    end
end)

-- ---- the library, from here on ------------------------------------------------------------------------------

local sarsen = binding.load(library)

local structs = {"sarsen_view", "sarsen_bytes", "sarsen_recovery"}

local function layout_differences(layout)
    local list, known = {}, {}
    for _, name in ipairs(structs) do known[name] = true end
    local compared = 0
    local function compare(what, wanted, found)
        compared = compared + 1
        if tonumber(wanted) == tonumber(found) then return end
        list[#list + 1] = ("%s: %s, and here %s"):format(what, wanted, found)
    end
    for line in layout:gmatch("[^\n]+") do
        local struct, size = line:match("^([%w_]+): (%d+)$")
        local owner, field, offset = line:match("^([%w_]+)%.([%w_]+): (%d+), %d+$")
        local constant, value = line:match("^SARSEN_([%w_]+) (%d+)$")
        if struct and known[struct] then compare(struct, size, ffi.sizeof(struct)) end
        if owner and known[owner] then compare(owner .. "." .. field, offset, ffi.offsetof(owner, field)) end
        if constant and binding[constant] then compare(constant, value, binding[constant]) end
    end
    return list, compared
end

check("structs and constants are those of the committed layout", function()
    local layout = read(layout_path)
    local list, compared = layout_differences(layout)
    assert(#list == 0, table.concat(list, "\n"))
    local constants = 0
    for _, value in pairs(binding) do
        if type(value) == "number" then constants = constants + 1 end
    end
    assert(compared == constants + #structs + 3 + 2 + 8, compared .. " things were compared")
    for from, to in pairs({["sarsen_view.len: 8"] = "sarsen_view.len: 4", ["SARSEN_END 2"] = "SARSEN_END 3"}) do
        assert(#layout_differences((layout:gsub(from, to))) == 1, "the control was not noticed: " .. to)
    end
end)

local function open(name, options)
    return sarsen.open(place .. "/" .. name, options or {background = false})
end

check("what a batch holds is there after its commit, all four kinds", function()
    local store, batch = open("kinds"), sarsen.batch()
    local goblin, awake = sarsen.tags("kind:goblin", "state:awake"), sarsen.tags("kind:goblin")
    assert(goblin:count() == 2 and awake:count() == 1)
    batch:set("theme", "dark"):set("gone", "x"):delete("gone")
    batch:append_stream("input", "left"):append_stream("input", "jump")
    batch:append_memory(7, goblin, "he\0s"):append_memory(9, awake, ""):append_memory(11, nil, "no tags")
    batch:delete_memory(12)
    assert(batch:count() == 9 and batch:commit(store, sarsen.SURVIVE_PROCESS) == 1 and batch:count() == 0)
    assert(store:last_seq() == 1 and store:get("theme") == "dark" and store:get("gone") == nil)
    assert(store:memory(7) == "he\0s" and store:memory(9) == "" and store:memory(8) == nil)
    assert(store:record("input", 1) == "jump" and store:record("input", 2) == nil and store:record("none", 0) == nil)
    local first, next_index = store:bounds("input")
    assert(first == 0 and next_index == 2 and store:bounds("none") == nil)
    local seen = {}
    for index, data, len in store:records("input") do seen[#seen + 1] = index .. ffi.string(data, len) end
    for _ in store:records("none") do error("a stream that is not there has no records") end
    assert(table.concat(seen, ",") == "0left,1jump")
    seen = {}
    for id in store:find(awake, nil, sarsen.tags("state:awake")) do seen[#seen + 1] = id end
    for id in store:find(nil, nil, nil, 8) do seen[#seen + 1] = id end
    for id in store:find(nil, sarsen.tags("state:awake", "state:none")) do seen[#seen + 1] = id end
    assert(table.concat(seen, ",") == "9,9,11,7")
    batch:set("a/1", "x"):set("a/2", "y"):trim_stream("input", 1):commit(store, sarsen.SURVIVE_POWER)
    assert(store:durable_seq() == 2 and store:bounds("input") == 1)
    seen = {}
    for key, value in store:prefix("a/") do seen[#seen + 1] = key .. value end
    for key in store:prefix("a/", true) do seen[#seen + 1] = key end
    assert(table.concat(seen, ",") == "a/1x,a/2y,a/2,a/1")
    assert(#store:verify() == 0 and type(store:maintain(100)) == "boolean")
    store:checkpoint()
    store:sync()
    store:close()
    local again = open("kinds")
    assert(again:recovery().verdict == sarsen.RECOVERY_CLEAN and again:get("theme") == "dark")
    again:close()
end)

check("an error is a Lua error with the library's text", function()
    local store = open("errors")
    local locked = failure("a second writer", open, "errors")
    assert(locked.status == sarsen.LOCKED and locked.name == "SARSEN_LOCKED" and #locked.message > 10)
    assert(tostring(locked) == "SARSEN_LOCKED: " .. locked.message)
    local absent = failure("nothing there", open, "absent", {create = false})
    assert(absent.status == sarsen.NOT_A_STORE)
    assert(failure("a long key", function() sarsen.batch():set(("k"):rep(70000), "") end).status == sarsen.TOO_LARGE)
    assert(failure("an empty tag", function() sarsen.tags("") end).status == sarsen.INVALID_ARGUMENT)
    assert(tostring(failure("an unknown option", open, "errors", {colour = 1})):find("no option colour", 1, true))
    store:close()
    local reader = open("errors", {read_only = true})
    local refused = failure("a reader writes", function() sarsen.batch():set("k", "v"):commit(reader) end)
    assert(refused.status == sarsen.READ_ONLY)
    reader:close()
end)

check("a handle that was freed is an error, not a crash", function()
    local store, batch, tags = open("freed"), sarsen.batch(), sarsen.tags("t")
    batch:set("k", "v"):commit(store)
    local step, loop = store:prefix("k")
    loop:free()
    assert(failure("a freed iterator", step, loop).status == sarsen.INVALID_ARGUMENT)
    tags:free()
    assert(failure("freed tags", function() store:find(tags) end):find("were freed", 1, true))
    batch:free()
    assert(failure("a freed batch", batch.set, batch, "k", "v").status == sarsen.INVALID_ARGUMENT)
    store:close()
    for _, call in ipairs({"close", "free"}) do
        local twice = call == "close" and store or batch
        twice[call](twice) -- again is a no-op
    end
    assert(failure("a closed store", store.get, store, "k").status == sarsen.INVALID_ARGUMENT)
    assert(failure("a closed store", store.maintain, store, 1).status == sarsen.INVALID_ARGUMENT)
end)

check("views, loops and batches outlive their store, and the collector frees what was dropped", function()
    local store = open("outlive")
    sarsen.batch():set("k", ("v"):rep(5000)):append_memory(1, nil, "m"):commit(store)
    local view = store:view_get(sarsen.view(), "k")
    local step, loop = store:find()
    store:close()
    assert(view.len == 5000 and view:string() == ("v"):rep(5000))
    assert(failure("a loop of a closed store", step, loop).status == sarsen.INVALID_ARGUMENT)
    view:release()
    assert(view.len == 0)
    view:release()
    -- A store that was dropped is closed by the collector: else this answered LOCKED.
    for _ = 1, 20 do
        local dropped = open("outlive")
        dropped:view_get(sarsen.view(), "k")
        dropped:find()
        sarsen.batch():set("left", "behind")
        dropped = nil
        collectgarbage()
        collectgarbage()
    end
    open("outlive"):close()
end)

check("a frame's batch makes no garbage", function()
    local store, batch, view = open("garbage"), sarsen.batch(), sarsen.view()
    local record, copy = ffi.new("uint8_t[16]"), ffi.new("uint8_t[16]")
    local function frames(count)
        for _ = 1, count do
            record[0] = (record[0] + 1) % 256
            batch:append_stream("input", record, 16):set("state", record, 16)
            local seq = batch:commit(store, sarsen.SURVIVE_PROCESS)
            ffi.copy(copy, store:view_record(view, "input", seq - 1).data, 16)
            assert(copy[0] == record[0])
            store:maintain(0)
        end
    end
    frames(2000)
    local function made_by(count)
        collectgarbage()
        collectgarbage("stop")
        local before = collectgarbage("count")
        frames(count)
        local made = (collectgarbage("count") - before) * 1024
        collectgarbage("restart")
        return made
    end
    local bytes = made_by(5000)
    assert(bytes / 5000 < 1, ("%.1f bytes a frame"):format(bytes / 5000))
    -- The control: one small string a frame is noticed.
    local plain = frames
    frames = function(count)
        for i = 1, count do
            plain(1)
            record[15] = #("frame " .. i) % 256
        end
    end
    assert(made_by(5000) / 5000 > 1, "the control was not noticed")
    store:close()
end)

for _, one in ipairs(checks) do
    one.f()
    print("ok: " .. one.claim)
end
-- What is still open goes with the process: in whichever order the collector takes it.
left_open = {open("left-open"), sarsen.batch(), sarsen.tags("t"), sarsen.view()}
left_open[1]:find()
