--- jobs.lua - the host's side of the job engine: its life, and what people ask for. What can be seen of jobs is in jobs/looking.lua, what
--- workers ask in jobs/requests.lua.
local crypto, time = require "crypto", require "time"
local host, log, metrics = require "host", require("log").named "jobs", require "metrics"
local fiber = require "fiber"
local canonical, claims, complaint = require "stance.canonical", require "stance.claims", require "stance.complaint"
local err, ids, workflows = require "stance.err", require "stance.ids", require "stance.workflows"
local looking, requests = require "stance.jobs.looking", require "stance.jobs.requests"
local events, signal, sqlite = require "stance.events", require "stance.signal", require "stance.queue.sqlite"
local running = require("stance.queue.statements").running

local M = {}

---@class stance.jobs the job service of a host
local Jobs = {}
Jobs.__index = Jobs
for name, method in pairs(looking) do Jobs[name] = method end

--- The wall clock may be set while the host lives; leases, delays and deadlines are durations, and take no notice. All generations of a
--- process go by the same.
local function steady_clock()
  local kept = host.kept and host.kept "jobs.clock"
  local offset = tonumber(kept) or time.now() - time.monotonic()
  if host.keep and not kept then host.keep("jobs.clock", ("%.17g"):format(offset)) end
  return function() return time.monotonic() + offset end
end

--- Touches nothing yet: `open` does.
---@param options { db: table, lease: number, max_attempts: integer }
---@return stance.jobs
function M.new(options)
  local self = setmetatable({ db = options.db, clock = steady_clock(), lease = options.lease,
    max_attempts = options.max_attempts, alive = {}, limits = {}, watched = setmetatable({}, { __mode = "v" }), retired = false,
    learned = 0, changed_elsewhere = 1, -- of the latter, how many are known of
    elsewhere = signal.shared "jobs.elsewhere" }, Jobs)
  self.events = events.new(options.db)
  self.queue = sqlite.new { db = options.db, now = time.now, clock = self.clock,
    changed = function(claimable, id) self:on_change(claimable, id) end }
  self.claims = claims.new { queue = self.queue, clock = self.clock, lease = options.lease, rooms = function() return self:rooms() end }
  self.ended_total = metrics.counter { name = "jobs_ended_total", help = "Jobs that ended, by type and status.",
    labels = { "type", "status" } }
  self.claimed_total = metrics.counter { name = "jobs_claimed_total", help = "Jobs given to a worker, by type.", labels = { "type" } }
  self.orphaned_total = metrics.counter { name = "jobs_orphaned_total", help = "Jobs put back because their worker died." }
  self.steps_total = metrics.counter { name = "job_steps_total", help = "Steps journalled, by the job's type and outcome.",
    labels = { "type", "outcome" } }
  self.artifacts_total = metrics.counter { name = "job_artifacts_total", help = "Artifacts of jobs, by the job's type.",
    labels = { "type" } }
  self.artifact_bytes_total = metrics.counter { name = "job_artifact_bytes_total", help = "Bytes of such artifacts.",
    labels = { "type" } }
  self.wait_seconds = metrics.histogram { name = "job_wait_seconds", help = "Seconds that jobs were due until a worker took them.",
    buckets = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200 } }
  self.submitted_total = metrics.counter { name = "jobs_submitted_total", help = "Jobs accepted, by type.", labels = { "type" } }
  return self
end

--- Takes up the queue; `is_first`: the process has just begun, and what a former host left running is put back. Must be called in a
--- fiber.
---@param is_first boolean
---@return true|nil, table|nil err
function Jobs:open(is_first)
  self.events:start()
  if is_first then
    local back, why = self.queue:recover()
    if not back then return nil, why end
    if back > 0 then log.info("resuming jobs that were running", { jobs = back }) end
  end
  self.minder = fiber.spawn(self.mind_others, self)
  self.minder:name "changes elsewhere"
  return true
