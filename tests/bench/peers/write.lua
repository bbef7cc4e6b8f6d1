-- For wrk: a tag for one of many versions in turn, with the caller's token; report.lua says what is printed at the end.
local folder = debug.getinfo(1, "S").source:match("^@(.*/)")
dofile(folder .. "report.lua")
wrk.headers["Content-Type"] = "application/json"
local number = 0

function request()
    number = number + 1
    local body = string.format('{"name":"bench_model_%d","version":"1","key":"k","value":"%d"}', number % 512, number)
    return wrk.format("POST", "/api/2.0/mlflow/model-versions/set-tag", nil, body)
end
