--- complete.lua - what could stand where the cursor is. Looks at values without running any of their code.
local console = require "console"
local evaluate = require "stance.console.evaluate"

local M = {}

local most = 500 -- candidates

local keywords = {}
local words = "and break do else elseif end false for function if in local nil not or repeat return then true until while"
for word in words:gmatch "%a+" do keywords[#keywords + 1] = word end

--- Visits the string keys of a value and of the tables that its metatable leads to.
local function visit_members(value, visit)
  local seen = {}
  while value ~= nil and not seen[value] do
    seen[value] = true
    if type(value) == "table" then
      for key, member in next, value do if type(key) == "string" then visit(key, member) end end
    end
    local meta = console.metatable(value)
    value = type(meta) == "table" and rawget(meta, "__index") or nil
    if type(value) ~= "table" then return end
  end
end

--- A member without calling anything.
local function member(value, name)
  local seen = {}
  while value ~= nil and not seen[value] do
    seen[value] = true
    local found = type(value) == "table" and rawget(value, name)
    if found then return found end
    local meta = console.metatable(value)
    value = type(meta) == "table" and rawget(meta, "__index") or nil
    if type(value) ~= "table" then return nil end
  end
end

local function root(globals, name)
  local value = rawget(globals.env, name)
  if value == nil then value = globals.helpers[name] end
  if value == nil then value = rawget(globals.app, name) end
  if value == nil then value = rawget(_G, name) end
  if value == nil and globals.modules[name] then value = require(name) end
  return value
end

--- The value of "a.b[1]['c']", or nil; the chain has no calls in it.
---@param globals stance.console.Globals
---@param chain string
---@return any
function M.resolve(globals, chain)
  local name, rest = chain:match "^([%a_][%w_]*)(.*)$"
  if not name then return nil end
  local value = root(globals, name)
  while rest ~= "" and value ~= nil do
    local key, after = rest:match "^[.:]([%a_][%w_]*)(.*)$"
    if not key then key, after = rest:match "^%[['\"]([^'\"]*)['\"]%](.*)$" end
    if not key then
      key, after = rest:match "^%[(%d+)%](.*)$"
      key = tonumber(key)
    end
    if not key then return nil end
    if value == globals.stance then
      local ok, module = pcall(require, "stance." .. key)
      value = ok and module or nil
    else
      value = member(value, key)
    end
    rest = after
  end
  return value
end

local function collect(prefix)
  local found, seen = {}, {}
  local function add(name)
    if #found < most and not seen[name] and name:sub(1, #prefix) == prefix then
      seen[name] = true
      found[#found + 1] = name
    end
  end
  return found, add
end

local function names_of(globals, prefix)
  local found, add = collect(prefix)
  for _, names in ipairs { globals.env, globals.helpers, globals.app, _G, globals.modules } do
    for name in next, names do
      if type(name) == "string" and name:find "^[%a_][%w_]*$" and (name:sub(1, 1) ~= "_" or prefix:sub(1, 1) == "_") then add(name) end
    end
  end
  for _, word in ipairs(keywords) do if prefix ~= "" then add(word) end end
  return found
end

local function members_of(globals, chain, separator, prefix)
  local found, add = collect(prefix)
  local value = M.resolve(globals, chain)
  if value == nil then return found end
  if value == globals.stance then
    for _, name in ipairs(evaluate.script_modules()) do
      local tail = name:match "^stance%.([%a_][%w_]*)"
      if tail then add(tail) end
    end
    return found
  end
  visit_members(value, function(key, of)
    local fits = key:find "^[%a_][%w_]*$" and (separator ~= ":" or type(of) == "function")
    if fits and (key:sub(1, 1) ~= "_" or prefix:sub(1, 1) == "_") then add(key) end
  end)
  return found
end

local function modules_of(globals, prefix)
  local found, add = collect(prefix)
  for name in pairs(globals.modules) do add(name) end
  for _, name in ipairs(evaluate.script_modules()) do add(name) end
  return found
end

--- Candidates for the end of `line`, the text before the cursor, and the byte where what they replace begins.
---@param globals stance.console.Globals
---@param line string
---@param commands { names: string[], argument: fun(command: string, prefix: string): string[] }  of lines that begin with ":"
---@return string[] candidates sorted, integer from
function M.candidates(globals, line, commands)
  local found, from
  local command, space, argument = line:match "^%s*:(%a*)(%s*)(.*)$"
  if command and space == "" and argument == "" then
    from = #line - #command + 1
    local names, add = collect(command)
    for _, name in ipairs(commands.names) do add(name) end
    found = names
  elseif command and command ~= "time" then
    local prefix = argument:match "%S*$"
    from = #line - #prefix + 1
    local names, add = collect(prefix)
    for _, name in ipairs(commands.argument(command, prefix)) do add(name) end
    found = names
  else
    local module = line:match "require%s*%(?%s*[\"']([%w_.]*)$"
    local chain, separator, prefix = line:match "([%a_][%w_.:%[%]'\"]*)([.:])([%w_]*)$"
    if module then
      found, from = modules_of(globals, module), #line - #module + 1
    elseif chain and not (chain .. separator):find "[.:][.:]$" then
      found, from = members_of(globals, chain, separator, prefix), #line - #prefix + 1
    else
      prefix = line:match "[%a_][%w_]*$" or ""
      if prefix == "" and line:find "[%w%)%]\"']%s*$" then return {}, #line + 1 end
      found, from = names_of(globals, prefix), #line - #prefix + 1
    end
  end
  table.sort(found)
  return found, from
end

return M
