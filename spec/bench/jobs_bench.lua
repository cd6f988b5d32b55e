-- jobs_bench.lua - the whole way of the product's main job, and what an idle host costs.
--
-- 48 views of 6 characters through the queue (Blender on two cores, same job, measured on 2026-11-20: Workbench 21.7 s, EEVEE with 16
-- samples 128 s), empty jobs a second with 8 submitters, durable steps a second with 8 jobs (each beside bare SQLite in the same run, and
-- beside BullMQ with BENCH_PEERS=1), start-up and resident memory of an idle host. Prints a table and writes build/bench/jobs.json.
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

local jobs_a_round, steps_a_job, rounds = 2000, 500, 3

local function percentile(sorted, share) return sorted[math.max(1, math.ceil(#sorted * share))] end

--- Empty jobs with 8 submitters: jobs/s from the first submission to the last completion, ms of a submission, us of CPU of host and
--- workers a job.
local function round_of_jobs(host, pids)
  local cpu, began, last = cpu_seconds(pids), time.monotonic(), nil
  local _, latencies = spread(jobs_a_round, 8, function() last = host:submit "empty" end)
  host:wait(last, 60)
  support.eventually("all empty jobs", 60, function()
    local _, status = host:get "/api/status"
    return status.jobs.pending + status.jobs.processing == 0
  end)
  return { rate = jobs_a_round / (time.monotonic() - began), p50 = percentile(latencies, 0.5) * 1000,
    p99 = percentile(latencies, 0.99) * 1000, cpu = (cpu_seconds(pids) - cpu) / jobs_a_round * 1e6 }
end

local function round_of_steps(host, pids)
  local cpu, began, ids = cpu_seconds(pids), time.monotonic(), {}
  for i = 1, 8 do ids[i] = host:submit("steps", { n = steps_a_job }) end
  for _, id in ipairs(ids) do assert(host:wait(id, 60).status == "completed") end
  local count = 8 * steps_a_job
  return { rate = count / (time.monotonic() - began), cpu = (cpu_seconds(pids) - cpu) / count * 1e6 }
end

--- What the disk and SQLite alone allow: the rows of an empty job in the host's own schema, 8 jobs a commit, 3 commits a job; of a step,
--- 8 a commit. By the sqlite3 command, in one process, on the same file system.
local function round_of_floor(host)
  local path, lines = host.folder .. "/floor.db", { "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;" }
  local function add(...) lines[#lines + 1] = (...):format(select(2, ...)) end
  local function event(kind, id) add("INSERT INTO events (ts, type, job_id, data) VALUES (1.5, 'job.%s', '%s', '{}');", kind, id) end
  local function run(count)
    os.remove(path)
    support.shell(("sqlite3 '%s/data/stance.db' .schema | grep -v sqlite_sequence | sqlite3 '%s'"):format(host.folder, path))
    support.write(host.folder .. "/floor.sql", table.concat(lines, "\n"))
    local began = time.monotonic()
    support.shell(("sqlite3 '%s' < '%s/floor.sql' >/dev/null"):format(path, host.folder))
    return count / (time.monotonic() - began)
  end
  local groups = 100
  for group = 1, groups do
    local ids = {}
    for i = 1, 8 do ids[i] = ("empty_20260101_000000_%08x"):format(group * 8 + i) end
    local list = "'" .. table.concat(ids, "','") .. "'"
    add "BEGIN;"
    for _, id in ipairs(ids) do
      add("INSERT INTO jobs (id, type, generation, created_at, run_at, queued_at) VALUES ('%s', 'empty', 'g', 1.5, 1.5, 1.5);", id)
      event("submitted", id)
    end
    add "COMMIT; BEGIN;"
    add("UPDATE jobs SET status = 'processing', epoch = 1, attempt = 1, worker = 'w', lease_until = 9.5 WHERE id IN (%s);", list)
    for _, id in ipairs(ids) do event("started", id) end
    add "COMMIT; BEGIN;"
    for _, id in ipairs(ids) do
      add("UPDATE jobs SET status = 'completed', ended_at = 2.5, lease_until = NULL, worker = NULL WHERE id = '%s';", id)
      event("completed", id)
    end
    add "COMMIT;"
  end
  local jobs = run(8 * groups)
  lines = { lines[1], "INSERT INTO jobs (id, type, generation, created_at) VALUES ('j', 'steps', 'g', 1.5);" }
  for group = 1, groups do
    add "BEGIN;"
    for i = 1, 8 do
      add("INSERT INTO steps (job_id, key, name, attempt, result, ended_at) VALUES ('j', 's#%d', 's', 1, '1', 2.5);", group * 8 + i)
    end
    add "COMMIT;"
  end
  return { jobs = jobs, steps = run(8 * groups) }
end

--- BullMQ on Redis that syncs its log at every write (BENCH_PEERS=1).
local function round_of_bullmq(host)
  local port, modules = 20000 + math.random(9999), support.shell "pwd" .. "/build/bench/node_modules"
  local folder = host.folder .. "/redis"
  local pid = support.shell(("mkdir -p '%s'; redis-server --port %d --bind 127.0.0.1 --appendonly yes --appendfsync always --save '' "
    .. "--dir '%s' >/dev/null 2>&1 & echo $!"):format(folder, port, folder))
  fiber.sleep(1)
  local text = support.shell(("BENCH_MODULES='%s' node spec/bench/peers/bullmq.js %d %d"):format(modules, port, jobs_a_round))
  support.shell(("kill %s; rm -rf '%s'"):format(pid, folder))
  return json.decode(text)
end

local function median(list, field)
  local values = {}
  for i, one in ipairs(list) do values[i] = one[field] end
  table.sort(values)
  return values[math.ceil(#values / 2)]
end

--- All take turns, so that a busy machine is busy for all of them; medians of the rounds.
local function bench_queue(host)
  local pids, jobs, steps, floors, peers = host:worker_pids(), {}, {}, {}, {}
  pids[#pids + 1] = host.pid
  round_of_jobs(host, pids) -- warm
  for round = 1, rounds do
    jobs[round], steps[round], floors[round] = round_of_jobs(host, pids), round_of_steps(host, pids), round_of_floor(host)
    if os.getenv "BENCH_PEERS" == "1" then peers[round] = round_of_bullmq(host) end
  end
  local rate, floor = median(jobs, "rate"), median(floors, "jobs")
  report("empty jobs, submit to complete", rate, "jobs/s", ("8 submitters, fsynced; %.2f of bare SQLite"):format(rate / floor))
  report("  bare SQLite, the same rows", floor, "jobs/s", "8 a commit")
  report("  submit, p50", median(jobs, "p50"), "ms")
  report("  submit, p99", median(jobs, "p99"), "ms")
  report("  CPU of host and workers", median(jobs, "cpu"), "us/job")
  if peers[1] then
    local bullmq = median(peers, "rate")
    report("  BullMQ, appendfsync always", bullmq, "jobs/s", ("stance does %.1f times as many"):format(rate / bullmq))
    report("  BullMQ, submit, p50", median(peers, "p50"), "ms")
    report("  BullMQ, submit, p99", median(peers, "p99"), "ms")
  end
  rate, floor = median(steps, "rate"), median(floors, "steps")
  report("durable steps, 8 jobs at once", rate, "steps/s", ("fsynced groups; %.2f of bare SQLite"):format(rate / floor))
  report("  bare SQLite, the same rows", floor, "steps/s", "8 a commit")
  report("  CPU of host and workers", median(steps, "cpu"), "us/step")
end

local began = time.monotonic()
local host = support.host { workflows = workflows, flags = "--workers 2 --log-level error" }
report("start of a host, until it answers", (time.monotonic() - began) * 1000, "ms", "looked at every 20 ms")
fiber.sleep(3) -- it has given back what starting took
report("idle host, resident", resident_mb(host.pid), "MB")
report("idle worker, resident", resident_mb(host:worker_pids()[1]), "MB")
bench_views(host)
bench_queue(host)
report("host after the load, resident", resident_mb(host.pid), "MB")
host:stop()

support.write("build/bench/jobs.json", json.encode { results = results,
  blender = { workbench_s = blender_workbench_s, eevee16_s = blender_eevee_s } })
