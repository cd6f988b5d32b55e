-- ws_bench.lua - WebSocket fan-out: 4 KB to 100 clients, CPU microseconds of the server for each delivery.
--
-- The clients ask for a burst, and for the next one when all have theirs; so nobody is overrun. Bursts of one message tell what a
-- delivery costs, of four what is left of that when what waits goes out together. Of each server the cheapest round counts. Aim for
-- ours (ws.group): at most 3, and with four 2.3. Prints a table and writes build/bench/ws.json.
local json = require "json"
local peers = require "spec.bench.peers"

local clients, size, messages, rounds = 100, 4096, 400, 4
local results = {}

--- -> CPU microseconds a delivery
local function fan_out(server, burst)
  local text = peers.output(("taskset -c 1 build/bench/clients fan-out %d %d %d %d %d %d"):format(server.port, server.pid, clients,
    messages / burst, burst, size))
  return assert(tonumber(text), text) / messages / clients * 1e6
end

if not peers.ready "ws" then return end
for _, burst in ipairs { 1, 4 } do
  local list, servers, best = peers.present(true), {}, {}
  for i, peer in ipairs(list) do servers[i] = peers.start(peer) end
  for _ = 1, rounds do -- turn about, so that a busy minute of the machine meets all
    for i, server in ipairs(servers) do best[i] = math.min(best[i] or math.huge, fan_out(server, burst)) end
  end
  for i, peer in ipairs(list) do
    servers[i]:stop()
    results[#results + 1] = { name = peer.title, burst = burst, cpu_us = best[i], ratio = best[i] / best[1] }
    print(("fan-out, %d at once, %-32s %6.2f us CPU a delivery  %.2fx floor"):format(burst, peer.title, best[i], best[i] / best[1]))
  end
end
peers.write("build/bench/ws.json", json.encode { results = results, clients = clients, size = size })
