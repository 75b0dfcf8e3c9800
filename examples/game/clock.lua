-- Microseconds of a clock that only goes forward.
local ffi = require("ffi")

ffi.cdef([[
typedef struct { long seconds, nanoseconds; } game_time;
int clock_gettime(int clock, game_time *out);
]])
local MONOTONIC = 1
local time = ffi.new("game_time")
local C = ffi.C

local clock = {}

function clock.now()
    C.clock_gettime(MONOTONIC, time)
    return tonumber(time.seconds) * 1e6 + tonumber(time.nanoseconds) / 1e3
end

return clock
