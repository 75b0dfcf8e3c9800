-- Numbers from a seed: new(seed)(n) is one from 0 to n - 1.
local function new(seed)
    local state = seed % 2147483647 + 1
    return function(n)
        state = state * 16807 % 2147483647
        return math.floor(state / 2147483647 * n)
    end
end

return {new = new}
