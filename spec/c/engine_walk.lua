-- engine_walk.lua - the job engine in one process, on a real database and real objects: jobs are handed in, worked on and read back,
-- a few at once. `tell(what, text)` is called for each answer that was given: "accepted", "completed" with a job's id, "error" with
-- code and message. Run by spec/c/engine.h with (jobs to hand in, hands that do it, seconds that a run may take or nil).
local db, fiber, json, objects = require "db", require "fiber", require "json", require "objects"
local err, job_api, jobs_service = require "stance.err", require "stance.job", require "stance.jobs"
local reporter, workflows = require "stance.reporter", require "stance.workflows"
local total, hands, run_seconds = ...
local tell = tell -- luacheck: ignore

local patience = 3 -- failures of one hand in a row, until it gives up
local workers = 2

local function complain(why)
  if type(why) == "table" and why.code ~= "conflict" then tell("error", ("%s: %s"):format(why.code, why.message))
  elseif type(why) ~= "table" then tell("error", "raised: " .. tostring(why)) end
end

local function protect(call, ...)
  local ok, value, why = pcall(call, ...)
  if not ok then value, why = nil, value end
  if value == nil then complain(why) end
  return value, why
end

local function open()
  local jobs = jobs_service.new { db = db, lease = 30, max_attempts = 100 }
  assert(jobs:open(true))
  return jobs
end

local function submit_some(jobs, count)
  local failures, done = 0, 0
  while done < count and failures < patience do
    local job = protect(jobs.submit, jobs, { job_type = "walk", params = { steps = 2 } })
    if job then
      tell("accepted", job.job_id)
      done = done + 1
    else
      failures = failures + 1
    end
  end
end

-- What a worker reports goes through its outbox; see stance.worker.
local is_report = { begin = true, step = true, note = true, complete = true, fail = true, cancelled = true, release = true }

local function caller(jobs, worker)
  local function ask(fields)
    local ok, reply = pcall(jobs.answer, jobs, worker, json.encode(fields))
    if not ok then return nil, err("upstream", "%s", tostring(reply)) end
    local answer = json.decode(reply)
    if answer.err then return nil, err(answer.err.code, "%s", answer.err.message) end
    return answer.ok
  end
  local outbox = reporter.new(function(payload) return jobs:answer(worker, payload) end)
  return function(op, fields)
    if is_report[op] then return outbox:tell(op, fields) end
    fields.op = op
    return ask(fields)
  end, outbox
end

local function run(call, claim)
  local job = job_api.new { claim = claim, call = call, slot = function() end }
  local body = fiber.spawn(workflows.load(claim.type).run, job, claim.params)
  local watchdog = fiber.spawn(function() -- artifacts wait for a disk as long as it takes
    if not run_seconds then return end
    fiber.sleep(run_seconds)
    body:cancel "it took too long"
  end)
  local ok, result = body:join()
  watchdog:cancel()
  job:close()
  if not ok then
    complain(result)
    call("fail", { id = claim.id, epoch = claim.epoch, type = claim.type, error = job_api.as_error(result), retry_in = 0 })
    return false
  end
  local done, why = call("complete", { id = claim.id, epoch = claim.epoch, type = claim.type, result = result })
  if done then tell("completed", claim.id) else complain(why) end
  return done
end

local function work(jobs, worker)
  jobs:worker_came(worker)
  local call = caller(jobs, worker)
  local failures = 0
  while failures < patience do
    local claims, why = call("claim", { generation = require("host").generation(), limit = 2, wait = 0 })
    if not claims then
      complain(why)
      failures = failures + 1
    elseif #claims == 0 then
      break
    end
    for _, claim in ipairs(claims or {}) do
      if run(call, claim) then failures = 0 else failures = failures + 1 end
    end
  end
end

local function read_back(jobs)
  local rows = protect(db.query, "SELECT DISTINCT hash FROM artifacts")
  for _, row in ipairs(rows or {}) do protect(objects.read, row.hash) end
  protect(jobs.list, jobs, { limit = 10 })
  protect(jobs.counts, jobs)
end

local jobs = protect(open)
if jobs then
  local fibers = {}
  for i = 1, hands do fibers[i] = fiber.spawn(submit_some, jobs, total / hands) end
  for _, one in ipairs(fibers) do protect(one.join, one) end
  for i = 1, workers do fibers[i] = fiber.spawn(work, jobs, "worker-" .. i) end
  for i = 1, workers do protect(fibers[i].join, fibers[i]) end
  read_back(jobs)
end
require("host").stop(0)
