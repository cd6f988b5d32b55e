--- check.lua - finds what is wrong with scripts before a host takes them: `stance check`, and each reload.
---
---     for _, problem in ipairs(check.generation()) do print(problem.path, problem.line, problem.message) end
---
--- It runs inside a VM that holds the generation, in a fiber, and loads the scripts there. Ending scripts that do not end, and those
--- that eat up memory, is the business of whoever made that VM. Errors would keep a script from working; warnings are most likely
--- mistakes; hints make it better.
local fiber, host, lint = require "fiber", require "host", require "lint"
local guess = require("stance.words").guess
local kinds = require "stance.check.kinds"

local M = {}

--- The scripts of this vm's generation, by path; they do not change.
local by_path = {}
for _, script in ipairs(host.scripts()) do by_path[script.path] = script end

---@class stance.problem
---@field path string as scripts are required: "workflows/render.lua"
---@field origin string the file it was read from
---@field line integer 1 where no line is known
---@field message string
---@field severity "error"|"warning"|"hint"

--- One script under check.
---@class stance.check.subject
---@field path string
---@field origin string
---@field text string
---@field problems stance.problem[]
local Subject = {}
Subject.__index = Subject

-- -- Places ---------------------------------------------------------------------------------------------------------

--- What was raised as its place, if it is one of ours, and the rest: "FILE:LINE: MESSAGE".
local function split_message(value)
  local ok, text = pcall(tostring, value)
  if not ok then text = "(an error that cannot be shown)" end
  if text == "not enough memory" then text = "takes too much memory to load" end
  local source, line, message = text:match "^(.-):(%d+): (.*)$"
  local script = source and by_path[source]
  if script then return script, tonumber(line), message end
  return nil, nil, text
end

---@param severity "error"|"warning"|"hint"
---@param line integer|nil
---@param format string as string.format
---@param ... any
function Subject:add(severity, line, format, ...)
  self.problems[#self.problems + 1] = { path = self.path, origin = self.origin, line = line or 1, severity = severity,
    message = format:format(...) }
end

--- An error that was raised, at the place it names: often this script, sometimes one that it uses.
---@param value any
---@param format? string what to say before it, as string.format
---@param ... any
function Subject:add_raised(value, format, ...)
  local script, line, message = split_message(value)
  if script and script.path ~= self.path then
    message = ("%s:%d: %s"):format(script.path, line, message)
    line = self:line_of("require[ (]*[\"']" .. script.path:gsub("%.lua$", ""):gsub("/", "."):gsub("%p", "%%%0"))
  end
  self:add("error", line, "%s%s", format and format:format(...) or "", message)
end

--- The first line that a Lua pattern is in; nil: none.
---@param pattern string
---@return integer|nil
function Subject:line_of(pattern)
  local at = self.text:find(pattern)
  return at and select(2, self.text:sub(1, at):gsub("\n", "")) + 1 or nil
end

--- The line where a field of the returned table is set, or else that of the `return`.
---@param name string
---@return integer|nil
function Subject:line_of_field(name) return self:line_of("%f[%w_]" .. name .. "%s*=") or self:line_of "%f[%w_]return%f[^%w_]" end

-- -- Globals and modules --------------------------------------------------------------------------------------------

--- The globals of a VM in which nothing has run yet but what the host needs.
local standard = {}
for name in ([[_G _VERSION assert bit collectgarbage coroutine debug dofile error getmetatable io ipairs jit load loadfile loadstring
  math module next os package pairs pcall print rawequal rawget rawlen rawset require select setfenv setmetatable string table tonumber
  tostring type unpack xpcall]]):gmatch "%S+" do standard[name] = true end

--- Taken when this module was loaded: scripts may have spoilt them since.
local libraries = { string = string, table = table, math = math, os = os, io = io, bit = bit, coroutine = coroutine, debug = debug,
  package = package, jit = jit }
local refused = { dofile = _G.dofile, loadfile = _G.loadfile }
for _, name in ipairs { "execute", "exit", "remove", "rename", "tmpname", "getenv", "setlocale" } do refused["os." .. name] = os[name] end

