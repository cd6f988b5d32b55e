--- worker.lua - a worker process: claims jobs from the host and runs their workflows as fibers.
local fiber, host, json = require "fiber", require "host", require "json"
local log, time = require("log").named "worker", require "time"
local complaint = require "stance.complaint"
local err, inspect, job_api, workflows = require "stance.err", require "stance.inspect", require "stance.job", require "stance.workflows"

local M = {}

local max_active = 4 -- jobs that compute at the same time; those that only wait are not counted
local claim_wait = 20
local backoff_least, backoff_most = 1, 60
local patience = 20 -- seconds that a host whose disk is busy or full is asked again

local active, running, freed = 0, {}, fiber.channel(1)
local asked = {} -- fibers that answer the host's questions
local stopping = false

--- One request to the host.
---@param op string
---@param fields table
---@param timeout? number seconds
---@return any|nil result, table|nil err
local function call(op, fields, timeout)
  fields.op = op
  local reply, why = host.call(json.encode(fields), timeout or 60)
  if not reply then return nil, why end
  local answer = json.decode(reply)
  if answer.err then return nil, err(answer.err.code, "%s", answer.err.message) end
  return answer.ok
end

-- The host could not keep it, and did not: asking again is safe.
local refused = { busy = true, no_space = true, io = true }

--- As `call`, again for a while when the host's disk is busy or full: what a job has done is worth some patience.
local function call_patiently(op, fields, timeout)
  local until_time, pause = time.monotonic() + patience, 0.1
  while true do
    local result, why = call(op, fields, timeout)
    if result ~= nil or not refused[why.code] or time.monotonic() + pause > until_time then return result, why end
    fiber.sleep(pause)
    pause = math.min(2, pause * 2)
  end
end

local function slot_change(by)
  active = active + by
  if by < 0 then freed:put(true, 0) end
end

-- -- One job --------------------------------------------------------------------------------------------------------

--- Seconds until a run that failed is tried again; nil: never. Runs that were only interrupted do not count.
local function retry_in(workflow, claim, why)
  if job_api.is_permanent(why) or claim.failures >= (workflow.retries or 0) then return nil end
  return math.min(backoff_most, backoff_least * 2 ^ claim.failures)
end

--- Tells the host how the job ended; what it answers `conflict` is somebody else's job by now.
local function report(op, claim, fields)
  fields.id, fields.epoch, fields.type = claim.id, claim.epoch, claim.type
  local ok, why = call_patiently(op, fields)
  if ok then return end
  if why.code == "conflict" then log.warn("the job was taken over meanwhile", { jobId = claim.id })
  else log.error("cannot report the end of a job", { jobId = claim.id, reason = why.message }) end
end

local function run_workflow(claim, workflow, job)
  local deadline = claim.seconds_left
  if workflow.timeout and (not deadline or workflow.timeout < deadline) then deadline = workflow.timeout end
  local function run() return workflow.run(job, claim.params) end
  local result
  if deadline then result = fiber.deadline(deadline, run) else result = run() end
  job_api.check_result(result)
  job:flush()
  return result
end

local function finish(entry, ok, result)
  local claim, job = entry.claim, entry.job
  if ok and not job.adrift then return report("complete", claim, { result = result == nil and json.null or result }) end
  local why = job_api.as_error(result)
  if entry.cancelled then return report("cancelled", claim, { reason = "cancelled" }) end
  if job.lost then return log.warn("the job was taken over meanwhile", { jobId = claim.id }) end
  if stopping or job.adrift then return report("release", claim, {}) end
  job:end_note()
  report("fail", claim, { error = { code = why.code, message = why.message }, retry_in = retry_in(entry.workflow, claim, why) })
end

--- Ends a run whose job is somebody else's by now; that may be a later run in this very process.
local function abandon(entry)
  entry.job.lost = true
  if entry.fiber then entry.fiber:cancel "the lease was lost" end
end

local function run(claim)
  fiber.self():job(claim.id)
  fiber.self():trace(claim.traceparent or "")
  if stopping then return report("release", claim, {}) end
  local workflow, why = workflows.load(claim.type)
  if not workflow then return report("fail", claim, { error = job_api.as_error(why) }) end
  local entry = { claim = claim, workflow = workflow, job = job_api.new { claim = claim, call = call_patiently, slot = slot_change } }
  local former = running[claim.id]
  if former then abandon(former) end
  running[claim.id] = entry
  slot_change(1)
  entry.fiber = fiber.spawn(run_workflow, claim, workflow, entry.job)
  entry.fiber:name(claim.id)
  local ok, result = entry.fiber:join()
  entry.job:close()
  local told, failure = pcall(finish, entry, ok, result)
  if not told then log.error("cannot report the end of a job", { jobId = claim.id, reason = tostring(failure) }) end
  if running[claim.id] == entry then running[claim.id] = nil end
  slot_change(-1)
end

-- -- The process ----------------------------------------------------------------------------------------------------

local function cancel(id, reason)
  local entry = running[id]
  if not entry then return end
  entry.cancelled = true
  if entry.fiber then entry.fiber:cancel(reason) end
end

--- Answers a question of the host (stance.inspect).
local function tell(event)
  local ok, answer, why = pcall(inspect.answer, event.about, event.args)
  asked[event.ask] = nil
  if not ok then answer, why = nil, job_api.as_error(answer) end
  call("told", { ask = event.ask, answer = answer, why = why and { code = why.code, message = why.message } })
end

local function obey()
  while true do
    local text = host.receive()
    if not text then return end
    local event = json.decode(text)
    if event.op == "cancel" then cancel(event.id, "cancelled")
    elseif event.op == "ask" then asked[event.ask] = fiber.spawn(tell, event)
    elseif event.op == "forget" and asked[event.ask] then asked[event.ask]:cancel "nobody asks any more" end
  end
end

local function keep_leases()
  local every, trouble = host.config "job_lease" / 3, complaint.new(log, "cannot prolong leases")
  while true do
    fiber.sleep(every)
    local leases, asked = {}, {}
    for id, entry in pairs(running) do
      leases[#leases + 1] = { id = id, epoch = entry.claim.epoch }
      asked[id] = entry
    end
    local answer, why = call("extend", { leases = leases }, every)
    trouble:heed(not answer and why)
    for _, id in ipairs(answer and answer.lost or {}) do
      if running[id] == asked[id] then abandon(asked[id]) end
    end
    for _, id in ipairs(answer and answer.cancel or {}) do cancel(id, "cancelled") end
  end
end

local function claim_jobs()
  local trouble = complaint.new(log, "cannot claim jobs")
  while not stopping do
    if active >= max_active then
      freed:get()
    else
      local claims, why = call("claim", { generation = host.generation(), limit = max_active - active, wait = claim_wait }, claim_wait + 30)
      trouble:heed(not claims and why)
      if not claims then fiber.sleep(1) end
      for _, claim in ipairs(claims or {}) do fiber.spawn(run, claim) end
      fiber.sleep(0) -- the new fibers take their slots
    end
  end
end

--- Gives back what runs, so that another worker goes on at once.
local function stop()
  stopping = true
  call("leave", {}, 5)
  for _, entry in pairs(running) do entry.fiber:cancel("the worker is stopping") end
  while next(running) do fiber.sleep(0.01) end
end

function M.start()
  host.on_stop(stop)
  fiber.spawn(obey):name "host events"
  fiber.spawn(keep_leases):name "leases"
  claim_jobs()
end

return M
