--- workers.lua - the worker processes of a host: one set for the present generation, one worker for each older one that still has jobs.
---
--- The processes belong to the host's process: a generation of scripts that takes over finds those that its forerunner started, answers
--- them from then on, and lets them go when their own generation has no more jobs.
local crypto, fiber, host, json = require "crypto", require "fiber", require "host", require "json"
local log = require("log").named "workers"
local err, signal = require "stance.err", require "stance.signal"

local M = {}

local sigkill = 9
local look_again, look_rarely = 2, 30 -- seconds between looks at older generations
local grace = 10 -- seconds that a worker without jobs has to end

---@class stance.workers
---@field private known table<string, true> the processes that have asked, by "NAME/PID"
local Workers = {}
Workers.__index = Workers

local function name_of(id) return id:match "^[^/]+" end

--- Takes over the workers there are. Must be called in a fiber.
---@param jobs stance.jobs
---@param count integer workers of the present generation
---@return stance.workers
function M.new(jobs, count)
  local self = setmetatable({ jobs = jobs, count = count, known = {}, asks = {}, stopping = false,
    older = signal.shared "workers.older" }, Workers)
  jobs.on_cancel = function(worker_id, job_id) self:tell(worker_id, { op = "cancel", id = job_id }) end
  jobs.on_told = function(_, told) if self.asks[told.ask] then self.asks[told.ask]:put(told, 0) end end
  jobs.on_old_job = function() self.older:notify() end
  host.serve_workers {
    handler = function(id, request)
      if not self.known[id] then self:came(id) end
      return jobs:answer(id, request)
    end,
    on_exit = function(id, exit) self:exited(id, exit) end,
  }
  for _, worker in ipairs(host.workers()) do
    if worker:id() then self:came(worker:id()) end
  end
  return self
end

--- Starts workers of this generation, and sees to those of older ones from now on.
function Workers:start()
  for _ = self:count_of(host.generation()) + 1, self.count do self:add(host.generation()) end
  self.keeper = fiber.spawn(self.keep_older, self)
  self.keeper:name "older workers"
end

function Workers:came(id)
  self.known[id] = true
  self.jobs:worker_came(id)
end

function Workers:exited(id, exit)
  local reason = exit.unheard and "the worker did not answer and was killed"
    or exit.signal ~= 0 and ("the worker was killed by signal %d"):format(exit.signal)
    or ("the worker ended with status %d"):format(exit.status)
  local fields = { worker = name_of(id), restart_s = exit.restarting and exit.restart_in or nil }
  if exit.restarting then log.warn(reason, fields) else log.debug(reason, fields) end
  self.known[id] = nil
  self.jobs:worker_died(id, reason, exit.unheard or exit.signal ~= sigkill)
end

function Workers:count_of(generation)
  local count = 0
  for _, worker in ipairs(host.workers()) do
    if worker:generation() == generation then count = count + 1 end
  end
  return count
end

--- The least number that no worker has: names are labels of metrics, and must not grow without end.
local function free_index()
  local taken = {}
  for _, worker in ipairs(host.workers()) do taken[worker:name()] = true end
  local index = 1
  while taken["worker-" .. index] do index = index + 1 end
  return index
end

---@param generation string
function Workers:add(generation)
  local index = free_index()
  local worker, why = host.spawn_worker { name = "worker-" .. index, index = index, generation = generation }
  if not worker then log.error("cannot start a worker", { reason = tostring(why) }) end
end

-- -- Older generations ----------------------------------------------------------------------------------------------

--- Runs as long as this generation is the host's.
function Workers:keep_older()
  while not self.stopping do
    local since = self.older.count
    local ok, any = pcall(self.see_to_older, self)
    if not ok then
      if type(any) == "table" and any.code == "cancelled" then return end
      log.warn("cannot look at older generations", { reason = tostring(any) })
    end
    self.older:wait(any and look_again or look_rarely, since)
  end
end

--- A worker for each older generation with open jobs; the end for workers that have nothing to do there. Tells whether there are any.
function Workers:see_to_older()
  local open, busy = {}, self.jobs:busy_workers()
  for _, generation in ipairs(self.jobs:old_generations()) do open[generation] = true end
  local left = {}
  for _, worker in ipairs(host.workers()) do
    local generation = worker:generation()
    if generation ~= host.generation() then left[generation] = (left[generation] or 0) + 1 end
  end
  for _, worker in ipairs(host.workers()) do
    local generation = worker:generation()
    if left[generation] and (not open[generation] or (left[generation] > 1 and not busy[worker:id() or ""])) then
      left[generation] = left[generation] - 1
      if not open[generation] and left[generation] == 0 then
        log.info("the last job of an older generation has ended", { generation = generation })
      end
      worker:stop(grace)
    end
  end
  for generation in pairs(open) do
    if (left[generation] or 0) == 0 and not self.stopping then
      log.info("starting a worker for jobs of an older generation", { generation = generation })
      self:add(generation)
    end
  end
  return next(left) ~= nil or next(open) ~= nil
end

-- -- All of them ----------------------------------------------------------------------------------------------------

--- Asks a worker about itself (stance.inspect) and waits for the answer.
---@param worker host.Worker
---@param about string
---@param args? table
---@param timeout number seconds
---@return any answer, table|nil err
function Workers:ask(worker, about, args, timeout)
  local ask, answer = crypto.hex(crypto.random(8)), fiber.channel(1)
  self.asks[ask] = answer
  local function tell(event) return worker:send(json.encode(event)) end
  local sent = tell { op = "ask", ask = ask, about = about, args = args }
  local ok, told, why
  if sent then ok, told, why = pcall(answer.get, answer, timeout) end
  self.asks[ask] = nil
  if not sent then return nil, err("closed", "%s is not up", worker:name()) end
  if not ok or not told then tell { op = "forget", ask = ask } end
  if not ok then error(told, 0) end
  if not told then return nil, err(why.code, "%s did not answer in %g s", worker:name(), timeout) end
  if told.why then return nil, err(told.why.code, "%s: %s", worker:name(), told.why.message) end
  return told.answer
end

--- The worker of this number, or nil and an error that names those there are.
---@param index integer
---@return host.Worker|nil, table|nil err
function Workers:find(index)
  local there = {}
  for i, worker in ipairs(host.workers()) do
    there[i] = worker:name():match "%d+$"
    if tonumber(there[i]) == index then return worker end
  end
  return nil, err("not_found", "there is no worker %d; there are: %s", index, table.concat(there, ", "))
end

--- Sends an event to the worker with this id.
function Workers:tell(worker_id, event)
  for _, worker in ipairs(host.workers()) do
    if worker:id() == worker_id then worker:send(json.encode(event)) end
  end
end

--- What `GET /api/status` shows.
---@return table[]
function Workers:list()
  local list = {}
  for i, worker in ipairs(host.workers()) do
    list[i] = { name = worker:name(), id = worker:id(), pid = worker:pid(), generation = worker:generation(), restarts = worker:restarts() }
  end
  return list
end

--- Another generation sees to the workers from here on.
function Workers:hand_over()
  self.stopping = true
  if self.keeper then self.keeper:cancel "another generation is active" end
end

--- Lets all workers give back what they have, then ends them. Waits at most `seconds`.
function Workers:stop(seconds)
  self.stopping = true
  for _, worker in ipairs(host.workers()) do worker:stop(seconds) end
  while #host.workers() > 0 do fiber.sleep(0.01) end
end

return M
