--- jobs.lua - the host's side of the job engine: what people ask of jobs, and what workers say of them.
local crypto, json, time = require "crypto", require "json", require "time"
local host, log, metrics = require "host", require("log").named "jobs", require "metrics"
local fiber = require "fiber"
local canonical, claims, complaint = require "stance.canonical", require "stance.claims", require "stance.complaint"
local err, generations, ids = require "stance.err", require "stance.generations", require "stance.ids"
local workflows = require "stance.workflows"
local events, signal, sqlite = require "stance.events", require "stance.signal", require "stance.queue.sqlite"
local running = require("stance.queue.statements").running

local M = {}

local ended = { completed = true, failed = true, cancelled = true }

---@class stance.jobs the job service of a host
local Jobs = {}
Jobs.__index = Jobs

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

-- -- Looking --------------------------------------------------------------------------------------------------------

--- The type that a job's id tells (stance.ids).
local function type_of(id) return id:match "^(.*)_%d+_%d+_%x+$" or "other" end

--- Counts the artifacts that a note brings.
function Jobs:count_note(id, note)
  local artifacts, bytes = note and note.artifacts, 0
  if not artifacts then return end
  for _, artifact in ipairs(artifacts) do bytes = bytes + artifact.size end
  self.artifacts_total:inc({ type = type_of(id) }, #artifacts)
  self.artifact_bytes_total:inc({ type = type_of(id) }, bytes)
end

local function decode(value) return value and json.decode(value) or nil end

--- A job as the API shows it (DESIGN: job manifest, and what it has come to).
---@param row table a row of the jobs table
---@return table
local function manifest(row)
  return {
    job_id = row.id, job_type = row.type, status = row.status, reason = row.reason,
    params = type(row.params) == "string" and json.decode(row.params) or row.params,
    schema_version = 1, generation = row.generation, attempt = row.attempt, error = decode(row.error), priority = row.priority,
    created_at = time.iso(row.created_at), started_at = row.started_at and time.iso(row.started_at),
    ended_at = row.ended_at and time.iso(row.ended_at), progress = decode(row.progress), result = decode(row.result),
    parent = row.parent, worker = row.worker, artifacts = row.artifact_count,
  }
end

local row_sql = "SELECT *, (SELECT count(*) FROM artifacts WHERE job_id = jobs.id) AS artifact_count FROM jobs "

-- A list tells of many jobs; what each came to may be large, and is told by the job itself.
local list_sql = [[SELECT seq, id, type, status, reason, params, generation, attempt, error, priority, created_at, started_at, ended_at,
  progress, parent, worker, (SELECT count(*) FROM artifacts WHERE job_id = jobs.id) AS artifact_count FROM jobs ]]

function Jobs:row(id)
  local rows, why = self.db.query(row_sql .. "WHERE id = ?", id)
  if not rows then return nil, why end
  if not rows[1] then return nil, err("not_found", "there is no job %s", id) end
  return rows[1]
end

---@param id string
---@return table|nil manifest, table|nil err
function Jobs:get(id)
  local row, why = self:row(id)
  if not row then return nil, why end
  return manifest(row)
end

--- Waits until the job has ended, at most `timeout` seconds; returns its manifest either way.
function Jobs:wait(id, timeout)
  local until_time, changes = time.monotonic() + timeout, self:changes_of(id)
  while true do
    local since = changes.count
    local job, why = self:get(id)
    local left = until_time - time.monotonic()
    if not job or ended[job.status] or left <= 0 or self.retired then return job, why end
    changes:wait(left, since)
  end
end

--- Each in the words of the index that finds them.
local status_clauses = { pending = "status = ?", processing = "status = ? AND lease_until IS NOT NULL" }
for status in pairs(ended) do status_clauses[status] = "status = ? AND ended_at IS NOT NULL" end

--- Jobs, newest first.
---@param filter { status?: string, type?: string, parent?: string, limit?: integer, after?: integer }
---@return { jobs: table[], next: integer|nil }|nil, table|nil err
function Jobs:list(filter)
  local where, parameters = { "1" }, {}
  local function add(clause, value)
    if value == nil then return end
    where[#where + 1], parameters[#parameters + 1] = clause, value
  end
  add(status_clauses[filter.status], filter.status)
  add("type = ?", filter.type)
  add("parent = ?", filter.parent)
  add("seq < ?", filter.after)
  local limit = filter.limit or 50
  parameters[#parameters + 1] = limit + 1
  local rows, why = self.db.query(list_sql .. "WHERE " .. table.concat(where, " AND ") .. " ORDER BY seq DESC LIMIT ?", unpack(parameters))
  if not rows then return nil, why end
  local jobs = {}
  for i = 1, math.min(limit, #rows) do jobs[i] = manifest(rows[i]) end
  return { jobs = jobs, next = rows[limit + 1] and rows[limit].seq or nil }
end

--- How many jobs there are in each state.
---@return table<string, integer>|nil, table|nil err
function Jobs:counts() return self.queue:counts() end

--- The jobs that have not ended, by type and status: how many, and how long the one that is due longest has been due.
---@return { type: string, status: string, count: integer, oldest_s: number }[]|nil, table|nil err
function Jobs:open_counts()
  local columns = "SELECT type, status, count(*) AS count, max(0, ?1 - min(run_at)) AS oldest_s FROM jobs WHERE "
  return self.db.query(columns .. "status = 'pending' GROUP BY type UNION ALL " .. columns .. running .. " GROUP BY type", self.clock())
end

--- How many jobs each worker has, by its id.
---@return table<string, integer>|nil, table|nil err
function Jobs:by_worker()
  local rows, why = self.db.query ("SELECT worker, count(*) AS n FROM jobs WHERE " .. running .. " GROUP BY worker")
  if not rows then return nil, why end
  local counts = {}
  for _, row in ipairs(rows) do counts[row.worker or ""] = row.n end
  return counts
end

---@return table[]|nil artifacts {name, size, sha256, media_type, created_at}
function Jobs:artifacts(id)
  local row, why = self:row(id)
  if not row then return nil, why end
  local rows
  rows, why = self.db.query("SELECT name, size, hash AS sha256, media_type, created_at FROM artifacts WHERE job_id = ? ORDER BY name", id)
  for _, artifact in ipairs(rows or {}) do artifact.created_at = time.iso(artifact.created_at) end
  return rows, why
end

function Jobs:artifact(id, name)
  local rows, why = self.db.query("SELECT name, size, hash AS sha256, media_type FROM artifacts WHERE job_id = ? AND name = ?", id, name)
  if not rows then return nil, why end
  if not rows[1] then return nil, err("not_found", "%s has no artifact '%s'", id, name) end
  return rows[1]
end

--- Log lines of a job, oldest first.
---@return { entries: table[], next: integer }|nil, table|nil err
function Jobs:logs(id, after, limit)
  local row, why = self:row(id)
  if not row then return nil, why end
  local rows
  rows, why = self.db.query("SELECT seq, ts, data FROM events WHERE job_id = ? AND type = 'job.log' AND seq > ? ORDER BY seq LIMIT ?", id,
    after or 0, limit or 1000)
  if not rows then return nil, why end
  local entries = {}
  for i, line in ipairs(rows) do
    local entry = json.decode(line.data)
    entry.seq, entry.ts = line.seq, time.iso(line.ts)
    entries[i] = entry
  end
  return { entries = entries, next = #rows > 0 and rows[#rows].seq or after or 0 }
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
    return manifest(job)
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
function Jobs:count_report(report)
  self:count_note(report.id, report.note)
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
    if outcome == true then self:count_report(report) end
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

--- Generations, besides the present one, that unfinished jobs belong to.
---@return string[]
function Jobs:old_generations()
  local names = {}
  for i, row in ipairs(assert(self.db.query("SELECT generation FROM jobs WHERE status = 'pending' AND generation <> ?1 UNION " ..
    "SELECT generation FROM jobs WHERE " .. running .. " AND generation <> ?1", host.generation()))) do names[i] = row.generation end
  return names
end

--- The ids of workers that have jobs.
---@return table<string, true>
function Jobs:busy_workers()
  local busy = {}
  for _, row in ipairs(assert(self.db.query("SELECT DISTINCT worker FROM jobs WHERE " .. running))) do busy[row.worker] = true end
  return busy
end

--- Answers one request of a worker: JSON in, JSON out ({ok = ...} or {err = {code, message}}).
---@param worker string
---@param payload string
---@return string
function Jobs:answer(worker, payload)
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
