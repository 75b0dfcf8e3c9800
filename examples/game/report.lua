-- Tells whoever started the game how far it is: records of 16 bytes through a pipe, each in one write.
local ffi = require("ffi")

ffi.cdef([[
typedef struct { uint32_t what, frame; int32_t digest, unused; } game_report;
ssize_t write(int descriptor, const void *data, size_t len);
]])

local report = {RESUMED = 1, COMMITTED = 2, DONE = 3}
local message = ffi.new("game_report")

function report.send(descriptor, what, frame, digest)
    if not descriptor then return end
    message.what, message.frame, message.digest = what, frame, digest or 0
    if ffi.C.write(descriptor, message, ffi.sizeof(message)) ~= ffi.sizeof(message) then
        error("nobody listens to the reports any more", 0)
    end
end

return report
