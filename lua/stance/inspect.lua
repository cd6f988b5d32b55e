--- inspect.lua - what a process tells of itself: the host of its own, a worker when the host asks (Workers:ask).
local fiber, json, metrics = require "fiber", require "json", require "metrics"
local err, profile = require "stance.err", require "profile"

local M = {}

local about = {}

--- All fibers, the longest in their state first.
---@param args { traceback?: boolean }
---@return fiber.View[]
function about.fibers(args)
  local list = fiber.inspect(args)
  table.sort(list, function(a, b)
    if a.since ~= b.since then return a.since > b.since end
    return a.name < b.name
  end)
  return json.array(list)
end

--- Where the CPU time goes.
---@param args profile.Options
---@return profile.Result|nil, table|nil err
function about.profile(args) return profile.run(args) end

--- All metrics as Prometheus text.
function about.metrics() return metrics.text() end

---@param what string
---@param args? table
---@return any answer, table|nil err
function M.answer(what, args)
  if not about[what] then return nil, err("invalid", "a process tells nothing about '%s'", tostring(what)) end
  return about[what](args or {})
end

return M
