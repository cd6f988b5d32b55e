--- virtual.lua - a machine that exists only in a script: hosts and workers run the real job engine on real SQL, while time, chance
--- and trouble are the script's to decide.
---
---     local machine = require("stance.virtual").new { seed = 7, scripts = { ["workflows/tidy.lua"] = text } }
---     local host = machine:host { workers = 2 }
---     local job = host:submit { job_type = "tidy", params = { folder = "a" } }
---     job = host:wait(job.job_id, 3600)                    -- an hour on the virtual clock, a moment on the real one
---     assert(job.status == "completed")
---
--- Nothing here waits for real: the clock jumps to the next moment at which anything happens. The same seed gives the same history,
--- fiber by fiber. Calls may be made from anywhere; outside the machine's own fibers each drives the clock until it has its answer.
---
--- What is real: the scripts (jobs, queue, events, workers, worker, job and the workflows), the database (in memory), JSON,
--- metrics. What stands in (virtual/): fibers, clocks, random numbers, log, objects, worker processes and the link to them. Modules
--- that wait for the runtime itself (`fs`, `http`, `image`, `render`, `scene`) cannot be called in it: give stand-ins in `modules`.
local db, host_module = require "db", require "host"
local err = require "stance.err"
local child, fibers, libraries = require "stance.virtual.child", require "stance.virtual.fiber", require "stance.virtual.library"
local modules, processes = require "stance.virtual.modules", require "stance.virtual.process"
local random, schedulers = require "stance.virtual.random", require "stance.virtual.scheduler"

local M = {}

---@class stance.virtual
---@field scheduler stance.virtual.scheduler
---@field random stance.virtual.random
---@field trouble stance.virtual.trouble
---@field on_log? fun(process: string, level: string, message: string, fields: table)
local Machine = {}
Machine.__index = Machine

--- What goes wrong; the defaults let everything succeed after a few milliseconds. Replace what shall fail.
---@class stance.virtual.trouble
---@field delay fun(kind: "db"|"answer"|"objects"|"link"|"start"): number seconds that it takes
---@field db fun(process: stance.virtual.process, call: string, arguments: table): table|nil an error instead of running it
---@field objects fun(process: stance.virtual.process): table|nil an error instead of keeping it
---@field link fun(worker: stance.virtual.process, way: "up"|"down", kind: "request"|"reply"|"event"): "drop"|"twice"|nil, number|nil
---   what becomes of a message, and seconds that it takes longer
---@field answered fun(worker: stance.virtual.process, request: string, reply: string|nil) looks on: what a host answered a worker

local function no_trouble(chance)
  local function nothing() end
  return { delay = function(kind) return kind == "start" and chance:number(0.02, 0.05) or chance:number(0.0001, 0.003) end,
    db = nothing, objects = nothing, link = nothing, answered = nothing }
end

---@class stance.virtual.options
---@field seed? integer default 1
---@field scripts? table<string, string> text by path, in place of or beside the scripts of this process
---@field library? stance.virtual.library instead of `scripts`: compiled once for many machines (virtual.library)
---@field modules? table<string, any> what `require` gives in all processes, by name
---@field settings? table<string, any> values for host.config, before this process's own
---@field start? number the wall clock at first, seconds since 1970; default 2026-01-01
---@field trace? fun(line: string) called each time a fiber goes on

---@param options? stance.virtual.options
---@return stance.virtual
function M.new(options)
  options = options or {}
  local chance = random.new(options.seed or 1)
  local library = options.library or libraries.new(options.scripts)
  local self = setmetatable({ random = chance, trouble = no_trouble(chance:fork()), settings = options.settings or {}, pids = 100,
    library = library, libraries = { [library.name] = library }, modules = options.modules or {}, objects = {},
    scheduler = schedulers.new { seed = chance:next(), trace = options.trace } }, Machine)
  self.wall_offset = (options.start or 1767225600) - self.scheduler.now
  self.disk = { db = assert(db.memory()), written = 0 }
  self.stand_ins = { fiber = fibers.module(self.scheduler), time = modules.time(self), crypto = modules.crypto(self) }
  self.client = self:process("client", "spec", {})
  return self
end

--- Compiles this process's scripts, with changes, for many machines.
---@param changes? table<string, string>
---@param name? string of the generation
M.library = libraries.new

-- -- Time -----------------------------------------------------------------------------------------------------------

--- The wall clock.
---@return number seconds since 1970
function Machine:wall() return self.scheduler.now + self.wall_offset end

--- Sets the wall clock forward, or back; durations are not touched.
function Machine:jump(seconds) self.wall_offset = self.wall_offset + seconds end

--- Lets the machine run for so long on its own clock, or until `is_over()`. From outside its fibers.
---@param seconds number
---@param is_over? fun(): boolean
---@return boolean over
function Machine:run(seconds, is_over) return self.scheduler:run(seconds, is_over) end

--- Runs `fn(...)` in a fiber of `process` and waits for what it returns; raises what it raises. `nil` and an error `closed` when the
--- process dies meanwhile.
---@param process stance.virtual.process
function Machine:inside(process, fn, ...)
  if process.dead then return nil, err("closed", "%s is dead", process.name) end
  local task = process:spawn("call", fn, ...)
  local function is_over() return process.dead or task.state == "ended" or task.state == "failed" end
  if self.scheduler.running then
    task:join()
  else
    while not is_over() do if not self.scheduler:step() then error("the call waits for something that cannot come", 2) end end
  end
  if not task.results then return nil, err("closed", "%s died meanwhile", process.name) end
  if not task.results[1] then error(task.results[2], 0) end
  return unpack(task.results, 2, task.results.n)
