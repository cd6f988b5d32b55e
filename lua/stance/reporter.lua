--- reporter.lua - a worker's reports on their way to the host: those of one moment travel together.
---
--- What several jobs report while the worker runs its ready fibers goes out as one request, in order; the host keeps each for itself
--- and answers each. A job that reports again meanwhile does not wait for an earlier request's answer.
local fiber, json = require "fiber", require "json"
local err = require "stance.err"

local M = {}

local reports_most, bytes_most = 256, 8 * 1024 * 1024 -- in one request
local timeout = 60

---@class stance.reporter
local Reporter = {}
Reporter.__index = Reporter

--- What a report has come to as long as nobody says otherwise.
local unknown = err("upstream", "the host's answer was lost on the way")

---@class stance.reporter.batch reports of one moment, and their bytes in all
---@field bytes integer

--- Sends one request, and notes each report's answer.
local function deliver(self, batch)
  local texts = {}
  for i, one in ipairs(batch) do texts[i] = one.text end
  local reply, why = self.call('{"op":"report","reports":[' .. table.concat(texts, ",") .. "]}", timeout)
  local answer = reply and json.decode(reply)
  if answer and answer.err then why = err(answer.err.code, "%s", answer.err.message) end
  for i, one in ipairs(batch) do
    local outcome = answer and answer.ok and answer.ok[i]
    if type(outcome) == "table" then one.why = err(outcome.code, "%s", outcome.message)
    elseif outcome then one.why = false
    else one.why = why end
  end
end

--- The life of a request: it begins once all that was ready with its first report has run, and may have added theirs. Memory may run
--- out on the way; whoever waits for an answer is woken all the same, which needs none.
local function send(self, batch)
  if self.open == batch then self.open = nil end
  local ok, why = pcall(deliver, self, batch)
  for i = 1, #batch do batch[i].answered:close() end
  if not ok then error(why, 0) end
end

---@param call fun(payload: string, timeout: number): string|nil, table|nil asks the host: host.call
---@return stance.reporter
function M.new(call) return setmetatable({ call = call }, Reporter) end

--- Puts a report into the request that is still open, or opens one. Either it is in a request that will be sent, or this raises.
local function add(self, one)
  local batch, size = self.open, #one.text
  if batch and #batch < reports_most and batch.bytes + size <= bytes_most then
    batch[#batch + 1] = one
    batch.bytes = batch.bytes + size
  else
    batch = { one, bytes = size }
    self.open = batch
    local ok, why = pcall(fiber.spawn, send, self, batch)
    if not ok then
      self.open = nil
      error(why, 0)
    end
  end
end

--- Reports and waits until the host has kept it. Raises when `fields` are not what JSON can carry.
---@param op string "step", "complete", ...: see jobs.lua
---@param fields table with id and epoch
---@return true|nil kept, table|nil err
function Reporter:tell(op, fields)
  fields.op = op
  local one = { text = json.encode(fields), answered = fiber.channel(1), why = unknown }
  add(self, one)
  one.answered:get(timeout + 5) -- without memory even the fiber that waits for the answer may have ended
  if one.why then return nil, one.why end
  return true
end

return M
