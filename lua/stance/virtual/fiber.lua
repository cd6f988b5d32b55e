--- virtual/fiber.lua - the module `fiber` on a virtual scheduler; what it does is described in stance/meta/fiber.lua.
local err = require "stance.err"

local M = {}

local function no_value() return nil, err("timeout", "nothing came in time") end
local function closed() return nil, err("closed", "the channel is closed") end

-- -- Waiters in line ------------------------------------------------------------------------------------------------

local function enqueue(line, entry)
  if #line >= 16 then -- those that were served elsewhere, or gave up
    local kept = {}
    for _, other in ipairs(line) do if not other.waiter.done then kept[#kept + 1] = other end end
    for i = 1, math.max(#line, #kept) do line[i] = kept[i] end
  end
  line[#line + 1] = entry
end

local function dequeue(line)
  while line[1] do
    local entry = table.remove(line, 1)
    if not entry.waiter.done and not entry.waiter.fiber.process.dead then return entry end
  end
end

-- -- Channels -------------------------------------------------------------------------------------------------------

local Channel = {}
Channel.__index = Channel

--- The next value if there is one now: true and the value.
local function take(self)
  local scheduler = self.scheduler
  local value = table.remove(self.items, 1)
  if value == nil and self.capacity > 0 then return false end
  local putter = dequeue(self.putters)
  if putter then
    if value == nil then value = putter.value else self.items[#self.items + 1] = putter.value end
    putter.waiter.value = true
    scheduler:fire(putter.waiter, 1)
  end
  return value ~= nil, value
end

function Channel:put(value, timeout)
  if value == nil then error("bad argument #2 to 'put' (a channel carries any value but nil)", 2) end
  if self.is_over then return closed() end
  local getter = dequeue(self.getters)
  if getter then
    getter.waiter.value = value
    self.scheduler:fire(getter.waiter, getter.index)
    return true
  end
  if #self.items < self.capacity then
    self.items[#self.items + 1] = value
    return true
  end
  if timeout == 0 then return nil, err("timeout", "the channel is full") end
  self.scheduler:check()
  local waiter = {}
  enqueue(self.putters, { waiter = waiter, value = value })
  if not self.scheduler:wait(waiter, timeout) then return no_value() end
  if waiter.closed then return closed() end
  return true
end

function Channel:get(timeout)
  local there, value = take(self)
  if there then return value end
  if self.is_over then return closed() end
  if timeout == 0 then return no_value() end
  self.scheduler:check()
  local waiter = {}
  enqueue(self.getters, { waiter = waiter, index = 1 })
  if not self.scheduler:wait(waiter, timeout) then return no_value() end
  if waiter.closed then return closed() end
  return waiter.value
end

function Channel:close()
  self.is_over = true
  for _, line in ipairs { self.getters, self.putters } do
    for entry in function() return dequeue(line) end do
      entry.waiter.closed = true
      self.scheduler:fire(entry.waiter, entry.index or 1)
    end
  end
end

function Channel:count() return #self.items end

function Channel:is_closed() return self.is_over end

-- -- Fibers ---------------------------------------------------------------------------------------------------------

local Fiber = {}
Fiber.__index = Fiber

local function is_over(self) return self.state == "ended" or self.state == "failed" end

function Fiber:join(timeout)
  if not is_over(self) then
    if self == self.scheduler:check() then error("bad argument #1 to 'join' (a fiber cannot join itself)", 2) end
    local waiter = {}
    self.watchers[#self.watchers + 1] = { waiter = waiter, index = 1 }
    if not self.scheduler:wait(waiter, timeout) then return no_value() end
  end
  return unpack(self.results, 1, self.results.n)
end

function Fiber:cancel(reason)
  if self.cancelled or is_over(self) then return end
  self.cancelled = reason or "cancelled"
  self.scheduler:interrupt(self)
end

function Fiber:status() return self.state end

local function attribute(field)
  return function(self, value)
    if value ~= nil then self[field] = value end
    return self[field]
  end
end

Fiber.name, Fiber.job, Fiber.request = attribute "label", attribute "job_id", attribute "request_id"

function Fiber:trace(traceparent)
  if traceparent then self.trace_id = traceparent:match "^%x%x%-(%x+)%-" or "" end
  return self.trace_id
end

local Timer = {}
Timer.__index = Timer

-- -- The module -----------------------------------------------------------------------------------------------------

--- What a source has now: true and its values, or false.
local function look(source)
  local kind = getmetatable(source)
  if kind == Channel then
    local there, value = take(source)
    if there then return true, value end
    if source.is_over then return true, closed() end
    return false
  elseif kind == Fiber then
    if is_over(source) then return true, unpack(source.results, 1, source.results.n) end
    return false
  elseif kind == Timer then
    return source.rang, true
  end
  error(("select takes channels, fibers and timers, not a %s"):format(type(source)), 4)
end

local function select_from(scheduler, sources)
  for index, source in ipairs(sources) do
    local got = { look(source) }
    if got[1] then return index, unpack(got, 2, table.maxn(got)) end
  end
  if sources.timeout == 0 or #sources == 0 and not sources.timeout then return no_value() end
  scheduler:check()
  local waiter = {}
  for index, source in ipairs(sources) do
    local entry, kind = { waiter = waiter, index = index }, getmetatable(source)
    enqueue(kind == Channel and source.getters or kind == Fiber and source.watchers or source.waiting, entry)
  end
  local index = scheduler:wait(waiter, sources.timeout)
  if not index then return no_value() end
  if waiter.closed then return index, closed() end
  local source = sources[index]
  if getmetatable(source) == Fiber then return index, unpack(source.results, 1, source.results.n) end
  return index, waiter.value == nil or waiter.value
end

local function start_timer(scheduler, seconds)
  local timer = setmetatable({ waiting = {}, rang = false }, Timer)
  scheduler:after(math.ceil(math.max(0, seconds) * 1000) / 1000, function()
    timer.rang = true
    for _, entry in ipairs(timer.waiting) do scheduler:fire(entry.waiter, entry.index) end
  end)
  return timer
end

local function set_deadline(scheduler, fiber, when)
  fiber.deadline, fiber.timed_out = when, false
  if fiber.alarm then fiber.alarm.fn = nil end
  fiber.alarm = when and scheduler:after(when - scheduler.now, function()
    fiber.timed_out = true
    scheduler:interrupt(fiber)
  end)
end

local function run_with_deadline(scheduler, seconds, fn, ...)
  local fiber = scheduler.running
  local former, wanted = fiber.deadline, scheduler.now + seconds
  set_deadline(scheduler, fiber, former and math.min(former, wanted) or wanted)
  local function restore(ok, ...)
    set_deadline(scheduler, fiber, former)
    if not ok then error((...), 0) end
    return ...
  end
  return restore(pcall(fn, ...))
end

--- A fiber in a process, with the methods that scripts know.
---@param scheduler stance.virtual.scheduler
---@param process stance.virtual.process
function M.start(scheduler, process, name, fn, ...)
  local fiber = setmetatable(scheduler:start(process, name, fn, ...), Fiber)
  fiber.scheduler = scheduler
  return fiber
end

--- The module for scripts. What they spawn belongs to the process of the fiber that spawns.
---@param scheduler stance.virtual.scheduler
---@return table
function M.module(scheduler)
  local fiber = {}
  local function sleep(seconds)
    if (seconds or 0) < 0 then error("bad argument #1 to 'sleep' (a time to sleep cannot be negative)", 2) end
    scheduler:check()
    scheduler:wait({}, seconds or 0)
  end
  fiber.sleep, fiber.yield = sleep, function() sleep(0) end
  function fiber.self() return scheduler.running end
  function fiber.spawn(fn, ...)
    local parent = scheduler.running
    return M.start(scheduler, parent.process, parent.label, fn, ...)
  end
  function fiber.channel(capacity)
    return setmetatable({ id = scheduler:next_id(), scheduler = scheduler, items = {}, capacity = capacity or 0, is_over = false,
      getters = {}, putters = {} }, Channel)
  end
  function fiber.list()
    local list = {}
    for one in pairs(scheduler.running.process.live) do list[#list + 1] = one end
    table.sort(list, function(a, b) return a.id > b.id end)
    return list
  end
  function fiber.count() return #fiber.list() end
  function fiber.timer(seconds) return start_timer(scheduler, seconds) end
  function fiber.select(sources) return select_from(scheduler, sources) end
  function fiber.deadline(seconds, fn, ...) return run_with_deadline(scheduler, seconds, fn, ...) end
  return fiber
end

return M
