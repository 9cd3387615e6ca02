-- wrk's script for GET of random properties, or of one plain path.

local settings = dofile(os.getenv("BENCH_SETTINGS"))
local requests = {}
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init()
  math.randomseed(settings.seed + number)
  local first = settings.path and 0 or settings.first
  for index = 0, settings.path and 0 or settings.count - 1 do
    local path = settings.path or "/us/properties/" .. (first + index)
    table.insert(requests, wrk.format("GET", path))
  end
end

function request()
  return requests[math.random(#requests)]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  local file = assert(io.open(settings.result, "w"))
  file:write(string.format(
    '{"ok":%d,"errors":%d,"seconds":%f,"p50Ms":%f,"p99Ms":%f}',
    summary.requests - errors.status, failed,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
  file:close()
end
