--- events.lua - what happened, in order, for whoever watches: a cursor misses nothing.
---
--- Events are rows that commit with the change they tell of; their `seq` only grows. The bus reads each new row once, keeps the
--- last few thousand as ready JSON, and wakes all watchers; one that is further behind reads the table. A WebSocket that has caught up
--- joins a group instead and gets what comes without any further script.
local json, time, log = require "json", require "time", require("log").named "events"
local fiber, ws = require "fiber", require "ws"
local complaint, signal = require "stance.complaint", require "stance.signal"

local M = {}

local keep, batch = 4096, 500
local everybody = "" -- the name of a group that is no job's

---@class stance.event
---@field seq integer
---@field type string "job.submitted", "job.progress", ...
---@field job_id string|nil
---@field text string the event as JSON: {seq, ts, type, job_id, data}

---@class stance.events
local Bus = {}
Bus.__index = Bus

---@param row table a row of the events table
---@return stance.event
local function to_event(row)
  return {
    seq = row.seq, type = row.type, job_id = row.job_id,
    text = ('{"seq":%d,"ts":"%s","type":%s,"job_id":%s,"data":%s}'):format(row.seq, time.iso(row.ts), json.encode(row.type),
      row.job_id and json.encode(row.job_id) or "null", row.data or "{}"),
  }
end

---@param db table the db module
---@return stance.events
function M.new(db)
  return setmetatable({ db = db, last = 0, first = 1, ring = {}, groups = {}, came = signal.new(), woken = signal.new(),
    dirty = signal.shared "events", closed = false }, Bus)
end

--- Starts at the newest event. Must be called in a fiber.
function Bus:start()
  local rows = assert(self.db.query "SELECT ifnull(max(seq), 0) AS last FROM events")
  self.last, self.first = rows[1].last, rows[1].last + 1
  self.pump = fiber.spawn(self.run, self)
  self.pump:name "events"
end

--- Nobody waits here any more: `after` and `wait` return at once.
function Bus:close()
  self.closed = true
  if self.pump then self.pump:cancel "nobody watches any more" end
  self:wake()
end

--- Whoever waits here looks again whether there is still reason to.
function Bus:wake()
  self.came:notify()
  self.woken:notify()
end

--- There are new rows. Cheap; never waits.
function Bus:notify() self.dirty:notify() end

function Bus:run()
  local trouble = complaint.new(log, "cannot read events")
  local seen = -1 -- so that it reads once what came while it started
  while true do
    self.dirty:wait(nil, seen)
    seen = self.dirty.count
    repeat
      local rows, why = self.db.query("SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT ?", self.last, batch)
      trouble:heed(not rows and why)
      if not rows then
        fiber.sleep(0.5)
        seen, rows = -1, {}
      end
      for _, row in ipairs(rows) do
        self.last = row.seq
        self.ring[row.seq] = to_event(row)
        self:tell(self.ring[row.seq])
      end
      while self.first <= self.last - keep do
        self.ring[self.first] = nil
        self.first = self.first + 1
      end
      if #rows > 0 then self.came:notify() end
    until #rows < batch
  end
end

function Bus:tell(event)
  local all, one = self.groups[everybody], event.job_id and self.groups[event.job_id]
  if all then all:send(event.text) end
  if one then one:send(event.text) end
end

--- From now on the socket gets every event, or those of one job; it leaves when it closes. False, and nothing is changed, when the cursor
--- is not the newest: it would miss events, or see some twice.
---@param socket ws.Socket
---@param cursor integer
---@param job_id? string
---@return boolean joined
function Bus:join(socket, cursor, job_id)
  if cursor ~= self.last or self.closed then return false end
  for name, group in pairs(self.groups) do
    if group:count() == 0 then self.groups[name] = nil end
  end
  local name = job_id or everybody
  self.groups[name] = self.groups[name] or ws.group()
  return self.groups[name]:add(socket) == true
end

--- Runs for ever: forgets all but the newest `count` events.
---@param count integer
function Bus:keep_newest(count)
  while true do
    fiber.sleep(60)
    local oldest = self:oldest()
    if oldest and oldest <= self.last - count then
      local ok, why = self.db.exec("DELETE FROM events WHERE seq <= ?", self.last - count)
      if not ok then log.warn("cannot forget old events", { reason = tostring(why) }) end
    end
  end
end

--- The oldest event that is still kept, or nil.
---@return integer|nil
function Bus:oldest()
  local rows = self.db.query "SELECT min(seq) AS first FROM events"
  return rows and rows[1].first
end

--- The newest cursor.
---@return integer
function Bus:cursor() return self.last end

--- Events after a cursor, oldest first, at most 500; of one job when `job_id` is given. Waits until there is at least one, or
--- until `timeout` seconds have passed (then an empty list). The second result is the next cursor.
---@param cursor integer
---@param job_id? string
---@param timeout? number
---@return stance.event[]|nil events, integer|table cursor_or_err
function Bus:after(cursor, job_id, timeout)
  local until_time = timeout and time.monotonic() + timeout
  while true do
    local events, next_cursor = self:read(cursor, job_id)
    if not events then return nil, next_cursor end
    cursor = next_cursor
    if #events > 0 then return events, cursor end
    local left = until_time and until_time - time.monotonic()
    if self.closed or cursor >= self.last and (left and left <= 0 or not self.came:wait(left)) then return {}, cursor end
  end
end

function Bus:read(cursor, job_id)
  local events = {}
  if cursor + 1 >= self.first then
    local last = math.min(self.last, cursor + batch)
    for seq = cursor + 1, last do
      local event = self.ring[seq]
      if event and (not job_id or event.job_id == job_id) then events[#events + 1] = event end
    end
    return events, math.max(cursor, last)
  end
  local last = self.last -- it may move on while the query runs
  local rows, why
  if job_id then
    rows, why = self.db.query("SELECT * FROM events WHERE job_id = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?", job_id, cursor, last,
      batch)
  else
    rows, why = self.db.query("SELECT * FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?", cursor, last, batch)
  end
  if not rows then return nil, why end
  for i, row in ipairs(rows) do events[i] = to_event(row) end
  return events, #rows == batch and rows[batch].seq or last
end

--- Waits until anything has come after `cursor`, or the time is up. Take the cursor before looking at what may change.
---@param timeout? number
---@param cursor integer
function Bus:wait(timeout, cursor)
  if self.last > cursor or self.closed then return self.last > cursor end
  return self.came:wait(timeout)
end

return M
