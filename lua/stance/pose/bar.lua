--- bar.lua - a progress bar on a terminal: one line, drawn anew in place, that gives way to other lines.
local time = require "time"

local M = {}

local cells, name_width, pause = 20, 24, 0.05 -- pause: seconds between two drawings

---@class stance.pose.bar
local Bar = {}
Bar.__index = Bar

--- "1.5 s", "2 min 3 s".
---@param seconds number
---@return string
function M.duration(seconds)
  if seconds < 60 then return ("%.1f s"):format(seconds) end
  return ("%d min %d s"):format(math.floor(seconds / 60), math.floor(seconds % 60))
end

--- Names are cut from the left: a path's end tells more.
local function fit(name)
  if #name > name_width then return "..." .. name:sub(#name - name_width + 4) end
  return name .. (" "):rep(name_width - #name)
end

--- The line's text.
---@param name string
---@param done integer
---@param total? integer nil: not known
---@param seconds number
---@param color boolean
---@return string
function M.line(name, done, total, seconds, color)
  if not total then return ("%s %d frames  %s"):format(fit(name), done, M.duration(seconds)) end
  local full = total > 0 and math.floor(done * cells / total) or 0
  local bar = ("█"):rep(full) .. (" "):rep(cells - full)
  if color then bar = "\27[32m" .. bar .. "\27[0m" end
  return ("%s %d/%d %s  %s"):format(fit(name), done, total, bar, M.duration(seconds))
end

--- `write` takes text for the terminal; nil: there is none, and the bar does nothing.
---@param write? fun(text: string)
---@param color boolean
---@return stance.pose.bar
function M.new(write, color)
  return setmetatable({ write = write, color = color, started = time.monotonic(), drawn_at = -math.huge, shown = false }, Bar)
end

---@param name string
---@param done integer
---@param total? integer
function Bar:set(name, done, total)
  local now = time.monotonic()
  if not self.write or (now - self.drawn_at < pause and done ~= total) then return end
  self.write("\r\27[2K" .. M.line(name, done, total, now - self.started, self.color))
  self.drawn_at, self.shown = now, true
end

--- Takes the bar away: something else is to be written, or all is done.
function Bar:clear()
  if self.shown then self.write "\r\27[2K" end
  self.shown, self.drawn_at = false, -math.huge
end

return M
