--- workers.lua - the worker processes of a host: one set for the present generation, one worker for each older one that still has jobs.
local fiber, host, json = require "fiber", require "host", require "json"
local log, metrics = require("log").named "workers", require "metrics"

local M = {}

local sigkill = 9

---@class stance.workers
local Workers = {}
Workers.__index = Workers

---@class stance.workers.member
---@field name string
---@field generation string
---@field id string name and process, as leases carry it
---@field process userdata

--- Starts `count` workers. Must be called in a fiber.
---@param jobs stance.jobs
---@param count integer
---@return stance.workers
function M.new(jobs, count)
  local self = setmetatable({ jobs = jobs, members = {}, next_index = 0, stopping = false }, Workers)
  jobs.on_cancel = function(worker_id, job_id) self:tell(worker_id, { op = "cancel", id = job_id }) end
  jobs.on_old_job = function() self:serve_old_generations() end
  local memory = metrics.gauge { name = "worker_memory_bytes", help = "Resident memory of a worker.", labels = { "worker" } }
  jobs.on_memory = function(worker_id, bytes) memory:set({ worker = worker_id:match "^[^/]+" }, bytes) end
  for _ = 1, count do self:add(host.generation()) end
  self:serve_old_generations()
  return self
end

function Workers:has(generation)
  for _, member in ipairs(self.members) do if member.generation == generation then return true end end
  return false
end

--- Starts a worker for each older generation that has open jobs and no worker.
function Workers:serve_old_generations()
  for _, generation in ipairs(self.jobs:old_generations()) do
    if not self.stopping and not self:has(generation) then
      log.info("starting a worker for jobs of an older generation", { generation = generation })
      local member = self:add(generation)
      if member then fiber.spawn(self.retire_when_done, self, member) end
    end
  end
end

---@param generation string
---@return stance.workers.member|nil
function Workers:add(generation)
  self.next_index = self.next_index + 1
  local member = { name = "worker-" .. self.next_index, index = self.next_index, generation = generation }
  local process, why = host.spawn_worker {
    name = member.name, index = self.next_index, generation = generation,
    handler = function(process, request)
      if process:pid() == 0 then return "{}" end -- it died meanwhile: nobody waits for the answer
      local id = ("%s/%d"):format(member.name, process:pid())
      if member.id ~= id then
        member.id = id
        self.jobs:worker_came(id)
      end
      return self.jobs:answer(member.id, request)
    end,
    on_exit = function(_, exit)
      local reason = exit.unheard and "the worker did not answer and was killed"
        or exit.signal ~= 0 and ("the worker was killed by signal %d"):format(exit.signal)
        or ("the worker ended with status %d"):format(exit.status)
      if not self.stopping then log.warn(reason, { worker = member.name, restart_s = exit.restarting and exit.restart_in or nil }) end
      local crashed = exit.unheard or exit.signal ~= sigkill
      local id = member.id
      member.id = nil
      if id then self.jobs:worker_died(id, reason, crashed) end
    end,
  }
  if not process then
    log.error("cannot start a worker", { reason = tostring(why) })
    return nil
  end
  member.process = process
  self.members[#self.members + 1] = member
  return member
end

function Workers:tell(worker_id, event)
  for _, member in ipairs(self.members) do
    if worker_id == nil or member.id == worker_id then member.process:send(json.encode(event)) end
  end
end

--- A worker of an older generation goes when that has no jobs left.
function Workers:retire_when_done(member)
  local open = true
  while open do
    fiber.sleep(2)
    open = false
    for _, generation in ipairs(self.jobs:old_generations()) do open = open or generation == member.generation end
  end
  if self.stopping then return end
  log.info("the last job of an older generation has ended", { generation = member.generation })
  for i, other in ipairs(self.members) do
    if other == member then table.remove(self.members, i) end
  end
  member.process:stop(10)
  self:serve_old_generations() -- one may have been retried since we looked
end

--- What `GET /api/status` shows.
---@return table[]
function Workers:list()
  local list = {}
  for i, member in ipairs(self.members) do
    list[i] = { name = member.name, pid = member.process:pid(), generation = member.generation, restarts = member.process:restarts() }
  end
  return list
end

--- Lets all workers give back what they have, then ends them. Waits at most `seconds`.
function Workers:stop(seconds)
  self.stopping = true
  for _, member in ipairs(self.members) do member.process:stop(seconds) end
  local function all_gone()
    for _, member in ipairs(self.members) do if not member.process:is_gone() then return false end end
    return true
  end
  while not all_gone() do fiber.sleep(0.01) end
end

return M
