--- doctor.lua - the operator's own checks of `stance doctor`: WORKSPACE/doctor/NAME.lua.
---
---     return {
---       name = "datasets",
---       run = function(report)
---         local found = require("fs").stat "/srv/datasets"
---         if found then report:ok "/srv/datasets is there"
---         else report:fail("/srv/datasets is not there", "mount it: mount /srv/datasets") end
---       end,
---     }
---
--- Each runs in a VM of its own, in a fiber, 5 s at most.
local M = {}

---@class stance.doctor.check
---@field name string what its lines are called
---@field run fun(report: stance.doctor.report)

---@class stance.doctor.report
---@field private lines { status: string, text: string, remedy: string|nil }[]
local Report = {}
Report.__index = Report

local function add(report, status, text, remedy)
  if type(text) ~= "string" then error(("report:%s wants a text, not a %s"):format(status, type(text)), 3) end
  if remedy ~= nil and type(remedy) ~= "string" then
    error(("report:%s wants a text as remedy, not a %s"):format(status, type(remedy)), 3)
  end
  report.lines[#report.lines + 1] = { status = status, text = text, remedy = remedy }
end

--- A line OK.
---@param text string
function Report:ok(text) add(self, "ok", text) end

--- A line WARN.
---@param text string what is not as it should be
---@param remedy? string what to do about it
function Report:warn(text, remedy) add(self, "warn", text, remedy) end

--- A line FAIL: `stance doctor` will end with 1.
---@param text string what is wrong
---@param remedy? string what to do about it
function Report:fail(text, remedy) add(self, "fail", text, remedy) end

--- Runs one check, for `stance doctor`.
---@param path string "doctor/datasets.lua"
---@return { name: string, lines: { status: string, text: string, remedy: string|nil }[] }
function M.run(path)
  local check = require((path:gsub("%.lua$", ""):gsub("/", ".")))
  if type(check) ~= "table" or type(check.name) ~= "string" or type(check.run) ~= "function" then
    error(path .. " must return { name = \"...\", run = function(report) ... end }", 0)
  end
  local report = setmetatable({ lines = {} }, Report)
  check.run(report)
  if #report.lines == 0 then report:warn("it says nothing", "call report:ok, report:warn or report:fail in " .. path) end
  return { name = check.name, lines = report.lines }
end

return M
