--- state.lua - values that outlive a generation of scripts, and end with the host's process.
---
---     local seen = require("stance.state").open("greeter", { version = 2, migrate = function(old, from_version)
---       return { count = old, names = {} }             -- version 1 kept a plain number
---     end })
---     seen:update(function(value) value.count = value.count + 1; return value end)
---
--- A value is what JSON can carry. It is kept outside every vm, as text: what is read is a copy, and a change counts when it is set.
--- Former generations that still drain see the same value.
local host, json = require "host", require "json"

local M = {}

---@class stance.state
---@field private name string
---@field private options table
local State = {}
State.__index = State

---@param name string
---@param options? { version?: integer, initial?: any, migrate?: fun(old: any, from_version: integer): any }
---@return stance.state
function M.open(name, options)
  if type(name) ~= "string" or name == "" then error("a state has a name", 2) end
  options = options or {}
  return setmetatable({ name = name, options = options, version = options.version or 1 }, State)
end

--- The value; `initial` where nothing was set yet. What an older version has left goes through `migrate` first, once. What a newer
--- version has left is an error: an older generation must not misread it.
---@return any
function State:get()
  local text = host.kept(self.name)
  if not text then return self.options.initial end
  local kept = json.decode(text)
  if kept.version == self.version then return kept.value end
  if kept.version > self.version then
    error(("the state '%s' has version %d, newer than this generation's %d"):format(self.name, kept.version, self.version), 2)
  end
  if not self.options.migrate then
    error(("the state '%s' has version %d and no migrate function takes it to %d"):format(self.name, kept.version, self.version), 2)
  end
  local value = self.options.migrate(kept.value, kept.version)
  self:set(value)
  return value
end

---@param value any nil forgets it
function State:set(value)
  host.keep(self.name, value ~= nil and json.encode { version = self.version, value = value } or nil)
end

--- Sets what `fn` makes of the value; `fn` must not wait.
---@param fn fun(value: any): any
---@return any
function State:update(fn)
  local value = fn(self:get())
  self:set(value)
  return value
end

return M
