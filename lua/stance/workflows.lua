--- workflows.lua - finds workflow scripts by job type and checks their shape.
---
--- A workflow is workflows/<type>.lua, a script without side effects that returns a table: `name`, `version`, `params` (a
--- schema of stance.schema), `run(job, params)`, and optionally `admit(params)`, `estimate(params)`, `check()`,
--- `migrate(state, from_version)` (stance.migration), `retries`, `timeout` (seconds), `concurrency` (jobs of this type at once).
local host = require "host"
local err = require "stance.err"

local M = {}

---@class stance.workflow
---@field name string
---@field version integer
---@field params table schema of its parameters
---@field run fun(job: stance.job, params: table): any
---@field admit? fun(params: table): any, table|nil may a job with these be accepted? nil and an error refuse it; in the host, so quick
---@field estimate? fun(params: table): table
---@field check? fun(): boolean|nil, string|nil is what it needs there? nil and the reason, or an error, keep its generation out
---@field migrate? fun(state: { params: table, steps: table<string, any> }, from_version: integer): table|nil
---@field retries? integer how often a run that failed is tried again
---@field timeout? number seconds a run may take
---@field concurrency? integer jobs of this type that may run at once

local shape = {
  name = { "string", true }, version = { "number", true }, params = { "table", true }, run = { "function", true },
  admit = { "function" }, estimate = { "function" }, check = { "function" }, migrate = { "function" },
  retries = { "number" }, timeout = { "number" }, concurrency = { "number" },
}

--- The fields that a workflow may have.
M.fields = shape

--- Is this what workflows/<name>.lua may return? The value, or nil, what is wrong with it, and the field that is.
---@param name string
---@param workflow any
---@return stance.workflow|nil, string|nil why, string|nil field
function M.check_shape(name, workflow)
  if type(workflow) ~= "table" then return nil, ("must return a table, not a %s"):format(type(workflow)) end
  for field, rule in pairs(shape) do
    local value = workflow[field]
    if value == nil and rule[2] then return nil, ("has no '%s'"):format(field), field end
    if value ~= nil and type(value) ~= rule[1] then
      return nil, ("'%s' must be a %s, not a %s"):format(field, rule[1], type(value)), field
    end
  end
  if workflow.name ~= name then return nil, ("is named '%s'; the file's name and `name` must agree"):format(workflow.name), "name" end
  if type(workflow.params.check) ~= "function" then return nil, "'params' must be a schema (t.object{...})", "params" end
  return workflow
end

--- `require` leaves a mark (which looks like a number, or like userdata) in place of a module that failed, and would tell the next
--- one who asks of a loop instead of the reason.
function M.forget_half_loaded()
  for name, value in pairs(package.loaded) do
    if type(value) == "number" or type(value) == "userdata" then package.loaded[name] = nil end
  end
end

--- The job types of this generation, sorted.
---@return string[]
function M.names()
  local names = {}
  for _, script in ipairs(host.scripts()) do
    local name = script.path:match "^workflows/([%w_-]+)%.lua$"
    if name then names[#names + 1] = name end
  end
  return names
end

--- The workflow of a job type. `not_found` when there is no such script, `invalid` when it is broken.
---@param name string
---@return stance.workflow|nil, table|nil err
function M.load(name)
  if type(name) ~= "string" or not name:match "^[%w_-]+$" or not host.script("workflows/" .. name .. ".lua") then
    return nil, err("not_found", "there is no workflow '%s'; there are: %s", tostring(name), table.concat(M.names(), ", "))
  end
  local ok, workflow = pcall(require, "workflows." .. name)
  if not ok then
    M.forget_half_loaded()
    return nil, err("invalid", "workflows/%s.lua: %s", name, tostring(workflow))
  end
  local good, why = M.check_shape(name, workflow)
  if not good then return nil, err("invalid", "workflows/%s.lua %s", name, why) end
  return workflow
end

return M
