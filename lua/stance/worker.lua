--- worker.lua - a worker process: claims jobs from the host and runs their workflows as fibers.
local fiber, host, json = require "fiber", require "host", require "json"
local log, time = require("log").named "worker", require "time"
local complaint, err, inspect = require "stance.complaint", require "stance.err", require "stance.inspect"
local job_api, reporter, workflows = require "stance.job", require "stance.reporter", require "stance.workflows"

local M = {}

local max_active = 4 -- jobs that compute at the same time; those that only wait are not counted
local ahead_seconds, ahead_most = 0.01, 28 -- short jobs are claimed ahead of their time: so much work, so many jobs
local ahead_patience = 0.05 -- seconds after which a job that was claimed ahead and cannot begin goes back
local claim_wait = 20
local backoff_least, backoff_most = 1, 60
local patience = 20 -- seconds that a host whose disk is busy or full is asked again

local active, running, freed = 0, {}, fiber.channel(1)
local asked = {} -- fibers that answer the host's questions
local queued, usual_seconds = {}, 1 -- claims that wait for a slot; what a run takes
local stopping = false
local outbox

--- What goes to the host as a report, together with others; the rest asks and waits.
local is_report = { step = true, begin = true, note = true, complete = true, cancelled = true, fail = true, release = true }

--- One request to the host.
---@param op string
---@param fields table
---@param timeout? number seconds
---@return any|nil result, table|nil err
local function call(op, fields, timeout)
  if is_report[op] then return outbox:tell(op, fields) end
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

local begin_queued

local function slot_change(by)
  active = active + by
  if by > 0 then return end
  begin_queued()
  freed:put(true, 0)
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
  entry.lost = true
  if entry.job then entry.job.lost = true end
  if entry.fiber then entry.fiber:cancel "the lease was lost" end
end

local function forget(entry)
  if running[entry.claim.id] == entry then running[entry.claim.id] = nil end
end

--- One long run among short ones is enough to claim nothing ahead for a while.
local function learn_duration(seconds)
  usual_seconds = seconds > usual_seconds and seconds or usual_seconds + (seconds - usual_seconds) / 8
end

--- A run from its first line to its last; its end is reported when its slot is another's already.
local function run(entry)
  local claim = entry.claim
  local workflow, why = workflows.load(claim.type)
  if not workflow then return function() report("fail", claim, { error = job_api.as_error(why) }) end end
  local began = time.monotonic()
  entry.workflow, entry.job = workflow, job_api.new { claim = claim, call = call_patiently, slot = slot_change }
  entry.fiber = fiber.spawn(run_workflow, claim, workflow, entry.job)
  entry.fiber:name(claim.id)
  local ok, result = entry.fiber:join()
  entry.job:close()
  learn_duration(time.monotonic() - began)
  return function() finish(entry, ok, result) end
end

--- Holds a slot for the run; the caller has taken it.
local function begin(entry)
  local claim, tell = entry.claim, nil
  fiber.self():job(claim.id)
  fiber.self():trace(claim.traceparent or "")
  if not entry.lost then
    if stopping then tell = function() report("release", claim, {}) end
    elseif entry.cancelled then tell = function() report("cancelled", claim, { reason = "cancelled" }) end
    else tell = run(entry) end
  end
  slot_change(-1)
  local told, failure = pcall(tell or function() end)
  if not told then log.error("cannot report the end of a job", { jobId = claim.id, reason = tostring(failure) }) end
  forget(entry)
end

--- Claims that have a slot begin, in the order in which they came.
function begin_queued()
  while queued[1] and (active < max_active or stopping) do
    active = active + 1
    fiber.spawn(begin, table.remove(queued, 1))
  end
end

--- Gives back what was claimed ahead of a job that turned out long: another worker may have room.
local function give_back()
  local entries = queued
  queued = {}
  for _, entry in ipairs(entries) do
    fiber.spawn(function()
      report("release", entry.claim, {})
      forget(entry)
    end)
  end
  usual_seconds = 1
end

local function watch_queued()
  while queued[1] do
    local first = queued[1]
    fiber.sleep(ahead_patience)
    if queued[1] == first then give_back() end
  end
end

local function enqueue(claims)
  local was_empty = #queued == 0
  for _, claim in ipairs(claims) do
    local entry, former = { claim = claim }, running[claim.id]
    if former then abandon(former) end
    running[claim.id] = entry
    queued[#queued + 1] = entry
  end
  begin_queued()
  if was_empty and queued[1] then fiber.spawn(watch_queued) end
end

--- How many jobs to claim, the free slots and some ahead where runs are short; nil while that is too few to ask for.
local function room()
  local ahead = math.min(ahead_most, math.floor(max_active * ahead_seconds / usual_seconds))
  local free = max_active + ahead - active - #queued
  return free > 0 and (ahead == 0 or free * 2 >= max_active + ahead) and free or nil
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
    local leases, named = {}, {}
    for id, entry in pairs(running) do
      leases[#leases + 1] = { id = id, epoch = entry.claim.epoch }
      named[id] = entry
    end
    local answer, why = call("extend", { leases = leases }, every)
    trouble:heed(not answer and why)
    for _, id in ipairs(answer and answer.lost or {}) do
      if running[id] == named[id] then abandon(named[id]) end
    end
    for _, id in ipairs(answer and answer.cancel or {}) do cancel(id, "cancelled") end
  end
end

local function claim_jobs()
  local trouble = complaint.new(log, "cannot claim jobs")
  while not stopping do
    local limit = room()
    if not limit then
      freed:get()
    else
      local claims, why = call("claim", { generation = host.generation(), limit = limit, wait = claim_wait }, claim_wait + 30)
      trouble:heed(not claims and why)
      if claims then enqueue(claims) else fiber.sleep(1) end
    end
  end
end

--- Gives back what runs, so that another worker goes on at once.
local function stop()
  stopping = true
  call("leave", {}, 5)
  begin_queued()
  for _, entry in pairs(running) do if entry.fiber then entry.fiber:cancel "the worker is stopping" end end
  while next(running) do fiber.sleep(0.01) end
end

function M.start()
  outbox = reporter.new(host.call)
  host.on_stop(stop)
  fiber.spawn(obey):name "host events"
  fiber.spawn(keep_leases):name "leases"
  claim_jobs()
end

return M
