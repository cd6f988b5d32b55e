local crypto, fiber, json, time, ws = require "crypto", require "fiber", require "json", require "time", require "ws"
local support = require "spec.e2e.support"

local kills = tonumber(os.getenv "STANCE_KILLS" or "") or 300
local job_count = 500 -- children and all
local parents, waiters = 60, 60

-- A step's run is a line in the log, which the worker appends to by itself: what a kill leaves of it is what happened. The nonce
-- tells which of several runs was journalled.
local ran = [[
local log = require("log").named "ran"
local function run(job, key, body)
  return job:step(key, function(step)
    local nonce = ("%s/%d/%d"):format(key, job.attempt, math.random(2 ^ 52))
    log.info(nonce)
    local value = body and body(step)
    return { nonce = nonce, value = value }
  end)
end
]]

local workflows = {
  chain = ran .. [[
local t = require "stance.schema"
return {
  name = "chain", version = 1,
  params = t.object { steps = t.integer, pause = t.number, sleep = t.number },
  run = function(job, p)
    for i = 1, p.steps do
      run(job, "s" .. i, function(step)
        require("fiber").sleep(p.pause)
        step:artifact(("n/%d.txt"):format(i), ("%s %d\n"):format(job.id, i):rep(100 * i))
      end)
      job:progress(i, p.steps)
      job:log("did " .. i)
      if i == 2 and p.sleep > 0 then job:sleep(p.sleep) end
    end
    return { steps = p.steps }
  end,
}]],
  waiter = ran .. [[
local t = require "stance.schema"
return { name = "waiter", version = 1, params = t.object {}, run = function(job)
  run(job, "before")
  local got = job:wait("go")
  run(job, "after")
  return { got = got.n }
end }]],
  parent = ran .. [[
local t = require "stance.schema"
return { name = "parent", version = 1, params = t.object {}, run = function(job)
  local children, sum = {}, 0
  for i = 1, 2 do children[i] = job:spawn("chain", { steps = i, pause = 0.01, sleep = 0 }) end
  for _, child in ipairs(children) do sum = sum + child:join().steps end
  run(job, "sum")
  return { sum = sum }
end }]],
}

