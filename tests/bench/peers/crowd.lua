-- For wrk: a version of each of BENCH_NAMES in turn, by each of the callers of BENCH_TOKENS in turn: files with one a line.
-- report.lua says what is printed at the end.
local folder = debug.getinfo(1, "S").source:match("^@(.*/)")
dofile(folder .. "report.lua")

local function lines(file)
    local found = {}
    for line in io.lines(file) do
        found[#found + 1] = line
    end
    return found
end

local names, tokens, requests, number = lines(os.getenv("BENCH_NAMES")), lines(os.getenv("BENCH_TOKENS")), {}, 0

-- They are made beforehand: what is measured is not how fast Lua is.
function init(arguments)
    for each = 1, math.max(#names, #tokens) do
        wrk.headers["Authorization"] = "Bearer " .. tokens[(each - 1) % #tokens + 1]
        local path = "/api/2.0/mlflow/model-versions/get?version=1&name=" .. names[(each - 1) % #names + 1]
        requests[each] = wrk.format("GET", path)
    end
end

function request()
    number = number % #requests + 1
    return requests[number]
end
