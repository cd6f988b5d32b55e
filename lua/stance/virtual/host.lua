--- virtual/host.lua - a host process of a virtual machine: its vms (one a generation of scripts), its workers, how it begins and ends.
local err = require "stance.err"
local child = require "stance.virtual.child"

local M = {}

local drain = 30 -- seconds that a vm has to end what it has begun, when another is active

---@class stance.virtual.host a host process with its workers; its methods are those of stance.jobs, and these
---@field process stance.virtual.process its active vm
---@field children stance.virtual.child[]
---@field jobs stance.jobs|nil once it is up
---@field dead boolean
local Host = {}

local function look_up(self, name)
  if Host[name] then return Host[name] end
  if name == "jobs" then return nil end
  return function(_, ...) return self:call(name, ...) end
end

--- The module `host` of a vm: what belongs to the process is shared by all its vms.
local function module_for(self, vm)
  local module = {}
  function module.spawn_worker(options)
    local worker = child.spawn(self.machine, self, options)
    self.children[#self.children + 1] = worker
    return worker
  end
  function module.workers()
    local list = {}
    for _, worker in ipairs(self.children) do if not worker:is_gone() then list[#list + 1] = worker end end
    return list
  end
  function module.serve_workers(front) self.front = { process = vm.process, handler = front.handler, on_exit = front.on_exit } end
  function module.signal(name)
    self.signals[name] = self.signals[name] or vm.process:require("stance.signal").new()
    return self.signals[name]
  end
  function module.kept(name) return self.texts[name] end
  function module.keep(name, text) self.texts[name] = text end
  function module.on_retire(fn) vm.process.at_retire = fn end
  return module
end

--- As stance/server.lua starts a generation, without its routes.
local function boot(self, process, is_first)
  local host = process:require "host"
  local jobs = process:require("stance.jobs").new { db = process:require "db", lease = host.config "job_lease",
    max_attempts = host.config "job_max_attempts" }
  assert(jobs:open(is_first))
  if self.options.keep_generation ~= false then
    assert(process:require("stance.generations").new({ db = process:require "db" }):keep())
  end
  local former = self.process
  if not is_first then self:retire(former) end
  local workers = process:require("stance.workers").new(jobs, self.options.workers or 1)
  local watch = process:spawn("leases", jobs.watch, jobs)
  host.on_retire(function()
    watch:cancel "another generation is active"
    workers:hand_over()
    jobs:retire()
  end)
  workers:start()
  self.process, self.workers, self.jobs = process, workers, jobs
end

local function new_vm(self, library)
  local vm = {}
  if library then self.machine.libraries[library.name] = library end
  vm.process = self.machine:process("host", "host", module_for(self, vm), library)
  self.vms[#self.vms + 1] = vm.process
  return vm.process
end

---@class stance.virtual.host_options
---@field workers? integer default 1
---@field keep_generation? boolean false: its scripts are not kept in the database, and a host with others cannot run its jobs
---@field library? stance.virtual.library the generation that it starts with; default the machine's
---@field on_failure? fun(why: any) called when it does not come up, and dies

---@param machine stance.virtual
---@param options stance.virtual.host_options
---@return stance.virtual.host
function M.new(machine, options)
  local self = setmetatable({ machine = machine, options = options, children = {}, vms = {}, signals = {}, texts = {}, dead = false },
    { __index = look_up })
  self.process = new_vm(self, options.library)
  self.process:spawn("boot", function()
    local ok, why = pcall(boot, self, self.process, true)
    if ok then return end
    self:kill()
    if options.on_failure then options.on_failure(why) else error(why, 0) end
  end)
  return self
end

--- Makes other scripts the active ones, as `stance reload` does. The former vm ends what it has begun.
---@param library stance.virtual.library
---@return true|nil, any why
function Host:reload(library)
  self:inside(function() return true end) -- it is up
  if self.dead then return nil, err("closed", "the host is dead") end
  local process = new_vm(self, library)
  return self.machine:inside(process, function()
    local ok, why = pcall(boot, self, process, false)
    if ok then return true end
    process:kill()
    return nil, why
  end)
end

--- Lets a vm drain, then closes it whole.
---@param process stance.virtual.process
function Host:retire(process)
  process:spawn("retire", process.at_retire)
  self.machine.scheduler:after(drain, function() process:kill() end)
end

--- Runs `fn(jobs, ...)` in the host once that is up, and waits for what it returns.
---@param fn fun(jobs: stance.jobs, ...): any
function Host:inside(fn, ...)
  return self.machine:inside(self.process, function(...)
    local fiber = self.process:require "fiber"
    while not self.jobs do fiber.sleep(0.01) end
    return fn(self.jobs, ...)
  end, ...)
end

--- A method of the host's job service.
function Host:call(name, ...)
  return self:inside(function(jobs, ...) return jobs[name](jobs, ...) end, ...)
end

--- Sends a job a signal, as `POST /api/jobs/ID/signals/NAME` does.
function Host:signal(id, name, payload)
  return self:inside(function(jobs) return jobs.queue:signal(id, name, payload) end)
end

--- The bytes of an artifact.
---@return string|nil bytes, table|nil err
function Host:read(id, name)
  return self:inside(function(jobs)
    local artifact, why = jobs:artifact(id, name)
    if not artifact then return nil, why end
    return self.process:require("objects").read(artifact.sha256)
  end)
end

--- Ends it as SIGKILL would, and its workers with it. What it has acknowledged stays on the disk.
function Host:kill()
  self.dead = true
  for _, process in ipairs(self.vms) do process:kill() end
  for _, worker in ipairs(self.children) do if worker.process then worker.process:kill() end end
end

--- Ends it in good order.
---@param seconds? number that workers have to give back what they run; default 30
function Host:stop(seconds)
  self:inside(function() self.workers:stop(seconds or 30) end)
  self:kill()
end

return M
