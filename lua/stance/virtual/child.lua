--- virtual/child.lua - worker processes of a virtual host and the link to each: what `host.spawn_worker` returns, and the worker's end.
---
--- As in the runtime, messages arrive in the order in which they were sent; what a process sent before it died still arrives, and
--- its exit is told after that.
local err = require "stance.err"

local M = {}

local heartbeat = 10 -- seconds without a sign of life that are forgiven
local restart_least, restart_most, young = 0.1, 30, 60

---@class stance.virtual.child
---@field process stance.virtual.process|nil the process that is up, or was last
local Child = {}
Child.__index = Child

--- Hands `deliver` over at the other end, after what was sent that way before.
local function transmit(self, way, kind, deliver)
  local scheduler, trouble = self.machine.scheduler, self.machine.trouble
  local fate, extra = trouble.link(self.process, way, kind)
  if fate == "drop" then return end
  local at = math.max(self.arrival[way], scheduler.now + trouble.delay "link" + (extra or 0))
  self.arrival[way] = at
  for _ = 1, fate == "twice" and 2 or 1 do scheduler:after(at - scheduler.now, deliver) end
end

local function start(self)
  if self.house.dead or self.stopping then return end
  local machine = self.machine
  self.process_id = machine:next_pid()
  self.life, self.began, self.arrival = self.life + 1, machine.scheduler.now, { up = 0, down = 0 }
  self.process = machine:worker_process(self)
  self.process:spawn("boot", function()
    self.process:require("stance.worker").start()
    if not self.process.ending then self:die { status = 0 } end
  end)
end

---@param machine stance.virtual
---@param house { dead: boolean, front: table|nil } the host's process, and which of its vms answers workers
---@param options host.WorkerOptions
---@return stance.virtual.child
function M.spawn(machine, house, options)
  local self = setmetatable({ machine = machine, house = house, options = options, process_id = 0, life = 0, restarted = 0, quick = 0,
    stopping = false, gone = false, arrival = { up = 0, down = 0 } }, Child)
  machine.scheduler:after(machine.trouble.delay "start", function() start(self) end)
  return self
end

local function forget(self)
  self.process_id, self.gone = 0, self.stopping
end

--- Ends its process at once, as a signal or a crash does, and starts the next one as the runtime would.
---@param how { signal?: integer, status?: integer, unheard?: boolean }
function Child:die(how)
  local process, scheduler = self.process, self.machine.scheduler
  if not process or process.dead then return end
  process:kill()
  local seconds, life, id = scheduler.now - self.began, self.life, self:id()
  self.quick = seconds < young and self.quick + 1 or 0
  local restart_in = math.min(restart_most, restart_least * 2 ^ math.max(0, self.quick - 1))
  local function told()
    if self.house.dead or life ~= self.life then return end
    forget(self)
    local front = self.house.front
    if front then
      front.process:spawn("worker exit", front.on_exit, id, { status = how.status or 0, signal = how.signal or 0,
        unheard = how.unheard or false, seconds = seconds, restarting = not self.stopping, restart_in = restart_in })
    end
    if self.stopping then return end
    scheduler:after(restart_in, function()
      self.restarted = self.restarted + 1
      start(self)
    end)
  end
  local at = math.max(self.arrival.up, scheduler.now + self.machine.trouble.delay "link")
  scheduler:after(at - scheduler.now, told)
end

--- Stops its fibers for a while; a process that is silent for too long is killed.
function Child:freeze(seconds)
  local process = self.process
  if not process or process.dead or process.frozen then return end
  process:freeze()
  self.machine.scheduler:after(math.min(seconds, heartbeat), function()
    if process.dead then return end
    if seconds < heartbeat then process:thaw() else self:die { signal = 9, unheard = true } end
  end)
end

-- -- The host's side: methods of host.Worker ------------------------------------------------------------------------

function Child:send(event)
  local process = self.process
  if self.process_id == 0 or not process then return false end
  transmit(self, "down", "event", function()
    if process.dead then return end
    local receiver = process.receiver
    process.receiver = nil
    if receiver then receiver(event) else process.inbox[#process.inbox + 1] = event end
  end)
  return true
end

function Child:stop(grace)
  if self.stopping then return end
  self.stopping = true
  local process = self.process
  if self.process_id == 0 or not process then
    self.gone = true
    return
  end
  process.ending = true
  local scheduler = self.machine.scheduler
  scheduler:after(self.machine.trouble.delay "link", function()
    if process.dead then return end
    process:spawn("stop", function()
      if process.at_stop then process.at_stop "terminated" end
      self:die { status = 0 }
    end)
  end)
  scheduler:after(grace or 5, function() self:die { signal = 9 } end)
end

function Child:name() return self.options.name end

function Child:generation() return self.options.generation end

function Child:id() return self.process_id ~= 0 and ("%s/%d"):format(self.options.name, self.process_id) or nil end

function Child:pid() return self.process_id end

function Child:restarts() return self.restarted end

function Child:is_gone() return self.gone end

-- -- The worker's side: host.call and host.receive ------------------------------------------------------------------

local function answer(self, front, life, payload, finish)
  local process = self.process
  local ok, reply = pcall(front.handler, self:id(), payload)
  self.machine.trouble.answered(process, payload, ok and reply or nil)
  if not ok then
    if type(reply) ~= "table" then
      local list = self.machine.scheduler.failures
      list[#list + 1] = { process = front.process.name, fiber = "worker request", reason = tostring(reply) }
    end
    reply = { err = err("upstream", "%s", tostring(reply)) }
  end
  if life ~= self.life or self.process_id == 0 then return end
  transmit(self, "down", "reply", function()
    if type(reply) == "table" then finish(nil, reply.err) else finish(reply) end
  end)
end

---@param self stance.virtual.child
function M.call(self, payload, timeout)
  local life = self.life
  return self.machine.scheduler:await(function(finish)
    transmit(self, "up", "request", function()
      if self.house.dead or life ~= self.life then return end
      local front = self.house.front
      front.process:spawn("worker request", answer, self, front, life, payload, finish)
    end)
  end, timeout)
end

---@param self stance.virtual.child
function M.receive(self)
  local process = self.process
  if process.inbox[1] then return table.remove(process.inbox, 1) end
  if process.receiver then error("another fiber is receiving already", 2) end
  return self.machine.scheduler:await(function(finish) process.receiver = finish end)
end

return M
