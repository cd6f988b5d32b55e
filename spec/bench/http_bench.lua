-- http_bench.lua - what a request costs: a handler that answers a small JSON, beside other servers that answer the same.
--
-- Server and load have a core each; wrk holds 64 connections, then again with 8,000 idle ones attached. Of each figure the best round
-- counts. Aim for ours: at most 8 us, p99 under 1 ms, and at most 1.3 times that with the idle ones. Then what
-- routing and a body with a schema add. Prints a table and writes build/bench/http.json.
local json = require "json"
local peers = require "spec.bench.peers"

local connections, idle_connections, seconds, rounds, idle_rounds = 64, 8000, 2, 3, 2
local results = {}

local function report(entry, floor)
  results[#results + 1] = entry
  entry.ratio = floor and entry.cpu_us / floor.cpu_us
  print(("%-40s %8.0f /s %7.2f us CPU  p50 %5.0f us  p99 %6.0f us%s"):format(entry.name, entry.per_second, entry.cpu_us, entry.p50_us,
    entry.p99_us, entry.ratio and ("  %.2fx floor"):format(entry.ratio) or ""))
end

--- The best of each figure: noise only adds.
local function best_of(a, b)
  if not a then return b end
  return { per_second = math.max(a.per_second, b.per_second), cpu_us = math.min(a.cpu_us, b.cpu_us), p50_us = math.min(a.p50_us, b.p50_us),
    p99_us = math.min(a.p99_us, b.p99_us) }
end

--- Rounds turn about, so that a busy minute of the machine meets all.
local function compare(list)
  local best, servers = {}, {}
  for i, peer in ipairs(list) do servers[i] = peers.start(peer) end
  for _ = 1, rounds do
    for i, server in ipairs(servers) do best[i] = best_of(best[i], server:load(connections, seconds)) end
  end
  for i, peer in ipairs(list) do
    best[i].name = peer.title
    report(best[i], best[1])
  end
  print(("with %d idle connections attached"):format(idle_connections))
  local floor
  for i, peer in ipairs(list) do
    local release = servers[i]:hold("idle", idle_connections)
    local entry
    for _ = 1, idle_rounds do entry = best_of(entry, servers[i]:load(connections, seconds)) end
    release()
    servers[i]:stop()
    entry.name, floor = peer.title .. ", idle attached", floor or entry
    report(entry, floor)
    if peer.name == "stance" then print(("%-40s %.2f times without"):format("", entry.cpu_us / best[i].cpu_us)) end
  end
end

local function bench(title, command, requests)
  local server, best = peers.start { name = title, title = title, command = command }, {}
  for _ = 1, rounds do
    for i, request in ipairs(requests) do best[i] = best_of(best[i], server:load(connections, seconds, request.script, request.path)) end
  end
  server:stop()
  for i, request in ipairs(requests) do
    best[i].name = request.name
    report(best[i], results[1])
  end
end

local function bench_ours()
  local post = [[wrk.method = "POST" wrk.body = '{"name":"x","size":[512,512]}' wrk.headers["Content-Type"] = "application/json"]]
  bench("router", "build/stance-spec --script spec/bench/peers/router.lua PORT", {
    { name = "stance, router, path and query", path = "things/17?limit=3" },
    { name = "stance, router, JSON body with schema", path = "things", script = post },
  })
  bench("serve", "build/stance serve --workers 0 --listen 127.0.0.1:PORT --data $(mktemp -d) --log-level error", {
    { name = "stance serve, /health", path = "health" },
  })
end

if not peers.ready "http" then return end
compare(peers.present())
bench_ours()
peers.write("build/bench/http.json", json.encode { results = results, connections = connections, idle = idle_connections })
