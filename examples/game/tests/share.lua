-- The store's share of a frame, from the file that the game wrote with --times: reads, commit and upkeep, microseconds.
--
--   luajit tests/share.lua FILE FRAMES [MOST_US]    fails where p99.9 of their sum is above MOST_US
local name, frames, most = arg[1], tonumber(arg[2]), tonumber(arg[3])

-- What so large a share of a sorted list is at or below.
local function at(list, share)
    return list[math.ceil(#list * share)]
end

local function is_above(list, limit)
    return at(list, 0.999) > limit
end

-- The control: two slow frames of a thousand are too many, one is not.
local few, many = {}, {}
for i = 1, 1000 do few[i], many[i] = i == 1000 and 1001 or 1, i >= 999 and 1001 or 1 end
assert(is_above(many, 1000) and not is_above(few, 1000), "the control was not noticed")

local columns = {{title = "reads"}, {title = "commit"}, {title = "maintain"}, {title = "all of it"}}
for line in io.lines(name) do
    local sum, place = 0, 1
    for number in line:gmatch("[%d.]+") do
        local value = tonumber(number)
        table.insert(columns[place], value)
        sum, place = sum + value, place + 1
    end
    assert(place == 4, "a line of another form: " .. line)
    table.insert(columns[4], sum)
end
assert(#columns[4] == frames - 1, #columns[4] .. " frames were measured")

local load_file = io.open("/proc/loadavg")
local load_average = load_file and load_file:read("*l"):match("^%S+") or "unknown"
print(("%d frames, microseconds; load average %s"):format(frames, load_average))
print(("%-10s %9s %9s %9s %9s %9s %9s"):format("", "mean", "p50", "p99", "p99.9", "most", "above 1 ms"))
for _, list in ipairs(columns) do
    local sum, slow = 0, 0
    for _, value in ipairs(list) do
        sum = sum + value
        if value > 1000 then slow = slow + 1 end
    end
    table.sort(list)
    print(("%-10s %9.1f %9.1f %9.1f %9.1f %9.1f %9d"):format(list.title, sum / #list, at(list, 0.5), at(list, 0.99),
                                                           at(list, 0.999), list[#list], slow))
end
if most and is_above(columns[4], most) then
    print(("p99.9 is above %d us"):format(most))
    os.exit(1)
end
