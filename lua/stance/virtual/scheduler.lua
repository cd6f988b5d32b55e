--- virtual/scheduler.lua - runs coroutines as the runtime runs fibers, on a clock that moves only when none of them can go on.
---
--- Which of several that could go on does is drawn from the seed: what holds here, holds in whatever order the real runtime
--- resumes. A *process* groups fibers: one that was killed never goes on, one that is frozen goes on when it is thawed.
local err = require "stance.err"
local random = require "stance.virtual.random"

local M = {}

---@class stance.virtual.scheduler
---@field now number seconds on the monotonic clock
---@field random stance.virtual.random
---@field running table|nil the fiber that runs
---@field interlude? fun() called before a fiber goes on; it may kill and freeze
---@field failures { process: string, fiber: string, reason: string }[] fibers that raised and that nobody joined
local spin_most = 100000 -- fibers that go on without the clock: more will never end

local Scheduler = {}
Scheduler.__index = Scheduler

---@param options { seed: integer, trace?: fun(line: string) }
---@return stance.virtual.scheduler
function M.new(options)
  return setmetatable({ now = 1000, random = random.new(options.seed), ready = {}, timers = {}, sequence = 0, spins = 0, ids = 0,
    failures = {}, trace = options.trace }, Scheduler)
end

-- -- Timers: a binary heap by time, then by age ----------------------------------------------------------------------

local function is_before(a, b)
  if a.when ~= b.when then return a.when < b.when end
  return a.sequence < b.sequence
end

local function push(heap, timer)
  local at = #heap + 1
  while at > 1 do
    local parent = math.floor(at / 2)
    if not is_before(timer, heap[parent]) then break end
    heap[at], at = heap[parent], parent
  end
  heap[at] = timer
end

