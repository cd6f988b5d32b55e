-- reload_bench.lua - how long a change of scripts takes with 200 scripts in the workspace, and how long nothing else is answered.
--
-- A real host with one worker and no watch. Each round changes one workflow and asks `POST /api/reload`; the answer comes when the new
-- generation is active. The floor is what its parts cost by themselves: a process that is started, and the texts parsed once in each of
-- the two VMs (the trial's and the host's). The loop's longest turn is read from /metrics. Writes build/bench/reload.json.
local json, time = require "json", require "time"
local support = require "spec.e2e.support"

local rounds = tonumber(os.getenv "STANCE_BENCH_ROUNDS" or 15)
local scripts = 200

local results = {}

local function report(name, value, unit)
  results[#results + 1] = { name = name, value = value, unit = unit }
  print(("%-52s %12.2f %s"):format(name, value, unit))
end

--- A workflow of an ordinary size: some helpers, a schema, a few steps.
local function workflow(name, answer)
  local lines = { 'local t, json = require "stance.schema", require "json"' }
  for i = 1, 20 do
    lines[#lines + 1] = ("local function helper%d(a, b)\n  local sum = {}\n"):format(i)
      .. ("  for k, v in pairs(a) do sum[k] = v + b[k] * %d end\n  return sum\nend"):format(i)
  end
  lines[#lines + 1] = ([[return { name = "%s", version = 1, params = t.object { n = t.integer { default = 3, doc = "steps" } },
    run = function(job, p)
      for i = 1, p.n do job:step("s" .. i, function() return json.encode(helper1({}, {})) end) end
      return "%s"
    end }]]):format(name, answer)
  return table.concat(lines, "\n") .. "\n"
end

local function median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)], list[#list]
end

local function timed(fn)
  local start = time.monotonic()
  fn()
  return (time.monotonic() - start) * 1000
end

local texts = {}
for i = 1, scripts do texts["w" .. i] = workflow("w" .. i, "0") end
local host = support.host { workflows = texts, flags = "--workers 1 --no-watch" }

local took = {}
for round = 1, rounds do
  support.write(host.folder .. "/scripts/workflows/w7.lua", workflow("w7", tostring(round)))
  support.shell "sleep 0.1" -- what was touched just now would be waited for
  took[round] = timed(function() assert(host:post "/api/reload" == 200) end)
end
local unchanged = {}
for round = 1, rounds do unchanged[round] = timed(function() assert(host:post "/api/reload" == 200) end) end
local metrics = select(2, host:get "/metrics")
local turns, last = {}, nil
for le, count in metrics:gmatch 'loop_turn_seconds_bucket{[^}]-le="([^"]+)"} (%d+)' do turns[#turns + 1] = { le, tonumber(count) } end
for _, turn in ipairs(turns) do
  if turn[2] < turns[#turns][2] then last = turn[1] end
end
host:stop()

local process = {}
for round = 1, 5 do process[round] = timed(function() support.shell(support.binary .. " version") end) end
local parse = {}
for round = 1, 5 do
  parse[round] = timed(function() for _, text in pairs(texts) do assert(loadstring(text)) end end)
end

local half, worst = median(took)
local floor = median(process) + 2 * median(parse)
print(("-- reload with %d scripts in the workspace (%d rounds)"):format(scripts, rounds))
report("reload, one script changed, median", half, "ms")
report("reload, one script changed, worst", worst, "ms")
report("reload, nothing changed, median", (median(unchanged)), "ms")
report("floor: a process, and the texts parsed twice", floor, "ms")
report("times the floor", half / floor, "x")
if last then report("the longest turn of the loop was over", tonumber(last) * 1000, "ms") end

support.shell "mkdir -p build/bench"
support.write("build/bench/reload.json", json.encode(results) .. "\n")
