--- job.lua - a job of a host in memory, as specs see it.
local M = {}

local day = 86400

---@class stance.testing.job its other fields are those of its manifest, looked up each time: `status`, `result`, `error`, `params`, ...
---@field id string
local Job = {}

local meta = {
  __index = function(self, name)
    if Job[name] then return Job[name] end
    local manifest = self:manifest()
    return manifest[name]
  end,
}

---@param host stance.testing.host
---@param id string
---@return stance.testing.job
function M.new(host, id) return setmetatable({ host = host, id = id, trap = false, counts = {} }, meta) end

--- The job as `GET /api/jobs/ID` shows it.
---@return table
function Job:manifest() return assert(self.host.virtual:get(self.id)) end

local ended = { completed = true, failed = true, cancelled = true }

--- Lets time pass until the job has ended; raises when it has not by then.
---@param seconds? number on the virtual clock; default one day
---@return stance.testing.job self
function Job:finish(seconds)
  local manifest = assert(self.host.virtual:wait(self.id, seconds or day))
  if ended[manifest.status] then return self end
  local steps, last = self:steps(), "no step"
  if #steps > 0 then last = "step '" .. steps[#steps].key .. "'" end
  error(("%s is still %s after %g s; %s was its last"):format(self.id, manifest.status, seconds or day, last), 2)
end

--- Lets time pass until the job has finished this step; raises when it ends without.
---@param key string
---@param seconds? number default one day
---@return stance.testing.job self
function Job:finish_step(key, seconds)
  local machine = self.host.machine
  local until_time = machine.scheduler.now + (seconds or day)
  while not self:has_step(key) do
    if ended[self.status] then error(("%s is %s, without the step '%s'"):format(self.id, self.status, key), 2) end
    if machine.scheduler.now >= until_time then error(("%s has not come to the step '%s'"):format(self.id, key), 2) end
    machine:run(0.05)
  end
  return self
end

-- -- Looking --------------------------------------------------------------------------------------------------------

local function query(self, sql)
  local process = self.host.virtual.process
  local function run() return assert(process:require("db").query(sql, self.id)) end
  self:manifest() -- the host is up
  return self.host.machine:inside(process, run)
end

--- Its finished steps in the order in which they ended: `{ key, name, attempt, error }`.
---@return table[]
function Job:steps()
  return query(self, "SELECT key, name, attempt, json_extract(error, '$.message') AS error FROM steps "
    .. "WHERE job_id = ? AND ended_at IS NOT NULL ORDER BY ended_at, key")
end

---@param key string
---@return boolean
function Job:has_step(key)
  for _, step in ipairs(self:steps()) do if step.key == key then return true end end
  return false
end

--- How often the function of a step came to its end, well or not, kept or not.
---@param key string
---@return integer
function Job:runs(key) return self.counts[key] or 0 end

--- Lines of its log: `{ level, message, fields }`.
---@return table[]
function Job:logs() return assert(self.host.virtual:logs(self.id)).entries end

--- The names of its artifacts, sorted.
---@return string[]
function Job:artifacts()
  local names = {}
  for i, artifact in ipairs(assert(self.host.virtual:artifacts(self.id))) do names[i] = artifact.name end
  return names
end

--- The bytes of an artifact.
---@param name string
---@return string|nil bytes, table|nil err
function Job:read(name) return self.host.virtual:read(self.id, name) end

--- Jobs that it started with `job:spawn`, the oldest first.
---@return stance.testing.job[]
function Job:children()
  local list = {}
  for i, row in ipairs(query(self, "SELECT id FROM jobs WHERE parent = ? ORDER BY seq")) do list[i] = self.host:job(row.id) end
  return list
end

-- -- Acting ---------------------------------------------------------------------------------------------------------

--- Sends what its `job:wait(name)` waits for.
---@param name string
---@param payload? any
---@return boolean|nil ok, table|nil err
function Job:signal(name, payload)
  self:manifest()
  return self.host.virtual:signal(self.id, name, payload)
end

---@return table|nil manifest, table|nil err
function Job:cancel() return self.host.virtual:cancel(self.id) end

--- As `stance job retry`.
---@return table|nil manifest, table|nil err
function Job:retry() return self.host.virtual:retry(self.id) end

--- Ends the worker as SIGKILL would, once, when the job has run a step: `before` what it did is kept (it will run again), or `after`
--- (it will not).
---@param options { step: string, when?: "before"|"after" } step: its key; when: default "before"
function Job:kill_worker(options)
  local when = options.when or "before"
  if type(options.step) ~= "string" then error("kill_worker: `step` must be a step's key", 2) end
  if when ~= "before" and when ~= "after" then error("kill_worker: `when` is \"before\" or \"after\"", 2) end
  self.trap = { key = options.step, when = when }
end

local function spring(self, worker, key, when)
  local trap = self.trap
  if not trap or trap.key ~= key or trap.when ~= when then return end
  self.trap = false
  worker:die { signal = 9 }
  self.host.machine.scheduler:wait({}) -- it is dead: no line after this one runs
end

--- The worker is about to report a step.
---@param worker stance.virtual.child
---@param step { key: string }
function Job:before_step(worker, step)
  self.counts[step.key] = (self.counts[step.key] or 0) + 1
  spring(self, worker, step.key, "before")
end

--- The host has kept it.
---@param worker stance.virtual.child
---@param step { key: string }
function Job:after_step(worker, step) spring(self, worker, step.key, "after") end

return M
