--- virtual/library.lua - the scripts of a generation, compiled once and instantiated for each process that runs them.
local crypto, host = require "crypto", require "host"

local M = {}

---@class stance.virtual.library
---@field name string the generation
---@field list host.Script[]
local Library = {}
Library.__index = Library

--- This process's own scripts, with those of `changes` in place of or beside them.
---@param changes? table<string, string> text by path: { ["workflows/tidy.lua"] = "return { ... }" }
---@param name? string of the generation
---@return stance.virtual.library
function M.new(changes, name)
  local self = setmetatable({ name = name or host.generation(), list = {}, texts = {}, compiled = {} }, Library)
  for _, script in ipairs(host.scripts()) do
    if not (changes and changes[script.path]) then
      self.list[#self.list + 1] = script
      self.texts[script.path] = host.script(script.path)
    end
  end
  for path, text in pairs(changes or {}) do
    self.list[#self.list + 1] = { path = path, hash = crypto.sha256(text), size = #text, origin = path }
    self.texts[path] = text
  end
  table.sort(self.list, function(a, b) return a.path < b.path end)
  for _, script in ipairs(self.list) do self.compiled[script.path] = { origin = script.origin } end
  return self
end

--- A fresh instance of a script whose globals are `env`; nil when there is none, an error when it does not compile.
---@param path string
---@param env table
---@return function|nil chunk, string|nil err
function Library:instance(path, env)
  local script = self.compiled[path]
  if not script then return nil end
  if not script.make then -- on one line with the text, so that errors name its lines
    local make, why = loadstring("return function(...) " .. self.texts[path] .. "\nend", "@" .. script.origin)
    if not make then return nil, why end
    script.make = make
  end
  return setfenv(script.make(), env)
end

return M
