--- jobs/looking.lua - what can be seen of jobs: the methods of stance.jobs that only read.
local host, json, time = require "host", require "json", require "time"
local err = require "stance.err"
local running = require("stance.queue.statements").running

local ended = { completed = true, failed = true, cancelled = true }

---@class stance.jobs
local Jobs = {}

local function decode(value) return value and json.decode(value) or nil end

--- A job as the API shows it (DESIGN: job manifest, and what it has come to).
---@param row table a row of the jobs table
---@return table
function Jobs.manifest(row)
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
  return Jobs.manifest(row)
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
  for i = 1, math.min(limit, #rows) do jobs[i] = Jobs.manifest(rows[i]) end
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

return Jobs
