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
local reports, statements = require "stance.queue.reports", require "stance.queue.statements"

local guard, running, text = statements.guard, statements.running, statements.text

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
---@field private changed fun(claimable: boolean, id?: string) see M.new
---@field private due? number what next_due found; nil: to be looked up
---@field private ended? table<string, integer> how many jobs have ended, by status; nil: to be counted
---@field private may_have_signals boolean some job may have signals that it has not taken
---@field private may_cancel boolean jobs may be asked to end that `cancelling` does not name
---@field private cancelling table<string, true> ids of running jobs that were asked to end
---@field private oddities integer how often one of these three was set
local Queue = {}
Queue.__index = Queue

--- `changed` is called after every commit that wrote events: `claimable` says that there may be a job to claim, `id` which job it
--- was (nil: several).
---@param options { db: table, now: fun(): number, clock?: fun(): number, changed?: fun(claimable: boolean, id?: string) }
---@return stance.queue.sqlite
function M.new(options)
  return setmetatable({ db = options.db, now = options.now, clock = options.clock or options.now,
    changed = options.changed or function() end, delays = 0, may_have_signals = true, may_cancel = true, cancelling = {},
    oddities = 0 }, Queue)
end

function Queue:event(type, id, data) return statements.event(self.now(), type, id, data) end

--- Runs statements as one transaction and tells those who watch.
---@param list table[] statements
---@param claimable? boolean
---@param id? string
function Queue:commit(list, claimable, id)
  local results, why = self.db.transaction(list)
  if not results then return nil, why end
  self.changed(claimable or false, id)
  return results
end

--- A job waits for `run_at`.
function Queue:delayed(run_at)
  self.delays = self.delays + 1
  if self.due then self.due = math.min(self.due, run_at) end
end

--- Keeps a new job. `exists` with the earlier job's id in `job_id` when the idempotency key was used before.
---@param job table id, type, params, priority, generation, max_attempts, created_at, run_at, deadline, principal, idempotency_key, ...;
--- with `parent_epoch` it is a conflict unless the parent runs under it and is not to be cancelled
function Queue:submit(job)
  local clock = self.clock()
  local list = {
    { [[INSERT INTO jobs (id, type, params, priority, generation, max_attempts, created_at, run_at, deadline, principal,
          idempotency_key, request_hash, parent, traceparent, queued_at, version)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)]],
      job.id, job.type, text(job.params), job.priority or 0, job.generation, job.max_attempts or 3, job.created_at or self.now(),
      job.run_at or clock, job.deadline, job.principal, job.idempotency_key, job.request_hash, job.parent, job.traceparent, clock,
      job.version, n = 16 },
    self:event("job.submitted", job.id, { job_type = job.type }),
  }
  if job.parent_epoch then
    local parent = guard(job.parent, job.parent_epoch)
    parent[1] = parent[1] .. " AND cancel_requested = 0"
    table.insert(list, 1, parent)
  end
  local ok, why = self:commit(list, true, job.id)
  if ok and job.run_at and job.run_at > clock then self:delayed(job.run_at) end
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

local claimed = "seq, id, type, params, priority, epoch, attempt, failures, poison, run_at, deadline, traceparent"

