--- server.lua - the host: opens the job service, starts workers, answers HTTP, and ends in good order.
---
--- A generation of scripts runs `start` in a vm of its own. Until `host.activate` it only loads and checks, and touches nothing that
--- the generation before it uses; from there on it is the host, and takes over the listener, the workers and the queue.
local db, fiber, host = require "db", require "fiber", require "host"
local http, log = require "http", require("log").named "host"
local access, console, jobs_service = require "stance.access", require "stance.console", require "stance.jobs"
local gauges, generations = require "stance.gauges", require "stance.generations"
local migration, router = require "stance.migration", require "stance.http"
local workers, workflows = require "stance.workers", require "stance.workflows"

local M = {}

--- What the routes of lua/api work with.
---@class stance.app
---@field jobs stance.jobs
---@field workers stance.workers
---@field gauges stance.gauges
---@field generations stance.generations
---@field routes stance.Router
---@field address string
---@field stopping boolean the process is ending
---@field retired boolean another generation has taken over

--- The scripts of lua/api, in order of their names, each `function(route, app)`. Pauses between two: a host that loads its next
--- generation goes on answering.
local function load_routes(route, app)
  for _, script in ipairs(host.scripts()) do
    local name = script.path:match "^api/([%w_-]+)%.lua$"
    if name then
      require("api." .. name)(route, app)
      fiber.yield()
    end
  end
end

--- At the start of a host a broken workflow fails its own jobs only; later it keeps its whole generation out. What the active generation
--- has too is loaded when it is asked for.
local function load_workflows(is_first)
  for _, script in ipairs(host.scripts()) do
    local name = not script.known and script.path:match "^workflows/([%w_-]+)%.lua$"
    if name then
      local workflow, why = workflows.load(name)
      if not workflow and not is_first then error(why, 0) end
      if not workflow then log.error("a workflow cannot be used", { workflow = name, reason = why.message }) end
      fiber.yield()
    end
  end
end

--- Loads all, without effect on anything outside this vm.
---@param is_first boolean nothing ran before in this process
---@return stance.app
local function prepare(is_first)
  local app = { stopping = false, retired = false }
  app.jobs = jobs_service.new { db = db, lease = host.config "job_lease", max_attempts = host.config "job_max_attempts" }
  app.generations = generations.new { db = db }
  app.routes = router.new { access = access.by_scopes(require "policies.scopes") }
  load_routes(app.routes, app)
  load_workflows(is_first)
  return app
end

--- What a trial says: nothing, or what is wrong with this generation, a line each.
---@return string|nil
function M.try()
  local check = require "stance.check" -- a host's own vm has no need of it
  local problems = check.lines(check.generation())
  if not problems then prepare(false) end
  return problems
end

local function stop(app, server)
  return function(reason)
    log.info("stopping", { reason = reason })
    app.stopping = true
    app.jobs:wake_all()
    app.workers:stop(host.config "drain")
    server:close()
  end
end

--- What this generation watches in the background; ends with it.
local function spawn_watchers(app)
  local list = {}
  local function run(name, fn, ...)
    list[#list + 1] = fiber.spawn(fn, ...)
    list[#list]:name(name)
  end
  run("leases", app.jobs.watch, app.jobs)
  run("event keeper", app.jobs.events.keep_newest, app.jobs.events, host.config "events_keep")
  return list
end

local function retire(app, watchers)
  return function()
    app.retired = true
    for _, one in ipairs(watchers) do one:cancel "another generation is active" end
    app.workers:hand_over()
    app.jobs:retire()
    app.gauges:retire()
  end
end

--- No generation was active before in this process.
local function nothing_before()
  for _, vm in ipairs(host.generations()) do if vm.state == "active" then return false end end
  return true
end

function M.start()
  local is_first = nothing_before()
  local app = prepare(is_first)
  assert(app.jobs:open(is_first))
  assert(app.generations:keep())
  host.activate()
  app.workers = workers.new(app.jobs, host.config "workers")
  app.gauges = gauges.new(app)
  local server = assert(http.serve {
    listen = host.config "listen", handler = app.routes:handler(), hosts = host.config "hosts", origins = host.config "origins",
    body_limit = host.config "max_body", connection_limit = host.config "max_connections", lasting = true,
  })
  app.address = server:address()
  host.on_stop(stop(app, server))
  host.on_retire(retire(app, spawn_watchers(app)))
  migration.run(db)
  app.workers:start()
  console.serve(app)
  host.ready("http://" .. app.address)
  collectgarbage() -- what loading has left
end

return M
