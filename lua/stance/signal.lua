--- signal.lua - many fibers wait until something happens; it happens to all of them at once.
---
---     local changed = signal.new()
---     changed:wait(5)      -- in fibers: true, or false after 5 s
---     changed:notify()     -- wakes all that wait now
---
--- Who looks at something (which may itself wait) and then waits for it to change would miss a change in between: it takes
--- `changed.count` first, looks, and waits for what has come since.
local fiber, host = require "fiber", require "host"

local M = {}

---@class stance.signal
---@field count integer how often notify was called
---@field private waiting table<table, true>
local Signal = {}
Signal.__index = Signal

---@return stance.signal
function M.new()
  return setmetatable({ count = 0, waiting = {} }, Signal)
end

--- A signal that all vms of the process share, by its name: what one generation of scripts does wakes those that wait in another.
--- Has the same methods and `count`.
---@param name string
---@return stance.signal
function M.shared(name)
  return host.signal and host.signal(name) or M.new() -- a virtual process has one vm
end

--- Waits for the next notify.
---@param timeout? number seconds; nil: for ever
---@param since? integer a former `count`: when there was a notify after it, wait returns at once
---@return boolean happened false: the time was up
function Signal:wait(timeout, since)
  if since and since ~= self.count then return true end
  local channel = fiber.channel(1)
  self.waiting[channel] = true
  local ok, got = pcall(channel.get, channel, timeout)
  self.waiting[channel] = nil
  if not ok then error(got, 0) end -- cancelled, or past the fiber's deadline
  return got ~= nil
end

--- Wakes every fiber that waits now. Never waits itself.
function Signal:notify()
  self.count = self.count + 1
  local waiting = self.waiting
  self.waiting = {}
  for channel in pairs(waiting) do channel:put(true) end
end

return M