--- Gives out pending jobs whose time has come, by priority, then in the order of submission. Where there is none, nothing is
--- written.
---@param claim stance.queue.claim
---@return stance.queue.job[]|nil, table|nil err
function Queue:claim(claim)
  local now, clock, without = self.now(), self.clock(), claim.without or {}
  local marks = #without > 0 and " AND type NOT IN (" .. ("?, "):rep(#without):sub(1, -3) .. ")" or ""
  local first_ones = [[FROM jobs INDEXED BY jobs_claim WHERE status = 'pending' AND run_at <= ? AND generation = ?
      AND cancel_requested = 0]] .. marks .. " ORDER BY priority DESC, seq LIMIT ?"
  local function with(sql, ...)
    local statement = { sql, ... }
    for _, parameter in ipairs { clock, claim.generation, unpack(without) } do statement[#statement + 1] = parameter end
    statement[#statement + 1] = claim.limit
    return statement
  end
  local results, why = self.db.transaction {
    with([[INSERT INTO events (ts, type, job_id, data) SELECT ?, 'job.started', id,
      json_object('attempt', attempt + 1, 'worker', ?) ]] .. first_ones, now, claim.worker),
    with([[UPDATE jobs SET status = 'processing', epoch = epoch + 1, attempt = attempt + 1, worker = ?, lease_until = ?,
      started_at = ifnull(started_at, ?), reason = NULL WHERE seq IN (SELECT seq ]] .. first_ones ..
      ") RETURNING " .. claimed, claim.worker, clock + claim.lease, now),
  }
  if not results then return nil, why end
  local jobs = results[2].rows
  table.sort(jobs, function(a, b)
    if a.priority ~= b.priority then return a.priority > b.priority end
    return a.seq < b.seq
  end)
  for _, job in ipairs(jobs) do
    job.params = json.decode(job.params)
    self.changed(false, job.id)
  end
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
  local updates, clock = {}, self.clock()
  for i, lease in ipairs(leases) do
    updates[i] = { [[UPDATE jobs SET lease_until = ? WHERE id = ? AND epoch = ? AND status = 'processing'
        RETURNING cancel_requested]], clock + seconds, lease.id, lease.epoch }
  end
  if #updates == 0 then return { lost = {}, cancel = {} } end
  local results, why = self.db.transaction(updates)
  if not results then return nil, why end
  local lost, cancel = {}, {}
  for i, lease in ipairs(leases) do
    local row = results[i].rows[1]
    if not row then lost[#lost + 1] = lease.id
    elseif row.cancel_requested ~= 0 then cancel[#cancel + 1] = lease.id end
  end
  return { lost = lost, cancel = cancel }
end

-- -- What workers report ---------------------------------------------------------------------------------------------

--- Several reports at once, each for itself: one that fails does not spoil the others. Gives for each `true` or its error.
---@param list { [1]: string, [2]: string, n?: integer }[] the report's name and what it takes: {"complete", id, epoch, result}
---@return (true|table)[]|nil outcomes, table|nil err
function Queue:report(list)
  local transactions, ends, delays = {}, {}, {}
  for i, one in ipairs(list) do
    transactions[i], ends[i], delays[i] = reports[one[1]](self, unpack(one, 2, one.n or #one))
  end
  local outcomes, why = self.db.transactions(transactions)
  if not outcomes then return nil, why end
  for i, one in ipairs(list) do
    if outcomes[i] == true then
      if ends[i] == "pending" then self:put_back(one[2], delays[i]) elseif ends[i] then self:count_end(one[2], ends[i]) end
      self.changed(ends[i] ~= nil, one[2]) -- its type may have been full
    end
  end
  return outcomes
end

for name in pairs(reports) do
  Queue[name] = function(self, ...)
    local outcomes, why = self:report { { name, n = select("#", ...) + 1, ... } }
    if not outcomes then return nil, why end
    if outcomes[1] ~= true then return nil, outcomes[1] end
    return true
  end
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
  local clause = " WHERE " .. running .. " AND " .. where
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
  self:count_ended("cancelled", results[3].changes)
  self:count_ended("failed", results[5].changes)
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
  local moved, why = self.db.exec([[UPDATE jobs SET run_at = ?1 + (run_at - queued_at), deadline = deadline - (queued_at - ?1),
    queued_at = ?1 WHERE status = 'pending' AND queued_at > ?1]], self.clock())
  if not moved then return nil, why end
  return back, failed
end

--- Looks once at what most changes cannot touch. Returns the types of the jobs that wait.
---@return string[]|nil, table|nil err
function Queue:learn()
  self:forget()
  local oddities = self.oddities
  local found, why = self.db.query("SELECT EXISTS (SELECT 1 FROM signals) OR EXISTS (SELECT 1 FROM jobs WHERE " .. running ..
    " AND cancel_requested = 1) AS odd")
  if not found then return nil, why end
  local types
  types, why = self.db.query "SELECT DISTINCT type FROM jobs WHERE status = 'pending'"
  if not types then return nil, why end
  if found[1].odd == 0 and oddities == self.oddities then self.may_have_signals, self.may_cancel = false, false end
  for i, row in ipairs(types) do types[i] = row.type end
  return types
end

--- Somebody else has changed the queue: what is known of it holds no more.
function Queue:forget()
  self.due, self.ended, self.may_have_signals, self.may_cancel = nil, nil, true, true
  self.delays, self.oddities = self.delays + 1, self.oddities + 1
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
  self:count_ended("failed", results[2].changes)
  return back, results[2].changes
end

--- Is there anything for expire to do? A read, so that an idle host writes nothing.
function Queue:has_expired()
  local rows = self.db.query([[SELECT EXISTS (SELECT 1 FROM jobs WHERE lease_until < ?1) OR
    EXISTS (SELECT 1 FROM jobs WHERE status = 'pending' AND deadline < ?1) AS expired]], self.clock())
  return rows and rows[1].expired ~= 0
end

--- When the next job that waits for its time comes due, or nil. Looked up only when it may have changed.
function Queue:next_due()
  local clock = self.clock()
  if not self.due or self.due <= clock then
    local delays = self.delays
    local rows = self.db.query("SELECT min(run_at) AS due FROM jobs WHERE status = 'pending' AND run_at > queued_at AND run_at > ?", clock)
    if not rows then return nil end
    if delays ~= self.delays then return self:next_due() end
    self.due = rows[1].due or math.huge
  end
  return self.due < math.huge and self.due or nil
end

-- -- Counts ---------------------------------------------------------------------------------------------------------

function Queue:count_ended(status, by)
  if self.ended then self.ended[status] = self.ended[status] + by end
end

function Queue:count_end(id, status)
  self.cancelling[id] = nil
  self:count_ended(status, 1)
end

--- After a report that put a job back: if somebody had asked for its end it was cancelled there, and only the table knows.
function Queue:put_back(id, run_at)
  if run_at then self:delayed(run_at) end
  if self.may_cancel or self.cancelling[id] then self.ended = nil end
  self.cancelling[id] = nil
end

--- How many jobs there are in each state. Those that have ended are counted once, then kept count of.
---@return table<string, integer>|nil, table|nil err
function Queue:counts()
  local rows, why = self.db.query("SELECT (SELECT count(*) FROM jobs WHERE status = 'pending') AS pending, " ..
    "(SELECT count(*) FROM jobs WHERE " .. running .. ") AS processing")
  if not rows then return nil, why end
  if not self.ended then
    -- By the writer, whose answers come in the order of its commits: what ends before is in the count, what ends later adds to it.
    local results
    results, why = self.db.transaction { { "SELECT status, count(*) AS n FROM jobs WHERE ended_at IS NOT NULL GROUP BY status" } }
    if not results then return nil, why end
    self.ended = { completed = 0, failed = 0, cancelled = 0 }
    for _, row in ipairs(results[1].rows) do self.ended[row.status] = row.n end
  end
  local counts = rows[1]
  for status, count in pairs(self.ended) do counts[status] = count end
  return counts
end

-- -- From outside ---------------------------------------------------------------------------------------------------

--- Asks for the end of a job. Returns "cancelled" when it was pending, "cancelling" when a worker has it, and which worker.
function Queue:cancel(id, reason)
  local event, cancel = statements.cancel_pending(self.now(), id, reason)
  self.cancelling[id], self.oddities = true, self.oddities + 1 -- first: its worker may put it back before this returns
  local results, why = self:commit({
    event, cancel,
    { "UPDATE jobs SET cancel_requested = 1 WHERE id = ? AND status = 'processing' RETURNING worker", id },
  }, false, id)
  if not results then return nil, why end
  self:count_ended("cancelled", results[2].changes)
  local row = results[3].rows[1]
  if not row then self.cancelling[id] = nil end
  if results[2].changes > 0 then return "cancelled" end
  if row then return "cancelling", row.worker end
  return nil, err("conflict", "%s has ended already", id)
end

--- Puts a failed or cancelled job back, keeping what its finished steps returned. `conflict` in any other state.
function Queue:retry(id)
  local results, why = self:commit({
    { "SELECT status FROM jobs WHERE id = ?", id },
    { [[UPDATE jobs SET status = 'pending', run_at = ?1, queued_at = ?1, reason = NULL, error = NULL, result = NULL, ended_at = NULL,
        cancel_requested = 0, poison = 0, failures = 0, deadline = NULL WHERE id = ?2 AND status IN ('failed', 'cancelled')]],
      self.clock(), id, expect = 1 },
    { "DELETE FROM steps WHERE job_id = ? AND (error IS NOT NULL OR ended_at IS NULL)", id },
    self:event("job.retried", id),
  }, true, id)
  if not results then return nil, why end
  self:count_ended(results[1].rows[1].status, -1)
  return true
end

--- Sends a running or future `job:wait(name)` its payload.
function Queue:signal(id, name, payload)
  self.may_have_signals, self.oddities = true, self.oddities + 1
  return self:commit({
    { "SELECT 1 FROM jobs WHERE id = ? AND status IN ('pending', 'processing')", id, expect = 1 },
    { "INSERT INTO signals (job_id, name, payload, created_at) VALUES (?, ?, ?, ?)", id, name, text(payload), self.now(), n = 4 },
    self:event("job.signal", id, { name = name }),
  }, false, id)
end

--- Takes the oldest signal of that name and journals it as a step, in one. nil without error: there is none. Asked again with a key that
--- has its signal, it gives the same: the first answer may have been lost, and the signal is gone.
function Queue:take_signal(id, epoch, name, key)
  local rows, why = self.db.query([[SELECT * FROM (SELECT NULL AS seq, steps.result AS payload FROM steps JOIN jobs ON jobs.id = job_id
    WHERE job_id = ?1 AND key = ?3 AND epoch = ?4 AND status = 'processing' UNION ALL
    SELECT seq, payload FROM signals WHERE job_id = ?1 AND name = ?2) ORDER BY seq LIMIT 1]], id, name, key, epoch)
  if not rows then return nil, why end
  local signal = rows[1]
  if not signal then return nil end
  if not signal.seq then return { payload = signal.payload and json.decode(signal.payload) } end
  local now = self.now()
  local results
  results, why = self:commit {
    guard(id, epoch),
    { "DELETE FROM signals WHERE seq = ?", signal.seq, expect = 1 },
    { "INSERT INTO steps (job_id, key, name, attempt, result, started_at, ended_at) VALUES (?, ?, ?, 1, ?, ?, ?)", id, key, name,
      signal.payload, now, now, n = 6 },
  }
  if not results and why.statement == 2 then return self:take_signal(id, epoch, name, key) end -- another wait of the job took it
  if not results then return nil, why end
  return { payload = signal.payload and json.decode(signal.payload) }
end

return M
