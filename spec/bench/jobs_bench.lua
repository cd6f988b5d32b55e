-- jobs_bench.lua - the whole way of the product's main job, and what an idle host costs.
--
-- 48 views of 6 characters through the queue (Blender on two cores, same job, measured on 2026-11-20: Workbench 21.7 s, EEVEE with 16
-- samples 128 s), empty jobs a second with 8 submitters, durable steps a second with 8 jobs, start-up and resident memory of an idle
-- host. Prints a table and writes build/bench/jobs.json.
local fiber, json, time = require "fiber", require "json", require "time"
local support = require "spec.e2e.support"

local blender_workbench_s, blender_eevee_s = 21.7, 128
local assets = os.getenv "STANCE_ASSETS" or "../shared/assets"

local workflows = {
  empty = [[
local t = require "stance.schema"
return { name = "empty", version = 1, params = t.object {}, run = function() end }]],
  steps = [[
local t = require "stance.schema"
return { name = "steps", version = 1, params = t.object { n = t.integer {} },
  run = function(job, p) for i = 1, p.n do job:step("s", function() return i end) end end }]],
}

local results = {}

local function report(name, value, unit, note)
  results[#results + 1] = { name = name, value = value, unit = unit, note = note }
  print(("%-44s %10.2f %-8s %s"):format(name, value, unit, note or ""))
end

local function resident_mb(pid)
  local text = assert(io.open(("/proc/%d/status"):format(pid))):read "*a"
  return tonumber(text:match "VmRSS:%s*(%d+)") / 1024
end

local function characters()
  local list = {}
  for path in support.shell(("ls -d %s/characters/* 2>/dev/null | sort | head -6"):format(assets)):gmatch "[^\n]+" do
    list[#list + 1] = support.shell("realpath " .. path)
  end
  while #list < 6 do list[#list + 1] = "mannequin" end
  return list
end

local function cpu_seconds(pids)
  local ticks = 0
  for _, pid in ipairs(pids) do
    local text = assert(io.open(("/proc/%d/stat"):format(pid))):read "*a"
    local fields = {}
    for field in text:match "%) (.*)":gmatch "%S+" do fields[#fields + 1] = field end
    ticks = ticks + fields[12] + fields[13]
  end
  return ticks / 100
end

local function bench_views(host)
  local list = characters()
  host:wait(host:submit("render", { characters = { "mannequin" }, contact_sheet = false }), 120) -- code and caches are warm
  local pids = host:worker_pids()
  pids[#pids + 1] = host.pid
  local cpu, began = cpu_seconds(pids), time.monotonic()
  local job = host:wait(host:submit("render", { characters = list }), 300)
  local wall = time.monotonic() - began
  assert(job.status == "completed" and job.result.images == 48, json.encode(job))
  report("48 views of 6 characters, wall", wall, "s", ("%.0fx Blender Workbench, %.0fx EEVEE 16"):format(blender_workbench_s / wall,
    blender_eevee_s / wall))
  report("48 views of 6 characters, CPU", cpu_seconds(pids) - cpu, "s")
end

--- Calls fn(i) for 1..count in `width` fibers; returns seconds and the sorted latencies.
local function spread(count, width, fn)
  local taken, latencies, fibers, began = 0, {}, {}, time.monotonic()
  for k = 1, width do
    fibers[k] = fiber.spawn(function()
      while taken < count do
        taken = taken + 1
        local start = time.monotonic()
        fn(taken)
        latencies[#latencies + 1] = time.monotonic() - start
      end
    end)
  end
  for _, one in ipairs(fibers) do assert(one:join()) end
  table.sort(latencies)
  return time.monotonic() - began, latencies
end

local function bench_queue(host)
  local count, last = 2000, nil
  local began = time.monotonic()
  local _, latencies = spread(count, 8, function() last = host:submit "empty" end)
  host:wait(last, 60)
  support.eventually("all empty jobs", 60, function()
    local _, status = host:get "/api/status"
    return status.jobs.pending + status.jobs.processing == 0
  end)
  report("empty jobs, submit to complete", count / (time.monotonic() - began), "jobs/s", "8 submitters, fsynced")
  report("submit, p50", latencies[math.floor(#latencies / 2)] * 1000, "ms")
  report("submit, p99", latencies[math.floor(#latencies * 0.99)] * 1000, "ms")
  local steps, ids = 1000, {}
  began = time.monotonic()
  for i = 1, 8 do ids[i] = host:submit("steps", { n = steps }) end
  for _, id in ipairs(ids) do assert(host:wait(id, 60).status == "completed") end
  report("durable steps, 8 jobs at once", 8 * steps / (time.monotonic() - began), "steps/s", "fsynced groups")
end

local began = time.monotonic()
local host = support.host { workflows = workflows, flags = "--workers 2 --log-level error" }
report("start of a host, until it answers", (time.monotonic() - began) * 1000, "ms", "looked at every 20 ms")
fiber.sleep(1)
report("idle host, resident", resident_mb(host.pid), "MB")
report("idle worker, resident", resident_mb(host:worker_pids()[1]), "MB")
bench_views(host)
bench_queue(host)
report("host after the load, resident", resident_mb(host.pid), "MB")
host:stop()

support.write("build/bench/jobs.json", json.encode { results = results,
  blender = { workbench_s = blender_workbench_s, eevee16_s = blender_eevee_s } })
