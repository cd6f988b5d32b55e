--- testing.lua - a host in memory for specs of one's own scripts (`stance test`): the real engine, a clock that jumps, and trouble
--- to order.
---
---     local testing = require "stance.testing"
---
---     it("goes on after its worker was killed", function()
---       local host = testing.host()
---       local job = assert(host:submit("turntable", { characters = { "mannequin" } }))
---       job:kill_worker { step = "each/mannequin" }          -- before what it did is kept: the step runs again
---       job:finish()                                         -- on virtual time: job:sleep(3600) takes a moment
---       assert.equal("completed", job.status)
---       assert.equal(2, job:runs "each/mannequin")
---     end)
---
--- Each host has a database, objects and workers of its own and forgets them. The scripts are those that `stance serve` would load,
--- restricted as there. `fs`, `http`, `image`, `npy`, `render`, `scene`, `video` and `ws` are the real ones, unless
--- `modules` gives others.
local access, virtual = require "stance.access", require "stance.virtual"
local lint = require "lint"
local bridge, jobs, routes = require "stance.testing.bridge", require "stance.testing.job", require "stance.testing.routes"

local M = {}

local bridged = { "fs", "http", "image", "npy", "render", "scene", "video", "ws" }

---@class stance.testing.host
---@field machine stance.virtual
---@field log { process: string, level: string, message: string, fields: table }[] what the host and its workers logged
local Host = {}
Host.__index = Host

---@class stance.testing.options
---@field workers? integer default 1
---@field seed? integer of all that chance decides; default 1
---@field start? number the wall clock at first, seconds since 1970; default 2026-01-01
---@field settings? table<string, any> values for host.config
---@field scripts? table<string, string> texts by path, in place of or beside the scripts on disk
---@field modules? table<string, any> what `require` gives to scripts: { http = { get = function(url) ... end } }

local shared_library -- compiled once for all hosts whose scripts are those on disk

--- Scripts see here what they would see in a host: no io, no modules from elsewhere.
local function restrict(process)
  local env = process.env
  for name, refused in pairs(lint.refused()) do env[name] = refused end
  function env.load(chunk, name, _, own) return load(chunk, name, "t", own or env) end
  env.loadstring = env.load
  local find_module, require, known = package.loaders[2], process.require, { ["stance.err"] = true }
  for name in ("bit coroutine debug jit math package string table"):gmatch "%a+" do known[name] = true end
  function process.require(self, name)
    if self.loaded[name] == nil and not known[name] and not self.library.compiled[name:gsub("%.", "/") .. ".lua"] then
      local found = find_module(name)
      if type(found) ~= "function" then error(("module '%s' not found:%s"):format(name, found), 3) end
    end
    return require(self, name)
  end
end

--- A worker whose reports of steps are seen.
local function watch_worker(self, worker, process)
  local job_api = process:require "stance.job"
  local new = job_api.new
  function job_api.new(options)
    local call, claim = options.call, options.claim
    function options.call(op, fields, timeout)
      if op ~= "step" then return call(op, fields, timeout) end
      local job = self.jobs[claim.id]
      if job then job:before_step(worker, fields.step) end
      local answer, why = call(op, fields, timeout)
      if job then job:after_step(worker, fields.step) end
      return answer, why
    end
    return new(options)
  end
end

--- A host that is up.
---@param options? stance.testing.options
---@return stance.testing.host
function M.host(options)
  options = options or {}
  if not options.scripts then shared_library = shared_library or virtual.library() end
  local modules = {}
  local machine = virtual.new { seed = options.seed, start = options.start, settings = options.settings, modules = modules,
    scripts = options.scripts, library = not options.scripts and shared_library or nil }
  local self = setmetatable({ machine = machine, jobs = {}, log = {}, workers = options.workers or 1 }, Host)
  for _, name in ipairs(bridged) do modules[name] = bridge.wrap(machine, require(name)) end
  for name, module in pairs(options.modules or {}) do modules[name] = module end
  local make_process, make_worker = machine.process, machine.worker_process
  function machine.process(...)
    local process = make_process(...)
    restrict(process)
    return process
  end
  function machine.worker_process(_, worker)
    local process = make_worker(machine, worker)
    watch_worker(self, worker, process)
    return process
  end
  function machine.on_log(process, level, message, fields)
    self.log[#self.log + 1] = { process = process, level = level, message = message, fields = fields }
  end
  self.virtual = machine:host { workers = self.workers }
  return self
end

--- Submits a job, as `POST /api/jobs` does: nil and the error when it is refused.
---@param job_type string
---@param params? table
---@param options? { priority?: integer, delay_s?: number, deadline_s?: number, idempotency_key?: string }
---@return stance.testing.job|nil job, table|nil err
function Host:submit(job_type, params, options)
  local submission = { job_type = job_type, params = params }
  for name, value in pairs(options or {}) do submission[name] = value end
  local manifest, why = self.virtual:submit(submission)
  if not manifest then return nil, why end
  return self:job(manifest.job_id)
end

--- A job of this host by its id, for instance a child's.
---@param id string
---@return stance.testing.job
function Host:job(id)
  self.jobs[id] = self.jobs[id] or jobs.new(self, id)
  return self.jobs[id]
end

--- Lets time pass: workers work, timers ring.
---@param seconds number on the virtual clock
function Host:run(seconds) self.machine:run(seconds) end

--- The wall clock.
---@return number seconds since 1970
function Host:now() return self.machine:wall() end

--- Sets the wall clock forward, or back.
---@param seconds number
function Host:jump(seconds) self.machine:jump(seconds) end

--- Ends all worker processes as SIGKILL would; others start in their place.
function Host:kill_workers()
  for _, worker in ipairs(self.virtual.children) do worker:die { signal = 9 } end
end

--- Ends the host as SIGKILL would, and starts one on what it left behind.
function Host:restart()
  self.virtual:kill()
  self.virtual = self.machine:host { workers = self.workers }
  self.router = nil
end

---@class stance.testing.answer
---@field status integer
---@field headers table<string, string> by lower-case name
---@field body string
---@field json any the body decoded, when it is JSON

--- Calls a route of lua/api and of the workspace, without a socket: matching, schemas and access are those of a host.
---@param method string
---@param path string with its query: "/api/jobs?limit=2"
---@param body? any sent as JSON; a string is sent as it is
---@param headers? table<string, string>
---@return stance.testing.answer
function Host:request(method, path, body, headers) return routes.request(self, method, path, body, headers) end

--- Does policies/scopes.lua grant the principal of a host without credentials this scope?
---@param scope string "jobs:write"
---@return boolean allowed, table|nil err
function Host:allows(scope)
  local process = self.virtual.process
  local check = access.by_scopes(process:require "policies.scopes")
  local principal, why = check({}, { scope = scope })
  return principal ~= nil, why
end

return M