end

--- Learns what the queue holds before jobs are given out (the generation that was active before took some until then), and again when
--- another one has changed it: the limits of the types that wait, and what most changes need not look after.
function Jobs:learn()
  while self.learned < self.changed_elsewhere do
    local changes = self.changed_elsewhere
    local known, why = self.queue:learn()
    if not known then error(why, 0) end
    for _, job_type in ipairs(known) do self:learn_limit(job_type, workflows.load(job_type)) end
    self.learned = changes
  end
end

--- What a generation that was retired still changes is told to the one that follows.
function Jobs:mind_others()
  local seen = self.elsewhere.count
  while true do
    self.elsewhere:wait(nil, seen)
    seen = self.elsewhere.count
    self.changed_elsewhere = self.changed_elsewhere + 1
    self.queue:forget()
    self:wake_all()
  end
end

--- Another generation goes on with the queue: what still waits here returns at once with what it has, and its askers ask again.
function Jobs:retire()
  self.retired = true
  if self.minder then self.minder:cancel "another generation is active" end
  self:wake_all()
  self.events:close()
end

--- Whoever waits looks again whether there is still reason to.
function Jobs:wake_all()
  self.claims:notify()
  self.events:wake()
  for _, changes in pairs(self.watched) do changes:notify() end
end

--- A commit has changed job `id`, or several when it is nil.
function Jobs:on_change(claimable, id)
  self.events:notify()
  if self.retired then self.elsewhere:notify() end
  if claimable then self.claims:notify() end
  if id then
    local changes = self.watched[id]
    if changes then changes:notify() end
  else
    for _, changes in pairs(self.watched) do changes:notify() end
  end
end

--- Is notified of each change of a job. Take its `count` before looking at what may change.
---@param id string
---@return stance.signal
function Jobs:changes_of(id)
  local changes = self.watched[id] or signal.new()
  self.watched[id] = changes -- while somebody holds it
  return changes
end

-- -- Asking ---------------------------------------------------------------------------------------------------------

---@class stance.submission
---@field job_type string
---@field params? table
---@field priority? integer higher first
---@field delay_s? number seconds before it may start
---@field deadline_s? number seconds after which it fails when it has not ended
---@field idempotency_key? string
---@field principal? string
---@field parent? string
---@field parent_epoch? integer `conflict` unless the parent still runs under it
---@field traceparent? string

--- Accepts a job: when this returns it is on disk. The same idempotency key with the same submission returns the first job;
--- with another one it is a conflict.
---@param submission stance.submission
---@return table|nil manifest, table|nil err, boolean|nil replayed
function Jobs:submit(submission)
  local workflow, why = workflows.load(submission.job_type)
  if not workflow then return nil, why end
  local params
  params, why = workflow.params:check(submission.params or {}, { at = "params" })
  if not params then return nil, why end
  if workflow.admit then
    local admitted
    admitted, why = workflow.admit(params)
    if not admitted then return nil, why end
  end
  local now, clock, job_type = time.now(), self.clock(), submission.job_type
  self:learn_limit(job_type, workflow)
  local job = {
    id = ids.job(job_type, now), type = job_type, params = params, generation = host.generation(),
    priority = submission.priority or 0, max_attempts = self.max_attempts, created_at = now, run_at = clock + (submission.delay_s or 0),
    deadline = submission.deadline_s and clock + submission.deadline_s, principal = submission.principal, parent = submission.parent,
    version = workflow.version, parent_epoch = submission.parent_epoch, traceparent = submission.traceparent,
    idempotency_key = submission.idempotency_key,
  }
  -- A child is its key alone: what its parent made params of (a clock, say) may be another when its step runs again.
  if job.idempotency_key and not job.parent then job.request_hash = crypto.sha256(job_type .. canonical(submission.params or {})) end
  local ok
  ok, why = self.queue:submit(job)
  if ok then
    self.submitted_total:inc { type = job_type }
    log.info("job accepted", { jobId = job.id })
    if self.retired and self.on_old_job then self.on_old_job() end
    job.status, job.attempt, job.artifact_count = "pending", 0, 0
    return Jobs.manifest(job)
  end
  if not why.job_id then return nil, why end
  if why.request_hash ~= job.request_hash then
    return nil, err("conflict", "the idempotency key '%s' was used for another submission", job.idempotency_key)
  end
  local earlier
  earlier, why = self:get(why.job_id)
  return earlier, why, true