--- The jobs that are handed in, each with what it must come to.
local function plan()
  local list = {}
  for _ = 1, job_count - 3 * parents - waiters do
    local steps = math.random(2, 5)
    list[#list + 1] = { type = "chain", result = { steps = steps }, delay = math.random() < 0.2 and math.random() or nil,
      params = { steps = steps, pause = math.random() * 0.1, sleep = math.random() < 0.3 and math.random() or 0 } }
  end
  for i = 1, waiters do list[#list + 1] = { type = "waiter", params = {}, signal = i, result = { got = i } } end
  for _ = 1, parents do list[#list + 1] = { type = "parent", params = {}, result = { sum = 3 } } end
  for i = #list, 2, -1 do
    local j = math.random(i)
    list[i], list[j] = list[j], list[i]
  end
  for i, job in ipairs(list) do job.key = "key-" .. i end
  return list
end

--- Sends until there is an answer: what was sent to a host that died may have been done or not.
local function insist(host, ...)
  while true do
    local status, answer = host:post(...)
    if status then return status, answer end
    fiber.sleep(0.02)
  end
end

--- Hands jobs in as long as fewer than `allowed()` are.
local function submit_all(host, jobs, allowed)
  for i, job in ipairs(jobs) do
    while i > allowed() do fiber.sleep(0.02) end
    local status, answer = insist(host, "/api/jobs", { job_type = job.type, params = next(job.params) and job.params or nil,
      delay_s = job.delay }, { ["Idempotency-Key"] = job.key })
    assert(status == 201, json.encode(answer))
    job.id = answer.job_id
    if job.signal then
      status, answer = insist(host, "/api/jobs/" .. job.id .. "/signals/go", { n = job.signal })
      assert(status == 202 or status == 409, json.encode(answer)) -- 409: an earlier sending came through, and the job has ended
    end
  end
end

--- Follows the events over all restarts, from the last that was seen.
local function watch_events(host, seen)
  local last = 0
  while true do
    local socket = ws.connect(host.url:gsub("^http", "ws") .. "/api/events?after=" .. last)
    local message = socket and socket:receive(20)
    while message do
      local event = json.decode(message)
      assert(event.seq > last, ("event %d after %d"):format(event.seq, last))
      last, seen[#seen + 1] = event.seq, event.seq
      message = socket:receive(20)
    end
    fiber.sleep(0.02)
  end
end

--- SIGKILL for a worker or for the host, which is started again, `count` times.
local function kill_at_random(host, count, on_kill)
  for i = 1, count do
    fiber.sleep(math.random() * 0.25)
    local pids = host:worker_pids()
    if math.random() < 0.65 and pids[1] then
      support.shell("kill -9 " .. pids[math.random(#pids)] .. " 2>/dev/null || true")
    else
      host:kill()
      host:start()
    end
    on_kill(i)
  end
end

--- Rows of the database as the sqlite3 program reads it.
local function query(host, sql)
  local text = support.shell(("sqlite3 -json %s/data/stance.db \"%s\""):format(host.folder, sql))
  return text == "" and {} or json.decode(text)
end

-- -- What must hold -------------------------------------------------------------------------------------------------

local function check_jobs(host, jobs)
  local by_key = {}
  for _, row in ipairs(query(host, "SELECT id, type, status, reason, result, idempotency_key AS key, run_at, started_at FROM jobs")) do
    by_key[row.key] = row
  end
  for _, job in ipairs(jobs) do
    local row = by_key[job.key] or error("lost: " .. job.id)
    assert.equal(job.id, row.id)
    assert.same({ "completed", job.result }, { row.status, json.decode(row.result) }, job.id .. ": " .. tostring(row.reason))
    assert.is_true(row.started_at >= row.run_at, job.id .. " did not wait for its time")
  end
  local counts = query(host, "SELECT count(*) AS all_, sum(status = 'completed') AS done, sum(parent IS NOT NULL) AS children FROM jobs")[1]
  assert.same({ all_ = job_count, done = job_count, children = 2 * parents }, counts)
end

--- Events of a job: handed in, then starts, and one end, which is the last.
local function check_events(host, seen)
  local ends = { ["job.completed"] = true, ["job.failed"] = true, ["job.cancelled"] = true }
  local jobs, list, orphaned = {}, query(host, "SELECT seq, type, job_id AS id FROM events ORDER BY seq"), 0
  for i, event in ipairs(list) do
    assert.equal(event.seq, seen[i], "the watcher missed an event, or saw it twice")
    local job = jobs[event.id] or { starts = 0 }
    assert.equal(event.type == "job.submitted", jobs[event.id] == nil, event.id .. ": " .. event.type)
    assert.is_nil(job.ended, event.id .. " had " .. event.type .. " after its end")
    if event.type == "job.started" then job.starts = job.starts + 1 end
    if event.type == "job.orphaned" then orphaned = orphaned + 1 end
    job.ended = ends[event.type]
    jobs[event.id] = job
  end
  assert.equal(#list, #seen)
  for _, row in ipairs(query(host, "SELECT id, epoch FROM jobs")) do
    assert.is_true(jobs[row.id].ended, row.id)
    assert.equal(row.epoch, jobs[row.id].starts, row.id)
  end
  return orphaned
end

--- The run that a journal tells of is the last of its step: what is journalled does not run again.
local function check_steps(host)
  local last, runs = {}, 0
  for line in host:log():gmatch "[^\n]+" do
    local ok, entry = pcall(json.decode, line)
    if ok and entry.service == "ran" then
      last[entry.jobId .. " " .. entry.message:match "^[^/]+"] = entry.message
      runs = runs + 1
    end
  end
  local steps = query(host, "SELECT job_id AS id, key, json_extract(result, '$.nonce') AS nonce FROM steps WHERE result LIKE '%nonce%'")
  for _, step in ipairs(steps) do
    local name = step.id .. " " .. step.key
    assert.equal(step.nonce, last[name], name .. " ran again after it was journalled")
    last[name] = nil
  end
  assert.is_nil(next(last), "a step ran and was never journalled")
  return runs, #steps
end

local timer_resolution = 0.002 -- seconds

local function check_timers(host)
  local early = query(host, "SELECT s.job_id, n.started_at - json_extract(s.result, '$.at') AS by FROM steps s " ..
    "JOIN steps n ON n.job_id = s.job_id AND n.key = 's3' " ..
    "WHERE s.key = 'sleep' AND by < -" .. timer_resolution)
  assert.same({}, early)
  return #query(host, "SELECT 1 FROM steps WHERE key = 'sleep'")
end

local function check_artifacts(host)
  local listed = query(host, "SELECT job_id AS id, name, hash, size FROM artifacts")
  local sums = {}
  for sum, path in support.shell(("cd %s/data/objects && find . -type f ! -path './tmp/*' | xargs sha256sum"):format(host.folder))
    :gmatch "(%x+)  %./([^\n]+)" do
    sums[path:gsub("/", "")] = sum
  end
  for hash, sum in pairs(sums) do assert.equal(hash, sum, "a torn object") end
  for _, artifact in ipairs(listed) do
    local i = tonumber(artifact.name:match "%d+")
    local bytes = ("%s %d\n"):format(artifact.id, i):rep(100 * i)
    assert.same({ crypto.sha256(bytes), #bytes }, { artifact.hash, artifact.size })
    assert.is_truthy(sums[artifact.hash], "an artifact is listed whose bytes are lost")
  end
  local twice = query(host, "SELECT job_id FROM events WHERE type = 'job.artifact' GROUP BY job_id, json_extract(data, '$.name') " ..
    "HAVING count(*) > 1")
  assert.same({}, twice)
  return #listed
end

describe("a queue", function()
  it(("of %d jobs survives %d kills of workers and hosts"):format(job_count, kills), function()
    local seed = tonumber(os.getenv "STANCE_SEED" or "") or os.time()
    print(("seed %d (STANCE_SEED=%d repeats it)"):format(seed, seed))
    math.randomseed(seed)
    local began = time.monotonic()
    local host = support.host { workflows = workflows, flags = "--workers 2 --job-max-attempts 100" }
    finally(function() host:stop() end)
    local jobs, seen, allowed = plan(), {}, 20
    local watcher = fiber.spawn(watch_events, host, seen)
    local submitter = fiber.spawn(submit_all, host, jobs, function() return allowed end)
    kill_at_random(host, kills, function(i) allowed = 20 + math.ceil(i / kills * #jobs) end)
    local killed = time.monotonic()
    assert(submitter:join())
    for _, job in ipairs(jobs) do host:wait(job.id, 60) end
    local drained = time.monotonic()
    support.eventually("the watcher to have seen all", 10, function()
      return seen[#seen] == query(host, "SELECT max(seq) AS last FROM events")[1].last
    end)
    watcher:cancel "enough"
    host:signal "TERM"
    support.eventually("the host to stop", 20, function() return not host:is_alive() end)

    assert.same({ { integrity_check = "ok" } }, query(host, "PRAGMA integrity_check"))
    assert.same({}, query(host, "PRAGMA foreign_key_check"))
    check_jobs(host, jobs)
    local orphaned = check_events(host, seen)
    local runs, steps = check_steps(host)
    local sleeps = check_timers(host)
    local artifacts = check_artifacts(host)
    print(("%d kills in %.0f s took %d running jobs from their workers; %d runs of %d steps, %d sleeps, %d artifacts, %d events; "
      .. "the rest drained in %.1f s"):format(kills, killed - began, orphaned, runs, steps, sleeps, artifacts, #seen, drained - killed))
    assert.is_true(orphaned > kills / 3, "the kills met no running jobs")
  end)
end)