local function names_of(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- Why a call of a refused function fails, in its own words, without "FILE:LINE: ".
local function refusal(call)
  local _, why = pcall(call)
  return (tostring(why):gsub("^[^:]*:%d+: ", ""))
end

local function check_field(subject, finding)
  local library, field = libraries[finding.name], finding.field
  if not library or not field then return end
  local value = library[field]
  local full = finding.name .. "." .. field
  if finding.name == "io" and type(value) == "function" then return subject:add("error", finding.line, "%s", refusal(value)) end
  if finding.name == "io" and type(value) == "table" then return subject:add("error", finding.line, "%s", refusal(value.write)) end
  if refused[full] then return subject:add("error", finding.line, "%s", refusal(refused[full])) end
  if value ~= nil then return end
  local meant = guess(field, names_of(library))
  local hint = meant and ("; did you mean %s.%s?"):format(finding.name, meant) or ""
  subject:add("warning", finding.line, "there is no %s here%s", full, hint)
end

local function check_module(subject, finding)
  local name = finding.name
  if package.loaded[name] or package.preload[name] or host.script(name:gsub("%.", "/") .. ".lua") then return end
  for _, loader in ipairs(package.loaders) do
    local found = loader(name)
    if type(found) == "function" then return end
    local why = type(found) == "string" and found:match "in the runtime: it (.*)"
    if why then return subject:add("error", finding.line, "require '%s': %s", name, why) end
  end
  local known = {}
  for _, script in ipairs(host.scripts()) do known[#known + 1] = script.path:gsub("%.lua$", ""):gsub("/", ".") end
  local meant = guess(name, known)
  local hint = meant and ("; did you mean '%s'?"):format(meant) or ""
  subject:add("error", finding.line, "require '%s': there is no such module%s", name, hint)
end

--- The script that sets a global, if one does.
local function setter_of(name)
  for _, script in ipairs(host.scripts()) do
    for _, finding in ipairs(lint.scan(host.script(script.path), "@" .. script.path) or {}) do
      if finding.kind == "write" and finding.name == name then return script.path end
    end
  end
end

local function check_read(subject, finding)
  local name, call = finding.name, refused[finding.name]
  if type(call) == "function" then return subject:add("error", finding.line, "%s", refusal(call)) end
  if standard[name] then return check_field(subject, finding) end
  local setter = setter_of(name)
  if setter then
    return subject:add("warning", finding.line, "reads the global '%s' that %s sets: let that return it, and require it", name, setter)
  end
  local meant = guess(name, names_of(standard))
  local hint = meant and ("; did you mean '%s'?"):format(meant) or ""
  subject:add("error", finding.line, "reads the global '%s', which nobody sets%s", name, hint)
end

local checks = {
  write = function(subject, finding)
    subject:add("warning", finding.line, "sets the global '%s': write `local %s`, or spell it as the local that is meant", finding.name,
      finding.name)
  end,
  read = check_read,
  require = check_module,
}

--- Looks at the compiled script; false when it has a syntax error.
local function check_text(subject)
  local findings, why = lint.scan(subject.text, "@" .. subject.path)
  if not findings then
    subject:add_raised(why)
    return false
  end
  for _, finding in ipairs(findings) do checks[finding.kind](subject, finding) end
  return true
end

-- -- Scripts --------------------------------------------------------------------------------------------------------

local rank = { error = 1, warning = 2, hint = 3 }

local function sort(problems)
  local order = {}
  for i, problem in ipairs(problems) do order[problem] = i end
  table.sort(problems, function(a, b)
    if a.line ~= b.line then return a.line < b.line end
    if a.severity ~= b.severity then return rank[a.severity] < rank[b.severity] end
    return order[a] < order[b]
  end)
  return problems
end

--- Checks one script of the generation.
---@param path string
---@return stance.problem[] problems by line
function M.script(path)
  local script = by_path[path]
  if not script then error(("there is no script %s in this generation"):format(path), 2) end
  local subject = setmetatable({ path = path, origin = script.origin, text = assert(host.script(path)), problems = {} }, Subject)
  if script.known or check_text(subject) then kinds.check(subject) end -- the active generation's text needs no second look
  return sort(subject.problems)
end

--- Checks all scripts of the generation that this VM holds. Pauses between two, so that a host goes on answering meanwhile.
---@return stance.problem[]
function M.generation()
  local problems = {}
  for _, script in ipairs(host.scripts()) do
    for _, problem in ipairs(M.script(script.path)) do problems[#problems + 1] = problem end
    fiber.yield()
  end
  return problems
end

--- A problem as people and editors read it: "workflows/render.lua:12: MESSAGE".
---@param problem stance.problem
---@return string
function M.text(problem) return ("%s:%d: %s"):format(problem.path, problem.line, problem.message) end

--- The errors among problems, a line each; nil when there are none.
---@param problems stance.problem[]
---@return string|nil
function M.lines(problems)
  local lines = {}
  for _, problem in ipairs(problems) do
    if problem.severity == "error" then lines[#lines + 1] = M.text(problem) end
  end
  return #lines > 0 and table.concat(lines, "\n") or nil
end

return M
