--- testing/dry_run.lua - `stance check --run`: one job on a host in memory, and what came of it. Nothing leaves the process: artifacts
--- lie in memory, files can only be read, and the network is not there.
local err = require "stance.err"
local testing = require "stance.testing"

local M = {}

--- A module whose every call fails as a network does that is not there.
local function absent(name)
  local function call()
    return nil, err("unsupported", "%s: there is no network in a dry run; give stand-ins in a spec (stance test)", name)
  end
  return setmetatable({}, { __index = function() return call end })
end

local function sizes(job)
  local list = {}
  for i, name in ipairs(job:artifacts()) do list[i] = { name = name, size = #assert(job:read(name)) } end
  return list
end

---@class stance.testing.dry_run
---@field type string
---@field params any
---@field seconds number on the virtual clock

--- Runs a job to its end. `refused`: it was not accepted, for the reason in `error`.
---@param request stance.testing.dry_run
---@return { status: string, error: table|nil, result: any, seconds: number, steps: table[], artifacts: table[], logs: table[] }
function M.run(request)
  local host = testing.host { modules = { http = absent "http", ws = absent "ws" } }
  local began = host:now()
  local job, why = host:submit(request.type, request.params)
  if not job then return { status = "refused", error = { code = why.code, message = why.message } } end
  local ended, reason = pcall(job.finish, job, request.seconds)
  local manifest = job:manifest()
  if not ended then manifest.error = { code = "timeout", message = tostring(reason):gsub("^[^:]*:%d+: ", "") } end
  local steps, logs = {}, {}
  for i, step in ipairs(job:steps()) do steps[i] = { key = step.key, attempt = step.attempt, error = step.error } end
  for i, line in ipairs(job:logs()) do logs[i] = { level = line.level, message = line.message, fields = line.fields } end
  return { status = manifest.status, error = manifest.error, result = manifest.result, seconds = host:now() - began, steps = steps,
    artifacts = sizes(job), logs = logs }
end

return M
