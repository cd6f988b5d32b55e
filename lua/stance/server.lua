--- server.lua - the host: opens the job service, starts workers, answers HTTP, and ends in good order.
local db, fiber, host = require "db", require "fiber", require "host"
local http, log, metrics = require "http", require("log").named "host", require "metrics"
local access, jobs_service = require "stance.access", require "stance.jobs"
local router, workers = require "stance.http", require "stance.workers"

local M = {}

--- What the routes of lua/api work with.
---@class stance.app
---@field jobs stance.jobs
---@field workers stance.workers
---@field address string
---@field stopping boolean

local function gauges(app)
  local pending = metrics.gauge { name = "jobs", help = "Jobs, by status.", labels = { "status" } }
  local lag = metrics.gauge { name = "loop_lag_seconds", help = "Longest turn of the event loop in the last five seconds." }
  local fibers = metrics.gauge { name = "fibers", help = "Fibers of the host." }
  local memory = metrics.gauge { name = "vm_memory_bytes", help = "Memory of the host's script VM." }
  while true do
    local counts = app.jobs:counts()
    for status, count in pairs(counts or {}) do pending:set({ status = status }, count) end
    lag:set(host.lag())
    fibers:set(fiber.count())
    memory:set(host.memory().vm)
    fiber.sleep(5)
  end
end

--- The scripts of lua/api, in order of their names, each `function(route, app)`.
local function load_routes(route, app)
  for _, script in ipairs(host.scripts()) do
    local name = script.path:match "^api/([%w_-]+)%.lua$"
    if name then require("api." .. name)(route, app) end
  end
end

local function stop(app, server)
  return function(reason)
    log.info("stopping", { reason = reason })
    app.stopping = true
    app.workers:stop(host.config "drain")
    server:close()
  end
end

function M.start()
  local app = { stopping = false }
  app.jobs = jobs_service.new { db = db, lease = host.config "job_lease", max_attempts = host.config "job_max_attempts" }
  assert(app.jobs:keep_generation())
  app.workers = workers.new(app.jobs, host.config "workers")
  local routes = router.new { access = access.by_scopes(require "policies.scopes") }
  load_routes(routes, app)
  local server = assert(http.serve {
    listen = host.config "listen", handler = routes:handler(), hosts = host.config "hosts", origins = host.config "origins",
    body_limit = host.config "max_body",
  })
  app.address = server:address()
  host.on_stop(stop(app, server))
  fiber.spawn(app.jobs.watch, app.jobs):name "leases"
  fiber.spawn(app.jobs.events.keep_newest, app.jobs.events, host.config "events_keep"):name "event keeper"
  fiber.spawn(gauges, app):name "gauges"
  host.ready("http://" .. app.address)
end

return M
