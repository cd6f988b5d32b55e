--- migration.lua - jobs that wait move to new scripts, where their workflow says that they can.
---
--- A job goes on with the scripts that it began with. A workflow with `migrate(state, from_version)` takes over those that are still (or
--- again) pending when its generation becomes active: `state` is { params, steps = { [key] = result } }, `from_version` the `version` that
--- the workflow had when the job was submitted. It returns the state with params that its own schema accepts; nil leaves the job where
--- it is. What finished steps returned stays journalled under their keys.
local json, log = require "json", require("log").named "jobs"
local host, time, workflows = require "host", require "time", require "stance.workflows"

local M = {}

local batch = 200

local function steps_of(db, id)
  local steps = {}
  for _, row in ipairs(assert(db.query("SELECT key, result FROM steps WHERE job_id = ? AND ended_at IS NOT NULL AND error IS NULL", id))) do
    local result = row.result and json.decode(row.result)
    if result ~= json.null then steps[row.key] = result end
  end
  return steps
end

--- The parameters that the job goes on with, or nil and why it stays.
local function migrated(db, workflow, row)
  local ok, state = pcall(workflow.migrate, { params = json.decode(row.params), steps = steps_of(db, row.id) }, row.version or 0)
  if not ok then return nil, tostring(state) end
  if state == nil then return nil end
  if type(state) ~= "table" then return nil, "migrate must return a state or nil" end
  local params, why = workflow.params:check(state.params, { at = "params" })
  return params, why and why.message
end

local function move(db, workflow, name, row)
  local params, why = migrated(db, workflow, row)
  if not params then
    if why then log.error("a job cannot be migrated and stays with its scripts", { jobId = row.id, reason = why }) end
    return false
  end
  local moved = db.transaction {
    { [[UPDATE jobs SET params = ?, generation = ?, version = ? WHERE id = ? AND status = 'pending' AND generation = ?]],
      json.encode(params), host.generation(), workflow.version, row.id, row.generation, expect = 1 },
    { "INSERT INTO events (ts, type, job_id, data) VALUES (?, 'job.migrated', ?, ?)", time.now(), row.id,
      json.encode { generation = host.generation() } },
  }
  if moved then log.info("job migrated to the present scripts", { jobId = row.id, workflow = name }) end
  return moved ~= nil
end

--- Moves what can be moved. Runs in a fiber; returns how many jobs.
---@param db table the db module
---@return integer
function M.run(db)
  local count = 0
  local types = assert(db.query("SELECT DISTINCT type FROM jobs WHERE status = 'pending' AND generation <> ?", host.generation()))
  for _, row_type in ipairs(types) do
    local name, after = row_type.type, 0
    local workflow = workflows.load(name)
    while workflow and workflow.migrate do
      local rows = assert(db.query([[SELECT seq, id, params, version, generation FROM jobs WHERE type = ? AND status = 'pending'
          AND generation <> ? AND seq > ? ORDER BY seq LIMIT ?]], name, host.generation(), after, batch))
      for _, row in ipairs(rows) do
        if move(db, workflow, name, row) then count = count + 1 end
        after = row.seq
      end
      if #rows < batch then break end
    end
  end
  return count
end

return M
