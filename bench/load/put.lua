-- wrk's script for PUT: every connection is a client that owns properties and knows their versions.
--
-- wrk asks for requests and hands over answers a thread at a time, without naming the connection. So a request takes a
-- free client of the thread, and the client's number comes back at the end of the echoed X-Request-ID. The rest of
-- that id is random, as a UUID is: claims are inserted all over their index, and not at its end.

local settings = dofile(os.getenv("BENCH_SETTINGS"))
local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

-- Client k's properties: one for each step of `stride`; all clients share `hot` properties if that is given.
local function propertiesOf(client)
  if settings.hot then return { settings.first + client % settings.hot } end
  local ids = {}
  for id = settings.first + client, settings.first + settings.count - 1, settings.connections do
    table.insert(ids, id)
  end
  return ids
end

function init()
  math.randomseed(settings.seed + number * 2 ^ 32)
  clients, free, acknowledged = {}, {}, {}
  counts = { sent = 0, ok = 0, refused = 0, busy = 0, other = 0, wrong = 0 }
  for client = number, settings.connections - 1, settings.threads do
    local ids = propertiesOf(client)
    clients[client] = { number = client, ids = ids, at = math.random(#ids), versions = {} }
    table.insert(free, client)
  end
  host = wrk.host .. ":" .. wrk.port
end

if settings.pauseMs then
  function delay()
    return math.random() * 2 * settings.pauseMs
  end
end

function request()
  -- wrk asks the first thread for one request that it does not send.
  if number == 0 and not asked then
    asked = true
    return "GET /health HTTP/1.1\r\nHost: " .. host .. "\r\n\r\n"
  end
  local client = clients[table.remove(free, 1)]
  if not client then return "GET /health HTTP/1.1\r\nHost: " .. host .. "\r\n\r\n" end
  client.at = settings.random and math.random(#client.ids) or client.at % #client.ids + 1
  local id = client.ids[client.at]
  client.id, client.version = id, client.versions[id] or settings.versions[id] or 1
  counts.sent = counts.sent + 1
  local body = string.format('{"price":%d,"version":%d}', math.random(100000, 9999999), client.version)
  return string.format(
    "PUT /us/properties/%d HTTP/1.1\r\nHost: %s\r\nX-Request-ID: %016.0f-%d\r\n" ..
      "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
    id, host, math.random() * 1e16, client.number, #body, body)
end

function response(status, headers, body)
  local client = clients[tonumber(string.match(headers["X-Request-ID"] or "", "-(%d+)$"))]
  if not client then counts.other = counts.other + 1 return end
  local id = client.id
  if status == 200 or status == 409 then
    local version = tonumber(string.match(body, '"version":(%d+)'))
    if status == 200 then
      counts.ok = counts.ok + 1
      acknowledged[id] = (acknowledged[id] or 0) + 1
      if version ~= client.version + 1 then counts.wrong = counts.wrong + 1 end
    else
      counts.refused = counts.refused + 1
    end
    client.versions[id] = version
  elseif status == 429 or status == 503 or (status == 422 and string.find(body, "duplicate_request", 1, true)) then
    counts.busy = counts.busy + 1
  else
    counts.other = counts.other + 1
  end
  table.insert(free, client.number)
end

function done(summary, latency)
  local total = { sent = 0, ok = 0, refused = 0, busy = 0, other = 0, wrong = 0 }
  local perProperty = {}
  for _, thread in ipairs(threads) do
    for name, count in pairs(thread:get("counts")) do total[name] = total[name] + count end
    for id, count in pairs(thread:get("acknowledged")) do perProperty[id] = (perProperty[id] or 0) + count end
  end
  local pairsOf = {}
  for id, count in pairs(perProperty) do table.insert(pairsOf, string.format("[%d,%d]", id, count)) end
  local errors = summary.errors
  local file = assert(io.open(settings.result, "w"))
  file:write(string.format(
    '{"sent":%d,"ok":%d,"refused":%d,"busy":%d,"other":%d,"wrong":%d,"errors":%d,"seconds":%f,"p50Ms":%f,"p99Ms":%f,"acknowledged":[%s]}',
    total.sent, total.ok, total.refused, total.busy, total.other, total.wrong,
    errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, table.concat(pairsOf, ",")))
  file:close()
end