local function pop(heap)
  local top, last, count = heap[1], heap[#heap], #heap - 1
  heap[count + 1] = nil
  if count == 0 then return top end
  local at = 1
  while true do
    local child = at * 2
    if child > count then break end
    if child < count and is_before(heap[child + 1], heap[child]) then child = child + 1 end
    if not is_before(heap[child], last) then break end
    heap[at], at = heap[child], child
  end
  heap[at] = last
  return top
end

--- Calls `fn()` when `seconds` have passed, unless the returned timer's `fn` is set to nil before. `fn` must not wait.
---@param seconds number
---@param fn fun()
function Scheduler:after(seconds, fn)
  self.sequence = self.sequence + 1
  local timer = { when = self.now + math.max(0, seconds), sequence = self.sequence, fn = fn }
  push(self.timers, timer)
  return timer
end

--- Numbers for things that need an order which does not depend on where they lie in memory.
---@return integer
function Scheduler:next_id()
  self.ids = self.ids + 1
  return self.ids
end

-- -- Fibers ---------------------------------------------------------------------------------------------------------

local waiting = {} -- what a fiber yields when it waits in good order

--- Makes a fiber that runs `fn(...)`; it starts as soon as the running one waits.
---@param process stance.virtual.process
---@param name string
function Scheduler:start(process, name, fn, ...)
  local count, arguments = select("#", ...), { ... }
  local parent = self.running
  local fiber = { id = self:next_id(), process = process, label = name, job_id = parent and parent.job_id or "",
    request_id = parent and parent.request_id or "", trace_id = parent and parent.trace_id or "", watchers = {} }
  fiber.co = coroutine.create(function() return fn(unpack(arguments, 1, count)) end)
  process.live[fiber] = true
  self:make_ready(fiber)
  return fiber
end

function Scheduler:make_ready(fiber)
  fiber.state = "ready"
  local list = fiber.process.frozen and fiber.process.parked or self.ready
  list[#list + 1] = fiber
end

local function finish(self, fiber, ok, ...)
  fiber.state = ok and "ended" or "failed"
  fiber.results = { n = select("#", ...) + 1, ok, ... }
  fiber.process.live[fiber] = nil
  if fiber.alarm then fiber.alarm.fn = nil end
  local is_joined = false
  for _, watcher in ipairs(fiber.watchers) do
    is_joined = is_joined or not watcher.waiter.done
    self:fire(watcher.waiter, watcher.index)
  end
  local why = ...
  if ok or is_joined or type(why) == "table" and why.code == "cancelled" then return end
  self.failures[#self.failures + 1] = { process = fiber.process.name, fiber = fiber.label,
    reason = debug.traceback(fiber.co, tostring(why)) }
end

local function resumed(self, fiber, ok, ...)
  self.running = nil
  if not ok or coroutine.status(fiber.co) == "dead" then return finish(self, fiber, ok, ...) end
  if (...) ~= waiting then finish(self, fiber, false, "a fiber must not call coroutine.yield: use fiber.yield()") end
end

local function resume(self, fiber)
  if fiber.process.dead then return end
  if self.trace then self.trace(("%.6f %s: %s %d"):format(self.now, fiber.process.name, fiber.label, fiber.id)) end
  fiber.state, self.running = "running", fiber
  resumed(self, fiber, coroutine.resume(fiber.co))
end

-- -- Waiting --------------------------------------------------------------------------------------------------------

--- The running fiber, if it may wait. Raises outside a fiber, and in one that is cancelled or past its deadline.
function Scheduler:check()
  local fiber = self.running
  if not fiber or fiber.co ~= coroutine.running() then
    error("this call waits: make it in a fiber of the virtual machine, not inside a coroutine of the script's own", 3)
  end
  if fiber.cancelled then error(err("cancelled", "%s", fiber.cancelled), 0) end
  if fiber.timed_out or fiber.deadline and self.now >= fiber.deadline then error(err("timeout", "the deadline has passed"), 0) end
  return fiber
end

--- Ends a wait: its fiber goes on. What comes later for the same wait is dropped.
---@param waiter table
---@param index integer|nil what it was that came; nil: the time was up
function Scheduler:fire(waiter, index)
  if waiter.done then return end
  waiter.done, waiter.index = true, index
  if waiter.timer then waiter.timer.fn = nil end
  if not waiter.fiber.process.dead then self:make_ready(waiter.fiber) end
end

--- Lets the running fiber wait until `fire(waiter)`; `waiter` is a table of the caller's, made ready by `check`.
---@param waiter table
---@param timeout? number seconds
function Scheduler:wait(waiter, timeout)
  local fiber = self.running
  waiter.fiber, fiber.waiter, fiber.state = fiber, waiter, "waiting"
  if timeout and timeout >= 0 then -- alarms of the runtime ring on whole milliseconds
    waiter.timer = self:after(math.ceil(timeout * 1000) / 1000, function() self:fire(waiter) end)
  end
  coroutine.yield(waiting)
  fiber.waiter = nil
  self:check()
  return waiter.index
end

--- Waits for something that ends elsewhere: `begin(finish)` starts it, `finish(...)` gives what this returns.
---@param begin fun(finish: fun(...))
function Scheduler:await(begin, timeout)
  self:check()
  local waiter = {}
  begin(function(...)
    if not waiter.done then waiter.values = { n = select("#", ...), ... } end
    self:fire(waiter, 1)
  end)
  if not self:wait(waiter, timeout) then return nil, err("timeout", "no reply in time") end
  return unpack(waiter.values, 1, waiter.values.n)
end

--- Ends the present wait of a fiber, which will find out why.
function Scheduler:interrupt(fiber) if fiber.waiter then self:fire(fiber.waiter) end end

-- -- Running --------------------------------------------------------------------------------------------------------

--- Lets one fiber go on, or, when none can, moves the clock to the next timer. False: there is neither.
function Scheduler:step()
  local ready = self.ready
  if ready[1] and self.interlude then self.interlude() end
  local count = #ready
  if count > 0 then
    local index = count == 1 and 1 or self.random:integer(1, count)
    local fiber = ready[index]
    ready[index] = ready[count]
    ready[count] = nil
    self.spins = self.spins + 1
    if self.spins > spin_most then
      error(("fibers go on for ever at one moment; '%s' of %s is one of them"):format(fiber.label, fiber.process.name), 0)
    end
    resume(self, fiber)
    return true
  end
  local timer = self.timers[1]
  if not timer then return false end
  pop(self.timers)
  if timer.fn then
    if timer.when > self.now then self.now, self.spins = timer.when, 0 end
    timer.fn()
  end
  return true
end

--- Runs until `is_over()` holds, or `seconds` have passed on the virtual clock, or nothing is left to run.
---@param seconds number
---@param is_over? fun(): boolean
---@return boolean over
function Scheduler:run(seconds, is_over)
  local until_time = self.now + seconds
  while not (is_over and is_over()) do
    local following = #self.ready == 0 and self.timers[1]
    if following and following.fn and following.when > until_time then break end
    if not self:step() then break end
  end
  if is_over and is_over() then return true end
  self.now = math.max(self.now, until_time)
  return false
end

return M