end

-- -- Processes ------------------------------------------------------------------------------------------------------

function Machine:next_pid()
  self.pids = self.pids + 1
  return self.pids
end

local function config(self)
  return function(name)
    local value = self.settings[name]
    if value ~= nil then return value end
    return host_module.config(name)
  end
end

--- The module `host` of a process: what `own` adds or replaces.
local function host_for(self, process, role, own)
  local library, began = process.library, self.scheduler.now
  local module = { role = role, version = host_module.version, data_dir = "/virtual", worker_index = 0, pid = self.pids,
    config = config(self) }
  function module.generation() return library.name end
  function module.scripts() return library.list end
  function module.script(path)
    if library.texts[path] then return library.texts[path] end
    return nil, err("not_found", "there is no script %s in this generation", tostring(path))
  end
  function module.uptime() return self.scheduler.now - began end
  function module.memory() return { resident = 2 ^ 24, vm = 2 ^ 20 } end
  function module.lag() return 0 end
  function module.ready() end
  function module.on_stop(fn) process.at_stop = fn end
  function module.stop() process:kill() end
  for name, value in pairs(own) do module[name] = value end
  return module
end

--- A process with every stand-in. `own`: what its module `host` has besides.
---@param name string
---@param role "host"|"worker"|"spec"
---@param own table
---@param library? stance.virtual.library its generation; default the machine's
---@return stance.virtual.process
function Machine:process(name, role, own, library)
  local process = processes.new(self.scheduler, { name = name, library = library or self.library, modules = self.stand_ins })
  process.loaded.log = modules.log(self, name)
  process.loaded.objects = modules.objects(self, process, self.objects)
  process.loaded.db = modules.db(self, process, self.disk)
  process.loaded.host = host_for(self, process, role, own)
  for module_name, module in pairs(self.modules) do process.loaded[module_name] = module end
  return process
end

--- For child.lua: the process of a worker that starts.
---@param worker stance.virtual.child
function Machine:worker_process(worker)
  local name = ("%s/%d"):format(worker.options.name, worker.process_id)
  local process = self:process(name, "worker", { worker_index = worker.options.index, pid = worker.process_id,
    call = function(payload, timeout) return child.call(worker, payload, timeout) end,
    receive = function() return child.receive(worker) end }, self.libraries[worker.options.generation])
  process.inbox = {}
  return process
end

-- -- Hosts ----------------------------------------------------------------------------------------------------------

---@class stance.virtual.host a host process with its workers; its methods are those of stance.jobs, and these
---@field process stance.virtual.process
---@field children stance.virtual.child[]
---@field jobs stance.jobs|nil once it is up
local Host = {}

local function look_up(self, name)
  if Host[name] then return Host[name] end
  if name == "jobs" then return nil end
  return function(_, ...) return self:call(name, ...) end
end

local function boot(self, options)
  local process = self.process
  local jobs = process:require("stance.jobs").new { db = process:require "db", lease = process:require("host").config "job_lease",
    max_attempts = process:require("host").config "job_max_attempts" }
  assert(jobs:open(true))
  if options.keep_generation ~= false then
    assert(process:require("stance.generations").new({ db = process:require "db" }):keep())
  end
  process:spawn("leases", jobs.watch, jobs)
  self.workers = process:require("stance.workers").new(jobs, options.workers or 1)
  self.workers:start()
  self.jobs = jobs
end

--- Starts a host on the machine's disk: on what an earlier one has left, if there was one. It comes up while the machine runs.
--- `on_failure(why)` is called when it does not, and dies.
--- `library` is the generation that it starts with, for a host whose scripts have changed meanwhile.
---@param options? { workers?: integer, keep_generation?: boolean, library?: stance.virtual.library, on_failure?: fun(why: any) }
---@return stance.virtual.host
function Machine:host(options)
  options = options or {}
  if options.library then self.libraries[options.library.name] = options.library end
  local self_host = setmetatable({ machine = self, children = {} }, { __index = look_up })
  local process
  process = self:process("host", "host", { spawn_worker = function(worker_options)
    local worker = child.spawn(self, process, worker_options)
    self_host.children[#self_host.children + 1] = worker
    return worker
  end, serve_workers = function(front) process.front = front end, workers = function()
    local list = {}
    for _, worker in ipairs(self_host.children) do if not worker:is_gone() then list[#list + 1] = worker end end
    return list
  end }, options.library)
  process.on_death = function()
    for _, worker in ipairs(self_host.children) do if worker.process then worker.process:kill() end end
  end
  self_host.process = process
  process:spawn("boot", function()
    local ok, why = pcall(boot, self_host, options)
    if ok then return end
    process:kill()
    if options.on_failure then options.on_failure(why) else error(why, 0) end
  end)
  return self_host
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
function Host:kill() self.process:kill() end

--- Ends it in good order.
---@param seconds? number that workers have to give back what they run; default 30
function Host:stop(seconds)
  self:inside(function() self.workers:stop(seconds or 30) end)
  self.process:kill()
end

return M
