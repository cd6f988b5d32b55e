--- queue/statements.lua - what the statements of the job queue have in common.
local json = require "json"

local M = {}

--- The condition of the jobs that workers have, in the words of the index that finds them.
M.running = "status = 'processing' AND lease_until IS NOT NULL"

--- A value as a column of JSON keeps it.
function M.text(value)
  if value == nil then return nil end
  return json.encode(value)
end

--- A statement that fails the whole transaction when the epoch is not the job's any more.
function M.guard(id, epoch)
  return { "SELECT 1 FROM jobs WHERE id = ? AND epoch = ? AND status = 'processing'", id, epoch, expect = 1 }
end

---@param data? table
function M.event(now, type, id, data)
  return { "INSERT INTO events (ts, type, job_id, data) VALUES (?, ?, ?, ?)", now, type, id, data and json.encode(data) or "{}" }
end

--- Ends a job that is pending, or only one of those that somebody has cancelled meanwhile.
function M.cancel_pending(now, id, reason, only_asked)
  local clause = " WHERE id = ? AND status = 'pending'" .. (only_asked and " AND cancel_requested = 1" or "")
  return { "INSERT INTO events (ts, type, job_id, data) SELECT ?, 'job.cancelled', id, json_object('reason', ?) FROM jobs" .. clause, now,
    reason, id },
    { "UPDATE jobs SET status = 'cancelled', reason = ?, ended_at = ?" .. clause, reason, now, id }
end

return M