end

--- Cancels a job and its children. Pending ones end at once; running ones at their next wait.
function Jobs:cancel(id, reason)
  local row, why = self:row(id)
  if not row then return nil, why end
  local state, worker = self.queue:cancel(id, reason or "cancelled")
  if not state then return nil, worker end
  log.info("job cancelled", { jobId = id, state = state })
  if state == "cancelling" and self.on_cancel then self.on_cancel(worker, id) end
  local children = self.db.query("SELECT id FROM jobs WHERE parent = ? AND status IN ('pending', 'processing')", id)
  for _, child in ipairs(children or {}) do self:cancel(child.id, "its parent was cancelled") end
  return self:get(id)
end

--- Runs a failed or cancelled job again; its finished steps stay finished.
function Jobs:retry(id)
  local row, why = self:row(id)
  if not row then return nil, why end
  self:learn_limit(row.type, workflows.load(row.type))
  local ok
  ok, why = self.queue:retry(id)
  if not ok then
    if why.code ~= "conflict" then return nil, why end
    return nil, err("conflict", "%s is %s; only failed and cancelled jobs can be retried", id, row.status)
  end
  if row.generation ~= host.generation() and self.on_old_job then self.on_old_job() end
  return self:get(id)
end

-- -- Workers --------------------------------------------------------------------------------------------------------

--- Keeps in mind how many jobs of a type may run at once.
function Jobs:learn_limit(job_type, workflow) self.limits[job_type] = workflow and workflow.concurrency end

--- How many more jobs may start now, of the types that have a limit; nil when none has.
---@return table<string, integer>|nil
function Jobs:rooms()
  self:learn()
  if not next(self.limits) then return nil end
  local rooms = {}
  for job_type, limit in pairs(self.limits) do rooms[job_type] = limit end
  for _, row in ipairs(assert(self.db.query("SELECT type, count(*) AS n FROM jobs WHERE " .. running .. " GROUP BY type"))) do
    if rooms[row.type] then rooms[row.type] = rooms[row.type] - row.n end
  end
  return rooms
end

--- Answers one request of a worker: JSON in, JSON out.
---@param worker string
---@param payload string
---@return string
function Jobs:answer(worker, payload) return requests.answer(self, worker, payload) end

--- A worker's process is up and asks.
function Jobs:worker_came(worker) self.alive[worker] = true end

--- A worker's process has ended: what it had goes back into the queue, and what it still waits for is not given to it.
---@param crashed boolean it ended by itself, not by somebody's SIGKILL
function Jobs:worker_died(worker, reason, crashed)
  self.alive[worker] = nil
  local back, failed = self.queue:worker_died(worker, reason, crashed)
  if not back then return log.error("cannot put a dead worker's jobs back", { worker = worker, reason = tostring(failed) }) end
  self.orphaned_total:inc(back)
  if back + failed > 0 then log.warn("a worker died with jobs", { worker = worker, resumed = back, failed = failed, reason = reason }) end
end

--- Runs for ever: leases and deadlines that nobody else watches.
function Jobs:watch()
  local trouble = complaint.new(log, "cannot expire jobs")
  while true do
    fiber.sleep(1)
    if self.queue:has_expired() then
      local back, failed = self.queue:expire()
      trouble:heed(not back and failed)
      if back then log.warn("jobs expired", { resumed = back, failed = failed }) end
    end
  end
end

return M
