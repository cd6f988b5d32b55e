--- gauges.lua - what is looked up when somebody asks for metrics: jobs, workers, the loop. Nothing of it costs an idle host anything.
local host, metrics = require "host", require "metrics"
local exposition = require "stance.exposition"
local fiber = require "fiber"

local M = {}

local worker_wait = 1 -- seconds that a worker may take to tell its metrics

---@class stance.gauges
local Gauges = {}
Gauges.__index = Gauges

local function gauge(name, help, ...) return metrics.gauge { name = name, help = help, labels = { ... } } end

---@param app stance.app
---@return stance.gauges
function M.new(app)
  gauge("build_info", "Which stance this is; always 1.", "version"):set({ version = host.version }, 1)
  return setmetatable({
    app = app, known = {},
    lag = gauge("loop_lag_seconds", "Longest turn of the event loop in the last five to ten seconds."),
    jobs = gauge("jobs", "Jobs that have not ended, by type and status.", "type", "status"),
    oldest = gauge("jobs_oldest_pending_seconds", "How long the pending job that is due longest has waited, by type.", "type"),
    worker_jobs = gauge("worker_jobs", "Jobs that a worker has.", "worker"),
    worker_queued = gauge("worker_queued_bytes", "Bytes for a worker that its link has not taken yet.", "worker"),
  }, Gauges)
end

--- Sets a gauge for each key of `values`, and 0 for keys of former calls that are not there any more.
---@param metric metrics.Gauge
---@param values table<string, { labels: table, value: number }>
function Gauges:set_all(metric, values)
  if self.retired then return end
  local known = self.known[metric] or {}
  for key, entry in pairs(values) do known[key] = entry.labels end
  for key, labels in pairs(known) do metric:set(labels, values[key] and values[key].value or 0) end
  self.known[metric] = known
end

--- Another generation goes on: what this one has told of, and the next may know nothing of, is 0 until that says more.
function Gauges:retire()
  for metric in pairs(self.known) do self:set_all(metric, {}) end
  self.retired = true
end

function Gauges:collect_jobs()
  local open, why = self.app.jobs:open_counts()
  if not open then return nil, why end
  local counts, ages = {}, {}
  for _, row in ipairs(open) do
    counts[row.type .. "/" .. row.status] = { labels = { type = row.type, status = row.status }, value = row.count }
    if row.status == "pending" then ages[row.type] = { labels = { type = row.type }, value = row.oldest_s } end
  end
  self:set_all(self.jobs, counts)
  self:set_all(self.oldest, ages)
  return true
end

--- What each worker has and uses: {name, index, pid, generation, restarts, jobs, resident, cpu_seconds, threads, queued_bytes}; the
--- last four are missing when it is not up.
---@return table[]|nil, table|nil err
function Gauges:workers()
  local jobs, why = self.app.jobs:by_worker()
  if not jobs then return nil, why end
  local list, processes = self.app.workers:list(), host.workers()
  for i, worker in ipairs(list) do
    worker.jobs = worker.id and jobs[worker.id] or 0
    for name, value in pairs(processes[i]:usage() or {}) do worker[name] = value end
  end
  return list
end

function Gauges:collect_workers()
  local queued, jobs = {}, {}
  for _, worker in ipairs(self:workers() or {}) do
    local labels = { worker = worker.name }
    queued[worker.name] = { labels = labels, value = worker.queued_bytes or 0 }
    jobs[worker.name] = { labels = labels, value = worker.jobs }
  end
  self:set_all(self.worker_queued, queued)
  self:set_all(self.worker_jobs, jobs)
end

--- Brings all gauges of this host up to date. Waits for the database.
function Gauges:collect()
  self:collect_jobs()
  self:collect_workers()
  self.lag:set(host.lag())
end

--- The metrics of the host and of its workers as Prometheus text; what a worker counts bears the label `worker`. One that does not
--- answer in a second is left out.
---@return string
function Gauges:text()
  self:collect()
  local asked, texts = {}, {}
  for i, worker in ipairs(host.workers()) do
    asked[i] = fiber.spawn(function() texts[worker:name()] = self.app.workers:ask(worker, "metrics", nil, worker_wait) end)
  end
  for _, one in ipairs(asked) do one:join() end
  return exposition.merge(metrics.text(), "worker", texts)
end

return M
