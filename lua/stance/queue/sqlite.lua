--- queue/sqlite.lua - the job queue of one machine, in the host's database.
---
--- The contract of every queue (spec/jobs/queue_contract.lua runs against each):
--- * `submit` returns only when the job is on disk.
--- * `claim` gives a job to one worker, under a lease and a new *epoch*. Whatever that worker later says about the job names the
---   epoch; when it is no longer the job's, or the lease was lost, the answer is {code = "conflict"} and nothing changes.
--- * A lease that ran out, or whose worker died, puts the job back; after `max_attempts` such ends in a row, with no step finished
---   between, it fails as poison.
--- * A step's journal entry, its artifacts and its events commit together, or not at all.
local json = require "json"
local err = require "stance.err"

local M = {}

---@class stance.queue.job a row of the jobs table, with params decoded
---@field id string
---@field type string
---@field epoch integer
---@field attempt integer times it was claimed
---@field params table

---@class stance.queue.sqlite
---@field private db table the db module
---@field private now fun(): number seconds since 1970, for people
---@field private clock fun(): number about the same, but it never jumps: leases, delays, deadlines
---@field private changed fun(claimable: boolean) called after every commit that wrote events; claimable: there may be a job to claim
local Queue = {}
Queue.__index = Queue

---@param options { db: table, now: fun(): number, clock?: fun(): number, changed?: fun(claimable: boolean) }
---@return stance.queue.sqlite
function M.new(options)
  return setmetatable({ db = options.db, now = options.now, clock = options.clock or options.now,
    changed = options.changed or function() end }, Queue)
end

local guard_sql = "SELECT 1 FROM jobs WHERE id = ? AND epoch = ? AND status = 'processing'"
local event_sql = "INSERT INTO events (ts, type, job_id, data) VALUES (?, ?, ?, ?)"

local function text(value)
  if value == nil then return nil end
  return json.encode(value)
end

--- A statement that fails the whole transaction when the epoch is not the job's any more.
local function guard(id, epoch) return { guard_sql, id, epoch, expect = 1 } end

--- The same for a step that has ended: a job that gets on is no poison.
local function guard_progress(id, epoch)
  return { "UPDATE jobs SET poison = 0 WHERE id = ? AND epoch = ? AND status = 'processing'", id, epoch, expect = 1 }
end

function Queue:event(type, id, data) return { event_sql, self.now(), type, id, text(data or { }), n = 4 } end

--- Runs statements as one transaction and tells those who watch events.
---@param statements table[]
---@param claimable? boolean
function Queue:commit(statements, claimable)
  local results, why = self.db.transaction(statements)
  if not results then return nil, why end
  self.changed(claimable or false)
  return results
end

--- Keeps a new job. `exists` with the earlier job's id in `job_id` when the idempotency key was used before.
---@param job table id, type, params, priority, generation, max_attempts, run_at, deadline, principal, idempotency_key, ...; with
--- `parent_epoch` it is a conflict unless the parent runs under it and is not to be cancelled
function Queue:submit(job)
  local clock = self.clock()
  local statements = {
    { [[INSERT INTO jobs (id, type, params, priority, generation, max_attempts, created_at, run_at, deadline, principal,
          idempotency_key, request_hash, parent, traceparent, queued_at, version)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)]],
      job.id, job.type, text(job.params), job.priority or 0, job.generation, job.max_attempts or 3, self.now(),
      job.run_at or clock, job.deadline, job.principal, job.idempotency_key, job.request_hash, job.parent, job.traceparent, clock,
      job.version, n = 16 },
    self:event("job.submitted", job.id, { job_type = job.type }),
  }
  if job.parent_epoch then
    table.insert(statements, 1, { guard_sql .. " AND cancel_requested = 0", job.parent, job.parent_epoch, expect = 1 })
  end
  local ok, why = self:commit(statements, true)
  if ok then return true end
  if why.code ~= "exists" or not job.idempotency_key then return nil, why end
  local rows, failure = self.db.query([[SELECT id, request_hash FROM jobs WHERE idempotency_key = ?
    AND ifnull(principal, '') = ifnull(?, '')]], job.idempotency_key, job.principal)
  if not rows then return nil, failure end
  if not rows[1] then return nil, why end
  local exists = err("exists", "the idempotency key '%s' was used for %s", job.idempotency_key, rows[1].id)
  exists.job_id, exists.request_hash = rows[1].id, rows[1].request_hash
  return nil, exists
