--- trace.lua - what became of a job, in order: its journal and its events as one timeline.
local json, time = require "json", require "time"

local M = {}

--- Events that say how far a job is, or what it says, are told elsewhere; its children and steps from their own rows.
local untold = { ["job.log"] = true, ["job.progress"] = true }

---@class stance.trace.Entry
---@field at_s number  seconds since the job was submitted
---@field kind string  "submitted", "started", "step", "artifact", "child", "orphaned", "retrying", "completed", ...
---@field name? string  of the step, the artifact, the child
---@field seconds? number  it took; missing for moments, and for what goes on
---@field detail? string
---@field failed? boolean

local function detail_of(kind, data)
  if kind == "started" then return ("attempt %s, %s"):format(tostring(data.attempt), tostring(data.worker)) end
  if kind == "artifact" then return ("%d bytes"):format(data.size or 0) end
  return data.reason
end

local function event_entry(began, event)
  local kind = event.type:match "^job%.(.*)$" or event.type
  local data = event.data and json.decode(event.data) or {}
  return { at_s = event.ts - began, kind = kind, name = data.name, detail = detail_of(kind, data),
    failed = kind == "failed" or kind == "orphaned" or nil, order = event.seq }
end

local function step_entry(began, step)
  local why = step.error and json.decode(step.error)
  local tries = (step.attempt or 1) > 1 and ("%d attempts"):format(step.attempt) or nil
  return { at_s = step.started_at - began, kind = "step", name = step.key, seconds = step.ended_at and step.ended_at - step.started_at,
    detail = why and why.message or tries, failed = why and true, order = math.huge }
end

local function child_entry(began, child)
  return { at_s = child.created_at - began, kind = "child", name = child.id,
    seconds = child.ended_at and child.ended_at - child.created_at, detail = child.status, failed = child.status == "failed" or nil,
    order = math.huge }
end

--- The timeline of a job.
---@param db table  the db module
---@param row table  its row
---@return table|nil trace, table|nil err
function M.of(db, row)
  local entries, began = {}, row.created_at
  local function add(make, sql)
    local rows, why = db.query(sql, row.id)
    if not rows then return nil, why end
    for _, one in ipairs(rows) do
      if not untold[one.type or ""] then entries[#entries + 1] = make(began, one) end
    end
    return true
  end
  local ok, why = add(event_entry, "SELECT seq, ts, type, data FROM events WHERE job_id = ? ORDER BY seq")
  if ok then
    ok, why = add(step_entry, "SELECT key, attempt, error, started_at, ended_at FROM steps WHERE job_id = ? AND started_at IS NOT NULL")
  end
  if ok then ok, why = add(child_entry, "SELECT id, status, created_at, ended_at FROM jobs WHERE parent = ?") end
  if not ok then return nil, why end
  table.sort(entries, function(a, b)
    if a.at_s ~= b.at_s then return a.at_s < b.at_s end
    if a.order ~= b.order then return a.order < b.order end
    return (a.name or "") < (b.name or "")
  end)
  for _, entry in ipairs(entries) do entry.order = nil end
  return {
    job_id = row.id, job_type = row.type, status = row.status, traceparent = row.traceparent,
    trace_id = row.traceparent and row.traceparent:match "^%x%x%-(%x+)%-", created_at = time.iso(began),
    seconds = (row.ended_at or time.now()) - began, entries = json.array(entries),
  }
end

return M
