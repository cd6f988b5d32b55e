--- jobs/requests.lua - what workers ask of the host's job service, and tell it: `ops.NAME(jobs, worker, request)`.
local json, time = require "json", require "time"
local host, log = require "host", require("log").named "jobs"
local err, generations = require "stance.err", require "stance.generations"

local M = {}

---@type table<string, fun(self: stance.jobs, worker: string, request: table): any, table|nil>
local ops = {}

--- Waits for work: returns as soon as there is some, or an empty list after `wait` seconds.
function ops.claim(self, worker, request)
  local jobs, why = self.claims:ask(worker, request, function() return self.alive[worker] and not self.retired end)
  if not jobs then return nil, why end
  local list = json.array {}
  for i, job in ipairs(jobs) do
    if not self.alive[worker] then -- it died, or left, while it claimed
      self.queue:release(job.id, job.epoch)
    else
      self.claimed_total:inc { type = job.type }
      self.wait_seconds:observe(math.max(0, self.clock() - job.run_at))
      list[i] = { id = job.id, type = job.type, params = job.params, epoch = job.epoch, attempt = job.attempt,
        failures = job.failures, seconds_left = job.deadline and job.deadline - self.clock(), careful = job.poison > 0,
        traceparent = job.traceparent, journal = job.epoch > 1 and assert(self.queue:journal(job.id)) or nil }
    end
  end
  return list
end

--- A worker that is stopping takes no more jobs, or it would be given what it gives back.
function ops.leave(self, worker)
  self.alive[worker] = nil
  self.claims:notify()
  return true
end

function ops.extend(self, _, request)
  return self.queue:extend(request.leases, self.lease)
end

--- The type that a job's id tells (stance.ids).
local function type_of(id) return id:match "^(.*)_%d+_%d+_%x+$" or "other" end

--- Counts the artifacts that a note brings.
local function count_note(self, id, note)
  local artifacts, bytes = note and note.artifacts, 0
  if not artifacts then return end
  for _, artifact in ipairs(artifacts) do bytes = bytes + artifact.size end
  self.artifacts_total:inc({ type = type_of(id) }, #artifacts)
  self.artifact_bytes_total:inc({ type = type_of(id) }, bytes)
end

--- What a worker's report is to the queue.
local reports = {
  step = function(r) return { "step", r.id, r.epoch, r.step, r.note, n = 5 } end,
  begin = function(r) return { "begin", r.id, r.epoch, r.key, r.name } end,
  note = function(r) return { "note", r.id, r.epoch, r.note } end,
  complete = function(r) return { "complete", r.id, r.epoch, r.result, n = 4 } end,
  cancelled = function(r) return { "cancelled", r.id, r.epoch, r.reason } end,
  fail = function(r, clock) return { "fail", r.id, r.epoch, r.error, r.retry_in and clock() + r.retry_in, n = 5 } end,
  release = function(r) return { "release", r.id, r.epoch } end,
}

local ended_as = { complete = "completed", cancelled = "cancelled", fail = "failed" }

--- After a report was kept: metrics and the log.
local function count_report(self, report)
  count_note(self, report.id, report.note)
  if report.op == "step" then
    self.steps_total:inc { type = type_of(report.id), outcome = report.step.error and "failed" or "done" }
  end
  if not ended_as[report.op] then return end
  local shown = report.retry_in and "retrying" or ended_as[report.op]
  self.ended_total:inc { type = report.type, status = shown }
  log.info("job " .. shown, { jobId = report.id, reason = report.reason or report.error and report.error.message })
end

--- Outcomes of reports, in order; when they cannot be written down together, each for itself.
local function keep(queue, list)
  local ok, outcomes, why = pcall(queue.report, queue, list)
  if ok then return outcomes, why end
  if type(outcomes) ~= "string" then error(outcomes, 0) end
  if #list == 1 then return { err("invalid", "%s", outcomes) } end
  local all = {}
  for i, one in ipairs(list) do
    local alone, failure = keep(queue, { one })
    if not alone then return nil, failure end
    all[i] = alone[1]
  end
  return all
end

--- What happened to jobs, in order; each is kept, or refused, for itself. Gives for each `true` or {code, message}.
function ops.report(self, _, request)
  local list, answers = {}, {}
  for i, report in ipairs(request.reports) do list[i] = reports[report.op](report, self.clock) end
  local outcomes, why = keep(self.queue, list)
  if not outcomes then return nil, why end
  for i, report in ipairs(request.reports) do
    local outcome = outcomes[i]
    answers[i] = outcome == true or { code = outcome.code, message = outcome.message }
    if outcome == true then count_report(self, report) end
  end
  return answers
end

--- job:spawn: the key makes it the same child however often the parent's step runs.
function ops.spawn(self, _, request)
  local child, why = self:submit { job_type = request.job_type, params = request.params, parent = request.id,
    parent_epoch = request.epoch, priority = request.priority,
    idempotency_key = request.id .. "/" .. request.key, principal = "job" }
  return child and child.job_id, why
end

--- Waits up to `wait` seconds for the end of a job; returns its manifest.
function ops.join(self, _, request) return self:wait(request.child, request.wait or 20) end

--- Waits up to `wait` seconds for a signal and journals it; false when none came.
function ops.signal(self, _, request)
  local until_time, changes = time.monotonic() + (request.wait or 20), self:changes_of(request.id)
  while true do
    local since = changes.count
    local taken, why = self.queue:take_signal(request.id, request.epoch, request.name, request.key)
    if taken then return taken end
    if why then return nil, why end
    local left = until_time - time.monotonic()
    if left <= 0 or self.retired then return false end
    changes:wait(left, since)
  end
end

function ops.artifact(self, _, request) return self:artifact(request.id, request.name) end

function ops.artifacts(self, _, request) return self:artifacts(request.of) end

--- A worker's answer to Workers:ask.
function ops.told(self, worker, request)
  if self.on_told then self.on_told(worker, request) end
  return true
end

--- The scripts of a generation, for a worker that is starting.
function ops.scripts(self, _, request)
  local list = {}
  if request.generation == host.generation() then
    for i, script in ipairs(host.scripts()) do
      list[i] = { path = script.path, origin = script.origin, text = host.script(script.path) }
    end
    return list
  end
  return generations.scripts(self.db, request.generation)
end

--- Answers one request of a worker: JSON in, JSON out ({ok = ...} or {err = {code, message}}).
---@param self stance.jobs
---@param worker string
---@param payload string
---@return string
function M.answer(self, worker, payload)
  local request = json.decode(payload)
  local op = ops[request.op]
  local result, why
  if op then result, why = op(self, worker, request) else why = err("invalid", "no operation '%s'", tostring(request.op)) end
  if result == nil then
    why = why or err("internal", "no answer to '%s'", tostring(request.op))
    return json.encode { err = { code = why.code, message = why.message } }
  end
  return json.encode { ok = result }
end

return M
