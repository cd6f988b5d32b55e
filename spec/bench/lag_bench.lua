-- lag_bench.lua - whether a host still answers while its workers draw: the turns of its loop, and what a request waits.
--
-- Two workers draw on all cores; meanwhile somebody asks /health every few milliseconds and the host itself measures each turn of its
-- loop (loop_turn_seconds in /metrics). Aim: no turn above 50 ms, no answer later than that. Workers run at the host's own priority: with
-- a lower one (nice, SCHED_BATCH) requests waited as long, since a thread that slept goes first anyhow. Prints a table and writes
-- build/bench/lag.json.
local fiber, json, time = require "fiber", require "json", require "time"
local support = require "spec.e2e.support"

local jobs, angles, every, aim = 4, 90, 0.004, 0.05
local results = {}

local function report(name, value, unit, note)
  results[#results + 1] = { name = name, value = value, unit = unit, note = note }
  print(("%-44s %10.2f %-8s %s"):format(name, value, unit, note or ""))
end

--- -> turns, and how many of them each bucket of the histogram has
local function turns(host)
  local _, text = host:get "/metrics"
  local below, count = {}, tonumber(text:match "\nloop_turn_seconds_count (%d+)")
  for le, value in text:gmatch 'loop_turn_seconds_bucket{le="([%d.]+)"} (%d+)' do below[#below + 1] = { tonumber(le), tonumber(value) } end
  return count, below
end

local function above(count, below, seconds)
  for _, bucket in ipairs(below) do if bucket[1] >= seconds then return count - bucket[2] end end
  return 0
end

local host = support.host { flags = "--workers 2 --log-level error" }
local function draw(count)
  local ids = {}
  for i = 1, count do
    ids[i] = host:submit("render", { characters = { "mannequin" }, angles = angles, size = { 512, 512 }, contact_sheet = false })
  end
  return ids
end
for _, id in ipairs(draw(1)) do host:wait(id, 120) end -- code and caches are warm

local count_before, below_before = turns(host)
local above_before = above(count_before, below_before, aim)
local ids, waits, over = draw(jobs), {}, false
local probe = fiber.spawn(function()
  while not over do
    local began = time.monotonic()
    assert(host:get "/health" == 200)
    waits[#waits + 1] = time.monotonic() - began
    fiber.sleep(every)
  end
end)
local began = time.monotonic()
for _, id in ipairs(ids) do assert(host:wait(id, 300).status == "completed") end
local wall = time.monotonic() - began
over = true
assert(probe:join())
table.sort(waits)
local count, below = turns(host)
host:stop()

report("views drawn meanwhile", jobs * angles / wall, "/s", ("%.1f s"):format(wall))
report("turns of the host's loop", count - count_before, "")
report("turns above 50 ms", above(count, below, aim) - above_before, "", "aim 0")
report("turns above 10 ms", above(count, below, 0.01) - above(count_before, below_before, 0.01), "")
report("a request, p50", waits[math.ceil(#waits * 0.5)] * 1000, "ms")
report("a request, p99", waits[math.ceil(#waits * 0.99)] * 1000, "ms")
report("a request, longest", waits[#waits] * 1000, "ms", "aim 50")
support.write("build/bench/lag.json", json.encode { results = results })
