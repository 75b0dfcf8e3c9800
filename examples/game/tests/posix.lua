-- Child processes for the tests: started with a pipe for their reports, read without waiting for more, killed.
local ffi = require("ffi")

ffi.cdef([[
typedef struct { int descriptor; short events, returned; } test_poll;
typedef struct { long seconds, nanoseconds; } test_time;
typedef struct { uint32_t what, frame; int32_t digest, unused; } test_report;
int fork(void);
int execvp(const char *file, char *const *arguments);
void _exit(int status);
int pipe(int *ends);
int dup2(int from, int to);
int close(int descriptor);
int fcntl(int descriptor, int command, ...);
ssize_t read(int descriptor, void *buffer, size_t len);
int poll(test_poll *descriptors, unsigned long count, int timeout_ms);
int kill(int process, int signal);
int waitpid(int process, int *status, int options);
int clock_gettime(int clock, test_time *out);
]])
local C = ffi.C
local SIGKILL, POLLIN, F_SETFD, FD_CLOEXEC = 9, 1, 2, 1
local REPORT_DESCRIPTOR = 3

local posix = {REPORT_DESCRIPTOR = REPORT_DESCRIPTOR, RESUMED = 1, COMMITTED = 2, DONE = 3}

function posix.now_us()
    local time = ffi.new("test_time")
    C.clock_gettime(1, time)
    return tonumber(time.seconds) * 1e6 + tonumber(time.nanoseconds) / 1e3
end

local Child = {}
Child.__index = Child

-- Starts a program; what it writes to descriptor 3 is what next() returns.
function posix.start(arguments)
    local list = ffi.new("const char *[?]", #arguments + 1)
    for place, argument in ipairs(arguments) do list[place - 1] = argument end
    local ends = ffi.new("int[2]")
    assert(C.pipe(ends) == 0)
    io.stdout:flush()
    local process = C.fork()
    assert(process >= 0)
    if process == 0 then
        -- The reading end may be descriptor 3 itself: then this closes it.
        if ends[1] ~= REPORT_DESCRIPTOR then
            C.dup2(ends[1], REPORT_DESCRIPTOR)
            C.close(ends[1])
        end
        if ends[0] ~= REPORT_DESCRIPTOR then C.close(ends[0]) end
        C.execvp(arguments[1], ffi.cast("char *const *", list))
        C._exit(127)
    end
    C.close(ends[1])
    C.fcntl(ends[0], F_SETFD, ffi.cast("int", FD_CLOEXEC))
    return setmetatable({process = process, pipe = ends[0], report = ffi.new("test_report"), got = 0}, Child)
end

-- The next report: what, frame, digest. nil at the end of them, or if none came within `timeout_ms`, where it is given.
function Child:next(timeout_ms)
    local size = ffi.sizeof(self.report)
    while self.got < size do
        if timeout_ms then
            local wanted = ffi.new("test_poll", self.pipe, POLLIN, 0)
            if C.poll(wanted, 1, timeout_ms) == 0 then return nil end
        end
        local count = tonumber(C.read(self.pipe, ffi.cast("uint8_t *", self.report) + self.got, size - self.got))
        assert(count >= 0, "the pipe can't be read")
        if count == 0 then
            self.ended = true
            return nil
        end
        self.got = self.got + count
    end
    self.got = 0
    return self.report.what, self.report.frame, self.report.digest
end

function Child:kill()
    assert(C.kill(self.process, SIGKILL) == 0)
end

-- Returns the exit code, or minus the signal that ended it.
function Child:wait()
    local status = ffi.new("int[1]")
    assert(C.waitpid(self.process, status, 0) == self.process)
    C.close(self.pipe)
    local signal = status[0] % 128
    return signal ~= 0 and -signal or math.floor(status[0] / 256)
end

return posix
