--- virtual/process.lua - one process of a virtual machine: scripts with globals and modules of their own, and fibers that end with it.
local fibers = require "stance.virtual.fiber"

local M = {}

---@class stance.virtual.process
---@field name string
---@field dead boolean
---@field frozen boolean none of its fibers goes on, as after SIGSTOP
---@field live table<table, true> its fibers that are not over
local Process = {}
Process.__index = Process

-- The order of `pairs` depends on where strings and tables lie in memory, which no seed decides.
local ranks = { boolean = 1, number = 2, string = 3, table = 4 }

local function sort_value(key)
  if type(key) == "table" then return rawget(key, "id") or 0 end
  return type(key) == "boolean" and 0 or key
end

local function key_before(a, b)
  local rank_a, rank_b = ranks[type(a)] or 5, ranks[type(b)] or 5
  if rank_a ~= rank_b then return rank_a < rank_b end
  if rank_a == 5 then return false end
  return sort_value(a) < sort_value(b)
end

--- As `pairs`, in an order that is the same in each run.
local function ordered_pairs(object)
  local keys, at = {}, 0
  for key in next, object do keys[#keys + 1] = key end
  if #keys > 1 then table.sort(keys, key_before) end
  return function()
    local key, value
    repeat
      at = at + 1
      key = keys[at]
      value = key ~= nil and object[key]
    until key == nil or value ~= nil
    return key, value
  end
end

---@param scheduler stance.virtual.scheduler
---@param options { name: string, library: stance.virtual.library, modules: table<string, any> }
---@return stance.virtual.process
function M.new(scheduler, options)
  local self = setmetatable({ scheduler = scheduler, name = options.name, library = options.library, loaded = {}, live = {}, parked = {},
    dead = false, frozen = false }, Process)
  for name, module in pairs(options.modules) do self.loaded[name] = module end
  self.env = setmetatable({ require = function(name) return self:require(name) end, pairs = ordered_pairs }, { __index = _G })
  self.env._G, self.env.package = self.env, { loaded = self.loaded, preload = {} }
  return self
end

--- As `require` in the process's scripts: its stand-ins, its library's scripts, else what this vm itself has.
---@param name string
function Process:require(name)
  local found = self.loaded[name]
  if found ~= nil then return found end
  local chunk, why = self.library:instance(name:gsub("%.", "/") .. ".lua", self.env)
  if why then error(why, 0) end
  local value
  if chunk then value = chunk(name) else value = require(name) end
  if value == nil then value = true end
  self.loaded[name] = value
  return value
end

--- Starts a fiber in it.
---@param name string
---@return fiber.Fiber
function Process:spawn(name, fn, ...) return fibers.start(self.scheduler, self, name, fn, ...) end

--- No line of its scripts runs any more, as after SIGKILL.
function Process:kill()
  self.dead, self.parked = true, {}
  for fiber in ordered_pairs(self.live) do -- who waits for one, from another process, learns that it never ends
    for _, watcher in ipairs(fiber.watchers) do self.scheduler:fire(watcher.waiter) end
  end
  if self.on_death then self.on_death() end
end

function Process:freeze() self.frozen = true end

function Process:thaw()
  local parked = self.parked
  self.frozen, self.parked = false, {}
  for _, fiber in ipairs(parked) do self.scheduler:make_ready(fiber) end
end

return M
