--- evaluate.lua - a line of the console as a function, and the globals that it sees.
local console, host = require "console", require "host"
local pretty = require "stance.console.pretty"

local M = {}

local splits = 20 -- ends of statements, counted from the last, after which the expression may begin

local function pass(...) return ... end

local function is_unfinished(why) return why:sub(-7) == "'<eof>'" and not why:find(": unfinished string near", 1, true) end

--- "x = 5; x": statements that end in an expression.
local function with_last_expression(text, chunk_name, env)
  local ends = {}
  for at in text:gmatch "()[;\n]" do ends[#ends + 1] = at end
  for i = #ends, math.max(1, #ends - splits + 1), -1 do
    local chunk = load(text:sub(1, ends[i]) .. "return " .. text:sub(ends[i] + 1), chunk_name, "t", env)
    if chunk and text:find("%S", ends[i] + 1) then return chunk end
  end
end

--- The chunk of a text: an expression gives its values, a statement runs, statements may end in an expression. `nil, message,
--- incomplete` when it is none; incomplete says that more lines could make it one.
---@param text string
---@param env table its globals
---@param name? string for messages; "console"
---@return function|nil chunk, string|nil message, boolean|nil incomplete
function M.compile(text, env, name)
  local chunk_name = "=" .. (name or "console")
  local expression = text:gsub("^%s*=", "", 1)
  local chunk, why_not = load("return " .. expression, chunk_name, "t", env)
  if chunk then
    -- Not as it is: a call behind `return` leaves no frame, and an error in it would not say where.
    local wrapped = "local pass = ... return function() return pass(" .. expression .. "\n) end"
    return assert(load(wrapped, chunk_name, "t", env))(pass)
  end
  local why
  chunk, why = load(text, chunk_name, "t", env)
  if chunk then return chunk end
  chunk = with_last_expression(text, chunk_name, env)
  if chunk then return chunk end
  return nil, why, is_unfinished(why) or is_unfinished(why_not)
end

local raisers = { error = true, assert = true }

--- The frames between the line and the error, where there are any.
local function trim(traceback)
  local lines = {}
  for line in traceback:gmatch "[^\n]+" do
    if line:find "in function 'xpcall'" then break end
    if not line:find "^stack traceback" and not raisers[line:match "%[C%]: in function '(%a+)'$" or ""] then lines[#lines + 1] = line end
  end
  return #lines > 1 and table.concat(lines, "\n") or nil
end

---@class stance.console.Outcome
---@field ok boolean
---@field count integer values in `values`
---@field values table
---@field error any what was raised
---@field traceback string|nil where, when that is more than the line itself

--- Runs a chunk. Where the fiber is stopped, the error passes through.
---@param chunk function
---@return stance.console.Outcome
function M.run(chunk, ...)
  local function failed(why) return { error = why, traceback = trim(debug.traceback("", 2)) } end
  local function pack(ok, ...)
    if not ok then return { ok = false, error = (...).error, traceback = (...).traceback, count = 0, values = {} } end
    return { ok = true, count = select("#", ...), values = { ... } }
  end
  return pack(xpcall(chunk, failed, ...))
end

--- `stance.schema` in a line is require "stance.schema".
local stance = setmetatable({}, { __index = function(_, name) return require("stance." .. name) end })

--- The names of the scripts that `require` finds: "stance.schema", "workflows.render".
---@return string[]
function M.script_modules()
  local names = {}
  for _, script in ipairs(host.scripts()) do names[#names + 1] = script.path:gsub("%.lua$", ""):gsub("/", ".") end
  return names
end

---@class stance.console.Globals
---@field env table what a line runs in: what it assigns stays here
---@field helpers table names that only the console has
---@field app table
---@field modules table<string, true> names of the modules written in C

--- The globals of one session: its own, then the helpers, the app's services, the live globals, the modules by name.
---@param app table
---@param helpers? table
---@return stance.console.Globals
function M.globals(app, helpers)
  helpers = helpers or {}
  helpers.app, helpers.stance = app, stance
  local modules = {}
  for _, name in ipairs(console.modules()) do modules[name] = true end
  local function look_up(_, key)
    local value = helpers[key]
    if value == nil then value = rawget(app, key) end
    if value == nil then value = rawget(_G, key) end
    if value == nil and modules[key] then value = require(key) end
    return value
  end
  return { env = setmetatable({}, { __index = look_up }), helpers = helpers, app = app, modules = modules, stance = stance }
end

--- The values of an outcome as text, a paragraph each, and whether something was left out.
---@param outcome stance.console.Outcome
---@param options stance.console.PrettyOptions
---@return string text, boolean cut
function M.show(outcome, options)
  local texts, any_cut = {}, false
  for i = 1, outcome.count do
    local cut
    texts[i], cut = pretty.text(outcome.values[i], options)
    any_cut = any_cut or cut
  end
  return table.concat(texts, "\n"), any_cut
end

return M
