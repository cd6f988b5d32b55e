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
local hosts, modules, processes = require "stance.virtual.host", require "stance.virtual.modules", require "stance.virtual.process"
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
---@field db fun(process: stance.virtual.process, call: string, arguments: table): table|nil, boolean|nil an error instead of what it
---   gives; true: it is run all the same
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

--- Starts a host on the machine's disk: on what an earlier one has left, if there was one. It comes up while the machine runs.
---@param options? stance.virtual.host_options
---@return stance.virtual.host
function Machine:host(options) return hosts.new(self, options or {}) end

return M
