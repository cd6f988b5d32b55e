--- events.lua - what happened, in order, for whoever watches: a cursor misses nothing.
---
--- Events are rows that commit with the change they tell of; their `seq` only grows. While anybody watches, the bus reads each new
--- row once, keeps the last few thousand, and wakes all watchers; one that is further behind reads the table. A WebSocket that has
--- caught up joins a group instead and gets what comes without any further script. While nobody watches, the bus does nothing.
local json, time, log = require "json", require "time", require("log").named "events"
local fiber, ws = require "fiber", require "ws"
local complaint, signal = require "stance.complaint", require "stance.signal"

local M = {}

local keep, batch = 4096, 500
local everybody = "" -- the name of a group that is no job's
local forget_at_once = 5000 -- rows that one commit deletes, so that others do not wait for long

---@class stance.event a row of the events table
---@field seq integer
---@field type string "job.submitted", "job.progress", ...
---@field job_id string|nil
---@field text string the event as JSON: {seq, ts, type, job_id, data}

---@class stance.events
local Bus = {}
Bus.__index = Bus

--- Makes the JSON when somebody wants it.
local Event = {}
function Event.__index(row, field)
  if field ~= "text" then return nil end
  row.text = ('{"seq":%d,"ts":"%s","type":%s,"job_id":%s,"data":%s}'):format(row.seq, time.iso(row.ts), json.encode(row.type),
    row.job_id and json.encode(row.job_id) or "null", row.data or "{}")
  return row.text
end

---@param row table a row of the events table
---@return stance.event
local function to_event(row) return setmetatable(row, Event) end

---@param db table the db module
---@return stance.events
function M.new(db)
  return setmetatable({ db = db, last = 0, first = 1, ring = {}, groups = {}, seen = 0, watchers = 0, awake = false, came = signal.new(),
    woken = signal.new(), wanted = signal.new(), dirty = signal.shared "events", closed = false }, Bus)
end

local function newest(self)
  local rows, why = self.db.query "SELECT ifnull(max(seq), 0) AS last FROM events"
  return rows and rows[1].last, why
end

--- Forgets what is in memory, and goes on at the newest event. True, or nil and an error.
local function start_anew(self)
  local seen = self.dirty.count
  local last, why = newest(self)
  if not last then return nil, why end
  self.last, self.first, self.ring, self.seen = last, last + 1, {}, seen
  return true
end

--- Reads the next rows into the ring. True, or nil and an error.
local function read_on(self)
  local seen = self.dirty.count
  local rows, why = self.db.query("SELECT * FROM events WHERE seq > ? ORDER BY seq LIMIT ?", self.last, batch)
  if not rows then return nil, why end
  for _, row in ipairs(rows) do
    self.last = row.seq
    self.ring[row.seq] = to_event(row)
    self:tell(self.ring[row.seq])
  end
  while self.first <= self.last - keep do
    self.ring[self.first] = nil
    self.first = self.first + 1
  end
  if #rows < batch then self.seen = seen end
  return true
end

--- Starts at the newest event. Must be called in a fiber.
function Bus:start()
  assert(start_anew(self))
  self.pump = fiber.spawn(self.run, self)
  self.pump:name "events"
end

--- Nobody waits here any more: `after` returns at once.
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

function Bus:is_watched()
  if self.watchers > 0 then return true end
  for _, group in pairs(self.groups) do if group:count() > 0 then return true end end
  return false
end

--- Returns when there is somebody to read for. After a long time without anybody it does not read what they did not wait for.
function Bus:await_watchers()
  if self:is_watched() then return end
  self.awake = false
  repeat self.wanted:wait() until self:is_watched()
  while self.dirty.count - self.seen > batch do
    if not start_anew(self) then fiber.sleep(0.5) end
  end
  self.awake = true
  self.came:notify()
end

function Bus:run()
  local trouble = complaint.new(log, "cannot read events")
  while true do
    self:await_watchers()
    self.dirty:wait(nil, self.seen)
    local ok, why = read_on(self)
    trouble:heed(not ok and why)
    if not ok then fiber.sleep(0.5) end
    self.came:notify()
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
  if cursor ~= self.last or self.closed or not self.awake and self.seen ~= self.dirty.count then return false end
  for name, group in pairs(self.groups) do
    if group:count() == 0 then self.groups[name] = nil end
  end
  local name = job_id or everybody
  self.groups[name] = self.groups[name] or ws.group()
  local joined = self.groups[name]:add(socket) == true
  self.wanted:notify()
  return joined
end

--- Runs for ever: forgets all but the newest `count` events.
---@param count integer
function Bus:keep_newest(count)
  while true do
    fiber.sleep(60)
    local oldest, last = self:oldest(), self:cursor()
    while oldest and oldest <= last - count do
      oldest = math.min(oldest + forget_at_once, last - count + 1)
      local ok, why = self.db.exec("DELETE FROM events WHERE seq < ?", oldest)
      if not ok then
        log.warn("cannot forget old events", { reason = tostring(why) })
        break
      end
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
function Bus:cursor()
  if self.seen == self.dirty.count then return self.last end
  return newest(self) or self.last
end

--- Events after a cursor, oldest first, at most 500; of one job when `job_id` is given. Waits until there is at least one, or
--- until `timeout` seconds have passed (then an empty list). The second result is the next cursor.
---@param cursor integer
---@param job_id? string
---@param timeout? number
---@return stance.event[]|nil events, integer|table cursor_or_err
function Bus:after(cursor, job_id, timeout)
  self.watchers = self.watchers + 1
  self.wanted:notify()
  local ok, events, next_cursor = pcall(self.wait_after, self, cursor, job_id, timeout)
  self.watchers = self.watchers - 1
  if not ok then error(events, 0) end -- cancelled, or past the fiber's deadline
  return events, next_cursor
end

function Bus:wait_after(cursor, job_id, timeout)
  local until_time = timeout and time.monotonic() + timeout
  while true do
    local since = self.came.count
    local events, next_cursor = self:read(cursor, job_id)
    if not events then return nil, next_cursor end
    cursor = next_cursor
    if #events > 0 then return events, cursor end
    local left = until_time and until_time - time.monotonic()
    if self.closed or cursor >= self.last and (left and left <= 0 or not self.came:wait(left, since)) then return {}, cursor end
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

return M
