-- http_bench.lua - what a request costs the host: CPU microseconds of the server, by wrk with one thread and 64 connections.
--
-- A handler that answers a small JSON: bare, through the router, with a body checked by a schema; and a WebSocket echo. Aim: 8-9 us for
-- the bare handler (facts of peers: libwebsockets alone 6.4-7.5, nginx with Lua 7.1, node 12.5). Prints a table and writes
-- build/bench/http.json. Wants `wrk` and `taskset`; says so and ends when there are none.
local fiber, http, json = require "fiber", require "http", require "json"
local router, t, ws = require "stance.http", require "stance.schema", require "ws"

local seconds, connections = 4, 64
local results = {}

local function run(command) return os.execute(command .. " >/dev/null 2>&1") == 0 end

local function read_file(path)
  local file = io.open(path)
  if not file then return "" end
  local text = file:read "*a"
  file:close()
  return text
end

local function resident_mb() return tonumber(read_file "/proc/self/status":match "VmRSS:%s*(%d+)") / 1024 end

local function report(name, entry)
  entry.name = name
  results[#results + 1] = entry
  print(("%-34s %9.0f /s %7.2f us CPU %9s p50 %9s p99"):format(name, entry.per_second, entry.cpu_us, entry.p50 or "-", entry.p99 or "-"))
end

--- wrk in the background, so that the loop turns; its own CPU is not counted.
local function load_with(url, script)
  local out, lua = os.tmpname(), os.tmpname()
  local file = assert(io.open(lua, "w"))
  file:write(script or "")
  file:close()
  local before = os.clock()
  os.execute(("taskset -c 1 wrk -t1 -c%d -d%d --latency -s %s %s >%s 2>&1 &"):format(connections, seconds, lua, url, out))
  local text
  repeat
    fiber.sleep(0.25)
    text = read_file(out)
  until text:find("Requests/sec", 1, true) or text:find("unable", 1, true)
  local cpu = os.clock() - before
  os.remove(out)
  os.remove(lua)
  local count = assert(tonumber(text:match "(%d+) requests in"), text)
  assert(not text:find "Non%-2xx", text)
  return { per_second = tonumber(text:match "Requests/sec:%s*([%d.]+)"), cpu_us = cpu / count * 1e6, p50 = text:match "\n%s+50%%%s+(%S+)",
    p99 = text:match "\n%s+99%%%s+(%S+)" }
end

local function bench_handlers()
  local server = assert(http.serve { listen = "127.0.0.1:0", request_limit = 1e9,
    handler = function() return 200, { status = "ok", n = 17 } end })
  report("handler, small JSON", load_with(server:url()))
  server:close()

  local route = router.new()
  route.get "/api/things/:id" { query = t.object { limit = t.integer { default = 50 } },
    handler = function(request) return 200, { id = request.params.id, limit = request.query.limit } end }
  route.post "/api/things" { body = t.object { name = t.string, size = t.size },
    handler = function(request) return 201, { name = request.body.name } end }
  server = assert(http.serve { listen = "127.0.0.1:0", request_limit = 1e9, handler = route:handler() })
  report("router, path and query", load_with(server:url() .. "/api/things/17?limit=3"))
  report("router, JSON body with schema", load_with(server:url() .. "/api/things",
    [[wrk.method = "POST" wrk.body = '{"name":"x","size":[512,512]}' wrk.headers["Content-Type"] = "application/json"]]))
  server:close()
end

local function bench_idle()
  local server = assert(http.serve { listen = "127.0.0.1:0", request_limit = 1e9, connection_limit = 4000, idle_timeout = 600,
    handler = function() return 200, { status = "ok", n = 17 } end })
  local idle = os.tmpname()
  local file = assert(io.open(idle, "w"))
  file:write "function delay() return 100000 end"
  file:close()
  os.execute(("taskset -c 1 wrk -t1 -c2000 -d%d -s %s %s >/dev/null 2>&1 &"):format(seconds + 3, idle, server:url()))
  repeat fiber.sleep(0.1) until server:connections() >= 2000
  report("with 2,000 idle connections", load_with(server:url()))
  server:close()
  os.remove(idle)
end

local function bench_websocket()
  local count = 20000
  local server = assert(http.serve { listen = "127.0.0.1:0", handler = function(request)
    local socket = assert(request:upgrade())
    while true do
      local message = socket:receive()
      if not message then return end
      socket:send(message)
    end
  end })
  local socket = assert(ws.connect("ws://" .. server:address()))
  local began = os.clock()
  for _ = 1, count / 10 do
    for _ = 1, 10 do socket:send "0123456789" end
    for _ = 1, 10 do assert(socket:receive(5)) end
  end
  local cpu = os.clock() - began
  report("WebSocket echo, both sides", { per_second = count / cpu, cpu_us = cpu / count * 1e6 })
  socket:close()
  server:close()
end

if not (run "command -v wrk" and run "command -v taskset") then
  print "http: skipped, wrk or taskset is not installed"
  return
end
run "taskset -apc 0 $PPID"
bench_handlers()
bench_idle()
bench_websocket()
print(("resident memory %.1f MB"):format(resident_mb()))
os.execute "mkdir -p build/bench"
local file = assert(io.open("build/bench/http.json", "w"))
file:write(json.encode { results = results, resident_mb = resident_mb() }, "\n")
file:close()
