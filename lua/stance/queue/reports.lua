--- queue/reports.lua - what workers report of their jobs, as the statements that keep it.
---
--- Each function takes the queue, the job's id and epoch, and what is reported. It returns the statements of one transaction, which
--- is a conflict when the epoch is stale; then how the job ends by it, or "pending" when it goes back into the queue; then when it
--- may be claimed again, if that is later.
local statements_of = require "stance.queue.statements"

local cancel_pending, event, guard, text = statements_of.cancel_pending, statements_of.event, statements_of.guard, statements_of.text

local M = {}

local function add_note(queue, statements, id, note)
  if note.progress then
    statements[#statements + 1] = { "UPDATE jobs SET progress = ? WHERE id = ?", text(note.progress), id }
    statements[#statements + 1] = event(queue.now(), "job.progress", id, note.progress)
  end
  for _, one in ipairs(note.events or {}) do statements[#statements + 1] = event(queue.now(), one.type, id, one.data) end
  for _, artifact in ipairs(note.artifacts or {}) do
    statements[#statements + 1] = { [[INSERT INTO artifacts (job_id, name, hash, size, media_type, created_at) VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (job_id, name) DO UPDATE SET hash = excluded.hash, size = excluded.size, media_type = excluded.media_type,
        created_at = excluded.created_at]], id, artifact.name, artifact.hash, artifact.size, artifact.media_type, queue.now() }
    statements[#statements + 1] = event(queue.now(), "job.artifact", id, { name = artifact.name, size = artifact.size })
  end
end

--- Statements that put a job back, and end it there when it was to be cancelled: nobody would claim it.
local function put_back(queue, id, ...)
  local statements = { ... }
  statements[#statements + 1], statements[#statements + 2] = cancel_pending(queue.now(), id, "cancelled", true)
  return statements
end

local function finish(queue, id, epoch, status, fields, data)
  local statements = {
    { [[UPDATE jobs SET status = ?, reason = ?, result = ?, error = ?, ended_at = ?, lease_until = NULL, worker = NULL
        WHERE id = ? AND epoch = ? AND status = 'processing']], status, fields.reason, text(fields.result), text(fields.error),
      queue.now(), id, epoch, n = 7, expect = 1 },
    event(queue.now(), "job." .. status, id, data),
  }
  if queue.may_have_signals then statements[3] = { "DELETE FROM signals WHERE job_id = ?", id } end
  return statements, status
end

---@class stance.queue.note progress, events and artifacts of a running job; all optional
---@field progress? table
---@field events? { type: string, data: table }[]
---@field artifacts? { name: string, hash: string, size: integer, media_type: string }[]

--- Keeps progress, log lines and artifacts.
---@param note stance.queue.note
function M.note(queue, id, epoch, note)
  local statements = { guard(id, epoch) }
  add_note(queue, statements, id, note)
  return statements
end

--- Marks a step as begun, so that a crash can be laid at its door (see worker_died).
function M.begin(queue, id, epoch, key, name)
  return {
    guard(id, epoch),
    { "INSERT OR IGNORE INTO steps (job_id, key, name, attempt, started_at) VALUES (?, ?, ?, 0, ?)", id, key, name, queue.now() },
  }
end

--- Journals a finished step with what belongs to it. A key that is journalled already is a conflict. A job that gets on is no
--- poison: `was_poison` is what its claim said.
---@param step { key: string, name: string, attempt: integer, result: any, error: table|nil, started_at: number, was_poison?: boolean }
---@param note? stance.queue.note
function M.step(queue, id, epoch, step, note)
  local statements = {
    { [[INSERT INTO steps (job_id, key, name, attempt, result, error, started_at, ended_at)
        SELECT id, ?, ?, ?, ?, ?, ?, ? FROM jobs WHERE id = ? AND epoch = ? AND status = 'processing'
        ON CONFLICT (job_id, key) DO UPDATE SET attempt = excluded.attempt, result = excluded.result, error = excluded.error,
        started_at = excluded.started_at, ended_at = excluded.ended_at WHERE ended_at IS NULL]],
      step.key, step.name, step.attempt or 1, text(step.result), text(step.error), step.started_at, queue.now(), id, epoch, n = 9,
      expect = 1 },
  }
  if step.was_poison then statements[2] = { "UPDATE jobs SET poison = 0 WHERE id = ?", id } end
  if note then add_note(queue, statements, id, note) end
  return statements
end

function M.complete(queue, id, epoch, result) return finish(queue, id, epoch, "completed", { result = result }) end

--- The job's fiber has ended because it was told to.
function M.cancelled(queue, id, epoch, reason)
  return finish(queue, id, epoch, "cancelled", { reason = reason }, { reason = reason })
end

--- Ends the job as failed, or with `retry_at` puts it back until then.
---@param why { code: string, message: string }
function M.fail(queue, id, epoch, why, retry_at)
  if not retry_at then
    return finish(queue, id, epoch, "failed", { reason = why.message, error = why }, { reason = why.message, code = why.code })
  end
  return put_back(queue, id,
    { [[UPDATE jobs SET status = 'pending', queued_at = ?, run_at = ?, failures = failures + 1, error = ?, reason = ?,
        lease_until = NULL, worker = NULL WHERE id = ? AND epoch = ? AND status = 'processing']], queue.clock(), retry_at, text(why),
      why.message, id, epoch, expect = 1 },
    event(queue.now(), "job.retrying", id, { reason = why.message, run_at = retry_at })), "pending", retry_at
end

--- Gives the job back unfinished, as if this claim had not been: the worker is stopping.
function M.release(queue, id, epoch)
  return put_back(queue, id,
    { [[UPDATE jobs SET status = 'pending', attempt = attempt - 1, lease_until = NULL, worker = NULL
        WHERE id = ? AND epoch = ? AND status = 'processing']], id, epoch, expect = 1 },
    event(queue.now(), "job.released", id)), "pending"
end

return M