end

---@class stance.queue.claim
---@field worker string
---@field generation string
---@field limit integer jobs at most
---@field lease number seconds
---@field without? string[] job types to pass over

--- Gives out pending jobs whose time has come, by priority, then in the order of submission.
---@param claim stance.queue.claim
---@return stance.queue.job[]|nil, table|nil err
function Queue:claim(claim)
  local clock, without = self.clock(), claim.without or {}
  local marks = ("?, "):rep(#without):sub(1, -3)
  local select_sql = [[SELECT id FROM jobs INDEXED BY jobs_claim WHERE status = 'pending' AND run_at <= ? AND generation = ?
      AND cancel_requested = 0]] .. (#without > 0 and " AND type NOT IN (" .. marks .. ")" or "") .. [[
      ORDER BY priority DESC, seq LIMIT ?]]
  local parameters = { clock, claim.generation, unpack(without) }
  parameters[#parameters + 1] = claim.limit
  local found, failure = self.db.query(select_sql, unpack(parameters)) -- so that an idle host writes nothing
  if not found then return nil, failure end
  if #found == 0 then return {} end
  local statement = { [[UPDATE jobs SET status = 'processing', epoch = epoch + 1, attempt = attempt + 1, worker = ?, lease_until = ?,
      started_at = ifnull(started_at, ?), reason = NULL WHERE id IN (]] .. select_sql .. ") RETURNING *",
    claim.worker, clock + claim.lease, self.now(), unpack(parameters) }
  local event = { [[INSERT INTO events (ts, type, job_id, data) SELECT ?, 'job.started', id,
      json_object('attempt', attempt, 'worker', worker) FROM jobs WHERE worker = ? AND status = 'processing' AND lease_until = ?]],
    self.now(), claim.worker, clock + claim.lease }
  local results, why = self.db.transaction { statement, event }
  if not results then return nil, why end
  local jobs = results[1].rows
  if #jobs == 0 then return jobs end
  self.changed(false)
  table.sort(jobs, function(a, b)
    if a.priority ~= b.priority then return a.priority > b.priority end
    return a.seq < b.seq
  end)
  for _, job in ipairs(jobs) do job.params = json.decode(job.params) end
  return jobs
end

--- What earlier attempts have come to: {key, result, error} of finished steps, {key, crashes} of those that were begun carefully.
function Queue:journal(id)
  local rows, why = self.db.query([[SELECT key, result, error, CASE WHEN ended_at IS NULL THEN attempt END AS crashes
    FROM steps WHERE job_id = ?]], id)
  if not rows then return nil, why end
  return rows
end

--- Prolongs leases. Returns the ids whose lease is lost and those that shall be cancelled.
---@param leases { id: string, epoch: integer }[]
function Queue:extend(leases, seconds)
  local statements, clock = {}, self.clock()
  for i, lease in ipairs(leases) do
    statements[i] = { [[UPDATE jobs SET lease_until = ? WHERE id = ? AND epoch = ? AND status = 'processing'
        RETURNING cancel_requested]], clock + seconds, lease.id, lease.epoch }
  end
  if #statements == 0 then return { lost = {}, cancel = {} } end
  local results, why = self.db.transaction(statements)
  if not results then return nil, why end
  local lost, cancel = {}, {}
  for i, lease in ipairs(leases) do
    local row = results[i].rows[1]
    if not row then lost[#lost + 1] = lease.id
    elseif row.cancel_requested ~= 0 then cancel[#cancel + 1] = lease.id end
  end
  return { lost = lost, cancel = cancel }
end

local function add_note(self, statements, id, note)
  if note.progress then
    statements[#statements + 1] = { "UPDATE jobs SET progress = ? WHERE id = ?", text(note.progress), id }
    statements[#statements + 1] = self:event("job.progress", id, note.progress)
  end
  for _, event in ipairs(note.events or {}) do statements[#statements + 1] = self:event(event.type, id, event.data) end
  for _, artifact in ipairs(note.artifacts or {}) do
    statements[#statements + 1] = { [[INSERT INTO artifacts (job_id, name, hash, size, media_type, created_at) VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (job_id, name) DO UPDATE SET hash = excluded.hash, size = excluded.size, media_type = excluded.media_type,
        created_at = excluded.created_at]], id, artifact.name, artifact.hash, artifact.size, artifact.media_type, self.now() }
    statements[#statements + 1] = self:event("job.artifact", id, { name = artifact.name, size = artifact.size })
  end
end

---@class stance.queue.note progress, events and artifacts of a running job; all optional
---@field progress? table
---@field events? { type: string, data: table }[]
---@field artifacts? { name: string, hash: string, size: integer, media_type: string }[]

--- Keeps progress, log lines and artifacts.
---@param note stance.queue.note
function Queue:note(id, epoch, note)
  local statements = { guard(id, epoch) }
  add_note(self, statements, id, note)
  return self:commit(statements)
end

--- Marks a step as begun, so that a crash can be laid at its door (see worker_died).
function Queue:begin(id, epoch, key, name)
  return self:commit {
    guard(id, epoch),
    { "INSERT OR IGNORE INTO steps (job_id, key, name, attempt, started_at) VALUES (?, ?, ?, 0, ?)", id, key, name, self.now() },
  }
end

--- Journals a finished step with what belongs to it. A key that is journalled already is a conflict.
---@param step { key: string, name: string, attempt: integer, result: any, error: table|nil, started_at: number }
---@param note? stance.queue.note
function Queue:step(id, epoch, step, note)
  local statements = {
    guard_progress(id, epoch),
    { [[INSERT INTO steps (job_id, key, name, attempt, result, error, started_at, ended_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (job_id, key) DO UPDATE SET attempt = excluded.attempt, result = excluded.result, error = excluded.error,
        started_at = excluded.started_at, ended_at = excluded.ended_at WHERE ended_at IS NULL]],
      id, step.key, step.name, step.attempt or 1, text(step.result), text(step.error), step.started_at, self.now(), n = 8, expect = 1 },
  }
  add_note(self, statements, id, note or {})
  return self:commit(statements)
end

local function finish(self, id, epoch, status, fields, event)
  local now = self.now()
  return self:commit({
    { [[UPDATE jobs SET status = ?, reason = ?, result = ?, error = ?, ended_at = ?, lease_until = NULL, worker = NULL
        WHERE id = ? AND epoch = ? AND status = 'processing']], status, fields.reason, text(fields.result), text(fields.error), now, id,
      epoch, n = 7, expect = 1 },
    { "DELETE FROM signals WHERE job_id = ?", id },
    self:event("job." .. status, id, event),
  }, true) -- its type may have been full
end

function Queue:complete(id, epoch, result) return finish(self, id, epoch, "completed", { result = result }) end

--- The job's fiber has ended because it was told to.
function Queue:cancelled(id, epoch, reason)
  return finish(self, id, epoch, "cancelled", { reason = reason }, { reason = reason })
end

--- Ends a job that is pending, or only one of those that somebody has cancelled meanwhile.
local function cancel_pending(self, id, reason, only_asked)
  local clause = " WHERE id = ? AND status = 'pending'" .. (only_asked and " AND cancel_requested = 1" or "")
  local now = self.now()
  return { "INSERT INTO events (ts, type, job_id, data) SELECT ?, 'job.cancelled', id, json_object('reason', ?) FROM jobs" .. clause, now,
    reason, id },
    { "UPDATE jobs SET status = 'cancelled', reason = ?, ended_at = ?" .. clause, reason, now, id }
end

--- Statements that put a job back, and end it there when it was to be cancelled: nobody would claim it.
local function put_back(self, id, ...)
  local statements = { ... }
  statements[#statements + 1], statements[#statements + 2] = cancel_pending(self, id, "cancelled", true)
  return statements
end

--- Ends the job as failed, or with `retry_at` puts it back until then.
---@param why { code: string, message: string }
function Queue:fail(id, epoch, why, retry_at)
  if not retry_at then
    return finish(self, id, epoch, "failed", { reason = why.message, error = why }, { reason = why.message, code = why.code })
  end
  return self:commit(put_back(self, id,
    { [[UPDATE jobs SET status = 'pending', queued_at = ?, run_at = ?, failures = failures + 1, error = ?, reason = ?,
        lease_until = NULL, worker = NULL WHERE id = ? AND epoch = ? AND status = 'processing']], self.clock(), retry_at, text(why),
      why.message, id, epoch, expect = 1 },
    self:event("job.retrying", id, { reason = why.message, run_at = retry_at })), true)
end

--- Gives the job back unfinished, as if this claim had not been: the worker is stopping.
function Queue:release(id, epoch)
  return self:commit(put_back(self, id,
    { [[UPDATE jobs SET status = 'pending', attempt = attempt - 1, lease_until = NULL, worker = NULL
        WHERE id = ? AND epoch = ? AND status = 'processing']], id, epoch, expect = 1 },
    self:event("job.released", id)), true)
end

-- -- Ends that nobody reports ---------------------------------------------------------------------------------------

--- Jobs matching `where` have lost their worker: back to the queue, or the end for those that keep killing workers.
local function orphan(self, where, why, ...)
  local now, poison = self.now(), why.innocent and 0 or 1
  local parameters = { ... }
  local function with(sql, ...)
    local statement = { sql, ... }
    for _, parameter in ipairs(parameters) do statement[#statement + 1] = parameter end
    return statement
  end
  local clause = " WHERE status = 'processing' AND " .. where
  local poisoned = " AND poison + " .. poison .. " >= ifnull(max_attempts, 3) AND " .. poison .. " > 0"
  local results, failure = self:commit({
    with("UPDATE steps SET attempt = attempt + ? WHERE ended_at IS NULL AND job_id IN (SELECT id FROM jobs" .. clause .. ")",
      why.crashed and 1 or 0),
    with("INSERT INTO events (ts, type, job_id, data) SELECT ?, 'job.cancelled', id, '{}' FROM jobs" .. clause ..
      " AND cancel_requested = 1", now),
    with("UPDATE jobs SET status = 'cancelled', reason = 'cancelled', ended_at = ?, lease_until = NULL, worker = NULL" .. clause ..
      " AND cancel_requested = 1", now),
    with("INSERT INTO events (ts, type, job_id, data) SELECT ?, 'job.failed', id, json_object('reason', ?, 'code', 'poison') FROM jobs" ..
      clause .. poisoned, now, why.message),
    with([[UPDATE jobs SET status = 'failed', poison = poison + 1, reason = ?, error = json_object('code', 'poison', 'message', ?),
      ended_at = ?, lease_until = NULL, worker = NULL]] .. clause .. poisoned, why.message, why.message, now),
    with("INSERT INTO events (ts, type, job_id, data) SELECT ?, 'job.orphaned', id, json_object('reason', ?) FROM jobs" .. clause, now,
      why.message),
    with("UPDATE jobs SET status = 'pending', poison = poison + ?, reason = ?, lease_until = NULL, worker = NULL" .. clause, poison,
      why.message),
  }, true)
  if not results then return nil, failure end
  return results[7].changes, results[5].changes
end

--- A worker's process ended. When it `crashed` by itself, the steps that were begun carefully are counted as suspects. Returns how
--- many jobs went back and how many failed.
---@param worker string
---@param reason string
---@param crashed? boolean
function Queue:worker_died(worker, reason, crashed)
  return orphan(self, "worker = ?", { message = reason, crashed = crashed }, worker)
end

--- At the start of a host no worker can be alive; that is not the jobs' fault.
function Queue:recover()
  local back, failed = orphan(self, "1", { message = "the host was restarted", innocent = true })
  if not back then return nil, failed end
  -- The wall clock was set back meanwhile: what waits would wait the longer.
  local clock = self.clock()
  local moved, why = self.db.exec([[UPDATE jobs SET run_at = ?1 + (run_at - queued_at), deadline = deadline - (queued_at - ?1),
    queued_at = ?1 WHERE status = 'pending' AND queued_at > ?1]], clock)
  if not moved then return nil, why end
  return back, failed
end

--- Puts back jobs whose lease ran out, and fails pending jobs past their deadline. Returns how many each.
function Queue:expire()
  local now, clock = self.now(), self.clock()
  local back, why = orphan(self, "lease_until < ?", { message = "the worker's lease ran out" }, clock)
  if not back then return nil, why end
  local results
  results, why = self:commit {
    { [[INSERT INTO events (ts, type, job_id, data) SELECT ?, 'job.failed', id, '{"code":"timeout"}' FROM jobs
        WHERE status = 'pending' AND deadline < ?]], now, clock },
    { [[UPDATE jobs SET status = 'failed', reason = 'the deadline has passed', ended_at = ?,
        error = '{"code":"timeout","message":"the deadline has passed"}' WHERE status = 'pending' AND deadline < ?]], now, clock },
  }
  if not results then return nil, why end
  return back, results[2].changes
end

--- Is there anything for expire to do? A read, so that an idle host writes nothing.
function Queue:has_expired()
  local rows = self.db.query([[SELECT EXISTS (SELECT 1 FROM jobs WHERE lease_until < ?1) OR
    EXISTS (SELECT 1 FROM jobs WHERE status = 'pending' AND deadline < ?1) AS expired]], self.clock())
  return rows and rows[1].expired ~= 0
end

--- When the next job that waits for its time comes due, or nil.
function Queue:next_due()
  local rows = self.db.query("SELECT min(run_at) AS due FROM jobs WHERE status = 'pending' AND run_at > ?", self.clock())
  return rows and rows[1].due
end

-- -- From outside ---------------------------------------------------------------------------------------------------

--- Asks for the end of a job. Returns "cancelled" when it was pending, "cancelling" when a worker has it, and which worker.
function Queue:cancel(id, reason)
  local event, cancel = cancel_pending(self, id, reason)
  local results, why = self:commit {
    event, cancel,
    { "UPDATE jobs SET cancel_requested = 1 WHERE id = ? AND status = 'processing' RETURNING worker", id },
  }
  if not results then return nil, why end
  if results[2].changes > 0 then return "cancelled" end
  local row = results[3].rows[1]
  if row then return "cancelling", row.worker end
  return nil, err("conflict", "%s has ended already", id)
end

--- Puts a failed or cancelled job back, keeping what its finished steps returned. `conflict` in any other state.
function Queue:retry(id)
  return self:commit({
    { [[UPDATE jobs SET status = 'pending', run_at = ?1, queued_at = ?1, reason = NULL, error = NULL, result = NULL, ended_at = NULL,
        cancel_requested = 0, poison = 0, failures = 0, deadline = NULL WHERE id = ?2 AND status IN ('failed', 'cancelled')]],
      self.clock(), id, expect = 1 },
    { "DELETE FROM steps WHERE job_id = ? AND (error IS NOT NULL OR ended_at IS NULL)", id },
    self:event("job.retried", id),
  }, true)
end

--- Sends a running or future `job:wait(name)` its payload.
function Queue:signal(id, name, payload)
  return self:commit {
    { "SELECT 1 FROM jobs WHERE id = ? AND status IN ('pending', 'processing')", id, expect = 1 },
    { "INSERT INTO signals (job_id, name, payload, created_at) VALUES (?, ?, ?, ?)", id, name, text(payload), self.now(), n = 4 },
    self:event("job.signal", id, { name = name }),
  }
end

--- Takes the oldest signal of that name and journals it as a step, in one. nil without error: there is none.
function Queue:take_signal(id, epoch, name, key)
  local rows, why = self.db.query("SELECT seq, payload FROM signals WHERE job_id = ? AND name = ? ORDER BY seq LIMIT 1", id, name)
  if not rows then return nil, why end
  local signal = rows[1]
  if not signal then return nil end
  local now = self.now()
  local results
  results, why = self:commit {
    guard(id, epoch),
    { "DELETE FROM signals WHERE seq = ?", signal.seq, expect = 1 },
    { "INSERT INTO steps (job_id, key, name, attempt, result, started_at, ended_at) VALUES (?, ?, ?, 1, ?, ?, ?)", id, key, name,
      signal.payload, now, now, n = 6 },
  }
  if not results then return nil, why end
  return { payload = signal.payload and json.decode(signal.payload) }
end

return M
