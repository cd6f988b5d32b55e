--- signal.lua - many fibers wait until something happens; it happens to all of them at once.
---
---     local changed = signal.new()
---     changed:wait(5)      -- in fibers: true, or false after 5 s
---     changed:notify()     -- wakes all that wait now
local fiber = require "fiber"

local M = {}

---@class stance.signal
---@field private waiting table<table, true>
local Signal = {}
Signal.__index = Signal

---@return stance.signal
function M.new()
  return setmetatable({ waiting = {} }, Signal)
end

--- Waits for the next notify.
---@param timeout? number seconds; nil: for ever
---@return boolean happened false: the time was up
function Signal:wait(timeout)
  local channel = fiber.channel(1)
  self.waiting[channel] = true
  local ok, got = pcall(channel.get, channel, timeout)
  self.waiting[channel] = nil
  if not ok then error(got, 0) end -- cancelled, or past the fiber's deadline
  return got ~= nil
end

--- Wakes every fiber that waits now. Never waits itself.
function Signal:notify()
  local waiting = self.waiting
  self.waiting = {}
  for channel in pairs(waiting) do channel:put(true) end
end

return M
