-- For wrk: one GET with the caller's token, if there is one; at the end one line of JSON, times in microseconds.
local token = os.getenv("BENCH_TOKEN")
if token then
    -- A token, or another scheme with what belongs to it.
    wrk.headers["Authorization"] = token:find(" ") and token or "Bearer " .. token
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        'RESULT {"requests":%d,"micros":%d,"p50":%d,"p99":%d,"worst":%d,"refused":%d,"broken":%d,"bytes":%d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
        errors.status, errors.connect + errors.read + errors.write + errors.timeout, summary.bytes))
end
