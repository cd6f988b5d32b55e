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

--- The same, and wakes who waits for it: memory may run out on the way, and closing needs none.
local function send(self, batch)
  local ok, why = pcall(deliver, self, batch)
  for _, one in ipairs(batch) do one.answered:close() end
  if not ok then error(why, 0) end
end

--- Runs for ever: once all that is ready now has run, what they reported goes out.
local function run(self)
  while true do
    self.ready:get()
    while #self.waiting > 0 do
      local batch, size = {}, 0
      repeat
        local one = table.remove(self.waiting, 1)
        batch[#batch + 1], size = one, size + #one.text
      until #self.waiting == 0 or #batch == reports_most or size + #self.waiting[1].text > bytes_most
      fiber.spawn(send, self, batch):name "reports"
    end
  end
end

--- Must be made in a fiber.
---@param call fun(payload: string, timeout: number): string|nil, table|nil asks the host: host.call
---@return stance.reporter
function M.new(call)
  local self = setmetatable({ call = call, waiting = {}, ready = fiber.channel(1) }, Reporter)
  self.runner = fiber.spawn(run, self)
  self.runner:name "reporter"
  return self
end

function Reporter:close() self.runner:cancel "closed" end

--- Reports and waits until the host has kept it. Raises when `fields` are not what JSON can carry.
---@param op string "step", "complete", ...: see jobs.lua
---@param fields table with id and epoch
---@return true|nil kept, table|nil err
function Reporter:tell(op, fields)
  fields.op = op
  local one = { text = json.encode(fields), answered = fiber.channel(1), why = unknown }
  self.waiting[#self.waiting + 1] = one
  self.ready:put(true, 0)
  one.answered:get(timeout + 5) -- without memory even the fiber that waits for the answer may have ended
  if one.why then return nil, one.why end
  return true
end

return M
